"""Declared changes to a request: a rule's ``set``, in neutral names or as written, rendered for one format.

A format says where each neutral name stands in its body (``Places``); what is written for a nested place keeps its
neighbours. Any other name is the body's own, at its top level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from router.wire.body import Body

NEUTRAL_NAMES: Final = ("temperature", "top-p", "top-k", "max-tokens", "stop", "effort")

Places = Mapping[str, tuple[str, ...]]
"""Neutral name to the path of keys in a body; a name without a place can't be said in the format."""

# TOML numbers arrive as Decimal and must become numbers again, with the digits they were written with.
_encode = msgspec.json.Encoder(decimal_format="number").encode


def render(body: Body, values: Mapping[str, object], places: Places) -> dict[str, bytes]:
    """Top-level fields to set, as raw JSON. Neutral names without a place are left out (see ``unplaced``)."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        path = places.get(name, () if name in NEUTRAL_NAMES else (name,))
        if not path:
            continue
        top, *below = path
        if not below:
            fields[top] = value
            continue
        current = fields.get(top, body.get(top))
        table = fields[top] = dict(current) if isinstance(current, dict) else {}
        for key in below[:-1]:
            inner = table.get(key)
            table[key] = table = dict(inner) if isinstance(inner, dict) else {}
        table[below[-1]] = value
    return {name: _encode(value) for name, value in fields.items()}


def unplaced(values: Mapping[str, object], places: Places) -> tuple[str, ...]:
    """The neutral names among ``values`` that the format has no word for."""
    return tuple(name for name in values if name in NEUTRAL_NAMES and name not in places)


def as_list(value: object) -> list[object]:
    """``stop`` as the list that some formats require."""
    return list(value) if isinstance(value, list | tuple) else [value]
