"""Reading the values of a ``match`` table: every problem is reported, none is raised.

A reader returns ``None`` after it reported. Messages say what was expected and what was found.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches

from router.routing.concepts import PhraseRegistry
from router.wire.request import TextScope

Path = tuple[str | int, ...]
Report = Callable[[Path, str], None]

_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, and what its conditions may refer to. ``scope`` is the table's ``keywords-in``."""

    path: Path
    report: Report
    concepts: Collection[str]
    phrases: PhraseRegistry
    scope: TextScope = "latest"

    def at(self, *keys: str | int) -> Place:
        """The same, deeper in the file."""
        return replace(self, path=(*self.path, *keys))

    def problem(self, message: str) -> None:
        self.report(self.path, message)

    def expected(self, what: str, value: object) -> None:
        self.problem(f"expected {what}, got {shown(value)}")


def shown(value: object) -> str:
    """A found value as TOML would write it, shortened."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            short = value if len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 1] + "…"
            return json.dumps(short, ensure_ascii=False)
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case _:
            return str(value)[:_LONGEST_SHOWN]


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean "model"?`` for a near miss, else nothing."""
    close = get_close_matches(wrong[:100], list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def read_flag(place: Place, value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    place.expected("true or false", value)
    return None


def read_whole(place: Place, value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    place.expected("a whole number", value)
    return None


def read_share(place: Place, value: object) -> float | None:
    """A share such as 0.8; a budget can be overspent, so it may exceed 1."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and 0 <= value <= 1_000_000:
        return float(value)
    place.expected("a share such as 0.8", value)
    return None


def read_words(place: Place, value: object) -> tuple[str, ...] | None:
    """A string or a list of strings, none empty, at least one; in the order written, each once."""
    if isinstance(value, str):
        return (value,) if _not_blank(place, value) else None
    if not isinstance(value, list | tuple):
        place.expected("a string or a list of strings", value)
        return None
    if not value:
        place.problem("expected at least one string, got an empty list")
        return None
    words: list[str] = []
    for index, word in enumerate(value):
        inner = place.at(index)
        if not isinstance(word, str):
            inner.expected("a string", word)
        elif _not_blank(inner, word):
            words.append(word)
    return tuple(dict.fromkeys(words)) if len(words) == len(value) else None


def read_choice(place: Place, value: object, choices: Collection[str]) -> tuple[str, ...] | None:
    """Like ``read_words``, each one of ``choices``."""
    words = read_words(place, value)
    wrong = [word for word in words or () if word not in choices]
    for word in wrong:
        place.problem(f"expected one of {', '.join(choices)}, got {shown(word)}{suggestion(word, choices)}")
    return None if wrong else words


def glob(patterns: Iterable[str]) -> re.Pattern[str]:
    """Any of some globs (``*``, ``?``, ``[abc]``) as one pattern, case-sensitive, for ``fullmatch``."""
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))


def quoted(words: Iterable[str]) -> str:
    """Words for a condition's text: one in quotes, several as a list; ASCII."""
    texts = [json.dumps(word) for word in words]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def ascii_text(value: str) -> str:
    """A value seen, quoted, short, ASCII."""
    short = value if len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 3] + "..."
    return json.dumps(short)


def _not_blank(place: Place, word: str) -> bool:
    if word.strip():
        return True
    place.expected("a string with text in it", word)
    return False
