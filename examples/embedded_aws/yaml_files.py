"""Reading an organisation's YAML and laying a night's changes over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class OrganizationError(ValueError):
    """The organisation's data says something that cannot be played; the text names file and place."""


def read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OrganizationError(f"{path} is missing") from None
    except yaml.YAMLError as broken:
        raise OrganizationError(f"{path} is not YAML: {broken}") from broken
    if not isinstance(content, dict):
        raise OrganizationError(f"{path} must be a mapping at its top")
    return content


def overlay(base: Any, change: Any) -> Any:
    """`change` laid over `base`: mappings merge key by key, null removes, anything else replaces."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    merged = dict(base)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = overlay(merged.get(key), value)
    return merged


def on_night(content: dict[str, Any], night: int) -> dict[str, Any]:
    """The content of a file as it stands on a night: its body with the changes of nights 2…night laid over."""
    body = {key: value for key, value in content.items() if key != "nights"}
    for number in sorted(content.get("nights", {})):
        if number <= night:
            body = overlay(body, content["nights"][number])
    return body


def known(given: dict[str, Any], allowed: set[str], where: str) -> None:
    """Raise OrganizationError for keys nobody reads: a misspelt trait would otherwise silently not be there."""
    unknown = given.keys() - allowed
    if unknown:
        raise OrganizationError(f"{where}: unknown {sorted(unknown)}; known are {sorted(allowed)}")
