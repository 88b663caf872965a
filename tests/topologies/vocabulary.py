"""Expands a topology, written in a few words, to the snapshot rows of one small account.

What is not written is as AWS makes it or as most people run it: a VPC with the subnets `public` (10.0.0.0/24, default
route to an internet gateway) and `private` (10.0.1.0/24, to a NAT gateway), the default network ACL on both, and one
Fargate task `web` of port 80 in the private subnet. See README.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

Row = dict[str, Any]
Rows = dict[str, list[Row]]

_ALLOW_ALL = [
    "in 100 allow all 0.0.0.0/0", "in 101 allow all ::/0", "out 100 allow all 0.0.0.0/0", "out 101 allow all ::/0",
]  # fmt: skip
_FINAL = [
    "in 32767 deny all 0.0.0.0/0", "in 32768 deny all ::/0", "out 32767 deny all 0.0.0.0/0", "out 32768 deny all ::/0",
]  # fmt: skip
_SUBNETS: dict[str, Row] = {"public": {"cidr": "10.0.0.0/24"}, "private": {"cidr": "10.0.1.0/24"}}
_ROUTES = {"public": {"0.0.0.0/0": "igw"}, "private": {"0.0.0.0/0": "nat"}}
_NUMBERS = {"tcp": "6", "udp": "17", "icmp": "1", "all": "-1"}
_KINDS = {"alb": "application", "nlb": "network"}
REGION = "eu-west-1"
KEYS = {
    "name", "network", "groups", "prefix_lists", "service", "instance", "balancers", "target_groups", "fronts",
    "others", "denied", "expect", "through", "unseen", "exposed",
}  # fmt: skip


class Topology:
    """One case; `rows` are its snapshot rows, ids made unique by the case's number."""

    def __init__(self, number: int, case: Mapping[str, Any]) -> None:
        if unknown := set(case) - KEYS:
            raise ValueError(f"{case.get('name')}: no such key {sorted(unknown)}")
        self.case = case
        self.number = number
        self.account = f"{200_000_000_000 + number}"
        self.resource_id = f"arn:aws:ecs:{REGION}:{self.account}:service/main/web"
        self.rows: Rows = defaultdict(list)
        self._network(case.get("network", {}))
        self._groups(case.get("groups", {}))
        self._service(case.get("service", {}))
        self._balancers(case.get("balancers", {}), case.get("target_groups", {}))
        for kind, what in case.get("fronts", {}).items():
            self._front(kind, what)
        for other in case.get("others", []):
            self.rows["network_interface"].append({"account_id": self.account, **self._interface("other", other)})

    def id(self, kind: str, name: str) -> str:
        return f"{kind}-{self.number:03d}{name}"

    def address(self, name: str) -> str:
        """A private address of the case's own: `task` and so on, or one written out."""
        return name if name[:1].isdigit() else f"10.{self.number}.1.{len(name)}"

    def _add(self, dataset: str, **row: Any) -> None:
        region = "global" if dataset in ("account", "role", "vpc_origin", "accelerator_endpoint") else REGION
        self.rows[dataset].append({"account_id": self.account, "region": region, **row})

    # --- network ---

    def _network(self, network: Mapping[str, Any]) -> None:
        self._add("account", status="ACTIVE", account_name="one", ou_path="/")
        vpc = self.id("vpc", "")
        for name, subnet in (_SUBNETS | network.get("subnets", {})).items():
            self._add(
                "subnet", subnet_id=self.id("subnet", name), vpc_id=vpc, cidr=subnet.get("cidr"), ipv6_cidrs=[],
                internet_gateway_block_mode=subnet.get("block_public_access"),
            )  # fmt: skip
        for name, table in (_ROUTES | network.get("routes", {})).items():
            for destination, target in {"10.0.0.0/16": "local", **(table or {})}.items():
                words = target.split()
                self._add(
                    "route", route_table_id=self.id("rtb", name), vpc_id=vpc, is_main=name == "main",
                    destination=destination,
                    subnet_ids=[] if name == "main" else [self.id("subnet", name)],
                    state="blackhole" if "blackhole" in words else "active",
                    target=words[-1] if words[-1] == "local" else self.id(words[-1], ""),
                )  # fmt: skip
        for number, (kind, excluded) in enumerate(network.get("excluded", {}).items()):
            name = vpc if kind == "vpc" else self.id("subnet", kind)
            self._add(
                "block_public_access_exclusion", exclusion_id=self.id("exclusion", str(number)), mode=excluded,
                vpc_id=name if kind == "vpc" else None, subnet_id=None if kind == "vpc" else name,
            )  # fmt: skip
        for name in {**_SUBNETS, **network.get("subnets", {})}:
            entries = network.get("acls", {}).get(name, _ALLOW_ALL)
            for entry in [] if entries == "not seen" else [*entries, *_FINAL]:
                way, number, action, protocol, *ports, cidr = entry.split()
                first, _, last = ports[0].partition("-") if ports else ("", "", "")
                self._add(
                    "network_acl_entry", network_acl_id=self.id("acl", name), vpc_id=vpc, is_default=False,
                    subnet_ids=[self.id("subnet", name)], is_egress=way == "out", rule_number=int(number),
                    action=action,
                    protocol=_NUMBERS[protocol], cidr=cidr, from_port=int(first) if first else None,
                    to_port=int(last or first) if first else None,
                )  # fmt: skip

    def _groups(self, groups: Mapping[str, list[str]]) -> None:
        for name, rules in groups.items():
            self._add(
                "security_group", group_id=self.id("sg", name), vpc_id=self.id("vpc", ""),
                group_name="default" if name == "default" else name,
            )  # fmt: skip
            for index, rule in enumerate(rules):
                what, _, source = rule.partition(" from ")
                protocol, *ports = what.split()
                first, _, last = ports[0].partition("-") if ports else ("", "", "")
                kind, _, value = source.partition(":")
                self._add(
                    "security_group_rule", group_id=self.id("sg", name), rule_index=index, is_egress=False,
                    protocol="-1" if protocol == "all" else protocol, from_port=int(first) if first else None,
                    to_port=int(last or first) if first else None,
                    referenced_group_id=self.id("sg", value) if kind == "group" else None,
                    prefix_list_id=self.id("pl", value) if kind == "list" else None,
                    cidr=source if kind not in ("group", "list") else None,
                )  # fmt: skip
        for name, entries in self.case.get("prefix_lists", {}).items():
            if entries == "all-of-the-lower-half-in-/9":
                entries = [f"{number // 2}.{number % 2 * 128}.0.0/9" for number in range(256)]
            for cidr in entries or [None]:
                self._add(
                    "prefix_list_entry", prefix_list_id=self.id("pl", name), cidr=cidr,
                    prefix_list_name="com.amazonaws.global.cloudfront.origin-facing" if name == "cloudfront" else name,
                )  # fmt: skip

    # --- service ---

    def _service(self, service: Mapping[str, Any]) -> None:
        mode, launch = service.get("mode", "awsvpc"), service.get("launch", "FARGATE")
        is_own = mode == "awsvpc"
        subnets = service.get("subnets", ["private"])
        groups = service.get("groups", ["web"])
        running = service.get("running", 1)
        attached = [
            {
                "target_group_arn": self._target_group(item["to"]) if "to" in item else None,
                "load_balancer_name": item.get("classic"), "container_name": item.get("container", "web"),
                "container_port": item.get("port", 80),
            }
            for item in service.get("behind", [])
        ]  # fmt: skip
        settings = {
            "assign_public_ip": service.get("public_ip", False) if is_own else None,
            "subnet_ids": [self.id("subnet", name) for name in subnets] if is_own else [],
            "security_group_ids": [self.id("sg", name) for name in groups] if is_own else [],
        }
        self._add(
            "service", resource_id=self.resource_id, cluster_arn=self.id("cluster", ""), cluster_name="main",
            service_name="web", status="ACTIVE", launch_type=launch, task_definition_arn=self.id("td", ""),
            desired_count=running,
            running_count=running, load_balancers=attached, **settings,
        )  # fmt: skip
        self._add("role", role_arn=self.id("role", ""), role_name="web")  # a trait, so that the service is assessed
        self._add(
            "task_definition", task_definition_arn=self.id("td", ""), family="web", network_mode=mode,
            task_role_arn=self.id("role", ""),
        )  # fmt: skip
        mappings = [_mapping(port) for port in service.get("ports", [80])]
        for name, own in {"web": mappings, **service.get("sidecars", {})}.items():
            declared = own if name == "web" else [_mapping(port) for port in own]
            self._add("container", task_definition_arn=self.id("td", ""), container_name=name, port_mappings=declared)
        host = service.get("instance") or self.case.get("instance")
        if host is not None:
            self._instance(host)
        for number in range(running):
            interface = self.id("eni", f"task{number}")
            self._add(
                "task", task_arn=self.id("task", str(number)), resource_id=self.resource_id,
                task_definition_arn=self.id("td", ""),
                launch_type=launch, container_instance_arn=None if launch == "FARGATE" else self.id("ci", ""),
                network_interface_ids=[interface] if is_own else [],
            )  # fmt: skip
            bound = [
                {"container_port": int(inner), "host_port": outer, "protocol": "tcp"}
                for inner, outer in service.get("bound", {}).items()
            ]
            self._add(
                "task_container", task_arn=self.id("task", str(number)), resource_id=self.resource_id,
                container_name="web", network_bindings=bound,
            )  # fmt: skip
            if is_own:
                actual = {"subnet": subnets[0], "groups": groups, "public_ip": service.get("public_ip", False)}
                row = self._interface(f"task{number}", actual | service.get("interface", {}))
                self.rows["network_interface"].append({"account_id": self.account, "region": REGION, **row})

    def _interface(self, name: str, what: Mapping[str, Any]) -> Row:
        return {
            "network_interface_id": self.id("eni", name), "vpc_id": self.id(what.get("vpc", "vpc"), ""),
            "subnet_id": self.id("subnet", what.get("subnet", "private")),
            "security_group_ids": [self.id("sg", group) for group in what.get("groups", [])],
            "public_ip": "198.51.100.7" if what.get("public_ip") else None,
            "ipv6_addresses": [what["ipv6"]] if what.get("ipv6") else [],
            "private_ip": self.address(what.get("address", "task")), "instance_id": what.get("instance_id"),
        }  # fmt: skip

    def _instance(self, host: Mapping[str, Any]) -> None:
        self._add(
            "container_instance", container_instance_arn=self.id("ci", ""), cluster_arn=self.id("cluster", ""),
            ec2_instance_id=self.id("i", ""), status="ACTIVE",
        )  # fmt: skip
        if host.get("not_seen"):
            return
        self._add(
            "instance", instance_id=self.id("i", ""), subnet_id=self.id("subnet", host.get("subnet", "private")),
            state="running",
            vpc_id=self.id("vpc", ""), public_ip="198.51.100.9" if host.get("public_ip") else None,
            security_group_ids=[self.id("sg", name) for name in host.get("groups", ["host"])],
        )  # fmt: skip
        if host.get("second") or host.get("ipv6"):
            first = {**host, "public_ip": False} if host.get("ipv6") else host["second"]
            row = self._interface("second", {"groups": ["host"], **first, "instance_id": self.id("i", "")})
            self.rows["network_interface"].append({"account_id": self.account, "region": REGION, **row})

    # --- load balancers and what stands before them ---

    def _target_group(self, name: str) -> str:
        return f"arn:aws:elasticloadbalancing:{REGION}:{self.account}:targetgroup/{name}/{self.number}"

    def balancer(self, name: str) -> str:
        kind = "app" if self.case["balancers"][name].get("kind", "alb") == "alb" else "net"
        return f"arn:aws:elasticloadbalancing:{REGION}:{self.account}:loadbalancer/{kind}/{name}/{self.number}"

    def _balancers(self, balancers: Mapping[str, Row], groups: Mapping[str, Row]) -> None:
        users: dict[str, list[str]] = defaultdict(list)
        for name, what in balancers.items():
            kind = what.get("kind", "alb")
            scheme = "internal" if what.get("internal") else "internet-facing"
            subnets = what.get("subnets", ["private" if what.get("internal") else "public"])
            place = {
                "scheme": scheme, "vpc_id": self.id("vpc", ""),
                "subnet_ids": [self.id("subnet", subnet) for subnet in subnets],
                "security_group_ids": [self.id("sg", group) for group in what.get("groups", [])],
            }  # fmt: skip
            if kind == "clb":
                listeners = [
                    {"protocol": "TCP", "port": int(port), "instance_port": inner}
                    for port, inner in what["listeners"].items()
                ]
                self._add("classic_load_balancer", load_balancer_name=name, listeners=listeners, **place)
                continue
            arn = self.balancer(name)
            self._add(
                "load_balancer", load_balancer_arn=arn, load_balancer_name=name, kind=_KINDS[kind], state="active",
                ip_address_type=what.get("addresses", "ipv4"), **place,
            )  # fmt: skip
            for port, target in what.get("listeners", {443: "web"}).items():
                number, _, protocol = str(port).partition("/")
                self._add(
                    "listener", listener_arn=f"{arn.replace(':loadbalancer/', ':listener/')}/{number}",
                    load_balancer_arn=arn, port=int(number),
                    protocol=protocol.upper() or ("HTTPS" if kind == "alb" else "TCP"),
                    target_group_arns=[self._target_group(target)],
                )  # fmt: skip
                users[target].append(arn)
        for name in {**users, **groups}:
            what = groups.get(name, {})
            is_network = any("/net/" in arn for arn in users[name])
            protocol = what.get("protocol", "TCP" if is_network else "HTTP")
            kind = what.get("type", "ip")
            self._add(
                "target_group", target_group_arn=self._target_group(name), target_type=kind, protocol=protocol, port=80,
                vpc_id=self.id("vpc", ""), load_balancer_arns=sorted(set(users[name])),
            )  # fmt: skip
            if is_network and what.get("preserves", "default") != "not seen":
                preserves = what.get("preserves", kind == "instance" or "UDP" in protocol)
                attribute = {"target_group_arn": self._target_group(name), "preserves_client_ip": preserves}
                self._add("target_group_attribute", **attribute)
            for target, port in what.get("targets", {}).items():
                target_id = self.balancer(target) if kind == "alb" else self.address(target)
                self._add("target", target_group_arn=self._target_group(name), target_id=target_id, port=port)

    def _front(self, kind: str, what: Mapping[str, Any]) -> None:
        if "to" in what:
            arn = self.balancer(what["to"])
            endpoint = f"{arn.replace(':loadbalancer/', ':listener/')}/{what['port']}" if "port" in what else arn
        else:
            endpoint = what.get("endpoint")
        front: Row = {"front_id": self.id(kind, ""), "front_name": "front", "endpoint_arn": endpoint}
        if kind == "vpc_link":
            front["subnet_ids"] = [self.id("subnet", name) for name in what.get("subnets", [])]
        if kind == "vpc_origin" and ("unused" in what or "shared" in what):
            front["front_name"] = None
        if "shared" in what:
            # The distribution is another account's, which knows the origin by its id alone.
            used = {"account_id": "999900000001", "region": "global", "front_name": "www.example", "endpoint_arn": None}
            self.rows[kind].append({**front, **used})
        if kind == "accelerator_endpoint":
            front["preserves_client_ip"] = what.get("preserves", False)
        self._add(kind, **front)


def _mapping(port: int | str) -> Row:
    """`80`, `53/udp`, `8080->80` (host to container), `0->80` (dynamic)."""
    text, _, protocol = str(port).partition("/")
    outer, arrow, inner = text.partition("->")
    return {
        "container_port": int(inner or outer), "host_port": int(outer) if arrow else None,
        "protocol": protocol or "tcp",
    }  # fmt: skip


def hop_texts(hops: list[Mapping[str, str | None]]) -> list[str]:
    return [" ".join(str(hop[part]) for part in ("hop", "id", "detail") if hop[part] is not None) for hop in hops]


def missing_in_order(wanted: list[str], texts: list[str]) -> Iterator[str]:
    """The words that no hop after the one before holds."""
    left = iter(texts)
    for words in wanted:
        if not any(words in text for text in left):
            yield words
