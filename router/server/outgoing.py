"""What the client gets of one exchange: an answer passed on, an error told, or, until it is known who answers, signs
that somebody is there.

The first byte of an answer is the line nobody crosses twice. Signs of life are none: a stream that has only shown those
can still get any answer, but no error status any more, so that an error then is told within the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from aiohttp import web
from multidict import CIMultiDict

from router.errors import Refused, Unavailable, UpstreamError
from router.health import classes
from router.health.retry import POLICIES
from router.ledger.entry import Outcome
from router.server import replies
from router.server.attempt import Answer, ErrorReply
from router.server.relay import StreamRelay
from router.server.ways import EVENTS
from router.wire.error_words import too_long

if TYPE_CHECKING:
    from router.server.exchange import Exchange

T = TypeVar("T")

FLUSH_S: Final = 2.0  # for the last bytes of a stream that was broken off
SIGN_S: Final = 10.0  # without anything to say, after which a stream shows that somebody is there

# What a client sees when a provider failed. 403 for a refused key of ours: agents stop at once and show the text, while
# a 401 makes them ask for a new login and a 5xx makes them try for minutes.
_STATUS_OF_CLASS: Final[dict[str, int]] = {
    classes.AUTH: 403,
    classes.AUTH_CLIENT: 401,
    classes.BAD_REQUEST: 400,
    classes.CONTEXT_LENGTH: 400,
    classes.CONTENT_FILTER: 400,
    classes.NOT_FOUND: 404,
    classes.RATE: 429,
    classes.RAMP_UP: 429,
    classes.QUOTA: 429,
    classes.OVERLOADED: 503,
    classes.TIMEOUT: 504,
}
_BAD_GATEWAY: Final = 502


class Outgoing:
    """The client's side of an exchange. ``close`` when it is over, however it ended."""

    def __init__(self, exchange: Exchange) -> None:
        self.committed = False  # whether a streamed answer has started
        self._exchange = exchange
        self._begun: web.StreamResponse | None = None  # a stream that has only shown signs of life
        self._signs: asyncio.Task[None] | None = None
        self._hushed = asyncio.Event()

    def close(self) -> None:
        """Nothing more is to be said."""
        if self._signs is not None:
            self._signs.cancel()

    # --- answers --------------------------------------------------------------------------------------------------

    async def whole(self, answer: Answer) -> web.StreamResponse:
        """A reply that isn't streamed: settled, then sent."""
        exchange, account, way, reply = self._exchange, self._exchange.account, answer.way, answer.reply
        if (begun := await self._hush()) is not None:
            return await self._fail(begun, classes.SOFT, "the provider's answer is no stream")
        if account.reply.error is None:
            account.finish("ok", reply.status, classes.SOFT if answer.soft else None)
        else:
            account.finish("upstream-error", reply.status, answer.error_class)
        exchange.served(ok=account.reply.error is None)
        await account.settle()
        headers = self.headers(way.reply_headers(reply, stream=False))
        if account.attempt is not None and account.attempt.cost_nano_usd is not None:
            headers["x-router-cost-usd"] = f"{account.attempt.cost_nano_usd / 1e9:.9f}"
        return web.Response(status=reply.status, body=answer.payload, headers=headers)

    async def stream(self, answer: Answer, relay: StreamRelay) -> web.StreamResponse:
        """A stream that has shown content: passed on as it comes."""
        exchange, account, way, reply = self._exchange, self._exchange.account, answer.way, answer.reply
        exchange.serving()

        async def settle() -> None:
            account.reply = relay.facts
            account.finish("ok", reply.status, classes.SOFT if answer.soft else None)
            exchange.served(ok=True)
            await account.settle()

        begun = await self._hush()
        out = begun or self._stream_response(reply.status, self.headers(way.reply_headers(reply, stream=True)))
        try:
            self.committed = True  # from here on this answer is the client's only one
            if begun is None:
                await self._unless_alone(out.prepare, exchange.request)
            await relay.run(partial(self._unless_alone, out.write), settle)
        except UpstreamError as error:
            account.reply = relay.facts
            account.finish("partial", reply.status, error.error_class)
            if not relay.client_stalled:
                exchange.served(ok=False)
            if relay.failed and relay.at_end:
                await account.settle()  # the provider told of its failure and then ended its reply: so do we
            else:
                await self._break_off(out, None if relay.failed else way.error_event(reply, *self._told(error)))
        except asyncio.CancelledError:
            account.reply = relay.facts
            if exchange.cut_because is None or account.settled:
                raise
            account.finish("drained", reply.status)
            await self._break_off(out, way.error_event(reply, Unavailable.code, exchange.cut_because))
        except ConnectionError:
            account.reply = relay.facts  # the client left while we wrote; `close` settles that
        return out

    async def _unless_alone(self, tell: Callable[[T], Awaitable[object]], what: T) -> None:
        """Tell the client something, as long as there is one. Raises ConnectionError when it leaves, unless the answer
        is read to its end without it."""
        if self._exchange.alone:
            return
        try:
            await tell(what)
        except ConnectionError:
            if not self._exchange.left():
                raise

    # --- errors ---------------------------------------------------------------------------------------------------

    async def give_up(self, error: UpstreamError) -> web.StreamResponse:
        """No answer from any candidate: what the last one said, or an error in the client's format that tells who
        failed and how."""
        self._perhaps_billed(error)
        if (begun := await self._hush()) is not None:
            return await self._fail(begun, *self._told(error))
        if isinstance(error, ErrorReply) and error.error_class != classes.AUTH:
            return await self._relay_error(error)
        exchange, account = self._exchange, self._exchange.account
        status, cooldown = _STATUS_OF_CLASS.get(error.error_class, _BAD_GATEWAY), POLICIES[error.error_class].cooldown
        account.finish(_outcome(status, error.error_class), status, error.error_class)
        await account.settle()
        return replies.error_reply(
            status,
            *self._told(error),
            exchange.api,
            request_id=exchange.id,
            headers=self.headers(),
            retry_after_s=cooldown.lasts_s(error.wait_s) if status == 429 and cooldown is not None else None,
            should_retry=status == 429,
        )

    async def refuse(self, error: Refused, outcome: Outcome = "refused") -> web.StreamResponse:
        """An error of ours or the client's, found before a provider was called. What was no request has no row."""
        exchange, account = self._exchange, self._exchange.account
        if (begun := await self._hush()) is not None:
            return await self._fail(begun, error.code, str(error), outcome)
        if exchange.view is None and account.intent is None:
            exchange.services.refused_early += 1
        else:
            if account.intent is None:
                account.open(exchange.intent())
            account.finish(outcome, error.status, error.code)
            await account.settle()
        reply = replies.refusal(
            error, exchange.api, request_id=exchange.id, profile=exchange.profile.name, headers=self.headers()
        )
        if not exchange.request.content.is_eof():
            reply.force_close()  # the rest of the body is not wanted
        return reply

    async def _relay_error(self, error: ErrorReply) -> web.Response:
        """An error status of the provider, passed on as it is. Clients needn't repeat what has been tried in vain."""
        exchange, way, reply, error_class = self._exchange, error.way, error.reply, error.error_class
        status, body = way.error(self._discreet(error.payload), reply, error_class, exchange.id)
        exchange.account.finish(_outcome(status, error_class), status, error_class)
        await exchange.account.settle()
        headers = self.headers(way.reply_headers(reply, stream=False))
        if status >= 500 or status == 408:
            headers["x-should-retry"] = "false"
        return web.Response(status=status, body=body, headers=headers)

    async def _fail(
        self, begun: web.StreamResponse, code: str, message: str, outcome: Outcome = "upstream-error"
    ) -> web.StreamResponse:
        """An error after signs of life."""
        exchange = self._exchange
        exchange.account.finish(outcome, begun.status, code)
        await self._break_off(begun, exchange.codec.error_event(code, message))
        return begun

    async def _break_off(self, out: web.StreamResponse, event: bytes | None) -> None:
        """End a started stream honestly: the format's own error event, then the connection closed without an end."""
        await self._exchange.account.settle()
        if self._exchange.alone:
            return
        if event:
            try:
                async with asyncio.timeout(1.0):
                    await out.write(event)
            except (TimeoutError, ConnectionError):
                pass  # the client reads no more; closing says the same
        out.force_close()
        transport = self._exchange.request.transport
        if transport is not None:
            transport.close()  # flushes first; the missing last chunk shows that this was no regular end
            asyncio.get_running_loop().call_later(FLUSH_S, transport.abort)  # unless the client reads no more

    def _perhaps_billed(self, error: UpstreamError) -> None:
        """Note whether the last call may be charged although it failed."""
        attempt = self._exchange.account.attempt
        if attempt is not None:
            attempt.maybe_billed = error.maybe_billed or POLICIES[error.error_class].maybe_billed

    def _told(self, error: UpstreamError) -> tuple[str, str]:
        """A failure's code and text for the client: profile, rule and target, then what happened."""
        exchange = self._exchange
        rule = exchange.decision.rule.label if exchange.decision else "(none)"
        target = exchange.attempt.chosen.target if exchange.attempt else "(none)"
        happened = self._discreet(str(error).encode()).decode()
        if error.error_class == classes.CONTEXT_LENGTH:
            happened = too_long(happened)
        return error.error_class, f"profile {exchange.profile.name}, rule {rule}, target {target}: {happened}"

    def _discreet(self, text: bytes) -> bytes:
        """A provider's error without our key in it: careless servers repeat what they refuse."""
        attempt = self._exchange.attempt
        key = attempt.authorised.key if attempt is not None else b""
        return text.replace(key, b"(key)") if key else text

    # --- signs of life --------------------------------------------------------------------------------------------

    def show_life(self) -> None:
        """From now on, tell a streaming client now and then that somebody is there, until there is something to say.

        What a format has no word for (Gemini) is not said. The reply's headers go out with the first sign.
        """
        exchange = self._exchange
        if exchange.view is not None and exchange.view.stream and exchange.codec.keep_alive:
            self._signs = asyncio.create_task(self._show_life())

    async def _show_life(self) -> None:
        exchange = self._exchange
        while True:
            try:
                async with asyncio.timeout(SIGN_S):
                    await self._hushed.wait()
                return
            except TimeoutError:
                pass
            try:
                if self._begun is None:
                    headers = self.headers(CIMultiDict({"Content-Type": EVENTS}))
                    headers.update({"x-router-provider": "cascade", "x-router-model": ""})
                    out = self._stream_response(200, headers)
                    await out.prepare(exchange.request)
                    self._begun = out
                await self._begun.write(exchange.codec.keep_alive)
            except ConnectionError:
                return  # the client left, which the exchange hears of by itself

    async def _hush(self) -> web.StreamResponse | None:
        """No more signs of life. The stream that they began, if there is one."""
        if self._signs is not None:
            self._hushed.set()
            await self._signs
        return self._begun

    # --- headers --------------------------------------------------------------------------------------------------

    def headers(self, passing: CIMultiDict[str] | None = None) -> CIMultiDict[str]:
        """The provider's headers that may pass, and what the router has to say."""
        exchange = self._exchange
        headers = passing if passing is not None else CIMultiDict[str]()
        attempt, decision = exchange.attempt, exchange.decision
        dropped: list[str] = []
        if attempt is not None:
            dropped = [loss.field for loss in attempt.way.losses]
            if attempt.chosen.rule.set:
                dropped += attempt.way.codec.unplaced(attempt.chosen.rule.set)
        headers.extend(
            replies.router_headers(
                request_id=exchange.id,
                profile=exchange.profile.name,
                rule=decision.rule.label if decision else "(none)",
                provider=attempt.chosen.provider.name if attempt else "",
                model=attempt.chosen.model if attempt else "",
                attempts=exchange.account.calls,
                reason=decision.reason if decision else "",
                dropped=dropped,
            )
        )
        charge = exchange.account.charge
        if charge is not None and (passed := exchange.tenant.spending.passed(charge)):
            headers["x-router-budget"] = replies.header_text(passed)
        return headers

    def _stream_response(self, status: int, headers: CIMultiDict[str]) -> web.StreamResponse:
        out = web.StreamResponse(status=status, headers=headers)
        out.headers["X-Accel-Buffering"] = "no"
        out.headers.update(self._exchange.services.hosts.cors(self._exchange.request.headers))
        return out


def _outcome(status: int, error_class: str) -> Outcome:
    """Whose fault an error was: the client's, unless it was about our account or the provider."""
    ours = error_class in (classes.RATE, classes.QUOTA, classes.RAMP_UP, classes.AUTH)
    return "client-error" if status < 500 and not ours else "upstream-error"
