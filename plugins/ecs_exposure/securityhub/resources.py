"""The AWS resources and the vulnerabilities that a finding names, in ASFF's shapes, from a row of document.sql.

For most texts and lists inside Resources and Vulnerabilities AWS states no maximum: those bounds are ours, for the 240
KB of a finding. A service's name, groups and subnets have the maxima of ECS (API type AwsEcsServiceDetails).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from math import isfinite
from typing import Any

from ecs_exposure.securityhub.text import clean, cut, fields

MAX_VULNERABILITIES = 10
MAX_ID = 512
_MAX_DETAIL = 1024
_MAX_LIST = 16
_MAX_SERVICE_NAME = 255
_MAX_SECURITY_GROUPS = 5
_MAX_SUBNETS = 16

Named = tuple[str, str, dict[str, Any]]
"""(id, ASFF type, details) of a resource."""


def resources(row: Mapping[str, Any], named: Iterable[Named], partition: str) -> Iterator[dict[str, Any]]:
    """The service first (Security Hub's primary resource), then definitions, roles, images and groups in turn, so
    none crowds the others out.
    """
    common = {"Partition": partition, "Region": row["region"]}
    tags = json.loads(row["tags"] or "{}")
    service: dict[str, Any] = {
        "Type": "AwsEcsService",
        "Id": _reference(row["resource_id"]),
        **common,
        "ResourceRole": "Target",
        "Details": {"AwsEcsService": _service(row)},
    }
    allowed = ((key, value) for key, value in sorted(tags.items()) if not clean(key).lower().startswith("aws:"))
    if pairs := fields(allowed, most=50, key_limit=128, value_limit=256):
        service["Tags"] = pairs
    yield service
    for identity, kind, details in named:
        yield {"Type": kind, "Id": identity, **common, **({"Details": {kind: details}} if details else {})}


def identified(row: Mapping[str, Any], partition: str) -> list[Named]:
    """Every resource but the service, kinds interleaved, each id once."""
    kinds: tuple[Iterable[Named], ...] = (
        (
            (definition["arn"], "AwsEcsTaskDefinition", _definition(definition))
            for definition in row["task_definitions"]
        ),
        ((arn, "AwsIamRole", _present({"RoleName": arn.rpartition("/")[2]})) for arn in row["task_role_arns"]),
        (_image(image, partition) for image in row["images"]),
        (_security_group(group, row["region"], partition) for group in row["security_groups"]),
    )
    unique: dict[str, Named] = {}
    for item in chain.from_iterable(zip_longest(*kinds)):
        if item is not None and (identity := _reference(item[0])):
            unique.setdefault(identity, (identity, item[1], item[2]))
    return list(unique.values())


def _service(row: Mapping[str, Any]) -> dict[str, Any]:
    service = row["service"] or {}
    network = _present(
        {
            "AssignPublicIp": _either(service.get("assign_public_ip"), "ENABLED", "DISABLED"),
            "SecurityGroups": _texts(service.get("security_group_ids"), _MAX_SECURITY_GROUPS),
            "Subnets": _texts(service.get("subnet_ids"), _MAX_SUBNETS),
        }
    )
    balancers = [
        _present(
            {
                "ContainerName": balancer["container_name"],
                "ContainerPort": balancer["container_port"],
                "LoadBalancerName": balancer["load_balancer_name"],
                "TargetGroupArn": balancer["target_group_arn"],
            }
        )
        for balancer in (service.get("load_balancers") or [])[:_MAX_LIST]
    ]
    name = cut(row["service_name"], _MAX_SERVICE_NAME)
    return _present(
        {
            "ServiceArn": row["resource_id"],
            "ServiceName": name,
            "Name": name,
            "Cluster": service.get("cluster_arn") or row["cluster_name"],
            "TaskDefinition": service.get("task_definition_arn"),
            "LaunchType": row["launch_type"],
            "DesiredCount": service.get("desired_count"),
            "EnableExecuteCommand": service.get("is_execute_command_enabled"),
            "LoadBalancers": [balancer for balancer in balancers if balancer],
            "NetworkConfiguration": {"AwsVpcConfiguration": network} if network else None,
        }
    )


def _definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    return _present(
        {
            "Family": definition["family"],
            "NetworkMode": definition["network_mode"],
            "PidMode": definition["pid_mode"],
            "IpcMode": definition["ipc_mode"],
            "TaskRoleArn": definition["task_role_arn"],
            "ExecutionRoleArn": definition["execution_role_arn"],
        }
    )


def _image(image: Mapping[str, Any], partition: str) -> Named:
    account, region, name, digest = (
        image[key] for key in ("registry_account", "registry_region", "repository_name", "image_digest")
    )
    if account and region and name and digest:
        details = _present({"RegistryId": account, "RepositoryName": name, "ImageDigest": digest})
        return f"arn:{partition}:ecr:{region}:{account}:repository/{name}/{digest}", "AwsEcrContainerImage", details
    return image["image"], "Container", _present({"ImageName": image["image"], "ImageId": digest})


def _security_group(group: Mapping[str, Any], region: str, partition: str) -> Named:
    details = _present(
        {
            "GroupName": group["group_name"],
            "GroupId": group["group_id"],
            "VpcId": group["vpc_id"],
            "OwnerId": group["account_id"],
        }
    )
    return (
        f"arn:{partition}:ec2:{region}:{group['account_id']}:security-group/{group['group_id']}",
        "AwsEc2SecurityGroup",
        details,
    )


def vulnerabilities(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The worst vulnerabilities of the service's images (given as JSON), the likeliest first, at most ten; the total
    is a product field. Many services share them: they are not to be changed.
    """
    return [_vulnerability(text) for text in row["vulnerabilities"][:MAX_VULNERABILITIES]]


# An organisation's images repeat the same vulnerability of the same package: about a hundred findings name each.
@lru_cache(maxsize=20_000)
def _vulnerability(text: str) -> dict[str, Any]:
    item = json.loads(text)
    vector = clean(item["cvss_vector"] or "")
    version = re.match(r"CVSS:(\d\.\d)/", vector)
    packages = [
        _present(
            {
                "Name": package["name"],
                "Version": package["version"],
                "FilePath": package["file_path"],
                "FixedInVersion": package["fixed_in_version"],
                "Remediation": package["remediation"],
            }
        )
        for package in (item["packages"] or [])[:3]
    ]
    cvss = _present({"Version": version and version[1], "BaseScore": item["cvss_base_score"], "BaseVector": vector})
    has_fix = {bool(package.get("FixedInVersion")) for package in packages}
    return {
        "Id": cut(item["vulnerability_id"], MAX_ID) or "unknown",
        **_present(
            {
                "VulnerablePackages": [package for package in packages if package],
                "Cvss": [cvss] if cvss else None,
                "EpssScore": item["epss"],
                "ExploitAvailable": _either(item["exploit_available"], "YES", "NO"),
                "FixAvailable": None
                if not has_fix
                else "PARTIAL"
                if len(has_fix) == 2
                else "YES"
                if has_fix == {True}
                else "NO",
            }
        ),
    }


def _either(value: bool | None, yes: str, no: str) -> str | None:
    return None if value is None else yes if value else no


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without NULL, empty and blank members (AWS refuses blank strings) and without numbers that are none (JSON has no
    word for them); texts clean and bounded.
    """
    present = {key: cut(value, _MAX_DETAIL) if isinstance(value, str) else value for key, value in values.items()}
    return {
        key: value
        for key, value in present.items()
        if value is not None and value != "" and value != [] and not (isinstance(value, float) and not isfinite(value))
    }


def _texts(values: Sequence[str] | None, most: int) -> list[str]:
    return [text for value in (values or [])[:most] if (text := cut(value, _MAX_DETAIL))]


def _reference(identity: str) -> str:
    """An ARN or name that identifies: never cut at a word. Longer than any real one (2,048) it becomes its hash."""
    text = clean(identity)
    return text if len(text) <= 2048 else hashlib.sha256(text.encode()).hexdigest()
