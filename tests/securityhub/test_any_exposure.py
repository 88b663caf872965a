"""Whatever an exposure looks like, Security Hub accepts its finding: thousands of them, with names, tags and evidence
from someone who means harm, through real HTTP to a hub that refuses what AWS documents it refuses.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from itertools import count
from typing import Any

from ecs_exposure.databases import connect, create_empty
from ecs_exposure.finding_documents import TABLES
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.securityhub.asff import to_asff
from ecs_exposure.securityhub.documents import document
from embedded_aws import EmbeddedAws
from embedded_aws.finding_format import problems
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.securityhub.rows import ACCOUNT, DAY, REGION, row, trait, vulnerability
from tests.sql_harness import SQL, filled

FINDINGS = 5_000
ROWS_OF_A_PALETTE = 25
MAX_REQUEST_BYTES = 6_000_000

# Control characters, halves of characters, line separators, zero width and writing direction.
UNREADABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)

# --- exposures ------------------------------------------------------------------------------------------------------

HOSTILE = (
    "", " ", "\n", "\x00", "\ud800", "half \udfff of a character", "\ufeff", "\u200b\u202e", "\u2028\u2029", "\x85\xa0",
    "\x1b[31mred\x1b[0m", "a\x00b\tc\r\nd", "=cmd|' /C calc'!A0", "<script>alert(1)</script>",
    "'; drop table finding; --", "{{7*7}} ${jndi:ldap://x}", "\\\"quoted\\\"", "../../etc/passwd", "%s%n%00", "null",
    "NaN", "true", "-1", "[]", "ﷺ", "ä́̈" * 50, "🏴\U000e0067\U000e0062\U000e007f", "arn:aws:iam::1:role/\n",
    "aws:reserved", "AWS:\u200breserved", "arn:aws:ecs:eu-west-1:1:service/a/b", "/" * 600,
    "word " * 100 + "\U0001f4a5" * 300, "a" * 255 + "\U0001f4a5" * 3, "a" * 2047 + "\U0001f4a5",
)  # fmt: skip
LONG = (
    "x" * 10_000, "a b " * 2_500, "漢" * 3_000, "\U0001f4a5" * 2_000, "\x07" * 10_000, "\u202e" * 10_000,
    "a\ud83d" * 5_000,
)  # fmt: skip
ODD_EVIDENCE = (
    None, "null", "[]", "{}", "0", '"text"', "[null]", "[[[[]]]]", '{"a": {"b": {"c": []}}}', "[1e999]", '["\\ud800"]',
    '[{"": ""}]', '[{"a": "\\u0000"}]', "[" * 40 + "]" * 40,
)  # fmt: skip
NUMBERS = (None, 0.0, 1.0, 0.421337, 5e-324, 1e300, float("nan"), float("inf"))
TRAITS = (
    "open_security_group", "cleartext_credentials", "vulnerability", "high_priority_vulnerability", "public_ip",
    "iam_role_assumable", "internet_reachable", "administrative_access_policy", "has_disable_audit_trail_path",
)  # fmt: skip
CATEGORIES = ("Misconfiguration", "Reachability", "Vulnerability", "Assumability", "Impact")


class Maker:
    """Rows of document.sql, anything the types of its columns allow, from a palette of texts and pieces of evidence."""

    def __init__(self, order: random.Random, texts: Sequence[str], evidence: Sequence[Any]) -> None:
        self.order = order
        self.texts = (*HOSTILE, *texts)
        self.evidence = evidence

    def text(self) -> str:
        return self.order.choice(LONG if self.order.random() < 0.03 else self.texts)

    def maybe(self, value: Any) -> Any:
        return value if self.order.random() < 0.7 else None

    def flag(self) -> bool:
        return self.order.random() < 0.5

    def maybe_texts(self, *names: str) -> dict[str, Any]:
        return {name: self.maybe(self.text()) for name in names}

    def many(self, make: Callable[[], Any], most: int = 4) -> list[Any]:
        """None, some, or now and then hundreds."""
        number = self.order.randint(20, 300) if self.order.random() < 0.015 else self.order.randint(0, most)
        return [make() for _ in range(number)]

    def row(self, number: int) -> dict[str, Any]:
        choice = self.order.choice
        details = {made["trait"]: made for made in self.many(self.trait)}
        return {
            **row(),
            **self.maybe_texts(
                "driver", "driver_rule", "impact_reason", "minimum_reason", "account_name", "ou_path", "owner",
                "launch_type",
            ),
            **{name: self.text() for name in ("title", "cluster_name", "service_name")},
            **{name: choice(NUMBERS) for name in ("exploit_probability", "highest_probability")},
            **{name: self.flag() for name in ("is_exposed", "is_minimum", "is_dormant", "is_carried")},
            "finding_id": f"ecs-exposure/aws/{ACCOUNT}/{REGION}/main/{number}",
            "resource_id": f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/{self.text()}",
            "severity": choice(("CRITICAL", "HIGH", "MEDIUM", "LOW")),
            "likelihood": choice((None, "Very High", "High", "Moderate", "Low")),
            "impact": choice(("High", "Medium", "Low", "Unknown")),
            "reachability": choice(("DIRECT", "VIA_LOAD_BALANCER", "NOT_REACHABLE", "UNKNOWN")),
            "score": self.order.uniform(0, 100),
            "vulnerability_count": self.maybe(self.order.randint(0, 2**53)),
            "high_priority_vulnerability_count": self.maybe(0),
            "observed_date": date.fromordinal(self.order.randint(730_000, 750_000)),
            "first_observed_date": date.fromordinal(self.order.randint(730_000, 750_000)),
            "due_date": self.maybe(date.max),
            "traits": sorted(details),
            "unknown_traits": self.many(self.text),
            "tags": self.maybe(json.dumps({self.text(): self.text() for _ in self.many(self.text)})),
            "trait_details": list(details.values()),
            "fix": self.maybe(self.fix()),
            "vulnerabilities": self.many(self.vulnerability),
            "service": self.maybe(self.service()),
            "task_definitions": self.many(self.definition),
            "task_role_arns": self.many(self.text),
            "images": self.many(self.image),
            "security_groups": self.many(self.group),
        }  # fmt: skip

    def trait(self) -> dict[str, Any]:
        name = self.order.choice(TRAITS) if self.flag() else self.text() + str(self.order.randint(0, 999))
        made = trait(
            name, self.order.choice(CATEGORIES), state="unknown" if self.order.random() < 0.2 else "hit",
            is_ours=self.flag(),
        )  # fmt: skip
        pieces = json.dumps(self.many(self.piece))
        evidence = self.order.choice(ODD_EVIDENCE) if self.order.random() < 0.2 else pieces
        return made | self.maybe_texts("title", "recommendation", "url") | {"evidence": evidence}

    def piece(self) -> Any:
        if self.evidence and self.flag():
            return self.order.choice(self.evidence)
        return {self.text(): self.text(), "container": self.text(), "ports": [80, None, self.text()]}

    def fix(self) -> dict[str, Any]:
        return {
            "kind": self.order.choice(("trait", "package", "image")),
            "removed": self.order.choice((*TRAITS, self.text())),
            "description": self.text(),
            "severity_after": self.order.choice(("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL")),
            "score_after": self.order.uniform(0, 100),
        }

    def vulnerability(self) -> str:
        names = ("name", "version", "file_path", "fixed_in_version", "remediation")
        return vulnerability(
            self.text(),
            self.order.choice(NUMBERS),
            packages=self.maybe(self.many(lambda: self.maybe_texts(*names), 3)),
            cvss_base_score=self.order.choice(NUMBERS),
            cvss_vector=self.maybe(self.order.choice((self.text(), "CVSS:3.1/AV:N", "AV:N/AC:L"))),
            exploit_available=self.maybe(self.flag()),
        )

    def service(self) -> dict[str, Any]:
        return {
            **self.maybe_texts("cluster_arn", "task_definition_arn"),
            "desired_count": self.maybe(self.order.randint(0, 2**31 - 1)),
            "is_execute_command_enabled": self.maybe(self.flag()),
            "assign_public_ip": self.maybe(self.flag()),
            "subnet_ids": self.maybe(self.many(self.text, 25)),
            "security_group_ids": self.maybe(self.many(self.text, 9)),
            "load_balancers": self.maybe(self.many(self.balancer)),
        }

    def balancer(self) -> dict[str, Any]:
        return {
            **self.maybe_texts("container_name", "load_balancer_name", "target_group_arn"),
            "container_port": self.maybe(self.order.randint(0, 65_535)),
        }

    def definition(self) -> dict[str, Any]:
        names = ("family", "network_mode", "pid_mode", "ipc_mode", "task_role_arn", "execution_role_arn")
        return {"arn": self.text(), **self.maybe_texts(*names)}

    def image(self) -> dict[str, Any]:
        names = ("image_digest", "registry_account", "registry_region", "repository_name")
        return {"image": self.text(), **self.maybe_texts(*names), "scan_status": "unknown"}

    def group(self) -> dict[str, Any]:
        return {"group_id": self.text(), **self.maybe_texts("group_name", "vpc_id"), "account_id": ACCOUNT}


PALETTES = {
    "texts": st.lists(st.text(st.characters(exclude_categories=()), max_size=40), max_size=12),
    "evidence": st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=6,
    ),
    "seed": st.integers(0, 2**32),
}


# --- what must hold -------------------------------------------------------------------------------------------------


class Hub:
    """Sends findings to Security Hub as they come, up to a hundred and 6 MB at a time."""

    def __init__(self, aws: EmbeddedAws) -> None:
        aws.securityhub.enable(ACCOUNT, REGION)
        aws.securityhub.is_paced = False
        self._client = aws.client("securityhub", ACCOUNT, REGION)
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0
        self.accepted = 0
        self.refused: list[dict[str, Any]] = []

    def send(self, finding: dict[str, Any]) -> None:
        size = len(json.dumps(finding)) + 10
        if len(self._waiting) == 100 or self._bytes + size > MAX_REQUEST_BYTES - 100:
            self.flush()
        self._waiting.append(finding)
        self._bytes += size

    def flush(self) -> None:
        answer = self._client.batch_import_findings(Findings=self._waiting)
        self.accepted += answer["SuccessCount"]
        self.refused += answer["FailedFindings"]
        self._waiting, self._bytes = [], 0


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def assert_within_limits(finding: dict[str, Any]) -> None:
    """The maxima of AWS's documentation, written down a second time."""
    assert len(finding["Id"]) <= 512
    assert 1 <= units(finding["Title"]) <= 256
    assert 1 <= units(finding["Description"]) <= 1024
    assert 1 <= units(finding["Remediation"]["Recommendation"]["Text"]) <= 512
    assert units(finding.get("AwsAccountName", "")) <= 50
    assert 1 <= units(finding["FindingProviderFields"]["Severity"]["Original"]) <= 64
    assert 1 <= len(finding["Resources"]) <= 32
    assert len(finding["ProductFields"]) <= 50
    assert all(units(key) <= 128 and units(text) <= 2048 for key, text in finding["ProductFields"].items())
    for resource in finding["Resources"]:
        tags = resource.get("Tags", {})
        assert len(tags) <= 50
        assert all(units(key) <= 128 and units(text) <= 256 for key, text in tags.items())
        assert not any(key.lower().startswith("aws:") for key in tags)
    assert len(json.dumps(finding)) <= 240_000


