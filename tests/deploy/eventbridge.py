"""What EventBridge does with an event, as its user guide documents it: it matches a rule's pattern, and fills a
target's input template. Only what deploy/ uses is known; anything else in a pattern or template is an AssertionError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def matches(pattern: Mapping[str, Any], event: object) -> bool:
    """Whether an event matches: every field of the pattern, each by any of its values; of an array of objects one of
    them must match all that is asked of it (comparison operators: exact, `anything-but`, `$or`).
    """
    assert pattern, "EventBridge refuses an empty pattern"
    if isinstance(event, list):
        return any(matches(pattern, item) for item in event)
    if not isinstance(event, Mapping):
        return False
    for name, wanted in pattern.items():
        if name == "$or":
            assert isinstance(wanted, list) and len(wanted) > 1, "$or needs two patterns at least"
            if not any(matches(alternative, event) for alternative in wanted):
                return False
        elif name not in event:
            return False
        elif isinstance(wanted, Mapping):
            if not matches(wanted, event[name]):
                return False
        else:
            assert isinstance(wanted, list) and wanted, f"{name}: values stand in an array"
            if not any(_is(value, event[name]) for value in wanted):
                return False
    return True


def _is(wanted: object, value: object) -> bool:
    if isinstance(wanted, Mapping):
        assert set(wanted) == {"anything-but"}, f"comparison {sorted(wanted)} is not known here"
        excluded = wanted["anything-but"]
        texts = excluded if isinstance(excluded, list) else [excluded]
        assert texts and all(isinstance(text, str) for text in texts) and not isinstance(value, (list, Mapping))
        return value not in texts
    assert isinstance(wanted, str), "only texts are compared here"
    return wanted in value if isinstance(value, list) else wanted == value


def message(transformer: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """The body that an input transformer makes of an event.

    Raises AssertionError for a template that depends on luck: a path that leads nowhere (EventBridge leaves a hole), a
    placeholder inside quotes, or a text that would have to be escaped (it is not).
    """
    paths, template = transformer["InputPathsMap"], transformer["InputTemplate"]
    named = re.findall(r"<([\w.-]+)>", template)
    assert sorted(named) == sorted(paths), "each variable is used once"

    def filled(match: re.Match[str]) -> str:
        before, after = template[: match.start()], template[match.end() :]
        assert before.rstrip().endswith(":") and after.lstrip()[0] in ",}", f"{match[0]} is a whole JSON value"
        value = _at(paths[match[1]], event)
        assert not isinstance(value, str) or json.dumps(value) == f'"{value}"', f"{match[0]} would need escapes"
        return json.dumps(value)

    body = re.sub(r"<([\w.-]+)>", filled, template)
    json.loads(body)
    return body


def _at(path: str, event: object) -> Any:
    """The value at a JSON path of dots and array indices."""
    assert path.startswith("$."), path
    for step in re.findall(r"[^.\[\]]+", path[2:]):
        event = event[int(step)] if isinstance(event, list) else event.get(step) if isinstance(event, Mapping) else None
        assert event is not None, f"{path} is not in the event"
    return event
