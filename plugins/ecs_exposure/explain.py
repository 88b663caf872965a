"""Why a service has its severity: what was seen, how that became a severity step by step, what would lower it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ecs_exposure.exposures import connect_to_day, find
from ecs_exposure.history import fetch
from ecs_exposure.lake import Lake
from ecs_exposure.models import attach_reference, connect, trait_texts
from ecs_exposure.output import cell, clean
from ecs_exposure.schemas.results import severity_rank

HISTORY_DAYS = 90
WORST_VULNERABILITIES = 5
LISTED = 5  # members of a list shown in one line

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
        trait["is_ours"] = known is not None and known.is_ours
        trait["evidence"] = _parsed(trait["evidence"])
    traits.sort(key=lambda trait: (trait["state"], trait["is_ours"]))
    paths, drivers = of("path", "kind, path_id"), of("driver", "rank")
    for path in paths:
        path["hops"] = _parsed(path["hops"])
    for driver in drivers:
        driver["inputs"] = _parsed(driver["inputs"])
    exposure["tags"] = _parsed(exposure["tags"])
    attach_reference(connection, sql)
    listed = fetch(connection, "select likelihood, impact, severity from reference.severity_matrix").rows
    matrix = {(likelihood, impact): severity for likelihood, impact, severity in listed}
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
        steps=severity_steps(exposure, drivers, matrix),
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


def severity_steps(
    exposure: Mapping[str, Any], drivers: Iterable[Mapping[str, Any]], matrix: Mapping[tuple[str, str], str]
) -> list[dict[str, str]]:
    """How the severity came about, in order: `step`, the `result` it gave, and `because`, the rule and its source.

    `matrix` is AWS's, as {(likelihood, impact): severity}.
    """
    shown = next((driver for driver in drivers if driver["driver"] == exposure["driver"]), None)
    steps = [("Exposed", "yes" if exposure["is_exposed"] else "no", _REACHED[exposure["reachability"]])]
    if exposure["driver"] is None:
        steps.append(("Driver", "none", "nothing found decides a severity by itself"))
    else:
        kind = {"vulnerability": "a vulnerability of a running image", "configuration": "a configuration"}
        what = f"{kind[shown['kind']]}, the worst of the candidates" if shown else "what decided when it was last seen"
        steps.append(("Driver", exposure["driver"], what))
        inputs = shown["inputs"] if shown and isinstance(shown["inputs"], dict) else {}
        told = f" ({pairs(inputs)})" if inputs else ""
        steps.append(("Likelihood", exposure["likelihood"], f"{exposure['driver_rule'] or 'rule not recorded'}{told}"))
    impact_reason = exposure["impact_reason"] or "nothing the containers hold or may do raises it"
    steps.append(("Impact", exposure["impact"], impact_reason))
    steps += _matrix_steps(exposure, shown, matrix)
    if exposure["is_minimum"]:
        reason = exposure["minimum_reason"] or "something was not seen or not known"
        steps.append(("At least", exposure["severity"], reason))
    if exposure["is_carried"]:
        reason = "not seen today; this is the last day it was, and nothing is lowered meanwhile"
        steps.append(("Carried over", str(exposure["observed_date"]), reason))
    known = exposure["highest_probability"]
    probability = "no exploit probability is known" if known is None else f"highest exploit probability {known:.4f}"
    reason = f"orders exposures within {exposure['severity']}; {probability}"
    steps.append(("Score", f"{exposure['score']:.1f} of 100", reason))
    return [{"step": step, "result": str(result), "because": because} for step, result, because in steps]


_REACHED = {
    "DIRECT": "the internet reaches it directly",
    "VIA_LOAD_BALANCER": "the internet reaches it through a load balancer",
    "NOT_REACHABLE": "no path from the internet was found",
    "UNKNOWN": "whether the internet reaches it could not be decided",
}


def _matrix_steps(
    exposure: Mapping[str, Any], shown: Mapping[str, Any] | None, matrix: Mapping[tuple[str, str], str]
) -> list[tuple[str, str, str]]:
    """What AWS's matrix gives, and what moved the severity away from it."""
    final = exposure["severity"]
    if exposure["driver"] is None:
        return [("Severity", final, "without a driver an exposure is informational: kept in the lake, not published")]
    pair = (exposure["likelihood"], exposure["impact"])
    reason = f"AWS's matrix: likelihood {pair[0]} × impact {pair[1]}"
    if pair[1] == "Unknown":
        reason = f"the impact could not be determined: the baseline of likelihood {pair[0]}"
    given = matrix.get(pair, final)
    steps = [("Severity", given, reason)]
    cap = shown["inputs"].get("severity_cap") if shown and isinstance(shown["inputs"], dict) else None
    if severity_rank(final) < severity_rank(given):
        steps.append(("Kept", final, "it was not completely seen today, and what is not seen lowers nothing"))
    elif final != given and exposure["is_dormant"]:
        steps.append(("Dormant", final, "nothing runs and nothing is desired: at most MEDIUM"))
    elif final != given:
        reason = f"this trait alone is at most {cap}" if cap else "the rules of the day it was computed on"
        steps.append(("Capped", final, reason))
    return steps


def pairs(value: Mapping[str, Any]) -> str:
    """`name value, name value`, long lists shortened."""
    return ", ".join(f"{clean(name)} {_short(item)}" for name, item in value.items() if item not in ("", None, []))


def _short(item: Any) -> str:
    if isinstance(item, list) and len(item) > LISTED:
        return f"{cell(item[:LISTED])} … and {len(item) - LISTED} more"
    return cell(item)
