"""What a rule is called in reports, and what makes it the same rule.

The label is for people and unique within a profile; the hash is of the rule's meaning, so an edited rule starts a new
row.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final
from urllib.parse import quote

ARROW: Final = "→"
NO_ROUTE: Final = "(none)"
"""The label of requests that were refused before a rule took them."""

_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F)))


def with_provider(what: str, provider: str | None) -> str:
    """``tool-use → anthropic``; just ``what`` where there is no target."""
    return f"{what} {ARROW} {provider}" if provider else what


def number_equal(labels: Iterable[str]) -> list[str]:
    """Labels made unique in their order: the second of two equal ones gets ``#2``, the third ``#3``."""
    unique: list[str] = []
    taken: set[str] = set()
    counts: dict[str, int] = {}
    for label in labels:
        numbered = label
        while numbered in taken:  # a rule may have been named "x #2"
            counts[label] = counts.get(label, 1) + 1
            numbered = f"{label} #{counts[label]}"
        taken.add(numbered)
        unique.append(numbered)
    return unique


def header_form(label: str) -> str:
    """A label as the value of a header: ``→`` as ``->``, what isn't printable ASCII percent-encoded as UTF-8."""
    return quote(label.replace(ARROW, "->"), safe=_PRINTABLE)


def meaning_hash(meaning: object) -> str:
    """12 hex digits of a meaning, given as JSON values; the order of keys makes no difference."""
    text = json.dumps(_plain(meaning), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: object) -> object:
    """The same value in JSON's own types: 1, 1.0 and a decimal 1.0 are one number."""
    match value:
        case Mapping():
            return {str(key): _plain(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_plain(entry) for entry in value]
        case Decimal() | float():
            return int(value) if math.isfinite(value) and value == int(value) else float(value)
        case _:
            return value
