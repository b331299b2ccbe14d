"""``router.toml`` and ``providers.toml``: at the start, and when they change under way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from router.server import home_files
from tests.support.answers import answer
from tests.support.provider import FakeProvider
from tests.support.serving import Running, serving, write_providers

WORK = '[default]\nto = "fake"\n[ledger]\nretention = "30d"\n'
BODY = {"model": "m", "max_tokens": 9, "messages": []}


class World:
    def __init__(self, home: Path, router: Running, provider: FakeProvider) -> None:
        self.home, self.router, self.provider = home, router, provider

    async def asked(self, model: str = "m", **headers: str) -> tuple[int, str | None]:
        body = {**BODY, "model": model}
        async with self.router.post("/work/v1/messages", json=body, headers=headers) as reply:
            return reply.status, reply.headers.get("x-router-rule")

    async def problems(self) -> list[str]:
        async with self.router.get("/health") as reply:
            problems: list[str] = (await reply.json())["problems"]
            return problems

    async def until(self, wanted: Any, look: Any) -> None:
        async with asyncio.timeout(10):
            while await look() != wanted:
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(home_files, "POLL_S", 0.02)
    home = tmp_path / "home"
    async with FakeProvider(answer) as provider:
        settings = '[server]\nmax-body = "64MiB"\n'
        async with serving(home, {"work": WORK}, settings=settings, providers={"fake": provider.url}) as router:
            yield World(home, router, provider)


async def test_a_new_provider_can_be_used_at_once(world: World) -> None:
    assert await world.asked("late:x") == (200, "default -> fake")
    write_providers(world.home, {"fake": world.provider.url, "late": world.provider.url})
    await world.until((200, "explicit -> late"), lambda: world.asked("late:x"))


async def test_a_wrong_file_changes_nothing_and_is_shown_until_it_is_right(world: World) -> None:
    good = (world.home / "providers.toml").read_text()
    (world.home / "providers.toml").write_text(good + "\n[fake]\nbase-url = 3\n")
    await world.until(1, lambda: _count(world))
    assert "providers.toml" in (await world.problems())[0]
    assert await world.asked() == (200, "default -> fake")
    (world.home / "providers.toml").write_text(good)
    await world.until(0, lambda: _count(world))


async def _count(world: World) -> int:
    return len(await world.problems())


async def test_a_provider_that_goes_leaves_the_profile_as_it_was(world: World) -> None:
    write_providers(world.home, {"other": world.provider.url})
    await world.until(True, lambda: _degraded(world))
    assert await world.asked() == (200, "default -> fake")


async def _degraded(world: World) -> bool:
    async with world.router.get("/work/health") as reply:
        return bool((await reply.json())["status"] == "degraded")


async def test_settings_of_the_server_change_under_way(world: World) -> None:
    assert (await world.asked(Host="router.lan"))[0] == 421
    (world.home / "router.toml").write_text(
        '[server]\nhosts = ["router.lan"]\nmax-body = 10\ndefault-profile = "work"\n'
    )
    await world.until(413, lambda: _status(world))
    async with world.router.get("/health") as reply:
        assert reply.status == 200
    async with world.router.get("/stats", headers={"Host": "router.lan"}) as reply:
        assert reply.status == 200


async def _status(world: World) -> int:
    return (await world.asked())[0]


async def test_what_holds_until_the_next_start_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "router.server")
    (world.home / "router.toml").write_text('[server]\nport = 9\n[network]\nproxy = "http://127.0.0.1:9"\n')
    await world.until(True, lambda: _logged(caplog, "new version in force"))
    assert "router.toml: [server] port, [network] proxy will hold from the next start on" in caplog.text
    assert await world.asked() == (200, "default -> fake")


async def _logged(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text


async def test_the_start_tells_every_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = tmp_path / "home"
    rules = '[default]\nto = "anthropic"\n[log]\nbodies = "all"\n'
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    async with serving(home, {"work": rules}) as router:
        assert (home / "router.pid").read_text() == f"{os.getpid()}\n"
        assert router.app.tenants.broken_names() == []
    assert not (home / "router.pid").exists()
    for text in (
        "can be entered by other users",
        "no key for anthropic: set ANTHROPIC_API_KEY",
        "log.bodies: isn't active yet",
    ):
        assert text in caplog.text, text


async def test_automatic_ports_come_from_the_range(tmp_path: Path) -> None:
    home = tmp_path / "home"
    rules = '[profile]\nport = "auto"\n[default]\nto = "demo"\n'
    settings = '[server]\nport-range = "18411-18450"\n'
    async with serving(home, {"one": rules, "two": rules}, settings=settings) as router:
        ports = [tenant.listener.port for tenant in router.app.tenants if tenant.listener is not None]
    assert len(set(ports)) == 2
    assert all(18411 <= port <= 18450 for port in ports)
    async with serving(home) as router:
        assert [tenant.listener.port for tenant in router.app.tenants if tenant.listener is not None] == ports


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        pytest.param("info", ["ok", "refused", "upstream-error"], id="info: every request"),
        pytest.param("warning", ["refused", "upstream-error"], id="warning: what didn't end well"),
        pytest.param("error", ["upstream-error"], id="error: what failed at the provider"),
    ],
)
@pytest.mark.slow
async def test_a_profiles_log_has_what_its_level_asks_for(level: str, expected: list[str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    rules = f'[profile]\nlog-level = "{level}"\n[default]\nto = "demo"\n'
    gone = '[providers.gone]\nformats = ["anthropic-messages"]\nbase-url = "http://127.0.0.1:1"\napi-key = "none"\n'
    async with serving(home, {"work": rules + gone}) as router:
        for body in (BODY, {"messages": []}, {**BODY, "model": "gone:x"}):
            async with router.post("/work/v1/messages", json=body) as reply:
                await reply.read()
    lines = (home / "logs" / "work.log").read_text().splitlines()
    assert [line.partition("outcome=")[2].partition(" ")[0] for line in lines] == expected


async def test_one_profile_of_a_folder_can_be_served_alone(tmp_path: Path) -> None:
    rules = '[default]\nto = "demo"\n'
    async with (
        serving(tmp_path / "home", {"one": rules, "two": rules}, only="two") as router,
        router.post("/v1/messages", json=BODY) as reply,
    ):
        assert reply.headers["x-router-profile"] == "two"
        assert [tenant.name for tenant in router.app.tenants] == ["two"]
