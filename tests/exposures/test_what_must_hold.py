"""What must hold of any organisation, on generated services (many in each build)."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.exposures.night import DAY, Night, Row, Shape, assess, cve, day_after
from tests.exposures.severity_by_hand import SEVERITIES, Stored

BUILDS = settings(
    max_examples=2, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # an example is a whole organisation: shrinking it takes minutes, the message names the service  # noqa: E501
)  # fmt: skip

VECTORS = (
    "AV:N/AC:L/PR:N/UI:N/C:H/I:H/A:H", "AV:N/AC:L/PR:N/UI:N/C:L/I:L/A:N", "AV:N/AC:H/PR:N/UI:N/C:H/I:H/A:N",
    "AV:N/AC:L/PR:L/UI:N/C:H/I:H/A:H", "AV:L/AC:L/PR:N/UI:R/C:L/I:N/A:N", "AV:N/AC:L/PR:N/UI:N/C:N/I:N/A:H", None,
)  # fmt: skip
VULNERABILITIES = st.builds(
    cve,
    vector=st.sampled_from(VECTORS),
    epss=st.sampled_from([None, 0.0, 0.0099, 0.01, 0.0999, 0.1, 0.5, 0.97]),
    kev=st.sampled_from([False, False, False, True, None]),
    exploit=st.sampled_from([False, False, True, None]),
    severity=st.sampled_from(["LOW", "MEDIUM", "HIGH", "CRITICAL", "UNTRIAGED"]),
    packages=st.sampled_from(
        [("openssl",), ("zlib",), ("libssl3", "openssl"), ("linux-libc-dev",), ("linux-libc-dev", "zlib")]
    ),
    status=st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "SUPPRESSED"]),
)
SHAPES = st.builds(
    Shape,
    public=st.booleans(),
    balancer=st.sampled_from([None, None, "internet-facing", "internal"]),
    has_public_ip=st.booleans(),
    has_open_group=st.booleans(),
    ports=st.sampled_from([(8080,), (6379,), (8080, 5432)]),
    launch_type=st.sampled_from(["FARGATE", "EC2"]),
    role=st.sampled_from([None, "scoped", "data", "service_admin", "admin", "missing"]),
    cves=st.lists(VULNERABILITIES, max_size=4).map(tuple),
    sidecar=st.one_of(st.none(), st.lists(VULNERABILITIES, max_size=2).map(tuple)),
    scan=st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", None, "public"]),
    credential=st.sampled_from([None, None, "generic", "provider"]),
    is_privileged=st.booleans(),
    mounts=st.sampled_from([(), (), (("/var/run/docker.sock", True),), (("/srv", False),)]),
    pid_mode=st.sampled_from([None, "host"]),
    ipc_mode=st.sampled_from([None, None, "host"]),
    capabilities=st.sampled_from([(), (), ("NET_ADMIN",), ("SYS_PTRACE",), ("SYS_ADMIN", "CHOWN")]),
    user=st.sampled_from(["1000", None]),
    has_writable_root=st.booleans(),
    has_execute_command=st.booleans(),
    is_dormant=st.sampled_from([False, False, False, True]),
)
MANY = st.lists(SHAPES, min_size=30, max_size=40)

Worse = Callable[[Shape], Shape]


def with_(**options: object) -> Worse:
    return lambda shape: dataclasses.replace(shape, **options)


def each_cve(**known: object) -> Worse:
    def worse(shape: Shape) -> Shape:
        listed = [tuple(row | known for row in cves or ()) for cves in (shape.cves, shape.sidecar)]
        return dataclasses.replace(shape, cves=listed[0], sidecar=None if shape.sidecar is None else listed[1])

    return worse


def one_more(item: Row) -> Worse:
    return lambda shape: dataclasses.replace(shape, cves=(*shape.cves, item))


def more_permission(shape: Shape) -> Shape:
    order = [None, "scoped", "data", "admin"]
    role = {"service_admin": "admin", "missing": "missing"}.get(shape.role or "") or order[
        min(order.index(shape.role) + 1, 3)
    ]
    return dataclasses.replace(shape, role=role)


WORSE: dict[str, Worse] = {
    "an open, reachable group": with_(public=True),
    "an internet-facing balancer": with_(balancer="internet-facing"),
    "a permission": lambda shape: (
        more_permission(shape) if shape.role != "service_admin" else dataclasses.replace(shape, role="admin")
    ),
    "a privileged container": with_(is_privileged=True),
    "a host path": lambda shape: dataclasses.replace(shape, mounts=(*shape.mounts, ("/", False))),
    "a host process namespace": with_(pid_mode="host"),
    "a capability": lambda shape: dataclasses.replace(shape, capabilities=(*shape.capabilities, "SYS_MODULE")),
    "a weak container": with_(user="root", has_writable_root=True, has_execute_command=True, ipc_mode="host"),
    "a credential": lambda shape: dataclasses.replace(shape, credential="provider"),
    "KEV membership": each_cve(kev=True),
    "a public exploit": each_cve(exploit=True),
    "a grave vulnerability": one_more(cve(epss=0.97, exploit=True)),
    "a small vulnerability": one_more(cve(vector=VECTORS[4], epss=0.0)),
    "a denial of service": one_more(cve(vector=VECTORS[5], epss=0.2)),
}


@BUILDS
@given(MANY)
def test_whatever_is_added_lowers_nothing_and_whatever_is_removed_raises_nothing(shapes: list[Shape]) -> None:
    night = Night()
    for number, shape in enumerate(shapes):
        night.service(f"s{number}", shape)
        for which, worse in enumerate(WORSE.values()):
            night.service(f"s{number}-{which}", worse(shape))
    results = assess(night)
    told = results.exposures()
    for number in range(len(shapes)):
        before = told.get(f"s{number}", {"severity": "INFORMATIONAL", "score": 0})
        for which, name in enumerate(WORSE):
            after = told.get(f"s{number}-{which}", {"severity": "INFORMATIONAL", "score": 0})
            where = f"{name} on {shapes[number]}"
            assert SEVERITIES.index(after["severity"]) >= SEVERITIES.index(before["severity"]), where
            assert after["score"] >= before["score"], where
    as_is = {row["resource_id"]: row["score"] for row in results.rows("exposure")}
    assert [row for row in results.rows("scenario") if row["score"] > as_is[row["resource_id"]]] == []


@BUILDS
@given(MANY)
def test_plain_python_comes_to_the_same_severities_and_scores(shapes: list[Shape]) -> None:
    night = Night()
    for number, shape in enumerate(shapes):
        night.service(f"s{number}", shape)
    stored = Stored(assess(night))
    for row in stored.exposures:
        severity = stored.severity(row)
        assert row["severity"] == severity, row
        assert row["score"] == pytest.approx(stored.score(row, severity), abs=2e-3), row


@BUILDS
@given(MANY, st.integers(0, 10**6))
def test_the_order_of_rows_changes_no_byte_of_any_result(shapes: list[Shape], seed: int) -> None:
    def night() -> Night:
        made = Night()
        for number, shape in enumerate(shapes):
            made.service(f"s{number}", shape)
        return made

    before = assess(night())
    first = assess(night(), before)
    second = assess(night(), before, order=random.Random(seed), with_findings=True)
    assert first.tables.keys() == second.tables.keys()
    for name, table in first.tables.items():
        assert table.to_pylist() == second.tables[name].to_pylist(), name


@BUILDS
@given(MANY, st.integers(0, 10**6))
def test_drift_of_epss_inside_its_bounds_changes_nothing_that_is_told(shapes: list[Shape], seed: int) -> None:
    def night(drift: random.Random | None) -> Night:
        made = Night(day=DAY if drift is None else day_after(DAY, 8))  # past the seven days in which the highest counts
        for number, shape in enumerate(shapes):
            many = tuple(
                cve(epss=epss, packages=(f"lib{index}",))
                for index, epss in enumerate((0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.5))
            )
            made.service(f"s{number}", drifted(dataclasses.replace(shape, cves=shape.cves + many), drift))
        return made

    before = assess(night(None), with_findings=True)
    after = assess(night(random.Random(seed)), before, with_findings=True)
    asleep = {
        f"s{number}" for number, shape in enumerate(shapes) if shape.is_dormant
    }  # their images are forgotten meanwhile
    for table, columns in (
        ("exposure", ("severity", "likelihood", "impact", "traits", "unknown_traits", "reachability")),
        ("fix", ("removed_kind", "removed", "severity_before", "severity_after", "description")),
    ):
        told = [
            sorted(
                repr((row["resource_id"], *(row[column] for column in columns)))
                for row in results.rows(table) if row["resource_id"].rpartition("/")[2] not in asleep
            )
            for results in (before, after)
        ]  # fmt: skip
        assert told[0] == told[1], table
    assert [row for name, row in after.changes().items() if name not in asleep] == []
    assert {name: told for name, told in before.hashes.items() if name not in asleep} == {
        name: told for name, told in after.hashes.items() if name not in asleep
    }


def drifted(shape: Shape, drift: random.Random | None) -> Shape:
    bounds = ((0.0, 0.009999), (0.01, 0.099999), (0.1, 0.999))

    def move(row: Row) -> Row:
        if drift is None or row["epss"] is None:
            return row
        low, high = next(bound for bound in bounds if row["epss"] <= bound[1])
        return row | {"epss": drift.uniform(low, high)}

    sidecar = None if shape.sidecar is None else tuple(map(move, shape.sidecar))
    return dataclasses.replace(shape, cves=tuple(map(move, shape.cves)), sidecar=sidecar)
