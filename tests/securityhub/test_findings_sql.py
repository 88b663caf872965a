"""sql/findings and sql/documents: from the assessed tables to findings in AWS's format, on a real DuckDB."""

from __future__ import annotations

from ecs_exposure.schemas.snapshots import SNAPSHOTS

from tests.securityhub.assessed import ACCOUNT, DAY, REGION, SERVICE, Assessed


def test_informational_exposures_are_no_findings(assessed: Assessed) -> None:
    assessed.exposure(severity="INFORMATIONAL", likelihood=None, driver=None)
    assert assessed.rows() == []


def test_a_bare_exposure_is_a_finding_with_its_service_alone(assessed: Assessed) -> None:
    assessed.exposure(vulnerability_count=None, exploit_probability=None)
    document = assessed.document()
    assert [resource["Id"] for resource in document["Resources"]] == [SERVICE]
    assert "Vulnerabilities" not in document


def test_traits_come_with_their_titles_and_unknown_ones_apart(assessed: Assessed) -> None:
    assessed.exposure(driver="open_security_group", traits=["open_security_group"], unknown_traits=["public_ip"])
    assessed.connection.execute(
        """insert into traits.catalogue values ('open_security_group', 'Open to anyone', 'Misconfiguration',
        ['service'], 'https://docs.aws.amazon.com/x', 'Close the group.', 'Close it', false)"""
    )
    assessed.trait("open_security_group", [{"group_id": "sg-1", "cidr": "0.0.0.0/0"}])
    assessed.trait("public_ip", state="unknown")
    document = assessed.document()
    assert "Open to anyone (group id sg-1, cidr 0.0.0.0/0)." in document["Description"]
    assert document["ProductFields"]["unknown_traits"] == "public_ip"
    assert document["Remediation"]["Recommendation"] == {
        "Text": "Close the group.",
        "Url": "https://docs.aws.amazon.com/x",
    }


def test_the_ten_worst_vulnerabilities_are_named_once_each_whatever_images_share_them(assessed: Assessed) -> None:
    assessed.exposure()
    assessed.image("sha256:aa")
    assessed.image("sha256:bb")
    for index in range(12):
        for digest in ("sha256:aa", "sha256:bb"):
            assessed.vulnerability(f"CVE-2026-{index:04d}", digest, probability=index / 100, epss=index / 100)
    assessed.vulnerability("CVE-2020-0001", probability=1.0, is_kernel_package=True)
    assessed.vulnerability("CVE-2020-0002", probability=1.0, is_suppressed=True)
    assessed.vulnerability("CVE-2026-0003", probability=0.03, high_priority=True, package_name="zlib")
    named = assessed.document()["Vulnerabilities"]
    assert [item["Id"] for item in named] == [
        "CVE-2026-0003", *(f"CVE-2026-{index:04d}" for index in (11, 10, 9, 8, 7, 6, 5, 4, 2)),
    ]  # fmt: skip
    assert [package["Name"] for package in named[0]["VulnerablePackages"]] == ["openssl", "zlib"]


def test_the_ten_likeliest_are_named_also_where_others_are_worse(assessed: Assessed) -> None:
    assessed.exposure()
    assessed.image("sha256:aa")
    for index in range(20):
        assessed.vulnerability(
            f"CVE-2026-{index:04d}", probability=0.9 - index / 100, epss=0.9 - index / 100, cvss_base_score=index / 2
        )
    named = [item["Id"] for item in assessed.document()["Vulnerabilities"]]
    assert named == [f"CVE-2026-{index:04d}" for index in range(10)]


