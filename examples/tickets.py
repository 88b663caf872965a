"""Keeps one ticket per finding, from the queue of deploy/tickets.yaml: a small consumer, to be made your own.

    python examples/tickets.py --queue-url https://sqs.eu-west-1.amazonaws.com/111122223333/ecs-exposure-tickets.fifo

Replace `put_ticket` by a call to your ticket system; the rest can stay. Messages come at least once and in any order
(a retry, a redrive from a dead-letter queue): whatever comes, the newest word on a finding decides, and what was said
already says nothing new. docs/tickets.md tells why.
"""

from __future__ import annotations

import argparse
import json
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import boto3

Change = Literal["open", "update", "close"]

TOLD = ("owner", "account_name", "cluster_name", "service_name", "driver", "due_date", "fix")
"""Product fields that a ticket tells, each only when it is there: change one, and the ticket is updated."""

TABLE = """create table if not exists ticket (
    finding_id text primary key,
    is_open integer not null,
    content text not null,     -- JSON: what the ticket says
    updated_at text not null,  -- UpdatedAt of the finding in the newest message
    event_time text not null   -- and when Security Hub told of it
)"""

log = logging.getLogger("tickets")


@dataclass(frozen=True)
class Ticket:
    """What the ticket of a finding should be. Texts in `fields` are written by whoever owns an account: escape them."""

    finding_id: str
    is_open: bool
    severity: str
    account_id: str
    region: str
    fields: dict[str, str]


def put_ticket(change: Change, ticket: Ticket) -> None:
    """Make the ticket system hold this ticket. Yours to replace; raise to have the message again later.

    Look the ticket up by its finding_id (a label or custom field): after a crash the same call may come twice.
    open: create it, or reopen the one there is. update: change what it says; leave open or closed as people left it.
    close: close it, with a word that Security Hub no longer shows the exposure as open.
    """
    print(json.dumps({"change": change, **asdict(ticket)}), flush=True)


@dataclass(frozen=True, order=True)
class Message:
    """One message, in the order of news: a customer's change keeps UpdatedAt, so the event's time comes next; then what
    is left of a tie is decided, if by nothing better.
    """

    updated_at: str
    event_time: str
    is_open: bool
    content: str
    finding_id: str

    @classmethod
    def parse(cls, body: str) -> Message:
        """Raises ValueError naming what is wrong with a message."""
        told = json.loads(body)
        if not isinstance(told, dict) or told.get("kind") not in ("open", "close"):
            raise ValueError("kind must be open or close")
        for name in ("finding_id", "updated_at", "event_time", "severity", "account_id", "region"):
            if not isinstance(told.get(name), str) or not told[name]:
                raise ValueError(f"{name} is missing")
        fields = told.get("product_fields") or {}
        content = {name: told[name] for name in ("severity", "account_id", "region")}
        content["fields"] = {name: str(fields[name]) for name in TOLD if name in fields}
        return cls(
            _utc(told["updated_at"]),
            _utc(told["event_time"]),
            told["kind"] == "open",
            json.dumps(content, sort_keys=True),
            told["finding_id"],
        )

    @property
    def ticket(self) -> Ticket:
        return Ticket(self.finding_id, self.is_open, **json.loads(self.content))


def _utc(text: str) -> str:
    """A timestamp in a form that sorts as text."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")


class Tickets:
    """The table of what was told, one row per finding. One writer at a time, also across processes."""

    def __init__(self, path: str, put: Callable[[Change, Ticket], None] = put_ticket) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=60)
        self._database.execute(TABLE)
        self._put = put

    def apply(self, message: Message) -> Change | None:
        """Bring the finding's ticket up to date; returns what was done, None when the message says nothing new.

        The ticket system is told before the row is kept: killed in between, it is told again, never not at all.
        """
        with self._transaction():
            known = self._database.execute(
                "select updated_at, event_time, is_open, content from ticket where finding_id = ?", [message.finding_id]
            ).fetchone()
            before = known and Message(known[0], known[1], bool(known[2]), known[3], message.finding_id)
            if before and before >= message:
                return None
            change = _change(before, message)
            if change:
                self._put(change, message.ticket)
            self._database.execute(
                """insert into ticket (finding_id, is_open, content, updated_at, event_time) values (?, ?, ?, ?, ?)
                on conflict (finding_id) do update set is_open = excluded.is_open, content = excluded.content,
                    updated_at = excluded.updated_at, event_time = excluded.event_time""",
                [message.finding_id, message.is_open, message.content, message.updated_at, message.event_time],
            )
            return change

    def rows(self) -> list[dict[str, Any]]:
        cursor = self._database.execute("select * from ticket order by finding_id")
        return [dict(zip((item[0] for item in cursor.description), row, strict=True)) for row in cursor]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._database.execute("rollback")
            raise
        self._database.execute("commit")


def _change(before: Message | None, now: Message) -> Change | None:
    was_open = before is not None and before.is_open
    if now.is_open and not was_open:
        return "open"
    if was_open and not now.is_open:
        return "close"
    # A heartbeat or a re-import repeats what was said; a ticket that is not open has nobody to tell.
    return "update" if before and now.is_open and before.content != now.content else None


def consume(sqs: Any, queue_url: str, tickets: Tickets, *, wait_seconds: int = 20) -> int:
    """Take up to ten messages and apply them; returns how many came. One that fails is left: it comes again, and after
    ten times goes to the queue of refused ones.
    """
    answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds)
    messages = answer.get("Messages", [])
    for message in messages:
        try:
            tickets.apply(Message.parse(message["Body"]))
        except Exception as error:  # noqa: BLE001 whatever the ticket system raises
            log.error("message %s is left in the queue: %s", message["MessageId"], error)
            continue
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return len(messages)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queue-url", required=True, help="output QueueUrl of deploy/tickets.yaml")
    parser.add_argument("--table", default="tickets.sqlite", help="file that keeps what was told")
    parser.add_argument("--once", action="store_true", help="end when the queue is empty")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    sqs, tickets = boto3.client("sqs"), Tickets(arguments.table)
    while consume(sqs, arguments.queue_url, tickets) or not arguments.once:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
