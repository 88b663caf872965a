"""What is told to Security Hub night by night, over real HTTP, and what stays true when telling it goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.securityhub.asff import closing_document, to_asff
from ecs_exposure.securityhub.ledger import (
    Action,
    PublishError,
    Target,
    completely_seen,
    plan,
    publications_fold,
)
from ecs_exposure.securityhub.publisher import Outcome, check, publish
from embedded_aws import EmbeddedAws
from embedded_aws.finding_format import parse_timestamp
from tenacity import wait_none

from tests.securityhub.rows import ACCOUNT, DAY, REGION, finding, row, trait

TARGET = (ACCOUNT, REGION)
NO_RETRIES = Config(retries={"total_max_attempts": 1})


class Scanner:
    """Nights of publishing by one scanner: remembers only what the lake would, the publication rows and what findings
    said.
    """

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.day = DAY
        self.rows: list[dict[str, Any]] = []
        self.said: dict[str, dict[str, Any]] = {}
        self.clock = datetime(2026, 11, 1, 3, tzinfo=UTC)
        self.tamper: Callable[[dict[str, Any]], None] | None = None
        aws.securityhub.clock = lambda: self.clock

    def nights(
        self,
        exposures: Iterable[dict[str, Any]],
        *,
        complete: Iterable[Target] = (TARGET,),
        mode: Any = "on",
        days: int = 1,
        **changes: Any,
    ) -> list[Outcome]:
        """One night's outcomes; `changes` damage each document on its way."""
        exposures = list(exposures)
        actions = plan(
            [finding(made | {"snapshot_date": self.day}) for made in exposures],
            publications_fold(self.rows),
            set(complete),
            snapshot_date=self.day,
            heartbeat_days=30,
        )
        self.said |= {made["finding_id"]: to_asff(made, "aws") for made in exposures}

        def documents(wanted: Sequence[Action]) -> list[dict[str, Any]]:
            return [
                (self.said.get(action.finding_id) or closing_document(asdict(action), "aws")) | changes
                for action in wanted
            ]

        outcomes = publish(
            self.client,
            actions,
            documents=documents,
            record=self.rows.extend,
            mode=mode,
            now=lambda: self.clock,
            wait=wait_none(),
        )
        self.day += timedelta(days=days)
        self.clock += timedelta(days=days)
        return outcomes

    def night(self, exposures: Iterable[dict[str, Any]], **how: Any) -> Outcome:
        """The outcome of a night in one account and Region."""
        return next(iter(self.nights(exposures, **how)), Outcome(*TARGET))

    def client(self, account_id: str, region: str) -> Any:
        """Real HTTP, where wanted with an answer that got damaged on its way (`tamper`, once)."""
        client = self.aws.client("securityhub", account_id, region, config=NO_RETRIES)

        def after_call(parsed: dict[str, Any], **_: Any) -> None:
            if self.tamper is not None:
                self.tamper(parsed)
                self.tamper = None

        client.meta.events.register("after-call.securityhub.BatchImportFindings", after_call)
        return client

    @property
    def stored(self) -> dict[str, dict[str, Any]]:
        return {item["Id"].rpartition("/")[2]: item for item in self.aws.securityhub.findings()}


@pytest.fixture
def scanner(aws: EmbeddedAws) -> Scanner:
    aws.securityhub.enable(ACCOUNT, REGION)
    return Scanner(aws)


# --- nights without faults ------------------------------------------------------------------------------------------


def test_new_findings_arrive_and_every_attempt_is_a_publication_row(scanner: Scanner) -> None:
    outcome = scanner.night([row("a"), row("b")])
    assert (outcome.sent, outcome.failed, outcome.unchanged) == (2, 0, 0)
    assert set(scanner.stored) == {"a", "b"}
    table = RESULTS["publication"].to_arrow(outcome.rows).to_pylist()
    assert [(made["status"], made["reason"], made["record_state"]) for made in table] == [("sent", "new", "ACTIVE")] * 2
    assert table[0]["created_at"] == datetime(2026, 10, 20, tzinfo=UTC)
    assert table[0]["updated_at"] == table[0]["published_at"]
    assert table[0]["updated_at"] - datetime(2026, 11, 1, 3, tzinfo=UTC) < timedelta(seconds=1)


