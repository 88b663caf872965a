"""Amazon Inspector: is the registry scanned, which images are covered, what was found, what is known of each CVE."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors import cvss_vector
from ecs_exposure.collectors.base import Row, batches, listing, moment, required

FILTER_VALUES = 10  # values of one filter, and findings of one BatchGetFindingDetails
PAGE = 100
IMAGE = "AWS_ECR_CONTAINER_IMAGE"
SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNTRIAGED")
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
            status = item.get("scanStatus", {})
            yield {
                "repository_name": repository,
                "image_digest": digest,
                "scan_status": status.get("statusCode", "INACTIVE"),
                "scan_reason": status.get("reason"),
                "last_scanned_at": moment(item.get("lastScannedAt")),
            }


def findings(client: Any, account_id: str, images: Images, note: Callable[[str, str], object]) -> Iterator[Row]:
    """Columns of dataset image_finding: one row per finding and vulnerable package, of the images asked for.

    `note` hears every (vulnerability id, finding ARN).
    """
    for batch in batches(sorted({digest for _, digest in images}), FILTER_VALUES):
        criteria = {
            "awsAccountId": _equals([account_id]),
            "ecrImageHash": _equals(batch),
            "findingType": _equals(["PACKAGE_VULNERABILITY"]),
            "resourceType": _equals([IMAGE]),
            "findingStatus": _equals(["ACTIVE", "SUPPRESSED"]),
        }
        for finding in listing(client, "list_findings", "findings", page_size=PAGE, filterCriteria=criteria):
            for repository, digest, platform in _images_of(finding):
                if (repository, digest) in images:
                    note(finding["packageVulnerabilityDetails"]["vulnerabilityId"], finding["findingArn"])
                    yield from finding_rows(finding, repository, digest, platform)


def _images_of(finding: Row) -> list[tuple[str, str, str | None]]:
    """(repository, digest, platform) of a finding's images."""
    found = []
    for resource in finding.get("resources", []):
        image = resource.get("details", {}).get("awsEcrContainerImage", {})
        if "repositoryName" in image and "imageHash" in image:
            platform = str(image.get("platform") or "")[:MAX_PLATFORM]
            found.append((str(image["repositoryName"]), str(image["imageHash"]), platform or None))
    return list(dict.fromkeys(found))


def finding_rows(
    finding: Mapping[str, Any], repository: str, digest: str, platform: str | None = None
) -> Iterator[Row]:
    """One row per package of a finding (one without package when it names none); what is missing is NULL, never a
    default.
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
        "platform": platform,
        "vulnerability_id": details["vulnerabilityId"],
        "finding_status": finding.get("status", "ACTIVE"),
        "severity": severity if severity in SEVERITIES else None,
        "fix_available": fix if fix in ("YES", "NO", "PARTIAL") else None,
        "exploit_available": {"YES": True, "NO": False}.get(str(exploit)),
        "epss": _probability((finding.get("epss") or {}).get("score")),
        "first_observed_at": moment(finding.get("firstObservedAt")),
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
    epoch, release = package.get("epoch"), package.get("release")
    return f"{f'{epoch}:' if epoch else ''}{version}{f'-{release}' if release else ''}"


def _probability(value: object) -> float | None:
    try:
        score = float(str(value))
    except ValueError:
        return None
    return score if math.isfinite(score) and 0 <= score <= 1 else None


def details(client: Any, arns: Mapping[str, str]) -> Iterator[Row]:
    """Columns of dataset vulnerability_detail for {vulnerability id: ARN of one of its findings}.

    A finding without details has no row (unknown, not "not exploited"). Raises IncompleteAnswer when Inspector failed
    on one.
    """
    ids = {arn: vulnerability_id for vulnerability_id, arn in arns.items()}
    for batch in batches(sorted(ids), FILTER_VALUES):
        answer = client.batch_get_finding_details(findingArns=batch)
        for error in answer.get("errors", []):
            if error.get("errorCode") != "FINDING_DETAILS_NOT_FOUND":
                raise IncompleteAnswer(
                    f"BatchGetFindingDetails failed on {error.get('findingArn')}: {error.get('errorCode')}"
                )
        for item in required(answer, "findingDetails", "BatchGetFindingDetails"):
            kev = item.get("cisaData") or {}
            added, due = moment(kev.get("dateAdded")), moment(kev.get("dateDue"))
            yield {
                "vulnerability_id": ids[item["findingArn"]],
                "is_kev": bool(kev),
                "kev_date_added": added.date() if added else None,
                "kev_date_due": due.date() if due else None,
                "exploit_last_seen": moment((item.get("exploitObserved") or {}).get("lastSeen")),
                "tools": sorted(item.get("tools") or []),
            }


def _equals(values: Iterable[str]) -> list[dict[str, str]]:
    return [{"comparison": "EQUALS", "value": value} for value in values]
