"""The sample organisation as AWS shows it: refusals, nights, repeatability, and that expected.yaml speaks of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from embedded_aws import EmbeddedAws
from embedded_aws.load_images import drifted
from embedded_aws.load_services import made_up
from embedded_aws.organization import first_night, sample_settings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "sample_org"
EXPECTED = yaml.safe_load((ROOT / "tests" / "sample_org" / "expected.yaml").read_text(encoding="utf-8"))
TRAITS = {
    "task_definition_privileged", "iam_role_assumable", "root_filesystem_access", "host_process_namespace",
    "cleartext_credentials", "open_security_group", "public_ip", "host_network_mode", "administrative_access_policy",
    "high_priority_vulnerability", "vulnerability", "image_not_scanned",
}  # fmt: skip


@pytest.fixture(scope="module")
def night_1() -> Iterator[EmbeddedAws]:
    with EmbeddedAws(SAMPLE) as aws:
        yield aws


def services(aws: EmbeddedAws) -> dict[str, dict[str, Any]]:
    """Every active service by "<account>/<Region>/<cluster>/<service>"."""
    names = {account["id"]: name for name, account in aws.organization.accounts.items()}
    return {
        f"{names[space.account_id]}/{space.region}/{cluster_name}/{name}": service
        for space in aws.ecs.spaces.values()
        for cluster_name, cluster in space.clusters.items()
        for name, service in cluster.services.items()
        if service["status"] == "ACTIVE"
    }


def assume(aws: EmbeddedAws, account_id: str, role: str = "ecs-exposure-read", **given: str) -> Any:
    environment = aws.environ()
    sts = boto3.client(
        "sts",
        region_name="eu-west-1",
        endpoint_url=aws.endpoint_url,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    given.setdefault("ExternalId", "sample-external-id")
    return sts.assume_role(RoleArn=f"arn:aws:iam::{account_id}:role/{role}", RoleSessionName="test", **given)


def as_role(aws: EmbeddedAws, account_id: str, service: str, region: str = "eu-west-1") -> Any:
    key = assume(aws, account_id)["Credentials"]
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=aws.endpoint_url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key["SessionToken"],
    )


# --- what the data promises ---


def test_expected_yaml_names_the_services_that_are_there(night_1: EmbeddedAws) -> None:
    assert set(services(night_1)) == set(EXPECTED["services"]) | set(EXPECTED["unseen"])


def test_every_trait_is_hit_at_least_twice() -> None:
    hits = [trait for one in EXPECTED["services"].values() for trait in one["traits"] if isinstance(trait, str)]
    assert {trait for trait in TRAITS if hits.count(trait) >= 2} == TRAITS
    assert set(hits) <= {path.stem for path in (ROOT / "sql" / "traits").glob("*.sql")}
    assert {one["severity"] for one in EXPECTED["services"].values()} == {
        "CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", None,
    }  # fmt: skip


def test_the_organisation_is_listed_with_units_tags_and_states(night_1: EmbeddedAws) -> None:
    client = night_1.client("organizations", "111111111111", "us-east-1")
    accounts = {one["Id"]: one for page in client.get_paginator("list_accounts").paginate() for one in page["Accounts"]}
    assert {one["Name"]: id for id, one in accounts.items()} == EXPECTED["accounts"]
    assert {id for id, one in accounts.items() if one["State"] == "SUSPENDED"} == {"999999999999"}
    parent = client.list_parents(ChildId="666666666666")["Parents"][0]["Id"]
    unit = client.describe_organizational_unit(OrganizationalUnitId=parent)["OrganizationalUnit"]
    assert unit["Name"] == "Sandbox"
    above = client.list_parents(ChildId=parent)["Parents"][0]["Id"]
    assert client.describe_organizational_unit(OrganizationalUnitId=above)["OrganizationalUnit"]["Name"] == "Workloads"
    tags = client.list_tags_for_resource(ResourceId="444444444444")["Tags"]
    assert {"Key": "owner", "Value": "payments"} in tags


def test_every_running_task_has_an_image_that_its_registry_knows(night_1: EmbeddedAws) -> None:
    for space in night_1.ecs.spaces.values():
        for cluster in space.clusters.values():
            for task in cluster.tasks.values():
                for container in task["containers"]:
                    if ".dkr.ecr." not in container["image"]:
                        continue
                    registry, _, _, region, *_ = container["image"].split(".")
                    repository, _, tag = container["image"].partition("/")[2].rpartition(":")
                    ecr = night_1.client("ecr", registry, region)
                    by_tag = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
                    digest = by_tag["imageDetails"][0]["imageDigest"]
                    assert digest == container["imageDigest"]
                    by_digest = ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])
                    assert by_digest["imageDetails"][0]["imageTags"] == [tag]


def test_an_index_leads_to_the_manifests_that_inspector_scans(night_1: EmbeddedAws) -> None:
    running = night_1.ecs.spaces["333333333333", "eu-west-1"].clusters["shop"].group("service:product-catalog")[0]
    digest = running["containers"][0]["imageDigest"]
    ecr = night_1.client("ecr", "333333333333", "eu-west-1")
    (image,) = ecr.batch_get_image(repositoryName="product-catalog", imageIds=[{"imageDigest": digest}])["images"]
    index = json.loads(image["imageManifest"])
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    platforms = {one["platform"]["architecture"]: one["digest"] for one in index["manifests"]}
    assert platforms.keys() == {"amd64", "arm64", "unknown"}
    inspector = night_1.client("inspector2", "222222222222", "eu-west-1")

    def findings(image_hash: str) -> list[Any]:
        criteria = {"ecrImageHash": [{"comparison": "EQUALS", "value": image_hash}]}
        return list(inspector.list_findings(filterCriteria=criteria)["findings"])

    assert findings(digest) == []
    assert [len(findings(platforms[name])) for name in ("amd64", "arm64", "unknown")] == [1, 1, 0]


def test_services_behind_a_balancer_have_a_target_group_of_it(night_1: EmbeddedAws) -> None:
    balancers = night_1.client("elbv2", "333333333333", "eu-west-1")
    groups = {one["TargetGroupArn"]: one for one in balancers.describe_target_groups()["TargetGroups"]}
    scheme = {one["LoadBalancerArn"]: one["Scheme"] for one in balancers.describe_load_balancers()["LoadBalancers"]}
    service = services(night_1)["storefront/eu-west-1/shop/checkout-web"]
    (arn,) = groups[service["loadBalancers"][0]["targetGroupArn"]]["LoadBalancerArns"]
    assert scheme[arn] == "internet-facing"


def test_inspector_knows_kev_and_findings_lie_with_the_registry(night_1: EmbeddedAws) -> None:
    client = night_1.client("inspector2", "222222222222", "eu-west-1")
    findings = [one for page in client.get_paginator("list_findings").paginate() for one in page["findings"]]
    log4shell = [one for one in findings if one["packageVulnerabilityDetails"]["vulnerabilityId"] == "CVE-2021-44228"]
    assert {one["awsAccountId"] for one in log4shell} >= {"333333333333", "777777777777"}
    (details,) = client.batch_get_finding_details(findingArns=[log4shell[0]["findingArn"]])["findingDetails"]
    assert details["cisaData"]["dateAdded"].date().isoformat() == "2021-12-10"
    scanning = night_1.client("ecr", "333333333333", "eu-west-1").get_registry_scanning_configuration()
    assert scanning["scanningConfiguration"]["scanType"] == "ENHANCED"


def test_security_hub_is_enabled_everywhere_but_in_one_region(night_1: EmbeddedAws) -> None:
    night_1.client("securityhub", "444444444444", "eu-west-1").describe_hub()
    with pytest.raises(ClientError):
        night_1.client("securityhub", "444444444444", "us-east-1").describe_hub()


# --- refusals ---


def test_sts_wants_role_and_external_id_and_refuses_like_aws(night_1: EmbeddedAws) -> None:
    assume(night_1, "333333333333")
    assume(night_1, "333333333333", "ecs-exposure-publish")
    assume(night_1, "111111111111", "ecs-exposure-organization")
    for account_id, role, given in [
        ("333333333333", "ecs-exposure-read", {"ExternalId": "another"}),
        ("333333333333", "ecs-exposure-organization", {}),
        ("333333333333", "no-such-role", {}),
        ("666666666666", "ecs-exposure-read", {}),
        ("999999999999", "ecs-exposure-read", {}),
        ("123412341234", "ecs-exposure-read", {}),
    ]:
        with pytest.raises(ClientError) as error:
            assume(night_1, account_id, role, **given)
        assert error.value.response["Error"] == {
            "Type": "Sender",
            "Code": "AccessDenied",
            "Message": "User: arn:aws:iam::222222222222:user/ecs-exposure-scanner is not authorized to perform: "
            f"sts:AssumeRole on resource: arn:aws:iam::{account_id}:role/{role}",
        }


def test_what_a_role_may_not_do_is_denied_to_it_alone(night_1: EmbeddedAws) -> None:
    with pytest.raises(ClientError) as error:
        as_role(night_1, "222222222222", "ec2").describe_network_acls()
    assert error.value.response["Error"]["Code"] == "UnauthorizedOperation"
    as_role(night_1, "222222222222", "ec2").describe_subnets()
    as_role(night_1, "333333333333", "ec2").describe_network_acls()
    night_1.client("ec2", "222222222222", "eu-west-1").describe_network_acls()
    with pytest.raises(ClientError) as error:
        as_role(night_1, "888888888888", "iam").get_account_authorization_details()
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def test_the_settings_fit_the_organisation(night_1: EmbeddedAws) -> None:
    settings = sample_settings(SAMPLE)
    assume(
        night_1,
        "333333333333",
        settings["ECS_EXPOSURE_READ_ROLE_NAME"],
        ExternalId=settings["ECS_EXPOSURE_EXTERNAL_ID"],
    )
    assert night_1.today == first_night(SAMPLE)


# --- data ---


def test_epss_drifts_but_crosses_no_threshold() -> None:
    cves = yaml.safe_load((SAMPLE / "images.yaml").read_text(encoding="utf-8"))["cves"]
    for cve, what in cves.items():
        if "epss" not in what:
            continue
        values = [drifted(what["epss"], cve, night) for night in range(1, 60)]
        assert values[0] == pytest.approx(what["epss"], abs=1e-5)
        assert len(set(values)) > 1
        for threshold in (0.01, 0.10):
            assert len({value >= threshold for value in values}) == 1, (cve, threshold)


def test_made_up_secrets_are_repeatable_and_nowhere_in_the_files() -> None:
    assert made_up("made-up github-token", "a") == made_up("made-up github-token", "a")
    assert made_up("made-up github-token", "a") != made_up("made-up github-token", "b")
    assert made_up("plain", "a") == "plain"
    for file in SAMPLE.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert not any(mark in text for mark in ("AKIA", "ghp_", "xoxb-", "BEGIN RSA"))
