"""Recorded answers about load balancers' targets, prefix lists, and what stands before internal load balancers."""

from __future__ import annotations

from typing import Any

import pytest
from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors import apigateway, cloudfront, collect_target, ec2, elb, elbv2, globalaccelerator
from ecs_exposure.collectors.base import Context, Row, Target

from tests.collectors.conftest import Play
from tests.collectors.playback import Playback
from tests.collectors.test_recorded import ACCOUNT, DAY, REGION, recorded, run, settings_of, tuples

INTERNAL = {"scheme": "internal", "load_balancer_name": "inner"}


def balancer(kind: str, name: str) -> str:
    return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{kind}/{name}/0123456789abcdef"


def group(name: str) -> str:
    return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/0123456789abcdef"


def with_rows(playback: Playback, collector: Any, **rows: list[Row]) -> list[Row]:
    """The collector's rows where earlier collectors yielded these."""
    settings = settings_of()
    context = Context(playback.access(settings), settings, Target(ACCOUNT, REGION), DAY, {}, b"k" * 32)
    context.rows.update(rows)
    return [row for _, row in collector.collect(context)]


def test_prefix_lists_that_inbound_rules_name_with_all_their_entries(play: Play) -> None:
    playback = play(recorded("ec2"))
    names = ["pl-1", "pl-1", "pl-2", "pl-3", None]
    rules: list[Row] = [{"prefix_list_id": name, "is_egress": False} for name in names]
    rules.append({"prefix_list_id": "pl-9", "is_egress": True})
    [collector] = [item for item in ec2.COLLECTORS if item.datasets == ("prefix_list_entry",)]
    rows = with_rows(playback, collector, security_group_rule=rules)
    assert tuples(rows, "prefix_list_id", "prefix_list_name", "cidr") == {
        ("pl-1", "offices", "203.0.113.0/24"),
        ("pl-1", "offices", "198.51.100.0/24"),
        ("pl-3", "empty", None),
    }
    asked = playback.asked("DescribeManagedPrefixLists")[0]
    assert [value for key, value in asked.items() if key.startswith("Filter.1.Value")] == ["pl-1", "pl-2", "pl-3"]


def test_without_a_rule_that_names_a_prefix_list_nothing_is_asked(play: Play) -> None:
    playback = play({})
    [collector] = [item for item in ec2.COLLECTORS if item.datasets == ("prefix_list_entry",)]
    assert with_rows(playback, collector, security_group_rule=[{"prefix_list_id": None, "is_egress": False}]) == []
    assert playback.calls == []


def test_exclusions_from_block_public_access_where_it_blocks_anything(play: Play) -> None:
    [collector] = [item for item in ec2.COLLECTORS if item.datasets == ("block_public_access_exclusion",)]
    blocked: list[Row] = [{"internet_gateway_block_mode": "off"}, {"internet_gateway_block_mode": "block-ingress"}]
    rows = with_rows(play(recorded("ec2")), collector, subnet=blocked)
    assert tuples(rows, "exclusion_id", "vpc_id", "subnet_id", "mode") == {
        ("vpcbpa-exclude-1", "vpc-1", None, "allow-bidirectional"),
        ("vpcbpa-exclude-2", None, "subnet-a", "allow-egress"),
    }
    playback = play({})
    assert with_rows(playback, collector, subnet=blocked[:1]) == []
    assert playback.calls == []


def test_listeners_name_the_target_groups_of_their_default_action(play: Play) -> None:
    rows = run(play(recorded("elbv2")), *elbv2.COLLECTORS[:2]).rows["listener"]
    assert tuples(rows, "port", "target_group_arns") == {(443, (group("blue"), group("green"))), (80, ())}


def test_client_addresses_and_targets_are_asked_only_where_they_can_matter(play: Play) -> None:
    playback = play(recorded("elbv2"))
    context = run(playback, *elbv2.COLLECTORS)
    attributes = tuples(context.rows["target_group_attribute"], "target_group_arn", "preserves_client_ip")
    assert attributes == {(group("stream"), False)}
    assert "gone" in context.notes["target_group_attribute"][0]
    asked = [call["TargetGroupArn"] for call in playback.asked("DescribeTargetGroupAttributes")]
    assert asked == [group("stream"), group("gone")]
    # Nobody saw services here: any ip group may be filled by others.
    groups = [group("blue"), group("stream"), group("dns"), group("chain")]
    assert [call["TargetGroupArn"] for call in playback.asked("DescribeTargetHealth")] == groups
    assert tuples(context.rows["target"], "target_group_arn", "target_id", "port") == {
        (group("blue"), "10.9.0.7", 5000),
        (group("chain"), balancer("app", "front"), 443),
    }


