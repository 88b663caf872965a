"""The embedded Security Hub keeps AWS's written contract: what these tests refuse, AWS refuses; botocore checks none
of it.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from ecs_exposure.securityhub.asff import to_asff
from embedded_aws import EmbeddedAws
from embedded_aws.finding_format import parse_timestamp

from tests.securityhub.rows import ACCOUNT, REGION, row

FIRST = "2026-11-01T03:00:00.000Z"
OTHER = "999988887777"
BARE = Config(retries={"total_max_attempts": 1}, parameter_validation=False)


def finding(service: str = "shop", **changes: Any) -> dict[str, Any]:
    return to_asff(row(service), "aws") | {"UpdatedAt": FIRST} | changes


@pytest.fixture
def hub(aws: EmbeddedAws) -> Any:
    aws.securityhub.enable(ACCOUNT, REGION)
    return aws.client("securityhub", ACCOUNT, REGION, config=BARE)


def only(aws: EmbeddedAws) -> dict[str, Any]:
    (stored,) = aws.securityhub.findings()
    return stored


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


BROKEN: dict[str, dict[str, Any]] = {
    "title of 257": {"Title": "x" * 257},
    "blank title": {"Title": "  "},
    "description of 1,025": {"Description": "x" * 1025},
    "title of 129 astral characters": {"Title": "\U0001f4a5" * 129},
    "id of 513": {"Id": "x" * 513},
    "51 product fields": {"ProductFields": {f"k{index}": "v" for index in range(51)}},
    "product field of 2,049": {"ProductFields": {"k": "v" * 2049}},
    "product field key of 129": {"ProductFields": {"k" * 129: "v"}},
    "blank product field": {"ProductFields": {"k": ""}},
    "33 resources": {"Resources": [{"Type": "Other", "Id": f"r{index}"} for index in range(33)]},
    "no resources": {"Resources": []},
    "resource without id": {"Resources": [{"Type": "Other"}]},
    "tag of 257": {"Resources": [{"Type": "Other", "Id": "r", "Tags": {"k": "v" * 257}}]},
    "detail of 1,024": {"Resources": [{"Type": "Other", "Id": "r", "Details": {"Other": {"k": "v" * 1024}}}]},
    "unknown partition": {"Resources": [{"Type": "Other", "Id": "r", "Partition": "aws-moon"}]},
    "unknown record state": {"RecordState": "GONE"},
    "unknown severity": {"FindingProviderFields": {"Severity": {"Label": "SEVERE"}, "Types": ["TTPs"]}},
    "original of 65": {
        "FindingProviderFields": {"Severity": {"Label": "LOW", "Original": "x" * 65}, "Types": ["TTPs"]}
    },
    "unknown namespace": {"FindingProviderFields": {"Severity": {"Label": "LOW"}, "Types": ["Mine/All/Mine"]}},
    "51 types": {"FindingProviderFields": {"Severity": {"Label": "LOW"}, "Types": ["TTPs/x"] * 51}},
    "no severity": {"FindingProviderFields": {"Types": ["TTPs"]}},
    "recommendation of 513": {"Remediation": {"Recommendation": {"Text": "x" * 513}}},
    "account name of 51": {"AwsAccountName": "x" * 51},
    "another schema": {"SchemaVersion": "2020-01-01"},
    "a date without time": {"UpdatedAt": "2026-11-01"},
    "an impossible date": {"CreatedAt": "2026-02-30T00:00:00Z"},
    "an offset of 19 hours": {"CreatedAt": "2026-02-03T00:00:00+19:00"},
    "more than 240 KB": {"Resources": [{"Type": "Other", "Id": "r" * 240_001}]},
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN.keys())
def test_a_finding_that_breaks_the_format_fails_alone(aws: EmbeddedAws, hub: Any, changes: dict[str, Any]) -> None:
    answer = hub.batch_import_findings(Findings=[finding("good"), finding("bad", **changes)])
    assert (answer["SuccessCount"], answer["FailedCount"]) == (1, 1)
    assert [item["ErrorCode"] for item in answer["FailedFindings"]] == ["InvalidInput"]
    assert [stored["Resources"][0]["Id"].rpartition("/")[2] for stored in aws.securityhub.findings()] == ["good"]


@pytest.mark.parametrize(
    "text", ["2026-01-31T23:00:00Z", "2026-01-31T23:00:00.123456789+05:30", "2026-01-31T23:00:00-0800"]
)
def test_documented_timestamps_are_accepted(hub: Any, text: str) -> None:
    assert hub.batch_import_findings(Findings=[finding(CreatedAt=text)])["SuccessCount"] == 1


def test_a_hundred_findings_a_request_and_no_more(hub: Any) -> None:
    assert hub.batch_import_findings(Findings=[finding(f"s{index}") for index in range(100)])["SuccessCount"] == 100
    with pytest.raises(ClientError) as error:
        hub.batch_import_findings(Findings=[finding(f"s{index}") for index in range(101)])
    assert code_of(error) == "InvalidInputException"


def test_six_megabytes_a_request_and_no_more(hub: Any) -> None:
    big = [finding(f"s{index}", Resources=[{"Type": "Other", "Id": "r" * 230_000}]) for index in range(27)]
    assert hub.batch_import_findings(Findings=big[:25])["SuccessCount"] == 25
    with pytest.raises(ClientError) as error:
        hub.batch_import_findings(Findings=big)
    assert code_of(error) == "InvalidInputException"


@pytest.mark.parametrize(
    "changes",
    [
        {"AwsAccountId": OTHER},
        {"ProductArn": f"arn:aws:securityhub:{REGION}:{OTHER}:product/{OTHER}/default"},
        {"ProductArn": f"arn:aws:securityhub:us-east-1:{ACCOUNT}:product/{ACCOUNT}/default"},
        {"ProductArn": f"arn:aws-cn:securityhub:{REGION}:{ACCOUNT}:product/{ACCOUNT}/default"},
        {"ProductArn": f"arn:aws:securityhub:{REGION}::product/{ACCOUNT}/default"},
    ],
    ids=["account", "product's account", "product's Region", "partition", "no account"],
)
def test_nobody_imports_for_another(aws: EmbeddedAws, hub: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        hub.batch_import_findings(Findings=[finding("mine"), finding("theirs", **changes)])
    assert code_of(error) == "AccessDeniedException"
    assert aws.securityhub.findings() == []


def test_without_a_hub_every_finding_is_refused(aws: EmbeddedAws) -> None:
    client = aws.client("securityhub", ACCOUNT, "us-east-1")
    made = to_asff(row(region="us-east-1"), "aws") | {"UpdatedAt": FIRST}
    answer = client.batch_import_findings(Findings=[made])
    assert [item["ErrorCode"] for item in answer["FailedFindings"]] == ["InvalidAccess"]
    with pytest.raises(ClientError) as error:
        client.describe_hub()
    assert code_of(error) == "InvalidAccessException"
    client.enable_security_hub(EnableDefaultStandards=False)
    assert client.describe_hub()["HubArn"] == f"arn:aws:securityhub:us-east-1:{ACCOUNT}:hub/default"
    assert client.batch_import_findings(Findings=[made])["SuccessCount"] == 1


def test_an_update_that_is_not_newer_is_ignored_without_a_word(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding(Title="first")])
    for moment in (FIRST, "2026-11-01T02:59:59.999Z", "2026-11-01T04:00:00+01:00"):
        answer = hub.batch_import_findings(Findings=[finding(Title="late", UpdatedAt=moment)])
        assert answer["SuccessCount"] == 1
    assert only(aws)["Title"] == "first"
    hub.batch_import_findings(Findings=[finding(Title="second", UpdatedAt="2026-11-01T03:00:00.001Z")])
    assert only(aws)["Title"] == "second"


def test_of_one_id_twice_in_a_request_the_first_counts(aws: EmbeddedAws, hub: Any) -> None:
    later = finding(Title="second", UpdatedAt="2026-11-02T00:00:00Z")
    hub.batch_import_findings(Findings=[finding(Title="first"), later])
    assert only(aws)["Title"] == "first"


def _identifier() -> list[dict[str, str]]:
    return [{"Id": finding()["Id"], "ProductArn": finding()["ProductArn"]}]


def test_what_customers_set_survives_imports(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding()])
    assert only(aws)["Severity"]["Label"] == "HIGH"
    assert only(aws)["Types"] == finding()["FindingProviderFields"]["Types"]
    hub.batch_update_findings(
        FindingIdentifiers=_identifier(),
        Severity={"Label": "LOW"},
        Workflow={"Status": "SUPPRESSED"},
        Note={"Text": "known", "UpdatedBy": "ann"},
        VerificationState="BENIGN_POSITIVE",
        UserDefinedFields={"ticket": "T-1"},
    )
    provided = {"Severity": {"Label": "CRITICAL"}, "Types": ["TTPs/x"]}
    hub.batch_import_findings(
        Findings=[
            finding(
                UpdatedAt="2026-11-02T03:00:00Z", FindingProviderFields=provided, Workflow={"Status": "NEW"},
                Note={"Text": "ours", "UpdatedBy": "scanner", "UpdatedAt": FIRST}, UserDefinedFields={"ticket": "none"},
            )
        ]
    )  # fmt: skip
    stored = only(aws)
    assert stored["Severity"]["Label"] == "LOW"
    assert stored["FindingProviderFields"]["Severity"]["Label"] == "CRITICAL"
    assert stored["Types"] == ["TTPs/x"]  # no customer has set them
    assert stored["Workflow"] == {"Status": "SUPPRESSED"}
    assert stored["Note"]["Text"] == "known"
    assert stored["VerificationState"] == "BENIGN_POSITIVE"
    assert stored["UserDefinedFields"] == {"ticket": "T-1"}


@pytest.mark.parametrize(("status", "after"), [("NOTIFIED", "NEW"), ("RESOLVED", "NEW"), ("SUPPRESSED", "SUPPRESSED")])
def test_reopening_resets_the_workflow_unless_suppressed(aws: EmbeddedAws, hub: Any, status: str, after: str) -> None:
    hub.batch_import_findings(Findings=[finding()])
    hub.batch_update_findings(FindingIdentifiers=_identifier(), Workflow={"Status": status})
    hub.batch_import_findings(Findings=[finding(RecordState="ARCHIVED", UpdatedAt="2026-11-02T03:00:00Z")])
    assert only(aws)["Workflow"] == {"Status": status}
    hub.batch_import_findings(Findings=[finding(UpdatedAt="2026-11-03T03:00:00Z")])
    assert only(aws)["Workflow"] == {"Status": after}


def test_an_update_of_what_is_not_there_is_reported(hub: Any) -> None:
    answer = hub.batch_update_findings(FindingIdentifiers=_identifier(), Workflow={"Status": "NOTIFIED"})
    assert [item["ErrorCode"] for item in answer["UnprocessedFindings"]] == ["FindingNotFound"]


def test_findings_die_90_days_after_their_last_update_and_archived_ones_after_30(aws: EmbeddedAws, hub: Any) -> None:
    now = parse_timestamp(FIRST)
    aws.securityhub.clock = lambda: now
    hub.batch_import_findings(Findings=[finding("active"), finding("archived", RecordState="ARCHIVED")])
    now += timedelta(days=30)
    assert len(aws.securityhub.findings()) == 2
    now += timedelta(minutes=1)
    assert [stored["RecordState"] for stored in aws.securityhub.findings()] == ["ACTIVE"]
    now += timedelta(days=60)
    assert aws.securityhub.findings() == []


def test_get_findings_filters_and_pages(hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding(f"s{index}") for index in range(25)])
    hub.batch_import_findings(Findings=[finding("other", GeneratorId="another-tool", RecordState="ARCHIVED")])

    def ask(**filters: list[dict[str, str]]) -> list[str]:
        pages = hub.get_paginator("get_findings").paginate(Filters=filters, PaginationConfig={"PageSize": 7})
        return [item["Id"] for page in pages for item in page["Findings"]]

    ours = [{"Value": "ecs-exposure", "Comparison": "EQUALS"}]
    assert len(ask(GeneratorId=ours)) == len(set(ask(GeneratorId=ours))) == 25
    assert len(ask(GeneratorId=[{"Value": "ecs-exposure", "Comparison": "NOT_EQUALS"}])) == 1
    assert len(ask(RecordState=[{"Value": "ARCHIVED", "Comparison": "EQUALS"}], GeneratorId=ours)) == 0
    assert ask(Id=[{"Value": finding("s3")["Id"], "Comparison": "EQUALS"}]) == [finding("s3")["Id"]]
    assert len(ask(SeverityLabel=[{"Value": "HIGH", "Comparison": "EQUALS"}])) == 26


def test_requests_above_the_published_rate_are_throttled(aws: EmbeddedAws, hub: Any) -> None:
    now = parse_timestamp(FIRST)
    aws.securityhub.clock, aws.securityhub.is_paced = (lambda: now), True
    for _ in range(30):
        hub.batch_import_findings(Findings=[finding()])
    with pytest.raises(ClientError) as error:
        hub.batch_import_findings(Findings=[finding()])
    assert code_of(error) == "TooManyRequestsException"
    now += timedelta(seconds=0.1)
    hub.batch_import_findings(Findings=[finding()])


def test_the_state_survives_a_dump_and_a_restore(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding()])
    hub.batch_update_findings(FindingIdentifiers=_identifier(), Severity={"Label": "LOW"})
    state = json.loads(json.dumps(aws.securityhub.dump()))
    before = aws.securityhub.findings()
    aws.securityhub.restore({})
    assert aws.securityhub.findings() == []
    aws.securityhub.restore(state)
    assert aws.securityhub.findings() == before
    hub.batch_import_findings(Findings=[finding(UpdatedAt="2026-12-01T00:00:00Z")])
    assert only(aws)["Severity"]["Label"] == "LOW"
