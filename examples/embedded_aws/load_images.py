"""Plays images.yaml: repositories, tags and digests in moto's ECR; findings and coverage in the Inspector fake."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from moto.ecr.models import ecr_backends

from embedded_aws.direct import Direct
from embedded_aws.ecs import Ecs
from embedded_aws.inspector2 import Inspector2
from embedded_aws.yaml_files import OrganizationError, known, on_night

if TYPE_CHECKING:
    from embedded_aws.organization import Organization

_CVE_KEYS = {
    "title", "package", "vector", "score", "severity", "vendor", "epss", "exploit", "kev", "fixed", "fix",
}  # fmt: skip
_PACKAGE_KEYS = {"name", "version", "manager", "path", "arch"}
_IMAGE_KEYS = {"cves", "scan", "suppressed"}
_DRIFT = 0.03
_NO_SCAN = "none"


class ImageLoader:
    def __init__(
        self, content: dict[str, Any], organization: Organization, direct: Direct, inspector: Inspector2, ecs: Ecs
    ) -> None:
        self._content = content
        self._organization = organization
        self._direct = direct
        self._inspector = inspector
        self._ecs = ecs
        self._pushed: set[tuple[str, str, str, str]] = set()
        self._night: dict[str, Any] = {}

    def play(self, night: int) -> None:
        """Push the images that exist on this night (their findings come with `findings`)."""
        self._night = on_night(self._content, night)
        known(self._night, {"cves", "images"}, "images.yaml")
        for cve, what in self._night["cves"].items():
            known(what, _CVE_KEYS, f"images.yaml, {cve}")
            known(what["package"], _PACKAGE_KEYS, f"images.yaml, {cve}, package")
        for account, region, repository, tag, image in self._images():
            known(image, _IMAGE_KEYS, f"images.yaml, {account}/{repository}:{tag}")
            self._push(account, region, repository, tag, night)

    def _images(self) -> Any:
        """(account, Region, repository, tag, image) of the night."""
        for account, regions in self._night["images"].items():
            for region, repositories in regions.items():
                for repository, tags in repositories.items():
                    for tag, image in tags.items():
                        # The short form is the list of CVEs.
                        whole = {"cves": image} if isinstance(image, list) else image
                        yield account, region, repository, str(tag), whole

    def reference(self, image: str, region: str, where: str) -> str:
        """`@account/repository:tag` as the registry's address, from the service's Region or else the one that has
        it; anything else is an image of another registry, taken as written."""
        if not image.startswith("@"):
            return image
        matched = re.fullmatch(r"@([\w-]+)/([\w/.-]+):([\w.-]+)", image)
        if matched is None:
            raise OrganizationError(f"{where}: {image!r} is not @account/repository:tag")
        account, repository, tag = matched.groups()
        regions = [
            name
            for name, repositories in self._night["images"].get(account, {}).items()
            if tag in {str(one) for one in repositories.get(repository, {})}
        ]
        if not regions:
            raise OrganizationError(f"{where}: images.yaml has no {image}")
        home = region if region in regions else regions[0]
        return f"{self._organization.id_of(account)}.dkr.ecr.{home}.amazonaws.com/{repository}:{tag}"

    def _push(self, account: str, region: str, repository: str, tag: str, night: int) -> None:
        key = (account, region, repository, tag)
        if key in self._pushed:
            return
        account_id = self._organization.id_of(account)

        def ecr(operation: str, **parameters: Any) -> None:
            self._direct.call(account_id, region, "ecr", operation, **parameters)

        if not any(pushed[:2] == key[:2] for pushed in self._pushed):
            rule = {
                "scanFrequency": "CONTINUOUS_SCAN",
                "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}],
            }
            ecr("put_registry_scanning_configuration", scanType="ENHANCED", rules=[rule])
        if not any(pushed[:3] == key[:3] for pushed in self._pushed):
            ecr("create_repository", repositoryName=repository)
        manifest = _manifest(*key)
        ecr(
            "put_image",
            repositoryName=repository,
            imageTag=tag,
            imageManifest=manifest,
            imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
            imageDigest=_digest(*key),
        )
        stored = ecr_backends[account_id][region].repositories[repository].images[-1]
        stored.image_pushed_at = int((self._organization.moment(night) - timedelta(days=6)).timestamp())
        self._pushed.add(key)

    # --- Inspector ---

    def findings(self, night: int) -> None:
        """Make Inspector say what the night says: findings that are gone are simply no longer there."""
        in_use = self._running_digests()
        for account, region, repository, tag, image in self._images():
            digest = _digest(account, region, repository, tag)
            self._inspector.drop_findings(digest)
            scan = image.get("scan", "SUCCESSFUL")
            if scan != _NO_SCAN:
                self._cover(account, region, repository, tag, scan, in_use[digest], night)
            if scan != "SUCCESSFUL":
                continue
            for status, cves in (("ACTIVE", image.get("cves", [])), ("SUPPRESSED", image.get("suppressed", []))):
                for cve in cves:
                    if cve not in self._night["cves"]:
                        raise OrganizationError(f"images.yaml, {account}/{repository}:{tag}: no {cve} under `cves`")
                    finding = self._finding(account, region, repository, tag, cve, status, in_use[digest], night)
                    self._inspector.put_finding(finding, self._details(cve, night))

    def _running_digests(self) -> Counter[str]:
        return Counter(
            container["imageDigest"]
            for space in self._ecs.spaces.values()
            for cluster in space.clusters.values()
            for task in cluster.tasks.values()
            for container in task["containers"]
        )

    def _cover(self, account: str, region: str, repository: str, tag: str, scan: str, in_use: int, night: int) -> None:
        account_id, digest = self._organization.id_of(account), _digest(account, region, repository, tag)
        moment = self._organization.moment(night)
        image: dict[str, Any] = {"tags": [tag], "inUseCount": in_use}
        if in_use:
            image["lastInUseAt"] = moment
        active = scan == "SUCCESSFUL"
        self._inspector.put_coverage(
            region,
            {
                "accountId": account_id,
                "resourceId": _image_arn(account_id, region, repository, digest),
                "resourceType": "AWS_ECR_CONTAINER_IMAGE",
                "scanType": "PACKAGE",
                "scanStatus": {"statusCode": "ACTIVE" if active else "INACTIVE", "reason": scan},
                "lastScannedAt": moment if active else moment - timedelta(days=15),
                "resourceMetadata": {
                    "ecrImage": image,
                    "ecrRepository": {"name": repository, "scanFrequency": "CONTINUOUS_SCAN"},
                },
            },
        )

    def _finding(
        self, account: str, region: str, repository: str, tag: str, cve: str, status: str, in_use: int, night: int
    ) -> dict[str, Any]:
        account_id, digest = self._organization.id_of(account), _digest(account, region, repository, tag)
        what = self._night["cves"][cve]
        package = what["package"]
        number = hashlib.md5(f"{digest}/{cve}".encode(), usedforsecurity=False).hexdigest()
        first, now = self._organization.moment(1), self._organization.moment(night)
        vulnerable: dict[str, Any] = {
            "name": package["name"],
            "version": str(package["version"]),
            "epoch": 0,
            "arch": package.get("arch", "AMD64"),
            "packageManager": package.get("manager", "OS"),
            "sourceLayerHash": "sha256:" + hashlib.sha256(f"{digest}/base".encode()).hexdigest(),
        }
        if "path" in package:
            vulnerable["filePath"] = package["path"]
        if "fixed" in what:
            vulnerable |= {"fixedInVersion": str(what["fixed"]), "remediation": what["fix"]}
        source = what.get("vendor", "NVD")
        details: dict[str, Any] = {
            "vulnerabilityId": cve,
            "vulnerablePackages": [vulnerable],
            "source": source,
            "sourceUrl": f"https://nvd.nist.gov/vuln/detail/{cve}",
            "vendorSeverity": what["severity"],
            "vendorCreatedAt": first - timedelta(days=60),
            "relatedVulnerabilities": [],
            "referenceUrls": [f"https://www.cve.org/CVERecord?id={cve}"],
            "cvss": [],
        }
        finding: dict[str, Any] = {
            "findingArn": f"arn:aws:inspector2:{region}:{account_id}:finding/{number}",
            "awsAccountId": account_id,
            "type": "PACKAGE_VULNERABILITY",
            "title": f"{cve} - {package['name']}",
            "description": what["title"],
            "severity": what["severity"],
            "status": status,
            "firstObservedAt": first - timedelta(days=5),
            "lastObservedAt": now,
            "updatedAt": now,
            "remediation": {"recommendation": {"text": "None Provided"}},
            "packageVulnerabilityDetails": details,
            "fixAvailable": "YES" if "fixed" in what else "NO",
            "resources": [
                {
                    "type": "AWS_ECR_CONTAINER_IMAGE",
                    "id": _image_arn(account_id, region, repository, digest),
                    "partition": "aws",
                    "region": region,
                    "tags": {},
                    "details": {
                        "awsEcrContainerImage": {
                            "repositoryName": repository,
                            "imageTags": [tag],
                            "imageHash": digest,
                            "registry": account_id,
                            "architecture": "amd64",
                            "platform": "DEBIAN_12",
                            "pushedAt": first - timedelta(days=6),
                            "inUseCount": in_use,
                        }
                    },
                }
            ],
        }
        if "vector" in what:
            vector, score = f"CVSS:3.1/{what['vector']}", float(what["score"])
            details["cvss"] = [{"baseScore": score, "scoringVector": vector, "version": "3.1", "source": source}]
            finding["inspectorScore"] = score
            finding["inspectorScoreDetails"] = {
                "adjustedCvss": {
                    "adjustments": [],
                    "cvssSource": source,
                    "score": score,
                    "scoreSource": source,
                    "scoringVector": vector,
                    "version": "3.1",
                }
            }
        if "epss" in what:
            finding["epss"] = {"score": drifted(what["epss"], cve, night)}
        if "exploit" in what:
            finding["exploitAvailable"] = "YES" if what["exploit"] else "NO"
        if what.get("exploit"):
            finding["exploitabilityDetails"] = {"lastKnownExploitAt": first - timedelta(days=30)}
        return finding

    def _details(self, cve: str, night: int) -> dict[str, Any]:
        """BatchGetFindingDetails' members; `cisaData` says that the CVE is in KEV."""
        what = self._night["cves"][cve]
        details: dict[str, Any] = {"cwes": [], "ttps": [], "tools": [], "referenceUrls": []}
        if "epss" in what:
            details["epssScore"] = drifted(what["epss"], cve, night)
        if "kev" in what:
            added = datetime.combine(what["kev"], time(), UTC)
            details["cisaData"] = {
                "dateAdded": added,
                "dateDue": added + timedelta(days=21),
                "action": "Apply updates per vendor instructions.",
            }
        return details


def drifted(epss: float, cve: str, night: int) -> float:
    """EPSS moves a little every night (at most 3%), as it does; data keeps its distance from the thresholds."""
    phase = int(hashlib.sha256(cve.encode()).hexdigest(), 16) % 360
    wave = math.sin(math.radians(phase + 47 * (night - 1))) - math.sin(math.radians(phase))
    return round(min(epss * (1 + _DRIFT / 2 * wave), 1.0), 5)


def _manifest(account: str, region: str, repository: str, tag: str) -> str:
    layer = hashlib.sha256(f"layer {account}/{region}/{repository}:{tag}".encode()).hexdigest()
    config = hashlib.sha256(f"config {account}/{region}/{repository}:{tag}".encode()).hexdigest()
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": 7023,
                "digest": f"sha256:{config}",
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": 50_000_000,
                    "digest": f"sha256:{layer}",
                }
            ],
        }
    )


def _digest(account: str, region: str, repository: str, tag: str) -> str:
    return "sha256:" + hashlib.sha256(_manifest(account, region, repository, tag).encode()).hexdigest()


def _image_arn(account_id: str, region: str, repository: str, digest: str) -> str:
    return f"arn:aws:ecr:{region}:{account_id}:repository/{repository}/{digest}"
