"""Telling Security Hub: `publish` sends the planned actions of one account and Region, `check` judges what came of
all of them.

Nothing is sent twice as two findings: an Id is stable, so re-sending after a crash updates. Limits: Security Hub
partner guide (100 findings, 240 KB each, 6 MB a batch). The request rate is the client's own budget; throttled
requests are retried by botocore, findings refused one by one for a passing reason here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_result, stop_after_attempt
from tenacity.wait import wait_base, wait_random_exponential

from ecs_exposure.aws_errors import AWS_ERRORS, IncompleteAnswer, classify
from ecs_exposure.securityhub.asff import timestamp, wire_bytes
from ecs_exposure.securityhub.ledger import Action, PublishError, absent, completely_seen, plan, publications_fold
from ecs_exposure.securityhub.text import cut

__all__ = [
    "Action", "Outcome", "PublishError", "absent", "check", "completely_seen", "plan", "publications_fold", "publish",
]  # fmt: skip

Status = Literal["sent", "failed", "denied", "not_enabled", "dry_run"]

MAX_BATCH = 100
MAX_BATCH_BYTES = 6_000_000
ATTEMPTS = 3

_BATCH_ENVELOPE_BYTES = 1_000
_MAX_MESSAGE = 500  # schemas/results.py: publication.error_message
_TICK = timedelta(milliseconds=1)  # Security Hub keeps milliseconds
_INCOMPLETE = "IncompleteAnswer"

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

    `archived` and `heartbeat` are among `sent`.
    """

    account_id: str = ""
    region: str = ""
    sent: int = 0
    failed: int = 0
    denied: int = 0
    not_enabled: int = 0
    archived: int = 0
    heartbeat: int = 0
    unchanged: int = 0
    dry_run: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def to_send(self) -> int:
        """Findings that there was reason to send, outside a dry run."""
        return self.sent + self.failed + self.denied + self.not_enabled


def publish(
    client_for: Callable[[str, str], Any],
    actions: Sequence[Action],
    *,
    mode: Literal["dry-run", "on"],
    now: Callable[[], datetime],
    wait: wait_base | None = None,
) -> Outcome:
    """Send the actions of one account and Region; a dry run only writes down what would be sent.

    client_for(account_id, region) gives the boto3 client of Security Hub in that account. `wait` is the pause between
    the attempts of findings refused for a passing reason (a few seconds unless told).

    AWS's refusals are never raised: they are rows of the outcome, so that every attempt is recorded whatever happens
    to the others. Give all outcomes to `check` once their rows are stored. Raises ValueError for actions of more than
    one account or Region.
    """
    targets = {action.target for action in actions}
    if len(targets) > 1:
        raise ValueError(f"publish sends for one account and Region at a time, got {sorted(targets)}")
    account_id, region = next(iter(targets), ("", ""))
    outcome = Outcome(account_id, region, unchanged=sum(action.reason == "unchanged" for action in actions))
    letters = [_Letter(action) for action in actions if action.reason != "unchanged"]
    sender = _Sender(client_for, outcome, now, wait or wait_random_exponential(multiplier=0.5, max=8))
    if mode == "dry-run":
        sender.record(letters, "dry_run")
        sender.count(letters)
        return outcome
    for batch in _batches(letters):
        sender.deliver(batch)
    return outcome


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
            if row["status"] in ("failed", "denied", "not_enabled"):
                lost[outcome.account_id, outcome.region, row["status"], row["error_message"] or row["error_code"]] += 1
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
    failed = sum(outcome.failed for outcome in outcomes)
    # Where others stand as told before, a place without a hub is coverage; where nobody was ever told, it is failure.
    is_error = failed or (is_whole_organization and not any(outcome.unchanged for outcome in outcomes))
    if to_send and is_error and not any(outcome.sent for outcome in outcomes):
        shown = "\n  ".join(lines[:10])
        raise PublishError(f"{to_send} finding(s) to send and none was sent to Security Hub:\n  {shown}")
    return lines


# --- sending --------------------------------------------------------------------------------------------------------


