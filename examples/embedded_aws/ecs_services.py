"""ECS services: creating, updating and deleting them starts and stops their tasks at once."""

from __future__ import annotations

import itertools
from typing import Any

from moto.moto_api._internal import mock_random

from embedded_aws import ecs_tasks
from embedded_aws.contract import Call
from embedded_aws.ecs_store import Cluster, EcsState, Space, invalid, listing

# Members of CreateService and UpdateService that DescribeServices gives back as they came.
_KEPT = [
    "loadBalancers",
    "serviceRegistries",
    "platformVersion",
    "deploymentConfiguration",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
]
_DEPLOYED = ("capacityProviderStrategy", "launchType", "platformVersion", "networkConfiguration")
_STARTS_DEPLOYMENT = ("taskDefinition", "networkConfiguration", "capacityProviderStrategy", "platformVersion")


class Services(EcsState):
    """The part of the ECS fake that concerns services, task sets and their tasks."""

    def create_service(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        name = given["serviceName"]
        if cluster.services.get(name, {}).get("status") == "ACTIVE":
            raise invalid("Creation of service was not idempotent.")
        service_arn = space.arn(f"service/{cluster.record['clusterName']}/{name}")
        service: dict[str, Any] = {
            "serviceArn": service_arn,
            "serviceName": name,
            "clusterArn": cluster.record["clusterArn"],
            "status": "ACTIVE",
            "desiredCount": given.get("desiredCount", 0),
            "runningCount": 0,
            "pendingCount": 0,
            "loadBalancers": [],
            "serviceRegistries": [],
            "deployments": [],
            "events": [],
            "createdAt": self.now(),
            "schedulingStrategy": given.get("schedulingStrategy", "REPLICA"),
            "deploymentController": given.get("deploymentController", {"type": "ECS"}),
            "enableECSManagedTags": False,
            "propagateTags": "NONE",
            "enableExecuteCommand": False,
            "placementConstraints": [],
            "placementStrategy": [],
            "taskSets": [],
        }
        service |= {key: given[key] for key in _KEPT if key in given}
        if "role" in given:
            service["roleArn"] = given["role"]
        external = service["deploymentController"]["type"] == "EXTERNAL"
        if not external:  # else launch type, network and revision are its task sets' own
            _choose_capacity(service, given, cluster)
            if "taskDefinition" not in given:
                raise invalid("Task definition is required.")
            service["taskDefinition"] = space.definition(given["taskDefinition"])["taskDefinitionArn"]
        if service["schedulingStrategy"] == "DAEMON":
            service["desiredCount"] = len(cluster.instances)
        if not external:
            self._deploy(space, cluster, service)
        cluster.services[name] = service
        if given.get("tags"):
            space.tags[service_arn] = given["tags"]
        return {"service": service}

    def update_service(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        service = space.service(cluster, given["service"])
        if service["status"] != "ACTIVE":
            raise invalid("Service was not ACTIVE.")
        service |= {key: given[key] for key in _KEPT if key in given}
        if "capacityProviderStrategy" in given:
            _choose_capacity(service, given, cluster)
        if "taskDefinition" in given:
            service["taskDefinition"] = space.definition(given["taskDefinition"])["taskDefinitionArn"]
        service["desiredCount"] = given.get("desiredCount", service["desiredCount"])
        if given.get("forceNewDeployment") or any(key in given for key in _STARTS_DEPLOYMENT):
            self._deploy(space, cluster, service)
        elif service["deployments"]:
            self._scale(space, cluster, service, service["deployments"][0])
        return {"service": service}

    def delete_service(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        service = space.service(cluster, given["service"])
        if service["desiredCount"] and not given.get("force"):
            raise invalid("The service cannot be stopped while it is scaled above 0.")
        self._stop(space, cluster, cluster.group(f"service:{service['serviceName']}"))
        service |= {"status": "INACTIVE", "desiredCount": 0, "runningCount": 0, "pendingCount": 0}
        service["deployments"], service["taskSets"] = [], []
        return {"service": service}

    def create_task_set(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given["cluster"])
        service = space.service(cluster, given["service"])
        if service["deploymentController"]["type"] not in ("EXTERNAL", "CODE_DEPLOY"):
            raise invalid("Task sets need a service with the EXTERNAL deployment controller.")
        scale = given.get("scale", {"value": 100.0, "unit": "PERCENT"})
        set_id = f"ecs-svc/{mock_random.randint(10**18, 10**19 - 1)}"
        now = self.now()
        cluster_name = cluster.record["clusterName"]
        task_set: dict[str, Any] = {
            "id": set_id,
            "taskSetArn": space.arn(f"task-set/{cluster_name}/{service['serviceName']}/{set_id}"),
            "serviceArn": service["serviceArn"],
            "clusterArn": cluster.record["clusterArn"],
            "status": "ACTIVE",
            "taskDefinition": space.definition(given["taskDefinition"])["taskDefinitionArn"],
            "computedDesiredCount": round(service["desiredCount"] * scale.get("value", 100.0) / 100),
            "pendingCount": 0,
            "runningCount": 0,
            "createdAt": now,
            "updatedAt": now,
            "scale": scale,
            "stabilityStatus": "STEADY_STATE",
            "stabilityStatusAt": now,
            "loadBalancers": given.get("loadBalancers", []),
        }
        task_set |= {
            key: given[key] for key in ("networkConfiguration", "platformVersion", "externalId") if key in given
        }
        _choose_capacity(task_set, given, cluster)
        self._start(space, cluster, service, task_set, task_set["computedDesiredCount"])
        service["taskSets"].append(task_set)
        self._count(cluster, service)
        return {"taskSet": task_set}

    def describe_task_sets(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        service = space.service(space.cluster(given["cluster"]), given["service"])
        known = {reference: one for one in service["taskSets"] for reference in (one["id"], one["taskSetArn"])}
        wanted = given.get("taskSets") or [one["id"] for one in service["taskSets"]]
        return {
            "taskSets": [known[reference] for reference in wanted if reference in known],
            "failures": [{"arn": name, "reason": "MISSING"} for name in wanted if name not in known],
        }

    def run_task(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        definition = space.definition(given["taskDefinition"])
        owner: dict[str, Any] = {"networkConfiguration": given.get("networkConfiguration")}
        _choose_capacity(owner, given, cluster)
        group = given.get("group", f"family:{definition['family']}")
        started = [
            self._start_one(space, cluster, definition, owner, group, given.get("startedBy", ""), number)
            for number in range(given.get("count", 1))
        ]
        return {"tasks": [task for task in started if task is not None], "failures": []}

    def deploy_midway(self, call: Call, still_running: int) -> dict[str, Any]:
        """UpdateService caught in the middle: `still_running` tasks of the old revision run on beside the new."""
        space = self.space(call)
        cluster = space.cluster(call.parameters.get("cluster"))
        service = space.service(cluster, call.parameters["service"])
        old_tasks = cluster.group(f"service:{service['serviceName']}")
        old = {**service["deployments"][0], "status": "ACTIVE", "desiredCount": 0, "runningCount": still_running}
        kept = old_tasks[:still_running]
        for task in kept:
            cluster.tasks_of[task["group"]].pop(task["taskArn"])  # out of the way of the new deployment
        answer = self.update_service(call)
        for task in kept:
            cluster.tasks_of[task["group"]][task["taskArn"]] = None
        reason = "ECS deployment in progress."
        service["deployments"][0] |= {"rolloutState": "IN_PROGRESS", "rolloutStateReason": reason}
        service["deployments"].append(old)
        self._count(cluster, service)
        return answer

    # --- tasks of a service ---

    def _deploy(self, space: Space, cluster: Cluster, service: dict[str, Any]) -> None:
        """Replace whatever runs by tasks of the service as it now is: one PRIMARY, finished deployment."""
        self._stop(space, cluster, cluster.group(f"service:{service['serviceName']}"))
        now = self.now()
        deployment = {
            "id": f"ecs-svc/{mock_random.randint(10**18, 10**19 - 1)}",
            "status": "PRIMARY",
            "taskDefinition": service["taskDefinition"],
            "desiredCount": 0,
            "runningCount": 0,
            "pendingCount": 0,
            "failedTasks": 0,
            "createdAt": now,
            "updatedAt": now,
            "rolloutState": "COMPLETED",
            "rolloutStateReason": "Deployment completed.",
        }
        deployment |= {key: service[key] for key in _DEPLOYED if key in service}
        service["deployments"] = [deployment]
        self._scale(space, cluster, service, deployment)

    def _scale(self, space: Space, cluster: Cluster, service: dict[str, Any], deployment: dict[str, Any]) -> None:
        running = list(cluster.group(f"service:{service['serviceName']}"))
        wanted = service["desiredCount"]
        self._stop(space, cluster, running[wanted:])
        self._start(space, cluster, service, deployment, wanted - len(running), first=len(running))
        deployment["desiredCount"] = wanted
        self._count(cluster, service)

    def _start(
        self, space: Space, cluster: Cluster, service: dict[str, Any], owner: dict[str, Any], count: int, first: int = 0
    ) -> None:
        """Start `count` tasks for a deployment or task set (`owner`)."""
        definition = space.definition(owner["taskDefinition"])
        group = f"service:{service['serviceName']}"
        for number in range(first, first + max(count, 0)):
            task = self._start_one(space, cluster, definition, owner, group, owner["id"], number)
            if task is None:
                event = f"(service {service['serviceName']}) was unable to place a task: no container instance fits."
                service["events"].append({"id": str(mock_random.uuid4()), "createdAt": self.now(), "message": event})
                return

    def _start_one(
        self,
        space: Space,
        cluster: Cluster,
        definition: dict[str, Any],
        owner: dict[str, Any],
        group: str,
        started_by: str,
        number: int,
    ) -> dict[str, Any] | None:
        strategy = owner.get("capacityProviderStrategy") or []
        provider = strategy[0]["capacityProvider"] if strategy else None
        launch_type = owner.get("launchType") or ("FARGATE" if (provider or "").startswith("FARGATE") else "EC2")
        if launch_type == "FARGATE" and "FARGATE" not in definition["compatibilities"]:
            raise invalid("Task definition does not support launch_type FARGATE.")
        instance = None
        if launch_type != "FARGATE":
            instance = _least_loaded(cluster, launch_type)
            if instance is None:
                return None
            instance["runningTasksCount"] += 1
        task = ecs_tasks.start(
            space.account_id,
            space.region,
            cluster.record["clusterName"],
            definition,
            group=group,
            started_by=started_by,
            launch_type=launch_type,
            network=owner.get("networkConfiguration"),
            capacity_provider=provider,
            instance_arn=instance["containerInstanceArn"] if instance else None,
            number=number,
            now=self.now(),
        )
        cluster.add_task(task)
        return task

    def _stop(self, space: Space, cluster: Cluster, tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            ecs_tasks.stop(space.account_id, space.region, task)
            cluster.remove_task(task)
            instance = cluster.instances.get(task.get("containerInstanceArn", ""))
            if instance is not None:
                instance["runningTasksCount"] -= 1

    def _count(self, cluster: Cluster, service: dict[str, Any]) -> None:
        """Bring the running and pending counts of a service, its deployments and task sets up to date."""
        tasks = cluster.group(f"service:{service['serviceName']}")
        service["runningCount"] = len(tasks)
        owners = itertools.chain(service["deployments"], service["taskSets"])
        for owner in owners:
            owner["runningCount"] = sum(task["startedBy"] == owner["id"] for task in tasks)
            wanted = owner.get("computedDesiredCount", owner.get("desiredCount", 0))
            owner["pendingCount"] = max(wanted - owner["runningCount"], 0)
        service["pendingCount"] = max(service["desiredCount"] - service["runningCount"], 0)

    # --- reading ---

    def list_services(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        arns = [
            service["serviceArn"]
            for service in self.space(call).cluster(given.get("cluster")).services.values()
            if service["status"] == "ACTIVE"
            and given.get("launchType") in (None, service.get("launchType"))
            and given.get("schedulingStrategy") in (None, service["schedulingStrategy"])
        ]
        return listing(call, arns, "serviceArns", default=10)


def _choose_capacity(record: dict[str, Any], given: dict[str, Any], cluster: Cluster) -> None:
    """A launch type, a strategy, else the cluster's default strategy, else EC2: as ECS decides."""
    default = cluster.record.get("defaultCapacityProviderStrategy")
    if given.get("launchType") and given.get("capacityProviderStrategy"):
        raise invalid("Specifying both a launch type and capacity provider strategy is not supported.")
    if given.get("capacityProviderStrategy"):
        record["capacityProviderStrategy"] = given["capacityProviderStrategy"]
        record.pop("launchType", None)
    elif given.get("launchType"):
        record["launchType"] = given["launchType"]
    elif default:
        record["capacityProviderStrategy"] = default
    else:
        record["launchType"] = "EC2"


def _least_loaded(cluster: Cluster, launch_type: str) -> dict[str, Any] | None:
    """The active instance with the fewest tasks; CPU and memory are not counted. On-premises ids start with mi-."""
    external = launch_type == "EXTERNAL"
    fit = [
        instance
        for instance in cluster.instances.values()
        if instance["status"] == "ACTIVE" and instance["ec2InstanceId"].startswith("mi-") == external
    ]
    return min(fit, key=lambda instance: instance["runningTasksCount"], default=None)
