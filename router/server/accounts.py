"""The books of one exchange: one row for the request, one for each call, opened before the call and settled once.

Settling has two halves. When the end of the answer is in sight, ``settle`` commits before the client may see it.
Whatever else happens, ``close`` settles what is still open, without waiting, so that nothing can interrupt it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from router.errors import Unavailable
from router.ledger.entry import AttemptRecord, Intent, Outcome, Settlement
from router.ledger.writing import Annotate, Begin, Settle
from router.money.budget import Charge, Need
from router.profile.profile import Profile
from router.providers.provider import Provider
from router.server.pricing import price_attempt, price_saving
from router.server.request_log import is_logged, request_line
from router.server.savings import Comparison, Prompt
from router.server.services import Services
from router.server.tenant import Tenant
from router.wire.codec import ReplyFacts

SETTLE_WAIT_S = 0.25  # how long the end of an answer waits for its commit before the spill file is used
TRACE_LENGTH = 1000  # letters: a word on each of a dozen candidates
RECORD_WAIT_S = 2.0  # likewise for the row before the call

# Outcomes after which the provider may have worked on, and charged, although the answer never arrived whole.
_MAYBE_BILLED: frozenset[Outcome] = frozenset({"client-gone", "partial", "drained"})


class Account:
    """What will stand in the ledger about one exchange."""

    def __init__(self, services: Services, tenant: Tenant, profile: Profile) -> None:
        self.intent: Intent | None = None
        self.attempt: AttemptRecord | None = None
        self.dropped: str | None = None  # what translation left out
        self.trace: list[str] = []  # why it goes where it goes, a line each
        self.settled = False
        self.alone = False  # the client has gone, and the call is read to its end all the same
        self.reply = ReplyFacts()
        self.first_byte_ms: float | None = None
        self.streamed = False  # whether the answer came in pieces
        self.subscription_login = False  # the client's own login to a subscription was passed through
        self.cache_lost: int | None = None  # tokens in the prompt cache of the target that the conversation left
        self.cache_lost_nano_usd: int | None = None  # what reading them there would have saved
        self._comparison = Comparison(tenant, profile)
        self._services = services
        self._tenant = tenant
        self._profile = profile
        self._provider: Provider | None = None
        self.charge: Charge | None = None  # in the profile's budgets, from the first call on
        self._verifier: tuple[Provider, str] | None = None  # whose price says what a draft saves
        self._concluded: list[AttemptRecord] = []  # earlier calls of this request
        self._started = time.monotonic()
        self._called = self._started
        self._annotation: Annotate | None = None
        self._outcome: Outcome = "client-gone"  # until something better is known
        self._status: int | None = None
        self._error_class: str | None = None

    # --- opening --------------------------------------------------------------------------------------------------

    def open(self, intent: Intent) -> None:
        """The row of a request that no provider is called for."""
        self.intent = intent
        self._services.ledger.put(Begin(intent))

    async def begin(self, intent: Intent, attempt: AttemptRecord, provider: Provider) -> None:
        """Commit the rows of a request and its call before the call is made.

        Raises Unavailable where the ledger can't be written and the profile serves nothing unrecorded.
        """
        self.intent, self.attempt, self._provider = intent, attempt, provider
        attempt.reserved_nano_usd = (self.charge.reserved if self.charge is not None else 0) or None
        ledger = self._services.ledger
        committed = ledger.put(Begin(intent, attempt), patience_s=RECORD_WAIT_S)
        refuse = self._profile.ledger_on_error == "refuse"
        if (ledger.failing is None or refuse) and not await committed and refuse:
            self.attempt = None  # no call is made
            self.spare()
            raise Unavailable("the ledger can't be written, and this profile serves nothing unrecorded")
        self._called = time.monotonic()

    @property
    def calls(self) -> int:
        """Calls begun so far."""
        return len(self._concluded) + (self.attempt is not None)

    def conclude(self, error_class: str | None, *, maybe_billed: bool = False) -> None:
        """The call under way has ended, and nothing of it reaches the client; another one may follow. Without an error
        it is a rejected draft, which is charged like any answer."""
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            free = error_class is not None and not maybe_billed
            self._close(attempt, error_class, maybe_billed=maybe_billed, free=free)
            self._concluded.append(attempt)
        self.reply, self.first_byte_ms = ReplyFacts(), None

    def reserve(self, need: Need) -> None:
        """Keep back once more what a call needs that has just been refused for nothing and is made again."""
        if self.charge is not None:
            self.charge.reserve(need)

    def spare(self) -> None:
        """The call that was reserved for isn't made."""
        if self.charge is not None and self.attempt is None:
            self.charge.conclude(0)

    def drafting(self, verifier: Provider, model: str) -> None:
        """The next call is that of a draft, in the place of this verifier."""
        self._verifier = verifier, model

    def judged(self, score: float, *, accepted: bool) -> None:
        """The draft under way is whole and has been judged."""
        if self.attempt is not None:
            self.attempt.verdict, self.attempt.score = "accepted" if accepted else "rejected", score

    @property
    def since_call_s(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._called

    def mark_first_byte(self) -> None:
        """The reply has begun to arrive."""
        if self.first_byte_ms is None:
            self.first_byte_ms = self.since_call_s * 1000

    def annotate(self, found: Annotate, prompt: Prompt, *, subscription_login: bool) -> None:
        """The facts of the request: written with the settlement, or after it. ``subscription_login``: its client has
        one of its own."""
        compared = self._comparison.described(prompt, subscription_login=subscription_login)
        if self.settled:
            self._services.ledger.put(replace(found, **compared._asdict()))
        else:
            self._annotation = found

    # --- settling -------------------------------------------------------------------------------------------------

    def finish(self, outcome: Outcome, status: int | None, error_class: str | None = None) -> None:
        """Note how it ended. After settling it changes nothing: what happens behind the end is nobody's business."""
        self._outcome, self._status, self._error_class = outcome, status, error_class

    async def settle(self) -> None:
        """Commit how it ended, before the client sees the end. A slow disk delays that by 250 ms at most."""
        record = self._settlement()
        if record is None:
            return
        if not await self._put(record):
            self._services.ledger.spill(record)

    def close(self, *, drained: bool) -> None:
        """Settle what isn't settled, without waiting."""
        if drained and self._outcome == "client-gone":
            self._outcome = "drained"
        record = self._settlement()
        if record is not None:
            self._put(record)

    def _put(self, record: Settle) -> asyncio.Future[bool]:
        assert self.intent is not None
        committed = self._services.ledger.put(record, patience_s=SETTLE_WAIT_S)
        own_id = (
            self.intent.api == "openai-responses" and self.attempt is not None and self.attempt.api == self.intent.api
        )
        self._tenant.note(record.settlement, response_id=self.reply.response_id if own_id else None)
        if self.charge is not None:
            self._tenant.spending.close(self.charge, committed)
        if is_logged(record.settlement.outcome, self._profile.log_level):
            line = request_line(self.intent, record.settlement, record.attempts)
            self._services.log.write(self._profile.name, line)
        return committed

    def _settlement(self) -> Settle | None:
        if self.settled or self.intent is None:
            return None
        self.settled = True
        now = time.monotonic()
        intent, attempt = self.intent, self.attempt
        if attempt is not None:
            maybe_billed = attempt.maybe_billed or self._outcome in _MAYBE_BILLED
            refused = not maybe_billed and self._outcome in ("client-error", "upstream-error")
            self._close(attempt, self._error_class, maybe_billed=maybe_billed, free=refused)
        else:
            self.spare()
        unseen = self.alone and self._outcome != "drained"
        settlement = Settlement(
            intent.id,
            "client-gone" if unseen else self._outcome,
            None if unseen else self._status,
            self._error_class,
            first_byte_ms=self.first_byte_ms,
            duration_ms=(now - self._started) * 1000,
            attempts=self.calls,
            dropped=self.dropped,
            trace=_bounded(self.trace),
            cache_lost=self.cache_lost,
            cache_lost_nano_usd=self.cache_lost_nano_usd,
        )
        served = attempt or (self._concluded[-1] if self._concluded else None)
        if served is None:
            return Settle(settlement, (), self._annotation, intent)
        attempts = tuple(self._concluded) if attempt is None else (*self._concluded, attempt)
        settlement.usage = served.usage
        # A failed call of unknown cost is marked as perhaps billed in its own row, and adds nothing.
        counted = [each for each in attempts if each is served or not each.maybe_billed]
        if all(each.cost_nano_usd is not None for each in counted):
            settlement.cost_nano_usd = sum(each.cost_nano_usd or 0 for each in attempts)
            settlement.list_nano_usd = sum(each.list_nano_usd or 0 for each in attempts)
        if self.charge is not None:
            settlement.held_nano_usd = self.charge.spent - (settlement.cost_nano_usd or 0) or None
        settlement.price_source = served.price_source
        settlement.provider, settlement.model = served.provider, served.model
        compared = self._comparison.ended(intent, self._outcome, attempt)
        settlement.at_default_nano_usd, settlement.at_requested_nano_usd, settlement.baselines = compared
        return Settle(settlement, attempts, self._annotation, intent)

    def _close(self, attempt: AttemptRecord, error_class: str | None, *, maybe_billed: bool, free: bool) -> None:
        """Write down how a call ended and what it cost. ``free``: an error, which isn't charged where it names no
        usage."""
        assert self.intent is not None
        assert self._provider is not None
        attempt.error_class = error_class
        attempt.duration_ms = self.since_call_s * 1000
        attempt.first_byte_ms = self.first_byte_ms
        attempt.usage, attempt.usage_raw = self.reply.usage, self.reply.usage_raw
        if self.intent.kind == "embed" and attempt.usage is not None and attempt.usage.output is None:
            attempt.usage = replace(attempt.usage, output=0)  # there is none, and nothing is to be paid for it
        attempt.response_id = self.reply.response_id if attempt.api == "openai-responses" else None
        attempt.maybe_billed = maybe_billed
        if self.intent.kind == "count" or (free and attempt.usage is None):
            attempt.cost_nano_usd = attempt.list_nano_usd = 0  # counting is free, too
        else:
            price_attempt(
                attempt,
                self._profile,
                self._provider,
                self._services.prices,
                served_model=self.reply.model,
                subscription_login=self.subscription_login,
            )
        if self.charge is not None:
            self.charge.conclude(attempt.cost_nano_usd, more=maybe_billed)
        if attempt.role == "draft" and self._verifier is not None:
            price_saving(
                attempt,
                self._profile,
                *self._verifier,
                self._services.prices,
                subscription_login=self.subscription_login,
            )


def _bounded(trace: Sequence[str]) -> str | None:
    """The lines of a trace, as far as there is room; ``None`` for none."""
    text = "\n".join(" ".join(line.split()) for line in trace)
    return (text if len(text) <= TRACE_LENGTH else f"{text[: TRACE_LENGTH - 1]}…") or None
