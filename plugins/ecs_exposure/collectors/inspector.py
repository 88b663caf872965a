"""Amazon Inspector: is the registry scanned, which images are covered, what was found, what is known of each CVE."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors import cvss_vector
from ecs_exposure.collectors.base import Row, batches, listing, moment, required, whole

FILTER_VALUES = 10  # values of one filter, and findings of one BatchGetFindingDetails
PAGE = 100
IMAGE = "AWS_ECR_CONTAINER_IMAGE"
SOURCE = "inspector"
SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNTRIAGED")
_ENDED = ("DISABLED", "REMOVED", "RESIGNED", "DELETED", "REGION_DISABLED", "ACCOUNT_SUSPENDED")
_DETAILS = ("is_kev", "kev_date_added", "kev_date_due", "exploit_first_seen", "exploit_last_seen", "tools")
MAX_PLATFORM = 100
NO_FIX = ("", "NotAvailable", "NOT_AVAILABLE")

Images = frozenset[tuple[str, str]]  # (repository, digest)


class NotScanned(Exception):
    """Inspector does not scan this account's registry: `status` is coverage's word for why."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


def require_enabled(client: Any, account_id: str) -> None:
    """Raises NotScanned when Inspector's ECR scanning is off in the account, or the account is unknown to it."""
    answer = client.batch_get_account_status(accountIds=[account_id])
    for account in required(answer, "accounts", "BatchGetAccountStatus"):
        if account["accountId"] == account_id:
            status = account.get("resourceState", {}).get("ecr", {}).get("status", "UNKNOWN")
            if status == "ENABLED":
                return
            raise NotScanned("not_enabled", f"Inspector's ECR scanning is {status}: enable it for account {account_id}")
    for account in answer.get("failedAccounts", []):
        if account.get("accountId") == account_id:
            code = account.get("errorCode", "unknown")
            raise NotScanned(
                "denied", f"Amazon Inspector tells nothing of account {account_id} ({code}): make it a member"
            )
    raise IncompleteAnswer(f"BatchGetAccountStatus answered nothing on account {account_id}")


def administrator(client: Any) -> str | None:
    """The delegated administrator of the caller's organisation in the client's Region; None when there is none (or no
    longer: its relationship has ended).
    """
    try:
        answer = client.get_delegated_admin_account()
    except client.exceptions.ResourceNotFoundException:
        return None
    named = required(answer, "delegatedAdmin", "GetDelegatedAdminAccount")
    return None if named.get("relationshipStatus") in _ENDED else str(named["accountId"])


def coverage(client: Any, account_id: str, region: str, partition: str, images: Images) -> Iterator[Row]:
    """Columns of dataset image_coverage, of the images asked for."""
    arns = {
        f"arn:{partition}:ecr:{region}:{account_id}:repository/{repository}/{digest}": (repository, digest)
        for repository, digest in images
    }
    seen = set()
    for batch in batches(sorted(arns), FILTER_VALUES):
        criteria = {"resourceId": _equals(batch), "resourceType": _equals([IMAGE]), "accountId": _equals([account_id])}
        for item in listing(client, "list_coverage", "coveredResources", page_size=PAGE, filterCriteria=criteria):
            if item["resourceId"] not in arns or item["resourceId"] in seen:
                continue
            seen.add(item["resourceId"])
            repository, digest = arns[item["resourceId"]]
            yield {"repository_name": repository, "image_digest": digest, **scan_columns(item)}


def scan_columns(item: Mapping[str, Any]) -> Row:
    """What a covered resource's status says, as columns of image_coverage; without a status it is not scanned."""
    status = item.get("scanStatus") or {}
    return {
        "scan_status": status.get("statusCode", "INACTIVE"),
        "scan_reason": status.get("reason"),
        "last_scanned_at": moment(item.get("lastScannedAt")),
        "finding_source": SOURCE,
    }


def findings(client: Any, account_id: str, images: Images) -> Iterator[Row]:
    """Columns of dataset image_finding: one row per finding and vulnerable package, of the images asked for."""
    for batch in batches(sorted({digest for _, digest in images}), FILTER_VALUES):
        criteria = {
            "awsAccountId": _equals([account_id]),
            "ecrImageHash": _equals(batch),
            "findingType": _equals(["PACKAGE_VULNERABILITY"]),
            "resourceType": _equals([IMAGE]),
            "findingStatus": _equals(["ACTIVE", "SUPPRESSED"]),
        }
        for finding in listing(client, "list_findings", "findings", page_size=PAGE, filterCriteria=criteria):
            for repository, digest in images_of(finding):
                if (repository, digest) in images:
                    yield from finding_rows(finding, repository, digest, SOURCE)


def images_of(finding: Row) -> list[tuple[str, str]]:
    """(repository, digest) of a finding's images."""
    found = []
    for resource in finding.get("resources", []):
        image = resource.get("details", {}).get("awsEcrContainerImage", {})
        if "repositoryName" in image and "imageHash" in image:
            found.append((str(image["repositoryName"]), str(image["imageHash"])))
    return list(dict.fromkeys(found))


