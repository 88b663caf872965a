"""From exposures to findings: what a finding says, what it never says, and that Security Hub's contract accepts
whatever comes.
"""

from __future__ import annotations

import json
from datetime import date
from itertools import chain
from typing import Any

import pytest
from ecs_exposure.securityhub.asff import MAX_FINDING_BYTES, checksum, closing_document, to_asff, wire_bytes
from ecs_exposure.securityhub.text import clean, cut, length
from embedded_aws import EmbeddedAws
from embedded_aws.finding_format import problems
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.securityhub.rows import ACCOUNT, REGION, row, trait, vulnerability

UPDATED = "2026-11-01T03:00:00.000Z"


def test_a_finding_says_what_can_happen_what_is_wrong_and_what_to_do() -> None:
    finding = to_asff(row(), "aws")
    assert finding["Id"] == f"ecs-exposure/aws/{ACCOUNT}/{REGION}/main/shop"
    assert finding["ProductArn"] == f"arn:aws:securityhub:{REGION}:{ACCOUNT}:product/{ACCOUNT}/default"
    assert finding["Title"] == "The internet can run code in ECS service shop through CVE-2026-1111"
    assert "Task definition privileged (container web" in finding["Description"]
    assert finding["FindingProviderFields"]["Severity"] == {
        "Label": "HIGH",
        "Original": "likelihood=High;impact=Medium;p=0.421",
    }
    assert finding["Remediation"]["Recommendation"]["Text"].startswith("Update openssl to 3.0.8: HIGH becomes MEDIUM.")
    assert finding["CreatedAt"] == finding["FirstObservedAt"] == "2026-10-20T00:00:00.000Z"
    told = finding["ProductFields"]
    assert told["vulnerability_count"] == "37"
    assert (told["owner"], told["ou_path"], told["account_name"]) == (
        "team-shop", "/Workloads/Production", "shop-production",
    )  # fmt: skip
    assert told["fix_removes"] == "package openssl@sha256:aa"
    assert told["due_date"] == "2026-11-15"
    assert "minimum_reason" not in told
    assert [item["Id"] for item in finding["Vulnerabilities"]] == ["CVE-2026-1111", "CVE-2026-2222"]


def test_a_configuration_that_drives_is_called_by_its_title_and_arns_are_short_in_prose() -> None:
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/shop:7"
    made = row(driver="public_ip", trait_details=[trait("public_ip", evidence=[{"task_definition": arn}] * 3)])
    finding = to_asff(made, "aws")
    assert "likelihood High because of “Public ip”, impact Medium." in finding["Description"]
    assert "Public ip (task definition task-definition/shop:7; " in finding["Description"]
    assert "; 1 more)." in finding["Description"]
    assert finding["ProductFields"]["evidence/public_ip"] == "; ".join([f"task definition {arn}"] * 3)


def test_traits_beyond_awss_are_told_after_them() -> None:
    details = [
        trait("container_runs_as_root", evidence=[{"containers": ["web"]}], is_ours=True),
        trait("public_ip", evidence=[{"on": "settings"}]),
        trait("writable_root_filesystem", evidence=[{"containers": ["web"]}], is_ours=True),
        trait("vulnerability", "Vulnerability"),
    ]
    text = to_asff(row(driver="public_ip", trait_details=details), "aws")["Description"]
    places = [text.index(word) for word in ("Public ip (", "Vulnerability.", "Container runs as root", "Writable root")]
    assert places == sorted(places)


def test_a_fix_that_only_lowers_the_score_says_so() -> None:
    made = row(fix=row()["fix"] | {"severity_after": "HIGH", "score_after": 71.4})
    text = to_asff(made, "aws")["Remediation"]["Recommendation"]["Text"]
    assert text.startswith("Update openssl to 3.0.8: HIGH stays, the score falls to 71.")


