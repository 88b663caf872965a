"""Amazon ECR's own scan results (DescribeImageScanFindings), for registries whose images Amazon Inspector does not
tell about: enhanced scanning is Inspector's findings without EPSS, basic scanning the system packages of one moment.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors import cvss_vector, inspector
from ecs_exposure.collectors.base import Row, moment, required, text_of

BASIC: Literal["ecr_basic"] = "ecr_basic"
ENHANCED: Literal["ecr_enhanced"] = "ecr_enhanced"
PAGE = 1000
SCANNED = ("COMPLETE", "ACTIVE")
"""The statuses of an image that was scanned: ACTIVE is kept current (enhanced), COMPLETE was once (basic)."""

NEVER = "SCAN_NOT_FOUND"
"""Our reason for an image that ECR has no scan of."""

_OF_ENHANCED = ("ACTIVE", "PENDING", "SCAN_ELIGIBILITY_EXPIRED", "IMAGE_ARCHIVED")
# Only package_* and CVSS2_* are documented (AWS CLI reference, describe-image-scan-findings); a scanner that tells
# another version of CVSS is read alike.
_VECTOR = re.compile(r"CVSS(\d)_VECTOR")
_SEVERITIES = {"UNDEFINED": "UNTRIAGED"}


def findings(client: Any, images: Iterable[tuple[str, str]], registry_arn: str, covered: list[Row]) -> Iterator[Row]:
    """Columns of dataset image_finding of (repository, digest) pairs; appends those of image_coverage to `covered`.

    `registry_arn` is the ARN of the registry's repositories without their name (`arn:…:repository/`). An image that is
    no longer in its repository has no row; one that was never scanned has a coverage row that says so. Raises
    IncompleteAnswer for an answer that names a number of findings and lists none.
    """
    for repository, digest in sorted(images):
        request = {"repositoryName": repository, "imageId": {"imageDigest": digest}}
        pages = client.get_paginator("describe_image_scan_findings").paginate(
            **request, PaginationConfig={"PageSize": PAGE}
        )
        told: Row | None = None
        counted = listed = 0
        seen: set[tuple[object, ...]] = set()
        try:
            for page in pages:
                if told is None:
                    told, counted = image_coverage(page, repository, digest)
                found = page.get("imageScanFindings") or {}
                for row in (
                    *enhanced_rows(found.get("enhancedFindings") or (), repository, digest),
                    *basic_rows(
                        found.get("findings") or (), repository, digest, f"{registry_arn}{repository}/{digest}"
                    ),
                ):
                    told["finding_source"] = row["finding_source"]
                    listed += 1
                    key = tuple(
                        row[name] for name in ("finding_arn", "package_name", "package_version", "package_file_path")
                    )
                    if key not in seen:
                        seen.add(key)
                        yield row
        except client.exceptions.ScanNotFoundException:
            told = _coverage(repository, digest, "INACTIVE", NEVER, None, BASIC)
        except (client.exceptions.ImageNotFoundException, client.exceptions.RepositoryNotFoundException):
            continue
        if counted and not listed:
            raise IncompleteAnswer(
                f"DescribeImageScanFindings counts {counted} findings of {repository} and lists none"
            )
        if told is not None:
            covered.append(told)


def image_coverage(page: Mapping[str, Any], repository: str, digest: str) -> tuple[Row, int]:
    """The image's coverage, and how many findings the answer says there are."""
    status = str(required(required(page, "imageScanStatus", _OPERATION), "status", _OPERATION))
    found = (
        required(page, "imageScanFindings", _OPERATION) if status in SCANNED else page.get("imageScanFindings") or {}
    )
    row = _coverage(
        repository, digest, "ACTIVE" if status in SCANNED else "INACTIVE", text_of(status),
        moment(found.get("imageScanCompletedAt")), ENHANCED if status in _OF_ENHANCED else BASIC,
    )  # fmt: skip
    return row, sum((found.get("findingSeverityCounts") or {}).values())


_OPERATION = "DescribeImageScanFindings"


def _coverage(repository: str, digest: str, status: str, reason: str | None, scanned: Any, source: str) -> Row:
    return {
        "repository_name": repository,
        "image_digest": digest,
        "scan_status": status,
        "scan_reason": reason,
        "last_scanned_at": scanned,
        "finding_source": source,
    }


def enhanced_rows(items: Iterable[Mapping[str, Any]], repository: str, digest: str) -> Iterator[Row]:
    """Inspector's findings as ECR tells them: the same ARNs and packages, no EPSS, the score named otherwise."""
    for item in items:
        if item.get("type", "PACKAGE_VULNERABILITY") != "PACKAGE_VULNERABILITY" or item.get("status") == "CLOSED":
            continue
        score = (item.get("scoreDetails") or {}).get("cvss")
        finding = {**item, "inspectorScoreDetails": {"adjustedCvss": score}}
        yield from inspector.finding_rows(finding, repository, digest, ENHANCED)


def basic_rows(items: Iterable[Mapping[str, Any]], repository: str, digest: str, image_arn: str) -> Iterator[Row]:
    """A basic finding has no ARN: the image's with the vulnerability's name stands for it."""
    for item in items:
        attributes = {str(pair["key"]): pair.get("value") for pair in item.get("attributes") or ()}
        severity = _SEVERITIES.get(str(item.get("severity")), item.get("severity"))
        scores = [
            {"scoringVector": value, "baseScore": attributes.get(f"CVSS{name[1]}_SCORE")}
            for key, value in attributes.items()
            if (name := _VECTOR.fullmatch(key))
        ]
        yield {
            "finding_arn": f"{image_arn}/{item['name']}",
            "repository_name": repository,
            "image_digest": digest,
            "vulnerability_id": item["name"],
            "finding_status": "ACTIVE",
            "severity": severity if severity in inspector.SEVERITIES else None,
            "package_name": attributes.get("package_name"),
            "package_version": attributes.get("package_version"),
            "package_manager": "OS",
            "package_file_path": None,
            "finding_source": BASIC,
            **cvss_vector.choose(scores, None),
        }
