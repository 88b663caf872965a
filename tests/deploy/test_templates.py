"""The roles of deploy/: valid, trusted by the scanner alone, and able to do exactly what a scan does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.aws_operations import OPERATIONS
from ecs_exposure.settings import Settings
from embedded_aws.access import action_of

from tests.deploy.policies import policy_actions, statements, template

DEPLOY = Path(__file__).parents[2] / "deploy"
MEMBER = template(DEPLOY / "member-roles.yaml")
MANAGEMENT = template(DEPLOY / "management-account.yaml")
SCANNER = template(DEPLOY / "scanner.yaml")
PURPOSE = {"organizations": "OrganizationRole", "securityhub": "PublishRole"}  # every other service is read by ReadRole
ASSUMED = [(MEMBER, "ReadRole"), (MEMBER, "PublishRole"), (MANAGEMENT, "OrganizationRole")]


def test_cfn_lint_finds_nothing() -> None:
    paths = sorted(map(str, DEPLOY.glob("*.yaml")))
    assert len(paths) == 4
    run = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", *paths], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, ""), run.stdout + run.stderr


@pytest.mark.parametrize(
    ("stack", "role", "name"),
    [
        (MEMBER, "ReadRole", "ecs-exposure-read"),
        (MEMBER, "PublishRole", "ecs-exposure-publish"),
        (MANAGEMENT, "OrganizationRole", "ecs-exposure-organization"),
    ],
)
def test_policies_are_the_operations_of_the_scanner_and_enough_for_a_scan(
    stack: dict[str, Any], role: str, name: str, calls_of_a_scan: dict[str, set[str]]
) -> None:
    known = {
        action_of(service, operation)
        for service, operations in OPERATIONS.items()
        if service != "sts" and PURPOSE.get(service, "ReadRole") == role
        for operation in operations
    }
    assert policy_actions(stack, role) == known
    assert calls_of_a_scan[name] <= known


def test_the_scanner_itself_only_assumes_roles_and_keeps_the_lake(calls_of_a_scan: dict[str, set[str]]) -> None:
    assert calls_of_a_scan[""] == {"sts:AssumeRole"}
    granted = policy_actions(SCANNER, "ScannerRole")
    assert {action for action in granted if not action.startswith(("s3:", "kms:"))} == {"sts:AssumeRole"}


@pytest.mark.parametrize(("stack", "role"), ASSUMED)
def test_a_role_trusts_the_scanner_with_external_id_in_the_organisation_only(stack: dict[str, Any], role: str) -> None:
    trust = stack["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust == [
        {
            "Effect": "Allow",
            "Principal": {"AWS": {"!Ref": "ScannerRoleArn"}},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {
                    "sts:ExternalId": {"!Ref": "ExternalId"},
                    "aws:PrincipalOrgID": {"!Ref": "OrganizationId"},
                }
            },
        }
    ]


def test_only_the_publish_role_writes_and_only_findings_of_its_own_account() -> None:
    assert policy_actions(MEMBER, "PublishRole") == {"securityhub:BatchImportFindings", "securityhub:GetFindings"}
    importing, reading_back = statements(MEMBER["Resources"]["PublishRole"])
    assert importing["Action"] == "securityhub:BatchImportFindings"
    assert "product/${AWS::AccountId}/default" in importing["Resource"]["!Sub"]
    assert reading_back["Action"] == "securityhub:GetFindings"
    reading = ("Describe", "List", "Get", "BatchGet", "GET")
    for stack, role in [(MEMBER, "ReadRole"), (MANAGEMENT, "OrganizationRole")]:
        assert all(action.partition(":")[2].startswith(reading) for action in policy_actions(stack, role))


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.yaml")), ids=lambda path: path.name)
def test_no_arn_names_a_partition_and_every_parameter_explains_itself(path: Path) -> None:
    loaded = template(path)
    assert "arn:aws:" not in str(loaded["Resources"])
    for name, parameter in loaded["Parameters"].items():
        assert parameter["Description"], name
        assert "AllowedPattern" in parameter or "AllowedValues" in parameter, name
        assert "AllowedValues" in parameter or parameter["ConstraintDescription"], name


def test_role_names_default_to_the_settings_names() -> None:
    fields = Settings.model_fields
    for stack in (MEMBER, SCANNER):
        assert stack["Parameters"]["ReadRoleName"]["Default"] == fields["read_role_name"].default
        assert stack["Parameters"]["PublishRoleName"]["Default"] == fields["publish_role_name"].default
    for stack in (MANAGEMENT, SCANNER):
        assert stack["Parameters"]["OrganizationRoleName"]["Default"] == fields["organization_role_name"].default