def _platform(finding: Mapping[str, Any], digest: str) -> str | None:
    """The operating system of the image as Inspector writes it, e.g. DEBIAN_12."""
    for resource in finding.get("resources") or ():
        image = resource.get("details", {}).get("awsEcrContainerImage", {})
        if image.get("imageHash") == digest and image.get("platform"):
            return str(image["platform"])[:MAX_PLATFORM]
    return None


def finding_rows(finding: Mapping[str, Any], repository: str, digest: str, source: str = SOURCE) -> Iterator[Row]:
    """One row per package of a finding (one without package when it names none); what is missing is NULL, never a
    default. `source` is who told it: column finding_source.
    """
    details = finding["packageVulnerabilityDetails"]
    adjusted = (finding.get("inspectorScoreDetails") or {}).get("adjustedCvss")
    scores = list(details.get("cvss") or [])
    if adjusted:
        scores.append({**adjusted, "baseScore": adjusted.get("score"), "source": adjusted.get("scoreSource")})
    severity = finding.get("severity")
    exploit = finding.get("exploitAvailable")
    fix = finding.get("fixAvailable")
    common = {
        "finding_arn": finding["findingArn"],
        "repository_name": repository,
        "image_digest": digest,
        "platform": _platform(finding, digest),
        "vulnerability_id": details["vulnerabilityId"],
        "finding_status": finding.get("status", "ACTIVE"),
        "severity": severity if severity in SEVERITIES else None,
        "fix_available": fix if fix in ("YES", "NO", "PARTIAL") else None,
        "exploit_available": {"YES": True, "NO": False}.get(str(exploit)),
        "epss": _probability((finding.get("epss") or {}).get("score")),
        "first_observed_at": moment(finding.get("firstObservedAt")),
        "finding_source": source,
        **cvss_vector.choose(scores, details.get("source")),
    }
    seen = set()
    for package in details.get("vulnerablePackages") or [{}]:
        key = (package.get("name"), _version(package), package.get("filePath"))
        if key in seen:
            continue  # the same package in two layers or architectures
        seen.add(key)
        fixed = package.get("fixedInVersion")
        yield {
            **common,
            "package_name": key[0],
            "package_version": key[1],
            "package_manager": package.get("packageManager"),
            "package_file_path": key[2],
            "fixed_in_version": None if fixed is None or fixed in NO_FIX else fixed,
            "fix_command": package.get("remediation"),
        }


def _version(package: Mapping[str, Any]) -> str | None:
    """epoch:version-release, as dpkg and rpm write it: an epoch of 0 is not written."""
    version = package.get("version")
    if version is None:
        return None
    epoch, release = whole(package.get("epoch")), package.get("release")
    return f"{f'{epoch}:' if epoch else ''}{version}{f'-{release}' if release else ''}"


def _probability(value: object) -> float | None:
    try:
        score = float(str(value))
    except ValueError:
        return None
    return score if math.isfinite(score) and 0 <= score <= 1 else None


def details(client: Any, arns: Mapping[str, str]) -> Iterator[Row]:
    """Columns of dataset vulnerability_detail (asked_date apart) for {vulnerability id: ARN of one of its findings}.

    A vulnerability that Inspector has no details for has a row of NULLs: asked, nothing known, which is not "not
    exploited". One that it passes over without a word has no row. Raises IncompleteAnswer when it failed on one.
    """
    ids = {arn: vulnerability_id for vulnerability_id, arn in arns.items()}
    for batch in batches(sorted(ids), FILTER_VALUES):
        answer = client.batch_get_finding_details(findingArns=batch)
        told: dict[str, Mapping[str, Any] | None] = {}
        for error in answer.get("errors", []):
            if error.get("errorCode") != "FINDING_DETAILS_NOT_FOUND":
                raise IncompleteAnswer(
                    f"BatchGetFindingDetails failed on {error.get('findingArn')}: {error.get('errorCode')}"
                )
            told[error["findingArn"]] = None
        for item in required(answer, "findingDetails", "BatchGetFindingDetails"):
            told[item["findingArn"]] = item
        for arn in batch:
            if arn in told:
                yield {"vulnerability_id": ids[arn], **_known(told[arn])}


def _known(item: Mapping[str, Any] | None) -> Row:
    if item is None:
        return dict.fromkeys(_DETAILS)
    kev, observed = item.get("cisaData") or {}, item.get("exploitObserved") or {}
    added, due = moment(kev.get("dateAdded")), moment(kev.get("dateDue"))
    return {
        "is_kev": bool(kev),
        "kev_date_added": added.date() if added else None,
        "kev_date_due": due.date() if due else None,
        "exploit_first_seen": moment(observed.get("firstSeen")),
        "exploit_last_seen": moment(observed.get("lastSeen")),
        "tools": sorted(item.get("tools") or []),
    }


def _equals(values: Iterable[str]) -> list[dict[str, str]]:
    return [{"comparison": "EQUALS", "value": value} for value in values]
