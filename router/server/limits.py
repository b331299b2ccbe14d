"""How many requests of a profile, and of each of its client keys, are let in: a minute, and at a time.

``Limiter`` decides; time is an argument, and nothing here waits but ``admit``. A request that may come in has a
``Place`` until it is over. One that may not yet waits in a queue that is bounded and fair between keys; whoever has no
key shares a line with the same program on the same machine.
"""

from __future__ import annotations

import asyncio
import logging
import select
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Final

from aiohttp import web

from router.errors import Refused, TooManyRequests
from router.profile.profile import Limits
from router.server.admission import ClientKey
from router.server.fair_queue import FairQueue
from router.server.replies import retry_after

log = logging.getLogger("router.server")

LIMITS: Final = (
    "requests-per-minute",
    "concurrent-requests",
    "per-key.requests-per-minute",
    "per-key.concurrent-requests",
)
MINUTE_S: Final = 60.0
LONGEST_ADVICE_S: Final = 60.0  # to who can't even wait: SDKs don't heed a longer Retry-After
LOOK_S: Final = 0.25  # how often it is looked whether a client that waits is still there
_MEMORY: Final = 8  # requests over which the time that one takes is averaged, roughly


class Minute:
    """When requests were let in. No 60 seconds, however they lie, have more than were allowed."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def wait_s(self, most: int | None, now: float) -> float:
        """How long until one more may be let in, 0 for now."""
        times = self._times
        while times and now - times[0] >= MINUTE_S:
            times.popleft()
        return 0.0 if most is None or len(times) < most else MINUTE_S - (now - times[-most])

    def note(self, now: float) -> None:
        """One more is let in."""
        self._times.append(now)


class Place:
    """One request at a profile's door: it waits, or is inside, or has left."""

    def __init__(self, line: str, key: str | None, now: float) -> None:
        self.line = line
        self.key = key  # the name of its client key
        self.inside = False
        self.over = False
        self.since = now  # since when it is inside, or waits
        self.waited_s = 0.0
        self.told: Callable[[Refused | None], None] = _nobody_waits  # that it is in, or why it won't be


def _nobody_waits(why_not: Refused | None) -> None:
    """Whoever asked knows already."""


