"""Calls whose clients have gone, and that are read to their end all the same so that it is known what they cost."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from router.server.exchange import Exchange

log = logging.getLogger("router.server")

MOST: Final = 32  # at a time in the server
LONGEST_S: Final = 60.0


class Drains:
    """Those of a server. ``end`` when an exchange is over, whether it was one of them or not."""

    def __init__(self) -> None:
        self._limits: dict[Exchange, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._limits)

    async def outliving(self, exchange: Exchange, work: asyncio.Task[web.StreamResponse]) -> web.StreamResponse:
        """What comes of an exchange that is served in a task of its own. When the client leaves, that task goes on if
        it may."""
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if not exchange.left():
                work.cancel()
                await asyncio.wait({work})
            work.add_done_callback(_tell_of_faults)
            raise

    def begin(self, exchange: Exchange, work: asyncio.Task[object]) -> bool:
        """Let an exchange go on without its client, for a while; False where too many do already."""
        if len(self._limits) >= MOST:
            return False
        self._limits[exchange] = asyncio.get_running_loop().call_later(LONGEST_S, work.cancel)
        return True

    def end(self, exchange: Exchange) -> None:
        """The exchange is over."""
        if (limit := self._limits.pop(exchange, None)) is not None:
            limit.cancel()


def _tell_of_faults(work: asyncio.Task[web.StreamResponse]) -> None:
    """No client is there any more to be told of a fault of ours."""
    if not work.cancelled() and (error := work.exception()) is not None:
        log.error("a request failed inside the router", exc_info=error)
