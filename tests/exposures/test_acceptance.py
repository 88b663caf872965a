"""Accepted risks: an exposure is accepted while every trait that its severity rests on is, and returns by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest
from ecs_exposure import models

from tests.exposures.estate import ADMINISTRATOR, READS_ALL_DATA, SERVICE, cve, merged, service
from tests.sql_harness import ACCOUNT, DAY, SQL, day_of, insert, records

Row = dict[str, Any]
NEXT = DAY + timedelta(days=1)
OPEN_TO_ALL = ("internet_reachable", "open_security_group", "public_ip")
"""What the severity of a public service with no other weakness rests on."""


def risk(trait: str = "*", **changes: Any) -> Row:
    return {
        "account": ACCOUNT,
        "service": "main/web",
        "trait": trait,
        "reason": f"{trait} is meant",
        "owner": "team-a",
        "accepted_date": DAY - timedelta(days=10),
        "expiry_date": DAY + timedelta(days=10),
    } | changes


def assessed(snapshot: Mapping[str, Any], risks: Iterable[Row] = (), **options: Any) -> duckdb.DuckDBPyConnection:
    connection = day_of(snapshot, **options)
    insert(connection, "run.accepted_risk", risks)
    models.build(connection, SQL)
    return connection


def accepted(connection: duckdb.DuckDBPyConnection, resource_id: str = SERVICE) -> tuple[date | None, str | None]:
    [(until, owner)] = connection.execute(
        "select accepted_until, accepted_by from exposures.exposure where resource_id = ?", [resource_id]
    ).fetchall()
    return until, owner


def severity_traits(snapshot: Mapping[str, Any]) -> list[str]:
    with assessed(snapshot) as connection:
        [row] = records(connection, "select severity_traits, accepted_traits from exposures.exposure")
    assert row["accepted_traits"] == []
    return list(row["severity_traits"])


def entries(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[Any, ...]]:
    return {
        row["trait"]: (row["state"], row["services"], row["accepted_exposures"], row["last_matched_date"])
        for row in records(connection, "select * from exposures.accepted_risk")
    }


# Which traits a severity rests on


PUBLIC = service(public=True)
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an open service rests on the way to it": (PUBLIC, list(OPEN_TO_ALL)),
    "its own weaknesses at low impact drive nothing": (
        service(container={"user": None, "is_root_filesystem_read_only": False}),
        [],
    ),
    "an administrator's role raises the impact and drives": (
        service(statements=ADMINISTRATOR, container={"user": None}),
        ["administrative_access_policy", "container_runs_as_root"],
    ),
    "a path of the role raises the impact and drives nothing": (
        service(public=True, statements=READS_ALL_DATA),
        sorted([*OPEN_TO_ALL, "has_single_hop_data_access_path"]),
    ),
    "a likely vulnerability is the trait of high priority alone": (
        service(balanced=True, cves=[cve(epss=0.5), cve("CVE-2", epss=0.5, package="linux-libc-dev")]),
        ["high_priority_vulnerability", "internet_reachable"],
    ),
    "another that drives too is the other trait": (
        service(public=True, cves=[cve(epss=0.5), cve("CVE-2", vector="NHHRHHN", epss=0.3, package="zlib")]),
        sorted([*OPEN_TO_ALL, "high_priority_vulnerability", "vulnerability"]),
    ),
    "one that costs availability alone counts by itself": (
        service(balanced=True, cves=[cve(vector="NLNNNNH", epss=0.5)]),
        ["high_priority_vulnerability", "internet_reachable"],
    ),
    "a socket of the host is a reason of two traits": (
        service(launch_type="EC2", volumes={"sock": "/var/run/docker.sock"}),
        ["container_runtime_socket_mounted", "root_filesystem_access"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_traits_a_severity_rests_on(case: str) -> None:
    snapshot, expected = CASES[case]
    assert severity_traits(snapshot) == expected


def test_what_no_trait_takes_away_is_accepted_only_with_everything() -> None:
    unreadable = merged(service(public=True))
    unreadable["service"][0]["task_definition_arn"] = "td:gone"
    with assessed(unreadable, [risk(trait) for trait in OPEN_TO_ALL]) as connection:
        [row] = records(connection, "select severity_traits, accepted_until from exposures.exposure")
        assert "*" in row["severity_traits"]
        assert row["accepted_until"] is None
    with assessed(unreadable, [risk("*")]) as connection:
        assert accepted(connection) == (DAY + timedelta(days=10), "team-a")


# Acceptance


def test_it_takes_every_trait_and_the_first_that_ends_says_until_when() -> None:
    first, second, third = OPEN_TO_ALL
    ends = {first: NEXT, second: DAY + timedelta(days=5), third: DAY + timedelta(days=9)}
    risks = [risk(trait, expiry_date=end, owner=f"owner of {trait}") for trait, end in ends.items()]
    with assessed(PUBLIC, risks[1:]) as connection:
        [row] = records(connection, "select accepted_until, accepted_traits from exposures.exposure")
        assert row == {"accepted_until": None, "accepted_traits": [second, third]}
    with assessed(PUBLIC, risks) as connection:
        assert accepted(connection) == (NEXT, f"owner of {first}")
    longer = risk(first, service="*", expiry_date=DAY + timedelta(days=30), owner="team-b")
    with assessed(PUBLIC, [*risks, longer]) as connection:
        assert accepted(connection) == (ends[second], f"owner of {second}")


def test_accepting_changes_neither_severity_nor_score_and_the_finding_stays() -> None:
    told = "severity, likelihood, impact, driver, score, due_date, title, traits"
    with assessed(PUBLIC) as plain, assessed(PUBLIC, [risk("*")]) as connection:
        for select in (
            f"select {told} from exposures.exposure",
            "select * exclude (content_hash) from findings.finding",
        ):
            assert records(connection, select) == records(plain, select) != []
        hashes = [records(made, "select content_hash from findings.finding") for made in (connection, plain)]
    assert hashes[0] != hashes[1]


def test_a_public_address_is_accepted_as_such_and_not_with_what_it_lays_open() -> None:
    """Without it the service would be nobody's business; the vulnerability that came after it is all the same new."""
    risks = [risk(trait) for trait in OPEN_TO_ALL]
    vulnerable = service(public=True, cves=[cve(epss=0.5)])
    with assessed(vulnerable, risks) as connection:
        assert accepted(connection) == (None, None)
        [fix] = records(connection, "select severity_after from exposures.fix where removed = 'public_ip'")
    assert fix["severity_after"] == "LOW"


