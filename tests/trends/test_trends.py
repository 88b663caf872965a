"""Every trend answers its question on a lake of known days, in groups, and reads only the files it must."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from ecs_exposure import history, models
from ecs_exposure.lake import Lake

from tests.results_lake import (
    ALPHA,
    BETA,
    GAMMA,
    arn,
    change,
    commit,
    coverage,
    exposure,
    finding,
    lifecycle,
    new_lake,
    read_back,
    trait_hit,
)

SQL = Path(__file__).parents[2] / "sql"
ONE, TWO, THREE = date(2026, 11, 21), date(2026, 11, 22), date(2026, 11, 23)
PASSWORD = '[{"container": "app", "source": "environment", "variable": "DB_PASSWORD", "fingerprint": "3fa2c9d1"}]'
TRENDS = {trend.name: trend for trend in history.load_trends(SQL)}


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """Two days: api is fixed, web stays and is overdue, job's account is denied, batch closes by a rule change."""
    with new_lake(tmp_path) as made:
        job = {"account": GAMMA, "owner": None}
        commit(
            made,
            ONE,
            {
                "coverage": [coverage(day=ONE), coverage(GAMMA, day=ONE)],
                "exposure": [
                    exposure("api", "CRITICAL", day=ONE),
                    exposure("web", "HIGH", day=ONE, account=BETA, owner="team-b"),
                    exposure("job", "MEDIUM", day=ONE, **job),
                    exposure("batch", "LOW", day=ONE),
                ],
                "trait_hit": [
                    trait_hit("api", "public_ip", day=ONE),
                    trait_hit("web", "public_ip", day=ONE, account=BETA),
                    trait_hit("web", "cleartext_credentials", day=ONE, account=BETA, evidence=PASSWORD),
                    trait_hit("job", "host_network_mode", day=ONE, account=GAMMA),
                ],
            },
        )
        commit(
            made,
            TWO,
            {
                "coverage": [
                    coverage(day=TWO),
                    coverage(GAMMA, "denied", day=TWO),
                    coverage(GAMMA, "denied", day=TWO, dataset="task"),
                ],
                "exposure": [
                    exposure("web", "HIGH", day=TWO, account=BETA, owner="team-b", due_date=ONE),
                    exposure("job", "MEDIUM", day=TWO, is_carried=True, observed_date=ONE, due_date=THREE, **job),
                    exposure("new", "LOW", day=TWO, due_date=None),
                    exposure("quiet", "INFORMATIONAL", day=TWO),
                ],
                "change": [
                    change("api", "resolved", before="CRITICAL", opened=date(2026, 11, 12)),
                    change("batch", "resolved", before="LOW", opened=ONE, cause="rules"),
                    change("new", "opened", after="LOW"),
                    change("other", "opened", after="LOW", cause="rules"),
                ],
                "trait_hit": [
                    trait_hit("web", "public_ip", day=TWO, account=BETA),
                    trait_hit("web", "cleartext_credentials", day=TWO, account=BETA, evidence=PASSWORD),
                    trait_hit("job", "host_network_mode", day=TWO, account=GAMMA, is_carried=True),
                    trait_hit("new", "public_ip", day=TWO),
                    trait_hit("quiet", "vulnerability", day=TWO, state="unknown", evidence=None),
                ],
                "lifecycle": [
                    lifecycle("web", opened=date(2026, 11, 2), first=date(2026, 1, 1), last=TWO, account=BETA),
                    lifecycle("job", opened=ONE, first=ONE, last=TWO, account=GAMMA),
                    lifecycle("new", opened=TWO, first=TWO, last=TWO),
                ],
            },
        )
        read_back(made, ONE, [finding("api"), finding("web", account=BETA), finding("job", account=GAMMA)])
        read_back(made, TWO, [finding("web", account=BETA)])
        yield made


def answer(
    lake: Lake, name: str, by: str | None = None, since: date = ONE, until: date = THREE
) -> list[dict[str, object]]:
    return history.run_trend(lake, TRENDS[name], since, until, by).records()


def pick(rows: list[dict[str, object]], *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row[column] for column in columns) for row in rows]


