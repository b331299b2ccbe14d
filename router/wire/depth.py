"""How much thinking, in a target's words: efforts step down to what the model knows, budgets become efforts and back.

The steps are those at which makers draw them: a budget under 2,000 tokens is low effort, under 8,000 medium, under
24,000 high, else xhigh; an effort is 1,024, 4,096, 16,384 or 32,768 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.wire.conversation import Depth
from router.wire.loss import Losses
from router.wire.traits import Effort, Traits

RISING: Final[tuple[Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1024,
    "low": 1024,
    "medium": 4096,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 32_768,
}


def effort_of(depth: Depth) -> Effort | None:
    """The effort asked for, in words; ``None`` where the depth is left to the model."""
    if depth.on is False:
        return "none"
    for word in RISING:
        if word == depth.effort:
            return word
    if depth.budget is None:
        return None
    return (
        "low"
        if depth.budget < 2000
        else "medium"
        if depth.budget < 8000
        else "high"
        if depth.budget < 24_000
        else "xhigh"
    )


def budget_of(depth: Depth, *, below: int | None = None) -> int | None:
    """The budget asked for in tokens, at least 1,024 and less than ``below``; ``None`` where left to the model."""
    tokens = depth.budget if depth.budget is not None else _BUDGETS.get(effort_of(depth) or "")
    if tokens is None:
        return None
    return max(1024, tokens if below is None else min(tokens, below - 1))


def known_effort(depth: Depth, traits: Traits, losses: Losses) -> Effort | None:
    """The nearest word that the model knows, not above the one asked for; ``None``: nothing is to be said."""
    asked = effort_of(depth)
    if asked is None or asked in traits.efforts:
        return asked
    if asked == "none" and not traits.thinking_off:
        losses.drop("depth", "this model always thinks")
    below = [word for word in traits.efforts if RISING.index(word) <= RISING.index(asked)]
    chosen = below[-1] if below else (traits.efforts[0] if traits.efforts else None)
    if asked != "none":
        losses.drop("depth", f"effort {asked} is not known here" + (f", {chosen} is asked for" if chosen else ""))
    return chosen
