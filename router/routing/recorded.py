"""A past request's facts, as the ledger kept them: so that other rules can be tried on past traffic.

The counterpart of ``RequestFacts.record``. The record holds no text and no headers, only the answers to what the rules
of that day asked; whatever else a rule asks now is ``FactUnknown``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from router.routing.concepts import Phrases, Rank, ranked
from router.routing.facts import RECORDED, Facts, FactUnknown, HeaderTest, PhraseTest, is_search_name
from router.wire.request import TextScope, Tool

_AS_RECORDED: Final = frozenset(RECORDED)


class RecordedFacts(Facts):
    """The facts of a record (JSON values). A fact that isn't in it raises ``FactUnknown`` when it is asked for.

    ``phrases`` are those of the rules that are tried: they say which concept counts for more.
    """

    def __init__(self, record: Mapping[str, object], phrases: Phrases | None = None) -> None:
        tests, concepts = record.get("tests"), record.get("concepts")
        self._record = record
        self._tests: Mapping[str, object] = tests if isinstance(tests, dict) else {}
        self._concepts: Mapping[str, tuple[int, int]] = concepts if isinstance(concepts, dict) else {}
        self._phrases = phrases

    if not TYPE_CHECKING:  # the names and types are declared in Facts

        def __getattr__(self, name: str) -> object:
            if name not in Facts.__annotations__:
                raise AttributeError(name)
            value = self._find(name)
            setattr(self, name, value)
            return value

    def _find(self, name: str) -> object:
        """A fact that is asked for. Raises FactUnknown."""
        value = self._record.get(name)
        if name == "tools" and isinstance(value, list):
            return tuple(_tool(str(tool)) for tool in value)
        if name == "tags" and isinstance(value, list):
            return frozenset(map(str, value))
        if name == "now" and isinstance(value, str):
            return datetime.fromisoformat(value)
        if name in _AS_RECORDED and name in self._record:
            return value
        raise FactUnknown(name)

    def tokens(self) -> int:
        tokens = self._record.get("tokens")
        if not isinstance(tokens, int):
            raise FactUnknown("tokens")
        return tokens

    def tokens_reach(self, threshold: int) -> bool:
        return self.tokens() >= threshold

    def text_holds(self, phrase_id: str, scope: TextScope) -> bool:
        return self._answer(PhraseTest(phrase_id, scope))

    def concepts_found(self, asked: Collection[str]) -> tuple[str, ...]:
        found = [phrase_id for phrase_id in asked if self._answer(PhraseTest(phrase_id, "latest"))]
        return tuple(found) if len(found) < 2 else tuple(ranked({each: self._rank(each) for each in found}))

    def _rank(self, phrase_id: str) -> Rank:
        try:
            length, position = self._concepts[phrase_id]
        except KeyError:
            raise FactUnknown(PhraseTest(phrase_id, "latest").id) from None
        return Rank(-length, 0 if self._phrases is None else -self._phrases.priority(phrase_id), position)

    def header_holds(self, test: HeaderTest) -> bool:
        return self._answer(test)

    def _answer(self, test: HeaderTest | PhraseTest) -> bool:
        answer = self._tests.get(test.id)
        if not isinstance(answer, bool):
            raise FactUnknown(test.id)
        return answer


def _tool(name: str) -> Tool:
    return Tool(name, "web-search" if is_search_name(name) else "function")
