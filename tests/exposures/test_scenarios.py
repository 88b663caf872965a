"""What would remain of an exposure without one trait, package or image, and which removal is worth most."""

from __future__ import annotations

import pytest

from tests import sql_harness
from tests.exposures.night import ACCOUNT, Night, Results, assess, cve, digest_of

PARTIAL = "AV:N/AC:L/PR:L/UI:N/C:L/I:L/A:N"


@pytest.fixture(scope="module")
def results() -> Results:
    night = Night()
    night.service("direct", public=True, cves=(cve(epss=0.5),))
    night.service("both-ways", public=True, balancer="internet-facing", cves=(cve(epss=0.5),))
    night.service("admin", public=True, role="admin")
    night.service("admin-with-credential", public=True, role="admin", credential="generic")
    night.service("path", public=True, role="path")
    night.service("shell", public=True, role="shell")
    night.service("redis", public=True, ports=(6379, 8080), role="data")
    night.service(
        "packages",
        public=True,
        cves=(
            cve(epss=0.5, packages=("libssl3", "openssl")),
            cve(epss=0.2, packages=("openssl",)),
            cve(vector=PARTIAL, packages=("zlib",)),
        ),
    )
    night.service(
        "two-images", public=True, cves=(cve(id="CVE-2026-1", epss=0.5),), sidecar=(cve(id="CVE-2026-1", epss=0.5),)
    )
    everywhere = (cve(id="CVE-2026-3", epss=0.5),)
    night.service("three-images", public=True, cves=everywhere, sidecar=everywhere, second_sidecar=everywhere)
    night.service(
        "kernel-beside",
        cves=(cve(id="CVE-2026-2", kev=True, packages=("zlib",)),),
        sidecar=(cve(id="CVE-2026-2", kev=True, packages=("linux-libc-dev",)),),
    )
    night.service("one-bad-image", public=True, cves=(cve(epss=0.5),), sidecar=(cve(vector=PARTIAL),))
    night.service(
        "escape", launch_type="EC2", network_mode="bridge", is_privileged=True, mounts=(("/var/run/docker.sock", True),)
    )
    on_ec2 = {"launch_type": "EC2", "network_mode": "bridge"}
    night.service("socket", **on_ec2, mounts=(("/var/run/docker.sock", True),))
    night.service("socket-and-data", **on_ec2, mounts=(("/var/run/docker.sock", True), ("/srv", False)))
    night.service("capabilities", **on_ec2, capabilities=("SYS_ADMIN", "SYS_MODULE"))
    night.service("tracer", **on_ec2, pid_mode="host", capabilities=("SYS_PTRACE",))
    night.service("two-escapes", **on_ec2, is_privileged=True, capabilities=("SYS_ADMIN",))
    night.service("on-a-public-host", launch_type="EC2", network_mode="host", public=True, cves=(cve(epss=0.5),))
    night.service("harmless", balancer="internet-facing", role="scoped")
    return assess(night)


def after(results: Results, service: str, kind: str = "trait") -> dict[str, str]:
    return {row["removed"]: row["severity"] for row in results.rows("scenario", service) if row["removed_kind"] == kind}


def test_as_is_is_the_exposure(results: Results) -> None:
    as_is = {row["resource_id"]: row for row in results.rows("scenario") if row["removed_kind"] == "as_is"}
    assert as_is.keys() == {row["resource_id"] for row in results.rows("exposure")}
    for row in results.rows("exposure"):
        said = as_is[row["resource_id"]]
        assert (said["severity"], said["score"]) == (row["severity"], row["score"])


REASONS = {
    "admin": {"the task role allows administration": ["administrative_access_policy"]},
    "shell": {"the task role can go further (access existing executor path)": ["has_access_existing_executor_path"]},
    "escape": {
        "host escape: privileged container on a host of ours": ["task_definition_privileged"],
        "host escape: container runtime socket": ["container_runtime_socket_mounted", "root_filesystem_access"],
    },
    "tracer": {
        "host escape: host process namespace with SYS_PTRACE": ["dangerous_linux_capability", "host_process_namespace"]
    },
    "direct": {},
}


@pytest.mark.parametrize("service", REASONS)
def test_each_reason_for_an_impact_names_the_traits_it_needs(results: Results, service: str) -> None:
    rows = results.rows("impact_reason", service)
    assert {row["reason"]: row["needs_traits"] for row in rows} == REASONS[service]
    assert {row["impact"] for row in rows} == ({"Medium"} if service == "shell" else {"High"} if rows else set())