class Limiter:
    """The limits of one profile. A change of its file holds at once, for those who wait too."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.refused: Counter[str] = Counter()  # by the one of LIMITS that was reached
        self._queue: FairQueue[Place] = FairQueue()
        self._minute = Minute()
        self._minutes: defaultdict[str, Minute] = defaultdict(Minute)  # by the line of a client key
        self._inside = 0
        self._inside_of: Counter[str] = Counter()  # likewise
        self._mean_s: float | None = None  # that a request has its place
        self._logged = float("-inf")
        self._limits = limits
        self._name = name

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def inside(self) -> int:
        """Requests that have a place."""
        return self._inside

    def use(self, limits: Limits, now: float) -> None:
        """Other limits hold. Nobody who is inside or waits is sent away."""
        self._limits = limits
        self._let_in(now)

    # --- deciding -------------------------------------------------------------------------------------------------

    def enter(self, line: str, key: str | None, now: float) -> Place:
        """A request comes: it is inside at once or waits. Raises TooManyRequests where a limit is reached and it can't
        wait."""
        limits = self._limits
        minute = self._minutes[line] if key is not None and limits.key_requests_per_minute is not None else None
        waits = [(self._minute.wait_s(limits.requests_per_minute, now), False)]
        if minute is not None:
            waits.append((minute.wait_s(limits.key_requests_per_minute, now), True))
        wait_s, of_key = max(waits)
        if wait_s > 0:
            raise self._too_many(now, wait_s, key if of_key else None)
        place = Place(line, key, now)
        if self._full or not self._key_may(line):
            self._wait(place, now)
        else:
            self._begin(place, now)
        if limits.requests_per_minute is not None:
            self._minute.note(now)
        if minute is not None:
            minute.note(now)
        return place

    def leave(self, place: Place, now: float) -> None:
        """The request is over, or its client waits no longer. A second time it means nothing."""
        if place.over:
            return
        place.over = True
        if place.inside:
            self._inside -= 1
            self._count_key(place, -1)
            held_s = now - place.since
            self._mean_s = held_s if self._mean_s is None else self._mean_s + (held_s - self._mean_s) / _MEMORY
        else:
            self._queue.leave(place.line, place)
        self._let_in(now)

    def dismiss(self, why: Callable[[], Refused]) -> None:
        """Nobody who waits is going to be served."""
        while (place := self._queue.next()) is not None:
            place.over = True
            place.told(why())

    @property
    def _full(self) -> bool:
        most = self._limits.concurrent_requests
        return most is not None and self._inside >= most

    def _key_may(self, line: str) -> bool:
        most = self._limits.key_concurrent_requests
        return most is None or self._inside_of[line] < most

    def _wait(self, place: Place, now: float) -> None:
        if len(self._queue) >= self._limits.queue:
            other = self._queue.gives_way(place.line)
            if other is None:
                raise self._no_room(place, now)
            other.over = True
            other.told(self._no_room(other, now))
        self._queue.join(place.line, place)

    def _let_in(self, now: float) -> None:
        while self._queue and not self._full and (place := self._queue.next(self._key_may)) is not None:
            self._begin(place, now)
            place.told(None)

    def _begin(self, place: Place, now: float) -> None:
        place.inside, place.waited_s, place.since = True, now - place.since, now
        self._inside += 1
        self._count_key(place, 1)

    def _count_key(self, place: Place, change: int) -> None:
        if place.key is not None:
            self._inside_of[place.line] += change
            if not self._inside_of[place.line]:
                del self._inside_of[place.line]

    # --- refusing -------------------------------------------------------------------------------------------------

    def _too_many(self, now: float, wait_s: float, key: str | None) -> TooManyRequests:
        most = self._limits.requests_per_minute if key is None else self._limits.key_requests_per_minute
        return self._refusal("requests-per-minute", key, f"= {most} is reached", wait_s, now)

    def _no_room(self, place: Place, now: float) -> TooManyRequests:
        limits, waiting = self._limits, len(self._queue)
        key, most = (None, limits.concurrent_requests) if self._full else (place.key, limits.key_concurrent_requests)
        assert most is not None
        # Places become free one after the other, and those who wait come first.
        wait_s = min(LONGEST_ADVICE_S, (self._mean_s or 0.0) * (waiting + 1) / most)
        return self._refusal("concurrent-requests", key, f"= {most} is reached, and {waiting} wait", wait_s, now)

    def _refusal(self, limit: str, key: str | None, what: str, wait_s: float, now: float) -> TooManyRequests:
        table, whose = ("[limits]", "") if key is None else ("[limits.per-key]", f", key {key}")
        self.refused[limit if key is None else f"per-key.{limit}"] += 1
        told = f"profile {self._name}{whose}: {table} {limit} {what}; try again in {retry_after(wait_s)} s"
        if now - self._logged >= MINUTE_S:  # a client that doesn't heed it must not fill the log
            self._logged = now
            log.warning("refused: %s", told)
        return TooManyRequests(told, retry_after_s=wait_s)

    # --- waiting --------------------------------------------------------------------------------------------------

    async def admit(self, request: web.BaseRequest, line: str, key: ClientKey | None) -> Place:
        """A place for the request, as soon as there is one. Whoever gets it gives it back with ``leave``.

        Raises TooManyRequests, or why nobody is served any more; CancelledError when the client leaves."""
        place = self.enter(line, key.name if key is not None else None, time.monotonic())
        if not place.inside:
            try:
                await _turn_of(place, request)
            except BaseException:
                self.leave(place, time.monotonic())
                raise
        return place


async def _turn_of(place: Place, request: web.BaseRequest) -> None:
    turn: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()

    def told(why_not: Refused | None) -> None:
        if not turn.done():
            turn.set_result(why_not)

    place.told = told
    while not turn.done():
        await asyncio.wait({turn}, timeout=LOOK_S)
        if not turn.done() and request.transport is not None and has_left(request.transport):
            request.transport.abort()  # which cancels this
    if (why_not := turn.result()) is not None:
        raise why_not


def has_left(transport: asyncio.Transport) -> bool:
    """Whether a client has hung up from whom nothing is read: while much of a body waits to be read, nobody looks.

    Elsewhere than on Linux that is noticed when the body is read.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or not hasattr(select, "POLLRDHUP"):
        return False
    looking = select.poll()
    looking.register(sock.fileno(), select.POLLRDHUP)
    return bool(looking.poll(0))
