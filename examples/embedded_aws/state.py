"""Small things every fake needs: pages, JSON-able state, operations by name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from botocore import xform_name

from embedded_aws.contract import AwsError, Call, NotPlayed

_T = TypeVar("_T")

_method_name = cache(xform_name)


def dispatch(fake: object, call: Call) -> dict[str, Any]:
    """Call the fake's method of the operation's name (`DescribeTasks` → `describe_tasks`)."""
    method: Callable[[Call], dict[str, Any]] | None = getattr(fake, _method_name(call.operation), None)
    if method is None:
        raise NotPlayed(f"the embedded AWS does not play {call.service}:{call.operation}")
    return method(call)


def page(items: Sequence[_T], token: str | None, size: int, error_code: str) -> tuple[list[_T], str | None]:
    """One page and the token of the next. Raises `error_code` for a token this service never gave out."""
    start = 0
    if token:
        try:
            start = int(base64.b64decode(token, validate=True))
        except (binascii.Error, ValueError) as broken:
            raise AwsError(error_code, "Invalid token") from broken
        if not 0 < start < len(items):
            raise AwsError(error_code, "Invalid token")
    end = start + size
    following = base64.b64encode(str(end).encode()).decode() if end < len(items) else None
    return list(items[start:end]), following


def pack(value: Any) -> Any:
    """State to JSON-able values; dates become {"$date": ISO}."""
    if isinstance(value, datetime):
        return {"$date": value.isoformat()}
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [pack(item) for item in value]
    return value


def unpack(value: Any) -> Any:
    """The inverse of `pack`."""
    if isinstance(value, dict):
        if value.keys() == {"$date"}:
            return datetime.fromisoformat(value["$date"])
        return {key: unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unpack(item) for item in value]
    return value
