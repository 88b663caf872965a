"""What ECS accepts as a task definition (RegisterTaskDefinition), and where it could run.

Source: Amazon ECS developer guide, task definition parameters and the differences for Fargate; messages are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from embedded_aws.contract import AwsError
from embedded_aws.protocol import service_model

# Task CPU units → permitted memory in MiB (developer guide, "Task CPU and memory" for Fargate).
_FARGATE_SIZES = {
    256: [512, 1024, 2048],
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


def refuse(message: str) -> AwsError:
    return AwsError("ClientException", message)


def check(definition: dict[str, Any]) -> None:
    """Raise ClientException when ECS would not register this definition."""
    shape = service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    assert shape is not None
    for name, value, allowed in _enum_violations(shape, definition):
        raise refuse(f"Invalid value '{value}' for {name}. Valid values: {', '.join(allowed)}.")
    if not _NAME.fullmatch(definition.get("family", "")):
        raise refuse("Family should be 1 to 255 letters, numbers, hyphens and underscores.")
    containers = definition.get("containerDefinitions") or []
    if not containers:
        raise refuse("Container list cannot be empty.")
    if not any(container.get("essential", True) for container in containers):
        raise refuse("A task definition must have at least one essential container.")
    volumes = _unique([volume.get("name") for volume in definition.get("volumes", [])], "volume")
    names = _unique([container.get("name") for container in containers], "container")
    for container in containers:
        _check_container(container, definition, volumes, names)
    if "FARGATE" in definition.get("requiresCompatibilities", []):
        reason = fargate_obstacle(definition)
        if reason:
            raise refuse(reason)


def _unique(names: list[Any], what: str) -> set[str]:
    for name in names:
        if names.count(name) > 1:
            raise refuse(f"Duplicate {what} name '{name}'.")
    return set(names)


def _check_container(container: dict[str, Any], definition: dict[str, Any], volumes: set[str], names: set[str]) -> None:
    name = container.get("name")
    if not name or not _NAME.fullmatch(name):
        raise refuse("Container.name contains invalid characters or is missing.")
    if not container.get("image", "").strip():
        raise refuse(f"Container.image should not be null or empty (container '{name}').")
    memory, reservation = container.get("memory"), container.get("memoryReservation")
    if memory is None and reservation is None and "memory" not in definition:
        raise refuse(
            f"Invalid setting for container '{name}'. "
            "At least one of 'memory' or 'memoryReservation' must be specified."
        )
    if memory is not None and reservation is not None and reservation > memory:
        raise refuse(f"Invalid setting for container '{name}': memoryReservation must not exceed memory.")
    if memory is not None and memory < 4:
        raise refuse(f"Invalid setting for container '{name}': memory must be at least 4 MiB.")
    for mount in container.get("mountPoints", []):
        if mount.get("sourceVolume") not in volumes:
            raise refuse(f"Unknown volume '{mount.get('sourceVolume')}' (container '{name}').")
    for dependency in container.get("dependsOn", []):
        if dependency["containerName"] not in names:
            raise refuse(f"Container '{name}' depends on unknown container '{dependency['containerName']}'.")
    mode = definition.get("networkMode")
    if mode in ("awsvpc", "host"):
        for mapping in container.get("portMappings", []):
            host_port = mapping.get("hostPort")
            if host_port not in (None, 0, mapping.get("containerPort", host_port)):
                raise refuse(f"When networkMode={mode}, the host ports and container ports must match.")
        if container.get("links"):
            raise refuse(f"Links are not supported when networkMode={mode}.")


def fargate_obstacle(definition: dict[str, Any]) -> str | None:
    """Why Fargate would not run this definition, or None."""
    if definition.get("networkMode") != "awsvpc":
        return "Fargate only supports network mode 'awsvpc'."
    cpu, memory = _units(definition.get("cpu"), "vcpu"), _units(definition.get("memory"), "gb")
    if cpu is None or memory is None:
        return "Fargate requires that 'cpu' and 'memory' be defined at the task level."
    if memory not in _FARGATE_SIZES.get(cpu, []):
        return f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory."
    if definition.get("pidMode") == "host":
        return "Fargate compatible task definitions do not support pidMode host."
    if definition.get("ipcMode"):
        return "Fargate compatible task definitions do not support ipcMode."
    for volume in definition.get("volumes", []):
        if (volume.get("host") or {}).get("sourcePath"):
            return f"Fargate compatible task definitions do not support sourcePath (volume '{volume.get('name')}')."
        if "dockerVolumeConfiguration" in volume:
            return "Fargate compatible task definitions do not support dockerVolumeConfiguration."
    for container in definition.get("containerDefinitions", []):
        if container.get("privileged"):
            return "Fargate compatible task definitions do not support privileged containers."
        linux = container.get("linuxParameters", {})
        if set(linux.get("capabilities", {}).get("add", [])) - {"SYS_PTRACE"}:
            return "Fargate compatible task definitions only support adding the SYS_PTRACE capability."
        if linux.get("devices"):
            return "Fargate compatible task definitions do not support devices."
    return None


def _units(text: str | None, unit: str) -> int | None:
    """CPU units or MiB; ECS takes `1024`, `1 vCPU` and `2 GB` alike."""
    if text is None:
        return None
    matched = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*({unit})?\s*", text.lower())
    if matched is None:
        raise refuse(f"Invalid 'cpu' or 'memory' setting '{text}'.")
    return int(float(matched.group(1)) * (1024 if matched.group(2) else 1))


def compatibilities(definition: dict[str, Any]) -> list[str]:
    """The launch types the definition was found fit for (what DescribeTaskDefinition shows)."""
    fit = ["EXTERNAL"] if definition.get("networkMode") != "awsvpc" else []
    fit.append("EC2")
    if fargate_obstacle(definition) is None:
        fit.append("FARGATE")
    return fit


def _enum_violations(shape: Shape, value: Any, name: str = "") -> Iterator[tuple[str, Any, list[str]]]:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for key, item in value.items():
            if key in shape.members:
                yield from _enum_violations(shape.members[key], item, f"{name}.{key}".lstrip("."))
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for item in value:
            yield from _enum_violations(shape.member, item, name)
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        for item in value.values():
            yield from _enum_violations(shape.value, item, name)
    elif (allowed := getattr(shape, "enum", [])) and value not in allowed:
        yield name, value, allowed
