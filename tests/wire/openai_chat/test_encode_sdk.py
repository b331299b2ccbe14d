"""Whatever the neutral events are, the official SDK reads what is written of them: strictly, and by its accumulator."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from router.wire.conversation import OpaqueState
from router.wire.events import (
    Citation,
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.usage import Usage
from tests.wire.openai_chat.saying import CHAT, asked

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAME = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
STATE = st.builds(
    OpaqueState,
    st.sampled_from(["anthropic-signature", "openai-encrypted", "visible", "google-thought", "openrouter"]),
    TEXT,
    st.just("a/b"),
    st.none() | NAME,
)
COUNT = st.none() | st.integers(0, 10**6)
USAGE = st.builds(
    UsageReport,
    st.builds(
        Usage,
        input=COUNT,
        cache_read=COUNT,
        cache_write=COUNT,
        output=COUNT,
        reasoning=COUNT,
        service_tier=st.sampled_from([None, "standard", "flex", "on_demand"]),
    ),
)
CITED = st.builds(Citation, st.just("web"), st.sampled_from(["", "https://example.com"]), TEXT, st.just({}))


def _with(first: Iterable[StreamEvent], seal: StreamEvent | None) -> list[StreamEvent]:
    return [*first, *([] if seal is None else [seal]), PartEnd()]


SEAL = st.none() | st.builds(SignatureDelta, STATE)
PART = st.one_of(
    st.tuples(st.lists(st.builds(TextDelta, TEXT), min_size=1, max_size=3), st.lists(CITED, max_size=2)).map(
        lambda said: _with([*said[0], *said[1]], None)
    ),
    st.lists(st.builds(RefusalDelta, TEXT), min_size=1, max_size=2).map(lambda said: _with(said, None)),
    st.builds(_with, st.lists(st.builds(ThinkingDelta, TEXT), min_size=1, max_size=3), SEAL),
    st.builds(SignatureDelta, STATE).map(lambda seal: _with([], seal)),
    st.tuples(
        st.builds(ToolCallStart, NAME, NAME, st.booleans()), st.lists(st.builds(ToolCallDelta, TEXT), max_size=3), SEAL
    ).map(lambda made: _with([made[0], *made[1]], made[2])),
    st.sampled_from([[KeepAlive()], [Opaque("x")]]),
    USAGE.map(lambda report: [report]),
)
END = st.builds(
    MessageEnd,
    st.sampled_from(["end", "stop-sequence", "tool-use", "max-tokens", "context-window", "refusal", "pause"]),
    st.none(),
    st.none() | TEXT,
)
REPLY = st.tuples(st.lists(PART, max_size=6), END).map(
    lambda said: [MessageStart("x", "served"), *(event for part in said[0] for event in part), said[1]]
)


def chunks_of(events: list[StreamEvent], include_usage: bool) -> list[bytes]:
    encoder = CHAT.encoder(asked(include_usage=include_usage))
    raw = b"".join(map(encoder.encode, events))
    blocks = raw.removesuffix(b"\n\n").split(b"\n\n")
    assert blocks.pop() == b"data: [DONE]"
    return [block.removeprefix(b"data: ") for block in blocks if not block.startswith(b":")]


@given(REPLY, st.booleans())
def test_chunks_are_the_sdks(events: list[StreamEvent], include_usage: bool) -> None:
    for chunk in chunks_of(events, include_usage):
        if b'"custom"' not in chunk:  # for which the SDK's chunks have no type
            ChatCompletionChunk.model_validate_json(chunk, strict=True)


@given(REPLY)
def test_a_whole_reply_is_the_sdks(events: list[StreamEvent]) -> None:
    ChatCompletion.model_validate_json(CHAT.encoder(asked()).whole(events), strict=True)


@given(REPLY, st.booleans())
def test_the_sdk_puts_a_stream_together_to_the_whole_reply(events: list[StreamEvent], include_usage: bool) -> None:
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks_of(events, include_usage):
        list(state.handle_chunk(ChatCompletionChunk.construct(**json.loads(chunk))))
    together = state.current_completion_snapshot.to_dict(mode="json")
    whole = json.loads(CHAT.encoder(asked()).whole(events))
    got, expected = together["choices"][0], whole["choices"][0]  # type: ignore[index]
    assert got["finish_reason"] == expected["finish_reason"]
    got["message"]["tool_calls"] = [_as_sent(call) for call in got["message"].get("tool_calls") or ()]
    for name, value in expected["message"].items():
        shown = got["message"].get(name)
        assert (shown or None) == (value or None), name
    if include_usage:
        assert together.get("usage") == whole.get("usage")


def _as_sent(call: dict[str, Any]) -> dict[str, Any]:
    """A call without what the SDK's own reading put in."""
    shown = {name: value for name, value in call.items() if name != "index" and value is not None}
    shown.get("function", {}).pop("parsed_arguments", None)
    return shown
