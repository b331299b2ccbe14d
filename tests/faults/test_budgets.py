"""Budgets hold: however many requests come at once, whatever becomes of them, whatever the clock does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from router.money.budget import PROFILE
from tests.support.answers import encoded, message, messages_events
from tests.support.provider import Received, Step, stream, whole
from tests.support.targets import QUICK, Targets, targets

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
    start = {"type": "message_start", "message": {**message("m"), "content": [], "usage": {**usage, "output_tokens": 1}}}  # noqa: E501
        "type": "message_start",
        "message": {**message("m"), "content": [], "usage": {**usage, "output_tokens": 1}},
    }
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


@pytest.mark.parametrize("body", [pytest.param(BODY, id="whole"), pytest.param(STREAMED, id="streamed")])
async def test_two_hundred_at_once_with_a_strict_budget_for_twenty(body: bytes, tmp_path: Path) -> None:
    """Every answer costs as much as was reserved: not a nano-dollar more is spent than the budget has."""
    each = await reserved_for(tmp_path / "a", body)
    limit = 20 * each
    async with targets(tmp_path / "b", budget(limit), count=1) as world:
        world.one.answer = costing(each)
        replies = await asyncio.gather(*(world.ask(body=body) for _ in range(200)))
        statuses = [reply.status for reply in replies]
        assert (statuses.count(200), statuses.count(429)) == (20, 180)
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
