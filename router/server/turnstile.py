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
from typing import Final, NamedTuple

from router.server.fair_queue import FairQueue

ALONE: Final = 8  # let in at a turn of the loop, as long as there is one caller: more in a turn is less work in all
SHARED: Final = 0.25  # likewise where there are others: one in four turns
SHARED_S: Final = 60.0  # for so long somebody who has asked counts as being there
IDLE_TURN_S: Final = 0.001  # what counts as a turn while nobody waits


class _Waiter(NamedTuple):
    turn: asyncio.Future[None]
    work: int


class Turnstile:
    """One of a server. ``await turn(...)`` before the work on a request begins."""

    def __init__(self) -> None:
        self._waiting: dict[str, FairQueue[_Waiter]] = {}  # by profile, none empty
        self._served: Counter[str] = Counter()  # a profile's latest, as they are counted
        self._count = 0  # of those who had to wait
        self._turning = False
        self._busy = 0.0  # turns that those take who have been let in
        self._since = 0.0
        self._latest: tuple[str, str] | None = None
        self._shared_until = 0.0

    async def turn(self, profile: str, line: str, work: int = 1) -> None:
        """Wait for the turn of one of this profile's callers, if others wait or too many have just come. ``work``: how
        many ordinary requests this one is as much work as."""
        now = time.monotonic()
        if self._latest != (profile, line):
            if self._latest is not None:
                self._shared_until = now + SHARED_S
            self._latest = profile, line
        if not self._turning:
            self._turns_passed((now - self._since) / IDLE_TURN_S)
            self._since = now
        if self._waiting or self._busy >= 1:
            waiter = _Waiter(asyncio.get_running_loop().create_future(), work)
            self._waiting.setdefault(profile, FairQueue()).join(line, waiter)
            self._arm()
            await waiter.turn
        else:
            self._let_in(work, now)

    def _arm(self) -> None:
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """At the next turn of the loop after somebody was let in, and at each as long as anybody waits."""
        now = self._since = time.monotonic()
        self._turning = False
        self._turns_passed(1)
        while self._waiting and self._busy < 1:
            waiter = self._next()
            if not waiter.turn.done():  # its client hasn't left
                waiter.turn.set_result(None)
                self._let_in(waiter.work, now)
        if self._waiting:
            self._arm()

    def _turns_passed(self, count: float) -> None:
        self._busy = max(0.0, self._busy - count)

    def _let_in(self, work: int, now: float) -> None:
        self._busy += work / (ALONE if now >= self._shared_until else SHARED)
        self._arm()

    def _next(self) -> _Waiter:
        profile = min(self._waiting, key=lambda name: self._served[name])  # whose last turn is longest ago
        lines = self._waiting[profile]
        waiter = lines.next()
        assert waiter is not None
        if not lines:
            del self._waiting[profile]
        self._count += 1
        self._served[profile] = self._count
        return waiter
