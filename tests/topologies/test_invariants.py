"""What must hold of every topology, whatever is added to it, taken from it, or hidden."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
from ecs_exposure import models
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.sql_harness import SQL, day_of, records
from tests.topologies.test_topologies import CASES, REACHABILITY, built
from tests.topologies.vocabulary import Row, Rows, Topology

pytestmark = pytest.mark.faults


LEVELS = ("NOT_REACHABLE", "UNKNOWN", "VIA_LOAD_BALANCER", "DIRECT")
BUILDS = settings(
    max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate)
)
# Everything a path is made of, except what other accounts hold (targets) and what lists the services themselves.
HIDDEN = [
    "task", "task_definition", "container_instance", "instance", "network_interface", "subnet", "route",
    "network_acl_entry", "block_public_access_exclusion",
    "security_group_rule", "prefix_list_entry", "load_balancer", "classic_load_balancer", "listener", "target_group",
    "target_group_attribute", "vpc_link", "vpc_origin", "accelerator_endpoint",
]  # fmt: skip
PARTS = st.sampled_from(["0.0.0.0/0", "::/0", "0.0.0.0/1", "10.0.0.0/16", "203.0.113.0/24"])
RULES = st.builds(
    lambda ports, source: f"{ports} from {source}",
    st.sampled_from(["all", "tcp 80", "tcp 1-65535", "udp 53", "tcp 8080"]),
    PARTS,
)


def again(change: Callable[[dict[str, Any]], None], first: int = 400) -> list[Topology]:
    """Every case once more, under numbers of their own, each changed."""
    made = []
    for number, topology in enumerate(CASES, first):
        case = copy.deepcopy(dict(topology.case))
        change(case)
        made.append(Topology(number, case))
    return made


def reached(topologies: list[Topology], hidden: str | None = None) -> list[Row]:
    """Reachability and so on of each, in order; `hidden` is a dataset that nobody may see."""
    if hidden:
        for topology in topologies:
            topology.case = {**topology.case, "denied": [*topology.case.get("denied", []), hidden]}
    rows = {row["resource_id"]: row for row in records(built(topologies), REACHABILITY)}
    return [rows[topology.resource_id] for topology in topologies]


@pytest.fixture(scope="module")
def as_is() -> list[Row]:
    return reached(CASES)


@BUILDS
@given(RULES, st.integers(0, 10**6))
def test_another_rule_never_makes_anything_less_reachable(rule: str, seed: int) -> None:
    chance = random.Random(seed)

    def allow(case: dict[str, Any]) -> None:
        groups = case.setdefault("groups", {"web": []})
        groups[chance.choice(sorted(groups))].append(rule)

    for before, after, topology in zip(reached(CASES), reached(again(allow)), CASES, strict=True):
        levels = [LEVELS.index(row["reachability"]) for row in (before, after)]
        assert levels[0] <= levels[1], (rule, topology.case["name"])


def test_without_a_route_to_a_gateway_nothing_is_direct() -> None:
    def cut(case: dict[str, Any]) -> None:
        routes = case.setdefault("network", {}).setdefault("routes", {})
        routes.setdefault("public", {"0.0.0.0/0": "igw"})
        for table in routes.values():
            table.update({destination: way.replace("igw", "nat") for destination, way in table.items()})

    for row, topology in zip(reached(again(cut)), CASES, strict=True):
        fronts = "fronts" in topology.case
        assert row["reachability"] in ("NOT_REACHABLE", "UNKNOWN") or fronts, topology.case["name"]
        assert row["reachability"] != "DIRECT"


@BUILDS
@given(st.integers(0, 10**6))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    shuffled = [Topology(topology.number, topology.case) for topology in CASES]
    for topology in shuffled:
        for rows in topology.rows.values():
            chance.shuffle(rows)
    chance.shuffle(shuffled)
    told = [
        records(built(topologies), "select * exclude (snapshot_date) from exposures.path order by all")
        for topologies in (CASES, shuffled)
    ]
    assert told[0] == told[1]


def test_a_shared_network_that_a_second_account_reports_too_is_one_network(as_is: list[Row]) -> None:
    twice = [Topology(topology.number, topology.case) for topology in CASES]
    for topology in twice:
        for dataset in ("subnet", "route", "network_acl_entry", "security_group", "security_group_rule"):
            shared = [row | {"account_id": "999900000000"} for row in topology.rows[dataset]]
            topology.rows[dataset] += shared
    assert [row["reachability"] for row in reached(twice)] == [row["reachability"] for row in as_is]


@pytest.mark.parametrize("dataset", HIDDEN)
def test_hiding_a_dataset_closes_nothing_that_was_open(as_is: list[Row], dataset: str) -> None:
    hidden = reached([Topology(topology.number, topology.case) for topology in CASES], dataset)
    for before, after, topology in zip(as_is, hidden, CASES, strict=True):
        # Whose addresses a load balancer elsewhere has registered, only that load balancer's own account tells.
        by_others = "task" in str(topology.case.get("target_groups")) and dataset != "task"
        if before["reachability"] != "NOT_REACHABLE" and not by_others:
            assert after["reachability"] != "NOT_REACHABLE", topology.case["name"]
        if dataset == "network_acl_entry" and before["reachability"] == "DIRECT":
            assert after["is_exposed"], "an address that was seen counts"


def test_a_thousand_task_sets_are_a_handful_of_paths() -> None:
    case = {
        "name": "sets", "service": {"subnets": ["public"], "public_ip": True, "running": 0},
        "groups": {"web": ["tcp 80 from 0.0.0.0/0"]}, "expect": "DIRECT",
    }  # fmt: skip
    topology = Topology(1, case)
    service = topology.rows["service"][0]
    rows: Rows = topology.rows
    rows["deployment"] = [
        {
            "account_id": topology.account, "resource_id": topology.resource_id, "deployment_id": f"set-{number}",
            "kind": "task_set", "status": "ACTIVE", "task_definition_arn": service["task_definition_arn"],
            "assign_public_ip": True, "subnet_ids": service["subnet_ids"],
            "security_group_ids": [*service["security_group_ids"], f"sg-{number}"],
        }
        for number in range(1000)
    ]  # fmt: skip
    connection = day_of(rows)
    models.build(connection, SQL)
    assert records(connection, "select reachability from exposures.exposure") == [{"reachability": "DIRECT"}]
    assert records(connection, "select count(*) as paths from exposures.path") == [{"paths": 1}]
