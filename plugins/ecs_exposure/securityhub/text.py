"""Words that come from outside (names, tags, descriptions), made fit for a finding: clean, bounded, the same bytes
every time.

Lengths are counted in UTF-16 code units: AWS documents "characters" and does not say whether one outside the basic
plane counts once or twice, so the stricter reading is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

ELLIPSIS = "…"

# Explicit ranges instead of unicodedata's categories, which differ between Python versions: equal input must stay
# equal bytes. The planes apart: a class within the basic one is a table look-up, any other is searched range by range.
_INVISIBLE = re.compile(
    r"[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f"  # control characters that are not white space
    r"\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # zero width and writing direction
    r"\ud800-\udfff"  # lone surrogates cannot be encoded
    r"\ufdd0-\ufdef\ufff0-\uffff]+"  # noncharacters
)
_INVISIBLE_BEYOND = re.compile(
    "[\U000e0000-\U000e0fff"  # tags
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]+"
)
_PRINTABLE_TO_PYTHON = re.compile("[\ufff0-\uffff\U000e0000-\U000e0fff]")


def clean(value: object) -> str:
    """The value as one line of visible text: white space folded to single spaces, everything invisible removed."""
    if isinstance(value, str) and _is_clean(value):
        return value
    text = " ".join(str(value).split())
    if text.isascii() and text.isprintable():
        return text
    text = _INVISIBLE.sub("", text)
    if length(text) != len(text):
        text = _INVISIBLE_BEYOND.sub("", text)
    return " ".join(text.split())


def _is_clean(text: str) -> bool:
    """Nearly every text there is: told without making another. Of all white space only the space is printable, and of
    what is invisible only _PRINTABLE_TO_PYTHON.
    """
    return (
        text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " "
        and (text.isascii() or _PRINTABLE_TO_PYTHON.search(text) is None)
    )  # fmt: skip


def length(text: str) -> int:
    """UTF-16 code units of a text without lone surrogates."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def cut(value: object, limit: int) -> str:
    """Clean text of at most `limit` UTF-16 code units, cut at a word with an ellipsis where that keeps at least half
    of it.
    """
    # _is_clean, spelled out: some 130 texts a finding are asked about.
    if (
        isinstance(value, str) and len(value) <= limit and value.isascii() and value.isprintable()
        and "  " not in value and value[:1] != " " and value[-1:] != " "
    ):  # fmt: skip
        return value
    text = clean(value)
    if length(text) <= limit:
        return text
    # A pair cut in half at the end is dropped by the decoder.
    head = text.encode("utf-16-le")[: 2 * (limit - 1)].decode("utf-16-le", errors="ignore")
    words, space, _ = head.rpartition(" ")
    return (words if space and length(words) >= limit // 2 else head).rstrip() + ELLIPSIS


def fields(values: Iterable[tuple[str, object]], *, most: int, key_limit: int, value_limit: int) -> dict[str, str]:
    """A map of at most `most` clean pairs in the given order, of which no more are asked for than there is room for.

    What is NULL or blank is left out (AWS refuses blank strings). Two keys that become equal by cutting keep the first
    value.
    """
    pairs: dict[str, str] = {}
    for key, value in values:
        if len(pairs) == most:
            break
        name = _key(key, key_limit)
        text = "" if value is None else cut(value, value_limit)
        if name and text:
            pairs.setdefault(name, text)
    return pairs


# Keys repeat in finding after finding: ours by definition, tags by an organisation's rules.
_key = lru_cache(maxsize=4096)(cut)
