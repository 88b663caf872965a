"""How often the credential detector is right on variables of our own writing; the figures must not fall."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import yaml
from ecs_exposure.collectors.credentials import judge

KINDS = yaml.safe_load((Path(__file__).parent / "credentials.yaml").read_text(encoding="utf-8"))
FLOOR = 0.98
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ALPHABETS = {
    "a": _LETTERS + "0123456789", "b": _LETTERS + "0123456789+/", "d": "0123456789", "h": "0123456789abcdef",
    "l": _LETTERS[26:], "u": _LETTERS[:26] + "234567", "x": _LETTERS,
}  # fmt: skip


def made(value: str, seed: str) -> str:
    """The value with every `{a40}` and the like replaced by made-up characters, the same on every run."""
    number = 0

    def characters(match: re.Match[str]) -> str:
        nonlocal number
        number += 1
        alphabet = _ALPHABETS[match[1]]
        digest = hashlib.shake_256(f"{seed}/{number}".encode()).digest(int(match[2]))
        return "".join(alphabet[byte % len(alphabet)] for byte in digest)

    return re.sub(r"\{([abdhlux])(\d+)\}", characters, value)


def cases() -> list[tuple[str, str, str, bool]]:
    """(kind, name, value, whether it is a credential)."""
    return [
        (kind, name, made(str(value), f"{name}={value}"), label == "credentials")
        for label, kinds in KINDS.items()
        for kind, pairs in kinds.items()
        for name, value in pairs
    ]


def test_precision_and_recall_hold() -> None:
    judged = [(kind, name, expected, judge(name, value) is not None) for kind, name, value, expected in cases()]
    wrong = [
        (kind, name, "missed" if expected else "false") for kind, name, expected, found in judged if found != expected
    ]
    right = sum(expected and found for *_, expected, found in judged)
    assert len(judged) > 600
    assert right / sum(found for *_, found in judged) >= FLOOR, wrong
    assert right / sum(expected for *_, expected, _ in judged) >= FLOOR, wrong


def test_every_kind_of_harmless_variable_is_left_alone() -> None:
    false = [(kind, name) for kind, name, value, expected in cases() if not expected and judge(name, value)]
    assert false == []


def test_vendors_formats_are_told_as_such() -> None:
    """Usable from anywhere, whatever the variable is called; a password of a database is not."""
    kinds = {"tokens and API keys": True, "people's passwords": False}
    told = {
        kind: {
            found.is_provider_pattern
            for where, _, value, _ in cases()
            if where == kind and (found := judge("NOTE", value))
        }
        for kind in kinds
    }
    assert told["tokens and API keys"] == {True}
    assert told["people's passwords"] <= {False}
