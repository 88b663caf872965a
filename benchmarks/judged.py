"""A case judged by the product beside what its label says, and the usual figures over many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Judged:
    """One case: what the label says, what the product found, and (never a secret) why."""

    trait: str
    case: str
    expected: bool
    found: bool
    why: str = ""


@dataclass
class Score:
    trait: str
    judged: list[Judged] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return len(self.judged)

    @property
    def positive(self) -> int:
        return sum(item.expected for item in self.judged)

    @property
    def wrong(self) -> list[Judged]:
        return [item for item in self.judged if item.expected != item.found]

    @property
    def precision(self) -> float:
        """Of what was found, the share that is there. Nothing found: nothing wrong was said."""
        found = [item.expected for item in self.judged if item.found]
        return sum(found) / len(found) if found else 1.0

    @property
    def recall(self) -> float:
        expected = [item.found for item in self.judged if item.expected]
        return sum(expected) / len(expected) if expected else 1.0

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def scores(judged: Iterable[Judged]) -> list[Score]:
    """A score for each trait, in the order of first appearance."""
    by_trait: dict[str, Score] = {}
    for item in judged:
        by_trait.setdefault(item.trait, Score(item.trait)).judged.append(item)
    return list(by_trait.values())