def test_an_unchanged_night_sends_nothing(scanner: Scanner) -> None:
    scanner.night([row("a")])
    before = scanner.stored
    requests = scanner.aws.securityhub.requests
    for night in range(2, 8):
        outcome = scanner.night([row("a", exploit_probability=night / 10, score=80 + night / 2)])
        assert (outcome.sent, outcome.unchanged, outcome.rows) == (0, 1, [])
        assert check([outcome]) == []
    assert scanner.aws.securityhub.requests == requests
    assert scanner.stored == before


def test_only_what_changed_is_sent_and_creation_stays(scanner: Scanner) -> None:
    scanner.night([row("a"), row("b")])
    outcome = scanner.night([row("a", severity="CRITICAL", first_observed_date=date(2026, 11, 2)), row("b")])
    assert [made["reason"] for made in outcome.rows] == ["changed"]
    assert scanner.stored["a"]["Severity"]["Label"] == "CRITICAL"
    assert scanner.stored["a"]["CreatedAt"] == scanner.stored["a"]["FirstObservedAt"] == "2026-10-20T00:00:00.000Z"


def test_a_heartbeat_keeps_an_unchanged_finding_from_deletion(scanner: Scanner) -> None:
    for night in range(20):
        outcome = scanner.night([row("a")], days=10)
        assert outcome.heartbeat == outcome.sent * (night > 0)
    assert set(scanner.stored) == {"a"}
    reasons = [made["reason"] for made in scanner.rows if made["status"] == "sent"]
    assert reasons == ["new"] + ["heartbeat"] * 6


def test_fixed_is_archived_whole_and_reopened_with_the_same_dates(scanner: Scanner) -> None:
    scanner.night([row("a"), row("b")])
    outcome = scanner.night([row("b")])
    assert (outcome.sent, outcome.archived, outcome.unchanged) == (1, 1, 1)
    archived = scanner.stored["a"]
    assert archived["RecordState"] == "ARCHIVED"
    assert archived["Title"] == row("a")["title"]
    assert scanner.night([row("b")]).rows == []  # archived once
    outcome = scanner.night([row("a", first_observed_date=scanner.day), row("b")])
    assert [made["reason"] for made in outcome.rows] == ["reopened"]
    reopened = scanner.stored["a"]
    assert reopened["RecordState"] == "ACTIVE"
    for name in ("CreatedAt", "FirstObservedAt"):
        assert reopened[name] == archived[name] == "2026-10-20T00:00:00.000Z"
    assert reopened["UpdatedAt"] > archived["UpdatedAt"]


def test_nothing_is_archived_where_not_everything_was_seen(scanner: Scanner) -> None:
    scanner.night([row("a")])
    assert scanner.night([], complete=[]).rows == []
    assert scanner.night([], complete=[(ACCOUNT, "us-east-1"), ("999988887777", REGION)]).rows == []
    assert scanner.stored["a"]["RecordState"] == "ACTIVE"


def test_only_what_we_published_is_archived(scanner: Scanner) -> None:
    other = to_asff(row("theirs"), "aws")
    other |= {"UpdatedAt": "2026-11-01T00:00:00Z", "GeneratorId": "another-tool"}
    scanner.aws.client("securityhub", ACCOUNT, REGION).batch_import_findings(Findings=[other])
    scanner.night([row("a")])
    scanner.night([])
    assert {name: stored["RecordState"] for name, stored in scanner.stored.items()} == {
        "a": "ARCHIVED", "theirs": "ACTIVE",
    }  # fmt: skip


