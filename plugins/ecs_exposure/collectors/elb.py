"""Classic Load Balancers, asked for only where an ECS service names one."""

from __future__ import annotations

from ecs_exposure.collectors.base import Collector, Context, Row, Rows, listing

PAGE = 400


def collect_classic_load_balancers(context: Context) -> Rows:
    """Rows of classic_load_balancer. Without a service that names one by name alone, nothing is asked."""
    services = context.rows.get("service")
    if services is not None and not _names_one(services + context.rows.get("deployment", [])):
        return
    for balancer in listing(
        context.client("elb"), "describe_load_balancers", "LoadBalancerDescriptions", page_size=PAGE
    ):
        listeners = [item["Listener"] for item in balancer.get("ListenerDescriptions", []) if item.get("Listener")]
        yield (
            "classic_load_balancer",
            context.row(
                load_balancer_name=balancer["LoadBalancerName"],
                scheme=balancer.get("Scheme"),
                vpc_id=balancer.get("VPCId"),
                subnet_ids=sorted(balancer.get("Subnets", [])),
                security_group_ids=sorted(balancer.get("SecurityGroups", [])),
                listeners=[
                    {
                        "protocol": item.get("Protocol"),
                        "port": item.get("LoadBalancerPort"),
                        "instance_port": item.get("InstancePort"),
                    }
                    for item in sorted(listeners, key=lambda item: int(item.get("LoadBalancerPort", 0)))
                ],
            ),
        )


def _names_one(services: list[Row]) -> bool:
    named = (item for service in services for item in service.get("load_balancers") or [])
    return any(item.get("load_balancer_name") and not item.get("target_group_arn") for item in named)


CLASSIC_LOAD_BALANCERS = Collector(
    "elb_load_balancers", "elb", ("classic_load_balancer",), "region", collect_classic_load_balancers,
    uses=("service", "deployment"),
)  # fmt: skip
