"""How budgets stand, for `router usage`, `status` and `profile show`: as the server has it, else the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from router.cli import background
from router.cli.asked import Asker
from router.cli.output import money
from router.cli.places import Places
from router.errors import ConfigError
from router.money.budget import Need
from router.money.reserving import USUAL_OUTPUT, Size, probable, worst_case
from router.profile.profile import Profile
from router.routing.facts import Facts, FactUnknown
from router.routing.rules import Rule, Target
from router.server.pricing import rates_for
from router.server.services import now_ms


class Outlook(NamedTuple):
    """What would be reserved for a call, ``None`` for nothing or nobody knows; why it wouldn't be allowed."""

    nano_usd: int | None
    refusal: str | None
    instead: tuple[Target, ...] = ()  # where the request goes then


_PERIODS = {"day": "today", "month": "this month"}


def standing(places: Places, profile: Profile) -> Sequence[Mapping[str, Any]]:
    """A row for each limit of the profile, its rules and its client keys."""
    server = background.status(places)
    told = next((row for row in server.profiles if row["profile"] == profile.name), None) if server else None
    if told is not None and "budgets" in told:
        return list(told["budgets"])
    return Asker(places, profile).tenant.spending.rows()


def standing_of(places: Places, name: str) -> Sequence[Mapping[str, Any]]:
    """The same by name; none for a profile that is gone, or that isn't right."""
    try:
        return standing(places, places.profile(name)) if name in places.found else []
    except ConfigError:
        return []


def outlook(asker: Asker, facts: Facts, target: Target, rule: Rule, taken: Rule, most_output: int | None) -> Outlook:
    """What budgets would say of a call now, as far as that can be told from facts: ``rule`` is what it is called for,
    ``taken`` the rule that has the request."""
    spending, profile = asker.tenant.spending, asker.profile
    provider = profile.providers[target.provider]
    key = _asked(facts, "key")
    charge = spending.open("explain", now_ms(), taken, key if isinstance(key, str) else None)
    others = spending.spent_by_others(rule) if rule is not taken else None
    if others is not None:
        return Outlook(None, str(others))
    if not charge.windows or provider.billing != "metered":
        return Outlook(None, None)
    try:
        estimate = asker.tenant.ordering(facts).estimate(target)
    except FactUnknown:
        return Outlook(None, None)
    limit = _asked(facts, "max_tokens")
    size = Size(
        tokens=facts.tokens(),
        factor=asker.tenant.window_factor(provider, target.model or ""),
        window=asker.tenant.abilities(provider, target.model or "", provider.formats[0]).window,
        max_output=limit if isinstance(limit, int) else None,
        most_output=most_output,
    )
    now = datetime.now(UTC)
    rates = rates_for(profile, provider, asker.places.prices, target.model or "")
    worst = worst_case(size, rates, now)
    usual = probable(size, rates, now, tokens=estimate.input_tokens, cached=estimate.cached_tokens, output=USUAL_OUTPUT)
    strict = spending.strict_for(charge)
    need = Need(worst if strict else usual, worst)
    short = spending.take(charge, need, rule=rule, target=target)
    charge.conclude(0)
    if short is None:
        return Outlook(need.amount, None)
    instead = spending.terms[short.degrade].degrade_to if short.degrade is not None else ()
    then = f"; it goes to {', then '.join(map(str, instead))} instead" if instead else ""
    return Outlook(need.amount, f"{short.error}{then}", instead)


def _asked(facts: Facts, name: str) -> object:
    try:
        return getattr(facts, name)
    except FactUnknown:
        return None


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """``$3.20 of $20.00 today (16 %), resets 00:00; …``, a line for each budget, with whose it is."""
    for whose in dict.fromkeys(row["budget"] for row in rows):
        limits = "; ".join(_limit(row) for row in rows if row["budget"] == whose)
        yield f"{'Budget' if whose == 'profile' else f'Budget of {whose}'}: {limits}"


def _limit(row: Mapping[str, Any]) -> str:
    reset = datetime.fromisoformat(row["resets"])
    when = f"{reset:%H:%M}" if row["period"] == "day" else f"{reset.day} {reset:%b}"
    reserved = f", {money(row['reserved_nano_usd'])} more reserved" if row["reserved_nano_usd"] else ""
    return (
        f"{money(row['spent_nano_usd'])} of {money(row['limit_nano_usd'])} {_PERIODS[row['period']]} "
        f"({row['share']:.0%}){reserved}, resets {when}"
    ).replace("%)", " %)")
