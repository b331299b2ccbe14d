"""What is wrong with a file: one line a problem, all of them at once.

Everything that reads a file of the user's collects these instead of raising at the first; the server's log, `/health`,
`router status` and `router check` show them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Literal

from router.providers.credentials import looks_like_key

Severity = Literal["error", "warning"]
KeyPath = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 60
_MOST_COMPARED = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one file. ``line`` counts from 1; ``path`` names the key (``rule[2].match.model-equals``).

    A file with an ``error`` isn't used; with a ``warning`` it is.
    """

    file: str
    line: int | None
    path: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


def key_text(path: Iterable[str | int]) -> str:
    """A key as a person writes it: ``("rule", 2, "match")`` is ``rule[2].match``; odd names are quoted as in TOML."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (
                part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            )
    return text


def shown(value: object) -> str:
    """A found value for a message: short, quoted as in TOML, and never a credential."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() if looks_like_key(value.removeprefix("Bearer ")):
            return "something that looks like a key"
        case str():
            short = value if len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 1] + "…"
            return json.dumps(short, ensure_ascii=False)
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case int() if abs(value) > 10**_LONGEST_SHOWN:
            return "a very large number"
        case _:
            return str(value)[:_LONGEST_SHOWN]


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean "model"?`` for a near miss among ``known``, else nothing."""
    close = get_close_matches(wrong[:100], list(islice(known, _MOST_COMPARED)), n=1, cutoff=0.6)
    return f"; did you mean {json.dumps(close[0], ensure_ascii=False)}?" if close else ""


def one_of(options: Iterable[str]) -> str:
    """``"a", "b" or "c"``."""
    quoted = [json.dumps(option, ensure_ascii=False) for option in options]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
