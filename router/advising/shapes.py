"""Kinds of requests: those that are alike in all that conditions can tell cheaply, so that a rule can be written for
each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from router.routing.conditions.kinds import Flag
from router.routing.conditions.parsing import quoted
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
"""What makes requests alike, those that say most first. How large they are is looked at apart."""


class Shape(NamedTuple):
    """Requests of a kind: ``flags`` has a bit for each that holds, in their order. The model that was asked for belongs
    to it, since whoever asks for a large one has a reason."""

    flags: int
    model: str

    @classmethod
    def of(cls, facts: Facts) -> Shape | None:
        """A request's kind; None where something of it isn't known."""
        try:
            return cls(sum(flag.test(facts) << place for place, flag in enumerate(FLAGS)), facts.model)
        except FactUnknown:
            return None

    def has(self, place: int) -> bool:
        """Whether a flag holds."""
        return bool(self.flags >> place & 1)


def condition_for(shapes: Collection[Shape], others: Iterable[Shape]) -> str | None:
    """The shortest condition that holds for some kinds of requests and for none of the others; None where one that
    asks each flag, and the model, for one answer can't tell them apart."""
    left = [other for other in others if other not in shapes]
    said = []
    for place, flag in enumerate(FLAGS):
        answers = {shape.has(place) for shape in shapes}
        if len(answers) == 1:
            (answer,) = answers
            rest = [other for other in left if other.has(place) is answer]
            if len(rest) < len(left):
                said.append(flag.text() if answer else flag.negated_text())
                left = rest
    models = {shape.model for shape in shapes}
    if left and models.isdisjoint(other.model for other in left):
        said.append(model_is(*sorted(models)))
        left = []
    return None if left else " and ".join(said) or "always"


def model_is(*models: str) -> str:
    """The condition that one of these models is asked for."""
    return f"model-equals={quoted(models)}"
