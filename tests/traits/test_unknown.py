"""What was not seen is unknown, never absent: one organisation whose accounts each hide one thing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from ecs_exposure import models

from tests.sql_harness import DAY, REGION, SQL, day_of, insert, records

TRAITS = {text.trait: frozenset(text.datasets) for text in models.trait_texts(SQL)}
DATASETS = sorted(frozenset().union(*TRAITS.values()))
ACCOUNT_OF = {dataset: f"{1_000_000_000_00 + number:012d}" for number, dataset in enumerate(["", *DATASETS])}
"""The account that refuses each dataset; `""` refuses nothing."""

OUTSIDE = "999999999999"
ROLE_TRAITS = {trait for trait, datasets in TRAITS.items() if datasets & {"role_statement", "role_trust"}}
VULNERABILITY_TRAITS = {
    "vulnerability", "high_priority_vulnerability", "end_of_life_operating_system", "malicious_package",
}  # fmt: skip


def digest(pair: str) -> str:
    return "sha256:" + pair * 32


class Estate:
    """Snapshot rows of services that each touch every dataset: an instance, a role, an image of their registry."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}

    def add(self, dataset: str, account: str, **row: Any) -> None:
        self.rows.setdefault(dataset, []).append({"account_id": account, **row})

    def service(
        self,
        name: str,
        account: str,
        *,
        network_mode: str = "bridge",
        role: str | None = "",
        execution_role: str | None = None,
        registry: str | None = None,
        is_described: bool = True,
        is_scanned: bool = True,
    ) -> None:
        definition, instance, role = f"{name}:1", f"i-{name}", f"role-{name}" if role == "" else role
        behind = [{"target_group_arn": f"tg-{name}"}, {"load_balancer_name": "old"}]
        self.add(
            "service", account, resource_id=name, task_definition_arn=definition, desired_count=1, load_balancers=behind
        )
        balancers = [f"lb-{name}"]
        self.add("target_group", account, target_group_arn=f"tg-{name}", load_balancer_arns=balancers)
        self.add("load_balancer", account, load_balancer_arn=f"lb-{name}", kind="network", scheme="internal")
        self.add("security_group_rule", account, group_id=f"sg-{name}", protocol="tcp", prefix_list_id=f"pl-{name}")
        self.add(
            "task",
            account,
            resource_id=name,
            task_arn=f"task-{name}",
            task_definition_arn=definition,
            container_instance_arn=f"ci-{name}" if network_mode == "bridge" else None,
            network_interface_ids=[f"eni-{name}"] if network_mode == "awsvpc" else [],
        )
        if is_described:
            self.add(
                "task_definition",
                account,
                task_definition_arn=definition,
                network_mode=network_mode,
                task_role_arn=role,
                execution_role_arn=execution_role,
            )
            hardened = {"user": "1000", "is_root_filesystem_read_only": True}
            self.add("container", account, task_definition_arn=definition, container_name="web", **hardened)
        if network_mode == "bridge":
            self.add("container_instance", account, container_instance_arn=f"ci-{name}", ec2_instance_id=instance)
            self.add("instance", account, instance_id=instance, security_group_ids=[f"sg-{name}"])
        else:
            self.add(
                "network_interface", account, network_interface_id=f"eni-{name}", security_group_ids=[f"sg-{name}"]
            )
        if role == f"role-{name}":
            self.add("role", account, region="global", role_arn=role)
        self.add(
            "task_container",
            account,
            resource_id=name,
            task_arn=f"task-{name}",
            container_name="web",
            image=f"{registry or account}.dkr.ecr.{REGION}.amazonaws.com/app",
            image_digest=digest("aa"),
        )
        if is_scanned:
            self.add(
                "image_coverage",
                registry or account,
                repository_name="app",
                image_digest=digest("aa"),
                scan_status="ACTIVE",
                scan_reason="SUCCESSFUL",
            )

    def statement(self, account: str, role: str, kind: str = "inline", **row: Any) -> None:
        self.add("role_statement", account, region="global", role_arn=role, policy_kind=kind, effect="Allow", **row)