class _Letter:
    """A finding on its way: the document made ready, and when it was last tried."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.finding: dict[str, Any] = json.loads(action.document)
        self.finding["RecordState"] = action.record_state
        if action.created_at is not None:
            # What was first said of when it began stays said, even if the lake was lost since.
            self.finding["CreatedAt"] = self.finding["FirstObservedAt"] = timestamp(action.created_at)
        self.created_at = datetime.fromisoformat(self.finding["CreatedAt"])
        self.updated_at = action.updated_at
        self.status: Status = "failed"

    def stamp(self, moment: datetime) -> None:
        """UpdatedAt strictly newer than any tried before: Security Hub silently ignores an update that is not."""
        self.updated_at = moment if self.updated_at is None else max(moment, self.updated_at + _TICK)
        self.finding["UpdatedAt"] = timestamp(self.updated_at)


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


class _Sender:
    def __init__(
        self, client_for: Callable[[str, str], Any], outcome: Outcome, now: Callable[[], datetime], wait: wait_base
    ) -> None:
        self._client_for = client_for
        self._outcome = outcome
        self._now = now
        self._wait = wait
        self._last = datetime.min.replace(tzinfo=UTC)
        self._closed: tuple[Status, str, str] | None = None

    def deliver(self, batch: list[_Letter]) -> None:
        """Send one batch, the findings refused for a passing reason up to ATTEMPTS times, and count what came of
        each.
        """
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
        self.count(batch)

    def _attempt(self, letters: list[_Letter]) -> list[_Letter]:
        """Send once, record a row for each finding; the findings worth another attempt."""
        if (
            self._closed is not None
        ):  # the account or hub refuses as such: asking again for the next hundred changes nothing
            self.record(letters, *self._closed)
            return []
        moment = self._moment()
        for letter in letters:
            letter.stamp(moment)
        account_id, region = letters[0].action.target
        try:
            client = self._client_for(account_id, region)
            refused = _refusals(client.batch_import_findings(Findings=[letter.finding for letter in letters]), letters)
        except AWS_ERRORS as error:
            status, message = classify(error)
            code = _INCOMPLETE if isinstance(error, IncompleteAnswer) else _code(error)
            self._refuse_all(letters, "denied" if status == "excluded" else status, code, message, moment)
            return letters if code == _INCOMPLETE else []
        again = []
        for letter in letters:
            code, message = refused.get(letter.action.finding_id, ("", ""))
            if not code:
                self._write(letter, "sent", None, None, moment)
                continue
            self._write(letter, _STATUS_OF_CODE.get(code, "failed"), code, message, moment)
            if code in _PASSING:
                again.append(letter)
        if all(letter.status == "not_enabled" for letter in letters):
            code, message = refused[letters[0].action.finding_id]
            self._closed = ("not_enabled", code, message)
        return again

    def _refuse_all(self, letters: list[_Letter], status: Status, code: str, message: str, moment: datetime) -> None:
        if status in ("denied", "not_enabled"):
            self._closed = (status, code, message)
        for letter in letters:
            self._write(letter, status, code, message, moment)

    def record(
        self, letters: Iterable[_Letter], status: Status, code: str | None = None, message: str | None = None
    ) -> None:
        """Write a row for each finding without sending it."""
        moment = self._moment()
        for letter in letters:
            letter.stamp(moment)
            self._write(letter, status, code, message, moment)

    def count(self, letters: Iterable[_Letter]) -> None:
        """Add each finding to the outcome by its last attempt."""
        outcome = self._outcome
        for letter in letters:
            setattr(outcome, letter.status, getattr(outcome, letter.status) + 1)
            if letter.status == "sent":
                outcome.archived += letter.action.reason == "archived"
                outcome.heartbeat += letter.action.reason == "heartbeat"

    def _write(self, letter: _Letter, status: Status, code: str | None, message: str | None, moment: datetime) -> None:
        letter.status = status
        action = letter.action
        self._outcome.rows.append(
            {
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
                "error_message": cut(message, _MAX_MESSAGE) if message else None,
                "created_at": letter.created_at,
                "updated_at": letter.updated_at,
                "published_at": moment,
            }
        )

    def _moment(self) -> datetime:
        """Now in whole milliseconds, later than the moment before, so that no two attempts of a finding share their
        key.
        """
        moment = self._now().astimezone(UTC)
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        self._last = max(moment, self._last + _TICK)
        return self._last


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
