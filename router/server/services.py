"""What all exchanges of a server share. Built once in ``app.py`` and handed to each exchange."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.ledger.store import Ledger
from router.money.prices import PriceTable
from router.routing.tokens import PieceSummaries
from router.server.admission import HostRule, KeyRing
from router.server.annotate import Annotator
from router.server.drains import Drains
from router.server.request_log import RequestLog
from router.server.turnstile import Turnstile
from router.upstream.client import Upstream
from router.wire.piece_memory import PieceMemory
from router.wire.request import Api
from router.wire.traits import Traits

if TYPE_CHECKING:
    from router.server.exchange import Exchange

_chance = random.Random(secrets.token_bytes(32))  # ids must differ, not be secret; asking the system each time is slow

MAX_LEARNED = 1000  # targets; clients may name any model
DRAINING = "the router is shutting down"


def now_ms() -> int:
    """Milliseconds of UTC."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Services:
    """The server's parts that an exchange uses."""

    ledger: Ledger
    upstream: Upstream
    prices: PriceTable
    pieces: PieceMemory
    summaries: PieceSummaries
    annotator: Annotator
    log: RequestLog
    hosts: HostRule
    keys: KeyRing
    max_body: int
    loopback: bool  # whether the main listener is reachable from this machine only
    version: str
    home_problems: Callable[[], list[str]] = list  # what is wrong with the home's own files
    clock: Callable[[], int] = now_ms  # milliseconds of UTC
    started: float = field(default_factory=time.monotonic)
    draining: bool = False
    active: set[Exchange] = field(default_factory=set)
    idle: asyncio.Event = field(default_factory=asyncio.Event)  # whether nothing is active
    learned: dict[tuple[str, Api], Traits] = field(default_factory=dict)  # of targets that refused what we sent
    turnstile: Turnstile = field(default_factory=Turnstile)
    drains: Drains = field(default_factory=Drains)
    refused_early: int = 0  # refused before there was a row: bad key, Host, size, …

    def __post_init__(self) -> None:
        self.idle.set()

    def learn(self, traits: Traits, api: Api) -> None:
        """A target took a request only with these flags: so are its next ones written, until the server ends."""
        if len(self.learned) < MAX_LEARNED:
            self.learned[traits.owner, api] = traits

    def enter(self, exchange: Exchange) -> None:
        """An exchange is under way."""
        self.active.add(exchange)
        self.idle.clear()

    def leave(self, exchange: Exchange) -> None:
        """It isn't any more."""
        self.active.discard(exchange)
        if not self.active:
            self.idle.set()


def new_request_id() -> str:
    """128 bits as 32 hex digits: 48 of time, so that ids rise, the rest random."""
    return f"{now_ms():012x}{_chance.getrandbits(80):020x}"
