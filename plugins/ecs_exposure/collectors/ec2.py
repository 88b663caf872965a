"""Amazon EC2: what stands between a container and the internet, one collector per dataset so that one refusal blinds
only one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors.base import Collector, Context, Row, Rows, batches, listing, required

PAGE = 1000
PREFIX_LIST_PAGE = 100
PREFIX_LISTS_A_CALL = 100
ROUTE_TABLE_PAGE = 100  # DescribeRouteTables' maximum
DESCRIPTION_LIMIT = 255


def collect_security_groups(context: Context) -> Rows:
    """Rows of security_group and security_group_rule: one rule row per permission and source, in a stable order."""
    ec2 = context.client("ec2")
    for group in listing(ec2, "describe_security_groups", "SecurityGroups", page_size=PAGE):
        yield (
            "security_group",
            context.row(group_id=group["GroupId"], group_name=group.get("GroupName", ""), vpc_id=group.get("VpcId")),
        )
        rules = [
            rule
            for is_egress, member in ((False, "IpPermissions"), (True, "IpPermissionsEgress"))
            for permission in group.get(member, [])
            for rule in _rules(permission, is_egress)
        ]
        # AWS lists a group's permissions in no promised order: sorted, a rule's index and the row stay what they were.
        rules.sort(key=lambda rule: tuple(str(rule[name]) for name in sorted(rule)))
        for index, rule in enumerate(rules):
            yield "security_group_rule", context.row(group_id=group["GroupId"], rule_index=index, **rule)


def _rules(permission: Row, is_egress: bool) -> Iterator[Row]:
    sources = (
        ("IpRanges", "CidrIp", "cidr"),
        ("Ipv6Ranges", "CidrIpv6", "cidr"),
        ("PrefixListIds", "PrefixListId", "prefix_list_id"),
        ("UserIdGroupPairs", "GroupId", "referenced_group_id"),
    )
    for member, name, column in sources:
        for source in permission.get(member, []):
            description = source.get("Description")
            yield {
                "is_egress": is_egress,
                "protocol": str(permission.get("IpProtocol", "-1")),
                "from_port": _port(permission.get("FromPort")),
                "to_port": _port(permission.get("ToPort")),
                "cidr": None,
                "prefix_list_id": None,
                "referenced_group_id": None,
                "description": description[:DESCRIPTION_LIMIT] if description else None,
                column: source.get(name),
            }


def _port(value: int | None) -> int | None:
    return None if value is None or value < 0 else value  # -1 is ICMP's "all types"


def collect_prefix_lists(context: Context) -> Rows:
    """Rows of prefix_list_entry, of the lists that inbound rules name; one without cidr for an empty list. A list that
    is not shared with this account any more has no row.
    """
    rules = context.rows["security_group_rule"]
    wanted = sorted({rule["prefix_list_id"] for rule in rules if rule["prefix_list_id"] and not rule["is_egress"]})
    for batch in batches(wanted, PREFIX_LISTS_A_CALL):
        ec2 = context.client("ec2")
        asked = [{"Name": "prefix-list-id", "Values": batch}]
        found = listing(ec2, "describe_managed_prefix_lists", "PrefixLists", page_size=PREFIX_LIST_PAGE, Filters=asked)
        for item in sorted(found, key=lambda item: str(item["PrefixListId"])):
            prefix_list = {"prefix_list_id": item["PrefixListId"], "prefix_list_name": item.get("PrefixListName")}
            entries = listing(
                ec2, "get_managed_prefix_list_entries", "Entries", page_size=PREFIX_LIST_PAGE,
                PrefixListId=item["PrefixListId"],
            )  # fmt: skip
            for cidr in sorted(entry["Cidr"] for entry in entries) or [None]:
                yield "prefix_list_entry", context.row(**prefix_list, cidr=cidr)


def collect_network_interfaces(context: Context) -> Rows:
    """Rows of network_interface."""
    ec2 = context.client("ec2")
    for interface in listing(ec2, "describe_network_interfaces", "NetworkInterfaces", page_size=PAGE):
        yield (
            "network_interface",
            context.row(
                network_interface_id=interface["NetworkInterfaceId"],
                vpc_id=interface.get("VpcId"),
                subnet_id=interface.get("SubnetId"),
                security_group_ids=sorted(group["GroupId"] for group in interface.get("Groups", [])),
                public_ip=_public_ip(interface),
                ipv6_addresses=sorted(address["Ipv6Address"] for address in interface.get("Ipv6Addresses", [])),
                private_ip=interface.get("PrivateIpAddress"),
                instance_id=interface.get("Attachment", {}).get("InstanceId"),
                interface_type=interface.get("InterfaceType"),
            ),
        )


def _public_ip(interface: Row) -> str | None:
    """The public address, the primary private address's first: a secondary address can hold one too."""
    if address := interface.get("Association", {}).get("PublicIp"):
        return str(address)
    secondary = (item.get("Association", {}).get("PublicIp") for item in interface.get("PrivateIpAddresses", []))
    return next((address for address in secondary if address), None)


