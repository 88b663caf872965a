"""Amazon CloudFront: VPC origins, by which distributions reach load balancers without an internet address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecs_exposure.aws_errors import IncompleteAnswer, NotOffered
from ecs_exposure.collectors.base import Collector, Context, Rows, required

PAGE = "100"


def collect_vpc_origins(context: Context) -> Rows:
    """Rows of vpc_origin: one per VPC origin and enabled distribution of this account using it; one without a name for
    an origin that none here uses, one without an endpoint for an origin that another account shares. Which origin of
    which account carries the internet shows when the accounts are seen together.

    Raises NotOffered in partitions without VPC origins.
    """
    if context.settings.partition != "aws":
        raise NotOffered(f"CloudFront VPC origins are not offered in {context.settings.partition}")
    cloudfront = context.client("cloudfront")
    endpoints = {
        item["Id"]: item.get("OriginEndpointArn") for item in _items(cloudfront.list_vpc_origins, "VpcOriginList")
    }
    users: dict[str, set[str | None]] = {name: set() for name in endpoints}
    for distribution in _items(cloudfront.list_distributions, "DistributionList"):
        if not distribution.get("Enabled"):
            continue
        aliases = sorted(distribution.get("Aliases", {}).get("Items", []))
        for origin in distribution.get("Origins", {}).get("Items", []):
            if used := origin.get("VpcOriginConfig", {}).get("VpcOriginId"):
                users.setdefault(used, set()).add((aliases or [distribution["DomainName"]])[0])
    for front_id, names in sorted(users.items()):
        for name in sorted(names, key=str) or [None]:
            yield (
                "vpc_origin",
                context.row(front_id=front_id, front_name=name, endpoint_arn=endpoints.get(front_id)),
            )


def _items(operation: Any, member: str) -> Iterator[dict[str, Any]]:
    """Every item over all pages. CloudFront leaves an empty list out: `Quantity` says what must be there.

    Raises IncompleteAnswer where it is not.
    """
    marker: dict[str, str] = {}
    while True:
        page = required(operation(MaxItems=PAGE, **marker), member, member)
        items = page.get("Items", [])
        if page.get("Quantity") != len(items) or (page.get("IsTruncated") and not page.get("NextMarker")):
            raise IncompleteAnswer(f"{member} announced {page.get('Quantity')} items and answered {len(items)}")
        yield from items
        if not page.get("IsTruncated"):
            return
        if marker == (marker := {"Marker": page["NextMarker"]}):
            raise IncompleteAnswer(f"{member} gave the same page twice")


VPC_ORIGINS = Collector("cloudfront_vpc_origins", "cloudfront", ("vpc_origin",), "global", collect_vpc_origins)
