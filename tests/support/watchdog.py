"""A thread that watches the event loop and notes whenever one callback holds it up.

What counts is the processor time the loop's own thread spent without coming round, so that a busy machine, which stops
the whole process now and then, doesn't look like a stall. A wait that blocks (a slow disk, a lock) is noticed by the
clock, with more patience: it is the time in which the thread neither ran nor, as far as the system tells, had to wait
for a processor. As in a server (``spare_the_collector``), the garbage collector looks only at what is made inside, not
at all that earlier tests have left in the process.
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
from dataclasses import dataclass
from pathlib import Path

from tests.support.slow import in_time

STEP_S = 0.004
PATIENCE_S = 1.0  # of a wait


@dataclass
class Stalls:
    """The longest one, in seconds of processor time, and where the loop's thread was; and the longest wait."""

    longest_s: float = 0.0
    where: str = ""
    blocked_s: float = 0.0


@contextlib.asynccontextmanager
async def watchdog(limit_s: float = 0.05) -> AsyncIterator[Stalls]:
    """Fails at the end if the loop was held longer than ``limit_s`` inside."""
    loop = asyncio.get_running_loop()
    thread_id = threading.get_ident()
    clock_id = time.pthread_getcpuclockid(thread_id)
    queue = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    stalls = Stalls()
    done = threading.Event()
    timer: asyncio.TimerHandle | None = None

    def ran_s() -> float:
        """Processor time of the loop's thread, ever."""
        return time.clock_gettime(clock_id)

    def waited_s() -> float:
        """All other time, but for that in which it was ready to run and couldn't."""
        queued_s = int(queue.read_bytes().split()[1]) / 1e9 if queue.exists() else 0.0
        return time.monotonic() - ran_s() - queued_s

    ran, waited = ran_s(), waited_s()

    def look() -> None:
        nonlocal ran, waited
        before, ran = ran, ran_s()  # reading a file lets the other thread in, so this comes first
        stalls.longest_s = max(stalls.longest_s, ran - before)
        before, waited = waited, waited_s()
        stalls.blocked_s = max(stalls.blocked_s, waited - before)

    def tick() -> None:
        nonlocal timer
        look()
        timer = loop.call_later(STEP_S, tick)

    def watch() -> None:
        while not done.wait(STEP_S):
            held_s = ran_s() - ran
            if held_s > max(limit_s / 2, stalls.longest_s):
                frame = sys._current_frames().get(thread_id)
                if frame is not None:
                    stalls.longest_s, stalls.where = held_s, "".join(traceback.format_stack(frame)[-12:])

    gc.freeze()
    tick()
    watcher = threading.Thread(target=watch, name="watchdog")
    watcher.start()
    try:
        yield stalls
    finally:
        look()
        done.set()
        watcher.join()
        if timer is not None:
            timer.cancel()
        gc.unfreeze()
    in_time(stalls.longest_s, limit_s, f"the loop was held\n{stalls.where}")
    in_time(stalls.blocked_s, PATIENCE_S, "the loop stood still")
