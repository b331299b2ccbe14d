"""A router as a process of its own, started as a user would start it, to be stopped in every way there is."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from router.errors import RouterError
from router.server.admin import AdminClient
from tests.support.serving import ENVIRON

REPOSITORY = Path(__file__).parents[2]
_MAIN = "from router.cli.main import main; main()"
START_S = 60.0


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class RouterProcess:
    """``router serve`` on a home. Everything it prints goes to ``router.out`` beside the home."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.output = home.with_name("router.out")
        self.process: asyncio.subprocess.Process

    async def spawn(
        self,
        *options: str,
        variables: Mapping[str, str] | None = None,
        console: int | None = None,
        first: Callable[[], object] | None = None,
        cwd: Path | None = None,
    ) -> RouterProcess:
        """Start it, without waiting for anything. ``console`` is where it prints instead, ``first`` runs before it."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
        environ |= {**ENVIRON, "PYTHONPATH": str(REPOSITORY), "PYTHONDEVMODE": "", **(variables or {})}
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _MAIN, "serve", "--home", str(self.home), "--port", str(self.port), *options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output if console is None else console,
                stderr=output if console is None else console,
                env=environ,
                preexec_fn=first,
                cwd=cwd,
            )
        return self

    async def ready(self) -> RouterProcess:
        """Wait until it answers on its socket."""
        started = time.monotonic()
        client = AdminClient(self.home / "router.sock")
        while time.monotonic() - started < START_S:
            assert self.process.returncode is None, self.said()
            try:
                if (await asyncio.to_thread(client.call, "GET", "/status"))["pid"] == self.process.pid:
                    return self
            except RouterError:
                await asyncio.sleep(0.01)
        raise AssertionError(f"it didn't start: {self.said()}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within: float = 30.0) -> int:
        """Its exit status, once it has ended."""
        async with asyncio.timeout(within):
            return await self.process.wait()

    def said(self) -> str:
        """What it has printed so far, earlier runs included."""
        return self.output.read_text(errors="replace")

    async def destroy(self) -> None:
        """Make sure that nothing of it is left."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
