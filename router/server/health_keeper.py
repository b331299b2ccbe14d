"""Keeps what profiles leave alone in the ledger's database, so that a restart goes on with it.

A change is written at once, by the ledger's own connection; while it is written, and for a moment after it, further
ones gather. Whoever serves requests never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from router.ledger import health_rows
from router.ledger.history import recent_inputs, recent_prompts
from router.ledger.store import Ledger
from router.server import savings

if TYPE_CHECKING:
    from router.server.tenant import Tenant

log = logging.getLogger("router.server")

PAUSE_S: Final = 0.2  # between two writes: a whole profile is written at a time


class HealthKeeper:
    """One for all profiles. ``adopt`` a tenant before it serves; ``close`` when nothing is to be written any more, or
    for a while."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._changed: dict[str, Tenant] = {}
        self._closing = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._failing = False

    async def adopt(self, tenant: Tenant) -> None:
        """Restore what was known of a profile's targets, and save it from now on."""
        try:
            kept = await self._ledger.run(lambda connection: health_rows.load(connection, tenant.name))
            inputs = await self._ledger.run(lambda connection: recent_inputs(connection, tenant.name))
            now_ms = time.time_ns() // 1_000_000
            prompts = await self._ledger.run(lambda connection: recent_prompts(connection, tenant.name, now_ms))
        except sqlite3.Error as error:
            log.warning("profile %s: what was known before can't be read: %s", tenant.name, error)
        else:
            tenant.learn_factors(inputs)
            savings.recall(tenant, prompts, now_ms)
            if count := tenant.health.restored(kept):
                log.info("profile %s: left alone as before the restart: %d", tenant.name, count)
        tenant.health.changed = partial(self._put, tenant)

    async def close(self) -> None:
        """Write what isn't written yet."""
        self._closing.set()
        if self._writing is not None:
            await self._writing

    def reopen(self) -> None:
        """Go on after all, with what has changed since then."""
        self._closing.clear()
        for tenant in list(self._changed.values()):
            self._put(tenant)

    def _put(self, tenant: Tenant) -> None:
        self._changed[tenant.name] = tenant
        if self._closing.is_set():
            return
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="health keeper")

    async def _write(self) -> None:
        while self._changed:
            name, tenant = self._changed.popitem()
            saved = tenant.health.saved()
            try:
                await self._ledger.run(lambda connection: health_rows.save(connection, name, saved))  # noqa: B023
                self._failing = False
            except (sqlite3.Error, ValueError) as error:  # a name that isn't Unicode is a ValueError
                if not self._failing:
                    log.warning("profile %s: what is left alone can't be saved: %s", name, error)
                self._failing = True
                if self._closing.is_set():
                    return
                if isinstance(error, sqlite3.Error):
                    self._changed.setdefault(name, tenant)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    await self._closing.wait()
