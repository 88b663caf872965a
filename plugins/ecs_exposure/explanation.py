"""One service's explanation, put together from rows already read: everything its severity was computed from.

What `explain --format json` prints is enough to compute severity, likelihood, impact, score and due date again without
this project's SQL: the rows of the result tables that concern the service, and the decision tables with their sources.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ecs_exposure.databases import attach_reference, connect
from ecs_exposure.history import fetch
from ecs_exposure.models import TraitText, trait_texts
from ecs_exposure.severity_steps import Tables, severity_steps

Row = dict[str, Any]

DECISION_TABLES = (
    "bod_26_04", "exploitability", "configuration_likelihood", "likelihood", "severity_matrix", "severity", "sla",
)  # fmt: skip
"""Tables of sql/reference/ that turn what was seen into a severity, a score and a due date."""

_PLACE = (
    "registry_account", "region", "repository_name", "image_digest", "package_name", "installed_version",
    "package_file_path", "finding_arn", "severity", "cvss_vector", "cvss_base_score", "exploit_available",
    "is_network_exploitable", "automatable", "technical_impact", "is_availability_only", "is_kernel_package",
    "is_exploitation_likely", "high_priority", "decision_source", "fixed_in_version", "fix_command", "is_carried",
    "observed_date",
)  # fmt: skip
_SHOWN = ("lev", "lev_from", "kev_date_added", "exploit_last_seen", "tools")


@dataclass(frozen=True)
class Rules:
    """The decision tables by name, each `{"source": header of its file, "rows": its rows}`, and the traits' texts."""

    tables: dict[str, dict[str, Any]]
    texts: dict[str, TraitText]

    @classmethod
    def load(cls, sql: Path) -> Rules:
        """Those of the folder `sql`. Raises ModelError for a trait text that is missing or wrong."""
        connection = connect()
        attach_reference(connection, sql)
        tables = {}
        for name in DECISION_TABLES:
            lines = (sql / "reference" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
            source = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
            tables[name] = {"source": source, "rows": fetch(connection, f"select * from reference.{name}").records()}
        return cls(tables, {item.trait: item for item in trait_texts(sql)})


@dataclass(frozen=True)
class Stored:
    """Rows of the result tables that concern one service on one day, as the tables hold them (JSON as text).

    `image_vulnerability` are those of its images; `vulnerability` what is known of them whatever the image.
    """

    exposure: Row
    trait_hit: list[Row] = field(default_factory=list)
    path: list[Row] = field(default_factory=list)
    driver: list[Row] = field(default_factory=list)
    impact_reason: list[Row] = field(default_factory=list)
    service_image: list[Row] = field(default_factory=list)
    image_vulnerability: list[Row] = field(default_factory=list)
    vulnerability: list[Row] = field(default_factory=list)
    scenario: list[Row] = field(default_factory=list)
    fix: list[Row] = field(default_factory=list)
    lifecycle: list[Row] = field(default_factory=list)
    coverage: list[Row] = field(default_factory=list)
    change: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Explanation:
    """An exposure with everything that led to it: rows of the public tables as dictionaries, JSON columns parsed.

    `vulnerabilities` are those that are active in Amazon Inspector, `suppressed` those it was told to suppress (they
    count nothing); both one per vulnerability with the images and packages it is in (`places`), worst first.
    """

    day: date
    rules_version: str | None
    exposure: Row
    steps: list[Row]
    traits: list[Row]
    paths: list[Row]
    drivers: list[Row]
    impact_reasons: list[Row]
    images: list[Row]
    vulnerabilities: list[Row]
    suppressed: list[Row]
    scenarios: list[Row]
    fixes: list[Row]
    not_seen: list[Row]
    opened_date: date | None
    changes: list[Row]
    changes_since: date
    rules: Tables


def assemble(day: date, stored: Stored, rules: Rules, changes_since: date, rules_version: str | None) -> Explanation:
    """The explanation of one service. Reads nothing: thousands can be put together from tables read once.

    `rules_version` is that of the assessed day (None when it is not known).
    """
    exposure = stored.exposure | {"tags": _parsed(stored.exposure["tags"])}
    traits = [_with_text(trait, rules.texts.get(trait["trait"])) for trait in stored.trait_hit]
    traits.sort(key=lambda trait: (trait["state"], trait["is_ours"], trait["trait"]))
    paths = [path | {"hops": _parsed(path["hops"])} for path in stored.path]
    drivers = [row | {"inputs": _parsed(row["inputs"])} for row in stored.driver]
    order = {"High": 0, "Medium": 1, "Unknown": 2}
    reasons = sorted(stored.impact_reason, key=lambda row: (order.get(row["impact"], 3), row["reason"]))
    known = {row["vulnerability_id"]: row for row in stored.vulnerability}
    active = vulnerabilities((row for row in stored.image_vulnerability if not row["is_suppressed"]), known)
    suppressed = vulnerabilities((row for row in stored.image_vulnerability if row["is_suppressed"]), known)
    return Explanation(
        day=day,
        rules_version=rules_version,
        exposure=exposure,
        steps=severity_steps(exposure, drivers, rules.tables, reasons, active, stored.scenario),
        traits=traits,
        paths=sorted(paths, key=lambda path: (path["kind"], path["path_id"])),
        drivers=sorted(drivers, key=lambda row: row["rank"]),
        impact_reasons=reasons,
        images=sorted(stored.service_image, key=lambda row: (row["container_name"], row["image"])),
        vulnerabilities=active,
        suppressed=suppressed,
        scenarios=stored.scenario,
        fixes=sorted(stored.fix, key=lambda row: row["rank"]),
        not_seen=stored.coverage,
        opened_date=stored.lifecycle[0]["opened_date"] if stored.lifecycle else None,
        changes=stored.change,
        changes_since=changes_since,
        rules=rules.tables,
    )


def vulnerabilities(rows: Iterable[Row], known: Mapping[str, Row]) -> list[Row]:
    """One row per vulnerability: what is known of it, and its `places`, one per image × package.

    `counts` is false for one that sits in kernel packages alone. What `known` says beside (LEV, tools) is shown only.
    """
    places: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        places[row["vulnerability_id"]].append(row)
    told = []
    for identity, found in places.items():
        counted = [row for row in found if not row["is_kernel_package"]]
        first = max(found, key=lambda row: (row["high_priority"], row["cvss_base_score"] or 0, row["severity"] or ""))
        told.append(
            {
                "vulnerability_id": identity,
                "severity": first["severity"],
                "counts": bool(counted),
                "kev": first["kev"],
                "epss": first["epss"],
                "probability": first["probability"],
                "exploit_available": _any(row["exploit_available"] for row in found),
                "is_exploitation_likely": any(row["is_exploitation_likely"] for row in found),
                "high_priority": any(row["high_priority"] for row in found),
                "packages": sorted({row["package_name"] for row in found}),
                "fixed_in_version": first["fixed_in_version"],
                "fix_command": first["fix_command"],
                "images": len({(row["repository_name"], row["image_digest"]) for row in found}),
                "is_carried": all(row["is_carried"] for row in found),
                "places": [{name: row[name] for name in _PLACE if name in row} for row in found],
            }
            | {name: known[identity][name] for name in _SHOWN if name in known.get(identity, ())}
        )
    unknown = -1.0
    return sorted(
        told,
        key=lambda row: (
            not row["high_priority"],
            -(unknown if row["probability"] is None else row["probability"]),
            row["vulnerability_id"],
        ),
    )


def _any(values: Iterable[bool | None]) -> bool | None:
    """True when one is, None when nobody said."""
    said = [value for value in values if value is not None]
    return any(said) if said else None


def _with_text(trait: Row, text: TraitText | None) -> Row:
    return trait | {
        "title": text.title if text else None,
        "recommendation": text.recommendation if text else None,
        "url": text.url if text else None,
        "is_ours": text is not None and text.is_ours,
        "evidence": _parsed(trait["evidence"]),
    }


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)
