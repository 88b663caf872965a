"""Plays images.yaml: repositories, tags and digests in moto's ECR; findings and coverage in the Inspector fake, or
basic scans in ECR's where Inspector is off.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from moto.ecr.models import ecr_backends

from embedded_aws.direct import Direct
from embedded_aws.ecr_scans import EcrScans, counted
from embedded_aws.ecs import Ecs
from embedded_aws.inspector2 import Inspector2
from embedded_aws.yaml_files import OrganizationError, known, on_night

if TYPE_CHECKING:
    from embedded_aws.organization import Organization

_CVE_KEYS = {
    "title", "package", "vector", "score", "severity", "vendor", "epss", "exploit", "kev", "fixed", "fix",
}  # fmt: skip
_PACKAGE_KEYS = {"name", "version", "manager", "path", "arch"}
_IMAGE_KEYS = {"cves", "scan", "suppressed", "platforms", "system"}
_DRIFT = 0.03
_NO_SCAN = "none"


@dataclass(frozen=True)
class _Where:
    """A manifest that Inspector scans."""

    account_id: str
    region: str
    repository: str
    tags: list[str]
    digest: str
    in_use: int

    @property
    def arn(self) -> str:
        return f"arn:aws:ecr:{self.region}:{self.account_id}:repository/{self.repository}/{self.digest}"


class ImageLoader:
    def __init__(
        self,
        content: dict[str, Any],
        organization: Organization,
        direct: Direct,
        inspector: Inspector2,
        scans: EcrScans,
        ecs: Ecs,
    ) -> None:
        self._content = content
        self._organization = organization
        self._direct = direct
        self._inspector = inspector
        self._scans = scans
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
            self._push(account, region, repository, tag, image.get("platforms", []), night)

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

    def _push(self, account: str, region: str, repository: str, tag: str, platforms: list[str], night: int) -> None:
        key = (account, region, repository, tag)
        if key in self._pushed:
            return
        account_id = self._organization.id_of(account)

        def ecr(operation: str, **parameters: Any) -> None:
            self._direct.call(account_id, region, "ecr", operation, **parameters)

        if not any(pushed[:2] == key[:2] for pushed in self._pushed):
            enhanced = self._organization.is_inspected(account, region)
            rule = {
                "scanFrequency": "CONTINUOUS_SCAN" if enhanced else "SCAN_ON_PUSH",
                "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}],
            }
            kind = "ENHANCED" if enhanced else "BASIC"
            ecr("put_registry_scanning_configuration", scanType=kind, rules=[rule])
        if not any(pushed[:3] == key[:3] for pushed in self._pushed):
            ecr("create_repository", repositoryName=repository)
        name = "/".join(key)
        manifests = {platform: _manifest(f"{name}/{platform}") for platform in platforms}
        pushes: list[tuple[str, dict[str, str]]] = [
            (manifest, {}) for manifest in manifests.values()
        ]  # an index's manifests carry no tag
        pushes.append((_index(manifests) if platforms else _manifest(name), {"imageTag": tag}))
        for manifest, tagged in pushes:
            media_type = json.loads(manifest)["mediaType"]
            ecr(
                "put_image",
                repositoryName=repository,
                imageManifest=manifest,
                imageManifestMediaType=media_type,
                imageDigest=_digest(manifest),
                **tagged,
            )
            stored = ecr_backends[account_id][region].repositories[repository].images[-1]
            stored.image_pushed_at = int((self._organization.moment(night) - timedelta(days=6)).timestamp())
        self._pushed.add(key)

    # --- Inspector ---

    def findings(self, night: int) -> None:
        """Make Inspector say what the night says: findings that are gone are simply no longer there."""
        in_use = self._running_digests()
        for account, region, repository, tag, image in self._images():
            name = f"{account}/{region}/{repository}/{tag}"
            manifests = [_manifest(f"{name}/{platform}") for platform in image.get("platforms", [])]
            running = in_use[_digest(_index(dict(zip(image["platforms"], manifests, strict=True))))] if manifests else 0
            # Inspector scans the manifests of an index, each by itself, and not the index that ECS reports.
            for manifest in manifests or [_manifest(name)]:
                digest = _digest(manifest)
                self._inspector.drop_findings(digest)
                where = _Where(
                    self._organization.id_of(account),
                    region,
                    repository,
                    [] if manifests else [tag],
                    digest,
                    running or in_use[digest],
                )
                if self._organization.is_inspected(account, region):
                    self._scan(where, image, night)
                else:
                    self._scan_basic(where, image, night)

    def _scan(self, where: _Where, image: dict[str, Any], night: int) -> None:
        scan = image.get("scan", "SUCCESSFUL")
        if scan != _NO_SCAN:
            self._cover(where, scan, night)
        if scan != "SUCCESSFUL":
            return
        for status, cves in (("ACTIVE", image.get("cves", [])), ("SUPPRESSED", image.get("suppressed", []))):
            for cve in cves:
                if cve not in self._night["cves"]:
                    raise OrganizationError(f"images.yaml, {where.repository}:{where.tags}: no {cve} under `cves`")
                finding = self._finding(where, cve, status, night, image.get("system", "DEBIAN_12"))
                self._inspector.put_finding(finding, self._details(cve, night))

    def _scan_basic(self, where: _Where, image: dict[str, Any], night: int) -> None:
        """ECR's basic scan, as a pipeline starts it every night: what sits in packages of the operating system."""
        scan = image.get("scan", "SUCCESSFUL")
        if scan == _NO_SCAN:
            return
        key = (where.account_id, where.region, where.repository, where.digest)
        if scan != "SUCCESSFUL":
            self._scans.put_scan(key, scan)
            return
        found = [
            self._basic_finding(cve)
            for cve in image.get("cves", [])
            if self._night["cves"][cve]["package"].get("manager", "OS") == "OS"
        ]
        moment = self._organization.moment(night)
        told = {
            "imageScanCompletedAt": moment,
            "vulnerabilitySourceUpdatedAt": moment - timedelta(hours=6),
            "findingSeverityCounts": counted(found),
            "findings": found,
        }
        self._scans.put_scan(key, "COMPLETE", told, "The scan was completed successfully.")

    def _basic_finding(self, cve: str) -> dict[str, Any]:
        what = self._night["cves"][cve]
        attributes = {"package_version": str(what["package"]["version"]), "package_name": what["package"]["name"]}
        if "vector" in what:
            attributes |= {"CVSS3_VECTOR": f"CVSS:3.1/{what['vector']}", "CVSS3_SCORE": str(what["score"])}
        return {
            "name": cve,
            "description": what["title"],
            "uri": f"https://nvd.nist.gov/vuln/detail/{cve}",
            "severity": "UNDEFINED" if what["severity"] == "UNTRIAGED" else what["severity"],
            "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
        }

    def _running_digests(self) -> Counter[str]:
        return Counter(
            container["imageDigest"]
            for space in self._ecs.spaces.values()
            for cluster in space.clusters.values()
            for task in cluster.tasks.values()
            for container in task["containers"]
        )

    def _cover(self, where: _Where, scan: str, night: int) -> None:
        moment = self._organization.moment(night)
        image: dict[str, Any] = {"tags": where.tags, "inUseCount": where.in_use}
        if where.in_use:
            image["lastInUseAt"] = moment
        active = scan == "SUCCESSFUL"
        self._inspector.put_coverage(
            where.region,
            {
                "accountId": where.account_id,
                "resourceId": where.arn,
                "resourceType": "AWS_ECR_CONTAINER_IMAGE",
                "scanType": "PACKAGE",
                "scanStatus": {"statusCode": "ACTIVE" if active else "INACTIVE", "reason": scan},
                "lastScannedAt": moment if active else moment - timedelta(days=15),
                "resourceMetadata": {
                    "ecrImage": image,
                    "ecrRepository": {"name": where.repository, "scanFrequency": "CONTINUOUS_SCAN"},
                },
            },
        )

    def _finding(self, where: _Where, cve: str, status: str, night: int, system: str) -> dict[str, Any]:
        what = self._night["cves"][cve]
        package = what["package"]
        number = hashlib.md5(f"{where.digest}/{cve}".encode(), usedforsecurity=False).hexdigest()
        first, now = self._organization.moment(1), self._organization.moment(night)
        vulnerable: dict[str, Any] = {
            "name": package["name"],
            "version": str(package["version"]),
            "epoch": 0,
            "arch": package.get("arch", "AMD64"),
            "packageManager": package.get("manager", "OS"),
            "sourceLayerHash": "sha256:" + hashlib.sha256(f"{where.digest}/base".encode()).hexdigest(),
        }
        if "path" in package:
            vulnerable["filePath"] = package["path"]
        if "fixed" in what:
            vulnerable["fixedInVersion"] = str(what["fixed"])
        if "fix" in what:
            vulnerable["remediation"] = what["fix"]
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
            "findingArn": f"arn:aws:inspector2:{where.region}:{where.account_id}:finding/{number}",
            "awsAccountId": where.account_id,
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
                    "id": where.arn,
                    "partition": "aws",
                    "region": where.region,
                    "tags": {},
                    "details": {
                        "awsEcrContainerImage": {
                            "repositoryName": where.repository,
                            "imageTags": where.tags,
                            "imageHash": where.digest,
                            "registry": where.account_id,
                            "architecture": "amd64",
                            "platform": system,
                            "pushedAt": first - timedelta(days=6),
                            "inUseCount": where.in_use,
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


_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def _manifest(name: str) -> str:
    """An image manifest that differs by name, and so does its digest."""
    layer = hashlib.sha256(f"layer {name}".encode()).hexdigest()
    config = hashlib.sha256(f"config {name}".encode()).hexdigest()
    kinds = {
        "config": "application/vnd.oci.image.config.v1+json",
        "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
    }
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": kinds["config"], "size": 7023, "digest": f"sha256:{config}"},
            "layers": [{"mediaType": kinds["layer"], "size": 50_000_000, "digest": f"sha256:{layer}"}],
        }
    )


def _index(manifests: dict[str, str]) -> str:
    """An OCI index as BuildKit pushes it: a manifest by platform, and for each an attestation, which is no image."""
    entries: list[dict[str, Any]] = []
    for platform, manifest in manifests.items():
        digest = _digest(manifest)
        image = {"architecture": platform, "os": "linux"}
        entries.append({"mediaType": _MANIFEST, "digest": digest, "size": len(manifest), "platform": image})
        annotations = {
            "vnd.docker.reference.digest": digest,
            "vnd.docker.reference.type": "attestation-manifest",
        }
        entries.append(
            {
                "mediaType": _MANIFEST,
                "digest": "sha256:" + hashlib.sha256(f"attestation {digest}".encode()).hexdigest(),
                "size": 566,
                "platform": {"architecture": "unknown", "os": "unknown"},
                "annotations": annotations,
            }
        )
    media_type = "application/vnd.oci.image.index.v1+json"
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries})


def _digest(manifest: str) -> str:
    return "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
