"""Policy documents in every shape IAM accepts, and in those it does not: unreadable is never "no permissions"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ecs_exposure.collectors.iam import statements, trust_statements
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from hypothesis import given
from hypothesis import strategies as st


def test_strings_objects_case_and_conditions_are_normalised() -> None:
    document = {
        "Statement": {"effect": "Allow", "Action": "S3:Get*", "NotResource": "arn:x", "Condition": {"b": 1, "a": 2}}
    }
    expected = {
        "effect": "Allow",
        "actions": ["s3:get*"],
        "not_actions": None,
        "resources": None,
        "not_resources": ["arn:x"],
        "condition": '{"a": 2, "b": 1}',
        "sid": None,
    }
    assert statements(document) == [expected]
    assert statements(json.dumps(document)) == [expected]


@pytest.mark.parametrize(
    "document",
    [
        None,
        "{not json",
        [],
        {},
        {"Statement": "x"},
        {"Statement": [{"Effect": "Allow", "Action": "*"}]},
        {"Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]},
        {"Statement": [{"Effect": "Deny", "Action": 7, "Resource": "*"}]},
        {"Statement": [7]},
    ],
)
def test_what_cannot_be_read_is_one_allow_without_any_pattern(document: object) -> None:
    (row,) = statements(document)
    assert row["malformed"] and row["effect"] == "Allow" and "malformed" in row["condition"]
    assert [row[name] for name in ("actions", "not_actions", "resources", "not_resources")] == [None] * 4


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "malformed"}


_TEXT = st.text(st.characters(), max_size=9) | st.sampled_from(["Allow", "Deny", "*", "\ud800", "s3:*"])
_JSON = st.recursive(
    st.none() | st.integers() | _TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Statement", "Effect", "Action", "NotAction", "Resource"]), inner, max_size=5
        )
    ),
)


@given(_JSON)
def test_every_statement_row_is_readable_or_says_that_it_is_not(document: Any) -> None:
    SNAPSHOTS["role_statement"].to_arrow(_storable(row) for row in statements(document))
    for row in statements(document):
        is_marked = bool(row.get("malformed"))
        assert is_marked == (row["actions"] is None and row["not_actions"] is None)
        assert row["effect"] in ("Allow", "Deny")


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("read", [statements, trust_statements])
@pytest.mark.parametrize("document", ["[" * 100_000, '{"Statement":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_a_document_too_deep_to_read_is_unreadable_and_stops_nothing(read: Any, document: str) -> None:
    (row,) = read(document)
    assert row["effect"] == "Allow" and row["actions"] is None and not row.get("principals")


def test_a_condition_too_deep_to_write_is_still_a_condition() -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": _nested(100_000)}
    assert statements({"Statement": statement})[0]["condition"] == '{"malformed": "nested too deeply"}'
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*", "Condition": _nested(100_000)}
    assert trust_statements({"Statement": trust})[0]["condition"] == '{"malformed": "nested too deeply"}'


def test_a_trust_policy_names_who_and_what() -> None:
    document = {
        "Statement": [
            {"Effect": "Allow", "Action": "STS:AssumeRole", "Principal": {"AWS": ["b", "a"], "Service": "ec2"}},
            {"Effect": "deny", "Action": ["sts:*"], "Principal": "*", "Condition": {"x": 1}},
            {"Effect": "Allow", "Action": "sts:AssumeRole", "NotPrincipal": {"AWS": "a"}},
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": 7}},
        ]
    }  # fmt: skip
    found = [(row["effect"], row["actions"], row["principals"], row["condition"]) for row in trust_statements(document)]
    assert found == [
        ("Allow", ["sts:assumerole"], ["AWS:a", "AWS:b", "Service:ec2"], None),
        ("Deny", ["sts:*"], ["*"], '{"x": 1}'),
        ("Allow", ["sts:assumerole"], None, None),
        ("Allow", ["sts:assumerole"], None, None),
    ]


_TRUST = st.recursive(
    st.none() | st.integers() | _TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Statement", "Effect", "Action", "Principal", "AWS"]), inner, max_size=5)
    ),
)


@given(_TRUST)
def test_every_trust_statement_fits_its_columns(document: Any) -> None:
    SNAPSHOTS["role_trust"].to_arrow(trust_statements(document))
    for row in trust_statements(document):
        assert row["effect"] in ("Allow", "Deny")
        for name in ("actions", "principals"):
            assert row[name] is None or all(isinstance(item, str) for item in row[name])
