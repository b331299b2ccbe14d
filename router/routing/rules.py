"""Rules and the decision: facts in, ordered candidates out, with the trace that `router explain` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from router.routing.concepts import Phrases
    from router.routing.conditions import Condition

RuleKind = Literal["rule", "default", "alias", "concept", "script", "explicit", "catalog"]


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
    without name, priority and enabled. ``set`` holds neutral names and verbatim keys as written; ``raw`` the whole parsed
    table, for later reading of keys that other parts of the router own (cascade, budget, openrouter, …).
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


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything `decide` needs of a profile, compiled. ``rules`` are the enabled ones in the order they are tried."""

    rules: tuple[Rule, ...] = ()
    aliases: Mapping[str, Rule] = field(default_factory=dict)
    default: Rule | None = None
    concept_routes: tuple[Rule, ...] = ()  # name is the concept's; match is None
    phrases: Phrases | None = None
    concepts_before_rules: bool = False
    rules_on: bool = True
    explicit_provider: bool = True
    providers: frozenset[str] = frozenset()
    needs_tokens: bool = False  # some rule can ask for the token count


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


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Where a request goes and why. ``candidates`` is ordered; the first is called."""

    rule: Rule
    candidates: tuple[Target, ...]  # every model filled in
    reason: str  # short, ASCII: "rule[0] tool-use=true", "alias fast-model", "explicit provider", …
    steps: tuple[Step, ...] = ()