def test_the_service_comes_first_among_the_resources_and_each_is_named_once() -> None:
    resources = to_asff(row(), "aws")["Resources"]
    assert [(resource["Type"], resource["Id"]) for resource in resources] == [
        ("AwsEcsService", f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/shop"),
        ("AwsEcsTaskDefinition", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/shop:7"),
        ("AwsIamRole", f"arn:aws:iam::{ACCOUNT}:role/shop"),
        ("AwsEcrContainerImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/shop/sha256:aa"),
        ("AwsEc2SecurityGroup", f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-1"),
        ("Container", "docker.io/library/nginx:latest"),
    ]
    assert resources[0]["Tags"] == {"owner": "team-shop"}  # aws: tags are not a customer's


def test_more_resources_than_security_hub_takes_leave_every_kind_a_place() -> None:
    many = row(
        task_role_arns=[f"arn:aws:iam::{ACCOUNT}:role/r{index}" for index in range(60)],
        security_groups=[
            {"group_id": f"sg-{index}", "group_name": "g", "vpc_id": "vpc-1", "account_id": ACCOUNT}
            for index in range(60)
        ],
    )
    finding = to_asff(many, "aws")
    assert len(finding["Resources"]) == 32
    assert {resource["Type"] for resource in finding["Resources"]} >= {
        "AwsEcsService", "AwsEcsTaskDefinition", "AwsIamRole", "AwsEcrContainerImage", "AwsEc2SecurityGroup",
    }  # fmt: skip
    assert finding["ProductFields"]["resources_total"] == "124"


def test_what_belongs_to_the_customer_is_never_sent() -> None:
    text = json.dumps(to_asff(row(), "aws"))
    for member in ("Workflow", "Note", "UserDefinedFields", "VerificationState", '"Environment"', '"UpdatedAt"'):
        assert member not in text
    assert "Severity" not in to_asff(row(), "aws")


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_every_arn_is_of_the_partition(partition: str, region: str) -> None:
    made = row(region=region)
    made = json.loads(json.dumps(made, default=str).replace("arn:aws:", f"arn:{partition}:"))
    made |= {key: row()[key] for key in ("snapshot_date", "observed_date", "first_observed_date", "due_date")}
    assert "arn:aws:" not in json.dumps(to_asff(made, partition))


def test_an_unknown_is_told_as_unknown_and_never_as_zero() -> None:
    made = row(
        vulnerability_count=None, exploit_probability=None, is_minimum=True, minimum_reason="IAM was not read",
        unknown_traits=["administrative_access_policy"],
    )  # fmt: skip
    finding = to_asff(made, "aws")
    assert "vulnerability_count" not in finding["ProductFields"]
    assert "p=unknown" in finding["FindingProviderFields"]["Severity"]["Original"]
    assert "at least HIGH" in finding["Description"]
    assert "Not seen or not known: IAM was not read." in finding["Description"]


def test_the_finding_of_a_monster_is_cut_down_to_240_kb() -> None:
    wall = "漢" * 4000  # six bytes a character on the wire
    package = dict.fromkeys(("name", "version", "file_path", "fixed_in_version", "remediation"), wall)
    image = dict.fromkeys(("registry_account", "registry_region", "repository_name")) | {"scan_status": "unknown"}
    made = row(
        trait_details=[trait(f"trait_{index}", evidence=[{"container": wall}] * 20) for index in range(40)],
        driver_rule=wall, impact_reason=wall, tags=json.dumps({f"k{index}{wall}": wall for index in range(60)}),
        vulnerabilities=[
            vulnerability(f"CVE-2026-{index}", packages=[package] * 3) for index in range(10)
        ],
        images=[image | {"image": f"{index}{wall}", "image_digest": wall} for index in range(40)],
    )  # fmt: skip
    finding = to_asff(made, "aws")
    assert wire_bytes(finding) <= MAX_FINDING_BYTES
    assert problems(finding | {"UpdatedAt": UPDATED}) == []


def test_a_closing_document_is_acceptable_by_itself() -> None:
    closing = closing_document(row(), "aws")
    assert closing["RecordState"] == "ARCHIVED"
    dates = dict.fromkeys(("CreatedAt", "FirstObservedAt", "UpdatedAt"), UPDATED)
    assert problems(closing | dates) == []


def test_the_checksum_covers_what_a_finding_says_and_not_when_it_says_so() -> None:
    told = to_asff(row(), "aws")
    assert checksum(told) == told["ProductFields"]["checksum"]
    later = told | {"UpdatedAt": UPDATED, "CreatedAt": UPDATED, "RecordState": "ARCHIVED"}
    stored = later | {"ProductFields": told["ProductFields"] | {"aws/securityhub/FindingId": "arn:x"}}
    assert checksum(stored) == checksum(told)
    severity = told["FindingProviderFields"] | {"Severity": {"Label": "LOW"}}
    for changes in (
        {"Title": "x"}, {"Description": "x"}, {"FindingProviderFields": severity}, {"Resources": []},
        {"Remediation": {}}, {"ProductFields": told["ProductFields"] | {"owner": "someone-else"}},
    ):  # fmt: skip
        assert checksum(told | changes) != checksum(told)


# --- texts ----------------------------------------------------------------------------------------------------------


def test_a_text_that_looks_clean_at_once_is_what_cleaning_makes_of_it() -> None:
    planes = (code for plane in range(1, 17) for code in range(plane << 16 | 0xFFF0, (plane + 1) << 16))
    for code in chain(range(0x10000), range(0xE0000, 0xE1000), planes):
        text = f"a{chr(code)}b"
        assert clean(text) == clean(f"  {text}"), hex(code)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("two\nlines\tand\x00 a NUL", "two lines and a NUL"),
        ("safe\u202egnp.exe", "safegnp.exe"),
        ("half \ud83d pair", "half pair"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\u200b \ufeff", ""),
    ],
)
def test_what_cannot_be_seen_is_removed(given_text: str, expected: str) -> None:
    assert clean(given_text) == expected


def test_texts_are_cut_at_a_word() -> None:
    assert cut("alpha beta gamma delta", 16) == "alpha beta…"
    assert cut("unbreakablelongword", 8) == "unbreak…"
    assert cut("fits", 4) == "fits"


@given(st.text(st.characters(exclude_categories=())), st.integers(2, 60))
def test_cut_text_is_within_its_limit_encodable_and_cut_for_good(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert length(short) <= limit
    assert short.encode().decode() == short
    assert cut(short, limit) == short


# --- anything at all ------------------------------------------------------------------------------------------------

_HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.sampled_from(
        [
            "", " ", "\x00", "\ud800", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "'; drop table finding; --",
            "x" * 5000, "漢" * 3000, "\U0001f4a5" * 2000, "a b " * 2000, "\u202e\u200b", "arn:aws:iam::1:role/\n",
        ]
    ),
)  # fmt: skip
_TEXT_OR_NULL = st.none() | _HOSTILE
_NUMBER = st.none() | st.floats(0, 1)
_EVIDENCE = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.floats(allow_nan=False, allow_infinity=False) | _HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_HOSTILE, inner, max_size=3),
    max_leaves=6,
)
_TRAIT = st.builds(
    lambda name, category, evidence, title, state: trait(name, category, evidence, state) | {"title": title},
    st.sampled_from(["open_security_group", "cleartext_credentials", "vulnerability", "iam_role_assumable"]) | _HOSTILE,
    st.sampled_from(["Misconfiguration", "Reachability", "Vulnerability", "Assumability", "Impact"]),
    st.none() | st.lists(_EVIDENCE, max_size=4),
    _TEXT_OR_NULL,
    st.sampled_from(["hit", "unknown"]),
)
_PACKAGE = st.fixed_dictionaries(
    dict.fromkeys(("name", "version", "file_path", "fixed_in_version", "remediation"), _TEXT_OR_NULL)
)
_VULNERABILITY = st.builds(
    lambda identity, packages, score, vector, epss, exploit: {
        "vulnerability_id": identity, "packages": packages, "cvss_base_score": score, "cvss_vector": vector,
        "epss": epss, "exploit_available": exploit,
    },
    _HOSTILE, st.none() | st.lists(_PACKAGE, max_size=4), _NUMBER, _TEXT_OR_NULL, _NUMBER, st.none() | st.booleans(),
)  # fmt: skip
_IMAGE = st.fixed_dictionaries(
    {
        "image": _HOSTILE,
        **dict.fromkeys(("image_digest", "registry_account", "registry_region", "repository_name"), _TEXT_OR_NULL),
        "scan_status": st.just("unknown"),
    }
)
_GROUP = st.fixed_dictionaries(
    {"group_id": _HOSTILE, "group_name": _TEXT_OR_NULL, "vpc_id": _TEXT_OR_NULL, "account_id": st.just(ACCOUNT)}
)


