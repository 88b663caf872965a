"""Severity and score of a service once more, in plain Python and from stored result columns alone.

An independent reading of the rules: nothing here is read from `sql/`. Sources: AWS's risk matrix
(https://docs.aws.amazon.com/securityhub/latest/userguide/exposure-findings-severity.html) and CISA BOD 26-04.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

from tests.exposures.night import Results, Row

SEVERITIES = ["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
BANDS = {"INFORMATIONAL": (0, 0), "LOW": (1, 39), "MEDIUM": (40, 69), "HIGH": (70, 89), "CRITICAL": (90, 100)}
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
}
LOW_AT_MOST = {
    "dangerous_linux_capability",
    "host_ipc_namespace",
    "writable_root_filesystem",
    "container_runs_as_root",
    "execute_command_enabled",
}
ADMINISTRATION_WHEN_GRANTED = {
    "has_direct_policy_escalation_path",
    "has_trust_policy_hijack_path",
    "has_credential_minting_path",
    "has_pass_role_create_executor_path",
    "has_swap_role_existing_executor_path",
    "has_pass_role_task_hijack_path",
    "has_role_chain_escalation_path",
}
LOW, MODERATE, HIGH, VERY_HIGH = 1, 2, 3, 4


def matrix(likelihood: int, impact: str) -> int:
    """Position in SEVERITIES: the likelihood's own, one more from Medium (or unknown) impact, two from High, capped."""
    return min(likelihood - 1 + {"Low": 0, "Medium": 1, "Unknown": 1, "High": 2}[impact], 4)


def bod(kev: bool, exposed: bool, automatable: bool, total: bool) -> int:
    if kev:
        severe = exposed + automatable + total
        return VERY_HIGH if severe >= 2 else HIGH
    if exposed:
        return (MODERATE, HIGH, VERY_HIGH)[automatable + total]
    return MODERATE if automatable else LOW


def vulnerability_likelihood(row: Row, exposed: bool) -> int:
    kev, epss, exploit = bool(row["kev"]), row["epss"], bool(row["exploit_available"])
    evidence = kev or (epss is not None and epss >= 0.1) or (exploit and (epss is None or epss >= 0.01))
    level = bod(kev, exposed, bool(row["automatable"]), row["technical_impact"] == "total")
    if not evidence:
        level = min(level, MODERATE)
    if row["is_network_exploitable"] and evidence and exposed:
        level = max(level, HIGH)
    return level


def service_impact(reason: str) -> str:
    if reason.startswith("host escape") or "allows administration" in reason or "make itself administrator" in reason:
        return "High"
    if "could not be read" in reason:
        return "Unknown"
    return "Low" if reason.startswith("nothing found") else "Medium"


class Stored:
    """The stored rows of one night, by service."""

    def __init__(self, results: Results) -> None:
        self.exposures = results.rows("exposure")
        self.traits: dict[str, dict[str, Any]] = defaultdict(dict)
        for row in results.rows("trait_hit"):
            if row["state"] == "hit":
                self.traits[row["resource_id"]][row["trait"]] = json.loads(row["evidence"])
        self.paths = _grouped(results.rows("path"))
        self.images = _grouped(results.rows("service_image"))
        self.vulnerabilities: dict[str, list[Row]] = defaultdict(list)
        for row in results.rows("image_vulnerability"):
            if not row["is_suppressed"] and not row["is_kernel_package"]:
                self.vulnerabilities[row["image_digest"]].append(row)

    def _vulnerabilities(self, service: str) -> list[Row]:
        digests = {row["image_digest"] for row in self.images[service]}
        return [row for digest in digests for row in self.vulnerabilities[digest]]

    def severity(self, exposure: Row) -> str:
        service, exposed = exposure["resource_id"], exposure["is_exposed"]
        impact = service_impact(exposure["impact_reason"])
        levels = [0]
        for row in self._vulnerabilities(service):
            pair = "Low" if row["is_availability_only"] else impact
            levels.append(matrix(vulnerability_likelihood(row, exposed), pair))
        for trait, evidence in self.traits[service].items():
            levels.append(self._configuration(service, trait, evidence, exposed, impact))
        level = max(levels)
        return SEVERITIES[min(level, 2) if exposure["is_dormant"] else level]

    def _configuration(self, service: str, trait: str, evidence: list[Row], exposed: bool, impact: str) -> int:
        if trait == "image_not_scanned":
            unscanned = {item["container"] for item in evidence}
            reached = any(
                not path["container_names"] or unscanned & set(path["container_names"]) for path in self.paths[service]
            )
            return min(matrix(MODERATE if exposed and reached else LOW, impact), 1)
        is_granted = trait == "dangerous_linux_capability" and any(item["is_host_escape"] for item in evidence)
        if trait in LOW_AT_MOST and not is_granted:
            return min(matrix(LOW, impact), 1)
        if trait in ADMINISTRATION_WHEN_GRANTED:
            is_granted = any(item["grants_administration"] for item in evidence)
        if trait not in MODERATE_WHEN_EXPOSED and not is_granted:
            return 0
        likelihood = MODERATE if exposed else LOW
        if trait == "cleartext_credentials" and any(item["is_provider_pattern"] for item in evidence):
            likelihood = MODERATE
        if trait == "open_security_group" and any(path["sensitive_ports"] for path in self.paths[service]):
            likelihood = HIGH
        return matrix(likelihood, impact)

    def score(self, exposure: Row, severity: str) -> float:
        probability: dict[str, float] = {}
        network: set[str] = set()
        for row in self._vulnerabilities(exposure["resource_id"]):
            p = 1.0 if row["kev"] else row["epss"]
            if p is not None:
                identity = row["vulnerability_id"]
                probability[identity] = max(probability.get(identity, 0.0), p)
                if row["is_network_exploitable"]:
                    network.add(identity)
        highest = round(max(probability.values(), default=0.0) * 1e6)
        likely = min(sum(p >= 0.1 for p in probability.values()), 99)
        together = 1 - math.prod(1 - probability[identity] for identity in network)
        number = (highest * 100 + likely) * 1000001 + round(together * 1e6)
        low, high = BANDS[severity]
        return low + (high - low) * number / ((1000000 * 100 + 99) * 1000001 + 1000000)


def _grouped(rows: list[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["resource_id"]].append(row)
    return grouped
