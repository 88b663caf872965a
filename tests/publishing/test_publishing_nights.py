"""Publishing from a lake to a Security Hub that keeps its contract, night after night."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from ecs_exposure.cli import app
from ecs_exposure.databases import connect
from ecs_exposure.lake import Lake
from ecs_exposure.publishing import check_published
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.securityhub.ledger import PublishError
from ecs_exposure.summary import publication_counts
from embedded_aws import EmbeddedAws
from typer.testing import CliRunner

from tests.publishing.conftest import ALPHA, BETA, DAY, ELSEWHERE, PLACES, REGION, Nights
from tests.publishing.estate import Service

SHOP, JOBS, DATA = Service("shop", ALPHA), Service("jobs", ALPHA, ELSEWHERE), Service("data", BETA, severity="CRITICAL")


def rows(lake: Lake, select: str) -> list[dict[str, Any]]:
    """Rows of a SELECT over `told.<table>`, of all days."""
    with connect() as connection:
        lake.attach_history(connection, "told")
        found: list[dict[str, Any]] = connection.sql(select).to_arrow_table().to_pylist()
        return found


@pytest.fixture
def told(nights: Nights) -> Nights:
    """Three findings, told on the first night."""
    nights.estate.put(SHOP, JOBS, DATA)
    assert nights.night() == {"sent": 3}
    assert nights.states() == nights.truth()
    return nights


# --- what changed ----------------------------------------------------------------------------------------------------


def test_drifting_probabilities_and_counts_cause_no_import(told: Nights) -> None:
    requests = told.aws.securityhub.requests
    for _ in range(8):
        assert told.night() == {}
    assert told.aws.securityhub.requests == requests


def test_what_is_sent_is_what_the_results_say_of_the_service(told: Nights) -> None:
    stored: Any = told.stored[SHOP.finding_id]
    assert stored["Title"] == "shop is exposed"
    assert "group id sg-1" in stored["Description"]
    told.estate.change(SHOP.finding_id, revision=2, severity="CRITICAL")
    assert told.night() == {"sent": 1}
    changed: Any = told.stored[SHOP.finding_id]
    assert "group id sg-2" in changed["Description"]
    assert (changed["CreatedAt"], changed["FirstObservedAt"]) == (stored["CreatedAt"], stored["FirstObservedAt"])


def test_fixed_is_archived_with_what_it_said_last_and_not_where_something_was_unseen(told: Nights) -> None:
    told.estate.remove(SHOP.finding_id, DATA.finding_id)
    assert told.night(unseen=[(ALPHA, REGION)]) == {"sent": 1, "archived": 1}
    assert told.states()[DATA.finding_id] == ("ARCHIVED", "CRITICAL")
    assert told.stored[DATA.finding_id]["Title"] == "data is exposed"
    assert told.states()[SHOP.finding_id] == ("ACTIVE", "HIGH")
    assert told.night() == {"sent": 1, "archived": 1}  # a day after it was last in the results
    assert told.stored[SHOP.finding_id]["Title"] == "shop is exposed"


def test_fixed_says_what_it_said_the_day_before_whenever_it_was_sent(told: Nights) -> None:
    told.night()
    told.lake.forget_results(DAY, ("exposure", "finding"))
    told.estate.remove(SHOP.finding_id)
    assert told.night() == {"sent": 1, "archived": 1}
    assert told.stored[SHOP.finding_id]["Title"] == "shop is exposed"


def test_what_was_said_is_gone_with_its_day_and_the_finding_is_archived_all_the_same(told: Nights) -> None:
    told.estate.remove(SHOP.finding_id)
    told.night(unseen=[(ALPHA, REGION)])
    told.lake.forget_results(DAY, ("exposure", "finding"))
    assert told.night() == {"sent": 1, "archived": 1}
    assert told.states()[SHOP.finding_id] == ("ARCHIVED", "HIGH")
    assert "no longer exposed" in str(told.stored[SHOP.finding_id]["Title"])


def test_the_ledger_is_folded_once_a_night_and_earlier_attempts_are_not_read_again(told: Nights) -> None:
    told.night()
    assert told.lake.ledger_days() == [DAY.replace(day=DAY.day + 1)]
    told.lake.storage.delete_folder(f"results/publication/snapshot_date={DAY}")
    assert told.night() == {}
    assert {row["sent_date"] for row in rows(told.lake, "from told.ledger")} == {DAY}


def test_a_lake_whose_ledger_was_removed_folds_it_again(told: Nights) -> None:
    told.lake.storage.delete_folder("results/ledger")
    assert told.night() == {}


def test_publishing_uses_two_operations_of_security_hub_and_nothing_more(told: Nights) -> None:
    told.estate.change(SHOP.finding_id, revision=2)
    told.night(is_full_reading=True)
    used = {
        (service, operation) for role, service, operation in told.aws.calls_by_role if role == "ecs-exposure-publish"
    }
    assert used == {("securityhub", "BatchImportFindings"), ("securityhub", "GetFindings")}
    others = {(service, operation) for role, service, operation in told.aws.calls_by_role if role == ""}
    assert others == {("sts", "AssumeRole")}


# --- how much ---------------------------------------------------------------------------------------------------------


def test_a_flood_of_new_findings_comes_in_portions_the_worst_first_and_one_stands_for_the_rest(nights: Nights) -> None:
    severities = ["CRITICAL"] * 2 + ["HIGH"] * 3 + ["MEDIUM"] * 20
    flood = [
        Service(f"s{number:02}", ALPHA, REGION if number % 2 else ELSEWHERE, severity)
        for number, severity in enumerate(severities)
    ]
    nights.estate.put(*flood, DATA)
    summary = f"ecs-exposure/aws/{ALPHA}/{REGION}/held-back"
    nights.night(new_findings_per_account=10)
    mine = Counter(severity for identity, (_, severity) in nights.states().items() if "/main/s" in identity)
    assert mine == {"CRITICAL": 2, "HIGH": 3, "MEDIUM": 5}
    assert nights.states()[DATA.finding_id] == ("ACTIVE", "CRITICAL")  # of another account
    held: Any = nights.stored[summary]
    assert held["Resources"][0]["Id"] == f"AWS::::Account:{ALPHA}"
    assert held["FindingProviderFields"]["Severity"]["Label"] == "MEDIUM"
    assert "MEDIUM" in held["Description"]
    nights.day = DAY  # the same night again sends no more
    nights.night(new_findings_per_account=10)
    assert sum("/main/s" in identity for identity in nights.stored) == 10
    nights.night(new_findings_per_account=10)
    assert sum("/main/s" in identity for identity in nights.stored) == 20
    nights.night(new_findings_per_account=10, unseen=[(ALPHA, REGION), (ALPHA, ELSEWHERE)])
    assert {identity: state for identity, state in nights.states().items() if "held-back" not in identity} == (
        nights.truth()
    )
    # What is held back is known also where nothing was seen.
    assert {state for identity, (state, _) in nights.states().items() if "held-back" in identity} == {"ARCHIVED"}
    assert nights.night(new_findings_per_account=10) == {}


# --- accounts that left -----------------------------------------------------------------------------------------------


def test_an_account_that_left_the_organisation_is_archived_after_the_days_of_grace(told: Nights) -> None:
    for _ in range(6):
        assert told.night(gone=[BETA]) == {}
    assert told.states()[DATA.finding_id] == ("ACTIVE", "CRITICAL")
    assert told.night(gone=[BETA]) == {"sent": 1, "archived": 1}
    assert told.states()[DATA.finding_id] == ("ARCHIVED", "CRITICAL")
    assert told.night(gone=[BETA]) == {}


def test_an_account_that_comes_back_in_time_keeps_its_findings(told: Nights) -> None:
    for _ in range(3):
        told.night(gone=[BETA])
    assert told.night() == {}
    for _ in range(6):
        assert told.night(gone=[BETA]) == {}


def test_an_account_that_is_not_scanned_any_more_has_not_left(told: Nights) -> None:
    for _ in range(9):
        assert told.night(left_out=[BETA]) == {}
    assert told.states()[DATA.finding_id] == ("ACTIVE", "CRITICAL")


def test_no_account_seems_gone_where_the_accounts_could_not_be_listed(told: Nights) -> None:
    for _ in range(9):
        assert told.night(gone=[BETA], is_listed=False) == {}
    assert told.night(gone=[BETA]) == {"sent": 1, "archived": 1}


# --- reading back -----------------------------------------------------------------------------------------------------


def test_what_is_missing_is_told_again(told: Nights) -> None:
    told.aws.securityhub.clock = lambda: datetime.now(UTC) + timedelta(days=91)  # AWS deletes after 90
    assert told.stored == {}
    told.aws.securityhub.clock = lambda: datetime.now(UTC)
    assert told.night(is_full_reading=True) == {"sent": 3}
    assert told.states() == told.truth()
    reasons = rows(told.lake, "select distinct status, reason from told.publication where reason <> 'new' order by all")
    assert reasons == [{"status": "sending", "reason": "missing"}, {"status": "sent", "reason": "missing"}]
    (read,) = rows(told.lake, f"from told.reconciliation where account_id = '{BETA}'")
    assert (read["status"], read["findings"], read["missing"], read["altered"]) == ("ok", 0, 1, 0)
    assert told.night(is_full_reading=True) == {}


def _overwrite(aws: EmbeddedAws, stored: Any, **changes: Any) -> None:
    """Another tool imports over our finding: they share the account's default product."""
    sent = {
        name: stored[name]
        for name in (
            "SchemaVersion", "Id", "ProductArn", "GeneratorId", "AwsAccountId", "CreatedAt", "UpdatedAt", "Title",
            "Description", "FindingProviderFields", "Resources", "ProductFields", "RecordState", "Remediation",
        )
    }  # fmt: skip
    client = aws.client("securityhub", stored["AwsAccountId"], REGION)
    answer = client.batch_import_findings(Findings=[sent | changes])
    assert answer["SuccessCount"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"Title": "All is well"},
        {"RecordState": "ARCHIVED"},
        {"FindingProviderFields": {"Severity": {"Label": "INFORMATIONAL"}, "Types": ["TTPs"]}},
        {},
    ],
    ids=["title", "archived", "severity", "only its time"],
)
def test_what_was_altered_is_told_again_even_if_it_lies_in_the_future(told: Nights, changes: dict[str, Any]) -> None:
    _overwrite(told.aws, told.stored[SHOP.finding_id], UpdatedAt="2031-01-01T00:00:00.500Z", **changes)
    assert told.night(is_full_reading=True) == {"sent": 1}
    assert told.states() == told.truth()
    stored: Any = told.stored[SHOP.finding_id]
    assert stored["Title"] == "shop is exposed"
    assert stored["UpdatedAt"] == "2031-01-01T00:00:00.501Z"
    assert told.night(is_full_reading=True) == {}


