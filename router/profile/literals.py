"""Values and keys as TOML writes them, each on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DELETE = "\x7f"  # the one control character that JSON leaves as it is and TOML doesn't take


def literal(value: object) -> str:
    """A value: text, number, boolean, a list, or a table (inline). Raises TypeError for anything else."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float() | Decimal():
            return str(value)
        case Mapping():
            inner = ", ".join(f"{key(str(name))} = {literal(each)}" for name, each in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Sequence():
            return f"[{', '.join(map(literal, value))}]"
        case _:
            raise TypeError(f"TOML has no {type(value).__name__}")


def key(*names: str) -> str:
    """A key or a header's name, its parts joined by dots; quoted where they must be."""
    return ".".join(name if _BARE_KEY.fullmatch(name) else _text(name) for name in names)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace(_DELETE, "\\u007f")
