"""Reading one table of a parsed file: each key asked for by kind, everything wrong with it collected.

A key that nobody asks for is an error, so the code that reads a table is also the list of its keys. Who asks
gets a value or the default; whether all was well is known from the document's problems in the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar, cast

from router.profile.document import Document
from router.profile.problems import KeyPath, one_of, shown, suggestion
from router.providers.credentials import CredentialSpec

_Word = TypeVar("_Word", bound=str)
_Default = TypeVar("_Default")
_Kept = TypeVar("_Kept")

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d|w)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_TEN_YEARS_S = 3650 * 86400.0
_SIZE = re.compile(r"(\d{1,12})\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)")
_UNIT_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
# Control characters, line ends of all kinds, and marks that turn the direction of the text around them.
_NOT_ORDINARY = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LONGEST_TEXT = 2000
_LARGEST_WHOLE = 10**12


def duration_s(text: str) -> float | None:
    """Seconds of ``"250ms"``, ``"10s"``, ``"30m"``, ``"12h"``, ``"7d"``, ``"2w"``; None if it is none of these."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    seconds = float(match[1]) * _UNIT_S[match[2]]
    return seconds if seconds <= _TEN_YEARS_S else None


def is_ordinary(text: str) -> bool:
    """Whether a name or a sentence can stand in a log or a terminal as it is: one line, no control characters."""
    return bool(text.strip()) and len(text) <= _LONGEST_TEXT and not _NOT_ORDINARY.search(text)


