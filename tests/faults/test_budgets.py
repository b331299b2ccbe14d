"""Budgets hold: however many requests come at once, whatever becomes of them, whatever the clock does."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from router.ledger.reports import Reader
from router.money.budget import PROFILE
from router.server import client_keys
from tests.support.answers import encoded, message, messages_events
from tests.support.asking import FORMATS, Format
from tests.support.process import RouterProcess, free_port
from tests.support.provider import FakeProvider, Pause, Received, Stall, Step, stream, whole
from tests.support.raw import ask, request
from tests.support.serving import write_profile
from tests.support.targets import QUICK, Targets, failing, profile, story, targets

BODY = json.dumps({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}).encode()
STREAMED = BODY[:-1] + b', "stream": true}'


def dollars(nano: int) -> str:
    return f"{nano / 1e9:.9f}"


def budget(nano: int | None = None, mode: str = "strict", more: str = "", *, month: int | None = None) -> str:
    limits = f"daily-usd = {dollars(nano)}\n" if nano is not None else ""
    limits += f"monthly-usd = {dollars(month)}\n" if month is not None else ""
    return f'{QUICK}[budget]\n{limits}mode = "{mode}"\n{more}\n'


def using(received: Received, input_tokens: int, output_tokens: int) -> list[Step]:
    """An answer of Anthropic's with this usage."""
    usage = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    if not received.json.get("stream"):
        return whole({**message("m"), "usage": usage})
    events = messages_events("m")
    opening = {**message("m"), "content": [], "usage": {**usage, "output_tokens": 1}}
    start = {"type": "message_start", "message": opening}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": output_tokens}}
    events[0] = b"event: message_start\ndata: %s\n\n" % encoded(start)
    events[-2] = b"event: message_delta\ndata: %s\n\n" % encoded(end)
    return stream(*events)


async def reserved_for(home: Path, body: bytes, mode: str = "strict") -> int:
    """What is kept back for a request, in nano-dollars."""
    async with targets(home, budget(10**12, mode), count=1) as world:
        _, after = await world.asked(body=body)
        return int(after.attempt["reserved_nano_usd"])


