"""One upstream call: written, authorised, made, and waited for until its answer may be passed on.

Nothing reaches the client here. An attempt ends in an ``Answer`` that can be committed, or in an ``UpstreamError`` that
knows its class, so that whoever called may try again or elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from router.errors import UpstreamError
from router.health import classes
from router.health.breaker import Ticket
from router.health.waits import asked_wait_s
from router.ledger.entry import AttemptRecord, Role
from router.money.budget import FREE
from router.providers.provider import Provider
from router.routing.facts import RequestFacts
from router.routing.rules import Rule, Target
from router.server.authorise import Authorised
from router.server.pricing import is_subscription_login
from router.server.relay import StreamRelay
from router.server.ways import Translated, Way
from router.upstream.client import UpstreamReply
from router.wire.codec import ReplyFacts
from router.wire.loss import listed
from router.wire.request import RequestView

if TYPE_CHECKING:
    from router.server.exchange import Exchange

REPLY_CAP: Final = 64 * 2**20  # bytes of a whole reply
ERROR_CAP: Final = 2**20


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where a request goes: a candidate, and its provider."""

    rule: Rule
    target: Target
    provider: Provider

    @property
    def model(self) -> str:
        """The model asked for at the provider."""
        return self.target.model or ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer before the client has seen anything of it: a stream at its first content, or a whole reply as
    it is for the client."""

    way: Way
    reply: UpstreamReply
    relay: StreamRelay | None = None
    facts: ReplyFacts | None = None
    payload: bytes = b""
    soft: bool = False  # it is no answer, but nobody else could be asked
    error_class: str = classes.SOFT  # if it is none


class ErrorReply(UpstreamError):
    """The provider answered with an error status."""

    def __init__(
        self,
        message: str,
        *,
        error_class: str,
        wait_s: float | None,
        reply: UpstreamReply,
        payload: bytes,
        way: Way,
    ) -> None:
        super().__init__(message, error_class=error_class, status=reply.status, wait_s=wait_s)
        self.reply = reply
        self.payload = payload
        self.way = way


class SoftFailure(UpstreamError):
    """A success that is no answer. It is passed on all the same where nobody else can be asked."""

    def __init__(self, message: str, answer: Answer, *, wait_s: float | None = None) -> None:
        super().__init__(message, error_class=answer.error_class, wait_s=wait_s)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for an answer, in seconds: at first, if somebody else can be asked then, and in all."""

    first_s: float
    last_s: float
    others: Callable[[], bool]


