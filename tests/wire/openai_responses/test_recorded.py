"""Recorded traffic and real agents' requests there and back: what the format can hold is kept."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import pytest

from router.wire.body import Body
from router.wire.conversation import Conversation
from router.wire.events import MessageEnd, StreamEvent, UsageReport
from router.wire.loss import Losses
from tests.support.event_grammar import parts_of
from tests.support.translating import R, agents_requests, recorded_requests
from tests.wire.openai_responses.saying import ASKED, NEW, OTHER, RESPONSES, decode, decode_whole, encode_whole
from tests.wire.openai_responses.sdk import accumulated, check_response

pytestmark = pytest.mark.sampled(4)

REQUESTS = [asking for asking in (*recorded_requests(), *agents_requests()) if asking.api == R]


def understood(body: bytes) -> Conversation:
    return RESPONSES.parse(RESPONSES.view(Body.parse(body)), Losses())


@pytest.mark.parametrize("traits", [pytest.param(NEW, id="openai"), pytest.param(OTHER, id="compatible")])
@pytest.mark.parametrize("body", [pytest.param(asking.body, id=asking.id) for asking in REQUESTS])
def test_a_rendered_request_is_the_same_when_it_is_read_and_rendered_again(body: dict[str, Any], traits: Any) -> None:
    once = RESPONSES.render(understood(json.dumps(body).encode()), traits, Losses()).body
    assert RESPONSES.render(understood(once), traits, Losses()).body == once


@pytest.mark.parametrize(
    "body", [pytest.param(asking.body, id=asking.id) for asking in REQUESTS if asking.id.startswith("codex")]
)
def test_codex_loses_its_web_search_and_nothing_else_that_matters(body: dict[str, Any]) -> None:
    losses = Losses()
    conversation = RESPONSES.parse(RESPONSES.view(Body.parse(json.dumps(body).encode())), losses)
    refused = [loss.why for loss in losses.refused]
    assert len([why for why in refused if "web_search" in why]) == (1 if body.get("tools") else 0)
    assert len([why for why in refused if "compacts" in why]) == (1 if "trigger" in str(body["input"][-1]) else 0)
    assert len(refused) <= 2
    rendered = json.loads(RESPONSES.render(conversation, NEW, Losses()).body)
    if body["input"][-1]["type"] != "agent_message":  # behind which, as behind a user's, all instructions are moved
        assert _shape(rendered["input"]) == _shape(body["input"])


def _shape(items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Who says what, and how many parts it has; neighbouring messages of one speaker are one. Nothing is said by what
    only steers."""
    telling = [item for item in items if item["type"] not in ("compaction_trigger", "additional_tools")]
    said = [(item["type"], item.get("role"), item.get("content")) for item in telling]
    return [
        (kind, role, sum(len(content or "x") for *_, content in same))
        for (kind, role), same in groupby(said, key=lambda one: one[:2])
    ]


def events_of(case: dict[str, Any]) -> list[StreamEvent]:
    body = case["response"]["body"]
    return decode(body.encode(), NEW) if isinstance(body, str) else decode_whole(body, NEW)


def test_a_recorded_reply_says_the_same_when_it_is_written_and_read_again(recorded_answer: dict[str, Any]) -> None:
    events = events_of(recorded_answer)
    assert isinstance(events[-1], MessageEnd)
    whole = encode_whole(events)
    check_response(whole)
    encoder = RESPONSES.encoder(ASKED)
    streamed = b"".join(map(encoder.encode, events))
    written = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith(b"data: ")]
    assert written[-1]["response"] == whole
    accumulated(written)
    for again in (decode_whole(whole), decode(streamed)):
        assert _said(again) == _said(events)
        assert again[-1] == events[-1]


def test_what_the_next_request_sends_back_is_what_was_said(recorded_answer: dict[str, Any]) -> None:
    events = events_of(recorded_answer)
    sent = json.dumps({"model": "m", "input": encode_whole(events)["output"]}).encode()
    turns = understood(sent).turns
    replayed = [(type(part).__name__, getattr(part, "state", None)) for turn in turns for part in turn.parts]
    names = {"text": "Text", "refusal": "Refusal", "thinking": "Thought", "call": "ToolCall"}
    assert replayed == [(names[kind], more[1] if kind == "thinking" else None) for kind, *more in parts_of(events)]


def test_usage_is_what_was_recorded(recorded_answer: dict[str, Any]) -> None:
    report = _recorded_usage(recorded_answer["response"]["body"])
    written = encode_whole(events_of(recorded_answer))["usage"]
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        assert written[name] == report[name]
    for name in ("input_tokens_details", "output_tokens_details"):
        assert written[name] == dict.fromkeys(written[name], 0) | (report.get(name) or {})
    again = decode_whole(encode_whole(events_of(recorded_answer)))
    [before], [after] = _reports(events_of(recorded_answer)), _reports(again)
    assert (after.usage.input, after.usage.output) == (before.usage.input, before.usage.output)


def _reports(events: list[StreamEvent]) -> list[UsageReport]:
    return [event for event in events if isinstance(event, UsageReport)]


def _recorded_usage(body: Any) -> dict[str, Any]:
    if isinstance(body, str):
        ends = [line for line in body.splitlines() if line.startswith("data: ") and '"usage"' in line]
        body = json.loads(ends[-1][6:])["response"]
    usage: dict[str, Any] = body["usage"]
    return usage


def _said(events: list[StreamEvent]) -> list[tuple[Any, ...]]:
    """The parts, but for sealed forms, which come back under our tag."""
    return [part[:2] if part[0] == "thinking" else part for part in parts_of(events)]
