"""One day under one strategy: the router's own choosing, learning and leaving alone, around made-up targets.

Orders, records, breakers, cooldowns, learned lengths, prompt caches and costs are the router's. The walk over the
candidates is a short version of its own: each is called once, what fails is followed by the next one.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from router.health.breaker import FAILURE, SUCCESS, Breakers, BreakerSettings, Key
from router.health.cooldowns import Cooldowns
from router.health.performance import Performance
from router.health.prompt_caches import PromptCaches
from router.money.cost import cost_nano_usd
from router.routing.strategies import AdaptiveSettings, Draw, Estimate, Option, order
from simulating.targets import TARGETS, Answer, Served, Target
from simulating.traffic import CALLS, TRIES, Conversation, Step

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
USUAL_OUTPUT = 300  # tokens, while nothing was learned
TRIES_AGAIN_S = 10.0  # an agent whose request failed
LABEL, BESIDE = "work", "background"  # of the two rules


@dataclass(frozen=True, slots=True)
class Way:
    """A strategy, and whether a conversation stays where it is while it can."""

    strategy: str
    sticky: bool = False

    @property
    def name(self) -> str:
        return f"{self.strategy}, sticky" if self.sticky else self.strategy


WAYS = (
    Way("first-match"),
    Way("weighted"),
    Way("round-robin"),
    Way("round-robin", sticky=True),
    Way("lowest-cost"),
    Way("lowest-cost", sticky=True),
    Way("adaptive"),
    Way("adaptive", sticky=True),
)


@dataclass(slots=True)
class Tally:
    """What is counted: of requests, of the answers they got, and where those came from."""

    requests: int = 0
    at_once: int = 0  # answered by the first target that was called
    nano_usd: int = 0
    first_token_s: list[float] = field(
        default_factory=list
    )  # of each answered request, failed calls before it included
    tokens: int = 0
    seconds: float = 0.0  # of streaming them
    input_tokens: int = 0
    cached_tokens: int = 0
    follow_ups: int = 0  # requests of a conversation that had an answer before
    moved: int = 0  # of these, those answered by another target than the one before
    calls: Counter[str] = field(default_factory=Counter)  # answered, by target


class Day:
    """``run`` plays all conversations; time goes from one event to the next."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.tally = Tally()
        self.now = 0.0
        settings = AdaptiveSettings()
        self._adaptive = settings
        self._performance = Performance(settings.half_life_s)
        self._breakers = Breakers(BreakerSettings())
        self._cooldowns = Cooldowns()
        self._caches = PromptCaches()
        self._served = {target.key: Served(target) for target in TARGETS}
        self._turns: Counter[str] = Counter()
        self._last: dict[str, Target] = {}
        self._waiting: list[tuple[float, int, Iterator[float]]] = []
        self._begun = 0

    def run(self, conversations: Sequence[Conversation]) -> Tally:
        for conversation in conversations:
            self._begin(conversation.begins_s, self._talk(conversation))
        while self._waiting:
            self.now, number, course = heapq.heappop(self._waiting)
            until = next(course, None)
            if until is not None:
                heapq.heappush(self._waiting, (until, number, course))
        return self.tally

    def _begin(self, at: float, course: Iterator[float]) -> None:
        self._begun += 1
        heapq.heappush(self._waiting, (at, self._begun, course))

    # --- courses of events: each yields the time at which it goes on -----------------------------------------------

    def _talk(self, conversation: Conversation) -> Iterator[float]:
        for step in conversation.steps:
            if step.after_s:
                yield self.now + step.after_s
            if step.beside is not None:
                self._begin(self.now, self._ask(BESIDE, None, step.beside))
            yield from self._ask(LABEL, conversation.name, step)

    def _ask(self, label: str, conversation: str | None, step: Step) -> Iterator[float]:
        """One step of an agent, which tries again when its request fails, and then lets it be."""
        for number in range(TRIES):
            answered = yield from self._request(label, conversation, step, number * CALLS)
            if answered:
                return
            yield self.now + TRIES_AGAIN_S

    def _request(
        self, label: str, conversation: str | None, step: Step, first_luck: int
    ) -> Generator[float, None, bool]:
        """One request through the router; returns whether it was answered."""
        self.tally.requests += 1
        began = self.now
        candidates = self._candidates(label, conversation, step)
        for number, target in enumerate(candidates[:CALLS]):
            key = Key(*target.key)
            ticket = self._breakers.begin(key, self.now)
            if ticket is None:  # somebody else's probe is under way
                continue
            prefix = None if conversation is None else (conversation, step.compactions)
            called = self.now
            answer = self._served[target.key].call(
                called, prefix, step.tokens, step.output, step.luck[first_luck + number]
            )
            yield called + answer.took_s
            if answer.failure == "rate":
                self._breakers.abandon(ticket, self.now)
                self._cooldowns.put(*key[:1], self.now + answer.retry_after_s, "rate", model=target.model)
            else:
                self._breakers.record(ticket, self.now, FAILURE if answer.failure else SUCCESS)
                self._learn(target, label, conversation, answer)
            if not answer.failure:
                self.tally.at_once += number == 0
                self._count(target, conversation, answer, called + answer.first_token_s - began)
                return True
        return False

    # --- what the router does ---------------------------------------------------------------------------------------

    def _candidates(self, label: str, conversation: str | None, step: Step) -> list[Target]:
        """Those fit to be called, in the strategy's order; a sticky conversation's own target before."""
        now = self.now
        fit = [
            target
            for target in TARGETS
            if self._breakers.may_call(Key(*target.key), now)
            and self._cooldowns.until(target.provider, target.model, "", now) is None
        ]
        options = [self._option(target, label, conversation, step) for target in fit]
        last = self._last.get(conversation or "")
        home = last.name if last is not None and self._cached(last, conversation, step) else None
        draw = Draw(lambda: step.chance, conversation, home, self._turns[label], self._adaptive)
        self._turns[label] += 1
        ordered = list(order(self.way.strategy, options, draw).items)
        if self.way.sticky and last in ordered:
            ordered.remove(last)
            ordered.insert(0, last)
        return ordered

    def _option(self, target: Target, label: str, conversation: str | None, step: Step) -> Option[Target]:
        """With what the strategy looks at; the rest would only take time."""
        option = Option(target, target.name, target.weight)
        if self.way.strategy == "lowest-cost":
            return option._replace(estimate=self._estimate(target, label, conversation, step))
        if self.way.strategy == "adaptive":
            return option._replace(seen=self._performance.of(target.key, self.now))
        return option

    def _estimate(self, target: Target, label: str, conversation: str | None, step: Step) -> Estimate:
        cached = self._cached(target, conversation, step)
        learned = self._performance.output(target.model, label)
        output = USUAL_OUTPUT if learned is None else round(learned.mean)
        cost = cost_nano_usd(target.usage(step.tokens - cached, cached, output), target.rates, day=NOON)
        return Estimate(cost.nano_usd, step.tokens, cached, output)

    def _cached(self, target: Target, conversation: str | None, step: Step) -> int:
        return 0 if conversation is None else self._caches.of(conversation, target.key, step.tokens, self.now)

    def _learn(self, target: Target, label: str, conversation: str | None, answer: Answer) -> None:
        if answer.failure:
            self._performance.observe(target.key, self.now, ok=False)
            return
        self._performance.observe(
            target.key,
            self.now,
            ok=True,
            first_token_s=answer.first_token_s,
            streamed_tokens=answer.output,
            streaming_s=answer.took_s - answer.first_token_s,
            output_tokens=answer.output,
            label=label,
        )
        if conversation is not None and target.cache != "none":
            self._caches.note(conversation, target.key, answer.cached + answer.fresh, self.now, target.cache_s)

    def _count(self, target: Target, conversation: str | None, answer: Answer, waited_s: float) -> None:
        tally = self.tally
        cost = cost_nano_usd(target.usage(answer.fresh, answer.cached, answer.output), target.rates, day=NOON)
        tally.nano_usd += cost.nano_usd or 0
        tally.first_token_s.append(waited_s)
        tally.tokens += answer.output
        tally.seconds += answer.took_s - answer.first_token_s
        tally.input_tokens += answer.cached + answer.fresh
        tally.cached_tokens += answer.cached
        tally.calls[target.name] += 1
        if conversation is not None:
            last = self._last.get(conversation)
            tally.follow_ups += last is not None
            tally.moved += last is not None and last is not target
            self._last[conversation] = target
