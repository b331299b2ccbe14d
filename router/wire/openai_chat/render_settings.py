"""Settings as the fields of a Chat body, for one target."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.conversation import Conversation, OutputFormat, Settings, Text
from router.wire.digest import digest
from router.wire.loss import Losses
from router.wire.openai_chat.render_tools import anthropic_mark
from router.wire.openai_fields import MAX_ID, TIER_WORDS, cache_key, sampling
from router.wire.schemas import is_closed, named, parameters
from router.wire.traits import Traits

MAX_STOPS: Final = 4

FIELDS: Final[dict[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "stop": "stop",
    "response_format": "output",
    "parallel_tool_calls": "parallel_tools",
    "verbosity": "verbosity",
    "service_tier": "service_tier",
    "safety_identifier": "user",
    "prompt_cache_key": "cache_key",
    "cache_control": "cache_all",
    "reasoning_effort": "depth",
    "reasoning": "depth",
    "thinking": "depth",
    "enable_thinking": "depth",
    "thinking_budget": "depth",
}
"""What a field of the body is called among the settings."""


def rendered_settings(settings: Settings, traits: Traits, losses: Losses, *, marked: bool) -> dict[str, Any]:
    """All but tools and thinking. ``marked``: the messages bear cache marks."""
    fields: dict[str, Any] = {}
    if settings.max_tokens is not None:
        limit = settings.max_tokens
        fields[traits.max_tokens_field] = limit if traits.max_output is None else min(limit, traits.max_output)
    fields |= sampling(settings, traits, losses) | _penalties(settings, traits, losses)
    if settings.top_k is not None:
        losses.drop("top_k", "Chat has no such parameter")
    if settings.seed is not None:
        fields["seed"] = settings.seed
    if settings.stop:
        fields |= _stop(settings.stop, traits, losses)
    if settings.output is not None:
        fields["response_format"] = response_format(settings.output, traits, losses)
    return fields | _service(settings, traits, losses) | _caching(settings, traits, losses, marked)


def _penalties(settings: Settings, traits: Traits, losses: Losses) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in ("presence_penalty", "frequency_penalty"):
        value = getattr(settings, name)
        if value is not None and traits.sampling == "refused":
            losses.drop(name, "this model takes no sampling parameters")
        elif value is not None:
            fields[name] = value
    return fields


def _stop(sequences: tuple[str, ...], traits: Traits, losses: Losses) -> dict[str, Any]:
    if not traits.stops:
        losses.drop("stop", "this model takes no stop sequences")
        return {}
    if len(sequences) > MAX_STOPS:
        losses.drop("stop", f"only the first {MAX_STOPS} stop sequences can be given")
    return {"stop": list(sequences[:MAX_STOPS])}


def response_format(output: OutputFormat, traits: Traits, losses: Losses) -> dict[str, Any]:
    """Structured output. Where the client's format always holds to the schema, this says so, too, if the schema is one
    that OpenAI can hold to."""
    if output.schema is None or "response_format.json_schema" in traits.refused_fields:
        return {"type": "json_object"}
    shown = named(output)
    if output.strict is not False and traits.strict_schemas != "no" and is_closed(shown["schema"]):
        shown["strict"] = True
    elif output.strict:
        losses.drop("output", "the schema can't be enforced here")
    return {"type": "json_schema", "json_schema": shown}


def form_in_words(conversation: Conversation, traits: Traits, losses: Losses) -> str | None:
    """What a target must be told in words of the form of its answer: the schema where it can't be given, and that the
    answer is JSON, which OpenAI wants to be said somewhere."""
    output = conversation.settings.output
    if output is None:
        return None
    if {"response_format", "response_format.json_schema" if output.schema is not None else ""} & traits.refused_fields:
        losses.drop("output", "the form of the answer is only told in words here")
    elif output.schema is not None or _speaks_of_json(conversation):
        return None
    if output.schema is None:
        return "Answer with one JSON object and nothing else."
    schema = msgspec.json.encode(parameters(output.schema)).decode()
    return f"Answer with one JSON object and nothing else. It must match this JSON schema:\n{schema}"


def _speaks_of_json(conversation: Conversation) -> bool:
    """Whether the conversation's beginning does, which is the same in every turn."""
    first = conversation.turns[0].parts if conversation.turns else ()
    return any("json" in part.text.lower() for part in (*conversation.system, *first) if isinstance(part, Text))


def _service(settings: Settings, traits: Traits, losses: Losses) -> dict[str, Any]:
    """What only OpenAI itself is known to take; elsewhere an unknown field may be an error."""
    fields: dict[str, Any] = {}
    if settings.verbosity is not None:
        fields["verbosity"] = settings.verbosity
    if settings.service_tier is not None:
        fields["service_tier"] = TIER_WORDS[settings.service_tier]
    if settings.user is not None:
        fields["safety_identifier"] = user_id(settings.user)
    if traits.official:
        return fields
    for name in fields:
        if fields[name] != "auto":
            losses.drop(FIELDS[name], "this provider isn't known to take it")
    return {}


def user_id(user: str) -> str:
    """A user's id as it may be passed on: what is long or holds account data becomes a digest."""
    if len(user) <= MAX_ID and not user.lstrip().startswith("{"):
        return user
    return digest(user)


def _caching(settings: Settings, traits: Traits, losses: Losses, marked: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if traits.cache_hints == "openai":
        if (key := cache_key(settings, marked=marked)) is not None:
            fields["prompt_cache_key"] = key
    elif settings.cache_key is not None:
        losses.drop("cache_key", "this provider takes no key for its prompt cache")
    if settings.cache_all is not None:
        if traits.cache_hints == "anthropic":
            fields["cache_control"] = anthropic_mark(settings.cache_all)
        else:
            losses.drop("cache_all", "this provider caches prompts by itself, or not at all")
    return fields