def test_an_archive_whose_last_document_is_lost_is_sent_all_the_same(scanner: Scanner) -> None:
    scanner.night([row("a")])
    scanner.said.clear()
    assert scanner.night([]).archived == 1
    assert scanner.stored["a"]["RecordState"] == "ARCHIVED"


def test_a_day_older_than_the_last_published_one_is_refused(scanner: Scanner) -> None:
    scanner.day += timedelta(days=1)
    scanner.night([row("a")])
    scanner.day = DAY
    with pytest.raises(PublishError, match=r"2026-11-01 is older than 2026-11-02"):
        scanner.night([row("a", severity="LOW")])
    assert scanner.stored["a"]["Severity"]["Label"] == "HIGH"


def test_the_same_day_again_sends_nothing(scanner: Scanner) -> None:
    scanner.night([row("a")])
    scanner.day -= timedelta(days=1)
    assert scanner.night([row("a")]).unchanged == 1


def test_updated_at_increases_even_when_the_clock_stands_still(scanner: Scanner) -> None:
    times = []
    for severity in ("HIGH", "LOW", "CRITICAL"):
        scanner.clock = datetime(2026, 11, 1, 3, tzinfo=UTC)
        scanner.night([row("a", severity=severity)])
        times.append(parse_timestamp(scanner.stored["a"]["UpdatedAt"]))
        assert scanner.stored["a"]["Severity"]["Label"] == severity
    assert times == sorted(set(times))


def test_what_a_customer_decided_is_left_alone(scanner: Scanner) -> None:
    scanner.night([row("a")])
    client = scanner.aws.client("securityhub", ACCOUNT, REGION)
    key = {name: scanner.stored["a"][name] for name in ("Id", "ProductArn")}
    client.batch_update_findings(FindingIdentifiers=[key], Severity={"Label": "LOW"}, Workflow={"Status": "SUPPRESSED"})
    scanner.night([row("a", severity="CRITICAL")])
    stored = scanner.stored["a"]
    assert (stored["Severity"]["Label"], stored["Workflow"]["Status"]) == ("LOW", "SUPPRESSED")
    assert stored["FindingProviderFields"]["Severity"]["Label"] == "CRITICAL"


def test_a_dry_run_sends_nothing_and_counts_for_nothing(scanner: Scanner) -> None:
    outcome = scanner.night([row("a")], mode="dry-run")
    assert (outcome.dry_run, outcome.sent, scanner.aws.securityhub.requests) == (1, 0, 0)
    assert [made["status"] for made in outcome.rows] == ["dry_run"]
    assert check([outcome]) == []
    assert [made["reason"] for made in scanner.night([row("a")]).rows] == ["new"]


def test_a_dry_run_of_a_later_day_or_another_severity_leaves_no_trace(scanner: Scanner) -> None:
    scanner.night([row("a")])
    assert scanner.night([row("a", severity="LOW")], mode="dry-run").dry_run == 1
    scanner.day -= timedelta(days=1)
    assert scanner.night([row("a")]).unchanged == 1


def test_the_fewest_requests_that_the_limits_allow(scanner: Scanner) -> None:
    assert scanner.night(row(f"s{index}") for index in range(230)).sent == 230
    assert scanner.aws.securityhub.requests == 3
    heavy = [{"container": "漢" * 400}] * 30
    fat = [row(f"fat{index}", trait_details=[trait(f"t{n}", evidence=heavy) for n in range(12)]) for index in range(60)]
    assert 6_000_000 < sum(len(json.dumps(to_asff(made, "aws"))) for made in fat) < 11_900_000
    assert scanner.night([*fat, *(row(f"s{index}") for index in range(230))]).sent == 60
    assert scanner.aws.securityhub.requests == 3 + 2


# --- when it goes wrong ---------------------------------------------------------------------------------------------


