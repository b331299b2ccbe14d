"""Helpers outlive a server that is replaced or killed, and end with one that is stopped."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from router.server.admin import AdminClient
from router.server.helpers import _begun
from tests.support.process import RouterProcess, free_port
from tests.support.serving import write_profile

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[1] / "support" / "helper_program.py"


def helper(home: Path) -> dict[str, Any]:
    row: dict[str, Any] = AdminClient(home / "router.sock").call("GET", "/helpers")["helpers"][0]
    return row


def settled(home: Path) -> dict[str, Any]:
    """The helper once the new server watches it."""
    until = time.monotonic() + 30
    while (row := helper(home))["state"] != "running":
        assert time.monotonic() < until, row
        time.sleep(0.05)
    return row


async def test_one_process_through_a_restart_and_a_crash_until_the_end(tmp_path: Path) -> None:
    home, port, own = tmp_path / "home", free_port(), free_port()
    write_profile(home, "work", '[default]\nto = "demo"\n')
    home.chmod(0o700)
    (home / "router.toml").write_text(
        f'[[helper]]\nname = "one"\ncommand = [{sys.executable!r}, {str(PROGRAM)!r}, "{own}"]\nport = {own}\n'
        'health-path = "/health"\n'
    )
    first = await (await RouterProcess(home, port).spawn()).ready()
    pid = helper(home)["pid"]
    second = await (await RouterProcess(home, port).spawn("--take-over")).ready()
    assert await first.process.wait() == 0
    assert settled(home)["pid"] == pid
    second.process.kill()
    await second.process.wait()
    assert _begun(pid)
    third = await (await RouterProcess(home, port).spawn()).ready()
    assert (helper(home)["pid"], helper(home)["state"]) == (pid, "running")
    third.process.send_signal(signal.SIGTERM)
    assert await third.process.wait() == 0
    assert not _begun(pid)
    assert not (home / "router.helpers").exists()
