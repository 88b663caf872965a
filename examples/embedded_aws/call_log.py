"""What was asked of the embedded AWS: by whom, when, and what came of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from embedded_aws.access import Principal, action_of
from embedded_aws.contract import Call


class LoggedCall(NamedTuple):
    at: datetime
    """When it was answered, by the machine's clock (that of a fake may be set)."""
    account_id: str
    region: str
    role: str
    """Name of the calling role; the scanner's own user is the role ''."""
    action: str
    """The IAM action: securityhub:BatchImportFindings."""
    outcome: str
    """`ok`, the code of the error, or `dropped`."""


class CallLog:
    """Every call since the start or the last `clear`, in the order of the answers."""

    def __init__(self) -> None:
        self._calls: list[LoggedCall] = []
        self._lock = threading.Lock()

    def add(self, call: Call, principal: Principal, outcome: str) -> None:
        action = action_of(call.service, call.operation)
        made = LoggedCall(datetime.now(UTC), call.account_id, call.region, principal.role or "", action, outcome)
        with self._lock:
            self._calls.append(made)

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()

    def __iter__(self) -> Iterator[LoggedCall]:
        with self._lock:
            return iter(self._calls.copy())

    def actions(self, role: str | None = None) -> Counter[str]:
        """How many calls of each IAM action a role made; of all callers if none is named."""
        return Counter(call.action for call in self if role in (None, call.role))
