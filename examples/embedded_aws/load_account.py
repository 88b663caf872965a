"""Plays one account's file: roles, networks, load balancers, clusters and, with load_services, the services."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends

from embedded_aws.contract import Call
from embedded_aws.direct import Direct, seed
from embedded_aws.ecs import Ecs
from embedded_aws.fronts import Fronts
from embedded_aws.load_services import Place, ServiceLoader
from embedded_aws.yaml_files import OrganizationError, known

if TYPE_CHECKING:
    from embedded_aws.load_images import ImageLoader
    from embedded_aws.organization import Organization

_REGION_KEYS = {"groups", "clusters", "denied_ports", "load_balancers", "services"}
_ROLE_KEYS = {"managed", "policies", "inline", "boundary"}
_INSTANCE_ROLE = "ecs-instance"
_TASKS = {"Service": "ecs-tasks.amazonaws.com"}
# What every Region of every account has without being written: see examples/sample_org/README.md.
_GROUPS: dict[str, Any] = {"internal": {"all": "vpc"}, "public-web": {80: "0.0.0.0/0", 443: "0.0.0.0/0"}}


class AccountLoader:
    def __init__(
        self, name: str, organization: Organization, direct: Direct, ecs: Ecs, images: ImageLoader, fronts: Fronts
    ) -> None:
        self._name = name
        self._account_id = organization.id_of(name)
        self._organization = organization
        self._direct = direct
        self._ecs = ecs
        self._images = images
        self._fronts = fronts
        self._places: dict[str, Place] = {}
        self._services: dict[str, ServiceLoader] = {}
        self._applied_roles: dict[str, Any] = {}
        self._managed: set[str] = set()

    def play(self, content: dict[str, Any]) -> None:
        """Bring the account to what the night's content says; what already is so is left alone."""
        known(content, {"roles", "policies", "regions"}, f"accounts/{self._name}.yaml")
        for name, document in content.get("policies", {}).items():
            self._policy(name, document)
        for name, role in {_INSTANCE_ROLE: None, **content.get("roles", {})}.items():
            self._role(name, role or {})
        for region, what in content.get("regions", {}).items():
            self._play_region(region, what or {})

    def _play_region(self, region: str, what: dict[str, Any]) -> None:
        where = f"accounts/{self._name}.yaml, {region}"
        known(what, _REGION_KEYS, where)
        if region not in self._organization.regions_of(self._name):
            raise OrganizationError(f"{where}: not a Region of this account in organization.yaml")
        if region not in self._places:
            self._places[region] = self._network(region)
            self._services[region] = ServiceLoader(self._places[region], where, self._direct, self._ecs, self._images)
        place = self._places[region]
        for name, rules in {**_GROUPS, **what.get("groups", {})}.items():
            self._group(place, name, rules or {})
        for port in what.get("denied_ports", []):
            self._deny(place, port)
        for name, balancer in what.get("load_balancers", {}).items():
            self._balancer(place, name, balancer or {})
        for name, cluster in what.get("clusters", {}).items():
            self._cluster(place, name, cluster or {})
        self._services[region].play(what.get("services", {}))

    # --- IAM ---

    @staticmethod
    def create_scanner_roles(
        direct: Direct, account_id: str, roles: list[str], scanner_account: str, external_id: str
    ) -> None:
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{scanner_account}:user/ecs-exposure-scanner"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
        }
        for role in roles:
            direct.call(
                account_id,
                "us-east-1",
                "iam",
                "create_role",
                RoleName=role,
                AssumeRolePolicyDocument=_document([trust]),
            )

    def _iam(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._direct.call(self._account_id, "us-east-1", "iam", operation, **parameters)

    def _policy(self, name: str, statements: Any) -> None:
        if name not in self._managed:
            self._iam("create_policy", PolicyName=name, PolicyDocument=_document(statements))
            self._managed.add(name)

    def _role(self, name: str, role: dict[str, Any]) -> None:
        known(role, _ROLE_KEYS, f"accounts/{self._name}.yaml, role {name}")
        if self._applied_roles.get(name) == role:
            return
        if name not in self._applied_roles:
            principal = {"Service": "ec2.amazonaws.com"} if name == _INSTANCE_ROLE else _TASKS
            trust = [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]
            self._iam("create_role", RoleName=name, AssumeRolePolicyDocument=_document(trust))
            if name == _INSTANCE_ROLE:
                self._iam("create_instance_profile", InstanceProfileName=name)
                self._iam("add_role_to_instance_profile", InstanceProfileName=name, RoleName=name)
                role = {**role, "managed": ["service-role/AmazonEC2ContainerServiceforEC2Role"]}
        elif name == _INSTANCE_ROLE:
            return
        for policy in role.get("managed", []):
            self._iam("attach_role_policy", RoleName=name, PolicyArn=self._aws_managed(policy))
        for policy in role.get("policies", []):
            self._iam("attach_role_policy", RoleName=name, PolicyArn=self._local(policy))
        for policy, statements in role.get("inline", {}).items():
            self._iam("put_role_policy", RoleName=name, PolicyName=policy, PolicyDocument=_document(statements))
        if "boundary" in role:
            self._iam("put_role_permissions_boundary", RoleName=name, PermissionsBoundary=self._local(role["boundary"]))
        self._applied_roles[name] = role

    def _local(self, policy: str) -> str:
        if policy not in self._managed:
            raise OrganizationError(f"accounts/{self._name}.yaml: no policy {policy!r} under `policies`")
        return f"arn:aws:iam::{self._account_id}:policy/{policy}"

    def _aws_managed(self, name: str) -> str:
        """An AWS managed policy by name; only attached ones exist, as GetAccountAuthorizationDetails shows them."""
        iam = iam_backends[self._account_id]["aws"]
        arn = f"arn:aws:iam::aws:policy/{name}"
        if arn not in iam.managed_policies:
            short = name.rpartition("/")[2]
            document = _aws_policies().get(short)
            if document is None:
                raise OrganizationError(f"accounts/{self._name}.yaml: AWS has no managed policy {name!r}")
            policy = AWSManagedPolicy.from_data(short, self._account_id, "aws", document)
            iam.managed_policies[policy.arn] = policy
            iam.aws_managed_policies.append(policy)
            arn = policy.arn
        return arn

    # --- EC2 ---

    def _network(self, region: str) -> Place:
        """One VPC of its own: two public subnets behind an internet gateway, two private ones behind a NAT gateway."""

        def ec2(operation: str, **parameters: Any) -> Any:
            return self._direct.call(self._account_id, region, "ec2", operation, **parameters)

        seed(self._account_id, region, "default VPC")
        number = 10 + sorted(self._organization.accounts).index(self._name)
        second = number * 4 + self._organization.regions_of(self._name).index(region)
        cidr = f"10.{second}.0.0/16"
        vpc = ec2("create_vpc", CidrBlock=cidr)["Vpc"]["VpcId"]
        place = Place(self._account_id, region, vpc, cidr)
        for third, (name, zone) in enumerate(
            [("public-a", "a"), ("public-b", "b"), ("private-a", "a"), ("private-b", "b")]
        ):
            subnet = ec2(
                "create_subnet", VpcId=vpc, CidrBlock=f"10.{second}.{third * 16}.0/20", AvailabilityZone=region + zone
            )
            place.subnets[name] = subnet["Subnet"]["SubnetId"]
            if name.startswith("public"):
                ec2(
                    "modify_subnet_attribute",
                    SubnetId=place.subnets[name],
                    MapPublicIpOnLaunch={"Value": True},
                )
        gateway = ec2("create_internet_gateway")["InternetGateway"]["InternetGatewayId"]
        ec2("attach_internet_gateway", InternetGatewayId=gateway, VpcId=vpc)
        address = ec2("allocate_address", Domain="vpc")["AllocationId"]
        nat = ec2("create_nat_gateway", SubnetId=place.subnets["public-a"], AllocationId=address)
        ways = {"public": {"GatewayId": gateway}, "private": {"NatGatewayId": nat["NatGateway"]["NatGatewayId"]}}
        for kind, way in ways.items():
            tags = [{"ResourceType": "route-table", "Tags": [{"Key": "Name", "Value": kind}]}]
            table = ec2("create_route_table", VpcId=vpc, TagSpecifications=tags)["RouteTable"]["RouteTableId"]
            ec2("create_route", RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **way)
            for zone in "ab":
                ec2("associate_route_table", RouteTableId=table, SubnetId=place.subnets[f"{kind}-{zone}"])
        return place

    def _deny(self, place: Place, port: int) -> None:
        """The VPC's network ACL refuses a TCP port from everywhere, before it allows the rest."""
        if port in place.denied_ports:
            return
        place.denied_ports.add(port)

        def ec2(operation: str, **parameters: Any) -> Any:
            return self._direct.call(self._account_id, place.region, "ec2", operation, **parameters)

        filters = [{"Name": "vpc-id", "Values": [place.vpc]}, {"Name": "default", "Values": ["true"]}]
        acl = ec2("describe_network_acls", Filters=filters)["NetworkAcls"][0]["NetworkAclId"]
        ec2(
            "create_network_acl_entry", NetworkAclId=acl, RuleNumber=len(place.denied_ports), Protocol="6",
            Egress=False, RuleAction="deny", CidrBlock="0.0.0.0/0", PortRange={"From": port, "To": port},
        )  # fmt: skip

    def _group(self, place: Place, name: str, rules: dict[Any, Any]) -> None:
        if place.applied_groups.get(name) == rules:
            return

        def ec2(operation: str, **parameters: Any) -> Any:
            return self._direct.call(self._account_id, place.region, "ec2", operation, **parameters)

        if name not in place.groups:
            created = ec2("create_security_group", GroupName=name, Description=name, VpcId=place.vpc)
            place.groups[name] = created["GroupId"]
        elif place.applied_groups[name]:
            old = [self._permission(place, port, source) for port, source in place.applied_groups[name].items()]
            ec2("revoke_security_group_ingress", GroupId=place.groups[name], IpPermissions=old)
        permissions = [self._permission(place, port, source) for port, source in rules.items()]
        if permissions:
            ec2("authorize_security_group_ingress", GroupId=place.groups[name], IpPermissions=permissions)
        place.applied_groups[name] = rules

    def _permission(self, place: Place, port: int | str, sources: str | list[str]) -> dict[str, Any]:
        """`443: 0.0.0.0/0`, `"8000-8010": [10.0.0.0/8, "::/0"]`, `all: vpc`, `6379: <name of a group>`."""
        permission: dict[str, Any] = {"IpProtocol": "-1" if port == "all" else "tcp"}
        if port != "all":
            first, _, last = str(port).partition("-")
            permission |= {"FromPort": int(first), "ToPort": int(last or first)}
        for source in [sources] if isinstance(sources, str) else sources:
            if source == "vpc":
                permission.setdefault("IpRanges", []).append({"CidrIp": place.cidr})
            elif ":" in source:
                permission.setdefault("Ipv6Ranges", []).append({"CidrIpv6": source})
            elif "/" in source:
                permission.setdefault("IpRanges", []).append({"CidrIp": source})
            else:
                permission.setdefault("UserIdGroupPairs", []).append({"GroupId": place.group(source)})
        return permission

    # --- load balancers and clusters ---

    def _balancer(self, place: Place, name: str, balancer: dict[str, Any]) -> None:
        known(
            balancer,
            {"scheme", "groups", "cloudfront"},
            f"accounts/{self._name}.yaml, {place.region}, load balancer {name}",
        )
        if name in place.listeners:
            return
        scheme = balancer.get("scheme", "internet-facing")
        kind = "public" if scheme == "internet-facing" else "private"
        groups = balancer.get("groups", ["public-web"] if kind == "public" else ["internal"])

        def elb(operation: str, **parameters: Any) -> Any:
            return self._direct.call(self._account_id, place.region, "elbv2", operation, **parameters)

        created = elb(
            "create_load_balancer",
            Name=name,
            Scheme=scheme,
            Type="application",
            Subnets=[place.subnets[f"{kind}-a"], place.subnets[f"{kind}-b"]],
            SecurityGroups=[place.group(group) for group in groups],
        )["LoadBalancers"][0]
        answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
        listener = elb(
            "create_listener",
            LoadBalancerArn=created["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[answer],
        )
        place.listeners[name] = listener["Listeners"][0]["ListenerArn"]
        if domain := balancer.get("cloudfront"):
            self._fronts.put_vpc_origin(self._account_id, name, created["LoadBalancerArn"], domain)

    def _cluster(self, place: Place, name: str, cluster: dict[str, Any]) -> None:
        """A cluster; with `instances`, that many EC2 container instances, public or private, in `groups`."""
        known(
            cluster,
            {"instances", "subnets", "groups", "tags"},
            f"accounts/{self._name}.yaml, {place.region}, cluster {name}",
        )
        if name in place.clusters:
            return
        place.clusters.add(name)
        self._play_ecs(place, "CreateCluster", clusterName=name, tags=_tags(cluster.get("tags", {})))
        kind = cluster.get("subnets", "private")
        for number in range(cluster.get("instances", 0)):
            zone = "ab"[number % 2]
            started = self._direct.call(
                self._account_id, place.region, "ec2", "run_instances",
                ImageId="ami-03cf127a", InstanceType="m6i.large", MinCount=1, MaxCount=1,
                SubnetId=place.subnets[f"{kind}-{zone}"],
                SecurityGroupIds=[place.group(group) for group in cluster.get("groups", ["internal"])],
                IamInstanceProfile={"Name": _INSTANCE_ROLE},
                MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                ClientToken=f"{name}-{number}",
            )  # fmt: skip
            document = json.dumps({"instanceId": started["Instances"][0]["InstanceId"]})
            self._play_ecs(place, "RegisterContainerInstance", cluster=name, instanceIdentityDocument=document)

    def _play_ecs(self, place: Place, operation: str, **parameters: Any) -> None:
        seed(place.account_id, place.region, operation, repr(parameters))
        self._ecs.call(Call(place.account_id, place.region, "ecs", operation, parameters))


@cache
def _aws_policies() -> dict[str, Any]:
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _document(statements: Any) -> str:
    """A policy document from its statements; a mapping is taken as the whole document, as written."""
    whole = statements if isinstance(statements, dict) else {"Version": "2012-10-17", "Statement": statements}
    return json.dumps(whole)
