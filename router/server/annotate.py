"""Facts for the ledger, found out while the provider works or after the reply.

Rules look at what they need while a request waits; everything else that is worth keeping (token counts, flags, results
of the profile's conditions) is worked out here. Most of it is known from earlier requests of the same conversation and
takes a fraction of a millisecond; what needs more counting than that is done in a worker thread. The text itself is
never kept, and requests waiting here are bounded: beyond the bound a request goes without, counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from router.errors import BadRequest
from router.ledger.writing import Annotate
from router.routing.facts import CountNeeded, RequestFacts
from router.routing.rules import RouteTable
from router.server.savings import Prompt, prompt_of

log = logging.getLogger("router.server")

PAUSE_S = 0.001  # after something came in: replies first
WAITING_BYTES = 64 * 2**20  # of request bodies


@dataclass(frozen=True, slots=True)
class Job:
    """One request to be annotated. ``done`` is told what was found out and what its prompt is, on the loop."""

    request_id: str
    facts: RequestFacts
    routes: RouteTable
    count_tokens: bool
    done: Callable[[Annotate, Prompt], None]

    @property
    def size(self) -> int:
        """Bytes of the request that wait with the job."""
        return len(self.facts.view.body.raw)


class Annotator:
    """A queue and a task."""

    def __init__(self) -> None:
        self.skipped = 0
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        self._working = False
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="annotator")

    @property
    def waiting(self) -> int:
        """Requests not annotated yet."""
        return len(self._jobs) + self._working

    def put(self, job: Job) -> None:
        """Take a job, or count it as skipped when too much is waiting."""
        if self._bytes + job.size > WAITING_BYTES and self._jobs:
            self.skipped += 1
            return
        self._jobs.append(job)
        self._bytes += job.size
        self._wake.set()

    async def close(self) -> None:
        """Finish what is waiting."""
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while True:
            if not self._jobs:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                await asyncio.sleep(PAUSE_S)
                continue
            self._working = True
            await self._describe(self._jobs.popleft())  # no name for it here: the next one may be long in coming
            self._working = False
            await asyncio.sleep(0)

    async def _describe(self, job: Job) -> None:
        self._bytes -= job.size
        try:
            job.done(*await _annotate(job))
        except BadRequest as error:  # nobody else's fault than the client's, who was told by now
            log.debug("request %s has no facts: %s", job.request_id, error)
        except Exception:  # a request we can't describe is still a request that was served
            log.exception("the facts of request %s could not be recorded", job.request_id)


async def _annotate(job: Job) -> tuple[Annotate, Prompt]:
    try:
        return _record(job)
    except CountNeeded:
        job.facts.may_count = True
        return await asyncio.to_thread(_record, job)


def _record(job: Job) -> tuple[Annotate, Prompt]:
    facts = job.facts
    recorded = facts.record(job.routes, count_tokens=job.count_tokens)
    tokens = facts.tokens() if "tokens" in recorded else None
    prompt = prompt_of(facts)
    return Annotate(job.request_id, msgspec.json.encode(recorded).decode(), tokens, prompt.conversation), prompt