SCOPES = [
    ({"account": "*", "service": "*"}, 2),
    ({"account": "1111*"}, 1),
    ({"account": "2*"}, 0),
    ({"account": "222222222222"}, 0),
    ({"service": "web"}, 1),
    ({"service": "w?b"}, 1),
    ({"service": "web*"}, 2),
    ({"service": "*-two"}, 1),
    ({"service": "main"}, 0),
    ({"service": "*/web"}, 1),
    ({"service": "ma*/*"}, 2),
    ({"service": "other/web"}, 0),
    ({"service": "WEB"}, 0),
    ({"service": "eb"}, 0),
]


@pytest.fixture(scope="module")
def named() -> Iterator[dict[str, int]]:
    """How many of web and web-two each scope names, by the reason of its entry."""
    risks = [risk("*", **scope, reason=str(number)) for number, (scope, _) in enumerate(SCOPES)]
    with assessed(merged(PUBLIC, service(public=True, suffix="-two")), risks) as connection:
        yield dict(connection.execute("select reason, services from exposures.accepted_risk").fetchall())


@pytest.mark.parametrize("number", range(len(SCOPES)))
def test_what_an_entry_names(named: dict[str, int], number: int) -> None:
    scope, services = SCOPES[number]
    assert named[str(number)] == services, scope


