"""Kinds of requests: those that the flags of the conditions tell apart, so that a rule can be written for each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from router.routing.conditions.kinds import Flag
from router.routing.conditions.request import (
    Background,
    Compaction,
    Document,
    Image,
    PlanMode,
    Subagent,
    Thinking,
    ToolResult,
    ToolUse,
    WebSearch,
)
from router.routing.facts import Facts, FactUnknown

FLAGS: Final[tuple[Flag, ...]] = (
    Background(),
    Subagent(),
    Compaction(),
    PlanMode(),
    WebSearch(),
    Document(),
    Image(),
    ToolUse(),
    Thinking(),
    ToolResult(),
)
"""What makes requests alike: those that say most come first. How large they are is looked at apart."""

Shape = int
"""A bit for each flag that holds, in their order."""


def shape_of(facts: Facts) -> Shape | None:
    """A request's kind; None where a flag isn't known of it."""
    try:
        return sum(flag.test(facts) << place for place, flag in enumerate(FLAGS))
    except FactUnknown:
        return None


def condition_for(shapes: Collection[Shape], others: Iterable[Shape]) -> str | None:
    """The shortest condition that holds for some kinds of requests and for none of the others; None where one that
    asks each flag for one answer can't tell them apart."""
    left = [other for other in others if other not in shapes]
    said = []
    for place, flag in enumerate(FLAGS):
        answers = {shape >> place & 1 for shape in shapes}
        if len(answers) == 1:
            (answer,) = answers
            rest = [other for other in left if other >> place & 1 == answer]
            if len(rest) < len(left):
                said.append(flag.text() if answer else flag.negated_text())
                left = rest
    return None if left else " and ".join(said) or "always"
