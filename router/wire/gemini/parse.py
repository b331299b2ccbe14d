"""A client's generateContent request as a neutral one. Its parts are read in ``parse_parts``, its tools in
``parse_tools``, its settings in ``parse_settings``; the model and whether to stream stand in the URL."""

from __future__ import annotations

from router.errors import BadRequest
from router.wire.body import Body
from router.wire.conversation import Conversation
from router.wire.gemini.parse_parts import system_of, turns_of
from router.wire.gemini.parse_settings import settings_of
from router.wire.gemini.parse_tools import choice_of, tools_of
from router.wire.loss import Losses
from router.wire.request import RequestView


def parsed(view: RequestView, losses: Losses) -> Conversation:
    """The request behind a view. Raises ``BadRequest`` where a field has another type than the format says."""
    body = view.body
    try:
        tools = tools_of(body.raw_field("tools"), losses)
        return Conversation(
            model=view.model,
            turns=turns_of(body.raw_field("contents"), losses),
            system=system_of(_either(body, "systemInstruction", "system_instruction"), losses),
            tools=tools,
            tool_choice=choice_of(_either(body, "toolConfig", "tool_config"), tools, losses),
            settings=settings_of(body, losses),
            stream=view.stream,
        )
    except RecursionError:
        raise BadRequest("the request body is nested too deeply") from None


def _either(body: Body, camel: str, snake: str) -> bytes | None:
    return body.raw_field(camel) if camel in body else body.raw_field(snake)
