"""What the official SDK makes of a reply: its types demand every field, its state puts a stream together."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent


def check_response(reply: dict[str, Any]) -> Response:
    """The reply as the SDK's own type; raises where a field is missing or of another type."""
    return Response.model_validate(reply)


def accumulated(events: list[dict[str, Any]]) -> Response | None:
    """The response that the SDK has at the end of a stream, which it gives out only if that was completed."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(_event_types()[event["type"]].model_validate(event))
    return state._completed_response


@cache
def _event_types() -> dict[str, Any]:
    union, *_ = get_args(ResponseStreamEvent)
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(union)}
