"""The second wave: images that services use, as their registries (ECR) and Amazon Inspector know them, Region by
Region.

Whose scan results count, per registry account and Region: Inspector's, asked through the Region's delegated
administrator or else the account itself; where Inspector does not scan or may not be asked, ECR's own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import groupby, islice
from types import MappingProxyType
from typing import Any

from ecs_exposure.aws import AwsAccess
from ecs_exposure.aws_errors import AWS_ERRORS, bounded, classify, reading
from ecs_exposure.collectors import ecr, ecr_scan, inspector
from ecs_exposure.collectors.base import Row, Target
from ecs_exposure.collectors.detail_answers import Answer, Answers, is_due, is_likely
from ecs_exposure.collectors.ecr import ImageRequest
from ecs_exposure.collectors.inspector_view import Views
from ecs_exposure.settings import Settings

__all__ = ["COVERAGE", "ImageRequest", "collect_images"]

COVERAGE = "coverage"
CHUNK = 5_000  # rows handed over at once: a Region's findings are never held together
Parts = Iterator[tuple[Target, str, list[Row]]]
_NOTHING: Answers = MappingProxyType({})


def collect_images(
    access: AwsAccess,
    settings: Settings,
    region: str,
    requests: Sequence[ImageRequest],
    *,
    snapshot_date: date,
    answers: Answers = _NOTHING,
) -> Parts:
    """Yields (target, dataset, rows) of registry_scanning, image, image_coverage, image_finding and
    vulnerability_detail for every registry account asked, and after each the target's (target, "coverage", rows).

    Rows come in chunks as they are read: a dataset whose coverage row then is not `ok` was cut off, and its rows count
    for nothing. A vulnerability's details are asked when `answers`, what Inspector said on earlier days, leave them
    due (see detail_answers), once in a Region, and given to every target that has the vulnerability. Each account's
    clients are released when it is done.
    """
    known = dict(answers)
    views = Views(access, settings, region)
    asked = sorted((item for item in requests if item.region == region), key=lambda item: item.account_id)
    for account_id, group in groupby(asked, key=lambda item: item.account_id):
        yield from _Registry(access, settings, Target(account_id, region), snapshot_date, known, views).collect(
            list(group)
        )
        if account_id != views.administrator:
            access.release(account_id)
    if views.administrator is not None:
        access.release(views.administrator)


class _Registry:
    """One registry account's second wave."""

    def __init__(
        self,
        access: AwsAccess,
        settings: Settings,
        target: Target,
        day: date,
        known: dict[str, Answer],
        views: Views,
    ) -> None:
        self._access = access
        self._settings = settings
        self._target = target
        self._day = day
        self._known = known
        self._views = views
        self._asked = target.account_id
        self._images: set[tuple[str, str]] = set()
        self._indexes: set[tuple[str, str]] = set()
        self._arns: dict[str, str] = {}
        self._likely: set[str] = set()
        self._coverage: list[Row] = []
        self._counted = 0

    def collect(self, requests: list[ImageRequest]) -> Parts:
        self._images = {(item.repository_name, digest) for item in requests for digest in item.image_digests}
        self._counted = self._calls()
        yield from self._dataset("registry_scanning", self._scanning)
        yield from self._dataset("image", lambda: self._described(requests))
        try:
            self._asked = self._views.asked_for(self._target.account_id)
        except inspector.NotScanned as refusal:
            yield from self._from_ecr(refusal)
        else:
            yield from self._from_inspector()
        yield self._target, COVERAGE, self._coverage

    def _from_inspector(self) -> Parts:
        yield from self._dataset("image_coverage", self._covered)
        yield from self._dataset("image_finding", self._found)
        last = self._coverage[-1]
        if last["status"] == "ok":
            yield from self._dataset("vulnerability_detail", self._details)
        else:
            self._say("vulnerability_detail", last["status"], f"image_finding was not seen: {last['message']}")

    def _from_ecr(self, refusal: inspector.NotScanned) -> Parts:
        """ECR's scan results in Inspector's place. Where no image has any, Inspector's refusal stands."""
        covered: list[Row] = []
        names = ("image_coverage", "image_finding")
        if refusal.status == "failed":  # Inspector may yet answer, and tells more
            found: tuple[str, str | None, int] = ("failed", str(refusal), 0)
        else:
            found = yield from self._read("image_finding", lambda: self._scanned(covered))
        status, message, total = found
        why = bounded(str(refusal))
        if status == "ok" and all(row["scan_reason"] == ecr_scan.NEVER for row in covered):
            for name in names:
                self._say(name, refusal.status, why)
        elif status == "ok":
            yield from self._handed("image_coverage", iter(covered))
            sources = " and ".join(
                source.removeprefix("ecr_") for source in sorted({str(row["finding_source"]) for row in covered})
            )
            told = f"from Amazon ECR's {sources} scanning, because Amazon Inspector does not tell: {why}"
            self._say("image_coverage", "ok", told, rows=len(covered))
            self._say("image_finding", "ok", told, rows=total)
        else:
            both = why if status == refusal.status == "failed" else f"{why[:240]}; Amazon ECR's scan results: {message}"
            for name in names:
                self._say(name, status, both)
        self._say("vulnerability_detail", refusal.status, why)

    def _dataset(self, name: str, read: Callable[[], Iterator[Row]]) -> Parts:
        status, message, total = yield from self._read(name, read)
        self._say(name, status, message, rows=total if status == "ok" else None)

    def _read(
        self, name: str, read: Callable[[], Iterator[Row]]
    ) -> Generator[tuple[Target, str, list[Row]], None, tuple[str, str | None, int]]:
        """Hands the rows over in chunks; returns coverage's status and message, and how many rows there were."""
        try:
            with reading(name):
                answers = read()
            total = yield from self._handed(name, answers)
        except AWS_ERRORS as error:
            return *classify(error), 0
        return "ok", None, total

    def _handed(self, name: str, rows: Iterator[Row]) -> Generator[tuple[Target, str, list[Row]], None, int]:
        total = 0
        while True:
            with reading(name):
                part = [self._row(columns) for columns in islice(rows, CHUNK)]
            if not part:
                return total
            total += len(part)
            yield self._target, name, part

    def _scanning(self) -> Iterator[Row]:
        yield {"scan_type": ecr.scan_type(self._ecr())}

    def _described(self, requests: list[ImageRequest]) -> Iterator[Row]:
        for request in requests:
            for row in ecr.describe_images(self._ecr(), request):
                for digest in (row["image_digest"], *row["platform_digests"]):
                    self._images.add((request.repository_name, digest))
                if row["platform_digests"]:
                    self._indexes.add((request.repository_name, row["image_digest"]))
                yield row

    def _covered(self) -> Iterator[Row]:
        target = self._target
        return inspector.coverage(
            self._inspector(), target.account_id, target.region, self._settings.partition, frozenset(self._images)
        )

    def _found(self) -> Iterator[Row]:
        for row in inspector.findings(self._inspector(), self._target.account_id, frozenset(self._images)):
            name = row["vulnerability_id"]
            self._arns.setdefault(name, row["finding_arn"])
            if is_likely(row["exploit_available"], row["epss"]):
                self._likely.add(name)
            yield row

    def _scanned(self, covered: list[Row]) -> Iterator[Row]:
        target = self._target
        registry = f"arn:{self._settings.partition}:ecr:{target.region}:{target.account_id}:repository/"
        # ECR scans the manifests of an index, and calls the index itself unsupported.
        return ecr_scan.findings(self._ecr(), self._images - self._indexes, registry, covered)

    def _details(self) -> Iterator[Row]:
        region = self._target.region
        due = {
            name: arn
            for name, arn in self._arns.items()
            if is_due(name, self._known.get(name), self._day, region, likely=name in self._likely)
        }
        for row in inspector.details(self._inspector(), due):
            name = row["vulnerability_id"]
            self._known[name] = Answer(self._day, region, {**row, "asked_date": self._day})
        return (self._known[name].columns for name in sorted(self._arns) if name in self._known)

    def _ecr(self) -> Any:
        return self._access.client("ecr", self._target.account_id, self._target.region)

    def _inspector(self) -> Any:
        return self._views.client(self._asked)

    def _calls(self) -> int:
        account, region = self._target.account_id, self._target.region
        asked = {account, self._views.administrator or account}
        return self._access.calls(account, region, "ecr") + sum(
            self._access.calls(item, region, "inspector2") for item in asked
        )

    def _row(self, columns: Mapping[str, Any]) -> Row:
        target = self._target
        return {"account_id": target.account_id, "region": target.region, "observed_date": self._day, **columns}

    def _say(self, name: str, status: str, message: str | None, *, rows: int | None = None) -> None:
        """The dataset's coverage, with the calls made since the one before was told."""
        calls = self._calls()
        self._coverage.append(
            {
                "account_id": self._target.account_id,
                "region": self._target.region,
                "dataset": name,
                "status": status,
                "rows": rows,
                "api_calls": calls - self._counted,
                "message": message and bounded(message),
                "collected_at": datetime.now(UTC),
                "observed_date": self._day if status == "ok" else None,
            }
        )
        self._counted = calls
