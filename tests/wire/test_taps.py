"""A tap lets bytes pass as they are, learns the same however they are cut, and holds the end apart."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.codec import ReplyFacts, StreamTap
from router.wire.formats import CODECS
from router.wire.request import Api
from router.wire.sse import KEPT_TAIL, MAX_EVENT, SseDecoder, SseEvent
from router.wire.usage import Usage

pytestmark = pytest.mark.sampled(3)

STREAMED: list[Api] = ["anthropic-messages", "openai-chat", "openai-responses", "gemini"]


def run(tap: StreamTap, chunks: list[bytes]) -> bytes:
    """Feed all chunks; what the client gets."""
    out = b"".join(part for chunk in chunks for part in tap.feed(chunk))
    return out + tap.finish()


def cut(stream: bytes, edges: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(edge for edge in edges if edge < len(stream))})
    return [stream[start:end] for start, end in pairwise(places)]


def finest(stream: bytes) -> int:
    """The size of the smallest pieces a stream is cut into, in bytes. Long ones hold much of the same."""
    return 1 if len(stream) < 10_000 else 13


def outcome(tap: StreamTap) -> tuple[bool, bool, bool, ReplyFacts]:
    return tap.committed, tap.ended, tap.failed, tap.facts


def chat_chunk(**fields: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"id": "c", "model": "m", **fields}, separators=(",", ":")).encode()


def delta(**fields: Any) -> bytes:
    return chat_chunk(choices=[{"index": 0, "delta": fields, "finish_reason": None}], usage=None)


DONE = b"data: [DONE]\n\n"
USAGE = chat_chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7})
FINISH = chat_chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])


def message_event(name: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps({"type": name, **fields}).encode())


START = message_event(
    "message_start", message={"id": "msg", "model": "claude", "usage": {"input_tokens": 3, "output_tokens": 1}}
)
BLOCK = message_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = message_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"})
END_DELTA = message_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
STOP = message_event("message_stop")


class TestRecorded:
    """Every recorded stream, whole, byte by byte and cut at random."""

    def test_bytes_and_facts_do_not_depend_on_the_cuts(self, recorded_stream: dict[str, Any]) -> None:
        stream = recorded_stream["response"]["body"].encode()
        codec = CODECS[recorded_stream["api"]]
        whole = codec.tap()
        assert run(whole, [stream]) == stream
        dice = random.Random(recorded_stream["id"])
        cuts = [[dice.randrange(len(stream)) for _ in range(dice.randrange(1, 40))] for _ in range(10)]
        for edges in ([*range(0, len(stream), finest(stream))], *cuts):
            tap = codec.tap()
            assert run(tap, cut(stream, edges)) == stream
            assert outcome(tap) == outcome(whole)

    def test_the_end_and_failure_are_seen(self, recorded_stream: dict[str, Any]) -> None:
        tap = CODECS[recorded_stream["api"]].tap()
        run(tap, [recorded_stream["response"]["body"].encode()])
        failing = {
            "anthropic-messages.documented.stream-error-overloaded": (False, True, "Overloaded"),
            "openai-chat.documented.stream-truncated-no-done": (False, False, None),
            "openai-chat.groq.tool-use-failed-error-streaming.1": (False, True, "Tool call validation failed"),
            "openai-responses.openai.openai-error-1-stream": (True, True, "You exceeded your current quota"),
        }
        ended, failed, message = failing.get(recorded_stream["id"], (True, False, None))
        assert (tap.ended, tap.failed) == (ended, failed)
        assert (tap.facts.error or "").startswith(message or "")
        assert bool(tap.facts.error) == failed

    def test_usage_is_the_last_value_of_every_field(self, recorded_stream: dict[str, Any]) -> None:
        """Against a plain reading of the whole stream as JSON."""
        tap = CODECS[recorded_stream["api"]].tap()
        run(tap, [recorded_stream["response"]["body"].encode()])
        usage = tap.facts.usage
        report = _last_reports(recorded_stream["response"]["body"])
        if not report:
            assert usage is None
            return
        assert usage is not None
        total_input = sum(n or 0 for n in (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h))
        if recorded_stream["api"] == "anthropic-messages":
            assert usage.input == report["input_tokens"]
            assert total_input == sum(report.get(f"{n}input_tokens", 0) for n in ("", "cache_read_", "cache_creation_"))
            assert usage.output == report["output_tokens"]
        elif recorded_stream["api"] == "gemini":
            assert total_input == report["promptTokenCount"]
            assert usage.output == report["candidatesTokenCount"] + report.get("thoughtsTokenCount", 0)
        else:
            assert total_input == report.get("prompt_tokens", report.get("input_tokens"))
            assert usage.output == report.get("completion_tokens", report.get("output_tokens"))

    def test_no_client_sees_the_last_event_before_the_settlement(self, recorded_stream: dict[str, Any]) -> None:
        stream = recorded_stream["response"]["body"].encode()
        ends: dict[str, Callable[[SseEvent], object]] = {
            "anthropic-messages": lambda event: event.event == "message_stop",
            "openai-chat": lambda event: event.data == b"[DONE]",
            "openai-responses": lambda event: re.search(
                rb'"type": ?"response.(completed|incomplete|failed)"', event.data
            ),
            "gemini": lambda event: b'"finishReason"' in event.data,
        }
        for size in (finest(stream), 7, len(stream)):
            tap = CODECS[recorded_stream["api"]].tap()
            now, after = b"", b""
            for start in range(0, len(stream), size):
                sent, held = tap.feed(stream[start : start + size])
                assert not (after and sent), "nothing overtakes what waits"
                now, after = now + sent, after + held
                assert not after or tap.ended, "only the end waits"
            assert now + after + tap.finish() == stream
            seen, all_events = SseDecoder().feed(now), SseDecoder().feed(stream)
            assert not any(ends[recorded_stream["api"]](event) for event in seen)
            assert any(ends[recorded_stream["api"]](event) for event in all_events) == tap.ended


def _last_reports(stream: str) -> dict[str, Any]:
    """All usage objects of a stream laid over each other, later values last."""
    merged: dict[str, Any] = {}
    for line in stream.splitlines():
        if not line.startswith("data:") or line.removeprefix("data:").strip() == "[DONE]":
            continue
        event = json.loads(line.removeprefix("data:"))
        holders = (event, event.get("message"), event.get("response"), event.get("x_groq"))
        for holder in holders:
            if isinstance(holder, dict):
                report = holder.get("usage") or holder.get("usageMetadata") or {}
                merged.update({name: value for name, value in report.items() if value is not None})
    return merged if any("oken" in name for name in merged) else {}


class TestSettling:
    """What goes out at once, and what only once the request is settled."""

    PART = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\r\n\r\n'
    LAST = b'data: {"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]}\r\n\r\n'

    @pytest.mark.parametrize(
        ("api", "chunks", "given_out"),
        [
            pytest.param(
                "anthropic-messages", [START + BLOCK + STOP], [(START + BLOCK, STOP)], id="the end in the same chunk"
            ),
            pytest.param(
                "anthropic-messages",
                [BLOCK, STOP, b": x\n\n"],
                [(BLOCK, b""), (b"", STOP), (b"", b": x\n\n")],
                id="what follows the end waits too",
            ),
            pytest.param(
                "anthropic-messages",
                [BLOCK, STOP[:25], STOP[25:]],
                [(BLOCK, b""), (b"", b""), (b"", STOP)],
                id="the end in two chunks",
            ),
            pytest.param(
                "openai-chat",
                [FINISH, USAGE + DONE],
                [(FINISH, b""), (USAGE, DONE)],
                id="chat, usage and [DONE] together",
            ),
            pytest.param(
                "openai-chat",
                [FINISH, b"data: [DON", b"E]\n", b"\n"],
                [(FINISH, b""), (b"", b""), (b"", b""), (b"", DONE)],
                id="chat, the end in three chunks",
            ),
        ],
    )
    def test_the_ending_event_waits(self, api: Api, chunks: list[bytes], given_out: list[tuple[bytes, bytes]]) -> None:
        tap = CODECS[api].tap()
        assert [tap.feed(chunk) for chunk in chunks] == given_out
        assert tap.ended
        assert tap.finish() == b""

    @pytest.mark.parametrize("cut", [1, 20, 40, len(TEXT) - 1])
    def test_an_event_goes_out_as_soon_as_it_is_whole(self, cut: int) -> None:
        """Nobody can use a part of one, and an error event would run into it if the stream broke off there."""
        tap = CODECS["anthropic-messages"].tap()
        assert tap.feed(START + BLOCK) == (START + BLOCK, b"")
        assert tap.feed(TEXT[:cut]) == (b"", b"")
        assert tap.feed(TEXT[cut:] + TEXT[:cut]) == (TEXT, b"")
        assert tap.feed(TEXT[cut:]) == (TEXT, b"")

    def test_an_event_too_large_to_be_kept_goes_out_as_it_comes(self) -> None:
        tap = CODECS["openai-responses"].tap()
        picture = b'data: {"type":"response.image_generation_call.partial_image","partial_image_b64":"'
        chunks = [picture, *([b"A" * 2**18] * 8), b'"}\n\n']
        given = [tap.feed(chunk)[0] for chunk in chunks]
        assert b"".join(given) == b"".join(chunks)
        assert not any(given[:4])
        assert all(given[5:])

    def test_gemini_holds_its_last_event_until_the_connection_closes(self) -> None:
        tap = CODECS["gemini"].tap()
        assert tap.feed(self.PART + self.LAST) == (self.PART, b"")
        assert tap.feed(b": late comment\n\n") == (b"", b"")
        assert not tap.ended
        assert tap.finish() == self.LAST + b": late comment\n\n"
        assert tap.ended

    def test_gemini_lets_a_finish_go_when_another_event_follows_and_holds_that(self) -> None:
        tap = CODECS["gemini"].tap()
        assert tap.feed(self.LAST) == (b"", b"")
        assert tap.feed(self.PART) == (self.LAST, b"")
        assert tap.finish() == self.PART
        assert tap.ended

    def test_gemini_ends_with_its_finish_reason_only(self) -> None:
        tap = CODECS["gemini"].tap()
        tap.feed(
            b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":4}}\n\n'
        )
        assert tap.facts.usage == Usage(input=4, cache_write=0)
        tap.finish()
        assert not tap.ended

    def test_gemini_reads_the_running_usage_of_events_that_passed_unread(self) -> None:
        tap = CODECS["gemini"].tap()
        for count in (1, 2, 3):
            tap.feed(
                b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],'
                b'"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":%d}}\n\n' % count
            )
        assert tap.facts.usage == Usage(input=4, cache_write=0, output=3)


class TestGeminiArray:
    ARRAY = json.dumps(
        [
            {"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": {"promptTokenCount": 4}},
            {
                "candidates": [{"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
                "modelVersion": "gemini-x",
            },
        ]
    ).encode()

    @pytest.mark.parametrize("size", [1, 10, 10**6])
    def test_the_array_passes_and_is_read_at_its_end(self, size: int) -> None:
        tap = CODECS["gemini"].tap(media_type="application/json; charset=utf-8")
        assert run(tap, cut(self.ARRAY, [*range(0, len(self.ARRAY), size)])) == self.ARRAY
        assert tap.committed
        assert tap.ended
        assert tap.facts.usage == Usage(4, cache_write=0, output=2)
        assert (tap.facts.model, tap.facts.stop_reason) == ("gemini-x", "STOP")

    def test_the_last_chunk_is_held(self) -> None:
        tap = CODECS["gemini"].tap(media_type="application/json")
        assert tap.feed(self.ARRAY) == (b"", b"")
        assert tap.finish() == self.ARRAY

    def test_an_array_cut_short_has_not_ended(self) -> None:
        tap = CODECS["gemini"].tap(media_type="application/json")
        run(tap, [self.ARRAY[:-1]])
        assert not tap.ended

    def test_an_error_in_the_array_is_seen(self) -> None:
        tap = CODECS["gemini"].tap(media_type="application/json")
        run(tap, [b'[{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]'])
        assert (tap.failed, tap.ended, tap.facts.error) == (True, False, "overloaded")

    def test_of_a_huge_array_the_end_is_still_read(self) -> None:
        picture = b'[{"candidates":[{"content":{"parts":[{"inlineData":{"data":"%b"}}]}}]},' % (b"A" * (17 << 20))
        tap = CODECS["gemini"].tap(media_type="application/json")
        assert run(tap, [picture, self.ARRAY[1:]]) == picture + self.ARRAY[1:]
        assert tap.ended
        assert tap.facts.usage == Usage(4, cache_write=0, output=2)


class TestHidingUsage:
    """We asked for usage that the client didn't ask for: it must not see it."""

    STREAM = delta(role="assistant", content="") + delta(content="x") + FINISH + USAGE + DONE

    @pytest.mark.parametrize("size", [1, 3, 50, 10**6])
    def test_the_usage_event_is_withheld_and_read(self, size: int) -> None:
        tap = CODECS["openai-chat"].tap(hide_usage=True)
        out = run(tap, cut(self.STREAM, [*range(0, len(self.STREAM), size)]))
        assert out == self.STREAM.replace(USAGE, b"")
        assert tap.facts.usage == Usage(5, output=2)
        assert tap.ended

    def test_only_whole_events_are_passed_on(self) -> None:
        tap = CODECS["openai-chat"].tap(hide_usage=True)
        event = delta(content="x")
        assert tap.feed(event + event[:20]) == (event, b"")
        assert tap.feed(event[20:]) == (event, b"")

    def test_usage_beside_choices_is_the_clients(self) -> None:
        both = chat_chunk(
            choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}],
            usage={"prompt_tokens": 1, "completion_tokens": 1},
        )
        tap = CODECS["openai-chat"].tap(hide_usage=True)
        assert run(tap, [both + DONE]) == both + DONE

    def test_an_event_without_choices_and_usage_is_the_clients(self) -> None:
        azure = chat_chunk(choices=[], prompt_filter_results=[])
        tap = CODECS["openai-chat"].tap(hide_usage=True)
        assert run(tap, [azure + DONE]) == azure + DONE

    def test_nothing_is_lost_when_the_stream_breaks(self) -> None:
        tap = CODECS["openai-chat"].tap(hide_usage=True)
        assert run(tap, [delta(content="x"), b'data: {"id":']) == delta(content="x") + b'data: {"id":'
        assert not tap.ended

    def test_an_event_too_large_to_hold_back_passes(self) -> None:
        large = delta(content="x" * (MAX_EVENT + 10))
        tap = CODECS["openai-chat"].tap(hide_usage=True)
        assert run(tap, cut(large + USAGE + DONE, [1000, MAX_EVENT + 5])) == large + DONE