class Table:
    """One table of a document: ``path`` says where it stands."""

    def __init__(self, document: Document, path: KeyPath, values: dict[str, object]) -> None:
        self.document = document
        self.path = path
        self.values = values
        self._asked: set[str] = set()

    # Plain values

    def text(self, key: str) -> str | None:
        """A string that isn't empty and has no control characters."""
        value = self.take(key)
        return None if value is None else self._text(value, (*self.path, key))

    def texts(self, key: str) -> tuple[str, ...]:
        """One string, or a list of them."""
        found = (self._text(value, path) for value, path in self._one_or_many(key))
        return tuple(text for text in found if text is not None)

    def choice(self, key: str, options: Sequence[_Word], default: _Default) -> _Word | _Default:
        """One of a few words."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, str) and value in options:
            return cast(_Word, value)
        hint = suggestion(value, options) if isinstance(value, str) else ""
        self.error(key, f"expected {one_of(options)}, got {shown(value)}{hint}")
        return default

    def boolean(self, key: str, default: _Default) -> bool | _Default:
        value = self.take(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.error(key, f"expected true or false, got {shown(value)}")
        return default

    def whole(self, key: str, default: _Default, *, least: int = 0, most: int = _LARGEST_WHOLE) -> int | _Default:
        """A whole number within bounds, both included."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.error(key, f"expected a whole number, got {shown(value)}")
        elif not least <= value <= most:
            self.error(key, f"expected a whole number {_bounds(least, most, _LARGEST_WHOLE)}, got {shown(value)}")
        else:
            return value
        return default

    def number(
        self, key: str, default: _Default, *, least: int = 0, most: int = _LARGEST_WHOLE, above: bool = False
    ) -> Decimal | _Default:
        """A number within bounds, exact as written; with ``above`` the lower bound isn't included."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.error(key, f"expected a number, got {shown(value)}")
            return default
        number = Decimal(value)
        if number.is_nan() or not least <= number <= most or (above and number == least):
            self.error(
                key, f"expected a number {_bounds(least, most, _LARGEST_WHOLE, above=above)}, got {shown(value)}"
            )
            return default
        return number

    def share(self, key: str, default: float, *, above: bool = False) -> float:
        """A number from 0 to 1."""
        number = self.number(key, None, most=1, above=above)
        return default if number is None else float(number)

    def duration(self, key: str, default: _Default, *, zero: bool = False) -> float | _Default:
        """A length of time in seconds, written with its unit."""
        value = self.take(key)
        if value is None:
            return default
        seconds = duration_s(value) if isinstance(value, str) else None
        if seconds is None or (seconds == 0 and not zero):
            self.error(key, f'expected a duration such as "250ms", "10s", "30m" or "7d", got {shown(value)}')
            return default
        return seconds

    def size(self, key: str, default: int) -> int:
        """A number of bytes: ``"32MiB"``, ``"20MB"``, or a whole number."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            value = int(match[1]) * _UNIT_BYTES[match[2]]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST_WHOLE:
            self.error(key, f'expected a size such as "32MiB", got {shown(value)}')
            return default
        return value

    def credential(self, key: str, kinds: Sequence[str]) -> CredentialSpec | None:
        """A reference to a key. What was found is never repeated: it may be the key itself."""
        value = self.take(key)
        if value is None:
            return None
        try:
            spec = CredentialSpec.parse(value if isinstance(value, str) else "")
        except ValueError as error:
            self.error(key, str(error))
            return None
        if spec.kind not in kinds:
            self.error(key, f'"{spec.kind}" isn\'t possible here; expected {one_of(f"{kind}:…" for kind in kinds)}')
            return None
        return spec

    # Tables and lists

    def table(self, key: str) -> Table | None:
        value = self.take(key)
        if value is None or isinstance(value, dict):
            return None if value is None else Table(self.document, (*self.path, key), value)
        self.error(key, f"expected a table, got {shown(value)}")
        return None

    def tables(self, key: str, header: str) -> tuple[Table, ...]:
        """An array of tables, written as several ``[[header]]``."""
        value = self.take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
            self.error(key, f"expected [[{header}]] tables, got {shown(value)}")
            return ()
        return tuple(Table(self.document, (*self.path, key, index), element) for index, element in enumerate(value))

    def entries(self) -> Iterator[tuple[str, object]]:
        """All keys, where their names are the user's."""
        self._asked.update(self.values)
        yield from self.values.items()

    def values_of(self, key: str) -> tuple[tuple[object, KeyPath], ...]:
        """One value of any kind, or a list of them, each with its path."""
        return tuple(self._one_or_many(key))

    def take(self, key: str) -> object | None:
        """The bare value; None if the key is absent (TOML has no null)."""
        self._asked.add(key)
        return self.values.get(key)

    def has(self, key: str) -> bool:
        return key in self.values

    # Problems

    def error(self, key: str | None, message: str) -> None:
        """A problem of one key, or with None of the table itself."""
        self.document.error(self.path if key is None else (*self.path, key), message)

    def warn(self, key: str | None, message: str) -> None:
        self.document.warn(self.path if key is None else (*self.path, key), message)

    def one_at_most(self, *keys: str) -> None:
        """Keys that say the same thing in different ways."""
        given = [key for key in keys if key in self.values]
        for key in given[1:]:
            self.error(key, f"can't stand beside {given[0]}: use one of them")

    def finish(self, *, elsewhere: Mapping[str, str] | None = None) -> None:
        """Every key that nobody asked for is an error; ``elsewhere`` has a better word for some of them."""
        for key in self.values:
            if key not in self._asked:
                hint = (elsewhere or {}).get(key)
                self.error(key, hint or f"unknown key{suggestion(key, sorted(self._asked))}")

    def _text(self, value: object, path: KeyPath) -> str | None:
        if not isinstance(value, str):
            self.document.error(path, f"expected a string, got {shown(value)}")
        elif not value.strip():
            self.document.error(path, "expected a string, got an empty one")
        elif not is_ordinary(value):
            self.document.error(path, "expected one line of ordinary text")
        else:
            return value
        return None

    def _one_or_many(self, key: str) -> Iterator[tuple[object, KeyPath]]:
        value = self.take(key)
        if isinstance(value, list):
            for index, element in enumerate(value):
                yield element, (*self.path, key, index)
        elif value is not None:
            yield value, (*self.path, key)


def read_table(parent: Table, key: str, read: Callable[[Table], _Kept], default: _Kept) -> _Kept:
    """A sub-table read by ``read`` and checked for unknown keys; the default where it is absent or no table."""
    table = parent.table(key)
    if table is None:
        return default
    kept = read(table)
    table.finish()
    return kept


def _bounds(least: int, most: int, unlimited: int, *, above: bool = False) -> str:
    low = f"above {least}" if above else f"of at least {least}"
    if most == unlimited:
        return low
    return f"{low} and at most {most}" if above else f"from {least} to {most}"
