"""Telling Security Hub: `publish` sends planned actions, several accounts and Regions at once, `check` judges what came
of all of them.

Nothing is sent twice as two findings: an Id is stable, so re-sending after a crash updates. An intent is recorded
before anything is sent: what a killed run may have stored is known to the next. Limits: Security Hub partner guide
(100 findings, 240 KB each, 6 MB a batch). The request rate is the client's own budget; throttled requests are retried
by botocore, findings refused one by one for a passing reason here.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_result, stop_after_attempt
from tenacity.wait import wait_base, wait_random_exponential

from ecs_exposure.aws_errors import AWS_ERRORS, IncompleteAnswer, classify
from ecs_exposure.securityhub.asff import timestamp, wire_bytes
from ecs_exposure.securityhub.ledger import Action, PublishError, Target
from ecs_exposure.securityhub.text import cut

Status = Literal["sending", "sent", "failed", "denied", "not_enabled", "dry_run"]
Row = dict[str, Any]
"""A row of `publication`."""

MAX_BATCH = 100
MAX_BATCH_BYTES = 6_000_000
ATTEMPTS = 3
TARGETS_AT_ONCE = 8
IN_FLIGHT = 3
"""Requests under way at once for one account and Region: one takes AWS longer than the rate's interval."""
DOCUMENTS_AT_ONCE = 200
"""Findings of one account and Region are asked for so many at a time."""
ROWS_AT_ONCE = 1_000
"""Rows of `publication` are stored so many at a time: each time is a file of the lake."""

MAX_MESSAGE = 500
"""Characters of an error's message that are kept (schemas/results.py)."""

_BATCH_ENVELOPE_BYTES = 1_000
_TICK = timedelta(milliseconds=1)  # Security Hub keeps milliseconds
_INCOMPLETE = "IncompleteAnswer"
_CUT_OFF = "publishing was cut off, or another is under way, and nobody knows whether they arrived; run publish again"

# Codes that blame the service or the moment, not the finding: the same finding may be accepted a little later.
_PASSING = frozenset(
    {
        "ConcurrentUpdateError", "InternalException", "InternalFailure", "InternalServerError", "LimitExceeded",
        "LimitExceededException", "ServiceUnavailable", "ServiceUnavailableException", "Throttling",
        "ThrottlingException", "TooManyRequestsException", _INCOMPLETE,
    }
)  # fmt: skip
_STATUS_OF_CODE: dict[str, Status] = {
    "InvalidAccess": "not_enabled",
    "InvalidAccessException": "not_enabled",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
}


@dataclass
class Outcome:
    """What came of one account and Region. Findings are counted by their last attempt; `rows` (`publication`) hold
    every attempt.

    `archived` and `heartbeat` are among `sent`; `sending` are those cut off, of which nobody knows.
    """

    account_id: str = ""
    region: str = ""
    sent: int = 0
    failed: int = 0
    denied: int = 0
    sending: int = 0
    not_enabled: int = 0
    archived: int = 0
    heartbeat: int = 0
    unchanged: int = 0
    dry_run: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def to_send(self) -> int:
        """Findings that there was reason to send, outside a dry run."""
        return self.sent + self.failed + self.denied + self.not_enabled + self.sending


