"""The ECS fake against the ECS API's written contract."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_aws import EmbeddedAws

from tests.embedded_aws.conftest import ACCOUNT, REGION

FARGATE = {"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"}


def container(**members: Any) -> dict[str, Any]:
    return {"name": "web", "image": "nginx:1.27", "memory": 128, **members}


@pytest.fixture
def subnet(aws: EmbeddedAws) -> str:
    return str(aws.client("ec2", ACCOUNT, REGION).describe_subnets()["Subnets"][0]["SubnetId"])


def fargate_service(ecs: Any, subnet: str, name: str = "web", **given: Any) -> dict[str, Any]:
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family=name, containerDefinitions=[container()], **FARGATE)
    network = {"awsvpcConfiguration": {"subnets": [subnet], "assignPublicIp": given.pop("assignPublicIp", "DISABLED")}}
    service: dict[str, Any] = ecs.create_service(
        cluster="c", serviceName=name, taskDefinition=name, launchType="FARGATE", networkConfiguration=network, **given
    )["service"]
    return service


def ec2_cluster(ecs: Any, *instances: str) -> None:
    ecs.create_cluster(clusterName="c")
    for instance in instances:
        ecs.register_container_instance(cluster="c", instanceIdentityDocument=f'{{"instanceId": "{instance}"}}')


def tasks_of(ecs: Any, service: str) -> list[dict[str, Any]]:
    arns = ecs.list_tasks(cluster="c", serviceName=service)["taskArns"]
    tasks: list[dict[str, Any]] = ecs.describe_tasks(cluster="c", tasks=arns)["tasks"] if arns else []
    return tasks


# --- limits and pages ---


def test_services_are_listed_ten_at_a_time_and_at_most_a_hundred(ecs: Any) -> None:
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[container()])
    for number in range(23):
        ecs.create_service(cluster="c", serviceName=f"s{number}", taskDefinition="f")
    pages = list(ecs.get_paginator("list_services").paginate(cluster="c"))
    assert [len(page["serviceArns"]) for page in pages] == [10, 10, 3]
    names = {arn.rpartition("/")[2] for page in pages for arn in page["serviceArns"]}
    assert names == {f"s{number}" for number in range(23)}
    assert len(ecs.list_services(cluster="c", maxResults=100)["serviceArns"]) == 23
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecs.list_services(cluster="c", maxResults=101)
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecs.list_services(cluster="c", nextToken="made up")


def test_more_than_ten_services_or_a_hundred_tasks_are_refused(ecs: Any) -> None:
    ecs.create_cluster(clusterName="c")
    assert len(ecs.describe_services(cluster="c", services=[f"s{n}" for n in range(10)])["failures"]) == 10
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecs.describe_services(cluster="c", services=[f"s{n}" for n in range(11)])
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecs.describe_tasks(cluster="c", tasks=[f"{n:032x}" for n in range(101)])


def test_what_is_missing_is_a_failure_and_not_an_error(ecs: Any) -> None:
    ecs.create_cluster(clusterName="c")
    service = ecs.describe_services(cluster="c", services=["gone"])
    task = ecs.describe_tasks(cluster="c", tasks=["0" * 32])
    cluster = ecs.describe_clusters(clusters=["gone"])
    assert service["services"] == task["tasks"] == cluster["clusters"] == []
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
    assert service["failures"] == [{"arn": f"{arn}:service/c/gone", "reason": "MISSING"}]
    assert task["failures"] == [{"arn": f"{arn}:task/c/{'0' * 32}", "reason": "MISSING"}]
    assert cluster["failures"] == [{"arn": f"{arn}:cluster/gone", "reason": "MISSING"}]
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.list_services(cluster="gone")


def test_tags_come_only_when_asked_for(ecs: Any, subnet: str) -> None:
    fargate_service(ecs, subnet, tags=[{"key": "owner", "value": "shop"}])
    asked = ecs.describe_services(cluster="c", services=["web"], include=["TAGS"])["services"][0]
    silent = ecs.describe_services(cluster="c", services=["web"])["services"][0]
    assert asked["tags"] == [{"key": "owner", "value": "shop"}]
    assert "tags" not in silent
    ecs.tag_resource(
        resourceArn=asked["serviceArn"], tags=[{"key": "owner", "value": "pay"}, {"key": "x", "value": ""}]
    )
    assert {
        tag["key"]: tag["value"] for tag in ecs.list_tags_for_resource(resourceArn=asked["serviceArn"])["tags"]
    } == {
        "owner": "pay",
        "x": "",
    }


# --- tasks ---


def test_a_service_runs_its_tasks_with_interfaces_and_digests(ecs: Any, aws: EmbeddedAws, subnet: str) -> None:
    service = fargate_service(ecs, subnet, desiredCount=2, assignPublicIp="ENABLED")
    assert service["serviceArn"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/c/web"
    assert service["runningCount"] == 2
    assert service["deployments"][0]["status"] == "PRIMARY"
    tasks = tasks_of(ecs, "web")
    assert {(task["group"], task["launchType"], task["lastStatus"]) for task in tasks} == {
        ("service:web", "FARGATE", "RUNNING")
    }
    assert all(one["imageDigest"].startswith("sha256:") for task in tasks for one in task["containers"])
    details = {one["name"]: one["value"] for one in tasks[0]["attachments"][0]["details"]}
    interface = aws.client("ec2", ACCOUNT, REGION).describe_network_interfaces(
        NetworkInterfaceIds=[details["networkInterfaceId"]]
    )["NetworkInterfaces"][0]
    assert interface["SubnetId"] == details["subnetId"] == subnet
    assert interface["PrivateIpAddress"] == details["privateIPv4Address"]
    assert interface["Association"]["PublicIp"]


def test_without_a_public_address_the_interface_has_none(ecs: Any, aws: EmbeddedAws, subnet: str) -> None:
    fargate_service(ecs, subnet, desiredCount=1)
    interfaces = aws.client("ec2", ACCOUNT, REGION).describe_network_interfaces()["NetworkInterfaces"]
    assert len(interfaces) == 1
    assert "Association" not in interfaces[0]


def test_every_container_of_a_task_has_its_digest_and_bindings(ecs: Any, aws: EmbeddedAws) -> None:
    ecr = aws.client("ecr", "777777777777", "us-east-1")
    ecr.create_repository(repositoryName="base/nginx")
    pushed = ecr.put_image(
        repositoryName="base/nginx",
        imageTag="1.26",
        imageManifest='{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}',
    )["image"]["imageId"]["imageDigest"]
    ec2_cluster(ecs, "i-0a", "i-0b")
    ecs.register_task_definition(
        family="pair",
        containerDefinitions=[
            container(
                image="777777777777.dkr.ecr.us-east-1.amazonaws.com/base/nginx:1.26",
                portMappings=[{"containerPort": 80, "hostPort": 8080}, {"containerPort": 443}],
            ),
            container(name="agent", image=f"elsewhere/agent@sha256:{'a' * 64}"),
            container(name="cache", image="redis"),
        ],
    )
    ecs.create_service(cluster="c", serviceName="pair", taskDefinition="pair", desiredCount=2)
    tasks = tasks_of(ecs, "pair")
    assert len({task["containerInstanceArn"] for task in tasks}) == 2
    web, agent, cache = tasks[0]["containers"]
    assert web["imageDigest"] == pushed
    assert agent["imageDigest"] == f"sha256:{'a' * 64}"
    assert cache["imageDigest"] == tasks[1]["containers"][2]["imageDigest"]
    bindings = {one["containerPort"]: one["hostPort"] for one in web["networkBindings"]}
    assert bindings[80] == 8080
    assert bindings[443] >= 32768


def test_host_mode_binds_the_containers_own_port(ecs: Any) -> None:
    ec2_cluster(ecs, "i-0a")
    ecs.register_task_definition(
        family="h", networkMode="host", containerDefinitions=[container(portMappings=[{"containerPort": 9100}])]
    )
    ecs.create_service(cluster="c", serviceName="h", taskDefinition="h", desiredCount=1)
    binding = tasks_of(ecs, "h")[0]["containers"][0]["networkBindings"]
    assert [(one["containerPort"], one["hostPort"]) for one in binding] == [(9100, 9100)]


def test_without_an_instance_an_ec2_task_is_not_placed(ecs: Any) -> None:
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[container()])
    service = ecs.create_service(cluster="c", serviceName="s", taskDefinition="f", desiredCount=1)["service"]
    assert (service["runningCount"], service["pendingCount"]) == (0, 1)
    assert "unable to place a task" in service["events"][0]["message"]


def test_an_update_replaces_the_tasks_and_gives_interfaces_back(ecs: Any, aws: EmbeddedAws, subnet: str) -> None:
    fargate_service(ecs, subnet, desiredCount=2)
    before = {task["taskArn"] for task in tasks_of(ecs, "web")}
    ecs.register_task_definition(family="web", containerDefinitions=[container(image="nginx:1.28")], **FARGATE)
    service = ecs.update_service(cluster="c", service="web", taskDefinition="web")["service"]
    after = tasks_of(ecs, "web")
    assert service["taskDefinition"].endswith("task-definition/web:2")
    assert {task["containers"][0]["image"] for task in after} == {"nginx:1.28"}
    assert before.isdisjoint(task["taskArn"] for task in after)
    assert len(aws.client("ec2", ACCOUNT, REGION).describe_network_interfaces()["NetworkInterfaces"]) == 2


def test_scaling_keeps_the_tasks_that_run(ecs: Any, subnet: str) -> None:
    fargate_service(ecs, subnet, desiredCount=2)
    before = {task["taskArn"] for task in tasks_of(ecs, "web")}
    assert ecs.update_service(cluster="c", service="web", desiredCount=3)["service"]["runningCount"] == 3
    assert before < {task["taskArn"] for task in tasks_of(ecs, "web")}
    assert ecs.update_service(cluster="c", service="web", desiredCount=0)["service"]["runningCount"] == 0
    assert tasks_of(ecs, "web") == []


def test_a_deleted_service_is_inactive_and_unlisted(ecs: Any, subnet: str) -> None:
    fargate_service(ecs, subnet, desiredCount=1)
    with pytest.raises(ClientError, match="scaled above 0"):
        ecs.delete_service(cluster="c", service="web")
    ecs.delete_service(cluster="c", service="web", force=True)
    assert ecs.list_services(cluster="c")["serviceArns"] == []
    assert ecs.describe_services(cluster="c", services=["web"])["services"][0]["status"] == "INACTIVE"


def test_task_sets_run_beside_each_other(ecs: Any, subnet: str) -> None:
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="web", containerDefinitions=[container()], **FARGATE)
    ecs.create_service(cluster="c", serviceName="x", desiredCount=4, deploymentController={"type": "EXTERNAL"})
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    for share in (75.0, 25.0):
        ecs.create_task_set(
            cluster="c", service="x", taskDefinition="web", launchType="FARGATE", networkConfiguration=network,
            scale={"value": share, "unit": "PERCENT"},
        )  # fmt: skip
    sets = ecs.describe_task_sets(cluster="c", service="x")["taskSets"]
    assert [one["runningCount"] for one in sets] == [3, 1]
    assert ecs.describe_services(cluster="c", services=["x"])["services"][0]["runningCount"] == 4


# --- task definitions ---


def test_revisions_count_up_and_are_never_given_out_twice(ecs: Any) -> None:
    for _ in range(2):
        ecs.register_task_definition(family="f", containerDefinitions=[container()])
    ecs.deregister_task_definition(taskDefinition="f:2")
    assert ecs.describe_task_definition(taskDefinition="f:2")["taskDefinition"]["status"] == "INACTIVE"
    assert ecs.describe_task_definition(taskDefinition="f")["taskDefinition"]["revision"] == 1
    third = ecs.register_task_definition(family="f", containerDefinitions=[container()])["taskDefinition"]
    assert third["revision"] == 3
    with pytest.raises(ClientError, match="Unable to describe task definition"):
        ecs.describe_task_definition(taskDefinition="f:4")


ACCEPTED = {
    "memory at the task": ({"memory": "512"}, {"memory": None}),
    "a reservation": ({}, {"memory": None, "memoryReservation": 64}),
    "pidMode task on Fargate": ({**FARGATE, "pidMode": "task"}, {}),
    "privileged on EC2": ({}, {"privileged": True}),
    "an empty host on Fargate": ({**FARGATE, "volumes": [{"name": "v", "host": {}}]}, {}),
    "sizes with units": ({**FARGATE, "cpu": "1 vCPU", "memory": "2 GB"}, {}),
}
REFUSED = {
    "no memory anywhere": ({}, {"memory": None}, "memoryReservation"),
    "no image": ({}, {"image": ""}, "image"),
    "an unknown network mode": ({"networkMode": "vpc"}, {}, "networkMode"),
    "Fargate without awsvpc": ({**FARGATE, "networkMode": "bridge"}, {}, "awsvpc"),
    "Fargate without sizes": ({"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}, {}, "task level"),
    "Fargate sizes that do not fit": ({**FARGATE, "memory": "8192"}, {}, "No Fargate configuration"),
    "Fargate and privileged": (FARGATE, {"privileged": True}, "privileged"),
    "Fargate and a host path": ({**FARGATE, "volumes": [{"name": "v", "host": {"sourcePath": "/"}}]}, {}, "sourcePath"),
    "Fargate and the host's processes": ({**FARGATE, "pidMode": "host"}, {}, "pidMode"),
    "a mount of no volume": ({}, {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}, "Unknown volume"),
    "nothing essential": ({}, {"essential": False}, "essential"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_ecs_accepts(ecs: Any, name: str) -> None:
    definition, members = ACCEPTED[name]
    one = {key: value for key, value in container(**members).items() if value is not None}
    assert (
        ecs.register_task_definition(family="f", containerDefinitions=[one], **definition)["taskDefinition"]["revision"]
        == 1
    )


@pytest.mark.parametrize("name", REFUSED)
def test_ecs_refuses(ecs: Any, name: str) -> None:
    definition, members, text = REFUSED[name]
    one = {key: value for key, value in container(**members).items() if value is not None}
    with pytest.raises(ClientError, match=text) as error:
        ecs.register_task_definition(family="f", containerDefinitions=[one], **definition)
    assert error.value.response["Error"]["Code"] == "ClientException"


def test_fargate_does_not_run_what_it_could_not(ecs: Any, subnet: str) -> None:
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[container(privileged=True)])
    with pytest.raises(ClientError, match="FARGATE"):
        ecs.create_service(cluster="c", serviceName="s", taskDefinition="f", launchType="FARGATE", desiredCount=1)


def test_public_addresses_are_for_fargate(ecs: Any, subnet: str) -> None:
    ec2_cluster(ecs, "i-0a")
    ecs.register_task_definition(family="f", networkMode="awsvpc", containerDefinitions=[container()])
    network = {"awsvpcConfiguration": {"subnets": [subnet], "assignPublicIp": "ENABLED"}}
    with pytest.raises(ClientError, match="not supported for this launch type"):
        ecs.create_service(
            cluster="c", serviceName="s", taskDefinition="f", desiredCount=1, networkConfiguration=network
        )


def test_container_instances_know_their_instance(ecs: Any) -> None:
    ec2_cluster(ecs, "i-0a", "mi-0b")
    arns = ecs.list_container_instances(cluster="c")["containerInstanceArns"]
    described = ecs.describe_container_instances(cluster="c", containerInstances=[*arns, "none"])
    assert [one["ec2InstanceId"] for one in described["containerInstances"]] == ["i-0a", "mi-0b"]
    assert described["failures"][0]["reason"] == "MISSING"
    providers = ecs.describe_capacity_providers()["capacityProviders"]
    assert {one["name"] for one in providers} == {"FARGATE", "FARGATE_SPOT"}
