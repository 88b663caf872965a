"""The ECS fake's state, per account and Region, and how references in calls are resolved to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from embedded_aws.contract import AwsError, Call
from embedded_aws.ecs_tasks import arn
from embedded_aws.state import page

MISSING = "MISSING"


@dataclass
class Cluster:
    """A cluster in DescribeClusters' shape with what lives in it, by name or ARN."""

    record: dict[str, Any]
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks_of: dict[str, dict[str, None]] = field(default_factory=dict)
    """Task ARNs by group (`service:<name>`), in the order they started."""

    def add_task(self, task: dict[str, Any]) -> None:
        self.tasks[task["taskArn"]] = task
        self.tasks_of.setdefault(task["group"], {})[task["taskArn"]] = None

    def remove_task(self, task: dict[str, Any]) -> None:
        del self.tasks[task["taskArn"]]
        del self.tasks_of[task["group"]][task["taskArn"]]

    def group(self, name: str) -> list[dict[str, Any]]:
        return [self.tasks[task_arn] for task_arn in self.tasks_of.get(name, {})]


@dataclass
class Space:
    """Everything of one account and Region. `definitions` is by "family:revision", in order of registration."""

    account_id: str
    region: str
    clusters: dict[str, Cluster] = field(default_factory=dict)
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    """The highest revision ever given out, by family: numbers are not used twice."""
    latest: dict[str, int] = field(default_factory=dict)
    """The highest active revision by family, 0 when none is."""
    capacity_providers: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def arn(self, resource: str) -> str:
        return arn(self.account_id, self.region, resource)

    def cluster(self, reference: str | None) -> Cluster:
        name = (reference or "default").rpartition("/")[2]
        if name not in self.clusters:
            raise AwsError("ClusterNotFoundException", "Cluster not found.")
        return self.clusters[name]

    def service(self, cluster: Cluster, reference: str) -> dict[str, Any]:
        service = cluster.services.get(reference.rpartition("/")[2])
        if service is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        return service

    def definition(self, reference: str) -> dict[str, Any]:
        """By ARN, `family:revision`, or `family` for its latest active revision."""
        name = reference.rpartition("task-definition/")[2]
        if ":" not in name:
            name = f"{name}:{self.latest.get(name, 0)}"
        if name not in self.definitions:
            raise AwsError("ClientException", "Unable to describe task definition.")
        return self.definitions[name]

    def tags_of(self, resource_arn: str) -> list[dict[str, str]]:
        return [dict(tag) for tag in self.tags.get(resource_arn, [])]


class EcsState:
    """The spaces behind the fake, its lock and its clock."""

    def __init__(self) -> None:
        self.spaces: dict[tuple[str, str], Space] = {}
        self.lock = threading.RLock()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The clock behind createdAt, startedAt and registeredAt; an organisation's loader sets its own."""

    def space(self, call: Call) -> Space:
        key = (call.account_id, call.region)
        if key not in self.spaces:
            self.spaces[key] = Space(*key)
        return self.spaces[key]


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def listing(call: Call, items: list[Any], member: str, default: int, largest: int = 100) -> dict[str, Any]:
    """One page of a List operation; `maxResults` beyond the service's limit is refused."""
    size = call.parameters.get("maxResults", default)
    if not 1 <= size <= largest:
        raise invalid(f"maxResults must be between 1 and {largest}")
    shown, token = page(items, call.parameters.get("nextToken"), size, "InvalidParameterException")
    return {member: shown} | ({"nextToken": token} if token else {})


def at_most(references: list[str], limit: int, what: str) -> list[str]:
    if not references:
        raise invalid(f"{what} cannot be empty.")
    if len(references) > limit:
        raise invalid(f"{what} can have at most {limit} items.")
    return references


def found(
    references: Iterable[str], known: dict[str, dict[str, Any]], missing_arn: Any
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """(records, failures) of a Describe operation; `missing_arn` makes an unknown reference an ARN."""
    records, failures = [], []
    for reference in references:
        record = known.get(reference)
        if record is None:
            failures.append({"arn": missing_arn(reference), "reason": MISSING})
        else:
            records.append(record)
    return records, failures
