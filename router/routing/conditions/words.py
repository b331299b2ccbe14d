"""Conditions on the words of the conversation."""

from __future__ import annotations

from typing import Final, get_args

from router.routing.conditions.condition import Condition, Need
from router.routing.conditions.kinds import Keyed
from router.routing.conditions.parsing import Place, quoted, read_words, shown, suggestion
from router.routing.facts import Facts, PhraseTest
from router.wire.request import TextScope

SCOPES: Final[tuple[TextScope, ...]] = get_args(TextScope)
_NEEDS: Final[dict[TextScope, Need]] = {"latest": Need.LAST_TURN, "system": Need.TOOLS, "any": Need.MESSAGES}


class _Phrases(Keyed):
    """Some phrase lists, any of which may occur in one part of the conversation."""

    __slots__ = ("needs", "phrase_ids", "scope", "words")

    def __init__(self, words: tuple[str, ...], phrase_ids: tuple[str, ...], scope: TextScope) -> None:
        self.words = words
        self.phrase_ids = phrase_ids
        self.scope = scope
        self.needs = _NEEDS[scope]

    def test(self, facts: Facts) -> bool:
        return any(facts.text_holds(phrase_id, self.scope) for phrase_id in self.phrase_ids)

    def asks(self) -> tuple[PhraseTest, ...]:
        return tuple(PhraseTest(phrase_id, self.scope) for phrase_id in self.phrase_ids)

    def seen(self, facts: Facts) -> str:
        where = {"latest": "the latest human text", "system": "the system prompt", "any": "the conversation"}
        return f"{'occurs' if self.test(facts) else 'does not occur'} in {where[self.scope]}"

    def text(self) -> str:
        text = f"{self.key}={quoted(self.words)}"
        return text if self.scope == "latest" else f'({text} and keywords-in="{self.scope}")'

    def canonical(self) -> object:
        return {self.key: sorted(self.words), "keywords-in": self.scope}


class Keywords(_Phrases):
    """One of these words or phrases occurs in the latest human text, upper and lower case alike, on word boundaries.

    Tool results and system reminders are not looked at. ``keywords-in = "system"`` looks in the system prompt instead,
    ``keywords-in = "any"`` in the system prompt and all messages.
    """

    __slots__ = ()
    key = "keywords"

    @classmethod
    def parse(cls, place: Place, value: object) -> Condition | None:
        words = read_words(place, value)
        if words is None:
            return None
        phrase_id = place.phrases.add_keywords(words)
        if phrase_id is None:
            place.problem("expected words to look for, got only punctuation that no text is searched for")
            return None
        return cls(words, (phrase_id,), place.scope)


class Concept(_Phrases):
    """One of the concept's synonyms occurs where ``keywords`` would be looked for."""

    __slots__ = ()
    key = "concept"

    @classmethod
    def parse(cls, place: Place, value: object) -> Condition | None:
        names = read_words(place, value)
        if names is None:
            return None
        unknown = [name for name in names if name not in place.concepts]
        for name in unknown:
            place.problem(f"unknown concept {shown(name)}{suggestion(name, place.concepts)}")
        if unknown:
            return None
        return cls(names, tuple(place.phrases.concept_id(name) for name in names), place.scope)


def read_scope(place: Place, value: object) -> TextScope | None:
    """The value of ``keywords-in``."""
    for scope in SCOPES:
        if value == scope:
            return scope
    place.problem(f'expected "latest", "system" or "any", got {shown(value)}')
    return None
