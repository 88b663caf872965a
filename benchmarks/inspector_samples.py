"""Whether published findings of Amazon Inspector and Amazon ECR can be read: how many by file, and what is missing.

    PYTHONPATH=plugins:examples python benchmarks/inspector_samples.py --data FOLDER

Every *.json of FOLDER: an answer of the API or the AWS CLI, a recording of one, an event, Security Hub's format, or a
single finding. What wraps a finding is taken off here; the finding itself goes through the product's functions and
must fit the lake's schema. Exits 1 when a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ecs_exposure.collectors import ecr_scan, inspector
from ecs_exposure.collectors.base import Row
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.snapshots import SNAPSHOTS

_TARGET = {"account_id": "111111111111", "region": "eu-west-1", "observed_date": datetime(2026, 11, 2).date()}


@dataclass
class Told:
    """What a file told: findings and other items by kind, the product's rows by dataset."""

    shape: str = ""
    items: Counter[str] = field(default_factory=Counter)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, dataset: str, row: Row) -> None:
        self.rows.setdefault(dataset, []).append(_TARGET | row)


class Unreadable(Exception):
    """A file is in a shape nobody knows, or a row does not fit the schema."""


def main() -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Shown

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of published findings")
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob("*.json"))
    if not files:
        parser.error(f"{arguments.data} holds no *.json")
    console = Console(width=None if sys.stdout.isatty() else 160)
    shown = Shown("file", "shape", "items", "rows", "NULL in (rows)", title="published findings")
    failed = 0
    for path in files:
        try:
            told = read(json.loads(path.read_text(encoding="utf-8"), object_hook=_recorded))
            missing = "; ".join(filter(None, (_fit(SNAPSHOTS[name], rows) for name, rows in told.rows.items())))
        except (Unreadable, ValueError, KeyError, TypeError, AttributeError) as error:
            failed += 1
            shown.add_row(
                escape(path.name), "[red]cannot be read[/red]", "", "", escape(f"{type(error).__name__}: {error}")
            )
            continue
        items = ", ".join(f"{count} {kind}" for kind, count in told.items.items())
        rows = ", ".join(f"{len(rows)} {name}" for name, rows in told.rows.items())
        shown.add_row(escape(path.name), told.shape, items, rows, missing)
    console.print(shown)
    return 1 if failed else 0


def read(document: Any) -> Told:
    """A file's content through the product. Raises Unreadable for an unknown shape, and what the product raises."""
    told = Told()
    for shape, recognised, parse in _SHAPES:
        if isinstance(document, dict) and recognised(document):
            told.shape = shape
            parse(document, told)
            return told
    raise Unreadable("neither an answer, nor an event, nor a finding")


def _answer(document: Mapping[str, Any], told: Told) -> None:
    for finding in document["findings"]:
        _finding(finding, told)


def _finding(finding: Mapping[str, Any], told: Told) -> None:
    if finding["type"] != "PACKAGE_VULNERABILITY":
        told.items[f"{finding['type']} (never asked for)"] += 1
        return
    images = inspector.images_of(finding)  # none for an instance or a function: its packages are read all the same
    told.items["image findings" if images else "findings of other resources"] += 1
    for repository, digest in images or [("none", "none")]:
        for row in inspector.finding_rows(finding, repository, digest):
            told.add("image_finding", row)


def _covered(document: Mapping[str, Any], told: Told) -> None:
    for item in document["coveredResources"]:
        told.items[f"covered {item['resourceType']}"] += 1
        told.add("image_coverage", {"repository_name": "none", "image_digest": "none", **inspector.scan_columns(item)})


def _scan(document: Mapping[str, Any], told: Told) -> None:
    repository, digest = document["repositoryName"], document["imageId"]["imageDigest"]
    coverage, _ = ecr_scan.image_coverage(document, repository, digest)
    told.add("image_coverage", coverage)
    found = document.get("imageScanFindings") or {}
    for row in (
        *ecr_scan.enhanced_rows(found.get("enhancedFindings") or (), repository, digest),
        *ecr_scan.basic_rows(found.get("findings") or (), repository, digest, "arn"),
    ):
        told.items[f"{row['finding_source']} packages"] += 1
        told.add("image_finding", row)


