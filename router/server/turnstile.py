"""Keeps who asks much from holding up who asks little: on one event loop everybody's work is done in one queue.

A request passes through several turns of the loop, and each takes as long as the work of all requests that are under
way. So only so many are let in that a turn stays short; the others wait, and those who wait are taken by turns: the
profiles, and within a profile its callers. Nothing is held by who has passed, so nobody who is slow, fails or leaves
keeps anybody else from passing. Where no more come than a turn can take, nobody waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

from router.server.fair_queue import FairQueue

ALONE: Final = 4  # let in at a turn of the loop, as long as there is one caller: more in a turn is less work in all
SHARED_TURNS: Final = 4  # turns of the loop after which one is let in, where there are others
SHARED_S: Final = 60.0  # for so long somebody who has asked counts as being there
AT_ONCE_S: Final = 0.001  # as many as a turn takes are let in within it without waiting for one


class Turnstile:
    """One of a server. ``await turn(...)`` before the work on a request begins."""

    def __init__(self) -> None:
        self._waiting: dict[str, FairQueue[asyncio.Future[None]]] = {}  # by profile, none empty
        self._served: Counter[str] = Counter()  # a profile's latest, as they are counted
        self._turning = False
        self._turns = 0
        self._count = 0  # of those who had to wait
        self._latest: tuple[str, str] | None = None
        self._shared_until = 0.0
        self._began = 0.0  # the stretch of AT_ONCE_S
        self._passed = 0  # let in at once within it

    async def turn(self, profile: str, line: str) -> None:
        """Wait for the turn of one of this profile's callers, if others wait or too many have just come."""
        now = time.monotonic()
        if self._latest != (profile, line):
            if self._latest is not None:
                self._shared_until = now + SHARED_S
            self._latest = profile, line
        if not self._waiting:
            if now - self._began >= AT_ONCE_S:
                self._began, self._passed = now, 0
            if self._passed < (ALONE if now >= self._shared_until else 1):
                self._passed += 1
                return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(profile, FairQueue()).join(line, waiter)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn)
        await waiter

    def _turn(self) -> None:
        """Once in each turn of the loop, as long as anybody waits."""
        self._turns += 1
        most = ALONE
        if time.monotonic() < self._shared_until:
            most = 0 if self._turns % SHARED_TURNS else 1
        while most and self._waiting:
            waiter = self._next()
            if not waiter.done():  # its client hasn't left
                waiter.set_result(None)
                most -= 1
        self._turning = bool(self._waiting)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)

    def _next(self) -> asyncio.Future[None]:
        profile = min(self._waiting, key=lambda name: self._served[name])  # whose last turn is longest ago
        lines = self._waiting[profile]
        waiter = lines.next()
        assert waiter is not None
        if not lines:
            del self._waiting[profile]
        self._count += 1
        self._served[profile] = self._count
        return waiter
