"""AWS Security Finding Format as AWS documents it: what BatchImportFindings refuses a finding for.

Types, required members, enums and patterns come from botocore's model; maxima and formats stand only in the
documentation texts of that model (AwsSecurityFinding, Resource, ResourceDetails.Other, Recommendation, Severity,
Note) and in the user guide's page on timestamps, so they are listed here. Where the documentation leaves a reading
open (characters, KB), the stricter one is enforced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from embedded_aws.protocol import service_model

MAX_FINDING_BYTES = 240_000

# path → (minimum, maximum) of characters
_LENGTHS = {
    "Id": (1, 512),
    "ProductArn": (12, 2048),
    "ProductName": (1, 128),
    "CompanyName": (1, 128),
    "Region": (1, 16),
    "GeneratorId": (1, 512),
    "AwsAccountId": (12, 12),
    "AwsAccountName": (1, 50),
    "Title": (1, 256),
    "Description": (1, 1024),
    "Remediation.Recommendation.Text": (1, 512),
    "Severity.Original": (1, 64),
    "FindingProviderFields.Severity.Original": (1, 64),
    "Note.Text": (1, 512),
    "Resources[].Type": (1, 256),
}
# path → (minimum, maximum) of items
_ITEMS = {
    "Types": (0, 50),
    "FindingProviderFields.Types": (0, 50),
    "Malware": (0, 5),
    "Threats": (1, 32),
    "ThreatIntelIndicators": (1, 5),
    "Resources": (1, 32),
    "RelatedFindings": (1, 10),
    "FindingProviderFields.RelatedFindings": (1, 10),
    "Compliance.RelatedRequirements": (0, 32),
}
# path → (pairs, characters of a key, characters of a value)
_MAPS = {
    "ProductFields": (50, 128, 2048),
    "UserDefinedFields": (50, 128, 1024),
    "Resources[].Tags": (50, 128, 256),
    "Resources[].Details.Other": (50, 127, 1023),
}
_RATIOS = {"Confidence", "Criticality", "FindingProviderFields.Confidence", "FindingProviderFields.Criticality"}
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)")
_TIMESTAMPS = {"CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt", "ProcessedAt", "Note.UpdatedAt"}
_NAMESPACES = {
    "Software and Configuration Checks", "TTPs", "Effects", "Unusual Behaviors", "Sensitive Data Identifications",
}  # fmt: skip


def problems(finding: dict[str, Any]) -> list[str]:
    """Everything for which Security Hub refuses a finding (already decoded); empty when it is accepted."""
    shape = service_model("securityhub").shape_for("AwsSecurityFinding")
    found = list(_structural(shape, finding, ""))
    if not found:
        found = list(_documented(finding))
    return found


def parse_timestamp(text: str) -> datetime:
    """A timestamp of a finding, rounded to milliseconds as Security Hub stores it; raises ValueError for another
    form.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError("is not a timestamp such as 2026-01-31T23:00:00.123Z")
    offset = match[3] if match[3] == "Z" or ":" in match[3] else f"{match[3][:3]}:{match[3][3:]}"
    moment = datetime.fromisoformat(match[1] + offset.replace("Z", "+00:00"))
    if abs(moment.utcoffset() or timedelta()) > timedelta(hours=18):
        raise ValueError("has an offset beyond ±18:00")
    return moment + timedelta(milliseconds=round(int((match[2] or "0").ljust(9, "0")) / 1_000_000))


def _structural(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return
        if not isinstance(value, dict):
            yield f"data.{path} should be object"
            return
        for name in shape.required_members:
            if name not in value:
                yield f"data.{path} should have required property '{name}'"
        for name, item in value.items():
            yield from _structural(shape.members[name], item, f"{path}.{name}" if path else name)
    elif isinstance(shape, ListShape):
        if not isinstance(value, list):
            yield f"data.{path} should be array"
            return
        low, high = _ITEMS.get(path, (0, None))
        if len(value) < low:
            yield f"data.{path} should NOT have fewer than {low} items"
        if high is not None and len(value) > high:
            yield f"data.{path} should NOT have more than {high} items"
        for item in value:
            yield from _structural(shape.member, item, f"{path}[]")
    elif isinstance(shape, MapShape):
        yield from _map(value, path)
    elif shape.type_name == "string":
        yield from _string(shape, value, path)
    elif shape.type_name == "boolean":
        if not isinstance(value, bool):
            yield f"data.{path} should be boolean"
    elif not isinstance(value, int | float) or isinstance(value, bool):
        yield f"data.{path} should be {shape.type_name}"
    elif path in _RATIOS and not 0 <= value <= 100:
        yield f"data.{path} should be between 0 and 100"


def _string(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"data.{path} should be string"
        return
    if any("\ud800" <= character <= "\udfff" for character in value):
        yield f"data.{path} is not Unicode text"
        return
    if shape.metadata.get("pattern") == r".*\S.*" and not value.strip():
        yield f'data.{path} should match pattern ".*\\S.*"'
    enum = shape.metadata.get("enum")
    if enum and value not in enum:
        yield f"data.{path} should be equal to one of the allowed values {enum}"
    low, high = _LENGTHS.get(path, (0, None))
    if _length(value) < low:
        yield f"data.{path} should NOT be shorter than {low} characters"
    if high is not None and _length(value) > high:
        yield f"data.{path} should NOT be longer than {high} characters"
    if path in _TIMESTAMPS:
        try:
            parse_timestamp(value)
        except ValueError as error:
            yield f"data.{path} {error}"


def _map(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"data.{path} should be object"
        return
    most, key_limit, value_limit = _MAPS.get(path, (None, None, None))
    if most is not None and len(value) > most:
        yield f"data.{path} should NOT have more than {most} properties"
    for key, item in value.items():
        for what, text, limit in (("key", key, key_limit), ("value", item, value_limit)):
            if not isinstance(text, str) or not text.strip():
                yield f"data.{path} has a {what} that is no text or blank"
            elif any("\ud800" <= character <= "\udfff" for character in text):
                yield f"data.{path} has a {what} that is not Unicode text"
            elif limit is not None and _length(text) > limit:
                yield f"data.{path} has a {what} longer than {limit} characters"


def _documented(finding: dict[str, Any]) -> Iterator[str]:
    provided = finding.get("FindingProviderFields", {})
    if finding["SchemaVersion"] != "2018-10-08":
        yield "data.SchemaVersion should be equal to 2018-10-08"
    if not re.fullmatch(r"\d{12}", finding["AwsAccountId"]):
        yield "data.AwsAccountId should be 12 digits"
    for name in ("Severity", "Types"):
        if not finding.get(name) and not provided.get(name):
            yield f"data should have required property 'FindingProviderFields' with {name}"
    for path, types in (
        ("Types", finding.get("Types", [])),
        ("FindingProviderFields.Types", provided.get("Types", [])),
    ):
        for name in types:
            parts = name.split("/")
            if parts[0] not in _NAMESPACES or len(parts) > 3 or not all(part.strip() for part in parts):
                yield f"data.{path} should be namespace/category/classifier with a namespace of {sorted(_NAMESPACES)}"
    size = len(json.dumps(finding))
    if size > MAX_FINDING_BYTES:
        yield f"Finding size {size} exceeds the maximum of 240 KB"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
