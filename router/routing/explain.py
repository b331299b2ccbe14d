"""The whole way of one request: every step of the walk, every rule, every condition with the value it saw.

All that ``decide`` doesn't work out for each request. The decision itself is ``decide``'s own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from router.errors import NoRoute
from router.routing.facts import Facts, FactUnknown
from router.routing.rules import (
    Arrange,
    Candidate,
    Catalog,
    RouteDecision,
    RouteTable,
    Rule,
    Target,
    Verdict,
    as_written,
    decide,
    explicit_rule,
    no_catalog,
    script_rule,
)


@dataclass(frozen=True, slots=True)
class Considered:
    """One rule, alias, concept or other step, and what its conditions say of this request.

    ``holds``: it would have decided, had nothing before it (``None``: not known). ``taken``: it did. Rules behind the
    one taken are considered like the others, so that one sees what shadows them.
    """

    rule: Rule
    verdicts: tuple[Verdict, ...]
    holds: bool | None
    taken: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """``decision`` is ``None`` if nothing takes the request, or if what decides isn't known; ``refusal`` then says why.

    ``considered`` is in the order of the walk, the one taken included. ``candidates`` are all that may be called, in
    order, those behind the rule too; ``unknown`` is the fact without which the rest of them can't be told.
    """

    decision: RouteDecision | None
    refusal: str | None
    considered: tuple[Considered, ...]
    candidates: tuple[Candidate, ...] = ()
    unknown: str | None = None


def explain(
    routes: RouteTable,
    facts: Facts,
    *,
    script: Target | str | None = None,
    catalog: Catalog = no_catalog,
    arrange: Arrange = as_written,
) -> Explanation:
    """Decide, and say everything that could be looked at. A live request's facts must be allowed to count."""
    decision: RouteDecision | None = None
    refusal: str | None = None
    try:
        decision = decide(routes, facts, script=script, catalog=catalog, arrange=arrange)
    except NoRoute as error:
        refusal = str(error)
    except FactUnknown as error:
        refusal = f"what decides isn't known: {error.args[0]}"
    taken = decision.rule.label if decision is not None else None
    considered = [
        Considered(rule, verdicts, _all_hold(verdicts), rule.label == taken)
        for rule, verdicts in _steps(routes, facts, script)
    ]
    if decision is not None and decision.rule.kind == "catalog":
        verdict = Verdict("catalog lists the model", json.dumps(facts.model), True)
        considered.append(Considered(decision.rule, (verdict,), True, True))
    return Explanation(decision, refusal, tuple(considered), *_candidates(decision))


def _candidates(decision: RouteDecision | None) -> tuple[tuple[Candidate, ...], str | None]:
    found: list[Candidate] = []
    try:
        if decision is not None:
            found.extend(decision.all_candidates())
    except FactUnknown as error:
        return tuple(found), str(error.args[0])
    return tuple(found), None


def _steps(routes: RouteTable, facts: Facts, script: Target | str | None) -> Iterator[tuple[Rule, tuple[Verdict, ...]]]:
    """Everything the walk may stop at, in its order."""
    model = json.dumps(facts.model)
    if routes.rules_on:
        if (explicit := explicit_rule(routes, facts.model)) is not None:
            yield explicit, (Verdict("provider:model", model, True),)
        if script is not None and (answered := script_rule(routes, script)) is not None:
            yield answered, (Verdict("the script answers", str(script), True),)
        yield from _aliases(routes, facts, pinned=True)
        if routes.concepts_before_rules:
            yield from _concepts(routes, facts)
        for rule in routes.rules:
            parts = rule.match.parts if rule.match is not None else ()
            yield rule, tuple(condition.evaluate(facts) for condition in parts)
        if not routes.concepts_before_rules:
            yield from _concepts(routes, facts)
        yield from _aliases(routes, facts, pinned=False)
    if routes.default is not None:
        yield routes.default, ()


def _aliases(routes: RouteTable, facts: Facts, *, pinned: bool) -> Iterator[tuple[Rule, tuple[Verdict, ...]]]:
    for name, rule in routes.aliases.items():
        if rule.pin is pinned:
            yield rule, (Verdict(f"model={json.dumps(name)}", json.dumps(facts.model), name == facts.model),)


def _concepts(routes: RouteTable, facts: Facts) -> Iterator[tuple[Rule, tuple[Verdict, ...]]]:
    """The concepts that occur, strongest first, then the others."""
    by_id = routes.routed_concepts()
    try:
        found = facts.concepts_found(by_id)
    except FactUnknown:
        yield from ((rule, (Verdict(rule.reason, "unknown", None),)) for rule in by_id.values())
        return
    for place, phrase_id in enumerate(found, 1):
        yield by_id[phrase_id], (Verdict(by_id[phrase_id].reason, f"occurs (number {place})", True),)
    for phrase_id, rule in by_id.items():
        if phrase_id not in found:
            yield rule, (Verdict(rule.reason, "does not occur", False),)


def _all_hold(verdicts: tuple[Verdict, ...]) -> bool | None:
    answers = {verdict.holds for verdict in verdicts}
    return False if False in answers else None if None in answers else True
