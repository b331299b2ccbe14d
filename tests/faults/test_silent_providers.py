"""A provider that goes silent: every phase has its own limit, and the client hears about it in its own format."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.aftermath import Aftermath, aftermath, leaving_nothing
from tests.support.asking import FORMATS, MESSAGES, PROFILE, Format, opening
from tests.support.provider import SSE, End, FakeProvider, Pause, Raw, Send, Stall, Status, Step
from tests.support.raw import RawReply, ask, request
from tests.support.serving import Running, serving
from tests.support.slow import in_time, within

pytestmark = pytest.mark.slow

LIMIT_S = 0.3
SILENT = b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"silent"}]}'
EVENTS = MESSAGES.events()
JSON_HEAD = (("content-type", "application/json"), ("content-length", "500"))


@contextlib.asynccontextmanager
async def limited(home: Path, provider: str, **limits: str) -> AsyncIterator[Running]:
    """A router whose other limits are far away."""
    far = {"connect": "20s", "first-event": "20s", "first-event-last": "20s", "whole": "20s", "idle": "20s", **limits}
    lines = "\n".join(f'{name} = "{value}"' for name, value in far.items())
    async with (
        serving(home, {"work": f"{PROFILE}\n[timeouts]\n{lines}\n"}, providers={"fake": provider}) as router,
        leaving_nothing(router),
    ):
        yield router


async def timed(
    router: Running, provider: FakeProvider, form: Format, *, stream: bool
) -> tuple[float, RawReply, Aftermath]:
    path, body = form.request(stream=stream)
    async with aftermath(router, provider) as after:
        began = time.monotonic()
        reply = await ask(router.url, request("POST", f"/work{path}", body))
        took = time.monotonic() - began
    with within(1.0):
        await provider.requests[-1].closed.wait()
    return took, reply, after


def check_limit(took: float) -> None:
    """What took so long was ended by the limit: not before, and soon behind it."""
    assert took >= LIMIT_S * 0.95
    in_time(took, LIMIT_S * 1.05 + 0.15)


BEFORE_CONTENT = [
    pytest.param([Stall()], id="before the head"),
    pytest.param([Raw(b"HTTP/1.1 200 OK\r\nContent-"), Stall()], id="inside the head"),
    pytest.param([Status(200, SSE), Stall()], id="after the head"),
    pytest.param([*opening(EVENTS[0]), Stall()], id="after an event without content"),
    pytest.param([*opening(EVENTS[0], EVENTS[1][:30]), Stall()], id="inside the first event with content"),
]


@pytest.mark.parametrize("steps", BEFORE_CONTENT)
async def test_a_stream_without_content_ends_at_the_first_event_limit(
    steps: list[Step], tmp_path: Path, provider: FakeProvider
) -> None:
    provider.answer = lambda received: steps
    async with limited(tmp_path / "home", provider.url, **{"first-event-last": "300ms"}) as router:
        took, reply, after = await timed(router, provider, MESSAGES, stream=True)
    check_limit(took)
    assert reply.status == 504
    assert "within 0.3 s" in MESSAGES.error_of(reply.body)
    assert after.told == ("upstream-error", "timeout")
    assert after.attempt["maybe_billed"]


async def test_pings_are_no_content(tmp_path: Path, provider: FakeProvider) -> None:
    def pinging(received: object) -> Iterator[Step]:
        yield Status(200, SSE)
        while True:
            yield Send(b'event: ping\ndata: {"type":"ping"}\n\n')
            yield Pause(0.02)

    provider.answer = pinging
    async with limited(tmp_path / "home", provider.url, **{"first-event-last": "300ms"}) as router:
        took, reply, after = await timed(router, provider, MESSAGES, stream=True)
    check_limit(took)
    assert reply.status == 504
    assert after.told == ("upstream-error", "timeout")


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_a_stream_that_stops_ends_at_the_idle_limit(form: Format, tmp_path: Path, provider: FakeProvider) -> None:
    provider.answer = lambda received: [*opening(*form.events()[:-1]), Stall()]
    async with limited(tmp_path / "home", provider.url, idle="300ms") as router:
        took, reply, after = await timed(router, provider, form, stream=True)
    check_limit(took)
    assert reply.status == 200
    assert not reply.whole
    assert after.told == ("partial", "broken-stream")


async def test_a_slow_stream_is_not_an_idle_one(tmp_path: Path, provider: FakeProvider) -> None:
    """Also pings and comments are life; the limit is between two chunks, not for the whole."""

    def slow(received: object) -> Iterator[Step]:
        yield Status(200, SSE)
        for event in EVENTS[:-1]:
            yield Send(event)
            yield Pause(0.07)
            yield Send(b": still here\n\n")
            yield Pause(0.07)
        yield Send(EVENTS[-1])
        yield End()

    provider.answer = slow
    async with (
        limited(tmp_path / "home", provider.url, idle="200ms") as router,
        aftermath(router, provider) as after,
    ):
        path, body = MESSAGES.request(stream=True)
        reply = await ask(router.url, request("POST", f"/work{path}", body))
    assert reply.whole
    assert after.told == ("ok", None)


WHOLE = [
    pytest.param([Stall()], id="before the head"),
    pytest.param([Status(200, JSON_HEAD, chunked=False), Raw(b'{"id":'), Stall()], id="inside the body"),
    pytest.param([Status(500, JSON_HEAD, chunked=False), Raw(b'{"error":'), Stall()], id="inside the body of an error"),
    pytest.param([Status(401, JSON_HEAD, chunked=False), Raw(b'{"error":'), Stall()], id="inside the body of a 401"),
    pytest.param(
        [Status(302, (*JSON_HEAD, ("location", "/")), chunked=False), Raw(b"{"), Stall()],
        id="inside the body of a redirect",
    ),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("steps", WHOLE)
async def test_a_reply_that_does_not_arrive_whole_ends_at_its_limit(
    steps: list[Step], stream: bool, tmp_path: Path, provider: FakeProvider
) -> None:
    provider.answer = lambda received: steps
    limits = {"first-event-last": "300ms"} if stream else {"whole": "300ms"}
    async with limited(tmp_path / "home", provider.url, **limits) as router:
        took, reply, after = await timed(router, provider, MESSAGES, stream=stream)
    check_limit(took)
    assert reply.status == 504
    assert after.told == ("upstream-error", "timeout")


async def test_a_reply_that_drips_ends_at_the_limit_for_whole_replies(tmp_path: Path, provider: FakeProvider) -> None:
    def drip(received: object) -> Iterator[Step]:
        yield Status(200, JSON_HEAD, chunked=False)
        while True:
            yield Raw(b" ")
            yield Pause(0.02)

    provider.answer = drip
    async with limited(tmp_path / "home", provider.url, whole="300ms") as router:
        took, reply, after = await timed(router, provider, MESSAGES, stream=False)
    check_limit(took)
    assert reply.status == 504
    assert after.told == ("upstream-error", "timeout")


async def test_the_limit_counts_head_and_body_together(tmp_path: Path, provider: FakeProvider) -> None:
    provider.answer = lambda received: [Pause(0.2), Status(200, JSON_HEAD, chunked=False), Raw(b"{"), Stall()]
    async with limited(tmp_path / "home", provider.url, whole="300ms") as router:
        took, reply, _ = await timed(router, provider, MESSAGES, stream=False)
    check_limit(took)
    assert reply.status == 504


async def test_fetching_a_response_by_its_id_is_limited_too(tmp_path: Path, provider: FakeProvider) -> None:
    provider.answer = lambda received: [Status(200, JSON_HEAD, chunked=False), Raw(b"{"), Stall()]
    async with limited(tmp_path / "home", provider.url, whole="300ms") as router:
        began = time.monotonic()
        reply = await ask(router.url, request("GET", "/work/v1/responses/resp_1"))
        check_limit(time.monotonic() - began)
        assert reply.status == 504
        with within(1.0):
            await provider.requests[-1].closed.wait()


@pytest.fixture
def full_address() -> Iterator[str]:
    """An address whose backlog is full: connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def test_connecting_has_a_limit_of_its_own(tmp_path: Path, full_address: str) -> None:
    async with limited(tmp_path / "home", full_address, connect="300ms") as router:
        path, body = MESSAGES.request(stream=True)
        began = time.monotonic()
        reply = await ask(router.url, request("POST", f"/work{path}", body))
        check_limit(time.monotonic() - began)
        [row] = await router.rows()
        [attempt] = await router.rows("attempts")
    assert reply.status == 502
    assert "no connection within 0.3 s" in MESSAGES.error_of(reply.body)
    assert (row["outcome"], row["error_class"]) == ("upstream-error", "connect")
    assert not attempt["maybe_billed"], "nothing was sent"


