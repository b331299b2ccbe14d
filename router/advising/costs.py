"""What moving some requests elsewhere would have changed: their own cost, and that of those which find less or more of
their conversation in a prompt cache because of it.

The price of a request depends on its target and on the request that this target had of the conversation before. So
only neighbours have to be priced anew when one moves: that makes a search over thousands of ways to draw a line
possible, which a whole replay each would be too slow for. ``replaying`` has the last word on what is found.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence

from router.advising.past import Past, PastRequest
from router.health.prompt_caches import PromptCaches
from router.routing.rules import Target
from router.server.pricing import cost_at
from router.wire.usage import Usage

_OF_EACH = Usage(input=1, cache_read=1, cache_write=1, output=1)


class Costs:
    """Of one profile's past. Amounts are nano-dollars."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._pricing = past.pricing
        self._conversations: defaultdict[str, list[int]] = defaultdict(list)
        self._costs: dict[tuple[int, Target, int | None], int | None] = {}
        self._known: dict[Target, bool] = {}
        self._was: dict[int, int | None] = {}  # the request before, at the target that answered both
        last: dict[tuple[str, Target], int] = {}
        for request in past.requests:
            conversation = request.row.conversation
            if request.priced and conversation is not None and request.target is not None:
                self._conversations[conversation].append(request.number)
                self._was[request.number] = last.get((conversation, request.target))
                last[conversation, request.target] = request.number

    def knows(self, target: Target) -> bool:
        """Whether a target has prices for all that a request consists of."""
        if target not in self._known:
            past = self._past
            provider = past.profile.providers.get(target.provider)
            self._known[target] = provider is not None and (
                cost_at(past.profile, provider, past.prices, target.model or "", _OF_EACH) is not None
            )
        return self._known[target]

    def line_of(self, number: int) -> Sequence[int]:
        """The requests of a request's conversation, by number: those of which cost and tokens are known."""
        conversation = self._past.requests[number].row.conversation
        return [number] if conversation is None else self._conversations[conversation]

    def target(self, number: int) -> Target:
        """Who answered a request in such a line."""
        target = self._past.requests[number].target
        assert target is not None
        return target

    def at(self, number: int, target: Target, before: int | None) -> int | None:
        """What a request would have cost at a target that had ``before`` of its conversation last; as recorded where
        that is how it was. None where a price isn't known."""
        key = number, target, before
        if key not in self._costs:
            self._costs[key] = self._find(self._past.requests[number], target, before)
        return self._costs[key]

    def moved(self, to: Mapping[int, Target]) -> tuple[int, int] | None:
        """What some requests cost, and would have cost at other targets together with what that would have changed for
        the rest of their conversations. None where that isn't known."""
        lines = {self.line_of(number)[0]: self.line_of(number) for number in to}
        before = after = 0
        for line in lines.values():
            last: dict[Target, int] = {}
            for number in line:
                target = to.get(number) or self.target(number)
                cost, was = self.at(number, target, last.get(target)), self._past.requests[number].row.cost_nano_usd
                if cost is None or was is None:
                    return None
                before += was if number in to else 0
                after += cost if number in to else cost - was
                last[target] = number
        return before, after

    def _find(self, request: PastRequest, target: Target, before: int | None) -> int | None:
        row, earlier = request.row, self._was.get(request.number)
        if target == request.target and before == earlier:
            return row.cost_nano_usd
        cached = self._cached(request, target, before)
        if target != request.target:
            return self._pricing.at(row, target, record=request.record, cached=cached).nano_usd
        was = self._cached(request, target, earlier)
        if was == cached or row.cost_nano_usd is None:
            return row.cost_nano_usd
        now, then = (
            self._pricing.at(row, target, record=request.record, cached=each).nano_usd for each in (cached, was)
        )
        return row.cost_nano_usd if now is None or then is None else max(0, row.cost_nano_usd + now - then)

    def _cached(self, request: PastRequest, target: Target, before: int | None) -> int:
        """How many of a request's tokens a target has from the one before."""
        provider, model = self._past.profile.providers.get(target.provider), target.model or ""
        if before is None or provider is None:
            return 0
        request_before = self._past.requests[before]
        earlier, record = request_before.row, request_before.record
        there = (earlier.provider, earlier.model) == (target.provider, target.model)
        usage = earlier.usage if there else self._pricing.at(earlier, target, record=record, cached=0).usage
        if usage is None:
            return 0
        held = self._pricing.held(usage, provider, model, earlier.api, record)
        caches, key = PromptCaches(1), (provider.name, model)
        caches.note("", key, held, (earlier.time_ms + (earlier.duration_ms or 0.0)) / 1000)
        tokens = self._pricing.input_tokens(request.row, *key)
        return caches.of("", key, tokens, request.row.time_ms / 1000)


class Line:
    """The requests of one conversation, each at a target for now, and what they cost together."""

    def __init__(self, costs: Costs, at: Mapping[int, Target]) -> None:
        self._costs = costs
        self._at = dict(at)
        self._by_target: defaultdict[Target, list[int]] = defaultdict(list)
        self.total = 0
        for number in sorted(at):
            target = at[number]
            had = self._by_target[target]
            self.total += self._cost(number, target, had[-1] if had else None)
            had.append(number)

    def move(self, number: int, target: Target) -> int:
        """Send a request elsewhere; by how much that changes the total."""
        change = self._leave(number) + self._enter(number, target)
        self.total += change
        return change

    def _leave(self, number: int) -> int:
        target = self._at.pop(number)
        had = self._by_target[target]
        place = bisect_left(had, number)
        before = had[place - 1] if place else None
        change = -self._cost(number, target, before)
        if place + 1 < len(had):
            after = had[place + 1]
            change += self._cost(after, target, before) - self._cost(after, target, number)
        del had[place]
        return change

    def _enter(self, number: int, target: Target) -> int:
        self._at[number] = target
        had = self._by_target[target]
        place = bisect_left(had, number)
        before = had[place - 1] if place else None
        change = self._cost(number, target, before)
        if place < len(had):
            after = had[place]
            change += self._cost(after, target, number) - self._cost(after, target, before)
        insort(had, number)
        return change

    def _cost(self, number: int, target: Target, before: int | None) -> int:
        cost = self._costs.at(number, target, before)
        assert cost is not None, "only requests of known prices are put in a line"
        return cost
