"""What `explain --format json` prints is enough to come to the same severity without our SQL.

Thousands of services by chance, each recomputed by `severity_by_hand` from its explanation alone, as it is and without
each thing that can go.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.exposures.generated import AGAIN, SHARED, shapes
from tests.exposures.night import DAY, Night, Results, Row, assess, cve, day_after
from tests.exposures.severity_by_hand import IMPACTS, SEVERITIES, CannotTell, Removal, Service
from tests.exposures.told import explanations

SERVICES = 2000
SEED = 20261102


@pytest.fixture(scope="module")
def results() -> Results:
    night = Night()
    for number, shape in enumerate(shapes(SEED, SERVICES)):
        night.service(f"s{number}", shape)
    return assess(night)


@pytest.fixture(scope="module")
def told(results: Results) -> dict[str, Row]:
    return explanations(results)


def test_the_services_are_of_every_kind(told: dict[str, Row]) -> None:
    """So that agreement means something: every severity, pair and kind of driver is there many times."""
    rows = [explanation["exposure"] for explanation in told.values()]
    assert len(rows) > 0.9 * SERVICES
    for column, least in (("severity", 5), ("reachability", 3), ("is_dormant", 2), ("is_minimum", 2)):
        common = Counter(row[column] for row in rows).most_common()
        assert len(common) >= least and common[-1][1] > 0.01 * len(rows), (column, common)
    pairs = Counter((row["likelihood"], row["impact"]) for row in rows if row["driver"])
    assert len(pairs) == 16 and min(pairs.values()) >= 10, pairs
    assert len({row["driver"] for row in rows if row["driver"] and not row["driver"].startswith("CVE-")}) >= 12


def test_severity_likelihood_impact_driver_score_and_due_date(told: dict[str, Row]) -> None:
    for name, explanation in told.items():
        row, wanted = explanation["exposure"], Service(explanation).outcome()
        said = (row["severity"], row["likelihood"], row["impact"], row["driver"])
        assert said == (wanted.severity, wanted.likelihood, wanted.impact, wanted.driver), name
        assert row["score"] == pytest.approx(wanted.score, abs=1e-13), name
        due = None if wanted.due_days is None else str(day_after(DAY, wanted.due_days))
        assert row["due_date"] == due, name


def test_exposed_probabilities_counts_and_at_least(told: dict[str, Row]) -> None:
    for name, explanation in told.items():
        row, service = explanation["exposure"], Service(explanation)
        left = service.left(Removal())
        known = [item.probability for item in left if item.probability is not None]
        assert row["is_exposed"] == service.is_exposed(set()), name
        assert row["highest_probability"] == max(known, default=None), name
        assert row["exploit_probability"] == pytest.approx(service.exploit_probability(left), abs=1e-6), name
        assert row["is_minimum"] == service.is_minimum(explanation), name
        if row["vulnerability_count"] is not None:
            assert row["vulnerability_count"] == len(explanation["vulnerabilities"]), name
            high = {item.identity for item in service.found if item.is_high_priority}
            assert row["high_priority_vulnerability_count"] == len(high), name


def test_every_scenario_and_fix(told: dict[str, Row]) -> None:
    recomputed: Counter[str] = Counter()
    for name, explanation in told.items():
        service = Service(explanation)
        after = {}
        for row in explanation["scenarios"]:
            removal = Removal(row["removed_kind"], row["removed"])
            where = f"{name} without {row['removed']}"
            assert len(row["removed"]) < 120 or removal.kind != "package", where
            try:
                wanted = service.outcome(removal)
            except CannotTell:
                recomputed["cannot tell"] += 1
                continue
            recomputed[removal.kind] += 1
            after[removal] = wanted
            assert row["severity"] == wanted.severity, where
            assert row["score"] == pytest.approx(wanted.score, abs=1e-13), where
        for row in explanation["fixes"]:
            wanted = after[Removal(row["removed_kind"], row["removed"])]
            assert row["severity_after"] == wanted.severity, name
            assert row["score_after"] == pytest.approx(wanted.score, abs=1e-13), name
    assert recomputed["cannot tell"] == 0
    assert all(recomputed[kind] > 1000 for kind in ("as_is", "trait", "package", "image")), recomputed


def test_the_candidates_are_in_the_order_in_which_they_decide(told: dict[str, Row]) -> None:
    for name, explanation in told.items():
        drivers = explanation["drivers"]
        ranks = [
            (SEVERITIES.index(row["severity"]), row["likelihood"], IMPACTS.index(row["impact"])) for row in drivers
        ]
        order = ["Low", "Moderate", "High", "Very High"]
        keys = [(severity, order.index(likelihood), impact) for severity, likelihood, impact in ranks]
        assert keys == sorted(keys, reverse=True), name
        if drivers:
            assert drivers[0]["severity"] == explanation["exposure"]["severity"], name


def test_what_inspector_said_of_a_vector_is_what_the_vector_says(told: dict[str, Row]) -> None:
    """Automatable and technical impact where CISA did not decide, and the vendor's word where there is no vector."""
    for explanation in told.values():
        for row in explanation["vulnerabilities"] + explanation["suppressed"]:
            for place in row["places"]:
                vector, severe = place["cvss_vector"], place["severity"] in ("CRITICAL", "HIGH")
                if vector is None and row["vulnerability_id"].startswith((SHARED, AGAIN)):
                    continue  # another finding of it may say it
                if vector is None:
                    said = (place["automatable"], place["is_network_exploitable"], place["is_availability_only"])
                    assert said == (None, None, None)
                    assert place["technical_impact"] == ("total" if severe else "partial"), place
                    continue
                part = dict(item.split(":") for item in vector.split("/")[1:])
                network = part["AV"] == "N" and part["PR"] == "N" and part["UI"] == "N"
                assert place["is_network_exploitable"] == network
                assert place["automatable"] == (network and part["AC"] == "L")
                assert (place["technical_impact"] == "total") == (part["C"] == part["I"] == "H")
                assert place["is_availability_only"] == (part["C"] == part["I"] == "N")