class TestCommit:
    @pytest.mark.parametrize(
        ("api", "before", "content"),
        [
            pytest.param("anthropic-messages", START + message_event("ping"), BLOCK, id="messages"),
            pytest.param("openai-chat", delta(role="assistant", content=""), delta(content="x"), id="chat text"),
            pytest.param("openai-chat", delta(role="assistant"), delta(reasoning_content="x"), id="chat reasoning"),
            pytest.param("openai-chat", delta(content=None), delta(reasoning="x"), id="chat reasoning, other name"),
            pytest.param("openai-chat", delta(tool_calls=[]), delta(tool_calls=[{"index": 0}]), id="chat tool call"),
            pytest.param("openai-chat", delta(role="assistant", content=""), FINISH, id="chat finish reason"),
            pytest.param(
                "openai-chat",
                chat_chunk(choices=[{"index": 0, "text": "", "finish_reason": None}]),
                chat_chunk(choices=[{"index": 0, "text": "x", "finish_reason": None}]),
                id="legacy completions",
            ),
            pytest.param("openai-chat", b": PROCESSING\n\n" + chat_chunk(choices=[]), delta(content="x"), id="azure"),
            pytest.param(
                "openai-responses",
                b'data: {"type":"response.created","response":{"id":"r","model":"m","error":null}}\n\n',
                b'data: {"type":"response.output_item.added","item":{}}\n\n',
                id="responses without event names",
            ),
            pytest.param(
                "openai-responses",
                b'event: response.in_progress\ndata: {"type":"response.in_progress"}\n\n',
                b'event: response.output_item.added\ndata: {"type":"response.output_item.added"}\n\n',
                id="responses",
            ),
            pytest.param(
                "gemini",
                b'data: {"candidates":[{"content":{"role":"model"}}],"usageMetadata":{"promptTokenCount":1}}\n\n',
                b'data: {"candidates":[{"content":{"parts":[{"text":"x"}]}}]}\n\n',
                id="gemini parts",
            ),
            pytest.param(
                "gemini", b": x\n\n", b'data: {"candidates":[{"finishReason":"MAX_TOKENS"}]}\n\n', id="gemini finish"
            ),
        ],
    )
    def test_the_first_content_commits_and_nothing_before_it(self, api: Api, before: bytes, content: bytes) -> None:
        tap = CODECS[api].tap()
        tap.feed(before)
        assert not tap.committed
        tap.feed(content)
        assert tap.committed

    @pytest.mark.parametrize(
        ("api", "stream"),
        [
            pytest.param(
                "anthropic-messages", START + message_event("error", error={"message": "busy"}), id="messages"
            ),
            pytest.param(
                "openai-chat",
                delta(role="assistant") + b'event: error\ndata: {"error":{"message":"busy"}}\n\n',
                id="chat",
            ),
            pytest.param("openai-chat", b'data: {"error":"busy","choices":[]}\n\n', id="chat, bare text"),
            pytest.param(
                "openai-chat",
                b'data: {"error":{"code":"server_error","message":"busy"},'
                b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\n',
                id="chat, a choice that is finished by it",
            ),
            pytest.param(
                "openai-responses", b'event: error\ndata: {"type":"error","message":"busy"}\n\n', id="responses"
            ),
            pytest.param(
                "openai-responses", b'data: {"type":"error","error":{"message":"busy"}}\n\n', id="responses, nested"
            ),
            pytest.param("gemini", b'data: {"error":{"code":503,"message":"busy"}}\n\n', id="gemini"),
        ],
    )
    def test_an_error_before_content_doesnt_commit(self, api: Api, stream: bytes) -> None:
        tap = CODECS[api].tap()
        assert run(tap, [stream]) == stream
        assert (tap.committed, tap.failed, tap.ended) == (False, True, False)
        assert tap.facts.error == "busy"
        assert '"busy"' in (tap.facts.error_raw or "")

    @pytest.mark.parametrize(
        ("api", "stream", "raw"),
        [
            pytest.param(
                "anthropic-messages",
                message_event("error", error={"type": "rate_limit_error", "message": "busy"}),
                {"type": "rate_limit_error", "message": "busy"},
                id="messages",
            ),
            pytest.param(
                "openai-chat", b'data: {"error":{"code":429,"message":"busy"}}\n\n', {"code": 429, "message": "busy"},
                id="chat",
            ),
            pytest.param(
                "openai-responses",
                b'event: error\ndata: {"type":"error","code":"slow_down","message":"busy","sequence_number":2}\n\n',
                {"code": "slow_down", "message": "busy"},
                id="responses",
            ),
            pytest.param(
                "openai-responses",
                b'data: {"type":"response.failed","response":{"status":"failed","tools":[{"type":"x"}],'
                b'"error":{"code":"slow_down","message":"busy"}}}\n\n',
                {"code": "slow_down", "message": "busy"},
                id="responses, failed",
            ),
            pytest.param(
                "gemini",
                b'data: {"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}\n\n',
                {"code": 503, "message": "busy", "status": "UNAVAILABLE"},
                id="gemini",
            ),
        ],
    )  # fmt: skip
    def test_an_error_is_kept_with_its_codes(self, api: Api, stream: bytes, raw: dict[str, Any]) -> None:
        tap = CODECS[api].tap()
        run(tap, [stream])
        assert json.loads(tap.facts.error_raw or "") == raw


