"""Peers' own test cases, in AWS's shapes: through the collectors' functions, then sql/, as a service each.

Reads peer_cases.jsonl (id, trait, expected, input_kind, input). A service is answered by DescribeServices, a security
group by DescribeSecurityGroups, a role or policy by GetAccountAuthorizationDetails, and each task definition is
flattened as DescribeTaskDefinition gives it; all become one day, assessed once. Cases about what no trait of ours says
are listed as not applicable; those whose verdict is wrong in AWS's terms, with the reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from judged import Judged

ROOT = Path(__file__).parents[1]
ACCOUNT, REGION, DAY = "111111111111", "eu-west-1", date(2026, 3, 2)
KEY = b"peers' cases hold no one's secret"

TRAITS: dict[str, tuple[str, ...]] = {
    "public_ip": ("public_ip",),
    "host_pid": ("host_process_namespace",),
    "host_network": ("host_network_mode",),
    "host_path": ("root_filesystem_access",),
    "docker_socket": ("container_runtime_socket_mounted",),
    "privileged": ("task_definition_privileged",),
    "env_secret": ("cleartext_credentials",),
    "open_sg": ("open_security_group",),
    "open_sg_port22": ("open_security_group",),
    "open_sg_all_ports": ("open_security_group",),
    "admin_policy": ("administrative_access_policy",),
    "admin_role": ("administrative_access_policy",),
    "star_action_policy": ("administrative_access_policy", "service_administrative_policy"),
    # Any trait of the Impact family that leads to other permissions; `*` stands for whatever they are called.
    "privilege_escalation_policy": ("has_*_path",),
}
"""A peer's word for what is wrong to the traits of ours that say it; one of them must hit."""

NOT_APPLICABLE = {
    "public_assumable_role": "who may assume a role is no exposure of the service that has it",
    "account_root_assumable": "who may assume a role is no exposure of the service that has it",
}
WRONG = {
    "gt-0103": "tcp from port 0 to port 0 is port 0 alone in EC2; it means every port only in the template language",
    "gt-0182": "AWS's documented example keys open nothing; the label follows the names",
    "gt-0187": "IAM refuses a statement without Effect; read as unknown permissions, not as administration",
    "gt-0190": "the input has no policy at all: what made the role administrative was lost in the conversion",
    "gt-0233": "AKIA and sixteen times A was never issued; the label follows the form",
    "gt-0340": "an action that is a template function is no IAM document; read as unknown permissions",
    "gt-0341": "NotResource * leaves no resource: the statement grants nothing",
    "gt-0355": "a host path that no container mounts gives nothing away",
    "gt-0357": "a host path that no container mounts gives nothing away",
}
"""Cases whose verdict does not hold in AWS's terms; docs/adr/0008-credentials.md argues each."""


def judge(data: Path) -> Iterator[Judged]:
    """One judged case a line whose trait we have and whose verdict stands; the others are told on standard error."""
    cases = [json.loads(line) for line in (data / "peer_cases.jsonl").read_text(encoding="utf-8").splitlines()]
    if unknown := sorted({case["trait"] for case in cases} - TRAITS.keys() - NOT_APPLICABLE.keys()):
        raise ValueError(
            f"{data / 'peer_cases.jsonl'}: no trait of ours is wired to {', '.join(unknown)}; add it to TRAITS"
        )
    applicable = [case for case in cases if case["trait"] in TRAITS]
    hits = _assessed(applicable)
    for case in cases:
        if reason := NOT_APPLICABLE.get(case["trait"]):
            print(f"peers: {case['id']} {case['trait']}: not applicable: {reason}", file=sys.stderr)
            continue
        found = _found(case, hits.get(case["id"], {}))
        if (reason := WRONG.get(case["id"])) and found != case["expected"]:
            print(f"peers: {case['id']} {case['trait']}: label not followed: {reason}", file=sys.stderr)
            continue
        where = f"{case['id']} {case['source_repo']} {case['case'].rpartition('::')[2][:60]}"
        yield Judged("peers' own cases", where, case["expected"], found, case["trait"])


def _found(case: Mapping[str, Any], hits: Mapping[str, list[dict[str, Any]]]) -> bool:
    ours = [
        trait
        for trait in hits
        for name in TRAITS[case["trait"]]
        if trait == name or ("*" in name and trait.startswith(name.partition("*")[0]) and trait.endswith("_path"))
    ]
    rules = [(rule["from_port"], rule["to_port"]) for trait in ours for rule in hits[trait] if "from_port" in rule]
    if case["trait"] == "open_sg_port22":
        return any((low or 0) <= 22 <= (65535 if high is None else high) for low, high in rules)
    if case["trait"] == "open_sg_all_ports":
        return any((low or 0) <= 1 and (65535 if high is None else high) == 65535 for low, high in rules)
    return bool(ours)