@pytest.fixture(scope="module")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    estate = Estate()
    for dataset, account in ACCOUNT_OF.items():
        estate.service(f"refused-{dataset}", account)
    for dataset in ("instance", "container_instance"):
        estate.service(f"fargate-{dataset}", ACCOUNT_OF[dataset], network_mode="awsvpc")
    for dataset in ("role", "role_statement"):
        estate.service(f"roleless-{dataset}", ACCOUNT_OF[dataset], role=None)
    everything = ACCOUNT_OF[""]
    estate.service("undescribed", everything, is_described=False)
    estate.service("rollout", everything)
    estate.add(
        "deployment",
        everything,
        resource_id="rollout",
        deployment_id="d",
        status="PRIMARY",
        task_definition_arn="gone:2",
    )
    estate.add("service", everything, resource_id="waiting", task_definition_arn="gone:3", desired_count=2)
    estate.add(
        "service", everything, resource_id="stopped", task_definition_arn="gone:3", desired_count=0, running_count=0
    )
    estate.service("role-missing", everything, role="no-such-role")
    estate.service("execution-role-missing", everything, role=None, execution_role="role-nowhere")
    for name in ("malformed", "malformed-boundary", "malformed-beside-admin"):
        estate.service(name, everything)
    estate.statement(everything, "role-malformed", condition='{"malformed": "no document"}')
    estate.statement(everything, "role-malformed-boundary", actions=["*"], resources=["*"])
    estate.statement(everything, "role-malformed-boundary", "boundary", condition='{"malformed": "not JSON"}')
    estate.statement(everything, "role-malformed-beside-admin", actions=["*"], resources=["*"])
    estate.statement(
        everything, "role-malformed-beside-admin", statement_index=1, condition='{"malformed": "not JSON"}'
    )
    estate.service("registry-outside", everything, registry=OUTSIDE, is_scanned=False)
    estate.service("registry-refuses-coverage", everything, registry=ACCOUNT_OF["image_coverage"])
    estate.service("registry-refuses-findings", everything, registry=ACCOUNT_OF["image_finding"])
    estate.service("new-to-refused-ecr", ACCOUNT_OF["image"], is_scanned=False)
    estate.rows["task_container"][-1] |= {"image_digest": digest("cc")}

    sql = tmp_path_factory.mktemp("sql")
    for folder in ("reference", "resources", "traits"):
        (sql / folder).symlink_to(SQL / folder, target_is_directory=True)
    # A model that asks for traits.all, and no more.
    (sql / "exposures").mkdir()
    (sql / "exposures" / "trait_hit.sql").symlink_to(SQL / "exposures" / "trait_hit.sql")
    with day_of(estate.rows) as connection:
        for dataset, account in ACCOUNT_OF.items():
            for region in (REGION, "global"):
                insert_missing_coverage(connection, account, region)
            connection.execute(
                """update snapshot.coverage set status = 'denied', observed_date = null
                where account_id = ? and dataset = ?""",
                [account, dataset],
            )
        connection.execute("delete from snapshot.coverage where account_id = ?", [OUTSIDE])
        models.build(connection, sql)
        yield connection


def insert_missing_coverage(connection: duckdb.DuckDBPyConnection, account: str, region: str) -> None:
    """day_of covers the targets that rows name; an account without a role row has no global one."""
    if not records(
        connection, f"select 1 from snapshot.coverage where account_id = '{account}' and region = '{region}'"
    ):
        for dataset in DATASETS:
            row = {"account_id": account, "region": region, "dataset": dataset, "status": "ok", "observed_date": DAY}
            insert(connection, "snapshot.coverage", [row])


def states(connection: duckdb.DuckDBPyConnection, service: str) -> dict[str, str]:
    return {
        row["trait"]: row["state"]
        for row in records(connection, f"select trait, state from traits.all where resource_id = '{service}'")
    }


def unknown(connection: duckdb.DuckDBPyConnection, service: str) -> set[str]:
    return {trait for trait, state in states(connection, service).items() if state == "unknown"}


def test_where_everything_was_seen_nothing_is_unknown(organisation: duckdb.DuckDBPyConnection) -> None:
    assert states(organisation, "refused-") == {"iam_role_assumable": "hit"}


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_trait_is_unknown_where_a_dataset_it_needs_was_refused(
    organisation: duckdb.DuckDBPyConnection, dataset: str
) -> None:
    needing = {trait for trait, datasets in TRAITS.items() if dataset in datasets}
    # The rows in force still show the role: what was seen stays a hit.
    assert unknown(organisation, f"refused-{dataset}") == needing - {"iam_role_assumable"}


