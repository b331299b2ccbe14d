"""Replies fetched by their id: only from the provider that can have them, and nothing else of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.answers import answer
from tests.support.asking import RESPONSES
from tests.support.provider import FakeProvider, Raw, whole
from tests.support.raw import ask, request
from tests.support.serving import Running, serving

pytestmark = pytest.mark.slow

PATH = "/work/v1/responses/resp_1"


class World(NamedTuple):
    router: Running
    provider: FakeProvider


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with (
        FakeProvider(answer) as provider,
        serving(
            tmp_path / "home", {"work": '[default]\ntarget = "fake/m"\n'}, providers={"fake": f"{provider.url}/v1"}
        ) as router,
    ):
        yield World(router, provider)


async def test_a_reply_is_fetched_with_our_key_and_the_clients_question(world: World) -> None:
    reply = await ask(world.router.url, request("GET", f"{PATH}?include=output&key=x", headers=[("x-api-key", "own")]))
    assert reply.status == 200
    [seen] = world.provider.requests
    assert seen.path == "/v1/responses/resp_1?include=output"
    assert seen.headers["authorization"] == "Bearer sk-provider-canary-1234"
    assert "x-api-key" not in seen.headers
    assert await world.router.rows() == []


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e", "..%2ffiles", "resp_1%2f..%2f..%2ffiles", "%2e%2e%2f%2e%2e%2fadmin", "a%3fb", "a%23b",
     "a%0d%0aX:1", "a%00", "a%20b", "%ff", "a\\b", "a;b", "x" * 4000, "%c3%bc"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_id_never_becomes_another_path(name: str, method: str, world: World) -> None:
    reply = await ask(world.router.url, request(method, f"/work/v1/responses/{name}"))
    assert reply.status in (200, 400, 404)
    for seen in world.provider.requests:
        assert seen.path.startswith("/v1/responses/")
        assert ".." not in seen.path
        assert "files" not in seen.path
        assert "x" not in seen.headers


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fv1%2ffiles",
        "%2e%2e%2f%2e%2e",
        "a%0d%0aX:1",
        "a?key=b",
        "a%3fkey=b",
        "a%23",
        "a b".replace(" ", "%20"),
    ],
)
async def test_a_model_in_the_url_never_becomes_another_path(name: str, world: World) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
    for model in (f"fake:{name}", f"fake%3A{name}", name):
        await ask(world.router.url, request("POST", f"/work/v1beta/models/{model}:generateContent", body))
    for seen in world.provider.requests:
        path = seen.path.partition("?")[0]
        assert path.startswith("/v1beta/models/")
        assert path.endswith(":generateContent")
        assert path.count("/") == 3
        assert "x" not in seen.headers


@pytest.mark.parametrize(
    ("given", "told"), [(200, 200), (404, 404), (429, 429), (500, 500), (401, 403), (403, 403), (302, 502), (304, 502)]
)
async def test_statuses_pass_except_those_about_our_key_and_redirects(given: int, told: int, world: World) -> None:
    world.provider.answer = lambda received: whole(
        {"error": {"message": "x"}}, status=given, headers=[("location", "/x")]
    )
    reply = await ask(world.router.url, request("GET", PATH))
    assert reply.status == told
    assert "location" not in reply.headers
    assert len(world.provider.requests) == 1


async def test_an_offer_of_another_protocol_is_no_answer(world: World) -> None:
    world.provider.answer = lambda received: [
        Raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    ]
    assert (await ask(world.router.url, request("GET", PATH))).status == 502


async def test_without_a_key_the_missing_one_is_named(tmp_path: Path) -> None:
    async with (
        FakeProvider(answer) as provider,
        serving(
            tmp_path / "home", {"work": '[default]\ntarget = "fake/m"\n'}, providers={"fake": provider.url}, environ={}
        ) as router,
    ):
        reply = await ask(router.url, request("GET", PATH))
        assert reply.status == 403
        assert "TEST_KEY" in RESPONSES.error_of(reply.body)
        assert provider.connections == 0


async def test_where_several_could_have_it_the_one_that_gave_it_is_asked(tmp_path: Path) -> None:
    rules = '[[rule]]\nmatch = { stream = true }\ntarget = "one/m"\n\n[default]\ntarget = "two/m"\n'
    async with FakeProvider(answer) as one, FakeProvider(answer) as two:
        addresses = {"one": one.url, "two": two.url}
        async with serving(tmp_path / "home", {"work": rules, "other": rules}, providers=addresses) as router:
            reply = await ask(router.url, request("GET", PATH))
            assert reply.status == 404
            assert "no response of this id" in RESPONSES.error_of(reply.body)
            await ask(router.url, request("POST", "/work/v1/responses", RESPONSES.request(stream=False)[1]))
            assert (await ask(router.url, request("GET", PATH))).status == 200
            assert (await ask(router.url, request("GET", "/other/v1/responses/resp_1"))).status == 404
        assert not one.requests
        assert [seen.method for seen in two.requests] == ["POST", "GET"]