def publish(
    client_for: Callable[[str, str], Any],
    actions: Iterable[Action],
    *,
    documents: Callable[[Sequence[Action]], Iterable[Mapping[str, Any]]],
    record: Callable[[Sequence[Row]], None],
    mode: Literal["dry-run", "on"],
    now: Callable[[], datetime],
    wait: wait_base | None = None,
) -> list[Outcome]:
    """Send the actions; a dry run only writes down what would be sent. One outcome per account and Region.

    client_for(account_id, region) gives the boto3 client of Security Hub in that account. documents(actions) gives
    their findings in AWS's format without UpdatedAt, in the same order; asked for by several threads, some hundred of
    one account and Region at a time, as they are sent. record(rows) stores rows of `publication` for good: the intents
    (`sending`) of all actions before the first request, what came of them as it comes; asked for by one thread at a
    time. `wait` is the pause between the attempts of findings refused for a passing reason (a few seconds unless told).

    AWS's refusals are never raised: they are rows, so that every attempt is recorded whatever happens to the others.
    Give all outcomes to `check` in the end.
    """
    journal = _Journal(record)
    pause = wait or wait_random_exponential(multiplier=0.5, max=8)
    by_target: dict[Target, list[Action]] = {}
    for action in actions:
        by_target.setdefault(action.target, []).append(action)
    outcomes, deliveries = [], []
    for target, mine in sorted(by_target.items()):
        outcome = Outcome(*target, unchanged=sum(action.reason == "unchanged" for action in mine))
        outcomes.append(outcome)
        # In the order of their hashes the large ones are spread among the small: batches are full by both of their
        # limits.
        to_send = sorted(
            (action for action in mine if action.reason != "unchanged"),
            key=lambda action: (action.content_hash, action.finding_id),
        )
        if to_send:
            deliveries.append((_Sender(client_for, outcome, journal, now, pause), to_send))
    try:
        if mode == "dry-run":
            for sender, to_send in deliveries:
                sender.write(map(_Letter, to_send), "dry_run")
        elif deliveries:
            for sender, to_send in deliveries:
                sender.announce(to_send)
            journal.flush()
            with futures.ThreadPoolExecutor(max_workers=TARGETS_AT_ONCE) as pool:
                under_way = [pool.submit(sender.send, _letters(mine, documents)) for sender, mine in deliveries]
                for future in futures.as_completed(under_way):
                    future.result()
    finally:
        journal.flush()
    return outcomes


def check(outcomes: Iterable[Outcome], *, is_whole_organization: bool = True) -> list[str]:
    """One line per reason for which findings did not arrive, the most frequent first; empty when all did.

    Raises PublishError when there was something to send and nothing was sent, and when an answer did not account for
    the findings sent, unless all it concerns are denied or without a hub while other findings stand as told before
    (`unchanged`). Of a part of the organisation (`is_whole_organization=False`) being denied or without a hub
    throughout is a finding about that part, recorded in its rows, and no error.
    """
    outcomes = list(outcomes)
    lost: Counter[tuple[str, str, str, str]] = Counter()
    unaccounted = []
    for outcome in outcomes:
        last = {row["finding_id"]: row for row in outcome.rows}
        for row in last.values():
            if row["status"] in ("failed", "denied", "not_enabled", "sending"):
                lost[
                    outcome.account_id,
                    outcome.region,
                    row["status"],
                    row["error_message"] or row["error_code"] or _CUT_OFF,
                ] += 1
            if row["error_code"] == _INCOMPLETE:
                unaccounted.append(f"{row['account_id']} {row['region']}")
    lines = [
        f"{account_id} {region}: {count} finding(s) {status}: {message}"
        for (account_id, region, status, message), count in lost.most_common()
    ]
    if unaccounted:
        raise PublishError(
            f"Security Hub's answer did not account for {len(unaccounted)} finding(s) in "
            f"{', '.join(sorted(set(unaccounted)))}: they count as not sent; run publish again"
        )
    to_send = sum(outcome.to_send for outcome in outcomes)
    failed = sum(outcome.failed + outcome.sending for outcome in outcomes)
    # Where others stand as told before, a place without a hub is coverage; where nobody was ever told, it is failure.
    is_error = failed or (is_whole_organization and not any(outcome.unchanged for outcome in outcomes))
    if to_send and is_error and not any(outcome.sent for outcome in outcomes):
        shown = "\n  ".join(lines[:10])
        raise PublishError(f"{to_send} finding(s) to send and none was sent to Security Hub:\n  {shown}")
    return lines


# --- sending --------------------------------------------------------------------------------------------------------


class _Letter:
    """A finding on its way: its document, when it was last tried, and what came of it."""

    def __init__(self, action: Action, document: Mapping[str, Any] | None = None) -> None:
        self.action = action
        # What was first said of when it began stays said, even if the lake was lost since.
        began = timestamp(action.created_at)
        changes = {"RecordState": action.record_state, "CreatedAt": began, "FirstObservedAt": began}
        self.finding: dict[str, Any] = {**(document or {}), **changes}
        self.updated_at = action.updated_at
        self.status: Status = "failed"

    def stamp(self, moment: datetime) -> None:
        """UpdatedAt strictly newer than any tried before: Security Hub silently ignores an update that is not."""
        self.updated_at = moment if self.updated_at is None else max(moment, self.updated_at + _TICK)
        self.finding["UpdatedAt"] = timestamp(self.updated_at)


