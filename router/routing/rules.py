"""Rules and the decision: facts in, ordered candidates out, with the trace that `router explain` prints.

The one way from a request to a target; the server, `explain`, `check`, tests in a rules file and replay of past traffic
all walk it. Rules are compiled by ``build``; conditions are in ``conditions``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from router.errors import NoRoute
from router.routing.labels import meaning_hash, with_provider

if TYPE_CHECKING:
    from router.routing.concepts import Phrases
    from router.routing.conditions import Condition
    from router.routing.facts import Facts

RuleKind = Literal["rule", "default", "alias", "concept", "script", "explicit", "catalog", "degrade"]

Catalog = Callable[[str, str], Sequence[str]]
"""``catalog(model, api)``: the providers with a usable key that list the model, those speaking ``api`` first."""


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one provider. ``model`` None keeps the requested model."""

    provider: str
    model: str | None = None
    weight: float = 1.0

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}" if self.model else self.provider


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, a default, an alias or a concept's route: what to do once it is chosen.

    ``label`` is unique within a profile (``tool-use → anthropic``); ``hash`` is 12 hex digits of the parsed meaning,
    without name, priority and enabled. ``set`` holds neutral names and verbatim keys as written; ``raw`` the whole
    parsed table, for later reading of keys that other parts of the router own (cascade, budget, openrouter, …).
    ``reason`` is what a decision for it says (ASCII): ``rule[0] tool-use=true``, ``alias fast-model``.
    """

    kind: RuleKind
    label: str
    hash: str
    targets: tuple[Target, ...]
    match: Condition | None = None
    name: str | None = None
    priority: int = 0
    fallback: tuple[Target, ...] = ()
    pin: bool = False
    sticky: str | None = None
    strategy: str | None = None
    set: Mapping[str, object] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, object] = field(default_factory=dict)
    line: int | None = None
    index: int | None = None  # position in the file, from 0
    reason: str = ""


class Choice(NamedTuple):
    """One of several things that a strategy orders: a rule or a target, with the target that is called first for it.

    ``key`` tells it apart and stays the same from request to request.
    """

    item: Rule | Target
    target: Target
    key: str
    weight: float


Arrange = Callable[[str, str, Sequence[Choice]], tuple[Sequence[int], Sequence[str]]]
"""``arrange(strategy, name, choices)``: the numbers of the choices in the order in which they are to be tried, and for
each place why. ``name`` stays the same for the same set of choices."""


class Candidate(NamedTuple):
    """A target that may be called, its model filled in, and the rule it is called for."""

    target: Target
    rule: Rule


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything `decide` needs of a profile, compiled. ``rules`` are the enabled ones in the order they are tried.

    ``fallthrough``: behind a rule's own targets come those of the next matching rules and of the default.
    """

    rules: tuple[Rule, ...] = ()
    aliases: Mapping[str, Rule] = field(default_factory=dict)
    default: Rule | None = None
    concept_routes: tuple[Rule, ...] = ()  # name is the concept's; match is None
    phrases: Phrases | None = None
    concepts_before_rules: bool = False
    rules_on: bool = True
    strategy: str = "first-match"
    fallthrough: bool = True
    explicit_provider: bool = True
    providers: frozenset[str] = frozenset()
    needs_tokens: bool = False  # some rule can ask for the token count

    def all_rules(self) -> Iterator[Rule]:
        """Everything that can be chosen: rules, aliases, concepts with a route, the default."""
        yield from (*self.rules, *self.aliases.values(), *self.concept_routes)
        if self.default is not None:
            yield self.default

    def targets(self) -> Iterator[Target]:
        """Every target named anywhere, fallbacks too; some several times."""
        for rule in self.all_rules():
            yield from (*rule.targets, *rule.fallback)

    def routed_concepts(self) -> dict[str, Rule]:
        """The concepts with a route, by their phrase id."""
        if self.phrases is None:
            return {}
        ids = self.phrases.concept_ids
        return {ids[rule.name]: rule for rule in self.concept_routes if rule.name is not None}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition, evaluated: what it is, what it saw, whether it held. ``seen`` None: not evaluated."""

    condition: str
    seen: str | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Step:
    """One rule, alias or concept that was tried, and the verdict that decided (the first that said no)."""

    label: str
    taken: bool
    because: Verdict | None = None


def no_more() -> Iterator[Candidate]:
    """No candidates."""
    return iter(())


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Where a request goes and why. ``candidates`` are the rule's own, in order; ``later`` gives those behind them, for
    which the other rules' conditions have to be evaluated.

    ``tried`` has the rules that didn't match before; ``steps`` says which condition refused, and what it saw. That is
    worked out only when somebody asks, since few requests are ever looked at.
    """

    rule: Rule
    candidates: tuple[Target, ...]  # every model filled in
    reason: str  # short, ASCII: "rule[0] tool-use=true", "alias fast-model", "explicit provider", …
    tried: tuple[Rule, ...] = ()
    why: tuple[str, ...] = ()  # what a strategy says of the order, a line a place
    later: Callable[[], Iterator[Candidate]] = field(default=no_more, repr=False, compare=False)

    def all_candidates(self) -> Iterator[Candidate]:
        """Every target that may be called for this request, in order, each once."""
        seen: set[tuple[str, str | None]] = set()
        for candidate in chain((Candidate(target, self.rule) for target in self.candidates), self.later()):
            target = candidate.target
            if (target.provider, target.model) not in seen:
                seen.add((target.provider, target.model))
                yield candidate

    def led_by(self, first: Candidate, why: str) -> RouteDecision:
        """The same with one of its candidates in front. One that stood behind the rule's own is called for its own
        rule, which thereby takes the request."""
        why_all = (why, *self.why)
        if first.rule is self.rule:
            others = (target for target in self.candidates if target != first.target)
            return replace(self, candidates=(first.target, *others), why=why_all)
        behind = tuple(Candidate(target, self.rule) for target in self.candidates)
        return RouteDecision(
            first.rule,
            (first.target,),
            first.rule.reason,
            self.tried,
            why_all,
            later=lambda: chain(behind, self.later()),
        )

    def steps(self, facts: Facts) -> tuple[Step, ...]:
        """The rules tried, each with the first condition that said no and the value it saw, then the one taken.

        ``facts`` are those the decision was made from.
        """
        return (*(Step(rule.label, False, _refusal(rule, facts)) for rule in self.tried), Step(self.rule.label, True))