def costing(nano: int) -> Any:
    """A provider whose every answer costs so much at $1 and $10 a million: 100 tokens of output, the rest input."""
    return lambda received: using(received, (nano - 100 * 10_000) // 1000, 100)


def spent(world: Targets) -> int:
    """Of the profile's day, as the server counts it."""
    [tenant] = world.router.app.tenants
    return tenant.spending.budgets.window(PROFILE, "day").spent


async def in_ledger(world: Targets) -> int:
    """What the rows say was spent."""
    return sum(row["cost_nano_usd"] or 0 for row in await world.router.rows())


# --- many at once -----------------------------------------------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time to commit a row: nothing is refused for that."""
    monkeypatch.setattr("router.server.accounts.RECORD_WAIT_S", 60.0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("requests", "fit"), [(30, 3), pytest.param(200, 20, marks=pytest.mark.slow)], ids=["thirty", "two hundred"]
)
@pytest.mark.parametrize("body", [pytest.param(BODY, id="whole"), pytest.param(STREAMED, id="streamed")])
async def test_ten_times_more_at_once_than_a_strict_budget_has(
    body: bytes, requests: int, fit: int, tmp_path: Path
) -> None:
    """Every answer costs as much as was reserved: not a nano-dollar more is spent than the budget has."""
    each = await reserved_for(tmp_path / "a", body)
    limit = fit * each
    async with targets(tmp_path / "b", budget(limit), count=1) as world:
        world.one.answer = costing(each)
        replies = await asyncio.gather(*(world.ask(body=body, within_s=60) for _ in range(requests)))
        assert Counter(reply.status for reply in replies) == {200: fit, 429: requests - fit}
        assert await in_ledger(world) == spent(world) == limit


async def test_where_less_is_used_more_requests_fit(tmp_path: Path) -> None:
    each = await reserved_for(tmp_path / "a", BODY)
    async with targets(tmp_path / "b", budget(20 * each), count=1) as world:
        world.one.answer = costing(each // 2)
        for _ in range(10):
            await asyncio.gather(*(world.ask(body=BODY) for _ in range(20)))
        used = await in_ledger(world)
        assert 19 * each < used + each <= 20 * each + each
        assert used == spent(world) <= 20 * each


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("body", [pytest.param(BODY, id="whole"), pytest.param(STREAMED, id="streamed")])
async def test_what_is_likely_is_passed_by_no_more_than_is_stated(body: bytes, tmp_path: Path) -> None:
    """Every answer costs as much as it can; reserved is what is likely. The bound is what those under way could cost
    beyond their reservations."""
    worst = await reserved_for(tmp_path / "a", body)
    likely = await reserved_for(tmp_path / "b", body, "expected")
    assert likely < worst
    limit = 20 * likely
    async with targets(tmp_path / "c", budget(limit, "expected"), count=1) as world:
        world.one.answer = costing(worst)
        risks = []

        def noticed(received: Received) -> Iterable[Step]:
            [tenant] = world.router.app.tenants
            risks.append(tenant.spending.budgets.window(PROFILE, "day").at_risk)
            return list(costing(worst)(received))

        world.one.answer = noticed
        for _ in range(3):
            await asyncio.gather(*(world.ask(body=body) for _ in range(60)))
        over = await in_ledger(world) - limit
        assert 0 < over <= max(risks) <= 20 * (worst - likely)


# --- what a client is told --------------------------------------------------------------------------------------------

NOON = 1_795_176_000_000  # 2026-11-20 12:00 UTC


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_a_spent_budget_is_told_in_the_clients_format(form: Format, stream: bool, tmp_path: Path) -> None:
    settings = '[routing]\ntimezone = "Europe/Berlin"\n' + budget(0)
    async with targets(tmp_path / "home", settings, count=1, clock=lambda: NOON) as world:
        reply, after = await world.asked(form, stream=stream)
        assert reply.status == 429
        told = form.error_of(reply.body)
        assert told.startswith("profile work: the budget of the profile for the day doesn't allow it: $0.00 of $0.00")
        assert told.endswith("it resets at 2026-11-21 00:00 (Europe/Berlin)")
        assert reply.headers["x-router-reset"] == "2026-11-20T23:00:00Z"
        assert reply.headers["retry-after"] == str(11 * 3600)
        assert reply.headers["x-should-retry"] == "false"
        assert after.told == ("refused", "budget_exceeded")
        assert (after.row["status"], after.row["attempts"], after.row["rule"]) == (429, 0, "default → one")
        assert "passed over: one/model-1" in after.row["trace"]


async def test_a_month_is_told_as_one(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", budget(month=0), count=1, clock=lambda: NOON) as world:
        reply, _ = await world.asked()
        assert b"the budget of the profile for the month" in reply.body
        assert reply.headers["x-router-reset"] == "2026-12-01T00:00:00Z"


async def test_a_budget_that_only_warns_refuses_nothing_and_says_so(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", budget(0, more='on-exceed = "warn"'), count=1) as world:
        for _ in range(2):
            reply, _ = await world.asked()
            assert reply.status == 200
        assert reply.headers["x-router-budget"].startswith("profile day ")
        [tenant] = world.router.app.tenants
        assert tenant.problem_lines() == []


# --- where else requests go -------------------------------------------------------------------------------------------


async def test_what_is_too_dear_goes_to_a_cheaper_candidate(tmp_path: Path) -> None:
    """The provider ``two`` is twice as dear; a rule prefers it."""
    rule = '[[rule]]\nmatch = {}\ntarget = "two/model-2"\n'
    async with targets(tmp_path / "a", rule + budget(10**12), count=2) as world:
        _, after = await world.asked(body=BODY)
        dear = after.attempt["reserved_nano_usd"]
    async with targets(tmp_path / "b", rule + budget(dear - 1), count=2) as world:
        reply, after = await world.asked(body=BODY)
        assert (reply.status, story(after)) == (200, [("primary", "one", None)])
        assert "passed over: two/model-2: the budget of the profile" in after.row["trace"]


DEGRADE = 'on-exceed = "degrade"\ndegrade-to = "two/model-2"'


async def test_a_spent_budget_degrades_to_another_target(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", budget(1, "expected", DEGRADE), count=2) as world:
        reply, after = await world.asked(body=BODY)
        assert (reply.status, story(after)) == (200, [("primary", "two", None)])
        assert reply.headers["x-router-rule"] == "degrade -> two"
        assert reply.headers["x-router-route-reason"] == "degrade: budget of profile"
        assert reply.headers["x-router-budget"].startswith("profile day ")
        assert after.row["rule"] == "degrade → two"
        assert spent(world) == after.row["cost_nano_usd"] > 1


async def test_after_a_failure_a_budget_degrades_to_what_would_have_come_next(tmp_path: Path) -> None:
    """The fallback has been looked at, and isn't left out for that. What was recorded for the rule stays the rule's."""
    each = await reserved_for(tmp_path / "a", BODY)
    async with targets(tmp_path / "b", budget(2 * each, "expected", DEGRADE), count=2) as world:
        world.one.answer = lambda received: failing(504)
        limit = await reserved_for(tmp_path / "c", BODY, "expected")
        file = world.router.app.home.profiles / "work" / "routing.toml"
        file.write_text(file.read_text().replace(dollars(2 * each), dollars(limit)))
        await world.router.app.reload()
        reply, after = await world.asked(body=BODY)
        assert (reply.status, story(after)) == (200, [("primary", "one", "timeout"), ("fallback", "two", None)])
        assert (after.row["rule"], reply.headers["x-router-rule"]) == ("default → one", "default -> one")
        assert reply.headers["x-router-route-reason"] == "degrade: budget of profile"


async def test_a_strict_budget_is_not_passed_by_what_it_degrades_to(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", budget(1, "strict", DEGRADE), count=2) as world:
        reply, after = await world.asked(body=BODY)
        assert (reply.status, after.told) == (429, ("refused", "budget_exceeded"))
        assert world.calls == [0, 0]


async def test_a_rules_budget_counts_what_it_sent_elsewhere(tmp_path: Path) -> None:
    rule = (
        '[[rule]]\nname = "all"\nmatch = {}\ntarget = "one/model-1"\nfallback = []\n'
        f'budget = {{ daily-usd = {dollars(1)}, on-exceed = "degrade", degrade-to = "two/model-2" }}\n'
    )
    async with targets(tmp_path / "home", rule + QUICK, count=2) as world:
        _, after = await world.asked(body=BODY)
        assert after.row["rule"] == "degrade → two"
        [tenant] = world.router.app.tenants
        [row] = tenant.spending.rows()
        assert (row["budget"], row["spent_nano_usd"]) == ("rule all → one", after.row["cost_nano_usd"])


async def test_a_spent_rule_refuses_its_own_requests_and_takes_no_others(tmp_path: Path) -> None:
    """The rule's target stands behind another rule's, whose requests may go on to the default."""
    rules = (
        '[[rule]]\nname = "streams"\nmatch = { stream = true }\ntarget = "two/model-2"\npriority = 2\n'
        '[[rule]]\nname = "spent"\nmatch = {}\ntarget = "three/model-3"\nbudget = { daily-usd = 0 }\npriority = 1\n'
    )
    async with targets(tmp_path / "home", rules + QUICK, count=3) as world:
        reply, after = await world.asked(body=BODY)
        assert (reply.status, after.row["rule"]) == (429, "spent → three")
        world.two.answer = lambda received: failing(500)
        reply, after = await world.asked(body=STREAMED)
        assert reply.status == 200
        assert {call[1] for call in story(after)} == {"two", "one"}


async def test_a_call_that_costs_nothing_is_made_whatever_is_spent(tmp_path: Path) -> None:
    free = (
        '[prices."one/other"]\ninput = 0\noutput = 0\n[[rule]]\nmatch = { model-equals = "f" }\ntarget = "one/other"\n'
    )
    async with targets(tmp_path / "home", budget(0) + free, count=1) as world:
        reply, after = await world.asked(body=BODY.replace(b'"m"', b'"f"'))
        assert (reply.status, after.row["cost_nano_usd"]) == (200, 0)


@pytest.mark.parametrize(("mode", "status"), [("strict", 429), ("expected", 200)])
async def test_an_unknown_price(mode: str, status: int, tmp_path: Path) -> None:
    rule = '[[rule]]\nmatch = {}\ntarget = "one/unpriced"\nfallback = []\n[routing]\nfallthrough = false\n'
    async with targets(tmp_path / "home", rule + budget(10**12, mode), count=1) as world:
        reply, after = await world.asked(body=BODY)
        assert reply.status == status
        assert (b"there is no price for one/unpriced" in reply.body) is (status == 429)
        assert after.row["held_nano_usd"] is None


# --- what becomes of calls --------------------------------------------------------------------------------------------


async def test_each_call_of_a_request_is_reserved_and_settled_for_itself(tmp_path: Path) -> None:
    """A refused call costs nothing; one that may have been charged counts what was reserved for it."""
    async with targets(tmp_path / "home", budget(10**12), count=3) as world:
        world.one.answer = lambda received: failing(400, "billing")
        world.one.answer = lambda received: failing(504)
        world.two.answer = lambda received: failing(429)
        reply, after = await world.asked(body=BODY)
        assert reply.status == 200
        first = after.attempts[0]
        assert first["maybe_billed"] == 1
        assert after.row["held_nano_usd"] == first["reserved_nano_usd"]
        assert spent(world) == after.row["cost_nano_usd"] + first["reserved_nano_usd"]


async def test_a_fallback_that_does_not_fit_any_more_is_not_called(tmp_path: Path) -> None:
    """The first call may be charged: what was reserved for it stays taken, and the second is dearer."""
    each = await reserved_for(tmp_path / "a", BODY)
    async with targets(tmp_path / "b", budget(2 * each), count=2) as world:
        world.one.answer = lambda received: failing(504)
        reply, after = await world.asked(body=BODY)
        assert reply.status == 504
        assert story(after) == [("primary", "one", "timeout")]
        assert after.row["held_nano_usd"] == each == spent(world)


async def test_a_client_that_leaves_keeps_the_reservation_taken(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", budget(10**12), count=1) as world:
        world.one.answer = lambda received: [Stall()]
        asking = asyncio.create_task(world.ask(body=BODY))
        while not world.one.requests:
            await asyncio.sleep(0.002)
        asking.cancel()
        await asyncio.wait({asking})
        while world.router.app.services.active:
            await asyncio.sleep(0.002)
        [row] = await world.router.rows()
        [attempt] = await world.router.rows("attempts")
        assert (row["outcome"], row["cost_nano_usd"]) == ("client-gone", None)
        assert row["held_nano_usd"] == attempt["reserved_nano_usd"] == spent(world)


async def test_a_request_to_count_tokens_is_free(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", budget(0), count=1) as world:
        async with world.router.post("/work/v1/messages/count_tokens", data=BODY) as reply:
            assert reply.status == 200
        assert spent(world) == 0


async def test_embeddings_are_paid_too(tmp_path: Path) -> None:
    body = json.dumps({"model": "one:model-1", "input": "hello"}).encode()
    async with targets(tmp_path / "a", budget(10**12), count=1) as world:
        async with world.router.post("/work/v1/embeddings", data=body) as reply:
            assert reply.status == 200, await reply.text()
        [attempt] = await world.router.rows("attempts")
        [row] = await world.router.rows()
        assert (attempt["cost_nano_usd"], row["held_nano_usd"]) == (1000 * attempt["input"], None)  # no output, no cost
        assert 0 < attempt["reserved_nano_usd"] < 10_000_000
    nearly = budget(attempt["reserved_nano_usd"] - 1)
    async with (
        targets(tmp_path / "b", nearly, count=1) as world,
        world.router.post("/work/v1/embeddings", data=body) as reply,
    ):
        assert reply.status == 429


# --- drafts -----------------------------------------------------------------------------------------------------------

CASCADE = '[[rule]]\nmatch = {}\ntarget = "two/model-2"\ncascade = { draft = "one/model-1", threshold = 1.0 }\n'


async def test_a_draft_and_its_verifier_are_paid_from_the_same_budget(tmp_path: Path) -> None:
    async with targets(tmp_path / "a", CASCADE + budget(10**12), count=2) as world:
        _, after = await world.asked(body=BODY)
        reserved = {attempt["role"]: attempt["reserved_nano_usd"] for attempt in after.attempts}
        assert spent(world) == after.row["cost_nano_usd"]
    if "verifier" not in reserved:
        return
    draft = after.attempts[0]["cost_nano_usd"]
    nearly = draft + reserved["verifier"] - 1
    async with targets(tmp_path / "b", CASCADE + "[routing]\nfallthrough = false\n" + budget(nearly), count=2) as world:
        reply, after = await world.asked(body=BODY)
        assert (reply.status, [call[0] for call in story(after)]) == (429, ["draft"])
        assert spent(world) == draft


# --- clocks -----------------------------------------------------------------------------------------------------------

HOUR = 3_600_000
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("jump", "fresh"),
    [
        pytest.param(-13 * HOUR, False, id="an hour back over midnight"),
        pytest.param(-HOUR, False, id="an hour back"),
        pytest.param(-NOON, False, id="1970"),
        pytest.param(DAY, True, id="a day on"),
        pytest.param(40 * DAY, True, id="into another month"),
    ],
)
async def test_a_clock_that_jumps(jump: int, fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a spent window opened again, nor a fresh one refused; after a restart as before."""
    monkeypatch.setattr("router.server.app.keep_forgetting", _forget_nothing)  # of 1970
    each = await reserved_for(tmp_path / "a", BODY)
    now = NOON
    home = tmp_path / "b"
    async with targets(home, budget(each), count=1, clock=lambda: now) as world:
        world.one.answer = costing(each)
        assert [(await world.asked(body=BODY))[0].status for _ in range(2)] == [200, 429]
        now += jump
        reply, after = await world.asked(body=BODY)
        assert reply.status == (200 if fresh else 429)
        assert after.row["time_ms"] == now
    async with targets(home, budget(each), count=1, clock=lambda: now) as world:
        assert (await world.asked(body=BODY))[0].status == 429, "spent, or spent since"


async def test_a_clock_that_is_ahead_only_at_the_start_opens_nothing(tmp_path: Path) -> None:
    """Nothing came while it was ahead; then it is put right."""
    each = await reserved_for(tmp_path / "a", BODY)
    now = NOON
    home = tmp_path / "b"
    async with targets(home, budget(each), count=1, clock=lambda: now) as world:
        world.one.answer = costing(each)
        assert (await world.asked(body=BODY))[0].status == 200
    now += DAY
    async with targets(home, budget(each), count=1, clock=lambda: now) as world:
        world.one.answer = costing(each)
        now = NOON + HOUR
        assert (await world.asked(body=BODY))[0].status == 429
        now = NOON + DAY
        assert [(await world.asked(body=BODY))[0].status for _ in range(2)] == [200, 429]


async def _forget_nothing(*what: object) -> None:
    """Old requests are kept."""


async def test_a_day_on_and_back_counts_in_the_later_day(tmp_path: Path) -> None:
    each = await reserved_for(tmp_path / "a", BODY)
    now = NOON
    home = tmp_path / "b"
    async with targets(home, budget(2 * each), count=1, clock=lambda: now) as world:
        world.one.answer = costing(each)
        for at, status, charged in ((NOON + DAY, 200, None), (NOON, 200, NOON + DAY), (NOON + HOUR, 429, NOON + DAY)):
            now = at
            reply, after = await world.asked(body=BODY)
            assert (reply.status, after.row["charged_ms"]) == (status, charged)
    async with targets(home, budget(2 * each), count=1, clock=lambda: now) as world:
        assert spent(world) == 2 * each
        for at, status in ((NOON + DAY, 429), (NOON + 2 * DAY, 200)):
            now = at
            assert (await world.asked(body=BODY))[0].status == status


async def test_another_timezone_counts_what_belongs_to_its_day(tmp_path: Path) -> None:
    """Noon of UTC is the evening before in Honolulu's future: its day began at 10:00 UTC."""
    each = await reserved_for(tmp_path / "a", BODY)
    now = NOON - 3 * HOUR
    async with targets(tmp_path / "b", budget(3 * each), count=1, clock=lambda: now) as world:
        world.one.answer = costing(each)
        await world.asked(body=BODY)
        now = NOON
        await world.asked(body=BODY)
        assert spent(world) == 2 * each
        file = world.router.app.home.profiles / "work" / "routing.toml"
        text = file.read_text()
        for zone, counted in (("Pacific/Honolulu", 1), ("Asia/Tokyo", 2), ("UTC", 2)):
            file.write_text(f'[routing]\ntimezone = "{zone}"\n{text}')
            await world.router.app.reload()
            assert spent(world) == counted * each, zone


# --- changes under way ------------------------------------------------------------------------------------------------


async def test_a_budget_that_is_added_while_requests_run_counts_them(tmp_path: Path) -> None:
    """Those that were over before, those whose answer is still to come, and nothing twice."""
    gate = asyncio.Event()
    async with targets(tmp_path / "home", QUICK, count=1) as world:
        world.one.answer = costing(2_000_000)
        await world.ask(body=BODY)
        world.one.answer = lambda received: [Pause(gate), *costing(2_000_000)(received)]
        asking = asyncio.create_task(world.ask(body=BODY))
        while len(world.one.requests) < 2:
            await asyncio.sleep(0.002)
        file = world.router.app.home.profiles / "work" / "routing.toml"
        file.write_text(file.read_text() + "\n[budget]\ndaily-usd = 5\n")
        await world.router.app.reload()
        assert spent(world) == 2_000_000
        gate.set()
        await asking
        await world.router.flush()
        assert spent(world) == 4_000_000


async def test_limits_change_and_what_was_spent_stays(tmp_path: Path) -> None:
    each = await reserved_for(tmp_path / "a", BODY)
    async with targets(tmp_path / "b", budget(each), count=1) as world:
        world.one.answer = costing(each)
        assert [(await world.asked(body=BODY))[0].status for _ in range(2)] == [200, 429]
        file = world.router.app.home.profiles / "work" / "routing.toml"
        file.write_text(file.read_text().replace(dollars(each), dollars(2 * each)))
        await world.router.app.reload()
        assert [(await world.asked(body=BODY))[0].status for _ in range(2)] == [200, 429]


async def test_a_client_keys_budget_is_its_own(tmp_path: Path) -> None:
    each = await reserved_for(tmp_path / "a", BODY)
    async with targets(tmp_path / "b", QUICK, count=1) as world:
        world.one.answer = costing(each)
        app = world.router.app
        made = {}
        for name, usd in (("alice", each / 1e9), ("bob", None)):
            made[name] = await app.ledger.run(partial(client_keys.create, profile="work", name=name, daily_usd=usd))
        await app.tenants.use_key_limits(await app.ledger.run(client_keys.limits))
        app.services.keys = await app.ledger.run(client_keys.ring)

        async def ask(name: str) -> tuple[int, str]:
            async with world.router.post(
                "/work/v1/messages", data=BODY, headers={"x-router-key": made[name]["key"]}
            ) as reply:
                return reply.status, await reply.text()

        assert (await ask("alice"))[0] == 200
        status, text = await ask("alice")
        assert (status, "the budget of the key alice for the day" in text) == (429, True)
        assert (await ask("bob"))[0] == 200
        assert (await world.asked(body=BODY))[0].status == 200


# --- the end of the process -------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_killed_router_has_not_forgotten_what_its_calls_may_cost(
    tmp_path: Path, provider: FakeProvider
) -> None:
    """Killed while calls are under way, started again, asked again: what the provider may have charged in all, for
    every call that it ever got, is never more than the budget."""
    each = await reserved_for(tmp_path / "a", BODY)
    limit = 20 * each
    home, silent = tmp_path / "b" / "home", asyncio.Event()

    def answering(received: Received) -> list[Step]:
        place = len(provider.requests)
        return [*([Pause(silent)] if 5 < place <= 12 else []), *costing(each)(received)]

    provider.answer = answering
    home.mkdir(mode=0o700, parents=True)
    write_profile(home, "work", profile([provider.url], budget(limit)))
    process = RouterProcess(home, free_port())

    async def asked(count: int) -> list[int]:
        replies = await asyncio.gather(
            *(ask(process.url, request("POST", "/work/v1/messages", BODY)) for _ in range(count)),
            return_exceptions=True,
        )
        return [getattr(reply, "status", 0) for reply in replies]

    try:
        for _ in range(2):
            await (await process.spawn()).ready()
            asking = asyncio.create_task(asked(8))
            before = len(provider.requests)
            while len(provider.requests) < before + 6:
                await asyncio.sleep(0.005)
            process.signal(signal.SIGKILL)
            await process.ended()
            await asking
        silent.set()
        await (await process.spawn()).ready()
        statuses = await asked(60)
        assert set(statuses) <= {200, 429, 503}  # 503: a row wasn't committed in time
        calls = sum(received.method == "POST" for received in provider.requests)
        assert calls * each <= limit
        past = Reader(home / "router.db").budget_past("work", ZoneInfo("UTC"), 0)
        assert calls * each <= sum(past.sums["day"].values()) <= limit
    finally:
        await process.destroy()


async def test_what_no_reset_helps_isn_t_promised_one(tmp_path: Path) -> None:
    each = await reserved_for(tmp_path / "a", BODY)
    async with targets(tmp_path / "b", budget(each - 1), count=1) as world:
        reply, _ = await world.asked(body=BODY)
        assert b"this call alone may cost" in reply.body
        assert b"resets at" not in reply.body
