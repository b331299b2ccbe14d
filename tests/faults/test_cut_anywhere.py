"""A provider's reply that ends at any byte: once a byte of it has reached the client nobody else is called, and what is
broken never looks finished.

    pytest tests/faults/test_cut_anywhere.py --exhaustive

tries every byte of every reply, some 120,000 cases in some minutes; without it, every 37th.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import anthropic
import httpx2
import openai
import pytest

from router.errors import UpstreamError
from router.server.relay import StreamRelay
from router.wire.formats import CODECS
from tests.support.answers import TEXT, answer
from tests.support.asking import CHAT, FORMATS, MESSAGES, RESPONSES, Format
from tests.support.provider import Close, End, Raw, Received, Reset, Send, Status, Step
from tests.support.raw import RawReply
from tests.support.sdk import claude, gpt
from tests.support.strict.grammar import ENDS
from tests.support.targets import Targets, says, targets

SOME = 37  # of the cases, every so manieth; no divisor of anything
TOLD = {  # the error behind what a client has seen of a broken stream
    "anthropic-messages": b"event: error\ndata: ",
    "openai-chat": b'data: {"error":',
    "openai-responses": b"event: error\ndata: ",
    "gemini": b'data: {"error":',
}

How = Literal["closed", "reset", "ended", "unbounded"]


class Cut(NamedTuple):
    """A reply of which only ``offset`` bytes arrive.

    closed, reset: the connection ends too soon, somewhere from the status line to the end of the framing. ended: the
    framing is brought to its regular end, only the events aren't. unbounded: it has no end but that of the connection.
    """

    how: How
    offset: int

    def steps(self, form: Format, *, stream: bool) -> list[Step]:
        head = (("content-type", "text/event-stream"),)
        match self.how:
            case "closed":
                return [Raw(on_the_wire(form, stream=stream)[: self.offset]), Close()]
            case "reset":
                return [Raw(on_the_wire(form, stream=stream)[: self.offset]), Reset()]
            case "ended":
                return [Status(200, head), *(Send(part) for part in [self._part(form)] if part), End()]
            case "unbounded":
                return [Status(200, head, chunked=False), Raw(self._part(form)), Close()]

    def _part(self, form: Format) -> bytes:
        return b"".join(form.events())[: self.offset]

    def leaves_whole(self, form: Format, body: bytes) -> bool:
        """Whether this body, which lacks the last bytes of the provider's, may count as the whole answer: the framing
        ended as it should, and nothing is missing but the blank line behind the last event. A few servers of Chat leave
        ``[DONE]`` out, too, so that a reason to finish is enough there."""
        full = b"".join(form.events())
        if self.how not in ("ended", "unbounded") or not full.startswith(body):
            return False
        return not full[len(body) :].strip() or (form is CHAT and b'"finish_reason":"' in body)


def on_the_wire(form: Format, *, stream: bool) -> bytes:
    """Every byte of a provider's good reply, from the status line to the end of its framing."""
    if not stream:
        body = says(form, "model-1", stream=False)
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in form.events())
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%s0\r\n\r\n" % chunks
    )


def cuts(form: Format, *, stream: bool) -> list[Cut]:
    wire, payload = len(on_the_wire(form, stream=stream)), len(b"".join(form.events()))
    ways: list[tuple[How, int]] = [("closed", wire), ("reset", wire)]
    if stream:  # of a whole reply without any framing nobody can tell where it ends
        ways += [("ended", payload), ("unbounded", payload)]
    return [Cut(how, offset) for how, size in ways for offset in range(size)]


# --- every byte -------------------------------------------------------------------------------------------------------


class Cutting:
    """Two targets; what the first one says to the request with number n is cut as ``cuts[n]`` has it."""

    def __init__(self, world: Targets, form: Format, cuts: list[Cut], *, stream: bool) -> None:
        self.world = world
        self.cuts = cuts
        self.calls = Counter[tuple[str, int]]()

        def one(received: Received) -> list[Step]:
            return cuts[self._count("one", received)].steps(form, stream=stream)

        def two(received: Received) -> list[Step]:
            self._count("two", received)
            return [*answer(received)]

        world.unbounded()  # nearly every request is tried again
        world.one.answer, world.two.answer = one, two

    def _count(self, name: str, received: Received) -> int:
        found = re.search(rb"case (\d+)\b", received.body)
        assert found is not None
        number = int(found[1])
        self.calls[name, number] += 1
        return number


