"""The weekly message of each owner: for a terminal, as Markdown, and as the records behind `--format json`.

Text from outside is shown literally; Markdown goes into chats and e-mails, where a name must neither link nor format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import IO, Any

from ecs_exposure.digest import SECTIONS, Digest, OwnerDigest, Section
from ecs_exposure.exposures import STYLES, legend, severity_text
from ecs_exposure.output import COLUMN_GAP, NARROWEST, cell, clean, console, markdown

ACCOUNTS_SHOWN = 5
NO_OWNER = "no owner"
SEVERITY_WIDTH = len("≥ CRITICAL ↺")
DATES_WIDTH = len("first seen 2026-11-01")

_TITLES = {
    "new": "New",
    "new_carried": "New, not seen on {day}: as last seen",
    "overdue": "Overdue",
    "overdue_carried": "Overdue, not seen on {day}: as last seen",
    "fixed": "Fixed",
}
_MARKDOWN_COLUMNS = ("Severity", "Service", "Account", "First seen", "Due", "Driver", "Best fix", "Finding")


def record(told: Digest) -> dict[str, Any]:
    """The digest in plain containers: per owner each section with `total` and `rows`."""
    return {
        "day": told.day,
        "since": told.since,
        "not_assessed": told.not_assessed,
        "first_day": told.first_day,
        "owners": [
            {
                "owner": one.owner,
                "is_known": one.is_known,
                "open": one.open,
                "accounts_not_seen": one.accounts_not_seen,
                **{name: {"total": one.sections[name].total, "rows": one.sections[name].rows} for name in SECTIONS},
            }
            for one in told.owners
        ],
    }


def notes(told: Digest) -> list[str]:
    """What the rows leave open, in sentences: days that nobody assessed, accounts that were not completely seen."""
    accounts = {account["account_id"]: account for one in told.owners for account in one.accounts_not_seen}
    return [*_period_notes(told), *_account_notes(told.day, list(accounts.values()))]


def print_text(told: Digest, out: IO[str]) -> None:
    """The messages as tables that read well from 100 columns on."""
    from rich.text import Text

    screen = console(out)
    screen.print(Text(f"ECS exposures, {told.since} to {told.day}", style="bold"))
    for note in _period_notes(told):
        screen.print(Text(note, style="yellow"))
    if not told.owners:
        screen.print("No owner has anything new, overdue or fixed.")
    for one in told.owners:
        screen.print()
        screen.print(Text(clean(one.owner or NO_OWNER), style="bold underline"))
        screen.print(Text(_summary(one, told)))
        for note in _account_notes(told.day, one.accounts_not_seen):
            screen.print(Text(note, style="yellow"))
        for title, section in _filled(one, told.day):
            screen.print()
            screen.print(Text(title, style="bold"))
            screen.print(_table(section.rows, screen.width))
            if more := _more(section):
                screen.print(Text(more, style="dim"))
    for line in legend([row for row in told.rows() if row["section"] != "fixed"]):
        screen.print(Text(line, style="dim"))


def print_markdown(told: Digest, out: IO[str]) -> None:
    """The messages as Markdown with GitHub's tables."""
    lines = [f"# ECS exposures, {told.since} to {told.day}", "", *_paragraphs(_period_notes(told))]
    if not told.owners:
        lines += ["No owner has anything new, overdue or fixed.", ""]
    for one in told.owners:
        lines += [f"## {markdown(one.owner or NO_OWNER)}", "", _summary(one, told), ""]
        lines += _paragraphs(_account_notes(told.day, one.accounts_not_seen, markdown))
        for title, section in _filled(one, told.day):
            lines += [f"### {title}", "", _line(_MARKDOWN_COLUMNS), _line("---" for _ in _MARKDOWN_COLUMNS)]
            lines += [_line(_markdown_cells(row)) for row in section.rows]
            lines += ["", *_paragraphs([more] if (more := _more(section)) else [])]
    out.write("\n".join(lines).rstrip("\n") + "\n")


# Sentences


def _period_notes(told: Digest) -> list[str]:
    found = []
    if told.not_assessed:
        found.append(f"Not assessed: {_days(told.not_assessed)}. What came and went meanwhile was not seen.")
    if told.first_day:
        found.append(f"{told.first_day} is the first assessed day: what was open then is not told as new.")
    return found


