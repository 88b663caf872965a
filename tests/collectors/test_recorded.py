"""Recorded answers, page by page, become these rows; what AWS leaves out is told, never guessed."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors import ec2, ecr, ecs, elbv2, iam
from ecs_exposure.collectors.base import Collector, Context, Row, Target
from ecs_exposure.collectors.ecr import ImageRequest
from ecs_exposure.collectors.images import collect_images
from ecs_exposure.collectors.organizations import discover
from ecs_exposure.collectors.service_control import CONTROL_DATASETS
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import Settings, load

from tests.collectors.conftest import Play
from tests.collectors.playback import DROP, PAYLOADS, Playback, payload

ACCOUNT, REGION, DAY = "111111111111", "eu-west-1", date(2026, 11, 2)
ECS = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
ONE = f"{ECS}:cluster/one"


def recorded(*services: str) -> dict[tuple[str, str], list[Any]]:
    names = (path.stem.split("_") for path in PAYLOADS.glob("*.json"))
    return {(service, operation): payload(service, operation) for service, operation in names if service in services}


def settings_of(**overrides: Any) -> Settings:
    return load(organization_account_id=ACCOUNT, regions=(REGION,), rate_share=1.0, **overrides)


def run(playback: Playback, *collectors: Collector, region: str = REGION, **options: Any) -> Context:
    """The collectors' rows, each fit for its schema, in a context."""
    settings = settings_of(**options)
    context = Context(playback.access(settings), settings, Target(ACCOUNT, region), DAY, {}, b"k" * 32)
    for item in collectors:
        rows: dict[str, list[Row]] = {name: [] for name in item.datasets}
        for name, row in item.collect(context):
            rows[name].append(row)
        context.rows.update(rows)
    for name, found in context.rows.items():
        SNAPSHOTS[name].to_arrow(found)
    return context


def tuples(rows: list[Row], *columns: str) -> set[tuple[Any, ...]]:
    """Rows as a set of tuples; lists become tuples. A row that came twice is an error."""
    found = [tuple(_frozen(row[name]) for name in columns) for row in rows]
    assert len(found) == len(set(found))
    return set(found)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return tuple(value.values()) if isinstance(value, dict) else value


# --- ECS ---


def service_id(name: str) -> str:
    return f"{ECS}:service/one/{name}"


def group(name: str) -> str:
    return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/0123456789abcdef"


def test_services_of_all_pages_have_long_ids_and_launch_types(play: Play) -> None:
    context = run(play(recorded("ecs")), ecs.SERVICES)
    assert tuples(context.rows["cluster"], "cluster_name", "status", "tags") == {("one", "ACTIVE", '{"team": "päy"}')}
    assert tuples(context.rows["service"], "resource_id", "service_arn", "launch_type", "deployment_controller") == {
        (service_id("old"), f"{ECS}:service/old", "EC2", "ECS"),
        (service_id("green"), service_id("green"), "FARGATE", "ECS"),
        (service_id("sets"), service_id("sets"), None, "CODE_DEPLOY"),
        (service_id("asg"), service_id("asg"), "EC2", "ECS"),
        (service_id("managed"), service_id("managed"), "MANAGED_INSTANCES", "ECS"),
        (service_id("spot"), service_id("spot"), "FARGATE", "ECS"),
    }
    assert "gone" in context.notes["cluster"][0] and "deleted" in context.notes["service"][0]


def test_deployments_and_task_sets_in_force(play: Play) -> None:
    context = run(play(recorded("ecs")), ecs.SERVICES)
    columns = ("resource_id", "kind", "status", "task_definition_arn", "assign_public_ip", "subnet_ids")
    assert tuples(context.rows["deployment"], *columns) == {
        (service_id("old"), "deployment", "PRIMARY", f"{ECS}:task-definition/old:3", None, None),
        (service_id("old"), "deployment", "INACTIVE", f"{ECS}:task-definition/old:2", None, None),
        (service_id("green"), "deployment", "PRIMARY", f"{ECS}:task-definition/web:1", True, ("subnet-a", "subnet-b")),
        (service_id("sets"), "task_set", "PRIMARY", f"{ECS}:task-definition/set:2", False, ("subnet-a",)),
    }
    (task_set,) = (row for row in context.rows["deployment"] if row["kind"] == "task_set")
    assert [item["target_group_arn"] for item in task_set["load_balancers"]] == [group("set")]
    assert task_set["desired_count"] == 1


