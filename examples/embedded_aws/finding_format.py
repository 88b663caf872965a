"""AWS Security Finding Format as AWS documents it: what BatchImportFindings refuses a finding for.

Types, required members, enums and patterns come from botocore's model of securityhub, and so do the maxima, which
stand only in the sentences of its documentation ("Maximum length of 512."). What is written elsewhere (the user
guide's pages on ASFF, tags, Details.Other and timestamps) is listed here. Where the documentation leaves a reading
open (characters, KB), the stricter one is enforced.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from botocore.model import ListShape, MapShape, Shape, StructureShape

from embedded_aws.protocol import service_model

MAX_FINDING_BYTES = 240_000

# The sentences that state limits in the model's documentation, once its markup is gone.
_LENGTH = re.compile(
    r"Length Constraints: (?:Minimum (?:length )?of (?P<low>\d+)(?: length)?\. Maximum (?:length )?of )?(?P<high>\d+)"
)
_ITEMS = re.compile(r"Array Members: (?:Minimum number of (?P<low>\d+) items?\. )?Maximum number of (?P<high>\d+) item")
_PAIRS = re.compile(
    r"up to (\d+) key-value pairs\. For each key-value pair, the key can contain up to (\d+) characters, and the value "
    r"can contain up to (\d+) characters"
)
_TIMESTAMP_SENTENCE = "formatting of timestamp fields"

_SERVICE = "Resources[].Details.AwsEcsService"
# path → maximum of characters, stated in other words
_LENGTHS = {f"{_SERVICE}.ServiceName": 255}
# path → (minimum, maximum) of items, stated in other words or at another place
_LISTS = {
    "FindingProviderFields.Types": (0, 50),
    "FindingProviderFields.RelatedFindings": (1, 10),
    f"{_SERVICE}.NetworkConfiguration.AwsVpcConfiguration.SecurityGroups": (0, 5),
    f"{_SERVICE}.NetworkConfiguration.AwsVpcConfiguration.Subnets": (0, 16),
}
# path → (pairs, characters of a key, characters of a value)
_MAPS = {
    "Resources[].Tags": (50, 128, 256),
    "Resources[].Details.Other": (50, 127, 1023),
}
_RATIOS = {
    "Confidence", "Criticality", "FindingProviderFields.Confidence", "FindingProviderFields.Criticality",
    "Severity.Normalized",
}  # fmt: skip
_WHOLE = {"integer": 2**31, "long": 2**63}
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_NAMESPACES = {
    "Software and Configuration Checks", "TTPs", "Effects", "Unusual Behaviors", "Sensitive Data Identifications",
}  # fmt: skip


def problems(finding: Mapping[str, Any]) -> list[str]:
    """Everything for which Security Hub refuses a finding (already decoded); empty when it is accepted."""
    found: list[str] = []
    _finding_check()(finding, found)
    return found or list(_documented(finding))


def attribute_problems(attributes: Mapping[str, Any]) -> list[str]:
    """The same for some of a finding's attributes, by name: types, enums and maxima, and what Types may hold."""
    found: list[str] = []
    for name, value in attributes.items():
        _check(_finding_shape().members[name], name)(value, found)
    return found or list(_types("Types", attributes.get("Types", [])))


def is_too_large(finding: Mapping[str, Any]) -> bool:
    """Whether a finding has more than 240 KB as botocore would send it: ASCII, spaces after separators."""
    # Nearly every finding is told small enough by the fast encoder: it spaces alike, an escape takes at most five
    # characters more for each byte more, and numbers differ by a character here and there.
    try:
        encoded = msgspec.json.format(msgspec.json.encode(finding), indent=0)
        characters = len(encoded.decode())
        if characters + 5 * (len(encoded) - characters) + 1_000 <= MAX_FINDING_BYTES:
            return False
    except UnicodeEncodeError:  # half of a character
        pass
    return len(json.dumps(finding)) > MAX_FINDING_BYTES


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


# --- what the model says --------------------------------------------------------------------------------------------

