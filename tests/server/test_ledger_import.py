"""Requests of somebody else's logs, written by a running server for `router usage import`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router.cli.main import cli
from router.errors import RouterError
from router.ledger.imported import MOST_AT_ONCE, Imported
from router.ledger.reports import Reader
from router.server.admin import AdminClient
from router.wire.usage import Usage
from tests.importing.test_claude_code_logs import NOON_MS, line, log
from tests.support.asking import PROFILE
from tests.support.serving import serving


def imported(key: str) -> Imported:
    return Imported(
        key, NOON_MS, "unrouted", "claude-code", "session", "anthropic-messages", "anthropic", "m", "m",
        Usage(3, output=10), 7, 7, "by hand",
    )  # fmt: skip


async def test_a_running_server_writes_them_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", {"work": PROFILE}) as router:
        home = router.app.home

        def send(*keys: str) -> dict[str, Any]:
            return AdminClient(home.socket).call("POST", "/ledger/import", {"records": [imported(key) for key in keys]})

        assert await asyncio.to_thread(send, "a", "b") == {"new": 2, "known": 0}
        assert await asyncio.to_thread(send, "b", "c") == {"new": 1, "known": 1}
        with pytest.raises(RouterError):
            await asyncio.to_thread(send, *map(str, range(MOST_AT_ONCE + 1)))
        sums = await asyncio.to_thread(Reader(home.database).spent, "unrouted")
        assert (sums.requests, sums.cost_nano_usd, sums.tokens_in, sums.output) == (3, 21, 9, 30)


@pytest.mark.slow
async def test_the_command_asks_the_running_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log(tmp_path / "claude", *(line(f"msg_{number}") for number in range(MOST_AT_ONCE + 20)))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    async with serving(tmp_path / "home", {"work": PROFILE}) as router:
        arguments = ["usage", "import", "claude-code", "--home", str(router.app.home.path)]
        result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        assert result.exit_code == 0, result.output
        assert f"{MOST_AT_ONCE + 20} calls of 1 log came in as unrouted." in result.output
        again = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        assert f"{MOST_AT_ONCE + 20} calls had come in before." in again.output
