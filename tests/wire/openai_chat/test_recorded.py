"""Recorded traffic of many providers: read however it is cut, written again without loss, rendered stably."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.wire.body import Body
from router.wire.conversation import Conversation, Thought
from router.wire.events import (
    MessageEnd,
    MessageStart,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.loss import Losses
from router.wire.traits import Traits
from router.wire.usage import Usage
from tests.wire.openai_chat.saying import CHAT, asked

pytestmark = pytest.mark.sampled(4)

DATA = Path(__file__).parents[2] / "data"
CASES = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((DATA / "wire/cases").glob("openai-chat.*"))}
PAYLOADS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((DATA / "payloads").glob("*.json"))}

STREAMS = [name for name, case in CASES.items() if "event-stream" in case["response"]["content_type"]]
REPLIES = [name for name, case in CASES.items() if case["response"]["status"] == 200]
REQUESTS = {name: case["request"] for name, case in CASES.items() if case["request"]} | {
    name: payload["body"] for name, payload in PAYLOADS.items() if payload["path"].endswith("/chat/completions")
}

FAILED = {
    "openai-chat.azure-openai.prompt-content-filtering.1",
    "openai-chat.groq.tool-use-failed-error-streaming.1",
}
CUT = {"openai-chat.documented.stream-truncated-no-done"}


def body_of(name: str) -> bytes:
    body = CASES[name]["response"]["body"]
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def events_of(name: str) -> list[StreamEvent]:
    decoder = CHAT.decoder()
    if name in STREAMS:
        return decoder.feed(body_of(name)) + decoder.finish()
    return decoder.whole(body_of(name))


def chunks_of(name: str) -> Iterator[dict[str, Any]]:
    """The JSON of a reply, or of each chunk of it."""
    text = body_of(name).decode()
    if name not in STREAMS:
        yield json.loads(text)
        return
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield json.loads(line[6:])


def said_in(name: str) -> dict[str, Any]:
    """What a reply says, read in the plainest way; none of the recorded ones has two calls at the same time."""
    told: dict[str, Any] = {"content": "", "reasoning": "", "refusal": "", "calls": []}
    for chunk in chunks_of(name):
        for choice in chunk.get("choices") or ():
            if choice["index"] != 0:
                continue
            message = choice.get("delta") or choice.get("message") or {}
            content = message.get("content") or ""
            parts: list[dict[str, Any]] = content if isinstance(content, list) else [{"type": "text", "text": content}]
            for part in parts:
                if part["type"] == "text":
                    told["content"] += part["text"]
                else:
                    told["reasoning"] += "".join(inner["text"] for inner in part["thinking"])
            details = "".join(entry.get("text", "") for entry in message.get("reasoning_details") or ())
            told["reasoning"] += message.get("reasoning_content") or message.get("reasoning") or details
            told["refusal"] += message.get("refusal") or ""
            for call in message.get("tool_calls") or ():
                function = call["function"]
                if function.get("name"):
                    told["calls"].append([call["id"] or None, function["name"], ""])
                told["calls"][-1][2] += function.get("arguments") or ""
    return told


def told_by(events: Iterable[StreamEvent]) -> dict[str, Any]:
    """The same, of events."""
    told: dict[str, Any] = {"content": "", "reasoning": "", "refusal": "", "calls": []}
    for event in events:
        if isinstance(event, TextDelta):
            told["content"] += event.text
        elif isinstance(event, ThinkingDelta):
            told["reasoning"] += event.text
        elif isinstance(event, RefusalDelta):
            told["refusal"] += event.text
        elif isinstance(event, ToolCallStart):
            told["calls"].append([None if "rtr1" in event.id else event.id, event.name, ""])
        elif isinstance(event, ToolCallDelta):
            told["calls"][-1][2] += event.text
    return told


def usage_of(events: Iterable[StreamEvent]) -> Usage | None:
    return next((event.usage for event in reversed(list(events)) if isinstance(event, UsageReport)), None)


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPLIES)
def test_everything_a_reply_says_is_told(name: str) -> None:
    events = events_of(name)
    if name in FAILED:
        assert isinstance(events[-1], StreamFailed)
        return
    assert told_by(events) == said_in(name)
    assert isinstance(events[0], MessageStart)
    ends = [event for event in events if isinstance(event, MessageEnd | StreamFailed)]
    assert ends == ([] if name in CUT else events[-1:])


@pytest.mark.parametrize("name", sorted(set(CASES) - set(REPLIES)))
def test_an_error_is_no_reply(name: str) -> None:
    events = CHAT.decoder().whole(body_of(name))
    assert all(isinstance(event, StreamFailed) and event.message for event in events)


@pytest.mark.parametrize("name", sorted(set(REPLIES) - FAILED))
def test_usage_is_what_was_recorded(name: str) -> None:
    tap = CHAT.tap()
    if name in STREAMS:
        tap.feed(body_of(name))
        tap.finish()
        assert usage_of(events_of(name)) == tap.facts.usage
    else:
        assert usage_of(events_of(name)) == CHAT.read_reply(body_of(name)).usage


@pytest.mark.parametrize("name", STREAMS)
def test_cuts_change_nothing(name: str) -> None:
    body, expected = body_of(name), events_of(name)
    chance = random.Random(name)
    cuts = [range(1, len(body)), *(sorted(chance.sample(range(len(body)), 20)) for _ in range(3))]
    for places in cuts:
        decoder = CHAT.decoder()
        events: list[StreamEvent] = []
        for start, end in zip([0, *places], [*places, len(body)], strict=True):
            events += decoder.feed(body[start:end])
        assert events + decoder.finish() == expected


@pytest.mark.parametrize("name", sorted(set(REPLIES) - FAILED - CUT))
def test_a_reply_written_again_says_the_same(name: str) -> None:
    events = events_of(name)
    whole = CHAT.encoder(asked()).whole(events)
    encoder = CHAT.encoder(asked())
    stream = b"".join(map(encoder.encode, events))
    decoder = CHAT.decoder()
    for again in (CHAT.decoder().whole(whole), decoder.feed(stream) + decoder.finish()):
        assert told_by(again) == told_by(events) | {"calls": _with_ids(events)}
        assert _sealed(again) == _sealed(events)
        assert again[-1] == events[-1]
        assert _counts(usage_of(again)) == _counts(usage_of(events))


def _with_ids(events: list[StreamEvent]) -> list[Any]:
    """Calls as they come back: an id of our own is one like any other to whoever reads it, so it stays hidden here."""
    return [[call_id, name, arguments or "{}"] for call_id, name, arguments in told_by(events)["calls"]]


def _sealed(events: list[StreamEvent]) -> list[str]:
    return [event.state.value for event in events if isinstance(event, SignatureDelta)]


def _counts(usage: Usage | None) -> list[int]:
    """The counts, what isn't known being nothing."""
    if usage is None:
        return []
    return [usage.input or 0, usage.cache_read or 0, usage.cache_write or 0, usage.output or 0, usage.reasoning or 0]


