"""Facts for the ledger, found out after the reply.

Rules look at what they need while a request waits; everything else that is worth keeping (token counts, flags, results
of the profile's conditions) is computed here, in one worker thread, when the client has its answer already. The text
itself is never kept, and requests waiting here are bounded: beyond the bound a request goes without, counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from router.ledger.store import Ledger
from router.ledger.writing import Annotate
from router.routing.facts import RequestFacts
from router.routing.rules import RouteTable

log = logging.getLogger("router.server")

BATCH = 32
WAITING_BYTES = 64 * 2**20  # of request bodies


@dataclass(frozen=True, slots=True)
class Job:
    """One request to be annotated. ``remember`` is told the conversation, on the loop."""

    request_id: str
    facts: RequestFacts
    routes: RouteTable
    count_tokens: bool
    remember: Callable[[str], None]

    @property
    def size(self) -> int:
        """Bytes of the request that wait with the job."""
        return len(self.facts.view.body.raw)


class Annotator:
    """A queue, a task, one worker thread."""

    def __init__(self, ledger: Ledger) -> None:
        self.skipped = 0
        self._ledger = ledger
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._working = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="facts")
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
        """Finish what is waiting, then end the thread."""
        self._closing = True
        self._wake.set()
        await self._task
        self._pool.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._jobs:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]
            self._bytes -= sum(job.size for job in batch)
            self._working = len(batch)
            for job, record, conversation in await loop.run_in_executor(self._pool, _annotate, batch):
                if conversation is not None:
                    job.remember(conversation)
                self._ledger.put(record)
            self._working = 0


def _annotate(batch: list[Job]) -> list[tuple[Job, Annotate, str | None]]:
    done: list[tuple[Job, Annotate, str | None]] = []
    for job in batch:
        try:
            facts = job.facts
            facts.may_count = True
            recorded = facts.record(job.routes, count_tokens=job.count_tokens)
            conversation = facts.conversation or facts.conversation_start
            tokens = facts.tokens() if "tokens" in recorded else None
            text = msgspec.json.encode(recorded).decode()
            done.append((job, Annotate(job.request_id, text, tokens, conversation), conversation))
        except Exception:  # a request we can't describe is still a request that was served
            log.exception("the facts of request %s could not be recorded", job.request_id)
    return done
