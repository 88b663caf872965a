"""Amazon API Gateway: VPC links, which carry the internet to load balancers that have no address there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors.base import Collector, Context, Rows, listing, required

PAGE = 500
GONE = frozenset({"DELETING", "FAILED"})  # an INACTIVE link only sleeps until the next request


def collect_vpc_links(context: Context) -> Rows:
    """Rows of vpc_link: a link of version 1 names network load balancers; of one of version 2, integrations of HTTP
    APIs name listeners. A version 2 link that no HTTP API uses leads nobody knows where (a REST API's methods are not
    read): its row has no endpoint. In a Region without an internal load balancer nothing is asked.
    """
    balancers = context.rows.get("load_balancer")
    if balancers is not None and not any(item["scheme"] != "internet-facing" for item in balancers):
        return
    for link in listing(context.client("apigateway"), "get_vpc_links", "items", page_size=PAGE):
        if link.get("status") not in GONE:
            for arn in sorted(set(link.get("targetArns", []))):
                yield "vpc_link", _row(context, link["id"], link.get("name"), arn)
    second = context.client("apigatewayv2")
    links = {link["VpcLinkId"]: link for link in _links(second) if link.get("VpcLinkStatus") not in GONE}
    if not links:
        return
    endpoints = set(_integrations(second))
    for link_id, link in sorted(links.items()):
        name, subnets = link.get("Name"), sorted(link.get("SubnetIds", []))
        arns: list[str | None] = [arn for used, arn in sorted(endpoints) if used == link_id]
        for arn in arns or [None]:
            yield "vpc_link", _row(context, link_id, name, arn, subnets)


def _links(client: Any) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        answer = client.get_vpc_links(**token)
        yield from required(answer, "Items", "get_vpc_links")
        if not answer.get("NextToken"):
            return
        if token.get("NextToken") == answer["NextToken"]:
            raise IncompleteAnswer("get_vpc_links answered with the same page token twice")
        token = {"NextToken": answer["NextToken"]}


def _integrations(client: Any) -> Iterator[tuple[str, str]]:
    """(VPC link, listener or Cloud Map service) of every private integration; an API deleted meanwhile has none."""
    for api in listing(client, "get_apis", "Items"):
        try:
            for item in listing(client, "get_integrations", "Items", ApiId=api["ApiId"]):
                if item.get("ConnectionType") == "VPC_LINK" and item.get("IntegrationUri"):
                    yield str(item.get("ConnectionId")), str(item["IntegrationUri"])
        except client.exceptions.NotFoundException:
            continue


def _row(context: Context, link: str, name: str | None, arn: str | None, subnets: list[str] | None = None) -> Any:
    return context.row(front_id=link, front_name=name, endpoint_arn=arn, subnet_ids=subnets or [])


VPC_LINKS = Collector(
    "apigateway_vpc_links", "apigateway", ("vpc_link",), "region", collect_vpc_links,
    uses=("load_balancer",), also=("apigatewayv2",),
)  # fmt: skip
