# ruff: noqa: E501  (tables)

"""Providers that answer what no provider should: strange heads, redirects, bombs, rubbish in their streams."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from router.server import attempt
from tests.support.aftermath import aftermath
from tests.support.answers import chat_chunks, message, messages_events
from tests.support.asking import CHAT, FORMATS, GEMINI, MESSAGES, RESPONSES, Format
from tests.support.memory import forget_the_most, most_memory
from tests.support.provider import Close, FakeProvider, Raw, Send, Status, Step, stream, whole
from tests.support.raw import RawReply, ask, request
from tests.support.watchdog import watchdog

pytestmark = pytest.mark.sampled(2)

WHOLE = json.dumps(message("model-1")).encode()
MARK = "INJECTEDMARK"


async def asked(arena: Any, form: Format = MESSAGES, *, streamed: bool = False) -> RawReply:
    path, body = form.request(stream=streamed)
    return await ask(arena.router.url, request("POST", f"/work{path}", body))


def head(*lines: bytes, status: bytes = b"200 OK", body: bytes = WHOLE) -> list[Step]:
    start = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return [Raw(start + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)]


PASSED = [
    pytest.param(head(b"Set-Cookie: a=INJECTEDMARK", b"Set-Cookie2: INJECTEDMARK"), id="cookies"),
    pytest.param(head(b"Location: http://INJECTEDMARK.test/"), id="a location without a redirect"),
    pytest.param(head(b"Access-Control-Allow-Origin: *", b"X-Frame-Options: INJECTEDMARK"), id="a browser's permissions"),
    pytest.param(head(b"Connection: X-Request-Id", b"Keep-Alive: timeout=INJECTEDMARK"), id="hop-by-hop headers"),
    pytest.param(head(b"Server: INJECTEDMARK", b"Via: INJECTEDMARK", b"X-Powered-By: INJECTEDMARK"), id="its software"),
    pytest.param(head(b"anthropic-organization-id: INJECTEDMARK", b"openai-organization: INJECTEDMARK"), id="our accounts"),
    pytest.param(head(b"x-router-rule: INJECTEDMARK", b"X-Router-Cost-Usd: 999"), id="headers of ours"),
    pytest.param(head(b"Strict-Transport-Security: max-age=1", b"Alt-Svc: h3=INJECTEDMARK", b"Refresh: 0; url=INJECTEDMARK"), id="orders to browsers"),
    pytest.param(head(*[b"X-H%d: INJECTEDMARK" % number for number in range(80)]), id="many headers"),
    pytest.param([Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 20), *head()], id="twenty times continue"),
    pytest.param([Raw(b"HTTP/1.1 103 Early Hints\r\nLink: <INJECTEDMARK>\r\n\r\n"), *head()], id="early hints"),
]  # fmt: skip


@pytest.mark.parametrize("steps", PASSED)
async def test_only_known_headers_of_a_reply_reach_the_client(steps: list[Step], arena: Any) -> None:
    arena.provider.answer = lambda received: steps
    async with aftermath(arena.router, arena.provider) as after:
        reply = await asked(arena)
    assert reply.status == 200
    assert reply.body == WHOLE
    assert MARK.encode() not in reply.raw
    assert reply.headers["x-router-cost-usd"] != "999"
    assert not {"set-cookie", "location", "access-control-allow-origin", "keep-alive"} & reply.headers.keys()
    assert after.told == ("ok", None)


INJECTING = [
    pytest.param(head(b"X-Request-Id: a\x00INJECTEDMARK"), id="a null byte"),
    pytest.param(head(b"X-Request-Id: a\rINJECTEDMARK: 1"), id="a carriage return"),
    pytest.param(head(b"X-Request-Id: a\nINJECTEDMARK: 1"), id="a line feed"),
    pytest.param(head(b"Request-Id: a\r\n INJECTEDMARK: 1"), id="a folded line"),
    pytest.param(head(b"X-Request-Id: \xff\xfe"), id="bytes that are no text"),
    pytest.param(head("X-Request-Id: ünï\u2028".encode()), id="text that isn't ASCII"),
    pytest.param(head(b"X-Request-Id: \x1b[31mred"), id="a colour"),
    pytest.param(head(b"X-Request-Id: \x7f"), id="delete"),
    pytest.param(head(b"Retry-After: 1e999", b"Retry-After-Ms: NaN"), id="a time that is none"),
    pytest.param(head(b"Content-Type: text/html; x=\xff"), id="two types, one no text"),
    pytest.param(head(b"X-Request-Id: " + b"a" * 7000), id="a long value"),
]  # fmt: skip


@pytest.mark.parametrize("steps", INJECTING)
async def test_no_header_of_a_reply_can_inject_another(steps: list[Step], arena: Any) -> None:
    arena.provider.answer = lambda received: steps
    async with aftermath(arena.router, arena.provider):
        reply = await asked(arena)
    assert reply.status in (200, 502)
    assert reply.whole
    assert MARK.lower() not in reply.headers
    lines = reply.raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert not any(line.startswith(MARK.encode()) for line in lines)
    assert all(32 <= byte < 127 or byte == 9 for line in lines for byte in line)


BROKEN = [
    pytest.param([Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n" + WHOLE), Close()], id="two lengths"),
    pytest.param([Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + WHOLE), Close()], id="a length and chunks"),
    pytest.param([Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n" + WHOLE), Close()], id="chunks of chunks"),
    pytest.param([Raw(b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 2**20 + b"\r\n\r\n"), Close()], id="a header of a megabyte"),
    pytest.param([Raw(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200_000 + b"\r\n"), Close()], id="countless headers"),
    pytest.param([Raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), Close()], id="a negative length"),
    pytest.param([Raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), Close()], id="a length that is none"),
    pytest.param([Raw(b"HTTP/1.1 abc OK\r\n\r\n"), Close()], id="a status that is none"),
    pytest.param([Raw(b"HTTP/1.1 99999 OK\r\n\r\n"), Close()], id="a status too large"),
    pytest.param([Raw(b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n"), Close()], id="another version"),
    pytest.param([Raw(b"SSH-2.0-OpenSSH_9.0\r\n"), Close()], id="another protocol"),
    pytest.param([Raw(b"\x15\x03\x01\x00\x02\x02\x28"), Close()], id="TLS"),
    pytest.param([Raw(b"\x00" * 10_000), Close()], id="null bytes"),
    pytest.param([Raw(b"<html>"), Close()], id="a page without a head"),
    pytest.param([Close()], id="nothing"),
    pytest.param([Status(200), Raw(b"zz\r\nabc"), Close()], id="chunks that are none"),
    pytest.param([Status(200), Raw(b"ffffffffffffffff\r\nabc"), Close()], id="an endless chunk"),
    pytest.param([Raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), Close()], id="another protocol, politely"),
    pytest.param([Raw(b"HTTP/1.1 100 Continue\r\n\r\n"), Close()], id="continue and no more"),
    pytest.param([Raw(b"HTTP/1.1 199 Odd\r\n\r\n"), Close()], id="an unknown 1xx and no more"),
]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("steps", BROKEN)
async def test_a_broken_reply_is_a_bad_gateway(steps: list[Step], streamed: bool, arena: Any) -> None:
    arena.provider.answer = lambda received: steps
    async with aftermath(arena.router, arena.provider) as after:
        reply = await asked(arena, streamed=streamed)
    assert reply.status == 502, reply.raw[:300]
    assert reply.whole
    assert MESSAGES.error_of(reply.body)
    assert after.row["outcome"] == "upstream-error"
    assert after.row["error_class"] in ("connect", "broken-start", "broken-stream", "server")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308, 399])
async def test_redirects_are_never_followed(status: int, streamed: bool, arena: Any) -> None:
    async with FakeProvider(lambda received: whole(WHOLE)) as elsewhere:
        target = f"{elsewhere.url}/{MARK}"
        arena.provider.answer = lambda received: [
            Raw(
                b"HTTP/1.1 %d X\r\nLocation: %s\r\nRefresh: 0; url=%s\r\nContent-Length: 0\r\n\r\n"
                % (status, target.encode(), target.encode())
            )
        ]
        async with aftermath(arena.router, arena.provider) as after:
            reply = await asked(arena, streamed=streamed)
        assert reply.status == 502
        assert MARK.encode() not in reply.raw
        assert elsewhere.connections == 0, "no key is carried elsewhere"
    assert after.told == ("upstream-error", "server")


async def test_cookies_are_not_kept(arena: Any) -> None:
    arena.provider.answer = lambda received: head(b"Set-Cookie: session=1; Path=/")
    for _ in range(3):
        await asked(arena)
    assert all("cookie" not in seen.headers for seen in arena.provider.requests)


# --- compressed replies -----------------------------------------------------------------------------------------------


def packed(data: bytes, encoding: str = "gzip", kind: str = "application/json") -> list[Step]:
    headers = (("content-type", kind), ("content-encoding", encoding), ("content-length", str(len(data))))
    return [Status(200, headers, chunked=False), Raw(data)]


async def test_uncompressed_replies_are_asked_for(arena: Any) -> None:
    arena.provider.answer = lambda received: whole(WHOLE)
    data = request(
        "POST", "/work/v1/messages", MESSAGES.request(stream=False)[1], headers=[("Accept-Encoding", "gzip, br, zstd")]
    )
    await ask(arena.router.url, data)
    assert arena.provider.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        pytest.param(gzip.compress(WHOLE), "gzip", id="gzip"),
        pytest.param(gzip.compress(b"\x00" * 2**26), "gzip", id="a bomb"),
        pytest.param(b"not gzip at all", "gzip", id="a false label"),
        pytest.param(WHOLE, "identity", id="identity"),
        pytest.param(WHOLE, "nonsense", id="an unknown word"),
        pytest.param(b"\x1b\xff\xff\xff\x03" + b"\x00" * 20, "br", id="brotli"),
        pytest.param(b"\x28\xb5\x2f\xfd" + b"\xff" * 20, "zstd", id="zstd"),
    ],
)
async def test_a_reply_that_comes_compressed_passes_as_it_is(data: bytes, encoding: str, arena: Any) -> None:
    arena.provider.answer = lambda received: packed(data, encoding)
    forget_the_most()
    before = most_memory()
    async with watchdog(0.02), aftermath(arena.router, arena.provider) as after:
        reply = await asked(arena)
    assert most_memory() - before < 32 * 2**20
    assert reply.status == 200
    assert reply.body == data
    assert reply.headers.get("content-encoding") == encoding
    assert after.row["outcome"] == "ok"
    if encoding == "gzip":
        assert after.row["input"] is None, "unknown, not 0"
        assert after.row["cost_nano_usd"] is None


@pytest.mark.parametrize("size", [1, 4000], ids=["short", "long"])
async def test_a_stream_that_comes_compressed_never_looks_whole_unread(size: int, arena: Any) -> None:
    """Its end can't be seen, so it can't be told from one that was cut."""
    data = gzip.compress(b"".join(messages_events("m", (random.Random(1).randbytes(100).hex() for _ in range(size)))))
    arena.provider.answer = lambda received: packed(data, kind="text/event-stream")
    async with aftermath(arena.router, arena.provider) as after:
        reply = await asked(arena, streamed=True)
    assert after.row["outcome"] in ("upstream-error", "partial")
    assert reply.status == 502 or not reply.whole


# --- rubbish in streams -----------------------------------------------------------------------------------------------

EVENTS = {form.name: form.events() for form in FORMATS}
RUBBISH = [
    b"\x00\x01\x02\xff\xfe", b"\n" * 1000, b"\r" * 1000, b": comment\n" * 500, b":\n\n" * 500, b"data:\n\n", b"data\n\n",
    b"data: {\n\n", b"data: null\n\n", b"data: []\n\n", b'data: "x"\n\n', b"data: 1\n\n", b"data: {}\n\n", b"event:\n\n",
    b"event: \xff\ndata: {}\n\n", b"event: message_delta\ndata: []\n\n", b'event: message_delta\ndata: {"usage": 5}\n\n',
    b'event: message_start\ndata: {"message": null}\n\n', b'data: {"choices": "x"}\n\n', b'data: {"choices": [null]}\n\n',
    b'data: {"type": 5}\n\n', b'data: {"candidates": {"a": []}}\n\n', b'data: {"usage": {"input_tokens": "many"}}\n\n',
    b'data: {"usage": {"prompt_tokens": -5, "completion_tokens": 1e400}}\n\n', b"id: 1\nretry: 5\n\n", b"\xef\xbb\xbf",
    b"data: " + b"[" * 5000 + b"]" * 5000 + b"\n\n", b"data: " + b"9" * 5000 + b"\n\n", b"unknown: field\n\n",
    b'event: ping\ndata: {"type": "ping"}\n\n' * 100, b'data: {"error": null}\n\n', b'data: {"delta": {"stop_reason": []}}\n\n',
]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_rubbish_between_events_passes_and_harms_nobody(form: Format, arena: Any) -> None:
    events = form.events()
    for rubbish in RUBBISH:
        parts = [*events[:3], rubbish if rubbish.endswith(b"\n\n") else rubbish + b"\n\n", *events[3:]]
        if form is GEMINI:
            parts = [*events[:2], parts[3], *events[2:]]
        arena.provider.answer = lambda received, parts=parts: stream(*parts)
        async with aftermath(arena.router, arena.provider) as after:
            reply = await asked(arena, form, streamed=True)
        assert reply.body == b"".join(parts), rubbish[:40]
        assert reply.whole
        assert after.told == ("ok", None)
        assert after.row["input"] is None or 0 <= after.row["input"] < 10**12


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_events_out_of_order_pass_or_are_told_of(
    form: Format, arena: Any, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(form.name)
    for _ in range(25):
        parts = form.events()
        chance.shuffle(parts)
        arena.provider.answer = lambda received, parts=parts: stream(*parts)
        async with aftermath(arena.router, arena.provider) as after:
            reply = await asked(arena, form, streamed=True)
        if reply.status == 200 and reply.whole:
            assert reply.body == b"".join(parts)
        else:
            assert after.row["outcome"] in ("upstream-error", "partial")
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_mutated_streams_never_break_the_router(
    form: Format, arena: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(form.name)
    for _ in range(150):
        data = bytearray(b"".join(form.events()))
        for _ in range(rng.randint(1, 30)):
            place = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[place] = rng.randrange(256)
                case 1:
                    del data[place : place + rng.randint(1, 50)]
                case 2:
                    data[place:place] = data[rng.randrange(len(data)) :][: rng.randint(1, 80)]
                case 3:
                    data[place:place] = rng.choice(RUBBISH)
        cuts = sorted(rng.sample(range(1, len(data)), min(len(data) - 1, rng.randint(0, 8))))
        parts = [bytes(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        arena.provider.answer = lambda received, parts=parts: stream(*parts)
        async with aftermath(arena.router, arena.provider) as after:
            reply = await asked(arena, form, streamed=True)
        assert reply.status in (200, 502, 503)
        if after.row["outcome"] == "ok":
            assert reply.body == bytes(data)
            assert reply.whole
        else:
            assert reply.status != 200 or form is GEMINI or b"error" in reply.body
    assert "internal" not in {row["error_class"] for row in await arena.router.rows()}
    assert not [record for record in caplog.records if record.exc_info]


USAGES = [
    {"input_tokens": -1, "output_tokens": -5}, {"input_tokens": 10**30, "output_tokens": 1}, {"input_tokens": "12"},
    {"input_tokens": None}, {"input_tokens": 1.5}, {"input_tokens": True}, {"input_tokens": [1]}, [], 5, "x", None,
    {"input_tokens": 10**12, "output_tokens": 10**12, "cache_read_input_tokens": 10**12}, {"cache_creation": {"x": {}}},
    {"iterations": [{"type": "compaction", "input_tokens": 10**12}] * 50}, {"service_tier": {}, "input_tokens": 1},
]  # fmt: skip


@pytest.mark.parametrize("form", [MESSAGES, CHAT, RESPONSES], ids=lambda form: form.name)
async def test_usage_that_cannot_be_is_unknown_and_never_stops_the_ledger(form: Format, arena: Any) -> None:
    for usage in USAGES:
        renamed = usage
        if isinstance(usage, dict) and form is CHAT:
            renamed = {
                name.replace("input_", "prompt_").replace("output_", "completion_"): value
                for name, value in usage.items()
            }
        arena.provider.answer = lambda received, usage=renamed: whole(
            {**message("model-1"), "choices": [], "output": [], "usage": usage}
        )
        async with aftermath(arena.router, arena.provider) as after:
            reply = await asked(arena, form)
        assert reply.status == 200
        for column in ("input", "output", "cost_nano_usd"):
            assert after.row[column] is None or after.row[column] >= 0
    assert arena.router.app.ledger.failing is None
    assert arena.router.app.ledger.lost == 0


async def test_a_reply_too_large_is_given_up(arena: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "REPLY_CAP", 100_000)
    monkeypatch.setattr(attempt, "ERROR_CAP", 10_000)

    def endless(status: int) -> Iterator[Step]:
        yield Status(status)
        while True:
            yield Send(b" " * 5000)

    for status in (200, 500):
        arena.provider.answer = lambda received, status=status: endless(status)
        async with aftermath(arena.router, arena.provider) as after:
            reply = await asked(arena)
        assert reply.status == 502
        assert "larger than" in MESSAGES.error_of(reply.body)
        assert after.told == ("upstream-error", "server")


async def test_many_interleaved_streams_are_never_mixed_up(arena: Any) -> None:
    def own(received: Any) -> list[Step]:
        name = received.json["messages"][0]["content"]
        return stream(*chat_chunks("m", usage=True, texts=[f"<{name}:{number}>" for number in range(30)]))

    arena.provider.answer = own

    async def one(number: int) -> None:
        body = {**CHAT.body, "stream": True, "messages": [{"role": "user", "content": f"n{number}"}]}
        reply = await ask(arena.router.url, request("POST", "/work/v1/chat/completions", body))
        assert reply.whole
        assert reply.body.count(f"<n{number}:".encode()) == 30
        assert reply.body.count(b"<n") == 30

    await asyncio.gather(*(one(number) for number in range(60)))
    rows = await arena.router.rows()
    assert {row["outcome"] for row in rows} == {"ok"}
    assert len(rows) == 60
