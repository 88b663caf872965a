"""Why a service has its severity: what was seen, how that became a severity step by step, what would lower it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import IO, Any

from ecs_exposure.exposures import STYLES, connect_to_day, find, legend, severity_text
from ecs_exposure.history import fetch
from ecs_exposure.lake import Lake
from ecs_exposure.models import connect, trait_texts
from ecs_exposure.output import cell, clean, console

HISTORY_DAYS = 90
WORST_VULNERABILITIES = 5

_DAY_TABLES = ("trait_hit", "driver", "path", "fix", "service_image", "image_vulnerability", "coverage", "lifecycle")
_VULNERABILITIES = f"""
select vulnerability_id, any_value(severity) as severity, max(probability) as probability, bool_or(kev) as kev,
    bool_or(exploit_available) as exploit_available, bool_or(high_priority) as high_priority,
    list_sort(list(distinct package_name)) as packages, any_value(fixed_in_version) as fixed_in_version,
    any_value(fix_command) as fix_command, count(distinct image_digest) as images, bool_and(is_carried) as is_carried
from today.image_vulnerability
where not is_suppressed
    and (registry_account, region, image_digest) in (
        select (registry_account, registry_region, image_digest) from today.service_image
        where resource_id = $resource_id
    )
group by vulnerability_id
order by high_priority desc, probability desc nulls last, vulnerability_id
limit {WORST_VULNERABILITIES}"""
_COVERAGE = """
select region, dataset, status, message, observed_date from today.coverage
where account_id = $account_id and region in ($region, 'global') and status <> 'ok'
order by dataset"""


@dataclass(frozen=True)
class Explanation:
    """An exposure with everything that led to it: rows of the public tables as dictionaries, JSON columns parsed."""

    day: date
    exposure: dict[str, Any]
    steps: list[dict[str, str]]
    traits: list[dict[str, Any]]
    paths: list[dict[str, Any]]
    drivers: list[dict[str, Any]]
    images: list[dict[str, Any]]
    vulnerabilities: list[dict[str, Any]]
    fixes: list[dict[str, Any]]
    not_seen: list[dict[str, Any]]
    opened_date: date | None
    changes: list[dict[str, Any]]
    changes_since: date


def explain(lake: Lake, day: date, text: str, sql: Path, since: date | None = None) -> Explanation:
    """The explanation of one service's exposure on `day`, with its changes since `since` (ninety days before `day`).

    `text` is what `exposures.find` takes, and what that raises is raised. `sql` is the folder with the trait texts.
    """
    exposure = find(lake, day, text)
    resource = {"resource_id": exposure["resource_id"]}
    connection = connect_to_day(lake, day, _DAY_TABLES)

    def of(table: str, order: str) -> list[dict[str, Any]]:
        return fetch(
            connection, f"select * from today.{table} where resource_id = $resource_id order by {order}", resource
        ).records()

    texts = {item.trait: item for item in trait_texts(sql)}
    traits = of("trait_hit", "state, trait")
    for trait in traits:
        known = texts.get(trait["trait"])
        trait["title"] = known.title if known else None
        trait["recommendation"] = known.recommendation if known else None
        trait["url"] = known.url if known else None
        trait["evidence"] = _parsed(trait["evidence"])
    paths, drivers = of("path", "kind, path_id"), of("driver", "rank")
    for path in paths:
        path["hops"] = _parsed(path["hops"])
    for driver in drivers:
        driver["inputs"] = _parsed(driver["inputs"])
    exposure["tags"] = _parsed(exposure["tags"])
    lifecycle = of("lifecycle", "snapshot_date")
    begin = since or day - timedelta(days=HISTORY_DAYS)
    history = connect()
    lake.attach_history(history, "history", since=begin, until=day, tables=["change"])
    changes = fetch(
        history, "select * from history.change where resource_id = $resource_id order by snapshot_date desc", resource
    ).records()
    where = {"account_id": exposure["account_id"], "region": exposure["region"]}
    return Explanation(
        day=day,
        exposure=exposure,
        steps=severity_steps(exposure, drivers),
        traits=traits,
        paths=paths,
        drivers=drivers,
        images=of("service_image", "container_name, image"),
        vulnerabilities=fetch(connection, _VULNERABILITIES, resource).records(),
        fixes=of("fix", "rank"),
        not_seen=fetch(connection, _COVERAGE, where).records(),
        opened_date=lifecycle[0]["opened_date"] if lifecycle else None,
        changes=changes,
        changes_since=begin,
    )


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def severity_steps(exposure: Mapping[str, Any], drivers: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """How the severity came about, in order: `step`, the `result` it gave, and `because`, the rule and its source."""
    steps = []
    shown = next((driver for driver in drivers if driver["driver"] == exposure["driver"]), None)
    reached = {
        "DIRECT": "the internet reaches it directly",
        "VIA_LOAD_BALANCER": "the internet reaches it through a load balancer",
        "NOT_REACHABLE": "no path from the internet was found",
        "UNKNOWN": "whether the internet reaches it could not be decided",
    }[exposure["reachability"]]
    steps.append(_step("Exposed", "yes" if exposure["is_exposed"] else "no", reached))
    if exposure["driver"] is None:
        steps.append(_step("Driver", "none", "nothing found decides a severity by itself"))
    else:
        steps.append(_step("Driver", exposure["driver"], _driver_reason(shown)))
        inputs = (
            f" ({_pairs(shown['inputs'])})" if shown and isinstance(shown["inputs"], dict) and shown["inputs"] else ""
        )
        steps.append(
            _step("Likelihood", exposure["likelihood"], f"{exposure['driver_rule'] or 'rule not recorded'}{inputs}")
        )
    steps.append(
        _step(
            "Impact", exposure["impact"], exposure["impact_reason"] or "nothing the containers hold or may do raises it"
        )
    )
    if exposure["driver"] is None:
        reason = "a service without a driver is informational: kept in the lake, not published"
    elif exposure["impact"] == "Unknown":
        reason = "the impact is not known, so the likelihood alone decides"
    else:
        reason = f"AWS's matrix: likelihood {exposure['likelihood']} × impact {exposure['impact']}"
    before = shown["severity"] if shown and shown["severity"] != exposure["severity"] else None
    steps.append(_step("Severity", before or exposure["severity"], reason))
    if before:
        cap = (
            "nothing runs and nothing is desired: at most MEDIUM"
            if exposure["is_dormant"]
            else "adjusted for the whole service"
        )
        steps.append(_step("Dormant" if exposure["is_dormant"] else "Adjusted", exposure["severity"], cap))
    elif exposure["is_dormant"]:
        steps.append(_step("Dormant", exposure["severity"], "nothing runs and nothing is desired: at most MEDIUM"))
    if exposure["is_minimum"]:
        steps.append(
            _step("At least", exposure["severity"], exposure["minimum_reason"] or "something was not seen or not known")
        )
    if exposure["is_carried"]:
        steps.append(
            _step(
                "Carried over",
                str(exposure["observed_date"]),
                "not seen today: this is the last day it was; nothing is lowered meanwhile",
            )
        )
    known = exposure["highest_probability"]
    probability = "no exploit probability is known" if known is None else f"highest exploit probability {known:.4f}"
    steps.append(
        _step(
            "Score", f"{exposure['score']:.1f} of 100", f"orders exposures inside {exposure['severity']}; {probability}"
        )
    )
    return [{key: str(value) for key, value in step.items()} for step in steps]


def _step(step: str, result: object, because: str) -> dict[str, object]:
    return {"step": step, "result": result, "because": because}


def _driver_reason(driver: Mapping[str, Any] | None) -> str:
    if driver is None:
        return "the candidate that decided the severity"
    kind = "a vulnerability of a running image" if driver["kind"] == "vulnerability" else "a configuration"
    return f"{kind}: the worst of the candidates below"


def _pairs(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{clean(name)} {cell(item)}" for name, item in value.items())


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
                     f"{driver['likelihood']} × {driver['impact']}", driver["rule"])
                    for driver in told.drivers
                ],
                "dim", "", "", "", "dim",
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
        for item in trait["evidence"] if isinstance(trait["evidence"], list) else [trait["evidence"]]:
            show(Text("evidence: " + (_pairs(item) if isinstance(item, dict) else cell(item)), style="dim"), indent=4)

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
                f"{path['kind']}" + (f", gone without {cell(path['needs_traits'])}" if path["needs_traits"] else ""),
                style="dim",
            )
        )
        for number, hop in enumerate(path["hops"] if isinstance(path["hops"], list) else [path["hops"]]):
            show(
                ("└▶ " if number else "") + (_pairs(hop) if isinstance(hop, dict) else cell(hop)), indent=2 + 2 * number
            )

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
    if told.vulnerabilities:
        heading(f"Worst vulnerabilities ({len(told.vulnerabilities)} of {cell(row['vulnerability_count'])})")
        show(
            grid(
                [
                    (item["vulnerability_id"], item["severity"], item["packages"], _exploitation(item), _remedy(item))
                    for item in told.vulnerabilities
                ],
                "", "", "", "", "dim",
            )
        )  # fmt: skip

    heading("What lowers it")
    if told.fixes:
        show(
            grid(
                [
                    (f"{fix['rank']}.", fix["description"], coloured("→ ", fix["severity_after"]),
                     f"score {fix['score_before']:.0f} → {fix['score_after']:.0f}")
                    for fix in told.fixes
                ],
                "dim", "", "", "dim",
            )
        )  # fmt: skip
    else:
        show("No single fix lowers it." if row["driver"] else "Nothing needs lowering.")

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


def _exploitation(item: Mapping[str, Any]) -> str:
    known = "EPSS not known" if item["probability"] is None else f"p {item['probability']:.3f}"
    words = ["known exploited" if item["kev"] else None, "exploit public" if item["exploit_available"] else None, known]
    return ", ".join(word for word in words if word) + (" ↺" if item["is_carried"] else "")


def _remedy(item: Mapping[str, Any]) -> str:
    return cell(
        item["fix_command"] or (f"fixed in {item['fixed_in_version']}" if item["fixed_in_version"] else "no fix named")
    )
