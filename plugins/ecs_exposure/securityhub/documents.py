"""Findings as they are sent: rows of sql/documents/document.sql with the texts of their traits, in AWS's format.

Putting a row in AWS's format takes half a millisecond, and most findings are not sent: so it is done when one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ecs_exposure.securityhub.asff import to_asff


class TraitText(Protocol):
    """The part of a trait's text that a finding tells."""

    @property
    def title(self) -> str: ...
    @property
    def recommendation(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def is_ours(self) -> bool: ...


def document(row: Mapping[str, Any], texts: Mapping[str, TraitText], partition: str) -> dict[str, Any]:
    """The finding in AWS's format, without UpdatedAt, for a row of document.sql.

    `texts` are the traits' by name; a trait that no longer has one goes by its name.
    """
    return to_asff({**row, "trait_details": [_told(trait, texts) for trait in row["trait_details"]]}, partition)


def _told(trait: Mapping[str, Any], texts: Mapping[str, TraitText]) -> dict[str, Any]:
    text = texts.get(trait["trait"])
    return {
        **trait,
        "title": text and text.title,
        "recommendation": text and text.recommendation,
        "url": text and text.url,
        "is_ours": bool(text and text.is_ours),
    }
