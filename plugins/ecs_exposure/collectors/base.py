"""What every collector is given and what it may use: the context of a target, complete listings, complete descriptions.

A collector is a generator of (dataset, row). It raises on anything incomplete; `collect_target` turns that into
coverage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

from ecs_exposure.aws import AwsAccess
from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.settings import Settings

TEXT_LIMIT = 2048
"""Characters of a name, path or ARN that are kept: more than AWS accepts of any."""

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row]]
Known = Mapping[str, Mapping[str, list[Row]]]


@dataclass(frozen=True, order=True)
class Target:
    """An account and Region; IAM's and Organizations' Region is `global`."""

    account_id: str
    region: str


@dataclass
class Context:
    """One target while it is collected. `rows` holds what its earlier collectors yielded, by dataset."""

    access: AwsAccess
    settings: Settings
    target: Target
    snapshot_date: date
    known_definitions: Known
    fingerprint_key: bytes
    rows: dict[str, list[Row]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """The target's boto3 client of a service, with the read role."""
        return self.access.client(service, self.target.account_id, self.target.region)

    def row(self, **columns: Any) -> Row:
        """A row of the target, seen today."""
        return {
            "account_id": self.target.account_id,
            "region": self.target.region,
            "observed_date": self.snapshot_date,
            **columns,
        }

    def note(self, dataset: str, text: str) -> None:
        """Say in the dataset's coverage message what its rows alone do not tell."""
        self.notes.setdefault(dataset, []).append(text)


@dataclass(frozen=True)
class Collector:
    """What fills one or more datasets of a target, all or nothing.

    `needs` are datasets of earlier collectors without which it cannot work; `uses` are those it makes the most of
    when they were seen. `also` are further clients whose calls are its own.
    """

    name: str
    service: str
    datasets: tuple[str, ...]
    scope: Literal["region", "global"]
    collect: Callable[[Context], Rows]
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def listing(client: Any, operation: str, member: str, *, page_size: int | None = None, **request: Any) -> Iterator[Any]:
    """Every item of a list operation, over all its pages.

    Raises IncompleteAnswer for a page without its list member: a 200 answer that was cut short comes through boto3
    like that, and must never read as an empty list.
    """
    config = {} if page_size is None else {"PageSize": page_size}
    for page in client.get_paginator(operation).paginate(**request, PaginationConfig=config):
        yield from required(page, member, operation)


def required(answer: Mapping[str, Any], member: str, operation: str) -> Any:
    """A member that the operation always answers. Raises IncompleteAnswer without it."""
    if answer.get(member) is None:
        raise IncompleteAnswer(f"{operation} answered without {member}")
    return answer[member]


def described(
    answer: Mapping[str, Any], member: str, operation: str, arns: Sequence[str], arn_of: Callable[[Row], str]
) -> tuple[list[Row], list[str]]:
    """What a batch Describe call answered: (found, gone since they were listed).

    Raises IncompleteAnswer when ECS failed on something for another reason than MISSING, or lost something without a
    word.
    """
    found: list[Row] = required(answer, member, operation)
    missing = []
    for failure in answer.get("failures", []):
        if failure.get("reason") != "MISSING":
            raise IncompleteAnswer(f"{operation} failed on {failure.get('arn')}: {failure.get('reason')}")
        missing.append(str(failure.get("arn")))
    if len(found) + len(missing) < len(arns):
        lost = sorted(set(arns) - {arn_of(item) for item in found} - set(missing))
        raise IncompleteAnswer(
            f"{operation} was asked for {len(arns)} and answered {len(found)}, without {', '.join(lost[:3])}"
        )
    return found, missing


def batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Items in lists of at most `size`, in order."""
    batch: list[str] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def valid(text: str) -> str:
    """The text with what is no Unicode (a lone surrogate that JSON may carry) replaced: no file takes it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def text_of(value: object) -> str | None:
    """A member as text that may be kept: stripped, valid, bounded. NULL for nothing, and for what is no scalar (the
    text of a structure could hold anything).
    """
    if not isinstance(value, str | int | float):
        return None
    return valid(str(value)).strip()[:TEXT_LIMIT] or None


def tags_json(tags: Iterable[Mapping[str, str]] | None) -> str | None:
    """AWS tags (either spelling of key and value) as a JSON object with sorted keys; NULL when not told."""
    if tags is None:
        return None
    pairs = {str(tag.get("key", tag.get("Key"))): str(tag.get("value", tag.get("Value", ""))) for tag in tags}
    return valid(json.dumps(pairs, sort_keys=True, ensure_ascii=False))


def moment(value: object) -> datetime | None:
    """A timestamp as AWS services and exports write it (datetime, epoch seconds or milliseconds, ISO, or text); else
    NULL.
    """
    if isinstance(value, datetime):
        try:
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        except OverflowError:  # year 1 east of Greenwich, year 9999 west of it
            return None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        try:
            seconds = value / 1000 if abs(value) > 1e11 else value
            return datetime.fromtimestamp(seconds, UTC)
        except (OverflowError, OSError, ValueError):
            return None
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        return moment(datetime.fromisoformat(text))
    except ValueError:
        pass
    try:
        return moment(float(text))
    except ValueError:
        pass
    for layout in ("%a %b %d %H:%M:%S.%f %Z %Y", "%a %b %d %H:%M:%S %Z %Y", "%b %d, %Y, %I:%M:%S %p"):
        try:
            return datetime.strptime(text, layout).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def whole(value: object) -> int | None:
    """A whole number of 64 bits, also when an export wrote it as a string; else NULL."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 19:
        return int(value)
    return None
