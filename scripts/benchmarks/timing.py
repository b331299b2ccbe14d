"""How long a piece of work takes: medians of batches, so that one interruption doesn't count."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

BATCH_S = 0.01
ENOUGH_BATCHES = 5


def micros(work: Callable[[T], object], fresh: Callable[[], T], *, seconds: float = 0.5) -> float:
    """Microseconds of one ``work(subject)``; every call gets a subject of its own, made outside the time."""
    size = 1
    while _batch(work, fresh, size) < BATCH_S and size < 100_000:
        size *= 2
    until = time.perf_counter() + seconds
    batches: list[float] = []
    while len(batches) < ENOUGH_BATCHES or time.perf_counter() < until:
        batches.append(_batch(work, fresh, size))
    return statistics.median(batches) / size * 1e6


def _batch(work: Callable[[T], object], fresh: Callable[[], T], size: int) -> float:
    subjects = [fresh() for _ in range(size)]
    gc.collect()
    gc.disable()  # what making the subjects left behind is not the work's
    try:
        began = time.perf_counter()
        for subject in subjects:
            work(subject)
        return time.perf_counter() - began
    finally:
        gc.enable()


def same(subject: T) -> Callable[[], T]:
    """For work that leaves its subject as it was."""
    return lambda: subject


def median_ms(work: Callable[[], object], *, repeats: int) -> float:
    """Milliseconds of one ``work()``."""
    times: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
