"""What findings say, made when they are sent: from the stored results of the day they are told on, by
sql/documents/document.sql.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from types import TracebackType
from typing import Any

import duckdb

from ecs_exposure.lake import Lake
from ecs_exposure.models import connect, trait_texts
from ecs_exposure.securityhub.asff import account_finding, closing_document
from ecs_exposure.securityhub.documents import document
from ecs_exposure.securityhub.ledger import ACCOUNT_RESOURCE, Action
from ecs_exposure.settings import Settings

TABLES = (
    "exposure", "finding", "fix", "image_vulnerability", "service_image", "service_resource", "trait_hit",
)  # fmt: skip
"""Result tables that document.sql reads."""

_MEMORY = "256MB"
_THREADS = 2


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

    def __call__(self, actions: Sequence[Action]) -> list[dict[str, Any]]:
        """The findings of some actions in their order, without UpdatedAt.

        Raises LakeError when results cannot be read, LookupError when the day's do not hold a finding to be told.
        """
        made = {
            identity: self._ready[identity] for identity in self._ready.keys() & {item.finding_id for item in actions}
        }
        missing = [action for action in actions if action.finding_id not in made]
        made |= self._of_day(self._day, [action for action in missing if action.told_date == self._day])
        if self._assessed_before:
            made |= self._of_day(
                self._assessed_before[-1], [item for item in missing if item.record_state == "ARCHIVED"]
            )
        missing = [action for action in missing if action.finding_id not in made]
        for told in sorted({action.told_date for action in missing} & set(self._assessed_before)):
            made |= self._of_day(told, [action for action in missing if action.told_date == told])
        return [made.get(action.finding_id) or self._closing(action) for action in actions]

    def _of_day(self, day: date, actions: Sequence[Action]) -> dict[str, dict[str, Any]]:
        wanted = [action.finding_id for action in actions]
        if not wanted:
            return {}
        with self._cursor(day) as cursor:
            rows = cursor.sql(self._select, params={"finding_ids": wanted}).to_arrow_table().to_pylist()
        return {row["finding_id"]: document(row, self._texts, self._partition) for row in rows}

    def _cursor(self, day: date) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if day not in self._days:
                connection = self._open.enter_context(connect(memory_limit=_MEMORY, threads=_THREADS))
                self._lake.attach_results(connection, day, "today", tables=TABLES)
                self._days[day] = connection
            return self._days[day].cursor()

    def _closing(self, action: Action) -> dict[str, Any]:
        if action.record_state != "ARCHIVED":
            raise LookupError(
                f"{action.finding_id} is to be told, but the results of {action.told_date} do not hold it"
            )
        if action.resource_id.startswith(ACCOUNT_RESOURCE):
            title = "All exposed ECS services are told"
            return account_finding(asdict(action), self._partition, title=title, description="None is held back.")
        return closing_document(asdict(action), self._partition)
