"""What is valid and probably not meant: rules and aliases that are never reached, unknown models, missing keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from router.agents.agents import BY_NAME
from router.profile.document import Document
from router.profile.files import label_of
from router.profile.problems import KeyPath, Problem, key_text, shown, suggestion
from router.profile.profile import Profile
from router.profile.targets import Reference
from router.profile.watch import MAIN
from router.providers.builtin import DEMO
from router.providers.provider import Provider
from router.routing.candidates import Abilities
from router.routing.conditions import Always
from router.routing.rules import Rule, Target

KnownModel = Callable[[str, str], bool | None]
"""``known_model(provider, model)``; None where nothing is known about the provider's models."""
KnownAbilities = Callable[[Provider, str], Abilities]
"""``known_abilities(provider, model)``."""


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


def _always(rule: Rule) -> bool:
    return rule.match is None or isinstance(rule.match, Always)


def _unreachable_rules(document: Document, profile: Profile) -> None:
    """Rules that stand behind one for every request. A second such rule is a fallback, if there are any."""
    rules = profile.routes.rules
    first = next((rule for rule in rules if _always(rule)), None)
    if first is None or not profile.routes.rules_on:
        return
    for rule in rules[rules.index(first) + 1 :]:
        chosen_among_equals = profile.routes.strategy != "first-match" and rule.priority == first.priority
        fallback = _always(rule) and profile.routes.fallthrough
        if not (chosen_among_equals or fallback):
            document.warn(
                ("rule", rule.index or 0),
                f"is never chosen: rule[{first.index}] (line {first.line}) takes every request before it",
            )


def _unreachable_aliases(document: Document, profile: Profile) -> None:
    first = next((rule for rule in profile.routes.rules if _always(rule)), None)
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
        if _is_unknown(profile, target, known_model):
            document.warn(
                reference.path, f"unknown model {shown(target.model)} at {target.provider}; its price is unknown"
            )


def _is_unknown(profile: Profile, target: Target, known_model: KnownModel) -> bool:
    """Whether the provider's models are known and this isn't one of them, nor one that the profile speaks of."""
    provider, model = target.provider, target.model or ""
    declared = (provider, model) in profile.prices or (provider, model) in profile.models
    if declared or model in profile.providers[provider].models:
        return False
    return known_model(provider, model) is False


def unknown_abilities(profile: Profile, known_model: KnownModel, known_abilities: KnownAbilities) -> Iterator[Problem]:
    """A warning for each target of which it isn't known what it can take, where the file names it first: requests that
    it can't take go there all the same. An unknown model has been warned of already."""
    told: set[tuple[str, str | None]] = set()
    for rule in sorted(profile.routes.all_rules(), key=lambda rule: (rule.line is None, rule.line)):
        cascade = profile.cascades.get(rule.label)
        for target in (*rule.targets, *rule.fallback, *(cascade.draft if cascade is not None else ())):
            if target.model is None or target.provider == DEMO or (target.provider, target.model) in told:
                continue
            told.add((target.provider, target.model))
            known = known_abilities(profile.providers[target.provider], target.model)
            keys = {"context": known.window, "images": known.images, "tools": known.tools, "documents": known.documents}
            missing = [key for key, value in keys.items() if value is None]
            if missing and not _is_unknown(profile, target, known_model):
                message = (
                    f"what {target} can take isn't known ({', '.join(missing)}), so no request is kept from it; "
                    f"write it under [{key_text(('models', str(target)))}]"
                )
                yield Problem(*_place(profile, rule), message, "warning")


def _place(profile: Profile, rule: Rule) -> tuple[str, int | None, str]:
    """The file, the line and the key of a rule."""
    if rule.kind == "concept":
        return label_of(profile.directory, f"concepts/{rule.name}.md"), None, ""
    path: KeyPath = ("rule", rule.index or 0) if rule.kind == "rule" else ("default",)
    if rule.kind == "alias":
        path = ("aliases", rule.name or "")
    return label_of(profile.directory, MAIN), rule.line, key_text(path)


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