def _refusal(rule: Rule, facts: Facts) -> Verdict | None:
    if rule.match is None:
        return None
    verdicts = (condition.evaluate(facts) for condition in rule.match.parts)
    return next((verdict for verdict in verdicts if verdict.holds is False), None)


def no_catalog(model: str, api: str) -> Sequence[str]:
    """A catalog that lists nothing."""
    return ()


def as_written(strategy: str, name: str, choices: Sequence[Choice]) -> tuple[Sequence[int], Sequence[str]]:
    """No strategy: the order of the file."""
    return range(len(choices)), ["as written"] * len(choices)


def decide(
    routes: RouteTable,
    facts: Facts,
    *,
    script: Target | str | None = None,
    catalog: Catalog = no_catalog,
    arrange: Arrange = as_written,
) -> RouteDecision:
    """Walk from request to target; the first step of ``WALK`` that answers wins.

    ``script`` is the answer of the profile's script: a target, ``provider/model`` or an alias; one that names neither
    is passed over; ``arrange`` orders what a strategy is set for. Raises ``NoRoute`` if nothing answers;
    ``CountNeeded`` and ``FactUnknown`` pass through.
    """
    walk = _Walk(routes, facts, script, catalog, arrange)
    for step in WALK:
        decision = step(walk)
        if decision is not None:
            return decision
    raise NoRoute(_no_route_message(facts.model, routes, walk.tried))


