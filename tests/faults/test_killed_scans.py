"""A scan that is killed, and run again: the same exposures as without the kill, nothing doubled, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ecs_exposure.lake import Lake
from ecs_exposure.scan import scan
from ecs_exposure.settings import Settings
from embedded_aws import EmbeddedAws

from tests.faults.conftest import DAY, PLUGINS, results, severities


def run_and_kill(lake: Lake, moment: Callable[[float], bool]) -> bool:
    """Start `ecs-exposure scan` and SIGKILL it once `moment` (told the seconds) has come; whether it still ran."""
    command = [sys.executable, "-m", "ecs_exposure.cli", "scan", "--date", str(DAY), "--lake", lake.location]
    environment = os.environ | {"PYTHONPATH": str(PLUGINS)}
    began = time.monotonic()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while process.poll() is None and not moment(time.monotonic() - began):
            time.sleep(0.02)
        was_running = process.poll() is None
        if was_running:
            os.killpg(process.pid, signal.SIGKILL)
    return was_running


def check(aws: EmbeddedAws, settings: Settings, lake: Lake, wanted: dict[str, str]) -> None:
    scan(settings, lake, DAY)
    assert severities(lake, DAY) == wanted
    services = results(lake, DAY, "select resource_id from night.exposure")
    assert len(services) == len({row["resource_id"] for row in services})
    standing = {row["finding_id"] for row in results(lake, DAY, "select finding_id from night.finding")}
    hub = [finding["Id"] for finding in aws.securityhub.findings()]
    assert len(hub) == len(set(hub))
    unsent = results(lake, DAY, "select finding_id from night.publication where status = 'not_enabled'")
    assert set(hub) == standing - {row["finding_id"] for row in unsent}


@pytest.fixture
def wanted(aws: EmbeddedAws, settings: Settings, tmp_path: Path) -> dict[str, str]:
    """Severities of a scan nobody killed, in a lake of its own and not published."""
    with Lake.open(str(tmp_path / "unharmed"), create=True) as unharmed:
        scan(settings.model_copy(update={"publish": "off"}), unharmed, DAY)
        return severities(unharmed, DAY)


def test_a_killed_scan_run_again_ends_as_if_nothing_had_happened(
    aws: EmbeddedAws, settings: Settings, lake: Lake, wanted: dict[str, str]
) -> None:
    assert run_and_kill(lake, lambda _: lake.snapshot_days() != []), "killed while it was collecting"
    check(aws, settings, lake, wanted)


def test_a_scan_killed_again_and_again_at_any_moment(
    aws: EmbeddedAws, settings: Settings, lake: Lake, wanted: dict[str, str]
) -> None:
    for seconds in range(1, 16):
        run_and_kill(lake, lambda passed, until=seconds: passed >= until)
    check(aws, settings, lake, wanted)