@pytest.mark.parametrize("service", ["fargate-instance", "fargate-container_instance"])
def test_instances_do_not_concern_tasks_with_an_interface_of_their_own(
    organisation: duckdb.DuckDBPyConnection, service: str
) -> None:
    assert unknown(organisation, service) == set()


@pytest.mark.parametrize("service", ["roleless-role", "roleless-role_statement"])
def test_roles_do_not_concern_a_service_without_one(organisation: duckdb.DuckDBPyConnection, service: str) -> None:
    assert states(organisation, service) == {}


@pytest.mark.parametrize("service", ["undescribed", "rollout"])
def test_a_revision_in_force_that_was_not_described_may_be_anything(
    organisation: duckdb.DuckDBPyConnection, service: str
) -> None:
    of_definition = {
        trait
        for trait, datasets in TRAITS.items()
        if datasets & {"task_definition", "container", "volume", "credential"}
    }
    hits = {trait for trait, state in states(organisation, service).items() if state == "hit"}
    assert unknown(organisation, service) == of_definition - hits
    assert hits == ({"iam_role_assumable"} if service == "rollout" else set())


def test_what_an_undescribed_revision_would_start_may_be_vulnerable(organisation: duckdb.DuckDBPyConnection) -> None:
    images = {*VULNERABILITY_TRAITS, "image_not_scanned"}
    assert unknown(organisation, "waiting") >= images
    assert not unknown(organisation, "stopped") & images
    assert not unknown(organisation, "undescribed") & images


@pytest.mark.parametrize("service", ["role-missing", "malformed", "malformed-boundary"])
def test_a_role_missing_or_unreadable_is_never_without_permissions(
    organisation: duckdb.DuckDBPyConnection, service: str
) -> None:
    assert states(organisation, service) == {"iam_role_assumable": "hit"} | dict.fromkeys(ROLE_TRAITS, "unknown")


def test_an_execution_role_nobody_found_may_administer_services_and_nothing_else(
    organisation: duckdb.DuckDBPyConnection,
) -> None:
    assert states(organisation, "execution-role-missing") == {"service_administrative_policy": "unknown"}


def test_what_is_readable_of_a_role_counts(organisation: duckdb.DuckDBPyConnection) -> None:
    assert states(organisation, "malformed-beside-admin") == {
        **dict.fromkeys(ROLE_TRAITS, "unknown"),
        "iam_role_assumable": "hit",
        "administrative_access_policy": "hit",
    }


def test_an_image_is_as_known_as_its_registry(organisation: duckdb.DuckDBPyConnection) -> None:
    assert unknown(organisation, "registry-refuses-coverage") == {"image_not_scanned"}
    assert unknown(organisation, "registry-refuses-findings") == VULNERABILITY_TRAITS


def test_a_registry_nobody_asks_proves_nothing(organisation: duckdb.DuckDBPyConnection) -> None:
    assert states(organisation, "registry-outside") == {
        "iam_role_assumable": "hit",
        "image_not_scanned": "hit",
        **dict.fromkeys(VULNERABILITY_TRAITS, "unknown"),
    }


def test_without_ecr_nobody_knows_by_which_platforms_inspector_knows_an_image(
    organisation: duckdb.DuckDBPyConnection,
) -> None:
    assert unknown(organisation, "new-to-refused-ecr") == {*VULNERABILITY_TRAITS, "image_not_scanned"}


def test_a_hit_on_rows_of_an_earlier_day_is_carried() -> None:
    seen = DAY - timedelta(days=2)
    rows = {
        "service": [{"resource_id": "svc-a", "task_definition_arn": "td:1"}],
        "task_definition": [{"task_definition_arn": "td:1", "pid_mode": "host", "observed_date": seen}],
    }
    with day_of(rows, unseen={"task_definition": ("denied", seen)}) as connection:
        models.build(connection, SQL)
        [row] = records(
            connection, "select trait, state, is_carried, observed_date from traits.all where state = 'hit'"
        )
    assert row == {"trait": "host_process_namespace", "state": "hit", "is_carried": True, "observed_date": seen}