def test_a_region_without_a_hub_is_recorded_and_made_up_for_later(aws: EmbeddedAws) -> None:
    scanner = Scanner(aws)
    outcome = scanner.night(row(f"s{index}") for index in range(150))
    assert (outcome.not_enabled, outcome.sent, aws.securityhub.requests) == (150, 0, 1)
    assert {made["status"] for made in outcome.rows} == {"not_enabled"}
    assert check([outcome], is_whole_organization=False)[0].startswith(
        f"{ACCOUNT} {REGION}: 150 finding(s) not_enabled"
    )
    assert scanner.night([]).rows == []  # what never arrived needs no archiving
    aws.securityhub.enable(ACCOUNT, REGION)
    assert scanner.night([row("s1")]).sent == 1


def test_an_unchanged_night_beside_a_region_without_a_hub_is_no_error(aws: EmbeddedAws) -> None:
    outcome = Scanner(aws).night([row("a")])
    assert outcome.not_enabled == 1
    elsewhere = Outcome(ACCOUNT, "us-east-1", unchanged=5)
    assert check([outcome, elsewhere]) == [
        f"{ACCOUNT} {REGION}: 1 finding(s) not_enabled: Account {ACCOUNT} is not subscribed to AWS Security Hub"
    ]
    with pytest.raises(PublishError, match="none was sent"):
        check([outcome])
    with pytest.raises(PublishError, match="none was sent"):
        check([outcome, elsewhere, Outcome(ACCOUNT, "eu-north-1", failed=1)])


def test_a_hub_that_answers_with_an_exception_is_not_enabled_too(scanner: Scanner) -> None:
    scanner.aws.fault(
        service="securityhub", operation="BatchImportFindings", code="InvalidAccessException", status=401,
        message=f"Account {ACCOUNT} is not subscribed to AWS Security Hub",
    )  # fmt: skip
    assert scanner.night([row("a")]).not_enabled == 1


def test_a_denied_account_is_recorded_once_asked(scanner: Scanner) -> None:
    scanner.aws.fault(service="securityhub", operation="BatchImportFindings", code="AccessDeniedException", status=403)
    outcome = scanner.night(row(f"s{index}") for index in range(250))
    assert (outcome.denied, outcome.sent) == (250, 0)
    assert scanner.aws.calls[ACCOUNT, REGION, "securityhub", "BatchImportFindings"] == 1
    assert check([outcome, Outcome(ACCOUNT, "us-east-1", sent=1)]) != []
    assert check([outcome], is_whole_organization=False) != []
    with pytest.raises(PublishError, match="250 finding\\(s\\) to send and none was sent"):
        check([outcome])


def test_a_finding_refused_alone_is_recorded_and_tried_again_the_next_night(scanner: Scanner) -> None:
    scanner.night([row("a")])
    outcome = scanner.night([row("a"), row("broken")], Title="x" * 257)
    assert (outcome.sent, outcome.failed, outcome.unchanged) == (0, 1, 1)
    (failed,) = outcome.rows
    assert failed["resource_id"] == row("broken")["resource_id"]
    assert failed["error_code"] == "InvalidInput"
    assert "Title should NOT be longer than 256 characters" in failed["error_message"]
    with pytest.raises(PublishError, match="256 characters"):
        check([outcome])
    assert "256 characters" in check([outcome, Outcome(sent=1)])[0]
    outcome = scanner.night([row("a"), row("broken")])
    assert (outcome.sent, outcome.unchanged) == (1, 1)


def test_a_throttled_request_fails_its_findings_and_the_next_night_makes_up_for_it(scanner: Scanner) -> None:
    scanner.night([row("a"), row("b")])
    scanner.aws.fault(
        service="securityhub", operation="BatchImportFindings", code="TooManyRequestsException", status=429, times=1
    )
    outcome = scanner.night([row("a", severity="LOW")])
    assert (outcome.failed, outcome.sent, outcome.archived) == (2, 0, 0)
    with pytest.raises(PublishError):
        check([outcome], is_whole_organization=False)
    outcome = scanner.night([row("a", severity="LOW")])
    assert (outcome.sent, outcome.archived) == (2, 1)
    assert scanner.stored["a"]["Severity"]["Label"] == "LOW"
    assert scanner.stored["b"]["RecordState"] == "ARCHIVED"


