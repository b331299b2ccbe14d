"""What an export says, whatever it looks like: a line for each thing that was counted or charged in a stretch of time.

A form of export (``Form``) is known by fields that only it has. ``anthropic.py`` and ``openai.py`` have the forms,
``reading.py`` finds out which one a file is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from router.reconciling.amounts import Billed
from router.reconciling.fields import Fields

DAY_MS: Final = 86_400_000

Maker = Literal["anthropic", "openai"]
NAMES: Final[Mapping[Maker, str]] = {"anthropic": "Anthropic", "openai": "OpenAI"}
Told = Literal["usage", "embeddings", "costs"]
Subject = Literal["model", "all", "batch", "apart"]


# When a line begins, in milliseconds, and the names and values of what it is about.
Identity = tuple[int, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its UTC day, what it is about and how much of it.

    ``model`` is a model as the provider calls it; of ``batch`` in batches, which never go through the router. For
    ``all`` models together it is empty, for ``apart`` the name of what isn't a model's ("web search"). ``identity``
    tells the line from every other one of such exports; ``key`` are the names of the API key, where the export has it.
    """

    day: str
    model: str
    amounts: Billed
    subject: Subject = "model"
    identity: Identity = (0, ())
    key: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """One form of export, of what it tells (``told``).

    ``marks`` are fields by which it is known; a row that has all of them is in this form. ``names`` are those that tell
    what a row is about, ``amounts`` those that tell how much, any other is ignored. ``line`` reads the row of a stretch
    of time that begins at a day.
    """

    maker: Maker
    told: Told
    title: str
    marks: frozenset[str]
    names: frozenset[str]
    amounts: frozenset[str]
    line: Callable[[Fields, str], Line]
    keys: tuple[str, ...] = ()  # the fields that name the API key

    def takes(self, values: Mapping[str, Any]) -> bool:
        """Whether a row is in this form."""
        return self.marks <= values.keys()

    def read(self, fields: Fields, since_ms: int) -> Line:
        """A row as a line. Raises ConfigError."""
        line = self.line(fields, utc_day(since_ms))
        values = fields.values
        named = tuple((name, str(values[name])) for name in sorted(self.names) if values.get(name) not in (None, ""))
        key = tuple(str(values[name]) for name in self.keys if values.get(name)) if self.keys else None
        return Line(line.day, line.model, line.amounts, line.subject, (since_ms, named), key)

    def ignored(self, names: Mapping[str, Any]) -> set[str]:
        """The fields that mean nothing here."""
        return {name for name in names if name not in self.names | self.amounts | self.marks}


@dataclass(frozen=True, slots=True)
class Export:
    """What one file has of one form. ``told`` is None where it has nothing but days without any row.

    ``since_ms`` to ``until_ms`` is the time that it is of, whether anything happened or not. ``unfinished``: there are
    further pages that the file doesn't have.
    """

    file: str
    maker: Maker
    told: Told | None
    title: str
    lines: tuple[Line, ...]
    since_ms: int
    until_ms: int
    unfinished: bool = False
    notes: tuple[str, ...] = ()


def utc_day(time_ms: int) -> str:
    """``2026-11-01``."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
