"""What to fix first: what each set of changes leaves of an exposure, and the order in which they are told."""

from __future__ import annotations

import csv
import dataclasses
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pytest
from ecs_exposure import databases
from ecs_exposure.exposures import Filter, condition
from ecs_exposure.fix_plan import GREEDY, fix_plan
from ecs_exposure.schemas.results import RESULTS

from tests.exposures.generated import shapes
from tests.exposures.night import DAY, SQL, Night, Results, Row, assess, cve, day_after, digest_of, fill, resource_id

GRAVE = cve(epss=0.5)
SEVERITY_LEVELS = {"CRITICAL": 5, "HIGH": 4, "MEDIUM": 3, "LOW": 2, "INFORMATIONAL": 1}
SHOP, BANK = "111122223333", "444455556666"
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.faults) for seed in (2, 3))]
TABLES = ("exposure", "remediation", "remediation_outcome")


def weights() -> dict[str, float]:
    lines = (SQL / "reference" / "severity.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {row["severity"]: float(row["weight"]) for row in rows}


def plan(results: Results, wanted: Filter | None = None, exposures: pa.Table | None = None) -> list[Row]:
    """The plan over the stored tables of a night; `exposures` in place of all of them."""
    where, values = condition(wanted or Filter())
    with databases.connect() as connection:
        databases.create_empty(connection, "today", {name: RESULTS[name] for name in TABLES})
        for name in TABLES:
            rows = exposures if name == "exposure" and exposures is not None else results.tables[name]
            fill(connection, "today", RESULTS[name], rows)
        return fix_plan(connection, "today", weights(), where, values).to_pylist()


def outcomes(results: Results, service: str) -> dict[frozenset[str], tuple[str, float]]:
    """Severity and score by the set of names of changes made."""
    position = {row["position"]: row["name"] for row in results.rows("remediation", service)}
    return {
        frozenset(name for bit, name in position.items() if row["changes"] >> bit & 1): (row["severity"], row["score"])
        for row in results.rows("remediation_outcome", service)
    }


def a_night(seed: int, count: int = 220) -> Night:
    """Services by chance; some share images, groups and owners."""
    night, chance = Night(), random.Random(seed)
    for account_id, name, unit in ((SHOP, "shop", "/Shop/Web"), (BANK, "bank", "/Bank")):
        night.account(account_id, name, unit)
    for number, shape in enumerate(shapes(seed, count)):
        shared: dict[str, Any] = {"owner": chance.choice([None, "team-a", "team-b", "team-c"])}
        if shape.scan == "ACTIVE" and chance.random() < 0.5:
            shared["repository"] = f"base-{chance.randrange(12)}"
        if shape.network_mode == "awsvpc" and chance.random() < 0.3:
            shared["groups"] = tuple(chance.sample(["sg-a", "sg-b", "sg-c"], chance.choice([1, 1, 2])))
        account_id = chance.choice([SHOP, BANK])
        night.service(f"s{number}", dataclasses.replace(shape, **shared), account_id=account_id)
    return night


@pytest.fixture(scope="module", params=SEEDS)
def generated(request: pytest.FixtureRequest) -> tuple[int, Results]:
    return request.param, assess(a_night(request.param))


# Small nights


def test_of_two_open_groups_neither_lowers_anything_alone_and_both_do() -> None:
    night = Night()
    night.service("twice", public=True, groups=("sg-wide",), cves=(GRAVE,))
    results = assess(night)
    left = outcomes(results, "twice")
    now = results.exposures()["twice"]
    for group in ("sg-twice", "sg-wide"):
        assert left[frozenset([group])] == (now["severity"], now["score"])
    assert left[frozenset(["sg-twice", "sg-wide"])][0] == "LOW"
    assert not {"sg-twice", "sg-wide"} & {row["name"] for row in plan(results) if row["kind"] == "security_group"}


def test_a_group_counts_once_the_other_was_chosen_for_what_it_does_elsewhere() -> None:
    night = Night()
    for name, own in (("twice", True), ("once", False)):
        night.service(name, has_public_ip=True, has_open_group=own, groups=("sg-wide",), ports=(6379,), role="data")
    results = assess(night)
    assert results.exposures()["twice"]["severity"] == results.exposures()["once"]["severity"] == "HIGH"
    assert outcomes(results, "twice")[frozenset(["sg-wide"])][0] == "HIGH"
    # Without their addresses, which would do too, the groups are all there is.
    results.tables["remediation_outcome"] = without_changes(results, "service", "role")
    ranks = {row["name"]: row for row in plan(results) if row["kind"] == "security_group"}
    assert ranks["sg-wide"]["rank"] < ranks["sg-twice"]["rank"]
    assert (ranks["sg-wide"]["high_removed"], ranks["sg-twice"]["high_removed"]) == (1, 1)


def without_changes(results: Results, *kinds: str) -> pa.Table:
    """The outcomes as if changes of these kinds did nothing."""
    idle: dict[str, int] = defaultdict(int)
    for row in results.rows("remediation"):
        idle[row["resource_id"]] |= (1 << row["position"]) if row["kind"] in kinds else 0
    rows = results.rows("remediation_outcome")
    now = {row["resource_id"]: (row["severity"], row["score"]) for row in results.rows("exposure")}
    left = {(row["resource_id"], row["changes"]): (row["severity"], row["score"]) for row in rows}
    for row in rows:
        key, changes = row["resource_id"], row["changes"] & ~idle[row["resource_id"]]
        row["severity"], row["score"] = left[key, changes] if changes else now[key]
    return RESULTS["remediation_outcome"].to_arrow(rows)


def test_an_image_of_many_services_comes_before_one_of_one() -> None:
    night = Night()
    night.service("alone", public=True, cves=(GRAVE,), repository="alone")
    for number in range(5):
        night.service(f"s{number}", public=True, cves=(GRAVE,), repository="base", owner=f"team-{number % 2}")
    first, second = [row for row in plan(assess(night)) if row["kind"] == "image"]
    assert (first["name"], len(first["resource_ids"]), first["high_removed"]) == ("base", 5, 5)
    assert first["owners"] == ["team-0", "team-1"]
    assert (second["name"], second["resource_ids"], second["high_removed"]) == ("alone", [resource_id("alone")], 1)


def test_a_rank_counts_what_is_left_after_those_above_it() -> None:
    night = Night()
    night.service("web", public=True, cves=(GRAVE,))
    results = assess(night)
    left = outcomes(results, "web")
    lowering = {name for name in ("web-web", "sg-web", resource_id("web")) if left[frozenset([name])][0] == "LOW"}
    assert len(lowering) == 3  # any of them takes HIGH away, and once one is done no other can
    assert [row["high_removed"] for row in plan(results)].count(1) == 1


def test_of_more_than_seven_changes_the_others_stay_undone() -> None:
    night = Night()
    night.service("many", public=True, cves=(GRAVE,), groups=tuple(f"sg-{number}" for number in range(8)))
    results = assess(night)
    rows = results.rows("remediation", "many")
    assert sorted(row["position"] for row in rows) == list(range(7))
    assert {row["changes"] for row in results.rows("remediation_outcome", "many")} == set(range(1, 128))
    groups = frozenset(row["name"] for row in rows if row["kind"] == "security_group")
    now = results.exposures()["many"]
    assert outcomes(results, "many")[groups] == (now["severity"], now["score"])


def test_a_service_that_is_kept_because_it_was_not_completely_seen_is_not_lowered() -> None:
    def night(day: Any, cves: Iterable[Row]) -> Night:
        made = Night(day=day)
        made.service("held", public=True, cves=tuple(cves))
        made.service("seen", public=True, cves=(GRAVE,), account_id=BANK)
        return made

    before = assess(night(DAY, [GRAVE]))
    today = night(day_after(DAY), [])
    today.unseen("task_definition", since=DAY)
    for row in today.rows["task_definition"]:
        row["observed_date"] = DAY if row["account_id"] == SHOP else row["observed_date"]
    results = assess(today, before)
    held = results.exposures()["held"]
    assert held["severity"] == "HIGH" and "kept as it was" in held["minimum_reason"]
    rows = results.rows("remediation_outcome", "held")
    assert rows and {(row["severity"], row["score"]) for row in rows} == {("HIGH", held["score"])}
    told = plan(results)
    assert told and resource_id("held") not in {name for row in told for name in row["resource_ids"]}


# Generated nights


def test_no_set_of_changes_raises_and_more_changes_never_leave_more(generated: tuple[int, Results]) -> None:
    _, results = generated
    left: dict[str, dict[int, tuple[int, float]]] = defaultdict(dict)
    for row in results.rows("exposure"):
        left[row["resource_id"]][0] = (SEVERITY_LEVELS[row["severity"]], row["score"])
    for row in results.rows("remediation_outcome"):
        left[row["resource_id"]][row["changes"]] = (SEVERITY_LEVELS[row["severity"]], row["score"])
    compared = 0
    for service, sets in left.items():
        for changes, (level, score) in sets.items():
            for bit in range(7):
                if changes >> bit & 1:
                    fewer_level, fewer_score = sets[changes & ~(1 << bit)]
                    assert level <= fewer_level and score <= fewer_score + 1e-9, (service, changes, bit)
                    compared += 1
    assert compared > 1000


def test_a_change_of_one_thing_is_the_scenario_without_that_thing(generated: tuple[int, Results]) -> None:
    _, results = generated
    single = {
        (row["resource_id"], row["removed_kind"], row["removed"]): (row["severity"], row["score"])
        for row in results.rows("scenario")
    }
    images = defaultdict(set)
    for row in results.rows("service_image"):
        images[row["resource_id"], row["repository_name"]].add(row["image_digest"])
    changes = results.rows("remediation")
    left = {(row["resource_id"], row["changes"]): row for row in results.rows("remediation_outcome")}
    parts = defaultdict(set)
    for row in changes:
        for trait in row["traits"]:
            parts[row["resource_id"], trait].add(row["position"])
    compared: dict[str, int] = defaultdict(int)
    for row in changes:
        key = row["resource_id"]
        done = left.get((key, 1 << row["position"]))
        if done is None:  # no exposure
            continue
        if row["kind"] == "image":
            [digest] = images[key, row["name"]]
            # Of an image in which nothing was found there is no scenario: without it all stays.
            expected = single.get((key, "image", digest), single[key, "as_is", ""])
        elif len(row["traits"]) == 1 and len(parts[key, row["traits"][0]]) == 1 and row["kind"] != "task_definition":
            expected = single[key, "trait", row["traits"][0]]
        else:
            continue
        assert (done["severity"], done["score"]) == expected, row
        compared[row["kind"]] += 1
    assert all(compared[kind] for kind in ("image", "role", "security_group", "service")), compared


def test_the_plan_is_the_one_worked_out_by_hand(generated: tuple[int, Results]) -> None:
    _, results = generated
    told = plan(results)
    assert len(told) > GREEDY
    by_hand = greedy_by_hand(results, len(told))
    columns = ("remediation_id", "lowered", "critical_removed", "high_removed")
    assert [tuple(row[name] for name in columns) for row in told] == [
        tuple(row[name] for name in columns) for row in by_hand
    ]
    for column in ("score_removed", "weight_removed"):
        assert [row[column] for row in told] == pytest.approx([row[column] for row in by_hand])


def greedy_by_hand(results: Results, most: int) -> list[Row]:
    """The plan again, one service and one set of changes at a time."""
    weight = weights()
    now = {row["resource_id"]: row for row in results.rows("exposure") if row["severity"] != "INFORMATIONAL"}
    left = {(key, frozenset()): (row["severity"], row["score"]) for key, row in now.items()}
    touched: dict[str, set[str]] = defaultdict(set)
    named: dict[str, dict[int, str]] = defaultdict(dict)
    for row in results.rows("remediation"):
        if row["resource_id"] in now:
            touched[row["remediation_id"]].add(row["resource_id"])
            named[row["resource_id"]][row["position"]] = row["remediation_id"]
    for row in results.rows("remediation_outcome"):
        made = frozenset(name for bit, name in named[row["resource_id"]].items() if row["changes"] >> bit & 1)
        left[row["resource_id"], made] = (row["severity"], row["score"])
    done: dict[str, frozenset[str]] = dict.fromkeys(now, frozenset())

    def effect(change: str) -> Row:
        moves = [(left[key, done[key]], left[key, done[key] | {change}]) for key in touched[change]]
        return {
            "remediation_id": change,
            "lowered": sum(SEVERITY_LEVELS[then[0]] < SEVERITY_LEVELS[before[0]] for before, then in moves),
            "critical_removed": sum(before[0] == "CRITICAL" != then[0] for before, then in moves),
            "high_removed": sum(before[0] == "HIGH" != then[0] for before, then in moves),
            "score_removed": sum(before[1] - then[1] for before, then in moves),
            "weight_removed": sum(weight[before[0]] - weight[then[0]] for before, then in moves),
        }

    def order(row: Row) -> tuple[float, float, str]:
        return -row["weight_removed"], -round(row["score_removed"], 6), row["remediation_id"]

    rows: list[Row] = []
    while len(rows) < GREEDY:
        chosen = {row["remediation_id"] for row in rows}
        best = min((effect(change) for change in touched if change not in chosen), key=order, default=None)
        if best is None or best["score_removed"] <= 0:
            return rows
        rows.append(best)
        for key in touched[best["remediation_id"]]:
            done[key] |= {best["remediation_id"]}
    chosen = {row["remediation_id"] for row in rows}
    rest = sorted((effect(change) for change in touched if change not in chosen), key=order)
    return rows + [row for row in rest if row["weight_removed"] > 0]


def test_the_order_of_rows_changes_nothing(generated: tuple[int, Results]) -> None:
    seed, results = generated
    again = assess(a_night(seed), order=random.Random(seed))
    for name in TABLES:
        assert results.tables[name].equals(again.tables[name]), name
    assert plan(results) == plan(again)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(owners=["team-a"]), {"owner": "team-a"}),
        (Filter(ous=["/Shop"]), {"ou_path": "/Shop/Web"}),
        (Filter(accounts=["bank"]), {"account_id": BANK}),
        (Filter(accounts=[BANK], owners=["team-b"]), {"account_id": BANK, "owner": "team-b"}),
    ],
)
def test_a_filtered_plan_is_that_of_the_matching_services_alone(
    generated: tuple[int, Results], wanted: Filter, matches: Mapping[str, str]
) -> None:
    _, results = generated
    kept = [row for row in results.rows("exposure") if matches.items() <= row.items()]
    told = plan(results, wanted)
    assert told and told == plan(results, exposures=RESULTS["exposure"].to_arrow(kept))
    assert {name for row in told for name in row["resource_ids"]} <= {row["resource_id"] for row in kept}
    assert told != plan(results)


