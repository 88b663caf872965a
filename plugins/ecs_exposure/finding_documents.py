"""What findings say, made when they are sent: from the stored results of the day they are told on, by
sql/documents/document.sql.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from ecs_exposure.databases import connect
from ecs_exposure.lake import Lake
from ecs_exposure.models import trait_texts
from ecs_exposure.securityhub.asff import account_finding, closing_document
from ecs_exposure.securityhub.documents import document
from ecs_exposure.securityhub.ledger import ACCOUNT_RESOURCE, Action
from ecs_exposure.settings import Settings

TABLES = (
    "exposure", "finding", "fix", "image_vulnerability", "service_image", "service_resource", "trait_hit",
)  # fmt: skip
"""Result tables that document.sql reads."""

ROWS_AT_ONCE = 50

_MEMORY = "64MB"


class FindingDocuments:
    """Findings in AWS's format by action. A context manager; callable from several threads at once.

    A finding that is archived says what it said last: on the assessed day before, else on the day it was last sent;
    where no results are left of either, it only says that it is gone. `ready` holds findings that stand in no results,
    by finding_id.
    """

    def __init__(
        self, settings: Settings, lake: Lake, day: date, *, ready: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        self._lake = lake
        self._day = day
        self._assessed_before = [item for item in lake.days() if item < day]
        self._partition = settings.partition
        self._select = (settings.sql / "documents" / "document.sql").read_text(encoding="utf-8")
        self._texts = {text.trait: text for text in trait_texts(settings.sql)}
        self._ready = ready or {}
        self._days: dict[date, duckdb.DuckDBPyConnection] = {}
        self._lock = threading.Lock()
        self._open = ExitStack()

    def __enter__(self) -> FindingDocuments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def __call__(self, actions: Sequence[Action]) -> Iterator[dict[str, Any]]:
        """The findings of some actions in their order, without UpdatedAt. Asked for at once, made one by one: a
        finding takes up to 240 KB, and several times that while it is made.

        Raises LakeError when results cannot be read, LookupError when the day's do not hold a finding to be told.
        """
        results = [self._of_day(self._day, [action for action in actions if action.told_date == self._day])]
        gone = [action for action in actions if action.record_state == "ARCHIVED"]
        if gone and self._assessed_before:
            results.append(self._of_day(self._assessed_before[-1], gone))
        missing = [action for action in gone if not any(action.finding_id in found.index for found in results)]
        for day in sorted({action.told_date for action in missing} & set(self._assessed_before)):
            results.append(self._of_day(day, [action for action in missing if action.told_date == day]))
        for first in range(0, len(actions), ROWS_AT_ONCE):
            some = actions[first : first + ROWS_AT_ONCE]
            rows: dict[str, dict[str, Any]] = {}
            for found in results:
                rows = found.rows(some) | rows
            for action in some:
                if ready := self._ready.get(action.finding_id):
                    yield ready
                elif row := rows.get(action.finding_id):
                    yield document(row, self._texts, self._partition)
                else:
                    yield self._closing(action)

    def _of_day(self, day: date, actions: Sequence[Action]) -> _Found:
        wanted = [action.finding_id for action in actions]
        with self._lock:  # one at a time: the memory is for one
            if day not in self._days:
                spill = self._open.enter_context(TemporaryDirectory())
                connection = self._open.enter_context(connect(memory_limit=_MEMORY, threads=1, spill=spill))
                self._lake.attach_results(connection, day, "today", tables=TABLES)
                self._days[day] = connection
            return _Found(self._days[day].sql(self._select, params={"finding_ids": wanted}).to_arrow_table())

    def _closing(self, action: Action) -> dict[str, Any]:
        if action.record_state != "ARCHIVED":
            raise LookupError(
                f"{action.finding_id} is to be told, but the results of {action.told_date} do not hold it"
            )
        if action.resource_id.startswith(ACCOUNT_RESOURCE):
            title = "All exposed ECS services are told"
            return account_finding(asdict(action), self._partition, title=title, description="None is held back.")
        return closing_document(asdict(action), self._partition)


class _Found:
    """Rows of document.sql of one day."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.index = {identity: number for number, identity in enumerate(table["finding_id"].to_pylist())}

    def rows(self, actions: Sequence[Action]) -> dict[str, dict[str, Any]]:
        """Those of some actions, by finding_id."""
        numbers = [self.index[action.finding_id] for action in actions if action.finding_id in self.index]
        picked = self._table.take(pa.array(numbers, pa.int64()))
        return {row["finding_id"]: row for row in picked.to_pylist()}
