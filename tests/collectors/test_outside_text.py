"""Parsers of what others write: image references, CVSS vectors, timestamps, numbers, tags, port ranges."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ecs_exposure.collectors.base import moment, tags_json, whole
from ecs_exposure.collectors.cvss_vector import COLUMNS, choose, parse
from ecs_exposure.collectors.ecs import MOST_PORTS, ports
from ecs_exposure.collectors.inspector import finding_rows
from ecs_exposure.images import ImageReference, parse_image
from hypothesis import example, given
from hypothesis import strategies as st

SHA = "sha256:" + "0123456789abcdef" * 4
ACCOUNT = "111111111111"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        (f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
    ],
)
@pytest.mark.parametrize(
    ("rest", "repository", "tag", "digest"),
    [
        ("web", "web", "latest", None),
        ("team/web:1.0_x", "team/web", "1.0_x", None),
        (f"web@{SHA}", "web", None, SHA),
        (f"web:1@{SHA}", "web", "1", SHA),
    ],
)
def test_references_to_ecr(host: str, region: str, rest: str, repository: str, tag: str | None, digest: str) -> None:
    assert parse_image(f" {host}/{rest}") == ImageReference(ACCOUNT, region, repository, tag, digest)


@pytest.mark.parametrize(
    "image",
    [
        None,
        "",
        "nginx",
        "public.ecr.aws/x/y:1",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/Web",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/web:",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/web@sha256:12",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.example.org/web",
        f"evil.example/{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/web",
        f"1{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/web",
    ],
)
def test_what_is_no_reference_to_ecr(image: str | None) -> None:
    assert parse_image(image) is None


TAG = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
REPOSITORY = st.from_regex(r"[a-z0-9]{1,5}(/[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?){0,3}", fullmatch=True)


@given(REPOSITORY, TAG, st.sampled_from([None, SHA]))
def test_a_reference_reads_back(repository: str, tag: str | None, digest: str | None) -> None:
    image = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/{repository}"
    image += (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    expected = ImageReference(ACCOUNT, "eu-west-1", repository, tag or (None if digest else "latest"), digest)
    assert parse_image(image) == expected


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_none(text: str) -> None:
    found = parse_image(f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/{text}")
    assert found is None or found.repository_name.isascii()


# --- CVSS ---


@pytest.mark.parametrize(
    ("vector", "metrics"),
    [
        (
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N",
            ("NETWORK", "LOW", "NONE", "NONE", "HIGH", "HIGH", "NONE"),
        ),
        (
            "CVSS:3.0/AV:P/AC:H/PR:H/UI:R/S:C/C:L/I:N/A:H",
            ("PHYSICAL", "HIGH", "HIGH", "REQUIRED", "LOW", "NONE", "HIGH"),
        ),
        (
            "CVSS:4.0/AV:A/AC:L/AT:P/PR:L/UI:P/VC:H/VI:L/VA:N/SC:H/SI:H/SA:H",
            ("ADJACENT", "HIGH", "LOW", "REQUIRED", "HIGH", "LOW", "NONE"),
        ),
        ("AV:N/AC:M/Au:S/C:P/I:C/A:N", ("NETWORK", "HIGH", "LOW", None, "LOW", "HIGH", "NONE")),
        ("(AV:L/AC:L/Au:N/C:N/I:N/A:C)", ("LOCAL", "LOW", "NONE", None, "NONE", "NONE", "HIGH")),
    ],
)
def test_vectors_of_every_version_in_the_words_of_version_3(vector: str, metrics: tuple[str | None, ...]) -> None:
    assert parse(vector) == dict(zip(COLUMNS, metrics, strict=True))


METRIC = st.tuples(
    st.sampled_from(["AV", "AC", "AT", "Au", "PR", "UI", "S", "C", "I", "A", "VC", "VI", "VA", "SC", "SI", "SA", "E"]),
    st.sampled_from(["N", "A", "L", "P", "H", "M", "S", "C", "U", "R", "X", "ND", ""]),
)


@given(
    st.sampled_from(["", "CVSS:3.0/", "CVSS:3.1/", "CVSS:3.9/", "CVSS:4.0/", "CVSS:", "("]),
    st.lists(METRIC, max_size=12).map(lambda pairs: "/".join(":".join(pair) for pair in pairs)) | st.text(max_size=30),
)
@example("CVSS:3.1/", "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H")
@example("CVSS:4.0/", "AV:N")
@example("", ":")
def test_a_malformed_vector_is_no_vector(prefix: str, rest: str) -> None:
    found = parse(prefix + rest)
    assert found is None or set(found) == set(COLUMNS)


def score(vector: str, source: str, base: float | str) -> dict[str, Any]:
    return {"scoringVector": vector, "source": source, "baseScore": base}


V2, V3, V4 = (
    "AV:N/AC:L/Au:N/C:P/I:P/A:P",
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"),
)


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([score(V4, "NVD", 9.3), score(V2, "NVD", 7.5), score(V3, "VENDOR", 9.8)], (V3, "VENDOR", 9.8)),
        ([score(V2, "NVD", 7.5), score(V4, "OTHER", 9.3)], (V4, "OTHER", 9.3)),
        ([score(V3, "OTHER", 1.0), score(V3, "DEBIAN", 2.0), score(V3, "NVD", 3.0)], (V3, "NVD", 3.0)),
        ([score(V3, "OTHER", 1.0), score(V3, "DEBIAN", 2.0)], (V3, "DEBIAN", 2.0)),
        ([score(V3, "A", 1.0), score(V3, "B", 9.8), score(V3, "C", 2.0)], (V3, "B", 9.8)),
        ([score(V3, "NVD", "9.8")], (V3, "NVD", 9.8)),
        ([score(V3, "NVD", float("nan"))], (V3, "NVD", None)),
        ([score(V3, "NVD", 98)], (V3, "NVD", None)),
        ([score(V3, "NVD", True)], (V3, "NVD", None)),
        ([score("CVSS:3.1/AV:Z", "NVD", 9.9), score(V2, "NVD", 7.5)], (V2, "NVD", 7.5)),
        ([score("CVSS:3.1/AV:Z", "NVD", 9.9)], (None, None, None)),
        ([], (None, None, None)),
    ],
)
def test_the_vector_that_counts(scores: list[dict[str, Any]], chosen: tuple[Any, ...]) -> None:
    found = choose(scores, "DEBIAN")
    assert choose(scores[::-1], "DEBIAN") == found
    assert (found["cvss_vector"], found["cvss_source"], found["cvss_base_score"]) == chosen
    assert set(found) == {"cvss_vector", "cvss_base_score", "cvss_source", *COLUMNS}


# --- timestamps, numbers, tags, ports ---

NOON = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        NOON,
        NOON.replace(tzinfo=None),
        NOON.timestamp(),
        int(NOON.timestamp()),
        int(NOON.timestamp() * 1000),
        str(int(NOON.timestamp())),
        "2026-10-01T12:00:00Z",
        "2026-10-01T14:00:00+02:00",
        " 2026-10-01 12:00:00 ",
        "Thu Oct 01 12:00:00 UTC 2026",
        "Oct 1, 2026, 12:00:00 PM",
    ],
)
def test_timestamps_as_they_are_written(written: object) -> None:
    assert moment(written) == NOON


@pytest.mark.parametrize("written", [None, True, "", "yesterday", "nan", "inf", float("nan"), float("inf"), 10**30, {}])
def test_what_is_no_timestamp_is_unknown(written: object) -> None:
    assert moment(written) is None


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30))
@example("9" * 400)
@example(10**400)
@example("0001-01-01T00:00:00+14:00")
def test_any_value_is_a_moment_or_unknown(value: object) -> None:
    found = moment(value)
    assert found is None or found.tzinfo is UTC


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20))
@example("--1")
@example("²")
def test_any_value_is_whole_or_unknown(value: object) -> None:
    found = whole(value)
    assert found is None or (type(found) is int and found == (int(value) if isinstance(value, str) else value))


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5))
def test_tags_of_either_spelling_read_back(tags: dict[str, str]) -> None:
    lower = tags_json([{"key": key, "value": value} for key, value in tags.items()])
    upper = tags_json([{"Key": key, "Value": value} for key, value in reversed(tags.items())])
    assert lower == upper and json.loads(str(lower)) == tags


def test_tags_not_told_are_not_no_tags() -> None:
    assert (tags_json(None), tags_json([]), tags_json([{"key": "a"}])) == (None, "{}", '{"a": ""}')


def test_a_port_range_is_spelled_out_and_bounded() -> None:
    wide = ports({"containerPortRange": "1-65535"})
    assert [row["container_port"] for row in wide] == list(range(1, MOST_PORTS + 1))
    assert {row["host_port"] for row in wide} == {None}
    assert ports({"containerPortRange": "x-y"}) == []


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"severity": "TERRIBLE"}, "severity", None),
        ({"epss": {"score": "0.5"}}, "epss", 0.5),
        ({"epss": {"score": 1.5}}, "epss", None),
        ({"epss": {"score": float("nan")}}, "epss", None),
        ({"epss": None}, "epss", None),
        ({"exploitAvailable": "NO"}, "exploit_available", False),
        ({"exploitAvailable": "PERHAPS"}, "exploit_available", None),
        ({"firstObservedAt": 1759320000.5}, "first_observed_at", datetime.fromtimestamp(1759320000.5, UTC)),
        (
            {"firstObservedAt": "Wed Oct 01 12:00:00.000 UTC 2025"},
            "first_observed_at",
            datetime(2025, 10, 1, 12, tzinfo=UTC),
        ),
    ],
)
def test_a_finding_as_exports_write_it(changes: dict[str, Any], column: str, value: object) -> None:
    finding = {"findingArn": "arn", "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-1"}, **changes}
    (row,) = finding_rows(finding, "web", SHA)
    assert row[column] == value and row["package_name"] is None
