"""An organisation of two accounts for the embedded AWS, written as its YAML: the plumbing, and services if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MANAGEMENT, WORKLOAD = "111111111111", "222222222222"
REGION = "eu-west-1"
CLUSTERS = 4
REPOSITORIES = 5
BALANCERS = 2


def write_organization(folder: Path, services: int) -> Path:
    """Two accounts; the second holds 4 clusters, 5 repositories, 2 load balancers and the services, each with its own
    family, all in one Region. Two in five services are behind a load balancer, one in twenty runs on EC2.
    """
    registry = f"{WORKLOAD}.dkr.ecr.{REGION}.amazonaws.com"
    names = [f"service-{number:04d}" for number in range(services)]
    listed = {name: _service(number) for number, name in enumerate(names)}
    files: dict[str, Any] = {
        "organization.yaml": {
            "first_night": _Date("2026-11-02"),
            "regions": [REGION],
            "scanner": {
                "account": "workload", "read_role": "ecs-exposure-read", "publish_role": "ecs-exposure-publish",
                "organization_role": "ecs-exposure-organization", "external_id": "benchmark",
            },
            "inspector_administrator": "workload",
            "units": ["Workloads"],
            "accounts": {"management": {"id": MANAGEMENT}, "workload": {"id": WORKLOAD, "unit": "Workloads"}},
        },
        "images.yaml": _images(),
        "accounts/workload.yaml": {
            "roles": {"app": {"inline": {"own": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}}},
            "regions": {
                REGION: {
                    "clusters": {f"cluster-{n}": {"instances": 1} for n in range(CLUSTERS)},
                    "load_balancers": {f"balancer-{n}": {} for n in range(BALANCERS)},
                    "services": listed,
                }
            },
        },
    }  # fmt: skip
    (folder / "accounts").mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(yaml.dump(content, Dumper=_Dumper, sort_keys=False), encoding="utf-8")
    assert registry
    return folder


def _service(number: int) -> dict[str, Any]:
    service: dict[str, Any] = {
        "cluster": f"cluster-{number % CLUSTERS}", "image": f"@workload/repository-{number % REPOSITORIES}:1.0",
        "port": 8080, "role": "app", "environment": {"LOG_LEVEL": "info"}, "tags": {"owner": f"team-{number % 7}"},
    }  # fmt: skip
    if number % 20 == 7:
        service["launch"] = "ec2"
    # A load balancer holds at most 100 rules: some services are behind one, the others are not.
    elif number % 5 == 0 and number < 400:
        service["behind"] = f"balancer-{number // 5 % BALANCERS}"
    return service


def _images() -> dict[str, Any]:
    return {}


class _Date(str):
    """A date, written unquoted."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Date, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:timestamp", str(value)))
