"""Failures before an answer has begun: the client sees one good answer, the books see every call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.support.aftermath import Aftermath, aftermath, leaving_nothing
from tests.support.answers import answer
from tests.support.asking import FORMATS, MESSAGES, Format, opening
from tests.support.provider import Close, FakeProvider, Reset, Step, whole
from tests.support.raw import RawReply, ask, request
from tests.support.serving import Running, serving

pytestmark = pytest.mark.sampled(2)

PROFILE = """
[retry]
backoff = "1ms"

[[rule]]
name = "first"
match = { always = true }
target = "one/model-1"

[[rule]]
name = "unfit"
match = { header = { x-never = "sent" } }
target = "three/model-3"

[default]
target = "two/model-2"

[prices."two/model-2"]
input = 3.0
output = 15.0
"""


EMPTY = {
    "type": "message",
    "role": "assistant",
    "id": "m",
    "model": "m",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 5, "output_tokens": 1},
}
ASK = request("POST", "/work/v1/messages", MESSAGES.request(stream=False)[1])


class World(NamedTuple):
    """A profile whose requests go to ``one``, and to ``two`` where that fails."""

    router: Running
    one: FakeProvider
    two: FakeProvider


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with FakeProvider(answer) as one, FakeProvider(answer) as two:
        addresses = {"one": one.url, "two": two.url, "three": two.url}
        async with (
            serving(tmp_path / "home", {"work": PROFILE}, providers=addresses) as router,
            leaving_nothing(router, one, two),
        ):
            yield World(router, one, two)


async def asked(world: World, form: Format = MESSAGES, *, stream: bool = False) -> tuple[RawReply, Aftermath]:
    path, body = form.request(stream=stream)
    async with aftermath(world.router, world.one, world.two) as after:
        reply = await ask(world.router.url, request("POST", f"/work{path}", body))
    return reply, after


def failing(status: int, message: str = "no", **headers: str) -> list[Step]:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return whole({"type": "error", "error": {"type": "x", "message": message}}, status=status, headers=named)


def roles(after: Aftermath) -> list[tuple[str, str, str | None]]:
    return [(attempt["role"], attempt["provider"], attempt["error_class"]) for attempt in after.attempts]


FAULTS: list[Any] = [
    pytest.param([Reset()], ["connect", "connect"], id="reset before a byte"),
    pytest.param([Close()], ["connect", "connect"], id="hung up before a byte"),
    pytest.param(failing(500), ["server", "server"], id="500"),
    pytest.param(failing(503), ["overloaded", "overloaded"], id="503"),
    pytest.param(failing(529), ["overloaded", "overloaded"], id="529"),
    pytest.param(failing(503, retry_after="7"), ["overloaded"], id="503 with a wait"),
    pytest.param(failing(429), ["rate"], id="429"),
    pytest.param(failing(429, "Your usage increased too quickly"), ["ramp-up"], id="429 for growing"),
    pytest.param(failing(402), ["quota"], id="402"),
    pytest.param(failing(401), ["auth"], id="401"),
    pytest.param(failing(403), ["auth"], id="403"),
    pytest.param(failing(404, "model not found"), ["not-found"], id="404"),
    pytest.param(failing(408), ["timeout"], id="408"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("steps", "classes"), FAULTS)
@pytest.mark.sampled(8)
async def test_the_next_candidate_answers(steps: list[Step], classes: list[str], stream: bool, world: World) -> None:
    world.one.answer = lambda received: steps
    reply, after = await asked(world, stream=stream)
    assert reply.status == 200
    assert (reply.headers["x-router-provider"], reply.headers["x-router-model"]) == ("two", "model-2")
    assert reply.headers["x-router-attempts"] == str(len(classes) + 1)
    expected = [("primary" if number == 0 else "retry", "one", name) for number, name in enumerate(classes)]
    assert roles(after) == [*expected, ("fallback", "two", None)]
    assert after.told == ("ok", None)
    assert (after.row["rule"], after.row["provider"], after.row["model"]) == ("first → one", "two", "model-2")
    assert after.row["cost_nano_usd"] == sum(attempt["cost_nano_usd"] or 0 for attempt in after.attempts)


BAD_STARTS: list[Any] = [
    pytest.param(lambda form: [], "broken-start", id="an empty stream"),
    pytest.param(lambda form: form.events()[:1], "broken-start", id="cut before its content"),
]


@pytest.mark.parametrize(("part", "error_class"), BAD_STARTS)
@pytest.mark.parametrize("form", [form for form in FORMATS if form.has_end], ids=lambda form: form.name)
async def test_a_stream_that_breaks_before_its_content_falls_back(
    form: Format, part: Any, error_class: str, world: World
) -> None:
    begun = b"".join(part(form)) if form.name != "openai-chat" else b""
    world.one.answer = lambda received: [*opening(begun), Close()]
    reply, after = await asked(world, form, stream=True)
    assert reply.status == 200
    assert [name for *_, name in roles(after)] == [error_class, error_class, None]
    assert reply.body == b"".join(form.events()).replace(b"model-1", b"model-2")


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_the_client_did_wrong_is_told_at_once(status: int, world: World) -> None:
    world.one.answer = lambda received: failing(status, "you did it")
    reply, after = await asked(world)
    assert (reply.status, b"you did it" in reply.body) == (status, True)
    assert len(after.attempts) == 1
    assert world.two.requests == []


async def test_the_last_failure_is_told_and_nobody_need_try_again(world: World) -> None:
    world.one.answer = world.two.answer = lambda received: failing(500, "broken")
    reply, after = await asked(world)
    assert (reply.status, reply.headers["x-should-retry"]) == (500, "false")
    assert len(after.attempts) == 3
    assert after.told == ("upstream-error", "server")


async def test_an_empty_answer_is_none(world: World) -> None:
    empty = json.loads((await ask(world.router.url, ASK)).body)
    empty["content"] = []
    world.one.answer = lambda received: whole(empty)
    reply, after = await asked(world)
    assert json.loads(reply.body)["content"]
    assert roles(after) == [("primary", "one", "soft"), ("fallback", "two", None)]
    assert after.attempts[0]["input"] is not None
    world.two.answer = lambda received: failing(500)
    reply, after = await asked(world)
    assert reply.status == 500


async def test_an_empty_answer_is_passed_on_where_nobody_else_can_be_asked(world: World) -> None:
    world.one.answer = lambda received: failing(404)
    world.two.answer = lambda received: whole(EMPTY)
    reply, after = await asked(world)
    assert (reply.status, json.loads(reply.body)) == (200, EMPTY)
    assert after.told == ("ok", "soft")


async def test_a_request_too_long_for_one_goes_to_a_larger_window_only(tmp_path: Path) -> None:
    text = """