# What if


def asked(night: Night, traits: Iterable[str] = (), images: Iterable[str] = ()) -> dict[str, tuple[str, float]]:
    results = assess(night, what_if=(sorted(traits), sorted(images)))
    return {
        row["resource_id"].rpartition("/")[2]: (row["severity"], row["score"])
        for row in results.rows("scenario") if row["removed_kind"] == "what_if"
    }  # fmt: skip


@pytest.mark.parametrize(
    "trait",
    [
        "iam_role_assumable",
        "high_priority_vulnerability",
        pytest.param("root_filesystem_access", marks=pytest.mark.faults),
        pytest.param("public_ip", marks=pytest.mark.faults),
        pytest.param("vulnerability", marks=pytest.mark.faults),
    ],
)
def test_a_what_if_of_one_trait_is_the_scenario_without_it(trait: str) -> None:
    night = a_night(5, 120)
    results = assess(night, what_if=([trait], []))
    left = {(row["resource_id"], row["removed_kind"], row["removed"]): row for row in results.rows("scenario")}
    compared = 0
    for row in results.rows("exposure"):
        key = row["resource_id"]
        without = left.get((key, "trait", trait), left[key, "as_is", ""])
        told = left[key, "what_if", ""]
        if (key, "trait", trait) in left or "vulnerability" not in trait:
            assert (told["severity"], told["score"]) == (without["severity"], without["score"]), key
            compared += trait in row["traits"]
    assert compared


def test_a_what_if_of_clean_images_is_the_scenario_without_them() -> None:
    night = Night()
    night.service("two", public=True, cves=(GRAVE,), sidecar=(cve(epss=0.2),))
    night.service("one", public=True, cves=(GRAVE,))
    images = [digest_of(name) for name in ("two-web", "two-sidecar", "one-web")]
    results = assess(night, what_if=([], images[1:]))
    left = {(row["resource_id"], row["removed_kind"], row["removed"]): row for row in results.rows("scenario")}
    for name, image in (("two", images[1]), ("one", images[2])):
        told, single = left[resource_id(name), "what_if", ""], left[resource_id(name), "image", image]
        assert (told["severity"], told["score"]) == (single["severity"], single["score"])
    every = asked(night, images=images)
    assert {severity for severity, _ in every.values()} == {"LOW"}  # the open group is left
    assert every == asked(night, traits=["vulnerability", "high_priority_vulnerability"])
    assert asked(night, ["public_ip"], images)["two"][0] == "INFORMATIONAL"


def test_a_nightly_run_asks_nothing() -> None:
    night = Night()
    night.service("web", public=True)
    assert "what_if" not in {row["removed_kind"] for row in assess(night).rows("scenario")}
