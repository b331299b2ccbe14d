"""A neutral conversation as the body of a Messages request. Its turns are written in ``render_turns``, its tools in
``render_tools``, the depth of thinking in ``thinking``, cache marks in ``caching``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any, Final

import msgspec

from router.wire.anthropic_messages import render_tools, thinking
from router.wire.anthropic_messages.caching import Marks
from router.wire.anthropic_messages.output_schema import closed, sayable
from router.wire.anthropic_messages.render_turns import TurnWriter, unthinking_loop
from router.wire.anthropic_messages.replay import without_lost_thoughts
from router.wire.codec import Rendered
from router.wire.conversation import Conversation, OutputFormat, Settings, Text, Turn
from router.wire.digest import digest
from router.wire.history import settled, tagged
from router.wire.loss import Losses
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

USUAL_MAX_TOKENS: Final = 32_000
"""The limit, which the format demands, where neither the client nor the catalog names one: the one that Claude Code
asks of models it doesn't know."""

_MAX_USER: Final = 256  # characters of metadata.user_id
_MID_SYSTEM_BETA: Final = "mid-conversation-system-2026-04-07"


def rendered(conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
    """The request for a target. The same conversation gives the same bytes."""
    settings = conversation.settings
    turns = list(_behind_users(settled(without_lost_thoughts(conversation, traits, losses), traits, losses)))
    table = ToolTable(conversation, limit=traits.tool_name_limit)
    marks = Marks()
    writer = TurnWriter(table, traits, marks, losses)
    max_tokens = _max_tokens(settings, traits, losses)

    # In the order of the prompt, which is the order of cache marks.
    offered = render_tools.offered(conversation, traits, losses)
    tools = [render_tools.tool(table.tool(tool), traits, marks, losses) for tool in offered]
    leading = list(takewhile(lambda turn: turn.role == "system", turns))
    texts = [*conversation.system, *(part for turn in leading for part in turn.parts if isinstance(part, Text))]
    system = [writer.text(text) for text in texts if text.text.strip()]
    messages = writer.messages(turns[len(leading) :])

    asked = thinking.asked(
        settings.depth, traits, max_tokens, losses, unthinking_loop=unthinking_loop(reversed(messages))
    )
    schema, instruction = _output(settings.output, traits, losses)
    if instruction is not None:
        system.append({"type": "text", "text": instruction})
    config = {"effort": asked.effort, "format": schema}
    fields: dict[str, Any] = {
        "model": traits.model,
        "max_tokens": max_tokens,
        "system": system,
        "messages": messages,
        "tools": tools,
        "tool_choice": render_tools.choice(conversation, offered, table, traits, losses, thinks=asked.on),
        "thinking": asked.thinking,
        "output_config": {name: value for name, value in config.items() if value is not None},
        **_sampling(settings, traits, losses, enabled=asked.thinking is not None and "budget_tokens" in asked.thinking),
        "stop_sequences": _stops(settings, traits, losses),
        "metadata": _metadata(settings),
        "service_tier": _service_tier(settings, traits, losses),
        "cache_control": marks.write(settings.cache_all, traits, losses),
        "stream": conversation.stream or None,
    }
    _report_unsayable(settings, losses)
    fields = {name: value for name, value in fields.items() if value is not None and value not in ([], {})}
    for name in sorted(traits.refused_fields & fields.keys()):
        del fields[name]
        losses.drop(name, "this provider refuses the field")
    beta = any(message["role"] == "system" for message in messages)
    return Rendered(msgspec.json.encode(fields), table, {"anthropic-beta": _MID_SYSTEM_BETA} if beta else {})


def _behind_users(turns: Iterable[Turn]) -> Iterator[Turn]:
    """System turns stand behind the user's only: where there is none, as text in the user's name."""
    before = "system"  # those that lead belong to the system prompt
    for turn in turns:
        shown = Turn("user", tagged(turn.parts), turn.place) if (turn.role, before) == ("system", "assistant") else turn
        before = shown.role
        yield shown


def _max_tokens(settings: Settings, traits: Traits, losses: Losses) -> int:
    if settings.max_tokens is None:
        return traits.max_output or USUAL_MAX_TOKENS
    if traits.max_output is not None and settings.max_tokens > traits.max_output:
        losses.drop("max_tokens", f"this model writes at most {traits.max_output} tokens")
        return traits.max_output
    return settings.max_tokens


def _output(output: OutputFormat | None, traits: Traits, losses: Losses) -> tuple[dict[str, Any] | None, str | None]:
    """Structured output as ``output_config.format``, or where that can't say it, as an instruction."""
    if output is None:
        return None, None
    if output.schema is None:
        losses.drop("output", "any JSON can't be enforced here, so the model is told to answer with some")
        return None, "Answer with a JSON value only, without any other text and without code fences."
    if traits.official and "output_config" not in traits.refused_fields and sayable(output.schema):
        schema = closed(output.schema)
        if output.description:
            schema.setdefault("description", output.description)
        return {"type": "json_schema", "schema": schema}, None
    losses.drop("output", "the schema can't be enforced here, so the model is told to follow it")
    text = msgspec.json.encode(output.schema).decode()
    return (
        None,
        f"Answer with JSON only, without any other text and without code fences, following this schema:\n{text}",
    )


def _sampling(settings: Settings, traits: Traits, losses: Losses, *, enabled: bool) -> dict[str, Any]:
    """What the model takes of temperature, top_p and top_k. ``enabled``: thinking has a budget, which bounds them."""
    said = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
    out: dict[str, float] = {name: value for name, value in said.items() if value is not None}

    def leave_out(name: str, why: str) -> None:
        if out.pop(name, None) is not None:
            losses.drop(name, why)

    if traits.sampling == "refused":
        for name in tuple(out):
            leave_out(name, "this model takes no sampling settings")
    if traits.sampling == "one" and "temperature" in out:
        leave_out("top_p", "this model takes either temperature or top_p")
    if out.get("temperature", 0) > 1:
        out["temperature"] = 1
        losses.drop("temperature", "it is at most 1 here")
    if enabled:  # compatible servers, too, are often Claude behind a gateway
        thinking_only = "thinking doesn't go with it here"
        leave_out("top_k", thinking_only)
        if out.get("temperature", 1) != 1:
            leave_out("temperature", thinking_only)
        if out.get("top_p", 1) < 0.95:
            leave_out("top_p", thinking_only)
    return out


def _stops(settings: Settings, traits: Traits, losses: Losses) -> list[str]:
    if settings.stop and not traits.stops:
        losses.drop("stop", "this model takes no stop sequences")
        return []
    stops = [stop for stop in settings.stop if stop.strip()]
    if len(stops) < len(settings.stop):
        losses.drop("stop", "a stop sequence can't be nothing but space here")
    return stops


def _metadata(settings: Settings) -> dict[str, str] | None:
    user = settings.user
    if not user:
        return None
    return {"user_id": user if len(user) <= _MAX_USER else digest(user)}


def _service_tier(settings: Settings, traits: Traits, losses: Losses) -> str | None:
    words = {"auto": "auto", "standard": "standard_only", "priority": "auto"} if traits.official else {}
    word = words.get(settings.service_tier or "")
    if settings.service_tier is not None and word is None:
        losses.drop("service_tier", "this service class isn't known here")
    return word


def _report_unsayable(settings: Settings, losses: Losses) -> None:
    for name in ("seed", "presence_penalty", "frequency_penalty", "verbosity", "cache_key"):
        if getattr(settings, name) is not None:
            losses.drop(name, "it can't be said in this format")
