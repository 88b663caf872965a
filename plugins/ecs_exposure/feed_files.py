"""Reading the optional local files on vulnerabilities: FIRST's EPSS scores, CISA's catalogue of known exploited ones
(KEV), and CISA's Vulnrichment.

Files come from outside: sizes, lines and values are bounded, ids are checked, and big ones are streamed. A line that
cannot be read makes the whole file unreadable, and names itself: half a catalogue would call the other half harmless.
Formats: https://www.first.org/epss/data_stats, https://www.cisa.gov/known-exploited-vulnerabilities-catalog,
https://github.com/cisagov/vulnrichment; our flat form of the last is described in docs/operate.md.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, cast

Row = dict[str, Any]
Refuse = Callable[[int, str], None]
"""Told the number of a line (or record) that cannot be used, and why."""

CVE_ID = re.compile(r"CVE-\d{4}-\d{4,19}", re.ASCII)
_RECORD = re.compile(r"(?:.*/)?(CVE-\d{4}-\d{4,19})\.json", re.ASCII)
_DAY_IN_NAME = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

MAX_LINE = 1 << 20
MAX_DOCUMENT = 256 << 20  # KEV is 2 MB; a CVE record at most some hundred KB
MAX_RECORD = 16 << 20
MAX_TEXT = 100

TECHNICAL_IMPACTS = ("total", "partial")
EXPLOITATIONS = ("none", "poc", "active")


class FeedError(Exception):
    """A feed's file cannot be read; the message names the file, the line where there is one, and what is wrong."""


@dataclass
class Feed(ABC):
    """One reading of a file. `entries` and `feed_date` are final once `rows` is exhausted."""

    path: Path
    feed_date: date | None = None
    version: str | None = None
    entries: int = 0
    unit: str = "line"

    def rows(self, wanted: Collection[str] | None = None, refuse: Refuse | None = None) -> Iterator[Row]:
        """Columns of the feed's dataset (without the file's date), of the wanted vulnerabilities or all.

        Raises FeedError; with `refuse`, a bad line is told to it and left out instead.
        """
        with _told(self.path):
            for row in self._read(wanted, refuse or self._fail):
                if wanted is None or row["vulnerability_id"] in wanted:
                    yield row
        if not self.entries:
            raise FeedError(f"{self.path} holds no entries")

    @abstractmethod
    def _read(self, wanted: Collection[str] | None, refuse: Refuse) -> Iterator[Row]: ...

    def _fail(self, line: int, why: str) -> None:
        raise FeedError(f"{self.path}, {self.unit} {line}: {why}")

    def _date_in_name(self) -> date | None:
        found = _DAY_IN_NAME.search(self.path.name)
        return _day(found[0]) if found else None


class EpssFeed(Feed):
    """`epss_scores-YYYY-MM-DD.csv[.gz]`: a comment line with model version and score date, then cve, epss, percentile.

    The date is the comment's, else the one in the file's name.
    """

    def _read(self, wanted: Collection[str] | None, refuse: Refuse) -> Iterator[Row]:
        with _lines(self.path) as lines:
            first = next(lines, "")
            if first.startswith("#"):
                notes = dict(part.split(":", 1) for part in first.lstrip("#").strip().split(",") if ":" in part)
                self.version = notes.get("model_version", "")[:MAX_TEXT] or None
                self.feed_date = _day(notes.get("score_date", "")[:10])
            self.feed_date = self.feed_date or self._date_in_name()
            skipped, lines = (1, lines) if first.startswith("#") else (0, _again(first, lines))
            for number, cells in _records(self.path, lines, skipped, ("cve", "epss")):
                identity = _cve(cells["cve"])
                score, percentile = _share(cells["epss"]), _share(cells.get("percentile"))
                if identity is None:
                    refuse(number, f"{_shown(cells['cve'])} is not a CVE id")
                elif score is None:
                    refuse(number, f"{_shown(cells['epss'])} is not a probability between 0 and 1")
                else:
                    self.entries += 1
                    yield {"vulnerability_id": identity, "epss": score, "percentile": percentile}


