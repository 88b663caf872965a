"""A registry with any number of findings, played at next to no cost: canned pages over plain HTTP.

    python benchmarks/canned_inspector.py --job '{"per_image": 1000, "vulnerabilities": 40000, "page": 25}'

Prints its port, then answers what the second wave asks of STS, ECR and Amazon Inspector, with Inspector's shapes. A
finding is some 3 kB, as the published samples are, and one in five names two packages.
"""

from __future__ import annotations

import argparse
import json
import socketserver
import threading
from typing import Any
from urllib.parse import unquote

ACCOUNT, REGION, REPOSITORY = "111111111111", "eu-west-1", "app"
_ROLE = """<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIACANNED</AccessKeyId>
<SecretAccessKey>canned</SecretAccessKey><SessionToken>canned</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
_STATE = {"status": "ENABLED", "errorCode": "ALREADY_ENABLED", "errorMessage": "on"}
_VECTORS = [
    f"CVSS:3.1/AV:{av}/AC:{ac}/PR:{pr}/UI:{ui}/S:U/C:{c}/I:{i}/A:H"
    for av in "NAL" for ac in "LH" for pr in "NLH" for ui in "NR" for c in "NLH" for i in "NLH"
]  # fmt: skip


def image_digest(number: int) -> str:
    return f"sha256:{number:064x}"


def _finding(number: int) -> str:
    """The text of a finding about the vulnerability of this number; %(arn)s and %(digest)s are left open."""
    score = {
        "baseScore": 7.5,
        "scoringVector": _VECTORS[number % len(_VECTORS)],
        "source": "NVD",
        "version": "3.1",
    }
    packages = [
        {
            "name": f"package-{number % 3000}-{index}",
            "version": f"1.{number % 40}.2",
            "epoch": 0,
            "release": "3+deb12u1",
            "arch": "AMD64",
            "packageManager": "OS",
            "fixedInVersion": f"0:1.{number % 40}.9-1",
            "remediation": "apt-get update && apt-get upgrade",
            "sourceLayerHash": "sha256:" + "5" * 64,
        }
        for index in range(2 if number % 5 == 0 else 1)
    ]
    name = f"CVE-2025-{number}"
    finding = {
        "findingArn": "%(arn)s",
        "awsAccountId": ACCOUNT,
        "type": "PACKAGE_VULNERABILITY",
        "title": f"{name} - {packages[0]['name']}",
        "description": "A flaw lets a remote attacker do what they should not be able to. " * 6,
        "severity": ("LOW", "MEDIUM", "HIGH", "CRITICAL")[number % 4],
        "status": "ACTIVE",
        "firstObservedAt": 1759320000.5,
        "lastObservedAt": 1762000000.25,
        "updatedAt": 1762000000.25,
        "epss": {"score": (number % 997) / 1000},
        "exploitAvailable": "NO",
        "fixAvailable": "YES",
        "inspectorScore": 7.5,
        "inspectorScoreDetails": {
            "adjustedCvss": {
                "adjustments": [], "cvssSource": "NVD", "score": 7.5, "scoreSource": "NVD",
                "scoringVector": score["scoringVector"], "version": "3.1",
            }
        },
        "remediation": {"recommendation": {"text": "None Provided"}},
        "packageVulnerabilityDetails": {
            "vulnerabilityId": name,
            "source": "NVD",
            "sourceUrl": f"https://nvd.nist.gov/vuln/detail/{name}",
            "vendorSeverity": "HIGH",
            "vendorCreatedAt": 1750000000.0,
            "vendorUpdatedAt": 1751000000.0,
            "cvss": [score],
            "referenceUrls": [f"https://example.com/advisories/{name}/{index}" for index in range(8)],
            "relatedVulnerabilities": [],
            "vulnerablePackages": packages,
        },
        "resources": [
            {
                "type": "AWS_ECR_CONTAINER_IMAGE",
                "id": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}/%(digest)s",
                "partition": "aws",
                "region": REGION,
                "tags": {},
                "details": {
                    "awsEcrContainerImage": {
                        "repositoryName": REPOSITORY, "imageHash": "%(digest)s", "registry": ACCOUNT,
                        "imageTags": ["1.0"], "architecture": "amd64", "platform": "DEBIAN_12",
                        "pushedAt": 1759320000.0, "inUseCount": 1,
                    }
                },
            }
        ],
    }  # fmt: skip
    return json.dumps(finding)


class Registry:
    """Answers by request; image `n` carries findings n × per_image and on."""

    def __init__(self, per_image: int, vulnerabilities: int, page: int) -> None:
        self._per_image, self._page = per_image, page
        self._texts = [_finding(number) for number in range(vulnerabilities)]

    def answer(self, path: str, target: str, body: bytes) -> bytes:
        if path == "/":
            if not target:
                return _ROLE.encode()
            return json.dumps(self._ecr(target.rpartition(".")[2], json.loads(body))).encode()
        asked = json.loads(body) if body else {}
        if path == "/findings/list":
            return self._findings(asked).encode()
        return json.dumps(getattr(self, _METHODS[path])(asked)).encode()

    def _findings(self, asked: dict[str, Any]) -> str:
        images = [item["value"] for item in asked["filterCriteria"]["ecrImageHash"]]
        start, total = int(asked.get("nextToken") or 0), len(images) * self._per_image
        end = min(start + min(self._page, asked.get("maxResults", 25)), total)
        texts = []
        for place in range(start, end):
            digest = images[place // self._per_image]
            number = int(digest[7:], 16) * self._per_image + place % self._per_image
            arn = f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{number:032x}"
            # A stride, or the images would share their vulnerabilities in runs.
            texts.append(self._texts[number * 7919 % len(self._texts)] % {"arn": arn, "digest": digest})
        token = f', "nextToken": "{end}"' if end < total else ""
        return f'{{"findings": [{", ".join(texts)}]{token}}}'

    def coverage(self, asked: dict[str, Any]) -> dict[str, Any]:
        resource = {"resourceType": "AWS_ECR_CONTAINER_IMAGE", "accountId": ACCOUNT, "scanType": "PACKAGE"}
        scanned = {"scanStatus": {"statusCode": "ACTIVE", "reason": "SUCCESSFUL"}, "lastScannedAt": 1762000000.0}
        ids = [item["value"] for item in asked["filterCriteria"]["resourceId"]]
        return {"coveredResources": [{**resource, **scanned, "resourceId": item} for item in ids]}

    def status(self, asked: dict[str, Any]) -> dict[str, Any]:
        account = {"accountId": ACCOUNT, "state": _STATE, "resourceState": {"ec2": _STATE, "ecr": _STATE}}
        return {"accounts": [account], "failedAccounts": []}

    def administrator(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"delegatedAdmin": {"accountId": ACCOUNT, "relationshipStatus": "ENABLED"}}

    def details(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"findingDetails": [{"findingArn": arn, "tools": []} for arn in asked["findingArns"]], "errors": []}

    def _ecr(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        if operation == "GetRegistryScanningConfiguration":
            return {"registryId": ACCOUNT, "scanningConfiguration": {"scanType": "ENHANCED", "rules": []}}
        return {
            "imageDetails": [{**item, "imageTags": [], "imagePushedAt": 1759320000.0} for item in asked["imageIds"]]
        }


_METHODS = {
    "/coverage/list": "coverage",
    "/status/batch/get": "status",
    "/delegatedadminaccounts/get": "administrator",
    "/findings/details/batch/get": "details",
}


class _Handler(socketserver.StreamRequestHandler):
    wbufsize = 65536
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while request := self.rfile.readline():
            headers = {}
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", 0)))
            path = unquote(request.split()[1].decode().partition("?")[0])
            answer = self.server.registry.answer(path, headers.get("x-amz-target", ""), body)
            kind = "text/xml" if answer.startswith(b"<") else "application/json"
            self.wfile.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer
            )
            self.wfile.flush()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", required=True, help="per_image, vulnerabilities and page, as JSON")
    server = _Server(("127.0.0.1", 0), _Handler)
    server.registry = Registry(**json.loads(parser.parse_args().job))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    input()  # until the one who started it closes its end


if __name__ == "__main__":
    main()
