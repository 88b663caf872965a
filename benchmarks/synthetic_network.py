"""The network of a synthetic place (account and Region): subnets, network ACLs, groups in and out of use, load
balancers, and what stands before the internal ones.
"""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
Rows = dict[str, list[Row]]

IDLE_GROUPS, RULES_OF_AN_IDLE_GROUP = 20, 15
DENIED_RANGES = 8


def place_network(rows: Rows, place: int, account_id: str, region: str) -> list[str]:
    """Adds the place's network to rows. Returns its load balancers: application, internal application, network."""
    vpc = f"vpc-{place:05d}"
    _subnets(rows, place, vpc)
    _groups(rows, place, vpc)
    return _balancers(rows, place, account_id, region, vpc)


def _subnets(rows: Rows, place: int, vpc: str) -> None:
    for index, (kind, target) in enumerate((("public", f"igw-{place:05d}"), ("private", f"nat-{place:05d}"))):
        subnet, table = f"subnet-{kind}-{place:05d}", f"rtb-{kind}-{place:05d}"
        rows["subnet"].append(
            {"subnet_id": subnet, "vpc_id": vpc, "cidr": f"10.{place % 256}.{16 * index}.0/20",
             "is_public_ip_assigned": kind == "public"}
        )  # fmt: skip
        # One place in fifty sends what goes out through a firewall endpoint.
        through = f"vpce-{place:05d}" if kind == "private" and place % 50 == 7 else target
        for destination, way in (
            ("0.0.0.0/0", through),
            (f"10.{place % 256}.0.0/16", "local"),
            ("10.0.0.0/8", f"tgw-{place:05d}"),
        ):
            rows["route"].append(
                {"route_table_id": table, "vpc_id": vpc, "is_main": False, "subnet_ids": [subnet],
                 "destination": destination, "target": way, "state": "active"}
            )  # fmt: skip
        entries = [(100, "allow", None, "0.0.0.0/0"), (32767, "deny", None, "0.0.0.0/0")]
        entries += [(10 + n, "deny", None, f"203.0.{(place + n) % 256}.0/24") for n in range(DENIED_RANGES)]
        if kind == "public" and place % 10 == 3:
            entries.append((90, "deny", 5432, "0.0.0.0/0"))
        for is_egress in (False, True):
            for number, action, port, cidr in entries:
                rows["network_acl_entry"].append(
                    {"network_acl_id": f"acl-{kind}-{place:05d}", "vpc_id": vpc, "is_default": False,
                     "subnet_ids": [subnet], "is_egress": is_egress, "rule_number": number, "action": action,
                     "cidr": cidr, "protocol": "6" if port else "-1", "from_port": port, "to_port": port}
                )  # fmt: skip


def _groups(rows: Rows, place: int, vpc: str) -> None:
    def rule(group: str, index: int, first: int, last: int, **source: str) -> None:
        rows["security_group_rule"].append(
            {"group_id": f"sg-{group}-{place:05d}", "rule_index": index, "is_egress": False, "protocol": "tcp",
             "from_port": first, "to_port": last, **source}
        )  # fmt: skip

    names = ["open", "half", "inner", "listed", *(f"idle{n}" for n in range(IDLE_GROUPS))]
    for name in names:
        rows["security_group"].append({"group_id": f"sg-{name}-{place:05d}", "group_name": name, "vpc_id": vpc})
    for index, port in enumerate((80, 443, 5432)):
        rule("open", index, port, port, cidr="0.0.0.0/0")
    rule("half", 0, 0, 65535, cidr="0.0.0.0/1")
    rule("inner", 0, 0, 65535, cidr="10.0.0.0/8")
    rule("inner", 1, 0, 65535, referenced_group_id=f"sg-open-{place:05d}")
    rule("listed", 0, 0, 65535, prefix_list_id=f"pl-{place:05d}")
    for name in names[4:]:
        for index in range(RULES_OF_AN_IDLE_GROUP):
            rule(name, index, 1000 + index, 1000 + index, cidr=f"192.{place % 256}.{index}.0/24")
    for index in range(40):
        rows["prefix_list_entry"].append(
            {
                "prefix_list_id": f"pl-{place:05d}",
                "prefix_list_name": "offices",
                "cidr": f"198.{place % 256}.{index}.0/24",
            }
        )


def _balancers(rows: Rows, place: int, account_id: str, region: str, vpc: str) -> list[str]:
    prefix = load_balancers(account_id, region)
    shapes = [
        ("app/front", "application", "internet-facing" if place % 4 == 0 else "internal", "public", ["open"]),
        ("app/inner", "application", "internal", "private", ["inner"]),
        ("net/edge", "network", "internet-facing" if place % 3 == 0 else "internal", "public", []),
    ]
    arns = []
    for name, kind, scheme, subnet, groups in shapes:
        arn = f"{prefix}/{name}/{place:05d}"
        arns.append(arn)
        rows["load_balancer"].append(
            {"load_balancer_arn": arn, "load_balancer_name": name.partition("/")[2], "kind": kind, "state": "active",
             "scheme": scheme, "vpc_id": vpc, "subnet_ids": [f"subnet-{subnet}-{place:05d}"], "ip_address_type": "ipv4",
             "security_group_ids": [f"sg-{group}-{place:05d}" for group in groups]}
        )  # fmt: skip
        for port in (80, 443) if kind == "application" else (443,):
            rows["listener"].append(
                {"listener_arn": f"{arn}/{port}", "load_balancer_arn": arn, "port": port, "target_group_arns": [],
                 "protocol": "TCP" if kind == "network" else "HTTPS"}
            )  # fmt: skip
    # A central load balancer's group of addresses elsewhere, one in three of them a task's.
    central = f"arn:aws:elasticloadbalancing:{region}:{account_id}:targetgroup/central/{place:05d}"
    rows["target_group"].append(
        {"target_group_arn": central, "target_type": "ip", "protocol": "HTTP", "port": 80, "vpc_id": vpc,
         "load_balancer_arns": [arns[0]]}
    )  # fmt: skip
    for index in range(3):
        rows["target"].append({"target_group_arn": central, "target_id": task_address(place * 3 + index), "port": 8080})
    if place % 6 == 1:
        rows["vpc_link"].append(
            {"front_id": f"link{place}", "front_name": "api", "endpoint_arn": arns[2], "subnet_ids": []}
        )
    return arns


def load_balancers(account_id: str, region: str) -> str:
    """What the ARN of every load balancer there begins with."""
    return f"arn:aws:elasticloadbalancing:{region}:{account_id}:loadbalancer"


def fronts(rows: Rows, place: int, balancer: str) -> None:
    """Adds to an account's global rows what stands before the internal load balancer of one of its places."""
    if place % 5 == 2:
        rows["vpc_origin"].append({"front_id": f"vo_{place}", "front_name": "www.example", "endpoint_arn": balancer})


def task_address(number: int) -> str:
    """The private address of a task's interface; some are used twice in the organisation."""
    return f"10.{number // 16384 % 256}.{number // 64 % 256}.{number % 64}"