@pytest.mark.parametrize("trait", ["public_ip", "open_security_group"])
@pytest.mark.parametrize("service", ["direct", "on-a-public-host"])
def test_either_half_of_a_direct_path_takes_it_away(results: Results, service: str, trait: str) -> None:
    # Exposed: 3 days (Very High) × Low is HIGH. Not exposed: 60 days (Moderate) × Low is LOW.
    assert results.exposures()[service]["severity"] == "HIGH"
    assert after(results, service)[trait] == "LOW"


def test_the_path_through_a_load_balancer_stays(results: Results) -> None:
    assert after(results, "both-ways")["public_ip"] == after(results, "both-ways")["open_security_group"] == "HIGH"


def test_the_trait_of_the_vulnerabilities_takes_them_all(results: Results) -> None:
    left = after(results, "direct")
    assert left["high_priority_vulnerability"] == "LOW"  # the open group alone: Moderate × Low


def test_a_role_takes_its_administration_with_it(results: Results) -> None:
    assert results.exposures()["admin"]["severity"] == "HIGH"
    left = after(results, "admin")
    assert left["administrative_access_policy"] == left["iam_role_assumable"] == "LOW"
    assert left["public_ip"] == "MEDIUM"
    # The credential keeps the impact at Medium once the administration is gone.
    assert after(results, "admin-with-credential")["administrative_access_policy"] == "MEDIUM"


def test_a_path_takes_what_it_costs_with_it(results: Results) -> None:
    # Moderate × High, and Moderate × Medium, are Moderate × Low without the path: the open group alone.
    severities = {name: results.exposures()[name]["severity"] for name in ("path", "shell")}
    assert severities == {"path": "HIGH", "shell": "MEDIUM"}
    left = after(results, "path")
    assert left["has_direct_policy_escalation_path"] == left["iam_role_assumable"] == "LOW"
    assert left["public_ip"] == "MEDIUM"  # Low × High: the path drives without the exposure too
    left = after(results, "shell")
    assert left["has_access_existing_executor_path"] == left["iam_role_assumable"] == "LOW"


def test_a_sensitive_port_is_gone_with_its_path(results: Results) -> None:
    assert results.exposures()["redis"]["severity"] == "HIGH"
    assert after(results, "redis")["public_ip"] == "LOW"


def test_one_of_two_host_escapes_is_not_enough(results: Results) -> None:
    assert results.exposures()["escape"]["severity"] == "MEDIUM"
    left = after(results, "escape")
    assert left["task_definition_privileged"] == left["root_filesystem_access"] == "MEDIUM"


def test_a_package_set_goes_with_its_subsets(results: Results) -> None:
    image = digest_of("packages-web")
    assert after(results, "packages", "package") == {
        f"libssl3+openssl@{image}": "LOW",
        f"openssl@{image}": "HIGH",
        f"zlib@{image}": "HIGH",
    }
    [fix] = [row for row in results.rows("fix", "packages") if row["removed"] == f"libssl3+openssl@{image}"]
    assert fix["description"] == "Upgrade libssl3, openssl to 1.1 in image packages-web"


def test_five_packages_are_offered_those_most_exploited_first() -> None:
    night = Night()
    grave = tuple(cve(epss=0.5, packages=(f"grave-{number}",)) for number in range(4))
    slight = tuple(cve(vector=PARTIAL, packages=(f"slight-{number}",)) for number in range(3))
    night.service("many", public=True, cves=(*grave, *slight))
    offered = [name.partition("@")[0] for name in after(assess(night), "many", "package")]
    assert len(offered) == 5
    assert {f"grave-{number}" for number in range(4)} < set(offered)


def test_a_vulnerability_of_several_images_survives_the_loss_of_one(results: Results) -> None:
    assert results.exposures()["two-images"]["vulnerability_count"] == 1
    assert set(after(results, "two-images", "image").values()) == {"HIGH"}
    assert results.exposures()["three-images"]["vulnerability_count"] == 1
    assert list(after(results, "three-images", "image").values()) == ["HIGH"] * 3
    assert after(results, "one-bad-image", "image") == {
        digest_of("one-bad-image-web"): "LOW",
        digest_of("one-bad-image-sidecar"): "HIGH",
    }


