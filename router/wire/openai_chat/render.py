"""A neutral request as a Chat body. Its messages are written by ``render_messages``, its tools by ``render_tools``, its
settings by ``render_settings`` and ``render_depth``."""

from __future__ import annotations

from typing import Any

import msgspec

from router.wire import history
from router.wire.codec import Rendered
from router.wire.conversation import Conversation, Text
from router.wire.loss import Losses
from router.wire.openai_chat.render_depth import rendered_depth
from router.wire.openai_chat.render_messages import MessageRenderer
from router.wire.openai_chat.render_settings import FIELDS, form_in_words, rendered_settings
from router.wire.openai_chat.render_tools import rendered_tools
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits


def rendered(conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
    """The body for a target. The same conversation gives the same bytes, and what follows it only adds to them."""
    settings = conversation.settings
    table = ToolTable(conversation, limit=traits.tool_name_limit, custom=traits.custom_tools)
    tools = rendered_tools(conversation, traits, table, losses)
    system = conversation.system
    if (words := form_in_words(conversation, traits, losses)) is not None:
        system = (*system, Text(words))
    renderer = MessageRenderer(traits, table, losses)
    messages = renderer.messages(system, history.settled(conversation, traits, losses))
    body: dict[str, Any] = {"model": traits.model, "messages": messages, **tools}
    body |= rendered_settings(settings, traits, losses, marked=renderer.marked)
    limit = body.get(traits.max_tokens_field)
    body |= rendered_depth(settings.depth, traits, losses, tools="tools" in tools, limit=limit)
    if conversation.stream:
        body["stream"] = True
        if traits.stream_usage == "asks":
            body["stream_options"] = {"include_usage": True}
    for name in [name for name in body if name in traits.refused_fields]:
        del body[name]
        if name != "response_format":  # told in words instead
            losses.drop(FIELDS.get(name, name), "this provider refuses it")
    return Rendered(msgspec.json.encode(body), table)
