"""Fixes, and what one day makes of the day before: changes with their cause, carry-over, dates."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
from ecs_exposure import models

from tests.exposures.estate import ADMINISTRATOR, DIGEST, REPOSITORY, SERVICE, cve, service
from tests.sql_harness import DAY, SQL, assess, day_of, records

KEV = "CVE-2024-0001"
NEXT = DAY + timedelta(days=1)


def exposure(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    [row] = records(connection, "select * from exposures.exposure")
    return row


def changes(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute("select change, cause, severity_before, severity_after from exposures.change").fetchall()


# Fixes


def test_taking_the_public_address_away_really_changes_reachability() -> None:
    connection = assess(service(public=True, cves=[cve(epss=0.5)]))
    fixes = {
        row["removed"]: row for row in records(connection, "select * from exposures.fix where removed_kind = 'trait'")
    }
    # Exposed: 3 days (Very High) and Low impact is HIGH; not exposed: 60 days (Moderate) is LOW.
    assert fixes["public_ip"]["severity_before"] == "HIGH"
    assert fixes["public_ip"]["severity_after"] == fixes["open_security_group"]["severity_after"] == "LOW"
    assert fixes["iam_role_assumable"]["severity_after"] == "HIGH"


def test_a_load_balancers_path_survives_the_loss_of_the_public_address() -> None:
    connection = assess(service(public=True, balanced=True, cves=[cve(epss=0.5)]))
    [fix] = records(connection, "select severity_after from exposures.fix where removed = 'public_ip'")
    assert fix["severity_after"] == "HIGH"
    paths = connection.execute("select kind, needs_traits from exposures.path order by kind").fetchall()
    assert paths == [("DIRECT", ["open_security_group", "public_ip"]), ("VIA_LOAD_BALANCER", [])]


def test_removing_the_role_removes_its_administration() -> None:
    connection = assess(service(public=True, statements=ADMINISTRATOR))
    fixes = {row["removed"]: row["severity_after"] for row in records(connection, "select * from exposures.fix")}
    assert fixes["administrative_access_policy"] == fixes["iam_role_assumable"] == "LOW"
    assert fixes["public_ip"] == "MEDIUM"


def test_packages_of_one_source_are_fixed_together_and_nothing_less_helps() -> None:
    both = [cve(epss=0.5, package="libssl3"), cve(epss=0.5, package="openssl")]
    connection = assess(service(public=True, cves=[*both, cve("CVE-2024-0002", vector="NHNRLLN", package="libssl3")]))
    fixes = {
        row["removed"]: row for row in records(connection, "select * from exposures.fix where removed_kind = 'package'")
    }
    assert set(fixes) == {f"libssl3@{DIGEST}", f"libssl3+openssl@{DIGEST}"}
    assert fixes[f"libssl3@{DIGEST}"]["severity_after"] == "HIGH"
    assert fixes[f"libssl3+openssl@{DIGEST}"]["severity_after"] == "LOW"
    assert fixes[f"libssl3+openssl@{DIGEST}"]["description"] == "Upgrade libssl3, openssl to 1.1 in image app"


def test_as_is_is_the_exposure_and_no_single_removal_raises_it() -> None:
    connection = assess(
        service(public=True, balanced=True, statements=ADMINISTRATOR, cves=[cve(epss=0.3), cve("CVE-2", epss=0.9)])
    )
    row = exposure(connection)
    [as_is] = records(connection, "select severity, score from exposures.scenario where removed_kind = 'as_is'")
    assert as_is == {"severity": row["severity"], "score": row["score"]}
    assert (
        records(connection, "select * from exposures.scenario where score > (select score from exposures.exposure)")
        == []
    )


# Changes


def test_the_first_day_has_no_changes_and_an_unchanged_night_none_either() -> None:
    first = assess(service(public=True, cves=[cve(epss=0.5)]))
    assert changes(first) == []
    second = assess(service(public=True, cves=[cve(epss=0.4)]), day=NEXT, before=first)
    assert changes(second) == []


def test_a_service_gone_is_resolved_only_where_services_were_seen() -> None:
    first = assess(service(public=True))
    gone = service(public=True) | {"service": [], "task": [], "task_container": []}
    assert changes(assess(gone, day=NEXT, before=first)) == [("resolved", "estate", "LOW", None)]
    blind = assess(gone, day=NEXT, before=first, unseen={"service": "denied"})
    assert changes(blind) == []
    assert blind.execute("select opened_date from exposures.lifecycle").fetchall() == [(DAY,)]


def test_what_only_new_rules_explain_is_not_called_a_change_of_the_estate() -> None:
    estate = service(public=True)
    first = assess(estate)
    connection = day_of(estate, day=NEXT, before=first, rules="new")
    # Yesterday's rules gave MEDIUM; yesterday's snapshot under today's gives what today has.
    connection.execute("update previous.exposure set severity = 'MEDIUM'")
    models.build(connection, SQL)
    assert changes(connection) == [("improved", "rules", "MEDIUM", "LOW")]


# Carry-over


def test_an_image_no_longer_scanned_keeps_its_vulnerabilities() -> None:
    first = assess(service(public=True, cves=[cve(epss=0.5)]))
    expired = service(public=True)
    expired["image_coverage"][0] |= {"scan_status": "INACTIVE", "scan_reason": "SCAN_ELIGIBILITY_EXPIRED"}
    connection = assess(expired, day=NEXT, before=first)
    row = exposure(connection)
    assert (row["severity"], row["is_carried"], row["is_minimum"]) == ("HIGH", True, True)
    assert {"high_priority_vulnerability", "image_not_scanned"} <= set(row["traits"])
    assert connection.execute("select is_carried, observed_date from resources.image_vulnerability").fetchall() == [
        (True, DAY)
    ]
    # And again on the day after, from yesterday's carried rows.
    third = assess(expired, day=NEXT + timedelta(days=1), before=connection)
    assert exposure(third)["severity"] == "HIGH"


def test_a_vulnerability_fixed_in_a_scanned_image_is_gone() -> None:
    first = assess(service(public=True, cves=[cve(epss=0.5)]))
    assert exposure(assess(service(public=True), day=NEXT, before=first))["severity"] == "LOW"


def test_nothing_is_called_lower_while_something_was_not_seen() -> None:
    first = assess(service(public=True, cves=[cve(epss=0.5)]))
    closed = service(cves=[cve(epss=0.5, observed_date=DAY)])
    blind = assess(closed, day=NEXT, before=first, unseen={"image_finding": ("denied", DAY)})
    row = exposure(blind)
    assert (row["severity"], row["is_carried"], row["observed_date"]) == ("HIGH", True, DAY)
    assert "not completely seen today" in row["minimum_reason"]
    assert changes(blind) == [("changed", "estate", "HIGH", "HIGH")]  # the traits seen to be gone are gone
    assert records(blind, "select * from exposures.fix where severity_after <> severity_before") == []
    # Seen again, the lower severity is told.
    seen = assess(service(cves=[cve(epss=0.5)]), day=NEXT + timedelta(days=1), before=blind)
    assert changes(seen) == [("improved", "estate", "HIGH", "LOW")]


def test_what_is_seen_may_raise_a_severity_while_something_else_is_not() -> None:
    first = assess(service(cves=[cve(epss=0.5)]))
    opened = service(public=True, cves=[cve(epss=0.5, observed_date=DAY)])
    assert (
        exposure(assess(opened, day=NEXT, before=first, unseen={"image_finding": ("denied", DAY)}))["severity"]
        == "HIGH"
    )


def test_a_network_never_seen_counts_as_exposed_when_what_was_seen_says_so() -> None:
    unseen = dict.fromkeys(("security_group", "security_group_rule", "network_interface", "subnet", "route"), "denied")
    hidden = service(public=True, cves=[cve(epss=0.5)])
    for dataset in unseen:
        hidden[dataset] = []
    row = exposure(assess(hidden, unseen=unseen))
    assert (row["reachability"], row["is_exposed"], row["severity"], row["is_minimum"]) == (
        "UNKNOWN",
        True,
        "HIGH",
        True,
    )
    assert row["unknown_traits"] == ["internet_reachable", "open_security_group"]
    private = {**hidden, "service": [hidden["service"][0] | {"assign_public_ip": False}]}
    row = exposure(assess(private, unseen=unseen))
    assert (row["reachability"], row["is_exposed"], row["severity"]) == ("UNKNOWN", False, "LOW")


def test_a_dormant_service_keeps_its_images_for_seven_days() -> None:
    days = [assess(service(cves=[cve()], kev=[KEV]))]
    asleep = service(cves=[cve()], kev=[KEV], desired=0, running=False)
    for offset in range(1, 9):
        days.append(assess(asleep, day=DAY + timedelta(days=offset), before=days[-1]))
    assert "high_priority_vulnerability" in exposure(days[7])["traits"]
    assert exposure(days[7])["is_dormant"]
    assert "high_priority_vulnerability" not in exposure(days[8])["traits"]


def test_a_service_with_nothing_running_is_judged_by_the_tag_it_would_start() -> None:
    estate = service(cves=[cve()], kev=[KEV], running=False)
    estate["image"] = [{"repository_name": "app", "image_digest": DIGEST, "image_tags": ["1"]}]
    connection = assess(estate)
    assert connection.execute(
        "select image, image_digest, is_running, resource_id from resources.service_image"
    ).fetchall() == [(f"{REPOSITORY}:1", DIGEST, False, SERVICE)]
    assert "high_priority_vulnerability" in exposure(connection)["traits"]