def test_an_answer_that_does_not_account_for_every_finding_is_an_error(scanner: Scanner) -> None:
    scanner.aws.fault(service="securityhub", operation="BatchImportFindings", truncate=True)
    outcome = scanner.night([row("a"), row("b")], Title="x" * 300)
    assert (outcome.sent, outcome.failed) == (0, 2)
    assert {made["error_code"] for made in outcome.rows} == {"IncompleteAnswer"}
    with pytest.raises(PublishError, match="did not account for 2 finding"):
        check([outcome, Outcome(sent=5)])


def test_an_answer_cut_short_once_is_asked_again(scanner: Scanner) -> None:
    scanner.aws.fault(service="securityhub", operation="BatchImportFindings", truncate=True, times=1)
    outcome = scanner.night([row("a"), row("b")], Title="x" * 300)
    assert (outcome.sent, outcome.failed, len(outcome.rows)) == (0, 2, 4)
    assert {made["error_code"] for made in outcome.rows[2:]} == {"InvalidInput"}
    assert len({(made["finding_id"], made["published_at"]) for made in outcome.rows}) == 4


def test_a_finding_that_may_have_arrived_before_the_line_dropped_is_not_forgotten(scanner: Scanner) -> None:
    """The connection drops after Security Hub stored the finding: the ledger says failed, the hub says ACTIVE."""
    stored = to_asff(row("a"), "aws") | {"UpdatedAt": "2026-11-01T02:00:00Z"}
    scanner.aws.client("securityhub", ACCOUNT, REGION).batch_import_findings(Findings=[stored])
    scanner.aws.fault(service="securityhub", operation="BatchImportFindings", drop=True, times=1)
    assert scanner.night([row("a")]).failed == 1
    assert scanner.night([]).archived == 1
    assert scanner.stored["a"]["RecordState"] == "ARCHIVED"
    assert scanner.night([]).rows == []


def test_a_reopening_that_may_have_arrived_is_closed_again(scanner: Scanner) -> None:
    scanner.night([row("a")])
    scanner.night([])
    scanner.aws.fault(service="securityhub", operation="BatchImportFindings", drop=True, times=1)
    assert [made["status"] for made in scanner.night([row("a")]).rows] == ["failed"]
    assert [made["reason"] for made in scanner.night([]).rows] == ["archived"]
    assert scanner.night([]).rows == []


def test_a_change_that_may_have_arrived_is_taken_back_when_it_is_no_more(scanner: Scanner) -> None:
    scanner.night([row("a")])
    scanner.aws.fault(service="securityhub", operation="BatchImportFindings", drop=True, times=1)
    assert scanner.night([row("a", severity="LOW")]).failed == 1
    assert [made["reason"] for made in scanner.night([row("a")]).rows] == ["changed"]
    assert scanner.night([row("a")]).unchanged == 1


def test_a_finding_refused_for_a_passing_reason_is_tried_again_at_once(scanner: Scanner) -> None:
    def refuse_first(parsed: dict[str, Any]) -> None:
        refusal = {"Id": finding(row("a"))["finding_id"], "ErrorCode": "InternalFailure", "ErrorMessage": "later"}
        parsed.update(SuccessCount=1, FailedCount=1, FailedFindings=[refusal])

    scanner.tamper = refuse_first
    outcome = scanner.night([row("a"), row("b")])
    assert (outcome.sent, outcome.failed) == (2, 0)
    first, again = (made for made in outcome.rows if made["finding_id"].endswith("/a"))
    assert (first["status"], again["status"]) == ("failed", "sent")
    assert again["updated_at"] > first["updated_at"]
    assert check([outcome]) == []


