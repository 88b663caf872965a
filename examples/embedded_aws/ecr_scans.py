"""Amazon ECR's scan results: DescribeImageScanFindings, as basic and as enhanced scanning answer it.

moto plays the rest of ECR, and of this operation one canned finding. Here every image has its own scan, or none, and
findings come in pages.
"""

from __future__ import annotations

import copy
import threading
from collections import Counter
from typing import Any

from moto.ecr.models import ecr_backends

from embedded_aws.contract import AwsError, Call
from embedded_aws.state import dispatch, pack, page, unpack

_LARGEST_PAGE = 1000
_USUAL_PAGE = 100

Key = tuple[str, str, str, str]
"""(account, Region, repository, digest)"""


class EcrScans:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._scans: dict[Key, dict[str, Any]] = {}

    def call(self, call: Call) -> dict[str, Any]:
        with self._lock:
            return copy.deepcopy(dispatch(self, call))

    def put_scan(self, key: Key, status: str, findings: dict[str, Any] | None = None, description: str = "") -> None:
        """Make an image's scan: `findings` are the members of imageScanFindings; its lists are handed out in pages."""
        with self._lock:
            told = {"status": status} | ({"description": description} if description else {})
            self._scans[key] = {"imageScanStatus": told} | ({} if findings is None else {"imageScanFindings": findings})

    def describe_image_scan_findings(self, call: Call) -> dict[str, Any]:
        repository = call.parameters["repositoryName"]
        stored = ecr_backends[call.account_id][call.region].repositories.get(repository)
        if stored is None:
            raise AwsError("RepositoryNotFoundException", f"The repository '{repository}' does not exist")
        asked = call.parameters["imageId"]
        digests = [
            image.get_image_digest()
            for image in stored.images
            if asked.get("imageDigest") in (None, image.get_image_digest())
            and ("imageTag" not in asked or asked["imageTag"] in image.image_tags)
        ]
        if not digests:
            raise AwsError("ImageNotFoundException", f"The image does not exist within the repository '{repository}'")
        scan = self._scans.get((call.account_id, call.region, repository, digests[0]))
        if scan is None:
            raise AwsError("ScanNotFoundException", f"Image scan does not exist for the image in '{repository}'")
        size = call.parameters.get("maxResults", _USUAL_PAGE)
        if not 1 <= size <= _LARGEST_PAGE:
            raise AwsError("InvalidParameterException", f"maxResults must be between 1 and {_LARGEST_PAGE}")
        answer = {"registryId": call.account_id, "repositoryName": repository, "imageId": {"imageDigest": digests[0]}}
        answer |= scan
        findings = scan.get("imageScanFindings")
        name = next((name for name in ("findings", "enhancedFindings") if findings and name in findings), None)
        if findings is None or name is None:
            return answer
        shown, token = page(findings[name], call.parameters.get("nextToken"), size, "InvalidParameterException")
        answer["imageScanFindings"] = findings | {name: shown}
        return answer | ({"nextToken": token} if token else {})

    def dump(self) -> dict[str, Any]:
        with self._lock:
            return {"scans": [[list(key), pack(scan)] for key, scan in self._scans.items()]}

    def restore(self, state: dict[str, Any]) -> None:
        with self._lock:
            self._scans = {(*key,): unpack(scan) for key, scan in state.get("scans", [])}


def counted(findings: list[dict[str, Any]]) -> dict[str, int]:
    """findingSeverityCounts of some findings."""
    return dict(Counter(str(item["severity"]) for item in findings))
