"""How deep a Messages target shall think: ``thinking`` and ``output_config.effort``.

Newer models take ``adaptive`` with an effort, older ones ``enabled`` with a budget, compatible servers often a mere
toggle. Off is ``disabled`` where the model can do without, else the least that it knows.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from router.wire.conversation import Depth
from router.wire.depth import LEAST_BUDGET, budget_of, effort_of, known_effort
from router.wire.loss import Losses
from router.wire.traits import Traits

_USUAL_BUDGET: Final = 4096
"""Tokens where thinking is switched on without a word about its depth."""


class Asked(NamedTuple):
    """The fields of the body; ``None`` where nothing is to be said."""

    thinking: dict[str, Any] | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        """Whether the target is asked to think."""
        return self.thinking is not None and self.thinking["type"] != "disabled"


def asked(depth: Depth, traits: Traits, max_tokens: int, losses: Losses, *, unthinking_loop: bool) -> Asked:
    """The depth in the target's words.

    ``unthinking_loop``: the calls whose results are being given stand in a turn that doesn't begin with thinking, which
    a target with thinking ``enabled`` refuses.
    """
    if effort_of(depth) == "none":
        return _off(depth, traits, losses)
    if depth.on is None and depth.effort is None and depth.budget is None:
        return Asked()
    if "adaptive" in traits.reasoning_in:
        return _adaptive(depth, traits, losses)
    if traits.reasoning_in & {"budget", "toggle"}:
        if unthinking_loop:
            losses.drop("depth", "the calls being answered were made without this model's thinking")
            return Asked({"type": "disabled"} if "toggle" in traits.reasoning_in and traits.thinking_off else None)
        return _enabled(depth, max_tokens, losses)
    if "effort" in traits.reasoning_in:
        return Asked(effort=known_effort(depth, traits, losses))
    losses.drop("depth", "this model has no say in its thinking")
    return Asked()


def _off(depth: Depth, traits: Traits, losses: Losses) -> Asked:
    effort = depth.effort if depth.effort in traits.efforts and "effort" in traits.reasoning_in else None
    if traits.thinking_off:
        said = traits.reasoning_in & {"adaptive", "between-tools", "toggle"}  # with budgets alone, silence is off
        return Asked({"type": "disabled"} if said else None, None if effort == "none" else effort)
    losses.drop("depth", "this model always thinks")
    if "between-tools" in traits.reasoning_in:
        return Asked({"type": "between_tools"})
    least = next((word for word in traits.efforts if word != "none"), None)
    thinking = {"type": "adaptive"} if "adaptive" in traits.reasoning_in else None
    return Asked(thinking, least if "effort" in traits.reasoning_in else None)


def _adaptive(depth: Depth, traits: Traits, losses: Losses) -> Asked:
    if depth.effort == "minimal" and "between-tools" in traits.reasoning_in:
        return Asked({"type": "between_tools"})
    thinking = {"type": "adaptive"}
    if depth.visible is not None:
        thinking["display"] = "summarized" if depth.visible else "omitted"
    return Asked(thinking, known_effort(depth, traits, losses) if "effort" in traits.reasoning_in else None)


def _enabled(depth: Depth, max_tokens: int, losses: Losses) -> Asked:
    if max_tokens <= LEAST_BUDGET:
        losses.drop("depth", f"thinking takes at least {LEAST_BUDGET} tokens of the output, which is limited to fewer")
        return Asked()
    # The client's own budget is kept as long as it fits; any other leaves a quarter of the output to the answer.
    fits = depth.budget is not None and depth.budget < max_tokens
    room = max_tokens if fits else max(LEAST_BUDGET, max_tokens * 3 // 4) + 1
    budget = budget_of(depth, below=room)
    if budget is None:
        budget = max(LEAST_BUDGET, min(_USUAL_BUDGET, room - 1))
    return Asked({"type": "enabled", "budget_tokens": budget})
