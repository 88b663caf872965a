"""What one night makes of the night before: changes with their cause, lifecycles, dates, and what blindness
leaves standing.

Three nights of one organisation; each service's story is told in one row of STORIES. Account `BLIND` refuses
access on the second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS

from tests.exposures.night import DAY, Night, Results, Row, assess, cve, day_after

BLIND = "444455556666"
EPSS = cve(epss=0.5)
MINOR = cve(vector="AV:N/AC:L/PR:L/UI:N/C:L/I:L/A:N", packages=("zlib",))
OUT: dict[str, Any] = {}

# A service on three nights: the options of each (None: not there), and the changes of the second and third.
STORIES: dict[str, tuple[list[dict[str, Any] | None], list[tuple[str, str | None, str | None] | None]]] = {
    "steady": ([{"public": True}] * 3, [None, None]),
    "opened": (
        [{"role": "scoped"}, {"role": "scoped", "public": True}, {"role": "scoped", "public": True}],
        [("opened", "INFORMATIONAL", "LOW"), None],
    ),
    "born": ([None, {"public": True}, {"public": True}], [("opened", None, "LOW"), None]),
    "born-harmless": (
        [None, {"role": "scoped"}, {"role": "data"}],
        [None, ("changed", "INFORMATIONAL", "INFORMATIONAL")],
    ),
    "resolved": (
        [{"public": True}, {"role": "scoped"}, {"role": "scoped"}],
        [("resolved", "LOW", "INFORMATIONAL"), None],
    ),
    "clean": ([{"public": True}, OUT, OUT], [("resolved", "LOW", None), None]),
    "deleted": ([{"public": True}, None, None], [("resolved", "LOW", None), None]),
    "deleted-harmless": ([{"role": "scoped"}, None, None], [None, None]),
    "worsened": (
        [{"public": True}, {"public": True, "cves": (EPSS,)}, {"public": True, "cves": (EPSS,)}],
        [("worsened", "LOW", "HIGH"), None],
    ),
    "improved": (
        [{"public": True, "cves": (EPSS,)}, {"public": True}, {"public": True}],
        [("improved", "HIGH", "LOW"), None],
    ),
    "changed": (
        [{"public": True}, {"public": True, "cves": (MINOR,)}, {"public": True}],
        [("changed", "LOW", "LOW"), ("changed", "LOW", "LOW")],
    ),
    "changed-below": (
        [{"role": "scoped"}, {"role": "scoped", "has_open_group": True}, {"role": "scoped"}],
        [("changed", "INFORMATIONAL", "INFORMATIONAL"), ("changed", "INFORMATIONAL", "INFORMATIONAL")],
    ),
    "absent": ([{"public": True}, OUT, {"public": True}], [("resolved", "LOW", None), ("opened", None, "LOW")]),
    "urgent": (
        [{"public": True}, {"public": True, "cves": (EPSS,)}, {"public": True}],
        [("worsened", "LOW", "HIGH"), ("improved", "HIGH", "LOW")],
    ),
}


@dataclass
class Story:
    nights: list[Results] = field(default_factory=list)

    def exposure(self, night: int, service: str) -> Row:
        return self.nights[night].exposures()[service]

    def lifecycle(self, night: int, service: str) -> Row:
        [row] = self.nights[night].rows("lifecycle", service)
        return row


@pytest.fixture(scope="module")
def story() -> Story:
    told = Story()
    for number in range(3):
        night = Night(day=day_after(DAY, number))
        for name, (shapes, _) in STORIES.items():
            shape = shapes[number]
            if shape is not None:
                night.service(name, **shape)
        if number == 1:
            # The account refuses: its rows are those of the first night.
            night.observed = DAY
            night.account(BLIND)
            night.unseen(*SNAPSHOTS, account_id=BLIND, since=DAY)
        for name in ("blind", "blind-deleted"):
            if number < 2 or name == "blind":
                night.service(name, account_id=BLIND, public=True, cves=(cve(id="CVE-2026-7", epss=0.5),))
        night.observed = None
        told.nights.append(assess(night, told.nights[-1] if told.nights else None))
    return told


def test_the_first_night_has_no_changes(story: Story) -> None:
    assert story.nights[0].rows("change") == []


@pytest.mark.parametrize("name", STORIES)
def test_story(story: Story, name: str) -> None:
    for number, wanted in enumerate(STORIES[name][1], start=1):
        row = story.nights[number].changes().get(name)
        told = row and (row["change"], row["severity_before"], row["severity_after"])
        assert told == wanted, f"night {number + 1}"
        assert row is None or row["cause"] == "estate"


def test_traits_of_a_change_are_named(story: Story) -> None:
    row = story.nights[1].changes()["worsened"]
    assert (row["traits_added"], row["traits_removed"]) == (["high_priority_vulnerability"], [])
    row = story.nights[1].changes()["deleted"]
    left = ["internet_reachable", "open_security_group", "public_ip"]
    assert (row["traits_added"], row["traits_removed"]) == ([], left)
    assert (row["service_name"], row["cluster_name"], row["ou_path"]) == ("deleted", "main", "/Shop")


def test_a_denied_account_is_neither_resolved_nor_improved(story: Story) -> None:
    for name in ("blind", "blind-deleted"):
        first, second = story.exposure(0, name), story.exposure(1, name)
        assert name not in story.nights[1].changes()
        assert (second["severity"], second["score"], second["driver"]) == (
            first["severity"],
            first["score"],
            first["driver"],
        )
        assert second["is_carried"] and second["is_minimum"]
        assert second["observed_date"] == DAY
        assert second["due_date"] == first["due_date"]
    # Seen again: the one that is gone was resolved, measured from the night it was opened; the other goes on.
    [gone] = story.nights[2].rows("change", "blind-deleted")
    assert (gone["change"], gone["opened_date"]) == ("resolved", DAY)
    assert "blind" not in story.nights[2].changes()
    assert not story.exposure(2, "blind")["is_carried"]


def test_each_trait_says_the_day_on_which_all_it_rests_on_was_last_seen() -> None:
    night = Night(day=day_after(DAY, 3))
    blind = {"111100000000": None, "222200000000": DAY, "333300000000": day_after(DAY), "444400000000": day_after(DAY)}
    for account, since in blind.items():
        night.observed = since
        night.account(account)
        if since:
            night.unseen("security_group_rule", account_id=account, since=since)
        night.service(account, account_id=account, public=True)
    seen = {
        (row["account_id"], row["trait"]): row["observed_date"] for row in assess(night).rows("trait_hit")
        if row["state"] == "hit"
    }  # fmt: skip
    for account, since in blind.items():
        assert seen[account, "open_security_group"] == seen[account, "internet_reachable"] == (since or night.day)
        assert seen[account, "public_ip"] == night.day


def test_first_observed_survives_an_absence_and_the_open_stretch_starts_anew(story: Story) -> None:
    assert story.lifecycle(1, "absent")["opened_date"] is None
    assert story.lifecycle(1, "absent")["last_observed_date"] == DAY
    again = story.exposure(2, "absent")
    assert again["first_observed_date"] == DAY
    assert story.lifecycle(2, "absent")["opened_date"] == day_after(DAY, 2)
    assert again["due_date"] == day_after(DAY, 2 + 180)
    assert story.nights[1].changes()["absent"]["opened_date"] == DAY


def test_an_open_stretch_begins_where_the_line_is_crossed(story: Story) -> None:
    assert story.lifecycle(0, "opened")["opened_date"] is None
    assert story.lifecycle(1, "opened")["opened_date"] == day_after(DAY)
    assert story.lifecycle(2, "opened")["opened_date"] == day_after(DAY)
    assert story.lifecycle(2, "opened")["first_observed_date"] == DAY
    assert story.lifecycle(2, "deleted")["opened_date"] is None


def test_due_dates_never_move_later_while_open(story: Story) -> None:
    assert [story.exposure(night, "steady")["due_date"] for night in range(3)] == [day_after(DAY, 180)] * 3
    assert story.exposure(1, "urgent")["due_date"] == day_after(DAY, 1 + 3)
    assert story.exposure(2, "urgent")["due_date"] == day_after(DAY, 1 + 3)
    assert story.exposure(1, "resolved")["due_date"] is None


def test_an_unchanged_night_changes_nothing_but_dates(story: Story) -> None:
    dated = {"snapshot_date", "observed_date", "last_observed_date"}
    for table in ("exposure", "scenario", "fix", "driver", "trait_hit", "path"):
        for service in ("steady", "born"):
            second, third = (
                [
                    {key: value for key, value in row.items() if key not in dated}
                    for row in story.nights[number].rows(table, service)
                ]
                for number in (1, 2)
            )
            assert second == third, table


def test_what_only_new_rules_explain_says_rules() -> None:
    night = Night()
    night.service("ruled", public=True)
    night.service("estate", public=True)
    night.service("ruled-away", role="scoped")
    today_rules = assess(night)
    yesterday = assess(night)
    # Yesterday's rules said otherwise of all three.
    rows = yesterday.rows("exposure")
    for row in rows:
        row["severity"] = "MEDIUM"
    yesterday.tables["exposure"] = RESULTS["exposure"].to_arrow(rows)
    tomorrow = Night(day=day_after(DAY))
    tomorrow.service("ruled", public=True)
    tomorrow.service("estate", public=True, cves=(cve(epss=0.5),))
    tomorrow.service("ruled-away", role="scoped")
    told = assess(tomorrow, yesterday, rebased=today_rules).changes()
    assert {name: (row["change"], row["cause"]) for name, row in told.items()} == {
        "ruled": ("improved", "rules"),
        "estate": ("worsened", "estate"),
        "ruled-away": ("resolved", "rules"),
    }


def test_losing_a_datum_neither_raises_nor_lowers() -> None:
    known = {
        "likely": cve(epss=0.5),
        "unlikely": cve(epss=0.005, exploit=True),
        "listed": cve(kev=True),
        "exploited": cve(epss=0.02, exploit=True),
        "partial": cve(vector="AV:N/AC:L/PR:L/UI:N/C:L/I:L/A:N", epss=0.5),
        "denial": cve(vector="AV:N/AC:L/PR:N/UI:N/C:N/I:N/A:H", epss=0.5),
    }
    lost = cve(vector=None, epss=None, kev=None, exploit=None, severity="CRITICAL")
    yesterday, today = Night(), Night(day=day_after(DAY))
    for name, item in known.items():
        yesterday.service(name, public=True, role="data", cves=(item,))
        today.service(name, public=True, role="data", cves=(lost,))
    before = assess(yesterday)
    after = assess(today, before)
    assert {name: row["severity"] for name, row in after.exposures().items()} == {
        name: row["severity"] for name, row in before.exposures().items()
    }
    assert after.rows("change") == []