[models."one/model-1"]
context = 1000
[models."two/model-2"]
context = 900
[models."three/model-3"]
context = 2000
[default]
target = "one/model-1"
fallback = ["two/model-2", "three/model-3"]
"""
    too_long = failing(400, "prompt is too long: 1200 tokens > 1000 maximum")
    async with FakeProvider(answer) as one, FakeProvider(answer) as two, FakeProvider(answer) as three:
        one.answer = lambda received: too_long
        addresses = {"one": one.url, "two": two.url, "three": three.url}
        async with serving(tmp_path / "home", {"work": text}, providers=addresses) as router:
            reply = await ask(router.url, ASK)
            assert (reply.status, reply.headers["x-router-provider"]) == (200, "three")
            assert two.requests == []
            body = json.dumps(
                {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "word " * 5000}]}
            )
            reply = await ask(router.url, request("POST", "/work/v1/messages", body.encode()))
            assert reply.status == 400
            assert b"prompt is too long" in reply.body
            assert reply.headers["x-should-retry"] == "false"


async def test_another_key_is_used_where_one_is_refused(tmp_path: Path) -> None:
    text = """
[providers.one]
base-url = "{url}"
formats = ["anthropic-messages"]
api-keys = ["env:TEST_KEY", "env:OTHER_KEY"]
[default]
target = "one/model-1"
"""

    def by_key(received: Any) -> Iterable[Step]:
        return answer(received) if "other" in str(received.headers) else failing(401)

    async with (
        FakeProvider(by_key) as one,
        serving(tmp_path / "home", {"work": text.format(url=one.url)}, resentful=True) as router,
    ):
        for calls in (2, 3):  # afterwards the refused key is left alone
            reply = await ask(router.url, ASK)
            assert (reply.status, len(one.requests)) == (200, calls)
        rows = await router.rows("attempts")
    assert [row["key_name"] for row in rows] == ["env:TEST_KEY", "env:OTHER_KEY", "env:OTHER_KEY"]


async def test_an_open_breaker_keeps_requests_away_until_a_probe_has_worked(tmp_path: Path) -> None:
    text = PROFILE + '\n[breaker]\nfailures = 2\ncooldown = "1h"\n'
    async with FakeProvider(answer) as one, FakeProvider(answer) as two:
        one.answer = lambda received: failing(500)
        addresses = {"one": one.url, "two": two.url, "three": two.url}
        async with serving(tmp_path / "home", {"work": text}, providers=addresses, resentful=True) as router:
            assert (await ask(router.url, ASK)).status == 200
            seen = len(one.requests)
            for _ in range(3):
                reply = await ask(router.url, ASK)
                assert (reply.status, reply.headers["x-router-attempts"]) == (200, "1")
            assert len(one.requests) == seen
            two.answer = lambda received: failing(500)
            for _ in range(2):
                await ask(router.url, ASK)
            reply = await ask(router.url, ASK)
            assert (reply.status, len(one.requests)) == (500, seen + 1), "the last resort"
            one.answer = two.answer = answer
            reply = await ask(router.url, ASK)
            assert (reply.status, len(one.requests)) == (200, seen + 1), "the other one's turn"


@pytest.mark.parametrize("path", ["/work/v1/chat/completions", "/work/v1/messages"], ids=["passed", "translated"])
async def test_openrouter_is_told_which_models_come_next(path: str, tmp_path: Path) -> None:
    text = """
[routing]
openrouter = { fallback-models = true, sort = "price" }
[providers.openrouter]
base-url = "{url}"
formats = ["openai-chat"]
api-key = "env:TEST_KEY"
[default]
target = "openrouter/a/one"
fallback = ["openrouter/b/two", "demo/demo-small"]
"""
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    async with (
        FakeProvider(answer) as one,
        serving(tmp_path / "home", {"work": text.replace("{url}", one.url)}) as router,
    ):
        assert (await ask(router.url, request("POST", path, json.dumps(body).encode()))).status == 200
    sent = one.requests[0].json
    assert (sent["models"], sent["provider"]) == (["a/one", "b/two"], {"sort": "price"})