@st.composite
def exposures(draw: st.DrawFn) -> dict[str, Any]:
    """Any exposure the types allow, with names, tags and evidence from someone who means harm."""
    texts = (
        "driver",
        "driver_rule",
        "impact_reason",
        "minimum_reason",
        "account_name",
        "ou_path",
        "owner",
        "launch_type",
    )
    changes: dict[str, Any] = {name: draw(_TEXT_OR_NULL) for name in texts}
    changes |= {name: draw(_HOSTILE) for name in ("title", "cluster_name", "service_name")}
    changes |= {name: draw(_NUMBER) for name in ("exploit_probability", "highest_probability")}
    changes |= {
        "resource_id": f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/" + draw(_HOSTILE),
        "severity": draw(st.sampled_from(["CRITICAL", "HIGH", "MEDIUM", "LOW"])),
        "likelihood": draw(st.none() | st.sampled_from(["Very High", "High", "Moderate", "Low"])),
        "impact": draw(st.sampled_from(["High", "Medium", "Low", "Unknown"])),
        "is_exposed": draw(st.booleans()),
        "is_minimum": draw(st.booleans()),
        "unknown_traits": draw(st.lists(_HOSTILE, max_size=4)),
        "tags": draw(st.none() | st.dictionaries(_HOSTILE, _HOSTILE, max_size=6).map(json.dumps)),
        "trait_details": draw(st.lists(_TRAIT, max_size=6)),
        "vulnerabilities": draw(st.lists(_VULNERABILITY.map(json.dumps), max_size=12)),
        "images": draw(st.lists(_IMAGE, max_size=5)),
        "security_groups": draw(st.lists(_GROUP, max_size=5)),
        "task_role_arns": draw(st.lists(_HOSTILE, max_size=3)),
        "first_observed_date": draw(st.dates(date(2020, 1, 1), date(2030, 1, 1))),
        "due_date": draw(st.none() | st.dates()),
        "fix": draw(st.none() | st.just(row()["fix"]) | st.just(row()["fix"] | {"description": "y" * 3000})),
    }
    return row(**changes)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(exposures(), min_size=1, max_size=8))
def test_security_hub_accepts_the_finding_of_any_exposure(server: EmbeddedAws, made: list[dict[str, Any]]) -> None:
    server.securityhub.enable(ACCOUNT, REGION)
    findings = [to_asff(item, "aws") | {"UpdatedAt": UPDATED} for item in made]
    client = server.client("securityhub", ACCOUNT, REGION)
    answer = client.batch_import_findings(Findings=findings)
    assert answer["FailedFindings"] == []
    assert answer["SuccessCount"] == len(findings)
    assert [to_asff(item, "aws") for item in made] == [to_asff(item, "aws") for item in made]
