"""Neutral events as a reply for Gemini's clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.wire.conversation import OpaqueState, Thought
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
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.gemini.signature import MARK, Sealed, read
from router.wire.usage import Usage
from tests.wire.gemini.saying import GEMINI, asked, claude, native, owned, responses, said, written

START = MessageStart("msg_1", "claude")
END = MessageEnd("end")
VISIBLE = OpaqueState("visible", "", "deepseek/chat")


def call(
    arguments: str, *, call_id: str = "1", state: OpaqueState | None = None, custom: bool = False
) -> list[StreamEvent]:
    sealed = [SignatureDelta(state)] if state is not None else []
    pieces: list[StreamEvent] = [ToolCallDelta(arguments[:3]), ToolCallDelta(arguments[3:])] if arguments else []
    return [ToolCallStart(call_id, "f", custom), *pieces, *sealed, PartEnd()]


def thought(text: str, state: OpaqueState | None) -> list[StreamEvent]:
    shown: list[StreamEvent] = [ThinkingDelta(char) for char in text]
    return [*shown, *([SignatureDelta(state)] if state is not None else []), PartEnd()]


def slots(parts: list[dict[str, Any]]) -> list[Sealed | None]:
    """What the slots of the parts hold; none where there is none."""
    return [read(part["thoughtSignature"]) if "thoughtSignature" in part else None for part in parts]


def without_slots(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in part.items() if name != "thoughtSignature"} for part in parts]


class TestStream:
    def test_each_event_is_a_whole_response(self) -> None:
        stream = written([START, TextDelta("a"), TextDelta("b"), PartEnd(), UsageReport(Usage(1, output=2)), END])
        assert stream.startswith(b"data: {")
        assert stream.endswith(b"}\n\n")
        names = {"modelVersion": "claude", "responseId": "abc"}
        content = {"parts": [{"text": "a"}], "role": "model"}
        first, _, last = responses(stream)
        assert first == {"candidates": [{"content": content, "index": 0}], **names}
        assert last == {
            "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
            **names,
        }

    def test_the_model_may_have_another_name(self) -> None:
        (last,) = responses(written([START, END], model="mine"))
        assert last["modelVersion"] == "mine"
        (last,) = responses(written([MessageStart(), END]))
        assert "modelVersion" not in last

    def test_a_json_array_for_clients_that_did_not_ask_for_events(self) -> None:
        events = [START, TextDelta("a"), PartEnd(), *call("{}"), END]
        array = written(events, array=True)
        assert json.loads(array) == responses(written(events))
        assert json.loads(written([START, END], array=True)) == responses(written([START, END]))

    @pytest.mark.parametrize("event", [KeepAlive(), Opaque("web_search"), START, PartEnd()])
    @pytest.mark.parametrize("array", [False, True])
    def test_what_has_no_part_is_not_written(self, event: StreamEvent, array: bool) -> None:
        encoder = GEMINI.encoder(asked(array=array))
        encoder.encode(START)
        assert encoder.encode(event) == b""

    def test_a_failure_is_an_event_that_googles_sdk_raises(self) -> None:
        told = GEMINI.encoder(asked()).encode(StreamFailed("server", "gone"))
        assert told == b'data: {"error":{"code":500,"message":"gone","status":"INTERNAL"}}\r\n\r\n'
        assert GEMINI.encoder(asked(array=True)).encode(StreamFailed("server", "gone")) == b""

    def test_silence_stays_silent(self) -> None:
        assert GEMINI.keep_alive == b""


class TestParts:
    @pytest.mark.parametrize(
        ("events", "parts"),
        [
            pytest.param([TextDelta("ü"), TextDelta("\n"), PartEnd()], [{"text": "ü"}, {"text": "\n"}], id="text"),
            pytest.param([RefusalDelta("No."), PartEnd()], [{"text": "No."}], id="a refusal"),
            pytest.param(
                thought("Hm", None), [{"text": "H", "thought": True}, {"text": "m", "thought": True}], id="a thought"
            ),
            pytest.param(
                call('{"a": 1.50}'),
                [{"functionCall": {"id": "1", "name": "f", "args": {"a": 1.5}}}],
                id="a call is whole",
            ),
            pytest.param(call(""), [{"functionCall": {"id": "1", "name": "f", "args": {}}}], id="a call of nothing"),
            pytest.param(
                call("*** x", custom=True),
                [{"functionCall": {"id": "1", "name": "f", "args": {"input": "*** x"}}}],
                id="a freeform call",
            ),
            pytest.param(
                [*call('{"a":'), TextDelta("b"), PartEnd()],
                [{"functionCall": {"id": "1", "name": "f", "args": {"_raw_arguments": '{"a":'}}}, {"text": "b"}],
                id="a call that is broken",
            ),
            pytest.param(
                [*call('{"a":'), *call("{", call_id="2")],
                [
                    {"functionCall": {"id": "1", "name": "f", "args": {"_raw_arguments": '{"a":'}}},
                    {"functionCall": {"id": "2", "name": "f", "args": {"_raw_arguments": "{"}}},
                ],
                id="two that are broken",
            ),
        ],
    )
    def test_parts(self, events: list[StreamEvent], parts: list[dict[str, Any]]) -> None:
        shown = said(written([START, *events, END]))
        assert without_slots(shown) == parts

    def test_numbers_keep_their_spelling(self) -> None:
        assert b'"args":{"a":1.50}' in written([START, *call('{"a": 1.50}'), END])

    @pytest.mark.parametrize("stop", ["max-tokens", "context-window"])
    def test_a_call_that_the_limit_cut_is_none(self, stop: Any) -> None:
        stream = written([START, *call("{}"), *call('{"a":', call_id="2"), MessageEnd(stop)])
        assert [part["functionCall"]["id"] for part in said(stream)] == ["1"]
        assert responses(stream)[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
        assert [part["functionCall"]["id"] for part in said(written([START, *call("{}"), MessageEnd(stop)]))] == ["1"]


class TestSlots:
    def test_sealed_reasoning_goes_to_the_part_behind_it(self) -> None:
        events = [START, *thought("Hm", claude("s")), TextDelta("a"), TextDelta("b"), PartEnd(), *call("{}"), END]
        shown = said(written(events))
        assert [part.get("thought", False) for part in shown] == [True, True, False, False, False]
        assert slots(shown) == [None, None, Sealed((Thought("Hm", claude("s")),)), None, Sealed()]

    def test_more_of_it_goes_there_together(self) -> None:
        events = [START, *thought("Hm", claude("s")), *thought("", claude("t")), *call("{}", state=owned("u")), END]
        *_, last = slots(said(written(events)))
        assert last == Sealed((Thought("Hm", claude("s")), Thought("", claude("t"))), owned("u"))

    def test_words_of_a_model_that_seals_nothing_are_kept_there_too(self) -> None:
        shown = said(written([START, *thought("Hm", VISIBLE), *call("{}"), END]))
        assert slots(shown)[-1] == Sealed((Thought("Hm", VISIBLE),))
        assert slots(said(written([START, *thought("", VISIBLE), TextDelta("a"), PartEnd(), END]))) == [None]

    def test_behind_everything_it_stands_alone(self) -> None:
        shown = said(written([START, TextDelta("a"), PartEnd(), *thought("", claude("s")), END]))
        assert without_slots(shown) == [{"text": "a"}, {"text": ""}]
        assert slots(shown) == [None, Sealed((Thought("", claude("s")),))]

    def test_the_first_call_bears_a_slot_and_no_other_must(self) -> None:
        first, second = said(written([START, *call("{}"), *call("{}", call_id="2"), END]))
        assert first["thoughtSignature"].startswith(MARK)
        assert "thoughtSignature" not in second

    def test_a_native_signature_stays_as_it_is(self) -> None:
        shown = said(
            written([START, *thought("", native("s")), TextDelta("a"), PartEnd(), *call("{}", state=native("t")), END])
        )
        assert [part.get("thoughtSignature") for part in shown] == ["s", "t"]

    def test_a_client_that_wants_none_gets_none(self) -> None:
        encoder = GEMINI.encoder(asked())
        encoder.asked.include_state = False
        events = [START, *thought("Hm", claude("s")), TextDelta("a"), PartEnd(), END]
        assert not any(slots(said(b"".join(map(encoder.encode, events)))))


class TestEnd:
    @pytest.mark.parametrize(
        ("end", "reason"),
        [
            pytest.param(MessageEnd("end"), "STOP", id="done"),
            pytest.param(MessageEnd("stop-sequence", "x"), "STOP", id="a stop sequence"),
            pytest.param(MessageEnd("tool-use"), "STOP", id="calls"),
            pytest.param(MessageEnd("pause"), "STOP", id="a pause"),
            pytest.param(MessageEnd("max-tokens"), "MAX_TOKENS", id="the limit"),
            pytest.param(MessageEnd("context-window"), "MAX_TOKENS", id="the window"),
            pytest.param(MessageEnd("refusal"), "SAFETY", id="a refusal"),
        ],
    )
    def test_finish_reasons(self, end: MessageEnd, reason: str) -> None:
        *_, last = responses(written([START, TextDelta("a"), PartEnd(), end]))
        assert last["candidates"][0]["finishReason"] == reason
        assert "promptFeedback" not in last

    def test_a_refusal_without_a_word_is_a_blocked_prompt_too(self) -> None:
        (last,) = responses(written([START, MessageEnd("refusal", explanation="No.")]))
        assert last["candidates"][0]["finishMessage"] == "No."
        assert last["promptFeedback"] == {"blockReason": "SAFETY", "blockReasonMessage": "No."}

    def test_sources(self) -> None:
        raw = {"web": {"uri": "https://a.example", "title": "A", "domain": "a"}}
        cited = [
            Citation("web", "https://a.example", "A", raw),
            Citation("url_citation", "https://b.example", "", {"type": "x"}),
            Citation("file", "", "C", {}),
        ]
        *_, last = responses(written([START, TextDelta("a"), *cited, PartEnd(), END]))
        assert last["candidates"][0]["groundingMetadata"] == {
            "groundingChunks": [raw, {"web": {"uri": "https://b.example"}}]
        }

    @pytest.mark.parametrize(
        ("usage", "shown"),
        [
            pytest.param(
                Usage(10, 20, 3, 4, 50, 30),
                {
                    "promptTokenCount": 37,
                    "cachedContentTokenCount": 20,
                    "candidatesTokenCount": 20,
                    "thoughtsTokenCount": 30,
                    "totalTokenCount": 87,
                },
                id="everything",
            ),
            pytest.param(
                Usage(input=5, output=2),
                {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
                id="what is usual",
            ),
            pytest.param(Usage(input=5), {"promptTokenCount": 5, "totalTokenCount": 5}, id="input only"),
            pytest.param(Usage(output=5), {"candidatesTokenCount": 5, "totalTokenCount": 5}, id="output only"),
            pytest.param(
                Usage(cache_read=5),
                {"promptTokenCount": 5, "cachedContentTokenCount": 5, "totalTokenCount": 5},
                id="nothing but the cache",
            ),
            pytest.param(Usage(), {}, id="nothing"),
        ],
    )
    def test_usage(self, usage: Usage, shown: dict[str, int]) -> None:
        (last,) = responses(written([START, UsageReport(Usage(999)), UsageReport(usage), END]))
        assert last["usageMetadata"] == shown

    def test_no_usage_at_all(self) -> None:
        (last,) = responses(written([START, END]))
        assert "usageMetadata" not in last


class TestWhole:
    def test_a_whole_reply_is_one_response(self) -> None:
        events = [
            START,
            *thought("Hm", claude("s")),
            TextDelta("a"),
            TextDelta("b"),
            PartEnd(),
            *call('{"a":1}'),
            UsageReport(Usage(1, output=2)),
            MessageEnd("tool-use"),
        ]
        reply = json.loads(GEMINI.encoder(asked()).whole(events))
        (candidate,) = reply["candidates"]
        assert without_slots(candidate["content"]["parts"]) == [
            {"text": "Hm", "thought": True},
            {"text": "ab"},
            {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
        ]
        assert slots(candidate["content"]["parts"])[1] == Sealed((Thought("Hm", claude("s")),))
        assert candidate["finishReason"] == "STOP"
        assert reply["usageMetadata"]["totalTokenCount"] == 3
        assert (reply["modelVersion"], reply["responseId"]) == ("claude", "abc")

    def test_what_stands_alone_in_a_stream_does_so_here(self) -> None:
        events = [START, TextDelta("a"), PartEnd(), *thought("", claude("s")), *call("{", state=owned("t")), END]
        reply = json.loads(GEMINI.encoder(asked()).whole(events))
        assert len(reply["candidates"][0]["content"]["parts"]) == 2

    def test_a_reply_without_an_end_is_a_fault_of_the_caller_s(self) -> None:
        with pytest.raises(ValueError, match="no end"):
            GEMINI.encoder(asked()).whole([START])
