"""Severity where CISA itself decided, with a malicious package, and on an operating system at its end of life."""

from __future__ import annotations

from typing import Any

import pytest

from tests.exposures.night import ACCOUNT, DAY, Night, Results, Row, assess, cve, day_after, digest_of

REMOTE = "AV:N/AC:L/PR:N/UI:N/C:H/I:H/A:H"
NEITHER = "AV:N/AC:H/PR:N/UI:N/C:L/I:N/A:N"


def decided(night: Night, identity: str, automatable: bool, impact: str, exploitation: str = "none") -> None:
    row = {"vulnerability_id": identity, "automatable": automatable, "technical_impact": impact}
    night.add(ACCOUNT, "vulnrichment", row | {"exploitation": exploitation})


def on_system(night: Night, service: str, platform: str) -> None:
    for row in night.rows["image_finding"]:
        if row["repository_name"] == f"{service}-web":
            row["platform"] = platform


def first_night() -> Night:
    night = Night()
    unlikely: dict[str, Any] = {"epss": 0.006, "exploit": False}
    night.service("by-vector", public=True, cves=(cve(id="CVE-2026-10001", vector=REMOTE, **unlikely),))
    night.service("by-cisa", public=True, cves=(cve(id="CVE-2026-10002", vector=REMOTE, **unlikely),))
    decided(night, "CVE-2026-10002", True, "total")
    night.service("raised-by-cisa", public=True, cves=(cve(id="CVE-2026-10003", vector=NEITHER, **unlikely),))
    decided(night, "CVE-2026-10003", True, "total")
    night.service("lowered-by-cisa", cves=(cve(id="CVE-2026-10004", vector=REMOTE, epss=0.5),))
    decided(night, "CVE-2026-10004", False, "partial")
    night.service("lowered-in-part", public=True, cves=(cve(id="CVE-2026-10005", vector=REMOTE, epss=0.5),))
    decided(night, "CVE-2026-10005", False, "partial")
    night.service("exploited", public=True, cves=(cve(id="CVE-2026-10006", vector=REMOTE, epss=0.02, exploit=None),))
    night.add(ACCOUNT, "vulnrichment", {"vulnerability_id": "CVE-2026-10006", "exploitation": "poc"})
    malicious = cve(id="MAL-2026-1", vector=REMOTE, epss=0.99, exploit=True, kev=None)
    night.service("malicious", cves=(malicious,))
    night.service("malicious-suppressed", cves=(malicious | {"status": "SUPPRESSED"},))
    for name, options in (("old", {}), ("old-public", {"public": True})):
        night.service(name, cves=(cve(vector=NEITHER, **unlikely),), **options)
        on_system(night, name, "CENTOS_7")
    night.service("malicious-sidecar", public=True, cves=(cve(vector=NEITHER, **unlikely),), sidecar=(malicious,))
    harmless = cve(vector=NEITHER, **unlikely)
    night.service("malicious-twice", cves=(malicious, harmless), sidecar=(malicious | {"id": "MAL-2026-2"}, harmless))
    night.service("supported-public", public=True, cves=(cve(vector=NEITHER, **unlikely),))
    on_system(night, "supported-public", "UBUNTU_24_04")
    return night


@pytest.fixture(scope="module")
def results() -> Results:
    return assess(first_night())


def driven(results: Results, name: str) -> tuple[str, str, str]:
    row = results.exposures()[name]
    return row["severity"], row["likelihood"], row["driver"]


def test_the_directive_applies_as_it_stands_where_cisa_decided(results: Results) -> None:
    # Automatable and total, exposed: "3 days"; by the vector alone at most Moderate without evidence of exploitation.
    assert driven(results, "by-vector")[:2] == ("LOW", "Moderate")
    assert driven(results, "by-cisa") == ("HIGH", "Very High", "CVE-2026-10002")
    assert driven(results, "raised-by-cisa") == ("HIGH", "Very High", "CVE-2026-10003")
    assert results.exposures()["by-cisa"]["driver_rule"] == "CISA BOD 26-04: 3 days"


def test_cisas_word_lowers_what_only_the_vector_said(results: Results) -> None:
    # Neither automatable nor total and not exposed: "on upgrade".
    assert driven(results, "lowered-by-cisa")[0] == "INFORMATIONAL"
    # High priority on an exposed service stays at least High: EPSS and the vector's reach are no decision of CISA's.
    assert driven(results, "lowered-in-part")[:2] == ("MEDIUM", "High")


def test_cisas_proof_of_concept_is_an_available_exploit(results: Results) -> None:
    assert driven(results, "exploited")[:2] == ("HIGH", "Very High")
    assert "high_priority_vulnerability" in results.exposures()["exploited"]["traits"]


def test_a_malicious_package_drives_by_its_own_trait_alone(results: Results) -> None:
    row = results.exposures()["malicious"]
    assert driven(results, "malicious") == ("HIGH", "Very High", "malicious_package")
    assert [trait for trait in row["traits"] if "vulnerab" in trait] == []
    assert (row["vulnerability_count"], row["highest_probability"]) == (0, None)
    assert {item["kind"] for item in results.rows("driver", "malicious")} == {"configuration"}
    left = {item["removed"]: item["severity"] for item in results.rows("scenario", "malicious")}
    assert left["malicious_package"] == "INFORMATIONAL"
    assert "malicious-suppressed" not in results.exposures()


def without(results: Results, service: str, image: str) -> str:
    """Severity that would remain without one image."""
    removed = digest_of(f"{service}-{image}")
    [row] = [item for item in results.rows("scenario", service) if item["removed"] == removed]
    assert row["removed_kind"] == "image"
    return str(row["severity"])


def test_an_image_taken_away_takes_its_own_traits_along(results: Results) -> None:
    assert without(results, "malicious", "web") == "INFORMATIONAL"
    assert without(results, "malicious-sidecar", "sidecar") == "LOW"
    assert without(results, "malicious-sidecar", "web") == "HIGH"
    # The other image gives the trait too.
    assert without(results, "malicious-twice", "web") == without(results, "malicious-twice", "sidecar") == "HIGH"
    fixes = {row["removed"] for row in results.rows("fix", "malicious") if row["severity_after"] == "INFORMATIONAL"}
    assert fixes == {"malicious_package", digest_of("malicious-web")}


def test_an_ended_system_is_moderate_when_exposed_and_else_low(results: Results) -> None:
    told = {name: driven(results, name)[1] for name in ("old", "old-public")}
    assert told == {"old": "Low", "old-public": "Moderate"}
    traits = {name: row["traits"] for name, row in results.exposures().items()}
    assert [name for name in sorted(traits) if "end_of_life_operating_system" in traits[name]] == ["old", "old-public"]


def test_a_system_is_remembered_when_the_image_is_no_longer_scanned(results: Results) -> None:
    night = Night(day=day_after(DAY))
    night.service("old", scan="INACTIVE")
    night.service("old-public", public=True, scan="INACTIVE")
    after = assess(night, results)
    for name in ("old", "old-public"):
        assert "end_of_life_operating_system" in after.exposures()[name]["traits"]


def test_a_decision_outlives_its_file(results: Results) -> None:
    night = first_night()
    night.day = day_after(DAY)
    night.rows["vulnrichment"].clear()
    for rows in night.rows.values():
        for row in rows:
            row["observed_date"] = night.day
    after = assess(night, results)

    def severities(found: Results) -> dict[str, Row]:
        return {name: row["severity"] for name, row in found.exposures().items()}

    assert severities(after) == severities(results)
    assert after.changes() == {}
