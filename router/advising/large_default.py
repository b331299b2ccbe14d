"""A default that takes most of the traffic, where a rule for a part of it would have saved: what it consists of, and
the rule.

A part is what one condition tells from the rest. Nobody is given requests on trust: the part's clients asked for the
cheaper model themselves, or a target of the file was given such requests elsewhere and did as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from router.advising.additions import add_before
from router.advising.advice import Advice
from router.advising.evidence import NEARLY_ALL, worth_saying
from router.advising.inquiry import Inquiry
from router.advising.past import PastRequest
from router.advising.records import Records, Wanted, size_of, tokens
from router.advising.shapes import FLAGS, Shape, model_is
from router.advising.siblings import are_siblings
from router.advising.words import counted, percent
from router.routing.rules import Rule, Target

KIND: Final = "large-default"

_MOST: Final = 0.5  # of all requests: more than all the rules together
_PART: Final = (0.05, 0.9)  # of the default's requests: less is no part, more is the default itself
_TOLD: Final = 5  # of the default's parts


class _Part(NamedTuple):
    """Requests of the default that meet a condition, the target for them, and why it may have them."""

    condition: str
    requests: Sequence[PastRequest]
    target: Target
    why: str
    saving: int


def large_default(inquiry: Inquiry) -> Iterator[Advice]:
    """The rule that would have saved most."""
    past, default = inquiry.past, inquiry.profile.routes.default
    if default is None or default.label in past.profile.cascades or not past.profile.routes.rules_on:
        return
    taken = list(past.taken(default))
    if len(taken) <= _MOST * len(past.requests):
        return
    paid = sum(each.row.cost_nano_usd or 0 for each in taken)
    records = Records(past, tokens)
    for part in sorted(_parts(inquiry, records, default, taken), key=lambda part: -part.saving):
        if not worth_saying(part.saving, paid, past.period_ms):
            return
        found = _advice(inquiry, default, taken, paid, part)
        if found is not None:
            yield found
            return


def _parts(inquiry: Inquiry, records: Records, default: Rule, taken: Sequence[PastRequest]) -> Iterator[_Part]:
    """Every part with every target that may have it, and what that would have saved."""
    for condition, requests in _conditions(taken):
        share = len(requests) / len(taken)
        if _PART[0] <= share <= _PART[1]:
            for target, why in _targets(inquiry, records, default, requests):
                moving = [each for each in requests if each.priced and each.target != target]
                costs = inquiry.costs.moved(dict.fromkeys((each.number for each in moving), target))
                if moving and costs is not None:
                    yield _Part(condition, requests, target, why, costs[0] - costs[1])


def _conditions(taken: Sequence[PastRequest]) -> Iterator[tuple[str, list[PastRequest]]]:
    """The conditions that tell parts apart, with the requests that meet them: the flags, then models and clients."""
    for place, flag in enumerate(FLAGS):
        known = [(each, each.shape.has(place)) for each in taken if each.shape is not None]
        yield flag.text(), [each for each, holds in known if holds]
        yield flag.negated_text(), [each for each, holds in known if not holds]
    for model in Counter(each.row.requested_model for each in taken):
        yield model_is(model), [each for each in taken if each.row.requested_model == model]


def _targets(
    inquiry: Inquiry, records: Records, default: Rule, requests: Sequence[PastRequest]
) -> Iterator[tuple[Target, str]]:
    """Who may have a part, and why."""
    own = default.targets[0]
    named = dict.fromkeys(Target(each.provider, each.model) for each in inquiry.profile.routes.targets() if each.model)
    (asked, number), *_ = Counter(each.row.requested_model for each in requests).most_common(1)
    if number >= NEARLY_ALL * len(requests) and asked != own.model:
        same = [each for each in named if each.model == asked] or [Target(own.provider, asked)]
        yield same[0], f"{percent(number / len(requests))} of them asked for {asked}"
    wanted = _wanted(requests)
    for target in named:
        if target.model != own.model and not are_siblings(target, own) and records.may_take_all(target, own, wanted):
            yield target, f"{target} {records.in_all(target)}"


def _wanted(requests: Sequence[PastRequest]) -> dict[Shape, Wanted]:
    """The kinds of some requests."""
    found: dict[Shape, Wanted] = {}
    for each in requests:
        size = size_of(tokens, each.facts) if each.facts is not None else None
        if size is not None and each.shape is not None:
            before = found.get(each.shape, Wanted(0, 0))
            found[each.shape] = Wanted(before.requests + 1, max(size, before.largest))
    return found


def _advice(inquiry: Inquiry, default: Rule, taken: Sequence[PastRequest], paid: int, part: _Part) -> Advice | None:
    numbers = [each.number for each in part.requests]
    words = f"have {part.target} take what {part.condition} says"
    added = add_before(inquiry, default, part.condition, part.target, words, numbers)
    if added is None or not added.change.pays(paid, inquiry.past.period_ms):
        return None
    share, of_default = len(taken) / len(inquiry.past.requests), len(part.requests) / len(taken)
    return Advice(
        KIND,
        f"{default.label} took {percent(share)} of the requests; {percent(of_default)} of those could go elsewhere",
        default.label,
        len(taken),
        added.edited.edit,
        inquiry.trusted(added.change),
        before_nano_usd=paid,
        after_nano_usd=paid - added.change.saving_nano_usd,
        details=(f"{counted(len(part.requests))}: {part.condition}; {part.why}", _consists(taken)),
    )


def _consists(taken: Sequence[PastRequest]) -> str:
    """What the default's requests are, in shares."""
    parts = ((len(requests) / len(taken), condition) for condition, requests in _conditions(taken))
    told = [(share, condition) for share, condition in parts if _PART[0] <= share < 1 and "=false" not in condition]
    largest = sorted(told, key=lambda part: -part[0])[:_TOLD]
    return "it consists of: " + ", ".join(f"{condition} {percent(share)}" for share, condition in largest)
