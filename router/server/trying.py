"""Which candidate a request is sent to next, until one answers or none is left.

What follows a failure is decided by ``health.retry``, whether a target is left alone by ``health.breaker`` and
``health.cooldowns``, whether it can serve the request at all by ``routing.candidates``. Here they are asked, and told
what came of each call.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from router.errors import (
    BadRequest,
    BudgetExceeded,
    FormatUnsupported,
    NoCredential,
    Refused,
    TooManyRequests,
    Untranslatable,
    UpstreamError,
)
from router.health import classes
from router.health.breaker import FAILURE, SUCCESS, Key
from router.health.retry import POLICIES, Again, Failure, GiveUp, Progress, next_step
from router.ledger.entry import Role
from router.money.budget import Need, Scope
from router.routing.candidates import Dropped, Why, named_window, shown, unfit
from router.routing.facts import CountNeeded
from router.routing.rules import Candidate, RouteDecision, Target
from router.server.attempt import Attempt, Chosen
from router.server.bodies import LARGE_BODY
from router.server.needs import need_of

if TYPE_CHECKING:
    from router.server.exchange import Exchange

T = TypeVar("T")

_chance: Final = random.Random()


class Trying:
    """The candidates of one request, one after the other. ``close`` when it is over, however it ended."""

    def __init__(self, exchange: Exchange, decision: RouteDecision) -> None:
        self._dropped: list[Dropped] = []
        self._exchange = exchange
        self._health = exchange.tenant.health
        self._decision: RouteDecision | None = decision
        self._rule = decision.rule  # whose budget the calls are charged to
        self._left = deque(Candidate(target, decision.rule) for target in decision.candidates)
        self._later = False  # whether what stands behind the rule has been asked for
        self._known: set[tuple[str, str | None]] = set()
        self._called: list[Target] = []
        self._current: Attempt | None = None
        self._ahead: Attempt | None = None  # ready to be made if the current one fails
        self._again = False
        self._before = exchange.account.calls  # made of a draft
        self._is_draft = False
        self._here = 0  # calls made of the current candidate
        self._refused: set[str] = set()  # names of keys that failed this request
        self._above = 0  # only candidates with a larger window than this
        self._problems: list[Refused] = []
        self._open: list[tuple[Key, Candidate]] = []  # left alone by their breakers
        self._failure: UpstreamError | None = None
        exchange.account.trace.extend(f"order: {line}" for line in decision.why)

    @property
    def role(self) -> Role:
        """What the next call is, for the books."""
        if self._calls == 0:
            return "verifier" if self._before else "primary"
        return "retry" if self._here > 1 else "fallback"

    @property
    def _calls(self) -> int:
        """Calls made of these candidates."""
        return self._exchange.account.calls - self._before

    async def draft(self) -> Attempt | None:
        """The call of a draft, at the first candidate that can be called; ``None`` where there is none. It isn't made
        again: if it fails the verifier is asked."""
        self._is_draft = True
        self._current = await self._next_affordable()
        return self._current

    async def draft_failed(self, error: UpstreamError) -> None:
        """The call of the draft failed."""
        attempt = self._current
        assert attempt is not None
        self._judge(attempt, error)
        if error.error_class == classes.CONTEXT_LENGTH:
            await self._learn_window(attempt.chosen, str(error))
        billed = error.maybe_billed or POLICIES[error.error_class].maybe_billed
        self._exchange.account.conclude(error.error_class, maybe_billed=billed)

    async def next(self) -> Attempt:
        """The next call to be made. Raises the last failure, or Refused where no candidate could be called at all."""
        attempt = None
        if self._again and self._current is not None:
            chosen = self._current.chosen
            attempt = await self._prepared(Candidate(chosen.target, chosen.rule), again=self._current)
            attempt = await self._affordable(attempt)
        if attempt is None:
            attempt = await self._next_affordable()
            self._here = 0
            self._refused.clear()
        if attempt is None and self._failure is None:
            attempt = await self._affordable(await self._last_resort())
        if attempt is None:
            raise self._failure or nothing_left(self._dropped, self._problems)
        self._again = False
        self._here += 1
        self._called.append(attempt.chosen.target)
        self._current = attempt
        return attempt

    def others(self) -> bool:
        """Whether another candidate would be called if the current call failed now, as far as that can be told without
        waiting."""
        if self._is_draft:
            return True
        exchange, health = self._exchange, self._health
        retry, now = exchange.profile.retry, health.now
        if self._calls >= retry.total or now - exchange.started >= retry.deadline_s:
            return False
        if not health.retries.left(now):
            return False
        try:
            self._find_later()
            return self._ahead is not None or any(map(self._is_promising, self._left))
        except CountNeeded:
            return True

    async def failed(self, error: UpstreamError) -> None:
        """The current call failed. Returns when the next may be made; raises the error where none may."""
        attempt, health, exchange = self._current, self._health, self._exchange
        assert attempt is not None
        self._failure = error
        policy = POLICIES[error.error_class]
        self._judge(attempt, error)
        if error.error_class == classes.CONTEXT_LENGTH:
            self._above = max(self._above, await self._learn_window(attempt.chosen, str(error)))
            await self._reconsider()
        ahead = await self._look_ahead() if policy.following != "no" else None
        failure = Failure(error.error_class, error.wait_s, error.maybe_billed)
        retry = exchange.profile.retry
        # A breaker that has just opened lets nobody through: to wait for it would be in vain.
        reachable = health.breakers.may_call(attempt.ticket.key, health.now)
        step = next_step(
            failure,
            Progress(
                here=self._here if reachable else retry.attempts,
                total=self._calls,
                started=exchange.started,
                now=health.now,
                candidates_left=int(ahead is not None),
                larger_left=int(ahead is not None),
                keys_left=int(await self._has_other_key(attempt)),
            ),
            retry,
            chance=_chance.random,
            budget_left=health.retries.left(health.now),
        )
        if isinstance(step, GiveUp):
            raise error
        health.retries.take(health.now)
        exchange.account.conclude(error.error_class, maybe_billed=failure.may_cost)
        if isinstance(step, Again):
            self._again = True
            if step.other_key:
                self._refused.add(attempt.authorised.key_name or "")
            if step.delay_s:
                await asyncio.sleep(step.delay_s)

    def answered(self) -> None:
        """The current call has an answer. A probe's verdict is given at once, so that others need not wait."""
        attempt = self._current
        if attempt is not None and attempt.ticket.is_probe:
            self._health.record(attempt.ticket, SUCCESS)
        self._put_back()

    def _put_back(self) -> None:
        """Nobody else will be called: let go of what was kept for that, the request not least."""
        if self._ahead is not None:
            self._health.abandon(self._ahead.ticket)
        self._ahead = None
        self._decision = None
        self._failure = None  # it knows the frames that it came through, and they know the request
        self._left.clear()

    def finished(self, *, ok: bool) -> None:
        """The answer has been passed on to its end, or its provider broke it off."""
        if self._current is not None:
            self._health.record(self._current.ticket, SUCCESS if ok else FAILURE)
            self._observe(self._current, ok=ok)

    def close(self) -> None:
        """It is over. A call without a verdict says nothing of its target."""
        if self._current is not None:
            self._current.close()
            self._health.abandon(self._current.ticket)
        self._put_back()
        self._exchange.account.spare()

    # --- money ----------------------------------------------------------------------------------------------------

    async def _next_affordable(self) -> Attempt | None:
        """The next candidate that can be called and paid."""
        while (ahead := await self._look_ahead()) is not None:
            self._ahead = None
            if (attempt := await self._affordable(ahead)) is not None:
                return attempt
        return None

    async def _affordable(self, attempt: Attempt | None) -> Attempt | None:
        """The same, with what the call may cost reserved in all budgets; ``None``, with a reason, where one of them
        doesn't allow it. Whether it fits is known and reserved in one step."""
        if attempt is None:
            return None
        exchange, chosen = self._exchange, attempt.chosen
        charge, spending = exchange.charged(), exchange.tenant.spending
        if chosen.rule is not self._rule and (error := spending.spent_by_others(chosen.rule)) is not None:
            self._refuse(attempt, error)
            return None
        if not charge.windows:
            return attempt
        try:
            attempt.need = await self._needed(attempt, strict=spending.strict_for(charge))
            await spending.opened(charge)
        except BaseException:
            self._health.abandon(attempt.ticket)
            raise
        short = spending.take(charge, attempt.need, rule=chosen.rule, target=chosen.target)
        if short is None:
            return attempt
        self._refuse(attempt, short.error)
        if short.degrade is not None and not self._is_draft:
            self._degrade(short.degrade)
        return None

    async def _needed(self, attempt: Attempt, *, strict: bool) -> Need:
        """What a call takes from budgets; worked out in a thread where that would take too long here."""
        work = partial(need_of, self._exchange, attempt, strict=strict)
        if len(attempt.way.body) <= LARGE_BODY:
            return await self._worked_out(work)
        if self._exchange.facts is not None:
            self._exchange.facts.may_count = True
        return await asyncio.to_thread(work)

    def _refuse(self, attempt: Attempt, error: BudgetExceeded) -> None:
        """A budget doesn't allow this call."""
        attempt.close()
        self._health.abandon(attempt.ticket)
        candidate = Candidate(attempt.chosen.target, attempt.chosen.rule)
        self._drop(candidate, "budget", str(error), self._health.now + error.retry_after_s)
        self._problems.append(error)

    def _degrade(self, scope: Scope) -> None:
        """A budget says where requests go that it doesn't allow: there and nowhere else."""
        if self._ahead is not None:
            self._health.abandon(self._ahead.ticket)
            self._ahead = None
        decision = self._exchange.degraded(scope)
        self._known = {(each.provider, each.model) for each in self._called}  # others were only looked at
        self._rule = decision.rule
        self._left = deque(Candidate(target, decision.rule) for target in decision.candidates)
        self._decision, self._later = None, True

    # --- candidates -----------------------------------------------------------------------------------------------

    async def _look_ahead(self) -> Attempt | None:
        """The next candidate that can be called, ready for it; ``None`` where none is left."""
        while self._ahead is None and (candidate := await self._pull()) is not None:
            self._ahead = await self._prepared(candidate)
        return self._ahead

    async def _pull(self) -> Candidate | None:
        while True:
            if not self._left and not self._later and self._decision is not None:
                await self._worked_out(self._find_later)
            if not self._left:
                return None
            candidate = self._left.popleft()
            name = candidate.target.provider, candidate.target.model
            if name not in self._known:
                self._known.add(name)
                return candidate

    def _find_later(self) -> None:
        """Evaluate what stands behind the rule's own candidates. Raises CountNeeded."""
        if not self._later and self._decision is not None:
            self._left.extend(self._decision.later())
            self._later = True

    def _is_promising(self, candidate: Candidate) -> bool:
        """Whether nothing is known against calling a candidate. Raises CountNeeded."""
        target, health = candidate.target, self._health
        if (target.provider, target.model) in self._known:
            return False
        chosen = self._chosen(candidate)
        now = health.now
        return self._unfit(chosen) is None and any(
            health.cooldowns.until(target.provider, chosen.model, name, now) is None
            and health.breakers.may_call(Key(target.provider, chosen.model, name), now)
            for name in chosen.provider.key_names
        )

    def _chosen(self, candidate: Candidate) -> Chosen:
        return Chosen(candidate.rule, candidate.target, self._exchange.profile.providers[candidate.target.provider])

    async def _reconsider(self) -> None:
        """Whoever stands ready has to have the window that has since turned out to be needed."""
        ahead = self._ahead
        if ahead is not None and (reason := await self._worked_out(partial(self._unfit, ahead.chosen))) is not None:
            self._health.abandon(ahead.ticket)
            self._drop(Candidate(ahead.chosen.target, ahead.chosen.rule), *reason)
            self._ahead = None

    async def _worked_out(self, work: Callable[[], T]) -> T:
        """What ``work`` says of the request; in a thread where it would take too long here."""
        try:
            return work()
        except CountNeeded:
            assert self._exchange.facts is not None
            self._exchange.facts.may_count = True
            return await asyncio.to_thread(work)

    async def _prepared(
        self, candidate: Candidate, *, again: Attempt | None = None, forced: bool = False
    ) -> Attempt | None:
        """The call of a candidate, written and authorised; ``None``, with a reason, where it can't be made.

        ``again``: the call that has just failed there; whoever decided to make it once more knew of the cooldown that
        followed. ``forced``: although its breaker is open.
        """
        exchange, health = self._exchange, self._health
        chosen = self._chosen(candidate)
        drop = partial(self._drop, candidate)
        reason = await self._worked_out(partial(self._unfit, chosen))
        if reason is not None:
            return drop(*reason)
        provider, model = chosen.provider.name, chosen.model
        cooling: list[float] = []
        same_key = again.authorised.key_name if again is not None else None

        def usable(key_name: str) -> bool:
            if key_name in self._refused:
                return False
            if same_key is not None and same_key not in self._refused:
                return key_name == same_key
            found = health.cooldowns.until(provider, model, key_name, health.now)
            if found is not None:
                cooling.append(found.until)
            return found is None

        if again is None and (found := health.cooldowns.until(provider, model, "", health.now)) is not None:
            return drop("cooling-down", f"left alone for {found.until - health.now:.0f} s: {found.reason}", found.until)
        try:
            authorised = await exchange.authorise(chosen, usable)
            key = Key(provider, model, authorised.key_name or "")
            if not forced and not health.breakers.may_call(key, health.now):
                self._open.append((key, candidate))
                return drop("breaker", "it keeps failing and is left alone", health.breakers.retry_at(key, health.now))
            way = await exchange.written(chosen)
        except NoCredential as error:
            if cooling:
                return drop("cooling-down", "its keys are left alone", min(cooling))
            self._problems.append(error)
            return drop("key", str(error))
        except (Untranslatable, FormatUnsupported) as error:
            self._problems.append(error)
            return drop("format", str(error))
        ticket = health.breakers.begin(key, health.now, forced=forced)
        if ticket is None:
            self._open.append((key, candidate))
            return drop("breaker", "another request is finding out whether it works again", None)
        return Attempt(exchange, chosen, way, authorised, ticket, exchange.patience(chosen.provider, self.others))

    def _unfit(self, chosen: Chosen) -> tuple[Why, str] | None:
        facts = self._exchange.facts
        if facts is None or self._exchange.kind != "generate":
            return None
        abilities = self._exchange.abilities(chosen)
        if self._above and (abilities.window is None or abilities.window <= self._above):
            return "too-long", "its window isn't known to be larger"
        return unfit(facts, abilities, factor=self._exchange.tenant.window_factor(chosen.provider, chosen.model))

    def _drop(self, candidate: Candidate, why: Why, reason: str, until: float | None = None) -> None:
        until_s = None if until is None else max(0.0, until - self._health.now)
        self._dropped.append(dropped := Dropped(candidate, why, reason, until_s))
        self._exchange.account.trace.append(f"passed over: {dropped}")

    async def _last_resort(self) -> Attempt | None:
        """Where breakers keep every candidate from being called: the one that failed longest ago, if nobody else is
        trying that now or has just tried it in vain."""
        health = self._health
        key = health.breakers.last_resort([key for key, _ in self._open], health.now)
        if key is None:
            return None
        candidate = next(candidate for each, candidate in self._open if each == key)
        self._open.clear()
        return await self._prepared(candidate, forced=True)

    # --- what calls say of targets ----------------------------------------------------------------------------------

    def _observe(self, attempt: Attempt, *, ok: bool) -> None:
        """Tell what the adaptive strategy and the estimates of cost go by."""
        exchange, account = self._exchange, self._exchange.account
        if exchange.kind != "generate":
            return
        first_s = None if account.first_byte_ms is None else account.first_byte_ms / 1000
        streamed = ok and account.streamed and first_s is not None
        usage = account.reply.usage if ok else None
        output = usage.output if usage is not None else None
        self._health.performance.observe(
            (attempt.chosen.provider.name, attempt.chosen.model),
            self._health.now,
            ok=ok,
            first_token_s=first_s if streamed else None,
            streamed_tokens=output if streamed else None,
            streaming_s=account.since_call_s - first_s if streamed and first_s is not None else None,
            output_tokens=output,
            label=attempt.chosen.rule.label,
        )

    def _judge(self, attempt: Attempt, error: UpstreamError) -> None:
        """Tell breakers and cooldowns of a failed call."""
        if POLICIES[error.error_class].breaker:
            self._observe(attempt, ok=False)
        self._health.failed(
            attempt.ticket, attempt.chosen.provider.name, attempt.chosen.model, attempt.authorised.key_name or "", error
        )

    async def _has_other_key(self, attempt: Attempt) -> bool:
        """Whether the target of a call can be called with another key."""
        provider, model, used = attempt.chosen.provider.name, attempt.chosen.model, attempt.authorised.key_name
        if used is None or len(attempt.chosen.provider.credentials) < 2:
            return False
        health, refused = self._health, {*self._refused, used}

        def usable(name: str) -> bool:
            return name not in refused and health.cooldowns.until(provider, model, name, health.now) is None

        try:
            return (await self._exchange.authorise(attempt.chosen, usable)).key_name is not None
        except NoCredential:
            return False

    async def _learn_window(self, chosen: Chosen, message: str) -> int:
        """A target said that the request is too long: so is every other with no larger window."""
        facts = self._exchange.facts
        size = named_window(message)
        if size is None:
            if facts is None:
                return 0
            factor = self._exchange.tenant.window_factor(chosen.provider, chosen.model)
            size = int(await self._worked_out(facts.tokens) * factor)
        self._health.learn_window(chosen.provider.name, chosen.model, size)
        return size


def nothing_left(dropped: Sequence[Dropped], problems: Sequence[Refused]) -> Refused:
    """The error where no candidate could be called: the first that applies, with each candidate's reason."""
    if len(dropped) == 1 and problems:
        return problems[0]
    whys = {each.why for each in dropped}
    if whys == {"too-long"}:
        return BadRequest(dropped[0].reason if len(dropped) == 1 else f"{dropped[0].reason} ({shown(dropped)})")
    said = f"no candidate can be called: {shown(dropped)}"
    if whys <= {"too-long", "unable", "format"}:
        return Untranslatable(said) if whys == {"format"} else BadRequest(said)
    if whys <= {"too-long", "unable", "format", "key"}:
        return NoCredential(said)
    spent = [problem for problem in problems if isinstance(problem, BudgetExceeded)]
    if spent and whys <= {"too-long", "unable", "format", "key", "budget"}:
        first = min(spent, key=lambda error: error.resets_at)
        return BudgetExceeded(said, resets_at=first.resets_at, retry_after_s=first.retry_after_s)
    waits = [each.until_s for each in dropped if each.until_s is not None]
    return TooManyRequests(said, retry_after_s=max(1.0, min(waits, default=1.0)))