def test_the_questions_of_the_first_version_are_all_there() -> None:
    assert {
        "exposures_per_day",
        "opened_and_resolved_per_day",
        "time_to_remediate",
        "traits_by_frequency",
        "longest_open",
        "overdue",
        "overdue_per_day",
        "severity_mix",
        "credential_age",
    } <= TRENDS.keys()
    assert [trend.name for trend in TRENDS.values() if not trend.question.endswith("?") or not trend.notes] == []


@pytest.mark.parametrize("by", [None, *history.GROUPINGS])
@pytest.mark.parametrize("name", TRENDS)
def test_every_trend_runs_where_nothing_ever_happened(tmp_path: Path, name: str, by: str | None) -> None:
    with new_lake(tmp_path) as empty:
        rows = history.run_trend(empty, TRENDS[name], ONE, THREE, by)
    assert rows.rows == []
    assert ("group" in rows.columns) == (by is not None)


def test_exposures_per_day_tells_carried_ones_and_blindness_apart(lake: Lake) -> None:
    rows = answer(lake, "exposures_per_day")
    wanted = ("snapshot_date", "critical", "high", "medium", "low", "informational", "carried", "accounts_not_seen")
    assert pick(rows, *wanted) == [(ONE, 1, 1, 1, 1, 0, 0, 0), (TWO, 0, 1, 0, 1, 1, 1, 1)]


def test_a_day_without_exposures_is_a_zero_and_a_day_not_assessed_is_absent(tmp_path: Path) -> None:
    with new_lake(tmp_path) as lake:
        commit(lake, ONE, {"exposure": [exposure("api", "HIGH", day=ONE)]})
        commit(lake, THREE, {})
        assert pick(answer(lake, "exposures_per_day"), "snapshot_date", "high") == [(ONE, 1), (THREE, 0)]
        assert pick(answer(lake, "exposures_per_day", "owner"), "snapshot_date", "group", "high") == [
            (ONE, "team-a", 1),
            (THREE, "team-a", 0),
        ]
        assert pick(answer(lake, "exposures_per_day", since=THREE), "snapshot_date", "high") == [(THREE, 0)]


def test_opened_and_resolved_keeps_our_rules_apart_from_the_estate(lake: Lake) -> None:
    rows = answer(lake, "opened_and_resolved_per_day")
    wanted = ("snapshot_date", "opened", "resolved", "opened_by_rules", "resolved_by_rules", "open", "carried")
    assert pick(rows, *wanted) == [(ONE, 0, 0, 0, 0, 4, 0), (TWO, 1, 1, 1, 1, 2, 1)]


def test_time_to_remediate_counts_what_the_estate_resolved_and_shows_what_is_left(lake: Lake) -> None:
    rows = {row["severity"]: row for row in answer(lake, "time_to_remediate")}
    assert list(rows) == ["CRITICAL", "HIGH", "MEDIUM", "LOW"]
    assert pick([rows["CRITICAL"]], "resolved", "days_median", "days_p90", "still_open") == [(1, 10.0, 10.0, 0)]
    assert pick([rows["HIGH"]], "resolved", "days_median", "still_open", "still_open_days_median") == [
        (0, None, 1, 20.0)
    ]
    assert rows["LOW"]["resolved"] == 0, "a rule change is no remediation"


def test_time_to_remediate_is_median_and_ninetieth_percentile(tmp_path: Path) -> None:
    ages = [1, 2, 3, 4, 100]
    with new_lake(tmp_path) as lake:
        gone = [change(f"s{age}", "resolved", before="HIGH", opened=THREE - timedelta(days=age)) for age in ages]
        commit(lake, THREE, {"change": gone})
        assert pick(answer(lake, "time_to_remediate"), "resolved", "days_median", "days_p90") == [(5, 3.0, 61.6)]


def test_traits_by_frequency_compares_the_first_and_the_last_day(lake: Lake) -> None:
    rows = answer(lake, "traits_by_frequency")
    wanted = ("trait", "services", "services_on_first_day", "difference", "carried", "unknown")
    assert pick(rows, *wanted) == [
        ("public_ip", 2, 2, 0, 0, 0),
        ("cleartext_credentials", 1, 1, 0, 0, 0),
        ("host_network_mode", 1, 1, 0, 1, 0),
        ("vulnerability", 0, 0, 0, 0, 1),
    ]