def test_a_vulnerability_of_three_images_is_gone_once_all_are_rebuilt(results: Results) -> None:
    changes = [row for row in results.rows("remediation", "three-images") if row["kind"] == "image"]
    all_three = sum(1 << row["position"] for row in changes)
    assert len(changes) == 3
    left = {row["changes"]: row["severity"] for row in results.rows("remediation_outcome", "three-images")}
    rebuilt = {made: severity for made, severity in left.items() if made & ~all_three == 0}
    assert {made for made, severity in rebuilt.items() if severity != "HIGH"} == {all_three}
    assert len(rebuilt) == 7


def test_a_kernel_package_in_another_image_does_not_keep_a_vulnerability(results: Results) -> None:
    # KEV, not exposed, automatable, total: 3 days (Very High) × Low is HIGH; of kernel packages alone nothing is left.
    assert results.exposures()["kernel-beside"]["severity"] == "HIGH"
    image = digest_of("kernel-beside-web")
    assert after(results, "kernel-beside", "package") == {f"zlib@{image}": "INFORMATIONAL"}
    assert after(results, "kernel-beside", "image")[image] == "INFORMATIONAL"


def test_no_removal_raises(results: Results) -> None:
    score = {row["resource_id"]: row["score"] for row in results.rows("exposure")}
    assert [row for row in results.rows("scenario") if row["score"] > score[row["resource_id"]]] == []


def test_fixes_are_ranked_by_what_they_leave(results: Results) -> None:
    services = {row["resource_id"] for row in results.rows("fix")}
    assert not any(name.endswith("/harmless") for name in services)
    for key in services:
        fixes = sorted((row for row in results.rows("fix") if row["resource_id"] == key), key=lambda row: row["rank"])
        assert [row["rank"] for row in fixes] == list(range(1, len(fixes) + 1))
        assert [row["score_after"] for row in fixes] == sorted(row["score_after"] for row in fixes)
        assert all(row["description"] for row in fixes)
    best = min(results.rows("fix", "both-ways"), key=lambda row: row["rank"])
    assert best["removed_kind"] in ("trait", "package", "image")
    assert (best["severity_before"], best["severity_after"]) == ("HIGH", "LOW")


def test_a_runtime_socket_is_gone_when_it_or_every_host_path_is_unmounted(results: Results) -> None:
    assert results.exposures()["socket"]["severity"] == "MEDIUM"
    left = after(results, "socket")
    assert left["container_runtime_socket_mounted"] == left["root_filesystem_access"] == "INFORMATIONAL"
    # Another host path stays a driver when the socket goes: Low × Low all the same.
    left = after(results, "socket-and-data")
    assert left["container_runtime_socket_mounted"] == left["root_filesystem_access"] == "INFORMATIONAL"


def test_capabilities_go_together_and_tracing_needs_the_hosts_processes(results: Results) -> None:
    assert results.exposures()["capabilities"]["severity"] == "MEDIUM"
    assert after(results, "capabilities")["dangerous_linux_capability"] == "INFORMATIONAL"
    left = after(results, "tracer")
    assert left["dangerous_linux_capability"] == left["host_process_namespace"] == "INFORMATIONAL"


def test_one_escape_of_two_leaves_the_other(results: Results) -> None:
    left = after(results, "two-escapes")
    assert left["task_definition_privileged"] == left["dangerous_linux_capability"] == "MEDIUM"


@pytest.mark.parametrize(
    ("actions", "impact"), [(["*"], "High"), (["iam:putrolepolicy"], "High"), (["s3:getobject"], "Low")]
)
def test_what_an_instance_role_leads_to_is_what_a_compromise_costs(actions: list[str], impact: str) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/instance"
    statement = {"role_arn": role, "policy_name": "p", "effect": "Allow", "actions": actions, "resources": ["*"]}
    with sql_harness.assess(
        {
            "service": [
                {"resource_id": "svc", "launch_type": "EC2", "desired_count": 1, "task_definition_arn": "td:1"}
            ],
            "task_definition": [{"task_definition_arn": "td:1", "network_mode": "host"}],
            "task": [
                {"resource_id": "svc", "task_arn": "t", "task_definition_arn": "td:1", "container_instance_arn": "ci"}
            ],
            "container_instance": [{"container_instance_arn": "ci", "ec2_instance_id": "i-1"}],
            "instance": [{"instance_id": "i-1", "instance_profile_arn": "profile", "security_group_ids": []}],
            "role": [{"role_arn": role, "instance_profile_arns": ["profile"]}],
            "role_statement": [statement],
        }
    ) as connection:
        found = sql_harness.records(connection, "select impact, driver from exposures.exposure")
    # The role is the instance's: it costs, and drives nothing by itself.
    assert found == [{"impact": impact, "driver": "host_network_mode"}]
