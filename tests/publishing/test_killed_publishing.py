"""Publishing that is killed, and run again: Security Hub ends as if nobody had killed it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.lake import Lake
from embedded_aws import EmbeddedAws

from tests.publishing.conftest import PLACES, Nights
from tests.publishing.estate import Estate, Service
from tests.publishing.killed import publish_and_kill, seconds_of, start

pytestmark = pytest.mark.faults

KILLS = 50


def held(aws: EmbeddedAws) -> list[dict[str, Any]]:
    """All that Security Hub holds, but for when it was told."""
    clocks = ("UpdatedAt", "ProcessedAt", "FirstObservedAt", "CreatedAt")
    return [
        {name: value for name, value in finding.items() if name not in clocks} | {"began": finding["CreatedAt"]}
        for finding in aws.securityhub.findings()
    ]


@pytest.fixture
def changed(nights: Nights, estate: Estate) -> Nights:
    """A first night that was told, and a second one on which a third is fixed, a third changed and a third new."""
    for account, region in PLACES:
        estate.put(*(Service(f"s{number:03}", account, region) for number in range(100)))
    nights.night()
    for account, region in PLACES:
        for number in range(50):
            estate.remove(f"ecs-exposure/aws/{account}/{region}/main/s{number:03}")
        for number in range(50, 100):
            estate.change(f"ecs-exposure/aws/{account}/{region}/main/s{number:03}", severity="CRITICAL")
        estate.put(*(Service(f"s{number:03}", account, region, "LOW") for number in range(100, 150)))
    estate.assess(nights.lake, nights.day)
    return nights


def test_killed_at_any_moment_and_run_again_it_ends_as_without(
    aws: EmbeddedAws, changed: Nights, lake: Lake, tmp_path: Path
) -> None:
    chance = random.Random(20261102)
    before, environment = aws.securityhub.dump(), aws.environ()

    def lake_of(name: str) -> str:
        return str(shutil.copytree(lake.location, tmp_path / name, ignore=shutil.ignore_patterns(".lock")))

    seconds = seconds_of(environment, lake_of("unharmed"), changed.day)
    unharmed = held(aws)
    assert {finding["RecordState"] for finding in unharmed} == {"ACTIVE", "ARCHIVED"}
    kills, at_work, half_done = 0, 0, 0
    while at_work < KILLS:
        aws.securityhub.restore(before)
        copy = lake_of(f"killed-{kills}")
        was_at_work = publish_and_kill(environment, copy, changed.day, chance, seconds)
        kills += 1
        at_work += was_at_work
        half_done += was_at_work and held(aws) != unharmed
        again = start(environment, copy, changed.day)
        again.join()
        assert again.exitcode == 0
        now = held(aws)
        assert len({finding["Id"] for finding in now}) == len(now)
        assert now == unharmed, f"after kill {kills}"
        shutil.rmtree(copy)
    assert half_done >= KILLS // 2
