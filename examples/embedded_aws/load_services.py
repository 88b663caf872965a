"""Plays services: the short YAML of one becomes a task definition, a target group and an ECS service."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from embedded_aws.contract import Call
from embedded_aws.direct import Direct, seed
from embedded_aws.ecs import Ecs
from embedded_aws.yaml_files import OrganizationError, known, overlay

if TYPE_CHECKING:
    from embedded_aws.load_images import ImageLoader

_SERVICE_KEYS = {
    "cluster", "image", "port", "role", "execution_role", "groups", "subnets", "public_ip", "behind", "desired",
    "launch", "network_mode", "pid_mode", "privileged", "capabilities", "mounts", "environment", "secrets", "user",
    "read_only_root", "tags", "sidecars", "container", "task_definition", "rollout_tasks", "task_sets",
    "execute_command",
}  # fmt: skip
_MOUNT_KEYS = {"path", "read_only", "at"}
_SIDECAR_KEYS = {"image", "environment", "secrets", "port", "privileged"}


@dataclass
class Place:
    """What exists in one account and Region, by the names the YAML uses."""

    account_id: str
    region: str
    vpc: str
    cidr: str
    subnets: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    applied_groups: dict[str, dict[Any, Any]] = field(default_factory=dict)
    listeners: dict[str, str] = field(default_factory=dict)
    clusters: set[str] = field(default_factory=set)
    denied_ports: set[int] = field(default_factory=set)

    def group(self, name: str) -> str:
        if name not in self.groups:
            raise OrganizationError(f"account {self.account_id}, {self.region}: no group {name!r} under `groups`")
        return self.groups[name]


class ServiceLoader:
    """Keeps the services of one account and Region as the night's YAML says."""

    def __init__(self, place: Place, where: str, direct: Direct, ecs: Ecs, images: ImageLoader) -> None:
        self._place = place
        self._where = where
        self._direct = direct
        self._ecs = ecs
        self._images = images
        self._applied: dict[str, dict[str, Any]] = {}
        self._revisions: dict[str, str] = {}
        self._definitions: dict[str, dict[str, Any]] = {}

    def play(self, services: dict[str, dict[str, Any]]) -> None:
        for name in self._applied.keys() - services.keys():
            cluster = self._applied.pop(name)["cluster"]
            self._call("DeleteService", cluster=cluster, service=name, force=True)
        for name, service in services.items():
            known(service, _SERVICE_KEYS, f"{self._where}, service {name}")
            if self._applied.get(name) != service:
                self._play_one(name, service)
                self._applied[name] = service

    def _play_one(self, name: str, service: dict[str, Any]) -> None:
        if "task_sets" in service:
            self._play_task_sets(name, service)
            return
        definition = self._definition(name, service)
        if self._definitions.get(name) != definition:
            answer = self._call("RegisterTaskDefinition", **definition)
            self._revisions[name] = answer["taskDefinition"]["taskDefinitionArn"]
            self._definitions[name] = definition
        wanted: dict[str, Any] = {
            "cluster": service["cluster"],
            "taskDefinition": self._revisions[name],
            "desiredCount": service.get("desired", 1),
        }
        if definition.get("networkMode") == "awsvpc":
            wanted["networkConfiguration"] = {"awsvpcConfiguration": self._network(service)}
        before = self._applied.get(name)
        if before is None:
            self._create(name, service, definition, wanted)
            return
        # A changed number of tasks alone starts no new deployment, so only what changed is sent.
        if self._network(before) == self._network(service):
            wanted.pop("networkConfiguration", None)
        if definition == self._definition(name, before):
            wanted.pop("taskDefinition")
        call = self._prepared("UpdateService", service=name, **wanted)
        if "rollout_tasks" in service:
            self._ecs.deploy_midway(call, service["rollout_tasks"])
        else:
            self._ecs.call(call)

    def _play_task_sets(self, name: str, service: dict[str, Any]) -> None:
        """A service of an external deployment controller: `task_sets` is percent → what that set has differently."""
        if name in self._applied:
            raise OrganizationError(f"{self._where}, service {name}: a service with task_sets cannot change")
        common = {key: value for key, value in service.items() if key != "task_sets"}
        self._call(
            "CreateService",
            cluster=service["cluster"],
            serviceName=name,
            desiredCount=service.get("desired", 1),
            deploymentController={"type": "EXTERNAL"},
            tags=_tags(service),
        )
        for percent, difference in service["task_sets"].items():
            one = overlay(common, difference or {})
            known(one, _SERVICE_KEYS, f"{self._where}, service {name}, task set {percent}")
            registered = self._call("RegisterTaskDefinition", **self._definition(name, one))
            self._call(
                "CreateTaskSet",
                cluster=service["cluster"],
                service=name,
                taskDefinition=registered["taskDefinition"]["taskDefinitionArn"],
                launchType=_launch_type(one),
                networkConfiguration={"awsvpcConfiguration": self._network(one)},
                scale={"value": float(percent), "unit": "PERCENT"},
            )

    def _create(self, name: str, service: dict[str, Any], definition: dict[str, Any], wanted: dict[str, Any]) -> None:
        wanted |= {"serviceName": name, "launchType": _launch_type(service), "tags": _tags(service)}
        if "execute_command" in service:
            wanted["enableExecuteCommand"] = service["execute_command"]
        if "behind" in service:
            container = definition["containerDefinitions"][0]
            wanted["loadBalancers"] = [
                {
                    "targetGroupArn": self._target_group(name, service),
                    "containerName": container["name"],
                    "containerPort": service["port"],
                }
            ]
        self._call("CreateService", **wanted)

    def _target_group(self, name: str, service: dict[str, Any]) -> str:
        """A target group that the balancer forwards `/<service>/*` to."""
        place, balancer = self._place, service["behind"]
        if balancer not in place.listeners:
            raise OrganizationError(f"{self._where}, service {name}: no load balancer {balancer!r}")

        def elb(operation: str, **parameters: Any) -> Any:
            return self._direct.call(place.account_id, place.region, "elbv2", operation, **parameters)

        listener = place.listeners[balancer]
        kind = "ip" if _network_mode(service) == "awsvpc" else "instance"
        created = elb(
            "create_target_group",
            Name=name[:32],
            Protocol="HTTP",
            Port=service["port"],
            VpcId=place.vpc,
            TargetType=kind,
        )
        arn = str(created["TargetGroups"][0]["TargetGroupArn"])
        priority = len(elb("describe_rules", ListenerArn=listener)["Rules"])
        elb(
            "create_rule",
            ListenerArn=listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [f"/{name}/*"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": arn}],
        )
        return arn

    # --- the task definition ---

    def _definition(self, name: str, service: dict[str, Any]) -> dict[str, Any]:
        """RegisterTaskDefinition's parameters. `task_definition` and `container` are laid over what is made here."""
        account_id = self._place.account_id
        main = self._container(name, name, service)
        volumes = []
        for number, mount in enumerate(service.get("mounts", [])):
            known(mount, _MOUNT_KEYS, f"{self._where}, service {name}, mount")
            volume = f"volume-{number}"
            # `path: null` is a volume with an empty host: Docker's own storage, not the instance's files.
            host = {"sourcePath": mount["path"]} if mount.get("path") else {}
            volumes.append({"name": volume, "host": host})
            main.setdefault("mountPoints", []).append(
                {
                    "sourceVolume": volume,
                    "containerPath": mount.get("at") or mount.get("path") or "/data",
                    "readOnly": mount.get("read_only", False),
                }
            )
        for key, member in (
            ("privileged", "privileged"),
            ("user", "user"),
            ("read_only_root", "readonlyRootFilesystem"),
        ):
            if key in service:
                main[member] = service[key]
        if "capabilities" in service:
            main["linuxParameters"] = {"capabilities": {"add": service["capabilities"]}}
        main |= service.get("container", {})
        sidecars = [self._container(name, sidecar, what) for sidecar, what in service.get("sidecars", {}).items()]
        definition: dict[str, Any] = {"family": name, "containerDefinitions": [main, *sidecars], "volumes": volumes}
        mode = _network_mode(service)
        if mode is not None:
            definition["networkMode"] = mode
        if _launch_type(service) == "FARGATE":
            definition |= {"requiresCompatibilities": ["FARGATE"], "cpu": "512", "memory": "1024"}
        if "pid_mode" in service:
            definition["pidMode"] = service["pid_mode"]
        for key, member in (("role", "taskRoleArn"), ("execution_role", "executionRoleArn")):
            if key in service:
                definition[member] = f"arn:aws:iam::{account_id}:role/{service[key]}"
        return definition | service.get("task_definition", {})

    def _container(self, service_name: str, name: str, what: dict[str, Any]) -> dict[str, Any]:
        if name != service_name:
            known(what, _SIDECAR_KEYS, f"{self._where}, service {service_name}, sidecar {name}")
        place = self._place
        container: dict[str, Any] = {
            "name": name,
            "image": self._images.reference(what["image"], place.region, f"{self._where}, service {service_name}"),
            "memory": 512,
            "essential": name == service_name,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": f"/ecs/{service_name}", "awslogs-region": place.region},
            },
        }
        if "port" in what:
            container["portMappings"] = [{"containerPort": what["port"]}]
        if "privileged" in what:
            container["privileged"] = what["privileged"]
        if "environment" in what:
            container["environment"] = [
                {"name": key, "value": made_up(str(value), f"{place.account_id}/{service_name}/{key}")}
                for key, value in what["environment"].items()
            ]
        if "secrets" in what:
            prefix = f"arn:aws:secretsmanager:{place.region}:{place.account_id}:secret:{service_name}"
            container["secrets"] = [{"name": key, "valueFrom": f"{prefix}/{key}-AbCdEf"} for key in what["secrets"]]
        return container

    def _network(self, service: dict[str, Any]) -> dict[str, Any]:
        kind = service.get("subnets", "private")
        network: dict[str, Any] = {
            "subnets": [self._place.subnets[f"{kind}-a"], self._place.subnets[f"{kind}-b"]],
            "securityGroups": [self._place.group(group) for group in service.get("groups", ["internal"])],
        }
        if _launch_type(service) == "FARGATE":
            network["assignPublicIp"] = "ENABLED" if service.get("public_ip") else "DISABLED"
        return network

    def _prepared(self, operation: str, **parameters: Any) -> Call:
        place = self._place
        seed(place.account_id, place.region, operation, repr(parameters))
        return Call(place.account_id, place.region, "ecs", operation, parameters)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._ecs.call(self._prepared(operation, **parameters))


