"""``[budget] notify``: a command of the user's that is run when a chosen share of a budget is spent.

Once for a window and a share, also over a restart: what is spent when the router starts has been told before. Of
several shares that one request passes only the highest is told. No request waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from router.money.budget import Window
from router.profile.profile import Budget

log = logging.getLogger("router.server")

RUN_S: Final = 10.0
MOST_WAITING: Final = 100  # each limit of each budget can have some to tell at once


class Alarm:
    """One profile's. ``distrust`` says why commands of its file aren't run; ``None`` where they are."""

    def __init__(self, profile: str) -> None:
        self.problem: str | None = None
        self.distrust: Callable[[], str | None] = lambda: "this router runs no commands of profiles"
        self._profile = profile
        self._command: tuple[str, ...] = ()
        self._shares: tuple[float, ...] = ()
        self._told: dict[tuple[str, str], tuple[int, float]] = {}  # by limit: the window, the highest share told
        self._waiting: deque[dict[str, str]] = deque(maxlen=MOST_WAITING)
        self._running: asyncio.Task[None] | None = None

    def use(self, budget: Budget | None) -> None:
        """Take up what the profile says."""
        self._command = budget.notify if budget is not None else ()
        self._shares = budget.notify_at if budget is not None else ()
        if not self._command:
            self.problem = None

    def loaded(self, windows: Iterable[Window]) -> None:
        """What is spent so far is known to the user."""
        for window in windows:
            self._told[str(window.scope), window.period] = window.start_ms, window.share or 0.0

    def look(self, windows: Iterable[Window]) -> None:
        """Something was spent in these windows."""
        for window in windows:
            limit, share = (str(window.scope), window.period), window.share or 0.0
            start_ms, told = self._told.get(limit, (0, 0.0))
            if start_ms > window.start_ms:
                continue  # it is over
            told = told if start_ms == window.start_ms else 0.0
            passed = max((each for each in self._shares if told < each <= share), default=None)
            self._told[limit] = window.start_ms, max(told, share)
            if passed is not None and self._command:
                self._tell(window, passed)

    async def close(self) -> None:
        """End what runs."""
        self._waiting.clear()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    def _tell(self, window: Window, passed: float) -> None:
        self._waiting.append(
            {
                "ROUTER_BUDGET_PROFILE": self._profile,
                "ROUTER_BUDGET_SCOPE": str(window.scope),
                "ROUTER_BUDGET_PERIOD": window.period,
                "ROUTER_BUDGET_SHARE": f"{passed:g}",
                "ROUTER_BUDGET_SPENT_USD": f"{window.spent / 1e9:.9f}",
                "ROUTER_BUDGET_LIMIT_USD": f"{(window.limit or 0) / 1e9:.9f}",
                "ROUTER_BUDGET_RESETS": datetime.fromtimestamp(window.end_ms / 1000, UTC).isoformat(),
            }
        )
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name=f"notify {self._profile}")

    async def _run(self) -> None:
        while self._waiting:
            said = self._waiting.popleft()
            problem = await asyncio.to_thread(self.distrust) or await _ran(self._command, said)
            self.problem = f"[budget] notify: {problem}" if problem else None
            if problem:
                log.warning("profile %s: [budget] notify: %s", self._profile, problem)


async def _ran(command: tuple[str, ...], said: dict[str, str]) -> str | None:
    """Run a command to its end; what was wrong with it, or ``None``."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **said},
            start_new_session=True,  # so that its children can be ended with it
        )
    except OSError as error:
        return f"{command[0]} can't be started: {error.strerror}"
    try:
        async with asyncio.timeout(RUN_S):
            status = await process.wait()
    except TimeoutError:
        return f"{command[0]} took longer than {RUN_S:g} s and was ended"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return f"{command[0]} ended with status {status}" if status else None
