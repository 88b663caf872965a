"""AWS Organizations: which accounts there are, where they stand, and which targets follow from the settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from ecs_exposure.aws import GLOBAL, AwsAccess
from ecs_exposure.aws_errors import AWS_ERRORS, IncompleteAnswer, bounded, classify, reading
from ecs_exposure.collectors import GLOBAL_DATASETS, IMAGE_DATASETS, REGION_DATASETS
from ecs_exposure.collectors.base import Row, Target, listing, required, tags_json
from ecs_exposure.collectors.service_control import CONTROL_DATASETS, Control, collect_control
from ecs_exposure.settings import PREFIX, Settings

ACCOUNT_DATASET = "account"
ORGANIZATION_DATASETS = (ACCOUNT_DATASET, *CONTROL_DATASETS)
"""Written by discovery, for the account that is asked about the organisation, whether or not it is scanned itself."""


class DiscoveryError(Exception):
    """The organisation's accounts could not be told, so there is nothing to scan; the message says what to do."""


@dataclass
class Organization:
    """Accounts (rows of dataset account), the targets to scan, the coverage rows that only discovery can write, and the
    rows of ORGANIZATION_DATASETS by dataset.
    """

    accounts: list[Row]
    targets: list[Target]
    coverage: list[Row]
    rows: dict[str, list[Row]]


class _Place(NamedTuple):
    """Where an account stands: names of the units above it, and ids from the root down to its own."""

    path: str
    line: tuple[str, ...]


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
        with reading("the organisation"):
            return _discovered(client, access, settings, settings.organization_account_id, snapshot_date)
    except AWS_ERRORS as error:
        _, message = classify(error)
        raise DiscoveryError(
            f"the organisation's accounts cannot be listed from account {settings.organization_account_id}: {message}"
        ) from error


def _discovered(client: Any, access: AwsAccess, settings: Settings, asked: str, snapshot_date: date) -> Organization:
    described = required(client.describe_organization(), "Organization", "DescribeOrganization")
    management_id = described["MasterAccountId"]
    found = list(listing(client, "list_accounts", "Accounts"))
    roots = list(listing(client, "list_roots", "Roots"))
    places = dict(_places(client, roots))
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
                "ou_path": places[account_id].path if account_id in places else "/",
                "tags": tags.of(account_id) if is_scanned else None,
            }
        )
        scopes = [(region, REGION_DATASETS + IMAGE_DATASETS) for region in settings.regions] + [
            (GLOBAL, GLOBAL_DATASETS)
        ]
        for region, datasets in scopes:
            if is_scanned:
                targets.append(Target(account_id, region))
            elif reason is not None:
                coverage += [_excluded(account_id, region, dataset, reason) for dataset in datasets]
    calls = access.calls(asked, GLOBAL, "organizations")
    control = _control(client, roots, places)
    spent = access.calls(asked, GLOBAL, "organizations") - calls
    coverage += [
        _seen(asked, ACCOUNT_DATASET, "ok", len(accounts), calls, tags.message, snapshot_date),
        *(
            _seen(asked, name, control.status, len(control.rows[name]), spent, control.message, snapshot_date)
            for name, spent in zip(CONTROL_DATASETS, (spent, 0), strict=True)
        ),
    ]
    own = {"account_id": asked, "region": GLOBAL, "observed_date": snapshot_date}
    rows = {name: [own | row for row in found_rows] for name, found_rows in control.rows.items()}
    return Organization(accounts, targets, coverage, {ACCOUNT_DATASET: accounts, **rows})


def _control(client: Any, roots: list[Row], places: dict[str, _Place]) -> Control:
    """Without service control policies a scan still says what roles may do, as before them: nothing here is a
    DiscoveryError.
    """
    try:
        with reading("service_control"):
            return collect_control(client, roots, {account_id: place.line for account_id, place in places.items()})
    except AWS_ERRORS as error:
        return Control(*classify(error))


def _seen(account_id: str, dataset: str, status: str, rows: int, calls: int, message: str | None, day: date) -> Row:
    return {
        "account_id": account_id,
        "region": GLOBAL,
        "dataset": dataset,
        "status": status,
        "rows": rows if status == "ok" else None,
        "api_calls": calls,
        "message": message,
        "collected_at": datetime.now(UTC),
        "observed_date": day if status == "ok" else None,
    }


def _places(client: Any, roots: list[Row]) -> Iterator[tuple[str, _Place]]:
    """(account, where it stands) of the whole organisation; an account directly under the root stands at `/`."""
    parents: list[tuple[str, str, tuple[str, ...]]] = [(root["Id"], "/", (root["Id"],)) for root in roots]
    walked: set[str] = set()
    while parents:
        parent_id, path, line = parents.pop()
        if parent_id in walked:
            raise IncompleteAnswer(f"the unit {parent_id} was listed in two places")
        walked.add(parent_id)
        for account in listing(client, "list_accounts_for_parent", "Accounts", ParentId=parent_id):
            yield account["Id"], _Place(path, (*line, account["Id"]))
        units = listing(client, "list_organizational_units_for_parent", "OrganizationalUnits", ParentId=parent_id)
        parents += [(unit["Id"], f"{path.rstrip('/')}/{unit['Name']}", (*line, unit["Id"])) for unit in units]


class _Tags:
    """Tags of accounts, asked one account at a time until the role turns out not to be allowed to ask."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.message: str | None = None

    def of(self, account_id: str) -> str | None:
        if self.message is not None:
            return None
        try:
            with reading("tags"):
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
