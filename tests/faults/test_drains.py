"""``on-disconnect = "drain"``: the call of a client that leaves is read to its end, and its row tells what it cost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from router.server import drains
from tests.support.aftermath import Aftermath, aftermath
from tests.support.answers import USAGE, answer, messages_events
from tests.support.asking import BY_NAME, MESSAGES, Format, opening
from tests.support.limited import Held, limited, until
from tests.support.provider import Close, End, Pause, Raw, Received, Send, Stall, Step
from tests.support.raw_client import RawClient
from tests.support.serving import read_rows
from tests.support.targets import Targets, failing, targets

DRAIN = '[routing]\non-disconnect = "drain"\n[retry]\nbackoff = "1ms"\n'
GONE = ("client-gone", None)
FOR_ONE_TOKEN_NANO_USD = 1000  # of the target's input; cached costs as much, output ten times
COST = (USAGE["input"] + USAGE["cache_read"] + 10 * USAGE["output"]) * FOR_ONE_TOKEN_NANO_USD


class Script:
    """A provider that answers well, with a pause at a moment in which the client leaves; ``then`` something else."""

    def __init__(self, moment: str, then: Iterable[Step] | None = None) -> None:
        self.moment = moment
        self.left = asyncio.Event()
        self._then = then

    def __call__(self, received: Received) -> Iterator[Step]:
        steps: list[Step] = []
        for step in answer(received):
            # A whole answer comes in two parts, too.
            steps += [Raw(step.data[:30]), Raw(step.data[30:])] if isinstance(step, Raw) else [step]
        hello = next(number for number, step in enumerate(steps) if isinstance(step, Raw) or b"Hello" in data(step))
        place = {"before the head": 0, "behind the head": 1, "in the answer": hello + 1}[self.moment]
        return iter([*steps[:place], Pause(self.left), *(steps[place:] if self._then is None else self._then)])


def data(step: Step) -> bytes:
    return step.data if isinstance(step, Send) else b""


async def leave(world: Targets, form: Format, *, stream: bool, rudely: bool = False, until_seen: bytes = b"") -> None:
    """Ask, and leave when the call has come, or something of its answer."""
    path, body = form.request(stream=stream)
    before = sum(world.calls)
    async with RawClient(world.router.url) as client:
        await client.send(f"/work{path}", body)
        await until(lambda: sum(world.calls) > before)
        if until_seen:
            await client.read_until(until_seen)
        await asyncio.sleep(0.02)
        client.leave(rudely=rudely)
    await asyncio.sleep(0.02)


def told(after: Aftermath) -> tuple[object, ...]:
    """What the row says, and its last call."""
    row, call = after.row, after.attempts[-1]
    assert {name: row[name] for name in USAGE} == {name: call[name] for name in USAGE}
    return row["outcome"], row["status"], row["output"], row["cost_nano_usd"], call["maybe_billed"]


CASES = [
    pytest.param(
        client, provider, stream, moment, id=f"{client} → {provider}, {'stream' if stream else 'whole'}, {moment}"
    )
    for client, provider, stream, moment in itertools.product(
        BY_NAME, BY_NAME, (True, False), ("before the head", "behind the head", "in the answer")
    )
]


@pytest.mark.sampled(16)
@pytest.mark.parametrize(("client", "provider", "stream", "moment"), CASES)
async def test_a_call_whose_client_leaves_is_read_to_its_end(
    client: str, provider: str, stream: bool, moment: str, tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", DRAIN, count=1, formats=[[provider]]) as world:
        world.one.answer = script = Script(moment)
        async with aftermath(world.router, world.one) as after:
            seen = b"Hello" if stream and moment == "in the answer" else b""
            await leave(world, BY_NAME[client], stream=stream, until_seen=seen)
            assert len(world.router.app.services.drains) == 1
            script.left.set()
        assert told(after) == (*GONE, USAGE["output"], COST, 0)
        assert len(world.router.app.services.drains) == 0


@pytest.mark.parametrize("rudely", [False, True], ids=["FIN", "RST"])
async def test_who_leaves_amid_much_that_it_hasn_t_read(rudely: bool, tmp_path: Path) -> None:
    """The router is writing, and can't, when the client leaves."""
    events = messages_events("model-1")
    much = [*opening(*events[:3]), *[Send(events[3] * 200)] * 400, Send(b"".join(events[4:])), End()]
    async with targets(tmp_path / "home", DRAIN, count=1) as world:
        world.one.answer = lambda received: much
        async with aftermath(world.router, world.one) as after:
            await leave(world, MESSAGES, stream=True, rudely=rudely, until_seen=b"Hello")
        assert told(after) == (*GONE, USAGE["output"], COST, 0)


async def test_beyond_the_bound_calls_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drains, "MOST", 2)
    async with targets(tmp_path / "home", DRAIN, count=1) as world:
        world.one.answer = script = Script("before the head")
        async with world.many(3):
            for _ in range(3):
                await leave(world, MESSAGES, stream=True)
            await until(world.one.requests[2].closed.is_set)
            assert [each.closed.is_set() for each in world.one.requests] == [False, False, True]
            script.left.set()
        rows = await world.router.rows()
        assert [(row["outcome"], row["output"]) for row in rows] == [("client-gone", 7), ("client-gone", 7), GONE]


