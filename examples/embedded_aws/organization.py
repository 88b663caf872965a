"""An organisation written in YAML, played night by night into moto and our fakes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.moto_api._internal import mock_random
from moto.organizations.models import organizations_backends

from embedded_aws.access import AccountAccess
from embedded_aws.direct import Direct
from embedded_aws.load_account import AccountLoader
from embedded_aws.load_images import ImageLoader
from embedded_aws.yaml_files import OrganizationError, known, on_night, read

if TYPE_CHECKING:
    from embedded_aws.server import EmbeddedAws

_ACCOUNT_KEYS = {
    "id", "unit", "tags", "regions", "denies_from_night", "denied_actions", "security_hub_disabled",
    "inspector_disabled", "suspended",
}  # fmt: skip
_TOP_KEYS = {
    "first_night", "regions", "scanner", "inspector_administrator", "units", "accounts", "service_control_policies",
}  # fmt: skip
_EVERYTHING = "p-FullAWSAccess"  # AWS attaches it at every level when service control policies are enabled


class Organization:
    """The files of one folder: organization.yaml, images.yaml and accounts/<name>.yaml."""

    def __init__(self, path: Path, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._top = read(path / "organization.yaml")
        known(self._top, _TOP_KEYS, "organization.yaml")
        for name, account in self.accounts.items():
            known(account, _ACCOUNT_KEYS, f"organization.yaml, account {name}")
        self._files = {
            name: read(path / "accounts" / f"{name}.yaml")
            for name in self.accounts
            if (path / "accounts" / f"{name}.yaml").exists()
        }
        strangers = {file.stem for file in (path / "accounts").glob("*.yaml")} - self.accounts.keys()
        if strangers:
            raise OrganizationError(f"accounts/{sorted(strangers)[0]}.yaml: organization.yaml has no such account")
        self._played = 0
        direct = Direct(aws.moto)
        self._images = ImageLoader(read(path / "images.yaml"), self, direct, aws.inspector2, aws.ecr_scans, aws.ecs)
        self._loaders = {
            name: AccountLoader(name, self, direct, aws.ecs, self._images, aws.fronts) for name in self._files
        }
        self._direct = direct

    # --- what the loaders ask ---

    @property
    def accounts(self) -> dict[str, dict[str, Any]]:
        accounts: dict[str, dict[str, Any]] = self._top["accounts"]
        return accounts

    def id_of(self, name: str) -> str:
        if name not in self.accounts:
            raise OrganizationError(f"organization.yaml has no account {name!r}")
        return str(self.accounts[name]["id"])

    def regions_of(self, name: str) -> list[str]:
        return list(self.accounts[name].get("regions", self._top["regions"]))

    def is_inspected(self, name: str, region: str) -> bool:
        """Whether Inspector is on in an account and Region; where it is off, ECR's basic scanning is on instead."""
        return region not in self.accounts[name].get("inspector_disabled", [])

    @property
    def scanner_account(self) -> str:
        return self.id_of(self._top["scanner"]["account"])

    def day(self, night: int) -> date:
        first: date = self._top["first_night"]
        return first + timedelta(days=night - 1)

    def moment(self, night: int) -> datetime:
        """When the night's changes have happened: in the small hours, before the scan."""
        return datetime.combine(self.day(night), time(0, 30), UTC)

    # --- playing ---

    def play(self, night: int) -> None:
        """Bring everything from the night already played to `night`, each night's changes in turn."""
        clock = self._aws.ecs.now
        try:
            for number in range(self._played + 1, night + 1):
                self._aws.ecs.now = partial(self.moment, number)
                if number == 1:
                    self._found()
                last = number == night
                self._images.play(number)
                for name, loader in self._loaders.items():
                    loader.play(on_night(self._files[name], number))
                if last:
                    self._images.findings(number)
        finally:
            self._aws.ecs.now = clock
            mock_random.seed()  # identifiers of later calls are chance again
        self._played = night
        self._aws.access.night = night

    def _found(self) -> None:
        """The organisation itself, the scanner's roles, Inspector and Security Hub: the same on all nights."""
        management = next(name for name, account in self.accounts.items() if "unit" not in account)
        self._direct.call(self.id_of(management), "us-east-1", "organizations", "create_organization", FeatureSet="ALL")
        units = self._create_units(self.id_of(management))
        for name, account in self.accounts.items():
            if name != management:
                self._join(self.id_of(management), name, account, units)
        backend = organizations_backends[self.id_of(management)]["aws"]
        master = backend.get_account_by_id(self.id_of(management))
        master.name, master.tags = management, dict(self.accounts[management].get("tags", {}))
        self._control(self.id_of(management), units)
        for name, account in self.accounts.items():
            if not account.get("suspended"):
                self._prepare(name, account, is_management=name == management)
        named = self._top["inspector_administrator"]
        for region, name in named.items() if isinstance(named, dict) else [(None, named)]:
            self._aws.inspector2.delegate(self.id_of(name), region)

    def _create_units(self, management: str) -> dict[str, str]:
        """Unit path ("Workloads/Production") → id, parents first."""
        root = self._direct.call(management, "us-east-1", "organizations", "list_roots")["Roots"][0]["Id"]
        units = {"": root}
        for path in self._top["units"]:
            parent, _, name = path.rpartition("/")
            if parent not in units:
                raise OrganizationError(f"organization.yaml: unit {path} comes before its parent {parent}")
            created = self._direct.call(
                management,
                "us-east-1",
                "organizations",
                "create_organizational_unit",
                ParentId=units[parent],
                Name=name,
            )
            units[path] = created["OrganizationalUnit"]["Id"]
        return units

    def _join(self, management: str, name: str, account: dict[str, Any], units: dict[str, str]) -> None:
        tags = [{"Key": key, "Value": value} for key, value in account.get("tags", {}).items()]
        created = self._direct.call(
            management, "us-east-1", "organizations", "create_account",
            AccountName=name, Email=f"aws+{name}@example.com", Tags=tags,
        )  # fmt: skip
        backend = organizations_backends[management]["aws"]
        member = backend.get_account_by_id(created["CreateAccountStatus"]["AccountId"])
        organizations_backends.master_accounts.pop(member.id)
        member.id = str(account["id"])  # AWS chooses ids; a readable sample needs its own
        organizations_backends.master_accounts[member.id] = (management, "aws")
        member.parent_id = units[account["unit"]]
        if account.get("suspended"):
            member.close()

    def _control(self, management: str, units: dict[str, str]) -> None:
        """The service control policies, if the organisation has any."""
        policies: dict[str, Any] = self._top.get("service_control_policies", {})
        if not policies:
            return

        def call(operation: str, **parameters: Any) -> Any:
            return self._direct.call(management, "us-east-1", "organizations", operation, **parameters)

        call("enable_policy_type", RootId=units[""], PolicyType="SERVICE_CONTROL_POLICY")
        for target in [*units.values(), *(str(account["id"]) for account in self.accounts.values())]:
            call("attach_policy", PolicyId=_EVERYTHING, TargetId=target)
        for name, policy in policies.items():
            known(policy, {"attach", "statements"}, f"organization.yaml, service control policy {name}")
            document = json.dumps({"Version": "2012-10-17", "Statement": policy["statements"]})
            made = call("create_policy", Name=name, Description=name, Content=document, Type="SERVICE_CONTROL_POLICY")[
                "Policy"
            ]["PolicySummary"]["Id"]
            for target in policy["attach"]:
                unit = units.get("" if target == "root" else target)
                call("attach_policy", PolicyId=made, TargetId=unit or self.id_of(target))

    def _prepare(self, name: str, account: dict[str, Any], is_management: bool) -> None:
        scanner, account_id = self._top["scanner"], self.id_of(name)
        roles = [scanner["read_role"], scanner["publish_role"]]
        if is_management:
            roles.append(scanner["organization_role"])
        self._aws.access.accounts[account_id] = AccountAccess(
            roles=dict.fromkeys(roles, scanner["external_id"]),
            denied_from_night=account.get("denies_from_night"),
            denied_actions=account.get("denied_actions", {}),
        )
        AccountLoader.create_scanner_roles(
            self._direct, account_id, roles, self.scanner_account, scanner["external_id"]
        )
        for region in self.regions_of(name):
            if self.is_inspected(name, region):
                self._aws.inspector2.enable(account_id, region)
            if region not in account.get("security_hub_disabled", []) and self._aws.securityhub is not None:
                self._aws.securityhub.enable(account_id, region)


def first_night(path: Path) -> date:
    """The day of night 1 of the organisation in this folder."""
    first: date = read(path / "organization.yaml")["first_night"]
    return first


def sample_settings(path: Path) -> dict[str, str]:
    """The scanner's settings (ECS_EXPOSURE_*) that fit this organisation, its findings published for real."""
    top = read(path / "organization.yaml")
    scanner, accounts = top["scanner"], top["accounts"]
    return {
        "ECS_EXPOSURE_ORGANIZATION_ACCOUNT_ID": next(one["id"] for one in accounts.values() if "unit" not in one),
        "ECS_EXPOSURE_REGIONS": ",".join(top["regions"]),
        "ECS_EXPOSURE_ORGANIZATION_ROLE_NAME": scanner["organization_role"],
        "ECS_EXPOSURE_READ_ROLE_NAME": scanner["read_role"],
        "ECS_EXPOSURE_PUBLISH_ROLE_NAME": scanner["publish_role"],
        "ECS_EXPOSURE_EXTERNAL_ID": scanner["external_id"],
        "ECS_EXPOSURE_PUBLISH": "on",
    }
