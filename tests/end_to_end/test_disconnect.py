"""A client that leaves, at every point of the walk: the call ends at once, one row says so, nothing is left running."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.support.answers import chat_chunks, completion, gemini_part, message, messages_events, response_events
from tests.support.provider import SSE, End, FakeProvider, Pause, Raw, Received, Send, Stall, Status, Step
from tests.support.raw_client import RawClient
from tests.support.serving import Running, serving, write_profile
from tests.support.slow import in_time

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROFILE = '[default]\nto = "there"\nmodel = "m"\n'
SLOW_SCRIPT = 'import time\n\ntime.sleep(4)\n\n\ndef route(request, config):\n    return "there"\n'
WITHIN_S = 0.3  # generous: a busy machine; the aim is 0.1, the figure of a quiet one about 0.002


class World(NamedTuple):
    router: Running
    provider: FakeProvider

    def answers(self, *steps: Step) -> None:
        self.provider.requests.clear()
        self.provider.answer = lambda request: steps

    async def call(self) -> Received:
        """The call, once it has arrived at the provider."""
        await until(lambda: bool(self.provider.requests), within=5)
        return self.provider.requests[-1]

    async def only_row(self, known: set[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The one row that was added, with its attempts."""
        await until(lambda: not self.router.app.services.active)
        [row] = [row for row in await self.router.rows() if row["id"] not in known]
        return row, await self.router.rows("attempts", f"request_id = '{row['id']}'")

    async def ids(self) -> set[str]:
        return {row["id"] for row in await self.router.rows()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("leaving") / "home"
    scripted = f'[routing]\nscript = "route.py"\n\n{PROFILE}'
    write_profile(home, "scripted", scripted, {"route.py": SLOW_SCRIPT})
    async with (
        FakeProvider() as provider,
        serving(home, {"work": PROFILE}, providers={"there": provider.url}) as router,
    ):
        yield World(router, provider)


async def until(condition: Callable[[], bool], *, within: float = 2.0) -> float:
    """Wait for something that is about to happen; how long it took, which has to be less than ``within`` seconds."""
    started = time.perf_counter()
    while not condition():
        assert time.perf_counter() - started < 10, "it didn't happen"
        await asyncio.sleep(0.0005)
    took_s = time.perf_counter() - started
    in_time(took_s, within)
    return took_s


def serving_tasks() -> list[str]:
    """Tasks that are inside an exchange right now."""
    return [repr(task) for task in asyncio.all_tasks() if any("exchange.py" in name for name in files_of(task))]


def files_of(task: asyncio.Task[Any]) -> list[str]:
    """The source files of the coroutines a task is in, outermost first."""
    files = []
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
        files += [code.co_filename] if code is not None else []
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return files


MESSAGES = messages_events("m")
CHAT = chat_chunks("m", usage=True)
RESPONSES = response_events("m")
GEMINI = [b"data: %s\r\n\r\n" % json.dumps(gemini_part(text, finish=False)).encode() for text in ("a", "b")]


class Form(NamedTuple):
    path: str
    body: bytes
    start: bytes  # events without content
    content: bytes
    mark: bytes  # by which a client knows the content
    rest: bytes
    end: bytes


FORMS = {
    "messages": Form(
        "/work/v1/messages",
        b'{"model":"x","stream":true,"messages":[]}',
        b"".join(MESSAGES[:3]),
        MESSAGES[3],
        b"Hello",
        b"".join(MESSAGES[4:]),
        b'"message_stop"}\n\n',
    ),
    "chat": Form(
        "/work/v1/chat/completions",
        b'{"model":"x","stream":true,"stream_options":{"include_usage":true},"messages":[]}',
        CHAT[0],
        CHAT[1],
        b"Hello",
        b"".join(CHAT[2:]),
        b"[DONE]\n\n",
    ),
    "responses": Form(
        "/work/v1/responses",
        b'{"model":"x","stream":true,"input":"hi"}',
        b"".join(RESPONSES[:2]),
        b"".join(RESPONSES[2:5]),
        b"Hello",
        b"".join(RESPONSES[5:]),
        b'"response.completed"',
    ),
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
RUDELY = pytest.mark.parametrize("rudely", [False, True], ids=["FIN", "RST"])


@RUDELY
async def test_leaving_while_the_body_is_read_leaves_no_row(rudely: bool, world: World) -> None:
    """There was no request yet: a row begins with a body that is a JSON object."""
    known = await world.ids()
    world.answers()
    async with RawClient(world.router.url) as client:
        await client.send("/work/v1/messages", b'{"model":"x","messages":[]}', only=10)
        await until(lambda: len(world.router.app.services.active) == 1)
        client.leave(rudely=rudely)
        await until(lambda: not world.router.app.services.active, within=WITHIN_S)
    assert world.provider.requests == []
    assert await world.ids() == known
    assert serving_tasks() == []


@RUDELY
async def test_leaving_while_the_way_is_being_decided(rudely: bool, world: World) -> None:
    known = await world.ids()
    world.answers()
    async with RawClient(world.router.url) as client:
        await client.send("/scripted/v1/messages", b'{"model":"x","messages":[]}')
        [exchange] = await active(world)
        await until(lambda: exchange.facts is not None)
        client.leave(rudely=rudely)
        await until(lambda: not world.router.app.services.active, within=WITHIN_S)
    row, attempts = await world.only_row(known)
    assert (row["outcome"], row["state"], row["attempts"], row["requested_model"]) == ("client-gone", "settled", 0, "x")
    assert attempts == []
    assert world.provider.requests == []


async def active(world: World) -> list[Any]:
    await until(lambda: bool(world.router.app.services.active))
    return list(world.router.app.services.active)


WAITING = {
    "before the head": (),
    "after the head": (Status(200, SSE),),
    "whole, before the head": (),
    "whole, amid the body": (Status(200), Send(b'{"type":"message","usage":{"inp')),
}


@RUDELY
@pytest.mark.parametrize("phase", WAITING)
@EVERY_FORM
async def test_leaving_while_waiting_for_the_answer(form: Form, phase: str, rudely: bool, world: World) -> None:
    body = form.body.replace(b"true", b"false", 1) if "whole" in phase else form.body
    await leave_while_waiting(world, form.path, body, (*WAITING[phase], Stall()), rudely)


@RUDELY
@EVERY_FORM
async def test_leaving_before_there_is_any_content(form: Form, rudely: bool, world: World) -> None:
    row = await leave_while_waiting(
        world, form.path, form.body, (Status(200, SSE), Send(form.start), Pause(0.02), Stall()), rudely
    )
    assert row["model"] == "m"


async def leave_while_waiting(
    world: World, path: str, body: bytes, steps: tuple[Step, ...], rudely: bool
) -> dict[str, Any]:
    known = await world.ids()
    world.answers(*steps)
    async with RawClient(world.router.url) as client:
        await client.send(path, body)
        call = await world.call()
        await asyncio.sleep(0.01)  # let what was sent arrive
        assert len(serving_tasks()) == 1
        client.leave(rudely=rudely)
        await until(call.closed.is_set, within=WITHIN_S)
    row, [attempt] = await world.only_row(known)
    assert (row["state"], row["outcome"], row["attempts"]) == ("settled", "client-gone", 1)
    assert (attempt["state"], attempt["maybe_billed"]) == ("settled", 1)
    assert len(world.provider.requests) == 1
    assert serving_tasks() == []
    return row


@RUDELY
@EVERY_FORM
async def test_leaving_amid_the_stream(form: Form, rudely: bool, world: World) -> None:
    known = await world.ids()
    world.answers(Status(200, SSE), Send(form.start), Send(form.content), Stall())
    async with RawClient(world.router.url) as client:
        await client.send(form.path, form.body)
        await client.read_until(form.mark)
        client.leave(rudely=rudely)
        call = await world.call()
        await until(call.closed.is_set, within=WITHIN_S)
    row, [attempt] = await world.only_row(known)
    assert (row["state"], row["outcome"], row["status"]) == ("settled", "client-gone", None)
    assert row["first_byte_ms"] is not None
    assert attempt["maybe_billed"] == 1
    if "messages" in form.path:
        assert (row["input"], row["cache_read"]) == (11, 5), "what was reported before is kept"
    assert serving_tasks() == []


@RUDELY
@EVERY_FORM
async def test_leaving_amid_a_stream_that_keeps_coming(form: Form, rudely: bool, world: World) -> None:
    """The router is writing, not waiting, when the client leaves."""
    known = await world.ids()
    more = [step for _ in range(2000) for step in (Send(form.content * 20), Pause(0))]
    world.answers(Status(200, SSE), Send(form.start), *more, Stall())
    async with RawClient(world.router.url) as client:
        await client.send(form.path, form.body)
        await client.read_until(form.mark)
        client.leave(rudely=rudely)
        call = await world.call()
        await until(call.closed.is_set, within=WITHIN_S)
    row, _ = await world.only_row(known)
    assert (row["state"], row["outcome"]) == ("settled", "client-gone")
    assert serving_tasks() == []


@RUDELY
@pytest.mark.parametrize("ends", [True, False], ids=["ended", "connection held open"])
@EVERY_FORM
async def test_leaving_right_after_the_end_is_a_finished_answer(
    form: Form, ends: bool, rudely: bool, world: World
) -> None:
    known = await world.ids()
    world.answers(
        Status(200, SSE),
        Send(form.start + form.content),
        Send(form.rest),
        *([End()] if ends else [Pause(0.05), Stall()]),
    )
    async with RawClient(world.router.url) as client:
        await client.send(form.path, form.body)
        await client.read_until(form.end)
        client.leave(rudely=rudely)
    row, [attempt] = await world.only_row(known)
    assert (row["state"], row["outcome"], row["status"]) == ("settled", "ok", 200)
    assert (row["output"], attempt["maybe_billed"]) == (7, 0)
    if not ends:
        await until((await world.call()).closed.is_set, within=WITHIN_S)
    assert serving_tasks() == []


@RUDELY
async def test_leaving_right_after_a_whole_answer_is_a_finished_answer(rudely: bool, world: World) -> None:
    known = await world.ids()
    data = json.dumps(message("m")).encode()
    head = (("content-type", "application/json"), ("content-length", str(len(data))))
    world.answers(Status(200, head, chunked=False), Raw(data))
    async with RawClient(world.router.url) as client:
        await client.send("/work/v1/messages", b'{"model":"x","messages":[]}')
        await client.read_until(data[-20:])
        client.leave(rudely=rudely)
    row, _ = await world.only_row(known)
    assert (row["outcome"], row["output"]) == ("ok", 7)


async def test_the_connection_of_a_finished_call_serves_the_next(world: World) -> None:
    data = json.dumps(completion("m")).encode()
    head = (("content-type", "application/json"), ("content-length", str(len(data))))
    world.answers(Status(200, head, chunked=False), Raw(data))
    before = world.provider.connections
    for _ in range(5):
        async with world.router.post("/work/v1/chat/completions", data=b'{"model":"x","messages":[]}') as reply:
            await reply.read()
    assert world.provider.connections - before <= 1


@pytest.mark.slow
async def test_how_soon_a_call_ends_after_its_client_left(world: World, record_property: Any) -> None:
    """200 times in each phase; prints p50, p99 and the worst, in milliseconds (with -s)."""
    form = FORMS["messages"]
    phases: dict[str, tuple[Step, ...]] = {
        "before the head": (Stall(),),
        "before content": (Status(200, SSE), Send(form.start), Stall()),
        "amid the stream": (Status(200, SSE), Send(form.start + form.content), Stall()),
    }
    for phase, steps in phases.items():
        taken = []
        for _ in range(200):
            world.answers(*steps)
            async with RawClient(world.router.url) as client:
                await client.send(form.path, form.body)
                call = await world.call()
                if phase == "amid the stream":
                    await client.read_until(form.mark)
                client.leave()
                taken.append(await until(call.closed.is_set, within=WITHIN_S) * 1000)
        taken.sort()
        figures = f"p50 {taken[100]:.1f}, p99 {taken[197]:.1f}, worst {taken[-1]:.1f} ms"
        record_property(phase, figures)
        print(f"\ncall ended after the client left, {phase}: {figures}")
        in_time(taken[197] / 1000, WITHIN_S, phase)
    await until(lambda: not world.router.app.services.active)
    assert serving_tasks() == []