class TestEnds:
    @pytest.mark.parametrize(
        ("api", "stream", "ended"),
        [
            pytest.param(
                "openai-chat", delta(content="x") + FINISH, True, id="chat without [DONE], with a finish reason"
            ),
            pytest.param("openai-chat", delta(content="x"), False, id="chat without either"),
            pytest.param("openai-chat", FINISH + b"data: [DONE]", True, id="[DONE] without its blank line"),
            pytest.param("anthropic-messages", START + BLOCK + END_DELTA, False, id="messages without message_stop"),
            pytest.param(
                "anthropic-messages", START + BLOCK + STOP[:-2], True, id="message_stop without its blank line"
            ),
            pytest.param(
                "anthropic-messages", START + b"event: message_stop\ndata: {", False, id="half a message_stop"
            ),
            pytest.param(
                "anthropic-messages",
                BLOCK + b'data: {"type": "message_stop"}\n\n',
                True,
                id="message_stop without a name",
            ),
            pytest.param(
                "openai-responses", b'data: {"type":"response.output_item.added"}\n\n', False, id="responses cut off"
            ),
            pytest.param(
                "openai-responses",
                b'event: response.completed\ndata: {"type":"response.completed","respo\n\n',
                False,
                id="half a response.completed",
            ),
        ],
    )
    def test_a_stream_has_ended_where_its_format_says_so(self, api: Api, stream: bytes, ended: bool) -> None:
        tap = CODECS[api].tap()
        assert run(tap, [stream]) == stream
        assert tap.ended is ended

    def test_incomplete_responses_say_why(self) -> None:
        tap = CODECS["openai-responses"].tap()
        end = {"id": "r", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        run(tap, [b'data: {"type":"response.incomplete","response":%b}\n\n' % json.dumps(end).encode()])
        assert (tap.ended, tap.failed, tap.facts.stop_reason) == (True, False, "max_output_tokens")


class TestUsageDialects:
    def test_messages_completes_what_the_start_said(self) -> None:
        tap = CODECS["anthropic-messages"].tap()
        run(tap, [START + BLOCK + END_DELTA + STOP])
        assert tap.facts.usage == Usage(input=3, output=9)
        assert json.loads(tap.facts.usage_raw or "") == {"input_tokens": 3, "output_tokens": 9}
        assert (tap.facts.model, tap.facts.response_id, tap.facts.stop_reason) == ("claude", "msg", "end_turn")

    def test_null_in_a_later_report_keeps_the_earlier_value(self) -> None:
        tap = CODECS["anthropic-messages"].tap()
        late = message_event("message_delta", delta={}, usage={"input_tokens": None, "output_tokens": 9})
        run(tap, [START + late + STOP])
        assert tap.facts.usage == Usage(input=3, output=9)
        assert json.loads(tap.facts.usage_raw or "") == {"input_tokens": 3, "output_tokens": 9}

    @pytest.mark.parametrize("name", [b"ou\xf4put", b"\\ud800"])
    def test_a_later_report_with_half_a_character_in_it_completes_the_earlier_one(self, name: bytes) -> None:
        tap = CODECS["anthropic-messages"].tap()
        late = message_event("message_delta", delta={}, usage={"output_tokens": 9, "x": 1}).replace(
            b'"x"', b'"%b"' % name
        )
        assert run(tap, [START + late + STOP]) == START + late + STOP
        assert tap.facts.usage == Usage(input=3, output=9)
        assert json.loads(tap.facts.usage_raw or "").items() >= {"input_tokens": 3, "output_tokens": 9}.items()

    @pytest.mark.slow
    def test_reports_with_ever_other_fields_are_not_completed_for_ever(self) -> None:
        tap = CODECS["anthropic-messages"].tap()
        odd = [message_event("message_delta", delta={}, usage={f"field_{number}": 1}) for number in range(3000)]
        run(tap, [START, *odd, END_DELTA + STOP])
        assert tap.facts.usage == Usage(input=3, output=9)
        assert len(tap.facts.usage_raw or "") < 17_000

    def test_groqs_own_place(self) -> None:
        tap = CODECS["openai-chat"].tap()
        last = chat_chunk(
            choices=[{"delta": {}, "finish_reason": "stop"}],
            x_groq={"id": "r", "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
        )
        run(tap, [delta(content="x"), last, DONE])
        assert tap.facts.usage == Usage(5, output=2)

    def test_usage_on_every_chunk_counts_once(self) -> None:
        tap = CODECS["openai-chat"].tap()
        chunks = [
            chat_chunk(choices=[{"delta": {"content": "x"}}], usage={"prompt_tokens": 5, "completion_tokens": count})
            for count in (1, 2, 3)
        ]
        run(tap, [*chunks, DONE])
        assert tap.facts.usage == Usage(5, output=3)

    def test_the_service_tier_of_an_earlier_chunk_is_kept(self) -> None:
        tap = CODECS["openai-chat"].tap()
        run(tap, [chat_chunk(choices=[{"delta": {"content": "x"}}], service_tier="flex"), USAGE, DONE])
        assert tap.facts.usage == Usage(5, output=2, service_tier="flex")

    def test_the_charge_keeps_its_digits(self) -> None:
        tap = CODECS["openai-chat"].tap()
        run(
            tap,
            [b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":0.000010500}}\n\n', DONE],
        )
        assert tap.facts.usage == Usage(1, output=1, provider_cost_usd="0.000010500")

    def test_usage_of_a_final_event_too_large_to_keep_is_found_in_its_tail(self) -> None:
        picture = "A" * (MAX_EVENT + KEPT_TAIL)
        end = (
            b"event: response.completed\ndata: %b\n\n"
            % json.dumps(
                {
                    "type": "response.completed",
                    "response": {
                        "output": [{"result": picture}],
                        "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 2},
                        "metadata": {},
                    },
                }
            ).encode()
        )
        tap = CODECS["openai-responses"].tap()
        assert run(tap, cut(end, [*range(0, len(end), 65536)])) == end
        assert tap.ended
        assert tap.facts.usage == Usage(4, 1, output=2)


fragments = st.sampled_from(
    [
        *(START, BLOCK, TEXT, END_DELTA, STOP, DONE, USAGE, FINISH, delta(content="x")),
        *(b"data: ", b"event: message_stop\n", b"\n", b"\r", b"\r\n", b"{", b'{"usage":', b"[DONE]", b"\xff", b"\x00"),
        message_event("error", error={"x": 1}),
        b'data: {"type":"response.completed","response":null}\n\n',
        b'data: {"candidates":[{"finishReason":"STOP"}]}\n\n',
        *(b'data: {"error":{}}\n\n', b"data: []\n\n", b"data: null\n\n"),
        b'data: {"choices":{"a":1},"usage":[]}\n\n',
    ]
)


@pytest.mark.parametrize("api", STREAMED)
@given(parts=st.lists(fragments | st.binary(max_size=8), max_size=12), edges=st.lists(st.integers(0, 900), max_size=6))
def test_whatever_is_fed_comes_out_however_it_is_cut(api: Api, parts: list[bytes], edges: list[int]) -> None:
    stream = b"".join(parts)
    whole, pieces = CODECS[api].tap(), CODECS[api].tap()
    assert run(whole, [stream]) == stream
    assert run(pieces, cut(stream, edges)) == stream
    assert outcome(pieces) == outcome(whole)


@given(parts=st.lists(fragments, max_size=12), edges=st.lists(st.integers(0, 900), max_size=6))
def test_hiding_depends_on_no_cut(parts: list[bytes], edges: list[int]) -> None:
    stream = b"".join(parts)
    whole, pieces = (CODECS["openai-chat"].tap(hide_usage=True) for _ in range(2))
    assert run(pieces, cut(stream, edges)) == run(whole, [stream])
    assert outcome(pieces) == outcome(whole)
