# ruff: noqa: E501  (a table reads better with a case a line)

"""Requests that no client of ours sends: framing tricks, strange targets, bytes where text should be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.aftermath import aftermath, at_rest, nothing_recorded
from tests.support.answers import answer
from tests.support.asking import FORMATS, MESSAGES, PROFILE, Format
from tests.support.provider import FakeProvider
from tests.support.raw import RawClient, RawReply, ask, request
from tests.support.serving import serving
from tests.support.slow import within

pytestmark = pytest.mark.sampled(2)

MARK = b"ATTACKERMARK"
BODY = MESSAGES.request(stream=False)[1]
PATH = b"/work/v1/messages"
HEAD = b"POST " + PATH + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
SECOND = b"POST " + PATH + b"?second HTTP/1.1\r\nHost: 127.0.0.1\r\n" + LENGTH + b"\r\n" + BODY


@pytest.fixture
def served(arena: Any) -> Any:
    arena.provider.answer = answer
    return arena


SMUGGLING = [
    pytest.param(HEAD + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, id="a length and chunks"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + CHUNKS, id="chunks and a length"),
    pytest.param(HEAD + LENGTH + LENGTH + b"\r\n" + BODY, id="the same length twice"),
    pytest.param(HEAD + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY, id="two lengths"),
    pytest.param(HEAD + b"Content-Length: %d, %d\r\n\r\n" % (len(BODY), len(BODY)) + BODY, id="a list of lengths"),
    pytest.param(HEAD + b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY, id="a signed length"),
    pytest.param(HEAD + b"Content-Length: -1\r\n\r\n" + BODY, id="a negative length"),
    pytest.param(HEAD + b"Content-Length: 0x10\r\n\r\n" + BODY, id="a length in hexadecimal"),
    pytest.param(HEAD + b"Content-Length: 1_0\r\n\r\n" + BODY, id="a length with an underscore"),
    pytest.param(HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + BODY, id="a length beyond all integers"),
    pytest.param(HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS, id="xchunked"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS, id="chunked, identity"),
    pytest.param(HEAD + b"Transfer-Encoding: identity\r\n\r\n" + BODY, id="identity"),
    pytest.param(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS, id="gzip, chunked"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS, id="chunked twice"),
    pytest.param(HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + CHUNKS, id="a vertical tab before chunked"),
    pytest.param(HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS, id="a space before the colon"),
    pytest.param(HEAD + b"Content-Length : %d\r\n\r\n" % len(BODY) + BODY, id="a space before the length's colon"),
    pytest.param(HEAD + b"X: 1\r\n folded: 2\r\n" + LENGTH + b"\r\n" + BODY, id="a folded header"),
    pytest.param(HEAD.replace(b"\r\n", b"\n") + LENGTH.replace(b"\r\n", b"\n") + b"\n" + BODY, id="bare line feeds"),
    pytest.param(HEAD + b"X: a\rb\r\n" + LENGTH + b"\r\n" + BODY, id="a bare carriage return"),
    pytest.param(HEAD + b"X: a\x00b\r\n" + LENGTH + b"\r\n" + BODY, id="a null byte in a value"),
    pytest.param(HEAD + b"X\x00Y: a\r\n" + LENGTH + b"\r\n" + BODY, id="a null byte in a name"),
    pytest.param(HEAD + b"X(Y): a\r\n" + LENGTH + b"\r\n" + BODY, id="a bracket in a name"),
    pytest.param(HEAD + b": a\r\n" + LENGTH + b"\r\n" + BODY, id="a header without a name"),
    pytest.param(HEAD + b"no colon at all\r\n" + LENGTH + b"\r\n" + BODY, id="a header without a colon"),
    pytest.param(HEAD + b"Host: 127.0.0.1\r\n" + LENGTH + b"\r\n" + BODY, id="two hosts"),
    pytest.param(b"POST " + PATH + b" HTTP/1.1\r\n" + LENGTH + b"\r\n" + BODY, id="no host"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nabcde\r\n0\r\n\r\n", id="a signed chunk size"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabcde\r\n0\r\n\r\n", id="a chunk size that is none"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n", id="a chunk longer than it says"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nabcde\n0\n\n", id="chunks with bare line feeds"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabcde", id="an endless chunk size"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[:-2] + b"Content-Length: 5\r\n\r\n",
                 id="a length among the trailers"),
    pytest.param(HEAD + LENGTH + b"X-Many: 1\r\n" * 200 + b"\r\n" + BODY, id="two hundred headers"),
    pytest.param(HEAD + LENGTH + b"X-Long: " + b"a" * 40_000 + b"\r\n\r\n" + BODY, id="a header of 40 KB"),
    pytest.param(b"POST /work/v1/messages/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", id="a long target"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, id="TLS on a plain port"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 with prior knowledge"),
    pytest.param(b"\x00" * 512, id="null bytes"),
    pytest.param(b"GET\r\n\r\n", id="nearly nothing"),
]  # fmt: skip


@pytest.mark.parametrize("data", SMUGGLING)
async def test_ambiguous_framing_is_refused_and_the_connection_closed(data: bytes, served: Any) -> None:
    async with nothing_recorded(served.router, served.provider), RawClient(served.router.url) as client:
        await client.send(data.replace(b"Content-Type: application/json", b"X-Mark: " + MARK) + SECOND)
        with within(5):
            raw = await client.until_closed()
    assert raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), raw[:200]
    assert raw.count(b"HTTP/1.") == 1, "what follows is not taken for a request"
    assert MARK not in raw


VALID = [
    pytest.param(HEAD + LENGTH + b"\r\n" + BODY, id="a length"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, id="chunks"),
    pytest.param(HEAD + b"TRANSFER-ENCODING:   Chunked  \r\n\r\n" + CHUNKS, id="chunks in other letters"),
    pytest.param(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"1;ext=\"%d\"\r\n%c\r\n" % (number, byte) for number, byte in enumerate(BODY)) + b"0;last\r\n\r\n",
        id="chunks of one byte with extensions",
    ),
    pytest.param(
        HEAD + b"Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n%x\r\n%s\r\n0\r\nX-A: 1\r\n\r\n"
        % (len(BODY), BODY),
        id="chunks and trailers",
    ),
    pytest.param(b"\r\n\r\n" + HEAD + LENGTH + b"\r\n" + BODY, id="empty lines before"),
    pytest.param(HEAD + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n" + BODY, id="expecting to be told to go on"),
    pytest.param(HEAD + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n" + LENGTH
                 + b"\r\n" + BODY, id="an offer to speak HTTP/2"),
]  # fmt: skip


@pytest.mark.parametrize("data", VALID)
async def test_the_provider_sees_our_framing_never_the_clients(data: bytes, served: Any) -> None:
    async with aftermath(served.router, served.provider) as after:
        reply = await real_reply(served.router.url, data)
    assert reply.status == 200
    assert after.told == ("ok", None)
    [seen] = served.provider.requests
    assert seen.headers["content-length"] == str(len(seen.body))
    assert not {"transfer-encoding", "trailer", "expect", "upgrade", "x-a", "http2-settings"} & seen.headers.keys()
    assert seen.json["messages"] == MESSAGES.body["messages"]


async def real_reply(url: str, data: bytes) -> RawReply:
    async with RawClient(url) as client:
        await client.send(data)
        reply = await client.reply()
        return await client.reply() if reply.status == 100 else reply


async def test_two_requests_at_once_on_one_connection_are_two(served: Any) -> None:
    async with RawClient(served.router.url) as client:
        await client.send(HEAD + LENGTH + b"\r\n" + BODY + SECOND)
        replies = [await client.reply(), await client.reply()]
    assert [reply.status for reply in replies] == [200, 200]
    assert [seen.path.partition("?")[2] for seen in served.provider.requests] == ["", "second"]


async def test_a_client_that_asks_first_is_told_to_go_on_or_refused_without_its_body(served: Any) -> None:
    asking = HEAD + b"Expect: 100-continue\r\n"
    async with RawClient(served.router.url) as client:
        await client.send(asking + LENGTH + b"\r\n")
        with within(1):
            reply = await client.reply()
        assert reply.status == 100
        await client.send(BODY)
        assert (await client.reply()).status == 200
    async with nothing_recorded(served.router, served.provider), RawClient(served.router.url) as client:
        await client.send(asking + b"Content-Length: 99999999999\r\n\r\n")
        with within(1):
            assert (await client.reply()).status == 413


TARGETS = [
    pytest.param(b"POST http://evil.test/work/v1/messages HTTP/1.1", 400, id="an absolute URL"),
    pytest.param(b"POST http://127.0.0.1/work/v1/messages HTTP/1.1", 400, id="an absolute URL of ours"),
    pytest.param(b"CONNECT evil.test:443 HTTP/1.1", 400, id="CONNECT"),
    pytest.param(b"OPTIONS * HTTP/1.1", 400, id="an asterisk"),
    pytest.param(b"POST work/v1/messages HTTP/1.1", 400, id="no slash"),
    pytest.param(b"POST /work/v1/messages HTTP/2.0", 400, id="version 2.0"),
    pytest.param(b"POST /work/v1/messages HTTP/0.9", 400, id="version 0.9"),
    pytest.param(b"POST /work/v1/messages HTTP/1.9", 400, id="version 1.9"),
    pytest.param(b"POST /work/v1/messages\xff HTTP/1.1", 400, id="a byte that is no text"),
    pytest.param("POST /work/v1/messages/ü HTTP/1.1".encode(), 400, id="a letter that isn't ASCII"),
    pytest.param(b"POST /work/v1/messages?x=\xff HTTP/1.1", 400, id="a byte that is no text in the query"),
    pytest.param(b"TRACE /work/v1/messages HTTP/1.1", 405, id="TRACE"),
    pytest.param(b"PUT /work/v1/messages HTTP/1.1", 405, id="PUT"),
    pytest.param(b"get /work/v1/messages HTTP/1.1", 400, id="a method in small letters"),
    pytest.param(b"XYZZY /work/v1/messages HTTP/1.1", 405, id="an unknown method"),
]


@pytest.mark.parametrize(("line", "status"), TARGETS)
async def test_strange_request_lines_reach_nobody(line: bytes, status: int, served: Any) -> None:
    async with nothing_recorded(served.router, served.provider):
        reply = await ask(served.router.url, line + b"\r\nHost: 127.0.0.1\r\n" + LENGTH + b"\r\n" + BODY)
    assert reply.status in (status, 400)
    assert b"evil" not in reply.raw


async def test_an_offer_of_websocket_is_declined_and_the_connection_goes_on_or_ends(served: Any) -> None:
    upgrade = (
        b"GET /work/v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with nothing_recorded(served.router, served.provider), RawClient(served.router.url) as client:
        await client.send(upgrade)
        assert (await client.reply()).status == 426
        await client.send(request("GET", "/health"))
        with within(2, "a client that reuses the connection must not be left waiting"):
            reply = await client.reply()
    assert reply.status in (0, 200)


@pytest.mark.parametrize("upgrade", [b"websocket", b"tcp", b"h2c", b"TLS/1.2"])
async def test_nothing_is_smuggled_behind_an_upgrade(upgrade: bytes, served: Any) -> None:
    head = HEAD + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\nSec-WebSocket-Key: x\r\n"
    tasks = asyncio.all_tasks()
    async with RawClient(served.router.url) as client:
        await client.send(head + LENGTH + b"\r\n" + BODY + SECOND)
        with within(3):
            first, second = await client.reply(), await client.reply()
    await at_rest(served.router, tasks)
    answered = [reply.status for reply in (first, second) if reply.status]
    assert answered in ([200], [200, 200], [400], [426])
    assert len(served.provider.requests) == answered.count(200)
    assert all(seen.json["messages"] == MESSAGES.body["messages"] for seen in served.provider.requests)


BYTES = [b"\xff\xfe", "ünï".encode(), "ünï".encode("latin-1"), b"\x80", b"\x1b[31m", b"a\tb", b"'; DROP TABLE requests;--",
         b"%s%n%x", b"<script>alert(1)</script>", b'"quoted"', b"\\", b"=?utf-8?b?w7w=?=", b"\x7f", b"a" * 7000]  # fmt: skip
NAMES = [b"User-Agent", b"X-Router-Tag", b"Session-Id", b"X-Claude-Code-Session-Id", b"X-Stainless-Lang", b"Idempotency-Key",
         b"Anthropic-Version", b"Traceparent", b"X-Client-Request-Id", b"Authorization", b"X-Api-Key", b"Cookie",
         b"X-App", b"Originator", b"Accept", b"Content-Type", b"X-Request-Id", b"X-Forwarded-For"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=bytes.decode)
async def test_any_bytes_in_a_header_are_passed_or_refused_and_never_a_fault(name: bytes, served: Any) -> None:
    for value in BYTES:
        plain = HEAD.replace(b"Content-Type: application/json\r\n", b"")
        reply = await ask(served.router.url, plain + name + b": " + value + b"\r\n" + LENGTH + b"\r\n" + BODY)
        assert reply.status in (200, 400), (value, reply)
    rows = await served.router.rows()
    assert served.router.app.ledger.lost == 0
    assert served.router.app.ledger.failing is None
    assert {row["outcome"] for row in rows} <= {"ok"}
    lines = log_lines(served)
    assert all(line.isprintable() for line in lines)
    assert len(lines) <= len(rows)


def log_lines(served: Any) -> list[str]:
    served.router.app.services.log.flush()
    log = served.router.app.home.logs / "work.log"
    return log.read_text().splitlines() if log.exists() else []


MODELS = ["a\r\nX-Injected: 1", "a\nb", "\x00", "\x1b[31mred", "ü✓", "'; DROP TABLE requests;--", "%s%n", "../../etc/passwd",
          "<script>", "a" * 100_000, "fake:../../x", "fake/a?b#c", "fake:a\r\nb", "", " ", "\u202egnp", "\u2028"]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_any_text_as_a_model_is_passed_or_refused_and_never_a_fault(form: Format, served: Any) -> None:
    if form.name == "gemini":
        pytest.skip("its model stands in the URL")
    for model in MODELS:
        path, _ = form.request(stream=False)
        body = {**form.body, "model": model}
        async with aftermath(served.router, served.provider):
            reply = await ask(served.router.url, request("POST", f"/work{path}", body))
        assert reply.status in (200, 400, 404), (model[:50], reply.status, reply.body[:300])
        assert "x-injected" not in reply.headers
    lines = log_lines(served)
    assert len(lines) == len(MODELS)


PROFILES = ["..", "%2e%2e", ".%2e", "%2e%2e%2f%2e%2e%2fetc", "%00", "work%00", "%77ork%2f", "\\", "..\\..", "WORK", "work.",
            "wörk", "w%C3%B6rk", "%ff", "CON", "a" * 4000, "work%0d%0aX:1", "*", "~", "$HOME", "work;a=1", "work%20", "_work",
            "-work", "%2e", ".", "work%2fv1", "w\u043erk".encode().hex(), "%25"]  # fmt: skip


@pytest.mark.parametrize("rest", ["/v1/messages", "/health", "/v1/models"])
async def test_names_that_are_no_profiles_are_refused(rest: str, served: Any) -> None:
    for name in PROFILES:
        for path in (f"/{name}{rest}", f"/p/{name}{rest}", f"//{name}//{rest}"):
            method = "POST" if rest == "/v1/messages" else "GET"
            raw = path.encode()
            line = method.encode() + b" " + raw + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}"
            async with nothing_recorded(served.router, served.provider):
                reply = await ask(served.router.url, line)
            assert reply.status in (400, 404, 405), (path, reply.status, reply.body)
            assert "x" not in reply.headers


ECHO = "ECHOMARK7"
ECHOING = [
    pytest.param(request("POST", f"/work/v1/{ECHO}", b"{}"), id="in the path"),
    pytest.param(request("POST", f"/{ECHO}/v1/messages", b"{}"), id="as a profile of capitals"),
    pytest.param(request("GET", f"/work/v1/messages?{ECHO}"), id="in the query"),
    pytest.param(request("POST", "/work/v1/messages", f'{{"model":"m","{ECHO}'.encode()), id="in broken JSON"),
    pytest.param(request("POST", "/work/v1/messages", f'"{ECHO}"'.encode()), id="as JSON of another kind"),
    pytest.param(request("POST", "/work/v1/messages", f'{{"model":{{"{ECHO}":1}},"messages":[]}}'.encode()), id="in a model"),
    pytest.param(request("POST", "/work/v1/messages", f'{{"stream":"{ECHO}","messages":[]}}'.encode()), id="in a flag"),
    pytest.param(request("GET", f"/work/v1/models/{ECHO}"), id="as a listed model"),
    pytest.param(request("GET", "/health", host=f"{ECHO}.test"), id="as a host"),
    pytest.param(request("GET", "/health", headers=[("Origin", f"http://{ECHO}.test")]), id="as an origin"),
    pytest.param(request("OPTIONS", "/health", headers=[("Origin", f"http://{ECHO}.test")]), id="as a preflight"),
    pytest.param(request(ECHO, "/health"), id="as a method"),
    pytest.param(request("POST", "/work/v1/messages", b"{}", headers=[("Content-Encoding", ECHO)]), id="as an encoding"),
    pytest.param(request("POST", f"/work/v1/responses/{ECHO}%2f..", b"{}"), id="as a response id"),
    pytest.param(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n{ECHO}\r\n\r\n".encode(), id="in a broken header"),
    pytest.param(f"GET /health HTTP/{ECHO}\r\nHost: 127.0.0.1\r\n\r\n".encode(), id="as a version"),
    pytest.param(f"{ECHO}\r\n\r\n".encode(), id="as a request line"),
]  # fmt: skip


@pytest.mark.parametrize("data", ECHOING)
async def test_errors_repeat_nothing_of_the_request(data: bytes, served: Any) -> None:
    reply = await ask(served.router.url, data)
    assert 400 <= reply.status < 500
    assert ECHO.lower().encode() not in reply.raw.lower()
    assert b"Traceback" not in reply.raw
    assert str(served.router.app.home.path).encode() not in reply.raw


@pytest.mark.parametrize("key", ["x-api-key", "authorization", "x-goog-api-key", "x-router-key"])
async def test_a_router_key_is_sent_to_no_provider_in_whatever_header_it_stands(
    key: str, tmp_path: Any, provider: FakeProvider
) -> None:
    """Some clients send one key in two headers."""
    secret = "rk_canary_of_the_router_0123456789"
    profile = PROFILE + '\n[auth]\nkeys = "required"\nkey = "env:ROUTER_KEY"\n'
    provider.answer = answer
    home = tmp_path / "home"
    home.mkdir()
    (home / "providers.toml").write_text(
        f'[fake]\nbase-url = "{provider.url}"\nformats = ["anthropic-messages"]\napi-key = "passthrough"\n'
    )
    async with serving(home, {"work": profile}, environ={"ROUTER_KEY": secret}) as router:
        values = {
            "x-api-key": secret,
            "authorization": f"Bearer {secret}",
            "x-goog-api-key": secret,
            "x-router-key": secret,
        }
        headers = [(key, values[key]), *((name, value) for name, value in values.items() if name != key)]
        reply = await ask(router.url, request("POST", "/work/v1/messages", BODY, headers=headers))
        assert reply.status in (200, 403)
        headers = [(key, values[key]), *((name, "sk-own") for name in values if name not in (key, "x-router-key"))]
        await ask(router.url, request("POST", "/work/v1/messages", BODY, headers=headers))
        for seen in provider.requests:
            assert secret not in str(seen.headers)
            assert "x-router-key" not in seen.headers