def test_both_target_groups_of_a_blue_green_service_are_rows(play: Play) -> None:
    context = run(play(recorded("ecs")), ecs.SERVICES)
    (service,) = (row for row in context.rows["service"] if row["service_name"] == "green")
    assert {(item["target_group_arn"], item["container_port"]) for item in service["load_balancers"]} == {
        (group("blue"), 8080),
        (group("green"), 8080),
    }


@pytest.mark.parametrize(("operation", "member"), [("DescribeClusters", "clusters"), ("DescribeServices", "services")])
def test_another_reason_than_missing_is_incomplete(play: Play, operation: str, member: str) -> None:
    answers = recorded("ecs")
    answers["ecs", operation][0]["failures"][0]["reason"] = "ACCESS_DENIED"
    with pytest.raises(IncompleteAnswer, match=f"{operation} failed on .*ACCESS_DENIED"):
        run(play(answers), ecs.SERVICES)


def test_a_service_lost_without_a_word_is_incomplete(play: Play) -> None:
    answers = recorded("ecs")
    answers["ecs", "DescribeServices"][0]["failures"] = []
    with pytest.raises(IncompleteAnswer, match="service/one/deleted"):
        run(play(answers), ecs.SERVICES)


def test_capacity_providers_that_may_not_be_read_leave_launch_types_unknown(play: Play) -> None:
    answers = recorded("ecs")
    answers["ecs", "DescribeCapacityProviders"] = [{"error": "AccessDeniedException", "message": "not authorized"}]
    context = run(play(answers), ecs.SERVICES)
    found = dict(tuples(context.rows["service"], "service_name", "launch_type"))
    assert (found["asg"], found["managed"], found["spot"]) == (None, None, "FARGATE")
    assert any("launch types" in note for note in context.notes["service"])


def test_a_dropped_connection_is_asked_again(play: Play) -> None:
    answers = recorded("ecs")
    answers["ecs", "ListClusters"].insert(1, DROP)
    playback = play(answers)
    assert len(run(playback, ecs.SERVICES).rows["service"]) == 6
    assert [call.get("nextToken") for call in playback.asked("ListClusters")] == [None, "c2", "c2"]


def test_tasks_of_services_and_the_count_of_the_others(play: Play) -> None:
    context = run(play(recorded("ecs")), ecs.SERVICES, ecs.TASKS)
    columns = (
        "task_arn", "resource_id", "launch_type", "network_interface_ids", "subnet_ids", "is_execute_command_enabled",
    )  # fmt: skip
    assert tuples(context.rows["task"], *columns) == {
        (f"{ECS}:task/one/1", service_id("green"), "FARGATE", ("eni-1",), ("subnet-a",), True)
    }
    assert tuples(context.rows["task_container"], "container_name", "image_digest", "network_bindings") == {
        ("web", "sha256:" + "a" * 64, ()),
        ("side", None, ((90, 32000, "udp"), (91, 32001, "udp"))),
    }
    assert [row["standalone_task_count"] for row in context.rows["cluster"]] == [1]


def test_container_instances(play: Play) -> None:
    context = run(play(recorded("ecs")), ecs.SERVICES, ecs.CONTAINER_INSTANCES)
    assert tuples(context.rows["container_instance"], "ec2_instance_id", "cluster_arn", "status") == {
        ("i-1", ONE, "ACTIVE"),
        ("i-2", ONE, "DRAINING"),
    }


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_arns_are_of_the_partition(partition: str, region: str) -> None:
    settings = load(partition=partition, regions=(region,))
    assert settings.role_arn(ACCOUNT, "r") == f"arn:{partition}:iam::{ACCOUNT}:role/r"
    assert ecs.resource_id(settings, ACCOUNT, region, "c", "s") == f"arn:{partition}:ecs:{region}:{ACCOUNT}:service/c/s"


# --- EC2 and ELB ---


