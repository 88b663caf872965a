"""Thirty nights on which everything goes wrong in turn. After a clean one, Security Hub holds the truth."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
from ecs_exposure.securityhub.ledger import PublishError

from tests.publishing.conftest import PLACES, Nights
from tests.publishing.estate import Service
from tests.publishing.killed import publish_and_kill

pytestmark = pytest.mark.faults

NIGHTS = 30
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
IMPORT: dict[str, Any] = {"service": "securityhub", "operation": "BatchImportFindings"}
READ: dict[str, Any] = {"service": "securityhub", "operation": "GetFindings"}


class Simulation:
    """An estate that changes, and what Security Hub should hold of it."""

    def __init__(self, nights: Nights, seed: int) -> None:
        self.nights, self.chance = nights, random.Random(seed)
        self.made = 0
        for _ in range(120):
            self._open()
        self.wrongly_archived: list[str] = []

    def _open(self) -> None:
        account, region = self.chance.choice(PLACES)
        self.made += 1
        self.nights.estate.put(Service(f"s{self.made:04}", account, region, self.chance.choice(SEVERITIES)))

    def live(self) -> None:
        """What an estate does in a day: services come, go, come back, get better and worse."""
        estate = self.nights.estate
        for identity in self.chance.sample(sorted(estate.services), 12):
            match self.chance.randrange(3):
                case 0:
                    estate.remove(identity)
                case 1:
                    estate.change(identity, severity=self.chance.choice(SEVERITIES))
                case 2:
                    estate.change(identity, revision=self.chance.randrange(1000))
        gone = sorted(self.nights.stored.keys() - estate.services.keys())
        for identity in self.chance.sample(gone, min(3, len(gone))):
            _, _, account, region, _, name = identity.split("/")
            estate.put(Service(name, account, region, self.chance.choice(SEVERITIES)))
        for _ in range(self.chance.randrange(8)):
            self._open()

    def break_something(self) -> list[tuple[str, str]]:
        """Let one or more things go wrong tonight; the places of which nothing is seen."""
        aws, unseen = self.nights.aws, []
        for fault in self.chance.sample(range(9), self.chance.randrange(1, 4)):
            account, region = self.chance.choice(PLACES)
            match fault:
                case 0:
                    aws.fault(**IMPORT, code="TooManyRequestsException", status=429, times=self.chance.randrange(1, 20))
                case 1:
                    aws.securityhub.refuse("InternalFailure", times=self.chance.randrange(1, 80))
                case 2:
                    aws.securityhub.refuse("InvalidInput", of=lambda finding: hash(finding["Id"]) % 3 == 0)
                case 3:
                    aws.fault(**IMPORT, account_id=account, code="AccessDeniedException", status=403)
                case 4:
                    aws.fault(**IMPORT, lose_answer=True, times=self.chance.randrange(1, 4))
                case 5:
                    aws.fault(**IMPORT, drop=True, times=self.chance.randrange(1, 4))
                case 6:
                    aws.fault(**READ, code="TooManyRequestsException", status=429, times=3)
                case 7:
                    unseen.append((account, region))
                case 8:
                    aws.securityhub.disable(account, region)
        return unseen

    def night(self, unseen: list[tuple[str, str]]) -> None:
        """Assess and publish, perhaps killed before; then what is archived must not be exposed."""
        nights = self.nights
        was_active = {identity for identity, (state, _) in nights.states().items() if state == "ACTIVE"}
        nights.estate.assess(nights.lake, nights.day, unseen=unseen)
        if self.chance.random() < 0.3:
            publish_and_kill(nights.aws.environ(), nights.lake.location, nights.day, self.chance, 1.5)
        with suppress(PublishError):  # nothing arrived at all: that is what went wrong
            self.publish(unseen=unseen, is_full_reading=self.chance.random() < 0.2)
        archived = {identity for identity, (state, _) in nights.states().items() if state == "ARCHIVED"}
        self.wrongly_archived += sorted(archived & was_active & nights.estate.services.keys())

    def publish(self, **how: Any) -> None:
        self.nights.night(heartbeat_days=80, **how)  # none within these nights

    def repair(self) -> None:
        self.nights.aws.end_faults()
        for account, region in PLACES:
            self.nights.aws.securityhub.enable(account, region)


def test_after_a_clean_night_security_hub_holds_the_truth_whatever_went_wrong_before(nights: Nights) -> None:
    simulation = Simulation(nights, seed=1)
    quiet_imports = clean = 0
    for number in range(1, NIGHTS + 1):
        simulation.live()
        if number % 3:
            simulation.night(simulation.break_something())
            continue
        simulation.repair()
        simulation.publish()
        clean += 1
        states = nights.states()
        truth = nights.truth()
        assert {identity: states.get(identity) for identity in truth} == truth
        assert {state for identity, (state, _) in states.items() if identity not in truth} <= {"ARCHIVED"}
        told = [finding["Resources"][0]["Id"] for finding in nights.aws.securityhub.findings()]
        assert len(told) == len(set(told)), "doubled"
        before = nights.aws.securityhub.imports
        simulation.publish()  # a night without a change, only probabilities drift
        quiet_imports += nights.aws.securityhub.imports - before
    assert simulation.wrongly_archived == []
    assert (clean, quiet_imports) == (10, 0)
