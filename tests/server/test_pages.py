"""The router's own endpoints: what health, stats, metrics and the list of models say."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router import __version__
from router.ledger.entry import Role, Verdict
from router.ledger.writing import Begin
from tests.support.answers import CACHED, INPUT, OUTPUT, answer
from tests.support.asking import FORMATS, MESSAGES
from tests.support.provider import FakeProvider
from tests.support.raw import RawReply, ask, request
from tests.support.records import made
from tests.support.serving import Running, serving, write_profile

RULES = """\
[[rule]]
name = "quick"
match = { model-equals = ["fast-one", "fast-two"] }
target = "fake/small"

[[rule]]
name = "never"
match = { model-equals = "nobody-asks" }
target = "fake/small"

[aliases]
best = "fake/large"

[default]
target = "fake/large"

[prices."fake/large"]
input = 10
cache-read = 1
output = 100
"""


class World(NamedTuple):
    router: Running
    provider: FakeProvider


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with (
        FakeProvider(answer) as provider,
        serving(tmp_path / "home", {"work": RULES, "other": RULES}, providers={"fake": provider.url}) as router,
    ):
        yield World(router, provider)


async def get(world: World, path: str, *headers: tuple[str, str]) -> RawReply:
    return await ask(world.router.url, request("GET", path, headers=headers))


async def read(world: World, path: str, *headers: tuple[str, str]) -> Any:
    return json.loads((await get(world, path, *headers)).body)


async def send(world: World, model: str, profile: str = "work") -> None:
    body = {**MESSAGES.body, "model": model}
    assert (await ask(world.router.url, request("POST", f"/{profile}/v1/messages", body))).status == 200


NAMES = ["best", "fake:small", "fake:large", "fast-one", "fast-two", "nobody-asks"]


async def test_models_in_the_shape_the_headers_ask_for(world: World) -> None:
    openai = await read(world, "/work/v1/models")
    assert openai["object"] == "list"
    assert sorted(one["id"] for one in openai["data"]) == sorted(NAMES)
    assert all(one["object"] == "model" and isinstance(one["created"], int) for one in openai["data"])

    anthropic = await read(world, "/work/v1/models", ("anthropic-version", "2023-06-01"))
    assert sorted(one["id"] for one in anthropic["data"]) == sorted(NAMES)
    assert anthropic["has_more"] is False
    assert (anthropic["first_id"], anthropic["last_id"]) == (anthropic["data"][0]["id"], anthropic["data"][-1]["id"])
    assert all(one["type"] == "model" and one["created_at"].endswith("Z") for one in anthropic["data"])

    for path, headers in (("/work/v1beta/models", ()), ("/work/v1/models", (("x-goog-api-key", "k"),))):
        gemini = await read(world, path, *headers)
        assert sorted(one["name"] for one in gemini["models"]) == sorted(f"models/{name}" for name in NAMES)


@pytest.mark.parametrize("name", [*NAMES, "fake%3Asmall"])
async def test_one_model(name: str, world: World) -> None:
    plain = name.replace("%3A", ":")
    assert (await read(world, f"/work/v1/models/{name}"))["id"] == plain
    assert (await read(world, f"/work/v1/models/{name}", ("anthropic-version", "1")))["id"] == plain
    assert (await read(world, f"/work/v1beta/models/{name}"))["name"] == f"models/{plain}"


@pytest.mark.parametrize("name", ["unknown", "fake:other", "..", "%00", "best/x"])
async def test_a_model_that_is_not_listed(name: str, world: World) -> None:
    assert (await get(world, f"/work/v1/models/{name}")).status == 404


async def test_stats_count_requests_with_a_draft_accepted_or_not(world: World) -> None:
    outcomes: list[list[tuple[Role, Verdict | None]]] = [
        [("draft", "accepted")],
        [("draft", "rejected"), ("verifier", None)],
        [("draft", None), ("verifier", None), ("fallback", None)],
        [("primary", None)],
        [("primary", None), ("retry", None)],
    ]
    for number, calls in enumerate(outcomes, 1):
        one = made(number)
        (call,) = one.settle.attempts
        attempts = [
            replace(call, number=place, role=role, verdict=verdict) for place, (role, verdict) in enumerate(calls, 1)
        ]
        for record in (Begin(one.begin.intent), replace(one.settle, attempts=tuple(attempts))):
            world.router.app.ledger.put(record)
    await world.router.flush()
    stats = await read(world, "/work/stats")
    assert (stats["total_queries"], stats["cascade_used_count"], stats["cascade_usage_pct"]) == (5, 3, 60)


async def test_stats_count_what_was_asked_per_rule_and_model(world: World) -> None:
    empty = await read(world, "/work/stats")
    assert (empty["total_queries"], empty["total_cost"], empty["avg_cost_per_query"]) == (0, 0, 0)
    assert [rule["rule"] for rule in empty["rules"]][:2] == ["quick → fake", "never → fake"]
    assert all(rule["requests"] == 0 for rule in empty["rules"])
    for model in ("x", "x", "fast-one", "best"):
        await send(world, model)
    await send(world, "x", "other")
    await world.router.flush()
    stats = await read(world, "/work/stats")
    cost = (INPUT * 10 + CACHED * 1 + OUTPUT * 100) / 1e6
    assert stats["total_queries"] == 4
    assert stats["total_cost"] == pytest.approx(3 * cost)
    assert stats["unpriced_queries"] == 1
    assert stats["avg_cost_per_query"] == pytest.approx(cost)
    assert (stats["cascade_used_count"], stats["cascade_usage_pct"]) == (0, 0)
    assert stats["models_used"] == {"fake/large": 3, "fake/small": 1}
    assert stats["uptime_seconds"] >= 0
    rules = {rule["rule"]: rule for rule in stats["rules"]}
    assert (
        rules["default → fake"]["requests"],
        rules["quick → fake"]["requests"],
        rules["never → fake"]["requests"],
    ) == (2, 1, 0)
    assert rules["quick → fake"]["tokens_out"] == OUTPUT
    assert rules["quick → fake"]["tokens_in"] == INPUT + CACHED


METRIC = re.compile(r'[a-z_]+(\{[a-z]+="[^"\\\n]*"(,[a-z]+="[^"\\\n]*")*\})? -?\d+(\.\d+)?')


async def test_metrics_are_valid_and_count(world: World) -> None:
    for _ in range(3):
        await send(world, "x")
    await get(world, "/nobody/v1/models")
    await world.router.flush()
    reply = await get(world, "/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    lines = reply.body.decode().splitlines()
    values = {}
    for line in lines:
        assert METRIC.fullmatch(line) or re.fullmatch(r"# (TYPE|HELP) [a-z_]+ .+", line), line
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            values[name] = float(value)
    assert values['router_requests_total{profile="work"}'] == 3
    assert values['router_requests_total{profile="other"}'] == 0
    assert values["router_requests_active"] == 0
    assert values["router_ledger_waiting"] == 0
    assert values["router_ledger_lost_total"] == 0
    assert values["router_refused_early_total"] == 1
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {name.partition("{")[0] for name in values} == typed


async def test_health_of_the_server_and_of_one_profile(world: World) -> None:
    whole = await read(world, "/health")
    assert (whole["status"], whole["version"], sorted(whole["profiles"])) == ("healthy", __version__, ["other", "work"])
    one = await read(world, "/work/health")
    assert list(one["profiles"]) == ["work"]
    write_profile(world.router.app.home.path, "work", "[default]\nto = 5\n")
    await world.router.app.tenants.refresh()
    assert (await read(world, "/health"))["status"] == "degraded"
    assert (await read(world, "/work/health"))["status"] == "degraded"
    assert (await read(world, "/other/health"))["status"] == "healthy"
    await send(world, "x")  # with its last good version


async def test_what_stops_says_so(world: World) -> None:
    world.router.app.services.draining = True
    reply = await get(world, "/health")
    assert reply.status == 503
    assert json.loads(reply.body)["status"] == "draining"
    for form in FORMATS:
        path, body = form.request(stream=True)
        refused = await ask(world.router.url, request("POST", f"/work{path}", body))
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert "shutting down" in form.error_of(refused.body)
    assert await world.router.rows() == []
    world.router.app.services.draining = False


async def test_the_root_answers_whoever_knocks(world: World) -> None:
    for path in ("/", "/work", "/work/", "/v1", "/work/v1", "/p/work"):
        assert (await get(world, path)).status == 200
        assert (await ask(world.router.url, request("HEAD", path))).status == 200


async def test_nothing_of_it_is_kept_by_caches(world: World) -> None:
    for path in ("/health", "/work/stats", "/metrics", "/work/v1/models", "/", "/nothing"):
        assert (await get(world, path)).headers["cache-control"] == "no-store"
