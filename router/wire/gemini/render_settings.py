"""Settings as ``generationConfig``, for one target."""

from __future__ import annotations

from typing import Any, Final

from router.wire.conversation import Depth, OutputFormat, Settings
from router.wire.depth import budget_of, effort_of, known_effort
from router.wire.loss import Losses
from router.wire.traits import Traits

MAX_STOPS: Final = 5
MAX_BUDGET: Final = 24_576
"""Tokens of thinking that all models with budgets take (some more)."""
LEAST_BUDGET: Final = 128
"""Tokens of thinking at a model that can't do without (Gemini 2.5 Pro)."""


def generation_config(settings: Settings, traits: Traits, losses: Losses) -> dict[str, Any]:
    """All that is said; empty where nothing is."""
    fields = {
        "maxOutputTokens": _max_tokens(settings, traits, losses),
        **_sampling(settings, traits, losses),
        "stopSequences": _stops(settings, traits, losses),
        "seed": settings.seed,
        "presencePenalty": settings.presence_penalty,
        "frequencyPenalty": settings.frequency_penalty,
        **_output(settings.output),
        "thinkingConfig": _thinking(settings.depth, traits, losses),
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in sorted(traits.refused_fields & fields.keys()):
        del fields[name]
        losses.drop(_NEUTRAL.get(name, name), "this model refuses it")
    return fields


_NEUTRAL: Final = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseMimeType": "output",
    "responseJsonSchema": "output",
    "thinkingConfig": "depth",
}

FIELD_NAMES: Final = {
    **{neutral: f"generationConfig.{name}" for name, neutral in _NEUTRAL.items()},
    "tool_choice": "toolConfig.functionCallingConfig",
    "system": "systemInstruction",
    "service_tier": "serviceTier",
}
"""What Gemini's clients call a neutral setting."""


def service_tier(settings: Settings, traits: Traits, losses: Losses) -> str | None:
    """``serviceTier``; what is usual anyway isn't said."""
    tier = settings.service_tier
    if tier in (None, "auto", "standard"):
        return None
    if traits.official and tier in ("flex", "priority"):
        return tier
    losses.drop("service_tier", "this service class isn't known here")
    return None


def _max_tokens(settings: Settings, traits: Traits, losses: Losses) -> int | None:
    asked = settings.max_tokens
    if asked is None or traits.max_output is None or asked <= traits.max_output:
        return asked
    losses.drop("max_tokens", f"this model writes at most {traits.max_output} tokens")
    return traits.max_output


def _sampling(settings: Settings, traits: Traits, losses: Losses) -> dict[str, float | None]:
    said = {
        "temperature": ("temperature", settings.temperature),
        "top_p": ("topP", settings.top_p),
        "top_k": ("topK", settings.top_k),
    }
    fields: dict[str, float | None] = {}
    for neutral, (name, value) in said.items():
        if value is None:
            continue
        if traits.sampling == "refused":
            losses.drop(neutral, "this model takes no sampling settings")
        elif traits.sampling == "one" and neutral == "top_p" and settings.temperature is not None:
            losses.drop(neutral, "this model takes either temperature or top_p")
        else:
            fields[name] = value
    return fields


def _stops(settings: Settings, traits: Traits, losses: Losses) -> list[str] | None:
    if not settings.stop:
        return None
    if not traits.stops:
        losses.drop("stop", "this model takes no stop sequences")
        return None
    if len(settings.stop) > MAX_STOPS:
        losses.drop("stop", f"only the first {MAX_STOPS} stop sequences can be given")
    return list(settings.stop[:MAX_STOPS])


def _output(output: OutputFormat | None) -> dict[str, Any]:
    if output is None:
        return {}
    schema = {name: value for name, value in (output.schema or {}).items() if name != "$schema"}
    if output.description:
        schema.setdefault("description", output.description)
    return {"responseMimeType": "application/json", "responseJsonSchema": schema if output.schema else None}


def _thinking(depth: Depth, traits: Traits, losses: Losses) -> dict[str, Any] | None:
    """``thinkingConfig``: a budget for models that take one, else a level. What isn't asked for isn't said."""
    if depth == Depth():
        return None
    if not traits.reasoning_in & {"budget", "effort"}:
        if effort_of(depth) not in (None, "none"):
            losses.drop("depth", "this model has no say in its thinking")
        return None
    asked = effort_of(depth)
    said: dict[str, Any] = {}
    if "budget" in traits.reasoning_in:
        if (budget := _budget(depth, traits, losses)) is not None:
            said["thinkingBudget"] = budget
    elif (effort := known_effort(depth, traits, losses)) is not None:
        said["thinkingLevel"] = ("minimal" if effort == "none" else effort).upper()
    if asked != "none" and (depth.visible or (depth.visible is None and depth.on is not False)):
        said["includeThoughts"] = True
    return said or None


def _budget(depth: Depth, traits: Traits, losses: Losses) -> int | None:
    if effort_of(depth) == "none":
        if traits.thinking_off:
            return 0
        losses.drop("depth", "this model always thinks")
        return LEAST_BUDGET
    budget = budget_of(depth)
    if budget is not None and budget > MAX_BUDGET:
        if depth.budget is not None:
            losses.drop("depth", f"{MAX_BUDGET} tokens of thinking are asked for, the most that can be")
        return MAX_BUDGET
    return budget