class _Walk:
    """One request on its way; ``tried`` are the rules that didn't take it."""

    __slots__ = ("arrange", "catalog", "equals", "facts", "routes", "script", "tried", "why")

    def __init__(
        self, routes: RouteTable, facts: Facts, script: Target | str | None, catalog: Catalog, arrange: Arrange
    ) -> None:
        self.routes = routes
        self.facts = facts
        self.script = script
        self.catalog = catalog
        self.arrange = arrange
        self.equals: tuple[Rule, ...] = ()  # the other matching rules of one priority, in the strategy's order
        self.why: list[str] = []
        self.tried: tuple[Rule, ...] = ()

    def chosen(self, rule: Rule) -> RouteDecision:
        candidates = tuple(self.candidates(rule))
        why = tuple(self.why)
        return RouteDecision(rule, candidates, rule.reason, self.tried, why, partial(self.later, rule))

    def later(self, chosen: Rule) -> Iterator[Candidate]:
        """What stands behind a rule that has been chosen: the next matching rules, then the default. Behind an alias,
        a concept or a script's answer there is the default alone, and nothing behind what a client names itself."""
        routes = self.routes
        if not routes.fallthrough or chosen.kind in ("explicit", "catalog", "default"):
            return
        if chosen.kind == "rule":
            for rule in self.equals:
                yield from (Candidate(target, rule) for target in self.candidates(rule))
            for rule in routes.rules[len(self.tried) + 1 :]:
                if rule in self.equals or rule is chosen:
                    continue
                if rule.match is None or rule.match.test(self.facts):
                    yield from (Candidate(target, rule) for target in self.candidates(rule))
        if routes.default is not None:
            yield from (Candidate(target, routes.default) for target in self.candidates(routes.default))

    def candidates(self, rule: Rule) -> Iterator[Target]:
        """The rule's targets, then its fallbacks, each once, every model filled in."""
        seen: set[tuple[str, str]] = set()
        targets = tuple(map(self.filled, rule.targets))
        strategy = rule.strategy or self.routes.strategy
        if strategy != "first-match" and len(targets) > 1:
            targets = self.arranged(
                strategy, rule.hash, [Choice(target, target, str(target), target.weight) for target in targets]
            )
        for target in (*targets, *map(self.filled, rule.fallback)):
            name = target.provider, target.model or ""
            if name not in seen:
                seen.add(name)
                yield target

    def filled(self, target: Target) -> Target:
        """The target with its model."""
        return filled(self.routes, self.facts.model, target)

    def arranged(self, strategy: str, name: str, choices: Sequence[Choice]) -> tuple[Any, ...]:
        """The items of the choices in the strategy's order, which notes its reasons."""
        order, why = self.arrange(strategy, name, choices)
        self.why += (f"{choices[number].key}: {line}" for number, line in zip(order, why, strict=True))
        return tuple(choices[number].item for number in order)


def filled(routes: RouteTable, requested: str, target: Target) -> Target:
    """The target with its model, where it names none."""
    return target if target.model else replace(target, model=kept_model(routes, requested, target.provider))


def kept_model(routes: RouteTable, requested: str, provider: str) -> str:
    """The model for a target that names none: the requested one, or, if that is an alias of a model at this provider,
    the alias' model."""
    alias = routes.aliases.get(requested)
    if alias is None:
        return requested
    models = (target.model for target in alias.targets if target.provider == provider)
    return next((model for model in models if model), requested)


def explicit_rule(routes: RouteTable, requested: str) -> Rule | None:
    """What a requested ``provider:model`` means, if its left part is a known provider and the profile allows it."""
    if not routes.explicit_provider:
        return None
    provider, _, model = requested.partition(":")
    if not model or provider not in routes.providers:
        return None
    return replace(_made_rule("explicit", provider), targets=(Target(provider, model),), reason="explicit provider")


def script_rule(routes: RouteTable, answer: Target | str) -> Rule | None:
    """What a script's answer means: ``provider/model`` (or just a provider) or an alias; ``None`` if it is neither."""
    if isinstance(answer, str):
        provider, _, model = answer.partition("/")
        if provider in routes.providers:
            answer = Target(provider, model or None)
        elif (alias := routes.aliases.get(answer)) is not None:
            plain = _made_rule("script", alias.targets[0].provider)
            return replace(alias, kind="script", label=plain.label, hash=plain.hash, name=None, reason="script")
        else:
            return None
    return replace(_made_rule("script", answer.provider), targets=(answer,))


def _explicit(walk: _Walk) -> RouteDecision | None:
    if not walk.routes.rules_on or (rule := explicit_rule(walk.routes, walk.facts.model)) is None:
        return None
    return walk.chosen(rule)


