"""Reachability of hand-written topologies: what AWS's documentation says the internet can reach, not what the SQL says.

All of them are accounts of one organisation and assessed at once: none changes another.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import duckdb
import pytest
import yaml
from ecs_exposure import models

from tests.sql_harness import SQL, day_of, records
from tests.topologies.vocabulary import Row, Rows, Topology, hop_texts, missing_in_order

FOLDER = Path(__file__).parent
CASES = [
    Topology(number, case)
    for number, case in enumerate(
        (case for path in sorted(FOLDER.glob("*.yaml")) for case in yaml.safe_load(path.read_text(encoding="utf-8"))), 1
    )
]

REACHABILITY = """select * from exposures.service_situation
    join exposures.reachability using (situation_id) where without = ''"""


def built(topologies: list[Topology], coverage: str | None = None) -> duckdb.DuckDBPyConnection:
    """All assessed at once; `coverage` is a statement that changes what was seen of them."""
    snapshot: Rows = defaultdict(list)
    for topology in topologies:
        for dataset, rows in topology.rows.items():
            if dataset not in topology.case.get("denied", []):
                snapshot[dataset] += rows
    connection = day_of(snapshot)
    for topology in topologies:
        connection.execute(
            """update snapshot.coverage set status = 'denied', observed_date = null
            where account_id = ? and list_contains(?, dataset)""",
            [topology.account, topology.case.get("denied", [])],
        )
    if coverage:
        connection.execute(coverage)
    models.build(connection, SQL)
    return connection


@pytest.fixture(scope="module")
def told() -> dict[str, Row]:
    """What is said of each case's service: reachability, exposed or not, its paths, the trait's evidence."""
    connection = built(CASES)
    services: dict[str, Row] = {
        row["resource_id"]: {**row, "paths": [], "trait": None} for row in records(connection, REACHABILITY)
    }
    for path in records(connection, "select * from exposures.path"):
        hops = hop_texts(json.loads(path["hops"]))
        services[path["resource_id"]]["paths"].append({**path, "texts": hops})
    for row in records(connection, "select * from exposures.trait_hit where trait = 'internet_reachable'"):
        services[row["resource_id"]]["trait"] = row
    return services


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    names = [topology.case["name"] for topology in CASES]
    assert len(names) == len(set(names)) >= 80


@pytest.mark.parametrize("topology", CASES, ids=lambda topology: topology.case["name"].replace(" ", "-"))
def test_topology(topology: Topology, told: dict[str, Row]) -> None:
    case, service = topology.case, told[topology.resource_id]
    assert service["reachability"] == case["expect"], service["paths"]
    is_open = case["expect"] in ("DIRECT", "VIA_LOAD_BALANCER")
    if case["expect"] != "UNKNOWN" or "exposed" in case:
        assert service["is_exposed"] == case.get("exposed", is_open)
    told_open = [path for path in service["paths"] if not path["unseen"]]
    kinds = {path["kind"] for path in told_open}
    assert (case["expect"] in kinds) == is_open
    state = service["trait"]["state"] if service["trait"] else None
    assert (state == "hit") == is_open
    if is_open:
        [evidence] = json.loads(service["trait"]["evidence"])
        assert len(evidence["hops"]) == min(len(path["texts"]) for path in told_open), "the shortest is the evidence"
        [path, *_] = [path for path in told_open if path["kind"] == case["expect"]]
        assert list(missing_in_order(case.get("through", []), path["texts"])) == [], path["texts"]
    if "unseen" in case:
        assert any(case["unseen"] in what for path in service["paths"] for what in path["unseen"]), service["paths"]


def test_what_is_not_seen_is_told_by_coverage_and_never_read_as_closed(told: dict[str, Row]) -> None:
    blind = [topology for topology in CASES if topology.case["expect"] == "UNKNOWN"]
    assert len(blind) >= 10
    for topology in blind:
        assert not any(not path["unseen"] for path in told[topology.resource_id]["paths"])


@pytest.mark.parametrize(
    "coverage",
    [
        "set status = 'denied', observed_date = observed_date - 1 where status = 'ok'",
        """set status = 'not_enabled', observed_date = null
        where status = 'ok' and dataset in ('vpc_origin', 'vpc_link', 'accelerator_endpoint')""",
    ],
    ids=["seen the day before and refused today", "fronts that were never switched on"],
)
def test_what_is_in_force_counts_as_seen(told: dict[str, Row], coverage: str) -> None:
    for row in records(built(CASES, f"update snapshot.coverage {coverage}"), REACHABILITY):
        before = told[row["resource_id"]]
        assert (row["reachability"], row["is_exposed"]) == (before["reachability"], before["is_exposed"])


def test_the_folder_explains_every_word() -> None:
    explained = (FOLDER / "README.md").read_text(encoding="utf-8")
    for topology in CASES:
        for key in topology.case:
            assert f"`{key}" in explained, key
