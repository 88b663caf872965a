"""AWS Global Accelerator: endpoints that its anycast addresses lead to, with or without an address of their own."""

from __future__ import annotations

from ecs_exposure.aws_errors import NotOffered
from ecs_exposure.collectors.base import Collector, Context, Rows, listing

PAGE = 100


def collect_endpoints(context: Context) -> Rows:
    """Rows of accelerator_endpoint, of enabled standard accelerators. One listing says that an account has none.

    Raises NotOffered in partitions without Global Accelerator.
    """
    if context.settings.partition != "aws":
        raise NotOffered(f"Global Accelerator is not offered in {context.settings.partition}")
    client = context.client("globalaccelerator")
    for accelerator in listing(client, "list_accelerators", "Accelerators", page_size=PAGE):
        if not accelerator.get("Enabled"):
            continue
        arn = accelerator["AcceleratorArn"]
        endpoints: dict[str, bool] = {}
        for listener in listing(client, "list_listeners", "Listeners", page_size=PAGE, AcceleratorArn=arn):
            groups = listing(
                client, "list_endpoint_groups", "EndpointGroups", page_size=PAGE, ListenerArn=listener["ListenerArn"]
            )
            for endpoint in (item for group in groups for item in group.get("EndpointDescriptions", [])):
                # Hidden in one group is hidden enough: the endpoint then admits the accelerator's own addresses.
                preserves = bool(endpoint.get("ClientIPPreservationEnabled"))
                known = endpoints.get(endpoint["EndpointId"], True)
                endpoints[endpoint["EndpointId"]] = known and preserves
        for endpoint_id, preserves in sorted(endpoints.items()):
            yield (
                "accelerator_endpoint",
                context.row(
                    front_id=arn,
                    front_name=accelerator.get("Name"),
                    endpoint_arn=endpoint_id,
                    preserves_client_ip=preserves,
                ),
            )


ENDPOINTS = Collector(
    "globalaccelerator_endpoints", "globalaccelerator", ("accelerator_endpoint",), "global", collect_endpoints
)
