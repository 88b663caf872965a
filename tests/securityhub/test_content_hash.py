"""What makes a finding different enough to be sent again, and what never does."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from ecs_exposure.securityhub.content import content_hash, durable
from hypothesis import given
from hypothesis import strategies as st

from tests.securityhub.rows import row, trait, vulnerability

BEFORE = content_hash(row())


@pytest.mark.parametrize(
    "changes",
    [
        {"exploit_probability": 0.99, "highest_probability": 0.9, "score": 88.0},
        {"vulnerability_count": 38, "high_priority_vulnerability_count": 3},
        {"observed_date": date(2026, 11, 9), "snapshot_date": date(2026, 11, 9), "due_date": date(2026, 11, 20)},
        {"driver": "CVE-2026-2222", "title": "Another wording"},
        {"vulnerabilities": [vulnerability("CVE-2026-2222", 0.9), vulnerability("CVE-2026-1111", 0.1)]},
        {
            "trait_details": [
                *row()["trait_details"][:2],
                trait("vulnerability", "Vulnerability", [{"vulnerabilities": ["CVE-2026-2222"]}]),
            ]
        },
        {"unknown_traits": ["public_ip"], "is_minimum": True, "minimum_reason": "EC2 was not read", "is_carried": True},
        {"fix": row()["fix"] | {"description": "Update libssl", "removed": "libssl@sha256:aa", "score_after": 41.0}},
        {"account_name": None, "ou_path": None},
    ],
    ids=[
        "probabilities",
        "counts",
        "dates",
        "driver's turn",
        "EPSS order",
        "likeliest tonight",
        "tonight's blindness",
        "equal fix",
        "names",
    ],
)
def test_drift_is_no_change(changes: dict[str, Any]) -> None:
    assert content_hash(row(**changes)) == BEFORE


@pytest.mark.parametrize(
    "changes",
    [
        {"severity": "CRITICAL"},
        {"likelihood": "Very High"},
        {"impact": "High"},
        {"owner": "team-other"},
        {"trait_details": row()["trait_details"][:2]},
        {"trait_details": [*row()["trait_details"], trait("public_ip", evidence=[{"address": "1.2.3.4"}])]},
        {"durable_vulnerability_ids": ["CVE-2026-1111", "CVE-2026-3333"]},
        {"lowering_fixes": ["package openssl@sha256:aa LOW"]},
    ],
    ids=["severity", "likelihood", "impact", "owner", "trait gone", "trait new", "worst vulnerabilities", "best fix"],
)
def test_what_matters_is_a_change(changes: dict[str, Any]) -> None:
    assert content_hash(row(**changes)) != BEFORE


def _with_evidence(evidence: list[dict[str, Any]]) -> str:
    return content_hash(row(trait_details=[trait("open_security_group", evidence=evidence)]))


def test_evidence_counts_without_the_tasks_interfaces_and_addresses_in_it() -> None:
    lasting = {"group_id": "sg-1", "cidr": "0.0.0.0/0", "from_port": 22}
    first = [lasting | {"network_interface_id": "eni-1", "public_ip": "192.0.2.7", "task": "arn:aws:ecs:x:1:task/c/a"}]
    second = [
        lasting | {"network_interface_id": "eni-2", "public_ip": "192.0.2.8", "task": "arn:aws:ecs:x:1:task/c/b"},
        lasting | {"network_interface_id": "eni-3", "public_ip": "192.0.2.9", "task": "arn:aws:ecs:x:1:task/c/c"},
    ]
    assert _with_evidence(first) == _with_evidence(second)
    assert _with_evidence(first) != _with_evidence([lasting | {"cidr": "::/0"}])


def test_what_drifts_is_recognised_by_its_value_whatever_it_is_called() -> None:
    said = {
        "where": "eni-0a1b2c", "seen_on": "i-0123456789abcdef0", "by": "arn:aws:ecs:eu-west-1:1:task/main/0abc",
        "from": "203.0.113.9", "to": "2001:db8::1", "range": "0.0.0.0/0", "path": "/etc", "task_count": 4,
    }  # fmt: skip
    assert durable([said]) == [{"range": "0.0.0.0/0", "path": "/etc"}]


def test_where_a_task_was_placed_and_whether_control_policies_were_read_are_no_change() -> None:
    way = {"reachability": "DIRECT", "hops": ["internet", "interface subnet-a (task)"]}
    before = _with_evidence([way])
    assert _with_evidence([way | {"hops": ["internet", "interface subnet-b (task)"]}]) == before
    assert _with_evidence([way | {"reachability": "VIA_LOAD_BALANCER"}]) != before
    role = {"task_role": "arn:aws:iam::1:role/a", "service_control_policies": "taken into account"}
    before = _with_evidence([role])
    assert _with_evidence([role | {"service_control_policies": "not seen"}]) == before


def test_who_else_holds_a_secret_and_another_fingerprint_key_are_no_change() -> None:
    held = {"container": "web", "variable": "DB_PASSWORD", "fingerprint": "3fa2c9d1", "sharing_service_count": 2}
    before = _with_evidence([held])
    assert _with_evidence([held | {"fingerprint": "77aa01bc", "sharing_service_count": 5}]) == before
    assert _with_evidence([held | {"variable": "API_KEY"}]) != before


@given(st.permutations([{"a": 1}, {"a": 2}, {"b": ["x", "y"]}]))
def test_the_order_of_evidence_is_no_change(evidence: list[dict[str, Any]]) -> None:
    assert _with_evidence(evidence) == _with_evidence([{"a": 1}, {"a": 2}, {"b": ["y", "x"]}])
