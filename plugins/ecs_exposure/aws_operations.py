"""The AWS operations the scanner can send, each under the rate at which AWS takes it.

One table for three uses: a client knows these operations and no other (`KnownOperations`), each request waits for its
share of the rate, and the roles of `deploy/` allow exactly these (held equal by tests/deploy).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.loaders import Loader


@dataclass(frozen=True)
class Rate:
    """A token bucket that AWS keeps per account and Region: `burst` requests at once, `refill` more every second.

    Operations of one service and one `group` share a bucket; without a group each has its own.
    """

    burst: float
    refill: float
    group: str = ""


# Amazon ECS developer guide, "Request throttling".
_ECS_CLUSTER = Rate(50, 20, "cluster-read")
_ECS_SERVICE = Rate(100, 20, "service-read")
_ECS_DEFINITION = Rate(50, 20, "task-definition-read")
_ECS_CLUSTER_RESOURCE = Rate(100, 20, "cluster-resource-read")
_EC2 = Rate(100, 20)  # EC2 API throttling: for each non-mutating action when paginated
_ELB = Rate(40, 10, "*")  # the ELB page contradicts itself (200/50, and 40/10 account-wide): the careful one
# "Quotas for creating, deploying and managing an API": 10 a second, 40 at once, all operations together.
_API_GATEWAY = Rate(40, 10, "*")
_ORGANIZATIONS = Rate(15, 10)
# IAM, ECR, Inspector, CloudFront, Global Accelerator and STS publish no rate for these operations: ours, modest;
# adaptive retries go lower.
_IAM = Rate(20, 10, "*")
_IMAGES = Rate(40, 20)
_FRONTS = Rate(10, 5, "*")

OPERATIONS: Mapping[str, Mapping[str, Rate]] = {
    "sts": {"AssumeRole": Rate(100, 50)},
    "organizations": {
        "DescribeOrganization": _ORGANIZATIONS,
        "DescribePolicy": _ORGANIZATIONS,
        "ListAccounts": Rate(12, 8),  # AWS Organizations, "Quotas": per account
        "ListAccountsForParent": _ORGANIZATIONS,
        "ListOrganizationalUnitsForParent": _ORGANIZATIONS,
        "ListPolicies": _ORGANIZATIONS,
        "ListRoots": _ORGANIZATIONS,
        "ListTagsForResource": _ORGANIZATIONS,
        "ListTargetsForPolicy": _ORGANIZATIONS,
    },
    "ecs": {
        "DescribeCapacityProviders": Rate(50, 20),
        "DescribeClusters": _ECS_CLUSTER,
        "DescribeContainerInstances": _ECS_CLUSTER_RESOURCE,
        "DescribeServices": _ECS_SERVICE,
        "DescribeTaskDefinition": _ECS_DEFINITION,
        "DescribeTasks": _ECS_CLUSTER_RESOURCE,
        "ListClusters": _ECS_CLUSTER,
        "ListContainerInstances": _ECS_CLUSTER_RESOURCE,
        "ListServices": _ECS_SERVICE,
        "ListTasks": _ECS_CLUSTER_RESOURCE,
    },
    "ec2": dict.fromkeys(
        (
            "DescribeInstances", "DescribeManagedPrefixLists", "DescribeNetworkAcls", "DescribeNetworkInterfaces",
            "DescribeRouteTables", "DescribeSecurityGroups", "DescribeSubnets",
            "DescribeVpcBlockPublicAccessExclusions", "GetManagedPrefixListEntries",
        ),
        _EC2,
    ),
    "elb": {"DescribeLoadBalancers": _ELB},
    "elbv2": dict.fromkeys(
        (
            "DescribeListeners", "DescribeLoadBalancers", "DescribeTargetGroupAttributes", "DescribeTargetGroups",
            "DescribeTargetHealth",
        ),
        _ELB,
    ),
    "apigateway": {"GetVpcLinks": _API_GATEWAY},
    "apigatewayv2": dict.fromkeys(("GetApis", "GetIntegrations", "GetVpcLinks"), _API_GATEWAY),
    "cloudfront": dict.fromkeys(("ListDistributions", "ListVpcOrigins"), _FRONTS),
    "globalaccelerator": dict.fromkeys(("ListAccelerators", "ListEndpointGroups", "ListListeners"), _FRONTS),
    "iam": dict.fromkeys(("GetAccountAuthorizationDetails", "GetPolicy", "GetPolicyVersion"), _IAM),
    "ecr": dict.fromkeys(
        ("BatchGetImage", "DescribeImageScanFindings", "DescribeImages", "GetRegistryScanningConfiguration"), _IMAGES
    ),
    "inspector2": dict.fromkeys(
        (
            "BatchGetAccountStatus", "BatchGetFindingDetails", "GetDelegatedAdminAccount", "ListCoverage",
            "ListFindings",
        ),
        _IMAGES,
    ),
    # Its API reference. Of the burst of 30 none is used: what others import in the account comes on top of ours.
    "securityhub": {"BatchImportFindings": Rate(2, 10), "GetFindings": Rate(6, 3)},
}  # fmt: skip


UNREAD: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "inspector2": {
        "Finding": (
            "codeVulnerabilityDetails", "description", "lastObservedAt", "networkReachabilityDetails", "remediation",
            "updatedAt",
        ),
        "PackageVulnerabilityDetails": (
            "referenceUrls", "relatedVulnerabilities", "sourceUrl", "vendorCreatedAt", "vendorUpdatedAt",
        ),
        "Resource": ("partition", "region", "tags"),
        "ResourceDetails": ("awsEc2Instance", "awsLambdaFunction", "codeRepository"),
        "AwsEcrContainerImageDetails": ("author", "imageTags", "inUseCount", "lastInUseAt", "pushedAt"),
        "VulnerablePackage": ("arch", "sourceLambdaLayerArn"),
    }
}  # fmt: skip
"""Members of answers, by shape, that no collector reads: with millions of findings, half of the time goes into
parsing. A collector that comes to need one takes it out of here; until then botocore does not hand it over.
"""


class Bucket:
    """A token bucket whose callers wait by themselves: `reserve` hands out places in the queue, never sleeps."""

    def __init__(self, burst: float, refill: float, now: float) -> None:
        self._burst = max(1.0, burst)
        self._refill = refill
        self._tokens = self._burst
        self._at = now
        self._lock = threading.Lock()

    def reserve(self, now: float) -> float:
        """Take one token; the seconds to wait before the request may go."""
        with self._lock:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._refill)
            self._at = now
            self._tokens -= 1
            return max(0.0, -self._tokens / self._refill)


class KnownOperations(Loader):
    """botocore's loader of service models, cut to OPERATIONS and the shapes they use, without documentation and UNREAD.

    A client made from it cannot send anything else, and costs a tenth: EC2's whole model takes 40 MiB and 600 methods.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[str, str | None], dict[str, Any]] = {}

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        if type_name != "service-2":
            return super().load_service_model(service_name, type_name, api_version)
        key = (service_name, api_version)
        if key not in self._known:
            # Read by a loader that is thrown away: this one would keep the whole model.
            self._known[key] = _known(Loader().load_service_model(service_name, type_name, api_version), service_name)
        return self._known[key]


def _known(model: dict[str, Any], service: str) -> dict[str, Any]:
    operations = {
        name: _undocumented(operation) for name, operation in model["operations"].items() if name in OPERATIONS[service]
    }
    shapes: dict[str, Any] = {}
    waiting = list(_shape_names(list(operations.values())))
    while waiting:
        if (name := waiting.pop()) not in shapes:
            shapes[name] = _undocumented(model["shapes"][name])
            for member in UNREAD.get(service, {}).get(name, ()):
                del shapes[name]["members"][member]  # a KeyError where the model no longer has it
            waiting += _shape_names(shapes[name])
    return {**model, "operations": operations, "shapes": shapes, "documentation": ""}


def _shape_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(name := node.get("shape"), str):
            yield name
        for child in node.values():
            yield from _shape_names(child)
    elif isinstance(node, list):
        for child in node:
            yield from _shape_names(child)


def _undocumented(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _undocumented(value)
            for key, value in node.items()
            if key != "documentation" or not isinstance(value, str)  # a member may have that name
        }
    return [_undocumented(item) for item in node] if isinstance(node, list) else node
