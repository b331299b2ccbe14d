"""From what a rules file says, already read and checked, to the compiled ``RouteTable``: labels, hashes, order.

Reading the file, and reporting what is wrong with it, is the profile's part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from router.routing.concepts import Concept, Phrases
from router.routing.conditions import Condition
from router.routing.labels import meaning_hash, number_equal, with_provider
from router.routing.rules import RouteTable, Rule, Target

# Keys of a rule's table that don't make it another rule, or that its parsed parts say better.
_NOT_IN_MEANING: Final = frozenset(
    {"name", "priority", "enabled", "match", "to", "model", "target", "targets", "fallback"}
)
_LONGEST_REASON: Final = 200


def make_rule(
    kind: Literal["rule", "default", "alias"],
    *,
    targets: Sequence[Target],
    fallback: Sequence[Target] = (),
    match: Condition | None = None,
    name: str | None = None,
    raw: Mapping[str, object] | None = None,
    index: int | None = None,
    line: int | None = None,
) -> Rule:
    """A rule, with its label (not yet unique), hash and reason.

    ``raw`` is its table, already checked; ``name`` the rule's own or the alias'; ``index`` its place among the rules.
    """
    raw = raw or {}
    what = {"rule": _what(name, match), "alias": f"alias:{name}", "default": "default"}[kind]
    return Rule(
        kind=kind,
        label=with_provider(what, targets[0].provider if targets else None),
        hash=meaning_hash(
            {
                "kind": kind,
                "alias": name if kind == "alias" else None,
                "match": match.canonical() if match is not None else None,
                "targets": [_meaning(target) for target in targets],
                "fallback": [_meaning(target) for target in fallback],
                "settings": {key: value for key, value in raw.items() if key not in _NOT_IN_MEANING},
                "of-targets": _settings_of_targets(raw.get("targets")),
            }
        ),
        targets=tuple(targets),
        match=match,
        name=name,
        priority=_whole(raw.get("priority")),
        fallback=tuple(fallback),
        pin=raw.get("pin") is True,
        sticky=_text(raw.get("sticky")),
        strategy=_text(raw.get("strategy")),
        set=_table(raw.get("set")),
        drop=_texts(raw.get("drop")),
        headers={key: str(value) for key, value in _table(raw.get("headers")).items()},
        raw=raw,
        line=line,
        index=index,
        reason=_reason(kind, name, match, index),
    )


def concept_rule(concept: Concept, phrase_id: str, targets: Sequence[Target] | None = None) -> Rule:
    """The rule that a concept with a route is: its first route, the others as fallbacks. ``targets`` replaces
    ``concept.routes`` where they were resolved further."""
    first, *others = targets if targets is not None else concept.routes
    return Rule(
        kind="concept",
        label=with_provider(f"concept:{concept.name}", first.provider),
        hash=meaning_hash(["concept", phrase_id, [_meaning(target) for target in (first, *others)]]),
        targets=(first,),
        fallback=tuple(others),
        name=concept.name,
        reason=_ascii(f"concept {concept.name}"),
    )


def make_routes(
    rules: Iterable[Rule] = (),
    *,
    aliases: Iterable[Rule] = (),
    default: Rule | None = None,
    concept_routes: Iterable[Rule] = (),
    phrases: Phrases | None = None,
    concepts_before_rules: bool = False,
    rules_on: bool = True,
    explicit_provider: bool = True,
    strategy: str = "first-match",
    fallthrough: bool = True,
    providers: Iterable[str] = (),
) -> RouteTable:
    """The table that ``decide`` walks. ``rules`` come in the file's order, unused ones (``enabled = false``) included:
    they keep their number among equal labels, so switching one on or off renames no other."""
    rules, aliases, concept_routes = list(rules), list(aliases), list(concept_routes)
    every = [*rules, *aliases, *concept_routes, *([default] if default is not None else [])]
    labelled = iter(
        [replace(rule, label=label) for rule, label in zip(every, number_equal(r.label for r in every), strict=True)]
    )
    rules = [next(labelled) for _ in rules]
    used = [rule for rule in rules if rule.raw.get("enabled") is not False]
    return RouteTable(
        rules=tuple(sorted(used, key=lambda rule: -rule.priority)),
        aliases={rule.name: rule for rule in (next(labelled) for _ in aliases) if rule.name is not None},
        concept_routes=tuple(next(labelled) for _ in concept_routes),
        default=next(labelled, None),
        phrases=phrases,
        concepts_before_rules=concepts_before_rules,
        rules_on=rules_on,
        explicit_provider=explicit_provider,
        strategy=strategy,
        fallthrough=fallthrough,
        providers=frozenset(providers),
        needs_tokens=rules_on and any(rule.match is not None and rule.match.needs_tokens for rule in used),
    )


def _what(name: str | None, match: Condition | None) -> str:
    return name or (match.first_key() if match is not None else "always")


def _reason(kind: str, name: str | None, match: Condition | None, index: int | None) -> str:
    if kind == "rule":
        return _ascii(f"rule[{index}] {match.text() if match is not None else 'always'}")
    return _ascii(f"{kind} {name}" if name else kind)


def _ascii(text: str) -> str:
    """Short and printable, for a header."""
    plain = text.encode("ascii", "backslashreplace").decode()
    plain = "".join(character if character.isprintable() else "?" for character in plain)
    return plain if len(plain) <= _LONGEST_REASON else f"{plain[: _LONGEST_REASON - 3]}..."


def _meaning(target: Target) -> list[object]:
    return [target.provider, target.model, target.weight]


def _settings_of_targets(targets: object) -> list[object]:
    """What single targets of a list say beside their name and weight."""
    if not isinstance(targets, list | tuple):
        return []
    known = {"to", "model", "target", "weight"}
    return [
        {key: value for key, value in target.items() if key not in known} if isinstance(target, Mapping) else {}
        for target in targets
    ]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
