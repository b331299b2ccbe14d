"""A Gemini model's reply as neutral events, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.wire.conversation import Conversation, OpaqueState, Tool
from router.wire.events import (
    Citation,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    SignatureDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.opaque import INVENTED
from router.wire.tool_table import ToolTable
from router.wire.usage import Usage
from tests.wire.gemini.saying import GEMINI, OWN, candidate, decoded, native, owned

START = MessageStart("r", "gemini-3")
CALL = {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}}
CALLED = [ToolCallStart("1", "f"), ToolCallDelta('{"a":1}')]


def events(*parts: dict[str, Any], finish: str | None = "STOP", **fields: Any) -> list[StreamEvent]:
    """What one response says, without its beginning."""
    start, *found = decoded(candidate(*parts, finish=finish, **fields))
    assert start == START
    return found


class TestParts:
    @pytest.mark.parametrize(
        ("parts", "found"),
        [
            pytest.param([{"text": "Hi"}], [TextDelta("Hi"), PartEnd()], id="text"),
            pytest.param(
                [{"text": "a"}, {"text": "b"}], [TextDelta("a"), TextDelta("b"), PartEnd()], id="text in pieces"
            ),
            pytest.param([{"text": ""}, {}], [], id="nothing"),
            pytest.param(
                [{"text": "Hm", "thought": True}, {"text": "a"}],
                [ThinkingDelta("Hm"), PartEnd(), TextDelta("a"), PartEnd()],
                id="a thought",
            ),
            pytest.param(
                [{"text": "Hm", "thought": True, "thoughtSignature": "s"}, {"text": "Oh", "thought": True}],
                [ThinkingDelta("Hm"), SignatureDelta(native("s")), PartEnd(), ThinkingDelta("Oh"), PartEnd()],
                id="a signed thought and another one",
            ),
            pytest.param(
                [{"text": "a", "thoughtSignature": "s"}],
                [SignatureDelta(native("s")), PartEnd(), TextDelta("a"), PartEnd()],
                id="a signed text",
            ),
            pytest.param(
                [{"text": "Hm", "thought": True}, {"text": "a", "thoughtSignature": "s"}],
                [ThinkingDelta("Hm"), SignatureDelta(native("s")), PartEnd(), TextDelta("a"), PartEnd()],
                id="a signed text behind a thought",
            ),
            pytest.param(
                [{"text": "a"}, {"text": "", "thoughtSignature": "s"}],
                [TextDelta("a"), PartEnd(), SignatureDelta(native("s")), PartEnd()],
                id="a signature behind the text",
            ),
            pytest.param(
                [{"text": "a"}, {"thoughtSignature": "s"}],
                [TextDelta("a"), PartEnd(), SignatureDelta(native("s")), PartEnd()],
                id="a signature on nothing at all",
            ),
            pytest.param([CALL], [*CALLED, PartEnd()], id="a call"),
            pytest.param(
                [{**CALL, "thoughtSignature": "s"}],
                [*CALLED, SignatureDelta(native("s")), PartEnd()],
                id="a signed call",
            ),
            pytest.param(
                [{"functionCall": {"id": "1", "name": "f"}}],
                [ToolCallStart("1", "f"), ToolCallDelta("{}"), PartEnd()],
                id="a call without arguments",
            ),
            pytest.param(
                [{"functionCall": {"id": "1", "name": "f", "args": None}}],
                [ToolCallStart("1", "f"), ToolCallDelta("{}"), PartEnd()],
                id="a call whose arguments are null",
            ),
            pytest.param([{"functionCall": {"args": {}}}], [], id="a call of nothing"),
            pytest.param([{"executableCode": {"code": "1"}}], [Opaque("executableCode")], id="code that ran"),
            pytest.param([{"inlineData": {"mimeType": "image/png"}}], [Opaque("inlineData")], id="a picture"),
            pytest.param([{"inlineData": None, "text": "a"}], [TextDelta("a"), PartEnd()], id="a picture that is null"),
        ],
    )
    def test_parts(self, parts: list[dict[str, Any]], found: list[StreamEvent]) -> None:
        assert events(*parts)[:-1] == found

    def test_a_stream_of_them(self) -> None:
        found = decoded(
            candidate({"text": "H", "thought": True}),
            candidate({"text": "m", "thought": True}),
            candidate({"text": "a"}),
            candidate({**CALL, "thoughtSignature": "s"}),
            candidate({"text": ""}, finish="STOP"),
        )
        assert found == [
            START,
            ThinkingDelta("H"),
            ThinkingDelta("m"),
            PartEnd(),
            TextDelta("a"),
            PartEnd(),
            *CALLED,
            SignatureDelta(native("s")),
            PartEnd(),
            MessageEnd("tool-use"),
        ]

    def test_sealed_reasoning_is_the_target_s(self) -> None:
        found = decoded(candidate({"text": "H", "thought": True}, {**CALL, "thoughtSignature": "s"}), traits=OWN)
        states = [event.state for event in found if isinstance(event, SignatureDelta)]
        assert states == [OpaqueState("visible", "", OWN.owner), owned("s")]

    def test_calls_have_the_names_that_the_client_knows(self) -> None:
        tools = ToolTable(Conversation("m", (), tools=(Tool("a.b"), Tool("patch", custom=True))))
        calls = (
            {"functionCall": {"id": "1", "name": tools.name("a.b")}},
            {"functionCall": {"id": "2", "name": "patch", "args": {"input": "x\ny"}}},
        )
        found = decoded(candidate(*calls, finish="STOP"), tools=tools)
        assert found[1:-1] == [
            ToolCallStart("1", "a.b"),
            ToolCallDelta("{}"),
            PartEnd(),
            ToolCallStart("2", "patch", custom=True),
            ToolCallDelta("x\ny"),
            PartEnd(),
        ]

    def test_arguments_keep_the_spelling_of_numbers(self) -> None:
        reply = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{ "a": 1.50 }}}]}}]}'
        assert ToolCallDelta('{"a":1.50}') in GEMINI.decoder().whole(reply)


class TestIds:
    def test_a_call_without_an_id_gets_one(self) -> None:
        call = {"functionCall": {"name": "f", "args": {}}}
        found = [event for event in events(call, call) if isinstance(event, ToolCallStart)]
        assert len({start.id for start in found}) == 2
        assert all(start.id.startswith(f"call_{INVENTED}") for start in found)

    def test_it_is_the_same_again_and_another_one_in_another_reply(self) -> None:
        reply = candidate({"functionCall": {"name": "f"}}, finish="STOP")
        assert decoded(reply) == decoded(reply)
        assert decoded(reply)[1] != decoded({**reply, "responseId": "other"})[1]


class TestPieces:
    """Arguments that come in pieces."""

    def test_they_are_one_call(self) -> None:
        found = decoded(
            candidate({"functionCall": {"id": "1", "name": "f", "willContinue": True}, "thoughtSignature": "s"}),
            candidate(
                {
                    "functionCall": {
                        "partialArgs": [{"jsonPath": "$.a", "stringValue": "x", "willContinue": True}],
                        "willContinue": True,
                    }
                }
            ),
            candidate(
                {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "y"}], "willContinue": True}}
            ),
            candidate({"functionCall": {}}),
            candidate(finish="STOP"),
        )
        assert found[1:] == [
            ToolCallStart("1", "f"),
            ToolCallDelta('{"a":"xy"}'),
            SignatureDelta(native("s")),
            PartEnd(),
            MessageEnd("tool-use"),
        ]

    @pytest.mark.parametrize("last", [[CALL], []])
    def test_what_follows_ends_the_call(self, last: list[dict[str, Any]]) -> None:
        pieces = [{"jsonPath": "$.b", "numberValue": 2}]
        begun = {"functionCall": {"id": "0", "name": "g", "partialArgs": pieces, "willContinue": True}}
        found = decoded(candidate(begun), candidate(*last, finish="STOP"))
        assert found[1:4] == [ToolCallStart("0", "g"), ToolCallDelta('{"b":2}'), PartEnd()]

    def test_pieces_of_no_call_are_nothing(self) -> None:
        assert events({"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}]}}) == [
            MessageEnd("end")
        ]


class TestEnd:
    @pytest.mark.parametrize(
        ("finish", "end"),
        [
            pytest.param("STOP", MessageEnd("end"), id="done"),
            pytest.param("MAX_TOKENS", MessageEnd("max-tokens"), id="cut"),
            pytest.param("OTHER", MessageEnd("end"), id="something else"),
            pytest.param("BRAND_NEW", MessageEnd("end"), id="something new"),
            *(
                pytest.param(
                    reason, MessageEnd("refusal", explanation=f"the provider stopped the answer: {reason}"), id=reason
                )
                for reason in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE")
            ),
        ],
    )
    def test_finish_reasons(self, finish: str, end: MessageEnd) -> None:
        assert events({"text": "a"}, finish=finish)[-1] == end

    def test_a_refusal_in_google_s_words(self) -> None:
        assert events(finish="SAFETY", finishMessage="No.") == [MessageEnd("refusal", explanation="No.")]

    def test_calls_are_a_stop_for_them_unless_the_limit_came_first(self) -> None:
        assert events(CALL)[-1] == MessageEnd("tool-use")
        assert events(CALL, finish="MAX_TOKENS")[-1] == MessageEnd("max-tokens")

    def test_an_answer_that_was_all_thought(self) -> None:
        assert events(finish="MAX_TOKENS") == [MessageEnd("max-tokens")]
        assert decoded({"candidates": [{"finishReason": "MAX_TOKENS"}]})[-1] == MessageEnd("max-tokens")

    @pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])
    def test_an_answer_that_went_wrong(self, finish: str) -> None:
        empty = events(finish=finish, finishMessage="call:f(")
        assert isinstance(empty[-1], StreamFailed)
        assert empty[-1].message.endswith(": call:f(")
        *_, told, closed, end = events({"text": "a"}, finish=finish)
        assert isinstance(told, TextDelta)
        assert told.text.startswith("\n\n[the model")
        assert (closed, end) == (PartEnd(), MessageEnd("end"))
        assert events(CALL, finish=finish) == [*CALLED, PartEnd(), MessageEnd("tool-use")]

    @pytest.mark.parametrize(
        ("feedback", "explanation"),
        [
            pytest.param({"blockReason": "SAFETY"}, "the prompt was blocked: SAFETY", id="a reason"),
            pytest.param({"blockReason": "OTHER", "blockReasonMessage": "No."}, "No.", id="with words"),
        ],
    )
    def test_a_blocked_prompt_is_a_refusal(self, feedback: dict[str, Any], explanation: str) -> None:
        found = decoded({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 3}, "responseId": "r"})
        assert found[0] == MessageStart("r")
        assert found[-1] == MessageEnd("refusal", explanation=explanation)

    def test_a_stream_without_a_finish_reason_never_ends(self) -> None:
        assert decoded(candidate({"text": "a"})) == [START, TextDelta("a")]
        assert decoded(candidate({"text": "a"}, finish="FINISH_REASON_UNSPECIFIED"))[-1] == TextDelta("a")

    def test_nothing_ends_before_the_stream_does(self) -> None:
        decoder = GEMINI.decoder()
        event = b"data: %b\n\n" % json.dumps(candidate({"text": "a"}, finish="STOP")).encode()
        assert decoder.feed(event) == [START, TextDelta("a")]
        late = {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2}}
        assert decoder.feed(b"data: %b\n\n" % json.dumps(late).encode())[:1] == [
            UsageReport(Usage(input=1, cache_write=0, output=2))
        ]
        assert decoder.finish() == [PartEnd(), MessageEnd("end")]


class TestFailures:
    @pytest.mark.parametrize(
        ("status", "code"),
        [
            pytest.param("RESOURCE_EXHAUSTED", "rate", id="too many"),
            pytest.param("UNAVAILABLE", "unavailable", id="overloaded"),
            pytest.param("DEADLINE_EXCEEDED", "timeout", id="too late"),
            pytest.param("INVALID_ARGUMENT", "bad-request", id="wrong"),
            pytest.param("UNAUTHENTICATED", "auth", id="a wrong key"),
            pytest.param("NOT_FOUND", "not-found", id="an unknown model"),
            pytest.param("INTERNAL", "server", id="Google's own"),
            pytest.param("NEW_ONE", "server", id="a new one"),
            pytest.param(None, "server", id="none"),
        ],
    )
    def test_an_error_dressed_as_a_reply(self, status: str | None, code: str) -> None:
        error = {"error": {"code": 500, "message": "No.", "status": status}}
        assert decoded(error) == [StreamFailed(code, "No.")]
        assert GEMINI.decoder().whole(json.dumps(error).encode()) == [StreamFailed(code, "No.")]
        in_list = b"data: [%b]\n\n" % json.dumps(error).encode()
        assert GEMINI.decoder().feed(in_list) == [StreamFailed(code, "No.")]

    def test_an_error_behind_content(self) -> None:
        found = decoded(candidate({"text": "a"}), {"error": {"message": "gone"}}, candidate(finish="STOP"))
        assert found == [START, TextDelta("a"), StreamFailed("server", "gone")]

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b"[1]",
            b"<html>",
            b'{"candidates":3}',
            b'{"candidates":[{"content":"x"}]}',
            b"\xff",
        ],
    )
    def test_what_is_no_reply_says_nothing(self, payload: bytes) -> None:
        assert GEMINI.decoder().whole(payload) == []
        assert GEMINI.decoder().feed(b"data: %b\n\n" % payload) == []

    def test_a_broken_event_among_others_is_left_out(self) -> None:
        decoder = GEMINI.decoder()
        good = b"data: %b\n\n" % json.dumps(candidate({"text": "a"}, finish="STOP")).encode()
        assert decoder.feed(b"data: {oops\n\n: comment\n\n" + good) + decoder.finish() == [
            START,
            TextDelta("a"),
            PartEnd(),
            MessageEnd("end"),
        ]


class TestUsage:
    def test_first_and_last_are_told(self) -> None:
        counts = [{"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": count}} for count in (1, 2, 3)]
        found = decoded(*(candidate({"text": "a"}) | count for count in counts), candidate(finish="STOP"))
        reports = [event.usage.output for event in found if isinstance(event, UsageReport)]
        assert reports == [1, 3]

    def test_a_report_without_counts_is_none(self) -> None:
        found = decoded(candidate({"text": "a"}, finish="STOP") | {"usageMetadata": {"trafficType": "ON_DEMAND"}})
        assert not any(isinstance(event, UsageReport) for event in found)


WEB = {"web": {"uri": "https://example.com", "title": "Example"}}


class TestSources:
    def test_pages_are_cited_in_the_text(self) -> None:
        found = events({"text": "a"}, groundingMetadata={"groundingChunks": [WEB, {"maps": {}}, WEB]})
        assert found[:3] == [TextDelta("a"), Citation("web", "https://example.com", "Example", WEB), PartEnd()]

    def test_before_a_signature_that_closes_it(self) -> None:
        last = candidate(
            {"text": "", "thoughtSignature": "s"}, finish="STOP", groundingMetadata={"groundingChunks": [WEB]}
        )
        found = decoded(candidate({"text": "a"}), last)
        assert [type(event) for event in found[1:4]] == [TextDelta, Citation, PartEnd]

    @pytest.mark.parametrize("metadata", [None, 3, {}, {"groundingChunks": 3}, {"groundingChunks": [{"web": {}}]}])
    def test_others_are_not(self, metadata: Any) -> None:
        assert events({"text": "a"}, groundingMetadata=metadata) == [TextDelta("a"), PartEnd(), MessageEnd("end")]


def test_half_a_character_in_arguments_leaves_the_rest_of_them() -> None:
    part = b'{"functionCall":{"name":"f","args":{"a":"\xffx"}}}'
    reply = b'{"candidates":[{"content":{"parts":[%b]},"finishReason":"STOP"}]}' % part
    [arguments] = [event.text for event in GEMINI.decoder().whole(reply) if isinstance(event, ToolCallDelta)]
    assert json.loads(arguments) == {"a": "\ufffdx"}
