"""What was decided stands while something is not seen; what was seen meanwhile may raise it, nothing lowers it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
from ecs_exposure import models

from tests.sql_harness import DAY, SQL, day_of, records
from tests.topologies.vocabulary import Topology

INNER: dict[str, Any] = {
    "service": {"behind": [{"to": "web"}]},
    "groups": {"web": ["tcp 80 from group:lb"], "lb": ["tcp 443 from 10.0.0.0/8"]},
    "balancers": {"inner": {"internal": True, "groups": ["lb"]}},
}
NAMED = INNER | {"fronts": {"vpc_origin": {"to": "inner"}}}
PUBLIC: dict[str, Any] = {
    "service": {"subnets": ["public"], "public_ip": True, "ports": [5432]},
    "groups": {"web": ["tcp 5432 from 0.0.0.0/0"]},
}
PRIVATE: dict[str, Any] = {"service": {"ports": [5432]}, "groups": PUBLIC["groups"]}
BEHIND_A_FIREWALL = PUBLIC | {"network": {"routes": {"public": {"0.0.0.0/0": "vpce"}}}}
NO_ACL = PUBLIC | {"network": {"acls": {"public": "not seen"}}}


def nights(*cases: tuple[dict[str, Any], str | None]) -> list[dict[str, Any]]:
    """The service's exposure each night; the second of a pair is the dataset refused that night, never seen before."""
    before: duckdb.DuckDBPyConnection | None = None
    told = []
    for number, (case, refused) in enumerate(cases):
        topology = Topology(1, {"name": "a service", **case})
        rows = {name: found for name, found in topology.rows.items() if name != refused}
        unseen = {refused: "denied"} if refused else {}
        before = day_of(rows, day=DAY + timedelta(days=number), before=before, unseen=unseen)
        models.build(before, SQL)
        [row] = records(
            before,
            """select reachability, is_exposed, is_minimum, minimum_reason, severity, driver_rule,
            list_contains(traits, 'internet_reachable') as has_trait from exposures.exposure""",
        )
        told.append(row)
    return told


def test_never_decided_and_nothing_seen_on_the_internet_is_unknown_and_not_exposed() -> None:
    [row] = nights((INNER, "vpc_origin"))
    assert (row["reachability"], row["is_exposed"], row["is_minimum"]) == ("UNKNOWN", False, True)


def test_not_reachable_stands_while_the_fronts_are_not_seen() -> None:
    rows = nights((INNER, None), (INNER, "vpc_origin"))
    assert [row["reachability"] for row in rows] == ["NOT_REACHABLE", "NOT_REACHABLE"]
    assert "earlier day" in rows[1]["minimum_reason"]


def test_a_load_balancer_that_was_named_stays_named_while_nobody_looks() -> None:
    rows = nights((NAMED, None), (INNER, "vpc_origin"), (INNER, None))
    assert [row["reachability"] for row in rows] == ["VIA_LOAD_BALANCER", "VIA_LOAD_BALANCER", "NOT_REACHABLE"]
    assert [row["has_trait"] for row in rows] == [True, False, False]


def test_direct_stands_behind_a_firewall_that_nobody_sees_through() -> None:
    rows = nights((PUBLIC, None), (BEHIND_A_FIREWALL, None), (PRIVATE, None))
    assert [row["reachability"] for row in rows] == ["DIRECT", "DIRECT", "NOT_REACHABLE"]
    assert rows[1]["severity"] == rows[0]["severity"]


def test_an_address_seen_today_is_not_outweighed_by_yesterday() -> None:
    rows = nights((PRIVATE, None), (BEHIND_A_FIREWALL, None))
    assert [(row["reachability"], row["is_exposed"]) for row in rows] == [("NOT_REACHABLE", False), ("UNKNOWN", True)]


def test_a_refused_network_acl_lowers_no_severity_and_keeps_the_datastore_port() -> None:
    seen, hidden = nights((PUBLIC, None)), nights((NO_ACL, "network_acl_entry"))
    assert seen[0]["reachability"] == "DIRECT"
    assert (hidden[0]["reachability"], hidden[0]["is_exposed"], hidden[0]["is_minimum"]) == ("UNKNOWN", True, True)
    assert (hidden[0]["severity"], hidden[0]["driver_rule"]) == (seen[0]["severity"], seen[0]["driver_rule"])


def test_taking_the_trait_away_takes_every_path() -> None:
    topology = Topology(1, {"name": "a service", **PUBLIC})
    connection = day_of(topology.rows)
    models.build(connection, SQL)
    found = records(connection, "select without, reachability from exposures.reachability")
    left = {row["without"]: row["reachability"] for row in found}
    assert left[""] == "DIRECT"
    assert left["internet_reachable"] == left["public_ip"] == left["open_security_group"] == "NOT_REACHABLE"
