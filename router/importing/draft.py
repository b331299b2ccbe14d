"""The profile that an import is making: its tables, its secrets, and a note on everything that it met.

Every importer fills one of these; `router import` writes it and shows the notes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from router.profile.literals import key, literal

Values = dict[str, Any]
Kind = Literal["carried", "changed", "left out"]


class Note(NamedTuple):
    """What became of one part of the source. ``what`` is its key there, ``why`` a sentence for the person."""

    kind: Kind
    what: str
    why: str


@dataclass
class Draft:
    """``source`` names the program. ``settings`` are whole tables such as ``retry``; ``env`` becomes the ``.env``."""

    source: str
    settings: dict[str, Values] = field(default_factory=dict)
    providers: dict[str, Values] = field(default_factory=dict)
    rules: list[Values] = field(default_factory=list)
    default: Values | None = None
    aliases: dict[str, Values] = field(default_factory=dict)
    prices: dict[str, Values] = field(default_factory=dict)
    models: dict[str, Values] = field(default_factory=dict)
    tests: list[Values] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def carried(self, what: str, why: str) -> None:
        """It means the same here."""
        self.notes.append(Note("carried", what, why))

    def changed(self, what: str, why: str) -> None:
        """It came over and isn't quite what it was."""
        self.notes.append(Note("changed", what, why))

    def left_out(self, what: str, why: str) -> None:
        """It has no place here."""
        self.notes.append(Note("left out", what, why))

    def unknown(self, table: Mapping[str, Any], known: set[str], where: str = "") -> None:
        """A note on every key that the importer doesn't know."""
        for name in table:
            if name not in known:
                self.left_out(f"{where}.{name}" if where else str(name), "this import doesn't know it")

    def secret(self, hint: str, value: str) -> str:
        """A key that the source holds in clear; the reference under which a profile may name it."""
        base = re.sub(r"[^A-Z0-9]+", "_", hint.upper()).strip("_") or "IMPORTED"
        name, number = f"{base}_KEY", 1
        while self.env.get(name, value) != value:
            number += 1
            name = f"{base}_KEY_{number}"
        self.env[name] = value
        return f"env:{name}"

    def files(self) -> dict[str, str]:
        """The profile's files, by name."""
        files = {"routing.toml": self._text()}
        if self.env:
            files[".env"] = "".join(f"{name}={_quoted(value)}\n" for name, value in self.env.items())
        return files

    def _text(self) -> str:
        head = [f"# Made by `router import` from the configuration of {self.source}.", "version = 1"]
        parts = ["\n".join(head)]
        parts += [_table(f"[{name}]", values) for name, values in self.settings.items()]
        parts += [_table(f"[{key('providers', name)}]", values) for name, values in self.providers.items()]
        parts += [_table(f"[{key('models', name)}]", values) for name, values in self.models.items()]
        parts += [_table(f"[{key('prices', name)}]", values) for name, values in self.prices.items()]
        parts += [_table("[[rule]]", values) for values in self.rules]
        if self.default is not None:
            parts.append(_table("[default]", self.default))
        if self.aliases:
            parts.append(_table("[aliases]", self.aliases))
        parts += [_table("[[test]]", values) for values in self.tests]
        return "\n\n".join(parts) + "\n"


def _table(header: str, values: Mapping[str, Any]) -> str:
    return "\n".join([header, *(f"{key(name)} = {literal(value)}" for name, value in values.items())])


def _quoted(value: str) -> str:
    """As a ``.env`` file takes it: what isn't plain stands in quotes."""
    if re.fullmatch(r"[\w./:@%+,=-]*", value):
        return value
    if "'" not in value and "\n" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
