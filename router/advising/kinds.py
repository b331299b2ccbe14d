"""Every kind of advice, and how all of it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from router.advising import (
    drafts,
    failing_targets,
    idle_rules,
    large_default,
    lost_caches,
    siblings,
    thresholds,
)
from router.advising.advice import Advice
from router.advising.evidence import ENOUGH
from router.advising.inquiry import Inquiry
from router.advising.past import MOST
from router.advising.words import counted

Finder = Callable[[Inquiry], Iterator[Advice]]

KINDS: Final[Mapping[str, Finder]] = {
    idle_rules.KIND: idle_rules.idle_rules,
    large_default.KIND: large_default.large_default,
    thresholds.KIND: thresholds.thresholds,
    drafts.KIND: drafts.losing_drafts,
    siblings.KIND: siblings.siblings,
    lost_caches.KIND: lost_caches.lost_caches,
    failing_targets.KIND: failing_targets.failing_targets,
}
"""By the word that stands in the output."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to say, what saves most first, and what couldn't be looked at. ``too_few``: so many requests are
    needed, and there are fewer."""

    advice: tuple[Advice, ...] = ()
    remarks: tuple[str, ...] = ()
    too_few: int | None = None


def advise(inquiry: Inquiry, finders: Iterable[Finder] = tuple(KINDS.values())) -> Found:
    """Everything that a profile's past suggests, or what some of the kinds are about."""
    past = inquiry.past
    if len(past.requests) < ENOUGH:
        return Found(too_few=ENOUGH)
    found = [advice for find in finders for advice in find(inquiry)]
    found.sort(key=lambda advice: -(advice.saving_nano_usd or 0))
    return Found(tuple(found), tuple(dict.fromkeys((*_unseen(inquiry), *inquiry.remarks))))


def _unseen(inquiry: Inquiry) -> Iterator[str]:
    """What isn't known of the requests."""
    past = inquiry.past
    if past.left_out:
        yield f"requests before the latest {MOST:,}"
    without = sum(each.facts is None for each in past.requests)
    if without:
        yield f"{counted(without)} whose facts weren't kept"
    for rule in past.profile.routes.rules:
        match = rule.match
        if match is not None and any(leaf.asks() for leaf in match.leaves()):
            unknown = sum(each.facts is not None and match.holds(each.facts) is None for each in past.requests)
            if unknown:
                yield f"whether {rule.label} is for {counted(unknown)}: nobody asked that when they came"
    unpriced = Counter(
        each.target for each in past.requests if each.target is not None and each.row.cost_nano_usd is None
    )
    for target, number in unpriced.items():
        if inquiry.costs.knows(target):
            yield f"what {counted(number)} at {target} cost: not all of their usage was reported"
        else:
            yield f'what {counted(number)} at {target} cost: write its price under [prices."{target}"]'
    routes = past.profile.routes
    if "adaptive" in (routes.strategy, *(rule.strategy for rule in routes.all_rules())):
        yield "requests in an adaptive order, which goes by how targets answer at the moment"
    if past.profile.script is not None:
        yield f"what other rules would have done: {past.profile.script.name} would have had a say in that"
