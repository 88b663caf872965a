"""Amazon ECS as a scanner meets it: AWS's pages, batch limits and failures, tasks with digests and interfaces.

moto's ECS starts no tasks for a service, keeps one container of a task and no digest. State is per account and
Region; what CreateService asks for runs at once. Limits and errors are those of the ECS API reference.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from moto.moto_api._internal import mock_random

from embedded_aws import ecs_definitions
from embedded_aws.contract import AwsError, Call
from embedded_aws.ecs_services import Services
from embedded_aws.ecs_store import Cluster, Space, at_most, found, listing
from embedded_aws.state import dispatch, pack, unpack

# What ECS fills in, and gives back, where a container definition is silent.
_CONTAINER_DEFAULTS: dict[str, Any] = {
    "cpu": 0,
    "essential": True,
    "portMappings": [],
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
}


class Ecs(Services):
    def call(self, call: Call) -> dict[str, Any]:
        with self.lock:  # the answer is encoded after this returns, while other threads may write: copy it
            return copy.deepcopy(dispatch(self, call))

    # --- clusters ---

    def create_cluster(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        name = given.get("clusterName", "default")
        if name not in space.clusters:
            record: dict[str, Any] = {
                "clusterArn": space.arn(f"cluster/{name}"),
                "clusterName": name,
                "status": "ACTIVE",
                "settings": given.get("settings", []),
                "capacityProviders": given.get("capacityProviders", []),
                "defaultCapacityProviderStrategy": given.get("defaultCapacityProviderStrategy", []),
                "statistics": [],
            }
            if "configuration" in given:
                record["configuration"] = given["configuration"]
            space.clusters[name] = Cluster(record)
            if given.get("tags"):
                space.tags[record["clusterArn"]] = given["tags"]
        return {"cluster": self._described(space.clusters[name])}

    def list_clusters(self, call: Call) -> dict[str, Any]:
        arns = [cluster.record["clusterArn"] for cluster in self.space(call).clusters.values()]
        return listing(call, arns, "clusterArns", default=100)

    def describe_clusters(self, call: Call) -> dict[str, Any]:
        space = self.space(call)
        references = at_most(call.parameters.get("clusters") or ["default"], 100, "Clusters")
        known = {name: self._described(cluster) for name, cluster in space.clusters.items()}
        names = [reference.rpartition("/")[2] for reference in references]
        records, failures = found(names, known, lambda name: space.arn(f"cluster/{name}"))
        if "TAGS" in call.parameters.get("include", []):
            records = [record | {"tags": space.tags_of(record["clusterArn"])} for record in records]
        return {"clusters": records, "failures": failures}

    @staticmethod
    def _described(cluster: Cluster) -> dict[str, Any]:
        active = [service for service in cluster.services.values() if service["status"] == "ACTIVE"]
        return cluster.record | {
            "registeredContainerInstancesCount": len(cluster.instances),
            "runningTasksCount": len(cluster.tasks),
            "pendingTasksCount": sum(service["pendingCount"] for service in active),
            "activeServicesCount": len(active),
        }

    # --- services and tasks, read ---

    def describe_services(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        references = at_most(given["services"], 10, "Services")
        names = [reference.rpartition("/")[2] for reference in references]
        prefix = f"service/{cluster.record['clusterName']}"
        records, failures = found(names, cluster.services, lambda name: space.arn(f"{prefix}/{name}"))
        if "TAGS" in given.get("include", []):
            records = [record | {"tags": space.tags_of(record["serviceArn"])} for record in records]
        return {"services": records, "failures": failures}

    def list_tasks(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        if "serviceName" in given:
            service = space.service(cluster, given["serviceName"])
            tasks = cluster.group(f"service:{service['serviceName']}")
        else:
            tasks = list(cluster.tasks.values())
        family = given.get("family")
        arns = [
            task["taskArn"]
            for task in tasks
            if task["desiredStatus"] == given.get("desiredStatus", "RUNNING")
            and given.get("launchType") in (None, task["launchType"])
            and given.get("startedBy") in (None, task["startedBy"])
            and given.get("containerInstance", "").rpartition("/")[2]
            in ("", task.get("containerInstanceArn", "").rpartition("/")[2])
            and family in (None, task["taskDefinitionArn"].rpartition("/")[2].rpartition(":")[0])
        ]
        return listing(call, arns, "taskArns", default=100)

    def describe_tasks(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        prefix = space.arn(f"task/{cluster.record['clusterName']}/")
        references = [prefix + name.rpartition("/")[2] for name in at_most(given["tasks"], 100, "Tasks")]
        records, failures = found(references, cluster.tasks, str)
        return {"tasks": records, "failures": failures}

    # --- task definitions ---

    def register_task_definition(self, call: Call) -> dict[str, Any]:
        given, space = copy.deepcopy(call.parameters), self.space(call)
        ecs_definitions.check(given)
        tags = given.pop("tags", [])
        family = given["family"]
        revision = space.revisions.get(family, 0) + 1
        name = f"{family}:{revision}"
        definition = {
            "volumes": [],
            "placementConstraints": [],
            "compatibilities": ecs_definitions.compatibilities(given),
            **given,
            "taskDefinitionArn": space.arn(f"task-definition/{name}"),
            "revision": revision,
            "status": "ACTIVE",
            "registeredAt": self.now(),
            "registeredBy": f"arn:aws:iam::{call.account_id}:role/deployer",
        }
        awsvpc = given.get("networkMode") == "awsvpc"
        definition["containerDefinitions"] = [_container(one, awsvpc) for one in given["containerDefinitions"]]
        space.definitions[name] = definition
        space.latest[family] = space.revisions[family] = revision
        if tags:
            space.tags[definition["taskDefinitionArn"]] = tags
        return {"taskDefinition": definition, "tags": tags}

    def deregister_task_definition(self, call: Call) -> dict[str, Any]:
        space = self.space(call)
        definition = space.definition(call.parameters["taskDefinition"])
        definition |= {"status": "INACTIVE", "deregisteredAt": self.now()}
        family = definition["family"]
        active = [
            one["revision"]
            for one in space.definitions.values()
            if one["family"] == family and one["status"] == "ACTIVE"
        ]
        space.latest[family] = max(active, default=0)
        return {"taskDefinition": definition}

    def describe_task_definition(self, call: Call) -> dict[str, Any]:
        space = self.space(call)
        definition = space.definition(call.parameters["taskDefinition"])
        tagged = "TAGS" in call.parameters.get("include", [])
        return {"taskDefinition": definition} | (
            {"tags": space.tags_of(definition["taskDefinitionArn"])} if tagged else {}
        )

    def list_task_definitions(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        prefix = given.get("familyPrefix")
        arns = [
            one["taskDefinitionArn"]
            for one in self.space(call).definitions.values()
            if one["status"] == given.get("status", "ACTIVE") and prefix in (None, one["family"])
        ]
        return listing(call, arns, "taskDefinitionArns", default=100)

    # --- container instances and capacity ---

    def register_container_instance(self, call: Call) -> dict[str, Any]:
        """As the agent does it: `instanceIdentityDocument` names the instance (`mi-…` is on-premises)."""
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        document = json.loads(given.get("instanceIdentityDocument", "{}"))
        if "instanceId" not in document:
            raise AwsError("ClientException", "instanceIdentityDocument names no instanceId.")
        instance_arn = space.arn(f"container-instance/{cluster.record['clusterName']}/{mock_random.uuid4().hex}")
        instance: dict[str, Any] = {
            "containerInstanceArn": instance_arn,
            "ec2InstanceId": document["instanceId"],
            "status": "ACTIVE",
            "agentConnected": True,
            "runningTasksCount": 0,
            "pendingTasksCount": 0,
            "version": 3,
            "versionInfo": given.get(
                "versionInfo", {"agentVersion": "1.99.0", "dockerVersion": "DockerVersion: 25.0.8"}
            ),
            "registeredAt": self.now(),
            "attributes": given.get("attributes", [{"name": "ecs.os-type", "value": "linux"}]),
            "registeredResources": given.get("totalResources", []),
            "remainingResources": given.get("totalResources", []),
            "tags": given.get("tags", []),
        }
        cluster.instances[instance_arn] = instance
        return {"containerInstance": instance}

    def list_container_instances(self, call: Call) -> dict[str, Any]:
        cluster = self.space(call).cluster(call.parameters.get("cluster"))
        status = call.parameters.get("status", "ACTIVE")
        arns = [arn for arn, instance in cluster.instances.items() if instance["status"] == status]
        return listing(call, arns, "containerInstanceArns", default=100)

    def describe_container_instances(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        cluster = space.cluster(given.get("cluster"))
        prefix = space.arn(f"container-instance/{cluster.record['clusterName']}/")
        wanted = at_most(given["containerInstances"], 100, "Container instances")
        records, failures = found([prefix + name.rpartition("/")[2] for name in wanted], cluster.instances, str)
        return {"containerInstances": records, "failures": failures}

    def create_capacity_provider(self, call: Call) -> dict[str, Any]:
        given, space = call.parameters, self.space(call)
        provider = _provider(space, given["name"])
        for key in ("autoScalingGroupProvider", "tags"):
            if key in given:
                provider[key] = given[key]
        space.capacity_providers[given["name"]] = provider
        return {"capacityProvider": provider}

    def describe_capacity_providers(self, call: Call) -> dict[str, Any]:
        space = self.space(call)
        known = {name: _provider(space, name) for name in ("FARGATE", "FARGATE_SPOT")} | space.capacity_providers
        references = call.parameters.get("capacityProviders")
        if references is None:
            return listing(call, list(known.values()), "capacityProviders", default=10, largest=10) | {"failures": []}
        names = [reference.rpartition("/")[2] for reference in at_most(references, 100, "Capacity providers")]
        records, failures = found(names, known, lambda name: space.arn(f"capacity-provider/{name}"))
        return {"capacityProviders": records, "failures": failures}

    # --- tags ---

    def tag_resource(self, call: Call) -> dict[str, Any]:
        tags = self.space(call).tags
        resource_arn = call.parameters["resourceArn"]
        given = {tag["key"]: tag for tag in [*tags.get(resource_arn, []), *call.parameters["tags"]]}
        tags[resource_arn] = list(given.values())
        return {}

    def untag_resource(self, call: Call) -> dict[str, Any]:
        tags = self.space(call).tags
        resource_arn, gone = call.parameters["resourceArn"], call.parameters["tagKeys"]
        tags[resource_arn] = [tag for tag in tags.get(resource_arn, []) if tag["key"] not in gone]
        return {}

    def list_tags_for_resource(self, call: Call) -> dict[str, Any]:
        return {"tags": self.space(call).tags_of(call.parameters["resourceArn"])}

    # --- state between runs ---

    def dump(self) -> dict[str, Any]:
        spaces = []
        with self.lock:
            for space in self.spaces.values():
                clusters = {name: vars(cluster) for name, cluster in space.clusters.items()}
                spaces.append(pack(vars(space) | {"clusters": clusters}))
        return {"spaces": spaces}

    def restore(self, state: dict[str, Any]) -> None:
        self.spaces = {}
        for packed in state.get("spaces", []):
            plain = unpack(packed)
            plain["clusters"] = {name: Cluster(**fields) for name, fields in plain["clusters"].items()}
            self.spaces[plain["account_id"], plain["region"]] = Space(**plain)


def _container(given: dict[str, Any], awsvpc: bool) -> dict[str, Any]:
    """A container definition as ECS gives it back, with the defaults it fills in."""
    container = {**copy.deepcopy(_CONTAINER_DEFAULTS), **given}
    for mapping in container["portMappings"]:
        mapping.setdefault("protocol", "tcp")
        if awsvpc and "containerPort" in mapping:
            mapping["hostPort"] = mapping["containerPort"]
        else:
            mapping.setdefault("hostPort", 0)
    return container


def _provider(space: Space, name: str) -> dict[str, Any]:
    kind = name if name.startswith("FARGATE") else "EC2_AUTOSCALING"
    arn = space.arn(f"capacity-provider/{name}")
    return {"capacityProviderArn": arn, "name": name, "status": "ACTIVE", "type": kind}
