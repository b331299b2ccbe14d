"""A client's Messages request as a neutral one. Its blocks are read in ``parse_blocks``, its tools in ``parse_tools``,
its settings in ``parse_settings``."""

from __future__ import annotations

from router.wire.anthropic_messages.parse_blocks import system_of, turns_of
from router.wire.anthropic_messages.parse_settings import settings_of
from router.wire.anthropic_messages.parse_tools import choice_of, tools_of
from router.wire.conversation import Conversation
from router.wire.loss import Losses
from router.wire.request import RequestView


def parsed(view: RequestView, losses: Losses) -> Conversation:
    """The request behind a view. Raises ``BadRequest`` where a field has another type than the format says."""
    body = view.body
    tools = tools_of(body, losses)
    choice, parallel_tools = choice_of(body, tools, losses)
    return Conversation(
        model=view.model,
        system=system_of(body.raw_field("system"), losses),
        turns=turns_of(body.raw_field("messages"), losses),
        tools=tools,
        tool_choice=choice,
        settings=settings_of(body, view.max_tokens, parallel_tools, losses),
        stream=view.stream,
    )