class Attempt:
    """One call for an exchange. ``await open()``, then the exchange relays; ``close`` whatever happens."""

    def __init__(
        self, exchange: Exchange, chosen: Chosen, way: Way, authorised: Authorised, ticket: Ticket, patience: Patience
    ) -> None:
        self.chosen = chosen
        self.way = way
        self.authorised = authorised
        self.ticket = ticket
        self.reply: UpstreamReply | None = None
        self.need = FREE  # what is reserved for each of its calls
        self.under_way = False  # whether the provider has been asked, and may be answering
        self._exchange = exchange
        self._patience: Patience | None = patience

    async def open(self, view: RequestView, role: Role) -> Answer:
        """Make the call and wait for the whole reply, or for a stream's first content. Raises UpstreamError."""
        patience = self._patience
        assert patience is not None
        loop = asyncio.get_running_loop()
        waited_s = patience.last_s
        try:
            async with asyncio.timeout(patience.last_s) as limit:

                def look_around() -> None:
                    nonlocal waited_s
                    if not limit.expired() and patience.others():
                        waited_s = patience.first_s
                        limit.reschedule(loop.time())

                timer = loop.call_later(patience.first_s, look_around) if patience.first_s < patience.last_s else None
                try:
                    return await self._open(view, role)
                finally:
                    if timer is not None:
                        timer.cancel()
        except TimeoutError as error:
            raise UpstreamError(
                f"no answer within {waited_s:g} s", error_class=classes.TIMEOUT, maybe_billed=True
            ) from error

    def close(self) -> None:
        """End the call."""
        self.under_way = False
        self._patience = None  # it knows who tries, who knows this
        self.way.forget()
        if self.reply is not None:
            self.reply.close()

    async def _open(self, view: RequestView, role: Role) -> Answer:
        exchange, account = self._exchange, self._exchange.account
        reply = await self._send(view, role)
        if not reply.ok:
            payload = await reply.read(ERROR_CAP)
            other = self.way.amended(payload, reply.status)
            if other is None:
                raise self._error(reply, payload)
            account.conclude(classes.BAD_REQUEST)
            account.reserve(self.need)
            reply.close()
            self.way = other
            if isinstance(other, Translated):
                exchange.amended[self.chosen.provider.name, self.chosen.model] = other.traits
            reply = await self._send(view, "draft" if role == "draft" else "retry")
            if not reply.ok:
                raise self._error(reply, await reply.read(ERROR_CAP))
        way = self.way
        # What was learned is kept for all requests; a seal that was refused says nothing of other conversations.
        traits = exchange.amended.get((self.chosen.provider.name, self.chosen.model))
        if traits is not None and traits.replays_sealed:
            exchange.services.learn(traits, way.api)
        estimating = exchange.estimating(way, view, self.chosen)
        way.forget()
        exchange.annotate()  # while the provider works
        if estimating is not None:
            way.estimated(await estimating)
        if view.stream and way.streams(reply):
            relay = StreamRelay(
                reply, way.tap(reply), idle_s=exchange.silence_s(self.chosen.provider), keep_alive=way.keep_alive
            )
            try:
                await relay.open()
            except UpstreamError as error:
                if not relay.failed:
                    raise
                raise self._told_inside(reply, relay.facts, classes.BROKEN_START) from error
            finally:
                account.reply = relay.facts
            account.mark_first_byte()
            account.streamed = True
            return Answer(way, reply, relay)
        payload = await reply.read(REPLY_CAP)
        account.mark_first_byte()
        facts, told = way.whole(payload, reply)
        account.reply = facts
        answer = None if told is None else Answer(way, reply, None, facts, told)
        if answer is None or (facts.error is not None and exchange.kind == "generate"):
            raise self._told_inside(reply, facts, classes.SOFT, answer)
        return answer

    async def _send(self, view: RequestView, role: Role) -> UpstreamReply:
        """Record the call, make it, and wait for the head of its reply. Raises CancelledError where it would be for a
        client that has gone."""
        exchange, chosen, way = self._exchange, self.chosen, self.way
        self.under_way = False
        if exchange.alone:
            raise asyncio.CancelledError
        exchange.account.dropped = listed(loss.field for loss in way.losses) or None
        if self.authorised.passed_through:
            login = self.authorised.headers.get("authorization", "")
            exchange.account.subscription_login = is_subscription_login(login)
        attempt = AttemptRecord(
            exchange.id,
            exchange.account.calls + 1,
            role,
            chosen.provider.name,
            chosen.model,
            self.authorised.key_name,
            exchange.services.clock(),
            way.api,
        )
        await exchange.account.begin(exchange.intent(), attempt, chosen.provider)
        self.under_way = True
        reply = self.reply = await exchange.services.upstream.send(exchange.call(self, view))
        attempt.status = reply.status
        return reply

    def _error(self, reply: UpstreamReply, payload: bytes) -> UpstreamError:
        message = classes.error_text(payload)
        if reply.status < 400:
            return UpstreamError(f"an unexpected status, {reply.status}", error_class=classes.SERVER)
        wait_s = asked_wait_s(reply.headers, now_utc=time.time(), message=message)
        error_class = classes.classify_status(
            reply.status, message=message, retry_after_s=wait_s, passed_through=self.authorised.passed_through
        )
        if error_class == classes.AUTH:
            message = f"the router's key was refused (status {reply.status})"
        return ErrorReply(message, error_class=error_class, wait_s=wait_s, reply=reply, payload=payload, way=self.way)

    def _told_inside(
        self, reply: UpstreamReply, facts: ReplyFacts, otherwise: str, answer: Answer | None = None
    ) -> UpstreamError:
        """An error in a reply whose status said success: of the class that its words tell, or ``otherwise``."""
        message = facts.error or "an error without a message"
        words = classes.error_text((facts.error_raw or message).encode())
        wait_s = asked_wait_s(reply.headers, now_utc=time.time(), message=words)
        error_class = classes.classify_inside(
            words, otherwise=otherwise, retry_after_s=wait_s, passed_through=self.authorised.passed_through
        )
        if error_class == otherwise:
            wait_s = None  # nothing was said of a limit
        if error_class == classes.AUTH:
            return UpstreamError("the router's key was refused", error_class=error_class)
        if answer is not None:
            return SoftFailure(message, replace(answer, error_class=error_class), wait_s=wait_s)
        return UpstreamError(message, error_class=error_class, wait_s=wait_s)


_CUT_SHORT: Final = frozenset({"max_tokens", "length", "max_output_tokens", "incomplete", "MAX_TOKENS"})


def no_answer(answer: Answer, facts: RequestFacts | None) -> str | None:
    """Why a success is no answer; ``None`` if it is one."""
    if answer.relay is not None:
        return "the stream ended without any content" if answer.relay.is_empty else None
    if answer.facts is None:
        return None
    parts = answer.facts.parts
    if parts is None:
        start = answer.payload[:100].lstrip()
        return "the answer is a web page" if start.startswith(b"<") else None if start else "the answer is empty"
    if not parts:
        return "the answer is empty"
    if answer.facts.stop_reason in _CUT_SHORT and not parts & {"text", "tool-call"}:
        return "the answer was cut off before it began"
    if facts is not None and facts.forced_tool is not None and "tool-call" not in parts:
        return "the tool that had to be called wasn't"
    return None
