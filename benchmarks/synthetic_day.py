"""A synthetic day of a large organisation, written into a lake as a night's batches would write it.

Services spread over accounts and two Regions, each with a definition, a deployment and two tasks; one in five holds a
sidecar, one in ten runs an image of a central registry, one in five stands behind a load balancer, one in eight runs on
EC2. Every trait hits some. Image findings: each digest has 150 of the base it shares with other images and 100 of its
own, out of some 26,000 vulnerabilities, with EPSS skewed as FIRST publishes it (most below 0.01). Images of one base
were built at eight different times, and have as many versions of each package.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pyarrow as pa
from ecs_exposure.collectors import GLOBAL_DATASETS, IMAGE_DATASETS, REGION_DATASETS
from ecs_exposure.collectors.task_definitions import EXTRACTOR_VERSION
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from synthetic_network import fronts, load_balancers, place_network, task_address

REGIONS = ("eu-west-1", "us-east-1")
CVES_A_DIGEST = 250
ACCOUNTS_A_BATCH = 4
SERVICES_AN_ACCOUNT = 100

Row = dict[str, Any]
Rows = dict[str, list[Row]]

STATEMENTS: tuple[list[Row], ...] = (
    [{"actions": ["*"], "resources": ["*"]}],
    [{"actions": ["s3:getobject", "s3:listbucket"], "resources": ["arn:aws:s3:::app-bucket/*"]}],
    [{"actions": ["dynamodb:*"], "resources": ["*"]}],
    [
        {"actions": ["sqs:sendmessage"], "resources": ["*"]},
        {"actions": ["sqs:*"], "resources": ["*"], "effect": "Deny"},
    ],
    [{"actions": ["iam:*"], "resources": ["*"]}],
    [{"actions": ["iam:passrole", "ecs:runtask", "ecs:registertaskdefinition"], "resources": ["*"]}],
    [{"actions": ["iam:createaccesskey", "iam:updateassumerolepolicy", "iam:putrolepolicy"], "resources": ["*"]}],
    [
        {
            "actions": ["iam:passrole", "ec2:associateiaminstanceprofile", "s3:putreplicationconfiguration"],
            "resources": ["*"],
        }
    ],
    [
        {
            "actions": ["sts:assumerole", "ssm:*", "lambda:update*", "cloudtrail:*", "s3:putbucketpolicy"],
            "resources": ["*"],
        }
    ],
    [{"actions": ["logs:createlogstream", "logs:putlogevents"], "resources": ["*"]}],
)


class SyntheticDay:
    """Builds the rows; `write` may be called for several days, whose data then is the same but for the dates."""

    def __init__(self, services: int, vulnerabilities: int, seed: int = 1) -> None:
        self.services = services
        self.digests = max(1, vulnerabilities // CVES_A_DIGEST)
        self.accounts = [f"{100_000_000_000 + 7 * n}" for n in range(max(1, -(-services // SERVICES_AN_ACCOUNT)))]
        self._places = [(account, region) for account in self.accounts for region in REGIONS]
        self._seed = seed

    def write(self, lake: Lake, day: date) -> None:
        """Write the day's batches and commit them. Raises LakeError when the lake cannot be written to."""
        organization = lake.writer(day, "organization")
        accounts = SNAPSHOTS["account"]
        organization.write(accounts, accounts.to_arrow(self._accounts(day)))
        organization.commit([_covered(self.accounts[0], "global", "account", day, organization.file)])
        for start in range(0, len(self.accounts), ACCOUNTS_A_BATCH):
            self._write_batch(lake, day, start)
        for region in REGIONS:
            self._write_images(lake, day, region)

    # --- first wave ---

    def _accounts(self, day: date) -> Iterator[Row]:
        units = ("/Workloads/Production", "/Workloads/Staging", "/Sandbox", "/Infrastructure")
        for number, account_id in enumerate(self.accounts):
            yield {
                "account_id": account_id, "region": "global", "observed_date": day, "status": "ACTIVE",
                "account_name": f"team-{number:03d}", "is_management": number == 0,
                "ou_path": units[number % len(units)], "tags": f'{{"owner": "team-{number % 40}"}}',
            }  # fmt: skip

    def _write_batch(self, lake: Lake, day: date, start: int) -> None:
        writer = lake.writer(day, f"targets-{start // ACCOUNTS_A_BATCH:03d}")
        rows: Rows = {}
        coverage = []
        for number in range(start, min(start + ACCOUNTS_A_BATCH, len(self.accounts))):
            account_id = self.accounts[number]
            seen = [("global", GLOBAL_DATASETS, self._roles(number))]
            for place in (number * 2, number * 2 + 1):
                seen.append((self._places[place][1], REGION_DATASETS, self._place(place)))
            for region, datasets, found in seen:
                _merge(rows, found, account_id, region, day)
                coverage += [
                    _covered(account_id, region, name, day, writer.file if found[name] else None) for name in datasets
                ]
        for name, items in rows.items():
            writer.write(SNAPSHOTS[name], SNAPSHOTS[name].to_arrow(items))
        writer.commit(coverage)

    def _roles(self, number: int) -> Rows:
        account_id = self.accounts[number]
        roles: Rows = {name: [] for name in GLOBAL_DATASETS}
        for place in (number * 2, number * 2 + 1):
            region = self._places[place][1]
            fronts(roles, place, f"{load_balancers(account_id, region)}/app/inner/{place:05d}")
        for index in range(SERVICES_AN_ACCOUNT // 2):
            arn = f"arn:aws:iam::{account_id}:role/app-{index}"
            roles["role"].append(
                {"role_arn": arn, "role_name": f"app-{index}", "attached_policy_arns": [], "instance_profile_arns": [],
                 "trust_policy": '{"Statement": [{"Action": "sts:AssumeRole", "Effect": "Allow"}]}', "tags": "{}"}
            )  # fmt: skip
            # One role in fourteen is an administrator; most do little.
            chosen = STATEMENTS[0] if index % 14 == 3 else STATEMENTS[1 + (index * 5 + number) % (len(STATEMENTS) - 1)]
            for position, statement in enumerate([*chosen, *STATEMENTS[-1]]):
                roles["role_statement"].append(
                    {"role_arn": arn, "policy_kind": "inline", "policy_name": "app", "statement_index": position,
                     "effect": "Allow", **statement}
                )  # fmt: skip
        return roles

    def _place(self, place: int) -> Rows:
        account_id, region = self._places[place]
        rows: Rows = {name: [] for name in REGION_DATASETS}
        cluster = f"arn:aws:ecs:{region}:{account_id}:cluster/main"
        rows["cluster"].append(
            {"cluster_arn": cluster, "cluster_name": "main", "status": "ACTIVE", "standalone_task_count": place % 3,
             "tags": "{}"}
        )  # fmt: skip
        balancers = place_network(rows, place, account_id, region)
        for host in range(3):
            instance = f"i-{place:05d}-{host}"
            rows["container_instance"].append(
                {"container_instance_arn": f"{cluster}/instance/{host}", "cluster_arn": cluster,
                 "ec2_instance_id": instance, "status": "ACTIVE"}
            )  # fmt: skip
            rows["instance"].append(
                {"instance_id": instance, "vpc_id": f"vpc-{place:05d}", "state": "running",
                 "subnet_id": f"subnet-private-{place:05d}",
                 "public_ip": "198.51.100.9" if host == 2 and place % 5 == 0 else None, "network_interface_ids": [],
                 "security_group_ids": [f"sg-{'open' if host == 2 else 'inner'}-{place:05d}"],
                 "http_tokens": "optional" if host == 1 else "required", "http_put_response_hop_limit": 1 + host % 2,
                 "http_endpoint": "enabled"}
            )  # fmt: skip
        for number in range(place, self.services, len(self._places)):
            self._service(rows, place, number, cluster, balancers[number % 3])
        return rows

    def _service(self, rows: Rows, place: int, number: int, cluster: str, balancer: str) -> None:
        account_id, region = self._places[place]
        chance = random.Random(f"{self._seed}/{number}")
        name = f"service-{number:05d}"
        resource_id = f"arn:aws:ecs:{region}:{account_id}:service/main/{name}"
        definition = f"arn:aws:ecs:{region}:{account_id}:task-definition/{name}:7"
        on_ec2, is_public, is_balanced = number % 8 == 1, chance.random() < 0.1, number % 5 == 2
        mode = chance.choice(("bridge", "host")) if on_ec2 else "awsvpc"
        launch_type = "EC2" if on_ec2 else "FARGATE"
        desired = 0 if chance.random() < 0.03 else 2
        subnet = f"subnet-{'public' if is_public else 'private'}-{place:05d}"
        group = f"sg-{chance.choices(('open', 'half', 'listed', 'inner'), (25, 5, 5, 65))[0]}-{place:05d}"
        target_group = f"arn:aws:elasticloadbalancing:{region}:{account_id}:targetgroup/{name}/1"
        port = chance.choice((80, 8080, 5432))
        network = {"assign_public_ip": is_public, "subnet_ids": [subnet], "security_group_ids": [group]}
        if on_ec2:
            network = {"assign_public_ip": None, "subnet_ids": [], "security_group_ids": []}
        balancing = [{"target_group_arn": target_group, "load_balancer_name": None, "container_name": "main",
                      "container_port": port}] if is_balanced else []  # fmt: skip
        common = {"launch_type": launch_type, "task_definition_arn": definition, "desired_count": desired,
                  "running_count": desired, "load_balancers": balancing, **network}  # fmt: skip
        rows["service"].append(
            {"resource_id": resource_id, "service_arn": resource_id, "cluster_arn": cluster, "cluster_name": "main",
             "service_name": name, "status": "ACTIVE", "scheduling_strategy": "REPLICA", "deployment_controller": "ECS",
             "is_execute_command_enabled": number % 11 == 0,
             "created_at": datetime(2025, 1, 1, tzinfo=UTC), "tags": f'{{"owner": "team-{number % 60}"}}', **common}
        )  # fmt: skip
        rows["deployment"].append(
            {"resource_id": resource_id, "deployment_id": f"ecs-svc/{number}", "kind": "deployment",
             "status": "PRIMARY", **common}
        )  # fmt: skip
        if is_balanced:
            rows["target_group"].append(
                {"target_group_arn": target_group, "target_type": "instance" if on_ec2 else "ip",
                 "protocol": "TCP" if "/net/" in balancer else "HTTP", "port": port, "vpc_id": f"vpc-{place:05d}",
                 "load_balancer_arns": [balancer]}
            )  # fmt: skip
            if "/net/" in balancer:
                rows["target_group_attribute"].append({"target_group_arn": target_group, "preserves_client_ip": on_ec2})
        rows["task_definition"].append(
            {"task_definition_arn": definition, "family": name, "revision": 7, "extractor_version": EXTRACTOR_VERSION,
             "status": "ACTIVE", "network_mode": mode, "pid_mode": "host" if on_ec2 and chance.random() < 0.1 else None,
             "ipc_mode": "host" if on_ec2 and number % 17 == 0 else None, "operating_system_family": "LINUX",
             "task_role_arn": f"arn:aws:iam::{account_id}:role/app-{chance.randrange(SERVICES_AN_ACCOUNT // 2)}"
             if chance.random() < 0.8 else None,
             "requires_compatibilities": [launch_type]}
        )  # fmt: skip
        containers = ["main", "sidecar"] if number % 5 == 0 else ["main"]
        images = [self._image(place, number, position, chance) for position in range(len(containers))]
        for container, (image, _) in zip(containers, images, strict=True):
            mounts = []
            if on_ec2 and container == "main" and chance.random() < 0.3:
                mounts = [{"source_volume": "host", "container_path": "/host", "read_only": chance.random() < 0.5}]
                path = chance.choice(("/", "/var/run/docker.sock", "/etc", "/data"))
                rows["volume"].append(
                    {"task_definition_arn": definition, "volume_name": "host", "kind": "host", "host_path": path}
                )
            rows["container"].append(
                {"task_definition_arn": definition, "container_name": container, "image": image, "is_essential": True,
                 "is_privileged": on_ec2 and chance.random() < 0.1, "is_root_filesystem_read_only": number % 3 == 0,
                 "user": "1000" if number % 4 == 0 else None,
                 "capabilities_added": ["NET_ADMIN", "SYS_ADMIN"] if on_ec2 and number % 13 == 0 else [],
                 "capabilities_dropped": [], "mount_points": mounts,
                 "port_mappings": [{"container_port": port, "host_port": port if mode != "bridge" else 0,
                                    "protocol": "tcp"}],
                 "environment_count": 12, "secret_count": 2, "environment_file_count": 0}
            )  # fmt: skip
            if chance.random() < 0.05:
                rows["credential"].append(
                    {"task_definition_arn": definition, "container_name": container, "source": "environment",
                     "variable_name": "DB_PASSWORD", "detector": "named-secret",
                     "is_provider_pattern": chance.random() < 0.3, "fingerprint": f"{number:032x}"}
                )  # fmt: skip
        for index in range(desired):
            task = f"arn:aws:ecs:{region}:{account_id}:task/main/{number:08d}{index}"
            interface = f"eni-{number:08d}{index}"
            rows["task"].append(
                {"task_arn": task, "resource_id": resource_id, "cluster_arn": cluster,
                 "task_definition_arn": definition, "launch_type": launch_type, "last_status": "RUNNING",
                 "container_instance_arn": f"{cluster}/instance/{(number // 8 + index) % 3}" if on_ec2 else None,
                 "network_interface_ids": [] if on_ec2 else [interface], "subnet_ids": [] if on_ec2 else [subnet]}
            )  # fmt: skip
            if not on_ec2:
                rows["network_interface"].append(
                    {"network_interface_id": interface, "vpc_id": f"vpc-{place:05d}", "subnet_id": subnet,
                     "security_group_ids": [group], "public_ip": "198.51.100.7" if is_public else None,
                     "ipv6_addresses": [], "private_ip": task_address(number * 2 + index),
                     "interface_type": "interface"}
                )  # fmt: skip
            for container, (image, digest) in zip(containers, images, strict=True):
                rows["task_container"].append(
                    {"task_arn": task, "resource_id": resource_id, "container_name": container, "image": image,
                     "image_digest": digest, "network_bindings": []}
                )  # fmt: skip

    def _image(self, place: int, number: int, position: int, chance: random.Random) -> tuple[str, str | None]:
        """(reference, digest) of a container's image: of the own registry, the first account's, or Docker Hub."""
        if chance.random() < 0.02:
            return "public.ecr.aws/docker/library/redis:7", f"sha256:{number:064x}"
        own = range(place, self.digests, len(self._places))
        if not own or chance.random() < 0.1:
            own = range(place % 2, self.digests, len(self._places))  # the first account's registry in the same Region
        if not own:
            return "public.ecr.aws/nginx/nginx:1.27", f"sha256:{number:064x}"
        digest = own[(number // len(self._places) + position * 3) % len(own)]
        account_id, region = self._places[digest % len(self._places)]
        return f"{account_id}.dkr.ecr.{region}.amazonaws.com/{_repository(digest)}:1", _digest(digest)

    # --- second wave ---

    def _write_images(self, lake: Lake, day: date, region: str) -> None:
        writer = lake.writer(day, f"images-{region}")
        coverage = []
        rows: Rows = {name: [] for name in ("registry_scanning", "image", "image_coverage")}
        for place, (account_id, at) in enumerate(self._places):
            if at != region:
                continue
            known: Rows = {"registry_scanning": [{"scan_type": "ENHANCED"}], "image": [], "image_coverage": []}
            for digest in range(place, self.digests, len(self._places)):
                image = {"repository_name": _repository(digest), "image_digest": _digest(digest)}
                known["image"].append(
                    image | {"image_tags": ["1"], "platform_digests": [], "pushed_at": datetime(2026, 1, 1, tzinfo=UTC)}
                )
                # Of some images Inspector never heard, others it no longer scans.
                if digest % 50 != 7:
                    status = ("INACTIVE", "SCAN_ELIGIBILITY_EXPIRED") if digest % 50 == 9 else ("ACTIVE", "SUCCESSFUL")
                    known["image_coverage"].append(image | {"scan_status": status[0], "scan_reason": status[1]})
            _merge(rows, known, account_id, region, day)
            has_digests = bool(known["image"])
            coverage += [
                _covered(
                    account_id, region, name, day, writer.file if has_digests or name == "registry_scanning" else None
                )
                for name in IMAGE_DATASETS
            ]
        for name, items in rows.items():
            writer.write(SNAPSHOTS[name], SNAPSHOTS[name].to_arrow(items))
        for name, select in (("image_finding", _FINDINGS), ("vulnerability_detail", _DETAILS)):
            for chunk in self._generated(select, name, region, day):
                writer.write(SNAPSHOTS[name], chunk)
        writer.commit(coverage)

    def _generated(self, select: str, dataset: str, region: str, day: date) -> Iterator[pa.Table]:
        """Rows of a whole Region made by DuckDB: a million of them through Python would take minutes."""
        declared = SNAPSHOTS[dataset]
        with duckdb.connect(":memory:", config={"preserve_insertion_order": False}) as connection:
            places = pa.table(
                {
                    "place": pa.array(range(len(self._places)), pa.int64()),
                    "account_id": [account_id for account_id, _ in self._places],
                    "region": [at for _, at in self._places],
                }
            )
            connection.register("places", places)
            names = set(declared.column_names)
            parameters = {
                "digests": self.digests, "places": len(self._places), "region": region, "day": day, "seed": self._seed,
                "cves": CVES_A_DIGEST,
            }  # fmt: skip
            made = connection.sql(_CARRIED_BY + select, params=parameters).to_arrow_reader(50_000)
            made_names = set(made.schema.names)
            for batch in made:
                yield pa.Table.from_arrays(
                    [
                        batch.column(item.name).cast(item.type)
                        if item.name in made_names
                        else pa.nulls(batch.num_rows, item.type)
                        for item in declared.columns
                    ],
                    schema=declared.schema,
                )
            assert made_names <= names, made_names - names


# Which digest carries which vulnerability: the first 150 come from one of 40 bases, the others from a common pool.
# Twenty of the base are in two packages built from one source.
_CARRIED_BY = """
with carried as (
    select digest.n as digest, place.account_id, place.region,
        case when slot.n < 150 then (digest.n % 40) * 150 + if(slot.n >= 130, slot.n - 20, slot.n)
            else 6000 + (digest.n * 7919 + slot.n * 104729 + $seed) % 20011 end as cve,
        slot.n between 130 and 149 as is_second_package,
        slot.n as slot
    from range($digests) as digest (n)
    join places as place on place.place = digest.n % $places
    cross join range($cves) as slot (n)
    where place.region = $region and digest.n % 50 <> 7
),
-- Fractions of [0, 1) that belong to the vulnerability, whatever image carries it.
rated as (
    select *, (hash(cve * 31 + $seed) % 1000003) / 1000003.0 as u, (hash(cve * 131 + $seed) % 1000003) / 1000003.0 as v,
        (hash(cve * 517 + $seed) % 1000003) / 1000003.0 as w
    from carried
)
"""
_FINDINGS = """
select account_id, region, $day::date as observed_date,
    'arn:aws:inspector2:' || region || ':' || account_id || ':finding/' || md5(digest || '/' || slot) as finding_arn,
    'app-' || (digest % 977) as repository_name,
    'sha256:' || sha256(digest::varchar) as image_digest,
    if(digest % 20 = 3, 'DEBIAN_9', 'DEBIAN_12') as platform,
    if(slot = 199 and digest % 200 = 9, 'MAL-2025-' || (1000 + cve),
        'CVE-' || (2015 + cve % 12) || '-' || (10000 + cve)) as vulnerability_id,
    if(w < 0.01, 'SUPPRESSED', 'ACTIVE') as finding_status,
    case when v < 0.06 then 'CRITICAL' when v < 0.35 then 'HIGH' when v < 0.8 then 'MEDIUM' when v < 0.95 then 'LOW'
        else 'UNTRIAGED' end as severity,
    case when is_second_package then 'libpackage-' || (cve % 900) when u < 0.04 then 'linux-libc-dev'
        else 'package-' || (cve % 900) end as package_name,
    '1.' || (cve % 30) || '.' || (digest // 40 % 8) as package_version,
    if(slot < 150, 'OS', 'NPM') as package_manager,
    if(slot < 150, null, 'app/node_modules/package-' || (cve % 900) || '/package.json') as package_file_path,
    if(w < 0.7, '1.' || (31 + cve % 3) || '.0', null) as fixed_in_version,
    if(w < 0.7, 'apt-get update && apt-get upgrade', null) as fix_command,
    if(w < 0.7, 'YES', 'NO') as fix_available,
    u < 0.08 as exploit_available,
    if(w > 0.97, null, pow(u, 400) * 0.97) as epss,
    case when v >= 0.95 then null else 'CVSS:3.1/AV:' || if(u < 0.6, 'N', 'L') || '/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H' end
        as cvss_vector,
    case when v >= 0.95 then null else round(4 + 6 * (1 - v), 1) end as cvss_base_score,
    case when v >= 0.95 then null else 'NVD' end as cvss_source,
    case when v >= 0.95 then null when u < 0.6 or u > 0.9 then 'NETWORK' else 'LOCAL' end as attack_vector,
    case when v >= 0.95 then null when w < 0.8 then 'LOW' else 'HIGH' end as attack_complexity,
    case when v >= 0.95 then null when w < 0.6 then 'NONE' else 'LOW' end as privileges_required,
    case when v >= 0.95 then null when w < 0.5 then 'NONE' else 'REQUIRED' end as user_interaction,
    case when v >= 0.95 then null when v < 0.5 then 'HIGH' else 'NONE' end as confidentiality_impact,
    case when v >= 0.95 then null when v < 0.4 then 'HIGH' else 'NONE' end as integrity_impact,
    case when v >= 0.95 then null else 'HIGH' end as availability_impact,
    timestamptz '2026-01-01 00:00:00+00' as first_observed_at
from rated
"""
_DETAILS = """
select distinct account_id, region, $day::date as observed_date,
    'CVE-' || (2015 + cve % 12) || '-' || (10000 + cve) as vulnerability_id,
    u > 0.996 as is_kev, if(u > 0.996, date '2025-05-01', null) as kev_date_added,
    []::varchar[] as tools
from rated
"""


def _repository(digest: int) -> str:
    return f"app-{digest % 977}"


def _digest(number: int) -> str:
    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"


def _merge(rows: Rows, more: Rows, account_id: str, region: str, day: date) -> None:
    target = {"account_id": account_id, "region": region, "observed_date": day}
    for name, items in more.items():
        rows.setdefault(name, []).extend({**target, **item} for item in items)


def _covered(account_id: str, region: str, dataset: str, day: date, file: str | None) -> Row:
    return {
        "account_id": account_id, "region": region, "dataset": dataset, "status": "ok", "rows": None, "api_calls": 0,
        "message": None, "collected_at": datetime(2026, 1, 1, tzinfo=UTC), "observed_date": day, "file": file,
    }  # fmt: skip