def _script(walk: _Walk) -> RouteDecision | None:
    if not walk.routes.rules_on or walk.script is None or (rule := script_rule(walk.routes, walk.script)) is None:
        return None
    return walk.chosen(rule)


def _pinned_alias(walk: _Walk) -> RouteDecision | None:
    return _alias(walk, pinned=True)


def _plain_alias(walk: _Walk) -> RouteDecision | None:
    return _alias(walk, pinned=False)


def _alias(walk: _Walk, *, pinned: bool) -> RouteDecision | None:
    if not walk.routes.rules_on:
        return None
    rule = walk.routes.aliases.get(walk.facts.model)
    return None if rule is None or rule.pin is not pinned else walk.chosen(rule)


def _concepts_before(walk: _Walk) -> RouteDecision | None:
    return _concept(walk) if walk.routes.concepts_before_rules else None


def _concepts_after(walk: _Walk) -> RouteDecision | None:
    return None if walk.routes.concepts_before_rules else _concept(walk)


def _concept(walk: _Walk) -> RouteDecision | None:
    routes = walk.routes
    if not routes.concept_routes or not routes.rules_on:
        return None
    by_id = routes.routed_concepts()
    found = walk.facts.concepts_found(by_id)
    return walk.chosen(by_id[found[0]]) if found else None


def _rules(walk: _Walk) -> RouteDecision | None:
    if not walk.routes.rules_on:
        return None
    facts, rules = walk.facts, walk.routes.rules
    for number, rule in enumerate(rules):
        if rule.match is None or rule.match.test(facts):
            walk.tried = rules[:number]
            return walk.chosen(rule if walk.routes.strategy == "first-match" else _preferred(walk, rule, number))
    walk.tried = rules
    return None


def _preferred(walk: _Walk, first: Rule, number: int) -> Rule:
    """Of all matching rules with the priority of the first, the one that the profile's strategy puts in front."""
    matching = [first]
    for rule in walk.routes.rules[number + 1 :]:
        if rule.priority != first.priority:
            break
        if rule.match is None or rule.match.test(walk.facts):
            matching.append(rule)
    if len(matching) > 1:
        choices = [
            Choice(rule, walk.filled(rule.targets[0]), rule.label, _weight(rule.raw.get("weight"))) for rule in matching
        ]
        first, *others = walk.arranged(walk.routes.strategy, " ".join(rule.hash for rule in matching), choices)
        walk.equals = tuple(others)
    return first


def _weight(value: object) -> float:
    return float(value) if isinstance(value, int | float | Decimal) else 1.0


def _default(walk: _Walk) -> RouteDecision | None:
    return None if walk.routes.default is None else walk.chosen(walk.routes.default)


def _catalog(walk: _Walk) -> RouteDecision | None:
    providers = walk.catalog(walk.facts.model, walk.facts.api)
    if not providers:
        return None
    targets = tuple(Target(provider) for provider in providers)
    return walk.chosen(replace(_made_rule("catalog", providers[0]), targets=targets, reason="catalog lists the model"))


WALK: tuple[Callable[[_Walk], RouteDecision | None], ...] = (
    _explicit,
    _script,
    _pinned_alias,
    _concepts_before,
    _rules,
    _concepts_after,
    _plain_alias,
    _default,
    _catalog,
)
"""The order in which a request's target is looked for."""


@lru_cache(maxsize=256)
def _made_rule(kind: Literal["explicit", "script", "catalog"], provider: str) -> Rule:
    """The rule that stands for targets no rule names, one a provider."""
    return Rule(kind, with_provider(kind, provider), meaning_hash([kind, provider]), (), reason=kind)


def _no_route_message(model: str, routes: RouteTable, tried: Sequence[Rule]) -> str:
    rules = ", ".join(rule.label for rule in tried)
    said = (
        f"none of the rules matches ({rules})"
        if tried
        else "there are no rules"
        if routes.rules_on
        else "rules are off"
    )
    shown = model if len(model) <= 200 else f"{model[:199]}…"
    return (
        f'no route for model "{shown}": {said}, there is no default, and no provider with a usable key lists this model'
    )
