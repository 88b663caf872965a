"""The summary of a night on one page, for a terminal of 100 columns or more; text from outside is shown literally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import IO, Any

from ecs_exposure.exposures import STYLES, exposure_table, legend, some
from ecs_exposure.output import cell, clean, console
from ecs_exposure.schemas.results import COVERAGE_STATUSES
from ecs_exposure.summary import WORST, Summary, is_blind

ACCOUNTS_SHOWN = 12
MOST_SUPPRESSED = 10
MOVES_SHOWN = 4
MESSAGE_SHOWN = 160  # characters; `ecs-exposure sql "from latest.coverage"` has it whole


def print_summary(told: Summary, out: IO[str]) -> None:
    """The summary for a reader in a terminal of 100 columns or more; text from outside is shown literally."""
    from rich.text import Text

    screen = console(out)

    def section(title: str, note: str = "") -> None:
        screen.print()
        screen.print(Text.assemble((title, "bold"), (f"  {note}" if note else "", "dim")))

    _print_header(told, screen)
    section("Exposures by severity", _severity_note(told))
    _print_severities(told, screen)
    if accepted := _accepted(told.accepted_risks):
        screen.print(Text(accepted, style="dim"))
    section(f"The {min(WORST, len(told.worst))} worst" if told.worst else "The worst")
    if told.worst:
        screen.print(exposure_table(told.worst, told.day))
        for line in legend(told.worst):
            screen.print(Text(line, style="dim"))
        screen.print(Text("Why, and what lowers it: ecs-exposure explain SERVICE", style="dim"))
    else:
        screen.print(
            "No exposure is open."
            if not any(map(is_blind, told.accounts))
            else "No exposure was found where the scan could see."
        )
    if told.fixes:
        section("Fixes that lower severity most")
        _print_fixes(told.fixes, screen)
    section("Changes", f"since {told.previous_day}" if told.previous_day else "")
    _print_changes(told, screen)
    section("Security Hub")
    _print_publication(told, screen)
    _print_reading(told, screen)
    section("Coverage", "datasets seen per account; what was not seen is unknown, not absent")
    _print_coverage(told, screen)
    screen.print(Text(_images(told.images), style="yellow" if _not_scanned(told.images) else "dim"))
    screen.print()
    for name, place in (("Lake       ", told.lake), ("Data Docs  ", told.data_docs)):
        screen.print(Text.assemble((name, "dim"), clean(place)), soft_wrap=True)  # one line, to be copied whole


def _print_header(told: Summary, screen: Any) -> None:
    from rich.panel import Panel
    from rich.text import Text

    organization = f" · organisation of {told.organization_account_id}" if told.organization_account_id else ""
    blind = [row for row in told.accounts if is_blind(row)]
    seen = len(told.accounts) - len(blind)
    regions = f"{_many(len(told.regions), 'Region')} ({', '.join(told.regions) or 'none'})"
    scope = f"{_many(len(told.accounts), 'account')} × {regions}"
    services = "services: not known" if told.services_seen is None else _many(told.services_seen, "service") + " seen"
    lines = [
        Text.assemble(("Exposure of Amazon ECS services", "bold"), f"{organization} · {told.day}"),
        Text(f"{scope} · {services}"),
    ]
    if blind:
        named = ", ".join(_account(row) for row in blind[:3]) + (
            f" and {len(blind) - 3:,} more" if len(blind) > 3 else ""
        )
        lines.append(
            Text(
                f"{_many(seen, 'account')} seen completely; not completely seen, so in part unknown: {named}",
                style="yellow",
            )
        )
    screen.print(Panel(Text("\n").join(lines), expand=True))


def _severity_note(told: Summary) -> str:
    return (
        f"services, and the change since {told.previous_day}"
        if told.previous_day
        else "services; no earlier day to compare with"
    )


def _print_severities(told: Summary, screen: Any) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    most = max((row["services"] for row in told.severities), default=0) or 1
    for row in told.severities:
        count, before = row["services"], row["services_before"]
        difference = Text("")
        if before is not None:
            moved = count - before
            colour = "" if not moved or row["severity"] == "INFORMATIONAL" else "red" if moved > 0 else "green"
            difference = Text(f"{moved:+,d}" if moved else "±0", style=colour or "dim")
        notes = [
            f"{row['at_least']:,} at least" if row["at_least"] else "",
            f"{row['carried']:,} carried over, not seen today" if row["carried"] else "",
        ]
        bar = Text(
            "█" * max(1, round(30 * count / most)) if count else "",
            style=STYLES[row["severity"]].replace("white on ", ""),
        )
        table.add_row(
            Text(row["severity"], style=STYLES[row["severity"]]), Text(f"{count:,}", justify="right"), difference, bar,
            Text(", ".join(note for note in notes if note), style="dim"),
        )  # fmt: skip
    screen.print(table)


def _accepted(risks: Mapping[str, int]) -> str:
    """How many exposures are accepted and which entries of the file want attention; empty without any entry."""
    if not risks["entries"]:
        return ""
    attention = [
        f"{risks[name]:,} {words}"
        for name, words in (("expired", "expired"), ("unmatched", "in force match nothing"))
        if risks[name]
    ]
    told = f" ({', '.join(attention)})" if attention else ""
    exposures, entries = _many(risks["exposures"], "exposure"), _many(risks["entries"], "accepted risk")
    return f"{exposures} accepted by {entries}{told}: ecs-exposure accepted-risks"


def _print_fixes(fixes: Sequence[Mapping[str, Any]], screen: Any) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("Fix", overflow="fold", ratio=1)
    table.add_column("Services", justify="right")
    table.add_column("Severity removed", overflow="fold", max_width=34)
    for fix in fixes:
        table.add_row(Text(clean(fix["description"])), f"{fix['services']:,}", Text(_moves(fix["moves"])))
    screen.print(table)


def _moves(moves: Sequence[Mapping[str, Any]]) -> str:
    """`3 × HIGH → LOW`, in the order given; of many kinds only the severities that are lowered."""
    if len(moves) <= MOVES_SHOWN:
        return ", ".join(f"{move['fixes']:,} × {move['severity_before']} → {move['severity_after']}" for move in moves)
    lowered: Counter[str] = Counter()
    for move in moves:
        lowered[move["severity_before"]] += move["fixes"]
    return ", ".join(f"{count:,} × {severity}" for severity, count in lowered.items())


def _print_changes(told: Summary, screen: Any) -> None:
    from rich.table import Table
    from rich.text import Text

    if told.previous_day is None:
        screen.print("This is the first assessed day: there is nothing to compare it with.")
        return
    screen.print(
        Text(_counted(told.changes["estate"]) if told.changes.get("estate") else "Nothing changed in the estate.")
    )
    if told.changes.get("rules"):
        screen.print(
            Text(f"By our rules alone, the estate being the same: {_counted(told.changes['rules'])}", style="dim")
        )
    table = Table.grid(padding=(0, 2))
    for row in told.notable_changes:
        moved = f"{row['severity_before'] or 'none'} → {row['severity_after'] or 'none'}"
        traits = [f"+{clean(name)}" for name in row["traits_added"]] + [
            f"−{clean(name)}" for name in row["traits_removed"]
        ]
        account = clean(row["account_name"] or row["account_id"])
        service = f"{cell(row['cluster_name'])}/{cell(row['service_name'])} ({account})"
        cause = Text("our rules", style="dim") if row["cause"] == "rules" else Text("")
        table.add_row(
            Text(f"  {row['change']}"), Text(moved), Text(service), Text(" ".join(traits), style="dim"), cause
        )
    if told.notable_changes:
        screen.print(table)
    total = sum(count for counts in told.changes.values() for change, count in counts.items() if change != "changed")
    if more := total - len(told.notable_changes):
        screen.print(Text(f"  and {more:,} more: ecs-exposure sql 'from latest.change'", style="dim"))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {change}" for change, count in counts.items())


_OUTCOMES = {
    "sent": "sent", "archived": "archived because fixed", "unchanged": "unchanged, not sent again", "failed": "failed",
    "sending": "cut off (run `ecs-exposure publish` again)", "denied": "denied",
    "not_enabled": "not sent: Security Hub is not enabled there",
    "dry_run": "would be sent (dry run)",
    "not_sent": "not sent: held back for the nights to come, or publishing has not run or is off",
}  # fmt: skip


_FOUND = {
    "missing": "missing there", "altered": "altered there",
    "unclaimed": "under our generator that the ledger does not know, left alone",
}  # fmt: skip


def _print_publication(told: Summary, screen: Any) -> None:
    from rich.text import Text

    parts = [f"{told.publication[name]:,} {words}" for name, words in _OUTCOMES.items() if told.publication.get(name)]
    screen.print(Text(" · ".join(parts) if parts else "Nothing to send."))
    for row in told.publication_errors:
        place = f"{clean(row['account_id'])} {clean(row['region'])}"
        words = f"{row['findings']:,} {clean(row['status']).replace('_', ' ')} in {place}"
        why = ": ".join(clean(part) for part in (row["error_code"], row["error_message"]) if part)
        screen.print(Text(f"  {words}" + (f": {why}" if why else ""), style="yellow"))


def _print_reading(told: Summary, screen: Any) -> None:
    from rich.text import Text

    read = told.readings
    if read["places"]:
        found = [f"{read[name]:,} {words}" for name, words in _FOUND.items() if read[name]]
        screen.print(
            Text(
                f"Read back {_many(read['places'], 'account and Region', 'accounts and Regions')}: "
                + (" · ".join(found) or "all as told")
            )
        )
    if read["places_not_read"]:
        not_read = _many(read["places_not_read"], "account and Region", "accounts and Regions")
        screen.print(Text(f"  {not_read} could not be read back", style="yellow"))
    if told.suppressed:
        screen.print(
            Text(
                f"{_many(len(told.suppressed), 'finding')} of CRITICAL or HIGH suppressed in Security Hub, "
                "the risk not accepted (ecs-exposure decisions):",
                style="yellow",
            )
        )
    for row in told.suppressed[:MOST_SUPPRESSED]:
        name = clean(f"{row['cluster_name']}/{row['service_name']}")
        place = clean(f"{row['account_name'] or row['account_id']} {row['region']}")
        screen.print(Text(f"  {row['severity']} {name} in {place}"))
    if len(told.suppressed) > MOST_SUPPRESSED:
        screen.print(Text(f"  and {len(told.suppressed) - MOST_SUPPRESSED:,} more"))


def _print_coverage(told: Summary, screen: Any) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    used = [status for status in COVERAGE_STATUSES if status == "ok" or any(row[status] for row in told.accounts)]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("Account", overflow="fold", ratio=2)
    for status in used:
        table.add_column(status.replace("_", " "), justify="right")
    table.add_column("", overflow="fold", ratio=4)
    shown = told.accounts[:ACCOUNTS_SHOWN]
    for row in shown:
        figures = [
            Text(f"{row[status]:,}", style="dim" if not row[status] else "" if status == "ok" else "yellow")
            for status in used
        ]
        table.add_row(Text(_account(row)), *figures, _coverage_note(row))
    rest = told.accounts[len(shown) :]
    if rest:
        blind = sum(map(is_blind, rest))
        note = f"{blind:,} of them not completely seen" if blind else "completely seen"
        table.add_row(
            Text(_many(len(rest), "more account")), *(f"{sum(row[status] for row in rest):,}" for status in used), note
        )
    screen.print(table)


def _coverage_note(row: Mapping[str, Any]) -> Any:
    from rich.text import Text

    notes = Text()
    if is_blind(row):
        datasets = row["not_seen_datasets"]
        what = f"UNKNOWN: {some(datasets, 3, 'datasets')}" if row["ok"] else "UNKNOWN"
        last = f"last seen {row['last_seen_date']}, carried over since" if row["last_seen_date"] else "never seen"
        notes.append(f"{what}, {last}. ", style="bold yellow")
        notes.append(_shortened(row["message"] or ""))
    if row["not_enabled_datasets"]:
        notes.append(
            ("; " if notes else "") + f"not enabled: {some(row['not_enabled_datasets'], 3, 'datasets')}", style="dim"
        )
    return notes


_SCAN_STATUSES = {
    "not_in_ecr": "outside Amazon ECR", "never_scanned": "never scanned", "no_longer_scanned": "no longer scanned",
    "unsupported": "not scannable", "unknown": "not known to be",
}  # fmt: skip


def _not_scanned(images: Mapping[str, int]) -> dict[str, int]:
    return {status: count for status, count in images.items() if status != "scanned"}


def _images(images: Mapping[str, int]) -> str:
    """How many of the images that run are not scanned, and why: nothing is known of their vulnerabilities."""
    total, missing = sum(images.values()), _not_scanned(images)
    if not missing:
        return f"All {_many(total, 'image')} that run are scanned." if total else "No image runs."
    why = ", ".join(f"{count:,} {_SCAN_STATUSES.get(status, clean(status))}" for status, count in missing.items())
    return f"{sum(missing.values()):,} of {_many(total, 'image')} not scanned, their vulnerabilities unknown: {why}"


def _shortened(text: str) -> str:
    words = clean(text)
    return words if len(words) <= MESSAGE_SHOWN else words[: MESSAGE_SHOWN - 1].rstrip() + "…"


def _account(row: Mapping[str, Any]) -> str:
    return f"{clean(row['account_name'])} {row['account_id']}" if row["account_name"] else str(row["account_id"])


def _many(count: int, noun: str, nouns: str | None = None) -> str:
    return f"{count} {noun}" if count == 1 else f"{count:,} {nouns or noun + 's'}"
