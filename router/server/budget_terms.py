"""What a profile says of its budgets, whose requests they count, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from router.ledger.budget_rows import Group
from router.money.budget import PROFILE, Limits, Scope, Window
from router.profile.profile import Budget, Profile
from router.routing.labels import meaning_hash, with_provider
from router.routing.rules import Rule, Target

OnExceed = Literal["warn", "block", "degrade"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a budget's limits mean. ``strict``: the worst case is reserved."""

    limits: Limits
    strict: bool = False
    on_exceed: OnExceed = "block"
    degrade_to: tuple[Target, ...] = ()


def terms_of(profile: Profile, keys: Mapping[str, Limits]) -> dict[Scope, Terms]:
    """The budgets of a profile, of its rules, and of its client keys by name: these block, in the profile's mode."""
    found = {Scope("rule", label): _terms(budget) for label, budget in profile.rule_budgets.items()}
    strict = profile.budget is not None and profile.budget.mode == "strict"
    found |= {Scope("key", name): Terms(limits, strict) for name, limits in keys.items()}
    if profile.budget is not None:
        found[PROFILE] = _terms(profile.budget)
    return {scope: terms for scope, terms in found.items() if terms.limits != Limits()}


def _terms(budget: Budget) -> Terms:
    limits = Limits(budget.daily_nano_usd, budget.monthly_nano_usd)
    return Terms(limits, budget.mode == "strict", budget.on_exceed, budget.degrade_to)


def degraded_rule(scope: Scope, targets: tuple[Target, ...]) -> Rule:
    """The rule that stands for what a budget degrades to. Its hash tells whose budget it was, so that a rule's budget
    can count it: those requests no longer have the rule's label."""
    label = with_provider("degrade", targets[0].provider)
    return Rule("degrade", label, _degraded_hash(scope), targets, reason=f"degrade: budget of {scope}")


def _degraded_hash(scope: Scope) -> str:
    return meaning_hash(["degrade", *scope])


def scopes_of(of: Group, budgeted: Mapping[Scope, object]) -> tuple[Scope, ...]:
    """Whose a request is: the profile's, a rule's (also one that its budget sent elsewhere), a client key's."""
    degraded = (scope for scope in budgeted if scope.kind == "rule" and _degraded_hash(scope) == of.rule_hash)
    rule = next(degraded, None) if of.rule.startswith("degrade ") else None
    return (PROFILE, rule or Scope("rule", of.rule), *([Scope("key", of.key)] if of.key else []))


def belongs(group: Group, scope: Scope) -> bool:
    match scope.kind:
        case "profile":
            return True
        case "rule":
            return group.rule == scope.name or group.rule_hash == _degraded_hash(scope)
        case "key":
            return group.key == scope.name


def budget_row(window: Window, zone: ZoneInfo, terms: Terms) -> dict[str, object]:
    """One limit as JSON."""
    limit = window.limit or 0
    return {
        "budget": str(window.scope),
        "kind": window.scope.kind,
        "name": window.scope.name,
        "period": window.period,
        "limit_usd": limit / 1e9,
        "spent_usd": window.spent / 1e9,
        "reserved_usd": window.reserved / 1e9,
        "at_risk_usd": window.at_risk / 1e9,
        "limit_nano_usd": limit,
        "spent_nano_usd": window.spent,
        "reserved_nano_usd": window.reserved,
        "at_risk_nano_usd": window.at_risk,
        "share": window.share,
        "mode": "strict" if terms.strict else "expected",
        "on_exceed": terms.on_exceed,
        "resets": datetime.fromtimestamp(window.end_ms / 1000, zone).isoformat(),
        "resets_ms": window.end_ms,
    }


def dollars(nano: int) -> str:
    """``$19.98``; small amounts with as many digits as they need."""
    return f"${nano / 1e9:,.2f}" if nano >= 10_000_000 or not nano else f"${nano / 1e9:.6f}"


def shown_moment(moment_ms: int, zone: ZoneInfo) -> str:
    """``2026-11-21 00:00 (Europe/Berlin)``."""
    return f"{datetime.fromtimestamp(moment_ms / 1000, zone):%Y-%m-%d %H:%M} ({zone.key})"
