"""A provider whose stream breaks off: it never looks finished, and it is never silently lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from router.server import relay
from tests.support.aftermath import aftermath
from tests.support.asking import CHAT, FORMATS, GEMINI, MESSAGES, RESPONSES, Format, opening
from tests.support.provider import SSE, Close, End, Raw, Reset, Send, Stall, Status, Step, stream
from tests.support.raw import RawReply, ask, request

pytestmark = pytest.mark.sampled(3)


def cuts(events: list[bytes]) -> Iterator[bytes]:
    """The stream up to every event boundary but the last, and into the middle of every event."""
    whole = b""
    for event in events:
        yield whole
        yield whole + event[: len(event) // 2]
        whole += event


def chunked_fin(part: bytes) -> list[Step]:
    return [*opening(part), Close()]


def chunked_reset(part: bytes) -> list[Step]:
    return [*opening(part), Reset()]


def length_too_long(part: bytes) -> list[Step]:
    head = (*SSE, ("content-length", str(len(part) + 1)))
    return [Status(200, head, chunked=False), Raw(part), Close()]


def closed_by_the_connection(part: bytes) -> list[Step]:
    return [Status(200, SSE, chunked=False), Raw(part), Close()]


def ended_in_order(part: bytes) -> list[Step]:
    """The body's framing is complete, only the answer isn't."""
    return [*opening(part), End()]


BREAKS = [chunked_fin, chunked_reset, length_too_long, closed_by_the_connection, ended_in_order]


async def streamed(arena: Any, form: Format) -> RawReply:
    path, body = form.request(stream=True)
    return await ask(arena.router.url, request("POST", f"/work{path}", body))


def is_broken(form: Format, reply: RawReply) -> None:
    """Either an ordinary error, or a started answer that says it broke and isn't brought to an end."""
    if reply.status != 200:
        assert reply.status in (502, 503, 504)
        assert reply.whole
        assert form.error_of(reply.body)
        return
    assert not reply.whole, "the body was brought to a regular end"
    assert b"message_stop" not in reply.body
    assert b"[DONE]" not in reply.body
    assert b"response.completed" not in reply.body


def whole_events(form: Format, part: bytes) -> bytes:
    """The events of a part of a stream that are complete."""
    whole = b""
    for event in form.events():
        if not part.startswith(whole + event):
            break
        whole += event
    return whole


def split_off_the_error(form: Format, body: bytes) -> tuple[bytes, str]:
    """What was passed on, and the message of the error event behind it, read as any client would."""
    *events, last = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", body)[:-1]
    lines = last.splitlines()[:-1]
    assert lines[:-1] == ([] if form in (CHAT, GEMINI) else [b"event: error"])
    error = json.loads(lines[-1].removeprefix(b"data: "))
    message: str = error["message"] if form is RESPONSES else error["error"]["message"]
    return b"".join(events), message


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_a_stream_cut_anywhere_is_never_brought_to_a_regular_end(
    form: Format, broken: Callable[[bytes], list[Step]], arena: Any
) -> None:
    for part in cuts(form.events()):
        if form is CHAT and b'"finish_reason":"' in part and broken in (closed_by_the_connection, ended_in_order):
            continue  # many servers leave [DONE] out: with a reason to finish and a regular end it is whole
        arena.provider.answer = lambda received, part=part: broken(part)
        async with aftermath(arena.router, arena.provider) as after:
            reply = await streamed(arena, form)
        is_broken(form, reply)
        assert after.told in (
            [("upstream-error", "broken-start"), ("upstream-error", "connect")]
            if reply.status != 200
            else [("partial", "broken-stream")]
        )
        assert after.attempt["maybe_billed"], "the provider may have charged"
        if reply.status == 200:
            passed, told = split_off_the_error(form, reply.body)
            assert passed == whole_events(form, part), "what was whole was passed on, and nothing else"
            assert "broke off" in told or "ended before the answer did" in told


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_what_was_used_before_the_break_is_recorded(form: Format, arena: Any) -> None:
    events = form.events()
    arena.provider.answer = lambda received: chunked_fin(b"".join(events[:-1]))
    async with aftermath(arena.router, arena.provider) as after:
        await streamed(arena, form)
    if form in (MESSAGES, GEMINI, CHAT):
        assert after.row["input"] is not None
        assert after.row["cost_nano_usd"] == after.attempt["cost_nano_usd"]
    else:  # Responses says what it used in its last event only: unknown, never 0
        assert after.row["input"] is None
        assert after.row["cost_nano_usd"] is None


@pytest.mark.parametrize("broken", [Reset(), Close()], ids=["reset", "closed"])
@pytest.mark.parametrize("form", [form for form in FORMATS if form.has_end], ids=lambda form: form.name)
async def test_how_the_connection_ends_behind_the_answer_is_nobodys_business(
    form: Format, broken: Step, arena: Any
) -> None:
    events = form.events()
    arena.provider.answer = lambda received: [*opening(*events), broken]
    async with aftermath(arena.router, arena.provider) as after:
        reply = await streamed(arena, form)
    assert after.told == ("ok", None)
    assert reply.whole
    assert form is CHAT or reply.body == b"".join(events)


