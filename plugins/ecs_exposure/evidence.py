"""A trait's evidence: decoded, and without what drifts by itself from night to night (tasks, interfaces, instances,
addresses, probabilities, counts, dates). What lasts of it decides whether a finding changed (sql/findings/finding.sql).
"""

from __future__ import annotations

import ipaddress
import json
import re
from functools import lru_cache
from typing import Any

import msgspec

# Evidence keys whose values change without anyone changing the service.
VOLATILE_KEYS = frozenset(
    {
        "epss", "probability", "score", "count", "counts", "total", "rank", "is_carried", "is_stale",
        "task", "tasks", "task_id", "task_arn", "task_arns", "container_instance", "container_instance_arn",
        "instance", "instances", "instance_id", "instance_ids",
        "interface", "interfaces", "network_interface", "network_interfaces", "network_interface_id",
        "network_interface_ids", "eni",
        "hops",  # the way to whichever subnet a task was placed in tonight
        "service_control_policies",  # whether tonight's scan could read them
        "fingerprint",  # another key changes every one of them
        "address", "addresses", "ip", "public_ip", "public_ips", "private_ip", "ipv6_address", "ipv6_addresses",
    }
)  # fmt: skip
VOLATILE_SUFFIXES = ("_count", "_counts", "_date", "_at", "_days", "_epss", "_probability", "_score")

# The same by value, whatever the key: interfaces, instances, tasks and container instances come and go with every
# deployment. What may be an address is the second group: an exception for every other value would be dear.
_VOLATILE_VALUE = re.compile(
    r"(?:eni-[0-9a-f]+|m?i-[0-9a-f]+|arn:[\w-]+:ecs:[\w-]*:\d*:(?:task|container-instance)/.+)|([0-9A-Fa-f.:]+(?:%.+)?)"
)


@lru_cache(maxsize=256)
def evidence_of(text: str | None) -> list[Any]:
    """A trait's evidence, decoded; several readers ask for the same in turn, so it is not to be changed."""
    try:
        evidence = msgspec.json.decode(text or "[]")
    except (msgspec.DecodeError, UnicodeEncodeError):  # half of a character, which only json reads
        evidence = json.loads(text or "[]")
    return evidence if isinstance(evidence, list) else [evidence]


def durable(evidence: Any) -> Any:
    """Evidence (decoded JSON) without what drifts; lists sorted and without duplicates, so that two tasks alike count
    as one.
    """
    if isinstance(evidence, dict):
        kept = {}
        for key, value in evidence.items():
            if not _is_volatile_key(key) and not _is_volatile(value) and not _is_empty(lasting := durable(value)):
                kept[key] = lasting
        return kept
    if isinstance(evidence, list):
        items = (durable(item) for item in evidence if not _is_volatile(item))
        kept_items = [item for item in items if not _is_empty(item)]
        if len(kept_items) < 2:
            return kept_items
        unique = {_canonical(item): item for item in kept_items}
        return [unique[key] for key in sorted(unique)]
    return evidence


def _is_empty(value: Any) -> bool:
    return value is None or value == {} or value == []


@lru_cache(maxsize=4_096)
def _is_volatile_key(key: str) -> bool:
    return key in VOLATILE_KEYS or key.endswith(VOLATILE_SUFFIXES)


def _is_volatile(value: Any) -> bool:
    if not isinstance(value, str) or not (match := _VOLATILE_VALUE.fullmatch(value)):
        return False
    if match[1] is None:
        return True
    try:
        ipaddress.ip_address(value)  # an address, not a range: 0.0.0.0/0 is what is wrong and stays
    except ValueError:
        return False
    return True


def durable_evidence(text: str) -> str:
    """What of a trait's evidence (JSON) lasts, as JSON: the SQL function of the same name. Equal text for evidence that
    differs only in what drifts, or in order.
    """
    return _canonical(durable(evidence_of(text))).decode()


def _canonical(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value, order="sorted")
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
