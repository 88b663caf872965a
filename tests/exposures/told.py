"""Explanations of a whole night as `explain --format json` prints them, put together from its result tables."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from typing import Any

from ecs_exposure.explanation import Explanation, Rules, Stored, assemble
from ecs_exposure.output import print_json

from tests.exposures.night import SQL, Results, Row

OF_SERVICE = ("trait_hit", "path", "driver", "impact_reason", "service_image", "scenario", "fix", "lifecycle", "change")


@cache
def rules() -> Rules:
    return Rules.load(SQL)


def explanations(results: Results) -> dict[str, Row]:
    """By service name; each has been through JSON, without the decision tables (they are the same for all)."""
    return {name: through_json(vars(told) | {"rules": {}}) for name, told in assembled(results).items()}


def assembled(results: Results, known: Iterable[Row] = ()) -> dict[str, Explanation]:
    """By service name; `known` are rows about vulnerabilities whatever the image."""
    rows: dict[str, dict[str, list[Row]]] = {name: _by(results.rows(name), "resource_id") for name in OF_SERVICE}
    found = _by(results.rows("image_vulnerability"), "registry_account", "region", "repository_name", "image_digest")
    told = {}
    for exposure in results.rows("exposure"):
        key = exposure["resource_id"]
        images = {
            (row["registry_account"], row["registry_region"], row["repository_name"], row["image_digest"])
            for row in rows["service_image"][key]
        }
        stored = Stored(
            exposure,
            **{name: rows[name][key] for name in OF_SERVICE},
            image_vulnerability=[row for image in sorted(images, key=repr) for row in found[image]],
            vulnerability=list(known),
        )
        since = results.day - timedelta(days=90)
        told[exposure["service_name"]] = assemble(results.day, stored, rules(), since, "rules")
    return told


def through_json(record: Row) -> Row:
    out = io.StringIO()
    print_json(record, out)
    told: Row = json.loads(out.getvalue())
    return told


def _by(rows: list[Row], *columns: str) -> dict[Any, list[Row]]:
    grouped: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns)].append(row)
    return grouped
