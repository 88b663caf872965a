"""AWS Security Hub (CSPM) as its written contract has it: accounts and Regions apart, findings checked, customers'
fields protected.

Sources: the documentation in botocore's model of securityhub, the partner guide's guidelines for BatchImportFindings
(100 findings, 240 KB each, 6 MB a batch, 10 requests a second with bursts of 30), the user guide's pages on updating
findings by import, on FindingProviderFields and on workflow status. What AWS documents nowhere is read the way that is
worse for the importer: an import that is not newer, and the second finding of one Id in a request, count as successes
and change nothing.

Not played: administrator accounts that see and update the findings of their members, aggregation across Regions, the
minutes that BatchUpdateFindings may take.
"""

from __future__ import annotations

import base64
import re
import threading
import zlib
from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from embedded_aws.contract import AwsError, Call, NotPlayed
from embedded_aws.finding_filters import ordered, selected
from embedded_aws.finding_format import attribute_problems, is_too_large, parse_timestamp, problems
from embedded_aws.finding_store import FindingStore, Key, Place, Stored

MAX_FINDINGS = 100
MAX_REQUEST_BYTES = 6_000_000

_PRODUCT_ARN = re.compile(
    r"arn:(?P<partition>[\w-]+):securityhub:(?P<region>[\w-]+):(?P<account>\d*):product/(?P<path>.+)"
)
_PROTECTED = ("Note", "UserDefinedFields", "VerificationState", "Workflow")
_PROVIDED = ("Confidence", "Criticality", "RelatedFindings", "Severity", "Types")
_NORMALIZED = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}
_RATES = {"GetFindings": (6, 3)}  # operation → (burst, requests a second)
_DEFAULT_RATE = (30, 10)


@dataclass
class _Refusal:
    code: str
    message: str
    of: Callable[[dict[str, Any]], bool]
    times: int | None


