"""Whatever a model answers, Gemini's clients can read it."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given

from router.wire.events import (
    MessageEnd,
    RefusalDelta,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallStart,
)
from tests.wire.gemini.replies import replies
from tests.wire.gemini.saying import GEMINI, asked, parsed, responses, said, written

types = pytest.importorskip("google.genai.types")


@given(replies())
@pytest.mark.slow
def test_googles_own_types_accept_every_response(events: list[StreamEvent]) -> None:
    whole = json.loads(GEMINI.encoder(asked()).whole(events))
    for response in (*responses(written(events)), whole):
        read = types.GenerateContentResponse.model_validate(response)
        parts = response["candidates"][0]["content"]["parts"]
        assert [part.text for part in read.candidates[0].content.parts] == [part.get("text") for part in parts]


@given(replies())
def test_a_stream_says_the_same_as_a_whole_reply(events: list[StreamEvent]) -> None:
    stream = responses(written(events))
    whole = json.loads(GEMINI.encoder(asked()).whole(events))
    assert _merged(said(written(events))) == _merged(whole["candidates"][0]["content"]["parts"])
    last = stream[-1]
    last["candidates"][0]["content"] = whole["candidates"][0]["content"]
    assert last == whole
    assert json.loads(written(events, array=True)) == responses(written(events))


@given(replies())
def test_nothing_that_was_said_is_lost(events: list[StreamEvent]) -> None:
    parts = said(written(events))
    shown = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
    assert shown == "".join(event.text for event in events if isinstance(event, TextDelta | RefusalDelta))
    thoughts = "".join(part["text"] for part in parts if part.get("thought"))
    assert thoughts == "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    end = events[-1]
    assert isinstance(end, MessageEnd)
    if end.stop not in ("max-tokens", "context-window"):
        calls = [part["functionCall"]["id"] for part in parts if "functionCall" in part]
        assert calls == [event.id for event in events if isinstance(event, ToolCallStart)]


@given(replies())
def test_what_was_sealed_comes_back_with_the_next_request(events: list[StreamEvent]) -> None:
    """Also from a client that sends each piece as a turn of its own, from one that leaves all thoughts out, and from
    one that holds it all in Google's own types."""
    end = events[-1]
    assert isinstance(end, MessageEnd)
    if end.stop in ("max-tokens", "context-window"):  # a cut call takes what it carried with it
        return
    states = [event.state for event in events if isinstance(event, SignatureDelta) and event.state.value]
    parts = said(written(events))
    ways = (
        [{"role": "model", "parts": parts}],
        [{"role": "model", "parts": [part]} for part in parts],
        [{"role": "model", "parts": [part for part in parts if not part.get("thought")]}],
        [json.loads(_through_the_sdk({"role": "model", "parts": parts}))],
    )
    for contents in ways:
        conversation, _ = parsed({"contents": contents})
        back = [
            state
            for turn in conversation.turns
            for part in turn.parts
            if (state := getattr(part, "state", None)) is not None and state.value
        ]
        assert back == states


def _through_the_sdk(content: dict[str, Any]) -> str:
    dumped: str = types.Content.model_validate(content).model_dump_json(exclude_none=True)
    return dumped


def _merged(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parts with the pieces of a text as one, and without the empty one that stands where there is nothing to say."""
    out: list[dict[str, Any]] = []
    told = [part for part in parts if part != {"text": ""}]
    for kind, pieces in groupby(told, key=lambda part: None if "functionCall" in part else part.get("thought", False)):
        if kind is None:
            out.extend(pieces)
            continue
        run = list(pieces)
        slots = [piece["thoughtSignature"] for piece in run if "thoughtSignature" in piece]
        out.append({"text": "".join(piece["text"] for piece in run), "thought": kind, "slots": slots})
    return out
