"""Amazon CloudFront: VPC origins, by which distributions reach load balancers without an internet address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecs_exposure.aws_errors import IncompleteAnswer, NotOffered
from ecs_exposure.collectors.base import Collector, Context, Rows, required

PAGE = "100"


def collect_vpc_origins(context: Context) -> Rows:
    """Rows of vpc_origin: one per VPC origin and enabled distribution that uses it. An origin that none uses carries
    nothing. Without a VPC origin the distributions are not asked for. Raises NotOffered in partitions without them.
    """
    if context.settings.partition != "aws":
        raise NotOffered(f"CloudFront VPC origins are not offered in {context.settings.partition}")
    cloudfront = context.client("cloudfront")
    origins = {item["Id"]: item for item in _items(cloudfront.list_vpc_origins, "VpcOriginList")}
    if not origins:
        return
    named = set()
    for distribution in _items(cloudfront.list_distributions, "DistributionList"):
        if not distribution.get("Enabled"):
            continue
        aliases = sorted(distribution.get("Aliases", {}).get("Items", []))
        name = (aliases or [distribution["DomainName"]])[0]
        for origin in distribution.get("Origins", {}).get("Items", []):
            if used := origin.get("VpcOriginConfig", {}).get("VpcOriginId"):
                named.add((used, name))
    for used, name in sorted(named):
        if used in origins:
            arn = origins[used].get("OriginEndpointArn")
            yield "vpc_origin", context.row(front_id=used, front_name=name, endpoint_arn=arn)


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
        marker = {"Marker": page["NextMarker"]}


VPC_ORIGINS = Collector("cloudfront_vpc_origins", "cloudfront", ("vpc_origin",), "global", collect_vpc_origins)
