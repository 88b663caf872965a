"""The second wave: images that services use, as their registries (ECR) and Amazon Inspector know them, Region by
Region.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import groupby, islice

from ecs_exposure.aws import AwsAccess
from ecs_exposure.aws_errors import AWS_ERRORS, bounded, classify, reading
from ecs_exposure.collectors import ecr, inspector
from ecs_exposure.collectors.base import Row, Target
from ecs_exposure.collectors.ecr import ImageRequest
from ecs_exposure.settings import Settings

__all__ = ["COVERAGE", "ImageRequest", "collect_images"]

COVERAGE = "coverage"
CHUNK = 5_000  # rows handed over at once: a Region's findings are never held together
Parts = Iterator[tuple[Target, str, list[Row]]]


def collect_images(
    access: AwsAccess, settings: Settings, region: str, requests: Sequence[ImageRequest], *, snapshot_date: date
) -> Parts:
    """Yields (target, dataset, rows) of registry_scanning, image, image_coverage, image_finding and
    vulnerability_detail for every registry account asked, and after each the target's (target, "coverage", rows).

    Rows come in chunks as they are read: a dataset whose coverage row then is not `ok` was cut off, and its rows count
    for nothing. A CVE's details are asked once in a Region and given to every target that has the CVE.
    """
    known: dict[str, Row | None] = {}
    asked = sorted((item for item in requests if item.region == region), key=lambda item: item.account_id)
    for account_id, group in groupby(asked, key=lambda item: item.account_id):
        yield from _Registry(access, settings, Target(account_id, region), snapshot_date, known).collect(list(group))


class _Registry:
    def __init__(
        self, access: AwsAccess, settings: Settings, target: Target, day: date, known: dict[str, Row | None]
    ) -> None:
        self._access = access
        self._settings = settings
        self._target = target
        self._day = day
        self._known = known
        self._images: set[tuple[str, str]] = set()
        self._arns: dict[str, str] = {}
        self._coverage: list[Row] = []

    def collect(self, requests: list[ImageRequest]) -> Parts:
        self._images = {(item.repository_name, digest) for item in requests for digest in item.image_digests}
        yield from self._dataset("registry_scanning", self._scanning)
        yield from self._dataset("image", lambda: self._described(requests))
        refusal = self._inspector_refusal()
        for name, read in (
            ("image_coverage", self._covered),
            ("image_finding", self._found),
            ("vulnerability_detail", self._details),
        ):
            if refusal is not None:
                self._say(name, refusal[0], refusal[1])
            else:
                yield from self._dataset(name, read)
                if name == "image_finding" and self._coverage[-1]["status"] != "ok":
                    last = self._coverage[-1]
                    refusal = (last["status"], bounded(f"image_finding was not seen: {last['message']}"))
        yield self._target, COVERAGE, self._coverage

    def _dataset(self, name: str, read: Callable[[], Iterator[Row]]) -> Parts:
        before = self._calls()
        total = 0
        try:
            with reading(name):
                answers = read()
            while True:
                with reading(name):
                    part = [self._row(columns) for columns in islice(answers, CHUNK)]
                if not part:
                    break
                total += len(part)
                yield self._target, name, part
        except AWS_ERRORS as error:
            status, message = classify(error)
            self._say(name, status, message, calls=self._calls() - before)
            return
        self._say(name, "ok", None, rows=total, calls=self._calls() - before)

    def _inspector_refusal(self) -> tuple[str, str] | None:
        try:
            with reading("inspector_status"):
                inspector.require_enabled(self._inspector(), self._target.account_id)
        except inspector.NotScanned as reason:
            return reason.status, str(reason)
        except AWS_ERRORS as error:
            return classify(error)
        return None

    def _scanning(self) -> Iterator[Row]:
        yield {"scan_type": ecr.scan_type(self._ecr())}

    def _described(self, requests: list[ImageRequest]) -> Iterator[Row]:
        for request in requests:
            for row in ecr.describe_images(self._ecr(), request):
                for digest in (row["image_digest"], *row["platform_digests"]):
                    self._images.add((request.repository_name, digest))
                yield row

    def _covered(self) -> Iterator[Row]:
        partition = self._settings.partition
        target = self._target
        return inspector.coverage(
            self._inspector(), target.account_id, target.region, partition, frozenset(self._images)
        )

    def _found(self) -> Iterator[Row]:
        return inspector.findings(
            self._inspector(), self._target.account_id, frozenset(self._images), self._arns.setdefault
        )

    def _details(self) -> Iterator[Row]:
        missing = {name: arn for name, arn in self._arns.items() if name not in self._known}
        fresh = {row["vulnerability_id"]: row for row in inspector.details(self._inspector(), missing)}
        self._known.update({name: fresh.get(name) for name in missing})
        return iter([row for name in sorted(self._arns) if (row := self._known[name]) is not None])

    def _ecr(self) -> object:
        return self._access.client("ecr", self._target.account_id, self._target.region)

    def _inspector(self) -> object:
        account = self._settings.inspector_account_id or self._target.account_id
        return self._access.client("inspector2", account, self._target.region)

    def _calls(self) -> int:
        account, region = self._target.account_id, self._target.region
        asked = self._settings.inspector_account_id or account
        return self._access.calls(account, region, "ecr") + self._access.calls(asked, region, "inspector2")

    def _row(self, columns: Row) -> Row:
        target = self._target
        return {"account_id": target.account_id, "region": target.region, "observed_date": self._day, **columns}

    def _say(self, name: str, status: str, message: str | None, *, rows: int | None = None, calls: int = 0) -> None:
        self._coverage.append(
            {
                "account_id": self._target.account_id,
                "region": self._target.region,
                "dataset": name,
                "status": status,
                "rows": rows,
                "api_calls": calls,
                "message": message and bounded(message),
                "collected_at": datetime.now(UTC),
                "observed_date": self._day if status == "ok" else None,
            }
        )