def test_epss_of_every_vulnerability_may_change_without_changing_the_finding(assessed: Assessed) -> None:
    assessed.exposure()
    assessed.image()
    for index in range(25):
        assessed.vulnerability(f"CVE-2026-{index:04d}", cvss_base_score=5 + index / 10)
    before, told = assessed.content_hash(), assessed.document()
    assessed.connection.execute("update resources.found set epss = hash(vulnerability_id) % 1000 / 1000")
    assessed.connection.execute("update resources.found set probability = epss")
    assert assessed.document() != told
    assert assessed.content_hash() == before
    assessed.vulnerability("CVE-2026-9999", kev=True, probability=1.0)
    assert assessed.content_hash() != before


def test_the_best_fix_is_told_and_which_of_equals_comes_first_is_no_change(assessed: Assessed) -> None:
    assessed.exposure()
    assessed.fix(1, "openssl@sha256:aa", "MEDIUM")
    assessed.fix(2, "zlib@sha256:aa", "MEDIUM")
    assessed.fix(3, "public_ip", "HIGH", kind="trait")
    before, told = assessed.content_hash(), assessed.document()["ProductFields"]
    assert (told["fix"], told["fix_severity_after"]) == ("Remove openssl@sha256:aa", "MEDIUM")
    assessed.connection.execute("update exposures.fix set rank = case rank when 1 then 2 when 2 then 1 else 3 end")
    assert assessed.document()["ProductFields"]["fix"] == "Remove zlib@sha256:aa"
    assert assessed.content_hash() == before
    assessed.connection.execute("delete from exposures.fix where removed = 'zlib@sha256:aa'")
    assert assessed.content_hash() != before


def test_definition_role_image_and_groups_are_named(assessed: Assessed) -> None:
    definition = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/shop:7"
    role = f"arn:aws:iam::{ACCOUNT}:role/shop"
    place = {"account_id": ACCOUNT, "region": REGION, "observed_date": DAY}
    assessed.exposure()
    assessed.image()
    assessed.fill(
        "snapshot", SNAPSHOTS["service"],
        place | {
            "resource_id": SERVICE, "service_arn": SERVICE, "cluster_arn": "arn:cluster", "cluster_name": "main",
            "service_name": "shop", "status": "ACTIVE", "task_definition_arn": definition, "assign_public_ip": True,
            "subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"], "desired_count": 1,
        },
    )  # fmt: skip
    assessed.fill(
        "snapshot", SNAPSHOTS["task_definition"],
        place | {
            "task_definition_arn": definition, "family": "shop", "revision": 7, "extractor_version": "1",
            "network_mode": "awsvpc", "task_role_arn": role,
        },
    )  # fmt: skip
    assessed.fill(
        "snapshot", SNAPSHOTS["subnet"], place | {"subnet_id": "subnet-1", "vpc_id": "vpc-1", "cidr": "10.0.0.0/24"}
    )
    assessed.fill(
        "snapshot", SNAPSHOTS["security_group"], place | {"group_id": "sg-1", "group_name": "web", "vpc_id": "vpc-1"}
    )
    resources = assessed.document()["Resources"]
    assert [resource["Id"] for resource in resources] == [
        SERVICE, definition, role, f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/shop/sha256:aa",
        f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-1",
    ]  # fmt: skip
    network = resources[0]["Details"]["AwsEcsService"]["NetworkConfiguration"]["AwsVpcConfiguration"]
    assert network == {"AssignPublicIp": "ENABLED", "SecurityGroups": ["sg-1"], "Subnets": ["subnet-1"]}


def test_the_id_is_cluster_and_service_where_that_fits_and_is_plain_else_a_hash(assessed: Assessed) -> None:
    prefix = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/"
    for name in ("main/shop", "main/" + "x" * 500, "main/sh op", "main/sho\u00f6p"):
        assessed.exposure(resource_id=prefix + name)
    plain, *hashed = sorted((row["finding_id"] for row in assessed.rows()), key=len)
    assert plain == f"ecs-exposure/aws/{ACCOUNT}/{REGION}/main/shop"
    assert len(set(hashed)) == 3
    assert {len(identity) for identity in hashed} == {len(f"ecs-exposure/aws/{ACCOUNT}/{REGION}/") + 64}
