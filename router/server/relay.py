"""Passing a provider's event stream on to the client.

Until the stream is *committed* (its first content), what arrives is held back, so that a broken start can still become
an ordinary error or go elsewhere; nothing has been promised to the client yet. From then on bytes pass as they arrive,
and a stream that breaks off is never made to look finished. The bytes that end the answer wait for the settlement. If
it is translated, a silent provider's client is told now and then that its connection is alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from router.errors import UpstreamError
from router.health import classes
from router.upstream.client import UpstreamReply
from router.wire.codec import ReplyFacts, StreamTap

HOLD_BYTES = 2**16  # a stream that is still without content after this much is let through all the same
KEEP_ALIVE_S = 15.0  # of silence, after which the client hears that somebody is there
TAIL_S = 2.0  # how long a provider may keep its reply open behind the end of the answer

Settle = Callable[[], Awaitable[None]]
Write = Callable[[bytes], Awaitable[None]]


class StreamRelay:
    """One stream, from the provider's reply to the client's. ``open`` up to the commit, then ``run`` to the end."""

    def __init__(self, reply: UpstreamReply, tap: StreamTap, *, idle_s: float, keep_alive: bytes = b"") -> None:
        self._reply = reply
        self._tap = tap
        self._idle_s = idle_s
        self._keep_alive = keep_alive
        self._held: list[bytes] = []
        self._final = b""
        self._at_end = False
        self.client_stalled = False  # whether it was the client that nothing could be written to

    @property
    def facts(self) -> ReplyFacts:
        """What the stream has said about itself so far."""
        return self._tap.facts

    @property
    def failed(self) -> bool:
        """Whether the stream carried an error of its own, which the client has seen then."""
        return self._tap.failed

    @property
    def is_empty(self) -> bool:
        """Whether the stream has ended without anything of an answer."""
        return self._tap.ended and not self._tap.committed

    @property
    def _is_whole(self) -> bool:
        return self._tap.ended and not self._tap.failed

    @property
    def at_end(self) -> bool:
        """Whether the provider has ended its reply as it should, whatever was in it."""
        return self._at_end

    async def open(self) -> None:
        """Read up to the first content. Raises UpstreamError (broken-start) if the stream fails before it.

        The caller bounds the wait.
        """
        tap, size = self._tap, 0
        while not (tap.committed or tap.ended or tap.failed) and size < HOLD_BYTES:
            try:
                chunk = await self._reply.chunk()
            except UpstreamError as error:
                raise UpstreamError(str(error), error_class=classes.BROKEN_START, maybe_billed=True) from error
            if not chunk:
                self._at_end = True
                self._final = tap.finish()
                break
            passing, self._final = tap.feed(chunk)
            self._held.append(passing)
            size += len(chunk)
        if tap.failed and not tap.committed:
            raise UpstreamError(
                tap.facts.error or "the stream began with an error", error_class=classes.BROKEN_START, maybe_billed=True
            )
        if self._at_end and not tap.ended:
            raise UpstreamError(
                "the stream ended before any content", error_class=classes.BROKEN_START, maybe_billed=True
            )

    async def hold(self, most: int) -> bytes:
        """Read on to the end of the answer and hold all of it back; ``run`` then sends it at once. What is held.

        Raises UpstreamError (broken-start: nobody has seen anything of it) where the stream breaks off, is silent for
        too long, or is longer than ``most`` bytes.
        """
        tap, size = self._tap, sum(map(len, self._held))
        try:
            while not (self._final or self._at_end or tap.failed):
                async with asyncio.timeout(self._idle_s):
                    chunk = await self._reply.chunk()
                if not chunk:
                    self._at_end, self._final = True, tap.finish()
                    break
                passing, self._final = tap.feed(chunk)
                self._held.append(passing)
                size += len(passing)
                if size > most:
                    raise UpstreamError(f"longer than {most:,} bytes", error_class=classes.BROKEN_START)
        except TimeoutError as error:
            raise UpstreamError(
                f"silent for {self._idle_s:g} s", error_class=classes.BROKEN_START, maybe_billed=True
            ) from error
        except UpstreamError as error:
            raise UpstreamError(str(error), error_class=classes.BROKEN_START, maybe_billed=True) from error
        if tap.failed or not tap.ended:
            raise UpstreamError(
                tap.facts.error or "the stream ended before the answer did",
                error_class=classes.BROKEN_START,
                maybe_billed=True,
            )
        return b"".join(self._held) + self._final

    async def run(self, write: Write, settle: Settle) -> None:
        """Pass on what was held and all that follows: ``write`` takes it to the client. ``settle`` is awaited before
        the end of the answer goes out.

        Raises UpstreamError (broken-stream) when the provider breaks off, or is silent for too long, before that end,
        and where it told of an error, even if it then ended the answer like any other.
        """
        tap, reply = self._tap, self._reply
        try:
            async with asyncio.timeout(self._idle_s) as idle:
                loop = asyncio.get_running_loop()
                armed = loop.time()
                if held := b"".join(self._held):
                    self._held.clear()
                    await self._write(write, held)
                    held = b""  # a stream lives long
                final = self._final
                while not (final or self._at_end):
                    chunk = await self._next_chunk(write)
                    if not chunk:
                        self._at_end, final = True, tap.finish()
                        break
                    passing, final = tap.feed(chunk)
                    if passing:
                        await self._write(write, passing)
                    # Moving the deadline costs more than reading the clock, and it needn't be exact to the second.
                    now = loop.time()
                    if now - armed > self._idle_s * 0.02:
                        idle.reschedule(now + self._idle_s)
                        armed = now
                if tap.ended:
                    if not tap.failed:
                        await settle()
                    if final:
                        await write(final)
                    idle.reschedule(loop.time() + min(TAIL_S, self._idle_s))
                    while not self._at_end:
                        if chunk := await reply.chunk():
                            await write(b"".join(tap.feed(chunk)))
                        else:
                            self._at_end = True
        except TimeoutError as error:
            if self._is_whole:
                return
            raise UpstreamError(f"nothing moved for {self._idle_s:g} s", error_class=classes.BROKEN_STREAM) from error
        except UpstreamError:
            if self._is_whole:  # how its connection ended is nobody's business
                return
            raise
        if not self._is_whole:  # what is held of an unfinished event stays here: the error is told instead
            raise UpstreamError(
                tap.facts.error or "the stream ended before the answer did", error_class=classes.BROKEN_STREAM
            )

    async def _write(self, write: Write, data: bytes) -> None:
        self.client_stalled = True  # unless this comes back
        await write(data)
        self.client_stalled = False

    async def _next_chunk(self, write: Write) -> bytes:
        if not self._keep_alive:
            return await self._reply.chunk()
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    return await self._reply.chunk()
            except TimeoutError:
                await self._write(write, self._keep_alive)
