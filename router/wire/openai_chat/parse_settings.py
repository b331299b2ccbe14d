"""The settings of a Chat request: limits, sampling, structured output, and how much thinking is asked for, which each
provider's dialect says in a field of its own."""

from __future__ import annotations

from typing import Any, Final

from router.wire.body import Body
from router.wire.checked import (
    a_list,
    a_text,
    an_object,
    perhaps_flag,
    perhaps_number,
    perhaps_text,
    perhaps_whole,
    wrong,
)
from router.wire.conversation import Cache, Depth, OutputFormat, ServiceTier, Settings
from router.wire.depth import RISING
from router.wire.loss import Losses
from router.wire.openai_fields import TIERS

SETTINGS_READ: Final = frozenset(
    "max_tokens max_completion_tokens temperature top_p top_k stop seed presence_penalty frequency_penalty "
    "reasoning_effort reasoning thinking enable_thinking thinking_budget chat_template_kwargs reasoning_format "
    "include_reasoning response_format verbosity parallel_tool_calls user safety_identifier service_tier "
    "prompt_cache_key".split()
)
"""The top-level fields that ``settings_of`` looks at."""


def settings_of(body: Body, cache_all: Cache | None, losses: Losses) -> Settings:
    """All settings. Raises ``BadRequest`` where one has another type than the format says."""
    limit = perhaps_whole(body.get("max_completion_tokens"), "max_completion_tokens")
    older = perhaps_whole(body.get("max_tokens"), "max_tokens")
    parallel = perhaps_flag(body.get("parallel_tool_calls"), "parallel_tool_calls")
    return Settings(
        max_tokens=older if limit is None else limit,
        temperature=perhaps_number(body.get("temperature"), "temperature"),
        top_p=perhaps_number(body.get("top_p"), "top_p"),
        top_k=perhaps_whole(body.get("top_k"), "top_k"),
        stop=_stop(body.get("stop")),
        seed=perhaps_whole(body.get("seed"), "seed"),
        presence_penalty=perhaps_number(body.get("presence_penalty"), "presence_penalty") or None,
        frequency_penalty=perhaps_number(body.get("frequency_penalty"), "frequency_penalty") or None,
        depth=_depth(body, losses),
        output=_output(body.get("response_format"), losses),
        verbosity=perhaps_text(body.get("verbosity"), "verbosity"),
        # A message of the old kind has room for one call.
        parallel_tools=False if parallel is None and body.get("functions") else parallel,
        user=perhaps_text(body.get("safety_identifier"), "safety_identifier")
        or perhaps_text(body.get("user"), "user")
        or None,
        service_tier=_tier(perhaps_text(body.get("service_tier"), "service_tier"), losses),
        cache_key=perhaps_text(body.get("prompt_cache_key"), "prompt_cache_key") or None,
        cache_all=cache_all,
    )


def _stop(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(a_text(sequence, "stop") for sequence in a_list(value, "stop"))


def _tier(word: str | None, losses: Losses) -> ServiceTier | None:
    if word is not None and word not in TIERS:
        losses.drop("service_tier", "this service class is one provider's own")
    return TIERS.get(word or "")


def _output(value: Any, losses: Losses) -> OutputFormat | None:
    """``json_schema`` has its schema inside; some providers take one beside ``json_object``, too."""
    where = "response_format"
    form = an_object(value, where)
    kind = perhaps_text(form.get("type"), f"{where}.type") or "text"
    if kind == "text":
        return None
    if kind not in ("json_object", "json_schema"):
        losses.refuse(where, "answers in this form can't be asked for")
        return None
    inner = an_object(form.get("json_schema"), f"{where}.json_schema")
    schema = inner.get("schema") if inner.get("schema") is not None else form.get("schema")
    return OutputFormat(
        schema=None if schema is None else an_object(schema, f"{where}.json_schema.schema"),
        name=perhaps_text(inner.get("name"), f"{where}.json_schema.name"),
        description=perhaps_text(inner.get("description"), f"{where}.json_schema.description"),
        strict=perhaps_flag(inner.get("strict"), f"{where}.json_schema.strict"),
    )


# --- thinking ---------------------------------------------------------------------------------------------------------


def _depth(body: Body, losses: Losses) -> Depth:
    """``reasoning_effort`` (OpenAI); ``reasoning`` (OpenRouter); ``thinking`` (DeepSeek, Z.AI, Kimi);
    ``enable_thinking`` and ``thinking_budget`` (Qwen), for vLLM inside ``chat_template_kwargs``."""
    openrouter = an_object(body.get("reasoning"), "reasoning")
    thinking = an_object(body.get("thinking"), "thinking")
    template = an_object(body.get("chat_template_kwargs"), "chat_template_kwargs")
    effort = perhaps_text(body.get("reasoning_effort"), "reasoning_effort") or perhaps_text(
        openrouter.get("effort"), "reasoning.effort"
    )
    on = _first(
        perhaps_flag(openrouter.get("enabled"), "reasoning.enabled"),
        _toggle(thinking),
        perhaps_flag(body.get("enable_thinking"), "enable_thinking"),
        perhaps_flag(template.get("enable_thinking"), "chat_template_kwargs.enable_thinking"),
    )
    budget = _first(
        perhaps_whole(openrouter.get("max_tokens"), "reasoning.max_tokens"),
        perhaps_whole(thinking.get("budget_tokens"), "thinking.budget_tokens"),
        perhaps_whole(body.get("thinking_budget"), "thinking_budget"),
    )
    if on is False or effort == "none":
        return Depth(on=False)
    if effort is not None and effort not in RISING:
        if effort != "default":
            losses.drop("reasoning_effort", "this effort is one provider's own word")
        effort = None
    return Depth(
        on=True if effort is not None or budget is not None else on,
        effort=effort,
        budget=budget,
        visible=_visible(body, openrouter),
    )


def _toggle(thinking: dict[str, Any]) -> bool | None:
    kind = perhaps_text(thinking.get("type"), "thinking.type")
    if kind not in (None, "enabled", "disabled", "adaptive", "auto"):
        raise wrong("thinking.type", "'enabled', 'disabled' or 'adaptive'")
    return None if kind is None else kind != "disabled"


def _visible(body: Body, openrouter: dict[str, Any]) -> bool | None:
    if openrouter.get("exclude") is True or body.get("include_reasoning") is False:
        return False
    if body.get("reasoning_format") == "hidden":
        return False
    return True if body.get("include_reasoning") is True or body.get("reasoning_format") == "parsed" else None


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
