"""The result table `finding`: rows of the model `findings.finding`, each with its content hash; and their documents.

Hashing what a row says takes a tenth of a millisecond of Python, and Python uses one core. So batches of rows go
to processes of their own (`python -m ecs_exposure.securityhub.documents PARTITION`), Arrow streams in and out, while
this one hashes its share. A pool of `multiprocessing` would import the caller's main module, all of Airflow, in each.
Putting a row in AWS's format takes four times as long, and most findings are not sent: that is left to the publisher.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, Self

import pyarrow as pa

from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.securityhub.asff import as_json, finding_id, to_asff
from ecs_exposure.securityhub.content import content_hash

FINDING = RESULTS["finding"]
ROWS_A_BATCH = 1_000  # they take some 8 KB each: never all of them at once
BATCHES_ALONE = 5  # fewer are done before another process has started
MAX_PROCESSES = 4

_DATES = ("snapshot_date", "observed_date", "first_observed_date", "due_date")
_ROW = """select snapshot_date, account_id, region, resource_id, severity, likelihood, impact, owner, trait_details,
    durable_vulnerability_ids, lowering_fixes, to_json(finding)::varchar as content
from findings.finding as finding
order by resource_id"""


class TraitText(Protocol):
    """The part of a trait's text that a finding tells."""

    @property
    def title(self) -> str: ...
    @property
    def recommendation(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def is_ours(self) -> bool: ...


class Cursor(Protocol):
    """The part of a DuckDB connection that `finding_batches` uses."""

    def cursor(self) -> Any: ...


def finding_batches(connection: Cursor, partition: str, processes: int | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of the result table `finding`, in the order of resource_id, from the model `findings.finding`.

    `processes`, this one included, is by default as many as there are cores and work for. Raises RuntimeError when a
    process ends before its batch is hashed; what it said is on standard error.
    """
    reader = connection.cursor().sql(_ROW).to_arrow_reader(ROWS_A_BATCH)
    first = list(islice(reader, BATCHES_ALONE))
    if processes is None:
        processes = 1 if len(first) < BATCHES_ALONE else min(os.cpu_count() or 1, MAX_PROCESSES)
    batches = chain(first, reader)
    with ExitStack() as running:
        others = [running.enter_context(_Hasher(partition, _said(reader.schema))) for _ in range(processes - 1)]
        while share := list(islice(batches, len(others) + 1)):
            *sent, own = share
            for hasher, batch in zip(others, sent, strict=False):
                hasher.send(batch.drop_columns(["content"]))
            hashed = finding_batch(own.drop_columns(["content"]), partition)
            for hasher, batch in zip(others, sent, strict=False):
                yield _with_content(hasher.receive(), batch)
            yield _with_content(hashed, own)


def _said(schema: pa.Schema) -> pa.Schema:
    return schema.remove(schema.get_field_index("content"))


def _with_content(hashed: pa.RecordBatch, batch: pa.RecordBatch) -> pa.RecordBatch:
    index = hashed.schema.get_field_index("content")
    return hashed.set_column(index, hashed.schema.field(index), batch.column("content"))


def finding_batch(batch: pa.RecordBatch, partition: str) -> pa.RecordBatch:
    """The rows of `finding` for rows of `findings.finding`, their content left empty."""
    rows = [
        {
            "snapshot_date": row["snapshot_date"],
            "account_id": row["account_id"],
            "region": row["region"],
            "resource_id": row["resource_id"],
            "finding_id": finding_id(row["resource_id"], row["account_id"], row["region"], partition),
            "content_hash": content_hash(row),
            "severity": row["severity"],
            "content": "",
        }
        for row in batch.to_pylist()
    ]
    return FINDING.to_arrow(rows).to_batches()[0]


def document(content: str, texts: Mapping[str, TraitText], partition: str) -> str:
    """The finding in AWS's format, as JSON without UpdatedAt, for the `content` of a row of `finding`.

    `texts` are the traits' by name; a trait that no longer has one goes by its name.
    """
    row: dict[str, Any] = json.loads(content)
    for name in _DATES:
        row[name] = date.fromisoformat(row[name]) if row[name] else None
    for trait in row["trait_details"]:
        text = texts.get(trait["trait"])
        trait |= {
            "title": text and text.title,
            "recommendation": text and text.recommendation,
            "url": text and text.url,
            "is_ours": bool(text and text.is_ours),
        }
    return as_json(to_asff(row, partition))


class _Hasher:
    """A process that hashes one batch at a time; what the findings say beyond that stays here."""

    def __init__(self, partition: str, schema: pa.Schema) -> None:
        root = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, partition],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))},
        )
        self._to = pa.ipc.new_stream(self._process.stdin, schema)
        self._from: pa.RecordBatchReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # it holds nothing that is not answered
        self._process.communicate()

    def send(self, batch: pa.RecordBatch) -> None:
        try:
            self._to.write_batch(batch)
            self._process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self) -> pa.RecordBatch:
        try:
            if self._from is None:
                self._from = pa.ipc.open_stream(self._process.stdout)
            return self._from.read_next_batch()
        except (StopIteration, pa.ArrowInvalid):
            raise self._ended() from None

    def _ended(self) -> RuntimeError:
        return RuntimeError(f"a process that hashes findings ended with {self._process.wait()}; see standard error")


def _serve(partition: str) -> None:
    with pa.ipc.new_stream(sys.stdout.buffer, FINDING.schema) as answers:
        for batch in pa.ipc.open_stream(sys.stdin.buffer):
            answers.write_batch(finding_batch(batch, partition))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