def texts_of(payload: bytes) -> str:
    """All texts of a reply, as they come."""
    return "".join(json.loads(f'"{text}"') for text in _TEXTS.findall(payload.decode()))


_TEXTS = re.compile(r'"(?:text|content|delta)"\s*:\s*"((?:[^"\\]|\\.)*)"')


def is_good(client: Format, form: Format, model: str, body: bytes, *, stream: bool) -> bool:
    """Whether a body is all of a target's answer."""
    if client is form:
        return body == says(form, model, stream=stream)
    return "".join(TEXT) in texts_of(body) and (not stream or ENDS[client.name] in body)


@pytest.mark.timeout(900)
@pytest.mark.sampled(5)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"from {form.name}")
@pytest.mark.parametrize("client", FORMATS, ids=lambda form: f"to {form.name}")
async def test_a_reply_that_ends_anywhere_is_answered_once(
    client: Format, form: Format, stream: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cases = cuts(form, stream=stream)
    if not request.config.getoption("exhaustive"):
        cases = cases[random.Random(f"{client.name} {form.name}").randrange(SOME) :: SOME]
    _, body = client.request(stream=stream)
    seen = Counter[str]()
    async with targets(tmp_path / "home", formats=[[form.name]] * 2) as world, world.many(len(cases)):
        cutting = Cutting(world, form, cases, stream=stream)

        async def asks(numbers: Iterator[int]) -> None:
            for number in numbers:
                cut = cases[number]
                reply = await world.ask(client, stream=stream, body=body.replace(b'"Hello"', b'"case %d"' % number))
                calls = cutting.calls["one", number], cutting.calls["two", number]
                kind = check(cut, reply, calls)
                seen[kind] += 1

        def check(cut: Cut, reply: RawReply, calls: tuple[int, int]) -> str:
            assert reply.status == 200, cut
            if reply.headers["x-router-provider"] == "two":
                assert calls in ((1, 1), (2, 1)), cut
                assert reply.whole, cut
                assert is_good(client, form, "model-2", reply.body, stream=stream), cut
                return "hidden"
            assert calls == (1, 0), f"{cut}: called again although the client had an answer already"
            if reply.whole:  # only what stands behind the answer was lost
                good = is_good(client, form, "model-1", reply.body, stream=stream)
                assert good or cut.leaves_whole(form, reply.body), cut
                return "whole"
            assert stream, cut
            assert ENDS[client.name] not in reply.body, cut
            assert TOLD[client.name] in reply.body, cut
            return "broken"

        numbers = iter(range(len(cases)))
        await asyncio.gather(*(asks(numbers) for _ in range(8)))
    print(f"{len(cases)} cases: {dict(seen)}")
    assert seen["hidden"]
    assert bool(seen["broken"]) == stream


# --- with the official SDKs -------------------------------------------------------------------------------------------


async def reads_messages(base: str, text: str, *, stream: bool) -> str | None:
    """The answer's text; ``None`` for an answer that ended in silence, without being whole."""
    async with claude(base, sync=False) as client:
        asked: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
        if not stream:
            made = await client.messages.create(**asked)
            return str(made.content[0].text)
        events = [event async for event in await client.messages.create(**asked, stream=True)]
        said = "".join(event.delta.text for event in events if event.type == "content_block_delta" and
                       event.delta.type == "text_delta")  # fmt: skip
        return said if events and events[-1].type == "message_stop" else None


async def reads_chat(base: str, text: str, *, stream: bool) -> str | None:
    async with gpt(f"{base}/v1", sync=False) as client:
        asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": text}]}
        if not stream:
            made = await client.chat.completions.create(**asked)
            return str(made.choices[0].message.content)
        chunks = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
        choices = [choice for chunk in chunks for choice in chunk.choices]
        said = "".join(choice.delta.content or "" for choice in choices)
        return said if any(choice.finish_reason for choice in choices) else None


async def reads_responses(base: str, text: str, *, stream: bool) -> str | None:
    async with gpt(f"{base}/v1", sync=False) as client:
        if not stream:
            return str((await client.responses.create(model="m", input=text)).output_text)
        events = [event async for event in await client.responses.create(model="m", input=text, stream=True)]
        said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        return said if events and events[-1].type == "response.completed" else None


READERS: dict[str, Callable[..., Awaitable[str | None]]] = {
    MESSAGES.name: reads_messages,
    CHAT.name: reads_chat,
    RESPONSES.name: reads_responses,
}
RAISED = (anthropic.APIError, openai.APIError, httpx2.HTTPError)
"""What an SDK makes of a stream that broke off; the last is what it lets through of its HTTP library's."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"from {form.name}")
@pytest.mark.parametrize("client", [MESSAGES, CHAT, RESPONSES], ids=lambda form: f"to {form.name}")
async def test_an_sdk_gets_a_whole_answer_or_raises(
    client: Format, form: Format, stream: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    step = 53 if request.config.getoption("exhaustive") else 400
    cases = cuts(form, stream=stream)[random.Random(f"{client.name} {form.name}").randrange(step) :: step]
    ended = Counter[str]()
    async with targets(tmp_path / "home", formats=[[form.name]] * 2) as world, world.many(len(cases)):
        cutting = Cutting(world, form, cases, stream=stream)
        for number, cut in enumerate(cases):
            try:
                text = await READERS[client.name](f"{world.router.url}/work", f"case {number}", stream=stream)
            except RAISED:
                assert stream, cut
                assert cutting.calls["two", number] == 0, cut
                ended["raised"] += 1
            else:
                assert text == "".join(TEXT), cut
                ended["whole"] += 1
    print(f"{len(cases)} cases: {dict(ended)}")
    assert ended["whole"]


# --- the relay alone, cut and split at random -------------------------------------------------------------------------


class Piecewise:
    """A provider's reply in pieces, broken off or ended behind the last one."""

    def __init__(self, pieces: list[bytes], *, broken: bool) -> None:
        self.pieces = pieces[::-1]
        self.broken = broken

    async def chunk(self) -> bytes:
        if self.pieces:
            return self.pieces.pop()
        if self.broken:
            raise UpstreamError("broken off", error_class="broken-stream")
        return b""


class Client:
    """What a client has got."""

    def __init__(self) -> None:
        self.got = b""
        self.settled_at = -1

    async def write(self, data: bytes) -> None:
        self.got += data

    async def settle(self) -> None:
        self.settled_at = len(self.got)


async def relayed(form: Format, data: bytes, chance: random.Random) -> None:
    """One stream, cut and split at random: either nothing of it was shown, or it is never made to look finished."""
    part = data[: chance.randrange(len(data))]
    edges = sorted(chance.randrange(len(part) + 1) for _ in range(chance.randrange(6)))
    pieces = [part[start:end] for start, end in itertools.pairwise([0, *edges, len(part)]) if end > start]
    tap = CODECS[form.name].tap()  # type: ignore[index]
    relay = StreamRelay(Piecewise(pieces, broken=chance.random() < 0.5), tap, idle_s=60.0)  # type: ignore[arg-type]
    client = Client()
    error = await failed(relay.open())
    assert not client.got
    if error is not None:
        assert error.error_class == "broken-start"
        return
    error = await failed(relay.run(client.write, client.settle))  # type: ignore[arg-type]
    if error is None:
        assert tap.ended
        assert client.settled_at >= 0
        assert client.got == part
    else:
        assert error.error_class == "broken-stream"
        assert client.settled_at == -1
        assert ENDS[form.name] not in client.got
        assert data.startswith(client.got)


async def failed(work: Awaitable[None]) -> UpstreamError | None:
    try:
        await work
    except UpstreamError as error:
        return error
    return None


@pytest.mark.parametrize(
    "cases",
    [1000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
    ids=["a thousand cases", "a hundred thousand cases"],
)
async def test_a_cut_stream_is_hidden_or_left_open(cases: int) -> None:
    chance = random.Random(7)
    streams = [(form, b"".join(form.events())) for form in FORMATS]
    for _ in range(cases):
        await relayed(*chance.choice(streams), chance)
