"""Keeps who asks much from holding up who asks little: on one event loop everybody's work is done in one queue.

A request passes through several turns of the loop, and each takes as long as the work of all requests that are under
way. So a profile gets only so many in that a turn stays short; its others wait, and its callers are taken by turns. A
profile that asks little finds its way free, whatever the others have waiting. Nothing is held by who has passed, so
nobody who is slow, fails or leaves keeps anybody else from passing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from router.server.fair_queue import FairQueue

ALONE: Final = 8  # let in at a turn of the loop, as long as there is one caller: more in a turn is less work in all
SHARED: Final = 1 / 64  # likewise where there are others, of each profile: one in so many turns, which are short then
LONGEST_S: Final = 0.01  # but so soon the next one, however long turns take
SHARED_S: Final = 60.0  # for so long somebody who has asked counts as being there
IDLE_TURN_S: Final = 0.001  # what counts as a turn while nobody waits


class _Waiter(NamedTuple):
    turn: asyncio.Future[None]
    work: int


@dataclass(slots=True)
class _Gate:
    """A profile's."""

    free_at: float = 0.0  # the turn from which on the next may pass
    free_s: float = 0.0  # or the time
    waiting: FairQueue[_Waiter] = field(default_factory=FairQueue)


class Turnstile:
    """One of a server. ``await turn(...)`` before the work on a request begins."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}
        self._waiting: dict[str, _Gate] = {}  # those at which somebody waits; who was served last is last
        self._turns = 0.0  # of the loop, so far
        self._full_until = 0.0  # the turn until which as many have been let in as fit, of all profiles together
        self._turning = False
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
            self._turns += (now - self._since) / IDLE_TURN_S
            self._since = now
        gate = self._gates.setdefault(profile, _Gate())
        if gate.waiting or not self._free(gate, now):
            waiter = _Waiter(asyncio.get_running_loop().create_future(), work)
            gate.waiting.join(line, waiter)
            self._waiting[profile] = gate
            self._arm()
            await waiter.turn
        else:
            self._let_in(gate, work, now)

    def _free(self, gate: _Gate, now: float) -> bool:
        soon = self._turns + 1
        return (gate.free_at < soon or now >= gate.free_s) and self._full_until < soon

    def _arm(self) -> None:
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """At the next turn of the loop after somebody was let in, and at each as long as anybody waits."""
        now = self._since = time.monotonic()
        self._turning = False
        self._turns += 1
        for profile, gate in [*self._waiting.items()]:
            while gate.waiting and self._free(gate, now):
                waiter = gate.waiting.next()
                assert waiter is not None
                if not waiter.turn.done():  # its client hasn't left
                    waiter.turn.set_result(None)
                    self._let_in(gate, waiter.work, now)
                del self._waiting[profile]
                self._waiting[profile] = gate
            if not gate.waiting:
                del self._waiting[profile]
        if self._waiting:
            self._arm()

    def _let_in(self, gate: _Gate, work: int, now: float) -> None:
        gate.free_at = max(gate.free_at, self._turns) + work / (ALONE if now >= self._shared_until else SHARED)
        gate.free_s = now + work * LONGEST_S
        self._full_until = max(self._full_until, self._turns) + work / ALONE
        self._arm()
