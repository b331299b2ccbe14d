"""A thread that watches the event loop and notes whenever one callback holds it up.

What counts is the processor time the loop's own thread spent without coming round, so that a busy machine, which stops
the whole process now and then, doesn't look like a stall; a wait that blocks (a slow disk, a lock) is noticed by the
clock, with more patience. As in a server (``spare_the_collector``), the garbage collector looks only at what is made
inside, not at all that earlier tests have left in the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support.slow import in_time

STEP_S = 0.004
PATIENCE_S = 1.0  # of the clock on the wall


@dataclass
class Stalls:
    """The longest one, in seconds of processor time, and where the loop's thread was."""

    longest_s: float = 0.0
    where: str = ""
    blocked_s: float = 0.0
    all: list[float] = field(default_factory=list)


@contextlib.asynccontextmanager
async def watchdog(limit_s: float = 0.05) -> AsyncIterator[Stalls]:
    """Fails at the end if the loop was held longer than ``limit_s`` inside."""
    loop = asyncio.get_running_loop()
    thread_id = threading.get_ident()
    clock_id = time.pthread_getcpuclockid(thread_id)
    stalls = Stalls()
    done = threading.Event()
    beat = [time.clock_gettime(clock_id), time.monotonic()]
    timer: asyncio.TimerHandle | None = None

    def tick() -> None:
        nonlocal timer
        note(where="")
        beat[0], beat[1] = time.clock_gettime(clock_id), time.monotonic()
        timer = loop.call_later(STEP_S, tick)

    def note(where: str) -> None:
        spent = time.clock_gettime(clock_id) - beat[0]
        stalls.blocked_s = max(stalls.blocked_s, time.monotonic() - beat[1])
        if spent > stalls.longest_s:
            stalls.longest_s = spent
            stalls.where = where or stalls.where

    def watch() -> None:
        while not done.wait(STEP_S):
            if time.clock_gettime(clock_id) - beat[0] > limit_s / 2:
                frame = sys._current_frames().get(thread_id)
                note("".join(traceback.format_stack(frame)[-12:]) if frame is not None else "")

    gc.freeze()
    tick()
    watcher = threading.Thread(target=watch, name="watchdog")
    watcher.start()
    try:
        yield stalls
    finally:
        done.set()
        watcher.join()
        if timer is not None:
            timer.cancel()
        gc.unfreeze()
    in_time(stalls.longest_s, limit_s, f"the loop was held\n{stalls.where}")
    in_time(stalls.blocked_s, PATIENCE_S, "the loop stood still")
