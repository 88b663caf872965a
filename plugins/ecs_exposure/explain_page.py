"""The explanation of one exposure, for a terminal; text from outside is shown literally."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

from ecs_exposure.explanation import Explanation
from ecs_exposure.exposures import STYLES, legend, severity_text
from ecs_exposure.output import cell, clean, console
from ecs_exposure.severity_steps import LISTED, pairs

FIXES = 8
WORST_VULNERABILITIES = 5
ARITHMETIC = "Each rule and its source: docs/severity.md. Every input of this page: --format json."


def print_explanation(told: Explanation, out: IO[str]) -> None:
    """The explanation for a reader in a terminal; text from outside is shown literally."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    screen, row = console(out), told.exposure

    def heading(text: str) -> None:
        screen.print()
        screen.print(Text(text, style="bold"))

    def show(*parts: Any, indent: int = 2) -> None:
        for part in parts:
            screen.print(Padding(part if not isinstance(part, str) else Text(part), (0, 0, 0, indent)))

    def coloured(before: str, severity: str) -> Text:
        return Text.assemble(before, (severity, STYLES[severity]))

    def grid(rows: Iterable[tuple[Any, ...]], *styles: str) -> Table:
        table = Table.grid(padding=(0, 2))
        for style in styles:
            table.add_column(style=style, overflow="fold")
        for cells in rows:
            table.add_row(*(item if isinstance(item, Text) else Text(cell(item)) for item in cells))
        return table

    screen.print(Text.assemble(severity_text(row), "  ", (clean(row["title"]), "bold")))
    owner = cell(row["owner"]) if row["owner"] else "no owner"
    due = f", due {row['due_date']}" if row["due_date"] else ""
    since = f"open since {told.opened_date}" if told.opened_date else f"first seen {row['first_observed_date']}"
    account = f"{clean(row['account_name'])} {row['account_id']}" if row["account_name"] else row["account_id"]
    show(
        grid(
            [
                ("service", row["resource_id"]),
                ("account", f"{account} · {cell(row['ou_path'])} · {clean(row['region'])}"),
                ("owner", owner),
                ("dates", f"as of {told.day}, {since}{due}"),
                *_acceptance(row),
                ("runs", f"{cell(row['launch_type'])} · {cell(row['task_definition_arns'])}"),
            ],
            "dim", "",
        )
    )  # fmt: skip
    for line in legend([row]):
        show(Text(line, style="dim"))

    heading("How the severity came about")
    steps = [
        (
            f"{number}. {step['step']}",
            Text(clean(step["result"]), style=STYLES.get(step["result"], "bold")),
            step["because"],
        )
        for number, step in enumerate(told.steps, 1)
    ]
    show(grid(steps, "", "", ""))
    if len(told.drivers) > 1:
        heading("Candidates considered")
        show(
            grid(
                [
                    (driver["rank"], coloured("", driver["severity"]), driver["driver"],
                     f"{driver['likelihood']} × {driver['impact']}",
                     driver["rule"].removeprefix("reference/configuration_likelihood: "))
                    for driver in told.drivers
                ],
                "dim", "", "", "", "dim",
            )
        )  # fmt: skip

    if len(told.impact_reasons) > 1 or (told.impact_reasons and row["impact"] != told.impact_reasons[0]["impact"]):
        heading("What a compromise would give")
        show(
            grid(
                [
                    (item["impact"], item["reason"], "gone without " + " or ".join(map(clean, item["needs_traits"]))
                     if item["needs_traits"] else "not from its own traits")
                    for item in told.impact_reasons
                ],
                "bold", "", "dim",
            )
        )  # fmt: skip

    heading("Traits")
    for trait in told.traits:
        if trait["state"] == "unknown":
            show(Text(f"? {clean(trait['trait'])}: unknown, because what it needs was not seen", style="dim italic"))
            continue
        carried = f"  ↺ last seen {trait['observed_date']}" if trait["is_carried"] else ""
        show(Text.assemble("• ", (clean(trait["trait"]), "bold"), f" ({clean(trait['category'])}){carried}"))
        if trait["title"]:
            show(Text(clean(trait["title"])), indent=4)
        evidence = trait["evidence"] if isinstance(trait["evidence"], list) else [trait["evidence"]]
        for item in evidence[:LISTED]:
            show(Text("evidence: " + (pairs(item) if isinstance(item, dict) else cell(item)), style="dim"), indent=4)
        if len(evidence) > LISTED:
            show(Text(f"… and {len(evidence) - LISTED} more (--format json)", style="dim"), indent=4)

    heading("How the internet reaches it")
    if not told.paths:
        show(
            {"NOT_REACHABLE": "No path was found.", "UNKNOWN": "Not decided: what it takes was not seen."}.get(
                row["reachability"], "No path is recorded."
            )
        )
    for path in told.paths:
        show(
            Text(
                f"{path['kind']}"
                + (f", gone without {' or '.join(map(clean, path['needs_traits']))}" if path["needs_traits"] else "")
                + (f", if at all: {cell(path['unseen'])} was not seen" if path["unseen"] else ""),
                style="dim",
            )
        )
        for number, hop in enumerate(path["hops"] if isinstance(path["hops"], list) else [path["hops"]]):
            show(("└▶ " if number else "") + _hop(hop), indent=2 + 2 * number)

    if told.images:
        heading("Images")
        show(
            grid(
                [
                    (image["container_name"], image["image"], clean(image["scan_status"]).replace("_", " "),
                     "running" if image["is_running"] else f"last running {cell(image['last_running_date'])}")
                    for image in told.images
                ],
                "", "", "", "dim",
            )
        )  # fmt: skip
    for shown, title in (
        (told.vulnerabilities, "Worst vulnerabilities"),
        (told.suppressed, "Suppressed in Amazon Inspector (they count nothing)"),
    ):
        if shown:
            heading(f"{title} ({min(len(shown), WORST_VULNERABILITIES)} of {len(shown)})")
            cells = [
                (item["vulnerability_id"], item["severity"], item["packages"], _exploitation(item), _remedy(item))
                for item in shown[:WORST_VULNERABILITIES]
            ]
            show(grid(cells, "", "", "", "", "dim"))
    if any(item.get("lev") is not None for item in told.vulnerabilities[:WORST_VULNERABILITIES]):
        show(Text("LEV: NIST CSWP 41's estimate that it was exploited already; shown, never decisive", style="dim"))

    heading("What lowers it")
    helpful = [fix for fix in told.fixes if fix["score_after"] < fix["score_before"]]
    if helpful:
        show(
            grid(
                [
                    (
                        f"{fix['rank']}.",
                        fix["description"],
                        coloured("→ ", fix["severity_after"]),
                        f"score {fix['score_before']:.0f} → {fix['score_after']:.0f}",
                    )
                    for fix in helpful[:FIXES]
                ],
                "dim",
                "",
                "",
                "dim",
            )
        )
        if len(helpful) > FIXES:
            show(Text(f"… and {len(helpful) - FIXES} more (--format json)", style="dim"))
    else:
        show("No single fix lowers it: it takes several together." if told.fixes else "No fix is recorded.")

    if told.not_seen:
        heading("What was not seen (unknown, not absent)")
        show(
            grid(
                [
                    (item["dataset"], item["status"], f"last seen {cell(item['observed_date'])}", item["message"])
                    for item in told.not_seen
                ],
                "", "bold", "dim", "",
            )
        )  # fmt: skip

    heading(f"Changes since {told.changes_since}")
    if not told.changes:
        show("None.")
    for change in told.changes:
        why = "  (our rules changed, not the service)" if change["cause"] == "rules" else ""
        moved = f"{change['severity_before'] or 'none'} → {change['severity_after'] or 'none'}"
        traits = [f"+{clean(name)}" for name in change["traits_added"]] + [
            f"−{clean(name)}" for name in change["traits_removed"]
        ]
        show(f"{change['snapshot_date']}  {change['change']:<9} {moved}  {' '.join(traits)}{why}")

    screen.print()
    show(Text(ARITHMETIC, style="dim"))