def test_longest_open_counts_from_the_present_stretch_and_leaves_out_what_is_not_open(lake: Lake) -> None:
    rows = answer(lake, "longest_open")
    assert pick(rows, "resource_id", "days_open", "is_carried") == [
        (arn("web", BETA), 20, False),
        (arn("job", GAMMA), 1, True),
        (arn("new"), 0, False),
    ]


def test_overdue_lists_what_is_past_its_day_only(lake: Lake) -> None:
    assert pick(answer(lake, "overdue"), "resource_id", "days_overdue", "owner") == [(arn("web", BETA), 1, "team-b")]
    assert pick(answer(lake, "overdue_per_day"), "snapshot_date", "open", "overdue", "high") == [
        (ONE, 4, 0, 0),
        (TWO, 3, 1, 1),
    ]


def test_what_is_accepted_is_counted_and_not_overdue(tmp_path: Path) -> None:
    said = {"accepted_until": TWO, "accepted_by": "team-a", "accepted_reason": "meant to be"}
    late = [exposure("api", "HIGH", day=ONE, due_date=ONE), exposure("web", "HIGH", day=ONE, due_date=ONE)]
    with new_lake(tmp_path) as lake:
        commit(lake, ONE, {"exposure": [late[0] | said, late[1] | said | {"accepted_until": THREE}]})
        late = [row | {"snapshot_date": TWO} for row in late]
        commit(lake, TWO, {"exposure": [late[0], late[1] | said | {"accepted_until": THREE}]})
        assert pick(answer(lake, "exposures_per_day"), "snapshot_date", "high", "accepted") == [
            (ONE, 2, 2),
            (TWO, 2, 1),
        ]
        assert pick(answer(lake, "overdue"), "resource_id") == [(arn("api"),)]
        assert pick(answer(lake, "overdue_per_day"), "snapshot_date", "open", "overdue") == [(ONE, 2, 0), (TWO, 2, 1)]


def test_severity_mix_is_shares_of_the_open_ones(lake: Lake) -> None:
    last = answer(lake, "severity_mix")[-1]
    assert pick([last], "open", "critical_percent", "high_percent", "medium_percent", "carried_percent") == [
        (3, 0.0, 33.3, 33.3, 33.3)
    ]


def test_groups_name_the_account_the_unit_or_the_owner(lake: Lake) -> None:
    def groups(by: str) -> set[object]:
        return {row["group"] for row in answer(lake, "exposures_per_day", by)}

    assert groups("account") == {f"shop-prod {ALPHA}", f"data-prod {BETA}", f"sandbox {GAMMA}"}
    assert groups("ou") == {"/workloads/prod", "/sandbox"}
    assert groups("owner") == {"team-a", "team-b", "(no owner)"}


