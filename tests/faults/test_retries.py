"""How often, how long and how many together: the bounds of trying again."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.support.aftermath import aftermath
from tests.support.asking import MESSAGES
from tests.support.provider import Close, Pause, Received, Reset, Stall, Step
from tests.support.raw import RawClient, request
from tests.support.sdk import claude, gpt
from tests.support.serving import read_rows
from tests.support.slow import in_time, within
from tests.support.targets import QUICK, Targets, failing, story, targets

ASK = request("POST", "/work/v1/messages", MESSAGES.request(stream=False)[1])

# --- how long a provider asks to wait ---------------------------------------------------------------------------------

MAX_DELAY_S = 0.08
SHORT = f'[retry]\nbackoff = "1ms"\nmax-delay = "{MAX_DELAY_S * 1000:g}ms"\n'


def date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


WAITS = [
    # header, value, whether it is waited for (and the call made again), given up, or not understood (and made at once)
    ("retry-after", "0.05", "waited"),
    ("retry-after-ms", "50", "waited"),
    ("retry-after-ms", "50.5", "waited"),
    ("retry-after", "0", "at once"),
    ("retry-after", "1", "given up"),
    ("retry-after", "3600", "given up"),
    ("retry-after-ms", "5000", "given up"),
    ("retry-after", lambda: date(30), "given up"),
    ("retry-after", lambda: date(-30), "at once"),
    ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT", "at once"),
    ("retry-after", "1e9", "at once"),
    ("retry-after", "1000000000", "at once"),
    ("retry-after", "99999999999999999999999", "at once"),
    ("retry-after", "-5", "at once"),
    ("retry-after", "-1e9", "at once"),
    ("retry-after", "nan", "at once"),
    ("retry-after", "NaN", "at once"),
    ("retry-after", "inf", "at once"),
    ("retry-after", "-Infinity", "at once"),
    ("retry-after", "", "at once"),
    ("retry-after", "soon", "at once"),
    ("retry-after", "0x10", "at once"),
    ("retry-after", "1_0", "at once"),
    ("retry-after", "five seconds", "at once"),
    ("retry-after", "9" * 5000, "at once"),
    ("retry-after", "Wed, 99 Foo 2026 25:61:61 GMT", "at once"),
    ("retry-after-ms", "nan", "at once"),
    ("retry-after-ms", "-1", "at once"),
    ("x-ratelimit-reset-requests", "1e999s", "at once"),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("status", [429, 503, 529])
async def test_no_wait_is_longer_than_the_longest_delay(status: int, tmp_path: Path) -> None:
    async with targets(tmp_path / "home", SHORT, count=1) as world:
        for header, told, expected in WAITS:
            value = told() if callable(told) else told
            world.one.answer = lambda received, value=value, header=header: failing(status, headers=[(header, value)])
            before = world.calls[0]
            reply, after = await world.asked()
            took, calls = after.row["duration_ms"] / 1000, world.calls[0] - before
            what = f"{header}: {value[:40]}"
            assert reply.status == status, what
            in_time(took, MAX_DELAY_S + 0.4, what)
            assert calls == (1 if expected == "given up" else 2), what
            assert took > 0.045 or expected != "waited", what
            if header == "retry-after" and expected == "given up":
                assert reply.headers["retry-after"] == value
            assert after.row["outcome"] == "upstream-error"


@pytest.mark.parametrize("status", [429, 503, 529])
async def test_with_another_candidate_nobody_waits(status: int, tmp_path: Path) -> None:
    async with targets(tmp_path / "home") as world:
        for seconds in ("0.3", "1", "9", "3600"):
            world.one.answer = lambda received, s=seconds: failing(status, headers=[("retry-after", s)])
            reply, after = await world.asked()
            in_time(after.row["duration_ms"] / 1000, 0.25)
            assert (reply.status, reply.headers["x-router-provider"], len(after.attempts)) == (200, "two", 2)


# --- calls that may have been charged ---------------------------------------------------------------------------------

IMPATIENT = '[timeouts]\nfirst-event = "100ms"\nfirst-event-last = "100ms"\nwhole = "100ms"\n'
AFTER_TIMEOUT = QUICK + "after-timeout = true\n" + IMPATIENT
TIMED_OUT: list[Any] = [
    pytest.param([Stall()], id="silence"),
    pytest.param(failing(504), id="504"),
    pytest.param(failing(408), id="408"),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("steps", TIMED_OUT)
async def test_who_timed_out_isnt_called_again_unless_asked_for(
    steps: list[Step], stream: bool, tmp_path: Path
) -> None:
    async with targets(tmp_path / "once", QUICK + IMPATIENT, count=1) as world:
        world.one.answer = lambda received: steps
        reply, after = await world.asked(stream=stream)
        assert reply.status in (504, 408)
        assert reply.headers["x-should-retry"] == "false"
        assert story(after) == [("primary", "one", "timeout")]
        assert after.attempt["maybe_billed"] == 1
    async with targets(tmp_path / "again", AFTER_TIMEOUT, count=1) as world:
        world.one.answer = lambda received: steps
        reply, after = await world.asked(stream=stream)
        assert story(after) == [("primary", "one", "timeout"), ("retry", "one", "timeout")]
        assert [attempt["maybe_billed"] for attempt in after.attempts] == [1, 1]
        assert reply.headers["x-router-attempts"] == "2"


async def test_a_timeout_is_marked_where_the_next_one_answers(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", QUICK + IMPATIENT) as world:
        world.one.answer = lambda received: [Stall()]
        reply, after = await world.asked()
    assert (reply.status, reply.headers["x-router-attempts"]) == (200, "2")
    assert [attempt["maybe_billed"] for attempt in after.attempts] == [1, 0]
    assert after.attempts[0]["cost_nano_usd"] is None, "what it may have cost isn't known"


# --- SDKs that try again themselves -----------------------------------------------------------------------------------

OUTAGES: list[Any] = [
    pytest.param(failing(500), id="500"),
    pytest.param(failing(503), id="503", marks=pytest.mark.slow),
    pytest.param(failing(529), id="529", marks=pytest.mark.slow),
    pytest.param(failing(408), id="408", marks=pytest.mark.slow),
    pytest.param(failing(409), id="409", marks=pytest.mark.slow),
    pytest.param(failing(401), id="401", marks=pytest.mark.slow),
    pytest.param([Reset()], id="reset", marks=pytest.mark.slow),
    pytest.param([Close()], id="hung up", marks=pytest.mark.slow),
]


async def claude_asks(base: str) -> None:
    async with claude(base, sync=False).with_options(max_retries=2) as client:
        with pytest.raises(anthropic.APIStatusError):
            await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])


async def gpt_asks(base: str) -> None:
    async with gpt(f"{base}/v1", sync=False).with_options(max_retries=2) as client:
        with pytest.raises(openai.APIStatusError):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])


SDKS = pytest.mark.parametrize("asks", [claude_asks, gpt_asks], ids=["anthropic", "openai"])


@SDKS
@pytest.mark.parametrize("steps", OUTAGES)
async def test_an_sdk_call_is_three_upstream_calls_at_most(
    steps: list[Step], asks: Callable[[str], Any], tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", resentful=True) as world:
        world.one.answer = world.two.answer = lambda received: steps
        async with world.settling():
            await asks(f"{world.router.url}/work")
        assert 1 <= sum(world.calls) <= 3


@SDKS
@pytest.mark.slow
@pytest.mark.parametrize("wait", [None, "1"], ids=["without a wait", "with a wait"])
async def test_an_sdk_waits_for_a_limit_itself(wait: str | None, asks: Callable[[str], Any], tmp_path: Path) -> None:
    """A limit passes, and the SDK is told when: it may ask again then, and not before."""
    limit_s = float(wait or 2.0)
    arrived: list[float] = []

    def limited(received: Received) -> list[Step]:
        arrived.append(time.monotonic())
        return failing(429, headers=[("retry-after", wait)] if wait else [])

    settings = QUICK + 'max-delay = "500ms"\n'
    async with targets(tmp_path / "home", settings, resentful=True) as world:
        world.one.answer = world.two.answer = limited
        async with world.settling():
            await asks(f"{world.router.url}/work")
    bursts = [later - earlier for earlier, later in itertools.pairwise(arrived) if later - earlier > 0.3]
    assert len(bursts) <= 2
    assert all(pause >= limit_s - 0.2 for pause in bursts)


# --- an outage of everything ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "requests", [100, pytest.param(3000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])], ids=["hundred", "many"]
)
async def test_an_outage_of_everything_is_not_multiplied(requests: int, tmp_path: Path) -> None:
    """With breakers and cooldowns out of the way, the budget of retries alone holds the calls down."""
    async with targets(tmp_path / "home") as world:
        world.one.answer = world.two.answer = lambda received: failing(503)

        async def client(numbers: Iterable[int]) -> None:
            for _ in numbers:
                assert (await world.ask(within_s=60)).status == 503

        async with world.many(requests):
            numbers = iter(range(requests))
            await asyncio.gather(*(client(numbers) for _ in range(32)))
        assert sum(world.calls) <= max(requests + 25, 1.25 * requests)


async def test_breakers_end_the_calls_of_an_outage(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", resentful=True) as world:
        world.one.answer = world.two.answer = lambda received: failing(500)
        async with world.many(60):
            statuses = [(await world.ask()).status for _ in range(60)]
        assert set(statuses) <= {429, 500}
        assert sum(world.calls) <= 1.25 * 60 + 6


# --- the deadline -----------------------------------------------------------------------------------------------------

SLOW_FAULTS: list[Any] = [
    pytest.param([Pause(0.15), *failing(500)], id="slow failures"),
    pytest.param(failing(503, headers=[("retry-after", "0.15")]), id="waits"),
    pytest.param([Pause(0.1), *failing(503, headers=[("retry-after-ms", "40")])], id="both"),
    pytest.param([Pause(0.1), Close()], id="slow hang-ups"),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("steps", SLOW_FAULTS)
@pytest.mark.parametrize("count", [1, 3])
async def test_no_call_starts_behind_the_deadline(count: int, steps: list[Step], tmp_path: Path) -> None:
    settings = '[retry]\nbackoff = "20ms"\nattempts = 10\ntotal = 30\ndeadline = "400ms"\n'
    arrived: list[float] = []

    def late(received: Received) -> Iterable[Step]:
        arrived.append(time.monotonic())
        return steps

    async with targets(tmp_path / "home", settings, count=count) as world:
        for provider in world.providers:
            provider.answer = late
        reply, after = await world.asked()
    assert reply.status in (500, 502, 503)
    assert len(after.attempts) == len(arrived) > 1
    in_time(arrived[-1] - arrived[0], 0.4 + 0.1)
    in_time(after.row["duration_ms"] / 1000, 0.4 + 0.15 + 0.25)


# --- while nobody is being called -------------------------------------------------------------------------------------

PATIENT = '[retry]\nmax-delay = "20s"\n'
COME_BACK = failing(503, headers=[("retry-after", "15")])


@pytest.mark.parametrize("reset", [False, True], ids=["hangs up", "resets"])
async def test_a_client_that_leaves_between_two_calls_releases_everything(reset: bool, tmp_path: Path) -> None:
    async with targets(tmp_path / "home", PATIENT, count=1) as world:
        world.one.answer = lambda received: COME_BACK
        async with aftermath(world.router, world.one) as after:
            client = RawClient(world.router.url)
            async with client:
                await client.send(ASK)
                await waiting(world)
                left = time.monotonic()
                if reset:
                    client.writer.transport.abort()
            while world.router.app.services.active:
                await asyncio.sleep(0.002)
            in_time(time.monotonic() - left, 0.1)
    assert after.row["outcome"] == "client-gone"
    assert story(after) == [("primary", "one", "overloaded")]
    assert after.row["cost_nano_usd"] == 0, "the only call there was failed"


async def waiting(world: Targets) -> None:
    """Until a call has failed and the next one is waited for: the provider's connection is free again."""
    connector = world.router.app.services.upstream._session.connector
    assert connector is not None
    async with asyncio.timeout(5):
        while not world.one.requests or connector._acquired:
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.02)
    assert len(world.router.app.services.active) == 1


async def test_a_request_that_waits_is_told_when_the_server_stops(tmp_path: Path) -> None:
    server = '[server]\nstop-grace = "50ms"\n'
    async with targets(tmp_path / "home", PATIENT, count=1, server=server) as world:
        world.one.answer = lambda received: COME_BACK
        pending = asyncio.create_task(world.ask())
        await waiting(world)
        with within(2):
            await world.router.app.stop()
        reply = await pending
        [row] = read_rows(world.router.app.home.database)
        [call] = read_rows(world.router.app.home.database, "attempts")
    assert reply.status == 503
    assert "retry-after" in reply.headers
    assert (row["state"], row["outcome"], row["attempts"]) == ("settled", "drained", 1)
    assert (call["state"], call["error_class"]) == ("settled", "overloaded")
