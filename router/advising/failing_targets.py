"""Targets that fail most of what they are given, so that a fallback answers: that had better be asked first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from router.advising.advice import Advice
from router.advising.evidence import DAYS_FAILING, at_least
from router.advising.inquiry import Inquiry
from router.advising.past import PastRequest, failure
from router.advising.records import Records, tokens
from router.advising.words import counted, percent
from router.ledger.periods import DAY_MS
from router.profile.editing import set_key
from router.profile.problems import KeyPath
from router.routing.rules import Rule, Target

KIND: Final = "failing-target"


class _Tries(NamedTuple):
    """How a target did where a rule asked it first: whether it failed, and who answered in the end."""

    request: PastRequest
    failed: bool
    took_ms: float
    answered: Target | None


def failing_targets(inquiry: Inquiry) -> Iterator[Advice]:
    """Rules whose first target fails more often than not, on several days, while a fallback of theirs answers."""
    records = Records(inquiry.past, tokens)
    routes = inquiry.profile.routes
    for rule in (*routes.rules, *((routes.default,) if routes.default is not None else ())):
        if len(rule.targets) > 1 or rule.targets[0].model is None or "fallback" not in rule.raw:
            continue
        tries = list(_tries(inquiry, rule))
        failures = [each for each in tries if each.failed]
        days = {each.request.row.time_ms // DAY_MS for each in failures}
        surely = at_least(len(failures), len(tries))
        if surely <= 0.5 or len(days) < DAYS_FAILING:
            continue
        fallbacks = [Target(each.provider, each.model) for each in rule.fallback]
        for target, _ in Counter(each.answered for each in failures).most_common():
            if target in fallbacks and records.in_all(target).at_most < surely:
                found = _swapped(inquiry, records, rule, target, tries)
                if found is not None:
                    yield found
                break


def _tries(inquiry: Inquiry, rule: Rule) -> Iterator[_Tries]:
    first = rule.targets[0]
    for request in inquiry.past.taken(rule):
        calls = [call for call in request.calls if call.role != "draft"]
        if calls and (calls[0].provider, calls[0].model) == (first.provider, first.model):
            failed = failure(request, calls[0])
            if failed is not None:
                yield _Tries(request, failed, calls[0].duration_ms or 0.0, request.target)


def _swapped(inquiry: Inquiry, records: Records, rule: Rule, target: Target, tries: Sequence[_Tries]) -> Advice | None:
    first = rule.targets[0]
    path: KeyPath = ("rule", rule.index) if rule.index is not None else ("default",)
    others = [str(each) for each in rule.fallback if (each.provider, each.model) != (target.provider, target.model)]

    def swapped(text: str) -> str:
        if "target" in rule.raw:
            text = set_key(text, (*path, "target"), str(target))
        else:
            text = set_key(set_key(text, (*path, "to"), target.provider), (*path, "model"), target.model)
        return set_key(text, (*path, "fallback"), [str(first), *others])

    edited = inquiry.edited(f"ask {target} first in {rule.label}, then {first}", swapped)
    if edited is None:
        return None
    failures = [each for each in tries if each.failed]
    saved = [each for each in failures if each.answered == target]
    last = [(each.request.row.cost_nano_usd, each.request.calls[-1].cost_nano_usd) for each in saved]
    known = [(paid, alone) for paid, alone in last if paid is not None and alone is not None]
    seconds = sum(each.took_ms for each in failures) / len(failures) / 1000
    return Advice(
        KIND,
        f"{rule.label}: {first} failed {percent(len(failures) / len(tries))} of its requests, and {target} answered",
        rule.label,
        len(tries),
        edited.edit,
        f"it fails at least {percent(at_least(len(failures), len(tries)))} with 95 % confidence",
        before_nano_usd=sum(paid for paid, _ in known),
        after_nano_usd=sum(alone for _, alone in known),
        details=(
            f"{counted(len(saved))} had to be asked again, {seconds:.1f} s later",
            f"{first} {records.in_all(first)}",
            f"{target} {records.in_all(target)}",
        ),
    )
