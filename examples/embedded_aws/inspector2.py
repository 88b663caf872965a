"""Amazon Inspector as a scanner meets it: image findings and coverage, seen by the delegated administrator.

moto's Inspector returns canned findings only. Here findings live in the registry owner's account and Region,
filters and pages work, and an answer never holds more than the 25 findings the API declares, whatever was asked.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from embedded_aws.contract import AwsError, Call, NotPlayed
from embedded_aws.state import dispatch, pack, page, unpack

# `FindingList` declares at most 25 items though the request may ask for 100.
_LARGEST_PAGE = 25
_MOST_VALUES = 10
_MOST_DETAILS = 10

_SEVERITIES = ["UNTRIAGED", "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"]

_Extract = Callable[[dict[str, Any]], Iterable[Any]]


def _image(finding: dict[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = finding["resources"][0].get("details", {}).get("awsEcrContainerImage", {})
    return details


def _present(*values: Any) -> list[Any]:
    return [value for value in values if value is not None]


_FINDING_TEXT: dict[str, _Extract] = {
    "awsAccountId": lambda f: [f["awsAccountId"]],
    "findingArn": lambda f: [f["findingArn"]],
    "findingStatus": lambda f: [f["status"]],
    "findingType": lambda f: [f["type"]],
    "severity": lambda f: [f["severity"]],
    "title": lambda f: [f["title"]],
    "exploitAvailable": lambda f: _present(f.get("exploitAvailable")),
    "fixAvailable": lambda f: _present(f.get("fixAvailable")),
    "resourceType": lambda f: [resource["type"] for resource in f["resources"]],
    "resourceId": lambda f: [resource["id"] for resource in f["resources"]],
    "ecrImageHash": lambda f: _present(_image(f).get("imageHash")),
    "ecrImageRegistry": lambda f: _present(_image(f).get("registry")),
    "ecrImageRepositoryName": lambda f: _present(_image(f).get("repositoryName")),
    "ecrImageTags": lambda f: _image(f).get("imageTags", []),
    "vulnerabilityId": lambda f: _present(f.get("packageVulnerabilityDetails", {}).get("vulnerabilityId")),
}
_FINDING_DATE: dict[str, _Extract] = {
    "firstObservedAt": lambda f: [f["firstObservedAt"]],
    "lastObservedAt": lambda f: [f["lastObservedAt"]],
    "updatedAt": lambda f: _present(f.get("updatedAt")),
}
_FINDING_NUMBER: dict[str, _Extract] = {
    "epssScore": lambda f: _present(f.get("epss", {}).get("score")),
    "inspectorScore": lambda f: _present(f.get("inspectorScore")),
}
_SORT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "AWS_ACCOUNT_ID": lambda f: f["awsAccountId"],
    "FINDING_TYPE": lambda f: f["type"],
    "SEVERITY": lambda f: _SEVERITIES.index(f["severity"]),
    "FIRST_OBSERVED_AT": lambda f: f["firstObservedAt"],
    "LAST_OBSERVED_AT": lambda f: f["lastObservedAt"],
    "FINDING_STATUS": lambda f: f["status"],
    "INSPECTOR_SCORE": lambda f: f.get("inspectorScore", 0.0),
    "EPSS_SCORE": lambda f: f.get("epss", {}).get("score", 0.0),
    "VULNERABILITY_ID": lambda f: f["packageVulnerabilityDetails"]["vulnerabilityId"],
}


def _ecr(covered: dict[str, Any]) -> dict[str, Any]:
    metadata = covered.get("resourceMetadata", {})
    image: dict[str, Any] = metadata.get("ecrImage", {})
    return image


_COVERAGE_TEXT: dict[str, _Extract] = {
    "accountId": lambda c: [c["accountId"]],
    "resourceId": lambda c: [c["resourceId"]],
    "resourceType": lambda c: [c["resourceType"]],
    "scanType": lambda c: [c["scanType"]],
    "scanStatusCode": lambda c: [c["scanStatus"]["statusCode"]],
    "scanStatusReason": lambda c: [c["scanStatus"]["reason"]],
    "scanMode": lambda c: _present(c.get("scanMode")),
    "ecrRepositoryName": lambda c: _present(c.get("resourceMetadata", {}).get("ecrRepository", {}).get("name")),
    "ecrImageTags": lambda c: _ecr(c).get("tags", []),
}
_COVERAGE_DATE: dict[str, _Extract] = {
    "lastScannedAt": lambda c: _present(c.get("lastScannedAt")),
    "imagePulledAt": lambda c: _present(_ecr(c).get("imagePulledAt")),
    "ecrImageLastInUseAt": lambda c: _present(_ecr(c).get("lastInUseAt")),
}
_COVERAGE_NUMBER: dict[str, _Extract] = {"ecrImageInUseCount": lambda c: _present(_ecr(c).get("inUseCount"))}


class Inspector2:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        # By Region; None is every Region that is not named.
        self._administrators: dict[str | None, str] = {}
        self._enabled: dict[str, set[str]] = {}
        # By Region, then by finding ARN or image ARN; details by finding ARN.
        self._findings: dict[str, dict[str, dict[str, Any]]] = {}
        self._coverage: dict[str, dict[str, dict[str, Any]]] = {}
        self._details: dict[str, dict[str, Any]] = {}

    def call(self, call: Call) -> dict[str, Any]:
        with self._lock:
            return copy.deepcopy(dispatch(self, call))

    # --- what an organisation's loader or a test puts in ---

    def enable(self, account_id: str, region: str) -> None:
        self._enabled.setdefault(account_id, set()).add(region)

    def delegate(self, account_id: str, region: str | None = None) -> None:
        """Make an account the organisation's delegated administrator in one Region, or in all that are not named."""
        self._administrators[region] = account_id

    def _administrator(self, region: str) -> str | None:
        return self._administrators.get(region, self._administrators.get(None))

    def put_finding(self, finding: dict[str, Any], details: dict[str, Any] | None = None) -> None:
        """Add or replace a finding (ListFindings' shape); `details` are BatchGetFindingDetails' members.

        It lives in its own awsAccountId and the Region of its ARN.
        """
        with self._lock:
            region = finding["findingArn"].split(":")[3]
            self._findings.setdefault(region, {})[finding["findingArn"]] = finding
            if details is not None:
                self._details[finding["findingArn"]] = details

    def drop_findings(self, image_hash: str) -> None:
        """Forget all findings of an image: deleted findings simply are no longer listed."""
        with self._lock:
            for findings in self._findings.values():
                for arn in [arn for arn, one in findings.items() if _image(one).get("imageHash") == image_hash]:
                    del findings[arn]
                    self._details.pop(arn, None)

    def put_coverage(self, region: str, covered: dict[str, Any]) -> None:
        """Add or replace an image's coverage (ListCoverage's shape) by its resourceId."""
        with self._lock:
            self._coverage.setdefault(region, {})[covered["resourceId"]] = covered

    # --- operations ---

    def list_findings(self, call: Call) -> dict[str, Any]:
        visible = self._visible(call)
        findings = [one for one in self._findings.get(call.region, {}).values() if one["awsAccountId"] in visible]
        criteria = call.parameters.get("filterCriteria", {})
        matching = _select(findings, criteria, _FINDING_TEXT, _FINDING_DATE, _FINDING_NUMBER)
        sort = call.parameters.get("sortCriteria")
        if sort is not None:
            if sort["field"] not in _SORT:
                raise NotPlayed(f"sorting findings by {sort['field']}")
            matching.sort(key=_SORT[sort["field"]], reverse=sort["sortOrder"] == "DESC")
        return _answer(call, matching, "findings", default=_LARGEST_PAGE, declared=_LARGEST_PAGE, most=100)

    def list_coverage(self, call: Call) -> dict[str, Any]:
        visible = self._visible(call)
        resources = [one for one in self._coverage.get(call.region, {}).values() if one["accountId"] in visible]
        criteria = call.parameters.get("filterCriteria", {})
        matching = _select(resources, criteria, _COVERAGE_TEXT, _COVERAGE_DATE, _COVERAGE_NUMBER)
        return _answer(call, matching, "coveredResources", default=100, declared=200, most=200)

    def batch_get_finding_details(self, call: Call) -> dict[str, Any]:
        arns = call.parameters["findingArns"]
        if not 1 <= len(arns) <= _MOST_DETAILS:
            raise _validation(f"findingArns must have 1 to {_MOST_DETAILS} items")
        visible = self._visible(call)
        known, details, errors = self._findings.get(call.region, {}), [], []
        for arn in arns:
            if arn not in known:
                code, text = "FINDING_DETAILS_NOT_FOUND", "Finding details not found."
            elif known[arn]["awsAccountId"] not in visible:
                code, text = "ACCESS_DENIED", "The finding belongs to another account."
            else:
                details.append({"findingArn": arn} | self._details.get(arn, {}))
                continue
            errors.append({"findingArn": arn, "errorCode": code, "errorMessage": text})
        return {"findingDetails": details, "errors": errors}

    def batch_get_account_status(self, call: Call) -> dict[str, Any]:
        # An account may always ask about itself; with Inspector off that is how it is told so.
        is_on = call.region in self._enabled.get(call.account_id, set())
        visible = self._visible(call) if is_on else {call.account_id}
        asked = call.parameters.get("accountIds") or [call.account_id]
        state = {"status": "ENABLED", "errorCode": "ALREADY_ENABLED", "errorMessage": "Amazon Inspector is enabled."}
        accounts, failed = [], []
        for account_id in asked:
            if account_id not in visible:
                failed.append(
                    {
                        "accountId": account_id,
                        "errorCode": "ACCESS_DENIED",
                        "errorMessage": "Invoking account does not have access to retrieve this account's status.",
                    }
                )
                continue
            on = call.region in self._enabled.get(account_id, set())
            status = state if on else state | {"status": "DISABLED"}
            resources = {"ec2": {**state, "status": "DISABLED"}, "ecr": status}
            accounts.append({"accountId": account_id, "state": status, "resourceState": resources})
        return {"accounts": accounts, "failedAccounts": failed}

    def list_members(self, call: Call) -> dict[str, Any]:
        administrator = self._administrator(call.region)
        if call.account_id != administrator:
            raise _denied()
        members = [
            {
                "accountId": account_id,
                "relationshipStatus": "ENABLED",
                "delegatedAdminAccountId": administrator,
            }
            for account_id, regions in sorted(self._enabled.items())
            if call.region in regions and account_id != administrator
        ]
        return _answer(call, members, "members", default=50, declared=50, most=50)

    def get_delegated_admin_account(self, call: Call) -> dict[str, Any]:
        administrator = self._administrator(call.region)
        if administrator is None:
            raise AwsError("ResourceNotFoundException", "No delegated administrator account exists.", 404)
        return {"delegatedAdmin": {"accountId": administrator, "relationshipStatus": "ENABLED"}}

    def _visible(self, call: Call) -> set[str]:
        """The accounts whose findings the caller sees: all members for the administrator, else its own."""
        if call.region not in self._enabled.get(call.account_id, set()):
            raise _denied()
        if call.account_id == self._administrator(call.region):
            return {account_id for account_id, regions in self._enabled.items() if call.region in regions}
        return {call.account_id}

    # --- state between runs ---

    def dump(self) -> dict[str, Any]:
        with self._lock:
            return {
                "administrators": [[region, account_id] for region, account_id in self._administrators.items()],
                "enabled": {account_id: sorted(regions) for account_id, regions in self._enabled.items()},
                "findings": pack(self._findings),
                "details": pack(self._details),
                "coverage": pack(self._coverage),
            }

    def restore(self, state: dict[str, Any]) -> None:
        with self._lock:
            self._administrators = dict(state.get("administrators", []))
            enabled = state.get("enabled", {})
            self._enabled = {account_id: set(regions) for account_id, regions in enabled.items()}
            self._findings = unpack(state.get("findings", {}))
            self._details = unpack(state.get("details", {}))
            self._coverage = unpack(state.get("coverage", {}))


