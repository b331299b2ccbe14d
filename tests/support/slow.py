"""What must not take longer than so long, said in one way.

A limit that is missed fails with ``TooSlow``. Where a machine is shared that is no verdict yet: such a test, and no
other, is run again (``again.py``); what really holds things up fails every time. And on a machine that is slower
altogether all limits are longer.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import msgspec

WORK = msgspec.json.encode(["word"] * 50_000)
WORK_S = 0.002  # of processor time that reading it takes where the limits were chosen


class TooSlow(AssertionError):
    """Something took longer than it may."""


def in_time(took_s: float, limit_s: float, what: str = "it took too long") -> None:
    """Raise TooSlow unless ``took_s`` is below the limit, both in seconds."""
    if took_s >= limit_s and took_s >= (longest_s := limit_s * slowness()):
        raise TooSlow(f"{took_s:.3g} s, and at most {longest_s:.3g} s: {what}")


@contextlib.contextmanager
def within(
    limit_s: float, what: str = "it took too long", *, clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """What happens inside has to take less than ``limit_s`` seconds by this clock; nothing is cut short."""
    began = clock()
    yield
    in_time(clock() - began, limit_s, what)


def slowness() -> float:
    """How many times longer than elsewhere this machine works at the same; 1 where it is faster."""
    times = []
    for _ in range(21):
        began = time.thread_time()
        msgspec.json.decode(WORK)
        times.append(time.thread_time() - began)
    return max(1.0, statistics.median(times) / WORK_S)
