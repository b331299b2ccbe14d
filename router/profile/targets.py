"""Naming a target in a file: ``provider/model``, an alias, or ``to`` and ``model``.

Aliases may name aliases, so what is written becomes a ``Reference`` first and targets once all aliases are known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from router.profile.document import Document
from router.profile.problems import KeyPath, shown, suggestion
from router.profile.table import Table
from router.routing.rules import Target

_MODEL = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,254}[^\s\x00-\x1f\x7f])?")

_LONGEST_CHAIN = 20
_MOST_TARGETS = 100


@dataclass(frozen=True, slots=True)
class Reference:
    """What a file names: a target, or with ``alias`` everything that alias stands for. ``path`` is where."""

    target: Target | None
    alias: str | None
    path: KeyPath


@dataclass(frozen=True, slots=True)
class Names:
    """The names a target may use."""

    providers: Collection[str]
    aliases: Collection[str]

    def split(self, text: str) -> tuple[str, str] | None:
        """``provider/model`` split at the first ``/``, if the left part is a known provider."""
        provider, slash, model = text.partition("/")
        return (provider, model) if slash and model and provider in self.providers else None

    def find(self, text: str) -> Target | str | None:
        """A target, or the name of an alias, or None where nothing has this name.

        A provider alone keeps the requested model. An alias goes before a provider of the same name.
        """
        if (pair := self.split(text)) is not None:
            return Target(*pair)
        if text in self.aliases:
            return text
        return Target(text) if text in self.providers else None

    def unknown(self, text: str) -> str:
        """Why ``text`` names nothing."""
        if "/" not in text:
            hint = suggestion(text, [*self.aliases, *self.providers])
            return f"{shown(text)} is neither provider/model nor an alias{hint}"
        return self.unknown_pair(text)

    def unknown_pair(self, text: str) -> str:
        """Why ``text`` is no ``provider/model``."""
        provider, slash, _ = text.partition("/")
        if not slash:
            return f'expected "provider/model", got {shown(text)}'
        if provider in self.providers:
            return f"{shown(text)} names no model after the provider"
        return f"unknown provider {shown(provider)}{suggestion(provider, self.providers)}"


def read_reference(table: Table, value: object, path: KeyPath, names: Names) -> Reference | None:
    """One ``"provider/model"`` or ``"alias"``."""
    if not isinstance(value, str):
        table.document.error(path, f'expected "provider/model" or an alias, got {shown(value)}')
        return None
    found = names.find(value)
    match found:
        case None:
            table.document.error(path, names.unknown(value))
            return None
        case Target(model=model) if model is not None and not _MODEL.fullmatch(model):
            table.document.error(path, "expected a model's name after the provider")
            return None
        case Target():
            return Reference(found, None, path)
        case _:
            return Reference(None, found, path)


def read_references(table: Table, key: str, names: Names) -> tuple[Reference, ...]:
    """One reference, or a list of them."""
    found = (read_reference(table, value, path, names) for value, path in table.values_of(key))
    return tuple(reference for reference in found if reference is not None)


def read_targets(table: Table, names: Names) -> tuple[Reference, ...]:
    """What a rule, a default or an alias names with ``to`` (and ``model``), ``target`` or ``targets``."""
    table.one_at_most("to", "target", "targets")
    if table.has("model") and (table.has("target") or table.has("targets")):
        table.error("model", "goes with to; target holds the model itself")
    if table.has("targets"):
        for key in ("to", "model", "target"):
            table.take(key)
        return _listed_targets(table, names)
    single = _single_target(table, names)
    return () if single is None else (single,)


def _single_target(table: Table, names: Names) -> Reference | None:
    provider, model, path = _provider(table, names), _model(table), (*table.path, "target")
    if table.has("target"):
        return read_reference(table, table.take("target"), path, names)
    if table.has("to"):
        return None if provider is None else Reference(Target(provider, model), None, (*table.path, "to"))
    if table.has("model"):
        table.error("model", 'names no provider; add to = "provider"')
    else:
        table.error(None, 'has no target; add to = "provider", or target = "provider/model"')
    return None


def _provider(table: Table, names: Names) -> str | None:
    provider = table.text("to")
    if provider is None or provider in names.providers:
        return provider
    if names.find(provider) is not None:
        table.error("to", f"expected a provider; write target = {shown(provider)} instead")
    else:
        table.error("to", f"unknown provider {shown(provider)}{suggestion(provider, names.providers)}")
    return None


def _model(table: Table) -> str | None:
    model = table.text("model")
    if model is not None and not _MODEL.fullmatch(model):
        table.error("model", "expected a model's name, at most 256 characters and no spaces around it")
        return None
    return model


def _listed_targets(table: Table, names: Names) -> tuple[Reference, ...]:
    found = []
    for value, path in table.values_of("targets"):
        reference = _listed_target(table, value, path, names)
        if reference is not None:
            found.append(reference)
    if not table.values_of("targets"):
        table.error("targets", "has no target")
    return tuple(found)


def _listed_target(table: Table, value: object, path: KeyPath, names: Names) -> Reference | None:
    if not isinstance(value, dict):
        return read_reference(table, value, path, names)
    entry = Table(table.document, path, value)
    entry.one_at_most("to", "target")
    weight = entry.number("weight", None, above=True)
    read_openrouter(entry)
    reference = _single_target(entry, names)
    entry.finish()
    if reference is None or weight is None or reference.target is None:
        return reference
    return replace(reference, target=replace(reference.target, weight=float(weight)))


def read_openrouter(table: Table) -> None:
    """A target's own OpenRouter settings: other models to try there, and its provider preferences."""
    own = table.table("openrouter")
    if own is None:
        return
    own.texts("models")
    own.table("provider")  # handed on as it is
    own.finish()


class Expansion:
    """Aliases replaced by what they stand for. Circles and chains without end in sight are errors where they begin."""

    def __init__(self, document: Document, aliases: Mapping[str, tuple[Reference, ...]]) -> None:
        self._document = document
        self._aliases = aliases
        self._known: dict[str, tuple[Target, ...]] = {}
        for alias in aliases:
            self._alias(alias, ())

    def targets(self, references: Iterable[Reference]) -> tuple[Target, ...]:
        """The targets meant, in order, each once."""
        return self._join(references, ())

    def _join(self, references: Iterable[Reference], through: tuple[str, ...]) -> tuple[Target, ...]:
        found: dict[tuple[str, str | None], Target] = {}
        for reference in references:
            alias = reference.alias
            if alias in through:
                circle = " → ".join((*through[through.index(alias) :], alias))
                self._document.error(reference.path, f"goes in a circle: {circle}")
                continue
            for target in self._alias(alias, through) if alias is not None else (reference.target,):
                if target is not None:
                    found.setdefault((target.provider, target.model), target)
            if len(found) > _MOST_TARGETS:
                self._document.error(reference.path, f"stands for more than {_MOST_TARGETS} targets")
                break
        return tuple(found.values())

    def _alias(self, alias: str, through: tuple[str, ...]) -> tuple[Target, ...]:
        if alias not in self._known:
            references = self._aliases.get(alias, ())
            if len(through) >= _LONGEST_CHAIN:
                self._document.error(references[0].path, f"leads through more than {_LONGEST_CHAIN} aliases")
                return ()
            self._known[alias] = self._join(references, (*through, alias))
        return self._known[alias]