@pytest.mark.parametrize("form", [form for form in FORMATS if form.has_end], ids=lambda form: form.name)
async def test_a_provider_that_forgets_to_hang_up_does_not_keep_the_client_waiting(
    form: Format, arena: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "TAIL_S", 0.1)
    arena.provider.answer = lambda received: [*opening(*form.events()), Stall()]
    async with aftermath(arena.router, arena.provider) as after:
        reply = await ask(arena.router.url, request("POST", f"/work{form.path}", form.request(stream=True)[1]))
    assert reply.whole
    assert after.told == ("ok", None)
    await arena.provider.requests[-1].closed.wait()


async def test_the_pool_survives_a_thousand_breaks(arena: Any) -> None:
    """A broken connection is never used again for somebody else's answer."""
    events = MESSAGES.events()
    for number in range(60):
        broken = BREAKS[number % len(BREAKS)]
        arena.provider.answer = lambda received, broken=broken: broken(b"".join(events[:5]))
        is_broken(MESSAGES, await streamed(arena, MESSAGES))
        arena.provider.answer = lambda received: stream(*events)
        async with aftermath(arena.router, arena.provider) as after:
            reply = await streamed(arena, MESSAGES)
        assert reply.body == b"".join(events)
        assert after.told == ("ok", None)


FIRST_ERRORS = [
    pytest.param(
        MESSAGES,
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        503,
        id="Anthropic is overloaded",
    ),
    pytest.param(
        MESSAGES,
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}\n\n'
        b'event: ping\ndata: {"type":"ping"}\n\n'
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"Internal"}}\n\n',
        502,
        id="Anthropic fails before content",
    ),
    pytest.param(
        CHAT,
        b'data: {"error":{"message":"Provider returned error","code":502}}\n\ndata: [DONE]\n\n',
        502,
        id="OpenRouter's error in the first event",
    ),
    pytest.param(
        CHAT,
        b': OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\ndata: {"error":{"message":"no instances"}}\n\n',
        502,
        id="an error behind comments",
    ),
    pytest.param(
        RESPONSES,
        b'event: response.failed\ndata: {"type":"response.failed","response":{"id":"r","status":"failed",'
        b'"error":{"code":"server_error","message":"The model is overloaded"}}}\n\n',
        503,
        id="Responses fails at once",
    ),
    pytest.param(GEMINI, b'data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\n\n', 503,
                 id="Gemini is overloaded"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "first", "status"), FIRST_ERRORS)
async def test_a_200_whose_first_event_is_an_error_becomes_an_error_status(
    form: Format, first: bytes, status: int, arena: Any
) -> None:
    arena.provider.answer = lambda received: stream(first)
    async with aftermath(arena.router, arena.provider) as after:
        reply = await streamed(arena, form)
    assert reply.status == status
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-router-provider"] == "fake"
    assert "profile work" in form.error_of(reply.body)
    assert after.told == ("upstream-error", "overloaded" if status == 503 else "broken-start")
    assert after.row["status"] == status


MESSAGES_ERROR = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"mid"}}\n\n'
CHAT_ERROR = b'data: {"error":{"message":"mid"}}\n\n'
RESPONSES_ERROR = b'event: error\ndata: {"type":"error","code":"server_error","message":"mid"}\n\n'
RESPONSE_FAILED = (
    b'event: response.failed\ndata: {"type":"response.failed","response":{"id":"resp_1","status":"failed",'
    b'"error":{"code":"server_error","message":"mid"},"output":[]}}\n\n'
)
MID_ERRORS = [
    pytest.param(MESSAGES, MESSAGES_ERROR, id="Messages"),
    pytest.param(MESSAGES, MESSAGES_ERROR + MESSAGES.events()[-1], id="Messages, then its end"),
    pytest.param(CHAT, CHAT_ERROR, id="Chat"),
    pytest.param(CHAT, CHAT_ERROR + b"data: [DONE]\n\n", id="Chat, then its end"),
    pytest.param(
        CHAT,
        b'data: {"error":{"code":"server_error","message":"mid"},'
        b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\ndata: [DONE]\n\n',
        id="Chat, a choice that is finished by it",
    ),
    pytest.param(RESPONSES, RESPONSES_ERROR, id="Responses"),
    pytest.param(RESPONSES, RESPONSE_FAILED, id="Responses, as its end"),
    pytest.param(RESPONSES, RESPONSES_ERROR + RESPONSE_FAILED, id="Responses, both"),
    pytest.param(GEMINI, b'data: {"error":{"code":500,"message":"mid","status":"INTERNAL"}}\r\n\r\n', id="Gemini"),
]


@pytest.mark.parametrize(("form", "error"), MID_ERRORS)
async def test_an_error_in_the_middle_is_passed_on_once(form: Format, error: bytes, arena: Any) -> None:
    events = form.events()[: 2 if form is GEMINI else 4]
    arena.provider.answer = lambda received: stream(*events, error)
    async with aftermath(arena.router, arena.provider) as after:
        reply = await streamed(arena, form)
    assert reply.body == b"".join(events) + error
    assert reply.whole
    assert after.told == ("partial", "broken-stream")


async def test_an_error_as_a_whole_reply_with_status_200_is_recorded_as_one(arena: Any) -> None:
    arena.provider.answer = lambda received: [
        Status(200, (("content-type", "application/json"),)),
        Send(b'{"error":{"message":"upstream sick","code":502}}'),
        End(),
    ]
    async with aftermath(arena.router, arena.provider) as after:
        reply = await ask(arena.router.url, request("POST", "/work/v1/chat/completions", CHAT.request(stream=False)[1]))
    assert reply.status == 200
    assert after.told == ("upstream-error", "soft")
