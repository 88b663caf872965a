"""AWS Security Hub (CSPM) as its written contract has it: accounts and Regions apart, findings checked, customers'
fields protected.

Sources: the documentation in botocore's model of securityhub, the partner guide's guidelines for BatchImportFindings
(100 findings, 240 KB each, 6 MB a batch, 10 requests a second with bursts of 30), the user guide's pages on updating
findings by import, on FindingProviderFields, on workflow status and on retention (90 days after the last update, 30
when archived). What AWS documents nowhere is read the way that is worse for the importer: an import that is not
newer, and the second finding of one Id in a request, count as successes and change nothing.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from embedded_aws.contract import AwsError, Call, NotPlayed
from embedded_aws.finding_format import parse_timestamp, problems

MAX_FINDINGS = 100
MAX_REQUEST_BYTES = 6_000_000
KEPT_DAYS = {"ACTIVE": 90, "ARCHIVED": 30}

_PRODUCT_ARN = re.compile(
    r"arn:(?P<partition>[\w-]+):securityhub:(?P<region>[\w-]+):(?P<account>\d*):product/(?P<path>.+)"
)
_PROTECTED = ("Note", "UserDefinedFields", "VerificationState", "Workflow")
_PROVIDED = ("Confidence", "Criticality", "RelatedFindings", "Severity", "Types")
_NORMALIZED = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}
_RATES = {"GetFindings": (6, 3)}  # operation → (burst, requests a second)
_DEFAULT_RATE = (30, 10)

Place = tuple[str, str]
"""(account_id, region)."""


class SecurityHub:
    """One hub per account and Region, none until enabled.

    clock: what time it is for retention, ProcessedAt and pacing. is_paced: refuse requests above the published rates.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC), *, is_paced: bool = False) -> None:
        self.clock = clock
        self.is_paced = is_paced
        self.requests = 0
        """BatchImportFindings requests answered since the start (refused ones too, throttled ones not)."""
        self.imports = 0
        """Findings accepted by them: created, updated, or ignored as not newer."""
        self._lock = threading.RLock()
        self._hubs: dict[Place, str] = {}
        self._stored: dict[Place, dict[tuple[str, str], dict[str, Any]]] = {}
        self._buckets: dict[tuple[str, str, str], tuple[float, datetime]] = {}

    # --- what tests and the organisation use ---

    def enable(self, account_id: str, region: str) -> None:
        """Switch Security Hub on, as its owner would."""
        with self._lock:
            self._hubs.setdefault((account_id, region), _timestamp(self.clock()))

    def disable(self, account_id: str, region: str) -> None:
        """Switch Security Hub off; its findings are gone."""
        with self._lock:
            self._hubs.pop((account_id, region), None)
            self._stored.pop((account_id, region), None)

    def findings(self, account_id: str | None = None, region: str | None = None) -> list[dict[str, Any]]:
        """Copies of the findings still kept, by account, Region, product and Id."""
        with self._lock:
            self._forget_old()
            return [
                deepcopy(record["finding"])
                for place in sorted(self._stored)
                if account_id in (None, place[0]) and region in (None, place[1])
                for _, record in sorted(self._stored[place].items())
            ]

    def dump(self) -> dict[str, Any]:
        """Hubs, findings and which of their attributes a customer has set, as JSON-able values."""
        with self._lock:
            self._forget_old()
            return {
                "hubs": [[*place, since] for place, since in sorted(self._hubs.items())],
                "findings": [
                    {"account_id": place[0], "region": place[1], **deepcopy(record)}
                    for place in sorted(self._stored)
                    for _, record in sorted(self._stored[place].items())
                ],
            }

    def restore(self, state: dict[str, Any]) -> None:
        """Replace the state by what `dump` gave; `restore({})` forgets everything."""
        with self._lock:
            self.requests = self.imports = 0
            self._buckets.clear()
            self._hubs = {(account_id, region): since for account_id, region, since in state.get("hubs", [])}
            self._stored = {}
            for item in state.get("findings", []):
                finding = item["finding"]
                record = {"finding": deepcopy(finding), "customer_set": list(item["customer_set"])}
                place = self._stored.setdefault((item["account_id"], item["region"]), {})
                place[finding["ProductArn"], finding["Id"]] = record

    # --- the API ---

    def call(self, call: Call) -> dict[str, Any]:
        operations = {
            "BatchImportFindings": self._batch_import_findings,
            "BatchUpdateFindings": self._batch_update_findings,
            "GetFindings": self._get_findings,
            "EnableSecurityHub": self._enable_security_hub,
            "DescribeHub": self._describe_hub,
        }
        if call.operation not in operations:
            raise NotPlayed(f"securityhub {call.operation}: played are {', '.join(sorted(operations))}")
        with self._lock:
            self._pace(call)
            self._forget_old()
            return operations[call.operation](call)

    def _enable_security_hub(self, call: Call) -> dict[str, Any]:
        if (call.account_id, call.region) in self._hubs:
            raise AwsError("ResourceConflictException", "Account is already subscribed to Security Hub", 409)
        self.enable(call.account_id, call.region)
        return {}

    def _describe_hub(self, call: Call) -> dict[str, Any]:
        self._require_hub(call)
        return {
            "HubArn": f"arn:{_partition(call.region)}:securityhub:{call.region}:{call.account_id}:hub/default",
            "SubscribedAt": self._hubs[call.account_id, call.region],
            "AutoEnableControls": True,
            "ControlFindingGenerator": "SECURITY_CONTROL",
        }

    def _batch_import_findings(self, call: Call) -> dict[str, Any]:
        findings = call.parameters.get("Findings", [])
        self.requests += 1
        if not 1 <= len(findings) <= MAX_FINDINGS:
            raise AwsError(
                "InvalidInputException", f"Findings must hold 1 to {MAX_FINDINGS} findings, got {len(findings)}"
            )
        if len(json.dumps({"Findings": findings})) > MAX_REQUEST_BYTES:
            raise AwsError("InvalidInputException", "Request exceeds the maximum size of 6 MB", 413)
        failed, seen = [], set()
        for finding in findings:
            self._check_owner(call, finding)
        for finding in findings:
            if refusal := self._refusal(call, finding):
                code, message = refusal
                failed.append({"Id": finding.get("Id") or "unknown", "ErrorCode": code, "ErrorMessage": message[:2000]})
                continue
            key = (finding["ProductArn"], finding["Id"])
            if key not in seen:  # of one Id twice in a request only the first is processed
                seen.add(key)
                self._import(call, key, finding)
            self.imports += 1
        return {"FailedCount": len(failed), "SuccessCount": len(findings) - len(failed), "FailedFindings": failed}

    def _check_owner(self, call: Call, finding: dict[str, Any]) -> None:
        """A custom tool imports for its own account and Region only; AWS answers the whole request with a denial."""
        arn = str(finding.get("ProductArn"))
        match = _PRODUCT_ARN.fullmatch(arn)
        own = f"{call.account_id}/default"
        is_own = (
            match is not None
            and match["partition"] == _partition(call.region)
            and (match["region"], match["account"], match["path"]) == (call.region, call.account_id, own)
        )
        if not is_own or finding.get("AwsAccountId") != call.account_id:
            raise AwsError(
                "AccessDeniedException",
                f"User: arn:{_partition(call.region)}:iam::{call.account_id}:root is not authorized to perform: "
                f"securityhub:BatchImportFindings on resource: {arn}",
                403,
            )

    def _refusal(self, call: Call, finding: dict[str, Any]) -> tuple[str, str] | None:
        if (call.account_id, call.region) not in self._hubs:
            return "InvalidAccess", f"Account {call.account_id} is not subscribed to AWS Security Hub"
        if found := problems(finding):
            return "InvalidInput", f"Finding does not adhere to Amazon Finding Format. {', '.join(found)}."
        return None

    def _import(self, call: Call, key: tuple[str, str], sent: dict[str, Any]) -> None:
        stored = self._stored.setdefault((call.account_id, call.region), {})
        record = stored.get(key)
        finding = deepcopy(sent)
        customer_set: list[str] = []
        if record is None:
            finding.setdefault("Workflow", {"Status": "NEW"})
        else:
            before, customer_set = record["finding"], record["customer_set"]
            if parse_timestamp(sent["UpdatedAt"]) <= parse_timestamp(before["UpdatedAt"]):
                return
            for name in _PROTECTED:
                finding.pop(name, None)
                if name in before:
                    finding[name] = before[name]
        finding.setdefault("RecordState", "ACTIVE")
        self._provide(finding, record, customer_set)
        if (
            record is not None
            and _reopens(record["finding"], finding)
            and finding["Workflow"]["Status"] in ("NOTIFIED", "RESOLVED")
        ):
            finding["Workflow"] = {"Status": "NEW"}
        finding["WorkflowState"] = "NEW"
        finding["Region"] = call.region
        finding.setdefault("ProductName", "Default")
        finding.setdefault("CompanyName", "Personal")
        finding["ProcessedAt"] = _timestamp(self.clock())
        stored[key] = {"finding": finding, "customer_set": customer_set}

    def _provide(self, finding: dict[str, Any], record: dict[str, Any] | None, customer_set: list[str]) -> None:
        """FindingProviderFields show at the top level too, until a customer has set the attribute there."""
        provided = finding.setdefault("FindingProviderFields", {})
        for name in _PROVIDED:
            if name in finding:
                provided.setdefault(name, _provider_value(name, finding.pop(name)))
            if name in customer_set and record is not None:
                finding[name] = record["finding"][name]
            elif name in provided:
                finding[name] = _shown_value(name, provided[name])

    def _batch_update_findings(self, call: Call) -> dict[str, Any]:
        """As a customer uses it, for findings of the caller's own account."""
        self._require_hub(call)
        given = dict(call.parameters)
        identifiers = given.pop("FindingIdentifiers", [])
        if not 1 <= len(identifiers) <= MAX_FINDINGS:
            raise AwsError("InvalidInputException", f"FindingIdentifiers must hold 1 to {MAX_FINDINGS} identifiers")
        stored = self._stored.get((call.account_id, call.region), {})
        processed, unprocessed = [], []
        for identifier in identifiers:
            record = stored.get((identifier["ProductArn"], identifier["Id"]))
            if record is None:
                unprocessed.append(
                    {"FindingIdentifier": identifier, "ErrorCode": "FindingNotFound", "ErrorMessage": "No such finding"}
                )
                continue
            finding = record["finding"]
            for name, value in given.items():
                finding[name] = _shown_value(name, value) if name == "Severity" else deepcopy(value)
                if name == "Note":
                    finding[name]["UpdatedAt"] = _timestamp(self.clock())
                if name in _PROVIDED and name not in record["customer_set"]:
                    record["customer_set"].append(name)
            processed.append(identifier)
        return {"ProcessedFindings": processed, "UnprocessedFindings": unprocessed}

    def _get_findings(self, call: Call) -> dict[str, Any]:
        self._require_hub(call)
        filters = call.parameters.get("Filters", {})
        if "SortCriteria" in call.parameters:
            raise NotPlayed("securityhub GetFindings with SortCriteria")
        if len(filters) > 10 or any(len(values) > 20 for values in filters.values()):
            raise AwsError("InvalidInputException", "At most 10 filter attributes of 20 values each")
        if unknown := sorted(filters.keys() - _FILTERED.keys()):
            raise NotPlayed(f"securityhub GetFindings filtered by {', '.join(unknown)}")
        size = call.parameters.get("MaxResults", 10)
        if not 1 <= size <= 100:
            raise AwsError("InvalidInputException", "MaxResults must be 1 to 100")
        start = _offset(call.parameters.get("NextToken"))
        stored = self._stored.get((call.account_id, call.region), {})
        matching = [
            record["finding"]
            for _, record in sorted(stored.items())
            if all(_matches(_FILTERED[name](record["finding"]), wanted) for name, wanted in filters.items())
        ]
        answer: dict[str, Any] = {"Findings": deepcopy(matching[start : start + size])}
        if start + size < len(matching):
            answer["NextToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        return answer

    # --- inside ---

    def _require_hub(self, call: Call) -> None:
        if (call.account_id, call.region) not in self._hubs:
            raise AwsError(
                "InvalidAccessException", f"Account {call.account_id} is not subscribed to AWS Security Hub", 401
            )

    def _pace(self, call: Call) -> None:
        if not self.is_paced:
            return
        burst, refill = _RATES.get(call.operation, _DEFAULT_RATE)
        now = self.clock()
        key = (call.account_id, call.region, call.operation)
        tokens, at = self._buckets.get(key, (burst, now))
        tokens = min(burst, tokens + (now - at).total_seconds() * refill)
        if tokens < 1:
            self._buckets[key] = (tokens, now)
            raise AwsError("TooManyRequestsException", "Rate exceeded", 429)
        self._buckets[key] = (tokens - 1, now)

    def _forget_old(self) -> None:
        now = self.clock()
        for stored in self._stored.values():
            for key, record in list(stored.items()):
                finding = record["finding"]
                last = max(parse_timestamp(finding["ProcessedAt"]), parse_timestamp(finding["UpdatedAt"]))
                if now - last > timedelta(days=KEPT_DAYS[finding["RecordState"]]):
                    del stored[key]


def _reopens(before: dict[str, Any], after: dict[str, Any]) -> bool:
    compliance = [finding.get("Compliance", {}).get("Status") for finding in (before, after)]
    fails_now = compliance[0] == "PASSED" and compliance[1] in ("FAILED", "WARNING", "NOT_AVAILABLE")
    return fails_now or (before["RecordState"] == "ARCHIVED" and after["RecordState"] == "ACTIVE")


def _provider_value(name: str, value: Any) -> Any:
    if name != "Severity":
        return value
    return {key: value[key] for key in ("Label", "Original") if key in value}


def _shown_value(name: str, value: Any) -> Any:
    if name != "Severity":
        return deepcopy(value)
    label = value.get("Label") or _label(value.get("Normalized", 0))
    return {**value, "Label": label, "Normalized": value.get("Normalized", _NORMALIZED[label])}


def _label(normalized: int) -> str:
    return [label for label, least in _NORMALIZED.items() if normalized >= least][-1]


_FILTERED: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    **{
        name: lambda finding, name=name: [finding[name]] if name in finding else []
        for name in ("AwsAccountId", "GeneratorId", "Id", "ProductArn", "ProductName", "RecordState", "Region", "Title")
    },
    "SeverityLabel": lambda finding: [finding["Severity"]["Label"]] if "Severity" in finding else [],
    "WorkflowStatus": lambda finding: [finding["Workflow"]["Status"]],
    "Type": lambda finding: finding.get("Types", []),
    "ResourceId": lambda finding: [resource["Id"] for resource in finding["Resources"]],
    "ResourceType": lambda finding: [resource["Type"] for resource in finding["Resources"]],
}


def _matches(values: list[str], filters: list[dict[str, str]]) -> bool:
    """One of the positive filters must match some value; every negative one must match none (user guide, string
    filters).
    """
    tests = {
        "EQUALS": lambda value, wanted: value == wanted,
        "PREFIX": lambda value, wanted: value.startswith(wanted),
        "CONTAINS": lambda value, wanted: wanted in value,
    }
    positive = [item for item in filters if item["Comparison"] in tests]
    negative = [item for item in filters if item["Comparison"] not in tests]

    def matches(item: dict[str, str], kind: str) -> bool:
        if kind not in tests:
            raise NotPlayed(f"securityhub GetFindings with the comparison {kind}")
        return any(tests[kind](value, item["Value"]) for value in values)

    is_wanted = not positive or any(matches(item, item["Comparison"]) for item in positive)
    kinds = {"NOT_EQUALS": "EQUALS", "PREFIX_NOT_EQUALS": "PREFIX", "NOT_CONTAINS": "CONTAINS"}
    return is_wanted and not any(matches(item, kinds.get(item["Comparison"], item["Comparison"])) for item in negative)


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        raise AwsError("InvalidInputException", "Invalid NextToken") from None


def _partition(region: str) -> str:
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
