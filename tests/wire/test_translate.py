"""One exchange between two formats: the request once, the reply whole or streamed, and what the server learns of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.errors import Untranslatable
from router.wire import translate
from router.wire.events import MessageEnd, StreamFailed, TextDelta
from router.wire.sse import SseDecoder
from router.wire.tool_table import Known
from router.wire.traits import Traits
from router.wire.translate import TranslatedStream, Translation
from router.wire.usage import Usage
from tests.support.plain_format import PlainFormat, plain_view

TARGET = Traits(provider="p", model="target")
ANSWER: list[list[Any]] = [
    ["thought", "hm"],
    ["text", "hello"],
    ["call", "c1", "get"],
    ["arguments", "{}"],
    ["usage", 3, 4],
]
END: list[Any] = ["end", "tool-use"]
EVENTS = "text/event-stream"
JSON = "application/json"


def translation(traits: Traits = TARGET, *, allow_losses: bool = False, **fields: Any) -> Translation:
    fields = {"lines": [["user", "hi"]], **fields}
    return Translation(plain_view(**fields), PlainFormat(), PlainFormat(), traits, allow_losses=allow_losses)


def stream(**fields: Any) -> TranslatedStream:
    asked = translation(stream=True).asked("id", 0)
    return translation(stream=True).stream(asked, **fields)


def sse(*entries: list[Any]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(entry).encode() for entry in entries)


def entries(raw: bytes) -> list[list[Any]]:
    return [json.loads(event.data) for event in SseDecoder().feed(raw)]


class TestRequests:
    def test_it_is_rendered_for_the_target(self) -> None:
        done = translation(tools={"get time": {"type": "object"}}, limit=5, stream=True)
        body = json.loads(done.body)
        (name,) = body["tools"]
        assert body == {
            "model": "target",
            "stream": True,
            "limit": 5,
            "lines": [["user", "hi"]],
            "tools": {name: {"type": "object"}},
        }
        assert done.tools.known(name) == Known("get time")
        assert done.losses == ()

    def test_a_refusal_names_the_field_the_reason_and_the_target(self) -> None:
        with pytest.raises(Untranslatable) as refused:
            translation(lines=[["user", "hi"], ["picture"]])
        message = str(refused.value)
        assert "lines[1]: a line of an unknown kind" in message
        assert "p/target" in message
        assert 'on-loss = "allow"' in message

    def test_a_loss_may_be_allowed(self) -> None:
        done = translation(lines=[["user", "hi"], ["picture"]], allow_losses=True)
        assert json.loads(done.body)["lines"] == [["user", "hi"]]
        assert [(loss.field, loss.refused) for loss in done.losses] == [("lines[1]", True)]

    def test_a_setting_is_called_what_the_client_calls_it(self) -> None:
        class Dropping(PlainFormat):
            def render(self, conversation: Any, traits: Any, losses: Any) -> Any:
                for name in ("max_tokens", "depth", "messages[3]"):
                    losses.drop(name, "why")
                return super().render(conversation, traits, losses)

        done = Translation(plain_view(lines=[]), PlainFormat(), Dropping(), TARGET, allow_losses=False)
        assert [loss.field for loss in done.losses] == ["limit", "thinking", "messages[3]"]

    def test_a_target_that_refused_sealed_reasoning_gets_none(self) -> None:
        sealed = translation().events(json.dumps([["thought", "hm"], ["sealed", "xyz"], END]).encode(), media_type=JSON)
        told = json.loads(PlainFormat().encoder(translation().asked("id", 0)).whole(sealed))
        line = ["thought", "hm", told[1][1]]
        with_it, without = (
            translation(Traits(provider="p", model="target", replays_sealed=replays), lines=[line])
            for replays in (True, False)
        )
        assert json.loads(with_it.body)["lines"] == [["thought", "hm", "xyz"]]
        assert json.loads(without.body)["lines"] == [["thought", "hm", ""]]


class TestWholeReplies:
    @pytest.mark.parametrize(
        ("payload", "media_type"),
        [
            pytest.param(json.dumps([*ANSWER, END]).encode(), JSON, id="whole"),
            pytest.param(sse(*ANSWER, END), EVENTS, id="of a provider that streams although nobody asked"),
        ],
    )
    def test_a_reply_is_told_in_the_clients_format(self, payload: bytes, media_type: str) -> None:
        done = translation()
        told = done.whole(payload, done.asked("id", 0), media_type=media_type)
        assert isinstance(told, bytes)
        kinds = [entry[0] for entry in json.loads(told)]
        assert kinds == ["thought", "sealed", "text", "call", "arguments", "usage", "end"]

    @pytest.mark.parametrize(
        ("payload", "media_type", "message"),
        [
            pytest.param(b'[["error","busy"]]', JSON, "busy", id="an error"),
            pytest.param(b'[["text","hm"],["error","busy"]]', JSON, "busy", id="an error behind content"),
            pytest.param(b'[["text","hm"]]', JSON, "no end", id="no end"),
            pytest.param(b"<html>", JSON, "not what its format says", id="no reply at all"),
            pytest.param(b"", JSON, "not what its format says", id="nothing"),
            pytest.param(b"", EVENTS, "not what its format says", id="an empty stream"),
        ],
    )
    def test_what_is_no_answer_is_a_failure(self, payload: bytes, media_type: str, message: str) -> None:
        done = translation()
        told = done.whole(payload, done.asked("id", 0), media_type=media_type)
        assert isinstance(told, StreamFailed)
        assert message in told.message


class TestStreams:
    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_events_are_told_as_they_come_and_the_end_apart(self, size: int) -> None:
        tap, raw = stream(), sse(*ANSWER, END, ["text", "behind the end"])
        now, final = b"", b""
        for start in range(0, len(raw), size):
            sent, last = tap.feed(raw[start : start + size])
            assert not (final and (sent or last)), "nothing follows the end"
            now, final = now + sent, final + last
        assert [entry[0] for entry in entries(now)] == ["thought", "sealed", "text", "call", "arguments", "usage"]
        assert entries(final) == [END]
        assert tap.finish() == b""
        assert (tap.committed, tap.ended, tap.failed) == (True, True, False)
        assert tap.facts.usage == Usage(input=3, output=4)
        assert tap.facts.stop_reason == "tool-use"

    def test_content_commits_and_nothing_else(self) -> None:
        tap = stream()
        tap.feed(sse(["usage", 1, 0], ["alive"], ["text", ""]))
        assert not tap.committed
        tap.feed(sse(["text", "a"]))
        assert tap.committed

    def test_an_answer_without_content_commits_with_its_end(self) -> None:
        tap = stream()
        assert tap.feed(sse(["end", "end"]))[1]
        assert (tap.committed, tap.ended) == (True, True)

    @pytest.mark.parametrize("before", [[], [["text", "a"]]], ids=["at once", "behind content"])
    def test_an_error_is_told_and_ends_it(self, before: list[list[Any]]) -> None:
        tap = stream()
        now, final = tap.feed(sse(*before, ["error", "busy"], ["text", "more"], END))
        assert entries(now)[-1] == ["error", "busy"]
        assert final == b""
        assert (tap.committed, tap.ended, tap.failed) == (bool(before), False, True)
        assert tap.facts.error == "busy"

    def test_a_stream_that_breaks_off_never_ends(self) -> None:
        tap = stream()
        assert entries(tap.feed(sse(["text", "a"]) + b'data: ["te')[0]) == [["text", "a"]]
        assert tap.finish() == b""
        assert (tap.ended, tap.failed) == (False, False)

    @pytest.mark.parametrize("size", [1, 5, 1000])
    def test_a_provider_that_does_not_stream_looks_as_if_it_did(self, size: int) -> None:
        tap, payload = stream(media_type=JSON), json.dumps([*ANSWER, END]).encode()
        for start in range(0, len(payload), size):
            assert tap.feed(payload[start : start + size]) == (b"", b"")
        kinds = [entry[0] for entry in entries(tap.finish())]
        assert kinds == ["thought", "sealed", "text", "call", "arguments", "usage", "end"]
        assert (tap.committed, tap.ended, tap.failed) == (True, True, False)
        assert tap.facts.usage == Usage(input=3, output=4)

    @pytest.mark.parametrize(("payload", "failed"), [(b'[["error","busy"]]', True), (b"<html>", False), (b"", False)])
    def test_one_that_answers_something_else_has_no_end(self, payload: bytes, failed: bool) -> None:
        tap = stream(media_type=JSON)
        tap.feed(payload)
        tap.finish()
        assert (tap.committed, tap.ended, tap.failed) == (False, False, failed)
        assert tap.facts.error == ("busy" if failed else None)

    def test_one_that_sends_too_much_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(translate, "MAX_WHOLE", 100)
        tap = stream(media_type=JSON)
        told = b"".join(tap.feed(b"x" * 60)[0] for _ in range(4)) + tap.finish()
        assert entries(told) == [["error", "the provider's reply is too large"]]
        assert (tap.ended, tap.failed) == (False, True)


def test_the_reply_is_told_what_the_request_said() -> None:
    asked = translation().asked("id", 7, model="alias", input_estimate=9)
    assert (asked.reply_id, asked.created, asked.model, asked.input_estimate) == ("id", 7, "alias", 9)
    assert (asked.include_usage, asked.include_state, asked.echo) == (True, True, {})


def test_whole_and_streamed_replies_are_the_same_events() -> None:
    done = translation()
    whole = done.events(json.dumps([*ANSWER, END]).encode(), media_type=JSON)
    assert done.events(sse(*ANSWER, END), media_type=EVENTS) == whole
    assert TextDelta("hello") in whole
    assert whole[-1] == MessageEnd("tool-use")