class KevFeed(Feed):
    """`known_exploited_vulnerabilities.json` or `.csv`, as CISA publishes them.

    The JSON names its release. The CSV does not: its date is the one in the file's name, else that of the newest entry,
    which is the earliest it can be.
    """

    def _read(self, wanted: Collection[str] | None, refuse: Refuse) -> Iterator[Row]:
        with _stream(self.path) as stream:
            start = stream.read(MAX_LINE)
            is_json = start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
            text = start + stream.read(MAX_DOCUMENT) if is_json else b""
        if len(text) > MAX_DOCUMENT:
            raise FeedError(f"{self.path} is larger than {MAX_DOCUMENT >> 20} MB: not CISA's catalogue")
        newest: date | None = None
        for number, cells in self._document(text) if is_json else self._table():
            identity, added = _cve(cells.get("cveID")), _day(cells.get("dateAdded"))
            if identity is None:
                refuse(number, f"{_shown(cells.get('cveID'))} is not a CVE id")
            elif added is None:
                refuse(number, f"{_shown(cells.get('dateAdded'))} is not the day it was added, YYYY-MM-DD")
            else:
                self.entries += 1
                newest = max(newest or added, added)
                ransomware = str(cells.get("knownRansomwareCampaignUse") or "").lower()
                yield {
                    "vulnerability_id": identity,
                    "date_added": added,
                    "date_due": _day(cells.get("dueDate")),
                    "is_ransomware_known": True if ransomware == "known" else None,
                }
        self.feed_date = self.feed_date or self._date_in_name() or newest

    def _document(self, text: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
        self.unit = "entry"
        catalogue = json.loads(text)
        entries = catalogue.get("vulnerabilities")
        if not isinstance(entries, list):
            raise FeedError(f"{self.path}: has no list `vulnerabilities`; give CISA's file as it is")
        if isinstance(count := catalogue.get("count"), int) and count != len(entries):
            raise FeedError(f"{self.path}: says it has {count} entries and has {len(entries)}; download it again")
        self.version = str(catalogue.get("catalogVersion") or "")[:MAX_TEXT] or None
        self.feed_date = _day(str(catalogue.get("dateReleased") or "")[:10])
        for number, entry in enumerate(entries, 1):
            yield number, entry if isinstance(entry, dict) else {}

    def _table(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        with _lines(self.path) as lines:
            yield from _records(self.path, lines, 0, ("cveID", "dateAdded"))


class VulnrichmentFeed(Feed):
    """CISA's SSVC decisions: its repository of CVE records (a folder or a .zip), or our flat form (CSV or JSON lines).

    Of a repository only the wanted records are read. The date is that of the newest decision read.
    """

    def _read(self, wanted: Collection[str] | None, refuse: Refuse) -> Iterator[Row]:
        if self.path.is_dir() or zipfile.is_zipfile(self.path):
            decisions: Iterator[Row] = self._repository(wanted)
        else:
            decisions = self._flat(refuse)
        for row in decisions:
            if decided := row["decided_at"]:
                self.feed_date = max(self.feed_date or decided.date(), decided.date())
            yield row

    def _repository(self, wanted: Collection[str] | None) -> Iterator[Row]:
        if self.path.is_dir():
            records = {path.stem: path for path in self.path.rglob("CVE-*.json") if _cve(path.stem)}
            self.entries = len(records)
            for identity in sorted(records.keys() & set(wanted) if wanted is not None else records):
                with records[identity].open("rb") as handle:
                    yield from self._decisions(identity, handle)
            return
        with zipfile.ZipFile(self.path) as archive:
            members = {match[1]: name for name in archive.namelist() if (match := _RECORD.fullmatch(name))}
            self.entries = len(members)
            for identity in sorted(members.keys() & set(wanted) if wanted is not None else members):
                with archive.open(members[identity]) as handle:
                    yield from self._decisions(identity, handle)

    def _decisions(self, identity: str, handle: IO[bytes]) -> Iterator[Row]:
        """The newest decision of CISA's own container in a CVE record; none when CISA did not decide."""
        text = handle.read(MAX_RECORD + 1)
        try:
            if len(text) > MAX_RECORD:
                raise ValueError("too large")
            containers = json.loads(text)["containers"].get("adp", [])
            found = [
                (str(metric["other"]["content"].get("timestamp") or ""), metric["other"]["content"]["options"])
                for container in containers
                if container.get("providerMetadata", {}).get("shortName") == "CISA-ADP"
                for metric in container.get("metrics", [])
                if metric.get("other", {}).get("type") == "ssvc"
            ]
            for timestamp, options in sorted(found, key=lambda item: item[0])[-1:]:
                told = {str(name): value for option in options for name, value in option.items()}
                yield _decision(
                    identity, told.get("Automatable"), told.get("Technical Impact"), told.get("Exploitation"), timestamp
                )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FeedError(f"{self.path}: the record of {identity} is not as CISA publishes it ({error})") from None

    def _flat(self, refuse: Refuse) -> Iterator[Row]:
        with _lines(self.path) as lines:
            first = next(lines, "")
            lines = _again(first, lines)
            is_json = first.lstrip().startswith("{")
            for number, cells in (
                _json_lines(lines, refuse)
                if is_json
                else _records(self.path, lines, 0, ("cve", "automatable", "technical_impact"))
            ):
                identity = _cve(cells.get("cve"))
                if identity is None:
                    refuse(number, f"{_shown(cells.get('cve'))} is not a CVE id")
                    continue
                try:
                    row = _decision(
                        identity,
                        *(cells.get(name) for name in ("automatable", "technical_impact", "exploitation", "timestamp")),
                    )
                except ValueError as error:
                    refuse(number, str(error))
                    continue
                self.entries += 1
                yield row


def _decision(identity: str, automatable: Any, impact: Any, exploitation: Any, timestamp: Any) -> Row:
    """Raises ValueError for a word that SSVC does not know."""
    return {
        "vulnerability_id": identity,
        "automatable": {"yes": True, "no": False, None: None}[_word("automatable", automatable, ("yes", "no"))],
        "technical_impact": _word("technical_impact", impact, TECHNICAL_IMPACTS),
        "exploitation": _word("exploitation", exploitation, EXPLOITATIONS),
        "decided_at": _moment(timestamp),
    }


def _word(name: str, value: Any, known: tuple[str, ...]) -> str | None:
    word = str(value).strip().lower() if value is not None else ""
    if word and word not in known:
        raise ValueError(f"{name} is {_shown(value)}, not {' or '.join(known)}")
    return word or None


def _moment(value: Any) -> datetime | None:
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError(f"timestamp {_shown(value)} is not written as in ISO 8601") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cve(value: Any) -> str | None:
    word = str(value).strip().upper() if value is not None else ""
    return word if CVE_ID.fullmatch(word) else None


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value).strip()) if value else None
    except ValueError:
        return None