@pytest.mark.parametrize(
    ("begin", "end", "state"),
    [
        (DAY, NEXT, "in_force"),
        (NEXT, NEXT + timedelta(days=1), "not_yet"),
        (DAY - timedelta(days=1), DAY, "expired"),
    ],
)
def test_the_first_day_counts_and_the_day_of_expiry_does_not(begin: date, end: date, state: str) -> None:
    with assessed(PUBLIC, [risk("*", accepted_date=begin, expiry_date=end)]) as connection:
        assert accepted(connection)[0] == (end if state == "in_force" else None)
        assert entries(connection)["*"] == (state, 1, int(state == "in_force"), DAY)


# Over days


def test_an_exposure_returns_by_itself_the_day_its_acceptance_ends() -> None:
    risks = [risk("*", expiry_date=NEXT)]
    with assessed(PUBLIC, risks) as first, assessed(PUBLIC, risks, day=NEXT, before=first) as second:
        assert accepted(first) == (NEXT, "team-a")
        assert accepted(second) == (None, None)
        hashes = [made.execute("select content_hash from findings.finding").fetchall() for made in (first, second)]
        assert hashes[0] != hashes[1], "so it is told again"
        assert records(second, "select * from exposures.change") == [], "nothing of the estate changed"


def test_a_new_trait_that_the_severity_rests_on_ends_it_and_another_does_not() -> None:
    risks = [risk(trait) for trait in OPEN_TO_ALL]
    worse = {
        "a role": service(public=True, statements=READS_ALL_DATA),
        "a vulnerability": service(public=True, cves=[cve(epss=0.5)]),
        "a weakness": service(public=True, pid_mode="host", launch_type="EC2"),
        "a credential": service(public=True, credentials=[{"source": "environment"}]),
    }
    with assessed(PUBLIC, risks) as first:
        assert accepted(first)[0]
        for what, snapshot in worse.items():
            with assessed(snapshot, risks, day=NEXT, before=first) as second:
                assert accepted(second) == (None, None), what
        harmless = service(public=True, container={"user": None, "is_root_filesystem_read_only": False})
        with assessed(harmless, risks, day=NEXT, before=first) as second:
            [row] = records(second, "select traits, accepted_until from exposures.exposure")
            assert "container_runs_as_root" in row["traits"]
            assert row["accepted_until"] is not None


def test_a_service_that_becomes_reachable_is_no_longer_accepted() -> None:
    private, risks = service(statements=ADMINISTRATOR), [risk("administrative_access_policy")]
    with assessed(private, risks) as first:
        assert accepted(first)[0]
        with assessed(service(statements=ADMINISTRATOR, balanced=True), risks, day=NEXT, before=first) as second:
            assert accepted(second) == (None, None)


def test_not_seeing_a_service_does_not_make_its_exposure_accepted() -> None:
    """The role's administration is not accepted; on the next day the role is not seen."""
    risks = [risk(trait) for trait in OPEN_TO_ALL]
    snapshot = service(public=True, statements=ADMINISTRATOR)
    unseen = {**snapshot, "role": [], "role_statement": []}
    with assessed(snapshot, risks) as first:
        blind = {"role": ("denied", DAY), "role_statement": ("denied", DAY)}
        with assessed(unseen, risks, day=NEXT, before=first, unseen=blind) as second:
            [row] = records(second, "select severity, severity_traits, accepted_until from exposures.exposure")
    assert row["severity"] == "HIGH"
    assert "administrative_access_policy" in row["severity_traits"]
    assert row["accepted_until"] is None


def test_entries_that_never_matched_are_told_apart_from_those_that_no_longer_do() -> None:
    risks = [risk("public_ip"), risk("host_network_mode"), risk("*", service="nobody")]
    with assessed(PUBLIC, risks) as first, assessed(service(), risks, day=NEXT, before=first) as second:
        assert entries(first) == {
            "public_ip": ("in_force", 1, 0, DAY),
            "host_network_mode": ("in_force", 0, 0, None),
            "*": ("in_force", 0, 0, None),
        }
        assert entries(second)["public_ip"] == ("in_force", 0, 0, DAY)


def test_below_low_there_is_nothing_to_accept() -> None:
    with assessed(service(container={"user": None}), [risk("*")]) as connection:
        [row] = records(connection, "select severity, accepted_until from exposures.exposure")
    assert row == {"severity": "INFORMATIONAL", "accepted_until": None}