def test_what_someone_else_reopened_is_closed_again(told: Nights) -> None:
    told.estate.remove(SHOP.finding_id)
    told.night()
    _overwrite(told.aws, told.stored[SHOP.finding_id], UpdatedAt="2031-01-01T00:00:00Z", RecordState="ACTIVE")
    assert told.night(is_full_reading=True) == {"sent": 1, "archived": 1}
    assert told.states()[SHOP.finding_id][0] == "ARCHIVED"
    assert told.night(is_full_reading=True) == {}


def test_findings_that_are_not_in_the_ledger_are_counted_and_left_alone(told: Nights) -> None:
    theirs: Any = told.stored[SHOP.finding_id]
    _overwrite(told.aws, theirs, Id="another-tool/1", Title="Theirs", GeneratorId="another-tool")
    _overwrite(told.aws, theirs, Id="ecs-exposure/aws/a-copy", Title="A copy")
    before = {identity: told.stored[identity] for identity in ("another-tool/1", "ecs-exposure/aws/a-copy")}
    assert told.night(is_full_reading=True) == {}
    assert {identity: told.stored[identity] for identity in before} == before
    (read,) = rows(told.lake, f"from told.reconciliation where account_id = '{ALPHA}' and region = '{REGION}'")
    assert (read["findings"], read["unclaimed"], read["altered"]) == (1, 1, 0)