def _share(value: Any) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number <= 1 else None


def _shown(value: Any) -> str:
    """What a file says, short and on one line, to be quoted in a message."""
    return repr(str(value)[:40])


def _json_lines(lines: Iterator[str], refuse: Refuse) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            refuse(number, "not a JSON object")
            continue
        if found is not None:
            yield number, found if isinstance(found, dict) else {}


def _again(first: str, lines: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from lines


def _records(
    path: Path, lines: Iterator[str], skipped: int, needed: tuple[str, ...]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line number, cells by column) of a CSV with a header; cells that a line lacks are absent."""
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in needed if name not in header]:
        raise FeedError(
            f"{path}: has no column {' or '.join(missing)} in its first line; give the file as it is published"
        )
    for cells in reader:
        if cells:
            yield reader.line_num + skipped, dict.fromkeys(needed) | dict(zip(header, cells, strict=False))


@contextmanager
def _stream(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as handle:
        is_gzip = handle.read(2) == b"\x1f\x8b"
        handle.seek(0)
        if not is_gzip:
            yield handle
            return
        with gzip.open(handle) as unpacked:
            yield cast(IO[bytes], unpacked)


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    """The file's lines, none longer than MAX_LINE characters."""
    with _stream(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")

        def read() -> Iterator[str]:
            number = 0
            while line := text.readline(MAX_LINE):
                number += 1
                if len(line) >= MAX_LINE:
                    raise FeedError(f"{path}, line {number}: longer than {MAX_LINE} characters")
                yield line

        yield read()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever goes wrong in reading the file, as a FeedError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise FeedError(f"{path} does not exist; correct the setting, or download the file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise FeedError(f"{path} is damaged or cut short ({error}); download it again") from None
    except OSError as error:
        raise FeedError(f"{path} cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, RecursionError) as error:
        raise FeedError(f"{path} is not in its published format: {error}") from None