def test_network_rows_of_all_pages(play: Play) -> None:
    rows = run(play(recorded("ec2")), *ec2.COLLECTORS).rows
    columns = ("group_id", "is_egress", "protocol", "from_port", "cidr", "prefix_list_id", "referenced_group_id")
    assert tuples(rows["security_group"], "group_id", "group_name") == {("sg-1", "web"), ("sg-2", "empty")}
    assert tuples(rows["security_group_rule"], *columns) == {
        ("sg-1", False, "tcp", 443, "0.0.0.0/0", None, None),
        ("sg-1", False, "tcp", 443, "::/0", None, None),
        ("sg-1", False, "icmp", None, None, "pl-1", None),
        ("sg-1", False, "icmp", None, None, None, "sg-2"),
        ("sg-1", True, "-1", None, "0.0.0.0/0", None, None),
    }
    assert tuples(rows["network_interface"], "network_interface_id", "public_ip", "ipv6_addresses", "instance_id") == {
        ("eni-1", "198.51.100.4", (), None),
        ("eni-2", "198.51.100.6", ("2001:db8::1",), "i-1"),
    }
    assert tuples(rows["subnet"], "subnet_id", "ipv6_cidrs", "internet_gateway_block_mode") == {
        ("subnet-a", ("2001:db8::/64",), None),
        ("subnet-b", (), "block-ingress"),
    }
    assert tuples(rows["route"], "route_table_id", "is_main", "subnet_ids", "destination", "target", "state") == {
        ("rtb-1", True, ("subnet-a",), "0.0.0.0/0", "igw-1", "active"),
        ("rtb-1", True, ("subnet-a",), "pl-1", "eni-2", "active"),
        ("rtb-2", False, (), "::/0", "eigw-1", "blackhole"),
    }
    assert tuples(rows["network_acl_entry"], "network_acl_id", "is_egress", "rule_number", "action", "to_port") == {
        ("acl-1", False, 100, "allow", 443),
        ("acl-2", True, 32768, "deny", None),
    }
    assert tuples(rows["instance"], "instance_id", "state", "public_ip", "http_tokens") == {
        ("i-1", "running", "198.51.100.9", "optional"),
        ("i-4", "pending", None, None),
    }


def test_the_order_aws_lists_rules_in_does_not_matter(play: Play) -> None:
    answers = recorded("ec2")
    first = run(play(recorded("ec2")), ec2.COLLECTORS[0]).rows["security_group_rule"]
    answers["ec2", "DescribeSecurityGroups"][0]["SecurityGroups"][0]["IpPermissions"].reverse()
    assert run(play(answers), ec2.COLLECTORS[0]).rows["security_group_rule"] == first


def test_load_balancers_listeners_and_groups_of_all_pages(play: Play) -> None:
    context = run(play(recorded("elbv2")), *elbv2.COLLECTORS)
    rows = context.rows
    columns = ("load_balancer_name", "scheme", "state", "subnet_ids", "security_group_ids")
    assert tuples(rows["load_balancer"], *columns) == {
        ("front", "internet-facing", "active", ("subnet-a", "subnet-b"), ("sg-1",)),
        ("leaving", "internal", None, (), ()),
    }
    assert tuples(rows["listener"], "listener_arn", "protocol", "port") == {
        ("li-1", "HTTPS", 443),
        ("li-2", "HTTP", 80),
    }
    assert {row["target_type"] for row in rows["target_group"]} == {"ip", "lambda", "instance", "alb"}
    assert "leaving" in context.notes["listener"][0]


# --- IAM ---


