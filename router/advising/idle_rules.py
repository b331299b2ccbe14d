"""Rules that never fired since the file says what it says: because other rules take what they are for, or because
nothing like that came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from router.advising.advice import Advice
from router.advising.evidence import ENOUGH, LONG_ENOUGH_MS
from router.advising.inquiry import Edited, Inquiry
from router.advising.past import PastRequest
from router.advising.words import counted, days, dollars, percent
from router.profile.editing import move, remove_rule, set_key
from router.profile.profile import Profile
from router.routing.conditions.surroundings import BudgetUsed
from router.routing.implication import implies
from router.routing.rules import Rule

KIND: Final = "idle-rule"


def idle_rules(inquiry: Inquiry) -> Iterator[Advice]:
    """The rules that took none of enough requests."""
    past = inquiry.past
    rules, since_ms = past.profile.routes.rules, past.rules_since_ms
    if not rules or not past.profile.routes.rules_on:
        return
    seen = [each for each in past.requests if since_ms is not None and each.row.time_ms >= since_ms]
    if since_ms is None or past.until_ms - since_ms < LONG_ENOUGH_MS or len(seen) < ENOUGH:
        inquiry.remarks.append(
            f"which rules are idle: {counted(len(seen))} came since the file was changed; it takes {ENOUGH}, "
            f"and {days(LONG_ENOUGH_MS)}"
        )
        return
    fired = {each.row.rule_hash for each in seen}
    for place, rule in enumerate(rules):
        if rule.hash not in fired and not _is_reserve(past.profile, rule, rules[:place]):
            found = _idle(inquiry, rule, seen, days(past.until_ms - since_ms))
            if found is not None:
                yield found


def _is_reserve(profile: Profile, rule: Rule, before: Sequence[Rule]) -> bool:
    """Whether it isn't meant to fire every week: a fallback for just the requests of an earlier rule, a rule for when
    money is short, or one that a ``[[test]]`` tells of."""
    match = rule.match
    if match is None or any(isinstance(leaf, BudgetUsed) for leaf in match.leaves()):
        return True
    if any(test.expect_rule in (rule.label, rule.name) for test in profile.tests):
        return True
    others = (one.match for one in before if one.match is not None)
    return any(implies(match, other) and implies(other, match) for other in others)


def _idle(inquiry: Inquiry, rule: Rule, seen: Sequence[PastRequest], period: str) -> Advice | None:
    assert rule.match is not None
    held = [(each, rule.match.holds(each.facts)) for each in seen if each.facts is not None]
    known = sum(holds is not None for _, holds in held)
    if known < ENOUGH:
        return None
    met = [each for each, holds in held if holds]
    headline = f"{rule.label} took none of {counted(len(seen))} in {period}"
    if not met:
        few = f"with 95 % confidence at most {percent(3 / known)} of the requests are for it"
        return _removed(inquiry, rule, f"{headline}: nothing like it came", len(seen), few)
    before = f"{headline}: other rules take what it is for"
    everything = "every request of that time was looked at"
    return _moved(inquiry, rule, before, met, everything) or _removed(inquiry, rule, before, len(met), everything, met)


def _moved(inquiry: Inquiry, rule: Rule, headline: str, met: Sequence[PastRequest], confidence: str) -> Advice | None:
    """The rule in front of those that take its requests: None where one of them would then be idle itself."""
    takers = Counter(each.row.rule_hash for each in met)
    first = next((other for other in inquiry.profile.routes.rules if other.hash in takers), None)
    if first is None:
        return None
    edited = _in_front(inquiry, rule, first)
    if edited is None:
        return None
    change = inquiry.replay(edited.profile, {each.number for each in met})
    had = Counter(each.row.rule_hash for each in inquiry.past.requests)
    if (
        not change.lost
        or change.refused
        or any(had[taker] <= lost for taker, lost in change.lost.items() if taker is not None)
    ):
        return None
    paid = change.paid_nano_usd
    more = -change.saving_nano_usd
    dearer = (f"it would have cost {dollars(more)} more there",) if more > 0 else ()
    return Advice(
        KIND, headline, rule.label, len(met), edited.edit, confidence, paid, paid - change.saving_nano_usd,
        (*_takers(met), *dearer),
    )  # fmt: skip


def _in_front(inquiry: Inquiry, rule: Rule, other: Rule) -> Edited | None:
    """The edit that has a rule tried before another."""
    number, before = rule.index or 0, other.index or 0
    words = f"move {rule.label} before {other.label}"
    if rule.priority == other.priority:
        command = ("route", "move", inquiry.profile.name, inquiry.named(rule), "--before", inquiry.named(other))
        return inquiry.edited(words, lambda text: move(text, "rule", number, before), [command])
    raised = ("rule", before, "priority")  # the place it has moved to
    if number < before:
        return inquiry.edited(
            f"give {rule.label} the priority of {other.label}",
            lambda text: set_key(text, ("rule", number, "priority"), other.priority),
        )
    return inquiry.edited(
        f"{words}, and give it its priority",
        lambda text: set_key(move(text, "rule", number, before), raised, other.priority),
    )


def _takers(met: Sequence[PastRequest]) -> Iterator[str]:
    """Who takes the requests."""
    for label, number in Counter(each.row.rule for each in met).most_common(3):
        yield f"{label} took {counted(number)} of those"


def _removed(
    inquiry: Inquiry, rule: Rule, headline: str, requests: int, confidence: str, met: Sequence[PastRequest] = ()
) -> Advice | None:
    """Without the rule: nothing changes but the file."""
    edited = inquiry.edited(
        f"take {rule.label} out",
        lambda text: remove_rule(text, rule.index or 0),
        [("route", "remove", inquiry.profile.name, inquiry.named(rule))],
    )
    if edited is None:
        return None
    return Advice(KIND, headline, rule.label, requests, edited.edit, confidence, details=tuple(_takers(met)))
