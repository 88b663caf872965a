"""The command line. Slow libraries are imported inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from ecs_exposure import cli_decisions, cli_digest, cli_fixes, cli_scan
from ecs_exposure.options import (
    SINCE_HELP,
    AccountOption,
    By,
    DayOption,
    FormatOption,
    LakeOption,
    OuOption,
    OwnerOption,
    Page,
    PageOption,
    Severity,
)
from ecs_exposure.output import Format, clean, print_json, print_rows
from ecs_exposure.settings import load
from ecs_exposure.terminal import FOUND, clear_errors, day_of, open_lake, say, settings_with

HELP = """Organisation-wide exposure scanning for Amazon ECS.

Settings come from the environment (ECS_EXPOSURE_*, see .env.example); options on the command line win.

Exit codes: 0 it worked · 1 something failed · 2 the command or a setting is wrong · 3 there is no data to answer from ·
4 `show --fail-on` found an open exposure at or above that severity.
"""

SHOWN = 50

app = typer.Typer(
    name="ecs-exposure", help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


app.command()(cli_scan.scan)
app.command()(cli_scan.assess)
app.command()(cli_scan.reassess)
app.command()(cli_scan.publish)
app.command()(cli_scan.retain)
app.command()(cli_scan.feeds)


@app.command()
def summary(day: DayOption = None, lake: LakeOption = None, form: PageOption = Page.table) -> None:
    """Print one page on an assessed day.

    Severities, the ten worst, the fixes that help most, changes, what Security Hub was told, and what was not seen.
    """
    with clear_errors():
        from ecs_exposure.history import assessed_day

        settings = settings_with(lake)
        requested = day_of(day)
        with open_lake(settings) as opened:
            cli_scan.print_night(opened, assessed_day(opened, requested), settings, form)


@app.command()
def show(
    severity: Annotated[
        list[Severity] | None,
        typer.Option("--severity", "-s", case_sensitive=False, help="Only this severity; may be repeated."),
    ] = None,
    account: AccountOption = None,
    owner: OwnerOption = None,
    ou: OuOption = None,
    trait: Annotated[
        list[str] | None, typer.Option("--trait", help="Only exposures with this trait; may be repeated.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all/--open", help="Informational exposures too, or only open ones (LOW or above).")
    ] = False,
    accepted: Annotated[
        bool | None,
        typer.Option("--accepted/--not-accepted", help="Only those that are accepted that day, or only the others."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, help=f"Print at most so many (default: {SHOWN} in a table, else all)."),
    ] = None,
    fail_on: Annotated[
        Severity | None,
        typer.Option(
            "--fail-on",
            case_sensitive=False,
            help="Exit with 4 when one that matches the filters is open at or above this.",
        ),
    ] = None,
    day: DayOption = None,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
) -> None:
    """List the exposures of a day, worst first."""
    with clear_errors():
        from ecs_exposure.exposures import OPEN, Filter, exposures, not_seen, print_exposures, severity_counts, some
        from ecs_exposure.history import assessed_day
        from ecs_exposure.schemas.results import RESULTS, SEVERITIES, severity_rank

        settings = settings_with(lake)
        requested = day_of(day)
        severities = [item.value for item in severity] if severity else list(SEVERITIES if everything else OPEN)
        wanted = Filter(severities, account or (), owner or (), ou or (), trait or (), accepted)
        with open_lake(settings) as opened:
            chosen = assessed_day(opened, requested)
            rows = exposures(opened, chosen, wanted, limit=limit or (SHOWN if form is Format.table else None))
            counts = severity_counts(opened, chosen, wanted)
            blind = not_seen(opened, chosen)
        if form is Format.table:
            print_exposures(rows, sum(counts.values()), chosen, sys.stdout)
        else:
            columns = RESULTS["exposure"].column_names
            print_rows(columns, ([row[name] for name in columns] for row in rows), form, sys.stdout)
        if blind:
            named = some(blind, 10, "accounts")
            say(f"note: not completely seen on {chosen}, so partly unknown: {named} (`ecs-exposure summary`)")
        bar = severity_rank(fail_on.value) if fail_on else -1
        if any(severity_rank(found) <= bar and found in OPEN for found in counts):
            raise typer.Exit(FOUND)


@app.command()
def accepted_risks(
    check: Annotated[
        bool, typer.Option("--check", help="Only check the file as it is now; exit with 2 when a line is wrong.")
    ] = False,
    day: DayOption = None,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
) -> None:
    """List the accepted risks of a day, those that want attention first.

    Whether each is in force, how many services it matches, and how many exposures are accepted by it.
    """
    with clear_errors():
        settings = settings_with(lake)
        if check:
            from ecs_exposure.accepted_risks import accepted_risks as read

            count = len(read(settings))
            risks = "1 accepted risk" if count == 1 else f"{count} accepted risks"
            say(f"{settings.accepted_risks_file or 'no file is set'}: {risks}, nothing is wrong")
            return
        from ecs_exposure.accepted_risks_page import COLUMNS, accepted_risk_rows, print_accepted_risks
        from ecs_exposure.history import assessed_day

        requested = day_of(day)
        with open_lake(settings) as opened:
            chosen = assessed_day(opened, requested)
            rows = accepted_risk_rows(opened, chosen)
        if form is Format.table:
            print_accepted_risks(rows, chosen, sys.stdout)
        else:
            print_rows(COLUMNS, ([row[name] for name in COLUMNS] for row in rows), form, sys.stdout)


@app.command()
def explain(
    service: Annotated[str, typer.Argument(help="Name or ARN of the service, or a part of the ARN that only it has.")],
    since: Annotated[
        str | None, typer.Option("--since", metavar="DAY", help=f"Its changes: {SINCE_HELP} (default: 90d).")
    ] = None,
    day: DayOption = None,
    lake: LakeOption = None,
    form: PageOption = Page.table,
) -> None:
    """Explain how one service got its severity.

    Step by step, with its traits and evidence, its way from the internet, what lowers it, and its changes.
    """
    with clear_errors():
        from ecs_exposure.explain import explain as explained
        from ecs_exposure.explain_page import print_explanation
        from ecs_exposure.history import assessed_day

        settings = settings_with(lake)
        requested = day_of(day)
        with open_lake(settings) as opened:
            chosen = assessed_day(opened, requested)
            told = explained(opened, chosen, service, settings.sql, day_of(since, chosen))
        if form is Page.json:
            print_json(dataclasses.asdict(told), sys.stdout)
        else:
            print_explanation(told, sys.stdout)


app.command()(cli_fixes.fix_first)
app.command()(cli_fixes.what_if)
app.command()(cli_decisions.decisions)
app.command()(cli_digest.digest)


@app.command()
def trends(
    name: Annotated[str | None, typer.Argument(help="Name of the trend; without it they are listed.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the trends and the question each answers.")] = False,
    since: Annotated[str | None, typer.Option("--since", metavar="DAY", help=f"{SINCE_HELP} (default: 30d).")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Last day (default: the last assessed one).")
    ] = None,
    by: Annotated[By | None, typer.Option("--by", help="One line per account, organisational unit or owner.")] = None,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Answer a question over the assessed days."""
    with clear_errors():
        from ecs_exposure import history

        settings = settings_with(lake)
        known = {trend.name: trend for trend in history.load_trends(settings.sql)}
        if listed or name is None:
            print_rows(
                ("name", "question"), [(trend.name, trend.question) for trend in known.values()], form, sys.stdout
            )
            return
        if name not in known:
            raise history.QueryError(f"no trend is called {clean(name)!r}; there are {', '.join(known)}")
        last = day_of(until)
        with open_lake(settings) as opened:
            first = day_of(since, last or history.assessed_day(opened, None))
            begin, end = history.period(opened, first, last)
            answer = history.run_trend(opened, known[name], begin, end, by.value if by else None)
        if form is Format.table:
            typer.echo(f"{known[name].question}  ({begin} to {end})\n")
        count = print_rows(answer.columns, answer.rows, form, sys.stdout)
        if form is Format.table:
            typer.echo("" if count else "Nothing in this period.")
            typer.echo(textwrap.fill(known[name].notes, 98))


