"""The embedded Security Hub keeps AWS's written contract: what these tests refuse, AWS refuses; botocore checks none
of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
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


def import_as_it_is(client: Any, findings: list[dict[str, Any]]) -> dict[str, Any]:
    """What botocore would refuse to serialize, or leave out, goes as it is."""
    body = json.dumps({"Findings": findings})
    client.meta.events.register("before-call.securityhub", lambda params, **_: params.update(body=body))
    answer: dict[str, Any] = client.batch_import_findings(Findings=[])
    return answer


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
    "more than 240 KB in its escapes": {"Resources": [{"Type": "Other", "Id": "漢" * 40_000}]},
    "half of a character": {"Title": "\ud83d"},
    "half of a character in a map": {"ProductFields": {"k": "\ud83d"}},
    "title of what JavaScript calls white space": {"Title": "\ufeff \u2003"},
    "generator of 513": {"GeneratorId": "x" * 513},
    "product name of 129": {"ProductName": "x" * 129},
    "company of 129": {"CompanyName": "x" * 129},
    "a number as Title": {"Title": 7},
    "a text as Resources": {"Resources": "all"},
    "a text as a resource": {"Resources": ["all"]},
    "resource type of 257": {"Resources": [{"Type": "x" * 257, "Id": "r"}]},
    "resource Region of 17": {"Resources": [{"Type": "Other", "Id": "r", "Region": "x" * 17}]},
    "51 tags": {"Resources": [{"Type": "Other", "Id": "r", "Tags": {f"k{index}": "v" for index in range(51)}}]},
    "tag key of 129": {"Resources": [{"Type": "Other", "Id": "r", "Tags": {"k" * 129: "v"}}]},
    "51 details": {
        "Resources": [{"Type": "Other", "Id": "r", "Details": {"Other": {f"k{index}": "v" for index in range(51)}}}]
    },
    "service name of 256": {
        "Resources": [{"Type": "AwsEcsService", "Id": "r", "Details": {"AwsEcsService": {"ServiceName": "x" * 256}}}]
    },
    "six security groups": {
        "Resources": [
            {
                "Type": "AwsEcsService",
                "Id": "r",
                "Details": {
                    "AwsEcsService": {"NetworkConfiguration": {"AwsVpcConfiguration": {"SecurityGroups": ["sg-1"] * 6}}}
                },
            }
        ]
    },
    "half a task": {
        "Resources": [{"Type": "AwsEcsService", "Id": "r", "Details": {"AwsEcsService": {"DesiredCount": 1.5}}}]
    },
    "a blank member of a list": {
        "Vulnerabilities": [{"Id": "CVE-1", "RelatedVulnerabilities": [" "]}],
    },
    "vulnerability without id": {"Vulnerabilities": [{"EpssScore": 0.5}]},
    "fix perhaps available": {"Vulnerabilities": [{"Id": "CVE-1", "FixAvailable": "PERHAPS"}]},
    "confidence of 101": {
        "FindingProviderFields": {"Severity": {"Label": "LOW"}, "Types": ["TTPs"], "Confidence": 101}
    },
    "severity without a label": {"FindingProviderFields": {"Severity": {"Original": "x"}, "Types": ["TTPs"]}},
    "no types": {"FindingProviderFields": {"Severity": {"Label": "LOW"}}},
    "a type of four parts": {"FindingProviderFields": {"Severity": {"Label": "LOW"}, "Types": ["TTPs/a/b/c"]}},
    "eleven related findings": {"RelatedFindings": [{"Id": "i", "ProductArn": "arn"}] * 11},
    "note of 513": {"Note": {"Text": "x" * 513, "UpdatedBy": "ann", "UpdatedAt": FIRST}},
    "51 user defined fields": {"UserDefinedFields": {f"k{index}": "v" for index in range(51)}},
    "user defined field of 1,025": {"UserDefinedFields": {"k": "v" * 1025}},
    "unknown workflow": {"Workflow": {"Status": "DONE"}},
    "unknown verification": {"VerificationState": "MAYBE"},
    "unknown compliance": {"Compliance": {"Status": "GREEN"}},
    "33 requirements": {"Compliance": {"Status": "FAILED", "RelatedRequirements": ["x"] * 33}},
    "six threat indicators": {"ThreatIntelIndicators": [{"Value": "x"}] * 6},
    "no threats": {"Threats": []},
    "malware of 65": {"Malware": [{"Name": "x" * 65}]},
    "process path of 513": {"Process": {"Path": "x" * 513}},
    "a launch without time": {"Process": {"LaunchedAt": "yesterday"}},
    "ten digits of a second": {"CreatedAt": "2026-01-31T23:00:00.1234567890Z"},
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN.keys())
def test_a_finding_that_breaks_the_format_fails_alone(aws: EmbeddedAws, hub: Any, changes: dict[str, Any]) -> None:
    answer = import_as_it_is(hub, [finding("good"), finding("bad", **changes)])
    assert (answer["SuccessCount"], answer["FailedCount"]) == (1, 1)
    assert [item["ErrorCode"] for item in answer["FailedFindings"]] == ["InvalidInput"]
    assert [stored["Resources"][0]["Id"].rpartition("/")[2] for stored in aws.securityhub.findings()] == ["good"]


AT_THE_LIMIT: dict[str, dict[str, Any]] = {
    "texts": {
        "Title": "x" * 256, "Description": "\U0001f4a5" * 512, "Id": "x" * 512, "GeneratorId": "x" * 512,
        "ProductName": "x" * 128, "AwsAccountName": "x" * 50,
        "Note": {"Text": "x" * 512, "UpdatedBy": "a", "UpdatedAt": FIRST},
        "Remediation": {"Recommendation": {"Text": "x" * 512}},
        "FindingProviderFields": {"Severity": {"Label": "LOW", "Original": "x" * 64}, "Types": ["TTPs/x"] * 50},
    },
    "maps": {
        "ProductFields": {f"{index:0128}": "v" * 2048 for index in range(50)},
        "UserDefinedFields": {f"{index:0128}": "v" * 1024 for index in range(50)},
    },
    "resources": {
        "Resources": [
            {"Type": "x" * 256, "Id": f"r{index}", "Tags": {f"{key:0128}": "v" * 256 for key in range(5)},
             "Details": {"Other": {"k" * 127: "v" * 1023}}}
            for index in range(32)
        ]
    },
    "240 KB": {
        "Resources": [{"Type": "Other", "Id": "r"}],
        "ProductFields": {f"k{index}": "漢" * 300 for index in range(50)},
        "SourceUrl": "u" * 147_000,
    },
    "nothing of what may be left out": {"ProductFields": None, "Remediation": None, "Vulnerabilities": None},
    "what the model does not know": {"Mood": "good"},
}  # fmt: skip


@pytest.mark.parametrize("changes", AT_THE_LIMIT.values(), ids=AT_THE_LIMIT.keys())
def test_a_finding_may_use_every_limit_to_the_full(aws: EmbeddedAws, hub: Any, changes: dict[str, Any]) -> None:
    assert import_as_it_is(hub, [finding(**changes)])["FailedFindings"] == []
    assert "Mood" not in only(aws)


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


@pytest.mark.parametrize("status", ["NOTIFIED", "RESOLVED"])
def test_a_hub_switched_off_shows_nothing_and_forgets_after_90_days(aws: EmbeddedAws, hub: Any, status: str) -> None:
    now = parse_timestamp(FIRST)
    aws.securityhub.clock = lambda: now
    hub.batch_import_findings(Findings=[finding()])
    hub.batch_update_findings(FindingIdentifiers=_identifier(), Workflow={"Status": status})
    hub.disable_security_hub()
    assert aws.securityhub.findings() == []
    answer = hub.batch_import_findings(Findings=[finding(UpdatedAt="2026-11-02T03:00:00Z")])
    assert [item["ErrorCode"] for item in answer["FailedFindings"]] == ["InvalidAccess"]
    for ask in (hub.get_findings, hub.disable_security_hub, lambda: hub.batch_update_findings(FindingIdentifiers=[])):
        with pytest.raises(ClientError) as error:
            ask()
        assert code_of(error) == "InvalidAccessException"
    now += timedelta(days=20)
    hub.enable_security_hub()
    assert only(aws)["Workflow"] == {"Status": status}
    hub.batch_import_findings(Findings=[finding(UpdatedAt="2027-12-01T00:00:00Z")])  # would be kept for long
    hub.disable_security_hub()
    now += timedelta(days=91)
    hub.enable_security_hub()
    assert aws.securityhub.findings() == []


def test_hubs_of_accounts_and_regions_are_apart(aws: EmbeddedAws, hub: Any) -> None:
    aws.securityhub.enable(OTHER, REGION)
    hub.batch_import_findings(Findings=[finding()])
    assert aws.client("securityhub", OTHER, REGION).get_findings()["Findings"] == []
    with pytest.raises(ClientError) as error:
        aws.client("securityhub", ACCOUNT, "us-east-1", config=BARE).get_findings()
    assert code_of(error) == "InvalidAccessException"
    theirs = to_asff(row(account_id=OTHER), "aws") | {"UpdatedAt": FIRST}
    aws.client("securityhub", OTHER, REGION).batch_import_findings(Findings=[theirs])
    assert [item["AwsAccountId"] for item in aws.securityhub.findings()] == [ACCOUNT, OTHER]
    assert [item["AwsAccountId"] for item in aws.securityhub.findings(OTHER)] == [OTHER]


def test_a_request_without_findings_is_refused(hub: Any) -> None:
    with pytest.raises(ClientError) as error:
        hub.batch_import_findings(Findings=[])
    assert code_of(error) == "InvalidInputException"


def test_a_hub_adds_what_is_its_own(aws: EmbeddedAws, hub: Any) -> None:
    now = parse_timestamp("2026-11-01T03:00:01Z")
    aws.securityhub.clock = lambda: now
    hub.batch_import_findings(Findings=[finding()])
    (read,) = hub.get_findings()["Findings"]
    assert read == only(aws)
    sent = finding()
    assert {name: read[name] for name in ("Workflow", "Severity", "ProcessedAt", "Region", "CompanyName")} == {
        "Workflow": {"Status": "NEW"},
        "Severity": {**sent["FindingProviderFields"]["Severity"], "Normalized": 70},
        "ProcessedAt": "2026-11-01T03:00:01.000Z", "Region": REGION, "CompanyName": "Personal",
    }  # fmt: skip
    added = read["ProductFields"].keys() - sent["ProductFields"].keys()
    assert added == {f"aws/securityhub/{name}" for name in ("FindingId", "ProductName", "CompanyName")}
    # All the rest comes back as it was sent.
    kept = sent.keys() - {"ProductFields"}
    assert {name: read[name] for name in kept} == {name: sent[name] for name in kept}


def test_severity_and_types_told_at_the_top_are_the_providers(aws: EmbeddedAws, hub: Any) -> None:
    made = finding(Severity={"Normalized": 95}, Types=["TTPs/x"])
    del made["FindingProviderFields"]
    assert hub.batch_import_findings(Findings=[made])["FailedFindings"] == []
    assert only(aws)["FindingProviderFields"] == {"Severity": {"Label": "CRITICAL"}, "Types": ["TTPs/x"]}
    assert only(aws)["Severity"] == {"Label": "CRITICAL", "Normalized": 90}


def test_some_findings_of_a_request_fail_when_told_to(aws: EmbeddedAws, hub: Any) -> None:
    aws.securityhub.refuse("InternalException", "try again", of=lambda item: item["Id"].endswith(("a", "b")), times=1)
    answers = [hub.batch_import_findings(Findings=[finding(name) for name in "abc"]) for _ in range(2)]
    assert [answer["FailedFindings"] for answer in answers] == [
        [{"Id": finding("a")["Id"], "ErrorCode": "InternalException", "ErrorMessage": "try again"}],
        [],
    ]
    assert [answer["SuccessCount"] for answer in answers] == [2, 3]
    aws.securityhub.refuse("LimitExceeded")
    assert hub.batch_import_findings(Findings=[finding(name) for name in "abc"])["FailedCount"] == 3
    aws.end_faults()
    assert hub.batch_import_findings(Findings=[finding(name) for name in "abc"])["FailedCount"] == 0


def test_an_answer_can_be_lost_when_all_is_stored(aws: EmbeddedAws, hub: Any) -> None:
    aws.fault(service="securityhub", operation="BatchImportFindings", lose_answer=True, times=1)
    with pytest.raises(HTTPClientError):
        hub.batch_import_findings(Findings=[finding()])
    assert only(aws)["UpdatedAt"] == FIRST


def test_findings_can_be_lost(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding(name) for name in "abc"])
    aws.securityhub.lose(ACCOUNT, REGION, {finding("b")["Id"]})
    assert [item["Id"][-1] for item in aws.securityhub.findings()] == ["a", "c"]


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


def _identifier(service: str = "shop") -> list[dict[str, str]]:
    made = finding(service)
    return [{"Id": made["Id"], "ProductArn": made["ProductArn"]}]


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


def test_a_check_that_fails_again_resets_the_workflow(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding(Compliance={"Status": "PASSED"})])
    hub.batch_update_findings(FindingIdentifiers=_identifier(), Workflow={"Status": "RESOLVED"})
    hub.batch_import_findings(Findings=[finding(Compliance={"Status": "FAILED"}, UpdatedAt="2026-11-02T03:00:00Z")])
    assert only(aws)["Workflow"] == {"Status": "NEW"}


def test_a_customer_may_set_what_is_the_customers_and_updated_at_stays(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding("a"), finding("b")])
    related = [{"Id": "i", "ProductArn": finding()["ProductArn"]}]
    answer = hub.batch_update_findings(
        FindingIdentifiers=_identifier("a"), Confidence=7, Criticality=99, RelatedFindings=related, Types=["Effects"],
        Severity={"Normalized": 40}, UserDefinedFields={"k": "v"}, VerificationState="TRUE_POSITIVE",
        Workflow={"Status": "NOTIFIED"}, Note={"Text": "t", "UpdatedBy": "ann"},
    )  # fmt: skip
    assert (answer["ProcessedFindings"], answer["UnprocessedFindings"]) == (_identifier("a"), [])
    set_one, untouched = aws.securityhub.findings()
    assert set_one["UpdatedAt"] == FIRST
    assert (set_one["Severity"], set_one["Types"]) == ({"Label": "MEDIUM", "Normalized": 40}, ["Effects"])
    assert (set_one["Confidence"], set_one["Criticality"], set_one["RelatedFindings"]) == (7, 99, related)
    assert (untouched["Workflow"], untouched["Severity"]["Label"]) == ({"Status": "NEW"}, "HIGH")
    assert set_one["FindingProviderFields"] == untouched["FindingProviderFields"]
    assert not untouched.keys() & {"Note", "Confidence", "UserDefinedFields", "VerificationState"}


def test_an_update_of_what_is_not_there_or_named_twice_is_reported(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding("a"), finding("b")])
    answer = hub.batch_update_findings(
        FindingIdentifiers=[*_identifier("a"), *_identifier("a"), *_identifier("b"), *_identifier("none")],
        Workflow={"Status": "NOTIFIED"},
    )
    codes = [item["ErrorCode"] for item in answer["UnprocessedFindings"]]
    assert codes == ["DuplicatedFindingIdentifier", "DuplicatedFindingIdentifier", "FindingNotFound"]
    assert answer["ProcessedFindings"] == _identifier("b")
    assert [item["Workflow"]["Status"] for item in aws.securityhub.findings()] == ["NEW", "NOTIFIED"]


@pytest.mark.parametrize(
    "changes",
    [
        {"Note": {"Text": "x" * 513, "UpdatedBy": "ann"}},
        {"Note": {"Text": "x"}},
        {"Severity": {"Label": "SEVERE"}},
        {"Severity": {"Normalized": 101}},
        {"Types": ["Mine/x"]},
        {"Types": ["TTPs/x"] * 51},
        {"UserDefinedFields": {"k": "v" * 1025}},
        {"RelatedFindings": [{"Id": "i", "ProductArn": "a"}] * 11},
        {"Confidence": -1},
        {"VerificationState": "MAYBE"},
        {"Workflow": {"Status": "DONE"}},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_an_update_that_breaks_the_format_changes_nothing(aws: EmbeddedAws, hub: Any, changes: dict[str, Any]) -> None:
    hub.batch_import_findings(Findings=[finding()])
    before = only(aws)
    answer = hub.batch_update_findings(FindingIdentifiers=_identifier(), **changes)
    assert [item["ErrorCode"] for item in answer["UnprocessedFindings"]] == ["InvalidInput"]
    assert only(aws) == before


def test_an_update_may_not_make_a_finding_too_large(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding(Resources=[{"Type": "Other", "Id": "r" * 225_000}])])
    fields = {f"k{index}": "v" * 1000 for index in range(20)}
    answer = hub.batch_update_findings(FindingIdentifiers=_identifier(), UserDefinedFields=fields)
    assert [item["ErrorCode"] for item in answer["UnprocessedFindings"]] == ["FindingSizeExceeded"]
    assert "UserDefinedFields" not in only(aws)


@pytest.mark.parametrize("count", [0, 101])
def test_a_hundred_updates_a_request_and_no_more(hub: Any, count: int) -> None:
    with pytest.raises(ClientError) as error:
        hub.batch_update_findings(FindingIdentifiers=_identifier() * count, Workflow={"Status": "NOTIFIED"})
    assert code_of(error) == "InvalidInputException"


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
    hub.batch_import_findings(Findings=[finding("active")])  # the same Id is a new finding, whatever its UpdatedAt
    assert only(aws)["UpdatedAt"] == FIRST


def test_an_update_keeps_a_finding_alive(aws: EmbeddedAws, hub: Any) -> None:
    now = parse_timestamp(FIRST)
    aws.securityhub.clock = lambda: now
    hub.batch_import_findings(Findings=[finding()])
    now += timedelta(days=89)
    hub.batch_import_findings(Findings=[finding(UpdatedAt=now.isoformat())])
    now += timedelta(days=89)
    assert len(aws.securityhub.findings()) == 1
    now += timedelta(days=2)
    assert hub.get_findings()["Findings"] == []


@pytest.fixture
def many(aws: EmbeddedAws, hub: Any) -> Iterator[Any]:
    """Findings a to e, updated on the 1st to 5th; d is archived, e another tool's."""
    now = datetime(2026, 11, 10, tzinfo=UTC)
    aws.securityhub.clock = lambda: now
    changes: dict[str, dict[str, Any]] = {
        "b": {"FindingProviderFields": {"Severity": {"Label": "LOW"}, "Types": ["TTPs"]}},
        "d": {"RecordState": "ARCHIVED"},
        "e": {"GeneratorId": "another-tool", "ProductName": "Other"},
    }
    for day, name in enumerate("abcde", start=1):
        made = finding(name, UpdatedAt=f"2026-11-{day:02}T03:00:00Z", **changes.get(name, {}))
        assert hub.batch_import_findings(Findings=[made])["FailedFindings"] == []
    hub.batch_update_findings(FindingIdentifiers=_identifier("c"), Workflow={"Status": "SUPPRESSED"})
    return hub


