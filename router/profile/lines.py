"""Where each key of a TOML text stands.

``tomllib`` gives values without their places. This walks the same text once more, only to note the line of every
header, key and list element, so that a problem can say where to look, and where each begins and ends, so that it can be
changed. It trusts that ``tomllib`` has accepted the text (or has accepted it up to where it ends); it decides nothing
about validity itself.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from router.profile.problems import KeyPath

_BLANK = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
_SPACE = re.compile(r"[ \t]*+")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'""")
_STRING = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+""""{0,2}'  # up to two more quotes belong to the text
    r"|'''(?:[^']++|'(?!''))*+''''{0,2}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*+'",
    re.DOTALL,
)
_OTHER = re.compile(r"[^,\]}\n#]++")  # numbers, booleans, dates (which may hold one space)


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """The line (from 1) of each key of a valid TOML text.

    Paths are as in the parsed value: ``("rule", 2, "match", "any", 0)``. A header's line is where it first occurs; the
    elements of arrays of tables and of lists are counted from 0.
    """
    return _Scanner(text).scan().lines


class Statement(NamedTuple):
    """A header, or a key with its value: its path as in ``key_lines``, and where in the text it begins and ends."""

    path: KeyPath
    is_header: bool
    start: int
    end: int


class Layout(NamedTuple):
    """What stands where in a text: its statements in order, and from where to where each key's value goes."""

    statements: tuple[Statement, ...]
    values: Mapping[KeyPath, tuple[int, int]]


def layout(text: str) -> Layout:
    """The layout of a valid TOML text whose lines end in ``\\n``."""
    scanner = _Scanner(text).scan()
    return Layout(tuple(scanner.statements), scanner.values)


def last_key(text: str) -> tuple[KeyPath, int]:
    """The last key or header that begins in ``text``, whose end may be missing."""
    scanner = _Scanner(text)
    with suppress(_Lost):  # only what came before is asked for
        scanner.scan()
    return scanner.last, scanner.last_line


class _Lost(Exception):
    """The text isn't TOML from here on."""


class _Scanner:
    """One walk over one text. ``at`` is the cursor; ``lists`` counts the elements of arrays of tables."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.lists: dict[KeyPath, int] = {}
        self.statements: list[Statement] = []
        self.values: dict[KeyPath, tuple[int, int]] = {}
        self.last: KeyPath = ()
        self.last_line = 1
        self._ends = [match.start() for match in re.finditer("\n", self.text)]

    def scan(self) -> _Scanner:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            start, is_header = self.at, self.text.startswith("[", self.at)
            if self.text.startswith("[[", start):
                table = self._list_header()
            elif is_header:
                table = self._header()
            path = table if is_header else self._pair(table)
            self.statements.append(Statement(path, is_header, start, self._end(start)))
            self._skip(_BLANK)
        return self

    def _header(self) -> KeyPath:
        line = self._line()
        self.at += 1
        path: KeyPath = ()
        for part in self._key():
            path = self._inside((*path, part), line)
        self._note(path, line, last=True)
        self._expect("]")
        return path

    def _list_header(self) -> KeyPath:
        line = self._line()
        self.at += 2
        *parents, name = self._key()
        path: KeyPath = ()
        for part in parents:
            path = self._inside((*path, part), line)
        path = (*path, name)
        self._note(path, line)
        index = self.lists[path] = self.lists.get(path, -1) + 1
        self._note((*path, index), line, last=True)
        self._expect("]]")
        return (*path, index)

    def _inside(self, path: KeyPath, line: int) -> KeyPath:
        """A header's ``[a.b]`` means the newest element where ``a`` is an array of tables."""
        self._note(path, line)
        return (*path, self.lists[path]) if path in self.lists else path

    def _pair(self, table: KeyPath) -> KeyPath:
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path, line)
        self._note(path, line, last=True)
        self._expect("=")
        self._skip(_SPACE)
        start = self.at
        self._value(path)
        self.values[path] = (start, self._end(start))
        return path

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            raw = self._take(_KEY_PART)
            parts.append(str(tomllib.loads(f"k={raw}")["k"]) if raw[0] in "\"'" else raw)
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        match self.text[self.at : self.at + 1]:
            case '"' | "'":
                self._take(_STRING)
            case "[":
                self._list(path)
            case "{":
                self._inline_table(path)
            case _:
                self._take(_OTHER)

    def _list(self, path: KeyPath) -> None:
        self.at += 1
        self._skip(_BLANK)
        index = 0
        while not self.text.startswith("]", self.at):
            element = (*path, index)
            self._note(element, self._line())
            self._value(element)
            self._skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1
                self._skip(_BLANK)
            index += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        self._skip(_SPACE)
        while not self.text.startswith("}", self.at):
            self._pair(path)
            self._skip(_SPACE)
            if self.text.startswith(",", self.at):
                self.at += 1
                self._skip(_SPACE)
        self.at += 1

    def _note(self, path: KeyPath, line: int, *, last: bool = False) -> None:
        self.lines.setdefault(path, line)
        if last:
            self.last, self.last_line = path, line

    def _end(self, start: int) -> int:
        """Where what begins at ``start`` and was just passed ends: spaces behind it aren't part of it."""
        return start + len(self.text[start : self.at].rstrip())

    def _line(self) -> int:
        return bisect_right(self._ends, self.at - 1) + 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self.text, self.at):
            self.at = match.end()

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _Lost
        self.at = match.end()
        return match.group()

    def _expect(self, text: str) -> None:
        if not self.text.startswith(text, self.at):
            raise _Lost
        self.at += len(text)
