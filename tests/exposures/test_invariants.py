"""What must hold of any estate: more evil never lowers a severity, and the order of rows never changes a byte."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.exposures.estate import ADMINISTRATOR, READS_ALL_DATA, SCOPED, cve, merged, service
from tests.sql_harness import assess, records

SLOW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
LEVELS = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
TABLES = ("exposure", "scenario", "fix", "driver", "trait_hit", "path", "lifecycle")

vectors = st.sampled_from(["NLNNHHH", "NHNNLLN", "NLNRHHH", "LLLNHHH", "NLNNNNH", None])
cves = st.lists(
    st.builds(
        lambda number, vector, epss, exploit, package: cve(
            f"CVE-2024-{number}", vector=vector, epss=epss, exploit=exploit, package=package
        ),
        st.integers(1, 6),
        vectors,
        st.sampled_from([None, 0.0, 0.009, 0.01, 0.0999999, 0.1, 0.97, 1.0]),
        st.sampled_from([None, False, True]),
        st.sampled_from(["openssl", "zlib", "linux-libc-dev"]),
    ),
    max_size=5,
    unique_by=lambda row: row["finding_arn"],
)
shapes = st.fixed_dictionaries(
    {
        "public": st.booleans(),
        "balanced": st.booleans(),
        "statements": st.sampled_from([SCOPED, READS_ALL_DATA]),
        "launch_type": st.sampled_from(["FARGATE", "EC2"]),
        "scanned": st.booleans(),
        "cves": cves,
        "kev": st.sets(st.sampled_from(["CVE-2024-1", "CVE-2024-2"])),
    }
)
WORSE: dict[str, Any] = {
    "a path": lambda shape: {"public": True},
    "a balancer": lambda shape: {"balanced": True},
    "a permission": lambda shape: {"statements": ADMINISTRATOR},
    "a CVE": lambda shape: {"cves": [*shape["cves"], cve("CVE-2024-9", epss=0.3, package="bash")]},
    "a denial of service": lambda shape: {
        "cves": [*shape["cves"], cve("CVE-2024-9", vector="NLNNNNH", package="bash")]
    },
    "KEV": lambda shape: {"kev": {f"CVE-2024-{number}" for number in range(1, 7)}},
    "a host path": lambda shape: {"volumes": {"root": "/var/run/docker.sock"}},
    "a credential": lambda shape: {"credentials": [{"source": "environment", "variable_name": "X", "detector": "d"}]},
    "a privileged container": lambda shape: {"container": {"is_privileged": True}},
}


@SLOW
@given(shapes)
def test_adding_evil_never_lowers_a_severity(shape: dict[str, Any]) -> None:
    # One estate holds the service as it is and once with each evil: CVE rows differ by digest.
    estates = [_alone(shape, "")]
    estates += [_alone(shape | worse(shape), f"-{number}") for number, worse in enumerate(WORSE.values())]
    connection = assess(merged(*estates))
    told = {
        row["service_name"]: row
        for row in records(connection, "select service_name, severity, score from exposures.exposure")
    }
    before = told["web"]
    for number, name in enumerate(WORSE):
        after = told[f"web-{number}"]
        assert LEVELS.index(after["severity"]) >= LEVELS.index(before["severity"]), name
        assert after["score"] >= before["score"], name
    raised = records(
        connection,
        """select scenario.* from exposures.scenario as scenario
        join exposures.exposure as exposure using (resource_id) where scenario.score > exposure.score""",
    )
    assert raised == [], "a removal raised a score"


def _alone(shape: dict[str, Any], suffix: str) -> dict[str, list[dict[str, Any]]]:
    """The service with an image of its own, and KEV membership by ids of its own."""
    estate = service(suffix=suffix, **shape)
    digest = f"sha256:{suffix or 'x'}"
    for dataset in ("image_finding", "image_coverage", "task_container"):
        for row in estate.get(dataset, ()):
            row["image_digest"] = digest
    for dataset in ("image_finding", "vulnerability_detail"):
        for row in estate.get(dataset, ()):
            row["vulnerability_id"] += suffix
    for row in estate["image_finding"]:
        row["finding_arn"] += suffix
    return estate


@SLOW
@given(shapes, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_byte(shape: dict[str, Any], shuffler: random.Random) -> None:
    estate = merged(_alone(shape, ""), _alone(shape | {"public": True}, "-1"))
    ordered = assess(estate)
    shuffled = assess({dataset: shuffler.sample(rows, len(rows)) for dataset, rows in estate.items()})
    for name in TABLES:
        query = f"select * from exposures.{name}"
        assert sorted(map(repr, ordered.execute(query).fetchall())) == sorted(
            map(repr, shuffled.execute(query).fetchall())
        ), name