def test_decisions_of_the_customer_are_kept_and_left_alone(told: Nights) -> None:
    client = told.aws.client("securityhub", ALPHA, REGION)
    key = {name: told.stored[SHOP.finding_id][name] for name in ("Id", "ProductArn")}
    client.batch_update_findings(FindingIdentifiers=[key], Severity={"Label": "LOW"}, Workflow={"Status": "SUPPRESSED"})
    assert told.night(is_full_reading=True) == {}
    (decision,) = rows(told.lake, "from told.customer_decision")
    assert decision["finding_id"] == SHOP.finding_id
    assert (decision["workflow_status"], decision["severity_told"], decision["severity_shown"]) == (
        "SUPPRESSED", "HIGH", "LOW",
    )  # fmt: skip
    told.estate.change(SHOP.finding_id, revision=2)
    assert told.night() == {"sent": 1}
    stored: Any = told.stored[SHOP.finding_id]
    assert (stored["Workflow"]["Status"], stored["Severity"]["Label"]) == ("SUPPRESSED", "LOW")


def test_each_account_is_read_back_once_a_week_by_itself(told: Nights) -> None:
    for _ in range(14):
        told.night()
    read = Counter((row["account_id"], row["region"]) for row in rows(told.lake, "from told.reconciliation"))
    assert read == dict.fromkeys(PLACES, 2)