def test_groups_that_ecs_fills_itself_are_not_asked_for_targets(play: Play) -> None:
    playback = play(recorded("elbv2"))
    [collector] = [item for item in elbv2.COLLECTORS if item.datasets == ("target",)]
    kinds = [("own", "ip", ["lb"]), ("other", "ip", ["lb"]), ("idle", "ip", []), ("i", "instance", ["lb"])]
    groups: list[Row] = [
        {"target_group_arn": group(name), "target_type": kind, "load_balancer_arns": arns} for name, kind, arns in kinds
    ]
    services: list[Row] = [{"load_balancers": [{"target_group_arn": group("own")}]}]
    rows = with_rows(playback, collector, target_group=groups, service=services, deployment=[])
    assert tuples(rows, "target_group_arn", "target_id", "port") == {(group("other"), "10.9.0.7", 5000)}
    assert [call["TargetGroupArn"] for call in playback.asked("DescribeTargetHealth")] == [group("other")]


def test_classic_load_balancers_of_all_pages(play: Play) -> None:
    services: list[Row] = [{"load_balancers": [{"load_balancer_name": "old", "target_group_arn": None}]}]
    rows = with_rows(play(recorded("elb")), elb.CLASSIC_LOAD_BALANCERS, service=services)
    assert tuples(rows, "load_balancer_name", "scheme", "subnet_ids", "listeners") == {
        ("old", "internet-facing", ("subnet-a", "subnet-b"), (("TCP", 25, 2525), ("HTTPS", 443, 8080))),
        ("older", "internal", (), ()),
    }


def test_no_service_names_a_classic_load_balancer_so_none_is_asked_for(play: Play) -> None:
    playback = play({})
    services: list[Row] = [{"load_balancers": [{"load_balancer_name": None, "target_group_arn": group("own")}]}]
    assert with_rows(playback, elb.CLASSIC_LOAD_BALANCERS, service=services, deployment=[]) == []
    assert playback.calls == []


def test_vpc_links_of_both_versions(play: Play) -> None:
    playback = play(recorded("apigateway", "apigatewayv2"))
    rows = with_rows(playback, apigateway.VPC_LINKS, load_balancer=[INTERNAL])
    listener = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:listener/app/inner/0123456789abcdef/1"
    assert tuples(rows, "front_id", "front_name", "endpoint_arn", "subnet_ids") == {
        ("one", "payments", balancer("net", "inner"), ()),
        ("three", "orders", listener, ("subnet-a", "subnet-b")),
        ("four", "unused", None, ("subnet-a",)),
    }


def test_where_no_load_balancer_is_internal_no_front_is_asked_for(play: Play) -> None:
    playback = play({})
    assert with_rows(playback, apigateway.VPC_LINKS, load_balancer=[{"scheme": "internet-facing"}]) == []
    assert playback.calls == []


def test_vpc_origins_and_the_enabled_distributions_that_use_them(play: Play) -> None:
    rows = run(play(recorded("cloudfront")), cloudfront.VPC_ORIGINS, region="global").rows["vpc_origin"]
    assert tuples(rows, "front_id", "front_name", "endpoint_arn") == {
        ("vo_used", "a.example", balancer("app", "used")),
        ("vo_used", "e2.cloudfront.net", balancer("app", "used")),
        ("vo_unused", None, balancer("app", "unused")),
        ("vo_shared", "e4.cloudfront.net", None),
    }


def test_an_account_without_vpc_origins_and_distributions_has_no_rows(play: Play) -> None:
    empty = {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": 0}
    answers = {("cloudfront", "ListVpcOrigins"): [{"VpcOriginList": empty}]}
    answers["cloudfront", "ListDistributions"] = [{"DistributionList": empty}]
    assert run(play(answers), cloudfront.VPC_ORIGINS, region="global").rows["vpc_origin"] == []


def test_a_list_of_vpc_origins_that_was_cut_short_is_not_empty(play: Play) -> None:
    short = {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": 3}
    playback = play({("cloudfront", "ListVpcOrigins"): [{"VpcOriginList": short}]})
    with pytest.raises(IncompleteAnswer, match="3 items"):
        run(playback, cloudfront.VPC_ORIGINS, region="global")


def test_endpoints_of_enabled_accelerators_once_each(play: Play) -> None:
    playback = play(recorded("globalaccelerator"))
    rows = run(playback, globalaccelerator.ENDPOINTS, region="global").rows["accelerator_endpoint"]
    assert tuples(rows, "front_name", "endpoint_arn", "preserves_client_ip") == {
        ("fast", balancer("app", "inner"), True),
        ("fast", balancer("net", "inner"), False),
    }


def test_partitions_without_these_services_have_nothing_of_them(play: Play) -> None:
    playback = play(recorded("iam"))
    settings = settings_of(partition="aws-cn")
    result = collect_target(
        playback.access(settings), settings, Target(ACCOUNT, "global"), snapshot_date=DAY, fingerprint_key=b"k" * 32
    )
    said = {row["dataset"]: row["status"] for row in result.coverage}
    assert (said["vpc_origin"], said["accelerator_endpoint"], said["role"]) == ("not_enabled", "not_enabled", "ok")
