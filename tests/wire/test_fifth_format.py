"""A wire format that is one class more: translated to and from all others, none of which knows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.wire.conversation import OpaqueState
from router.wire.events import (
    MessageEnd,
    MessageStart,
    PartEnd,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.formats import CODECS
from router.wire.request import Api
from router.wire.traits import Traits
from router.wire.translate import Translation
from router.wire.usage import Usage
from tests.support.event_grammar import check_events, parts_of
from tests.support.plain_format import PlainFormat, plain_view
from tests.support.translating import APIS, MAIN, TARGETS, A, C, G, R, next_turn, request

PLAIN = Traits(provider="plain", model="target")
LINES: list[list[Any]] = [
    ["user", "What time is it?"],
    ["thought", "Look at the clock.", ""],
    ["call", "call_1", "get_time", '{"zone":"UTC"}'],
    ["result", "call_1", "noon"],
    ["user", "And now?"],
]
TOOLS = {"get_time": {"type": "object", "properties": {"zone": {"type": "string"}}}}
ASKED: dict[Api, dict[str, Any]] = {
    A: {
        "max_tokens": 50,
        "messages": [
            {"role": "user", "content": "What time is it?"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call_1", "name": "get_time", "input": {"zone": "UTC"}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "noon"},
                    {"type": "text", "text": "And now?"},
                ],
            },
        ],
        "tools": [{"name": "get_time", "input_schema": TOOLS["get_time"]}],
    },
    C: {
        "max_completion_tokens": 50,
        "messages": [
            {"role": "user", "content": "What time is it?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_time", "arguments": '{"zone":"UTC"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [{"type": "function", "function": {"name": "get_time", "parameters": TOOLS["get_time"]}}],
    },
    R: {
        "max_output_tokens": 50,
        "include": ["reasoning.encrypted_content"],
        "input": [
            {"role": "user", "content": "What time is it?"},
            {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": '{"zone":"UTC"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "noon"},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [{"type": "function", "name": "get_time", "parameters": TOOLS["get_time"]}],
    },
    G: {
        "generationConfig": {"maxOutputTokens": 50},
        "contents": [
            {"role": "user", "parts": [{"text": "What time is it?"}]},
            {
                "role": "model",
                "parts": [{"functionCall": {"id": "call_1", "name": "get_time", "args": {"zone": "UTC"}}}],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "call_1", "name": "get_time", "response": {"result": "noon"}}},
                    {"text": "And now?"},
                ],
            },
        ],
        "tools": [{"functionDeclarations": [{"name": "get_time", "parametersJsonSchema": TOOLS["get_time"]}]}],
    },
}
ANSWER = [
    MessageStart("id", "model"),
    ThinkingDelta("It must be "),
    ThinkingDelta("noon."),
    PartEnd(),
    TextDelta("Let me "),
    TextDelta("look."),
    PartEnd(),
    ToolCallStart("call_2", "get_time"),
    ToolCallDelta('{"zone":'),
    ToolCallDelta('"UTC"}'),
    PartEnd(),
    UsageReport(Usage(input=11, cache_read=0, cache_write=0, output=7)),
    MessageEnd("tool-use"),
]


def kinds_and_words(events: Any) -> list[tuple[Any, ...]]:
    """The parts without what was sealed."""
    parts = [part[:2] if part[0] == "thinking" else part for part in parts_of(events)]
    return [part for part in parts if part != ("thinking", "")]


@pytest.mark.parametrize("name", TARGETS)
def test_its_requests_reach_every_target(name: str) -> None:
    target = TARGETS[name]
    view = plain_view(lines=LINES, tools=TOOLS, limit=50)
    done = Translation(view, PlainFormat(), CODECS[target.api], target.traits, allow_losses=False)
    target.check(json.loads(done.body))
    sent = CODECS[target.api].view(request(target.api).view().body.parse(done.body), url_model=target.model)
    said = "\n".join(text for piece in sent.pieces() for text in sent.read(piece).texts)
    for words in ("What time is it?", "get_time", "UTC", "noon", "And now?"):
        assert words in said
    assert sent.max_tokens == 50
    assert sent.tool_count == 1


@pytest.mark.parametrize("api", APIS)
def test_requests_of_every_format_reach_it(api: Api) -> None:
    done = Translation(request(api, **ASKED[api]).view(), CODECS[api], PlainFormat(), PLAIN, allow_losses=False)
    body = json.loads(done.body)
    assert [line if line[0] != "call" else [*line[:3], json.loads(line[3])] for line in body["lines"]] == [
        ["user", "What time is it?"],
        ["call", "call_1", "get_time", {"zone": "UTC"}],
        ["result", "call_1", "noon"],
        ["user", "And now?"],
    ]
    assert body["limit"] == 50
    assert list(body["tools"]) == ["get_time"]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("api", APIS)
class TestReplies:
    def test_its_clients_are_told_what_every_format_answers(self, api: Api, streamed: bool) -> None:
        view = plain_view(lines=LINES, tools=TOOLS, stream=streamed)
        done = Translation(view, PlainFormat(), CODECS[api], MAIN[api].traits, allow_losses=False)
        answer = _written(CODECS[api], ANSWER, done.asked("1", 0), streamed)
        told = _told(done, answer, streamed)
        events = _read(PlainFormat(), told, streamed)
        assert kinds_and_words(events) == kinds_and_words(ANSWER)
        assert events[-1] == MessageEnd("tool-use")

    def test_clients_of_every_format_are_told_what_it_answers(self, api: Api, streamed: bool) -> None:
        fields = {**ASKED[api], **({"stream": True} if streamed and api != G else {})}
        done = Translation(request(api, **fields).view(), CODECS[api], PlainFormat(), PLAIN, allow_losses=False)
        answer = _written(PlainFormat(), ANSWER, done.asked("1", 0), streamed)
        told = _told(done, answer, streamed)
        events = _read(CODECS[api], told, streamed)
        check_events(events, ended=True)
        assert kinds_and_words(events) == kinds_and_words(ANSWER)
        assert events[-1] == MessageEnd("tool-use")


@pytest.mark.parametrize("api", APIS)
def test_what_it_seals_comes_back_through_clients_of_every_format(api: Api) -> None:
    """Its own reasoning returns to it in the next turn, and to nobody else."""
    sealed = [*ANSWER[:3], SignatureDelta(OpaqueState("anthropic-signature", "its seal")), *ANSWER[3:]]
    first = request(api, **ASKED[api])
    done = Translation(first.view(), CODECS[api], PlainFormat(), PLAIN, allow_losses=False)
    told = _told(done, _written(PlainFormat(), sealed, done.asked("1", 0), False), False)
    assert b"its seal" not in told
    again = next_turn(first, json.loads(told))
    for traits, seals in ((PLAIN, ["its seal"]), (Traits(provider="plain", model="another"), [""])):
        body = json.loads(Translation(again.view(), CODECS[api], PlainFormat(), traits, allow_losses=False).body)
        assert [line[2] for line in body["lines"] if line[0] == "thought"] == seals


def _written(codec: Any, events: Any, asked: Any, streamed: bool) -> bytes:
    encoder = codec.encoder(asked)
    return b"".join(map(encoder.encode, events)) if streamed else bytes(encoder.whole(events))


def _told(done: Translation, answer: bytes, streamed: bool) -> bytes:
    asked = done.asked("2", 0)
    if streamed:
        tap = done.stream(asked)
        told = b"".join(tap.feed(answer)) + tap.finish()
        assert (tap.committed, tap.ended, tap.failed) == (True, True, False)
        assert tap.facts.usage is not None
        return told
    whole = done.whole(answer, asked, media_type="application/json")
    assert isinstance(whole, bytes)
    return whole


def _read(codec: Any, raw: bytes, streamed: bool) -> Any:
    decoder = codec.decoder()
    return decoder.feed(raw) + decoder.finish() if streamed else decoder.whole(raw)
