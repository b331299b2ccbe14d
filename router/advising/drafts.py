"""Cascades whose drafts cost more than they save: a threshold at which they would have paid, or none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from router.advising.advice import Advice
from router.advising.evidence import LOWEST_THRESHOLD, surely_negative, worth_saying
from router.advising.inquiry import Edited, Inquiry
from router.advising.words import counted, dollars, percent
from router.profile.editing import remove_key, set_key
from router.profile.problems import KeyPath
from router.profile.profile import Cascade
from router.routing.rules import Rule
from router.server.draft_watch import FEWEST

KIND: Final = "losing-drafts"


class _Draft(NamedTuple):
    """A draft: its score (0 if it failed), what it saved, and what it would have if it had been accepted: then nobody
    else had been called. ``paid`` is what the request cost in all."""

    score: float
    accepted: bool
    saved: int
    if_accepted: int
    paid: int


def losing_drafts(inquiry: Inquiry) -> Iterator[Advice]:
    """The cascades that surely lose money."""
    past = inquiry.past
    for rule in past.profile.routes.all_rules():
        cascade = past.profile.cascades.get(rule.label)
        path = _path(rule)
        if cascade is None or path is None:
            continue
        drafts = list(_drafts(inquiry, rule))
        saved = sum(draft.saved for draft in drafts)
        paid = sum(draft.paid for draft in drafts)
        if len(drafts) < FEWEST:
            known = counted(len(drafts), "draft")
            inquiry.remarks.append(f"drafts of {rule.label}: it is known what {known} saved; it takes {FEWEST}")
        elif surely_negative([draft.saved for draft in drafts]) and worth_saying(-saved, paid, past.period_ms):
            found = _better_threshold(inquiry, rule, cascade, path, drafts) or _none(inquiry, rule, path, drafts)
            if found is not None:
                yield found


def _path(rule: Rule) -> KeyPath | None:
    """Where its cascade is written; None where it has none of its own."""
    if "cascade" not in rule.raw:
        return None
    match rule.kind:
        case "rule":
            return "rule", rule.index or 0, "cascade"
        case "alias":
            return "aliases", rule.name or "", "cascade"
        case _:
            return "default", "cascade"


def _drafts(inquiry: Inquiry, rule: Rule) -> Iterator[_Draft]:
    """The rule's drafts of which it is known what they saved."""
    for request in inquiry.past.taken(rule):
        draft = next((call for call in request.calls if call.role == "draft"), None)
        paid = request.row.cost_nano_usd
        if draft is None or draft.saving_nano_usd is None or draft.cost_nano_usd is None or paid is None:
            continue
        accepted, score = draft.verdict == "accepted", draft.score or 0.0
        saved = draft.saving_nano_usd
        others = paid - draft.cost_nano_usd
        yield _Draft(score, accepted, saved, saved if accepted else saved + others, paid)


def _better_threshold(
    inquiry: Inquiry, rule: Rule, cascade: Cascade, path: KeyPath, drafts: Sequence[_Draft]
) -> Advice | None:
    """The threshold, a little lower, at which the drafts would have saved most; None where they would at none."""
    lowest, now = round(100 * LOWEST_THRESHOLD), round(100 * cascade.threshold)
    saved = {hundredth: _saved(drafts, hundredth / 100) for hundredth in range(lowest, now)}
    best = max(saved, key=lambda hundredth: (saved[hundredth], hundredth), default=None)
    paid = sum(draft.paid for draft in drafts)
    if best is None or saved[best] <= 0:
        return None
    gained = saved[best] - sum(draft.saved for draft in drafts)
    threshold = Decimal(best) / 100
    edited = inquiry.edited(
        f"write threshold = {threshold:g} into the cascade of {rule.label}, instead of {cascade.threshold:g}",
        lambda text: set_key(text, (*path, "threshold"), threshold),
    )
    accepted = sum(draft.score >= best / 100 for draft in drafts)
    more = f"at {threshold:g} {percent(accepted / len(drafts))} are accepted, and they save {dollars(saved[best])}"
    return _advice(rule, drafts, edited, paid - gained, more)


def _saved(drafts: Sequence[_Draft], threshold: float) -> int:
    """What they would have saved with a lower threshold."""
    return sum(draft.if_accepted if draft.score >= threshold else draft.saved for draft in drafts)


def _none(inquiry: Inquiry, rule: Rule, path: KeyPath, drafts: Sequence[_Draft]) -> Advice | None:
    """No drafts."""
    edited = inquiry.edited(f"take the cascade out of {rule.label}", lambda text: remove_key(text, path))
    paid, saved = sum(draft.paid for draft in drafts), sum(draft.saved for draft in drafts)
    return _advice(rule, drafts, edited, paid + saved, "no lower threshold would have had them pay")


def _advice(rule: Rule, drafts: Sequence[_Draft], edited: Edited | None, after: int, more: str) -> Advice | None:
    if edited is None:
        return None
    lost, accepted = -sum(draft.saved for draft in drafts), sum(draft.accepted for draft in drafts)
    return Advice(
        KIND,
        f"{rule.label}: {counted(len(drafts), 'draft')} have cost {dollars(lost)} more than they saved",
        rule.label,
        len(drafts),
        edited.edit,
        "the mean draft loses with 95 % confidence; what a verifier would have charged is an estimate",
        before_nano_usd=sum(draft.paid for draft in drafts),
        after_nano_usd=after,
        details=(f"{accepted:,} were accepted ({percent(accepted / len(drafts))})", more),
    )
