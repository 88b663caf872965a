"""How a severity came about, step by step: what each step gave, from which inputs, by which rule and whose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ecs_exposure.output import cell, clean
from ecs_exposure.schemas.results import severity_rank

LISTED = 5  # members of a list shown in one line

Row = Mapping[str, Any]
Tables = Mapping[str, Mapping[str, Any]]

AWS_MATRIX = "https://docs.aws.amazon.com/securityhub/latest/userguide/exposure-findings-severity.html"
BOD = "CISA BOD 26-04 (https://github.com/CERTCC/SSVC)"

_REACHED = {
    "DIRECT": "the internet reaches it directly",
    "VIA_LOAD_BALANCER": "the internet reaches it through a load balancer",
    "NOT_REACHABLE": "no path from the internet was found",
    "UNKNOWN": "whether the internet reaches it could not be decided",
}
_KINDS = {"vulnerability": "a vulnerability of a running image", "configuration": "a configuration"}


def severity_steps(
    exposure: Row,
    drivers: Iterable[Row],
    tables: Tables,
    impact_reasons: Sequence[Row] = (),
    vulnerabilities: Sequence[Row] = (),
    scenarios: Sequence[Row] = (),
) -> list[dict[str, Any]]:
    """The steps in order: `step`, its `result`, `because` in words, its `inputs` by name, and the rule's `source`.

    `tables` are the decision tables (`explanation.Rules`), the others rows of the service: drivers with inputs parsed.
    """
    shown = next((driver for driver in drivers if driver["driver"] == exposure["driver"]), None)
    steps = [
        _step(
            "Exposed",
            "yes" if exposure["is_exposed"] else "no",
            _REACHED[exposure["reachability"]]
            + (
                "; counted as exposed because what was seen says so"
                if exposure["reachability"] == "UNKNOWN" and exposure["is_exposed"]
                else ""
            ),
            {"reachability": exposure["reachability"]},
        )
    ]
    if exposure["driver"] is None:
        steps.append(_step("Driver", "none", "nothing found decides a severity by itself"))
    else:
        what = (
            f"{_KINDS[shown['kind']]}, the worst of the candidates" if shown else "what decided when it was last seen"
        )
        steps.append(_step("Driver", exposure["driver"], what, {"kind": shown["kind"] if shown else None}))
        steps += _likelihood_steps(exposure, shown, tables)
    steps.append(_impact_step(exposure, impact_reasons))
    steps += _matrix_steps(exposure, shown, tables, scenarios)
    if exposure["is_minimum"]:
        reason = exposure["minimum_reason"] or "something was not seen or not known"
        steps.append(_step("At least", exposure["severity"], reason))
    if exposure["is_carried"]:
        reason = "not seen today; this is the last day it was, and nothing is lowered meanwhile"
        steps.append(_step("Carried over", str(exposure["observed_date"]), reason))
    steps.append(_score_step(exposure, vulnerabilities, tables))
    if exposure["due_date"] is not None:
        steps.append(_due_step(exposure, shown, tables))
    return steps


def _step(step: str, result: str, because: str, inputs: Row | None = None, source: str | None = None) -> dict[str, Any]:
    return {"step": step, "result": result, "because": because, "inputs": dict(inputs or {}), "source": source}


def _likelihood_steps(exposure: Row, shown: Row | None, tables: Tables) -> list[dict[str, Any]]:
    rule = exposure["driver_rule"] or "rule not recorded"
    inputs: Row = shown["inputs"] if shown and isinstance(shown["inputs"], dict) else {}
    if not shown or shown["kind"] != "vulnerability" or "bod_26_04" not in inputs:
        levels = _configured(inputs, tables)
        told = levels or (f"{rule} ({pairs(inputs)})" if inputs else rule)
        source = "sql/reference/configuration_likelihood.csv" if levels else None
        return [_step("Likelihood", exposure["likelihood"], told, inputs, source)]
    asked = {name: inputs[name] for name in ("kev", "is_exposed", "automatable", "technical_impact")}
    answers = [
        "in CISA's catalogue (KEV)" if asked["kev"] else "not in KEV",
        "exposed" if asked["is_exposed"] else "not exposed",
        "automatable" if asked["automatable"] else "not automatable",
        f"technical impact {asked['technical_impact']}",
    ]
    is_likely, why = _evidence(inputs, tables)
    return [
        _step("Outcome", inputs["bod_26_04"], f"CISA's answer to four questions: {', '.join(answers)}", asked, BOD),
        _step(
            "Evidence",
            "yes" if is_likely else "none",
            why,
            {name: inputs.get(name) for name in ("kev", "epss", "is_exploitation_likely", "high_priority")},
            "sql/reference/exploitability.csv",
        ),
        _step("Likelihood", exposure["likelihood"], rule, inputs, BOD),
    ]


def _configured(inputs: Row, tables: Tables) -> str | None:
    """The levels of a configuration in words; None when the table has no such row (any more)."""
    for row in tables["configuration_likelihood"]["rows"]:
        if row["trait"] == inputs.get("trait") and (row["condition"] or "") == inputs.get("condition"):
            exposed, other = row["likelihood_exposed"], row["likelihood_not_exposed"]
            levels = f"{exposed} wherever it is" if exposed == other else f"{exposed} when exposed, else {other}"
            return f"{row['rule']}: {levels}"
    return None


def _evidence(inputs: Row, tables: Tables) -> tuple[bool, str]:
    """Whether exploitation counts as likely, and by which of the three."""
    threshold = {row["name"]: row["value"] for row in tables["exploitability"]["rows"]}
    likely, with_exploit = threshold["epss_likely"], threshold["epss_with_exploit"]
    epss = inputs.get("epss")
    known = "no EPSS is known" if epss is None else f"EPSS {epss:.4g}"
    if inputs.get("decision_source") == "vulnrichment":
        return bool(inputs.get("is_exploitation_likely")), "not asked for: CISA itself decided this vulnerability"
    if inputs.get("kev"):
        return True, "exploited in the wild: in KEV"
    if epss is not None and epss >= likely:
        return True, f"exploitation is likely: {known} (from {likely:.2f})"
    if inputs.get("is_exploitation_likely"):
        return True, f"a public exploit, and {known} (counts from {with_exploit:.2f})"
    return False, (
        f"not in KEV, {known} (likely from {likely:.2f}, or from {with_exploit:.2f} with a public exploit): "
        "such a vulnerability is at most Moderate"
    )


def _impact_step(exposure: Row, impact_reasons: Sequence[Row]) -> dict[str, Any]:
    reason = exposure["impact_reason"] or "nothing the containers hold or may do raises it"
    listed = [{name: row[name] for name in ("impact", "reason", "needs_traits")} for row in impact_reasons]
    return _step("Impact", exposure["impact"], reason, {"reasons": listed} if listed else {})


def _matrix_steps(exposure: Row, shown: Row | None, tables: Tables, scenarios: Sequence[Row]) -> list[dict[str, Any]]:
    """What AWS's matrix gives, and what moved the severity away from it."""
    final: str = exposure["severity"]
    if exposure["driver"] is None:
        reason = "without a driver an exposure is informational: kept in the lake, not published"
        return [_step("Severity", final, reason)]
    matrix = {(row["likelihood"], row["impact"]): row["severity"] for row in tables["severity_matrix"]["rows"]}
    pair = (exposure["likelihood"], exposure["impact"])
    reason = f"AWS's matrix: likelihood {pair[0]} × impact {pair[1]}"
    if pair[1] == "Unknown":
        reason = f"the impact could not be determined: the baseline of likelihood {pair[0]}"
    given: str = matrix.get(pair, final)
    steps = [_step("Severity", given, reason, {"likelihood": pair[0], "impact": pair[1]}, AWS_MATRIX)]
    today: str | None = next((row["severity"] for row in scenarios if row["removed_kind"] == "as_is"), None)
    cap = shown["inputs"].get("severity_cap") if shown and isinstance(shown["inputs"], dict) else None
    if severity_rank(final) < severity_rank(today or given):
        reason = "it was not completely seen today, and what is not seen lowers nothing"
        reason += f" (what was seen today alone would be {today})" if today else ""
        steps.append(_step("Kept", final, reason, {"today": today}))
    elif final != given and exposure["is_dormant"]:
        steps.append(_step("Dormant", final, "nothing runs and nothing is desired: at most MEDIUM"))
    elif final != given:
        reason = f"this trait alone is at most {cap}" if cap else "the rules of the day it was computed on"
        steps.append(_step("Capped", final, reason, {"severity_cap": cap}))
    return steps


