"""Amazon ECS: clusters, services with the deployments and task sets in force, running tasks, container instances.

Costs about 0.14 calls a service: services are described ten at a time, tasks listed once per cluster (not per service).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ecs_exposure.aws_errors import IncompleteAnswer, classify
from ecs_exposure.collectors.base import (
    Collector,
    Context,
    Row,
    Rows,
    batches,
    described,
    listing,
    moment,
    tags_json,
    text_of,
    whole,
)
from ecs_exposure.settings import Settings

SERVICE_BATCH = 10  # DescribeServices' maximum
BATCH = 100  # maximum of the other Describe calls, and of every list page
MOST_PORTS = 1000  # a port range wider than this is not spelled out port by port
FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")


def resource_id(settings: Settings, account_id: str, region: str, cluster_name: str, service_name: str) -> str:
    """A service's ARN in the long form; services from before 2021 report a short one that lacks the cluster."""
    return f"arn:{settings.partition}:ecs:{region}:{account_id}:service/{cluster_name}/{service_name}"


def name_of(arn: str) -> str:
    """The last part of an ARN (or the name, where a name stands for an ARN)."""
    return arn.rpartition("/")[2]


def collect_services(context: Context) -> Rows:
    """Rows of cluster, service and deployment. What was deleted while being listed is told in the message."""
    ecs = context.client("ecs")
    for arns in batches(listing(ecs, "list_clusters", "clusterArns", page_size=BATCH), BATCH):
        answer = ecs.describe_clusters(clusters=arns, include=["TAGS"])
        clusters, gone = described(answer, "clusters", "DescribeClusters", arns, lambda item: item["clusterArn"])
        _note_gone(context, "cluster", gone)
        for cluster in clusters:
            yield (
                "cluster",
                context.row(
                    cluster_arn=cluster["clusterArn"],
                    cluster_name=cluster["clusterName"],
                    status=cluster.get("status"),
                    standalone_task_count=None,  # known once the tasks are seen, see collect_tasks
                    tags=tags_json(cluster.get("tags", [])),
                ),
            )
            yield from _services(context, ecs, cluster)


def _services(context: Context, ecs: Any, cluster: Row) -> Rows:
    launch_types = _LaunchTypes(context, ecs, cluster["clusterArn"])
    listed = listing(ecs, "list_services", "serviceArns", page_size=BATCH, cluster=cluster["clusterArn"])
    for arns in batches(listed, SERVICE_BATCH):
        answer = ecs.describe_services(cluster=cluster["clusterArn"], services=arns, include=["TAGS"])
        services, gone = described(answer, "services", "DescribeServices", arns, lambda item: item["serviceArn"])
        _note_gone(context, "service", [*gone, *(item["serviceArn"] for item in services if _is_gone(item))])
        for service in services:
            if not _is_gone(service):
                yield from _service(context, cluster, service, launch_types)


def _is_gone(service: Row) -> bool:
    return service.get("status") == "INACTIVE"


def _note_gone(context: Context, dataset: str, arns: list[str]) -> None:
    if arns:
        names = ", ".join(name_of(arn) for arn in arns[:3])
        context.note(dataset, f"{len(arns)} {dataset}(s) deleted while being listed: {names}")


def _service(context: Context, cluster: Row, service: Row, launch_types: _LaunchTypes) -> Rows:
    target = context.target
    key = resource_id(
        context.settings, target.account_id, target.region, cluster["clusterName"], service["serviceName"]
    )
    launch_type = launch_types.of(service)
    yield (
        "service",
        context.row(
            resource_id=key,
            service_arn=service["serviceArn"],
            cluster_arn=cluster["clusterArn"],
            cluster_name=cluster["clusterName"],
            service_name=service["serviceName"],
            status=service.get("status"),
            launch_type=launch_type,
            scheduling_strategy=service.get("schedulingStrategy"),
            deployment_controller=service.get("deploymentController", {}).get("type", "ECS"),
            task_definition_arn=service.get("taskDefinition") or None,
            desired_count=service.get("desiredCount"),
            running_count=service.get("runningCount"),
            is_execute_command_enabled=service.get("enableExecuteCommand", False),
            **_network(service),
            load_balancers=_load_balancers(service),
            created_at=moment(service.get("createdAt")),
            tags=tags_json(service.get("tags", [])),
        ),
    )
    for deployment in service.get("deployments", []):
        if _in_force(deployment):
            # A deployment without its own network configuration runs with the service's.
            network = deployment if deployment.get("networkConfiguration") else service
            columns = {**_network(network), "launch_type": launch_types.of(deployment) or launch_type}
            yield "deployment", _deployment(context, key, "deployment", deployment, columns, None)
    for task_set in service.get("taskSets", []):
        columns = {**_network(task_set), "launch_type": launch_types.of(task_set)}
        if _in_force(task_set):
            yield "deployment", _deployment(context, key, "task_set", task_set, columns, _load_balancers(task_set))


