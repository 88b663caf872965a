"""Snapshots of small estates in real shapes: one service with what a test wants of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.sql_harness import ACCOUNT, REGION

Rows = dict[str, list[dict[str, Any]]]

SERVICE = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/web"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/app"
DIGEST = "sha256:" + "a" * 64

ADMINISTRATOR = [{"actions": ["*"], "resources": ["*"]}]
SCOPED = [{"actions": ["s3:getobject"], "resources": ["arn:aws:s3:::one-bucket/*"]}]
READS_ALL_DATA = [{"actions": ["dynamodb:scan"], "resources": ["*"]}]


def cve(
    vulnerability_id: str = "CVE-2024-0001",
    *,
    vector: str | None = "NLNNHHH",
    epss: float | None = 0.001,
    exploit: bool | None = False,
    package: str = "openssl",
    **columns: Any,
) -> dict[str, Any]:
    """A finding row; `vector` is AV AC PR UI C I A by first letters (`NLNN/HHH` of CVSS 3.1), None for no vector."""
    words = {"N": "NONE", "L": "LOW", "H": "HIGH", "R": "REQUIRED"}
    row: dict[str, Any] = {
        "finding_arn": f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{vulnerability_id}-{package}",
        "repository_name": "app",
        "image_digest": DIGEST,
        "vulnerability_id": vulnerability_id,
        "finding_status": "ACTIVE",
        "package_name": package,
        "package_version": "1.0",
        "fixed_in_version": "1.1",
        "severity": "CRITICAL",
        "epss": epss,
        "exploit_available": exploit,
    }
    if vector:
        row["attack_vector"] = {"N": "NETWORK", "A": "ADJACENT", "L": "LOCAL", "P": "PHYSICAL"}[vector[0]]
        names = ("attack_complexity", "privileges_required", "user_interaction")
        names += ("confidentiality_impact", "integrity_impact", "availability_impact")
        row |= {name: words[letter] for name, letter in zip(names, vector[1:], strict=True)}
    return row | columns


def service(
    *,
    public: bool = False,
    balanced: bool = False,
    statements: Iterable[Mapping[str, Any]] = SCOPED,
    cves: Iterable[Mapping[str, Any]] = (),
    kev: Iterable[str] = (),
    scanned: bool = True,
    launch_type: str = "FARGATE",
    desired: int = 1,
    running: bool = True,
    container: Mapping[str, Any] | None = None,
    credentials: Iterable[Mapping[str, Any]] = (),
    volumes: Mapping[str, str] | None = None,
    open_ports: tuple[int, int] = (80, 80),
    port: int = 80,
    pid_mode: str | None = None,
    suffix: str = "",
) -> Rows:
    """One service `web` (plus `suffix`), private, `public` (address, routed subnet, open group) or `balanced`."""
    resource_id, definition, role = SERVICE + suffix, f"td:web{suffix}", ROLE + suffix
    kinds = dict(volumes or {})
    mounts = [{"source_volume": name, "container_path": f"/{name}", "read_only": True} for name in kinds]
    group_cidr = "0.0.0.0/0" if public else "10.0.0.0/8"
    rows: Rows = {
        "account": [{"status": "ACTIVE", "account_name": "shop", "ou_path": "/prod"}],
        "cluster": [{"cluster_arn": "c", "cluster_name": "main"}],
        "service": [
            {
                "resource_id": resource_id,
                "service_arn": resource_id,
                "cluster_arn": "c",
                "cluster_name": "main",
                "service_name": f"web{suffix}",
                "status": "ACTIVE",
                "launch_type": launch_type,
                "task_definition_arn": definition,
                "desired_count": desired,
                "running_count": desired if running else 0,
                "assign_public_ip": public,
                "subnet_ids": ["subnet-1"],
                "security_group_ids": [f"sg{suffix}"],
                "load_balancers": [
                    {
                        "target_group_arn": f"tg{suffix}",
                        "load_balancer_name": None,
                        "container_name": "web",
                        "container_port": port,
                    }
                ]
                if balanced
                else [],
                "tags": '{"owner": "team-a"}',
            }
        ],
        "task_definition": [
            {
                "task_definition_arn": definition,
                "family": f"web{suffix}",
                "network_mode": "awsvpc",
                "task_role_arn": role,
                "pid_mode": pid_mode,
            }
        ],
        "container": [
            {
                "task_definition_arn": definition,
                "container_name": "web",
                "image": f"{REPOSITORY}:1",
                "port_mappings": [{"container_port": port, "host_port": port, "protocol": "tcp"}],
                "mount_points": mounts,
                "user": "1000",
                "is_root_filesystem_read_only": True,
                **(container or {}),
            }
        ],
        "volume": [
            {"task_definition_arn": definition, "volume_name": name, "kind": "host", "host_path": path}
            for name, path in kinds.items()
        ],
        "credential": [
            {"task_definition_arn": definition, "container_name": "web", "fingerprint": "f", **row}
            for row in credentials
        ],
        "role": [{"role_arn": role, "role_name": f"app{suffix}"}],
        "role_statement": [
            {
                "role_arn": role,
                "policy_kind": "inline",
                "policy_name": "p",
                "effect": "Allow",
                "statement_index": number,
                **row,
            }
            for number, row in enumerate(statements)
        ],
        "subnet": [{"subnet_id": "subnet-1", "vpc_id": "vpc-1", "cidr": "10.0.0.0/24"}],
        "network_acl_entry": [
            {
                "network_acl_id": "acl-1",
                "subnet_ids": ["subnet-1"],
                "is_egress": is_egress,
                "rule_number": 100,
                "action": "allow",
                "protocol": "-1",
                "cidr": "0.0.0.0/0",
            }
            for is_egress in (False, True)
        ],
        "route": [
            {
                "route_table_id": "rtb-1",
                "vpc_id": "vpc-1",
                "is_main": True,
                "destination": "0.0.0.0/0",
                "target": "igw-1",
                "state": "active",
            }
        ],
        "security_group": [{"group_id": f"sg{suffix}", "group_name": "web", "vpc_id": "vpc-1"}],
        "security_group_rule": [
            {
                "group_id": f"sg{suffix}",
                "protocol": "tcp",
                "from_port": open_ports[0],
                "to_port": open_ports[1],
                "cidr": group_cidr,
            }
        ],
        "image_finding": [dict(row) for row in cves],
        "vulnerability_detail": [{"vulnerability_id": name, "is_kev": True} for name in kev],
    }
    if scanned:
        rows["image_coverage"] = [
            {"repository_name": "app", "image_digest": DIGEST, "scan_status": "ACTIVE", "scan_reason": "SUCCESSFUL"}
        ]
    if running:
        rows["task"] = [
            {
                "task_arn": f"t{suffix}",
                "resource_id": resource_id,
                "task_definition_arn": definition,
                "network_interface_ids": [f"eni{suffix}"],
            }
        ]
        rows["task_container"] = [
            {
                "task_arn": f"t{suffix}",
                "resource_id": resource_id,
                "container_name": "web",
                "image": f"{REPOSITORY}:1",
                "image_digest": DIGEST,
            }
        ]
        rows["network_interface"] = [
            {
                "network_interface_id": f"eni{suffix}",
                "subnet_id": "subnet-1",
                "security_group_ids": [f"sg{suffix}"],
                "public_ip": "198.51.100.7" if public else None,
            }
        ]
    if balanced:
        rows["target_group"] = [{"target_group_arn": f"tg{suffix}", "load_balancer_arns": ["lb"]}]
        rows["load_balancer"] = [
            {
                "load_balancer_arn": "lb",
                "load_balancer_name": "front",
                "kind": "application",
                "scheme": "internet-facing",
                "state": "active",
                "subnet_ids": ["subnet-1"],
                "security_group_ids": ["sg-lb"],
            }
        ]
        rows["listener"] = [{"listener_arn": "l", "load_balancer_arn": "lb", "protocol": "HTTPS", "port": 443}]
        rows["security_group_rule"].append(
            {"group_id": "sg-lb", "protocol": "tcp", "from_port": 443, "to_port": 443, "cidr": "0.0.0.0/0"}
        )
    return rows


def merged(*estates: Mapping[str, Iterable[Mapping[str, Any]]]) -> Rows:
    """Several estates in one; equal rows once."""
    rows: Rows = {}
    for estate in estates:
        for dataset, items in estate.items():
            known = rows.setdefault(dataset, [])
            known.extend(dict(item) for item in items if item not in known)
    return rows
