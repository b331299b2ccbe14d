"""A replay decides as a server with those rules does, request by request, or says that it can't."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.cli.places import Places
from router.ledger.traffic import PastExchange
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.replaying import Replayed, learn, replayed
from router.replaying.deciding import ADAPTIVE, BEFORE
from router.routing.labels import NO_ROUTE
from router.server import client_keys
from router.server.demo.provider import DemoProvider
from tests.support.past import (
    ALICE,
    NOT_ASKED,
    Rules,
    Sent,
    credential,
    providers,
    recorded,
    recorded_names,
    rules,
    traffic,
)
from tests.support.serving import serving, write_profile

FRIDAY_MS = 1_763_683_200_000  # 21 November 2025
HOUR_MS = 3_600_000


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[str]:
    """A provider that answers everything."""
    provider = DemoProvider(pace_s=0)
    await provider.start()
    try:
        yield provider.provider().base_urls["anthropic-messages"]
    finally:
        await provider.close()


def write(home: Path, which: Rules, address: str) -> None:
    home.mkdir(mode=0o700)
    write_profile(home, "work", f"{which.text}\n{providers(address)}", which.concepts)


async def serve(home: Path, sent: Sequence[Sent]) -> list[PastExchange | None]:
    """What a server's ledger has of each of these requests, sent one after the other."""
    ids: list[str] = []
    async with serving(home, environ=credential()) as router:
        made = await router.app.ledger.run(partial(client_keys.create, profile="work", name=ALICE))
        router.app.services.keys = await router.app.ledger.run(client_keys.ring)
        (tenant,) = router.app.tenants
        for one in sent:
            tenant.clock = partial(round, FRIDAY_MS + one.hour * HOUR_MS)
            headers = [*one.headers, *([("x-router-key", made["key"])] if one.key else [])]
            async with router.post(f"/work{one.path}", data=one.body, headers=headers) as reply:
                await reply.read()
                ids.append(reply.headers.get("x-router-request-id", ""))
            await router.flush()
    rows = {row.id: row for row in Places(home).reader.traffic("work")}
    return [rows.get(each) for each in ids]


def profile_at(home: Path) -> tuple[Places, Profile]:
    places = Places(home)
    return places, places.profile("work")


def replayed_at(home: Path, there: Path, before: Sequence[PastExchange | None]) -> dict[str, Replayed]:
    """Each request of a ledger on the rules of another home."""
    places, profile = profile_at(there)
    rows = [row for row in before if row is not None]
    learned = learn(rows, profile.providers)
    found = replayed(rows, profile, places.prices, learned, credentials=Credentials(credential()))
    return {one.row.id: one for one in found}


def outcome(row: PastExchange) -> tuple[str, str | None]:
    """The rule that took a request, and who was called first."""
    target = None if row.first_provider is None else f"{row.first_provider}/{row.first_model}"
    return row.rule, target


def told(one: Replayed) -> tuple[str, str | None]:
    assert one.decided is not None
    rule, target = one.decided.rule, one.decided.target
    return (NO_ROUTE if rule is None else rule.label), (None if target is None else str(target))


# What may be missing, in the words of a report: what nobody had asked for, and what follows from that.
MISSING = re.compile("|".join(map(re.escape, (*NOT_ASKED, "provider-used=", ADAPTIVE, BEFORE))))


async def compared(first: Rules, second: Rules, sent: Sequence[Sent]) -> tuple[int, int]:
    """Serve the requests by the first rules and by the second, and replay the first ledger on the second rules. Returns
    how many decisions were the same and how many couldn't be told."""
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder) / "one", Path(folder) / "two"
        async with answering() as address:
            write(one, first, address)
            write(two, second, address)
            before = await serve(one, sent)
            after = await serve(two, sent)
        found, again = replayed_at(one, two, before), replayed_at(one, one, before)
    same = unknown = 0
    for was, would in zip(before, after, strict=True):
        if was is None or would is None or was.kind == "count":
            continue
        assert told(again[was.id]) == outcome(was), (first.text, again[was.id].decided)
        assert (again[was.id].stays, again[was.id].nano_usd or 0) == (True, was.cost_nano_usd or 0)
        replay = found[was.id]
        if replay.decided is None:
            assert second.strange, second.text
            assert all(MISSING.match(cause.what) for cause in replay.causes), replay.causes
            unknown += 1
        else:
            assert told(replay) == outcome(would), (second.text, replay.decided)
            same += 1
    return same, unknown


@pytest.mark.slow
@settings(max_examples=40)
@given(st.randoms(use_true_random=True))  # even: what is rare would hardly be tried else
def test_a_replay_decides_as_a_server_does_or_says_that_it_can_not(drawn: Random) -> None:
    asyncio.run(compared(rules(drawn, asking=True), rules(drawn), traffic(drawn)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_so_it_does_for_some_that_are_always_the_same(seed: int) -> None:
    drawn = Random(seed)
    same, _ = await compared(rules(drawn, asking=True), rules(drawn), traffic(drawn, 6, 6))
    assert same > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_a_day_of_recorded_agents_goes_where_a_server_sends_it(seed: int) -> None:
    """Every recorded request, once each, on rules that facts can answer."""
    drawn = Random(seed)
    sent = [replace(recorded(name), hour=number / 4) for number, name in enumerate(recorded_names())]
    same, unknown = await compared(rules(drawn, asking=True), rules(drawn, strange=False), sent)
    assert (same, unknown) == (71, 0)
