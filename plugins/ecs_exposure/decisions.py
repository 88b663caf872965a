"""What people decided in Security Hub on our findings, and whether it holds what it was told: as last read back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any

import duckdb

from ecs_exposure.databases import connect
from ecs_exposure.history import fetch
from ecs_exposure.lake import Lake

READ_DAYS = 30
"""How far back a reading still counts; each account is read once a week."""

COLUMNS = (
    "severity", "severity_shown", "workflow_status", "accepted_until", "account_id", "account_name", "region",
    "cluster_name", "service_name", "owner", "title", "finding_id", "read_at",
)  # fmt: skip

_DECISIONS = """
with last_read as (
    select account_id, region, max(read_at) as read_at
    from told.reconciliation where status = 'ok' group by all
)
select
    exposure.severity, decision.severity_shown, decision.workflow_status, exposure.accepted_until,
    exposure.account_id, exposure.account_name, exposure.region, exposure.cluster_name, exposure.service_name,
    exposure.owner, exposure.title, decision.finding_id, decision.read_at
from told.customer_decision as decision
semi join last_read using (account_id, region, read_at)
join today.exposure as exposure on exposure.resource_id = decision.resource_id
order by
    decision.workflow_status <> 'SUPPRESSED', exposure.score desc, exposure.resource_id"""

_READINGS = """
select
    count(*) filter (where status = 'ok') as places,
    count(*) filter (where status <> 'ok') as places_not_read,
    sum(findings)::bigint as findings, sum(missing)::bigint as missing, sum(altered)::bigint as altered,
    sum(unclaimed)::bigint as unclaimed
from (
    select * from told.reconciliation where snapshot_date = $day
    qualify row_number() over (partition by account_id, region order by read_at desc) = 1
)"""


def decisions(lake: Lake, day: date) -> list[dict[str, Any]]:
    """Suppressed findings and overridden severities of exposures of a day (COLUMNS), suppressed ones first, each by
    score. `severity` is ours, `severity_shown` the customer's.
    """
    with _connect(lake, day, ("exposure",)) as connection:
        return fetch(connection, _DECISIONS).records()


def readings(lake: Lake, day: date) -> dict[str, int | None]:
    """What reading back found on a day: places (account and Region) read and not read; findings there, missing,
    altered, and unclaimed. NULL where nothing was read.
    """
    with _connect(lake, day, ()) as connection:
        (row,) = fetch(connection, _READINGS, {"day": day}).records()
    return row


def _connect(lake: Lake, day: date, tables: Collection[str]) -> duckdb.DuckDBPyConnection:
    connection = connect()
    lake.attach_results(connection, day, "today", tables=tables)
    lake.attach_history(
        connection,
        "told",
        since=day - timedelta(days=READ_DAYS),
        until=day,
        tables=("reconciliation", "customer_decision"),
    )
    return connection
