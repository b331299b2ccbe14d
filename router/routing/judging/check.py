"""What one check says of a draft."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a draft. ``score`` is from 0 (bad) to 1 (nothing to say against it); ``weight`` is the share of the
    draft's score that this check alone can take away. ``reason`` is a phrase for people; it holds counts and names of
    tools and their parameters, never words of the question or of the answer."""

    name: str
    score: float
    weight: float
    reason: str

    @property
    def factor(self) -> float:
        """What is left of the draft's score after this check."""
        return 1 - self.weight * (1 - self.score)

    @property
    def fatal(self) -> bool:
        """Whether nothing else matters."""
        return self.weight == 1 and self.score == 0


def fatal(name: str, reason: str) -> Check:
    """A fault after which no threshold is low enough."""
    return Check(name, 0.0, 1.0, reason)


def counted(number: int, one: str, several: str | None = None) -> str:
    """``1 word``, ``2 words``."""
    return f"{number} {one if number == 1 else several or one + 's'}"
