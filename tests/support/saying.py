"""A provider that says what a test wants, in whatever wire format it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from router.wire.encoding import Asked
from router.wire.events import (
    MessageEnd,
    MessageStart,
    PartEnd,
    Stop,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.formats import CODECS
from router.wire.request import Api
from router.wire.usage import Usage
from tests.support.provider import Answer, Received, Step, stream, whole

USAGE = Usage(input=100, cache_read=0, output=20)


def text(*pieces: str, stop: Stop = "end", model: str = "m", usage: Usage = USAGE) -> list[StreamEvent]:
    """An answer in words."""
    return [
        MessageStart("msg_1", model),
        *(TextDelta(piece) for piece in pieces),
        PartEnd(),
        UsageReport(usage),
        MessageEnd(stop),
    ]


def calling(name: str, arguments: dict[str, Any], *, model: str = "m", usage: Usage = USAGE) -> list[StreamEvent]:
    """A tool call."""
    return [
        MessageStart("msg_1", model),
        ToolCallStart("call_1", name),
        ToolCallDelta(json.dumps(arguments)),
        PartEnd(),
        UsageReport(usage),
        MessageEnd("tool-use"),
    ]


def saying(events: Iterable[StreamEvent]) -> Answer:
    """An ``Answer`` for ``FakeProvider``."""
    events = tuple(events)

    def answer(request: Received) -> Iterable[Step]:
        path, _, query = request.path.partition("?")
        body = request.json
        encoder = CODECS[api_of(path)].encoder(
            Asked("1", 0, array=path.endswith(":streamGenerateContent") and not query)
        )
        if body.get("stream") or path.endswith(":streamGenerateContent"):
            return stream(*(part for event in events if (part := encoder.encode(event))))
        return whole(json.loads(encoder.whole(events)))

    return answer


def api_of(path: str) -> Api:
    """The wire format of an endpoint."""
    if path.endswith("/messages"):
        return "anthropic-messages"
    if path.endswith("/chat/completions"):
        return "openai-chat"
    return "openai-responses" if path.endswith("/responses") else "gemini"
