"""Elastic Load Balancing v2: load balancers, their listeners, target groups, and of those what ECS does not tell."""

from __future__ import annotations

from ecs_exposure.collectors.base import Collector, Context, Row, Rows, listing, required

PAGE = 400


def collect_load_balancers(context: Context) -> Rows:
    """Rows of load_balancer."""
    elb = context.client("elbv2")
    for balancer in listing(elb, "describe_load_balancers", "LoadBalancers", page_size=PAGE):
        yield (
            "load_balancer",
            context.row(
                load_balancer_arn=balancer["LoadBalancerArn"],
                load_balancer_name=balancer["LoadBalancerName"],
                kind=balancer["Type"],
                scheme=balancer.get("Scheme"),
                state=balancer.get("State", {}).get("Code"),
                vpc_id=balancer.get("VpcId"),
                subnet_ids=sorted(
                    zone["SubnetId"] for zone in balancer.get("AvailabilityZones", []) if zone.get("SubnetId")
                ),
                security_group_ids=sorted(balancer.get("SecurityGroups", [])),
                ip_address_type=balancer.get("IpAddressType"),
            ),
        )


def collect_listeners(context: Context) -> Rows:
    """Rows of listener, one listing per load balancer; a balancer deleted meanwhile is told in the message."""
    elb = context.client("elbv2")
    for balancer in context.rows["load_balancer"]:
        arn = balancer["load_balancer_arn"]
        try:
            for item in listing(elb, "describe_listeners", "Listeners", page_size=PAGE, LoadBalancerArn=arn):
                yield (
                    "listener",
                    context.row(
                        listener_arn=item["ListenerArn"],
                        load_balancer_arn=item.get("LoadBalancerArn", arn),
                        protocol=item.get("Protocol"),
                        port=item.get("Port"),
                        target_group_arns=_default_target_groups(item),
                    ),
                )
        except elb.exceptions.LoadBalancerNotFoundException:
            context.note("listener", f"load balancer {balancer['load_balancer_name']} deleted while being listed")


def _default_target_groups(listener: Row) -> list[str]:
    found: set[str] = set()
    for action in listener.get("DefaultActions", []):
        weighted = action.get("ForwardConfig", {}).get("TargetGroups", [])
        found.update(item["TargetGroupArn"] for item in [action, *weighted] if item.get("TargetGroupArn"))
    return sorted(found)


def collect_target_groups(context: Context) -> Rows:
    """Rows of target_group."""
    elb = context.client("elbv2")
    for group in listing(elb, "describe_target_groups", "TargetGroups", page_size=PAGE):
        yield (
            "target_group",
            context.row(
                target_group_arn=group["TargetGroupArn"],
                target_type=group.get("TargetType"),
                protocol=group.get("Protocol"),
                port=group.get("Port"),
                vpc_id=group.get("VpcId"),
                load_balancer_arns=sorted(group.get("LoadBalancerArns", [])),
            ),
        )


def collect_target_group_attributes(context: Context) -> Rows:
    """Rows of target_group_attribute, one call per target group of a network load balancer whose client IP
    preservation can be switched (TCP and TLS; for the others AWS always preserves it).
    """
    elb = context.client("elbv2")
    for group in context.rows["target_group"]:
        if group["protocol"] not in ("TCP", "TLS") or group["target_type"] == "alb" or not group["load_balancer_arns"]:
            continue
        arn = group["target_group_arn"]
        try:
            answer = elb.describe_target_group_attributes(TargetGroupArn=arn)
        except elb.exceptions.TargetGroupNotFoundException:
            context.note("target_group_attribute", f"target group {_name(arn)} deleted while being described")
            continue
        attributes = {
            item["Key"]: item.get("Value")
            for item in required(answer, "Attributes", "describe_target_group_attributes")
        }
        said = attributes.get("preserve_client_ip.enabled")
        yield (
            "target_group_attribute",
            context.row(target_group_arn=arn, preserves_client_ip=None if said is None else said == "true"),
        )


def collect_targets(context: Context) -> Rows:
    """Rows of target: one call per target group that ECS does not fill itself, of addresses that no service here names
    (another account's tasks may have them) or of application load balancers.
    """
    elb = context.client("elbv2")
    services = context.rows.get("service", []) + context.rows.get("deployment", [])
    filled = {item.get("target_group_arn") for service in services for item in service.get("load_balancers") or []}
    for group in context.rows["target_group"]:
        arn = group["target_group_arn"]
        if group["target_type"] not in ("ip", "alb") or not group["load_balancer_arns"] or arn in filled:
            continue
        try:
            answer = elb.describe_target_health(TargetGroupArn=arn)
        except elb.exceptions.TargetGroupNotFoundException:
            context.note("target", f"target group {_name(arn)} deleted while being described")
            continue
        found = required(answer, "TargetHealthDescriptions", "describe_target_health")
        targets = {(item["Target"]["Id"], item["Target"].get("Port")) for item in found if item.get("Target")}
        for target_id, port in sorted(targets, key=str):
            yield "target", context.row(target_group_arn=arn, target_id=target_id, port=port)


def _name(target_group_arn: str) -> str:
    return target_group_arn.rpartition("targetgroup/")[2]


COLLECTORS = (
    Collector("elbv2_load_balancers", "elbv2", ("load_balancer",), "region", collect_load_balancers),
    Collector("elbv2_listeners", "elbv2", ("listener",), "region", collect_listeners, needs=("load_balancer",)),
    Collector("elbv2_target_groups", "elbv2", ("target_group",), "region", collect_target_groups),
    Collector(
        "elbv2_target_group_attributes",
        "elbv2",
        ("target_group_attribute",),
        "region",
        collect_target_group_attributes,
        needs=("target_group",),
    ),
    Collector(
        "elbv2_targets",
        "elbv2",
        ("target",),
        "region",
        collect_targets,
        needs=("target_group",),
        uses=("service", "deployment"),
    ),
)
