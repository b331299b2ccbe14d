"""What `router check` says beyond what loading finds: rules that reasoning or the ledger shows to be idle, targets that
can't take what they are given. It takes longer than a server has time for when a file changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

from router.profile.files import label_of
from router.profile.problems import KeyPath, Problem, key_text
from router.profile.profile import Profile
from router.profile.review import KnownModel, is_always, is_unknown
from router.profile.watch import MAIN
from router.providers.builtin import DEMO
from router.providers.provider import Provider
from router.routing.candidates import Abilities
from router.routing.conditions import All, Always, Condition
from router.routing.conditions.request import InputTokens, ModelEquals
from router.routing.implication import covered, implies, never
from router.routing.rules import Rule, Target

KnownAbilities = Callable[[Provider, str], Abilities]
"""``known_abilities(provider, model)``."""

ENOUGH_REQUESTS: Final = 100  # before a rule without any is called idle
_DEFAULTS_SHARE: Final = 0.9  # of all requests; more is too much for the default


def lint(profile: Profile, *, known_model: KnownModel, known_abilities: KnownAbilities) -> Iterator[Problem]:
    """Warnings that files alone give rise to."""
    if profile.routes.rules_on:
        yield from _idle_rules(profile)
        yield from _idle_aliases(profile)
    yield from _targets(profile, known_model, known_abilities)


def idle(profile: Profile, requests: Mapping[str, int], days: int) -> Iterator[Problem]:
    """Warnings that the last days' requests give rise to. ``requests`` has their number by the label of their rule; too
    few of them say nothing."""
    total = sum(requests.values())
    if total < ENOUGH_REQUESTS or not profile.routes.rules_on:
        return
    rules = profile.routes.rules
    for number, rule in enumerate(rules):
        if not requests.get(rule.label) and _second_to(rule, rules[:number]) is None:
            yield _warning(profile, rule, f"took none of the {total:,} requests of the last {days} days")
    default = profile.routes.default
    taken = requests.get(default.label, 0) if default is not None else 0
    if default is not None and rules and taken > _DEFAULTS_SHARE * total:
        yield _warning(
            profile,
            default,
            f"took {taken:,} of the {total:,} requests of the last {days} days ({100 * taken / total:.0f}%): "
            "the rules don't fit what is sent",
        )


# --- rules and aliases ------------------------------------------------------------------------------------------------


def _idle_rules(profile: Profile) -> Iterator[Problem]:
    """Rules that take nothing, whatever is sent; loading tells of those behind a rule for everything."""
    routes = profile.routes
    for number, rule in enumerate(routes.rules):
        if is_always(rule):
            return
        if never(_match(rule)):
            yield _warning(profile, rule, f"can never hold: {_contradiction(_match(rule))}")
            continue
        before = [
            other
            for other in routes.rules[:number]
            if routes.strategy == "first-match" or other.priority > rule.priority
        ]
        by = covered(_match(rule), [_match(other) for other in before])
        if by is None or (routes.fallthrough and _second_to(rule, before) is not None):
            continue
        only = "; it is only a fallback" if routes.fallthrough else ""
        takes = "takes" if len(by) == 1 else "together take"
        names = _names([before[position] for position in by])
        yield _warning(profile, rule, f"is never chosen: {names} {takes} all of its requests before it{only}")


def _second_to(rule: Rule, before: Sequence[Rule]) -> Rule | None:
    """An earlier rule for just the same requests: this one is meant as its fallback."""
    match = _match(rule)
    return next((one for one in before if implies(match, _match(one)) and implies(_match(one), match)), None)


def _contradiction(match: Condition) -> str:
    """The part that can't be, or the two that can't be together."""
    for size in (1, 2):
        for parts in combinations(match.parts, size):
            if never(All(parts)):
                return " excludes ".join(part.text() for part in parts)
    return match.text()


def _idle_aliases(profile: Profile) -> Iterator[Problem]:
    """Aliases that nobody gets to by their name; loading tells of those behind a rule for everything."""
    rules = profile.routes.rules
    if any(map(is_always, rules)):
        return
    named = {name for rule in profile.routes.all_rules() for name in _targets_written(rule)}
    for name, alias in profile.routes.aliases.items():
        by = covered(ModelEquals((name,)), list(map(_match, rules))) if not alias.pin and name not in named else None
        if by is not None:
            takes = "takes" if len(by) == 1 else "together take"
            yield _warning(
                profile,
                alias,
                f"is never used: {_names([rules[position] for position in by])} {takes} every request for it; "
                "add pin = true to put the alias first",
            )


def _targets_written(rule: Rule) -> Iterator[str]:
    for key in ("target", "targets", "fallback"):
        value = rule.raw.get(key)
        for entry in value if isinstance(value, list) else [value]:
            text = entry.get("target") if isinstance(entry, Mapping) else entry
            if isinstance(text, str):
                yield text


def _match(rule: Rule) -> Condition:
    return rule.match if rule.match is not None else Always()


def _names(rules: Sequence[Rule]) -> str:
    names = [f"rule[{rule.index}] (line {rule.line})" for rule in rules]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# --- targets ----------------------------------------------------------------------------------------------------------


def _targets(profile: Profile, known_model: KnownModel, known_abilities: KnownAbilities) -> Iterator[Problem]:
    """Targets whose window is too small for every request of their rule; and, where the file names them first, those of
    which it isn't known what they can take: requests that they can't take go there all the same. An unknown model has
    been warned of already."""
    told: set[Target] = set()
    for rule in sorted(profile.routes.all_rules(), key=lambda rule: (rule.line is None, rule.line)):
        cascade = profile.cascades.get(rule.label)
        for target in (*rule.targets, *rule.fallback, *(cascade.draft if cascade is not None else ())):
            if target.model is None or target.provider == DEMO:
                continue
            known = known_abilities(profile.providers[target.provider], target.model)
            if known.window is not None and _always_above(_match(rule), known.window):
                yield _warning(
                    profile,
                    rule,
                    f"never goes to {target}, which takes {known.window:,} tokens: "
                    "every request that the rule takes has more",
                )
            same = Target(target.provider, target.model)
            if same not in told and not is_unknown(profile, target, known_model):
                yield from _unknown_abilities(profile, rule, target, known)
            told.add(same)


def _always_above(match: Condition, window: int) -> bool:
    return implies(match, InputTokens("gt", window)) and not never(match)


def _unknown_abilities(profile: Profile, rule: Rule, target: Target, known: Abilities) -> Iterator[Problem]:
    keys = {"context": known.window, "images": known.images, "tools": known.tools, "documents": known.documents}
    missing = [key for key, value in keys.items() if value is None]
    if missing:
        yield _warning(
            profile,
            rule,
            f"what {target} can take isn't known ({', '.join(missing)}), so no request is kept from it; "
            f"write it under [{key_text(('models', str(target)))}]",
        )


def _warning(profile: Profile, rule: Rule, message: str) -> Problem:
    """A warning where the rule stands."""
    if rule.kind == "concept":
        return Problem(label_of(profile.directory, f"concepts/{rule.name}.md"), None, "", message, "warning")
    path: KeyPath = ("rule", rule.index or 0) if rule.kind == "rule" else ("default",)
    if rule.kind == "alias":
        path = ("aliases", rule.name or "")
    return Problem(label_of(profile.directory, MAIN), rule.line, key_text(path), message, "warning")
