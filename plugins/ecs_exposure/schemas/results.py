"""The result tables: what was computed, told and seen; public and stable (users' queries depend on them)."""

from __future__ import annotations

import pyarrow as pa

from ecs_exposure.schemas import STRINGS, Column, Table, column, table
from ecs_exposure.schemas.snapshots import BOOL, DATE, FLOAT, INT, LOAD_BALANCERS, STRING, TIME

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL")
LIKELIHOODS = ("Very High", "High", "Moderate", "Low")
IMPACTS = ("High", "Medium", "Low", "Unknown")
REACHABILITIES = ("DIRECT", "VIA_LOAD_BALANCER", "NOT_REACHABLE", "UNKNOWN")
CATEGORIES = ("Misconfiguration", "Reachability", "Vulnerability", "Assumability", "Impact")
COVERAGE_STATUSES = ("ok", "denied", "not_enabled", "failed", "invalid", "excluded")
CHANGES = ("opened", "resolved", "worsened", "improved", "changed")
SCAN_STATUSES = ("scanned", "never_scanned", "no_longer_scanned", "unsupported", "not_in_ecr", "unknown")
DECISION_SOURCES = ("vulnrichment", "vector", "vendor_severity")
REMEDIATIONS = ("image", "role", "security_group", "task_definition", "service")
RISK_STATES = ("in_force", "expired", "not_yet")
PUBLICATION_STATUSES = ("sending", "sent", "failed", "not_enabled", "denied", "dry_run")
WORKFLOW_STATUSES = ("NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED")
PUBLICATION_REASONS = ("new", "changed", "heartbeat", "archived", "reopened", "missing", "altered")

TASK_DEFINITIONS = pa.list_(
    pa.struct(
        [
            ("arn", STRING), ("family", STRING), ("network_mode", STRING), ("pid_mode", STRING), ("ipc_mode", STRING),
            ("task_role_arn", STRING), ("execution_role_arn", STRING),
        ]
    )
)  # fmt: skip
SECURITY_GROUPS = pa.list_(
    pa.struct([("group_id", STRING), ("group_name", STRING), ("vpc_id", STRING), ("account_id", STRING)])
)

_DAY = column("snapshot_date", DATE, "day of the snapshot", nullable=False)
_RESOURCE = (
    _DAY,
    column("account_id", STRING, "AWS account of the service", nullable=False),
    column("region", STRING, "AWS Region of the service", nullable=False),
    column("resource_id", STRING, "service ARN in the long form", nullable=False),
)
_CARRIED = (
    column("is_carried", BOOL, "not seen today: carried over from the last day it was seen", nullable=False),
    column("observed_date", DATE, "day it was last really seen", nullable=False),
)


def _severity(name: str, description: str, *, nullable: bool = True) -> Column:
    return column(name, STRING, description, nullable=nullable, values=SEVERITIES)


COVERAGE = table(
    "coverage", "one row per target × dataset", "account_id region dataset",
    (
        _DAY,
        column("account_id", STRING, "AWS account", nullable=False),
        column("region", STRING, "AWS Region, or `global`", nullable=False),
        column("dataset", STRING, "snapshot dataset", nullable=False),
        column("status", STRING, "what was seen", nullable=False, values=COVERAGE_STATUSES),
        column("rows", INT, "rows seen today; NULL when not seen (unknown is never zero)"),
        column("api_calls", INT, "AWS calls made, attempts included; a collector's calls are counted at its first dataset", nullable=False),
        column("message", STRING, "why it was not seen, and what to do; at most 500 characters"),
        column("collected_at", TIME, "when the collector finished", nullable=False),
        column("observed_date", DATE, "day the rows in force were really seen: today when ok, an earlier day when carried, NULL when never"),
        column("file", STRING, "file that holds the target's rows, relative to the dataset's day folder; NULL when there are none"),
    ),
)  # fmt: skip

