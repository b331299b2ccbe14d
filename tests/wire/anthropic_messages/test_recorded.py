"""Recorded traffic: nothing that the format can hold is lost on the way through neutral events and conversations."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import Message

from router.wire.codec import ReplyFacts
from router.wire.conversation import Conversation, Depth
from router.wire.events import KeepAlive, MessageEnd, MessageStart, Opaque, StreamEvent, StreamFailed, UsageReport
from router.wire.usage import Usage
from tests.support.messages import MESSAGES, NEW, decode, decode_whole, encode, encode_whole, parse, rendering, traits
from tests.support.strict.anthropic import check_anthropic

pytestmark = pytest.mark.sampled(4)

DATA = Path(__file__).parents[2] / "data"
CASES = [json.loads(path.read_bytes()) for path in sorted((DATA / "wire/cases").glob("anthropic-messages.*.json"))]
PAYLOADS = {path.stem: json.loads(path.read_bytes()) for path in sorted((DATA / "payloads").glob("*.json"))}

STREAMS = [
    pytest.param(case["response"]["body"].encode(), id=case["id"])
    for case in CASES
    if isinstance(case["response"]["body"], str)
]
WHOLES = [
    pytest.param(case["response"]["body"], id=case["id"])
    for case in CASES
    if isinstance(case["response"]["body"], dict) and "content" in case["response"]["body"]
]
ERRORS = [pytest.param(case["response"]["body"], id=case["id"]) for case in CASES if case["response"]["status"] >= 400]
REQUESTS = [pytest.param(case["request"], id=case["id"]) for case in CASES if case["request"] is not None] + [
    pytest.param(payload["body"], id=name)
    for name, payload in PAYLOADS.items()
    if "/messages" in payload["path"] and isinstance(payload["body"], dict)
]

# What a reply in the format itself must give again; the rest is news about the way (usage, signs of life) or is told
# as opaque.
_NEWS = (MessageStart, UsageReport, KeepAlive, Opaque)


def said(events: list[StreamEvent]) -> list[StreamEvent]:
    return [event for event in events if not isinstance(event, _NEWS)]


def facts_of(payload: bytes) -> ReplyFacts:
    tap = MESSAGES.tap()
    tap.feed(payload)
    tap.finish()
    return tap.facts


def with_zeros(usage: Usage | None) -> Usage:
    """A client is told 0 where the provider said nothing."""
    known = usage or Usage()
    return replace(
        known, cache_read=known.cache_read or 0, cache_write=known.cache_write or 0, cache_write_1h=known.cache_write_1h
    )


@pytest.mark.parametrize("payload", STREAMS)
def test_streams_say_the_same_again(payload: bytes) -> None:
    events = decode(payload)
    again = encode(events)
    assert said(decode(again)) == said(events)
    if isinstance(events[-1], MessageEnd):
        first, second = facts_of(payload), facts_of(again)
        assert with_zeros(second.usage) == with_zeros(first.usage)
        assert (second.model, second.stop_reason) == (first.model, first.stop_reason)


@pytest.mark.parametrize("payload", STREAMS)
def test_streams_are_decoded_as_their_tap_sees_them(payload: bytes) -> None:
    events = decode(payload)
    tap = MESSAGES.tap()
    tap.feed(payload)
    tap.finish()
    assert isinstance(events[-1], MessageEnd) == tap.ended
    assert isinstance(events[-1], StreamFailed) == tap.failed
    reports = [event.usage for event in events if isinstance(event, UsageReport)]
    assert reports[-1] == tap.facts.usage


@pytest.mark.parametrize("payload", STREAMS)
def test_streams_give_the_same_events_however_they_are_cut(payload: bytes) -> None:
    whole = decode(payload)
    for seed in range(4):
        sizes = random.Random(seed)
        decoder = MESSAGES.decoder()
        events: list[StreamEvent] = []
        position = 0
        while position < len(payload):
            size = 1 if seed == 0 else sizes.randint(1, 400)
            events += decoder.feed(payload[position : position + size])
            position += size
        assert events + decoder.finish() == whole


@pytest.mark.parametrize("reply", WHOLES)
def test_whole_replies_say_the_same_again(reply: dict[str, Any]) -> None:
    events = decode_whole(reply)
    again = encode_whole(events)
    Message.model_validate(again)
    kept = [
        {name: value for name, value in block.items() if name != "caller" and value is not None}
        for block in reply["content"]
        if block["type"] in ("text", "thinking", "redacted_thinking", "tool_use")
    ]
    assert again["content"] == kept
    assert (again["model"], again["stop_reason"]) == (reply["model"], reply["stop_reason"])
    assert again["stop_sequence"] == reply.get("stop_sequence")
    first = MESSAGES.read_reply(json.dumps(reply).encode())
    second = MESSAGES.read_reply(json.dumps(again).encode())
    assert with_zeros(second.usage) == with_zeros(first.usage)


@pytest.mark.parametrize("reply", WHOLES)
def test_a_whole_reply_says_the_same_streamed(reply: dict[str, Any]) -> None:
    events = decode_whole(reply)
    assert said(decode(encode(events))) == said(events)


@pytest.mark.parametrize("reply", ERRORS)
def test_errors_are_failures(reply: dict[str, Any]) -> None:
    (event,) = decode_whole(reply)
    assert isinstance(event, StreamFailed)
    assert event.message == reply["error"]["message"]


def brought_home(conversation: Conversation) -> Conversation:
    """Without what a target adds unasked: a limit, a cache mark, thinking to an effort."""
    depth = conversation.settings.depth
    settings = msgspec.structs.replace(
        conversation.settings,
        max_tokens=conversation.settings.max_tokens or NEW.max_output,
        cache_all=None,
        depth=Depth(on=True, effort=depth.effort) if depth.effort and depth.on is None else depth,
    )
    tools = tuple(msgspec.structs.replace(tool, strict=tool.strict or None) for tool in conversation.tools)
    return msgspec.structs.replace(conversation, model="", settings=settings, tools=tools)


LENIENT = traits(
    sampling="yes",
    prefill=True,
    tool_choices=frozenset({"auto", "none", "any", "named"}),
    reasoning_in=frozenset({"adaptive", "effort"}),
    thinking_off=True,
    max_output=128_000,
)


@pytest.mark.parametrize("request_body", REQUESTS)
def test_a_request_that_was_rendered_is_the_same_conversation(request_body: dict[str, Any]) -> None:
    first, losses = parse(request_body)
    rendered, _ = rendering(first, LENIENT)
    second, unexpected = parse(rendered.body)
    assert unexpected.found == []
    assert rendering(second, LENIENT)[0].body == rendered.body
    budget = first.settings.depth.budget is not None
    forced_thinker = first.tool_choice is not None and bool(first.settings.depth.on)
    alternating = all(one.role != next_.role for one, next_ in pairwise(first.turns))
    if alternating and not (losses.refused or budget or forced_thinker):
        assert brought_home(second) == brought_home(first)


@pytest.mark.parametrize("request_body", REQUESTS)
def test_anthropic_takes_every_request_again(request_body: dict[str, Any]) -> None:
    conversation, _ = parse(request_body)
    unsealed = msgspec.structs.replace(conversation, turns=_without_seals(conversation))
    rendered, _ = rendering(unsealed, msgspec.structs.replace(NEW, model="claude-opus-5-5"))
    check_anthropic(json.loads(rendered.body), {"anthropic-version": "x", "x-api-key": "x", **rendered.headers})


def _without_seals(conversation: Conversation) -> tuple[Any, ...]:
    """Recorded signatures are of real models, which a test can't judge."""
    return tuple(
        msgspec.structs.replace(turn, parts=tuple(part for part in turn.parts if type(part).__name__ != "Thought"))
        for turn in conversation.turns
    )