def policy(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:policy/{name}"


def test_roles_with_default_versions_boundaries_and_what_cannot_be_read(play: Play) -> None:
    playback = play(recorded("iam"))
    context = run(playback, iam.ROLES, region="global")
    assert tuples(context.rows["role"], "role_name", "boundary_arn", "attached_policy_arns", "tags") == {
        ("first", policy("boundary"), (policy("local"),), '{"team": "x"}'),
        ("second", None, (policy("vanished"),), "{}"),
    }
    assert tuples(context.rows["role_statement"], "policy_kind", "policy_name", "actions", "resources") == {
        ("inline", "in", ("s3:get*",), ("*",)),
        ("inline", "broken", None, None),
        ("attached", policy("local"), ("sqs:*",), ("*",)),
        ("boundary", policy("boundary"), ("ecs:*",), ("*",)),
        ("attached", policy("vanished"), None, None),
    }
    assert [call["PolicyArn"] for call in playback.asked("GetPolicyVersion")] == [policy("boundary")]
    assert "broken" in context.notes["role_statement"][0] and "vanished" in context.notes["role_statement"][0]


# --- ECR and Inspector ---


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


REQUEST = ImageRequest(ACCOUNT, REGION, "web", frozenset({digest("a"), digest("b")}), frozenset({"v2"}))


def collected_images(playback: Playback) -> tuple[dict[str, list[Row]], dict[str, tuple[str, str | None]]]:
    settings = settings_of()
    rows: dict[str, list[Row]] = {}
    for _, name, some in collect_images(playback.access(settings), settings, REGION, [REQUEST], snapshot_date=DAY):
        rows.setdefault(name, []).extend(some)
    coverage = {row["dataset"]: (row["status"], row["message"]) for row in rows.pop("coverage")}
    for name, found in rows.items():
        SNAPSHOTS[name].to_arrow(found)
    return rows, coverage


def test_a_batch_refused_for_a_missing_image_is_halved_and_indexes_expanded(play: Play) -> None:
    playback = play(recorded("ecr", "inspector2"))
    rows, _ = collected_images(playback)
    assert tuples(rows["image"], "image_digest", "image_tags", "platform_digests") == {
        (digest("a"), ("latest", "v1"), (digest("d"), digest("e"))),
        (digest("c"), ("v2",), ()),
    }
    asked = [tuple(next(iter(item.values())) for item in call["imageIds"]) for call in playback.asked("DescribeImages")]
    assert asked == [
        (digest("a"), digest("b"), "v2"),
        (digest("a"),),
        (digest("b"), "v2"),
        (digest("b"),),
        ("v2",),
    ]


def test_an_index_that_cannot_be_expanded_is_not_a_plain_image(play: Play) -> None:
    answers = recorded("ecr", "inspector2")
    answers["ecr", "BatchGetImage"] = [
        {"images": [], "failures": [{"imageId": {"imageDigest": digest("a")}, "failureCode": "ImageInaccessible"}]}
    ]
    _, coverage = collected_images(play({**answers, **empty_inspector()}))
    assert coverage["image"][0] == "failed" and "ImageInaccessible" in str(coverage["image"][1])


def test_a_manifest_that_cannot_be_read_fails() -> None:
    for manifest in ("{", "{}", '{"manifests": 1}', '{"manifests": [{}]}', '{"manifests": [{"digest": 7}]}', "[]"):
        with pytest.raises(IncompleteAnswer, match="cannot be read"):
            ecr._manifests(manifest, "web")


def empty_inspector() -> dict[tuple[str, str], list[Any]]:
    return {
        ("inspector2", "ListCoverage"): [{"coveredResources": []}],
        ("inspector2", "ListFindings"): [{"findings": []}],
    }


def test_findings_by_package_and_what_inspector_does_not_tell(play: Play) -> None:
    playback = play(recorded("ecr", "inspector2"))
    rows, coverage = collected_images(playback)
    wanted = playback.asked("ListFindings")[0]["filterCriteria"]["findingStatus"]
    assert {item["value"] for item in wanted} == {"ACTIVE", "SUPPRESSED"}
    assert {status for status, _ in coverage.values()} == {"ok"}
    columns = (
        "vulnerability_id", "image_digest", "package_name", "package_version", "fixed_in_version", "severity",
        "finding_status", "epss", "exploit_available", "fix_available",
    )  # fmt: skip
    assert tuples(rows["image_finding"], *columns) == {
        ("CVE-2026-1", digest("d"), "openssl", "1:3.0-1", "1:3.0-2", "HIGH", "ACTIVE", 0.25, True, "PARTIAL"),
        ("CVE-2026-1", digest("d"), "libssl", "3.0", None, "HIGH", "ACTIVE", 0.25, True, "PARTIAL"),
        ("CVE-2026-2", digest("c"), "zlib", "1.2", None, "UNTRIAGED", "SUPPRESSED", None, None, None),
    }
    assert tuples(rows["image_finding"], "package_name", "platform") == {
        ("openssl", "DEBIAN_12"), ("libssl", "DEBIAN_12"), ("zlib", None),
    }  # fmt: skip
    assert tuples(rows["image_coverage"], "image_digest", "scan_status", "scan_reason") == {
        (digest("d"), "ACTIVE", "SUCCESSFUL"),
        (digest("c"), "INACTIVE", "SCAN_ELIGIBILITY_EXPIRED"),
    }
    assert tuples(rows["vulnerability_detail"], "vulnerability_id", "is_kev", "kev_date_due", "tools") == {
        ("CVE-2026-1", True, date(2026, 10, 26), ("a", "b")),
        ("CVE-2026-2", None, None, None),  # asked, nothing known
    }
    detail, _ = rows["vulnerability_detail"]
    assert detail["exploit_first_seen"] == datetime.fromisoformat("2026-10-03T00:00:00+00:00")
    assert detail["exploit_last_seen"] == datetime.fromisoformat("2026-10-30T00:00:00+00:00")
    assert {row["asked_date"] for row in rows["vulnerability_detail"]} == {DAY}


def test_details_that_failed_for_another_reason_are_not_seen(play: Play) -> None:
    answers = recorded("ecr", "inspector2")
    answers["inspector2", "BatchGetFindingDetails"][0]["errors"][0]["errorCode"] = "INTERNAL_ERROR"
    _, coverage = collected_images(play(answers))
    assert coverage["vulnerability_detail"][0] == "failed" and coverage["image_finding"][0] == "ok"


# --- Organizations ---


def test_accounts_of_all_pages_with_their_paths_and_tags(play: Play) -> None:
    playback = play(recorded("organizations"))
    settings = settings_of()
    found = discover(playback.access(settings), settings, DAY)
    columns = ("account_id", "status", "is_management", "ou_path", "tags")
    assert tuples(found.accounts, *columns) == {
        (ACCOUNT, "ACTIVE", True, "/", '{"a": "1", "b": "2"}'),
        ("222222222222", "SUSPENDED", False, "/Shops", None),
    }
    assert {target.account_id for target in found.targets} == {ACCOUNT}
    assert {row["status"] for row in found.coverage if row["account_id"] != ACCOUNT} == {"excluded"}


def test_service_control_policies_of_all_pages_at_every_level(play: Play) -> None:
    playback = play(recorded("organizations"))
    found = discover(playback.access(settings_of()), settings_of(), DAY)
    for name, rows in found.rows.items():
        SNAPSHOTS[name].to_arrow(rows)
    columns = ("policy_id", "sid", "effect", "actions", "not_actions", "resources", "condition")
    assert tuples(found.rows["service_control_statement"], *columns) == {
        ("p-FullAWSAccess", None, "Allow", ("*",), None, ("*",), None),
        (
            "p-guard0001",
            "Guard",
            "Deny",
            None,
            ("iam:get*", "s3:*"),
            ("*",),
            '{"Bool": {"aws:SecureTransport": "false"}}',
        ),
    }
    assert tuples(found.rows["service_control_level"], "bound_account_id", "level", "target_id", "policy_ids") == {
        (ACCOUNT, 0, "r-root", ("p-FullAWSAccess",)),
        (ACCOUNT, 1, ACCOUNT, ("p-FullAWSAccess",)),
        ("222222222222", 0, "r-root", ("p-FullAWSAccess",)),
        ("222222222222", 1, "ou-a", ("p-FullAWSAccess", "p-guard0001")),
        ("222222222222", 2, "222222222222", ("p-FullAWSAccess",)),
    }
    assert {row["account_id"] for rows in found.rows.values() for row in rows if "policy_id" in row} == {ACCOUNT}
    told = {
        row["dataset"]: (row["status"], row["rows"]) for row in found.coverage if row["dataset"] in CONTROL_DATASETS
    }
    assert told == {"service_control_statement": ("ok", 2), "service_control_level": ("ok", 5)}


def test_an_organisation_without_service_control_policies_has_none(play: Play) -> None:
    answers = recorded("organizations") | {
        ("organizations", "ListRoots"): [{"Roots": [{"Id": "r-root", "Name": "Root"}]}]
    }
    found = discover(play(answers).access(settings_of()), settings_of(), DAY)
    assert {row["status"] for row in found.coverage if row["dataset"] in CONTROL_DATASETS} == {"not_enabled"}
    assert not any(found.rows[name] for name in CONTROL_DATASETS) and len(found.accounts) == 2
