"""Severity, likelihood, impact, driver, score and due date of a service once more: plain Python over what
`explain --format json` prints of it, for the service as it is and without one trait, package or image.

An independent reading of the rules: nothing here is read from `sql/`, and no sentence is taken apart. Sources: AWS's
risk matrix (https://docs.aws.amazon.com/securityhub/latest/userguide/exposure-findings-severity.html), CISA BOD 26-04
(https://github.com/CERTCC/SSVC), CISA BOD 19-02 and FedRAMP for days, docs/severity.md for what is ours.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

SEVERITIES = ["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
BANDS = {"INFORMATIONAL": (0, 0), "LOW": (1, 39), "MEDIUM": (40, 69), "HIGH": (70, 89), "CRITICAL": (90, 100)}
LIKELIHOODS = [None, "Low", "Moderate", "High", "Very High"]
LOW, MODERATE, HIGH, VERY_HIGH = 1, 2, 3, 4
IMPACTS = ["Low", "Unknown", "Medium", "High"]  # in the order in which equals are ranked
DAYS_OF_BOD = {VERY_HIGH: 3, HIGH: 14, MODERATE: 60}
DAYS_OF_SEVERITY = {"CRITICAL": 15, "HIGH": 30, "MEDIUM": 90, "LOW": 180}

MODERATE_WHEN_EXPOSED = {
    "task_definition_privileged",
    "root_filesystem_access",
    "host_process_namespace",
    "cleartext_credentials",
    "open_security_group",
    "public_ip",
    "host_network_mode",
    "administrative_access_policy",
    "container_runtime_socket_mounted",
    "end_of_life_operating_system",
}
LOW_AT_MOST = {
    "dangerous_linux_capability",
    "host_ipc_namespace",
    "writable_root_filesystem",
    "container_runs_as_root",
    "execute_command_enabled",
}
VERY_HIGH_ALWAYS = {"malicious_package"}
ADMINISTRATION_WHEN_GRANTED = {
    "has_direct_policy_escalation_path",
    "has_trust_policy_hijack_path",
    "has_credential_minting_path",
    "has_pass_role_create_executor_path",
    "has_swap_role_existing_executor_path",
    "has_pass_role_task_hijack_path",
    "has_role_chain_escalation_path",
}
OF_THE_ROLE = {"administrative_access_policy", "service_administrative_policy"}


@dataclass(frozen=True)
class Outcome:
    severity: str
    likelihood: str | None
    impact: str
    driver: str | None
    score: float
    due_days: int | None


class CannotTell(Exception):
    """Whether the internet still reaches the service is not in the explanation: a hop of a path was not seen."""


def matrix(likelihood: int, impact: str) -> int:
    """Position in SEVERITIES: the likelihood's own, one more from Medium (or unknown) impact, two from High, capped."""
    return min(likelihood - 1 + {"Low": 0, "Medium": 1, "Unknown": 1, "High": 2}[impact], 4)


def bod(kev: bool, exposed: bool, automatable: bool, total: bool) -> int:
    if kev:
        return VERY_HIGH if exposed + automatable + total >= 2 else HIGH
    if exposed:
        return (MODERATE, HIGH, VERY_HIGH)[automatable + total]
    return MODERATE if automatable else LOW


def is_likely(kev: bool, epss: float | None, exploit: bool) -> bool:
    if kev or (epss is not None and epss >= 0.1):
        return True
    return exploit and (epss is None or epss >= 0.01)


@dataclass(frozen=True)
class Removal:
    """What is taken away: `kind` as_is, trait, package (`name+name@digest`) or image (digest)."""

    kind: str = "as_is"
    removed: str = ""


AS_IS = Removal()


