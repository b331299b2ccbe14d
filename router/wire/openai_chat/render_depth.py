"""How much thinking is asked for, in the fields that a provider's dialect has for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from router.wire.conversation import Depth
from router.wire.depth import budget_of, effort_of, known_effort
from router.wire.loss import Losses
from router.wire.request import NOT_THINKING
from router.wire.traits import Traits

Fields = dict[str, Any]

_TOGGLES: Final = ("reasoning", "thinking", "enable_thinking", "chat_template_kwargs")
"""Fields that switch thinking off by themselves."""


def rendered_depth(depth: Depth, traits: Traits, losses: Losses, *, tools: bool, limit: int | None) -> Fields:
    """The fields to set; none where nothing is asked for. ``limit`` is the most that the answer may have in tokens."""
    asked = depth.on is not None or depth.effort is not None or depth.budget is not None
    if tools and traits.tools_need_no_effort:
        # The model's own default is an effort, too, and refused like any other.
        if asked and effort_of(depth) != "none":
            losses.drop("depth", "this model doesn't think on Chat while tools are offered")
        return {"reasoning_effort": "none"}
    if not asked:
        return {}
    if not traits.reasoning_in:
        if depth.on is not False:
            losses.drop("depth", "this model can't be told how much to think")
        return {}
    names = traits.reasoning_fields or ("reasoning_effort",)
    toggles = [name for name in names if name in _TOGGLES]
    if toggles and _is_off(depth) and traits.thinking_off:
        names = tuple(toggles)
    fields: Fields = {}
    for name in names:
        if (say := _SAID_BY.get(name)) is not None:
            fields |= say(depth, traits, losses, limit)
    return fields


def _effort(depth: Depth, traits: Traits, losses: Losses, limit: int | None) -> Fields:
    """OpenAI's field. Adaptive depth leaves the model's default alone; what another field switches off has none."""
    if "effort" not in traits.reasoning_in:
        return {}
    if _is_off(depth) and traits.thinking_off and not _SWITCHES.isdisjoint(traits.reasoning_fields):
        return {}
    word = known_effort(depth, traits, losses)
    return {} if word is None else {"reasoning_effort": word}


def _openrouter(depth: Depth, traits: Traits, losses: Losses, limit: int | None) -> Fields:
    """One of ``effort`` and ``max_tokens``, not both."""
    hidden: Fields = {"exclude": True} if depth.visible is False else {}
    if _off(depth, traits, losses):
        return {"reasoning": {"enabled": False}}
    if depth.budget is not None and "budget" in traits.reasoning_in:
        return {"reasoning": {"max_tokens": budget_of(depth, below=limit), **hidden}}
    word = known_effort(depth, traits, losses) if "effort" in traits.reasoning_in else None
    return {"reasoning": {"effort": word, **hidden} if word not in (None, "none") else {"enabled": True, **hidden}}


def _thinking(depth: Depth, traits: Traits, losses: Losses, limit: int | None) -> Fields:
    """DeepSeek, Z.AI, Kimi."""
    if _off(depth, traits, losses):
        return {"thinking": {"type": "disabled"}}
    _coarse(depth, traits, losses)
    return {"thinking": {"type": "enabled"}}


def _enable(depth: Depth, traits: Traits, losses: Losses, limit: int | None) -> Fields:
    """Qwen and servers of its models."""
    off = _off(depth, traits, losses)
    if not off:
        _coarse(depth, traits, losses)
    return {"enable_thinking": not off}


def _template(depth: Depth, traits: Traits, losses: Losses, limit: int | None) -> Fields:
    """vLLM and SGLang hand it to the model's chat template."""
    return {"chat_template_kwargs": _enable(depth, traits, losses, limit)}


def _budget(depth: Depth, traits: Traits, losses: Losses, limit: int | None) -> Fields:
    tokens = None if _is_off(depth) else budget_of(depth, below=limit)
    return {} if tokens is None or "budget" not in traits.reasoning_in else {"thinking_budget": tokens}


def _format(depth: Depth, traits: Traits, losses: Losses, limit: int | None) -> Fields:
    """Groq, Cerebras: apart from the text, or not at all."""
    return {} if depth.on is False else {"reasoning_format": "hidden" if depth.visible is False else "parsed"}


def _clear(depth: Depth, traits: Traits, losses: Losses, limit: int | None) -> Fields:
    """Whether reasoning of earlier turns is taken out of the prompt although it was sent."""
    return {} if depth.on is False or traits.reasoning_replay == "refused" else {"clear_thinking": False}


def _apart(name: str) -> Callable[[Depth, Traits, Losses, int | None], Fields]:
    """Fields that have reasoning come beside the text instead of inside it (SGLang, Novita, MiniMax)."""
    return lambda depth, traits, losses, limit: {} if depth.on is False else {name: True}


_SAID_BY: Final[Mapping[str, Callable[[Depth, Traits, Losses, int | None], Fields]]] = {
    "reasoning_effort": _effort,
    "reasoning": _openrouter,
    "thinking": _thinking,
    "enable_thinking": _enable,
    "chat_template_kwargs": _template,
    "thinking_budget": _budget,
    "reasoning_format": _format,
    "clear_thinking": _clear,
    "separate_reasoning": _apart("separate_reasoning"),
    "reasoning_split": _apart("reasoning_split"),
}


_SWITCHES: Final = frozenset({"reasoning", "thinking", "enable_thinking", "chat_template_kwargs"})


def _is_off(depth: Depth) -> bool:
    """Minimal thinking is none where only on and off can be said."""
    return effort_of(depth) in NOT_THINKING


def _off(depth: Depth, traits: Traits, losses: Losses) -> bool:
    if not _is_off(depth):
        return False
    if not traits.thinking_off:
        losses.drop("depth", "this model always thinks")
    return traits.thinking_off


def _coarse(depth: Depth, traits: Traits, losses: Losses) -> None:
    """Say that a depth is lost where the provider has no field for it beside the toggle."""
    finer = {"reasoning_effort"} if "effort" in traits.reasoning_in else set()
    finer |= {"thinking_budget"} if "budget" in traits.reasoning_in else set()
    if effort_of(depth) is not None and not finer & set(traits.reasoning_fields):
        losses.drop("depth", "thinking can only be on or off here")