def test_impact_follows_from_the_evidence_of_traits_alone(told: dict[str, Row]) -> None:
    """The reasons for the impact once more, from what the traits show. An instance's role, and what could not be read,
    have no trait."""
    for name, explanation in told.items():
        service = Service(explanation)
        evidence = service.evidence
        mounts = evidence.get("root_filesystem_access", [])
        capabilities = evidence.get("dangerous_linux_capability", [])
        high = (
            "task_definition_privileged" in evidence
            or "administrative_access_policy" in evidence
            or any(item["place"] == "runtime_socket" for item in mounts)
            or any(item["is_writable"] and item["place"] != "other" for item in mounts)
            or any(item["is_host_escape"] for item in capabilities)
            or (
                "host_process_namespace" in evidence
                and any("SYS_PTRACE" in item["capabilities"] for item in capabilities)
            )
            or any(item["grants_administration"] for trait in service.of_impact for item in evidence.get(trait, []))
        )
        medium = (
            "cleartext_credentials" in evidence
            or "service_administrative_policy" in evidence
            or bool(service.of_impact & evidence.keys())
        )
        unread = any(row["impact"] == "Unknown" for row in explanation["impact_reasons"])
        high = high or any(row["impact"] == "High" and not row["needs_traits"] for row in explanation["impact_reasons"])
        wanted = "High" if high else "Medium" if medium else "Unknown" if unread else "Low"
        assert service.impact(set()) == wanted, name


def test_a_vulnerability_that_costs_differently_in_two_images_decides_as_the_worse() -> None:
    """With impact Low, Very High × Low by the image where it costs availability alone is worse than High × Low."""
    night = Night()
    in_one = cve(id="CVE-2026-1", vector="AV:N/AC:L/PR:N/UI:N/C:N/I:N/A:H", kev=True)
    in_other = cve(id="CVE-2026-1", vector="AV:L/AC:L/PR:N/UI:R/C:L/I:N/A:N", kev=True)
    for name, images in {"one": (in_one, in_other), "other": (in_other, in_one)}.items():
        night.service(name, public=True, cves=(images[0],), sidecar=(images[1],))
    for name, explanation in explanations(assess(night)).items():
        row, wanted = explanation["exposure"], Service(explanation).outcome()
        assert (row["severity"], row["likelihood"], row["impact"]) == ("HIGH", "Very High", "Low"), name
        assert (wanted.severity, wanted.likelihood, wanted.impact) == ("HIGH", "Very High", "Low"), name
        assert row["due_date"] == str(day_after(DAY, 3))
