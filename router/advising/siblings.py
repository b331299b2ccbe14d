"""Models whose cheaper sibling, of the same provider and family, did as well with the same kind of requests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from router.advising.additions import add_before
from router.advising.advice import Advice
from router.advising.evidence import worth_saying
from router.advising.inquiry import Inquiry
from router.advising.past import PastRequest
from router.advising.records import Records, size_of, tokens
from router.advising.shapes import Shape, condition_for
from router.advising.words import counted, two_digits
from router.money.rates import Rates
from router.routing.rules import Rule, Target
from router.server.pricing import rates_for

KIND: Final = "cheaper-sibling"


class _Part(NamedTuple):
    """Requests of some kinds, up to a size, that a sibling could take, and the condition that only they meet."""

    condition: str
    shapes: tuple[Shape, ...]
    requests: Sequence[PastRequest]
    saving: int


def siblings(inquiry: Inquiry) -> Iterator[Advice]:
    """For each rule, and each model it uses, the sibling that would have saved most."""
    records = Records(inquiry.past, tokens)
    routes = inquiry.profile.routes
    for rule in (*routes.rules, *((routes.default,) if routes.default is not None else ())):
        if rule.label in inquiry.profile.cascades:
            continue
        taken = [each for each in inquiry.past.taken(rule) if each.priced and _size(each) is not None]
        for target in Counter(each.target for each in taken):
            found = _best(inquiry, records, rule, target, taken) if target is not None else None
            if found is not None:
                yield found


def _best(
    inquiry: Inquiry, records: Records, rule: Rule, target: Target, taken: Sequence[PastRequest]
) -> Advice | None:
    parts = [
        (part, sibling)
        for sibling in _cheaper(inquiry, records, target)
        for part in _parts(inquiry, records, target, sibling, taken)
    ]
    for part, sibling in sorted(parts, key=lambda pair: -pair[0].saving):
        paid = sum(each.row.cost_nano_usd or 0 for each in part.requests)
        if not worth_saying(part.saving, paid, inquiry.past.period_ms):
            return None
        found = _advice(inquiry, records, rule, target, sibling, part)
        if found is not None:
            return found
    return None


def are_siblings(one: Target, other: Target) -> bool:
    """Whether two models are of the same provider and family, going by the first word of their names."""
    return one.provider == other.provider and _family(one) == _family(other)


def _family(target: Target) -> str:
    """``claude`` of ``claude-sonnet-4-5``, ``gpt`` of ``openai/gpt-6-luna``."""
    found = re.match(r"[a-z]+", (target.model or "").rpartition("/")[2].lower())
    return found[0] if found else ""


def _cheaper(inquiry: Inquiry, records: Records, target: Target) -> Iterator[Target]:
    """The siblings that were called, and cost less both to ask and to answer."""
    own = _rates(inquiry, target)
    for other in records.targets():
        theirs = _rates(inquiry, other) if other != target and are_siblings(target, other) else None
        if own is not None and theirs is not None and _is_cheaper(theirs, own):
            yield other


def _rates(inquiry: Inquiry, target: Target) -> Rates | None:
    past = inquiry.past
    provider = past.profile.providers.get(target.provider)
    rates = rates_for(past.profile, provider, past.prices, target.model or "") if provider is not None else None
    return None if rates is None else rates.on(datetime.fromtimestamp(past.until_ms / 1000, UTC))


def _is_cheaper(one: Rates, other: Rates) -> bool:
    if one.input is None or one.output is None or other.input is None or other.output is None:
        return False
    return one.input < other.input and one.output < other.output


def _parts(
    inquiry: Inquiry, records: Records, target: Target, sibling: Target, taken: Sequence[PastRequest]
) -> Iterator[_Part]:
    """The kinds of requests that a sibling did well with, each alone and all together."""
    every = sorted({each.shape for each in taken if each.shape is not None})
    largest = {shape: size for shape in every if (size := records.largest(sibling, target, shape)) is not None}
    for shapes in dict.fromkeys([tuple(largest), *((shape,) for shape in largest)]):
        condition = condition_for(shapes, every) if shapes else None
        if condition is None:
            continue
        most = two_digits(int(min(largest[shape] for shape in shapes)))
        sizes: dict[int, int] = {}
        for each in taken:
            size = _size(each)
            if each.target == target and each.shape in shapes and size is not None and size <= most:
                sizes[each.number] = size
        costs = inquiry.costs.moved(dict.fromkeys(sizes, sibling)) if sizes else None
        if costs is not None:
            fitting = [inquiry.past.requests[number] for number in sizes]
            bound = f"tokens <= {most}"
            whole = bound if condition == "always" else f"{condition} and {bound}"
            yield _Part(whole, shapes, fitting, costs[0] - costs[1])


def _size(request: PastRequest) -> int | None:
    """Its tokens; None where they or what kind it is of aren't known."""
    if request.facts is None or request.shape is None:
        return None
    size = size_of(tokens, request.facts)
    return None if size is None else int(size)


def _advice(
    inquiry: Inquiry, records: Records, rule: Rule, target: Target, sibling: Target, part: _Part
) -> Advice | None:
    numbers = frozenset(each.number for each in part.requests)
    words = f"have {sibling} take what {rule.label} gets of that kind"
    added = add_before(inquiry, rule, part.condition, sibling, words, numbers)
    if added is None:
        return None
    paid = added.change.paid_nano_usd
    if not added.change.pays(paid, inquiry.past.period_ms):
        return None
    return Advice(
        KIND,
        f"{rule.label}: {sibling.model} did as well as {target.model} with the same kind of requests",
        rule.label,
        len(added.change.moved),
        added.edited.edit,
        inquiry.trusted(added.change),
        before_nano_usd=paid,
        after_nano_usd=paid - added.change.saving_nano_usd,
        details=(
            f"{counted(len(part.requests))}: {part.condition}",
            f"{sibling} {records.in_all(sibling, part.shapes)} of that kind",
            f"{target} {records.in_all(target, part.shapes)} of that kind",
        ),
    )