async def test_a_call_that_goes_on_for_too_long_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drains, "LONGEST_S", 0.1)
    async with targets(tmp_path / "home", DRAIN, count=1) as world:
        world.one.answer = lambda received: [*opening(*messages_events("model-1")[:5]), Stall()]
        async with aftermath(world.router, world.one) as after:
            await leave(world, MESSAGES, stream=True, until_seen=b"Hello")
            await until(world.one.requests[0].closed.is_set)
        assert (after.row["outcome"], after.row["input"], after.attempt["maybe_billed"]) == ("client-gone", 11, 1)


@pytest.mark.parametrize("moment", ["before the head", "in the answer"])
async def test_a_provider_that_fails_then_is_not_asked_again(moment: str, tmp_path: Path) -> None:
    async with targets(tmp_path / "home", DRAIN) as world:
        broken = [Close()] if moment == "in the answer" else failing(503)
        world.one.answer = script = Script(moment, broken)
        async with aftermath(world.router, world.one, world.two) as after:
            await leave(world, MESSAGES, stream=True, until_seen=b"Hello" if moment == "in the answer" else b"")
            script.left.set()
        error_class = "broken-stream" if moment == "in the answer" else "overloaded"
        assert after.told == ("client-gone", error_class)
        assert world.calls == [1, 0]


async def test_nobody_waits_for_a_further_call_without_a_client(tmp_path: Path) -> None:
    """Between two calls there is nothing to read."""
    async with targets(tmp_path / "home", DRAIN.replace("1ms", "20s"), count=1) as world:
        world.one.answer = lambda received: failing(500)
        async with aftermath(world.router, world.one) as after:
            await leave(world, MESSAGES, stream=True)
        assert after.row["outcome"] == "client-gone"


async def test_the_verifier_of_a_draft_is_not_asked_for_nobody(tmp_path: Path) -> None:
    rule = '[[rule]]\nmatch = {}\ntarget = "two/model-2"\ncascade = { draft = "one/model-1", threshold = 1.0 }\n'
    async with targets(tmp_path / "home", f"{DRAIN}{rule}") as world:
        world.one.answer = script = Script("before the head")
        async with aftermath(world.router, world.one, world.two) as after:
            await leave(world, MESSAGES, stream=False)
            script.left.set()
        assert world.calls == [1, 0]
        assert after.row["outcome"] == "client-gone"
        assert (after.attempt["role"], after.attempt["output"], after.attempt["maybe_billed"]) == ("draft", 7, 0)


@pytest.mark.parametrize("moment", ["before the head", "in the answer"])
@pytest.mark.parametrize("of", ["the server", "the profile"])
async def test_a_stop_cuts_what_goes_on(of: str, moment: str, tmp_path: Path) -> None:
    grace = '[server]\nstop-grace = "0s"\n'
    home = tmp_path / "home"
    async with targets(home, DRAIN, count=1, server=grace) as world:
        world.one.answer = Script(moment)
        await leave(world, MESSAGES, stream=True, until_seen=b"Hello" if moment == "in the answer" else b"")
        assert len(world.router.app.services.drains) == 1
        if of == "the server":
            await world.router.app.stop()
        else:
            await world.router.app.profile_states.stop("work", now=True)
            await world.router.flush()
        [row] = read_rows(home / "router.db")
        assert (row["outcome"], row["state"]) == ("drained", "settled")
        assert len(world.router.app.services.drains) == 0


async def test_a_place_is_kept_until_the_call_has_ended(tmp_path: Path) -> None:
    async with limited(tmp_path / "home") as world:
        await world.limits(f"{DRAIN.partition('[retry]')[0]}[limits]\nconcurrent-requests = 1")
        held = Held(world)
        async with RawClient(world.router.url) as client:
            await client.send("/work/v1/messages", MESSAGES.request(stream=False)[1])
            await world.until(inside=1, waiting=0)
            await held.calls(1)
            client.leave()
        next_one = asyncio.create_task(world.ask())
        await world.until(inside=1, waiting=1)
        held.release()
        await held.calls(2)
        held.release()
        assert (await next_one).status == 200


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_who_stays_notices_nothing(stream: bool, tmp_path: Path) -> None:
    async with targets(tmp_path / "one", DRAIN, count=1) as draining, targets(tmp_path / "two", count=1) as usual:
        told = [await world.asked(stream=stream) for world in (draining, usual)]
        assert len({reply.body for reply, _ in told}) == 1
        assert [after.told for _, after in told] == [("ok", None)] * 2
        draining.one.answer = usual.one.answer = lambda received: failing(400)
        told = [await world.asked(stream=stream) for world in (draining, usual)]
        assert len({(reply.status, reply.body) for reply, _ in told}) == 1