def _acceptance(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Until when it is accepted, or which traits accepted risks would (still) have to name."""
    rests_on, accepted = row["severity_traits"] or [], row["accepted_traits"] or []
    if row["severity"] == "INFORMATIONAL" or not rests_on:  # NULL on days assessed before the columns were there
        return []
    if row["accepted_until"]:
        until = f"until {row['accepted_until']} by {cell(row['accepted_by'])}: {cell(row['accepted_reason'])}"
        return [("accepted", until)]
    if not accepted:
        return [("rests on", cell(rests_on))]
    lacking = cell([trait for trait in rests_on if trait not in accepted])
    return [("accepted", f"no: {cell(accepted)} would be, but not {lacking}")]


def _exploitation(item: Mapping[str, Any]) -> str:
    words = [
        "known exploited" if item["kev"] else None,
        "exploit public" if item["exploit_available"] else None,
        "EPSS not known" if item["probability"] is None else f"p {item['probability']:.3f}",
        f"LEV {item['lev']:.3f}" if item.get("lev") is not None else None,
        None if item["counts"] else "kernel package: counts nothing",
    ]
    return ", ".join(word for word in words if word) + (" ↺" if item["is_carried"] else "")


def _remedy(item: Mapping[str, Any]) -> str:
    return cell(
        item["fix_command"] or (f"fixed in {item['fixed_in_version']}" if item["fixed_in_version"] else "no fix named")
    )


def _hop(hop: Any) -> str:
    """`route rtb-1 (0.0.0.0/0)`; what an earlier version stored in another form is shown as it is."""
    if not isinstance(hop, Mapping):
        return cell(hop)
    if "hop" not in hop:
        return pairs(hop)
    detail = f" ({cell(hop['detail'])})" if hop.get("detail") else ""
    return f"{cell(hop['hop'])} {cell(hop['id']) if hop.get('id') else ''}".rstrip() + detail
