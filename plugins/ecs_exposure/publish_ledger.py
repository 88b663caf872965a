"""The ledger in the lake: what Security Hub was told, without reading every night's attempts again.

Once a day's publishing is done its ledger is stored (`store`); reading takes the last one and folds in the publications
from its day on. Folding the same publications twice changes nothing, so no attempt is missed or counted twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from typing import Any

import duckdb

from ecs_exposure.databases import connect
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.securityhub.ledger import Target, publications_fold

LEDGER_DAYS = 120
"""A finding not tried for so long is forgotten: an active one is re-sent within 80 days at the latest, and AWS deletes
it 90 days after its last update, 30 when it is archived.
"""

_ORDERED = {"ledger": "finding_id", "publication": "published_at, updated_at, finding_id"}


def read(lake: Lake, day: date, targets: Collection[Target] | None = None) -> dict[str, dict[str, Any]]:
    """`publications_fold` of all that was ever told the targets, or all; also on days after `day`."""
    stored = max(lake.ledger_days(), default=None)
    since = stored or day - timedelta(days=LEDGER_DAYS)
    with connect(memory_limit="100MB", threads=1) as connection:
        lake.attach_results(connection, stored, "stored", tables=("ledger",))
        lake.attach_history(connection, "later", since=since, tables=("publication",))
        return publications_fold(
            rows_of(connection, "later.publication", targets, order=_ORDERED["publication"]),
            rows_of(connection, "stored.ledger", targets, order=_ORDERED["ledger"]),
        )


def store(lake: Lake, day: date) -> None:
    """Store the ledger as of a day, without what is too old to matter."""
    oldest = day - timedelta(days=LEDGER_DAYS)
    kept = [row for row in read(lake, day).values() if row["snapshot_date"] >= oldest]
    lake.put_ledger(day, RESULTS["ledger"].to_arrow(kept))


def create_last_attempt(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    """`schema.last_attempt`: of `schema.publication` the row of each day and finding that says what came of it.

    That is the last one, but for an announcement (`sending`) of what had just been sent: where there is no lock (a lake
    on S3), another scan at work announces the same, and whatever comes of it, Security Hub holds it already. Unless it
    was read back and found not to.
    """
    connection.execute(f"""create view {schema}.last_attempt as
        select * exclude (sent_before) from (
            select *, last_value(if(status = 'sent', (content_hash, record_state), null) ignore nulls) over (
                partition by snapshot_date, finding_id order by published_at, updated_at
                rows between unbounded preceding and 1 preceding
            ) as sent_before
            from {schema}.publication
        )
        where status <> 'sending' or reason in ('missing', 'altered')
            or (content_hash, record_state) is distinct from sent_before
        qualify 1 = row_number() over (
            partition by snapshot_date, finding_id order by published_at desc, updated_at desc
        )""")


def rows_of(
    connection: duckdb.DuckDBPyConnection, table: str, targets: Collection[Target] | None, *, order: str
) -> Iterator[dict[str, Any]]:
    """Rows of a table with account_id and region, of some targets or of all; made some at a time, so that whoever
    keeps little of them keeps little.
    """
    if targets is None:
        condition, parameters = "true", list[list[str]]()
    else:
        condition = "(account_id, region) in (select unnest($1), unnest($2))"
        parameters = [[account for account, _ in targets], [region for _, region in targets]]
    select = f"select * from {table} where {condition} order by {order}"
    for batch in connection.sql(select, params=parameters).to_arrow_reader(1_000):
        yield from batch.to_pylist()
