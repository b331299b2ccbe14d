"""The rows of a report by rule: which name each rule's sums stand under, and in which order.

Requests are kept with the label and the hash of the rule that took them. The hash is the rule's meaning, so it decides:
a renamed rule keeps its sums under the new name, an edited one starts anew and its past stands as
``label (before 18 Nov)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from router.ledger.periods import local_day, midnight, short_day
from router.routing.rules import RouteTable

NONE = "(none)"
# How the labels begin that are no rule of the file; they follow the rules in this order.
_AFTER_RULES = {
    "alias:": 3, "concept:": 4, "script →": 5, "explicit →": 6, "catalog →": 7, "other →": 8, "degrade →": 9, NONE: 10,
}  # fmt: skip
_WITHOUT_PAST = ("script →", "explicit →", "catalog →", "other →", "degrade →", NONE)  # nobody edits them


@dataclass(frozen=True, slots=True)
class CurrentRule:
    """A rule, default, alias or concept of a profile as it is now. ``listed``: shown even if it never fired."""

    label: str
    hash: str
    listed: bool = True


def current_rules(routes: RouteTable) -> tuple[CurrentRule, ...]:
    """The rules of a profile in the order a report shows them; aliases and concepts only once they were used."""
    rules = sorted(routes.rules, key=lambda rule: rule.index or 0)
    default = [routes.default] if routes.default is not None else []
    listed = (CurrentRule(rule.label, rule.hash) for rule in (*rules, *default))
    others = (CurrentRule(rule.label, rule.hash, False) for rule in (*routes.aliases.values(), *routes.concept_routes))
    return (*listed, *others)


class SeenRule(NamedTuple):
    """A rule's meaning as the ledger met it: its latest label, and when it was first and last used."""

    label: str
    first_ms: int
    last_ms: int


Order = tuple[int, int, int, str]


class RuleRows:
    """Names the sums of one profile. Without ``current`` (the profile is gone) every label is shown as recorded."""

    def __init__(self, current: Sequence[CurrentRule], seen: Mapping[str, SeenRule], now_ms: int, zone: tzinfo) -> None:
        self._now_ms = now_ms
        self._seen = seen
        self._known = bool(current)
        self._position = {rule.label: number for number, rule in enumerate(current)}
        self._labels: dict[str, list[str]] = {}
        for rule in current:
            self._labels.setdefault(rule.hash, []).append(rule.label)
        past = {
            rule_hash: rule
            for rule_hash, rule in seen.items()
            if self._known and rule_hash not in self._labels and not rule.label.startswith(_WITHOUT_PAST)
        }
        self._past = _past_names(past, seen, now_ms, zone)

    def name(self, rule_hash: str, label: str) -> str:
        """What the row of these sums is called."""
        labels = self._labels.get(rule_hash)
        if labels is not None:  # twins of one meaning are told apart by their labels
            return label if label in labels else labels[0]
        return self._past.get(rule_hash, label)

    def order(self, rule_hash: str, label: str) -> Order:
        """Where the row stands: as in the file, its past right behind it, then what is no rule."""
        name = self.name(rule_hash, label)
        seen = self._seen.get(rule_hash)
        base = seen.label if seen is not None and rule_hash in self._past else name
        group = _group(base)
        position = self._position.get(base)
        if position is None:
            return (group or (1 if self._known else 0), len(self._position), 0, name)
        age = 0 if base == name or seen is None else max(1, self._now_ms - seen.last_ms)
        return (group, position, age, name)


def _group(label: str) -> int:
    """0 for rules and the default, then as listed above."""
    return next((group for start, group in _AFTER_RULES.items() if label.startswith(start)), 0)


def _past_names(
    past: Mapping[str, SeenRule], seen: Mapping[str, SeenRule], now_ms: int, zone: tzinfo
) -> dict[str, str]:
    """``label (before 18 Nov)`` for each; with the time of day where that alone would not tell two apart."""
    today = local_day(now_ms, zone)
    ends = {rule_hash: _replaced_at(rule_hash, seen, zone) for rule_hash in past}
    days = {
        rule_hash: f"{rule.label} (before {short_day(local_day(ends[rule_hash], zone), today)})"
        for rule_hash, rule in past.items()
    }
    names: dict[str, str] = {}
    for rule_hash, name in days.items():
        if list(days.values()).count(name) > 1:
            at = datetime.fromtimestamp(ends[rule_hash] / 1000, zone)
            name = f"{name[:-1]} {at:%H:%M})"
        names[rule_hash] = name
    return names


def _replaced_at(rule_hash: str, seen: Mapping[str, SeenRule], zone: tzinfo) -> int:
    """When a meaning's successor was first used; if none was yet, the end of the day of its own last use."""
    own = seen[rule_hash]
    later = [
        rule.first_ms
        for other, rule in seen.items()
        if other != rule_hash and rule.label == own.label and rule.first_ms >= own.last_ms
    ]
    return min(later, default=midnight(local_day(own.last_ms, zone) + timedelta(days=1), zone))
