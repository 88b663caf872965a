"""AWS Organizations: which accounts there are, where they stand, and which targets follow from the settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from ecs_exposure.aws import GLOBAL, AwsAccess
from ecs_exposure.aws_errors import AWS_ERRORS, bounded, classify
from ecs_exposure.collectors import GLOBAL_DATASETS, IMAGE_DATASETS, REGION_DATASETS
from ecs_exposure.collectors.base import Row, Target, listing, required, tags_json
from ecs_exposure.settings import PREFIX, Settings

ACCOUNT_DATASET = "account"


class DiscoveryError(Exception):
    """The organisation's accounts could not be told, so there is nothing to scan; the message says what to do."""


@dataclass
class Organization:
    """Accounts (rows of dataset account), the targets to scan, and the coverage rows that only discovery can write."""

    accounts: list[Row]
    targets: list[Target]
    coverage: list[Row]


def discover(access: AwsAccess, settings: Settings, snapshot_date: date) -> Organization:
    """The organisation as its management account (or a delegated administrator of Organizations) sees it.

    The tree is walked from the roots down, so a path costs calls per unit, not per account. Accounts that are not
    ACTIVE and those of EXCLUDE_ACCOUNTS get `excluded` coverage for every dataset; with INCLUDE_ACCOUNTS the others
    are simply no part of the scan. Raises DiscoveryError when the organisation cannot be read completely or an
    included account is not in it.
    """
    if settings.organization_account_id is None:
        raise DiscoveryError(
            f"set {PREFIX}ORGANIZATION_ACCOUNT_ID to the organisation's management account "
            "(or a delegated administrator of AWS Organizations)"
        )
    client = access.client("organizations", settings.organization_account_id, GLOBAL, "organization")
    try:
        management_id = required(client.describe_organization(), "Organization", "DescribeOrganization")[
            "MasterAccountId"
        ]
        found = list(listing(client, "list_accounts", "Accounts"))
        paths = dict(_paths(client))
    except AWS_ERRORS as error:
        _, message = classify(error)
        raise DiscoveryError(
            f"the organisation's accounts cannot be listed from account {settings.organization_account_id}: {message}"
        ) from error
    _refuse_unknown(settings, {account["Id"] for account in found})
    tags = _Tags(client)
    accounts, targets, coverage = [], [], []
    for account in sorted(found, key=lambda item: str(item["Id"])):
        account_id = account["Id"]
        state = account.get("State") or account.get("Status") or "UNKNOWN"
        reason = _why_excluded(settings, account_id, state)
        is_scanned = reason is None and account_id in (settings.include_accounts or (account_id,))
        accounts.append(
            {
                "account_id": account_id,
                "region": GLOBAL,
                "observed_date": snapshot_date,
                "account_name": account.get("Name"),
                "status": state,
                "is_management": account_id == management_id,
                "ou_path": paths.get(account_id, "/"),
                "tags": tags.of(account_id) if is_scanned else None,
            }
        )
        places = [(region, REGION_DATASETS + IMAGE_DATASETS) for region in settings.regions] + [
            (GLOBAL, GLOBAL_DATASETS)
        ]
        for region, datasets in places:
            if is_scanned:
                targets.append(Target(account_id, region))
            elif reason is not None:
                coverage += [_excluded(account_id, region, dataset, reason) for dataset in datasets]
    calls = access.calls(settings.organization_account_id, GLOBAL, "organizations")
    coverage.append(
        {
            "account_id": settings.organization_account_id,
            "region": GLOBAL,
            "dataset": ACCOUNT_DATASET,
            "status": "ok",
            "rows": len(accounts),
            "api_calls": calls,
            "message": tags.message,
            "collected_at": datetime.now(UTC),
            "observed_date": snapshot_date,
        }
    )
    return Organization(accounts, targets, coverage)


def _paths(client: Any) -> Iterator[tuple[str, str]]:
    """(account, names of the units above it) of the whole organisation; an account directly under the root stands at
    `/`.
    """
    parents = [(root["Id"], "/") for root in listing(client, "list_roots", "Roots")]
    while parents:
        parent_id, path = parents.pop()
        for account in listing(client, "list_accounts_for_parent", "Accounts", ParentId=parent_id):
            yield account["Id"], path
        units = listing(client, "list_organizational_units_for_parent", "OrganizationalUnits", ParentId=parent_id)
        parents += [(unit["Id"], f"{path.rstrip('/')}/{unit['Name']}") for unit in units]


class _Tags:
    """Tags of accounts, asked one account at a time until the role turns out not to be allowed to ask."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.message: str | None = None

    def of(self, account_id: str) -> str | None:
        if self.message is not None:
            return None
        try:
            return tags_json(list(listing(self._client, "list_tags_for_resource", "Tags", ResourceId=account_id)))
        except AWS_ERRORS as error:
            status, message = classify(error)
            if status not in ("denied", "excluded"):
                raise DiscoveryError(f"the tags of account {account_id} cannot be read: {message}") from error
            self.message = bounded(f"tags of accounts unknown: {message}")
            return None


def _refuse_unknown(settings: Settings, account_ids: set[str]) -> None:
    if unknown := sorted(set(settings.include_accounts) - account_ids):
        raise DiscoveryError(
            f"{PREFIX}INCLUDE_ACCOUNTS names {', '.join(unknown)}, which the organisation does not have; "
            "correct the id or remove it"
        )


def _why_excluded(settings: Settings, account_id: str, state: str) -> str | None:
    if account_id in settings.exclude_accounts:
        return f"excluded by {PREFIX}EXCLUDE_ACCOUNTS"
    if state != "ACTIVE" and account_id in (settings.include_accounts or (account_id,)):
        return f"the account is {state} in AWS Organizations"
    return None


def _excluded(account_id: str, region: str, dataset: str, reason: str) -> Row:
    return {
        "account_id": account_id,
        "region": region,
        "dataset": dataset,
        "status": "excluded",
        "rows": None,
        "api_calls": 0,
        "message": reason,
        "collected_at": datetime.now(UTC),
        "observed_date": None,
    }