class SecurityHub:
    """One hub per account and Region, none until enabled.

    clock: what time it is for retention, ProcessedAt and pacing. is_paced: refuse requests above the published rates
    (not for a clock that stands still: its bursts never fill up again).
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC), *, is_paced: bool = True) -> None:
        self.clock = clock
        self.is_paced = is_paced
        self.requests = 0
        """BatchImportFindings requests answered since the start (refused ones too, throttled ones not)."""
        self.imports = 0
        """Findings accepted by them: created, updated, or ignored as not newer."""
        self._lock = threading.RLock()
        self._hubs: dict[Place, str] = {}
        self._store = FindingStore(lambda: self.clock())
        self._refusals: list[_Refusal] = []
        self._buckets: dict[tuple[str, str, str], tuple[float, datetime]] = {}

    # --- what tests and the organisation use ---

    def enable(self, account_id: str, region: str) -> None:
        """Switch Security Hub on, as its owner would; findings of before a short pause are there again."""
        with self._lock:
            self._hubs.setdefault((account_id, region), _timestamp(self.clock()))
            self._store.show((account_id, region))

    def disable(self, account_id: str, region: str) -> None:
        """Switch Security Hub off; its findings cannot be seen, and are deleted after 90 days."""
        with self._lock:
            if self._hubs.pop((account_id, region), None) is not None:
                self._store.hide((account_id, region))

    def refuse(
        self,
        code: str,
        message: str = "Internal service failure",
        *,
        of: Callable[[dict[str, Any]], bool] = lambda finding: True,
        times: int | None = None,
    ) -> None:
        """Let the next `times` imported findings (None: all) for which `of` holds fail with this ErrorCode, the others
        of their requests pass.
        """
        with self._lock:
            self._refusals.append(_Refusal(code, message, of, times))

    def end_refusals(self) -> None:
        with self._lock:
            self._refusals.clear()

    def lose(self, account_id: str, region: str, ids: Collection[str]) -> None:
        """Make findings vanish of which the importer hears nothing."""
        with self._lock:
            self._store.delete((account_id, region), ids)

    def findings(self, account_id: str | None = None, region: str | None = None) -> list[dict[str, Any]]:
        """Copies of the findings that the hubs show, by account, Region, product and Id."""
        with self._lock:
            self._store.forget_old()
            return [
                deepcopy(record.finding)
                for place, record in self._store.shown()
                if account_id in (None, place[0]) and region in (None, place[1])
            ]

    def dump(self) -> dict[str, Any]:
        """Hubs, findings and which of their attributes a customer has set, as JSON-able values."""
        with self._lock:
            self._store.forget_old()
            hubs = [[*place, since] for place, since in sorted(self._hubs.items())]
            return {"hubs": hubs, **self._store.dump()}

    def restore(self, state: dict[str, Any]) -> None:
        """Replace the state by what `dump` gave; `restore({})` forgets everything."""
        with self._lock:
            self.requests = self.imports = 0
            self._buckets.clear()
            self._refusals.clear()
            self._hubs = {(account_id, region): since for account_id, region, since in state.get("hubs", [])}
            self._store.restore(state)

    # --- the API ---

    def call(self, call: Call) -> dict[str, Any]:
        operations = {
            "BatchImportFindings": self._batch_import_findings,
            "BatchUpdateFindings": self._batch_update_findings,
            "GetFindings": self._get_findings,
            "EnableSecurityHub": self._enable_security_hub,
            "DisableSecurityHub": self._disable_security_hub,
            "DescribeHub": self._describe_hub,
        }
        if call.operation not in operations:
            raise NotPlayed(f"securityhub {call.operation}: played are {', '.join(sorted(operations))}")
        with self._lock:
            self._pace(call)
            self._store.forget_old()
            return operations[call.operation](call)

    def _enable_security_hub(self, call: Call) -> dict[str, Any]:
        if (call.account_id, call.region) in self._hubs:
            raise AwsError("ResourceConflictException", "Account is already subscribed to Security Hub", 409)
        self.enable(call.account_id, call.region)
        return {}

    def _disable_security_hub(self, call: Call) -> dict[str, Any]:
        self._require_hub(call)
        self.disable(call.account_id, call.region)
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
        if call.size > MAX_REQUEST_BYTES:
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
        for refusal in self._refusals:
            if refusal.times != 0 and refusal.of(finding):
                refusal.times = None if refusal.times is None else refusal.times - 1
                return refusal.code, refusal.message
        return None

    def _import(self, call: Call, key: Key, sent: dict[str, Any]) -> None:
        place = (call.account_id, call.region)
        record = self._store.get(place, key)
        finding = dict(sent)
        if record is None:
            finding.setdefault("Workflow", {"Status": "NEW"})
        else:
            before = record.head
            if parse_timestamp(sent["UpdatedAt"]) <= parse_timestamp(before["UpdatedAt"]):
                return
            for name in _PROTECTED:
                finding.pop(name, None)
                if name in before:
                    finding[name] = before[name]
        finding.setdefault("RecordState", "ACTIVE")
        _provide(finding, record)
        if record and _reopens(record.head, finding) and finding["Workflow"]["Status"] in ("NOTIFIED", "RESOLVED"):
            finding["Workflow"] = {"Status": "NEW"}
        finding["WorkflowState"] = "NEW"
        finding["Region"] = call.region
        finding.setdefault("ProductName", "Default")
        finding.setdefault("CompanyName", "Personal")
        finding["ProductFields"] = {
            **finding.get("ProductFields", {}),
            "aws/securityhub/FindingId": f"{finding['ProductArn']}/{finding['Id']}",
            "aws/securityhub/ProductName": finding["ProductName"],
            "aws/securityhub/CompanyName": finding["CompanyName"],
        }
        finding["ProcessedAt"] = _timestamp(self.clock())
        self._store.keep(place, finding, record.customer_set if record else [])

    def _batch_update_findings(self, call: Call) -> dict[str, Any]:
        """As a customer uses it, for findings of the caller's own account. UpdatedAt stays as it is."""
        self._require_hub(call)
        given = dict(call.parameters)
        identifiers = given.pop("FindingIdentifiers", [])
        if not 1 <= len(identifiers) <= MAX_FINDINGS:
            raise AwsError("InvalidInputException", f"FindingIdentifiers must hold 1 to {MAX_FINDINGS} identifiers")
        if "Note" in given:
            given["Note"] = {**given["Note"], "UpdatedAt": _timestamp(self.clock())}
        invalid = attribute_problems(given)
        place = (call.account_id, call.region)
        keys = [(identifier["ProductArn"], identifier["Id"]) for identifier in identifiers]
        processed, unprocessed = [], []
        for key, identifier in zip(keys, identifiers, strict=True):
            record = self._store.get(place, key)
            if keys.count(key) > 1:
                refusal = ("DuplicatedFindingIdentifier", "Finding Identifier is duplicated")
            elif record is None:
                refusal = ("FindingNotFound", "Finding Not Found")
            elif invalid:
                refusal = ("InvalidInput", f"Invalid Input: {', '.join(invalid)}")
            elif is_too_large(changed := record.finding | _as_shown(given)):
                refusal = ("FindingSizeExceeded", "Finding size exceeded 240 KB")
            else:
                self._store.keep(place, changed, sorted({*record.customer_set, *given.keys() & set(_PROVIDED)}))
                processed.append(identifier)
                continue
            code, message = refusal
            unprocessed.append({"FindingIdentifier": identifier, "ErrorCode": code, "ErrorMessage": message})
        return {"ProcessedFindings": processed, "UnprocessedFindings": unprocessed}

    def _get_findings(self, call: Call) -> dict[str, Any]:
        self._require_hub(call)
        size = call.parameters.get("MaxResults", 10)
        if not 1 <= size <= 100:
            raise AwsError("InvalidInputException", "MaxResults must be 1 to 100")
        filters, criteria = call.parameters.get("Filters", {}), call.parameters.get("SortCriteria", [])
        passes = selected(filters, self.clock())
        question = zlib.crc32(repr((filters, criteria)).encode())
        start = _offset(call.parameters.get("NextToken"), question)
        is_head_enough = not any(name.startswith("Resource") for name in filters)
        matching = ordered(
            [
                record
                for record in self._store.of((call.account_id, call.region))
                if passes(record.head if is_head_enough else record.finding)
            ],
            criteria,
        )
        answer: dict[str, Any] = {"Findings": [record.finding for record in matching[start : start + size]]}
        if start + size < len(matching):
            answer["NextToken"] = base64.urlsafe_b64encode(f"{start + size}/{question}".encode()).decode()
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