_TOLD = (
    *_RESOURCE,
    column("finding_id", STRING, "id in Security Hub", nullable=False),
    column("content_hash", STRING, "hash of what was sent", nullable=False),
    _severity("severity", "severity sent"),
    column("record_state", STRING, "state sent", nullable=False, values=("ACTIVE", "ARCHIVED")),
    column(
        "status",
        STRING,
        "what came of it; `sending`: about to be sent, and unless another row follows nobody knows",
        nullable=False,
        values=PUBLICATION_STATUSES,
    ),
    column("reason", STRING, "why it was sent", nullable=False, values=PUBLICATION_REASONS),
    column("error_code", STRING, "Security Hub's code or the exception's; NULL when sent"),
    column("error_message", STRING, "Security Hub's words, at most 500 characters"),
    column("created_at", TIME, "CreatedAt sent; never changes", nullable=False),
    column("updated_at", TIME, "UpdatedAt sent; strictly increases", nullable=False),
)

_TABLES = (
    COVERAGE,
    table(
        "trait_hit", "one row per service × trait", "resource_id trait",
        (
            *_RESOURCE,
            column("trait", STRING, "name of the trait", nullable=False),
            column("category", STRING, "AWS's category", nullable=False, values=CATEGORIES),
            column("state", STRING, "hit, or unknown where a dataset the trait needs was not seen", nullable=False, values=("hit", "unknown")),
            column("evidence", STRING, "JSON array, sorted, one object per row that hit; NULL when unknown"),
            *_CARRIED,
        ),
    ),
    table(
        "exposure", "one row per service with a hit or an unknown", "resource_id",
        (
            *_RESOURCE,
            _severity("severity", "AWS's matrix for the worst driver; INFORMATIONAL without one", nullable=False),
            column("likelihood", STRING, "likelihood of the driver; NULL without one", values=LIKELIHOODS),
            column("impact", STRING, "impact paired with the driver", nullable=False, values=IMPACTS),
            column("driver", STRING, "vulnerability id or trait that decided the severity; NULL without one"),
            column("driver_rule", STRING, "the rule that gave the driver its likelihood, with its source"),
            column("impact_reason", STRING, "what decided the impact"),
            column("score", FLOAT, "0–100, ordered inside the severity's band", nullable=False),
            column("exploit_probability", FLOAT, "1 − ∏(1 − p) over distinct network-exploitable vulnerabilities, six digits; NULL when none is known"),
            column("highest_probability", FLOAT, "highest p (1 if in KEV, else EPSS); NULL when none is known"),
            column("reachability", STRING, "how the internet reaches the service", nullable=False, values=REACHABILITIES),
            column("is_exposed", BOOL, "counted as exposed to the internet", nullable=False),
            column("is_minimum", BOOL, "something was not seen or not known: the severity is \"at least\" this", nullable=False),
            column("minimum_reason", STRING, "what was not seen or known; NULL when nothing"),
            column("traits", STRINGS, "traits hit, sorted", nullable=False),
            column("own_traits", STRINGS, "those of `traits` that AWS's exposure findings do not know, sorted; shown after AWS's"),
            column("unknown_traits", STRINGS, "traits that could not be decided, sorted", nullable=False),
            column("vulnerability_count", INT, "distinct active vulnerabilities of the running images; NULL when no image was scanned"),
            column("high_priority_vulnerability_count", INT, "those of high priority; NULL when no image was scanned"),
            column("is_dormant", BOOL, "nothing running and nothing desired", nullable=False),
            *_CARRIED,
            column("first_observed_date", DATE, "first day the service had an exposure; never moves", nullable=False),
            column("due_date", DATE, "day by which the exposure should be gone; NULL below LOW"),
            column("severity_traits", STRINGS, "traits that drive a severity above INFORMATIONAL, raise the impact above Low or make the service reachable, sorted; the exposure is accepted when all are. `*` is what no trait of the service takes away"),
            column("accepted_traits", STRINGS, "those of `severity_traits` that are accepted that day, sorted"),
            column("accepted_until", DATE, "day on which the exposure is no longer accepted; NULL when it is not accepted, or below LOW"),
            column("accepted_by", STRING, "owner of the accepted risk that ends first; NULL when not accepted"),
            column("accepted_reason", STRING, "reason of the accepted risk that ends first; NULL when not accepted"),
            column("title", STRING, "one sentence, at most 256 characters", nullable=False),
            column("cluster_name", STRING, "name of the cluster", nullable=False),
            column("service_name", STRING, "name of the service", nullable=False),
            column("launch_type", STRING, "launch type"),
            column("task_definition_arns", STRINGS, "revisions in force, sorted", nullable=False),
            column("account_name", STRING, "name of the account"),
            column("ou_path", STRING, "organisational units from the root down"),
            column("owner", STRING, "value of the owner tag of the service, else of its cluster, else of its account"),
            column("tags", STRING, "tags of the service as a JSON object"),
        ),
    ),
    table(
        "accepted_risk", "one row per entry of the file of accepted risks", "account service trait accepted_date",
        (
            _DAY,
            column("account", STRING, "account id, or a pattern of them", nullable=False),
            column("service", STRING, "pattern of cluster/service; without a slash, of the service in any cluster", nullable=False),
            column("trait", STRING, "trait, or `*` for all", nullable=False),
            column("reason", STRING, "why it is accepted", nullable=False),
            column("owner", STRING, "who accepted it", nullable=False),
            column("accepted_date", DATE, "first day on which it is accepted", nullable=False),
            column("expiry_date", DATE, "first day on which it is no longer accepted", nullable=False),
            column("state", STRING, "whether it is accepted that day", nullable=False, values=RISK_STATES),
            column("services", INT, "services that it names on which the trait counts that day; 0: it matches nothing", nullable=False),
            column("accepted_exposures", INT, "of these, those whose exposure is accepted: all of its severity_traits are", nullable=False),
            column("last_matched_date", DATE, "last day on which it matched a service; NULL: it never did"),
        ),
    ),
    table(
        "driver", "one row per exposure × candidate driver, the worst five vulnerabilities of a service at most", "resource_id driver",
        (
            *_RESOURCE,
            column("driver", STRING, "vulnerability id or trait", nullable=False),
            column("kind", STRING, "what it is", nullable=False, values=("vulnerability", "configuration")),
            column("likelihood", STRING, "likelihood", nullable=False, values=LIKELIHOODS),
            column("impact", STRING, "impact paired with it", nullable=False, values=IMPACTS),
            _severity("severity", "AWS's matrix for the pair", nullable=False),
            column("rule", STRING, "rule that gave the likelihood, with its source", nullable=False),
            column("inputs", STRING, "JSON object of the rule's inputs", nullable=False),
            column("rank", INT, "1 is the one shown as the exposure's driver", nullable=False),
        ),
    ),
    table(
        "impact_reason", "one row per service × reason why its compromise would cost more than Low", "resource_id reason needs_traits",
        (
            *_RESOURCE,
            column("impact", STRING, "impact the reason gives: the service's is High if any is, else Medium if any is, else Unknown", nullable=False, values=("High", "Medium", "Unknown")),
            column("reason", STRING, "what a compromise would give", nullable=False),
            column("needs_traits", STRINGS, "traits without any one of which the reason is gone, sorted; empty when none of them takes it away", nullable=False),
        ),
    ),
    table(
        "path", "one row per way the internet reaches a service", "resource_id path_id",
        (
            *_RESOURCE,
            column("path_id", STRING, "hash of the hops", nullable=False),
            column("kind", STRING, "which reachability it makes", nullable=False, values=("DIRECT", "VIA_LOAD_BALANCER")),
            column("hops", STRING, "JSON array from the internet to the container: hop, id, detail", nullable=False),
            column("needs_traits", STRINGS, "traits without which the path is gone, sorted", nullable=False),
            column("container_names", STRINGS, "containers it reaches, sorted; empty when any", nullable=False),
            column("sensitive_ports", pa.list_(INT), "datastore and administration ports it reaches, sorted", nullable=False),
            column("unseen", STRINGS, "what on it was not seen, so that it may be open or closed; empty when it is open"),
        ),
    ),
    table(
        "vulnerability_epss", "one row per vulnerability × day of the last seven with a known EPSS", "vulnerability_id epss_date",
        (
            _DAY,
            column("vulnerability_id", STRING, "CVE or vendor id", nullable=False),
            column("epss_date", DATE, "day the EPSS was seen", nullable=False),
            column("epss", FLOAT, "highest EPSS of that day on any image of any account or in FIRST's file, six digits", nullable=False),
        ),
    ),
    table(
        "vulnerability", "one row per vulnerability reported on an image within the last seven days", "vulnerability_id",
        (
            _DAY,
            column("vulnerability_id", STRING, "CVE or vendor id", nullable=False),
            column("last_reported_date", DATE, "last day it was reported on an image", nullable=False),
            column("kev", BOOL, "in CISA's catalogue; NULL when nobody says"),
            column("kev_date_added", DATE, "when CISA added it"),
            column("epss", FLOAT, "highest EPSS known in the last seven days; NULL when unknown"),
            column("epss_today", FLOAT, "the newest EPSS of the last seven days; NULL when there is none"),
            column("exploit_available", BOOL, "a public exploit is known, or exploitation was seen; NULL when nobody says"),
            column("exploit_last_seen", TIME, "last time Amazon Inspector saw it exploited"),
            column("tools", STRINGS, "malware and exploit kits known to use it, sorted"),
            column("decision_source", STRING, "who decided automatable and technical_impact", nullable=False, values=DECISION_SOURCES),
            column("automatable", BOOL, "an attacker can automate it, by CISA or any vector; NULL when unknown"),
            column("technical_impact", STRING, "by CISA or the worst vector; NULL when unknown", values=("total", "partial")),
            column("is_network_exploitable", BOOL, "network, no privileges, no interaction, by any vector; NULL without one"),
            column("is_availability_only", BOOL, "neither confidentiality nor integrity is touched, by all vectors; NULL without one"),
            column("vector_automatable", BOOL, "automatable by the vectors alone"),
            column("vector_technical_impact", STRING, "technical impact by the vectors alone", values=("total", "partial")),
            column("decided_automatable", BOOL, "automatable as CISA decided (Vulnrichment)"),
            column("decided_technical_impact", STRING, "technical impact as CISA decided (Vulnrichment)", values=("total", "partial")),
            column("lev", FLOAT, "chance that it was ever exploited, at least (LEV of NIST CSWP 41), six digits; shown, never decisive; NULL without EPSS"),
            column("lev_from", DATE, "first day of the EPSS history behind lev"),
            column("lev_survival", FLOAT, "for tomorrow's lev: the product over the 30-day windows that are over"),
            column("lev_window_epss", FLOAT, "for tomorrow's lev: EPSS of the present window; NULL when none is known yet"),
        ),
    ),
    table(
        "image_vulnerability", "one row per digest × vulnerability × package", "registry_account region image_digest vulnerability_id package_name installed_version package_file_path",
        (
            _DAY,
            column("registry_account", STRING, "account of the registry", nullable=False),
            column("region", STRING, "Region of the registry", nullable=False),
            column("repository_name", STRING, "repository", nullable=False),
            column("image_digest", STRING, "digest that runs (the index of multi-architecture images)", nullable=False),
            column("vulnerability_id", STRING, "CVE or vendor id", nullable=False),
            column("package_name", STRING, "vulnerable package", nullable=False),
            column("installed_version", STRING, "version installed"),
            column("package_file_path", STRING, "file that names the package"),
            column("finding_arn", STRING, "Inspector's finding"),
            column("severity", STRING, "Inspector's label"),
            column("epss", FLOAT, "highest EPSS known for the CVE in the last seven days; NULL when unknown"),
            column("kev", BOOL, "in CISA's catalogue; NULL when not asked"),
            column("exploit_available", BOOL, "a public exploit is known; NULL when not said"),
            column("probability", FLOAT, "1 if in KEV, else EPSS, six digits; NULL when neither is known"),
            column("cvss_vector", STRING, "vector used; NULL when none"),
            column("cvss_base_score", FLOAT, "base score of it"),
            column("is_network_exploitable", BOOL, "network, no privileges, no interaction; NULL without a vector"),
            column("automatable", BOOL, "an attacker can automate it; NULL without a vector or CISA's decision"),
            column("decision_source", STRING, "who decided automatable and technical_impact: CISA, the vector, or without one the vendor's severity", nullable=False, values=DECISION_SOURCES),
            column("technical_impact", STRING, "total or partial", values=("total", "partial")),
            column("is_availability_only", BOOL, "neither confidentiality nor integrity is touched; NULL without a vector"),
            column("is_kernel_package", BOOL, "kernel package inside an image: not the kernel that runs", nullable=False),
            column("is_malicious_package", BOOL, "the package itself is malicious: earns that trait alone", nullable=False),
            column("is_exploitation_likely", BOOL, "in KEV, EPSS ≥ 0.10, or a public exploit with EPSS ≥ 0.01 (or none known)", nullable=False),
            column("high_priority", BOOL, "network, no privileges, no interaction, and evidence of exploitation", nullable=False),
            column("is_suppressed", BOOL, "suppressed in Amazon Inspector: kept and shown apart, drives nothing", nullable=False),
            column("fixed_in_version", STRING, "version named as fixed"),
            column("fix_command", STRING, "Inspector's remediation for the package"),
            *_CARRIED,
        ),
    ),
    table(
        "service_image", "one row per service × container × digest", "resource_id container_name image_digest image",
        (
            *_RESOURCE,
            column("container_name", STRING, "name of the container", nullable=False),
            column("image", STRING, "image as the task or definition names it", nullable=False),
            column("image_digest", STRING, "digest; NULL when it could not be resolved"),
            column("registry_account", STRING, "account of the ECR registry; NULL outside ECR"),
            column("registry_region", STRING, "Region of the ECR registry; NULL outside ECR"),
            column("repository_name", STRING, "repository; NULL outside ECR"),
            column("scan_status", STRING, "what is known of its vulnerabilities", nullable=False, values=SCAN_STATUSES),
            column("platform", STRING, "operating system as Inspector writes it, e.g. DEBIAN_12; NULL when no finding told it"),
            column("is_running", BOOL, "a task runs it now", nullable=False),
            column("last_running_date", DATE, "last day a task was seen running it"),
            *_CARRIED,
        ),
    ),
    table(
        "scenario", "one row per exposure × set of removals", "resource_id removed_kind removed",
        (
            *_RESOURCE,
            column("removed_kind", STRING, "what is taken away", nullable=False, values=("as_is", "trait", "package", "image", "what_if")),
            column("removed", STRING, "its name; empty for as_is", nullable=False),
            _severity("severity", "severity that would remain", nullable=False),
            column("score", FLOAT, "score that would remain", nullable=False),
        ),
    ),
    table(
        "fix", "one row per exposure × single removal", "resource_id removed_kind removed",
        (
            *_RESOURCE,
            column("removed_kind", STRING, "what is taken away", nullable=False, values=("trait", "package", "image")),
            column("removed", STRING, "trait, `package@digest`, or digest", nullable=False),
            column("description", STRING, "the fix in one sentence", nullable=False),
            column("packages", STRINGS, "packages to upgrade, sorted; empty for other fixes"),
            column("fixed_in_versions", STRINGS, "versions Amazon Inspector names as fixed, sorted, five at most"),
            column("fix_commands", STRINGS, "commands Amazon Inspector names, sorted, three at most"),
            _severity("severity_before", "severity now", nullable=False),
            _severity("severity_after", "severity once done", nullable=False),
            column("score_before", FLOAT, "score now", nullable=False),
            column("score_after", FLOAT, "score once done", nullable=False),
            column("rank", INT, "1 is the fix that lowers the service's score most", nullable=False),
        ),
    ),
    table(
        "remediation", "one row per change a team can make × service with an exposure that it touches", "resource_id position",
        (
            *_RESOURCE,
            column("remediation_id", STRING, "names the change whatever service it touches", nullable=False),
            column("kind", STRING, "what is changed: an image's repository, a role, a security group, a family of task definitions, a setting of the service", nullable=False, values=REMEDIATIONS),
            column("remediation_account_id", STRING, "account of what is changed", nullable=False),
            column("remediation_region", STRING, "Region of what is changed, or `global`", nullable=False),
            column("name", STRING, "repository, role ARN, group id, family, or service ARN", nullable=False),
            column("traits", STRINGS, "traits of the service that it takes away, or its part of them, sorted", nullable=False),
            column("detail", STRING, "what exactly: a group's open rules, five at most; NULL otherwise"),
            column("position", INT, "number among the service's changes, from 0: its bit in remediation_outcome.changes", nullable=False),
        ),
    ),
    table(
        "remediation_outcome", "one row per published exposure × non-empty set of the changes that touch it", "resource_id changes",
        (
            *_RESOURCE,
            column("changes", INT, "the set: bit n is the change at position n", nullable=False),
            _severity("severity", "severity once all of them are made", nullable=False),
            column("score", FLOAT, "score once all of them are made", nullable=False),
        ),
    ),
    table(
        "fix_plan", "one row per change a team can make; each of the first 50 is the one that lowers most of what is left after those above it", "rank",
        (
            _DAY,
            column("rank", INT, "1 first; from 51 on by what is left after the first 50", nullable=False),
            column("remediation_id", STRING, "the change", nullable=False),
            column("kind", STRING, "what is changed", nullable=False, values=REMEDIATIONS),
            column("remediation_account_id", STRING, "account of what is changed", nullable=False),
            column("remediation_region", STRING, "Region of what is changed, or `global`", nullable=False),
            column("name", STRING, "repository, role ARN, group id, family, or service ARN", nullable=False),
            column("description", STRING, "the change in one sentence", nullable=False),
            column("resource_ids", STRINGS, "services with an exposure that it touches, sorted", nullable=False),
            column("owners", STRINGS, "their owners, sorted", nullable=False),
            column("lowered", INT, "exposures whose severity it lowers", nullable=False),
            column("critical_removed", INT, "exposures that are no longer CRITICAL", nullable=False),
            column("high_removed", INT, "exposures that were HIGH and are below it", nullable=False),
            column("score_removed", FLOAT, "score taken off, all exposures together", nullable=False),
            column("weight_removed", FLOAT, "weight (reference/severity.csv) taken off: what the plan is ordered by", nullable=False),
        ),
    ),
    table(
        "change", "one row per service whose exposure differs from the previous assessed day", "resource_id",
        (
            *_RESOURCE,
            column("change", STRING, "crossing of, or move above, the publishing line", nullable=False, values=CHANGES),
            column("cause", STRING, "the estate changed, or only our rules did", nullable=False, values=("estate", "rules")),
            _severity("severity_before", "on the previous day; NULL when there was no exposure"),
            _severity("severity_after", "today; NULL when there is no exposure any more"),
            column("traits_added", STRINGS, "sorted", nullable=False),
            column("traits_removed", STRINGS, "sorted", nullable=False),
            column("opened_date", DATE, "day it was opened, for resolved ones: time to remediate is measured from it"),
            column("service_name", STRING, "name of the service"),
            column("cluster_name", STRING, "name of the cluster"),
            column("account_name", STRING, "name of the account"),
            column("ou_path", STRING, "organisational units from the root down"),
            column("owner", STRING, "owner"),
        ),
    ),
    table(
        "lifecycle", "one row per service that ever had an exposure: the dates that must survive its absence", "resource_id",
        (
            *_RESOURCE,
            column("first_observed_date", DATE, "first day it had an exposure", nullable=False),
            column("last_observed_date", DATE, "last day it had one", nullable=False),
            column("opened_date", DATE, "day the present open stretch began; NULL when not open"),
        ),
    ),
    table(
        "finding", "one row per exposure at LOW or above, as it is told to Security Hub", "finding_id",
        (
            *_RESOURCE,
            column("finding_id", STRING, "stable id from the service's key", nullable=False),
            column("content_hash", STRING, "hash of severity, likelihood, impact, owner, traits, durable evidence, worst vulnerabilities, best fixes and accepted_until", nullable=False),
            _severity("severity", "severity", nullable=False),
        ),
    ),
    table(
        "service_resource", "one row per service with a finding: the AWS resources that it names beside the images", "resource_id",
        (
            *_RESOURCE,
            column("cluster_arn", STRING, "cluster"),
            column("task_definition_arn", STRING, "task definition the service asks for"),
            column("desired_count", INT, "tasks asked for"),
            column("is_execute_command_enabled", BOOL, "ECS Exec is on"),
            column("assign_public_ip", BOOL, "tasks get a public address"),
            column("subnet_ids", STRINGS, "subnets of the service's own network configuration, sorted"),
            column("security_group_ids", STRINGS, "security groups of the same, sorted"),
            column("load_balancers", LOAD_BALANCERS, "load balancers, sorted"),
            column("task_definitions", TASK_DEFINITIONS, "revisions in force, sorted", nullable=False),
            column("task_role_arns", STRINGS, "their task roles, sorted", nullable=False),
            column("security_groups", SECURITY_GROUPS, "security groups in force, sorted", nullable=False),
        ),
    ),
    table(
        "publication", "one row per finding × attempt; append-only", "finding_id published_at",
        (
            *_TOLD,
            column("published_at", TIME, "when the attempt was made", nullable=False),
        ),
    ),
    table(
        "ledger", "one row per finding that Security Hub was ever told: what it holds of ours, folded from publication", "finding_id",
        (
            *_TOLD,
            column("published_at", TIME, "when the last attempt was made", nullable=False),
            column("sent_date", DATE, "day of the snapshot it was last sent on; NULL when it never arrived for certain"),
            column("is_maybe_stored", BOOL, "an attempt that ended can have reached Security Hub", nullable=False),
        ),
    ),
    table(
        "customer_decision", "one row per finding that someone decided on in Security Hub × reading back; append-only", "finding_id read_at",
        (
            *_RESOURCE,
            column("finding_id", STRING, "id in Security Hub", nullable=False),
            column("workflow_status", STRING, "the customer's workflow status", nullable=False, values=WORKFLOW_STATUSES),
            _severity("severity_told", "severity told to Security Hub"),
            column("severity_shown", STRING, "severity it shows; another one where the customer overrode ours", values=SEVERITIES),
            column("read_at", TIME, "when Security Hub was read", nullable=False),
        ),
    ),
    table(
        "reconciliation", "one row per account and Region × reading back; append-only", "account_id region read_at",
        (
            _DAY,
            column("account_id", STRING, "account", nullable=False),
            column("region", STRING, "Region", nullable=False),
            column("status", STRING, "whether Security Hub could be read", nullable=False, values=("ok", "failed", "denied", "not_enabled")),
            column("message", STRING, "why not, at most 500 characters"),
            column("findings", INT, "findings of ours read; NULL when it could not be read"),
            column("missing", INT, "findings told that Security Hub does not hold"),
            column("altered", INT, "findings that no longer say what they were told to say"),
            column("unclaimed", INT, "findings under our generator that the ledger does not know; left alone"),
            column("suppressed", INT, "findings the customer suppressed"),
            column("overridden", INT, "findings whose severity the customer overrode"),
            column("read_at", TIME, "when Security Hub was read", nullable=False),
        ),
    ),
)  # fmt: skip

RESULTS: dict[str, Table] = {item.name: item for item in _TABLES}
"""Every result table by name."""

APPENDED = ("publication", "ledger", "customer_decision", "reconciliation")
"""Result tables that publishing appends to once a day is assessed; no commit record names their files."""

SQL_RESULTS = tuple(name for name in RESULTS if name not in ("coverage", "fix_plan", *APPENDED))
"""Result tables that SQL computes: each is the model of its name in sql/."""


def severity_rank(severity: str) -> int:
    """0 for CRITICAL up to 4 for INFORMATIONAL. Raises ValueError for another word."""
    return SEVERITIES.index(severity)
