"""The requests that another process goes on serving after it has handed the ledger over: its records are written here.

The other process' side is ``Ledger.forward``; what is between the two is ``server/takeover.py``.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from router.ledger.store import RETRY_S, Ledger
from router.ledger.writing import Begin, Record, Settle

log = logging.getLogger("router.ledger")

TRIES: Final = 240  # to settle what was interrupted: a minute of a database that is locked


class Forwarded:
    """``requests`` are those under way, id to profile; ``told`` hears of each record, before it is written, with the
    profile; ``lost`` of those requests that were under way when the other process died."""

    def __init__(
        self,
        ledger: Ledger,
        requests: Mapping[str, str],
        told: Callable[[str, Record], None],
        lost: Callable[[Collection[str]], None] = lambda ids: None,
    ) -> None:
        self.requests = dict(requests)
        self._ledger = ledger
        self._told = told
        self._lost = lost

    async def store(self, records: Iterable[Record]) -> None:
        """Write the other process' records; done when they are committed."""
        futures = []
        for record in records:
            if isinstance(record, Begin):
                self.requests[record.intent.id] = record.intent.profile
                self._told(record.intent.profile, record)
            elif isinstance(record, Settle) and (profile := self.requests.pop(record.settlement.id, None)) is not None:
                self._told(profile, record)
            futures.append(self._ledger.put(record))
        await asyncio.gather(*futures)

    async def _interrupted(self) -> int:
        for tried in range(TRIES):
            try:
                return await self._ledger.interrupt(self.requests)
            except sqlite3.Error as error:
                if not tried:
                    log.error("requests that were interrupted can't be settled: %s; trying again", error)
                await asyncio.sleep(RETRY_S)
        return 0  # the next start does it

    async def end(self) -> None:
        """The other process is gone. Requests that it has not settled were interrupted."""
        interrupted = await self._interrupted()
        self._lost(self.requests)
        if interrupted:
            log.warning("%d requests were under way when the process that served them died", interrupted)
        self.requests.clear()
