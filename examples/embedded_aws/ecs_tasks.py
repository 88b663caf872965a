"""Starting and stopping ECS tasks: containers with digests, port bindings, network interfaces in moto's EC2."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any

from moto.ec2.exceptions import InvalidSubnetIdError
from moto.ec2.models import ec2_backends
from moto.ecr.models import ecr_backends
from moto.moto_api._internal import mock_random
from moto.utilities.utils import get_partition

from embedded_aws.contract import AwsError

_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?::([^@]+))?(?:@(.+))?")
# Where Docker starts handing out host ports in bridge mode (Linux ip_local_port_range).
_FIRST_EPHEMERAL_PORT = 32768


def arn(account_id: str, region: str, resource: str) -> str:
    return f"arn:{get_partition(region)}:ecs:{region}:{account_id}:{resource}"


def image_digest(image: str) -> str:
    """The digest ECS reports for an image: the one named, ECR's for the tag, else one derived from the name
    (an image of another registry never changes here)."""
    if "@" in image:
        return image.rpartition("@")[2]
    matched = _ECR.fullmatch(image)
    if matched and matched.group(1) in ecr_backends:
        registry, region, name, tag, _ = matched.groups()
        repository = ecr_backends[registry][region].repositories.get(name)
        for stored in repository.images if repository else ():
            if (tag or "latest") in stored.image_tags:
                return str(stored.get_image_digest())
    reference = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    return "sha256:" + hashlib.sha256(reference.encode()).hexdigest()


def start(
    account_id: str,
    region: str,
    cluster: str,
    definition: dict[str, Any],
    *,
    group: str,
    started_by: str,
    launch_type: str,
    network: dict[str, Any] | None,
    capacity_provider: str | None,
    instance_arn: str | None,
    number: int,
    now: datetime,
) -> dict[str, Any]:
    """A RUNNING task in DescribeTasks' shape; `number` spreads tasks over subnets."""
    task_id = mock_random.uuid4().hex
    task: dict[str, Any] = {
        "taskArn": arn(account_id, region, f"task/{cluster}/{task_id}"),
        "clusterArn": arn(account_id, region, f"cluster/{cluster}"),
        "taskDefinitionArn": definition["taskDefinitionArn"],
        "group": group,
        "startedBy": started_by,
        "launchType": launch_type,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "healthStatus": "UNKNOWN",
        "connectivity": "CONNECTED",
        "createdAt": now,
        "startedAt": now,
        "version": 3,
        "attachments": [],
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []},
        "tags": [],
    }
    if capacity_provider is not None:
        task["capacityProviderName"] = capacity_provider
    if instance_arn is not None:
        task["containerInstanceArn"] = instance_arn
    for size in ("cpu", "memory"):
        if size in definition:
            task[size] = definition[size]
    interfaces = []
    if definition.get("networkMode") == "awsvpc":
        attachment, address = _attach_interface(account_id, region, network or {}, launch_type, number)
        task["attachments"].append(attachment)
        interfaces = [{"attachmentId": attachment["id"], "privateIpv4Address": address}]
    mode = definition.get("networkMode") or "bridge"
    task["containers"] = [
        {
            "containerArn": arn(account_id, region, f"container/{cluster}/{task_id}/{mock_random.uuid4()}"),
            "taskArn": task["taskArn"],
            "name": container["name"],
            "image": container["image"],
            "imageDigest": image_digest(container["image"]),
            "runtimeId": f"{task_id}-{mock_random.randint(10**8, 10**9)}",
            "lastStatus": "RUNNING",
            "healthStatus": "UNKNOWN",
            "cpu": str(container.get("cpu", 0)),
            "networkBindings": _bindings(container, mode, number),
            "networkInterfaces": interfaces,
        }
        for container in definition["containerDefinitions"]
    ]
    return task


def _bindings(container: dict[str, Any], mode: str, number: int) -> list[dict[str, Any]]:
    if mode not in ("bridge", "host"):
        return []
    bindings = []
    for offset, mapping in enumerate(container.get("portMappings", [])):
        if "containerPort" not in mapping:  # a range: its bindings would not fit this shape
            continue
        port = mapping["containerPort"]
        host_port = mapping.get("hostPort") or (port if mode == "host" else _FIRST_EPHEMERAL_PORT + number + offset)
        bindings.append(
            {
                "bindIP": "0.0.0.0",
                "containerPort": port,
                "hostPort": host_port,
                "protocol": mapping.get("protocol", "tcp"),
            }
        )
    return bindings


def _attach_interface(
    account_id: str, region: str, network: dict[str, Any], launch_type: str, number: int
) -> tuple[dict[str, Any], str]:
    vpc = network.get("awsvpcConfiguration") or {}
    if not vpc.get("subnets"):
        raise AwsError(
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )
    public = vpc.get("assignPublicIp") == "ENABLED"
    if public and launch_type != "FARGATE":
        raise AwsError("InvalidParameterException", "Assign public IP is not supported for this launch type.")
    ec2 = ec2_backends[account_id][region]
    subnet_id = vpc["subnets"][number % len(vpc["subnets"])]
    try:
        subnet = ec2.get_subnet(subnet_id)
    except InvalidSubnetIdError as missing:
        raise AwsError("InvalidParameterException", f"The subnet ID '{subnet_id}' does not exist") from missing
    attachment_id = str(mock_random.uuid4())
    # moto's own backend, in process: through HTTP the interfaces would take longer than everything else.
    interface = ec2.create_network_interface(
        subnet,
        "",
        group_ids=vpc.get("securityGroups") or None,
        description=arn(account_id, region, f"attachment/{attachment_id}"),
        public_ip_auto_assign=public,
    )
    interface.status = "in-use"
    interface.requester_managed = True
    details = {
        "subnetId": subnet.id,
        "networkInterfaceId": interface.id,
        "macAddress": interface.mac_address,
        "privateIPv4Address": interface.private_ip_address,
    }
    attachment = {
        "id": attachment_id,
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED",
        "details": [{"name": name, "value": value} for name, value in details.items()],
    }
    return attachment, str(interface.private_ip_address)


def stop(account_id: str, region: str, task: dict[str, Any]) -> None:
    """Give the task's interfaces back."""
    ec2 = ec2_backends[account_id][region]
    for attachment in task["attachments"]:
        for detail in attachment["details"]:
            if detail["name"] == "networkInterfaceId":
                ec2.enis.pop(detail["value"], None)