Check = Callable[[Any, list[str]], None]
"""Adds to the list what is wrong with a value. One is made for each path of the format, when that is first met: of a
request's hundred thousand values each must be judged in a fraction of a microsecond.
"""


@cache
def _finding_shape() -> StructureShape:
    shape: StructureShape = service_model("securityhub").shape_for("AwsSecurityFinding")
    return shape


@cache
def _finding_check() -> Check:
    return _structure(_finding_shape(), "")


@cache
def _check(shape: Shape, path: str) -> Check:
    if isinstance(shape, StructureShape):
        return (lambda value, found: None) if shape.is_document_type else _structure(shape, path)
    if isinstance(shape, ListShape):
        return _list(shape, path)
    if isinstance(shape, MapShape):
        return _map(shape, path)
    if shape.type_name == "string":
        return _string(shape, path)
    if shape.type_name == "boolean":
        return _boolean(path)
    return _number(shape, path)


def _structure(shape: StructureShape, path: str) -> Check:
    where = f"data.{path}" if path else "data"
    prefix = f"{path}." if path else ""
    required = set(shape.required_members)
    checks: dict[str, Check] = {}
    plain: dict[str, float] = {}

    def check(value: Any, found: list[str]) -> None:
        if not isinstance(value, dict):
            found.append(f"{where} should be object")
            return
        if not required <= value.keys():
            found.extend(f"{where} should have required property '{name}'" for name in sorted(required - value.keys()))
        for name, item in value.items():
            most = plain.get(name)
            if most is not None and _is_plain(item, most):
                continue
            of_member = checks.get(name)
            if of_member is None:
                if name not in shape.members:
                    found.append(f"{where} should NOT have additional property '{name}'")
                    continue
                member = shape.members[name]
                of_member = checks[name] = _check(member, prefix + name)
                if member.type_name == "string" and (limit := _plain_limit(member, prefix + name)):
                    plain[name] = limit
            of_member(item, found)

    return check


def _list(shape: ListShape, path: str) -> Check:
    low, high = _LISTS.get(path) or _stated(_ITEMS, shape) or (0, None)
    of_item = _check(shape.member, f"{path}[]")

    def check(value: Any, found: list[str]) -> None:
        if not isinstance(value, list):
            found.append(f"data.{path} should be array")
            return
        if len(value) < low:
            found.append(f"data.{path} should NOT have fewer than {low} items")
        if high is not None and len(value) > high:
            found.append(f"data.{path} should NOT have more than {high} items")
        for item in value:
            of_item(item, found)

    return check


def _map(shape: MapShape, path: str) -> Check:
    stated = _PAIRS.search(_sentences(shape))
    most, key_limit, value_limit = _MAPS.get(path) or (map(int, stated.groups()) if stated else (None, None, None))

    def check(value: Any, found: list[str]) -> None:
        if not isinstance(value, dict):
            found.append(f"data.{path} should be object")
            return
        if most is not None and len(value) > most:
            found.append(f"data.{path} should NOT have more than {most} properties")
        for pair in value.items():
            if _is_plain(pair[0], key_limit or math.inf) and _is_plain(pair[1], value_limit or math.inf):
                continue
            for what, text, limit in zip(("key", "value"), pair, (key_limit, value_limit), strict=True):
                size = _length(text)
                if size is None:
                    found.append(f"data.{path} has a {what} that is not Unicode text")
                elif _is_blank(text):
                    found.append(f"data.{path} has a blank {what}")
                elif limit is not None and size > limit:
                    found.append(f"data.{path} has a {what} longer than {limit} characters")

    return check


