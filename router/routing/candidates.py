"""Whether a target can serve a request at all: what is known of its model against what the request needs.

Unknown windows and abilities count as fit. The reasons are told to people: in `router explain`, in a request's record
and in the error where no candidate is left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from router.routing.facts import Facts
from router.routing.rules import Candidate

_WINDOW: Final = re.compile(
    r"(?:>|exceeds?(?: the)?(?: model's)?|(?:maximum|model's) (?:context|prompt|input|token)[\w ]{0,30}?(?:is|of|to|:))"
    r"[^\d\n]{0,40}?(\d[\d,]{3,10})(?! tokens? \()",
    re.IGNORECASE,
)

Why = Literal["too-long", "unable", "format", "key", "cooling-down", "breaker", "budget"]
"""What kind of reason keeps a candidate from being called."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What is known of a model at a provider; ``None`` is unknown. ``window``: tokens of input and output together."""

    window: int | None = None
    max_output: int | None = None
    images: bool | None = None
    tools: bool | None = None
    documents: bool | None = None


class Dropped(NamedTuple):
    """A candidate that isn't called. ``until_s``: seconds from now after which it might be, where that is known."""

    candidate: Candidate
    why: Why
    reason: str
    until_s: float | None = None

    def __str__(self) -> str:
        return f"{self.candidate.target}: {self.reason}"


def unfit(facts: Facts, abilities: Abilities, *, factor: float = 1.0) -> tuple[Why, str] | None:
    """Why a model can't serve a request; ``None`` where nothing is known against it.

    ``factor``: tokens of its family for each of ours. Raises ``CountNeeded`` where only a count can tell.
    """
    if abilities.tools is False and facts.tool_count:
        return "unable", "it can't use tools"
    if abilities.images is False and facts.image:
        return "unable", "it can't read images"
    if abilities.documents is False and facts.document:
        return "unable", "it can't read documents"
    if abilities.window is not None:
        asked = facts.max_tokens or 0
        output = asked if abilities.max_output is None else min(asked, abilities.max_output)
        room = int((abilities.window - output) / factor)
        if facts.tokens_reach(room + 1):
            tokens = int(facts.tokens() * factor) + output
            return "too-long", f"prompt is too long: {tokens} tokens > {abilities.window} maximum"
    return None


def named_window(message: str) -> int | None:
    """The window that a provider names when it refuses a request as too long."""
    found = _WINDOW.search(message)
    return int(found[1].replace(",", "")) if found else None


def shown(dropped: Sequence[Dropped]) -> str:
    """Every candidate with its reason, in one line."""
    return "; ".join(map(str, dropped))
