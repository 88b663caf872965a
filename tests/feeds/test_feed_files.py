"""Reading the local feeds: the published formats, what is refused and how it is named; no text breaks a reader."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.feed_files import EpssFeed, FeedError, KevFeed, VulnrichmentFeed
from hypothesis import given, settings
from hypothesis import strategies as st

EPSS = "#model_version:v2025.03.14,score_date:2026-03-01T12:55:00+0000\ncve,epss,percentile\n"
SCORES = EPSS + "CVE-2021-44228,0.94358,0.99957\nCVE-2024-0001,0.00042,0.05\n"
KEV = {
    "title": "CISA Catalog of Known Exploited Vulnerabilities",
    "catalogVersion": "2026.03.01",
    "dateReleased": "2026-03-01T18:00:04.6211Z",
    "count": 2,
    "vulnerabilities": [
        {"cveID": "CVE-2021-44228", "dateAdded": "2021-12-10", "dueDate": "2021-12-24",
         "knownRansomwareCampaignUse": "Known"},
        {"cveID": "CVE-2024-0002", "dateAdded": "2026-02-27", "dueDate": "", "knownRansomwareCampaignUse": "Unknown"},
    ],
}  # fmt: skip
KEV_CSV = (
    "cveID,vendorProject,product,vulnerabilityName,dateAdded,shortDescription,requiredAction,dueDate,"
    "knownRansomwareCampaignUse,notes,cwes\n"
    'CVE-2021-44228,Apache,Log4j2,"Log4j2, remote",2021-12-10,"on two\nlines",Update,2021-12-24,Known,,CWE-20\n'
    "CVE-2024-0002,X,Y,Z,2026-02-27,d,Update,2026-03-20,Unknown,,\n"
)


def record(identity: str, *options: tuple[str, str, str, str], provider: str = "CISA-ADP") -> dict[str, Any]:
    """A CVE record as the repository holds it, with decisions (timestamp, automatable, impact, exploitation)."""
    return {
        "dataType": "CVE_RECORD",
        "cveMetadata": {"cveId": identity},
        "containers": {
            "cna": {},
            "adp": [
                {"title": "CVE Program Container", "providerMetadata": {"shortName": "CVE"}},
                {
                    "providerMetadata": {"shortName": provider},
                    "metrics": [
                        {"cvssV3_1": {"baseScore": 9.8}},
                        {"other": {"type": "kev", "content": {"dateAdded": "2022-03-03"}}},
                        *(
                            {
                                "other": {
                                    "type": "ssvc",
                                    "content": {
                                        "id": identity,
                                        "timestamp": when,
                                        "options": [
                                            {"Exploitation": exploitation},
                                            {"Automatable": automatable},
                                            {"Technical Impact": impact},
                                        ],
                                    },
                                }
                            }
                            for when, automatable, impact, exploitation in options
                        ),
                    ],
                },
            ],
        },
    }


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("is_packed", [False, True])
def test_epss_scores_with_the_date_of_the_comment(tmp_path: Path, is_packed: bool) -> None:
    feed = EpssFeed(written(tmp_path, "epss.csv.gz", gzip.compress(SCORES.encode()) if is_packed else SCORES))
    assert list(feed.rows()) == [
        {"vulnerability_id": "CVE-2021-44228", "epss": 0.94358, "percentile": 0.99957},
        {"vulnerability_id": "CVE-2024-0001", "epss": 0.00042, "percentile": 0.05},
    ]
    assert (feed.feed_date, feed.version, feed.entries) == (date(2026, 3, 1), "v2025.03.14", 2)


def test_only_the_wanted_vulnerabilities_are_given_and_all_are_counted(tmp_path: Path) -> None:
    feed = EpssFeed(written(tmp_path, "epss.csv", SCORES))
    assert [row["vulnerability_id"] for row in feed.rows({"CVE-2024-0001", "CVE-1999-0001"})] == ["CVE-2024-0001"]
    assert feed.entries == 2


def test_without_a_comment_the_date_is_the_one_in_the_files_name(tmp_path: Path) -> None:
    text = "cve,epss,percentile\nCVE-2024-0001,1,\n"
    feed = EpssFeed(written(tmp_path, "epss_scores-2026-02-28.csv", text))
    assert [row["percentile"] for row in feed.rows()] == [None]
    assert feed.feed_date == date(2026, 2, 28)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (EPSS + "CVE-2024-0001,0.1,0.1\nCVE-24-1,0.1,0.1\n", r"line 4: 'CVE-24-1' is not a CVE id"),
        (EPSS + "CVE-2024-0001,1.1,0.1\n", r"line 3: '1.1' is not a probability"),
        (EPSS + "CVE-2024-0001,nan,0.1\n", r"line 3: 'nan' is not a probability"),
        (EPSS + "CVE-2024-0001\n", r"line 3: .* is not a probability"),
        (EPSS, "holds no entries"),
        ("", "no column cve or epss"),
        ("<html>sign in</html>\n", "no column cve or epss"),
        ("cve,score\nCVE-2024-0001,1\n", "no column epss"),
        (b"\xff\xfe\x00", "not in its published format"),
        (gzip.compress(SCORES.encode())[:-9], "damaged or cut short"),
        (EPSS + "CVE-2024-0001," + "0" * (1 << 21) + "\n", "longer than|larger than"),
    ],
)
def test_a_broken_epss_file_names_the_line_and_what_is_wrong(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = written(tmp_path, "epss.csv", text)
    with pytest.raises(FeedError, match=says) as caught:
        list(EpssFeed(path).rows())
    assert str(path) in str(caught.value)


def test_refused_lines_are_told_to_who_asks_and_the_others_read(tmp_path: Path) -> None:
    refused: list[int] = []
    feed = EpssFeed(written(tmp_path, "epss.csv", SCORES + "bad,0.1,\n"))
    rows = list(feed.rows(refuse=lambda line, _: refused.append(line)))
    assert (len(rows), refused) == (2, [5])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for reader in (EpssFeed, KevFeed, VulnrichmentFeed):
        with pytest.raises(FeedError, match=r"nowhere does not exist"):
            list(reader(tmp_path / "nowhere").rows())


@pytest.mark.parametrize("name", ["kev.json", "kev.json.gz", "kev.csv"])
def test_the_catalogue_as_json_and_as_csv(tmp_path: Path, name: str) -> None:
    text = KEV_CSV if name.endswith("csv") else json.dumps(KEV)
    feed = KevFeed(written(tmp_path, name, gzip.compress(text.encode()) if name.endswith("gz") else text))
    first, second = feed.rows()
    assert first == {
        "vulnerability_id": "CVE-2021-44228",
        "date_added": date(2021, 12, 10),
        "date_due": date(2021, 12, 24),
        "is_ransomware_known": True,
    }
    assert second["is_ransomware_known"] is None
    # The CSV does not say its day: the newest entry is the earliest it can be.
    assert feed.feed_date == (date(2026, 2, 27) if name == "kev.csv" else date(2026, 3, 1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(KEV | {"count": 3}), "says it has 3 entries and has 2"),
        (json.dumps(KEV)[:-40], "not in its published format"),
        (json.dumps({"vulnerabilities": {}}), "no list `vulnerabilities`"),
        (json.dumps({"vulnerabilities": []}), "holds no entries"),
        (json.dumps({"vulnerabilities": [{"cveID": "CVE-2024-1\n"}]}), "entry 1: 'CVE-2024-1.n' is not a CVE id"),
        (KEV_CSV.replace("2026-02-27", "27/02/2026"), "line 4: '27/02/2026' is not the day it was added"),
        ("[" * 100_000, "no column cveID|published format"),
        ('{"vulnerabilities":' + "[" * 100_000, "published format"),
    ],
)
def test_a_broken_catalogue_names_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FeedError, match=says):
        list(KevFeed(written(tmp_path, "kev", text)).rows())


DECISION = {
    "vulnerability_id": "CVE-2024-0001",
    "automatable": True,
    "technical_impact": "total",
    "exploitation": "poc",
    "decided_at": datetime(2026, 2, 1, 10, tzinfo=UTC),
}


@pytest.mark.parametrize(
    "text",
    [
        "cve,automatable,technical_impact,exploitation,timestamp\nCVE-2024-0001,yes,Total,poc,2026-02-01T10:00:00Z\n",
        json.dumps({"cve": "CVE-2024-0001", "automatable": "yes", "technical_impact": "total", "exploitation": "poc",
                    "timestamp": "2026-02-01T11:00:00+01:00"}) + "\n\n",
    ],
)  # fmt: skip
def test_decisions_in_the_flat_form(tmp_path: Path, text: str) -> None:
    feed = VulnrichmentFeed(written(tmp_path, "flat", text))
    assert list(feed.rows()) == [DECISION]
    assert feed.feed_date == date(2026, 2, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cve,automatable,technical_impact\nCVE-2024-0001,maybe,total\n", "line 2: automatable is 'maybe', not yes"),
        ("cve,automatable,technical_impact,timestamp\nCVE-2024-0001,no,total,soon\n", "line 2: timestamp 'soon'"),
        ('{"cve": "CVE-2024-0001"}\n{"cve": \n', "line 2: not a JSON object"),
        ('{"cve": "CVE-2024-0001"}\n[1]\n', "line 2: 'None' is not a CVE id"),
    ],
)  # fmt: skip
def test_a_broken_flat_file_names_the_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FeedError, match=says):
        list(VulnrichmentFeed(written(tmp_path, "flat", text)).rows())


@pytest.fixture(params=["folder", "zip"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """CISA's repository: of the first CVE two decisions, of the second somebody else's, of the third none."""
    records = {
        "CVE-2024-0001": record(
            "CVE-2024-0001",
            ("2026-02-01T10:00:00Z", "yes", "total", "poc"),
            ("2025-02-01T10:00:00Z", "no", "partial", "none"),
        ),
        "CVE-2024-12345": record("CVE-2024-12345", ("2026-02-01T10:00:00Z", "yes", "total", "poc"), provider="other"),
        "CVE-2025-0003": record("CVE-2025-0003"),
    }  # fmt: skip
    root = tmp_path / "vulnrichment-develop"
    for identity, text in records.items():
        year, number = identity.split("-")[1:]
        written(root, f"{year}/{number[:-3]}xxx/{identity}.json", json.dumps(text))
    written(root, "README.md", "not a record")
    if request.param == "folder":
        return root
    archive = tmp_path / "develop.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in root.rglob("*.*"):
            packed.write(path, path.relative_to(tmp_path))
    return archive


def test_the_newest_decision_of_cisa_in_its_repository(repository: Path) -> None:
    feed = VulnrichmentFeed(repository)
    assert list(feed.rows()) == [DECISION]
    assert feed.entries == 3
    assert list(VulnrichmentFeed(repository).rows({"CVE-2025-0003"})) == []


def test_a_record_that_is_not_one_names_its_vulnerability(tmp_path: Path) -> None:
    path = written(tmp_path, "repo/2024/0xxx/CVE-2024-0001.json", '{"containers": {"adp": [{"metrics": 1}]}}')
    written(tmp_path, "repo/2024/0xxx/CVE-2024-0002.json", "{")
    with pytest.raises(FeedError, match="record of CVE-2024-0002"):
        list(VulnrichmentFeed(path.parents[2]).rows())
    assert list(VulnrichmentFeed(path.parents[2]).rows({"CVE-2024-0001"})) == []


@given(text=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: (EPSS + text).encode("utf-8", "replace")))
@settings(deadline=None, max_examples=150)
def test_no_text_breaks_a_reader(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = written(tmp_path_factory.getbasetemp(), "any", text)
    for reader in (EpssFeed, KevFeed, VulnrichmentFeed):
        feed = reader(path)
        try:
            rows = list(feed.rows())
        except FeedError as error:
            assert len(str(error)) < 2000
        else:
            assert rows and len(rows) <= feed.entries