def _score_step(exposure: Row, vulnerabilities: Sequence[Row], tables: Tables) -> dict[str, Any]:
    highest = exposure["highest_probability"]
    band = next(row for row in tables["severity"]["rows"] if row["severity"] == exposure["severity"])
    [counted_from] = [row["value"] for row in tables["exploitability"]["rows"] if row["name"] == "epss_counted"]
    likely = [
        row["vulnerability_id"]
        for row in vulnerabilities
        if row["counts"] and row["probability"] is not None and row["probability"] >= counted_from
    ]
    if highest is None:
        probability = "no exploit probability is known"
    else:
        together = exposure.get("exploit_probability")
        probability = f"highest exploit probability {highest:.4f}"
        if vulnerabilities:
            probability += f", then how many are likely ({len(likely)} from {counted_from:.2f})"
        if together is not None:
            probability += f", then the chance that any network-exploitable one is used ({together:.4f})"
    inputs = {
        "score_from": band["score_from"],
        "score_to": band["score_to"],
        "highest_probability": highest,
        "likely_count": len(likely),
        "exploit_probability": exposure.get("exploit_probability"),
    }
    reason = f"orders exposures within {exposure['severity']}: {probability}"
    return _step("Score", f"{exposure['score']:.1f} of 100", reason, inputs, "sql/reference/severity.csv")


def _due_step(exposure: Row, shown: Row | None, tables: Tables) -> dict[str, Any]:
    days, reason = None, "never later than promised before"
    if shown and shown["kind"] == "vulnerability":
        days = next(
            (row["bod_days"] for row in tables["likelihood"]["rows"] if row["likelihood"] == exposure["likelihood"]),
            None,
        )
        reason = f"{days} days: CISA BOD 26-04's for likelihood {exposure['likelihood']}"
    if days is None:
        days = next((row["days"] for row in tables["sla"]["rows"] if row["severity"] == exposure["severity"]), None)
        reason = f"{days} days for {exposure['severity']}"
    reason += " from the first day of the outcome; it never moves later"
    source = BOD if shown and shown["kind"] == "vulnerability" else "sql/reference/sla.csv"
    return _step("Due", str(exposure["due_date"]), reason, {"days": days}, source)


def pairs(value: Mapping[str, Any]) -> str:
    """`name value, name value`, long lists shortened."""
    return ", ".join(f"{clean(name)} {_short(item)}" for name, item in value.items() if item not in ("", None, []))


def _short(item: Any) -> str:
    if isinstance(item, list) and len(item) > LISTED:
        return f"{cell(item[:LISTED])} … and {len(item) - LISTED} more"
    return cell(item)
