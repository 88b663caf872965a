"""Rows of sql/documents/document.sql for tests: one whole, realistic exposure, to be varied."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import date
from typing import Any

ACCOUNT = "111122223333"
REGION = "eu-west-1"
DAY = date(2026, 11, 1)


def trait(
    name: str,
    category: str = "Misconfiguration",
    evidence: Any = None,
    state: str = "hit",
    *,
    is_ours: bool = False,
) -> dict[str, Any]:
    return {
        "trait": name,
        "state": state,
        "category": category,
        "title": name.replace("_", " ").capitalize(),
        "evidence": json.dumps(evidence) if evidence is not None else None,
        "recommendation": f"Register a revision without {name.replace('_', ' ')} and update the service.",
        "url": "https://docs.aws.amazon.com/securityhub/latest/userguide/exposure-ecs-service.html",
        "is_carried": False,
        "is_ours": is_ours,
    }


def vulnerability(identity: str, epss: float | None = 0.42, **changes: Any) -> str:
    made = {
        "vulnerability_id": identity,
        "packages": [
            {
                "name": "openssl",
                "version": "3.0.1",
                "file_path": None,
                "fixed_in_version": "3.0.8",
                "remediation": "apt-get update && apt-get upgrade openssl",
            }
        ],
        "cvss_base_score": 9.8,
        "cvss_vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "epss": epss,
        "exploit_available": True,
    }
    return json.dumps(made | changes)


def row(service: str = "shop", account_id: str = ACCOUNT, region: str = REGION, **changes: Any) -> dict[str, Any]:
    """A HIGH exposure with a privileged container, an open group and two vulnerabilities."""
    base = f"arn:aws:ecs:{region}:{account_id}"
    made = {
        "snapshot_date": DAY,
        "finding_id": f"ecs-exposure/aws/{account_id}/{region}/main/{service}",
        "account_id": account_id,
        "region": region,
        "resource_id": f"{base}:service/main/{service}",
        "severity": "HIGH",
        "likelihood": "High",
        "impact": "Medium",
        "driver": "CVE-2026-1111",
        "driver_rule": "BOD 26-04: exposed, automatable, total impact",
        "impact_reason": "service administration by the task role",
        "score": 81.25,
        "exploit_probability": 0.421337,
        "highest_probability": 0.42,
        "reachability": "DIRECT",
        "is_exposed": True,
        "is_minimum": False,
        "minimum_reason": None,
        "traits": ["open_security_group", "task_definition_privileged", "vulnerability"],
        "unknown_traits": [],
        "vulnerability_count": 37,
        "high_priority_vulnerability_count": 2,
        "is_dormant": False,
        "is_carried": False,
        "observed_date": DAY,
        "first_observed_date": date(2026, 10, 20),
        "due_date": date(2026, 11, 15),
        "accepted_until": None,
        "accepted_by": None,
        "accepted_reason": None,
        "title": f"The internet can run code in ECS service {service} through CVE-2026-1111",
        "cluster_name": "main",
        "service_name": service,
        "launch_type": "EC2",
        "task_definition_arns": [f"{base}:task-definition/{service}:7"],
        "account_name": "shop-production",
        "ou_path": "/Workloads/Production",
        "owner": "team-shop",
        "tags": json.dumps({"owner": "team-shop", "aws:cloudformation:stack-name": "shop"}),
        "trait_details": [
            trait("open_security_group", evidence=[{"group_id": "sg-1", "cidr": "0.0.0.0/0", "from_port": 443}]),
            trait("task_definition_privileged", evidence=[{"container": "web", "task_definition": f"{service}:7"}]),
            trait("vulnerability", "Vulnerability", [{"vulnerability_id": "CVE-2026-1111", "epss": 0.42}]),
        ],
        "fix": {
            "kind": "package",
            "removed": "openssl@sha256:aa",
            "description": "Update openssl to 3.0.8",
            "severity_after": "MEDIUM",
            "score_after": 44.0,
        },
        "vulnerabilities": [vulnerability("CVE-2026-1111"), vulnerability("CVE-2026-2222", 0.01)],
        "service": {
            "cluster_arn": f"{base}:cluster/main",
            "task_definition_arn": f"{base}:task-definition/{service}:7",
            "desired_count": 2,
            "is_execute_command_enabled": False,
            "assign_public_ip": True,
            "subnet_ids": ["subnet-1"],
            "security_group_ids": ["sg-1"],
            "load_balancers": [],
        },
        "task_definitions": [
            {
                "arn": f"{base}:task-definition/{service}:7",
                "family": service,
                "network_mode": "awsvpc",
                "pid_mode": None,
                "ipc_mode": None,
                "task_role_arn": f"arn:aws:iam::{account_id}:role/shop",
                "execution_role_arn": None,
            }
        ],
        "task_role_arns": [f"arn:aws:iam::{account_id}:role/shop"],
        "images": [
            {
                "image": f"{account_id}.dkr.ecr.{region}.amazonaws.com/shop:1",
                "image_digest": "sha256:aa",
                "registry_account": account_id,
                "registry_region": region,
                "repository_name": "shop",
                "scan_status": "scanned",
            },
            {
                "image": "docker.io/library/nginx:latest",
                "image_digest": None,
                "registry_account": None,
                "registry_region": None,
                "repository_name": None,
                "scan_status": "not_in_ecr",
            },
        ],
        "security_groups": [{"group_id": "sg-1", "group_name": "web", "vpc_id": "vpc-1", "account_id": account_id}],
    }
    return copy.deepcopy(made | changes)


def finding(made: dict[str, Any]) -> dict[str, Any]:
    """What is planned with: the row of the result table `finding`, beside what it takes from `exposure`.

    The hash covers less than SQL's: severity, owner and the traits' evidence.
    """
    traits = [[trait["trait"], trait["evidence"]] for trait in made["trait_details"]]
    said = json.dumps([made["severity"], made["owner"], traits])
    kept = (
        "snapshot_date", "account_id", "region", "resource_id", "finding_id", "severity", "score",
        "first_observed_date",
    )  # fmt: skip
    return {**{name: made[name] for name in kept}, "content_hash": hashlib.sha256(said.encode()).hexdigest()}