@pytest.mark.parametrize("name", sorted(set(REPLIES) - FAILED))
def test_parts_stand_in_order(name: str) -> None:
    is_open = False
    for event in events_of(name):
        if isinstance(event, TextDelta | ThinkingDelta | RefusalDelta | ToolCallDelta | SignatureDelta):
            is_open = True
        elif isinstance(event, ToolCallStart):
            assert not is_open
            is_open = True
        elif isinstance(event, PartEnd):
            assert is_open
            is_open = False
        elif isinstance(event, MessageEnd):
            assert not is_open


# --- requests ---------------------------------------------------------------------------------------------------------

EVERYTHING = Traits(
    provider="here",
    model="served",
    official=True,
    cache_hints="openai",
    custom_tools=True,
    efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
)
LITTLE = Traits(
    provider="here",
    model="served",
    max_tokens_field="max_tokens",
    text_arrays=False,
    mid_system=False,
    strict_schemas="no",
    parallel_tools=False,
    reasoning_replay="required",
    tool_id_rule="alphanumeric-9",
    stream_usage="always",
)


def parsed(body: bytes) -> Conversation:
    return CHAT.parse(CHAT.view(Body.parse(body)), Losses())


@pytest.mark.parametrize("traits", [EVERYTHING, LITTLE], ids=["a target that takes all", "a target that takes little"])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_rendered_request_renders_to_itself(name: str, traits: Traits) -> None:
    once = CHAT.render(parsed(json.dumps(REQUESTS[name]).encode()), traits, Losses()).body
    assert CHAT.render(parsed(once), traits, Losses()).body == once


@pytest.mark.parametrize("name", REQUESTS)
def test_a_rendered_request_keeps_what_was_said(name: str) -> None:
    before = parsed(json.dumps(REQUESTS[name]).encode())
    after = parsed(CHAT.render(before, EVERYTHING, Losses()).body)
    assert [tool.name for tool in after.tools] == [tool.name for tool in before.tools]
    assert after.tool_choice == before.tool_choice
    assert after.stream == before.stream
    assert after.settings.max_tokens == before.settings.max_tokens
    assert _spoken(after) == _spoken(before)


def _spoken(conversation: Conversation) -> list[Any]:
    """All that was said and done, but for reasoning: what each part is, and its fields that don't steer caching."""
    parts = [*conversation.system, *(part for turn in conversation.turns for part in turn.parts)]
    return [
        (type(part), [getattr(part, name) for name in part.__struct_fields__ if name not in ("name", "cache", "state")])
        for part in parts
        if not isinstance(part, Thought)
    ]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_longer_conversation_begins_with_the_same_bytes(name: str) -> None:
    conversation = parsed(json.dumps(REQUESTS[name]).encode())
    longest = json.loads(CHAT.render(conversation, EVERYTHING, Losses()).body)["messages"]
    for count in range(len(conversation.turns)):
        if conversation.turns[count].role != "assistant":
            continue  # only whole turns were ever sent
        until_then = msgspec.structs.replace(conversation, turns=conversation.turns[:count])
        shorter = CHAT.render(until_then, EVERYTHING, Losses())
        messages = json.loads(shorter.body)["messages"]
        assert messages == longest[: len(messages)]