def _string(shape: Shape, path: str) -> Check:
    low, high = _stated(_LENGTH, shape) or (0, _LENGTHS.get(path))
    must_show = shape.metadata.get("pattern") == r".*\S.*"
    enum = shape.metadata.get("enum")
    is_timestamp = _TIMESTAMP_SENTENCE in _sentences(shape)
    most = math.inf if high is None else high

    def check(value: Any, found: list[str]) -> None:
        size = _length(value)
        if size is None:
            found.append(f"data.{path} {'is not Unicode text' if isinstance(value, str) else 'should be string'}")
            return
        if must_show and _is_blank(value):
            found.append(f'data.{path} should match pattern ".*\\S.*"')
        if enum and value not in enum:
            found.append(f"data.{path} should be equal to one of the allowed values {enum}")
        if size < low:
            found.append(f"data.{path} should NOT be shorter than {low} characters")
        if size > most:
            found.append(f"data.{path} should NOT be longer than {high} characters")
        if is_timestamp:
            try:
                parse_timestamp(value)
            except ValueError as error:
                found.append(f"data.{path} {error}")

    return check


def _plain_limit(shape: Shape, path: str) -> float | None:
    """The characters that a plain text may have there; None where more than the length counts."""
    low, high = _stated(_LENGTH, shape) or (0, _LENGTHS.get(path))
    if low > 1 or shape.metadata.get("enum") or _TIMESTAMP_SENTENCE in _sentences(shape):
        return None
    return math.inf if high is None else high


def _is_plain(text: Any, most: float) -> bool:
    """Nearly every text: right without a closer look."""
    return type(text) is str and text.isascii() and 0 < len(text) <= most and not text.isspace()


def _boolean(path: str) -> Check:
    def check(value: Any, found: list[str]) -> None:
        if not isinstance(value, bool):
            found.append(f"data.{path} should be boolean")

    return check


def _number(shape: Shape, path: str) -> Check:
    bound = _WHOLE.get(shape.type_name)
    is_ratio = path in _RATIOS

    def check(value: Any, found: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int if bound else int | float) or not math.isfinite(value):
            found.append(f"data.{path} should be {shape.type_name}")
        elif bound and not -bound <= value < bound:
            found.append(f"data.{path} does not fit {shape.type_name}")
        elif is_ratio and not 0 <= value <= 100:
            found.append(f"data.{path} should be between 0 and 100")

    return check


def _stated(sentence: re.Pattern[str], shape: Shape) -> tuple[int, int] | None:
    """(minimum, maximum) that the documentation of a member states."""
    match = sentence.search(_sentences(shape))
    return match and (int(match["low"] or 0), int(match["high"]))


def _sentences(shape: Shape) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", shape.documentation).split())


def _length(text: Any) -> int | None:
    """UTF-16 code units; None for what is no text or holds half a character."""
    if not isinstance(text, str):
        return None
    if text.isascii():
        return len(text)
    try:
        return len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        return None


def _is_blank(text: str) -> bool:
    """Whether `.*\\S.*` finds nothing: white space of Python's or of JavaScript's regular expressions only."""
    return not text or text.isspace() or not text.strip("\ufeff").strip()


# --- what it does not say -------------------------------------------------------------------------------------------


def _documented(finding: Mapping[str, Any]) -> Iterator[str]:
    provided = finding.get("FindingProviderFields", {})
    if finding["SchemaVersion"] != "2018-10-08":
        yield "data.SchemaVersion should be equal to 2018-10-08"
    if not re.fullmatch(r"\d{12}", finding["AwsAccountId"], re.ASCII):
        yield "data.AwsAccountId should be 12 digits"
    severities = [provided.get("Severity"), finding.get("Severity")]
    if not any(severity and severity.keys() & {"Label", "Normalized"} for severity in severities):
        yield "data should have required property 'FindingProviderFields' with a Severity of a Label"
    if not finding.get("Types") and not provided.get("Types"):
        yield "data should have required property 'FindingProviderFields' with Types"
    yield from _types("Types", finding.get("Types", []))
    yield from _types("FindingProviderFields.Types", provided.get("Types", []))
    if is_too_large(finding):
        yield "Finding size exceeds the maximum of 240 KB"


def _types(path: str, types: list[str]) -> Iterator[str]:
    for name in types:
        parts = name.split("/")
        if parts[0] not in _NAMESPACES or len(parts) > 3 or not all(part.strip() for part in parts):
            yield f"data.{path} should be namespace/category/classifier with a namespace of {sorted(_NAMESPACES)}"