def test_decisions_are_those_of_the_places_read_that_day(lake: Lake) -> None:
    rows = answer(lake, "customer_decisions")
    columns = ("snapshot_date", "suppressed_critical", "suppressed_high", "suppressed_below", "lowered", "places_read")
    assert pick(rows, *columns) == [(ONE, 1, 1, 1, 3, 3), (TWO, 0, 1, 0, 1, 1)]
    by_owner = answer(lake, "customer_decisions", "owner")
    assert pick(by_owner, "snapshot_date", "group", "suppressed_high") == [
        (ONE, "(no owner)", 0), (ONE, "team-a", 0), (ONE, "team-b", 1), (TWO, "team-b", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("name", TRENDS)
def test_the_parts_of_a_grouping_add_up_to_the_whole(lake: Lake, name: str) -> None:
    counted = {
        "critical",
        "high",
        "medium",
        "low",
        "opened",
        "resolved",
        "opened_by_rules",
        "carried",
        "accepted",
        "suppressed_high",
        "lowered",
        "services",
        "overdue",
        "still_open",
    }
    whole = answer(lake, name)
    for column in counted & set(whole[0]):
        for by in history.GROUPINGS:
            assert sum(map(int, (row[column] for row in answer(lake, name, by)))) == sum(
                map(int, (row[column] for row in whole))
            ), (column, by)


@pytest.mark.parametrize("name", TRENDS)
def test_a_question_about_last_week_opens_last_weeks_files_only(tmp_path: Path, name: str) -> None:
    """Every older file is made unreadable: an answer proves that none was opened."""
    last = date(2026, 11, 23)
    days = [last - timedelta(days=back) for back in (4000, 400, 30, 8, 3, 0)]
    with new_lake(tmp_path) as lake:
        for day in days:
            commit(
                lake,
                day,
                {
                    "exposure": [exposure("api", day=day, due_date=days[0])],
                    "trait_hit": [
                        trait_hit("api", "public_ip", day=day),
                        trait_hit("api", "cleartext_credentials", day=day, evidence=PASSWORD),
                    ],
                    "lifecycle": [lifecycle("api", opened=days[0], first=days[0], last=day)],
                    "change": [change("gone", "resolved", before="HIGH", opened=days[0])],
                },
            )
        for day in days:
            read_back(lake, day, [finding("api")])
        week = (last - timedelta(days=7), last)
        before = history.run_trend(lake, TRENDS[name], *week).rows
        for file in (tmp_path / "lake" / "results").rglob("*.parquet"):
            if date.fromisoformat(file.parent.name.removeprefix("snapshot_date=")) < week[0]:
                file.write_bytes(b"not Parquet at all")
        assert history.run_trend(lake, TRENDS[name], *week).rows == before != []


def test_a_trend_reads_only_the_tables_it_names(tmp_path: Path) -> None:
    with new_lake(tmp_path) as lake:
        commit(
            lake, ONE, {"exposure": [exposure("api", day=ONE)], "trait_hit": [trait_hit("api", "public_ip", day=ONE)]}
        )
        for file in (tmp_path / "lake" / "results" / "trait_hit").rglob("*.parquet"):
            file.write_bytes(b"not Parquet at all")
        assert pick(answer(lake, "severity_mix"), "open") == [(1,)]


def test_a_trend_without_its_question_or_beyond_history_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "trends"
    folder.mkdir()
    (folder / "silent.sql").write_text("select 1 from history.exposure")
    with pytest.raises(models.ModelError, match=r"silent\.sql.*question"):
        history.load_trends(tmp_path)
    (folder / "silent.sql").write_text("-- What is there?\nselect 1 from resources.service")
    with pytest.raises(models.ModelError, match=r"silent\.sql.*resources\.service"):
        history.load_trends(tmp_path)


def test_a_credential_is_as_old_as_its_value_and_is_one_in_all_services_that_hold_it(tmp_path: Path) -> None:
    def held(service: str, day: date, **secrets: str) -> dict[str, object]:
        evidence = [
            {"container": "app", "source": "environment", "variable": variable, "fingerprint": fingerprint}
            for variable, fingerprint in secrets.items()
        ]
        return trait_hit(service, "cleartext_credentials", day=day, evidence=json.dumps(evidence))

    with new_lake(tmp_path) as lake:
        for day, token in ((ONE, "old"), (TWO, "new"), (THREE, "new")):
            commit(
                lake,
                day,
                {
                    "exposure": [exposure(name, "MEDIUM", day=day) for name in ("api", "web", "gone")],
                    "trait_hit": [
                        held("api", day, DB_PASSWORD="same", API_TOKEN=token),
                        held("web", day, DB_PASSWORD="same"),
                        *([held("gone", day, KEY="k")] if day == ONE else []),
                    ],
                },
            )
        rows = answer(lake, "credential_age")
    wanted = ("variable", "resource_id", "days_unchanged", "times_changed", "services")
    assert pick(rows, *wanted) == [
        ("DB_PASSWORD", arn("api"), 2, 0, 2),
        ("DB_PASSWORD", arn("web"), 2, 0, 2),
        ("API_TOKEN", arn("api"), 1, 1, 1),
    ]
