"""What is valid and probably not meant: rules and aliases that are never reached, unknown models, missing keys.

Told whenever a profile is loaded; what takes longer to find out is in ``lint``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from router.agents.agents import BY_NAME
from router.profile.document import Document
from router.profile.problems import KeyPath, shown, suggestion
from router.profile.profile import Profile
from router.profile.targets import Reference
from router.providers.provider import Provider
from router.routing.conditions import Always
from router.routing.rules import Rule, Target

KnownModel = Callable[[str, str], bool | None]
"""``known_model(provider, model)``; None where nothing is known about the provider's models."""


def review(
    document: Document,
    profile: Profile,
    used: Iterable[Reference],
    *,
    environ: Mapping[str, str],
    known_model: KnownModel,
) -> None:
    """All warnings that need the whole profile."""
    used = tuple(used)
    _unreachable_rules(document, profile)
    _unreachable_aliases(document, profile)
    _unknown_models(document, profile, used, known_model)
    _unusable_providers(document, profile, used, environ)
    if profile.agent is not None and profile.agent not in BY_NAME:
        document.warn(("profile", "agent"), f"unknown agent {shown(profile.agent)}{suggestion(profile.agent, BY_NAME)}")


def is_always(rule: Rule) -> bool:
    """Whether the rule is for every request, as it is written."""
    return rule.match is None or isinstance(rule.match, Always)


def _unreachable_rules(document: Document, profile: Profile) -> None:
    """Rules that stand behind one for every request. A second such rule is a fallback, if there are any."""
    rules = profile.routes.rules
    first = next((rule for rule in rules if is_always(rule)), None)
    if first is None or not profile.routes.rules_on:
        return
    for rule in rules[rules.index(first) + 1 :]:
        chosen_among_equals = profile.routes.strategy != "first-match" and rule.priority == first.priority
        fallback = is_always(rule) and profile.routes.fallthrough
        if not (chosen_among_equals or fallback):
            document.warn(
                ("rule", rule.index or 0),
                f"is never chosen: rule[{first.index}] (line {first.line}) takes every request before it",
            )


def _unreachable_aliases(document: Document, profile: Profile) -> None:
    first = next((rule for rule in profile.routes.rules if is_always(rule)), None)
    if first is None or not profile.routes.rules_on:
        return
    for name, alias in profile.routes.aliases.items():
        if not alias.pin:
            document.warn(
                ("aliases", name),
                f"is never used: rule[{first.index}] (line {first.line}) takes every request before it; "
                "add pin = true to put the alias first",
            )


def _unknown_models(document: Document, profile: Profile, used: Collection[Reference], known_model: KnownModel) -> None:
    for reference in used:
        target = reference.target
        if target is None or target.model is None or target.provider not in profile.providers:
            continue
        if is_unknown(profile, target, known_model):
            document.warn(
                reference.path, f"unknown model {shown(target.model)} at {target.provider}; its price is unknown"
            )


def is_unknown(profile: Profile, target: Target, known_model: KnownModel) -> bool:
    """Whether the provider's models are known and this isn't one of them, nor one that the profile speaks of."""
    provider, model = target.provider, target.model or ""
    declared = (provider, model) in profile.prices or (provider, model) in profile.models
    if declared or model in profile.providers[provider].models:
        return False
    return known_model(provider, model) is False


def _unusable_providers(
    document: Document, profile: Profile, used: Collection[Reference], environ: Mapping[str, str]
) -> None:
    """Providers that can't be called as things are; told once for each, where it is first named."""
    places: dict[str, KeyPath] = {}
    for reference in used:
        if reference.target is not None:
            places.setdefault(reference.target.provider, reference.path)
    if profile.other_to is not None:
        places.setdefault(profile.other_to, ("routing", "other-to"))
    for name, path in places.items():
        for message in usability(profile, name, environ):
            document.warn(path, message)


def usability(profile: Profile, name: str, environ: Mapping[str, str]) -> list[str]:
    """What keeps a provider from being called as things are."""
    provider = profile.providers.get(name)
    if provider is None:
        return []
    messages = []
    if provider.placeholders:
        holes = ", ".join(f"{{{hole}}}" for hole in provider.placeholders)
        messages.append(f"the address of {name} holds {holes}: set base-url in [providers.{name}]")
    missing = missing_variables(provider, environ, profile.dotenv)
    if missing:
        messages.append(f"no key for {name}: set {' or '.join(missing)}")
    return messages


def missing_variables(provider: Provider, environ: Mapping[str, str], dotenv: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of which one has to be set before the provider can be called; none if it has a key already."""
    names = []
    for spec in provider.credentials:
        if spec.kind != "env" or environ.get(spec.value) or dotenv.get(spec.value):
            return ()
        names.append(spec.value)
    return tuple(names)
