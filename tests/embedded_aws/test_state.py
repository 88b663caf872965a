"""What every fake relies on: pages that lose and repeat nothing, state that survives JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from embedded_aws import AwsError
from embedded_aws.state import pack, page, unpack
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1).filter(lambda key: key != "$date"), inner),
    max_leaves=10,
)


@given(st.lists(st.integers(), max_size=60), st.integers(1, 70))
def test_pages_put_together_are_the_whole(items: list[int], size: int) -> None:
    seen: list[int] = []
    token = None
    while True:
        shown, token = page(items, token, size, "InvalidParameterException")
        assert len(shown) <= size
        seen += shown
        if token is None:
            break
        assert shown, "only the last page may be empty"
    assert seen == items


@pytest.mark.parametrize("token", ["!", "made up", "bm8=", "LTE=", "OTk="])
def test_a_token_that_was_never_given_out_is_refused(token: str) -> None:
    with pytest.raises(AwsError) as error:
        page([1, 2, 3], token, 1, "ValidationException")
    assert error.value.code == "ValidationException"


@given(VALUES)
def test_state_survives_json(value: object) -> None:
    assert unpack(json.loads(json.dumps(pack(value)))) == value
