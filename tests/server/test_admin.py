"""The socket in the home: keys made, listed and revoked while the server runs, and nothing for anybody else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.errors import ListenError, RouterError
from router.server import admin as module
from router.server.admin import AdminClient, AdminServer
from tests.support.answers import answer
from tests.support.asking import MESSAGES, PROFILE
from tests.support.provider import FakeProvider
from tests.support.raw import ask, request
from tests.support.serving import Running, serving

pytestmark = pytest.mark.sampled(3)

BODY = MESSAGES.request(stream=False)[1]
KEYED = PROFILE + '\n[auth]\nkeys = "required"\n'


@pytest.fixture
async def router(
    tmp_path: Path,
) -> AsyncIterator[Running]:
    async with (
        FakeProvider(answer) as provider,
        serving(tmp_path / "home", {"work": KEYED, "home": KEYED}, providers={"fake": provider.url}) as router,
    ):
        yield router


async def call(router: Running, method: str, path: str, body: object = None) -> dict[str, Any]:
    return await asyncio.to_thread(AdminClient(router.app.home.socket).call, method, path, body)


async def raw(router: Running, method: str, path: str, **options: Any) -> tuple[int, Any]:
    connector = aiohttp.UnixConnector(str(router.app.home.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, f"http://router{path}", **options) as reply,
    ):
        return reply.status, await reply.json()


async def asked(router: Running, key: str, profile: str = "work") -> int:
    return (
        await ask(router.url, request("POST", f"/{profile}/v1/messages", BODY, headers=[("x-api-key", key)]))
    ).status


async def test_the_socket_is_the_users_own_even_under_an_open_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with serving(tmp_path / "home", {"work": PROFILE}) as router:
            path = router.app.home.socket
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
            assert stat.S_ISSOCK(path.lstat().st_mode)
            assert os.umask(0) == 0, "the umask is put back"
    finally:
        os.umask(before)
    assert not path.exists()


async def test_a_key_works_from_its_making_to_its_revoking(router: Running) -> None:
    made = await call(router, "POST", "/keys", {"profile": "work", "name": "alice", "daily_usd": 2.5})
    key = made["key"]
    assert re.fullmatch(r"rk_[A-Za-z0-9_-]{32}", key)
    assert await asked(router, key) == 200
    assert await asked(router, key, "home") == 401
    assert [row["key"] for row in await router.rows()] == ["alice"]

    listed = (await call(router, "GET", "/keys"))["keys"]
    assert [(one["name"], one["profile"], one["tail"], one["daily_usd"], one["revoked_ms"]) for one in listed] == [
        ("alice", "work", key[-4:], 2.5, None)
    ]
    assert key not in str(listed)

    assert await call(router, "DELETE", f"/keys/{made['id']}") == {"revoked": True}
    assert await asked(router, key) == 401
    assert (await call(router, "GET", "/keys"))["keys"][0]["revoked_ms"] is not None


async def test_keys_are_kept_as_hashes_and_outlive_the_server(tmp_path: Path, provider: FakeProvider) -> None:
    provider.answer = answer
    home = tmp_path / "home"
    async with serving(home, {"work": KEYED}, providers={"fake": provider.url}) as router:
        key = (await call(router, "POST", "/keys", {"profile": "work", "name": "alice"}))["key"]
        gone = await call(router, "POST", "/keys", {"profile": "work", "name": "bob"})
        await call(router, "DELETE", f"/keys/{gone['id']}")
    assert key.encode() not in (home / "router.db").read_bytes()
    async with serving(home) as router:
        assert await asked(router, key) == 200
        assert await asked(router, gone["key"]) == 401


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(answer) as provider:
        yield provider


async def test_a_stream_under_way_outlives_its_key(router: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await call(router, "POST", "/keys", {"profile": "work", "name": "alice"})
    headers = {"x-api-key": made["key"]}
    async with router.post("/work/v1/messages", data=MESSAGES.request(stream=True)[1], headers=headers) as reply:
        await call(router, "DELETE", f"/keys/{made['id']}")
        assert b"message_stop" in await reply.read()
    assert await asked(router, made["key"]) == 401


async def test_names_are_taken_once_and_free_again_when_revoked(router: Running) -> None:
    made = await call(router, "POST", "/keys", {"profile": "work", "name": "alice"})
    with pytest.raises(RouterError, match="has a key named alice already"):
        await call(router, "POST", "/keys", {"profile": "work", "name": "alice"})
    await call(router, "POST", "/keys", {"profile": "home", "name": "alice"})
    await call(router, "DELETE", f"/keys/{made['id']}")
    again = await call(router, "POST", "/keys", {"profile": "work", "name": "alice"})
    assert again["key"] != made["key"]


async def test_what_is_not_there_is_told(router: Running) -> None:
    with pytest.raises(RouterError, match="no profile is served under /nobody"):
        await call(router, "POST", "/keys", {"profile": "nobody", "name": "alice"})
    with pytest.raises(RouterError, match="no key in force has the id 12345678"):
        await call(router, "DELETE", "/keys/12345678")
    with pytest.raises(RouterError, match="no such path"):
        await call(router, "GET", "/nothing")
    with pytest.raises(RouterError, match="use POST"):
        await call(router, "GET", "/stop")


WRONG: list[Any] = [
    b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"profile": "work"}', b'{"name": "x"}', b'{"profile": 5, "name": "x"}',
    b'{"profile": "work", "name": 5}', b'{"profile": "work", "name": ""}', b'{"profile": "work", "name": null}',
    b'{"profile": "work", "name": "a\\u0000b"}', b'{"profile": "work", "name": "a b\\n"}', b"\xff\xfe",
    b'{"profile": "work", "name": "x", "daily_usd": "much"}', b'{"profile": "work", "name": "x", "daily_usd": -1}',
    b'{"profile": "work", "name": "x", "daily_usd": 1e999}', b'{"profile": ["work"], "name": "x"}',
    b'{"profile": "work", "name": "' + b"x" * 1000 + b'"}', b'{"profile": "work", "name": "\\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("body", WRONG)
async def test_a_wrong_request_for_a_key_is_refused_and_makes_none(
    body: bytes, router: Running, caplog: pytest.LogCaptureFixture
) -> None:
    status, told = await raw(router, "POST", "/keys", data=body)
    assert 400 <= status < 500
    assert told["error"]
    assert (await call(router, "GET", "/keys"))["keys"] == []
    assert not caplog.records


async def test_a_locked_ledger_is_told(router: Running) -> None:
    with contextlib.closing(sqlite3.connect(router.app.home.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RouterError, match="locked"):
            await call(router, "POST", "/keys", {"profile": "work", "name": "alice"})
        other.execute("ROLLBACK")
    await call(router, "POST", "/keys", {"profile": "work", "name": "alice"})


async def test_status_and_stop(router: Running) -> None:
    status = await call(router, "GET", "/status")
    assert status["pid"] == os.getpid()
    assert [one["profile"] for one in status["profiles"]] == ["home", "work"]
    assert await call(router, "POST", "/stop") == {"stopping": True, "grace_s": 5.0}
    assert router.app.stopping.is_set()


def test_nobody_there_is_told(tmp_path: Path) -> None:
    client = AdminClient(tmp_path / "router.sock")
    assert not client.alive()
    with pytest.raises(RouterError, match="start one with"):
        client.call("GET", "/status")


@pytest.mark.slow
def test_somebody_who_does_not_answer_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIENT_TIMEOUT_S", 0.1)
    path = tmp_path / "router.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert not AdminClient(path).alive()


async def test_a_socket_left_by_a_dead_server_is_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "router.sock"))
    async with serving(home, {"work": PROFILE}) as router:
        assert (await call(router, "GET", "/status"))["pid"] == os.getpid()


async def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", {"work": PROFILE}) as router:
        with pytest.raises(ListenError, match="too long"):
            await AdminServer(router.app, tmp_path / ("x" * 120)).open()
