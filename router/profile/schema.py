"""A whole ``routing.toml``: from its parsed document to a ``Profile``.

The readers named here are together the complete list of what a file may say: each asks for its keys, and a key that
nobody asked for is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, Literal

from router.profile import limits_schema, settings_schema
from router.profile.document import Document
from router.profile.limits_schema import read_budget
from router.profile.problems import shown
from router.profile.profile import Budget, Profile
from router.profile.providers_schema import read_models, read_prices, read_providers
from router.profile.rules_schema import (
    BuiltRule,
    Draft,
    build_rule,
    read_aliases,
    read_default,
    read_rule_drafts,
)
from router.profile.settings_schema import read_tests
from router.profile.table import Table
from router.profile.targets import Expansion, Names, Reference
from router.routing.build import concept_rule, make_routes
from router.routing.concepts import Concept, PhraseRegistry
from router.routing.rules import Rule

VERSION: Final = 1

SECTIONS: Final[Mapping[str, Callable[[Table, Profile], Profile]]] = {
    **settings_schema.SECTIONS,
    **limits_schema.SECTIONS,
}
"""The tables that are read on their own, by name; those about targets follow in ``read_document``."""


def read_document(
    document: Document, draft: Profile, concepts: Iterable[Concept]
) -> tuple[Profile, tuple[Reference, ...]]:
    """``draft`` (name, folder, known providers) with everything the document says, and the targets it uses.

    Only to be used if the document has no errors afterwards. ``concepts`` are those of the profile.
    """
    root = Table(document, (), document.values)
    _check_version(root)
    draft = replace(draft, providers=read_providers(root, draft.providers), settings=document.values)
    for name, read in SECTIONS.items():
        table = root.table(name)
        if table is not None:
            draft = read(table, draft)
            table.finish()
    draft = read_tests(root, draft)

    aliases = root.values.get("aliases")
    names = Names(draft.providers, tuple(aliases) if isinstance(aliases, dict) else ())
    draft = replace(draft, prices=read_prices(root, names), models=read_models(root, names))
    draft, used = _read_routes(root, draft, names, concepts)
    root.finish()
    return draft, used


def _check_version(root: Table) -> None:
    version = root.take("version")
    if version is not None and (version != VERSION or isinstance(version, bool)):
        root.error("version", f"this router reads version {VERSION} of the file, got {shown(version)}")


def _read_routes(
    root: Table, draft: Profile, names: Names, concepts: Iterable[Concept]
) -> tuple[Profile, tuple[Reference, ...]]:
    phrases = PhraseRegistry()
    phrase_ids = {concept: phrases.add_concept(concept) for concept in concepts}
    known = {concept.name for concept in phrase_ids}

    aliases = read_aliases(root, names)
    rules = read_rule_drafts(root, names, known, phrases)
    default = read_default(root, names)
    expansion = Expansion(root.document, {name: alias.targets for name, alias in aliases.items()})

    def build(drafts: Iterable[Draft]) -> list[BuiltRule]:
        return [build_rule(each, names, expansion, aliases) for each in drafts]

    built_rules, built_aliases = build(rules), build(aliases.values())
    built_default = build([default] if default is not None else [])
    budget = read_budget(root, names, expansion, of_profile=True)
    everything = [*built_rules, *built_aliases, *built_default]
    if root.document.failed:
        return draft, ()

    routes = make_routes(
        [built.rule for built in built_rules],
        aliases=[built.rule for built in built_aliases if built.draft.enabled],
        default=next((built.rule for built in built_default if built.draft.enabled), None),
        concept_routes=[concept_rule(each, phrase_id) for each, phrase_id in phrase_ids.items() if each.routes],
        phrases=phrases.build(),
        concepts_before_rules=draft.routes.concepts_before_rules,
        rules_on=draft.routes.rules_on,
        explicit_provider=draft.routes.explicit_provider,
        strategy=draft.routes.strategy,
        fallthrough=draft.routes.fallthrough,
        providers=draft.providers,
    )
    rules_by_place = {_place(rule): rule for rule in (*routes.rules, *routes.aliases.values(), routes.default) if rule}
    in_force = [(rules_by_place[_place(each.rule)], each) for each in everything if _place(each.rule) in rules_by_place]
    used = [reference for _, each in in_force for reference in each.draft.references]
    return (
        replace(
            draft,
            routes=routes,
            budget=budget,
            rule_budgets={rule.label: each.budget for rule, each in in_force if each.budget is not None},
            cascades={rule.label: each.cascade for rule, each in in_force if each.cascade is not None},
            ledger_on_error=_on_error(root, draft, [budget, *(each.budget for _, each in in_force)]),
        ),
        tuple(used),
    )


def _place(rule: Rule) -> tuple[str, int | str | None]:
    """What tells a rule from all others of the file, whatever its label becomes."""
    return rule.kind, rule.name if rule.kind == "alias" else rule.index


def _on_error(root: Table, draft: Profile, budgets: Iterable[Budget | None]) -> Literal["serve", "refuse"]:
    """With a budget, a rule's too, spending that can't be recorded is refused, unless the file says otherwise."""
    ledger = root.values.get("ledger")
    said = isinstance(ledger, dict) and "on-error" in ledger
    return draft.ledger_on_error if said or not any(budgets) else "refuse"
