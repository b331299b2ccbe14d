"""JSON schemas as OpenAI's formats and their like want them."""

from __future__ import annotations

from typing import Any, Final

from router.wire.conversation import OutputFormat
from router.wire.tool_table import legal

_ABOUT_ITSELF: Final = frozenset({"$schema", "$id"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})
"""Keys of a schema that hold values instead of schemas."""


def parameters(schema: dict[str, Any] | None) -> dict[str, Any]:
    """The schema of a tool's arguments: it says that it is an object's and names its properties, even if there are
    none. What a schema says only about itself is left out; some servers refuse it."""
    kept = {name: value for name, value in (schema or {}).items() if name != "type" and name not in _ABOUT_ITSELF}
    return {"type": "object", **kept, "properties": kept.get("properties") or {}}


def named(output: OutputFormat) -> dict[str, Any]:
    """The schema of an answer, under a name: OpenAI wants one and limits what it may be."""
    shown: dict[str, Any] = {"name": legal(output.name or "output", None, 64)}
    if output.description is not None:
        shown["description"] = output.description
    return {**shown, "schema": {name: value for name, value in (output.schema or {}).items() if name != "$schema"}}


def is_closed(schema: Any) -> bool:
    """Whether each object of a schema needs all its properties and has no others, as OpenAI's strictness demands."""
    waiting = [schema]  # walked without recursion: clients' schemas may be nested deeply
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if (value.get("type") == "object" or "properties" in value) and not _is_closed_object(value):
                return False
            waiting += (inner for name, inner in value.items() if name not in _VALUES)
    return True


def _is_closed_object(schema: dict[str, Any]) -> bool:
    properties, required = schema.get("properties"), schema.get("required")
    names = set(properties) if isinstance(properties, dict) else set()
    needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    return schema.get("additionalProperties") is False and names == needed