def _days(days: Sequence[date]) -> str:
    """Sorted days, runs of them as `first to last`."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _account_notes(
    day: date, accounts: Sequence[Mapping[str, str | None]], escaped: Callable[[object], str] = clean
) -> list[str]:
    if not accounts:
        return []
    named = ", ".join(escaped(_account(account)) for account in accounts[:ACCOUNTS_SHOWN])
    more = f" and {len(accounts) - ACCOUNTS_SHOWN} more" if len(accounts) > ACCOUNTS_SHOWN else ""
    return [f"Not completely seen on {day}, so in part unknown: {named}{more}. What was not seen is not called fixed."]


def _account(row: Mapping[str, Any]) -> str:
    """Name and id; still to be escaped."""
    return f"{row['account_name']} {row['account_id']}" if row["account_name"] else str(row["account_id"])


def _summary(one: OwnerDigest, told: Digest) -> str:
    if not one.is_known:
        return f"No exposure is known of this owner on {told.day}, and no change since {told.since}."
    counts = {name: one.sections[name].total for name in SECTIONS}
    carried = counts["new_carried"] + counts["overdue_carried"]
    if not any(counts.values()):
        said = "Nothing new, overdue or fixed"
    else:
        said = (
            f"{counts['new'] + counts['new_carried']} new, {counts['overdue'] + counts['overdue_carried']} overdue"
            + (" (those not seen listed apart)" if carried else "")
            + f", {counts['fixed']} fixed"
        )
    return f"{said}; {one.open} open on {told.day}."


def _filled(one: OwnerDigest, day: date) -> list[tuple[str, Section]]:
    """Titles and sections with something in them."""
    return [
        (f"{_TITLES[name].format(day=day)} ({section.total})", section)
        for name, section in one.sections.items()
        if section.total
    ]


def _more(section: Section) -> str:
    hidden = section.total - len(section.rows)
    return f"and {hidden} more (--limit)" if hidden else ""


def _late(row: Mapping[str, Any]) -> str:
    days = row["days_overdue"]
    if not days:
        return ""
    return f"{days} day{'s' if days > 1 else ''} " + ("late" if row["section"] == "fixed" else "overdue")


def _fix(row: Mapping[str, Any]) -> str:
    """The best single fix in one line, and what it makes of the severity."""
    if not row["fix"]:
        return ""
    becomes = row["severity_after_fix"]
    gain = f"{row['severity']} becomes {becomes}" if becomes != row["severity"] else "lowers the score"
    return f"{str(row['fix']).rstrip('.')} ({gain})"


# Terminal


def _table(rows: Iterable[Mapping[str, Any]], width: int) -> Any:
    """Of fixed widths: all tables of a message stand in one line, and rich need not measure thousands of cells."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    left = max(width - SEVERITY_WIDTH - DATES_WIDTH - 3 * COLUMN_GAP, 2 * NARROWEST)
    table.add_column("Severity", no_wrap=True, width=SEVERITY_WIDTH)
    table.add_column("Service", overflow="fold", width=2 * left // 5)
    table.add_column("Dates", no_wrap=True, width=DATES_WIDTH)
    table.add_column("Driver, best fix", overflow="fold", width=left - 2 * left // 5)
    for row in rows:
        table.add_row(_severity_cell(row), _service_cell(row), _dates_cell(row), _why_cell(row))
    return table


def _severity_cell(row: Mapping[str, Any]) -> Any:
    from rich.text import Text

    before = row["severity_before"]
    if row["section"] == "fixed":
        return Text(before, style=STYLES[before])
    text = severity_text(row)
    return text.append(f"\nwas {before}", style="dim") if before else text


def _service_cell(row: Mapping[str, Any]) -> Any:
    from rich.text import Text

    place = clean(f"{cell(row['cluster_name'])} · {_account(row)} {row['region']}")
    return Text.assemble((cell(row["service_name"]), "bold"), "\n", (place, "dim"))


def _dates_cell(row: Mapping[str, Any]) -> Any:
    from rich.text import Text

    text = Text(f"first seen {cell(row['first_observed_date'])}\ndue {cell(row['due_date'])}")
    if row["section"] == "fixed":
        text.append(f"\nfixed {row['changed_date']}", style="green")
    if late := _late(row):
        text.append(f"\n{late}", style="red")
    return text


def _why_cell(row: Mapping[str, Any]) -> Any:
    from rich.text import Text

    text = Text(cell(row["driver"]))
    if row["cause"] == "rules":
        text.append("\nby our rules alone", style="dim")
    if fix := _fix(row):
        text.append(f"\n{clean(fix)}")
    if row["finding_id"]:
        text.append(f"\n{clean(row['finding_id'])}", style="dim")
    return text


# Markdown


def _paragraphs(sentences: Iterable[str]) -> list[str]:
    return [line for sentence in sentences for line in (sentence, "")]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cells(row: Mapping[str, Any]) -> list[str]:
    least = "at least " if row["is_minimum"] and row["section"] != "fixed" else ""
    if row["section"] == "fixed":
        severity = f"{row['severity_before']}, fixed {row['changed_date']}"
    else:
        severity = f"{least}{row['severity']}" + (f", was {row['severity_before']}" if row["severity_before"] else "")
    driver = cell(row["driver"]) + (", by our rules alone" if row["cause"] == "rules" else "")
    late = f", **{late}**" if (late := _late(row)) else ""
    return [
        severity,
        f"{markdown(cell(row['cluster_name']))}/**{markdown(cell(row['service_name']))}**",
        markdown(f"{_account(row)} {row['region']}"),
        cell(row["first_observed_date"]),
        f"{cell(row['due_date'])}{late}",
        markdown(driver),
        markdown(_fix(row)),
        markdown(row["finding_id"] or ""),
    ]
