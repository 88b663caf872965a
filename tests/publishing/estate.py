"""Services over nights, as the assessment would leave them in a lake: where the tests of publishing start."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from ecs_exposure.lake import Lake
from ecs_exposure.schemas.snapshots import SNAPSHOTS

from tests.results_lake import arn, commit, coverage, exposure, finding, trait_hit

Place = tuple[str, str]
"""(account_id, region)."""

SERVICES_DATASETS = ("service", "task", "image_finding")


@dataclass(frozen=True)
class Service:
    """An exposed service; another `revision` is a change of what its finding durably says."""

    name: str
    account: str
    region: str = "eu-west-1"
    severity: str = "HIGH"
    revision: int = 1

    @property
    def resource_id(self) -> str:
        return arn(self.name, self.account, self.region)

    @property
    def finding_id(self) -> str:
        return f"ecs-exposure/aws/{self.account}/{self.region}/main/{self.name}"

    @property
    def content_hash(self) -> str:
        return hashlib.sha256(f"{self.resource_id} {self.severity} {self.revision}".encode()).hexdigest()


@dataclass
class Estate:
    """The truth: exposed services by finding_id, and the places (account and Region) there are."""

    places: list[Place]
    services: dict[str, Service] = field(default_factory=dict)
    began: dict[str, date] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    drift: random.Random = field(default_factory=lambda: random.Random(7))

    def put(self, *services: Service) -> None:
        self.services |= {service.finding_id: service for service in services}

    def change(self, finding_id: str, **changes: Any) -> None:
        self.services[finding_id] = replace(self.services[finding_id], **changes)

    def remove(self, *finding_ids: str) -> None:
        for finding_id in finding_ids:
            del self.services[finding_id]
            self.began.pop(finding_id, None)

    def assess(
        self,
        lake: Lake,
        day: date,
        *,
        unseen: Collection[Place] = (),
        gone: Collection[str] = (),
        is_listed: bool = True,
        left_out: Collection[str] = (),
    ) -> None:
        """Store a night's results. Probabilities drift every night. Nothing of `unseen` places was seen; accounts in
        `gone` are not listed any more, or none is (`is_listed`); those in `left_out` are listed, and not scanned.
        """
        listed = sorted({account for account, _ in self.places} - set(gone))
        gone = {*gone, *left_out}
        exposures, findings, hits = [], [], []
        for service in self.services.values():
            if service.account in gone:
                continue
            where = {"account": service.account, "region": service.region}
            probability = round(self.drift.random(), 6)
            exposures.append(
                exposure(
                    service.name, service.severity, day=day, **where,
                    first_observed_date=self.began.setdefault(service.finding_id, day),
                    exploit_probability=probability, highest_probability=probability,
                    vulnerability_count=self.drift.randrange(100),
                    accepted_until=date(2026, 12, 31) if service.finding_id in self.accepted else None,
                )
            )  # fmt: skip
            findings.append(
                finding(
                    service.name, severity=service.severity, content_hash=service.content_hash,
                    finding_id=service.finding_id, **where,
                )
            )  # fmt: skip
            evidence = f'[{{"group_id": "sg-{service.revision}"}}]'
            hits.append(trait_hit(service.name, "open_security_group", day=day, evidence=evidence, **where))
        seen = [
            coverage(
                account, "denied" if (account, region) in unseen else "ok", day=day, region=region, dataset=dataset
            )
            for account, region in self.places
            for dataset in SERVICES_DATASETS
            if account not in gone
        ]
        accounts = [account for account in listed if account not in gone]
        seen += [coverage(account, day=day, region="global", dataset="role") for account in accounts]
        listing = coverage(accounts[0], "ok" if is_listed else "denied", day=day, region="global", dataset="account")
        seen.append(listing)
        writer = lake.writer(day, "listing")
        if is_listed:
            rows = [
                {
                    "account_id": account, "region": "global", "observed_date": day, "status": "ACTIVE",
                    "is_management": False, "ou_path": "/",
                }
                for account in listed
            ]  # fmt: skip
            writer.write(SNAPSHOTS["account"], SNAPSHOTS["account"].to_arrow(rows))
        writer.commit([listing | {"file": writer.file if is_listed else None}])
        tables = {"coverage": seen, "exposure": exposures, "finding": findings, "trait_hit": hits}
        commit(lake, day, tables, run=f"run-{day}")
