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
LEAST_BUDGET: Final = 1024
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
    """The budget asked for in tokens, at least 1,024 and less than ``below``; ``None`` where it is left to the model,
    where thinking is off, and where no budget fits below."""
    tokens = depth.budget if depth.budget is not None else _BUDGETS.get(effort_of(depth) or "")
    if tokens is None or depth.on is False or (below is not None and below <= LEAST_BUDGET):
        return None
    return max(LEAST_BUDGET, tokens if below is None else min(tokens, below - 1))


def known_effort(depth: Depth, traits: Traits, losses: Losses) -> Effort | None:
    """The nearest word that the model knows, not above the one asked for; ``None``: nothing is to be said.

    Where that leaves nothing, it is the least that the model knows. What was asked for with ``low`` or more stays on.
    """
    asked = effort_of(depth)
    if asked is None or asked in traits.efforts:
        return asked
    rank = RISING.index(asked)
    thinking = [word for word in traits.efforts if word != "none"]
    below = [word for word in (traits.efforts if asked == "minimal" else thinking) if RISING.index(word) <= rank]
    chosen = below[-1] if below else next(iter(thinking), None)
    why = "thinking can't be switched off here" if asked == "none" else f"effort {asked} is not known here"
    losses.drop("depth", why + (f", {chosen} is asked for" if chosen else ""))
    return chosen
