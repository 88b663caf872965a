"""Task definitions in force, flattened and judged once: a revision never changes, so its rows are kept by extractor
version.

What a definition holds in clear (environment, command, health check, labels, log, FireLens and driver options) is
judged by `credentials` and dropped here.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors import credentials
from ecs_exposure.collectors.base import Collector, Context, Row, Rows, moment, required, text_of, whole
from ecs_exposure.collectors.ecs import ports
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import Settings

EXTRACTOR_VERSION = "2"
"""Raise it whenever flatten or the credential detector would give other rows: every definition is then described
again.
"""

DATASETS = ("task_definition", "container", "volume", "credential")
KEYS = {name: SNAPSHOTS[name].key[1:] for name in DATASETS}  # without the task definition, which is the same for all
_GONE = re.compile(r"unable to describe task definition", re.IGNORECASE)
_ON_WINDOWS = re.compile(r"ecs\.os-type\s{0,9}==\s{0,9}windows", re.IGNORECASE)
_ABSOLUTE = re.compile(r"/(?!/)|[A-Za-z]:[\\/]|\\\\\.\\pipe\\|//\./pipe/")


def collect_definitions(context: Context) -> Rows:
    """Rows of task_definition, container, volume and credential: every revision that a service, deployment, task set
    or running task names. Revisions known from an earlier day (`known_definitions`) are not described again.

    One that ECS no longer describes, or that cannot be read in two tries, is named in the message; its service keeps
    its row and what the definition would have told is unknown. The others are read all the same: whoever owns a
    workload must not blind the scan for everyone in the account.
    """
    ecs = context.client("ecs")
    named = {
        row["task_definition_arn"]
        for dataset in ("service", "deployment", "task")
        for row in context.rows.get(dataset, [])
        if row["task_definition_arn"]
    }
    gone: list[str] = []
    unread: dict[str, str] = {}
    for arn in sorted(named):
        known = context.known_definitions.get(arn)
        if known is not None and _is_current(known, extractor_version(context.fingerprint_key)):
            for dataset in DATASETS:
                for row in known.get(dataset, []):
                    yield dataset, {**row, "observed_date": context.snapshot_date}
            continue
        definition, why_not = _described(ecs, arn)
        if definition is not None:
            yield from flatten(
                definition | {"taskDefinitionArn": arn},
                settings=context.settings,
                account_id=context.target.account_id,
                region=context.target.region,
                snapshot_date=context.snapshot_date,
                fingerprint_key=context.fingerprint_key,
            )
        elif why_not:
            unread[arn] = why_not
        else:
            gone.append(arn.rpartition("/")[2])
    if gone:
        context.note("task_definition", f"{len(gone)} named by a service but deleted in ECS: {', '.join(gone[:5])}")
    if unread:
        told = "; ".join(f"{arn.rpartition('/')[2]}: {why}" for arn, why in sorted(unread.items())[:3])
        context.note("task_definition", f"{len(unread)} could not be read, their services' traits are unknown: {told}")


def extractor_version(fingerprint_key: bytes) -> str:
    """What a cached definition must have been flattened by to be taken as it is: this code, with this fingerprint key.

    A new key describes every definition again, so that fingerprints of one night are all of one key.
    """
    return f"{EXTRACTOR_VERSION}-{hmac.new(fingerprint_key, b'extractor_version', 'sha256').hexdigest()[:8]}"


def _is_current(known: Mapping[str, list[Row]], version: str) -> bool:
    definitions = known.get("task_definition", [])
    return bool(definitions) and all(row.get("extractor_version") == version for row in definitions)


def _described(ecs: Any, arn: str) -> tuple[Row | None, str | None]:
    """The definition, asked for again when the answer could not be read; else why not, or neither when it is gone."""
    why_not = None
    for _ in range(2):
        try:
            return _describe(ecs, arn), None
        except IncompleteAnswer as error:
            why_not = str(error)
        except ResponseParserError:  # its text quotes the answer, and with it what the definition holds in clear
            why_not = "DescribeTaskDefinition answered no JSON"
    return None, why_not


def _describe(ecs: Any, arn: str) -> Row | None:
    try:
        answer = ecs.describe_task_definition(taskDefinition=arn)
    except ClientError as error:
        if _GONE.search(str(error.response.get("Error", {}).get("Message", ""))):
            return None
        raise
    definition = required(answer, "taskDefinition", "DescribeTaskDefinition")
    if not isinstance(definition, Mapping):
        raise IncompleteAnswer("DescribeTaskDefinition answered a taskDefinition that is no structure")
    required(definition, "containerDefinitions", "DescribeTaskDefinition")
    return dict(definition)


def flatten(
    definition: Mapping[str, Any],
    *,
    settings: Settings,
    account_id: str,
    region: str,
    snapshot_date: date,
    fingerprint_key: bytes,
) -> Iterator[tuple[str, Row]]:
    """A task definition as rows of task_definition, container, volume and credential.

    Takes DescribeTaskDefinition's shape and what people export and hand-write: nulls, numbers and booleans as text,
    roles by bare name, repeated names (the first container or volume of a name counts, as in ECS; of variables all
    are judged).
    """
    arn = _arn(definition, settings, account_id, region)
    base: Row = {"account_id": account_id, "region": region, "observed_date": snapshot_date, "task_definition_arn": arn}
    family, revision = _family_and_revision(definition, arn)
    yield (
        "task_definition",
        {
            **base,
            "family": family,
            "revision": revision,
            "extractor_version": extractor_version(fingerprint_key),
            "status": text_of(definition.get("status")),
            "network_mode": text_of(definition.get("networkMode")) or "bridge",
            "pid_mode": text_of(definition.get("pidMode")),
            "ipc_mode": text_of(definition.get("ipcMode")),
            "task_role_arn": _role_arn(settings, account_id, definition.get("taskRoleArn")),
            "execution_role_arn": _role_arn(settings, account_id, definition.get("executionRoleArn")),
            "requires_compatibilities": _strings(definition.get("requiresCompatibilities")),
            "operating_system_family": _operating_system(definition),
            "registered_at": moment(definition.get("registeredAt")),
        },
    )
    seen: set[tuple[object, ...]] = set()
    for dataset, row in _parts(definition, base, fingerprint_key):
        names = KEYS[dataset]
        key = (dataset, *(row[name] for name in names))
        if key not in seen:
            seen.add(key)
            yield dataset, row


def _parts(definition: Mapping[str, Any], base: Row, key: bytes) -> Iterator[tuple[str, Row]]:
    for container in _objects(definition.get("containerDefinitions")):
        yield "container", {**base, **_container(container)}
        for found in credentials.detect(container, key):
            yield "credential", {**base, **found}
    for volume in _objects(definition.get("volumes")):
        name = text_of(volume.get("name")) or ""
        yield "volume", {**base, "volume_name": name, **_volume(volume)}
        docker = _object(volume.get("dockerVolumeConfiguration"))
        for member, source in (("driverOpts", "volume_option"), ("labels", "docker_label")):
            for found in credentials.detect_options(name, source, _object(docker.get(member)), key):
                yield "credential", {**base, **found}


def _container(container: Mapping[str, Any]) -> Row:
    capabilities = _object(_object(container.get("linuxParameters")).get("capabilities"))
    return {
        "container_name": text_of(container.get("name")) or "",
        "image": text_of(container.get("image")),
        "is_essential": _flag(container.get("essential"), default=True),
        "is_privileged": _flag(container.get("privileged")),
        "user": text_of(container.get("user")),
        "is_root_filesystem_read_only": _flag(container.get("readonlyRootFilesystem")),
        "capabilities_added": _capabilities(capabilities.get("add")),
        "capabilities_dropped": _capabilities(capabilities.get("drop")),
        "port_mappings": [port for item in _objects(container.get("portMappings")) for port in ports(item)],
        "mount_points": [
            {
                "source_volume": text_of(mount.get("sourceVolume")),
                "container_path": text_of(mount.get("containerPath")),
                "read_only": _flag(mount.get("readOnly")),
            }
            for mount in _objects(container.get("mountPoints"))
        ],
        "environment_count": len(_objects(container.get("environment"))),
        "secret_count": len(_objects(container.get("secrets"))),
        "environment_file_count": len(_objects(container.get("environmentFiles"))),
    }


_VOLUME_KINDS = (
    ("efsVolumeConfiguration", "efs"),
    ("fsxWindowsFileServerVolumeConfiguration", "fsx"),
    ("s3filesVolumeConfiguration", "s3files"),
)


def _volume(volume: Mapping[str, Any]) -> Row:
    """Only `host.sourcePath` and a docker volume that binds a device expose the host; `host: {}` is an ephemeral
    volume.
    """
    for member, kind in _VOLUME_KINDS:
        if volume.get(member) is not None:
            return {"kind": kind, "host_path": None, "driver": None}
    if volume.get("dockerVolumeConfiguration") is not None:
        docker = _object(volume["dockerVolumeConfiguration"])
        return {"kind": "docker", "host_path": _bound(docker), "driver": text_of(docker.get("driver"))}
    if _flag(volume.get("configuredAtLaunch")):
        return {"kind": "configured_at_launch", "host_path": None, "driver": None}
    path = text_of(_object(volume.get("host")).get("sourcePath"))
    return {"kind": "host" if path else "ephemeral", "host_path": path, "driver": None}


def _bound(docker: Mapping[str, Any]) -> str | None:
    """The host's path that a docker volume binds (driver options type none, o bind, device PATH), if it is a plain
    path.

    A device that is no absolute path may be a network share with its credentials: options are never kept.
    """
    options = {str(name).lower(): text_of(value) or "" for name, value in _object(docker.get("driverOpts")).items()}
    flags = re.split(r"[,\s]+", options.get("o", ""))
    device = options.get("device", "").strip()
    is_bind = "bind" in flags or "rbind" in flags or options.get("type") == "bind"
    return device if is_bind and _ABSOLUTE.match(device) else None


# --- shapes -------------------------------------------------------------------------------------------------


def _arn(definition: Mapping[str, Any], settings: Settings, account_id: str, region: str) -> str:
    if arn := text_of(definition.get("taskDefinitionArn")):
        return arn
    family, revision = text_of(definition.get("family")) or "unknown", whole(definition.get("revision")) or 0
    return f"arn:{settings.partition}:ecs:{region}:{account_id}:task-definition/{family}:{revision}"


def _family_and_revision(definition: Mapping[str, Any], arn: str) -> tuple[str, int]:
    family, _, revision = arn.rpartition("/")[2].partition(":")
    number = whole(definition.get("revision"))
    return text_of(definition.get("family")) or family, (whole(revision) or 0) if number is None else number


def _operating_system(definition: Mapping[str, Any]) -> str | None:
    """The family of the runtime platform; older Windows definitions say it by a placement constraint alone."""
    if family := text_of(_object(definition.get("runtimePlatform")).get("operatingSystemFamily")):
        return family.upper()
    expressions = (text_of(item.get("expression")) or "" for item in _objects(definition.get("placementConstraints")))
    return "WINDOWS" if any(map(_ON_WINDOWS.search, expressions)) else None


def _role_arn(settings: Settings, account_id: str, role: object) -> str | None:
    """A role's ARN: ECS also accepts a bare name (of this account, without its path), and an empty string for none."""
    name = text_of(role)
    if name is None or name.startswith("arn:"):
        return name
    return settings.role_arn(account_id, name.lstrip("/"))


def _flag(value: object, *, default: bool = False) -> bool:
    if value is None:
        return default
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _strings(value: object) -> list[str]:
    return [text for item in value if (text := text_of(item))] if isinstance(value, list) else []


def _capabilities(value: object) -> list[str]:
    return sorted({item.strip().upper().removeprefix("CAP_") for item in _strings(value)})


DEFINITIONS = Collector(
    "ecs_task_definitions",
    "ecs",
    DATASETS,
    "region",
    collect_definitions,
    needs=("service", "deployment"),
    uses=("task",),
)
