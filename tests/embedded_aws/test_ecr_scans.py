"""ECR's scan results, image by image and page by page, which moto does not play; and who administers Inspector."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_aws import EmbeddedAws

from tests.embedded_aws.conftest import ACCOUNT, REGION

MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {}, "layers": []}
)


@pytest.fixture
def ecr(aws: EmbeddedAws) -> Any:
    client = aws.client("ecr", ACCOUNT, REGION)
    client.create_repository(repositoryName="shop")
    client.put_image(repositoryName="shop", imageManifest=MANIFEST, imageTag="1.0")
    return client


def scanned(client: Any, **image: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("describe_image_scan_findings").paginate(
        repositoryName="shop", imageId=image or {"imageTag": "1.0"}, PaginationConfig={"PageSize": 2}
    )
    return list(pages)


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_an_image_without_a_scan_one_that_is_gone_and_a_repository_that_is(ecr: Any) -> None:
    with pytest.raises(ClientError) as error:
        scanned(ecr)
    assert code(error) == "ScanNotFoundException"
    with pytest.raises(ClientError) as error:
        scanned(ecr, imageDigest="sha256:" + "0" * 64)
    assert code(error) == "ImageNotFoundException"
    with pytest.raises(ClientError) as error:
        ecr.describe_image_scan_findings(repositoryName="none", imageId={"imageTag": "1.0"})
    assert code(error) == "RepositoryNotFoundException"


@pytest.mark.parametrize("member", ["findings", "enhancedFindings"])
def test_findings_come_in_pages(aws: EmbeddedAws, ecr: Any, member: str) -> None:
    digest = ecr.describe_images(repositoryName="shop")["imageDetails"][0]["imageDigest"]
    name = "name" if member == "findings" else "title"
    found = {member: [{name: f"CVE-{number}"} for number in range(5)]}
    aws.ecr_scans.put_scan((ACCOUNT, REGION, "shop", digest), "COMPLETE", found)
    pages = scanned(ecr, imageDigest=digest)
    assert [len(page["imageScanFindings"][member]) for page in pages] == [2, 2, 1]
    assert {page["imageScanStatus"]["status"] for page in pages} == {"COMPLETE"}
    assert [item[name] for page in pages for item in page["imageScanFindings"][member]] == [
        f"CVE-{number}" for number in range(5)
    ]
    kept = aws.ecr_scans.dump()
    aws.ecr_scans.restore(json.loads(json.dumps(kept)))
    assert aws.ecr_scans.dump() == kept


def test_each_region_has_its_own_administrator_and_an_account_is_told_of_itself(aws: EmbeddedAws) -> None:
    inspector = aws.client("inspector2", ACCOUNT, REGION)
    with pytest.raises(ClientError) as error:
        inspector.get_delegated_admin_account()
    assert code(error) == "ResourceNotFoundException"
    aws.inspector2.delegate("222222222222")
    aws.inspector2.delegate("333333333333", "us-east-1")
    told = {
        region: aws.client("inspector2", ACCOUNT, region).get_delegated_admin_account()["delegatedAdmin"]["accountId"]
        for region in (REGION, "us-east-1")
    }
    assert told == {REGION: "222222222222", "us-east-1": "333333333333"}
    (own,) = inspector.batch_get_account_status(accountIds=[ACCOUNT])["accounts"]
    assert own["resourceState"]["ecr"]["status"] == "DISABLED"
    answer = inspector.batch_get_account_status(accountIds=["222222222222"])
    assert [item["errorCode"] for item in answer["failedAccounts"]] == ["ACCESS_DENIED"]