def _event(document: Mapping[str, Any], told: Told) -> None:
    detail = document["detail"]
    if "findingArn" not in detail:  # that a scan has ended: counts, no findings
        told.items[f"event {detail['scan-status']}"] += 1
    elif "packageVulnerabilityDetails" in detail:
        _finding(detail, told)
    else:
        _finding(_from_flat(detail), told)


def _from_flat(detail: Mapping[str, Any]) -> Row:
    """The event of the first Inspector scanning of ECR, whose members all stood side by side."""
    image = {"repositoryName": detail["repositoryName"], "imageHash": detail["imageHash"]}
    resource = {"type": detail["resourceType"], "details": {"awsEcrContainerImage": image}}
    return {**detail, "packageVulnerabilityDetails": detail, "resources": [resource]}


def _asff(document: Mapping[str, Any], told: Told) -> None:
    for finding in document["Findings"]:
        for vulnerability in finding["Vulnerabilities"]:
            _finding(_from_asff(finding, vulnerability), told)


def _from_asff(finding: Mapping[str, Any], vulnerability: Mapping[str, Any]) -> Row:
    """A finding as Security Hub keeps it, in Inspector's words."""
    images = [
        {"repositoryName": image["RepositoryName"], "imageHash": image["ImageDigest"]}
        for resource in finding["Resources"]
        if (image := resource.get("Details", {}).get("AwsEcrContainerImage"))
    ]
    return {
        "findingArn": finding["Id"],
        "type": "PACKAGE_VULNERABILITY",
        "severity": finding["Severity"]["Label"],
        "firstObservedAt": finding.get("FirstObservedAt"),
        "epss": {"score": vulnerability.get("EpssScore")},
        "exploitAvailable": vulnerability.get("ExploitAvailable"),
        "fixAvailable": vulnerability.get("FixAvailable"),
        "resources": [{"details": {"awsEcrContainerImage": image}} for image in images],
        "packageVulnerabilityDetails": {
            "vulnerabilityId": vulnerability["Id"],
            "source": (vulnerability.get("Vendor") or {}).get("Name"),
            "cvss": [
                {
                    "baseScore": score.get("BaseScore"),
                    "scoringVector": score.get("BaseVector"),
                    "source": score.get("Source"),
                }
                for score in vulnerability.get("Cvss") or ()
            ],
            "vulnerablePackages": [
                {name[0].lower() + name[1:]: value for name, value in package.items()}
                for package in vulnerability.get("VulnerablePackages") or ()
            ],
        },
    }


_SHAPES: tuple[tuple[str, Any, Any], ...] = (
    ("ListFindings", lambda it: "findings" in it, _answer),
    (
        "recorded ListFindings",
        lambda it: "findings" in (it.get("data") or ()),
        lambda it, told: _answer(it["data"], told),
    ),
    ("ListCoverage", lambda it: "coveredResources" in it, _covered),
    ("DescribeImageScanFindings", lambda it: "imageScanStatus" in it, _scan),
    ("event", lambda it: "detail-type" in it, _event),
    ("Security Hub", lambda it: "Findings" in it, _asff),
    ("one finding", lambda it: "findingArn" in it, _finding),
)


def _recorded(value: dict[str, Any]) -> Any:
    """A recording writes a moment as an object of its parts."""
    if value.get("__class__") != "datetime":
        return value
    return datetime(
        *(value.get(part, 0) for part in ("year", "month", "day", "hour", "minute", "second", "microsecond"))
    )


def _fit(table: Table, rows: list[Row]) -> str:
    """Columns that are NULL, with in how many rows. Raises Unreadable for a row that the lake would not take."""
    table.to_arrow(rows)
    return ", ".join(f"{name} {count}" for name, count in _nulls(table, rows) if count)


def _nulls(table: Table, rows: list[Row]) -> Iterator[tuple[str, int]]:
    for column in table.columns:
        values = [row.get(column.name) for row in rows]
        if not column.nullable and None in values:
            raise Unreadable(f"{table.name}.{column.name} is NULL")
        if column.values is not None and (odd := set(values) - {None, *column.values}):
            raise Unreadable(f"{table.name}.{column.name} holds {sorted(odd)}")
        yield column.name, values.count(None)


if __name__ == "__main__":
    sys.exit(main())
