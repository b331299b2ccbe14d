"""Rules compiled from short texts, requests described in a few words."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from router.routing.build import concept_rule, make_routes, make_rule
from router.routing.concepts import Concept, PhraseRegistry
from router.routing.conditions import Condition, compile_match
from router.routing.given import GivenFacts, read_given
from router.routing.rules import RouteTable, Target

FRIDAY_NOON = datetime(2025, 11, 21, 12, 0, tzinfo=UTC)
BUDGET = Concept("budget", "Budget", ("low cost", "cheap", "budget mode"))
SPEED = Concept("speed", "Speed", ("fast", "cheap and fast"), priority=10)

Compile = Callable[..., Condition]
Describe = Callable[..., GivenFacts]


class Workbench:
    """One profile being compiled: what is registered by one call is known to the next."""

    def __init__(self) -> None:
        self.registry = PhraseRegistry()
        self.concepts = {concept.name: concept for concept in (BUDGET, SPEED)}
        for concept in self.concepts.values():
            self.registry.add_concept(concept)

    def problems(self, match: object) -> list[tuple[tuple[str | int, ...], str]]:
        found: list[tuple[tuple[str | int, ...], str]] = []
        condition = self._compile(match, lambda path, message: found.append((path, message)))
        assert (condition is None) is bool(found)
        return found

    def compile(self, match: object) -> Condition:
        def fail(path: tuple[str | int, ...], message: str) -> None:
            raise AssertionError(f"{path}: {message}")

        condition = self._compile(match, fail)
        assert condition is not None
        return condition

    def facts(self, given: Mapping[str, object] | None = None, /, **more: object) -> GivenFacts:
        def fail(path: tuple[str | int, ...], message: str) -> None:
            raise AssertionError(f"{path}: {message}")

        table = {**(given or {}), **{key.replace("_", "-"): value for key, value in more.items()}}
        return read_given(table, path=(), report=fail, phrases=self.registry.build(), now=FRIDAY_NOON)

    def routes(self, toml: str, *, routed: tuple[Concept, ...] = (), **settings: Any) -> RouteTable:
        """A rules file's rules, aliases and default; enough of reading for tests of the walk."""
        file = tomllib.loads(toml)
        rules = [
            make_rule(
                "rule",
                targets=_targets(table),
                fallback=[_target(text) for text in table.get("fallback", ())],
                match=self.compile(table["match"]),
                name=table.get("name"),
                raw=table,
                index=index,
            )
            for index, table in enumerate(file.get("rule", ()))
        ]
        aliases = [
            make_rule("alias", targets=_targets(table), name=name, raw=table)
            for name, entry in file.get("aliases", {}).items()
            for table in [entry if isinstance(entry, dict) else {"target": entry}]
        ]
        default = file.get("default")
        return make_routes(
            rules,
            aliases=aliases,
            default=make_rule("default", targets=_targets(default), raw=default) if default else None,
            concept_routes=[concept_rule(one, self.registry.concept_id(one.name)) for one in routed],
            phrases=self.registry.build(),
            providers=("anthropic", "groq", "openai"),
            **settings,
        )

    def _compile(self, match: object, report: Callable[[tuple[str | int, ...], str], None]) -> Condition | None:
        return compile_match(
            match, path=("rule", 0, "match"), report=report, concepts=self.concepts, phrases=self.registry
        )


@pytest.fixture(scope="module")  # properties ask for it many times; words registered by one test don't bother another
def bench() -> Workbench:
    return Workbench()


def _targets(table: Mapping[str, Any]) -> list[Target]:
    if "target" in table:
        return [_target(table["target"])]
    return [Target(table["to"], table.get("model"))]


def _target(text: str) -> Target:
    provider, _, model = text.partition("/")
    return Target(provider, model or None)
