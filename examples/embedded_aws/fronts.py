"""CloudFront's VPC origins and Global Accelerator, as far as a scan of what stands before load balancers asks."""

from __future__ import annotations

import threading
import zlib
from datetime import UTC, datetime
from typing import Any

from embedded_aws.contract import Call, NotPlayed

_CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class Fronts:
    """Distributions with one VPC origin each, and no accelerators: every answer is one page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._origins: dict[str, dict[str, tuple[str, str]]] = {}

    def call(self, call: Call) -> dict[str, Any]:
        with self._lock:
            origins = dict(self._origins.get(call.account_id, {}))
        if call.operation == "ListVpcOrigins":
            items = [_origin(call.account_id, name, arn) for name, (arn, _) in origins.items()]
            return {"VpcOriginList": _page(items)}
        if call.operation == "ListDistributions":
            return {"DistributionList": _page([_distribution(name, domain) for name, (_, domain) in origins.items()])}
        if call.operation == "ListAccelerators":
            return {"Accelerators": []}
        raise NotPlayed(f"{call.service} {call.operation}")

    def put_vpc_origin(self, account_id: str, name: str, load_balancer_arn: str, domain: str) -> None:
        """A VPC origin to a load balancer, and the enabled distribution of that domain which uses it."""
        with self._lock:
            self._origins.setdefault(account_id, {})[f"vo_{name}"] = (load_balancer_arn, domain)

    def dump(self) -> dict[str, Any]:
        return {"origins": self._origins}

    def restore(self, state: dict[str, Any]) -> None:
        origins = state.get("origins", {})
        self._origins = {
            account: {name: (pair[0], pair[1]) for name, pair in held.items()} for account, held in origins.items()
        }


def _page(items: list[dict[str, Any]]) -> dict[str, Any]:
    page = {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": len(items)}
    return page | ({"Items": items} if items else {})  # CloudFront leaves an empty list out


def _origin(account_id: str, name: str, arn: str) -> dict[str, Any]:
    return {
        "Id": name, "Name": name, "Status": "Deployed", "CreatedTime": _CREATED, "LastModifiedTime": _CREATED,
        "Arn": f"arn:aws:cloudfront::{account_id}:vpcorigin/{name}", "AccountId": account_id, "OriginEndpointArn": arn,
    }  # fmt: skip


def _distribution(origin: str, domain: str) -> dict[str, Any]:
    number = f"E{zlib.crc32(domain.encode()):012d}"
    return {
        "Id": number, "ARN": f"arn:aws:cloudfront::000000000000:distribution/{number}", "Status": "Deployed",
        "LastModifiedTime": _CREATED, "DomainName": f"{number.lower()}.cloudfront.net", "Enabled": True, "Comment": "",
        "Aliases": {"Quantity": 1, "Items": [domain]}, "PriceClass": "PriceClass_All", "WebACLId": "",
        "HttpVersion": "http2", "IsIPV6Enabled": True, "Staging": False,
        "Origins": {
            "Quantity": 1,
            "Items": [{"Id": origin, "DomainName": domain, "VpcOriginConfig": {"VpcOriginId": origin}}],
        },
        "DefaultCacheBehavior": {"TargetOriginId": origin, "ViewerProtocolPolicy": "redirect-to-https"},
        "CacheBehaviors": {"Quantity": 0}, "CustomErrorResponses": {"Quantity": 0},
        "ViewerCertificate": {"CloudFrontDefaultCertificate": True},
        "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
    }  # fmt: skip
