"""Two providers and a fault before an answer has begun: the other one answers. For replies that end anywhere see
``test_cut_anywhere``."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.aftermath import aftermath
from tests.support.answers import answer, message, response
from tests.support.asking import BY_NAME, CHAT, FORMATS, GEMINI, MESSAGES, RESPONSES, Format, opening
from tests.support.provider import (
    SSE,
    Close,
    End,
    FakeProvider,
    Pause,
    Raw,
    Received,
    Reset,
    Send,
    Stall,
    Status,
    Step,
    stream,
    whole,
)
from tests.support.raw import ask, request
from tests.support.serving import ENVIRON, serving
from tests.support.slow import in_time
from tests.support.targets import QUICK, answered, failing, says, story, targets

WAYS = [False, True]
WAY_NAMES = ["whole", "streamed"]


# --- providers that can't be reached ----------------------------------------------------------------------------------


def closed_port() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("stream", WAYS, ids=WAY_NAMES)
@pytest.mark.parametrize("kind", ["closed port", "no such name"])
async def test_who_cant_be_reached_costs_no_time(kind: str, stream: bool, tmp_path: Path) -> None:
    address = closed_port() if kind == "closed port" else "http://provider.invalid"
    async with targets(tmp_path / "home", "", addresses=[address]) as world:

        async def fastest() -> float:
            times = []
            for _ in range(5):
                began = time.perf_counter()
                reply = await world.ask(stream=stream)
                times.append(time.perf_counter() - began)
                assert (reply.status, reply.headers["x-router-provider"]) == (200, "two")
            return min(times)

        async with world.many(5, unheard=10):
            took_s = await fastest()
        rows = await world.router.rows("attempts", "provider = 'one'")
        assert {(row["error_class"], row["maybe_billed"]) for row in rows} == {("connect", 0)}
        if kind != "no such name":  # which may take long to find out where there is no network
            in_time(took_s, 0.06)


# --- streams that begin with an error, or not at all ------------------------------------------------------------------

FIRST_ERRORS = [
    pytest.param(
        MESSAGES,
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        id="Anthropic is overloaded",
    ),
    pytest.param(
        MESSAGES,
        MESSAGES.events()[0] + b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"no"}}\n\n',
        id="Anthropic fails behind its first event",
    ),
    pytest.param(CHAT, b'data: {"error":{"message":"Provider returned error","code":502}}\n\n', id="OpenRouter"),
    pytest.param(
        RESPONSES,
        b'event: response.failed\ndata: {"type":"response.failed","response":{"id":"r","status":"failed",'
        b'"error":{"code":"server_error","message":"The server had an error"}}}\n\n',
        id="Responses",
    ),
    pytest.param(GEMINI, b'data: {"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}\n\n', id="Gemini"),
]


@pytest.mark.parametrize(("form", "first"), FIRST_ERRORS)
async def test_a_stream_that_begins_with_an_error_is_answered_by_the_next(
    form: Format, first: bytes, tmp_path: Path
) -> None:
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: stream(first)
        reply, after = await world.asked(form, stream=True)
    assert reply.status == 200
    assert reply.whole
    assert reply.body == says(form, "model-2", stream=True)
    assert after.told == ("ok", None)
    assert story(after)[-1] == ("fallback", "two", None)


SILENCE = [
    pytest.param([Stall()], id="before the head"),
    pytest.param([Status(200, SSE), Stall()], id="behind the head"),
    pytest.param([*opening(MESSAGES.events()[0], b": thinking\n\n"), Stall()], id="before its content"),
]
SILENT = '{retry}\n[timeouts]\nfirst-event = "150ms"\nfirst-event-last = "600ms"\n'


@pytest.mark.parametrize("steps", SILENCE)
async def test_a_silent_stream_is_left_early_while_somebody_else_can_be_asked(
    steps: list[Step], tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", SILENT.format(retry=QUICK)) as world:
        world.one.answer = lambda received: steps
        reply, after = await world.asked(stream=True)
        assert after.row["duration_ms"] > 140
        in_time(after.row["duration_ms"] / 1000, 0.5)
    assert reply.body == says(MESSAGES, "model-2", stream=True)
    assert story(after) == [("primary", "one", "timeout"), ("fallback", "two", None)]
    assert after.attempts[0]["maybe_billed"]


NOBODY_ELSE = [
    pytest.param(1, QUICK, [1], id="no other candidate"),
    pytest.param(2, "[retry]\ntotal = 1\n", [1, 0], id="no call left"),
    pytest.param(2, QUICK + 'deadline = "50ms"\n', [1, 0], id="past the deadline"),
    pytest.param(1, QUICK + '[[rule]]\nmatch = {always = true}\ntarget = "one/model-1"\n', [1], id="twice the same"),
    pytest.param(2, QUICK + '[models."two/model-2"]\ncontext = 5\n', [1, 0], id="the other one is too small"),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("count", "settings", "calls"), NOBODY_ELSE)
async def test_a_slow_stream_is_waited_for_where_nobody_else_can_be_asked(
    count: int, settings: str, calls: list[int], tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", SILENT.format(retry=settings), count=count) as world:
        world.one.answer = lambda received: [Pause(0.3), *answered(received)]
        reply, after = await world.asked(stream=True)
        assert world.calls == calls
    assert (reply.status, reply.body) == (200, says(MESSAGES, "model-1", stream=True))
    assert after.told == ("ok", None)


# --- answers that are none --------------------------------------------------------------------------------------------


def soft(form: Format, kind: str) -> dict[str, Any]:
    """A whole reply that is well-formed and no answer."""
    stopped = kind == "cut"
    match form.name:
        case "anthropic-messages":
            reason = "max_tokens" if stopped else "end_turn"
            return {**message("model-1"), "content": [], "stop_reason": reason}
        case "openai-chat":
            told = {"role": "assistant", "content": ""}
            choice = {"index": 0, "message": told, "finish_reason": "length" if stopped else "stop"}
            return {"id": "c", "object": "chat.completion", "created": 1, "model": "model-1", "choices": [choice]}
        case "openai-responses":
            status = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
            return {**response("model-1"), "output": [], **(status if stopped else {})}
        case _:
            content = {"content": {"role": "model", "parts": []}, "finishReason": "MAX_TOKENS" if stopped else "STOP"}
            return {"candidates": [content], "modelVersion": "model-1"}


@pytest.mark.parametrize("kind", ["empty", "cut"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_an_answer_without_content_is_none(form: Format, kind: str, tmp_path: Path) -> None:
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: whole(soft(form, kind))
        reply, after = await world.asked(form)
        assert reply.body == says(form, "model-2", stream=False)
        assert story(after) == [("primary", "one", "soft"), ("fallback", "two", None)]
        assert after.attempts[0]["maybe_billed"]
        world.two.answer = world.one.answer  # then an empty answer is better than none
        reply, after = await world.asked(form)
        assert (reply.status, json.loads(reply.body)) == (200, soft(form, kind))
        assert after.told == ("ok", "soft")


def contentless(form: Format) -> list[bytes]:
    """A stream that ends in order, without anything in it."""
    events = form.events()
    match form.name:
        case "anthropic-messages":
            return [events[0], *events[-2:]]
        case "openai-chat":
            return [b'data: {"id":"c","object":"chat.completion.chunk","choices":[]}\n\n', events[-1]]
        case "openai-responses":
            done = {"type": "response.completed", "response": {**response("model-1"), "output": []}}
            return [*events[:2], b"event: response.completed\ndata: %s\n\n" % json.dumps(done).encode()]
        case _:
            return [b'data: {"usageMetadata":{"promptTokenCount":3},"modelVersion":"model-1"}\r\n\r\n']


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_a_stream_without_content_is_no_answer(form: Format, tmp_path: Path) -> None:
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: stream(*contentless(form))
        reply, after = await world.asked(form, stream=True)
        assert reply.body == says(form, "model-2", stream=True)
        assert story(after)[0][:2] == ("primary", "one")
        assert story(after)[0][2] in ("soft", "broken-start")
        assert story(after)[-1] == ("fallback", "two", None)


@pytest.mark.parametrize("form", [MESSAGES, RESPONSES], ids=lambda form: form.name)
async def test_a_stream_without_content_is_passed_on_where_nobody_else_can_be_asked(
    form: Format, tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", count=1) as world:
        world.one.answer = lambda received: stream(*contentless(form))
        reply, after = await world.asked(form, stream=True)
    assert reply.whole
    assert reply.body == b"".join(contentless(form))
    assert after.told == ("ok", "soft")


@pytest.mark.parametrize("count", [1, 2])
async def test_a_stream_that_is_long_in_coming_to_its_content_is_an_answer(count: int, tmp_path: Path) -> None:
    """Nothing but comments for longer than is held back."""
    start, *rest = MESSAGES.events()
    comments = b": waiting in line for a free machine\n\n" * 2000
    async with targets(tmp_path / "home", count=count) as world:
        world.one.answer = lambda received: [*opening(start, comments), Pause(0.02), *map(Send, rest), End()]
        reply, after = await world.asked(stream=True)
        assert world.calls == [1, 0][:count]
    assert reply.whole
    assert reply.body == start + comments + b"".join(rest)
    assert after.told == ("ok", None)


FORCED: dict[str, dict[str, Any]] = {
    "anthropic-messages": {
        "tools": [{"name": "find", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "find"},
    },
    "openai-chat": {
        "tools": [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
    },
    "openai-responses": {
        "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "find"},
    },
}


def calling(received: Received) -> list[Step]:
    call = {
        "type": "function_call",
        "id": "f",
        "call_id": "c",
        "name": "find",
        "arguments": "{}",
        "status": "completed",
    }
    return whole({**response("model-2"), "output": [call]})


@pytest.mark.parametrize("name", FORCED)
async def test_an_answer_without_the_tool_that_had_to_be_called_is_none(name: str, tmp_path: Path) -> None:
    form = BY_NAME[name]
    talk = soft(form, "empty")
    match name:
        case "anthropic-messages":
            talk["content"] = [{"type": "text", "text": "I'd rather talk."}]
        case "openai-chat":
            talk["choices"][0]["message"]["content"] = "I'd rather talk."
        case _:
            talk["output"] = response("model-1")["output"]
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: whole(talk)
        world.two.answer = calling if form is RESPONSES else answer
        _, after = await world.asked(form, body=json.dumps({**form.body, **FORCED[name]}).encode())
        assert story(after) == [("primary", "one", "soft"), ("fallback", "two", None)]
        _, after = await world.asked(form)
        assert story(after) == [("primary", "one", None)]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_an_error_as_a_whole_reply_with_status_200_is_no_answer(form: Format, tmp_path: Path) -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": "sick", "code": 502, "status": "INTERNAL"}}
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: whole(error)
        reply, after = await world.asked(form)
    assert reply.body == says(form, "model-2", stream=False)
    assert story(after)[-1] == ("fallback", "two", None)


# --- too long ---------------------------------------------------------------------------------------------------------

WINDOWS = """
[models."one/model-1"]
context = 1000
[models."two/model-2"]
context = {two}
[models."three/model-3"]
context = {three}
"""
TOO_LONG = failing(400, "prompt is too long: 1200 tokens > 1000 maximum")


@pytest.mark.parametrize(
    ("two", "three", "calls"), [(900, 2000, [1, 0, 1]), (2000, 900, [1, 1, 0]), (900, 1000, [1, 0, 0])]
)
async def test_too_long_for_one_is_asked_of_larger_ones_only(
    two: int, three: int, calls: list[int], tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", QUICK + WINDOWS.format(two=two, three=three), count=3) as world:
        world.one.answer = lambda received: TOO_LONG
        reply, after = await world.asked()
        assert world.calls == calls
    assert (reply.status, b"prompt is too long" in reply.body) == ((400, True) if calls == [1, 0, 0] else (200, False))
    assert after.attempts[0]["error_class"] == "context-length"


async def test_who_stands_ready_for_another_failure_is_passed_over_too_if_too_small(tmp_path: Path) -> None:
    """The first call fails so that it is made again, the second says that the request is too long."""
    async with targets(tmp_path / "home", QUICK + WINDOWS.format(two=900, three=2000), count=3) as world:
        replies = [failing(500), TOO_LONG]
        world.one.answer = lambda received: replies.pop(0)
        reply, _ = await world.asked()
        assert world.calls == [2, 0, 1]
    assert reply.status == 200


async def test_too_long_for_what_no_rule_looks_at_is_told_as_it_is(tmp_path: Path) -> None:
    text = "This model's maximum context length is 8192 tokens, however you requested 10000 tokens"
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: failing(400, text)
        reply = await world.router.post("/work/v1/embeddings", json={"model": "embed", "input": "word " * 10_000})
        assert reply.status == 400
        assert text in await reply.text()
        assert world.calls == [1, 0]


# --- several keys -----------------------------------------------------------------------------------------------------

KEYS = ("env:FIRST_KEY", "env:SECOND_KEY", "env:THIRD_KEY")


@pytest.fixture
def three_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(KEYS):
        monkeypatch.setitem(ENVIRON, name.removeprefix("env:"), f"sk-canary-{number}-{'x' * 20}")


def by_key(**faults: list[Step]) -> Callable[[Received], Iterable[Step]]:
    def reply(received: Received) -> Iterable[Step]:
        told = f"{received.headers}"
        for number, name in enumerate(("first", "second", "third")):
            if f"sk-canary-{number}" in told and name in faults:
                return faults[name]
        return answer(received)

    return reply


def keys_used(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["key_name"].removeprefix("env:").removesuffix("_KEY").lower() for row in rows]


@pytest.mark.usefixtures("three_keys")
async def test_a_refused_key_is_replaced_by_one_that_isnt_left_alone(tmp_path: Path) -> None:
    settings = QUICK + "attempts = 3\n"
    async with targets(tmp_path / "home", settings, count=1, keys=KEYS, resentful=True) as world:
        world.one.answer = by_key(first=failing(402), second=failing(401))
        reply, after = await world.asked()
        assert (reply.status, keys_used(after.attempts)) == (200, ["first", "second", "third"])
        reply, after = await world.asked()
        assert (reply.status, keys_used(after.attempts)) == (200, ["third"])
        world.one.answer = by_key(third=failing(401))
        reply, after = await world.asked()
        assert reply.status == 403
        assert keys_used(after.attempts) == ["third"], "the others are left alone, whatever becomes of this one"


@pytest.mark.usefixtures("three_keys")
async def test_a_call_made_again_uses_no_key_that_is_left_alone(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", count=1, keys=KEYS[:2], resentful=True) as world:
        world.one.answer = by_key(first=failing(402))
        await world.asked()
        limited = failing(429, headers=[("retry-after-ms", "20")])
        world.one.answer = by_key(second=limited)
        reply, after = await world.asked()
    assert keys_used(after.attempts) == ["second", "second"]
    assert reply.status == 429


@pytest.mark.usefixtures("three_keys")
async def test_a_key_at_its_limit_hands_over_to_the_next_one(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", count=1, keys=KEYS[:2], resentful=True) as world:
        world.one.answer = by_key(first=failing(429, headers=[("retry-after", "7")]))
        reply, after = await world.asked()
        in_time(after.row["duration_ms"] / 1000, 1)
    assert (reply.status, keys_used(after.attempts)) == (200, ["first", "second"])


# --- other formats ----------------------------------------------------------------------------------------------------


def texts_of(form: Format, body: bytes, *, stream: bool) -> str:
    """All text of an answer, whatever its events are."""
    if not stream:
        found = [json.loads(body)]
    else:
        lines = [line.removeprefix(b"data: ") for line in body.splitlines() if line.startswith(b"data: {")]
        found = [json.loads(line) for line in lines]
    parts: list[str] = []

    def collect(value: object, name: str = "") -> None:
        if isinstance(value, dict):
            for key, member in value.items():
                collect(member, key)
        elif isinstance(value, list):
            for member in value:
                collect(member, name)
        elif isinstance(value, str) and name in ("text", "content", "delta"):
            parts.append(value)

    for each in found:
        collect(each)
    return "".join(parts)


PAIRS = [
    pytest.param(form, other, id=f"{form.name} falls back to {other.name}")
    for form in FORMATS
    for other in FORMATS
    if form is not other
]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("stream", WAYS, ids=WAY_NAMES)
@pytest.mark.parametrize(("form", "other"), PAIRS)
async def test_who_speaks_another_format_can_take_over(
    form: Format, other: Format, stream: bool, tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", formats=[[form.name], [other.name]]) as world:
        world.one.answer = lambda received: failing(503)
        reply, after = await world.asked(form, stream=stream)
        assert (reply.status, reply.headers["x-router-provider"], reply.whole) == (200, "two", True)
        assert "Hello, world" in texts_of(form, reply.body, stream=stream)
        assert [row["api"] for row in after.attempts] == [form.name, form.name, other.name]
        # And the other way round: who is asked in a foreign format fails, who speaks the client's takes over.
    async with targets(tmp_path / "back", formats=[[other.name], [form.name]]) as world:
        world.one.answer = lambda received: failing(503)
        reply, after = await world.asked(form, stream=stream)
        assert reply.body == says(form, "model-2", stream=stream)
        assert after.told == ("ok", None)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("last", [500, 503, 429, 401])
async def test_an_error_that_is_last_is_told_in_the_clients_format(form: Format, last: int, tmp_path: Path) -> None:
    other = next(each for each in FORMATS if each is not form)
    async with targets(tmp_path / "home", formats=[[form.name], [other.name]]) as world:
        world.one.answer = lambda received: failing(500)
        world.two.answer = lambda received: failing(last, "the last one's words")
        reply, after = await world.asked(form)
    assert form.error_of(reply.body)
    assert reply.status == (403 if last == 401 else last)
    assert after.row["outcome"] == "upstream-error"


@pytest.mark.parametrize("stream", WAYS, ids=WAY_NAMES)
async def test_what_a_target_refuses_is_left_out_also_when_it_is_called_again(stream: bool, tmp_path: Path) -> None:
    refusal = failing(400, "Unsupported parameter: 'temperature' is not supported with this model.")
    failures = [failing(500)]

    def picky(received: Received) -> Iterable[Step]:
        if "temperature" in received.json:
            return refusal
        return failures.pop() if failures else answer(received)

    body = json.dumps({**MESSAGES.body, "temperature": 0.5, "stream": stream}).encode()
    async with targets(tmp_path / "home", formats=[["openai-chat"], ["openai-chat"]]) as world:
        world.one.answer = picky
        reply, after = await world.asked(body=body, stream=stream)
        assert (reply.status, story(after)[:2]) == (
            200,
            [("primary", "one", "bad-request"), ("retry", "one", "server")],
        )
        assert reply.headers["x-router-provider"] == "two", "the last call is the next candidate's"
    failures.append(failing(500))
    async with targets(tmp_path / "alone", count=1, formats=[["openai-chat"]]) as world:
        world.one.answer = picky
        reply, after = await world.asked(body=body, stream=stream)
        assert reply.status == 200
        assert [attempt["error_class"] for attempt in after.attempts] == ["bad-request", "server", None]
        _, after = await world.asked(body=body, stream=stream)
        assert [attempt["error_class"] for attempt in after.attempts] == [None], "and was learned"


async def test_a_continued_reply_never_leaves_its_provider(tmp_path: Path) -> None:
    async with targets(tmp_path / "home") as world:
        await world.asked(RESPONSES)
        world.one.answer = lambda received: failing(503)
        body = json.dumps({**RESPONSES.body, "previous_response_id": "resp_1"}).encode()
        reply, after = await world.asked(RESPONSES, body=body)
        assert reply.status == 503
        assert {attempt["provider"] for attempt in after.attempts} == {"one"}
        assert world.two.requests == []
        reply, _ = await world.asked(RESPONSES)
        assert reply.status == 200


async def test_counting_tokens_is_asked_of_one_target_only(tmp_path: Path) -> None:
    text = f'{QUICK}[default]\ntarget = "anthropic/claude-haiku-4-5"\nfallback = ["two/model-2"]\n'
    count = request("POST", "/work/v1/messages/count_tokens", MESSAGES.body)
    async with FakeProvider(answer) as one, FakeProvider(answer) as two:
        addresses = {"anthropic": one.url, "two": two.url}
        async with serving(tmp_path / "home", {"work": text}, providers=addresses, resentful=True) as router:
            for fault, calls, status in ((500, 2, 500), (429, 2, 429), (429, 0, 200)):
                one.answer = lambda received, fault=fault: failing(fault)
                async with aftermath(router, one, two) as after:
                    reply = await ask(router.url, count)
                assert (reply.status, len(after.attempts)) == (status, calls)
                assert not after.row["cost_nano_usd"]
            assert json.loads(reply.body)["input_tokens"] > 0, "who is left alone isn't waited for: estimated"
            assert two.requests == []


# --- what is told -----------------------------------------------------------------------------------------------------


@pytest.mark.sampled(3)
@pytest.mark.parametrize("stream", WAYS, ids=WAY_NAMES)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_who_answered_is_told_and_paid(form: Format, stream: bool, tmp_path: Path) -> None:
    async with targets(tmp_path / "home") as world:
        costs = []
        for fault in (None, failing(503)):
            if fault is not None:
                world.one.answer = lambda received, fault=fault: fault
            reply, after = await world.asked(form, stream=stream)
            name, model = ("one", "model-1") if fault is None else ("two", "model-2")
            assert (reply.headers["x-router-provider"], reply.headers["x-router-model"]) == (name, model)
            assert (after.row["provider"], after.row["model"]) == (name, model)
            assert reply.headers["x-router-attempts"] == str(after.row["attempts"])
            assert reply.headers["x-router-route-reason"] == after.row["reason"]
            assert after.row["cost_nano_usd"] == after.attempts[-1]["cost_nano_usd"]
            costs.append(after.row["cost_nano_usd"])
        assert costs[1] == 2 * costs[0], "the second model costs twice as much"
        assert [attempt["cost_nano_usd"] for attempt in after.attempts[:-1]] == [0, 0]


# --- all kinds of faults ----------------------------------------------------------------------------------------------

PASSING: list[list[Step]] = [
    [Close()],
    [Reset()],
    [Raw(b"HTTP/1.1 200 OK\r\ncontent-le"), Close()],
    [Raw(b"\x00" * 100), Close()],
    [Status(200), End()],
    [Status(200), Send(b'{"type":"mess'), Close()],
    [Status(500), Send(b'{"type":"err'), Reset()],
    whole(b"<html>busy</html>", status=502),
    whole(b"<html>log in to this network</html>"),
    whole({"type": "error", "error": {"type": "api_error", "message": "sick"}}),
    whole({**message("m"), "content": []}),
    failing(500),
    failing(502),
    failing(503),
    failing(504),
    failing(529, "Overloaded"),
    failing(408),
    failing(301),
]
OF_STREAMS: list[list[Step]] = [
    [Status(200, SSE), Close()],
    [Status(200, SSE), End()],
    [*opening(MESSAGES.events()[0]), Reset()],
    stream(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'),
]
LASTING: list[list[Step]] = [
    failing(503, headers=[("retry-after", "1")]),
    failing(429, headers=[("retry-after-ms", "20")]),
    failing(429, "usage increased too quickly"),
    failing(402),
    failing(401),
    failing(404, "model not found"),
]


SHAKY = [
    # share of the second target's calls that fail, requests of 2,000 that may be lost; see tests/health/test_retry.py
    pytest.param(QUICK, 0.0, 0, id="the other target is well"),
    pytest.param(QUICK, 0.1, 8, id="the other target is no better, with three calls"),
    pytest.param(QUICK + "attempts = 3\ntotal = 6\n", 0.1, 2, id="the other target is no better"),
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("resentful", [False, True], ids=["forgiving", "resentful"])
@pytest.mark.parametrize(("settings", "share", "most"), SHAKY)
async def test_every_tenth_call_fails_and_nobody_notices(
    settings: str, share: float, most: int, resentful: bool, tmp_path: Path
) -> None:
    faults = PASSING if resentful else PASSING + LASTING  # after those a target is left alone for longer than this
    calls = Counter[bytes]()
    noticed: list[tuple[int, bytes]] = []

    def shaky(share: float) -> Callable[[Received], Iterable[Step]]:
        def reply(received: Received) -> Iterable[Step]:
            """The fate of a call is drawn by its request and number, so that it is the same in every run."""
            calls[received.body] += 1
            chance = random.Random(b"%s %d" % (received.body, calls[received.body]))
            if chance.random() >= share:
                return answer(received)
            return chance.choice(faults + OF_STREAMS if received.json.get("stream") else faults)

        return reply

    async with targets(tmp_path / "home", settings, resentful=resentful) as world:
        world.one.answer, world.two.answer = shaky(0.1), shaky(share)

        async def client(numbers: Iterator[int]) -> None:
            for number in numbers:
                streamed = bool(number % 2)
                text = {"messages": [{"role": "user", "content": f"Hello {number}"}]}
                body = json.dumps({**MESSAGES.body, **text, "stream": streamed}).encode()
                reply = await world.ask(body=body)
                good = [says(MESSAGES, model, stream=streamed) for model in ("model-1", "model-2")]
                if reply.status != 200 or not reply.whole or reply.body not in good:
                    noticed.append((reply.status, reply.body[:300]))

        async with world.many(2000):
            numbers = iter(range(2000))
            await asyncio.gather(*(client(numbers) for _ in range(8)))
        failed = [call for call in await world.router.rows("attempts") if call["error_class"] is not None]
    assert len(noticed) <= most, noticed
    assert len(failed) > 150