def collect_subnets(context: Context) -> Rows:
    """Rows of subnet."""
    ec2 = context.client("ec2")
    for subnet in listing(ec2, "describe_subnets", "Subnets", page_size=PAGE):
        yield (
            "subnet",
            context.row(
                subnet_id=subnet["SubnetId"],
                vpc_id=subnet["VpcId"],
                cidr=subnet.get("CidrBlock"),
                ipv6_cidrs=sorted(
                    item["Ipv6CidrBlock"]
                    for item in subnet.get("Ipv6CidrBlockAssociationSet", [])
                    if item.get("Ipv6CidrBlockState", {}).get("State") in (None, "associated", "associating")
                ),
                is_public_ip_assigned=subnet.get("MapPublicIpOnLaunch"),
                internet_gateway_block_mode=subnet.get("BlockPublicAccessStates", {}).get("InternetGatewayBlockMode"),
            ),
        )


# An exclusion that failed or is gone excludes nothing; one that is on its way out still does.
_NO_EXCLUSION = frozenset({"create-in-progress", "create-failed", "delete-complete", "disable-complete"})


def collect_block_public_access_exclusions(context: Context) -> Rows:
    """Rows of block_public_access_exclusion; asked only where VPC Block Public Access blocks a subnet."""
    if not any(row["internet_gateway_block_mode"] not in (None, "off") for row in context.rows["subnet"]):
        return
    ec2, token = context.client("ec2"), dict[str, str]()
    while True:
        answer = ec2.describe_vpc_block_public_access_exclusions(MaxResults=PAGE, **token)
        member = "VpcBlockPublicAccessExclusions"
        for item in required(answer, member, "describe_vpc_block_public_access_exclusions"):
            if item.get("State") not in _NO_EXCLUSION:
                # arn:aws:ec2:<Region>:<account>:vpc/vpc-…, or subnet/subnet-…
                kind, _, name = item.get("ResourceArn", "").rpartition(":")[2].partition("/")
                yield (
                    "block_public_access_exclusion",
                    context.row(
                        exclusion_id=item["ExclusionId"],
                        vpc_id=name if kind == "vpc" else None,
                        subnet_id=name if kind == "subnet" else None,
                        mode=item.get("InternetGatewayExclusionMode"),
                    ),
                )
        if not answer.get("NextToken"):
            return
        if token.get("NextToken") == answer["NextToken"]:
            raise IncompleteAnswer("the exclusions from Block Public Access came with the same page token twice")
        token = {"NextToken": answer["NextToken"]}


# Where a route can lead. An instance's route names its interface too, and the interface is what the address hangs on.
_ROUTE_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "EgressOnlyInternetGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "CarrierGatewayId",
    "LocalGatewayId",
    "CoreNetworkArn",
    "OdbNetworkArn",
    "NetworkInterfaceId",
    "InstanceId",
)


