"""What a request would have cost at the default and at the model asked for: end to end, row by row."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from router.server import annotate
from router.server.target_health import TargetHealth
from router.wire.usage import Usage
from tests.support.provider import Close, FakeProvider, whole
from tests.support.saying import saying, text
from tests.support.serving import Running, serving

# Claude's models make 1.2 tokens of each that we count, those of nobody's family 1.1 (until usage has taught better).
RULES = """
[retry]
backoff = "1ms"

[[rule]]
name = "elsewhere"
match = { header = { x-where = "two" } }
target = "two/b"

[[rule]]
name = "drafted"
match = { header = { x-where = "draft" } }
target = "one/claude-a"
cascade = { draft = "two/b", threshold = 0.7 }

[[rule]]
name = "twice"
match = { header = { x-where = "twice" } }
target = "two/b"
fallback = ["one/claude-a"]

[aliases]
wanted = "one/claude-big"

[prices."one/claude-a"]
input = 3.0
output = 15.0
cache-read = 0.3
cache-write = 3.75
cache-write-1h = 6.0

[prices."one/claude-big"]
input = 30.0
output = 150.0
cache-read = 3.0
cache-write = 37.5

[prices."two/b"]
input = 1.0
output = 5.0

[prices."two/c"]
input = 10.0
output = 50.0
cache-read = 1.0
"""
TO_CLAUDE = '[default]\ntarget = "one/claude-a"\n'
MARK = {"cache_control": {"type": "ephemeral"}}
LONG_MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
FIRST = Usage(input=0, cache_write=12_000, output=100)  # 10,000 tokens as we count them
NEXT = Usage(input=12_100, output=200)  # 11,000
ELSEWHERE = {"x-where": "two"}


@dataclass
class World:
    """A router and its two providers."""

    router: Running
    one: FakeProvider
    two: FakeProvider

    def say(self, one: Usage = FIRST, two: Usage = NEXT) -> None:
        """What each provider reports from now on."""
        self.one.answer, self.two.answer = (saying(text("Lisbon.", usage=usage)) for usage in (one, two))

    async def ask(
        self,
        mark: dict[str, Any] | None = MARK,
        *,
        path: str = "/work/v1/messages",
        model: str = "m",
        system: str = "You help.",
        status: int = 200,
        body: dict[str, Any] | None = None,
        **headers: str,
    ) -> dict[str, Any]:
        """Ask in one conversation; the request's row."""
        said = {"type": "text", "text": "What is the capital of Portugal?", **(mark or {})}
        asked = body or {"max_tokens": 900, "system": system, "messages": [{"role": "user", "content": [said]}]}
        headers = {"x-session-id": "s", **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.router.post(path, json={"model": model, **asked}, headers=headers) as reply:
            await reply.read()
            assert reply.status == status
        return (await self.router.rows())[-1]


@asynccontextmanager
async def world(home: Path, default: str = TO_CLAUDE, *, providers: str = "") -> AsyncIterator[World]:
    async with FakeProvider() as one, FakeProvider() as two:
        home.mkdir(mode=0o700, exist_ok=True)
        async with serving(
            home, {"work": RULES + default + providers}, providers={"one": one.url, "two": two.url}
        ) as router:
            made = World(router, one, two)
            made.say()
            yield made


@pytest_asyncio.fixture
async def usual(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path / "home") as made:
        yield made


def micro(row: dict[str, Any], name: str = "at_default_nano_usd") -> float | None:
    """An amount in millionths of a dollar."""
    return None if row[name] is None else row[name] / 1000


def baselines(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(row["baselines"])


async def sums(router: Running) -> list[dict[str, Any]]:
    """What the sums say, and what they should: of all requests together."""
    names = [f"at_{which}{part}" for which in ("default", "requested") for part in ("", "_nano_usd", "_paid_nano_usd")]
    of_sums = [
        {name: sum(line[name] for line in await router.rows(table)) for name in names}
        for table in ("rollup", "rollup_day")
    ]
    plain = dict.fromkeys(names, 0)
    for row in await router.rows():
        for which in ("default", "requested"):
            if row[f"at_{which}_nano_usd"] is not None and row["cost_nano_usd"] is not None:
                plain[f"at_{which}"] += 1
                plain[f"at_{which}_nano_usd"] += row[f"at_{which}_nano_usd"]
                plain[f"at_{which}_paid_nano_usd"] += row["cost_nano_usd"]
    return [*of_sums, plain]


# --- where it went, and where it would have gone ----------------------------------------------------------------------


async def test_a_request_that_went_to_the_default_costs_there_what_it_cost(usual: World) -> None:
    row = await usual.ask()
    assert row["at_default_nano_usd"] == row["cost_nano_usd"] == 46_500_000  # 12000×3.75 + 100×15
    assert baselines(row) == {"default": {"provider": "one", "model": "claude-a"}}
    assert row["at_requested_nano_usd"] is None  # nobody has a model of the name "m"
    assert len({json.dumps(each) for each in await sums(usual.router)}) == 1


async def test_a_request_that_went_elsewhere_would_have_read_the_defaults_cache(usual: World) -> None:
    await usual.ask()
    row = await usual.ask(**ELSEWHERE)
    assert row["cost_nano_usd"] == 13_100_000  # 12100×1 + 200×5
    assert micro(row) == 12_000 * 0.3 + 1_200 * 3.75 + 200 * 15
    assert baselines(row)["default"]["usage"] == {"input": 0, "cache_read": 12_000, "cache_write": 1_200, "output": 200}
    usual.say(two=Usage(input=13_200, output=10))
    row = await usual.ask(**ELSEWHERE)  # it is as if the default had answered that one, too
    assert micro(row) == 13_200 * 0.3 + 1_200 * 3.75 + 10 * 15
    found = await sums(usual.router)
    assert found[0] == found[1] == found[2]
    assert found[0]["at_default"] == 3


@pytest.mark.parametrize(
    ("mark", "usage"),
    [
        pytest.param(None, {"input": 13_200, "output": 200}, id="Claude keeps nothing unasked"),
        pytest.param(
            LONG_MARK, {"input": 0, "cache_read": 12_000, "cache_write_1h": 1_200, "output": 200}, id="or for an hour"
        ),
    ],
)
async def test_the_clients_marks_decide_what_claude_keeps(
    usual: World, mark: dict[str, Any] | None, usage: dict[str, int]
) -> None:
    await usual.ask(mark)
    assert baselines(await usual.ask(mark, **ELSEWHERE))["default"]["usage"] == usage


async def test_a_translated_request_is_marked_by_the_router(tmp_path: Path) -> None:
    only = "[providers.one]\nformats = ['anthropic-messages']\n"
    async with world(tmp_path / "home", providers=only) as made:
        body = {"messages": [{"role": "user", "content": "What is the capital of Portugal?"}]}
        row = await made.ask(path="/work/v1/chat/completions", body=body, **ELSEWHERE)
        assert micro(row) == 13_200 * 3.75 + 200 * 15


async def test_others_keep_prompts_by_themselves(tmp_path: Path) -> None:
    async with world(tmp_path / "home", '[default]\ntarget = "two/c"\n') as made:
        await made.ask(None, x_where="draft")  # accepted, at another tokenizer's count
        row = await made.ask(None, **ELSEWHERE)
        usage = baselines(row)["default"]["usage"]
        assert usage == {"input": 0, "cache_read": 12_100, "output": 200}
        assert micro(row) == 12_100 * 1 + 200 * 50


@pytest.mark.parametrize(
    ("model", "target"),
    [
        pytest.param("wanted", ("one", "claude-big"), id="an alias"),
        pytest.param("two:c", ("two", "c"), id="a provider's model"),
        pytest.param("claude-big", ("one", "claude-big"), id="a name that a provider of the rules has a price for"),
        pytest.param("claude-haiku-4-5", ("anthropic", "claude-haiku-4-5"), id="a name that the catalog knows"),
        pytest.param("gpt-5-mini", ("openai", "gpt-5-mini"), id="a name of another format"),
        pytest.param("nobody's", None, id="a name that nobody knows"),
    ],
)
async def test_what_is_meant_by_the_model_asked_for(usual: World, model: str, target: tuple[str, str] | None) -> None:
    row = await usual.ask(model=model, **ELSEWHERE)
    found = baselines(row).get("requested")
    assert (found and (found["provider"], found["model"])) == target
    assert (row["at_requested_nano_usd"] is None) == (target is None)


async def test_a_models_dated_name_is_the_same_model(tmp_path: Path) -> None:
    default = '[default]\ntarget = "anthropic/claude-haiku-4-5"\n'
    async with world(tmp_path / "home", default) as made:
        write = f'[anthropic]\nbase-url = "{made.one.url}"\napi-key = "env:TEST_KEY"\n'
        (tmp_path / "home" / "profiles" / "work" / "routing.toml").write_text(
            RULES + default + f"[providers.{write[1:]}"
        )
        await made.router.app.tenants.refresh()
        await made.router.app.tenants.refresh()
        row = await made.ask(model="claude-haiku-4-5-20251001")
        assert row["provider"] == "anthropic"
        assert row["at_default_nano_usd"] == row["at_requested_nano_usd"] == row["cost_nano_usd"]


# --- what was paid for nothing ----------------------------------------------------------------------------------------


async def test_a_draft_that_was_thrown_away_is_the_loss(usual: World) -> None:
    usual.two.answer = saying(text("I'm sorry, but I can't help with that request.", usage=NEXT))
    row = await usual.ask(x_where="draft")
    assert row["attempts"] == 2
    assert row["cost_nano_usd"] - row["at_default_nano_usd"] == 13_100_000
    (line,) = await usual.router.rows("rollup")
    assert line["wasted_nano_usd"] == 13_100_000


async def test_a_draft_that_was_taken_saves_what_the_default_would_have_cost(usual: World) -> None:
    row = await usual.ask(x_where="draft")
    assert row["attempts"] == 1
    assert (row["cost_nano_usd"], micro(row)) == (13_100_000, 13_200 * 3.75 + 200 * 15)


async def test_a_request_that_was_tried_twice_is_compared_with_the_one_that_answered(usual: World) -> None:
    usual.two.answer = lambda request: whole({"error": {"message": "no"}}, status=500)
    row = await usual.ask(x_where="twice")
    assert row["attempts"] > 1
    assert row["at_default_nano_usd"] == row["cost_nano_usd"] == 46_500_000


# --- what isn't compared, and what isn't known ------------------------------------------------------------------------


async def test_a_request_that_failed_is_not_compared(usual: World) -> None:
    usual.one.answer = lambda request: whole({"error": {"message": "no"}}, status=400)
    row = await usual.ask(status=400)
    assert (row["outcome"], row["at_default_nano_usd"], row["baselines"]) == ("client-error", None, None)


async def test_an_answer_that_broke_off_is_not_compared(usual: World) -> None:
    whole_answer = saying(text("Lisbon", " is", " it.", usage=FIRST))
    usual.one.answer = lambda request: [*list(whole_answer(request))[:-3], Close()]
    body = {"model": "m", "stream": True, "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    async with usual.router.post("/work/v1/messages", json=body) as reply:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await reply.read()
    (row,) = await usual.router.rows()
    assert (row["outcome"], row["at_default_nano_usd"]) == ("partial", None)


async def test_counting_is_not_compared(usual: World) -> None:
    row = await usual.ask(path="/work/v1/messages/count_tokens")
    assert (row["kind"], row["at_default_nano_usd"], row["baselines"]) == ("count", None, None)


async def test_without_a_token_count_nothing_is_known(usual: World) -> None:
    parts = {"content": [{"type": "text", "text": "Lisbon."}], "stop_reason": "end_turn", "stop_sequence": None}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "b", **parts}
    usual.two.answer = lambda request: whole(message)
    row = await usual.ask(**ELSEWHERE)
    assert (row["cost_nano_usd"], row["at_default_nano_usd"], row["baselines"]) == (None, None, None)


@pytest.mark.parametrize(
    ("default", "unknown"),
    [
        pytest.param('[default]\ntarget = "two/unpriced"\n', "it has no price", id="no price"),
        pytest.param(
            '[default]\ntarget = "two/c"\n[models."two/c"]\ncontext = 5000\n',
            "its window of 5,000 tokens is too small",
            id="a request too long for it",
        ),
    ],
)
async def test_a_default_that_could_not_have_been_paid(tmp_path: Path, default: str, unknown: str) -> None:
    async with world(tmp_path / "home", default) as made:
        row = await made.ask(**ELSEWHERE)
        assert row["at_default_nano_usd"] is None
        assert baselines(row)["default"]["unknown"] == unknown


async def test_without_a_default_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    async with world(tmp_path / "home", "") as made:
        row = await made.ask(model="wanted", **ELSEWHERE)
        assert row["at_default_nano_usd"] is None
        assert row["at_requested_nano_usd"] is not None


@pytest.mark.parametrize("billing", ["subscription", "free"])
async def test_what_is_paid_otherwise_costs_nothing_more(tmp_path: Path, billing: str) -> None:
    async with world(
        tmp_path / "home", providers=f'{TO_CLAUDE}[providers.one]\nbilling = "{billing}"\n', default=""
    ) as made:
        row = await made.ask(**ELSEWHERE)
        assert row["at_default_nano_usd"] == 0  # so what it did cost is a loss
        assert baselines(row)["default"]["billing"] == billing
        row = await made.ask()
        assert row["at_default_nano_usd"] == row["cost_nano_usd"] == 0


@pytest.mark.parametrize(("login", "amount"), [("sk-ant-oat01-x", 0), ("sk-ant-api03-x", 52_500_000)])
async def test_a_clients_own_login_to_a_subscription_would_have_been_used_there(
    tmp_path: Path, login: str, amount: int
) -> None:
    passing = "[providers.one]\napi-key = 'passthrough'\n"
    async with world(tmp_path / "home", providers=passing) as made:
        row = await made.ask(Authorization=f"Bearer {login}", **ELSEWHERE)
        assert row["at_default_nano_usd"] == amount


# --- conversations ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass for what profiles know of their targets."""
    passed = [1000.0]
    monkeypatch.setattr(TargetHealth, "now", property(lambda health: passed[0]))

    def pass_by(seconds: float) -> None:
        passed[0] += seconds

    return pass_by


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mark", "pause_s", "read"),
    [(MARK, 299, 12_000), (MARK, 301, None), (LONG_MARK, 3599, 12_000), (LONG_MARK, 3601, None)],
)
async def test_a_cache_is_held_for_as_long_as_was_asked(
    clock: Callable[[float], None], usual: World, mark: dict[str, Any], pause_s: float, read: int | None
) -> None:
    await usual.ask(mark)
    clock(pause_s)
    assert baselines(await usual.ask(mark, **ELSEWHERE))["default"]["usage"].get("cache_read") == read


async def test_a_side_job_of_a_conversation_has_a_cache_of_its_own(usual: World) -> None:
    await usual.ask()
    usual.say(one=Usage(input=2_000, output=5))
    await usual.ask(system="You find titles.")
    row = await usual.ask(**ELSEWHERE)
    assert baselines(row)["default"]["usage"]["cache_read"] == 12_000


async def test_another_conversation_has_another_cache(usual: World) -> None:
    await usual.ask()
    row = await usual.ask(x_session_id="t", **ELSEWHERE)
    assert "cache_read" not in baselines(row)["default"]["usage"]


async def test_a_conversation_that_was_compacted_begins_anew(usual: World) -> None:
    await usual.ask()
    usual.say(two=Usage(input=5_500, output=5))
    row = await usual.ask(**ELSEWHERE)
    assert baselines(row)["default"]["usage"] == {"input": 0, "cache_write": 6_000, "output": 5}


async def test_a_restart_forgets_no_conversation(tmp_path: Path) -> None:
    async with world(tmp_path / "home") as made:
        await made.ask()
        await made.ask(system="You find titles.")
    async with world(tmp_path / "home") as made:
        row = await made.ask(**ELSEWHERE)
        assert baselines(row)["default"]["usage"]["cache_read"] == 12_000


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_conversation_may_be_known_after_the_end(
    usual: World, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    """The answer is settled first, and the numbers are added to the row and the sums when the facts are."""
    known, found_out = asyncio.Event(), annotate._annotate

    async def slowly(job: Any) -> Any:
        await known.wait()
        return await found_out(job)

    monkeypatch.setattr(annotate, "_annotate", slowly)
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Lisbon?", **MARK}]}], "max_tokens": 9}
    for number in range(2):
        path = "/work/v1/messages"
        headers = {"x-session-id": "s", **(ELSEWHERE if number else {})}
        model = "wanted" if number else "one:claude-a"
        async with usual.router.post(path, json={"model": model, "stream": streamed, **body}, headers=headers) as reply:
            await reply.read()
    await usual.router.app.ledger.run(lambda connection: None)
    before = [dict(row) for row in await settled(usual.router)]
    assert [(row["state"], row["at_default_nano_usd"]) for row in before] == [("settled", None)] * 2
    known.set()
    first, second = await usual.router.rows()
    assert first["at_default_nano_usd"] == first["cost_nano_usd"]
    assert micro(second) == 12_000 * 0.3 + 1_200 * 3.75 + 200 * 15
    assert micro(second, "at_requested_nano_usd") == 12_000 * 3 + 1_200 * 37.5 + 200 * 150
    found = await sums(usual.router)
    assert found[0] == found[1] == found[2]
    assert found[0]["at_default"] == found[0]["at_requested"] == 2
    assert first["at_requested_nano_usd"] == first["cost_nano_usd"]


async def settled(router: Running) -> list[Any]:
    """The rows as they are, without waiting for what is still to be found out."""

    def read(connection: Any) -> list[Any]:
        cursor = connection.execute("SELECT * FROM requests ORDER BY id")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    while True:
        rows = await router.app.ledger.run(read)
        if all(row["state"] == "settled" for row in rows):
            return rows
        await asyncio.sleep(0.005)