def assert_readable(finding: dict[str, Any]) -> None:
    """Nothing invisible or blank is told, and nothing that cannot be encoded."""
    for text in texts(finding):
        assert text == text.strip() != ""
        assert not UNREADABLE.search(text), repr(text)


def in_another_order(made: dict[str, Any], order: random.Random) -> dict[str, Any]:
    """The same row with what has no order of its own shuffled: traits are told by rank, tags by name."""
    details = order.sample(made["trait_details"], len(made["trait_details"]))
    tags = list(json.loads(made["tags"] or "{}").items())
    order.shuffle(tags)
    shuffled = made | {"trait_details": details, "tags": json.dumps(dict(tags))}
    return dict(order.sample(list(shuffled.items()), len(shuffled)))


def test_security_hub_accepts_the_finding_of_any_exposure(aws: EmbeddedAws) -> None:
    hub = Hub(aws)
    numbers = count()

    @settings(
        max_examples=FINDINGS // ROWS_OF_A_PALETTE, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(**PALETTES)
    def accepted(texts: list[str], evidence: list[Any], seed: int) -> None:
        maker = Maker(random.Random(seed), texts, evidence)
        for row_number in range(ROWS_OF_A_PALETTE):
            made = maker.row(next(numbers))
            finding = to_asff(made, "aws")
            if row_number % 5 == 0:  # of a fifth: it takes as long as all the rest
                assert json.dumps(to_asff(in_another_order(made, maker.order), "aws")) == json.dumps(finding)
            assert_within_limits(finding)
            assert_readable(finding)
            sent = finding | {"UpdatedAt": "2026-11-01T03:00:00.000Z"}
            assert problems(sent) == []  # what the server will ask, here so that hypothesis can shrink
            hub.send(sent)

    accepted()
    hub.flush()
    assert hub.refused == []
    assert hub.accepted == next(numbers) >= FINDINGS
    assert len({item["Id"] for item in aws.securityhub.findings()}) == hub.accepted


# --- the order of what is stored ------------------------------------------------------------------------------------

SERVICE = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/shop"
DIGESTS = ("sha256:aa", "sha256:bb", None)


def stored(texts: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the result tables that document.sql reads, for one service; ties and NULLs wherever the keys allow."""
    here = {"account_id": ACCOUNT, "region": REGION, "resource_id": SERVICE}
    image = {"registry_account": ACCOUNT, "registry_region": REGION, "repository_name": "shop"}
    return {
        "finding": [{**here, "finding_id": "f", "content_hash": "h", "severity": "HIGH"}],
        "exposure": [{**here, "severity": "HIGH", "first_observed_date": DAY, "title": "t"}],
        "trait_hit": [
            {**here, "trait": f"t{number}{text}", "category": "Impact", "state": "hit", "evidence": json.dumps([text])}
            for number, text in enumerate(texts)
        ],
        "service_image": [
            {**here, "container_name": f"{number}{text}", "image": text, "image_digest": digest, **image}
            for number, text in enumerate(texts)
            for digest in DIGESTS
        ],
        "image_vulnerability": [
            {
                "registry_account": ACCOUNT, "region": REGION, "repository_name": "shop", "image_digest": digest,
                "vulnerability_id": f"CVE-{number}", "package_name": text, "fixed_in_version": text or None,
                "cvss_vector": vector, "cvss_base_score": 5.0,
            }
            for number, text in enumerate(texts * 3)
            for digest in DIGESTS[:2]
            for vector in ("AV:N", "AV:L", None)
        ],
    }  # fmt: skip


@settings(max_examples=20)
@given(st.lists(st.text(max_size=5), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_stored_rows_changes_no_byte_of_a_finding(texts: list[str], order: random.Random) -> None:
    select = (SQL / "documents" / "document.sql").read_text(encoding="utf-8")
    told = set()
    for _ in range(3):
        with connect() as connection:
            create_empty(connection, "today", {name: RESULTS[name] for name in TABLES})
            for name, rows in stored(texts).items():
                shuffled = order.sample(rows, len(rows))
                connection.register("given", RESULTS[name].to_arrow([filled(RESULTS[name], row) for row in shuffled]))
                connection.execute(f"insert into today.{name} select * from given")
            (made,) = connection.sql(select, params={"finding_ids": ["f"]}).to_arrow_table().to_pylist()
        told.add(json.dumps(document(made, {}, "aws")))
    assert len(told) == 1
