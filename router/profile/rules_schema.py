"""``[[rule]]``, ``[default]`` and ``[aliases]``: from their tables to rules.

Every table is read into a ``Draft`` first, since aliases may name each other and stand below the rules that use them;
then aliases are replaced by what they stand for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from router.profile.document import Document
from router.profile.limits_schema import read_budget
from router.profile.overrides_schema import Overrides, read_overrides
from router.profile.problems import shown
from router.profile.profile import Budget, Cascade
from router.profile.settings_schema import STICKY, STRATEGIES
from router.profile.table import Table, is_ordinary
from router.profile.targets import (
    Expansion,
    Names,
    Reference,
    read_openrouter,
    read_reference,
    read_references,
    read_targets,
)
from router.routing.build import make_rule
from router.routing.concepts import PhraseRegistry
from router.routing.conditions import Condition, compile_match
from router.routing.rules import Rule

Kind = Literal["rule", "default", "alias"]

_MOST_PRIORITY = 1_000_000
_MOST_RULES = 2000
_NO_PRIORITY: Final = "isn't possible here: only [[rule]] tables have a priority"
_NO_PIN: Final = "isn't possible here: only aliases can be pinned"
_ELSEWHERE: Final[Mapping[Kind, Mapping[str, str]]] = {
    "rule": {"pin": _NO_PIN},
    "default": {
        "match": "isn't possible here: the default takes every request that no rule took",
        "priority": _NO_PRIORITY,
        "pin": _NO_PIN,
    },
    "alias": {"match": "isn't possible here: an alias matches its own name", "priority": _NO_PRIORITY},
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as written, its targets still by name. ``raw`` is its table."""

    kind: Kind
    table: Table
    targets: tuple[Reference, ...]
    fallback: tuple[Reference, ...] = ()
    match: Condition | None = None
    name: str | None = None
    enabled: bool = True
    overrides: Overrides = field(default_factory=Overrides)
    index: int | None = None

    @property
    def references(self) -> tuple[Reference, ...]:
        return (*self.targets, *self.fallback)


@dataclass(frozen=True, slots=True)
class BuiltRule:
    """A rule and what other parts of the router need of its table."""

    rule: Rule
    draft: Draft
    budget: Budget | None
    cascade: Cascade | None


def read_aliases(root: Table, names: Names) -> dict[str, Draft]:
    """``[aliases]``: each a string, or a table like a rule's."""
    aliases = root.table("aliases")
    if aliases is None:
        return {}
    drafts: dict[str, Draft] = {}
    for name, value in aliases.entries():
        if len(drafts) == _MOST_RULES:
            aliases.error(name, f"is one alias too many: {_MOST_RULES} are possible")
            break
        if not is_ordinary(name):
            aliases.error(name, "an alias' name must be one line of ordinary text")
        path = (*aliases.path, name)
        if isinstance(value, dict):
            drafts[name] = _read(Table(aliases.document, path, value), "alias", names, name=name)
        elif isinstance(value, str):
            reference = read_reference(aliases, value, path, names)
            table = Table(aliases.document, path, {"target": value})
            table.take("target")
            drafts[name] = Draft("alias", table, (reference,) if reference else (), name=name)
        else:
            aliases.error(name, f'expected "provider/model", an alias or a table, got {shown(value)}')
    return drafts


def read_rule_drafts(
    root: Table, names: Names, concepts: Collection[str], phrases: PhraseRegistry
) -> tuple[Draft, ...]:
    """``[[rule]]`` in the file's order. Keywords are registered in ``phrases``."""
    drafts = []
    for index, table in enumerate(root.tables("rule", "rule")):
        if index == _MOST_RULES:
            table.error(None, f"is one rule too many: {_MOST_RULES} are possible")
            break
        match = _match(table, concepts, phrases)
        drafts.append(_read(table, "rule", names, name=table.text("name"), match=match, index=index))
    _report_equal_names(root.document, drafts)
    return tuple(drafts)


def read_default(root: Table, names: Names) -> Draft | None:
    table = root.table("default")
    return None if table is None else _read(table, "default", names, name=table.text("name"))


def build_rule(draft: Draft, names: Names, expansion: Expansion, aliases: Mapping[str, Draft]) -> BuiltRule:
    """The rule that a draft is. A single target that is an alias brings the alias' fallbacks and overrides along."""
    table = draft.table
    base = _alias_behind(draft, aliases)
    overrides = draft.overrides if base is None else draft.overrides.over(base.overrides)
    fallback = draft.fallback or (() if base is None else base.fallback)
    raw = {**table.values, **overrides.as_table()}
    built = BuiltRule(
        make_rule(
            draft.kind,
            targets=expansion.targets(draft.targets),
            fallback=expansion.targets(fallback),
            match=draft.match,
            name=draft.name,
            raw=raw,
            index=draft.index,
            line=table.document.line(table.path),
        ),
        draft,
        read_budget(table, names, expansion),
        _cascade(table, names, expansion),
    )
    table.finish(elsewhere=_ELSEWHERE[draft.kind])
    return built


def _read(
    table: Table,
    kind: Kind,
    names: Names,
    *,
    name: str | None,
    match: Condition | None = None,
    index: int | None = None,
) -> Draft:
    if kind == "rule":
        table.whole("priority", 0, least=-_MOST_PRIORITY, most=_MOST_PRIORITY)
    if kind == "alias":
        table.boolean("pin", default=False)
    table.choice("strategy", tuple(STRATEGIES), None)
    table.choice("sticky", STICKY, None)
    table.number("weight", None, above=True)
    read_openrouter(table)
    return Draft(
        kind,
        table,
        targets=read_targets(table, names),
        fallback=read_references(table, "fallback", names),
        match=match,
        name=name,
        enabled=table.boolean("enabled", default=True),
        overrides=read_overrides(table),
        index=index,
    )


def _match(table: Table, concepts: Collection[str], phrases: PhraseRegistry) -> Condition | None:
    value = table.take("match")
    if value is None:
        table.error(None, "has no match; write match = {} for every request")
        return None
    path = (*table.path, "match")
    return compile_match(value, path=path, report=table.document.error, concepts=concepts, phrases=phrases)


def _alias_behind(draft: Draft, aliases: Mapping[str, Draft]) -> Draft | None:
    """The table of the alias that is the draft's one target, through aliases that only name another."""
    seen: set[str] = set()
    while len(draft.targets) == 1 and (name := draft.targets[0].alias) is not None and name not in seen:
        seen.add(name)
        if name not in aliases:  # a wrong one, already reported
            return None
        draft = aliases[name]
        if draft.fallback or draft.overrides != Overrides():
            return draft
    return None


def _cascade(table: Table, names: Names, expansion: Expansion) -> Cascade | None:
    cascade = table.table("cascade")
    if cascade is None:
        return None
    if not cascade.has("draft"):
        cascade.error(None, 'has no draft; add draft = "provider/model"')
    found = Cascade(
        draft=expansion.targets(read_references(cascade, "draft", names)),
        threshold=cascade.share("threshold", 0.7),
        risky_tools=cascade.texts("risky-tools"),
        pause_when_losing_s=cascade.duration("pause-when-losing", None),
    )
    cascade.finish()
    return found


def _report_equal_names(document: Document, drafts: Collection[Draft]) -> None:
    first: dict[str, Draft] = {}
    for draft in drafts:
        if draft.name is None:
            continue
        if draft.name in first:
            line = document.line(first[draft.name].table.path)
            document.error((*draft.table.path, "name"), f"{shown(draft.name)} is already the rule of line {line}")
        first.setdefault(draft.name, draft)
