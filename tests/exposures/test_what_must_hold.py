"""What must hold of any organisation, on generated services (many in each build)."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable, Iterable
from datetime import date

import pytest
from ecs_exposure.schemas.snapshots import SNAPSHOTS

from tests.exposures.generated import VECTORS, shapes
from tests.exposures.night import DAY, Night, Results, Row, Shape, assess, cve, day_after
from tests.exposures.severity_by_hand import SEVERITIES, Service
from tests.exposures.told import explanations

HARMLESS = {"severity": "INFORMATIONAL", "score": 0}  # a service without an exposure
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.faults) for seed in (2, 3, 4))]

Worse = Callable[[Shape], Shape]


def with_(**options: object) -> Worse:
    return lambda shape: dataclasses.replace(shape, **options)


def changed_cves(shape: Shape, change: Callable[[Row], Row]) -> Shape:
    def changed(cves: tuple[Row, ...] | None) -> tuple[Row, ...] | None:
        return None if cves is None else tuple(map(change, cves))

    return dataclasses.replace(
        shape,
        cves=tuple(map(change, shape.cves)),
        sidecar=changed(shape.sidecar),
        second_sidecar=changed(shape.second_sidecar),
    )


def each_cve(**known: object) -> Worse:
    return lambda shape: changed_cves(shape, lambda row: row | known)


def one_more(item: Row) -> Worse:
    return lambda shape: dataclasses.replace(shape, cves=(*shape.cves, item))


def more_permission(shape: Shape) -> Shape:
    """Scoped to data to administration; what a role that was never read may do is not known, so it stays."""
    more = {
        None: "scoped",
        "scoped": "data",
        "data": "path",
        "shell": "path",
        "service_admin": "admin",
        "path": "admin",
    }
    return dataclasses.replace(shape, role=more.get(shape.role, shape.role))


WORSE: dict[str, Worse] = {
    "an open, reachable group": with_(public=True),
    "an internet-facing balancer": with_(balancer="internet-facing"),
    "a public address": with_(has_public_ip=True),
    "an open group": with_(has_open_group=True),
    "a permission": more_permission,
    "a privileged container": with_(is_privileged=True),
    "a host path": lambda shape: dataclasses.replace(shape, mounts=(*shape.mounts, ("/", False))),
    "a runtime socket": lambda shape: dataclasses.replace(shape, mounts=(*shape.mounts, ("/run/docker.sock", True))),
    "a host process namespace": with_(pid_mode="host"),
    "a capability": lambda shape: dataclasses.replace(shape, capabilities=(*shape.capabilities, "SYS_MODULE")),
    "a weak container": with_(user="root", has_writable_root=True, has_execute_command=True, ipc_mode="host"),
    "a credential": with_(credential="provider"),
    "a sensitive port": lambda shape: dataclasses.replace(shape, ports=tuple(dict.fromkeys((*shape.ports, 6379)))),
    "KEV membership": each_cve(kev=True),
    "a public exploit": each_cve(exploit=True),
    "a higher EPSS": lambda shape: changed_cves(shape, lambda row: row | {"epss": min((row["epss"] or 0) + 0.1, 1.0)}),
    "a certain EPSS": each_cve(epss=1.0),
    "the worst vector": each_cve(vector=VECTORS[0]),
    "nothing suppressed any more": each_cve(status="ACTIVE"),
    "another package": lambda shape: changed_cves(shape, lambda row: row | {"packages": (*row["packages"], "curl")}),
    "a grave vulnerability": one_more(cve(epss=0.97, exploit=True)),
    "a small vulnerability": one_more(cve(vector=VECTORS[5], epss=0.0)),
    "a denial of service": one_more(cve(vector=VECTORS[6], epss=0.2)),
    "a kernel vulnerability": one_more(cve(packages=("linux-libc-dev",), kev=True)),
}
BETTER: dict[str, Worse] = {
    "no way in": with_(public=False, balancer=None, has_public_ip=False, has_open_group=False),
    "no balancer": with_(balancer=None),
    "no role": with_(role=None),
    "no credential": with_(credential=None),
    "no mounts": with_(mounts=()),
    "no capabilities": with_(capabilities=(), is_privileged=False),
    "hardened containers": with_(user="1000", has_writable_root=False, has_execute_command=False, ipc_mode=None),
    "one vulnerability fewer": lambda shape: dataclasses.replace(shape, cves=shape.cves[1:]),
    "no vulnerabilities": lambda shape: dataclasses.replace(
        shape, cves=(), sidecar=shape.sidecar and (), second_sidecar=shape.second_sidecar and ()
    ),
    "no longer in KEV": each_cve(kev=False),
    "no exploit": each_cve(exploit=False),
    "suppressed": each_cve(status="SUPPRESSED"),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_added_lowers_nothing_and_whatever_is_removed_raises_nothing(seed: int) -> None:
    """Compared both ways: severity, and the score that orders services inside it."""
    # A first vulnerability would also say that an unscanned image was scanned after all.
    # Two stand beside those by chance, for which an exploit decides.
    chosen = [
        dataclasses.replace(shape, scan=shape.scan or "ACTIVE", sidecar_scan="same") for shape in shapes(seed, 70)
    ]
    chosen += [Shape(public=True, cves=(cve(epss=0.05, exploit=said),)) for said in (False, True)]
    night = Night()
    for number, shape in enumerate(chosen):
        night.service(f"s{number}", shape)
        for which, other in enumerate((*WORSE.values(), *BETTER.values())):
            night.service(f"s{number}-{which}", other(shape))
    results = assess(night)
    told = results.exposures()
    moved = dict.fromkeys((*WORSE, *BETTER), 0)
    for number, shape in enumerate(chosen):
        as_is = told.get(f"s{number}", HARMLESS)
        for which, name in enumerate(moved):
            other = told.get(f"s{number}-{which}", HARMLESS)
            less, more = (as_is, other) if name in WORSE else (other, as_is)
            where = f"{name}: {shape}"
            assert SEVERITIES.index(more["severity"]) >= SEVERITIES.index(less["severity"]), where
            assert more["score"] >= less["score"], where
            moved[name] += more["score"] > less["score"]
    # Of these a few services by chance may hold none that moves.
    silent = {
        "no mounts",
        "no capabilities",
        "a kernel vulnerability",
        "a weak container",
        "hardened containers",
        "a small vulnerability",
    }
    assert [name for name in moved if not moved[name] and name not in silent] == []
    score = {row["resource_id"]: row["score"] for row in results.rows("exposure")}
    assert [row for row in results.rows("scenario") if row["score"] > score[row["resource_id"]]] == []


def test_nothing_comes_with_age_alone() -> None:
    """The same four hundred days later as on the first: no threshold waits for time to pass."""

    def night(day: date) -> Night:
        made = Night(day=day)
        hard = cve(id="CVE-2026-1", vector="AV:N/AC:H/PR:N/UI:N/C:L/I:L/A:N", epss=0.02)
        made.service("hard-partial", public=True, role="scoped", cves=(hard,))
        for number, shape in enumerate(shapes(1, 80)):
            made.service(f"s{number}", dataclasses.replace(shape, is_dormant=False))
        return made

    before = assess(night(DAY))
    after = assess(night(day_after(DAY, 400)), before)
    first = before.exposures()["hard-partial"]
    assert (first["severity"], first["likelihood"]) == ("LOW", "Moderate")
    assert after.rows("change") == []
    for name, row in after.exposures().items():
        for column in ("severity", "score", "likelihood", "impact", "driver", "due_date", "first_observed_date"):
            assert row[column] == before.exposures()[name][column], (name, column)


ALWAYS = (
    "service", "deployment", "task", "task_container", "task_definition", "container", "volume", "credential",
    "security_group", "security_group_rule", "network_interface", "subnet", "route",
)  # fmt: skip


def of_accounts(seed: int, datasets: Iterable[str], day: date, better: Worse = lambda shape: shape) -> Night:
    """The same eight services in an account for each dataset."""
    night = Night(day=day)
    for index, _ in enumerate(datasets):
        for number, shape in enumerate(shapes(seed, 8)):
            night.service(f"a{index}-s{number}", better(shape), account_id=f"{index + 1:012}")
    return night


@pytest.mark.parametrize("seed", SEEDS)
def test_a_night_on_which_any_dataset_was_refused_lowers_nothing(seed: int) -> None:
    datasets = list(SNAPSHOTS)
    before = assess(of_accounts(seed, datasets, DAY))
    night = of_accounts(seed, datasets, day_after(DAY))
    for index, dataset in enumerate(datasets):
        night.unseen(dataset, account_id=f"{index + 1:012}", since=DAY)
        for row in night.rows[dataset]:
            if row["account_id"] == f"{index + 1:012}":
                row["observed_date"] = DAY
    assert lowered(before.exposures(), assess(night, before).exposures()) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_what_got_better_lowers_nothing_while_anything_of_the_service_was_refused(seed: int) -> None:
    """Everything seen on the second night is harmless; one dataset of each account stands as it was on the first."""

    def better(shape: Shape) -> Shape:
        return BETTER["suppressed"](BETTER["no way in"](BETTER["no role"](BETTER["no capabilities"](shape))))

    before = assess(of_accounts(seed, ALWAYS, DAY))
    first, night = of_accounts(seed, ALWAYS, DAY), of_accounts(seed, ALWAYS, day_after(DAY), better)
    for index, dataset in enumerate(ALWAYS):
        account = f"{index + 1:012}"
        night.unseen(dataset, account_id=account, since=DAY)
        kept = [row for row in first.rows[dataset] if row["account_id"] == account]
        night.rows[dataset] = [row for row in night.rows[dataset] if row["account_id"] != account] + kept
    after, told = assess(night, before), before.exposures()
    for name, explanation in explanations(after).items():
        service = Service(explanation)
        [as_is] = [row for row in explanation["scenarios"] if row["removed_kind"] == "as_is"]
        today = service.outcome().severity
        assert as_is["severity"] == today, name
        kept = max(SEVERITIES.index(today), SEVERITIES.index(told.get(name, HARMLESS)["severity"]))
        assert explanation["exposure"]["severity"] == SEVERITIES[kept], name
    # The score orders by vulnerabilities: those seen to be gone may take it down inside the severity that is kept.
    assert lowered(before.exposures(), after.exposures(), with_score=False) == []
    assert [row for row in after.rows("change") if row["change"] in ("resolved", "improved")] == []


def lowered(before: dict[str, Row], after: dict[str, Row], with_score: bool = True) -> list[str]:
    return [
        f"{name}: {row['severity']} {row['score']} → {now['severity']} {now['score']}"
        for name, row in before.items()
        for now in [after.get(name, HARMLESS)]
        if (with_score and now["score"] < row["score"])
        or SEVERITIES.index(now["severity"]) < SEVERITIES.index(row["severity"])
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_unchanged_estate_is_told_alike_the_next_night_whatever_the_order_of_its_rows(seed: int) -> None:
    def night(day: date) -> Night:
        made = Night(day=day)
        for number, shape in enumerate(shapes(seed, 150)):
            made.service(f"s{number}", shape)
        return made

    before = assess(night(DAY))
    first = assess(night(day_after(DAY)), before)
    second = assess(night(day_after(DAY)), before, order=random.Random(seed))
    assert first.rows("change") == []
    assert lowered(before.exposures(), first.exposures()) == lowered(first.exposures(), before.exposures()) == []
    assert second.hashes == before.hashes
    assert first.tables.keys() == second.tables.keys()
    for name, table in first.tables.items():
        assert table.equals(second.tables[name]), name


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_told_of_a_service_rests_on_nothing_that_stands_beside_it(seed: int) -> None:
    """What services have in common is worked out once for all of them: nothing of one may spread to another. Each has
    an account, credentials and vulnerabilities of its own: what is known of a shared one is rightly known of all.
    """

    def of_its_own(row: Row, number: int) -> Row:
        return row | {"id": row["id"] and f"{row['id']}{number:02}"}

    chosen = {
        f"{number:012}": changed_cves(shape, functools.partial(of_its_own, number=number))
        for number, shape in enumerate(shapes(seed, 60))
    }

    def told(names: Iterable[str]) -> Results:
        night = Night()
        for name in names:
            night.service(name, chosen[name], account_id=name)
        return assess(night)

    beside = told(chosen)
    for name in random.Random(seed).sample(sorted(chosen), 12):
        alone = told([name])
        for table in ("exposure", "driver", "fix", "scenario", "trait_hit", "path", "impact_reason", "service_image"):
            assert alone.rows(table, name) == beside.rows(table, name), f"{table} of {chosen[name]}"
        assert alone.hashes.get(name) == beside.hashes.get(name)


@pytest.mark.parametrize("seed", SEEDS)
def test_drift_of_epss_inside_its_bounds_changes_nothing_that_is_told(seed: int) -> None:
    chosen = shapes(seed, 80)

    def night(drift: random.Random | None) -> Night:
        made = Night(day=DAY if drift is None else day_after(DAY, 8))  # past the seven days in which the highest counts
        for number, shape in enumerate(chosen):
            many = tuple(
                cve(epss=epss, packages=(f"lib{index}",))
                for index, epss in enumerate((0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.5))
            )
            made.service(f"s{number}", drifted(dataclasses.replace(shape, cves=shape.cves + many), drift))
        return made

    before = assess(night(None))
    after = assess(night(random.Random(seed)), before)
    asleep = {
        f"s{number}" for number, shape in enumerate(chosen) if shape.is_dormant
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
    bounds = ((0.0, 0.009999), (0.01, 0.099999), (0.1, 1.0))

    def move(row: Row) -> Row:
        if drift is None or row["epss"] is None:
            return row
        low, high = next(bound for bound in bounds if row["epss"] <= bound[1])
        return row | {"epss": drift.uniform(low, high)}

    return changed_cves(shape, move)
