"""Many made-up services in one database: the snapshot of one day in typed rows, and the shipped SQL run over it.

`Night` collects the rows; `assess` builds every model over them and returns the result tables. Each service
has its own image,
definition, role and group, so that hundreds of cases stand side by side in one build.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from ecs_exposure import databases, models
from ecs_exposure.lake import Lake
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS

SQL = Path(__file__).parents[2] / "sql"
ACCOUNT = "111122223333"
REGION = "eu-west-1"
GLOBAL = ("account", "role", "role_statement", "role_trust", "vpc_origin", "accelerator_endpoint")
DAY = date(2026, 11, 2)

Row = dict[str, Any]

_LEVEL = {"N": "NONE", "L": "LOW", "H": "HIGH", "R": "REQUIRED"}
_ATTACK = {"N": "NETWORK", "A": "ADJACENT", "L": "LOCAL", "P": "PHYSICAL"}
_METRICS = {
    "AC": "attack_complexity", "PR": "privileges_required", "UI": "user_interaction",
    "C": "confidentiality_impact", "I": "integrity_impact", "A": "availability_impact",
}  # fmt: skip
_ROLES: dict[str, tuple[list[str], list[str]]] = {
    "scoped": (["s3:getobject"], ["arn:aws:s3:::one-bucket/*"]),
    "data": (["s3:getobject"], ["*"]),
    "service_admin": (["sqs:*"], ["*"]),
    "admin": (["*"], ["*"]),
    "path": (["iam:putrolepolicy"], ["*"]),
    "shell": (["ssm:startsession"], ["*"]),
    "trust": (["iam:updateassumerolepolicy"], ["*"]),
    "minting": (["iam:createaccesskey"], ["*"]),
    "executor": (["iam:passrole", "ec2:runinstances"], ["*"]),
    "swap": (["iam:passrole", "ec2:associateiaminstanceprofile"], ["*"]),
    "hijack": (["iam:passrole", "ecs:runtask"], ["*"]),
    "chain": (["sts:assumerole"], ["*"]),
}
_COLLECTED = datetime(2026, 11, 2, 3, tzinfo=UTC)


def resource_id(name: str, account_id: str = ACCOUNT) -> str:
    return f"arn:aws:ecs:{REGION}:{account_id}:service/main/{name}"


def digest_of(repository: str) -> str:
    return "sha256:" + hashlib.sha256(repository.encode()).hexdigest()


def day_after(day: date, days: int = 1) -> date:
    return day + timedelta(days=days)


def cve(
    *,
    id: str | None = None,
    vector: str | None = "AV:N/AC:L/PR:N/UI:N/C:H/I:H/A:H",
    epss: float | None = 0.001,
    kev: bool | None = False,
    exploit: bool | None = False,
    severity: str = "HIGH",
    packages: tuple[str, ...] = ("openssl",),
    status: str = "ACTIVE",
) -> Row:
    """One finding of Amazon Inspector; without an id the service gives it one of its own. kev None: nobody asked."""
    return {
        "id": id, "vector": vector, "epss": epss, "kev": kev, "exploit": exploit, "severity": severity,
        "packages": packages, "status": status,
    }  # fmt: skip


def vector_columns(vector: str | None) -> Row:
    """The columns a CVSS 3.1 vector fills; none without one."""
    if vector is None:
        return {}
    part = dict(item.split(":") for item in vector.split("/"))
    said = {column: _LEVEL[part[metric]] for metric, column in _METRICS.items()}
    return said | {"cvss_vector": f"CVSS:3.1/{vector}", "attack_vector": _ATTACK[part["AV"]]}


@dataclass(frozen=True)
class Shape:
    """What a service is. `public` is an address on a routed subnet and an open group, `balancer` a load balancer's
    scheme. `role` is one of _ROLES (path to hijack make it administrator, shell opens sessions, chain assumes any
    role), administrator_next (assumes one that trusts it), missing or None; `instance_role` that of a host whose
    metadata the containers reach. `credential` is generic or provider, `mounts` host paths with whether they are
    read-only, `user` and `has_writable_root` of every container. `scan` is Inspector's status of its images (None:
    never scanned, `public`: not in ECR), `sidecar` a second image's CVEs, `sidecar_scan` its status if not the same,
    `second_sidecar` a third image's CVEs.
    `repository` is that of the first image where services share it (its first service says what is found in it),
    `groups` further groups, open to the internet, that services may share too.
    """

    public: bool = False
    balancer: str | None = None
    has_public_ip: bool = False
    has_open_group: bool = False
    ports: tuple[int, ...] = (8080,)
    launch_type: str = "FARGATE"
    network_mode: str = "awsvpc"
    role: str | None = None
    cves: tuple[Row, ...] = ()
    sidecar: tuple[Row, ...] | None = None
    second_sidecar: tuple[Row, ...] | None = None
    scan: str | None = "ACTIVE"
    sidecar_scan: str | None = "same"
    instance_role: str | None = None
    credential: str | None = None
    is_privileged: bool = False
    capabilities: tuple[str, ...] = ()
    mounts: tuple[tuple[str, bool], ...] = ()
    pid_mode: str | None = None
    ipc_mode: str | None = None
    user: str | None = "1000"
    has_writable_root: bool = False
    has_execute_command: bool = False
    operating_system: str | None = None
    is_dormant: bool = False
    owner: str | None = None
    repository: str | None = None
    groups: tuple[str, ...] = ()

    @property
    def has_address(self) -> bool:
        return self.public or self.has_public_ip

    @property
    def images(self) -> dict[str, tuple[Row, ...]]:
        images = {"web": self.cves, "sidecar": self.sidecar, "second-sidecar": self.second_sidecar}
        return {container: cves for container, cves in images.items() if cves is not None}


@dataclass
class Night:
    """The snapshot of one day; rows added while `observed` is set were really seen on that earlier day."""

    day: date = DAY
    observed: date | None = None
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    coverage: dict[tuple[str, str, str], tuple[str, date | None]] = field(default_factory=dict)
    accounts: set[str] = field(default_factory=set)
    shared: set[tuple[str, str]] = field(default_factory=set)

    def add(self, account_id: str, dataset: str, *rows: Row) -> None:
        region = "global" if dataset in GLOBAL else REGION
        place = {"account_id": account_id, "region": region, "observed_date": self.observed or self.day}
        self.rows[dataset].extend(place | row for row in rows)

    def account(self, account_id: str, account_name: str = "shop", ou_path: str = "/Shop") -> None:
        """An account with two subnets, one of them routed to an internet gateway."""
        if account_id in self.accounts:
            return
        self.accounts.add(account_id)
        self.add(
            account_id,
            "account",
            {"account_name": account_name, "status": "ACTIVE", "is_management": False, "ou_path": ou_path},
        )
        for kind, gateway in (("public", "igw-1"), ("private", "nat-1")):
            subnet, table, vpc = f"subnet-{kind}-{account_id}", f"rtb-{kind}-{account_id}", f"vpc-{account_id}"
            cidr = "10.0.0.0/24" if kind == "public" else "10.0.1.0/24"
            self.add(account_id, "subnet", {"subnet_id": subnet, "vpc_id": vpc, "cidr": cidr})
            acl: Row = {"network_acl_id": f"acl-{kind}-{account_id}", "vpc_id": vpc, "is_default": True}
            acl["subnet_ids"] = [subnet]
            for is_egress in (False, True):
                allow = {"rule_number": 100, "action": "allow", "protocol": "-1", "cidr": "0.0.0.0/0"}
                self.add(account_id, "network_acl_entry", acl | allow | {"is_egress": is_egress})
            route = {"route_table_id": table, "vpc_id": vpc, "is_main": False, "subnet_ids": [subnet]}
            self.add(account_id, "route", route | {"destination": "0.0.0.0/0", "target": gateway, "state": "active"})

    def unseen(
        self, *datasets: str, account_id: str = ACCOUNT, status: str = "denied", since: date | None = None
    ) -> None:
        """These datasets were not seen today; `since` is the day whose rows are in force (None: never seen)."""
        for dataset in datasets:
            region = "global" if dataset in GLOBAL else REGION
            self.coverage[account_id, region, dataset] = (status, since)

    def service(self, name: str, shape: Shape | None = None, *, account_id: str = ACCOUNT, **options: Any) -> str:
        """One service of the given shape (or the options of one). Returns its resource id."""
        shape = shape or Shape(**options)
        self.account(account_id)
        key = resource_id(name, account_id)
        definition = f"arn:aws:ecs:{REGION}:{account_id}:task-definition/{name}:1"
        subnet = f"subnet-{'public' if shape.has_address else 'private'}-{account_id}"
        is_own = shape.network_mode == "awsvpc"
        attached = {"target_group_arn": self._target(name), "container_name": "web", "container_port": shape.ports[0]}
        self.add(
            account_id,
            "service",
            {
                "resource_id": key, "service_arn": key, "cluster_arn": "arn:cluster", "cluster_name": "main",
                "service_name": name, "status": "ACTIVE", "launch_type": shape.launch_type,
                "task_definition_arn": definition,
                "desired_count": 0 if shape.is_dormant else 1, "running_count": 0 if shape.is_dormant else 1,
                "assign_public_ip": shape.has_address if is_own else None, "subnet_ids": [subnet] if is_own else [],
                "security_group_ids": [f"sg-{name}", *shape.groups] if is_own else [],
                "load_balancers": [attached] if shape.balancer else [],
                "is_execute_command_enabled": shape.has_execute_command,
                "tags": json.dumps({"owner": shape.owner}) if shape.owner else None,
            },
        )  # fmt: skip
        self._definition(name, shape, account_id, definition)
        self._network(name, shape, account_id)
        if not shape.is_dormant:
            self._task(name, shape, account_id, definition, subnet)
        if shape.scan != "public":
            for container, cves in shape.images.items():
                is_own = container == "sidecar" and shape.sidecar_scan != "same"
                scan = shape.sidecar_scan if is_own else shape.scan
                self._findings(self._repository(name, container, shape), account_id, cves, scan)
        return key

    def _definition(self, name: str, shape: Shape, account_id: str, definition: str) -> None:
        role = f"arn:aws:iam::{account_id}:role/{name}"
        self.add(
            account_id,
            "task_definition",
            {
                "task_definition_arn": definition, "family": name, "revision": 1, "extractor_version": "1",
                "network_mode": shape.network_mode, "pid_mode": shape.pid_mode,
                "task_role_arn": role if shape.role else None,
                "ipc_mode": shape.ipc_mode, "operating_system_family": shape.operating_system,
            },
        )  # fmt: skip
        for index, (path, _) in enumerate(shape.mounts):
            volume = {"task_definition_arn": definition, "volume_name": f"v{index}", "kind": "host", "host_path": path}
            self.add(account_id, "volume", volume)
        mounted = [
            {"source_volume": f"v{index}", "container_path": "/mnt", "read_only": read_only}
            for index, (_, read_only) in enumerate(shape.mounts)
        ]
        mappings = [{"container_port": port, "host_port": port, "protocol": "tcp"} for port in shape.ports]
        for container in shape.images:
            self.add(
                account_id,
                "container",
                {
                    "task_definition_arn": definition, "container_name": container,
                    "is_privileged": shape.is_privileged,
                    "image": self._image(name, container, account_id, shape),
                    "is_root_filesystem_read_only": not shape.has_writable_root, "user": shape.user,
                    "capabilities_added": list(shape.capabilities), "mount_points": mounted,
                    "port_mappings": mappings if container == "web" else [],
                },
            )  # fmt: skip
        if shape.credential:
            self.add(
                account_id,
                "credential",
                {
                    "task_definition_arn": definition, "container_name": "web", "source": "environment",
                    "variable_name": "DB_PASSWORD", "detector": shape.credential, "fingerprint": name,
                    "is_provider_pattern": shape.credential == "provider",
                },
            )  # fmt: skip
        if shape.role == "administrator_next":
            self._role(account_id, f"{role}-next", "admin")
            trusted = {
                "role_arn": f"{role}-next",
                "statement_index": 0,
                "effect": "Allow",
                "actions": ["sts:assumerole"],
            }
            self.add(account_id, "role_trust", trusted | {"principals": [f"AWS:{role}"]})
            self._role(account_id, role, "chain", resources=[f"{role}-next"])
        elif shape.role in _ROLES:
            self._role(account_id, role, shape.role)
        if shape.instance_role:
            self._role(account_id, f"{role}-host", shape.instance_role, [f"arn:profile:{name}"])

    def _role(
        self,
        account_id: str,
        role: str,
        kind: str,
        profiles: list[str] | None = None,
        resources: list[str] | None = None,
    ) -> None:
        actions, everything = _ROLES[kind]
        name = role.rpartition("/")[2]
        self.add(account_id, "role", {"role_arn": role, "role_name": name, "instance_profile_arns": profiles or []})
        statement = {"role_arn": role, "policy_kind": "inline", "policy_name": "p", "statement_index": 0}
        allowed = {"effect": "Allow", "actions": actions, "resources": resources or everything}
        self.add(account_id, "role_statement", statement | allowed)

    def _target(self, name: str) -> str:
        return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/1"

    def _image(self, name: str, container: str, account_id: str, shape: Shape) -> str:
        registry = "docker.io/library" if shape.scan == "public" else f"{account_id}.dkr.ecr.{REGION}.amazonaws.com"
        return f"{registry}/{self._repository(name, container, shape)}:1"

    def _repository(self, name: str, container: str, shape: Shape) -> str:
        return shape.repository if shape.repository and container == "web" else f"{name}-{container}"

    def _is_new(self, account_id: str, name: str) -> bool:
        """Whether what services share is named for the first time."""
        is_new = (account_id, name) not in self.shared
        self.shared.add((account_id, name))
        return is_new

    def _network(self, name: str, shape: Shape, account_id: str) -> None:
        self.add(
            account_id, "security_group", {"group_id": f"sg-{name}", "group_name": name, "vpc_id": f"vpc-{account_id}"}
        )
        for group in shape.groups:
            if self._is_new(account_id, group):
                self.add(
                    account_id, "security_group",
                    {"group_id": group, "group_name": group, "vpc_id": f"vpc-{account_id}"},
                )  # fmt: skip
                self._rule(account_id, group, shape.ports[0], "0.0.0.0/0")
        is_open = shape.public or shape.has_open_group
        for port in shape.ports:
            self._rule(account_id, f"sg-{name}", port, "0.0.0.0/0" if is_open else "10.0.0.0/8")
        if shape.balancer:
            arn = f"arn:lb:{name}"
            front = {
                "load_balancer_arn": arn,
                "load_balancer_name": f"{name}-lb",
                "kind": "application",
                "state": "active",
            }
            self.add(
                account_id,
                "load_balancer",
                front
                | {
                    "scheme": shape.balancer,
                    "security_group_ids": [f"sg-lb-{name}"],
                    "subnet_ids": [f"subnet-public-{account_id}"],
                },
            )
            listener = {
                "listener_arn": f"arn:listener:{name}",
                "load_balancer_arn": arn,
                "protocol": "HTTPS",
                "port": 443,
            }
            self.add(account_id, "listener", listener)
            targets = {"target_group_arn": self._target(name), "target_type": "ip", "load_balancer_arns": [arn]}
            self.add(account_id, "target_group", targets)
            self._rule(account_id, f"sg-lb-{name}", 443, "0.0.0.0/0")

    def _rule(self, account_id: str, group: str, port: int, cidr: str) -> None:
        rule = {"group_id": group, "rule_index": port, "is_egress": False, "protocol": "tcp", "cidr": cidr}
        self.add(account_id, "security_group_rule", rule | {"from_port": port, "to_port": port})

    def _task(self, name: str, shape: Shape, account_id: str, definition: str, subnet: str) -> None:
        key, task = resource_id(name, account_id), f"arn:aws:ecs:{REGION}:{account_id}:task/main/{name}"
        is_own = shape.network_mode == "awsvpc"
        address = "198.51.100.7" if shape.has_address else None
        groups = [f"sg-{name}", *shape.groups]
        touching = {"subnet_id": subnet, "security_group_ids": groups, "public_ip": address}
        self.add(
            account_id,
            "task",
            {
                "task_arn": task, "resource_id": key, "cluster_arn": "arn:cluster", "last_status": "RUNNING",
                "task_definition_arn": definition, "launch_type": shape.launch_type,
                "container_instance_arn": None if shape.launch_type == "FARGATE" else f"arn:host:{name}",
                "network_interface_ids": [f"eni-{name}"] if is_own else [], "subnet_ids": [subnet] if is_own else [],
            },
        )  # fmt: skip
        if is_own:
            self.add(account_id, "network_interface", touching | {"network_interface_id": f"eni-{name}"})
        if shape.launch_type != "FARGATE":
            host = {
                "container_instance_arn": f"arn:host:{name}",
                "cluster_arn": "arn:cluster",
                "ec2_instance_id": f"i-{name}",
            }
            self.add(account_id, "container_instance", host)
            hops = 2 if shape.instance_role else 1
            metadata = {"http_tokens": "required", "http_put_response_hop_limit": hops, "http_endpoint": "enabled"}
            metadata["instance_profile_arn"] = f"arn:profile:{name}" if shape.instance_role else None
            self.add(account_id, "instance", touching | metadata | {"instance_id": f"i-{name}"})
        for container in shape.images:
            running = {"task_arn": task, "resource_id": key, "container_name": container}
            image = {
                "image": self._image(name, container, account_id, shape),
                "image_digest": digest_of(self._repository(name, container, shape)),
            }
            self.add(account_id, "task_container", running | image)

    def _findings(self, repository: str, account_id: str, cves: tuple[Row, ...], scan: str | None) -> None:
        if not self._is_new(account_id, repository):
            return
        image = {"repository_name": repository, "image_digest": digest_of(repository)}
        self.add(account_id, "image", image | {"image_tags": ["1"]})
        if scan:
            self.add(account_id, "image_coverage", image | {"scan_status": scan, "scan_reason": "SUCCESSFUL"})
        for index, item in enumerate(cves):
            seed = hashlib.sha256(f"{repository}-{index}".encode()).hexdigest()
            identity = item["id"] or f"CVE-2026-{int(seed[:10], 16)}"
            if item["kev"] is not None:
                self.add(account_id, "vulnerability_detail", {"vulnerability_id": identity, "is_kev": item["kev"]})
            for package in item["packages"]:
                self.add(
                    account_id,
                    "image_finding",
                    image | vector_columns(item["vector"]) | {
                        "finding_arn": f"arn:finding:{repository}:{index}", "vulnerability_id": identity,
                        "finding_status": item["status"], "severity": item["severity"], "package_name": package,
                        "package_version": "1.0", "fixed_in_version": "1.1", "fix_available": "YES",
                        "exploit_available": item["exploit"], "epss": item["epss"],
                    },
                )  # fmt: skip

    def insert(self, connection: Any, order: random.Random | None) -> None:
        for name, rows in (self.rows | {"coverage": self.covered()}).items():
            rows = list(rows)
            if order:
                order.shuffle(rows)
            declared = RESULTS["coverage"] if name == "coverage" else SNAPSHOTS[name]
            fill(connection, "snapshot", declared, declared.to_arrow(rows))

    def write(self, lake: Lake) -> None:
        """The night as one committed batch of a lake."""
        writer = lake.writer(self.day, "night")
        for name, rows in self.rows.items():
            writer.write(SNAPSHOTS[name], SNAPSHOTS[name].to_arrow(rows))
        writer.commit(
            [row | {"file": writer.file if self.rows.get(row["dataset"]) else None} for row in self.covered()]
        )

    def covered(self) -> list[Row]:
        """Rows of the coverage: every dataset of every account, seen unless said otherwise."""
        rows: list[Row] = []
        for account_id in sorted(self.accounts | {key[0] for key in self.coverage}):
            for dataset in SNAPSHOTS:
                region = "global" if dataset in GLOBAL else REGION
                status, observed = self.coverage.get((account_id, region, dataset), ("ok", self.day))
                rows.append(
                    {
                        "snapshot_date": self.day, "account_id": account_id, "region": region, "dataset": dataset,
                        "status": status, "api_calls": 1, "collected_at": _COLLECTED, "observed_date": observed,
                    }
                )  # fmt: skip
        return rows


@dataclass
class Results:
    """What one build made: Arrow tables in the order of their keys."""

    day: date
    tables: dict[str, pa.Table]

    @property
    def hashes(self) -> dict[str, str]:
        """The content hash of each finding, by service name."""
        return {row["resource_id"].rpartition("/")[2]: row["content_hash"] for row in self.rows("finding")}

    def rows(self, table: str, service: str | None = None) -> list[Row]:
        rows: list[Row] = self.tables[table].to_pylist()
        return rows if service is None else [row for row in rows if row["resource_id"].endswith(f"/{service}")]

    def exposures(self) -> dict[str, Row]:
        """Exposures by service name."""
        return {row["service_name"]: row for row in self.rows("exposure")}

    def changes(self) -> dict[str, Row]:
        """Changes by service name."""
        return {row["service_name"]: row for row in self.rows("change")}


def fill(connection: Any, schema: str, declared: Table, rows: pa.Table) -> None:
    connection.register("rows_given", rows)
    connection.execute(f'insert into {schema}."{declared.name}" by name select * from rows_given')
    connection.unregister("rows_given")


def assess(
    night: Night,
    before: Results | None = None,
    *,
    rebased: Results | None = None,
    order: random.Random | None = None,
    what_if: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Results:
    """Build `sql/` over the night with `before` as the previous assessed day; `rebased` (as a rule the same) is that
    day under today's rules. `order` shuffles the rows before they are inserted; `what_if` asks what would be without
    these traits and with these digests clean.
    """
    with databases.empty_database(SQL) as connection:
        connection.execute(
            """update run.day set snapshot_date = ?, previous_date = ?,
            rules_version = 'now', previous_rules_version = 'now'""",
            [night.day, before.day if before else None],
        )
        night.insert(connection, order)
        if what_if:
            connection.execute("insert into run.what_if values (?, ?)", [list(item) for item in what_if])
        if before:
            for name, rows in before.tables.items():
                fill(connection, "previous", RESULTS[name], rows)
            fill(connection, "rebased", RESULTS["exposure"], (rebased or before).tables["exposure"])
        tables = {}
        for name in models.build(connection, SQL):
            declared = RESULTS[name.partition(".")[2]]
            tables[declared.name] = connection.sql(
                f"select * from {name} order by {', '.join(declared.key)}"
            ).to_arrow_table()
    return Results(night.day, tables)
