"""Policy documents in every shape IAM accepts, and in those it does not: unreadable is never "no permissions"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ecs_exposure.collectors.iam import statements
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


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Statement", "Effect", "Action", "NotAction", "Resource"]), inner, max_size=5
        )
    ),
)


@given(_JSON)
def test_every_statement_row_is_readable_or_says_that_it_is_not(document: Any) -> None:
    for row in statements(document):
        is_marked = bool(row.get("malformed"))
        assert is_marked == (row["actions"] is None and row["not_actions"] is None)
        assert row["effect"] in ("Allow", "Deny")
