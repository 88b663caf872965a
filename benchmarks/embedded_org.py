"""An organisation of two accounts for the embedded AWS, written as its YAML: the plumbing, and services if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# Not the ids that documentation uses as placeholders: definitions published with those name foreign registries.
MANAGEMENT, WORKLOAD = "406183729501", "618502973146"
REGION = "eu-west-1"
CLUSTERS = 4
REPOSITORIES = 5
BALANCERS = 2
CVES = 200


def write_organization(folder: Path, services: int) -> Path:
    """Two accounts; the second holds 4 clusters, 5 repositories, 2 load balancers and the services, each with its own
    family, all in one Region. One in five of the first 400 is behind a load balancer (which holds 100 rules at most),
    one in twenty runs on EC2. The folder is read by EmbeddedAws.
    """
    listed = {f"service-{number:04d}": _service(number) for number in range(services)}
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
    return folder


def _service(number: int) -> dict[str, Any]:
    service: dict[str, Any] = {
        "cluster": f"cluster-{number % CLUSTERS}", "image": f"@workload/repository-{number % REPOSITORIES}:1.0",
        "port": 8080, "role": "app", "environment": {"LOG_LEVEL": "info"}, "tags": {"owner": f"team-{number % 7}"},
    }  # fmt: skip
    if number % 20 == 7:
        service["launch"] = "ec2"
    elif number % 5 == 0 and number < 400:
        service["behind"] = f"balancer-{number // 5 % BALANCERS}"
    return service


def _images() -> dict[str, Any]:
    cves = {
        f"CVE-2025-{10000 + number}": {
            "title": "A vulnerability for measuring.",
            "package": {"name": f"package-{number}", "version": "1.0", "manager": "OS"},
            "vector": "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "score": 9.8, "severity": "CRITICAL",
            "epss": 0.02 * (number % 10), "exploit": number % 4 == 0, "fixed": "1.1", "fix": "apt-get upgrade",
        }
        for number in range(CVES)
    }  # fmt: skip
    repositories = {f"repository-{number}": {"1.0": list(cves)} for number in range(REPOSITORIES)}
    return {"cves": cves, "images": {"workload": {REGION: repositories}}}


class _Date(str):
    """A date, written unquoted."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Date, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:timestamp", str(value)))