def _in_force(deployment: Row) -> bool:
    """An INACTIVE deployment has been replaced; it counts only while tasks of it still run."""
    is_replaced = deployment.get("status") == "INACTIVE" and not deployment.get("runningCount")
    return bool(deployment.get("taskDefinition")) and not is_replaced


def _deployment(
    context: Context, key: str, kind: str, deployment: Row, columns: Row, load_balancers: list[Row] | None
) -> Row:
    return context.row(
        resource_id=key,
        deployment_id=deployment["id"],
        kind=kind,
        status=deployment.get("status"),
        task_definition_arn=deployment["taskDefinition"],
        desired_count=deployment.get("desiredCount", deployment.get("computedDesiredCount")),
        running_count=deployment.get("runningCount"),
        load_balancers=load_balancers,
        **columns,
    )


def _network(owner: Row) -> Row:
    awsvpc = owner.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if awsvpc is None:
        return {"assign_public_ip": None, "subnet_ids": None, "security_group_ids": None}
    return {
        "assign_public_ip": awsvpc.get("assignPublicIp") == "ENABLED",
        "subnet_ids": sorted(awsvpc.get("subnets", [])),
        "security_group_ids": sorted(awsvpc.get("securityGroups", [])),
    }


def _load_balancers(owner: Row) -> list[Row]:
    """Load balancers; in a blue/green service the alternate target group carries traffic in turn and is a row as
    well.
    """
    found = []
    for balancer in owner.get("loadBalancers", []):
        alternate = balancer.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
        groups = [balancer.get("targetGroupArn"), *([alternate] if alternate else [])]
        found += [
            {
                "target_group_arn": group,
                "load_balancer_name": balancer.get("loadBalancerName"),
                "container_name": balancer.get("containerName"),
                "container_port": balancer.get("containerPort"),
            }
            for group in groups
        ]
    return found


class _LaunchTypes:
    """Launch types of a cluster's services, from the capacity provider strategy where ECS reports none.

    Providers are asked for only when a strategy names one that is not Fargate's; a role that may not ask leaves the
    launch type unknown and does not blind the services.
    """

    def __init__(self, context: Context, ecs: Any, cluster_arn: str) -> None:
        self._context = context
        self._ecs = ecs
        self._cluster_arn = cluster_arn
        self._providers: dict[str, str] | None = None

    def of(self, owner: Row) -> str | None:
        """Launch type of a service, deployment or task set; NULL when it cannot be told."""
        if launch_type := owner.get("launchType"):
            return str(launch_type)
        names = [item["capacityProvider"] for item in owner.get("capacityProviderStrategy", [])]
        if not names:
            return None
        if all(name in FARGATE_PROVIDERS for name in names):
            return "FARGATE"
        if self._providers is None:
            self._providers = self._describe()
        return next((self._providers[name_of(name)] for name in names if name_of(name) in self._providers), None)

    def _describe(self) -> dict[str, str]:
        providers: dict[str, str] = {}
        request: dict[str, Any] = {"cluster": self._cluster_arn}
        while True:
            try:
                answer = self._ecs.describe_capacity_providers(**request)
            except ClientError as error:
                status, message = classify(error)
                if status != "denied":
                    raise
                self._context.note("service", f"launch types from capacity providers unknown: {message}")
                return {}
            for provider in answer.get("capacityProviders", []):
                is_managed = "managedInstancesProvider" in provider
                providers[provider["name"]] = "MANAGED_INSTANCES" if is_managed else "EC2"
            if not answer.get("nextToken"):
                return providers
            if request.get("nextToken") == answer["nextToken"]:
                raise IncompleteAnswer("describe_capacity_providers answered with the same page token twice")
            request["nextToken"] = answer["nextToken"]


def collect_tasks(context: Context) -> Rows:
    """Rows of task and task_container: tasks of services that are wanted running.

    Running tasks of no service are counted in their cluster's `standalone_task_count`, not assessed.
    """
    ecs = context.client("ecs")
    services = {(row["cluster_arn"], row["service_name"]): row["resource_id"] for row in context.rows["service"]}
    for cluster in context.rows["cluster"]:
        standalone = 0
        for task in _running_tasks(ecs, cluster["cluster_arn"]):
            owner, _, service_name = task.get("group", "").partition(":")
            if owner != "service":
                standalone += 1
            elif key := services.get((cluster["cluster_arn"], service_name)):
                yield "task", _task(context, key, cluster["cluster_arn"], task)
                for container in task.get("containers", []):
                    yield "task_container", _task_container(context, key, task["taskArn"], container)
        cluster["standalone_task_count"] = standalone


