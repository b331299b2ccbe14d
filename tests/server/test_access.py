# ruff: noqa: E501  (tables)

"""Every route of every listener, with every method, every kind of key and from every kind of web page."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from router.server.admin import AdminClient
from tests.support.answers import answer
from tests.support.asking import CHAT, GEMINI, MESSAGES, RESPONSES
from tests.support.provider import FakeProvider
from tests.support.raw import RawReply, ask, request
from tests.support.serving import Running, serving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(2)]

# Path, method, body, what a good key gets. {} is the profile's base.
ROUTES: list[tuple[str, str, Any, int]] = [
    ("{}/v1/messages", "POST", MESSAGES.body, 200),
    ("{}/v1/messages/count_tokens", "POST", MESSAGES.body, 200),
    ("{}/v1/chat/completions", "POST", CHAT.body, 200),
    ("{}/v1/responses", "POST", RESPONSES.body, 200),
    ("{}/v1/responses/input_tokens", "POST", RESPONSES.body, 200),
    ("{}/v1/responses/resp_1", "GET", None, 200),
    ("{}/v1/responses/resp_1", "DELETE", None, 200),
    ("{}/v1beta/models/m:generateContent", "POST", GEMINI.body, 200),
    ("{}/v1beta/models/m:streamGenerateContent?alt=sse", "POST", GEMINI.body, 200),
    ("{}/v1beta/models/m:countTokens", "POST", GEMINI.body, 200),
    ("{}/v1/chat/completions", "POST", {**CHAT.body, "stream": True}, 200),
    ("{}/v1/models", "GET", None, 200),
    ("{}/v1/models/fake:model-1", "GET", None, 200),
    ("{}/v1/embeddings", "POST", {"model": "e", "input": "x"}, 200),
    ("{}/stats", "GET", None, 200),
]
KEYLESS: list[tuple[str, str]] = [
    ("{}/health", "GET"),
    ("{}/health", "HEAD"),
    ("{}/", "GET"),
    ("{}/", "HEAD"),
    ("{}/v1", "GET"),
    ("{}/v1", "HEAD"),
]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
PROFILE = '[default]\ntarget = "fake/model-1"\n\n[auth]\nkeys = "required"\n'


class World(NamedTuple):
    router: Running
    provider: FakeProvider
    keys: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home: Path = tmp_path_factory.mktemp("access") / "home"
    profiles = {"work": PROFILE, "home": PROFILE, "own": f'[profile]\nport = "auto"\n{PROFILE}'}
    profiles["fixed"] = PROFILE + 'key = "env:FIXED_KEY"\n'
    environ = {"TEST_KEY": "sk-test", "FIXED_KEY": "a-fixed-key"}
    async with (
        FakeProvider(answer) as provider,
        serving(home, profiles, providers={"fake": provider.url}, environ=environ) as router,
    ):
        keys = {}
        for profile in ("work", "home", "own"):
            made = await call(router, "POST", "/keys", {"profile": profile, "name": "alice"})
            keys[profile] = made["key"]
        keys["revoked"] = (made := await call(router, "POST", "/keys", {"profile": "work", "name": "bob"}))["key"]
        await call(router, "DELETE", f"/keys/{made['id']}")
        keys["fixed"] = "a-fixed-key"
        yield World(router, provider, keys)


async def call(router: Running, method: str, path: str, body: object = None) -> Any:
    return await asyncio.to_thread(AdminClient(router.app.home.socket).call, method, path, body)


async def send(
    world: World,
    path: str,
    method: str,
    body: Any,
    *headers: tuple[str, str],
    url: str | None = None,
    host: str = "127.0.0.1",
) -> RawReply:
    payload = body if method == "POST" else None
    return await ask(url or world.router.url, request(method, path, payload, headers=headers, host=host), within_s=5)


KEY_STATES = ["none", "empty", "wrong", "malformed", "home", "revoked", "provider", "another header", "query"]


def presented(world: World, state: str) -> list[tuple[str, str]]:
    match state:
        case "empty":
            return [("x-api-key", "")]
        case "wrong":
            return [("authorization", "Bearer rk_wrong")]
        case "malformed":
            return [("authorization", f"Bearer{world.keys['work']}")]
        case "home" | "revoked":
            return [("x-api-key", world.keys[state])]
        case "provider":
            return [("x-api-key", "sk-test")]
        case "another header":
            return [
                ("cookie", f"key={world.keys['work']}"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-real-ip", "127.0.0.1"),
            ]
    return []


@pytest.mark.parametrize("state", KEY_STATES)
@pytest.mark.parametrize(("path", "method", "body", "good"), ROUTES)
async def test_no_route_answers_without_a_key_of_its_profile(
    path: str, method: str, body: Any, good: int, state: str, world: World
) -> None:
    calls, rows = len(world.provider.requests), len(await world.router.rows())
    for base in ("/work", "/p/work"):
        target = path.format(base)
        if state == "query":
            target += f"{'&' if '?' in target else '?'}key={world.keys['work']}"
        reply = await send(world, target, method, body, *presented(world, state))
        assert reply.status == 401, reply
        assert reply.body
        assert b"key" in reply.body
        assert world.keys["home"].encode() not in reply.raw
    assert (len(world.provider.requests), len(await world.router.rows())) == (calls, rows)


@pytest.mark.parametrize(("path", "method", "body", "good"), ROUTES)
async def test_every_route_answers_with_a_key_of_its_profile(
    path: str, method: str, body: Any, good: int, world: World
) -> None:
    for header, form in (
        ("x-api-key", "{}"),
        ("authorization", "Bearer {}"),
        ("x-goog-api-key", "{}"),
        ("x-router-key", "{}"),
    ):
        reply = await send(world, path.format("/work"), method, body, (header, form.format(world.keys["work"])))
        assert reply.status == good, reply.body
    reply = await send(world, path.format("/fixed"), method, body, ("x-api-key", world.keys["fixed"]))
    assert reply.status == good, reply.raw
    for other in ("home", "fixed"):
        reply = await send(world, path.format(f"/{other}"), method, body, ("x-api-key", world.keys["work"]))
        assert reply.status == 401


async def test_a_profiles_own_port_asks_for_its_own_keys(world: World) -> None:
    tenant = world.router.app.tenants.find("own")
    assert tenant is not None
    assert tenant.listener is not None
    url = tenant.listener.base_url
    for path, method, body, good in ROUTES:
        assert (await send(world, path.format(""), method, body, url=url)).status == 401
        assert (
            await send(world, path.format(""), method, body, ("x-api-key", world.keys["work"]), url=url)
        ).status == 401
        assert (
            await send(world, path.format(""), method, body, ("x-api-key", world.keys["own"]), url=url)
        ).status == good
        assert (
            await send(world, path.format("/work"), method, body, ("x-api-key", world.keys["work"]), url=url)
        ).status in (401, 404)
    for path in ("/metrics", "/work/health", "/p/work/stats"):
        reply = await send(world, path, "GET", None, ("x-api-key", world.keys["work"]), url=url)
        assert reply.status == 404, (path, reply.body)


@pytest.mark.parametrize(("path", "method"), KEYLESS)
async def test_the_keyless_routes_say_nothing_secret(path: str, method: str, world: World) -> None:
    for base in ("/work", ""):
        reply = await send(world, path.format(base), method, None)
        assert reply.status == 200
        for secret in (*world.keys.values(), "sk-test", str(world.router.app.home.path)):
            assert secret.encode() not in reply.raw


async def test_every_other_method_is_refused_everywhere(world: World) -> None:
    allowed: dict[str, set[str]] = {}
    for path, method, *_ in (*ROUTES, *KEYLESS):
        allowed.setdefault(path, set()).add(method)
    calls, rows = len(world.provider.requests), len(await world.router.rows())
    for path, method in itertools.product(allowed, METHODS):
        if method in allowed[path]:
            continue
        reply = await send(world, path.format("/work"), method, None, ("x-api-key", world.keys["work"]))
        assert reply.status == 405, (path, method, reply.status)
        assert b"access-control" not in reply.raw.lower()
    assert (len(world.provider.requests), len(await world.router.rows())) == (calls, rows)


ADMIN = ["/status", "/keys", "/reload", "/stop", "/admin", "/admin/keys", "/api/keys", "/ui", "/_admin", "/work/keys",
         "/work/reload", "/work/stop", "/router.sock", "/debug", "/work/.env", "/work/routing.toml", "/.env"]  # fmt: skip


@pytest.mark.parametrize("path", ADMIN)
async def test_nothing_on_tcp_administers(path: str, world: World) -> None:
    before = len(world.router.app.status()["profiles"])
    for method, key in itertools.product(("GET", "POST", "DELETE"), world.keys.values()):
        reply = await send(world, path, method, {"profile": "work", "name": "eve"}, ("x-api-key", key))
        assert reply.status in (404, 405), (method, reply.status)
    assert not world.router.app.stopping.is_set()
    assert len(world.router.app.status()["profiles"]) == before


# --- web pages --------------------------------------------------------------------------------------------------------

HOSTS = [
    "evil.test",
    "localhost.evil.test",
    "127.0.0.1.evil.test",
    "0.0.0.0",
    "[::]",
    "localhost.",
    "127.0.0.2",
    "127.0.0.1:",
]
ALL = [(path, method, body) for path, method, body, _ in ROUTES] + [(path, method, None) for path, method in KEYLESS]


@pytest.mark.parametrize("host", HOSTS)
async def test_another_host_is_refused_on_every_route(host: str, world: World) -> None:
    key = ("x-api-key", world.keys["work"])
    calls = len(world.provider.requests)
    for path, method, body in (
        *ALL,
        ("/metrics", "GET", None),
        ("/nothing", "GET", None),
        ("{}/nothing", "POST", None),
    ):
        reply = await send(world, path.format("/work"), method, body, key, host=host)
        assert reply.status in (421, 400), (path, reply.status)
        reply = await send(world, path.format("/work"), "OPTIONS", None, ("Origin", f"http://{host}"), host=host)
        assert reply.status in (421, 400)
    assert len(world.provider.requests) == calls


PAGES: list[list[tuple[str, str]]] = [
    [("Origin", "http://evil.test")],
    [("Origin", "null")],
    [("Origin", "http://localhost:3000")],
    [("Origin", "http://[")],
    [("Origin", "http://evil.test"), ("Sec-Fetch-Site", "same-origin")],
    [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
    [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
    [("Sec-Fetch-Site", "same-site")],
]


@pytest.mark.parametrize("page", PAGES, ids=str)
async def test_a_foreign_page_is_refused_on_every_route(page: list[tuple[str, str]], world: World) -> None:
    calls = len(world.provider.requests)
    for path, method, body in (*ALL, ("/metrics", "GET", None)):
        reply = await send(world, path.format("/work"), method, body, ("x-api-key", world.keys["work"]), *page)
        assert reply.status == 403, (path, method, reply.status)
        assert b"access-control" not in reply.raw.lower()
    assert len(world.provider.requests) == calls


async def test_a_preflight_gets_no_permission(world: World) -> None:
    for path, method, _ in ALL:
        for origin in ("http://evil.test", "null", "http://127.0.0.1", "http://localhost:3000"):
            asked = [("Origin", origin), ("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", "x-api-key"),
                     ("Access-Control-Request-Private-Network", "true")]  # fmt: skip
            reply = await send(world, path.format("/work"), "OPTIONS", None, *asked)
            assert reply.status in (403, 405)
            assert b"access-control" not in reply.raw.lower()


async def test_no_reply_has_cors_headers_unless_an_origin_is_named(world: World) -> None:
    for path, method, body in ALL:
        reply = await send(world, path.format("/work"), method, body, ("x-api-key", world.keys["work"]))
        assert b"access-control" not in reply.raw.lower()


@contextlib.asynccontextmanager
async def open_to(home: Path, provider: FakeProvider, origin: str) -> AsyncIterator[Running]:
    settings = f'[server]\norigins = ["{origin}"]\n'
    profile = '[default]\ntarget = "fake/model-1"\n'
    async with serving(home, {"work": profile}, providers={"fake": provider.url}, settings=settings) as router:
        yield router


async def test_a_named_origin_and_no_other_may_read_replies(tmp_path: Path, world: World) -> None:
    origin = "https://tools.example.org"
    async with open_to(tmp_path / "home", world.provider, origin) as router:
        asked = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "x-api-key"),
        ]
        preflight = await ask(router.url, request("OPTIONS", "/work/v1/messages", headers=asked))
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in preflight.headers
        for path, method, body, good in ROUTES:
            headers = [("Origin", origin), ("Sec-Fetch-Site", "cross-site")]
            reply = await ask(router.url, request(method, path.format("/work"), body, headers=headers))
            assert reply.status == good, reply.raw
            assert reply.headers.get("access-control-allow-origin") == origin, path
            assert "origin" in reply.headers.get("vary", "").lower()
            reply = await ask(router.url, request(method, path.format("/work"), body))
            assert "access-control-allow-origin" not in reply.headers
            reply = await ask(
                router.url, request(method, path.format("/work"), body, headers=[("Origin", f"{origin}.evil.test")])
            )
            assert reply.status == 403
        refused = await ask(router.url, request("POST", "/work/v1/messages", b"[]", headers=[("Origin", origin)]))
        assert refused.status == 400
        assert refused.headers.get("access-control-allow-origin") == origin, "a page may read why"


@pytest.mark.parametrize("loopback", [True, False])
async def test_a_key_is_needed_by_default_where_others_can_connect(
    loopback: bool, tmp_path: Path, world: World
) -> None:
    profile = '[default]\ntarget = "fake/model-1"\n'
    async with serving(
        tmp_path / "home",
        {"work": profile},
        providers={"fake": world.provider.url},
        host="127.0.0.1" if loopback else "0.0.0.0",
    ) as router:
        for path, method, body, good in ROUTES:
            reply = await ask(router.url, request(method, path.format("/work"), body))
            assert reply.status == (good if loopback else 401)
        assert (await ask(router.url, request("GET", "/metrics"))).status == (200 if loopback else 401)
        assert (await ask(router.url, request("GET", "/health"))).status == 200


async def test_metrics_are_for_who_has_their_key(tmp_path: Path, world: World) -> None:
    settings = '[server]\nmetrics-key = "env:METRICS"\n'
    environ = {"TEST_KEY": "sk-test", "METRICS": "m-secret"}
    async with serving(tmp_path / "home", {"work": PROFILE}, settings=settings, environ=environ) as router:
        for value, status in (("", 403), ("Bearer wrong", 403), ("Bearer m-secret", 200), ("Basic m-secret", 403)):
            headers = [("Authorization", value)] if value else []
            reply = await ask(router.url, request("GET", "/metrics", headers=headers))
            assert reply.status == status, value
            assert b"m-secret" not in reply.raw
