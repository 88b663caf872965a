"""Real task definitions: register those that ECS's own rules accept, scan them, compare the hits with an index.

    PYTHONPATH=plugins:examples python benchmarks/real_org.py --taskdefs DIR [--check]

DIR holds one task definition per file, NNN.json (as RegisterTaskDefinition takes it), and index.jsonl, one object per
file: n, privileged, pid_host, host_network (booleans of the raw text) and host_volumes (its volumes' host.sourcePath).
Each accepted definition becomes a service of the embedded AWS: on Fargate when it was written for Fargate alone or
among others, else on EC2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from measured import in_child

COMPARED = {
    "task_definition_privileged": "privileged",
    "host_process_namespace": "pid_host",
    "host_network_mode": "host_network",
    "root_filesystem_access": "host_volumes",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taskdefs", type=Path, help="folder of NNN.json and index.jsonl")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when something was not seen or disagrees unexplained"
    )
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        return _child(json.loads(arguments.job))
    if arguments.taskdefs is None:
        parser.error("--taskdefs is required")
    with tempfile.TemporaryDirectory(prefix="real-org-") as folder:
        return _measure(arguments, Path(folder))


def _measure(arguments: argparse.Namespace, folder: Path) -> int:
    from embedded_aws import EmbeddedAws
    from embedded_aws.organization import sample_settings
    from embedded_org import write_organization
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    paths = sorted(arguments.taskdefs.glob("[0-9]*.json"))
    with open(arguments.taskdefs / "index.jsonl", encoding="utf-8") as handle:
        index = {item["n"]: item for item in map(json.loads, handle)}
    organization = write_organization(folder / "organization", services=0)
    with EmbeddedAws(organization) as aws:
        definitions, refused = _register(aws, paths)
        # One night's paced requests: 200 definitions a quarter of a minute at AWS's own rate.
        settings = sample_settings(organization) | {"ECS_EXPOSURE_RATE_SHARE": "1"}
        job = {"lake": str(folder / "lake"), "day": str(aws.today)}
        outcome = in_child(__file__, job, dict(os.environ) | settings | aws.environ())

    hits = {name: set(services) for name, services in outcome["hits"].items()}
    console.print(f"{len(paths)} definitions: {len(definitions)} accepted and run as services, {len(refused)} refused")
    reasons = Table("definition", "why ECS refuses it")
    for name, reason in refused.items():
        reasons.add_row(name, reason.replace("[", r"\["))
    if refused:
        console.print(reasons)
    table = Table("trait", "services hit")
    for trait, count in sorted(outcome["counts"].items()):
        table.add_row(trait, str(count))
    console.print(table)
    console.print("severities: " + ", ".join(f"{name} {count}" for name, count in outcome["severities"].items()))

    problems = [f"not seen: {what}" for what in outcome["not_seen"]]
    if outcome["services"] != len(definitions):
        problems.append(f"{outcome['services']} services in the snapshot, {len(definitions)} were created")
    comparison = Table("trait", "index says", "agree", "explained", "unexplained")
    for trait, member in COMPARED.items():
        verdicts: Counter[str] = Counter()
        for name, accepted in definitions.items():
            said, found = bool(index[int(name)][member]), name in hits.get(trait, set())
            if said == found:
                verdicts["agree"] += 1
                continue
            reason = _explained(trait, accepted) if said else None
            verdicts["explained" if reason else "unexplained"] += 1
            line = f"{name} {trait}: the index says {said}, the scan {found}"
            console.print(f"{line}: {reason}" if reason else f"[red]{line}[/red]")
            if not reason:
                problems.append(line)
        expected = sum(bool(index[int(name)][member]) for name in definitions)
        comparison.add_row(trait, str(expected), *(str(verdicts[key]) for key in ("agree", "explained", "unexplained")))
    console.print(comparison)
    for problem in problems:
        console.print(f"[red]{problem}[/red]")
    return 1 if arguments.check and problems else 0


@dataclass(frozen=True)
class Accepted:
    """A definition as ECS registered it, and the members of its text that ECS does not read there."""

    definition: dict[str, Any]
    unread: tuple[str, ...]


def _read_by_ecs(shape: Any, value: Any, unread: list[str], where: str = "") -> Any:
    """The value without null members and those its shape does not have, which are noted in `unread`.

    AWS's JSON protocol takes null for absent and ignores unknown members (files saved from DescribeTaskDefinition hold
    some); only the SDKs refuse to send them.
    """
    if isinstance(value, dict) and shape.type_name == "structure":
        kept = {}
        for key, item in value.items():
            if item is None:
                continue
            if key not in shape.members:
                unread.append(f"{where}.{key}".lstrip("."))
                continue
            kept[key] = _read_by_ecs(shape.members[key], item, unread, f"{where}.{key}".lstrip("."))
        return kept
    if isinstance(value, list) and shape.type_name == "list":
        return [_read_by_ecs(shape.member, item, unread, where) for item in value if item is not None]
    return value


def _explained(trait: str, accepted: Accepted) -> str | None:
    """Why a definition whose text says so has no hit all the same."""
    member = {
        "host_network_mode": "networkMode",
        "host_process_namespace": "pidMode",
        "task_definition_privileged": "privileged",
    }
    for path in accepted.unread:
        if path.rpartition(".")[2] == member.get(trait):
            return f"the text has it at {path}, where ECS does not read it"
    definition = accepted.definition
    if trait != "root_filesystem_access":
        return None
    mounted = {
        mount.get("sourceVolume")
        for container in definition["containerDefinitions"]
        for mount in container.get("mountPoints") or []
    }
    volumes = [volume for volume in definition.get("volumes") or [] if (volume.get("host") or {}).get("sourcePath")]
    if volumes and all(volume["name"] not in mounted for volume in volumes):
        return "no container mounts the volume, so nothing of the host is exposed"
    return None


def _register(aws: Any, paths: list[Path]) -> tuple[dict[str, Accepted], dict[str, str]]:
    """(definitions that run as a service, reasons for the others), by file name without its suffix."""
    from botocore.exceptions import ClientError, ParamValidationError
    from embedded_org import CLUSTERS, REGION, WORKLOAD

    ecs, ec2 = aws.client("ecs", WORKLOAD, REGION), aws.client("ec2", WORKLOAD, REGION)
    shape = ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape
    vpc = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["internal"]}])["SecurityGroups"][0]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    network = {"subnets": [subnets[0]["SubnetId"]], "securityGroups": [vpc["GroupId"]]}
    definitions: dict[str, Accepted] = {}
    refused: dict[str, str] = {}
    for number, path in enumerate(paths):
        written = json.loads(path.read_text(encoding="utf-8"))
        unread: list[str] = []
        definition = _read_by_ecs(shape, written, unread)
        if not definition.get("tags", True):
            definition.pop("tags")  # files saved from the console hold an empty list, which ECS refuses
        try:
            registered = ecs.register_task_definition(**definition)["taskDefinition"]
            is_fargate = "FARGATE" in definition.get("requiresCompatibilities", [])
            parameters: dict[str, Any] = {"launchType": "FARGATE" if is_fargate else "EC2"}
            if definition.get("networkMode") == "awsvpc":
                parameters["networkConfiguration"] = {"awsvpcConfiguration": network}
            ecs.create_service(
                cluster=f"cluster-{number % CLUSTERS}",
                serviceName=f"definition-{path.stem}",
                taskDefinition=registered["taskDefinitionArn"],
                desiredCount=1,
                **parameters,
            )
        except ParamValidationError as error:
            refused[path.stem] = " ".join(str(error).split())[:300]
        except ClientError as error:
            refused[path.stem] = error.response["Error"]["Message"]
        else:
            definitions[path.stem] = Accepted(definition, tuple(unread))
    return definitions, refused


def _child(job: dict[str, Any]) -> int:
    from ecs_exposure import collecting
    from ecs_exposure.assessing import assess
    from ecs_exposure.aws import AwsAccess
    from ecs_exposure.databases import connect
    from ecs_exposure.lake import Lake
    from ecs_exposure.settings import load

    settings, day = load(lake=job["lake"]), date.fromisoformat(job["day"])
    with Lake.open(job["lake"], create=True) as lake:
        access = AwsAccess(settings)
        for batch in collecting.plan(settings, access, lake, day):
            collecting.collect(settings, access, lake, day, batch)
        for batch in collecting.plan_images(settings, lake, day):
            collecting.collect_image_batch(settings, access, lake, day, batch)
        collecting.gate(settings, lake, day)
        summary = assess(settings, lake, day)
        with connect() as connection:
            lake.attach_snapshot(connection, day, "snapshot", datasets=["service"])
            lake.attach_results(connection, day, "result")
            found = connection.execute(
                """select trait, split_part(resource_id, '/', 3) from result.trait_hit where state = 'hit'"""
            ).fetchall()
            services = connection.execute("select count(*) from snapshot.service").fetchall()[0][0]
            unknown = connection.execute(
                """select distinct resource_id || ': ' || trait from result.trait_hit where state = 'unknown'"""
            ).fetchall()
        # Registries of other organisations are named by public definitions; nobody may ask them.
        not_seen = [
            f"{row['account_id']}/{row['region']} {row['dataset']}: {row['status']} {row['message']}"
            for row in lake.coverage(day).to_pylist()
            # not_enabled: the organisation has no service control policies
            if row["status"] not in ("ok", "excluded", "not_enabled") or (row["status"] == "ok" and row["message"])
        ]
    hits: dict[str, list[str]] = {}
    for trait, service in found:
        hits.setdefault(trait, []).append(service.removeprefix("definition-"))
    print(
        json.dumps(
            {
                "hits": {trait: hits.get(trait, []) for trait in COMPARED},
                "counts": {trait: len(names) for trait, names in hits.items()},
                "services": services,
                "unknown": len(unknown),
                "severities": summary.exposures,
                "not_seen": not_seen,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
