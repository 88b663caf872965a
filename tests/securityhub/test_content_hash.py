"""What makes a finding different enough to be sent again, and what never does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from ecs_exposure.evidence import durable, durable_evidence
from hypothesis import given
from hypothesis import strategies as st

from tests.securityhub.assessed import DAY, Assessed

Change = Callable[[Assessed], Any]


def _update(assignments: str, table: str = "exposures.exposure") -> Change:
    return lambda assessed: assessed.connection.execute(f"update {table} set {assignments}")


@pytest.fixture
def exposed(assessed: Assessed) -> Assessed:
    assessed.exposure()
    assessed.trait("open_security_group", [{"group_id": "sg-1", "cidr": "0.0.0.0/0"}])
    assessed.trait("vulnerability", [{"vulnerability_id": "CVE-2026-1111", "epss": 0.4}], category="Vulnerability")
    assessed.image()
    assessed.vulnerability("CVE-2026-1111", epss=0.4, probability=0.4)
    assessed.vulnerability("CVE-2026-2222", epss=0.1, probability=0.1)
    assessed.fix(1, "openssl@sha256:aa", "MEDIUM")
    return assessed


DRIFT: dict[str, Change] = {
    "probabilities": _update("exploit_probability = 0.99, highest_probability = 0.9, score = 88"),
    "counts": _update("vulnerability_count = 38, high_priority_vulnerability_count = 3"),
    "dates": _update(f"observed_date = '{DAY + timedelta(days=8)}', due_date = '{DAY + timedelta(days=9)}'"),
    "driver's turn": _update("driver = 'CVE-2026-2222', title = 'Another wording'"),
    "EPSS order": _update("epss = 1 - epss, probability = 1 - probability", "resources.found"),
    "likeliest tonight": _update(
        "evidence = '[{\"vulnerability_id\": \"CVE-2026-2222\"}]' where trait = 'vulnerability'", 'traits."all"'
    ),
    "tonight's blindness": lambda assessed: assessed.trait("public_ip", state="unknown"),
    "at least": _update("is_minimum = true, minimum_reason = 'EC2 was not read', is_carried = true"),
    "wording of the fix": _update("description = 'Update libssl', score_after = 41", "exposures.fix"),
    "names": _update("account_name = 'another', ou_path = '/Elsewhere'"),
    "the same on another container": lambda assessed: assessed.trait(
        "vulnerability", [{"vulnerability_id": "CVE-2026-2222"}], state="unknown"
    ),
}


@pytest.mark.parametrize("change", DRIFT.values(), ids=DRIFT.keys())
def test_drift_is_no_change(exposed: Assessed, change: Change) -> None:
    before = exposed.content_hash()
    change(exposed)
    assert exposed.content_hash() == before


MATTERS: dict[str, Change] = {
    "severity": _update("severity = 'CRITICAL'"),
    "likelihood": _update("likelihood = 'Very High'"),
    "impact": _update("impact = 'High'"),
    "owner": _update("owner = 'team-other'"),
    "trait gone": lambda assessed: assessed.connection.execute(
        """delete from traits."all" where trait = 'open_security_group'"""
    ),
    "trait new": lambda assessed: assessed.trait("public_ip", [{"address": "192.0.2.4"}]),
    "evidence": _update("evidence = '[{\"group_id\": \"sg-2\"}]' where trait = 'open_security_group'", 'traits."all"'),
    "worst vulnerabilities": lambda assessed: assessed.vulnerability("CVE-2026-3333"),
    "best fix": _update("severity_after = 'LOW'", "exposures.fix"),
}


@pytest.mark.parametrize("change", MATTERS.values(), ids=MATTERS.keys())
def test_what_matters_is_a_change(exposed: Assessed, change: Change) -> None:
    before = exposed.content_hash()
    change(exposed)
    assert exposed.content_hash() != before


def _lasting(*evidence: dict[str, Any]) -> Any:
    return durable(list(evidence))


def test_evidence_counts_without_the_tasks_interfaces_and_addresses_in_it() -> None:
    lasting = {"group_id": "sg-1", "cidr": "0.0.0.0/0", "from_port": 22}
    first = [lasting | {"network_interface_id": "eni-1", "public_ip": "192.0.2.7", "task": "arn:aws:ecs:x:1:task/c/a"}]
    second = [
        lasting | {"network_interface_id": "eni-2", "public_ip": "192.0.2.8", "task": "arn:aws:ecs:x:1:task/c/b"},
        lasting | {"network_interface_id": "eni-3", "public_ip": "192.0.2.9", "task": "arn:aws:ecs:x:1:task/c/c"},
    ]
    assert _lasting(*first) == _lasting(*second)
    assert _lasting(*first) != _lasting(lasting | {"cidr": "::/0"})


def test_what_drifts_is_recognised_by_its_value_whatever_it_is_called() -> None:
    said = {
        "where": "eni-0a1b2c", "seen_on": "i-0123456789abcdef0", "by": "arn:aws:ecs:eu-west-1:1:task/main/0abc",
        "from": "203.0.113.9", "to": "2001:db8::1", "range": "0.0.0.0/0", "path": "/etc", "task_count": 4,
    }  # fmt: skip
    assert durable([said]) == [{"range": "0.0.0.0/0", "path": "/etc"}]


def test_where_a_task_was_placed_and_whether_control_policies_were_read_are_no_change() -> None:
    way = {"reachability": "DIRECT", "hops": ["internet", "interface subnet-a (task)"]}
    assert _lasting(way | {"hops": ["internet", "interface subnet-b (task)"]}) == _lasting(way)
    assert _lasting(way | {"reachability": "VIA_LOAD_BALANCER"}) != _lasting(way)
    role = {"task_role": "arn:aws:iam::1:role/a", "service_control_policies": "taken into account"}
    assert _lasting(role | {"service_control_policies": "not seen"}) == _lasting(role)


def test_who_else_holds_a_secret_and_another_fingerprint_key_are_no_change() -> None:
    held = {"container": "web", "variable": "DB_PASSWORD", "fingerprint": "3fa2c9d1", "sharing_service_count": 2}
    assert _lasting(held | {"fingerprint": "77aa01bc", "sharing_service_count": 5}) == _lasting(held)
    assert _lasting(held | {"variable": "API_KEY"}) != _lasting(held)


@given(st.permutations([{"a": 1}, {"a": 2}, {"b": ["x", "y"]}]))
def test_the_order_of_evidence_is_no_change(evidence: list[dict[str, Any]]) -> None:
    assert _lasting(*evidence) == _lasting({"a": 1}, {"a": 2}, {"b": ["y", "x"]})


def test_evidence_with_half_a_character_still_has_a_lasting_form() -> None:
    assert durable_evidence('[{"name": "\\ud800"}]') == '[{"name":"\\ud800"}]'
