"""A neutral request as a Responses body. Its items are written by ``render_input``, its tools by ``render_tools``.

Nothing is ever stored at the provider: the whole conversation is sent each time, with the sealed reasoning that the
last replies brought.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from router.wire import history
from router.wire.codec import Rendered
from router.wire.conversation import Conversation, Depth, OutputFormat, Settings, Text
from router.wire.depth import known_effort
from router.wire.digest import digest
from router.wire.loss import Losses
from router.wire.openai_fields import TIER_WORDS, cache_key, sampling
from router.wire.openai_responses.parse import ENCRYPTED
from router.wire.openai_responses.render_input import InputWriter
from router.wire.openai_responses.render_tools import rendered_tools
from router.wire.schemas import is_closed, named
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

MIN_OUTPUT: Final = 16
"""The lowest limit that OpenAI takes, in tokens."""

_FIELDS: Final[dict[str, str]] = {
    "max_output_tokens": "max_tokens",
    "parallel_tool_calls": "parallel_tools",
    "prompt_cache_key": "cache_key",
    "reasoning": "depth",
    "safety_identifier": "user",
    "text": "output",
}
"""What a field of the body is called among the settings, where it is called otherwise."""
_UNSAID: Final = ("store", "include")
"""Fields that nobody asked for: a target that refuses them loses nothing."""


def rendered(conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
    """The body for a target. The same conversation gives the same bytes, and what follows it only adds to them."""
    table = ToolTable(conversation, limit=traits.tool_name_limit, custom=traits.custom_tools)
    writer = InputWriter(traits, table, losses)
    turns = history.settled(conversation, traits, losses)
    instructions, leading = _system(conversation, traits, writer)
    body: dict[str, Any] = {
        "model": traits.model,
        **instructions,
        "input": leading + writer.items(turns),
        **rendered_tools(conversation, traits, table, losses),
        **_settings(conversation.settings, traits, losses),
        **_caching(conversation, traits, losses),
        "store": False,
    }
    if traits.encrypted_reasoning and conversation.include_state:
        body["include"] = [ENCRYPTED]
    if conversation.stream:
        body["stream"] = True
    for name in [name for name in body if name in traits.refused_fields]:
        del body[name]
        if name not in _UNSAID:
            losses.drop(_FIELDS.get(name, name), "this provider refuses it")
    return Rendered(msgspec.json.encode(body), table)


def _system(
    conversation: Conversation, traits: Traits, writer: InputWriter
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One text as ``instructions``; several, which shall stay apart, and a marked one as a leading message."""
    texts = [text for text in conversation.system if text.text.strip()]
    needs_json = _lacks_json(conversation)
    if needs_json and not _say_json(texts):
        texts.append(Text("Answer with JSON."))
    if len(texts) == 1 and texts[0].cache is None and not needs_json:
        return {"instructions": texts[0].text}, []
    return {}, writer.message(traits.system_role, texts, "")


def _lacks_json(conversation: Conversation) -> bool:
    """Whether just any JSON is asked for, and no turn says so: OpenAI wants the word in a message of the input."""
    output = conversation.settings.output
    if output is None or output.schema is not None:
        return False
    return not any(_say_json(part for part in turn.parts if isinstance(part, Text)) for turn in conversation.turns)


def _say_json(texts: Iterable[Text]) -> bool:
    return any("json" in text.text.lower() for text in texts)


def _settings(settings: Settings, traits: Traits, losses: Losses) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if settings.max_tokens is not None:
        fields["max_output_tokens"] = _limit(settings.max_tokens, traits, losses)
    fields |= sampling(settings, traits, losses)
    for name in ("top_k", "stop", "seed", "presence_penalty", "frequency_penalty"):
        if getattr(settings, name) not in (None, ()):
            losses.drop(name, "Responses has no such parameter")
    if reasoning := _reasoning(settings.depth, traits, losses):
        fields["reasoning"] = reasoning
    text: dict[str, Any] = {}
    if settings.output is not None:
        text["format"] = _format(settings.output, traits, losses)
    if settings.verbosity is not None and _is_taken("verbosity", traits, losses):
        text["verbosity"] = settings.verbosity
    if text:
        fields["text"] = text
    if settings.service_tier is not None and _is_taken("service_tier", traits, losses):
        fields["service_tier"] = TIER_WORDS[settings.service_tier]
    if settings.user is not None and _is_taken("user", traits, losses):
        fields["safety_identifier"] = digest(settings.user)  # some clients write their account into it
    return fields


def _is_taken(setting: str, traits: Traits, losses: Losses) -> bool:
    """What only OpenAI itself is known to take may be an error elsewhere."""
    if not traits.official:
        losses.drop(setting, "this provider isn't known to take it")
    return traits.official


def _limit(asked: int, traits: Traits, losses: Losses) -> int:
    limit = asked if traits.max_output is None else min(asked, traits.max_output)
    if limit >= MIN_OUTPUT or not traits.official:
        return limit
    losses.drop("max_tokens", f"at least {MIN_OUTPUT} can be asked for")
    return MIN_OUTPUT


def _reasoning(depth: Depth, traits: Traits, losses: Losses) -> dict[str, Any]:
    """A depth that is left to the model is its default, which isn't said."""
    fields: dict[str, Any] = {}
    asked = depth.on is not None or depth.effort is not None or depth.budget is not None
    if "effort" in traits.reasoning_in:
        if asked and (word := known_effort(depth, traits, losses)) is not None:
            fields["effort"] = word
    elif asked and depth.on is not False:
        losses.drop("depth", "this model can't be told how much to think")
    if depth.visible and depth.on is not False and traits.reasoning_in:
        if traits.summaries:
            fields["summary"] = "auto"
        else:
            losses.drop("depth", "this model shows nothing of its reasoning")
    return fields


def _format(output: OutputFormat, traits: Traits, losses: Losses) -> dict[str, Any]:
    """Strictness needs a schema that leaves nothing open; others are followed as well as the model can."""
    if output.schema is None:
        return {"type": "json_object"}
    shown = {"type": "json_schema", **named(output)}
    if output.strict and traits.strict_schemas != "no" and is_closed(shown["schema"]):
        return {**shown, "strict": True}
    if output.strict:
        losses.drop("output", "the schema can't be enforced here")
    return {**shown, "strict": False}


def _caching(conversation: Conversation, traits: Traits, losses: Losses) -> dict[str, Any]:
    settings, marked = conversation.settings, conversation.is_marked
    if traits.cache_hints != "openai":
        if marked or settings.cache_all is not None:
            losses.drop("cache", "this provider caches prompts by itself, or not at all")
        if settings.cache_key is not None:
            losses.drop("cache_key", "this provider takes no key for its prompt cache")
        return {}
    key = cache_key(settings, marked=marked)
    return {} if key is None else {"prompt_cache_key": key}