def _letters(
    actions: Sequence[Action], documents: Callable[[Sequence[Action]], Iterable[Mapping[str, Any]]]
) -> Iterator[_Letter]:
    for first in range(0, len(actions), DOCUMENTS_AT_ONCE):
        some = actions[first : first + DOCUMENTS_AT_ONCE]
        for action, document in zip(some, documents(some), strict=True):
            yield _Letter(action, document)


def _batches(letters: Iterable[_Letter]) -> Iterator[list[_Letter]]:
    batch: list[_Letter] = []
    room = MAX_BATCH_BYTES - _BATCH_ENVELOPE_BYTES
    for letter in letters:
        size = wire_bytes(letter.finding) + 100  # UpdatedAt is stamped later
        if batch and (len(batch) == MAX_BATCH or size > room):
            yield batch
            batch, room = [], MAX_BATCH_BYTES - _BATCH_ENVELOPE_BYTES
        batch.append(letter)
        room -= size
    if batch:
        yield batch


class _Journal:
    """Stores rows of `publication`, some at a time."""

    def __init__(self, record: Callable[[Sequence[Row]], None]) -> None:
        self._record = record
        self._rows: list[Row] = []
        self._lock = threading.Lock()

    def add(self, rows: Iterable[Row]) -> None:
        with self._lock:
            self._rows += rows
            if len(self._rows) >= ROWS_AT_ONCE:
                self._store()

    def flush(self) -> None:
        with self._lock:
            if self._rows:
                self._store()

    def _store(self) -> None:
        self._record(self._rows)
        self._rows = []


class _Sender:
    def __init__(
        self,
        client_for: Callable[[str, str], Any],
        outcome: Outcome,
        journal: _Journal,
        now: Callable[[], datetime],
        wait: wait_base,
    ) -> None:
        self._client_for = client_for
        self._outcome = outcome
        self._journal = journal
        self._now = now
        self._wait = wait
        self._last = datetime.min.replace(tzinfo=UTC)
        self._closed: tuple[Status, str, str] | None = None
        self._lock = threading.Lock()

    def send(self, letters: Iterable[_Letter]) -> None:
        """Deliver all letters: one batch alone, which tells whether the account takes any; then several at once."""
        batches = _batches(letters)
        self._deliver(next(batches))
        under_way: set[futures.Future[None]] = set()
        with futures.ThreadPoolExecutor(max_workers=IN_FLIGHT) as pool:
            for batch in batches:
                under_way.add(pool.submit(self._deliver, batch))
                if len(under_way) == IN_FLIGHT:
                    done, under_way = futures.wait(under_way, return_when=futures.FIRST_COMPLETED)
                    for future in done:
                        future.result()
            for future in under_way:
                future.result()

    def _deliver(self, batch: list[_Letter]) -> None:
        """Send one batch, the findings refused for a passing reason up to ATTEMPTS times."""
        pending = batch

        def attempt() -> bool:
            nonlocal pending
            pending = self._attempt(pending)
            return bool(pending)

        # After the last attempt the findings still pending stay as recorded: failed.
        Retrying(
            retry=retry_if_result(bool),
            stop=stop_after_attempt(ATTEMPTS),
            wait=self._wait,
            retry_error_callback=lambda _: None,
        )(attempt)
        self._count(batch)

    def _attempt(self, letters: list[_Letter]) -> list[_Letter]:
        """Send once, write a row for each finding; the findings worth another attempt."""
        if self._closed is not None:  # the account or hub refuses as such: asking for the next hundred changes nothing
            self._write(letters, *self._closed)
            return []
        moment = self._moment()
        for letter in letters:
            letter.stamp(moment)
        account_id, region = letters[0].action.target
        try:
            client = self._client_for(account_id, region)
            refused = _refusals(client.batch_import_findings(Findings=[letter.finding for letter in letters]), letters)
        except AWS_ERRORS as error:
            kind, message = classify(error)
            status: Status = "denied" if kind == "excluded" else kind
            code = _INCOMPLETE if isinstance(error, IncompleteAnswer) else _code(error)
            if status in ("denied", "not_enabled"):
                self._closed = (status, code, message)
            self._write(letters, status, code, message, moment)
            return letters if code == _INCOMPLETE else []
        again = []
        for letter in letters:
            code, message = refused.get(letter.action.finding_id, ("", ""))
            status = _STATUS_OF_CODE.get(code, "failed") if code else "sent"
            self._write([letter], status, code or None, message or None, moment)
            if code in _PASSING:
                again.append(letter)
        if all(letter.status == "not_enabled" for letter in letters):
            code, message = refused[letters[0].action.finding_id]
            self._closed = ("not_enabled", code, message)
        return again

    # --- what is remembered ---

    def announce(self, actions: Sequence[Action]) -> None:
        """Write rows that say that something is about to be sent: what is left at them may have arrived."""
        moment = self._moment()
        for first in range(0, len(actions), ROWS_AT_ONCE):
            some = actions[first : first + ROWS_AT_ONCE]
            self._journal.add([_row(_Letter(action), "sending", None, None, moment) for action in some])

    def write(self, letters: Iterable[_Letter], status: Status) -> None:
        """Write a row for each finding without sending it, and count them."""
        letters = list(letters)
        self._write(letters, status)
        self._count(letters)

    def _write(
        self,
        letters: Iterable[_Letter],
        status: Status,
        code: str | None = None,
        message: str | None = None,
        moment: datetime | None = None,
    ) -> None:
        if moment is None:  # not sent
            moment = self._moment()
            for letter in letters:
                letter.stamp(moment)
        rows = []
        for letter in letters:
            letter.status = status
            rows.append(_row(letter, status, code, message, moment))
        with self._lock:
            self._outcome.rows += rows
        self._journal.add(rows)

    def _count(self, letters: Iterable[_Letter]) -> None:
        """Add each finding to the outcome by its last attempt."""
        outcome = self._outcome
        with self._lock:
            for letter in letters:
                setattr(outcome, letter.status, getattr(outcome, letter.status) + 1)
                if letter.status == "sent":
                    outcome.archived += letter.action.record_state == "ARCHIVED"
                    outcome.heartbeat += letter.action.reason == "heartbeat"

    def _moment(self) -> datetime:
        """Now in whole milliseconds, later than the moment before, so that no two attempts of a finding share their
        key.
        """
        moment = self._now().astimezone(UTC)
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        with self._lock:
            self._last = max(moment, self._last + _TICK)
            return self._last