def test_a_hub_that_may_not_be_read_is_recorded_and_told_all_the_same(told: Nights) -> None:
    told.aws.fault(
        service="securityhub", operation="GetFindings", account_id=BETA, code="AccessDeniedException", status=403
    )
    told.estate.change(DATA.finding_id, revision=2)
    assert told.night(is_full_reading=True) == {"sent": 1}
    statuses = {
        (row["account_id"], row["region"]): (row["status"], row["findings"])
        for row in rows(told.lake, "from told.reconciliation")
    }
    assert statuses == {(ALPHA, REGION): ("ok", 1), (ALPHA, ELSEWHERE): ("ok", 1), (BETA, REGION): ("denied", None)}


# --- what is shown of it ---------------------------------------------------------------------------------------------


def _run(lake: Lake, *arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--lake", lake.location], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result


def test_what_people_decided_is_listed_counted_and_told_in_the_summary_unless_it_is_accepted(
    told: Nights,
) -> None:
    client = told.aws.client("securityhub", BETA, REGION)
    key = {name: told.stored[DATA.finding_id][name] for name in ("Id", "ProductArn")}
    client.batch_update_findings(FindingIdentifiers=[key], Severity={"Label": "LOW"}, Workflow={"Status": "SUPPRESSED"})
    told.night(is_full_reading=True)
    (listed,) = json.loads(_run(told.lake, "decisions", "--format", "json").stdout)
    assert (listed["service_name"], listed["severity"], listed["severity_shown"]) == ("data", "CRITICAL", "LOW")
    assert "data" in _run(told.lake, "decisions").stdout
    trend = json.loads(_run(told.lake, "trends", "customer_decisions", "--by", "owner", "--format", "json").stdout)
    assert [(row["group"], row["suppressed_critical"], row["lowered"], row["places_read"]) for row in trend] == [
        ("team-a", 1, 1, 3)
    ]
    summary = _run(told.lake, "summary").stdout
    assert "Read back 3 accounts and Regions: all as told" in summary
    assert "1 finding of CRITICAL or HIGH suppressed" in summary
    assert "CRITICAL main/data" in summary
    told.estate.accepted = {DATA.finding_id}
    told.night(is_full_reading=True)
    assert "suppressed" not in _run(told.lake, "summary").stdout
    assert json.loads(_run(told.lake, "decisions", "--format", "json").stdout)[0]["accepted_until"] == "2026-12-31"


def test_reconciling_by_hand_says_what_it_found(told: Nights) -> None:
    told.aws.securityhub.lose(BETA, REGION, [DATA.finding_id])
    told.estate.assess(told.lake, told.day)
    answer = _run(told.lake, "publish", "--mode", "on", "--reconcile", "--format", "json").stdout
    counts = {row["outcome"]: row["findings"] for row in json.loads(answer)}
    assert counts["sent"] == counts["read_back_missing"] == 1
    assert (counts["read_back_findings"], counts["read_back_altered"], counts["read_back_unclaimed"]) == (2, 0, 0)
    assert told.states() == told.truth()


def test_what_could_not_be_read_back_is_not_told_as_none(told: Nights) -> None:
    told.aws.fault(service="securityhub", operation="GetFindings", code="AccessDeniedException", status=403)
    result = _run(told.lake, "publish", "--mode", "on", "--reconcile", "--format", "json")
    assert [row["outcome"] for row in json.loads(result.stdout)] == ["sent"]  # the day's, and nothing of the reading
    assert "3 accounts and Regions could not be read back" in result.stderr


def test_where_nobody_decided_anything_it_says_so(told: Nights) -> None:
    assert "Nobody suppressed" in _run(told.lake, "decisions").stderr


# --- two scans at once ------------------------------------------------------------------------------------------------


@pytest.fixture
def announced_again(nights: Nights) -> Callable[..., None]:
    """A night's findings are sent, and then announced by a second scan (as on S3, which has no lock) that goes no
    further.
    """

    def announce(day: date = DAY, **changes: Any) -> None:
        told = rows(nights.lake, "from told.publication where status = 'sent'")
        later = datetime.now(UTC) + timedelta(seconds=1)
        announced = {"snapshot_date": day, "status": "sending", "published_at": later, **changes}
        again = RESULTS["publication"].to_arrow([row | announced for row in told])
        nights.lake.append("publication", day, "of-another-scan", again)

    nights.estate.put(SHOP, JOBS, DATA)
    nights.night()
    return announce


def test_what_was_sent_and_is_announced_by_another_scan_is_sent(
    nights: Nights, announced_again: Callable[..., None]
) -> None:
    announced_again()
    assert check_published(nights.settings, nights.lake, DAY) == {"sent": 3}
    assert publication_counts(nights.lake, DAY) == {"sent": 3}


@pytest.mark.parametrize("changes", [{"content_hash": "0" * 64}, {"record_state": "ARCHIVED"}, {"reason": "missing"}])
def test_what_is_announced_after_something_else_was_sent_is_cut_off(
    nights: Nights, announced_again: Callable[..., None], changes: dict[str, Any]
) -> None:
    announced_again(**changes)
    with pytest.raises(PublishError, match=r"1 finding.s. sending: publishing was cut off, or another is under way"):
        check_published(nights.settings, nights.lake, DAY)
    assert publication_counts(nights.lake, DAY) == {"sending": 3}


def test_what_was_sent_the_day_before_and_is_announced_again_is_cut_off(
    nights: Nights, announced_again: Callable[..., None]
) -> None:
    nights.estate.assess(nights.lake, nights.day)
    announced_again(nights.day, reason="heartbeat")
    assert publication_counts(nights.lake, nights.day) == {"sending": 3}
    assert publication_counts(nights.lake, DAY) == {"sent": 3}
