"""Which of its findings Security Hub's GetFindings answers with, and in which order.

Source: the documentation of AwsSecurityFindingFilters, StringFilter, DateFilter and SortCriterion in botocore's model
of securityhub. A filter that is valid in AWS but not played here raises NotPlayed, never an answer that looks real.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from embedded_aws.contract import AwsError, NotPlayed
from embedded_aws.finding_format import parse_timestamp
from embedded_aws.finding_store import Stored

MAX_ATTRIBUTES = 10
MAX_VALUES = 20

Finding = Mapping[str, Any]

_TEXTS: dict[str, Callable[[Finding], list[str]]] = {
    **{
        name: lambda finding, name=name: [finding[name]] if name in finding else []
        for name in (
            "AwsAccountId", "AwsAccountName", "CompanyName", "Description", "GeneratorId", "Id", "ProductArn",
            "ProductName", "RecordState", "Region", "Title", "VerificationState",
        )
    },
    "FindingProviderFieldsSeverityLabel": lambda finding: _label(finding["FindingProviderFields"]),
    "ResourceId": lambda finding: [resource["Id"] for resource in finding["Resources"]],
    "ResourceType": lambda finding: [resource["Type"] for resource in finding["Resources"]],
    "SeverityLabel": lambda finding: _label(finding),
    "Type": lambda finding: finding.get("Types", []),
    "WorkflowStatus": lambda finding: [finding["Workflow"]["Status"]],
}  # fmt: skip
_DATES = ("CreatedAt", "FirstObservedAt", "LastObservedAt", "UpdatedAt")
# AWS says nowhere whether labels sort by name or by rank, nor how several values of one finding do.
_UNSORTED = {"FindingProviderFieldsSeverityLabel", "ResourceId", "ResourceType", "SeverityLabel", "Type"}

_TESTS: dict[str, Callable[[str, str], bool]] = {"EQUALS": str.__eq__, "PREFIX": str.startswith}
_OPPOSITES = {"NOT_EQUALS": "EQUALS", "PREFIX_NOT_EQUALS": "PREFIX"}


def selected(filters: Mapping[str, Sequence[Mapping[str, Any]]], now: datetime) -> Callable[[Finding], bool]:
    """Whether a finding passes: filters of several attributes are joined by AND.

    Raises AwsError for filters that AWS refuses and NotPlayed for attributes that are not played.
    """
    if len(filters) > MAX_ATTRIBUTES or any(len(values) > MAX_VALUES for values in filters.values()):
        raise _invalid(f"At most {MAX_ATTRIBUTES} filter attributes of {MAX_VALUES} values each")
    if unknown := sorted(filters.keys() - _TEXTS.keys() - set(_DATES)):
        raise NotPlayed(f"securityhub GetFindings filtered by {', '.join(unknown)}")
    passes = [
        _date_filter(name, wanted, now) if name in _DATES else _text_filter(name, wanted)
        for name, wanted in filters.items()
    ]
    return lambda finding: all(test(finding) for test in passes)


def ordered(records: list[Stored], criteria: Sequence[Mapping[str, str]]) -> list[Stored]:
    """By the criteria, the first of them foremost; findings without the attribute come last."""
    for criterion in reversed(criteria):
        name = criterion.get("Field", "")
        if name in _UNSORTED or name not in _TEXTS.keys() | set(_DATES):
            raise NotPlayed(f"securityhub GetFindings sorted by {name}")
        if criterion.get("SortOrder") not in ("asc", "desc"):
            raise _invalid("SortOrder must be asc or desc")
        told = [(_sort_key(name, record.head), record) for record in records]
        having = [pair for pair in told if pair[0] is not None]
        having.sort(key=lambda pair: pair[0], reverse=criterion["SortOrder"] == "desc")
        records = [record for _, record in having] + [record for key, record in told if key is None]
    return records


def _sort_key(name: str, finding: Finding) -> Any:
    if name in _DATES:
        return parse_timestamp(finding[name]) if name in finding else None
    return next(iter(_TEXTS[name](finding)), None)


def _text_filter(name: str, filters: Sequence[Mapping[str, str]]) -> Callable[[Finding], bool]:
    """Positive filters of one attribute are joined by OR, negative ones by AND; they may not contradict each other."""
    for item in filters:
        if not item.get("Value") or item.get("Comparison") not in _TESTS.keys() | _OPPOSITES.keys():
            # CONTAINS and NOT_CONTAINS belong to automation rules, CONTAINS_WORD to GetFindingsV2.
            raise _invalid(f"{name} takes a Value and one of EQUALS, PREFIX, NOT_EQUALS, PREFIX_NOT_EQUALS")
    comparisons = {item["Comparison"] for item in filters}
    if "EQUALS" in comparisons and comparisons & _OPPOSITES.keys():
        raise _invalid(f"{name} has both an EQUALS filter and one that excludes")
    wanted = [(_TESTS[item["Comparison"]], item["Value"]) for item in filters if item["Comparison"] in _TESTS]
    barred = [
        (_TESTS[_OPPOSITES[item["Comparison"]]], item["Value"]) for item in filters if item["Comparison"] in _OPPOSITES
    ]
    values_of = _TEXTS[name]

    def passes(finding: Finding) -> bool:
        values = values_of(finding)
        return (not wanted or _any(wanted, values)) and not _any(barred, values)

    return passes


def _any(tests: list[tuple[Callable[[str, str], bool], str]], values: list[str]) -> bool:
    return any(test(value, told) for test, told in tests for value in values)


def _date_filter(name: str, filters: Sequence[Mapping[str, Any]], now: datetime) -> Callable[[Finding], bool]:
    """Several ranges of one attribute are joined by OR; both ends belong to a range."""
    ranges = [_range(name, item, now) for item in filters]

    def passes(finding: Finding) -> bool:
        if name not in finding:
            return False
        moment = parse_timestamp(finding[name])
        return any((low is None or low <= moment) and (high is None or moment <= high) for low, high in ranges)

    return passes


def _range(name: str, item: Mapping[str, Any], now: datetime) -> tuple[datetime | None, datetime | None]:
    if "DateRange" in item:
        if item.keys() & {"Start", "End"} or not isinstance(item["DateRange"].get("Value"), int):
            raise _invalid(f"{name} takes Start and End, or a DateRange with a Value in DAYS")
        since = now - timedelta(days=item["DateRange"]["Value"])
        is_older = item["DateRange"].get("Comparison", "WITHIN") == "OLDER_THAN"
        return (None, since) if is_older else (since, now)
    try:
        low, high = (parse_timestamp(item[end]) if end in item else None for end in ("Start", "End"))
    except ValueError as error:
        raise _invalid(f"{name} {error}") from None
    if low is None and high is None:
        raise _invalid(f"{name} takes Start and End, or a DateRange with a Value in DAYS")
    return low, high


def _label(holder: Mapping[str, Any]) -> list[str]:
    return [holder["Severity"]["Label"]] if "Severity" in holder else []


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidInputException", f"Invalid parameter 'Filters': {message}")