@app.command()
def sql(
    statement: Annotated[str | None, typer.Argument(help="One SELECT; without it, -f or standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="File holding the statement.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DAY", help=f"{SINCE_HELP} (default: all days).")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Last day.")] = None,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Ask the lake in SQL (DuckDB), read-only.

    Every public table of docs/data-dictionary.md is there, over all assessed days and as `latest.<table>`:

    ecs-exposure sql "select severity, count(*) from latest.exposure group by all"
    """
    with clear_errors():
        from ecs_exposure.history import QueryError, assessed_day, query

        if statement is not None and file is not None:
            raise QueryError("give the statement or a file, not both")
        if statement is None and file is None and sys.stdin.isatty():
            raise QueryError("no statement: give it as argument, with -f FILE, or on standard input")
        text = statement if statement is not None else file.read_text(encoding="utf-8") if file else sys.stdin.read()
        settings = settings_with(lake)
        last = day_of(until)
        with open_lake(settings) as opened:
            first = day_of(since, last or assessed_day(opened, None))
            with query(opened, text, first, last) as (columns, rows):
                print_rows(columns, rows, form, sys.stdout)


@app.command()
def settings(
    example: Annotated[
        bool, typer.Option("--example", help="The defaults, commented out: what .env.example holds.")
    ] = False,
) -> None:
    """Print every setting and its value in force.

    As an environment file, with descriptions; secrets are not shown.
    """
    with clear_errors():
        from ecs_exposure.environment import env_file

        typer.echo("\n".join(map(clean, env_file(None if example else load()).splitlines())))


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
