"""Words to look for: keyword lists of rules, and concepts, each with synonyms in a Markdown file of its own.

All of a profile's words are found in one pass over a text, by one automaton (``Phrases``). Text and words are compared
as a person would: upper and lower case alike, whatever the Unicode spelling, any white space as one space, and on word
boundaries. A phrase list is named by its ``phrase_id``, a string that says what is looked for; the ledger keeps the
result under that name, so a list that was changed since isn't mistaken for the old one.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, NamedTuple

from ahocorasick_rs import AhoCorasick

from router.routing.rules import Target

_PROPERTY: Final = re.compile(r"\s*(?:[-*+]\s+)?([A-Za-z][\w-]*)::(?:\s+(.*?))?\s*")
_HEADING: Final = re.compile(r"#{1,6}\s+(.+?)\s*#*\s*")
_KEYS: Final = ("synonyms", "priority", "route")

# Scripts written without spaces between words: there a word boundary can't be asked for.
_SPACELESS: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Concept:
    """One ``concepts/NAME.md``. ``routes`` are the first target and its fallbacks, ``route_lines`` where they stand."""

    name: str
    title: str
    synonyms: tuple[str, ...] = ()
    priority: int = 0
    routes: tuple[Target, ...] = ()
    route_lines: tuple[int, ...] = ()


def parse_concept(name: str, text: str, report: Callable[[int, str], None]) -> Concept:
    """Read a concept's file; ``report(line, message)`` is called for every problem, lines counting from 1."""
    title: str | None = None
    synonyms: list[str] = []
    priority: int | None = None
    routes: list[tuple[int, Target]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if title is None and (heading := _HEADING.fullmatch(line)):
            title = heading[1]
            continue
        found = _PROPERTY.fullmatch(line)
        if found is None:
            continue
        key, value = found[1].lower(), (found[2] or "").strip()
        match key:
            case "synonyms":
                words = [word for word in (part.strip() for part in value.split(",")) if word]
                unfindable = [word for word in words if not fold(word)]
                if not words or unfindable:
                    report(number, f"synonyms:: expected words separated by commas, got {_shown(value)}")
                synonyms += [word for word in words if word not in unfindable]
            case "priority":
                if priority is not None:
                    report(number, "priority:: is given twice")
                priority = _read_priority(value, number, report)
            case "route":
                provider, _, model = (part.strip() for part in value.partition(","))
                if not provider or "," in model:
                    report(number, f"route:: expected provider, model; got {_shown(value)}")
                else:
                    routes.append((number, Target(provider, model or None)))
            case _ if close := get_close_matches(key, _KEYS, n=1, cutoff=0.75):
                report(number, f"unknown property {key}::; did you mean {close[0]}::?")
    if not synonyms:
        report(1, "no synonyms:: line, so the concept can never occur")
    return Concept(
        name,
        title or name,
        tuple(dict.fromkeys(synonyms)),
        priority or 0,
        tuple(target for _, target in routes),
        tuple(line for line, _ in routes),
    )


class Rank(NamedTuple):
    """How strongly a concept occurs; sorts the strongest first."""

    minus_length: int
    minus_priority: int
    position: int


class Found(NamedTuple):
    """What one text holds: phrase ids, and those of concepts with their ranks, the strongest first (longest match, then
    priority, then position)."""

    ids: frozenset[str]
    concepts: Mapping[str, Rank]


NOTHING: Final = Found(frozenset(), {})


def ranked(ranks: Mapping[str, Rank]) -> list[str]:
    """Concepts by their phrase ids, the strongest first."""
    return sorted(ranks, key=lambda phrase_id: (ranks[phrase_id], phrase_id))


@dataclass(slots=True)
class PhraseRegistry:
    """Collects every phrase list of a profile while it is compiled; ``build`` makes the automaton."""

    _owners: dict[str, set[str]] = field(default_factory=dict)  # folded phrase -> phrase ids
    _concepts: dict[str, str] = field(default_factory=dict)  # concept name -> phrase id
    _priorities: dict[str, int] = field(default_factory=dict)  # phrase id of a concept -> priority
    _lists: dict[str, None] = field(default_factory=dict)

    def add_keywords(self, words: Sequence[str]) -> str | None:
        """Register a keyword list; its phrase id, or ``None`` if nothing in it can be looked for."""
        phrases = sorted({folded for word in words if (folded := fold(word))})
        if not phrases:
            return None
        phrase_id = f"keywords:{json.dumps(phrases, separators=(',', ':'))}"
        self._register(phrase_id, phrases)
        return phrase_id

    def add_concept(self, concept: Concept) -> str:
        """Register a concept; its phrase id, which changes with its synonyms."""
        phrases = sorted({folded for word in concept.synonyms if (folded := fold(word))})
        digest = hashlib.sha256(json.dumps(phrases).encode()).hexdigest()[:8]
        phrase_id = f"concept:{concept.name}@{digest}"
        self._concepts[concept.name] = phrase_id
        self._priorities[phrase_id] = concept.priority
        self._register(phrase_id, phrases)
        return phrase_id

    def concept_id(self, name: str) -> str:
        """The phrase id of a registered concept."""
        return self._concepts[name]

    def build(self) -> Phrases:
        owners = {phrase: tuple(sorted(ids)) for phrase, ids in self._owners.items()}
        return Phrases(owners, dict(self._concepts), dict(self._priorities), tuple(self._lists))

    def _register(self, phrase_id: str, phrases: Iterable[str]) -> None:
        self._lists[phrase_id] = None
        for phrase in phrases:
            self._owners.setdefault(phrase, set()).add(phrase_id)


class Phrases:
    """All keywords and synonyms of a profile; finds which lists occur in a text. Build it with ``PhraseRegistry``."""

    __slots__ = ("_automaton", "_owners", "_priorities", "concept_ids", "ids")

    def __init__(
        self,
        owners: Mapping[str, tuple[str, ...]],
        concept_ids: Mapping[str, str],
        priorities: Mapping[str, int],
        ids: tuple[str, ...],
    ) -> None:
        self.ids = ids
        self.concept_ids = concept_ids  # by concept name
        self._priorities = priorities
        self._owners = tuple(owners.values())
        self._automaton = AhoCorasick(list(owners)) if owners else None

    def find(self, text: str) -> frozenset[str]:
        """The phrase ids of which at least one phrase occurs."""
        return self.search(text).ids

    def search(self, text: str) -> Found:
        """Everything that occurs, in one pass."""
        if self._automaton is None or not text:
            return NOTHING
        ids: set[str] = set()
        ranks: dict[str, Rank] = {}
        for owners, start, end in self._matches(text):
            ids.update(owners)
            for phrase_id in owners:
                if (priority := self._priorities.get(phrase_id)) is not None:
                    rank = Rank(start - end, -priority, start)
                    ranks[phrase_id] = min(rank, ranks.get(phrase_id, rank))
        return Found(frozenset(ids), {phrase_id: ranks[phrase_id] for phrase_id in ranked(ranks)})

    def priority(self, phrase_id: str) -> int:
        """A concept's priority."""
        return self._priorities.get(phrase_id, 0)

    def _matches(self, text: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
        """Every occurrence on word boundaries, overlapping ones too: a list's word may stand inside another list's."""
        assert self._automaton is not None
        folded = fold(text)
        last = len(folded)
        for index, start, end in self._automaton.find_matches_as_indexes(folded, overlapping=True):
            joined_before = start > 0 and _is_word(folded[start]) and _is_word(folded[start - 1])
            joined_after = end < last and _is_word(folded[end - 1]) and _is_word(folded[end])
            if not joined_before and not joined_after:
                yield self._owners[index], start, end


def fold(text: str) -> str:
    """The form in which text and words are compared."""
    if text.isascii():
        folded = text.lower()
    else:
        # Case folding can undo a normal form and the other way round (Unicode, section 3.13): normalise on both sides.
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def _is_word(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character == "_"
    if _SPACELESS.match(character):
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _read_priority(value: str, line: int, report: Callable[[int, str], None]) -> int:
    if value.isascii() and value.isdigit() and len(value) < 4 and int(value) <= 100:
        return int(value)
    report(line, f"priority:: expected a whole number from 0 to 100, got {_shown(value)}")
    return 0


def _shown(value: str) -> str:
    return json.dumps(value if len(value) <= 60 else value[:59] + "…", ensure_ascii=False)