def collect_routes(context: Context) -> Rows:
    """Rows of route: one per route of a route table."""
    ec2 = context.client("ec2")
    for table in listing(ec2, "describe_route_tables", "RouteTables", page_size=ROUTE_TABLE_PAGE):
        associations = table.get("Associations", [])
        subnet_ids = sorted(item["SubnetId"] for item in associations if item.get("SubnetId"))
        is_main = any(item.get("Main") for item in associations)
        for route in table.get("Routes", []):
            destinations = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
            yield (
                "route",
                context.row(
                    route_table_id=table["RouteTableId"],
                    vpc_id=table["VpcId"],
                    is_main=is_main,
                    subnet_ids=subnet_ids,
                    destination=next((route[name] for name in destinations if route.get(name)), "unknown"),
                    target=next((route[name] for name in _ROUTE_TARGETS if route.get(name)), None),
                    state=route.get("State"),
                ),
            )


def collect_network_acls(context: Context) -> Rows:
    """Rows of network_acl_entry."""
    ec2 = context.client("ec2")
    for acl in listing(ec2, "describe_network_acls", "NetworkAcls", page_size=PAGE):
        subnet_ids = sorted(item["SubnetId"] for item in acl.get("Associations", []) if item.get("SubnetId"))
        for entry in acl.get("Entries", []):
            port_range = entry.get("PortRange", {})
            yield (
                "network_acl_entry",
                context.row(
                    network_acl_id=acl["NetworkAclId"],
                    vpc_id=acl["VpcId"],
                    is_default=bool(acl.get("IsDefault")),
                    subnet_ids=subnet_ids,
                    is_egress=bool(entry["Egress"]),
                    rule_number=entry["RuleNumber"],
                    action=entry["RuleAction"],
                    protocol=str(entry["Protocol"]),
                    cidr=entry.get("CidrBlock") or entry.get("Ipv6CidrBlock"),
                    from_port=port_range.get("From"),
                    to_port=port_range.get("To"),
                ),
            )


def collect_instances(context: Context) -> Rows:
    """Rows of instance; terminated ones are gone and left out."""
    ec2 = context.client("ec2")
    for reservation in listing(ec2, "describe_instances", "Reservations", page_size=PAGE):
        for instance in reservation.get("Instances", []):
            if instance.get("State", {}).get("Name") != "terminated":
                yield "instance", _instance(context, instance)


def _instance(context: Context, instance: dict[str, Any]) -> Row:
    options = instance.get("MetadataOptions", {})
    interfaces = instance.get("NetworkInterfaces", [])
    return context.row(
        instance_id=instance["InstanceId"],
        vpc_id=instance.get("VpcId"),
        subnet_id=instance.get("SubnetId"),
        state=instance.get("State", {}).get("Name"),
        public_ip=instance.get("PublicIpAddress") or None,
        network_interface_ids=sorted(item["NetworkInterfaceId"] for item in interfaces),
        security_group_ids=sorted(group["GroupId"] for group in instance.get("SecurityGroups", [])),
        instance_profile_arn=instance.get("IamInstanceProfile", {}).get("Arn"),
        http_tokens=options.get("HttpTokens"),
        http_put_response_hop_limit=options.get("HttpPutResponseHopLimit"),
        http_endpoint=options.get("HttpEndpoint"),
    )


COLLECTORS = (
    Collector(
        "ec2_security_groups", "ec2", ("security_group", "security_group_rule"), "region", collect_security_groups
    ),
    Collector(
        "ec2_prefix_lists",
        "ec2",
        ("prefix_list_entry",),
        "region",
        collect_prefix_lists,
        needs=("security_group_rule",),
    ),
    Collector("ec2_network_interfaces", "ec2", ("network_interface",), "region", collect_network_interfaces),
    Collector("ec2_subnets", "ec2", ("subnet",), "region", collect_subnets),
    Collector(
        "ec2_block_public_access_exclusions",
        "ec2",
        ("block_public_access_exclusion",),
        "region",
        collect_block_public_access_exclusions,
        needs=("subnet",),
    ),
    Collector("ec2_routes", "ec2", ("route",), "region", collect_routes),
    Collector("ec2_network_acls", "ec2", ("network_acl_entry",), "region", collect_network_acls),
    Collector("ec2_instances", "ec2", ("instance",), "region", collect_instances),
)
