"""Elastic Load Balancing v2: load balancers, their listeners, target groups. Classic load balancers are not
collected.
"""

from __future__ import annotations

from ecs_exposure.collectors.base import Collector, Context, Rows, listing

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
                    ),
                )
        except elb.exceptions.LoadBalancerNotFoundException:
            context.note("listener", f"load balancer {balancer['load_balancer_name']} deleted while being listed")


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


COLLECTORS = (
    Collector("elbv2_load_balancers", "elbv2", ("load_balancer",), "region", collect_load_balancers),
    Collector("elbv2_listeners", "elbv2", ("listener",), "region", collect_listeners, needs=("load_balancer",)),
    Collector("elbv2_target_groups", "elbv2", ("target_group",), "region", collect_target_groups),
)
