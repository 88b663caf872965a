from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from pathlib import Path

import pytest
from ecs_exposure import scan
from ecs_exposure.lake import Lake
from ecs_exposure.settings import Settings, load
from embedded_aws import EmbeddedAws

from tests.publishing.estate import Estate, Place

ALPHA, BETA = "111111111111", "222222222222"
REGION, ELSEWHERE = "eu-west-1", "us-east-1"
DAY = date(2026, 11, 2)
PLACES = [(ALPHA, REGION), (ALPHA, ELSEWHERE), (BETA, REGION)]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as running:
        yield running


@pytest.fixture
def aws(server: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> EmbeddedAws:
    """An AWS with a Security Hub in each place, and the environment that points publishing at it."""
    server.reset()
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    for account, region in PLACES:
        server.securityhub.enable(account, region)
    return server


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake.open(str(tmp_path / "lake"), create=True) as opened:
        yield opened


@pytest.fixture
def settings(lake: Lake) -> Settings:
    return load(lake=lake.location, publish="on", rate_share=1.0)


@pytest.fixture
def estate() -> Estate:
    return Estate(PLACES)


class Nights:
    """Assessed and published nights, one after another."""

    def __init__(self, aws: EmbeddedAws, lake: Lake, settings: Settings, estate: Estate) -> None:
        self.aws, self.lake, self.settings, self.estate = aws, lake, settings, estate
        self.day = DAY

    def night(
        self,
        *,
        unseen: Collection[Place] = (),
        gone: Collection[str] = (),
        left_out: Collection[str] = (),
        is_listed: bool = True,
        is_full_reading: bool = False,
        **changes: object,
    ) -> dict[str, int]:
        """Findings of a night by what became of them; `changes` are settings, the rest is Estate.assess's."""
        settings = self.settings.model_copy(update=changes)
        self.estate.assess(self.lake, self.day, unseen=unseen, gone=gone, left_out=left_out, is_listed=is_listed)
        try:
            return scan.publish(settings, self.lake, self.day, is_full_reading=is_full_reading)
        finally:
            self.day = date.fromordinal(self.day.toordinal() + 1)

    @property
    def stored(self) -> dict[str, dict[str, object]]:
        return {finding["Id"]: finding for finding in self.aws.securityhub.findings()}

    def states(self) -> dict[str, tuple[str, str]]:
        """What Security Hub holds: (RecordState, severity told) by Id."""
        return {
            identity: (str(found["RecordState"]), found["FindingProviderFields"]["Severity"]["Label"])  # type: ignore[index]
            for identity, found in self.stored.items()
        }

    def truth(self) -> dict[str, tuple[str, str]]:
        """What it should hold of what is exposed today."""
        return {identity: ("ACTIVE", service.severity) for identity, service in self.estate.services.items()}


@pytest.fixture
def nights(aws: EmbeddedAws, lake: Lake, settings: Settings, estate: Estate) -> Nights:
    return Nights(aws, lake, settings, estate)