def _row(letter: _Letter, status: Status, code: str | None, message: str | None, moment: datetime) -> Row:
    action = letter.action
    return {
        "snapshot_date": action.snapshot_date,
        "account_id": action.account_id,
        "region": action.region,
        "resource_id": action.resource_id,
        "finding_id": action.finding_id,
        "content_hash": action.content_hash,
        "severity": action.severity,
        "record_state": action.record_state,
        "status": status,
        "reason": action.reason,
        "error_code": code,
        "error_message": cut(message, MAX_MESSAGE) if message else None,
        "created_at": action.created_at,
        "updated_at": letter.updated_at or moment,
        "published_at": moment,
    }


def _refusals(answer: dict[str, Any], letters: Sequence[_Letter]) -> dict[str, tuple[str, str]]:
    """finding_id → (code, message) of the findings that were not accepted.

    Raises IncompleteAnswer unless the answer accounts for every finding sent: an answer cut short is not success.
    """
    succeeded, failed = answer.get("SuccessCount"), answer.get("FailedCount")
    details = answer.get("FailedFindings") or []
    if succeeded is None or failed is None or succeeded + failed != len(letters) or len(details) != failed:
        raise IncompleteAnswer(
            f"BatchImportFindings of {len(letters)} finding(s): SuccessCount {succeeded}, FailedCount {failed}, "
            f"{len(details)} failure(s) detailed"
        )
    refused = {
        item.get("Id", ""): (item.get("ErrorCode") or "Unknown", item.get("ErrorMessage") or "") for item in details
    }
    if len(refused) != failed or not refused.keys() <= {letter.action.finding_id for letter in letters}:
        raise IncompleteAnswer(
            f"BatchImportFindings names {len(refused)} failed finding(s) of ours, FailedCount is {failed}"
        )
    return refused


def _code(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__
