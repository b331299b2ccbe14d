"""Keys set and removed in a TOML file, comments and order kept."""

from __future__ import annotations

import tomllib
from collections.abc import MutableMapping, Sequence
from typing import Any

from router.agents.form_error import FormError


def parse(text: str) -> dict[str, Any]:
    """What the text holds. Raises FormError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = str(error).rpartition("line ")[2].partition(",")[0]
        raise FormError(int(line) if line.isdigit() else text.count("\n") + 1, str(error)) from error


def set_value(text: str, path: Sequence[str], value: object) -> str:
    """The text with ``value`` under ``path``; tables on the way are made. Raises FormError."""
    import tomlkit  # takes a while to import, and only changes need it

    parse(text)
    document = tomlkit.parse(text)
    table: MutableMapping[str, Any] = document
    for number, key in enumerate(path[:-1]):
        inner = table.get(key)
        if inner is None:
            inner = tomlkit.table(is_super_table=number < len(path) - 2)
            table[key] = inner
            inner = table[key]
        if not isinstance(inner, MutableMapping):
            raise FormError(1, f'expected a table under "{key}"')
        table = inner
    table[path[-1]] = value
    return tomlkit.dumps(document)


def remove(text: str, path: Sequence[str]) -> str:
    """The text without what stands under ``path``, if anything does. Raises FormError."""
    import tomlkit

    parse(text)
    document = tomlkit.parse(text)
    table: Any = document
    for key in path[:-1]:
        table = table.get(key) if isinstance(table, MutableMapping) else None
    if not isinstance(table, MutableMapping) or path[-1] not in table:
        return text
    del table[path[-1]]
    return tomlkit.dumps(document)