def _running_tasks(ecs: Any, cluster_arn: str) -> Iterator[Row]:
    listed = listing(ecs, "list_tasks", "taskArns", page_size=BATCH, cluster=cluster_arn, desiredStatus="RUNNING")
    for arns in batches(listed, BATCH):
        answer = ecs.describe_tasks(cluster=cluster_arn, tasks=arns)
        tasks, _ = described(answer, "tasks", "DescribeTasks", arns, lambda item: item["taskArn"])
        yield from (
            task for task in tasks if task.get("lastStatus") != "STOPPED"
        )  # ended meanwhile, as are the missing


def _task(context: Context, key: str, cluster_arn: str, task: Row) -> Row:
    interfaces = [
        {detail.get("name"): detail.get("value") for detail in attachment.get("details", [])}
        for attachment in task.get("attachments", [])
        if attachment.get("type") == "ElasticNetworkInterface" and attachment.get("status") != "DELETED"
    ]
    launch_type = task.get("launchType")
    if launch_type is None and task.get("capacityProviderName") in FARGATE_PROVIDERS:
        launch_type = "FARGATE"
    return context.row(
        task_arn=task["taskArn"],
        resource_id=key,
        cluster_arn=cluster_arn,
        task_definition_arn=task["taskDefinitionArn"],
        launch_type=launch_type,
        last_status=task.get("lastStatus"),
        container_instance_arn=task.get("containerInstanceArn") or None,
        network_interface_ids=_each(interfaces, "networkInterfaceId"),
        subnet_ids=_each(interfaces, "subnetId"),
        is_execute_command_enabled=task.get("enableExecuteCommand"),
    )


def _each(interfaces: Iterable[Mapping[str | None, str | None]], name: str) -> list[str]:
    return sorted({value for interface in interfaces if (value := interface.get(name))})


def _task_container(context: Context, key: str, task_arn: str, container: Row) -> Row:
    return context.row(
        task_arn=task_arn,
        resource_id=key,
        container_name=container["name"],
        image=container.get("image"),
        image_digest=container.get("imageDigest") or None,
        network_bindings=[port for binding in container.get("networkBindings") or [] for port in ports(binding)],
    )


def ports(mapping: Mapping[str, Any]) -> list[Row]:
    """A port mapping or network binding as PORT_MAPPINGS rows; a range becomes one row a port."""
    protocol = text_of(mapping.get("protocol")) or "tcp"
    if not mapping.get("containerPortRange"):
        return [
            {
                "container_port": whole(mapping.get("containerPort")),
                "host_port": whole(mapping.get("hostPort")),
                "protocol": protocol,
            }
        ]
    inside = _range(mapping.get("containerPortRange"))
    outside = _range(mapping.get("hostPortRange"))
    return [
        {
            "container_port": port,
            "host_port": outside[index] if index < len(outside) else None,
            "protocol": protocol,
        }
        for index, port in enumerate(inside)
    ]


def _range(text: object) -> list[int]:
    first, _, last = (text_of(text) or "").partition("-")
    low, high = whole(first), whole(last or first)
    if low is None or high is None:
        return []
    return list(range(low, min(high, low + MOST_PORTS - 1) + 1))


def collect_container_instances(context: Context) -> Rows:
    """Rows of container_instance, of every cluster."""
    ecs = context.client("ecs")
    for cluster in context.rows["cluster"]:
        arn = cluster["cluster_arn"]
        listed = listing(ecs, "list_container_instances", "containerInstanceArns", page_size=BATCH, cluster=arn)
        for arns in batches(listed, BATCH):
            answer = ecs.describe_container_instances(cluster=arn, containerInstances=arns)
            found, gone = described(
                answer,
                "containerInstances",
                "DescribeContainerInstances",
                arns,
                lambda item: item["containerInstanceArn"],
            )
            _note_gone(context, "container_instance", gone)
            for instance in found:
                yield (
                    "container_instance",
                    context.row(
                        container_instance_arn=instance["containerInstanceArn"],
                        cluster_arn=arn,
                        ec2_instance_id=instance.get("ec2InstanceId"),
                        status=instance.get("status"),
                    ),
                )


SERVICES = Collector("ecs_services", "ecs", ("cluster", "service", "deployment"), "region", collect_services)
TASKS = Collector("ecs_tasks", "ecs", ("task", "task_container"), "region", collect_tasks, needs=("cluster", "service"))
CONTAINER_INSTANCES = Collector(
    "ecs_container_instances", "ecs", ("container_instance",), "region", collect_container_instances, needs=("cluster",)
)
