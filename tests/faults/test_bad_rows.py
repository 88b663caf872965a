"""Collectors that yield what their tables do not declare: their rows are set aside, and the scan goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure import collectors
from ecs_exposure.collectors import Collector, Context
from ecs_exposure.lake import Lake
from ecs_exposure.scan import scan
from ecs_exposure.settings import load

from tests.faults.conftest import ALPHA, BETA, DAY, coverage, served

SECRET = "hunter2"


def wrong_port(context: Context) -> Iterator[tuple[str, dict[str, Any]]]:
    port = SECRET if context.target.account_id == BETA else 80
    kind = {"target_type": "instance", "protocol": "HTTP"}
    yield "target_group", context.row(target_group_arn="arn:tg", port=port, load_balancer_arns=[], **kind)


def twice_the_same(context: Context) -> Iterator[tuple[str, dict[str, Any]]]:
    for _ in range(2 if context.target.account_id == BETA else 1):
        yield (
            "subnet",
            context.row(subnet_id="subnet-1", vpc_id="vpc-1", internet_gateway_block_mode=None),
        )


def undeclared_column(context: Context) -> Iterator[tuple[str, dict[str, Any]]]:
    if context.target.account_id == BETA:
        yield "instance", context.row(instance_id="i-1", surprise=SECRET)


REPLACED = (
    Collector("wrong_type", "elbv2", ("target_group",), "region", wrong_port),
    Collector("duplicates", "ec2", ("subnet",), "region", twice_the_same),
    Collector("undeclared", "ec2", ("instance",), "region", undeclared_column),
)


@pytest.fixture(scope="module")
def lake(organization: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    stand_ins = {item.datasets: item for item in REPLACED}
    # In the place of ours: later collectors need their rows.
    played = tuple(stand_ins.pop(item.datasets, item) for item in collectors.COLLECTORS)
    assert not stand_ins, "each stands in for exactly one of ours"
    with (
        served(organization),
        pytest.MonkeyPatch.context() as patch,
        Lake.open(str(tmp_path_factory.mktemp("lake")), create=True) as opened,
    ):
        patch.setattr(collectors, "COLLECTORS", played)
        scan(load(lake=opened.location, rate_share=1.0), opened, DAY)
        yield opened


@pytest.mark.parametrize(
    ("dataset", "why"),
    [("target_group", "target_group.port: expected int"), ("subnet", "unique"), ("instance", "surprise")],
)
def test_rows_of_that_target_are_quarantined_and_its_coverage_is_invalid(lake: Lake, dataset: str, why: str) -> None:
    row = coverage(lake, DAY, BETA, dataset)
    assert (row["status"], row["file"]) == ("invalid", None)
    assert why in row["message"]
    assert len(list(Path(lake.location, "quarantine", dataset).rglob("*.parquet"))) == 1


@pytest.mark.parametrize("dataset", ["target_group", "subnet", "instance"])
def test_the_others_are_untouched_and_the_night_is_assessed(lake: Lake, dataset: str) -> None:
    assert coverage(lake, DAY, ALPHA, dataset)["status"] == "ok"
    assert coverage(lake, DAY, BETA, "service")["status"] == "ok"
    assert lake.days() == [DAY]


def test_a_value_that_did_not_fit_is_nowhere(lake: Lake) -> None:
    files = [path for path in Path(lake.location).rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    rows = lake.coverage(DAY).to_pylist()
    assert SECRET not in repr(rows)