def _denied() -> AwsError:
    return AwsError("AccessDeniedException", "Invoking account does not have access to Amazon Inspector here.", 403)


def _validation(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _answer(
    call: Call, items: list[dict[str, Any]], member: str, *, default: int, declared: int, most: int
) -> dict[str, Any]:
    asked = call.parameters.get("maxResults", default)
    if not 1 <= asked <= most:
        raise _validation(f"maxResults must be between 1 and {most}")
    shown, token = page(items, call.parameters.get("nextToken"), min(asked, declared), "ValidationException")
    return {member: shown} | ({"nextToken": token} if token else {})


def _select(
    items: list[dict[str, Any]],
    criteria: dict[str, Any],
    text: dict[str, _Extract],
    dates: dict[str, _Extract],
    numbers: dict[str, _Extract],
) -> list[dict[str, Any]]:
    """Items that satisfy every criterion; within one criterion any EQUALS or PREFIX, and every NOT_…, must hold."""
    for name, filters in criteria.items():
        if not 1 <= len(filters) <= _MOST_VALUES:
            raise _validation(f"filterCriteria.{name} must have 1 to {_MOST_VALUES} items")
        if name in text:
            items = [item for item in items if _text_matches(list(text[name](item)), filters)]
        elif name in dates:
            items = [item for item in items if _between(dates[name](item), filters, "startInclusive", "endInclusive")]
        elif name in numbers:
            bounds = ("lowerInclusive", "upperInclusive")
            items = [item for item in items if _between(numbers[name](item), filters, *bounds)]
        else:
            raise NotPlayed(f"the embedded AWS does not play the Inspector filter {name}")
    return items


def _text_matches(values: list[str], filters: list[dict[str, str]]) -> bool:
    wanted = [one for one in filters if not one["comparison"].startswith("NOT_")]
    unwanted = [one for one in filters if one["comparison"].startswith("NOT_")]
    return (not wanted or any(_holds(values, one) for one in wanted)) and not any(
        _holds(values, one) for one in unwanted
    )


def _holds(values: list[str], one: dict[str, str]) -> bool:
    if one["comparison"].endswith("PREFIX"):
        return any(value.startswith(one["value"]) for value in values)
    return one["value"] in values


def _between(values: Iterable[datetime | float], filters: list[dict[str, Any]], low: str, high: str) -> bool:
    return any(
        (low not in one or value >= one[low]) and (high not in one or value <= one[high])
        for value in values
        for one in filters
    )
