"""Why a service has its severity: reads what one assessed day holds of it and puts the explanation together."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ecs_exposure.databases import connect
from ecs_exposure.explanation import Explanation, Rules, Stored, assemble
from ecs_exposure.exposures import connect_to_day, find
from ecs_exposure.history import fetch
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import RESULTS

HISTORY_DAYS = 90

_OF_SERVICE = ("trait_hit", "path", "driver", "impact_reason", "service_image", "scenario", "fix", "lifecycle")
_OF_VULNERABILITY = tuple(name for name in ("vulnerability",) if name in RESULTS)
_VULNERABILITIES = """
select * from today.image_vulnerability
where (registry_account, region, repository_name, image_digest) in (
    select (registry_account, registry_region, repository_name, image_digest) from today.service_image
    where resource_id = $resource_id
)
order by all"""
_COVERAGE = """
select region, dataset, status, message, observed_date from today.coverage
where account_id = $account_id and region in ($region, 'global') and status <> 'ok'
order by dataset"""


def explain(lake: Lake, day: date, text: str, sql: Path, since: date | None = None) -> Explanation:
    """The explanation of one service's exposure on `day`, with its changes since `since` (ninety days before `day`).

    `text` is what `exposures.find` takes, and what that raises is raised. `sql` is the folder with the decision tables
    and trait texts.
    """
    exposure = find(lake, day, text)
    resource = {"resource_id": exposure["resource_id"]}
    connection = connect_to_day(lake, day, (*_OF_SERVICE, *_OF_VULNERABILITY, "image_vulnerability", "coverage"))
    rows: dict[str, list[dict[str, Any]]] = {
        name: fetch(
            connection, f"select * from today.{name} where resource_id = $resource_id order by all", resource
        ).records()
        for name in _OF_SERVICE
    }
    rows["image_vulnerability"] = fetch(connection, _VULNERABILITIES, resource).records()
    identities = sorted({row["vulnerability_id"] for row in rows["image_vulnerability"]})
    for name in _OF_VULNERABILITY:
        select = f"select * from today.{name} where list_contains($identities, vulnerability_id)"
        rows[name] = fetch(connection, select, {"identities": identities}).records()
    where = {"account_id": exposure["account_id"], "region": exposure["region"]}
    rows["coverage"] = fetch(connection, _COVERAGE, where).records()
    begin = since or day - timedelta(days=HISTORY_DAYS)
    history = connect()
    lake.attach_history(history, "history", since=begin, until=day, tables=["change"])
    rows["change"] = fetch(
        history, "select * from history.change where resource_id = $resource_id order by snapshot_date desc", resource
    ).records()
    return assemble(day, Stored(exposure, **rows), Rules.load(sql), begin, lake.day(day).rules_version)