def _texts(value: str, comparison: str = "EQUALS") -> list[dict[str, str]]:
    return [{"Value": value, "Comparison": comparison}]


FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({}, "abcde"),
    "generator": ({"GeneratorId": _texts("ecs-exposure")}, "abcd"),
    "not the generator": ({"GeneratorId": _texts("ecs-exposure", "NOT_EQUALS")}, "e"),
    "generator by prefix": ({"GeneratorId": _texts("ecs-", "PREFIX")}, "abcd"),
    "not by prefix": ({"GeneratorId": _texts("ecs-", "PREFIX_NOT_EQUALS")}, "e"),
    "case counts": ({"GeneratorId": _texts("ECS-exposure")}, ""),
    "ids": ({"Id": _texts(finding("a")["Id"]) + _texts(finding("d")["Id"])}, "ad"),
    "prefix of ids": ({"Id": _texts("ecs-exposure/aws/", "PREFIX")}, "abcde"),
    "prefix without one": (
        {"Id": _texts("ecs-exposure/aws/", "PREFIX") + _texts(finding("a")["Id"], "NOT_EQUALS")}, "bcde",
    ),
    "product": ({"ProductArn": _texts(finding()["ProductArn"])}, "abcde"),
    "account": ({"AwsAccountId": _texts(OTHER)}, ""),
    "active": ({"RecordState": _texts("ACTIVE")}, "abce"),
    "workflow": ({"WorkflowStatus": _texts("SUPPRESSED")}, "c"),
    "severity": ({"SeverityLabel": _texts("HIGH") + _texts("CRITICAL")}, "acde"),
    "two attributes": ({"SeverityLabel": _texts("HIGH"), "RecordState": _texts("ACTIVE")}, "ace"),
    "resource": ({"ResourceId": _texts(f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/b")}, "b"),
    "since": ({"UpdatedAt": [{"Start": "2026-11-03T03:00:00Z"}]}, "cde"),
    "between": ({"UpdatedAt": [{"Start": "2026-11-02T00:00:00Z", "End": "2026-11-03T03:00:00.000Z"}]}, "bc"),
    "either": ({"UpdatedAt": [{"End": "2026-11-01T12:00:00Z"}, {"Start": "2026-11-05T00:00:00Z"}]}, "ae"),
    "within seven days": ({"UpdatedAt": [{"DateRange": {"Value": 7, "Unit": "DAYS"}}]}, "cde"),
    "older": ({"UpdatedAt": [{"DateRange": {"Value": 7, "Unit": "DAYS", "Comparison": "OLDER_THAN"}}]}, "ab"),
}  # fmt: skip


@pytest.mark.parametrize(("filters", "expected"), FILTERS.values(), ids=FILTERS.keys())
def test_get_findings_filters(many: Any, filters: dict[str, Any], expected: str) -> None:
    assert "".join(item["Id"][-1] for item in many.get_findings(Filters=filters)["Findings"]) == expected


@pytest.mark.parametrize(
    "asked",
    [
        {"MaxResults": 0},
        {"MaxResults": 101},
        {"NextToken": "next"},
        {"Filters": {"Id": _texts("x") * 21}},
        {"Filters": {"Id": _texts("x", "CONTAINS")}},  # for automation rules only
        {"Filters": {"Id": _texts("x") + _texts("y", "NOT_EQUALS")}},
        {"Filters": {"Id": [{"Value": "x"}]}},
        {"Filters": {"UpdatedAt": [{"Start": "yesterday"}]}},
        {"Filters": {"UpdatedAt": [{}]}},
        {"SortCriteria": [{"Field": "UpdatedAt", "SortOrder": "up"}]},
        {
            "Filters": dict.fromkeys(
                (
                    "AwsAccountId", "CompanyName", "GeneratorId", "Id", "ProductArn", "ProductName", "RecordState",
                    "Region", "ResourceId", "ResourceType", "Title",
                ),
                _texts("x"),
            )
        },
    ],
    ids=lambda asked: str(asked)[:60],
)  # fmt: skip
def test_get_findings_refuses_what_aws_refuses(many: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        many.get_findings(**asked)
    assert code_of(error) == "InvalidInputException"


@pytest.mark.parametrize("asked", [{"Filters": {"Keyword": [{"Value": "x"}]}}, {"SortCriteria": [{"Field": "Mood"}]}])
def test_what_get_findings_does_not_play_is_said(many: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        many.get_findings(**asked)
    assert code_of(error) == "NotPlayedByTheEmbeddedAws"


def test_get_findings_sorts(many: Any) -> None:
    def ask(*criteria: tuple[str, str]) -> str:
        told = [{"Field": field, "SortOrder": order} for field, order in criteria]
        return "".join(item["Id"][-1] for item in many.get_findings(SortCriteria=told)["Findings"])

    assert ask(("UpdatedAt", "desc")) == "edcba"
    assert ask(("GeneratorId", "asc")) == "eabcd"
    assert ask(("RecordState", "desc"), ("UpdatedAt", "desc")) == "decba"


def test_get_findings_pages(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding(f"s{index}") for index in range(25)])
    pages = list(hub.get_paginator("get_findings").paginate(PaginationConfig={"PageSize": 7}))
    assert [len(page["Findings"]) for page in pages] == [7, 7, 7, 4]
    assert len({item["Id"] for page in pages for item in page["Findings"]}) == 25
    assert len(hub.get_findings()["Findings"]) == 10  # unless told
    with pytest.raises(ClientError) as error:  # a token belongs to its question
        hub.get_findings(NextToken=pages[0]["NextToken"], Filters={"RecordState": _texts("ACTIVE")})
    assert code_of(error) == "InvalidInputException"


RATES = {
    "BatchImportFindings": (30, 10, lambda client: client.batch_import_findings(Findings=[finding()])),
    "GetFindings": (6, 3, lambda client: client.get_findings()),
    "BatchUpdateFindings": (30, 10, lambda client: client.batch_update_findings(FindingIdentifiers=_identifier())),
    "DescribeHub": (30, 10, lambda client: client.describe_hub()),
}


@pytest.mark.parametrize(("burst", "refill", "ask"), RATES.values(), ids=RATES.keys())
def test_requests_above_the_published_rate_are_throttled(
    aws: EmbeddedAws, hub: Any, burst: int, refill: int, ask: Any
) -> None:
    now = parse_timestamp(FIRST)
    aws.securityhub.clock, aws.securityhub.is_paced = (lambda: now), True
    for _ in range(burst):
        ask(hub)
    with pytest.raises(ClientError) as error:
        ask(hub)
    assert code_of(error) == "TooManyRequestsException"
    now += timedelta(seconds=1)
    for _ in range(refill):
        ask(hub)
    with pytest.raises(ClientError):
        ask(hub)


def test_each_account_and_region_has_its_own_rate(aws: EmbeddedAws, hub: Any) -> None:
    aws.securityhub.clock, aws.securityhub.is_paced = (lambda: parse_timestamp(FIRST)), True
    for _ in range(6):
        hub.get_findings()
    for place in ((ACCOUNT, "us-east-1"), (OTHER, REGION)):
        aws.securityhub.enable(*place)
        aws.client("securityhub", *place, config=BARE).get_findings()
    hub.batch_import_findings(Findings=[finding()])


def test_the_log_tells_who_asked_for_what_and_what_came_of_it(aws: EmbeddedAws, hub: Any) -> None:
    aws.log.clear()
    sts = boto3.client(
        "sts", region_name=REGION, endpoint_url=aws.endpoint_url, aws_access_key_id="AKIA", aws_secret_access_key="x"
    )
    role = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/publisher", RoleSessionName="night")["Credentials"]
    publisher = boto3.client(
        "securityhub", region_name=REGION, endpoint_url=aws.endpoint_url, config=BARE,
        aws_access_key_id=role["AccessKeyId"], aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
    )  # fmt: skip
    before = datetime.now(UTC)
    aws.fault(
        service="securityhub", operation="BatchImportFindings", code="TooManyRequestsException", status=429, times=1
    )
    aws.fault(service="securityhub", operation="BatchImportFindings", lose_answer=True, after=1, times=1)
    for _ in range(2):
        with pytest.raises((ClientError, HTTPClientError)):
            publisher.batch_import_findings(Findings=[finding()])
    publisher.batch_import_findings(Findings=[finding()])
    publisher.get_findings()
    hub.describe_hub()
    assert aws.log.actions("publisher") == {"securityhub:BatchImportFindings": 3, "securityhub:GetFindings": 1}
    made = [call for call in aws.log if call.action == "securityhub:BatchImportFindings"]
    assert [call.outcome for call in made] == ["TooManyRequestsException", "dropped", "ok"]
    assert {(call.account_id, call.region, call.role) for call in made} == {(ACCOUNT, REGION, "publisher")}
    assert before <= made[0].at <= made[1].at <= made[2].at <= datetime.now(UTC)
    assert aws.log.actions()["sts:AssumeRole"] == 1


def test_the_state_survives_a_dump_and_a_restore(aws: EmbeddedAws, hub: Any) -> None:
    hub.batch_import_findings(Findings=[finding()])
    hub.batch_update_findings(FindingIdentifiers=_identifier(), Severity={"Label": "LOW"})
    state = json.loads(json.dumps(aws.securityhub.dump()))
    before = aws.securityhub.findings()
    assert state.keys() == {"hubs", "findings", "hidden_since"}
    aws.securityhub.restore({})
    assert aws.securityhub.findings() == []
    aws.securityhub.restore(state)
    assert aws.securityhub.findings() == before
    assert aws.securityhub.dump() == state
    hub.batch_import_findings(Findings=[finding(UpdatedAt="2026-12-01T00:00:00Z")])
    assert only(aws)["Severity"]["Label"] == "LOW"
