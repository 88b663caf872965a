"""What counts as a change of a finding: a hash over the things that matter and last, and over nothing that drifts by
itself.

Covered: severity, likelihood, impact, owner, the traits hit with their durable evidence, the ids of the worst
vulnerabilities in an order that knows no probability, and the fixes that reach the lowest severity. Not covered:
EPSS, probability, score, counts, dates, tasks, interfaces, instances and addresses, what is unknown tonight, and
every wording.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
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
# deployment.
_VOLATILE_VALUE = re.compile(r"eni-[0-9a-f]+|m?i-[0-9a-f]+|arn:[\w-]+:ecs:[\w-]*:\d*:(task|container-instance)/.+")

_ADDRESS_LIKE = re.compile(r"[0-9A-Fa-f.:]+(%.+)?")  # spares the many other values an exception

# Their evidence lists whichever vulnerabilities are likeliest tonight; `durable_vulnerability_ids` stands for it.
_BY_PROBABILITY = frozenset({"vulnerability", "high_priority_vulnerability"})


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
        kept = {
            key: durable(value)
            for key, value in evidence.items()
            if not _is_volatile_key(key) and not _is_volatile(value)
        }
        return {key: value for key, value in kept.items() if value not in ({}, [], None)}
    if isinstance(evidence, list):
        items = (durable(item) for item in evidence if not _is_volatile(item))
        kept_items = [item for item in items if item not in ({}, [], None)]
        if len(kept_items) < 2:
            return kept_items
        unique = {_canonical(item): item for item in kept_items}
        return [unique[key] for key in sorted(unique)]
    return evidence


def _is_volatile_key(key: str) -> bool:
    return key in VOLATILE_KEYS or key.endswith(VOLATILE_SUFFIXES)


def _is_volatile(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if _VOLATILE_VALUE.fullmatch(value):
        return True
    if not _ADDRESS_LIKE.fullmatch(value):
        return False
    try:
        ipaddress.ip_address(value)  # an address, not a range: 0.0.0.0/0 is what is wrong and stays
    except ValueError:
        return False
    return True


def content_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of what a row of `findings.finding` durably says. Equal hash: nothing is sent but heartbeats."""
    hits = {
        trait["trait"]: [] if trait["trait"] in _BY_PROBABILITY else durable(evidence_of(trait["evidence"]))
        for trait in row["trait_details"]
        if trait["state"] == "hit"
    }
    said = {
        "severity": row["severity"],
        "likelihood": row["likelihood"],
        "impact": row["impact"],
        "owner": row["owner"],
        "traits": hits,
        "vulnerability_ids": sorted(row["durable_vulnerability_ids"]),
        "fixes": sorted(row["lowering_fixes"]),
    }
    return hashlib.sha256(_canonical(said)).hexdigest()


def _canonical(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value, order="sorted")
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