def _assessed(cases: list[dict[str, Any]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Case → trait → evidence, of one day with a service a case."""
    sys.path.insert(0, str(ROOT))
    from tests.sql_harness import assess

    rows = _collected(cases)
    with assess(rows, day=DAY) as connection:
        found = connection.execute(
            """select resource_id, trait, evidence from traits."all" where state = 'hit'"""
        ).fetchall()
    hits: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for resource_id, trait, evidence in found:
        hits.setdefault(resource_id.rpartition("/")[2], {})[trait] = json.loads(evidence)
    return hits


# --- as AWS would answer ----------------------------------------------------------------------------------------


class Answers:
    """A boto3 client that knows its answers by operation (some depend on the request); every listing has one page."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def client(self, *_: str) -> Answers:
        return self

    def get_paginator(self, operation: str) -> Answers:
        return Answers(paginate=self._answers[operation])

    def paginate(self, **_: Any) -> list[Mapping[str, Any]]:
        return [self._answers["paginate"]]

    def __getattr__(self, operation: str) -> Any:
        answer = self._answers[operation]
        return answer if callable(answer) else lambda **_: answer


def _collected(cases: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    from ecs_exposure.collectors.ec2 import collect_security_groups
    from ecs_exposure.collectors.ecs import collect_services
    from ecs_exposure.collectors.iam import collect_roles
    from ecs_exposure.collectors.task_definitions import flatten
    from ecs_exposure.settings import Settings

    settings = Settings()
    services, groups, roles, definitions = [], [], [], []
    for case in cases:
        kind, given = case["input_kind"], case["input"]
        service = {"serviceName": case["id"], "launchType": "FARGATE", "desiredCount": 1}
        definition: dict[str, Any] = {"family": case["id"], "networkMode": "awsvpc", "containerDefinitions": []}
        if kind == "service":
            service = given | {"serviceName": case["id"]}
        elif kind == "security_group":
            groups.append(given | {"GroupId": f"sg-{case['id']}"})
            awsvpc = {"subnets": ["subnet-1"], "securityGroups": [f"sg-{case['id']}"], "assignPublicIp": "DISABLED"}
            service["networkConfiguration"] = {"awsvpcConfiguration": awsvpc}
        elif kind == "task_definition":
            definition = given | {"family": case["id"]}
            if given.get("requiresCompatibilities") != ["FARGATE"]:
                service["launchType"] = "EC2"
        elif kind in ("iam_policy", "iam_role"):
            roles.append(_role(case))
            definition["taskRoleArn"] = roles[-1]["Arn"]
        else:
            raise ValueError(f"{case['id']}: input kind {kind} is not known here")
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{case['id']}:1"
        definitions.append(definition | {"taskDefinitionArn": arn, "revision": 1})
        service |= {"serviceArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/peers/{case['id']}", "taskDefinition": arn}
        services.append(service | {"status": "ACTIVE"})
    cluster = {"clusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/peers", "clusterName": "peers"}
    by_arn = {service["serviceArn"]: service for service in services}
    answers = Answers(
        list_clusters={"clusterArns": [cluster["clusterArn"]]},
        describe_clusters={"clusters": [cluster]},
        list_services={"serviceArns": [service["serviceArn"] for service in services]},
        describe_services=lambda services, **_: {"services": [by_arn[arn] for arn in services]},
        describe_security_groups={"SecurityGroups": groups},
        get_account_authorization_details={"RoleDetailList": roles, "Policies": _managed_policies(roles)},
    )
    rows: dict[str, list[dict[str, Any]]] = {}
    for collect in (collect_services, collect_security_groups, collect_roles):
        for dataset, row in collect(_context(answers, "global" if collect is collect_roles else REGION)):
            rows.setdefault(dataset, []).append(row)
    for definition in definitions:
        flat = flatten(
            definition, settings=settings, account_id=ACCOUNT, region=REGION, snapshot_date=DAY, fingerprint_key=KEY
        )
        for dataset, row in flat:
            rows.setdefault(dataset, []).append(row)
    return rows


def _context(answers: Answers, region: str) -> Any:
    from ecs_exposure.collectors.base import Context, Target
    from ecs_exposure.settings import Settings

    access: Any = answers
    return Context(access, Settings(), Target(ACCOUNT, region), DAY, {}, KEY)


def _role(case: Mapping[str, Any]) -> dict[str, Any]:
    given = case["input"]
    inline = given.get("InlinePolicies", []) if case["input_kind"] == "iam_role" else [{"PolicyDocument": given}]
    return {
        "RoleName": case["id"],
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/{case['id']}",
        "AssumeRolePolicyDocument": given.get("AssumeRolePolicyDocument"),
        "RolePolicyList": [
            {"PolicyName": f"inline-{number}", "PolicyDocument": policy["PolicyDocument"]}
            for number, policy in enumerate(inline)
        ],
        "AttachedManagedPolicies": given.get("AttachedManagedPolicies", []),
    }


def _managed_policies(roles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """AWS managed policies that the roles name, as the emulated AWS of the examples knows them."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    known = json.loads(aws_managed_policies_data)
    named = {policy["PolicyArn"] for role in roles for policy in role["AttachedManagedPolicies"]}
    return [
        {
            "Arn": arn,
            "PolicyVersionList": [{"IsDefaultVersion": True, "Document": known[arn.rpartition("/")[2]]["Document"]}],
        }
        for arn in sorted(named)
    ]