@pytest.mark.parametrize(
    "answer",
    [{}, {"SuccessCount": 1, "FailedCount": 0}, {"FailedCount": 0}, {"SuccessCount": 2}],
    ids=["empty", "one of two", "no successes", "no failures"],
)
def test_an_answer_without_its_counts_is_no_success(scanner: Scanner, answer: dict[str, int]) -> None:
    def shorten(parsed: dict[str, Any]) -> None:
        parsed.clear()
        parsed.update(answer)

    scanner.tamper = shorten
    outcome = scanner.night([row("a"), row("b")])
    assert [made["error_code"] for made in outcome.rows] == ["IncompleteAnswer", "IncompleteAnswer", None, None]
    assert outcome.sent == 2


def test_a_night_lost_between_sending_and_remembering_doubles_nothing(scanner: Scanner) -> None:
    scanner.night([row("a"), row("b")])
    scanner.rows.clear()
    outcome = scanner.night([row("a"), row("b")])
    assert outcome.sent == 2
    assert set(scanner.stored) == {"a", "b"}


def test_what_a_killed_run_may_have_stored_is_archived_when_it_is_gone(scanner: Scanner) -> None:
    scanner.night([row("a")])
    scanner.rows = [made for made in scanner.rows if made["status"] == "sending"]  # killed before it could remember
    assert [made["reason"] for made in scanner.night([]).rows] == ["archived"]
    assert scanner.stored["a"]["RecordState"] == "ARCHIVED"
    assert scanner.night([]).rows == []


def test_several_places_are_told_each_by_its_own(scanner: Scanner) -> None:
    elsewhere = "us-east-1"
    scanner.aws.securityhub.enable(ACCOUNT, elsewhere)
    outcomes = scanner.nights([row("a"), row("b", region=elsewhere), row("c", "999988887777")])
    assert [(outcome.account_id, outcome.region, outcome.sent, outcome.not_enabled) for outcome in outcomes] == [
        (ACCOUNT, REGION, 1, 0), (ACCOUNT, elsewhere, 1, 0), ("999988887777", REGION, 0, 1),
    ]  # fmt: skip
    assert scanner.rows[0]["status"] == "sending"
    assert [made["status"] for made in scanner.rows].count("sending") == 3
    assert check(outcomes) != []


def test_many_findings_go_out_in_several_requests_at_once_and_all_arrive(scanner: Scanner) -> None:
    assert scanner.night(row(f"s{index}") for index in range(1_234)).sent == 1_234
    assert scanner.aws.securityhub.requests == 13
    assert len(scanner.stored) == 1_234
    ledger = publications_fold(scanner.rows)
    assert {known["status"] for known in ledger.values()} == {"sent"}
    assert publications_fold(scanner.rows, ledger.values()) == ledger


# --- coverage -------------------------------------------------------------------------------------------------------


def _coverage(**changes: str) -> list[dict[str, str]]:
    statuses = {"service": "ok", "task": "ok", "image_finding": "not_enabled", "role": "ok"} | changes
    return [
        {"account_id": ACCOUNT, "region": "global" if name == "role" else REGION, "dataset": name, "status": status}
        for name, status in statuses.items()
    ]


def test_a_place_is_completely_seen_only_with_all_its_datasets_and_the_account_s_global_ones() -> None:
    assert completely_seen(_coverage()) == {TARGET}
    for dataset in ("service", "task", "image_finding", "role"):
        for status in ("denied", "failed", "invalid", "excluded"):
            assert completely_seen(_coverage(**{dataset: status})) == set(), (dataset, status)
    assert completely_seen(_coverage(service="not_enabled")) == set()
    assert completely_seen([item for item in _coverage() if item["region"] != "global"]) == set()
    assert completely_seen([]) == set()