@dataclass(frozen=True)
class Found:
    """One vulnerability in one image. `packages` are those that count: kernel packages inside an image do not."""

    identity: str
    digest: str
    packages: frozenset[str]
    probability: float | None
    kev: bool
    is_automatable: bool
    is_total: bool
    is_network: bool
    is_availability_only: bool
    is_likely: bool
    is_high_priority: bool
    is_decided_by_cisa: bool

    @classmethod
    def of(cls, row: Row, places: list[Row]) -> Found:
        kev, epss = bool(row["kev"]), row["epss"]
        likely = [is_likely(kev, epss, bool(place["exploit_available"])) for place in places]
        counted = [not place["is_kernel_package"] for place in places]
        return cls(
            identity=row["vulnerability_id"],
            digest=places[0]["image_digest"],
            packages=frozenset(place["package_name"] for place in places if not place["is_kernel_package"]),
            probability=1.0 if kev else epss,
            kev=kev,
            is_automatable=any(place["automatable"] for place in places),
            is_total=any(place["technical_impact"] == "total" for place in places),
            is_network=any(place["is_network_exploitable"] for place in places),
            is_availability_only=all(place["is_availability_only"] for place in places),
            is_likely=any(likely),
            is_high_priority=any(
                place["is_network_exploitable"] and is_counted and so_likely
                for place, is_counted, so_likely in zip(places, counted, likely, strict=True)
            ),
            # Where CISA itself decided the two questions, its word needs no further evidence.
            is_decided_by_cisa=any(place.get("decision_source") == "vulnrichment" for place in places),
        )

    def likelihood(self, exposed: bool) -> int:
        level = bod(self.kev, exposed, self.is_automatable, self.is_total)
        if not self.is_likely and not self.is_decided_by_cisa:
            level = min(level, MODERATE)
        return max(level, HIGH) if self.is_high_priority and exposed else level


