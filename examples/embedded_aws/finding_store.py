"""Findings of many hubs, and when AWS deletes them: 90 days after their last update, 30 when archived, and 90 after
their hub was switched off (user guide: retention of findings; API reference: DisableSecurityHub).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from embedded_aws.finding_format import parse_timestamp

KEPT_DAYS = {"ACTIVE": 90, "ARCHIVED": 30}
KEPT_DAYS_WITHOUT_HUB = 90

Place = tuple[str, str]
"""(account_id, region)."""
Key = tuple[str, str]
"""(ProductArn, Id)."""

_NEVER = datetime.max.replace(tzinfo=UTC)
# The large attributes of a finding are kept as bytes: a hundred million small objects are a burden to Python.
_BULKY = ("ProductFields", "Resources", "Vulnerabilities")


class Stored:
    """A finding as customers see it. Never changed: an answer that is being written may hold it."""

    def __init__(self, finding: dict[str, Any], customer_set: list[str]) -> None:
        self.head = {name: value for name, value in finding.items() if name not in _BULKY}
        self._bulk = msgspec.json.encode({name: finding[name] for name in _BULKY if name in finding})
        self.customer_set = customer_set
        """Attributes that a customer has set by BatchUpdateFindings: imports no longer show there."""
        last = max(parse_timestamp(finding["ProcessedAt"]), parse_timestamp(finding["UpdatedAt"]))
        self.deleted_after = last + timedelta(days=KEPT_DAYS[finding["RecordState"]])

    @property
    def key(self) -> Key:
        return self.head["ProductArn"], self.head["Id"]

    @property
    def finding(self) -> dict[str, Any]:
        """The whole; what is in it is shared, and not to be changed."""
        bulk: dict[str, Any] = msgspec.json.decode(self._bulk)
        return self.head | bulk


class FindingStore:
    """Findings by account, Region, product and Id. Whoever uses it from several threads holds a lock of his own."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._stored: dict[Place, dict[Key, Stored]] = {}
        self._hidden_since: dict[Place, datetime] = {}
        self._next_deletion = _NEVER

    def keep(self, place: Place, finding: dict[str, Any], customer_set: list[str]) -> None:
        record = Stored(finding, customer_set)
        self._stored.setdefault(place, {})[record.key] = record
        self._next_deletion = min(self._next_deletion, record.deleted_after)

    def get(self, place: Place, key: Key) -> Stored | None:
        return self._stored.get(place, {}).get(key)

    def of(self, place: Place) -> list[Stored]:
        """By product and Id."""
        return sorted(self._stored.get(place, {}).values(), key=lambda record: record.key)

    def shown(self) -> list[tuple[Place, Stored]]:
        """All but those that are hidden."""
        places = sorted(self._stored.keys() - self._hidden_since.keys())
        return [(place, record) for place in places for record in self.of(place)]

    def delete(self, place: Place, ids: Collection[str]) -> None:
        stored = self._stored.get(place, {})
        for key in [key for key in stored if key[1] in ids]:
            del stored[key]

    def hide(self, place: Place) -> None:
        self._hidden_since[place] = self._clock()
        self._next_deletion = min(self._next_deletion, self._hidden_until(place))

    def show(self, place: Place) -> None:
        self.forget_old()
        self._hidden_since.pop(place, None)

    def forget_old(self) -> None:
        """Delete what AWS would have deleted by now; next to nothing to do until that of the next is due."""
        now = self._clock()
        if now <= self._next_deletion:
            return
        for place, stored in self._stored.items():
            is_over = place in self._hidden_since and now > self._hidden_until(place)
            for key, record in list(stored.items()):
                if is_over or now > record.deleted_after:
                    del stored[key]
        due = [record.deleted_after for stored in self._stored.values() for record in stored.values()]
        due += [self._hidden_until(place) for place, stored in self._stored.items() if place in self._hidden_since]
        self._next_deletion = min((moment for moment in due if moment >= now), default=_NEVER)

    def _hidden_until(self, place: Place) -> datetime:
        return self._hidden_since[place] + timedelta(days=KEPT_DAYS_WITHOUT_HUB)

    def dump(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "hidden_since": [[*place, since.isoformat()] for place, since in sorted(self._hidden_since.items())],
            "findings": [
                {
                    "account_id": place[0],
                    "region": place[1],
                    "finding": deepcopy(record.finding),
                    "customer_set": list(record.customer_set),
                }
                for place in sorted(self._stored)
                for record in self.of(place)
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._stored = {}
        self._hidden_since = {
            (account_id, region): datetime.fromisoformat(since)
            for account_id, region, since in state.get("hidden_since", [])
        }
        for item in state.get("findings", []):
            self.keep((item["account_id"], item["region"]), deepcopy(item["finding"]), list(item["customer_set"]))
        self._next_deletion = datetime.min.replace(tzinfo=UTC)  # so that the next call looks
