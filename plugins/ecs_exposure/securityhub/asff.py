"""A row of sql/documents/document.sql as a finding in AWS Security Finding Format (ASFF).

Source of every limit: the documentation of Security Hub's API types AwsSecurityFinding, Resource, Recommendation and
Severity, and the guidelines for BatchImportFindings (240 KB a finding). botocore checks none of the maxima, so all
are kept here.

Belongs to the customer and is never sent: Workflow, Note, UserDefinedFields, VerificationState. Severity and Types
travel only in FindingProviderFields, so that what an analyst set by BatchUpdateFindings survives our updates.
Environment values are not in the rows this module reads, and AwsEcsTaskDefinition.ContainerDefinitions is never
filled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from itertools import chain, islice
from math import isfinite
from typing import Any

import msgspec

from ecs_exposure.evidence import evidence_of
from ecs_exposure.securityhub.resources import identified, resources, vulnerabilities
from ecs_exposure.securityhub.text import clean, cut, fields

GENERATOR_ID = "ecs-exposure"
PRODUCT_NAME = "ECS Exposure"
SCHEMA_VERSION = "2018-10-08"

MAX_TITLE = 256
MAX_DESCRIPTION = 1024
MAX_RECOMMENDATION = 512
MAX_ORIGINAL = 64
MAX_RESOURCES = 32
MAX_ACCOUNT_NAME = 50
MAX_PRODUCT_FIELDS = 45  # of 50: the checksum comes on top, and Security Hub adds a few aws/securityhub/… of its own
MAX_PRODUCT_FIELD_KEY = 128
MAX_PRODUCT_FIELD = 2048
MAX_FINDING_BYTES = (
    239_500  # "240 KB" read the strict way, as boto3 puts it on the wire, with room for UpdatedAt and checksum
)
SHOWN = 2  # pieces of a trait's evidence in the description
MAX_URL = 1024  # ours: AWS states none

DOCUMENTATION = "https://docs.aws.amazon.com/securityhub/latest/userguide/exposure-ecs-service.html"

# Columns told under their own names, in this order; each kept only when it says something.
_TOLD = (
    "severity", "likelihood", "impact", "impact_reason", "driver", "driver_rule", "score", "exploit_probability",
    "highest_probability", "reachability", "is_exposed", "is_minimum", "minimum_reason", "traits", "unknown_traits",
    "owner", "ou_path", "account_name", "cluster_name", "service_name", "launch_type", "resource_id",
    "vulnerability_count",
    "high_priority_vulnerability_count", "due_date", "accepted_until", "first_observed_date", "observed_date",
    "is_carried", "is_dormant",
)  # fmt: skip
_CHECKS = "Software and Configuration Checks"
_CONFIGURATION = f"{_CHECKS}/AWS Security Best Practices/ECS Exposure"
_ARN = re.compile(r"^arn:[\w-]+:[\w-]+:[\w-]*:\d*:(?=.)", re.ASCII)
_PRIVILEGES = frozenset(
    {
        "administrative_access_policy", "task_definition_privileged", "host_process_namespace",
        "root_filesystem_access", "has_direct_policy_escalation_path", "has_trust_policy_hijack_path",
        "has_credential_minting_path", "has_pass_role_create_executor_path", "has_pass_role_task_hijack_path",
        "has_swap_role_existing_executor_path", "has_role_chain_escalation_path",
    }
)  # fmt: skip


def product_arn(account_id: str, region: str, partition: str) -> str:
    """The account's default product: the only one a custom tool may import for without being on AWS's partner list."""
    return f"arn:{partition}:securityhub:{region}:{account_id}:product/{account_id}/default"


def to_asff(row: Mapping[str, Any], partition: str) -> dict[str, Any]:
    """The finding of one row of document.sql, without UpdatedAt (the publisher's). Equal rows give equal bytes.

    Raises ValueError, naming the finding, if it cannot be brought under 240 KB (by construction it always can).
    """
    first_observed = timestamp(row["first_observed_date"])
    named = identified(row, partition)
    hits = _hits(row)
    finding: dict[str, Any] = {
        **envelope(row["finding_id"], row["account_id"], row["region"], partition),
        "CreatedAt": first_observed,
        "FirstObservedAt": first_observed,
        "LastObservedAt": timestamp(max(row["observed_date"], row["first_observed_date"])),
        "RecordState": "ACTIVE",
        "Title": cut(row["title"], MAX_TITLE) or "ECS service is exposed",
        "Description": cut(_description(row, hits), MAX_DESCRIPTION),
        "FindingProviderFields": {
            "Severity": {"Label": row["severity"], "Original": cut(_original(row), MAX_ORIGINAL)},
            "Types": _types(row, hits),
        },
        "Remediation": {"Recommendation": _recommendation(row, hits)},
        "ProductFields": _product_fields(row, hits, resources_total=len(named) + 1),
        "Resources": list(islice(resources(row, named, partition), MAX_RESOURCES)),
    }
    if account_name := cut(row["account_name"] or "", MAX_ACCOUNT_NAME):
        finding["AwsAccountName"] = account_name
    if worst := vulnerabilities(row):
        finding["Vulnerabilities"] = worst
    return sealed(_within_size(finding))


def closing_document(row: Mapping[str, Any], partition: str) -> dict[str, Any]:
    """A short finding, without UpdatedAt, to archive one of which no results are left to tell what it said.

    row: finding_id, account_id, region, resource_id (a service's ARN), severity.
    """
    resource_id = row["resource_id"]
    return sealed(
        {
            **envelope(row["finding_id"], row["account_id"], row["region"], partition),
            "RecordState": "ARCHIVED",
            "Title": "ECS service is no longer exposed",
            "Description": cut(
                f"The exposure of {resource_id} is gone. What it was is kept in the lake.", MAX_DESCRIPTION
            ),
            "FindingProviderFields": {"Severity": {"Label": row["severity"] or "LOW"}, "Types": [_CONFIGURATION]},
            "Resources": [
                {"Type": "AwsEcsService", "Id": resource_id, "Partition": partition, "Region": row["region"]}
            ],
        }
    )


def account_finding(row: Mapping[str, Any], partition: str, *, title: str, description: str) -> dict[str, Any]:
    """A finding about a whole account, without UpdatedAt.

    row: finding_id, account_id, region, resource_id (an AwsAccount's), severity.
    """
    return sealed(
        {
            **envelope(row["finding_id"], row["account_id"], row["region"], partition),
            "RecordState": "ACTIVE",
            "Title": cut(title, MAX_TITLE),
            "Description": cut(description, MAX_DESCRIPTION),
            "FindingProviderFields": {"Severity": {"Label": row["severity"] or "LOW"}, "Types": [_CONFIGURATION]},
            "Resources": [
                {"Type": "AwsAccount", "Id": row["resource_id"], "Partition": partition, "Region": row["region"]}
            ],
        }
    )


def envelope(finding_id: str, account_id: str, region: str, partition: str) -> dict[str, Any]:
    """What every finding of ours says of itself."""
    return {
        "SchemaVersion": SCHEMA_VERSION,
        "Id": finding_id,
        "ProductArn": product_arn(account_id, region, partition),
        "ProductName": PRODUCT_NAME,
        "GeneratorId": GENERATOR_ID,
        "AwsAccountId": account_id,
        "Region": region,
    }


def sealed(finding: dict[str, Any]) -> dict[str, Any]:
    """The finding with its checksum among the product fields."""
    finding.setdefault("ProductFields", {})["checksum"] = checksum(finding)
    return finding


def checksum(finding: Mapping[str, Any]) -> str:
    """Of what a finding (ours, or as GetFindings returns it) says: title, description, severity, remediation, named
    resources and product fields, not when it says so. A finding altered by someone else no longer has the one it
    carries.
    """
    provided = finding.get("FindingProviderFields", {})
    said = [
        finding.get("Title"), finding.get("Description"), provided.get("Severity", {}).get("Label"),
        provided.get("Types"), finding.get("Remediation"),
        [[resource.get("Type"), resource.get("Id")] for resource in finding.get("Resources", ())],
        {
            key: value
            for key, value in finding.get("ProductFields", {}).items()
            if key != "checksum" and not key.startswith("aws/")  # Security Hub's own
        },
    ]  # fmt: skip
    try:
        text = msgspec.json.encode(said, order="sorted")
    except UnicodeEncodeError:  # half of a character: not ours
        text = json.dumps(said, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:32]


@lru_cache(maxsize=1024)
def timestamp(day: date) -> str:
    """Midnight UTC of a day, or the moment of a datetime, in the form Security Hub stores (milliseconds, Z)."""
    moment = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day, tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def wire_bytes(finding: Mapping[str, Any]) -> int:
    """Size of a finding as botocore sends it: ASCII JSON with a space after each separator."""
    return len(json.dumps(finding))


# --- texts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hit:
    """A trait that hit. Its evidence is put into words when it is told: of many traits there is no room for it."""

    trait: str
    category: str
    title: str
    recommendation: str | None
    url: str | None
    evidence: Sequence[Any]

    @cached_property
    def _first(self) -> list[list[tuple[str, str]]]:
        return [_said(item) for item in self.evidence[:SHOWN]]

    def in_full(self) -> str:
        """`container web, path /etc; container log`: as much as a product field holds."""
        full: list[str] = []
        room = MAX_PRODUCT_FIELD
        for said in chain(self._first, map(_said, self.evidence[SHOWN:])):
            if room < 0:
                break  # the rest would be cut anyway
            if piece := cut(", ".join([word + text for word, text in said]), MAX_PRODUCT_FIELD):
                full.append(piece)
                room -= len(piece) + 2
        return "; ".join(full)

    def in_short(self) -> str:
        """` (container web, path /etc; 7 more)`: the first pieces."""
        short = [piece for said in self._first if (piece := _in_short(said))]
        if not short:
            return ""
        more = f"; {len(self.evidence) - SHOWN} more" if len(self.evidence) > SHOWN else ""
        return f" ({'; '.join(short)}{more})"


def _hits(row: Mapping[str, Any]) -> list[_Hit]:
    """Traits that hit: the driver's first, AWS's before ours, then misconfigurations, reachability, vulnerabilities,
    the rest; else by name.
    """
    order = {"Misconfiguration": 1, "Reachability": 2, "Vulnerability": 3}
    hits = [trait for trait in row["trait_details"] if trait["state"] == "hit"]
    hits.sort(
        key=lambda trait: (
            trait["trait"] != row["driver"], trait["is_ours"], order.get(trait["category"], 4), trait["trait"],
        )
    )  # fmt: skip
    return [
        _Hit(
            trait["trait"],
            trait["category"],
            cut(trait["title"] or trait["trait"].replace("_", " "), 120).rstrip("."),
            trait["recommendation"],
            trait["url"],
            evidence_of(trait["evidence"]),
        )
        for trait in hits
    ]


def _description(row: Mapping[str, Any], hits: Sequence[_Hit]) -> str:
    least = "at least " if row["is_minimum"] else ""
    driver = next((f"“{hit.title}”" for hit in hits if hit.trait == row["driver"]), row["driver"])
    sentences = [
        f"ECS service {cut(row['service_name'], 100)} in cluster {cut(row['cluster_name'], 100)} "
        f"has {least}{row['severity']} exposure: likelihood {row['likelihood'] or 'unknown'} "
        f"because of {cut(driver or 'no single cause', 125)}, impact {row['impact']}."
    ]
    if row["accepted_until"]:
        accepted = f"Accepted until {row['accepted_until']} by {cut(row['accepted_by'], 80)}"
        sentences.append(f"{accepted}: {cut(row['accepted_reason'], 200).rstrip('.')}.")
    for hit in hits:
        sentences.append(f"{hit.title}{hit.in_short()}.")
        if sum(map(len, sentences)) > MAX_DESCRIPTION:
            break  # the rest would be cut anyway
    if row["is_minimum"] and row["minimum_reason"]:
        sentences.append(f"Not seen or not known: {cut(row['minimum_reason'], 200)}.")
    return " ".join(sentences)


def _said(item: Any) -> list[tuple[str, str]]:
    """One piece of evidence as (word, clean text) pairs; a bare value has no word, nested ones are JSON, what is empty
    is left out.
    """
    if not isinstance(item, dict):
        return [("", cut(item, MAX_PRODUCT_FIELD))]
    said = []
    for key, value in item.items():
        if value is None or value == "" or value == []:
            continue
        if isinstance(value, list):
            value = ", ".join([json.dumps(part) if isinstance(part, dict) else str(part) for part in value])
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, dict):
            value = json.dumps(value)
        said.append((key.replace("_", " ") + " ", cut(value, MAX_PRODUCT_FIELD)))
    return said


def _in_short(item: list[tuple[str, str]]) -> str:
    """One piece with long texts cut and ARNs without account and Region, which the finding names anyway."""
    return cut(", ".join([word + _ARN.sub("", cut(text, 100 if word else 160)) for word, text in item]), 240)


def _original(row: Mapping[str, Any]) -> str:
    p = row["exploit_probability"]
    known = f"{p:.3f}" if p is not None and isfinite(p) else "unknown"
    return f"likelihood={row['likelihood'] or 'none'};impact={row['impact']};p={known}"


def _types(row: Mapping[str, Any], hits: Sequence[_Hit]) -> list[str]:
    traits = {hit.trait for hit in hits}
    categories = {hit.category for hit in hits}
    types = {
        f"{_CHECKS}/Vulnerabilities/CVE": bool(traits & {"vulnerability", "high_priority_vulnerability"}),
        _CONFIGURATION: "Misconfiguration" in categories,
        f"{_CHECKS}/AWS Security Best Practices/Network Reachability": bool(row["is_exposed"]),
        "TTPs/Privilege Escalation": bool(traits & _PRIVILEGES),
        "TTPs/Defense Evasion": "has_disable_audit_trail_path" in traits,
        "Effects/Data Exposure": bool(traits & {"cleartext_credentials", "has_single_hop_data_access_path"}),
        "Effects/Data Destruction": "has_data_ransomware_path" in traits,
    }
    return [name for name, applies in types.items() if applies] or [_CONFIGURATION]


def _recommendation(row: Mapping[str, Any], hits: Sequence[_Hit]) -> dict[str, str]:
    """The fix that lowers the exposure most, then how to go about the trait behind it; AWS's page of that trait."""
    fix = row["fix"]
    named = [hit for hit in hits if fix and fix["kind"] == "trait" and hit.trait == fix["removed"]]
    patched = [hit for hit in hits if fix and fix["kind"] != "trait" and hit.category == "Vulnerability"]
    about = next(iter(named or patched or hits), None)
    sentences = []
    if fix:
        gain = f"{row['severity']} becomes {fix['severity_after']}"
        if fix["severity_after"] == row["severity"]:
            gain = f"{row['severity']} stays, the score falls to {fix['score_after']:.0f}"
        sentences.append(f"{cut(fix['description'], 240).rstrip('.')}: {gain}.")
    if about and about.recommendation:
        sentences.append(about.recommendation)
    url = clean((about and about.url) or "")
    return {
        "Text": cut(" ".join(sentences), MAX_RECOMMENDATION)
        or "Deploy a new task definition revision without the named traits.",
        "Url": url if url.startswith("https://") and len(url) <= MAX_URL else DOCUMENTATION,
    }


def _product_fields(row: Mapping[str, Any], hits: Sequence[_Hit], *, resources_total: int) -> dict[str, str]:
    fix = row["fix"] or {}
    values: dict[str, object] = {
        **{name: _as_text(row[name]) for name in _TOLD},
        "fix": fix.get("description"),
        "fix_removes": f"{fix['kind']} {fix['removed']}" if fix else None,
        "fix_severity_after": fix.get("severity_after"),
        "fix_score_after": _as_text(fix.get("score_after")),
        "resources_total": str(resources_total),
        "images": _as_text([image["image"] for image in row["images"]]),
    }
    # What room is left goes to evidence in full, the driver's first.
    evidence = ((f"evidence/{hit.trait}", hit.in_full()) for hit in hits)
    return fields(
        chain(values.items(), evidence),
        most=MAX_PRODUCT_FIELDS,
        key_limit=MAX_PRODUCT_FIELD_KEY,
        value_limit=MAX_PRODUCT_FIELD,
    )


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not isfinite(value):
            return None
        return f"{value:.6f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


# --- size ----------------------------------------------------------------------------------------------------


def _within_size(finding: dict[str, Any]) -> dict[str, Any]:
    """Under 240 KB, giving up the least useful first: long evidence, vulnerabilities, details of secondary resources,
    tags.
    """
    # Escapes and spaces at most triple it on the wire: nearly every finding is told small enough by the fast encoder.
    if 3 * len(msgspec.json.encode(finding)) <= MAX_FINDING_BYTES or wire_bytes(finding) <= MAX_FINDING_BYTES:
        return finding
    for limit in (512, 128):
        finding["ProductFields"] = fields(
            finding["ProductFields"].items(),
            most=MAX_PRODUCT_FIELDS,
            key_limit=MAX_PRODUCT_FIELD_KEY,
            value_limit=limit,
        )
        finding["Vulnerabilities"] = finding.get("Vulnerabilities", [])[: limit // 100]
        if wire_bytes(finding) <= MAX_FINDING_BYTES:
            return finding
    for resource in finding["Resources"]:
        resource.pop("Details", None)
    if wire_bytes(finding) <= MAX_FINDING_BYTES:
        return finding
    finding["Resources"] = finding["Resources"][:1]
    finding["Resources"][0].pop("Tags", None)
    if (size := wire_bytes(finding)) > MAX_FINDING_BYTES:
        raise ValueError(
            f"finding {finding['Id']} is {size} bytes with all that can go gone; Security Hub takes {MAX_FINDING_BYTES}"
        )
    return finding