def _tags(service: dict[str, Any]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in service.get("tags", {}).items()]


def _launch_type(service: dict[str, Any]) -> str:
    return str(service.get("launch", "fargate")).upper()


def _network_mode(service: dict[str, Any]) -> str | None:
    """awsvpc on Fargate; on EC2 absent (which means bridge) unless written."""
    default = "awsvpc" if _launch_type(service) == "FARGATE" else None
    mode: str | None = service.get("network_mode", default)
    return mode


_ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_PREFIXES = {
    "aws-access-key": ("AKIA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
    "aws-secret-key": ("", _ALPHANUMERIC + "/+", 40),
    "github-token": ("ghp_", _ALPHANUMERIC, 36),
    "stripe-key": ("sk_live_", _ALPHANUMERIC, 24),
    "alphanumeric": ("", _ALPHANUMERIC, 24),
    "password": ("", _ALPHANUMERIC + "!-", 18),
}


def made_up(value: str, seed_text: str) -> str:
    """Replace a value `made-up <kind>` by a secret of that kind's form, the same on every run.

    The sample holds no secret-looking text itself, so that scanners of this repository stay quiet.
    """
    word, _, kind = value.partition(" ")
    if word != "made-up":
        return value
    if kind == "private-key":
        body = made_up("made-up aws-secret-key", seed_text) * 3
        return f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    if kind == "slack-token":
        numbers = "".join(str(byte % 10) for byte in hashlib.sha256(seed_text.encode()).digest()[:24])
        return f"xoxb-{numbers[:12]}-{numbers[12:]}-{made_up('made-up alphanumeric', seed_text)}"
    if kind == "database-url":
        return f"postgres://app:{made_up('made-up alphanumeric', seed_text)}@db.internal:5432/app"
    if kind not in _PREFIXES:
        kinds = sorted([*_PREFIXES, "private-key", "database-url"])
        raise OrganizationError(f"no made-up value of kind {kind!r}; known are {kinds}")
    prefix, alphabet, length = _PREFIXES[kind]
    digest = hashlib.sha512(seed_text.encode()).digest()
    return prefix + "".join(alphabet[byte % len(alphabet)] for byte in digest[:length])