async def test_a_closed_port_is_an_error_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with serving(tmp_path / "home", {"work": PROFILE}, providers={"fake": url}) as router:
            with within(0.5):
                reply = await ask(router.url, request("POST", "/work/v1/messages", MESSAGES.request(stream=True)[1]))
            [row] = await router.rows()
    assert reply.status == 502
    assert "connection refused" in MESSAGES.error_of(reply.body) or "connect call failed" in MESSAGES.error_of(
        reply.body
    )
    assert (row["outcome"], row["error_class"], row["attempts"]) == ("upstream-error", "connect", 1)


async def test_a_name_that_is_nobodys_is_a_connection_error(tmp_path: Path) -> None:
    url = "http://provider.invalid"
    async with serving(tmp_path / "home", {"work": PROFILE}, providers={"fake": url}) as router:
        reply = await ask(router.url, request("POST", "/work/v1/messages", MESSAGES.request(stream=True)[1]))
        [row] = await router.rows()
    assert reply.status == 502
    assert (row["outcome"], row["error_class"]) == ("upstream-error", "connect")


async def test_the_providers_own_limits_win(tmp_path: Path, provider: FakeProvider) -> None:
    provider.answer = lambda received: [Stall()]
    home = tmp_path / "home"
    home.mkdir()
    (home / "providers.toml").write_text(
        f'[fake]\nbase-url = "{provider.url}"\nformats = ["anthropic-messages"]\napi-key = "env:TEST_KEY"\n'
        '[fake.timeouts]\nfirst-event-last = "300ms"\nwhole = "300ms"\n'
    )
    async with serving(home, {"work": PROFILE}) as router:
        for stream in (True, False):
            took, reply, _ = await timed(router, provider, MESSAGES, stream=stream)
            check_limit(took)
            assert reply.status == 504


async def test_other_streams_do_not_notice_a_silent_one(arena: Any) -> None:
    router, provider = arena
    provider.answer = lambda received: [Stall()] if b"silent" in received.body else [*opening(*EVENTS), End()]
    silent = asyncio.create_task(ask(router.url, request("POST", "/work/v1/messages", SILENT)))
    while not provider.requests:
        await asyncio.sleep(0.001)
    for _ in range(10):
        reply = await ask(router.url, request("POST", "/work/v1/messages", MESSAGES.request(stream=True)[1]))
        assert reply.body == b"".join(EVENTS)
    assert not silent.done()
    silent.cancel()
    await asyncio.wait([silent])
