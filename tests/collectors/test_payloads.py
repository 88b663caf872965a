"""Every recorded payload is an answer AWS could give, by botocore's own output shapes; the check itself bites."""

from __future__ import annotations

from typing import Any

import pytest

from tests.collectors.playback import PAYLOADS, WrongPayload, encode, payload

RECORDED = sorted(path.stem for path in PAYLOADS.glob("*.json"))


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_payload_has_the_documented_shape(name: str) -> None:
    service, operation = name.split("_")
    answers = payload(service, operation)
    assert answers
    for answer in answers:
        if "error" not in answer:
            encode(service, operation, answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"clusters": [{"clusterArm": "x"}]}, "clusterArm"),
        ({"clusters": {"clusterArn": "x"}}, "must be a list"),
        ({"clusters": [{"runningTasksCount": "1"}]}, "must be integer"),
        ({"clusters": [{"runningTasksCount": True}]}, "must be integer"),
        ({"clusters": [{"clusterArn": None}]}, "must be string"),
    ],
)
def test_an_impossible_payload_is_refused(answer: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongPayload, match=said):
        encode("ecs", "DescribeClusters", answer)