def _provide(finding: dict[str, Any], record: Stored | None) -> None:
    """FindingProviderFields show at the top level too, until a customer has set the attribute there."""
    provided = finding["FindingProviderFields"] = dict(finding.get("FindingProviderFields", {}))
    for name in _PROVIDED:
        if name in finding:
            provided.setdefault(name, _provider_value(name, finding.pop(name)))
        if record is not None and name in record.customer_set:
            finding[name] = record.head[name]
        elif name in provided:
            finding |= _as_shown({name: provided[name]})


def _reopens(before: dict[str, Any], after: dict[str, Any]) -> bool:
    compliance = [finding.get("Compliance", {}).get("Status") for finding in (before, after)]
    fails_now = compliance[0] == "PASSED" and compliance[1] in ("FAILED", "WARNING", "NOT_AVAILABLE")
    return fails_now or (before["RecordState"] == "ARCHIVED" and after["RecordState"] == "ACTIVE")


def _provider_value(name: str, value: Any) -> Any:
    if name != "Severity":
        return value
    shown = _as_shown({"Severity": value})["Severity"]
    return {key: shown[key] for key in ("Label", "Original") if key in shown}


def _as_shown(attributes: dict[str, Any]) -> dict[str, Any]:
    """The same with both halves of a Severity: of Label and Normalized each follows from the other."""
    if "Severity" not in attributes:
        return attributes
    severity = attributes["Severity"]
    label = severity.get("Label") or _label(severity.get("Normalized", 0))
    shown = {**severity, "Label": label, "Normalized": severity.get("Normalized", _NORMALIZED[label])}
    return {**attributes, "Severity": shown}


def _label(normalized: int) -> str:
    return [label for label, least in _NORMALIZED.items() if normalized >= least][-1]


def _offset(token: str | None, question: int) -> int:
    """Where the page of a token begins; raises AwsError for a token of another question."""
    if token is None:
        return 0
    try:
        start, _, asked = base64.urlsafe_b64decode(token.encode()).decode().partition("/")
        if int(asked) == question:
            return int(start)
    except ValueError:
        pass
    raise AwsError("InvalidInputException", "Invalid NextToken")


def _partition(region: str) -> str:
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
