"""What the deployment files are held against: the sample organisation, really scanned."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from ecs_exposure.settings import load
from embedded_aws import EmbeddedAws
from embedded_aws.access import action_of
from embedded_aws.organization import first_night, sample_settings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "sample_org"


@pytest.fixture(scope="session")
def calls_of_a_scan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """IAM actions of every call of one whole scan, by name of the calling role ('': the scanner itself)."""
    from ecs_exposure.lake import Lake  # Great Expectations comes with it: only these tests wait for that
    from ecs_exposure.scan import scan

    actions: dict[str, set[str]] = defaultdict(set)
    with EmbeddedAws(SAMPLE) as aws, pytest.MonkeyPatch.context() as environment:
        for name, value in (aws.environ() | sample_settings(SAMPLE)).items():
            environment.setenv(name, value)
        settings = load(lake=str(tmp_path_factory.mktemp("lake")))
        with Lake.open(settings.lake, create=True) as lake:
            scan(settings, lake, first_night(SAMPLE))
        for role, service, operation in aws.calls_by_role:
            actions[role].add(action_of(service, operation))
    return dict(actions)
