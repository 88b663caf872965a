"""The Inspector fake: who sees what, filters, pages that stay small, details."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_aws import EmbeddedAws

from tests.embedded_aws.conftest import ACCOUNT, REGION

ADMINISTRATOR = "222222222222"
OTHER = "444444444444"
NIGHT = datetime(2026, 11, 2, tzinfo=UTC)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def finding(number: int, account_id: str = ACCOUNT, image: int = 1, **members: Any) -> dict[str, Any]:
    repository = f"arn:aws:ecr:{REGION}:{account_id}:repository/shop"
    return {
        "findingArn": f"arn:aws:inspector2:{REGION}:{account_id}:finding/{number:032x}",
        "awsAccountId": account_id,
        "type": "PACKAGE_VULNERABILITY",
        "description": "what is wrong",
        "title": f"CVE-2024-{number:04}",
        "remediation": {"recommendation": {"text": "None Provided"}},
        "severity": "HIGH",
        "status": "ACTIVE",
        "firstObservedAt": NIGHT,
        "lastObservedAt": NIGHT,
        "updatedAt": NIGHT,
        "epss": {"score": number / 1000},
        "packageVulnerabilityDetails": {"vulnerabilityId": f"CVE-2024-{number:04}", "source": "NVD"},
        "resources": [
            {
                "type": "AWS_ECR_CONTAINER_IMAGE",
                "id": f"{repository}/{digest(image)}",
                "details": {
                    "awsEcrContainerImage": {
                        "repositoryName": "shop",
                        "imageHash": digest(image),
                        "registry": account_id,
                        "imageTags": ["1.0"],
                    }
                },
            }
        ],
    } | members


@pytest.fixture
def inspector(aws: EmbeddedAws) -> EmbeddedAws:
    for account_id in (ADMINISTRATOR, ACCOUNT, OTHER):
        aws.inspector2.enable(account_id, REGION)
    aws.inspector2.delegate(ADMINISTRATOR)
    return aws


def listed(aws: EmbeddedAws, account_id: str = ADMINISTRATOR, **given: Any) -> list[dict[str, Any]]:
    pages = aws.client("inspector2", account_id, REGION).get_paginator("list_findings").paginate(**given)
    return [one for page in pages for one in page["findings"]]


def numbers(findings: list[dict[str, Any]]) -> set[int]:
    return {int(one["findingArn"].rpartition("/")[2], 16) for one in findings}


def equals(**wanted: Any) -> dict[str, Any]:
    return {
        name: [{"comparison": "EQUALS", "value": value} for value in (values if isinstance(values, list) else [values])]
        for name, values in wanted.items()
    }


def test_no_answer_holds_more_than_25_findings_whatever_was_asked(inspector: EmbeddedAws) -> None:
    for number in range(60):
        inspector.inspector2.put_finding(finding(number))
    client = inspector.client("inspector2", ADMINISTRATOR, REGION)
    first = client.list_findings(maxResults=100)
    assert len(first["findings"]) == 25
    assert numbers(listed(inspector, PaginationConfig={"PageSize": 100})) == set(range(60))
    assert len(client.list_findings(maxResults=10)["findings"]) == 10


def test_the_administrator_sees_members_and_a_member_itself(inspector: EmbeddedAws) -> None:
    inspector.inspector2.put_finding(finding(1))
    inspector.inspector2.put_finding(finding(2, OTHER))
    assert numbers(listed(inspector)) == {1, 2}
    assert numbers(listed(inspector, ACCOUNT)) == {1}
    assert numbers(listed(inspector, filterCriteria=equals(awsAccountId=OTHER))) == {2}


def test_an_account_without_inspector_is_denied(inspector: EmbeddedAws) -> None:
    with pytest.raises(ClientError) as error:
        listed(inspector, "999999999999")
    assert error.value.response["Error"]["Code"] == "AccessDeniedException"
    with pytest.raises(ClientError):
        inspector.client("inspector2", ADMINISTRATOR, "us-east-1").list_findings()


def test_findings_are_regional(inspector: EmbeddedAws) -> None:
    inspector.inspector2.enable(ADMINISTRATOR, "us-east-1")
    inspector.inspector2.put_finding(finding(1))
    assert inspector.client("inspector2", ADMINISTRATOR, "us-east-1").list_findings()["findings"] == []


def test_filters_narrow_together_and_values_widen(inspector: EmbeddedAws) -> None:
    put = inspector.inspector2.put_finding
    put(finding(1, image=1))
    put(finding(2, image=2, severity="LOW"))
    put(finding(3, image=3, status="SUPPRESSED"))
    hashes = [digest(1), digest(2), digest(3)]
    assert numbers(listed(inspector, filterCriteria=equals(ecrImageHash=hashes))) == {1, 2, 3}
    assert numbers(listed(inspector, filterCriteria=equals(ecrImageHash=hashes, findingStatus="ACTIVE"))) == {1, 2}
    assert numbers(listed(inspector, filterCriteria=equals(ecrImageHash=hashes[1:], severity="HIGH"))) == {3}
    criteria = {"ecrImageHash": [{"comparison": "NOT_EQUALS", "value": digest(1)}]}
    assert numbers(listed(inspector, filterCriteria=criteria)) == {2, 3}
    assert numbers(listed(inspector, filterCriteria={"epssScore": [{"lowerInclusive": 0.002}]})) == {2, 3}
    later = {"updatedAt": [{"startInclusive": NIGHT + timedelta(seconds=1)}]}
    assert listed(inspector, filterCriteria=later) == []
    kinds = equals(findingType="PACKAGE_VULNERABILITY", resourceType="AWS_ECR_CONTAINER_IMAGE")
    assert numbers(listed(inspector, filterCriteria=kinds)) == {1, 2, 3}


def test_more_than_ten_values_are_refused(inspector: EmbeddedAws) -> None:
    with pytest.raises(ClientError) as error:
        listed(inspector, filterCriteria=equals(ecrImageHash=[digest(number) for number in range(11)]))
    assert error.value.response["Error"]["Code"] == "ValidationException"


def test_a_filter_nobody_plays_is_refused_and_not_ignored(inspector: EmbeddedAws) -> None:
    with pytest.raises(ClientError) as error:
        listed(inspector, filterCriteria=equals(componentId="x"))
    assert error.value.response["Error"]["Code"] == "NotPlayedByTheEmbeddedAws"


def test_details_say_what_is_in_kev_and_fail_one_by_one(inspector: EmbeddedAws) -> None:
    known, strange = finding(1), finding(2, OTHER)
    inspector.inspector2.put_finding(known, {"cisaData": {"dateAdded": NIGHT}, "epssScore": 0.9, "tools": ["kit"]})
    inspector.inspector2.put_finding(strange)
    client = inspector.client("inspector2", ACCOUNT, REGION)
    gone = known["findingArn"][:-1] + "9"
    answer = client.batch_get_finding_details(findingArns=[known["findingArn"], strange["findingArn"], gone])
    (details,) = answer["findingDetails"]
    assert (details["cisaData"]["dateAdded"], details["epssScore"], details["tools"]) == (NIGHT, 0.9, ["kit"])
    assert {one["findingArn"]: one["errorCode"] for one in answer["errors"]} == {
        strange["findingArn"]: "ACCESS_DENIED",
        gone: "FINDING_DETAILS_NOT_FOUND",
    }
    with pytest.raises(ClientError) as error:
        client.batch_get_finding_details(findingArns=[known["findingArn"]] * 11)
    assert error.value.response["Error"]["Code"] == "ValidationException"


def test_dropped_findings_are_simply_not_there(inspector: EmbeddedAws) -> None:
    inspector.inspector2.put_finding(finding(1, image=1))
    inspector.inspector2.put_finding(finding(2, image=2))
    inspector.inspector2.drop_findings(digest(1))
    assert numbers(listed(inspector)) == {2}


def test_coverage_tells_scanned_from_no_longer_scanned(inspector: EmbeddedAws) -> None:
    for number, (code, reason) in enumerate([("ACTIVE", "SUCCESSFUL"), ("INACTIVE", "SCAN_ELIGIBILITY_EXPIRED")]):
        inspector.inspector2.put_coverage(
            REGION,
            {
                "accountId": ACCOUNT,
                "resourceId": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/shop/{digest(number)}",
                "resourceType": "AWS_ECR_CONTAINER_IMAGE",
                "scanType": "PACKAGE",
                "scanStatus": {"statusCode": code, "reason": reason},
            },
        )
    client = inspector.client("inspector2", ADMINISTRATOR, REGION)
    inactive = client.list_coverage(filterCriteria=equals(scanStatusCode="INACTIVE"))["coveredResources"]
    assert [one["scanStatus"]["reason"] for one in inactive] == ["SCAN_ELIGIBILITY_EXPIRED"]
    pages = client.get_paginator("list_coverage").paginate(PaginationConfig={"PageSize": 1})
    assert sum(len(page["coveredResources"]) for page in pages) == 2


def test_account_status_and_members(inspector: EmbeddedAws) -> None:
    client = inspector.client("inspector2", ADMINISTRATOR, REGION)
    status = client.batch_get_account_status(accountIds=[ACCOUNT, "999999999999"])
    assert [(one["accountId"], one["state"]["status"]) for one in status["accounts"]] == [(ACCOUNT, "ENABLED")]
    assert [one["accountId"] for one in status["failedAccounts"]] == ["999999999999"]
    assert {one["accountId"] for one in client.list_members()["members"]} == {ACCOUNT, OTHER}
    assert client.get_delegated_admin_account()["delegatedAdmin"]["accountId"] == ADMINISTRATOR


def test_state_survives_a_restart(inspector: EmbeddedAws) -> None:
    inspector.inspector2.put_finding(finding(1), {"epssScore": 0.5})
    before = listed(inspector)
    dumped = inspector.inspector2.dump()
    inspector.inspector2.restore({})
    inspector.inspector2.restore(dumped)
    assert listed(inspector) == before
