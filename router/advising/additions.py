"""The edit that puts a rule in front of another one, or of the default, for a part of what that takes."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from router.advising.inquiry import Change, Edited, Inquiry
from router.profile.editing import add_rule, move
from router.routing.conditions import Any
from router.routing.rules import Rule, Target


class Added(NamedTuple):
    """The edit, and what it does to the requests in question."""

    edited: Edited
    change: Change


def add_before(
    inquiry: Inquiry, rule: Rule, condition: str, target: Target, words: str, of: Collection[int]
) -> Added | None:
    """A rule for those of another's requests that meet a condition, and what it does to some of them. None where it
    would take requests of other rules, too, or none."""
    if rule.match is not None:
        own = rule.match.text()
        condition = f"({own}) and {condition}" if isinstance(rule.match, Any) else f"{own} and {condition}"
    name = _name(inquiry, rule, target)
    values: dict[str, object] = {"name": name, "match": condition, "target": str(target)}
    add = ["route", "add", inquiry.profile.name, name, condition, str(target)]
    if rule.priority:
        values["priority"] = rule.priority
        add += ["--priority", str(rule.priority)]
    commands = [add]
    if rule.kind == "rule":
        commands.append(["route", "move", inquiry.profile.name, name, "--before", inquiry.named(rule)])

    def added(text: str) -> str:
        longer = add_rule(text, values)
        return move(longer, "rule", _written(inquiry), rule.index) if rule.index is not None else longer

    edited = inquiry.edited(words, added, commands)
    if edited is None:
        return None
    change = inquiry.replay(edited.profile, of)
    return Added(edited, change) if change.moved and set(change.lost) == {rule.hash} else None


def _written(inquiry: Inquiry) -> int:
    """How many rules the file has, those not in use included: the place of the next one."""
    rules = inquiry.profile.settings.get("rule", [])
    return len(rules) if isinstance(rules, list | tuple) else 0


def _name(inquiry: Inquiry, rule: Rule, target: Target) -> str:
    """A name that no rule has yet, after the rule and the model."""
    known = {each.name for each in inquiry.profile.routes.rules}
    base = rule.name or (rule.match.first_key() if rule.match is not None else "default")
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", f"{base}-{(target.model or target.provider).rpartition('/')[2]}")
    numbered = (f"{plain}-{number}" for number in range(2, len(known) + 3))
    return next(name for name in (plain, *numbered) if name not in known)