class Service:
    """One explanation, read back from JSON."""

    def __init__(self, told: Row) -> None:
        self.exposure: Row = told["exposure"]
        self.evidence: dict[str, list[Row]] = {
            row["trait"]: row["evidence"] for row in told["traits"] if row["state"] == "hit"
        }
        self.of_impact = {row["trait"] for row in told["traits"] if row["category"] == "Impact"}
        self.paths: list[Row] = told["paths"]
        self.reasons: list[Row] = told["impact_reasons"]
        self.found: list[Found] = []
        for row in told["vulnerabilities"]:
            images: dict[tuple[str, ...], list[Row]] = defaultdict(list)
            for place in row["places"]:
                where = (place["registry_account"], place["region"], place["repository_name"], place["image_digest"])
                images[where].append(place)
            self.found += [Found.of(row, places) for places in images.values()]

    # What is left

    def gone(self, removal: Removal) -> set[str]:
        """The traits that go with the removal."""
        if removal.kind != "trait":
            return set()
        gone = {removal.removed}
        if removal.removed == "iam_role_assumable":
            gone |= OF_THE_ROLE | self.of_impact
        mounts = {item["place"] for item in self.evidence.get("root_filesystem_access", ())}
        if removal.removed == "root_filesystem_access":
            gone.add("container_runtime_socket_mounted")
        if removal.removed == "container_runtime_socket_mounted" and mounts <= {"runtime_socket"}:
            gone.add("root_filesystem_access")
        return gone

    def left(self, removal: Removal) -> list[Found]:
        """What counts and stays. A vulnerability that stays in any place counts with all that is known of it."""
        counted = [item for item in self.found if item.packages]
        if removal.kind == "as_is":
            return counted
        if removal.kind == "trait":
            if removal.removed not in ("high_priority_vulnerability", "vulnerability"):
                return counted
            high = {item.identity for item in counted if item.is_high_priority}
            goes_with_high = removal.removed == "high_priority_vulnerability"
            return [item for item in counted if (item.identity in high) != goes_with_high]
        stays = {item.identity for item in counted if not self._goes(item, removal)}
        return [item for item in counted if item.identity in stays]

    def _goes(self, item: Found, removal: Removal) -> bool:
        if removal.kind == "image":
            return item.digest == removal.removed
        # Packages built from one source are upgraded together: a set goes with every set that holds it.
        return any(
            other.digest == item.digest
            and f"{'+'.join(sorted(other.packages))}@{other.digest}" == removal.removed
            and item.packages <= other.packages
            for other in self.found
        )

    # Exposed, impact

    def open_paths(self, gone: set[str]) -> list[Row]:
        if "internet_reachable" in gone:
            return []
        return [path for path in self.paths if not path["unseen"] and not gone & set(path["needs_traits"])]

    def is_exposed(self, gone: set[str]) -> bool:
        if self.open_paths(gone):
            return True
        if self.exposure["reachability"] != "UNKNOWN" and not any(path["unseen"] for path in self.paths):
            return False
        if gone & {"public_ip", "open_security_group", "internet_reachable"}:
            raise CannotTell
        exposed: bool = self.exposure["is_exposed"]
        return exposed

    def impact(self, gone: set[str]) -> str:
        left = {row["impact"] for row in self.reasons if not gone & set(row["needs_traits"])}
        return next((impact for impact in ("High", "Medium", "Unknown") if impact in left), "Low")

    # Drivers

    def _configuration(self, trait: str, exposed: bool, gone: set[str]) -> tuple[int, bool]:
        """The trait's likelihood (0: it drives nothing), and whether it ends at LOW whatever the impact."""
        evidence = self.evidence[trait]
        if trait in VERY_HIGH_ALWAYS:
            return VERY_HIGH, False
        if trait == "image_not_scanned":
            unscanned = {item["container"] for item in evidence}
            reached = self.exposure["reachability"] == "UNKNOWN" or any(
                not path["container_names"] or unscanned & set(path["container_names"])
                for path in self.open_paths(gone)
            )
            return (MODERATE if exposed and reached else LOW), True
        granted = trait == "dangerous_linux_capability" and any(item["is_host_escape"] for item in evidence)
        if trait in LOW_AT_MOST and not granted:
            return LOW, True
        if trait in ADMINISTRATION_WHEN_GRANTED:
            granted = any(item["grants_administration"] for item in evidence)
        if trait not in MODERATE_WHEN_EXPOSED and not granted:
            return 0, False
        if trait == "cleartext_credentials" and any(item["is_provider_pattern"] for item in evidence):
            return MODERATE, False
        if (
            trait == "open_security_group"
            and exposed
            and any(path["sensitive_ports"] for path in self.open_paths(gone))
        ):
            return HIGH, False
        return (MODERATE if exposed else LOW), False

    def outcome(self, removal: Removal = AS_IS) -> Outcome:
        gone = self.gone(removal)
        left = self.left(removal)
        exposed, impact = self.is_exposed(gone), self.impact(gone)
        # Worst first: severity, likelihood, impact; then vulnerabilities by p and the newer id, configurations by name.
        candidates: list[tuple[tuple[Any, ...], str]] = []
        for item in left:
            pair = "Low" if item.is_availability_only else impact
            level = item.likelihood(exposed)
            known = -1.0 if item.probability is None else item.probability
            rank = (self._severity(level, pair), level, IMPACTS.index(pair), known, item.identity)
            candidates.append((rank, item.identity))
        last = chr(0x10FFFF)
        for trait in sorted(self.evidence.keys() - gone):
            level, is_low_at_most = self._configuration(trait, exposed, gone)
            if level:
                severity = self._severity(level, impact)
                severity = min(severity, 1) if is_low_at_most else severity
                backwards = "".join(chr(ord(last) - ord(letter)) for letter in trait) + last
                candidates.append(((severity, level, IMPACTS.index(impact), -2.0, backwards), trait))
        score = self._score(left, max((rank[0] for rank, _ in candidates), default=0))
        if not candidates:
            return Outcome("INFORMATIONAL", None, impact, None, score, None)
        (position, level, paired, *_), driver = max(candidates)
        severity = SEVERITIES[position]
        days = DAYS_OF_BOD.get(level) if driver not in self.evidence else None
        due = None if severity == "INFORMATIONAL" else days or DAYS_OF_SEVERITY[severity]
        return Outcome(severity, LIKELIHOODS[level], IMPACTS[paired], driver, score, due)

    def _severity(self, level: int, impact: str) -> int:
        severity = matrix(level, impact)
        return min(severity, 2) if self.exposure["is_dormant"] else severity

    def _score(self, left: list[Found], position: int) -> float:
        probability: dict[str, float] = {}
        for item in left:
            if item.probability is not None:
                probability[item.identity] = item.probability
        highest = round(max(probability.values(), default=0.0) * 1e6)
        likely = min(sum(p >= 0.1 for p in probability.values()), 99)
        number = (highest * 100 + likely) * 1000001 + round((self.exploit_probability(left) or 0.0) * 1e6)
        low, high = BANDS[SEVERITIES[position]]
        return low + (high - low) * number / ((1000000 * 100 + 99) * 1000001 + 1000000)

    @staticmethod
    def exploit_probability(left: list[Found]) -> float | None:
        """1 − ∏(1 − p) over distinct network-exploitable vulnerabilities with a known p; None without any."""
        network = {item.identity: item.probability for item in left if item.is_network}
        known = [p for p in network.values() if p is not None]
        return round(1 - math.prod(1 - p for p in known), 6) if known else None

    def is_minimum(self, told: Row) -> bool:
        """Something was not seen or not known (on a completely seen night)."""
        active = [place for row in told["vulnerabilities"] for place in row["places"]]
        return (
            any(row["state"] == "unknown" for row in told["traits"])
            or "image_not_scanned" in self.evidence
            or self.exposure["reachability"] == "UNKNOWN"
            or self.impact(set()) == "Unknown"
            or any(row["counts"] and row["probability"] is None for row in told["vulnerabilities"])
            or any(place["is_network_exploitable"] is None and not place["is_kernel_package"] for place in active)
        )
