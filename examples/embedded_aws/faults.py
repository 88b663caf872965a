"""Faults that tests inject between the caller and the answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from embedded_aws.contract import Call


@dataclass
class Fault:
    """What goes wrong, for which calls, after how many good ones, and how often (`times=None`: for ever)."""

    service: str
    operation: str
    account_id: str | None = None
    region: str | None = None
    code: str | None = None
    status: int = 400
    message: str = ""
    times: int | None = None
    after: int = 0
    truncate: bool = False
    drop: bool = False
    lose_answer: bool = False
    seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        kinds = [self.code is not None, self.truncate, self.drop, self.lose_answer]
        if sum(kinds) != 1:
            raise ValueError("a fault is exactly one of: code=…, truncate=True, drop=True, lose_answer=True")

    def matches(self, call: Call) -> bool:
        return (
            self.service == call.service
            and self.operation == call.operation
            and self.account_id in (None, call.account_id)
            and self.region in (None, call.region)
        )


class Faults:
    """The faults in force. The first one that strikes wins; every matching one counts the call."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def strike(self, call: Call) -> Fault | None:
        """The fault that hits this call, if any; counts it."""
        struck = None
        with self._lock:
            for fault in self._faults:
                if not fault.matches(call):
                    continue
                fault.seen += 1
                turn = fault.seen - fault.after
                if struck is None and turn > 0 and (fault.times is None or turn <= fault.times):
                    struck = fault
        return struck
