"""JSON schemas as OpenAI's formats and their like want them."""

from __future__ import annotations

from typing import Any, Final

_ABOUT_ITSELF: Final = frozenset({"$schema", "$id"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})


def parameters(schema: dict[str, Any] | None) -> dict[str, Any]:
    """The schema of a tool's arguments: it says that it is an object's and names its properties, even if there are
    none. What a schema says only about itself is left out; some servers refuse it."""
    kept = {name: value for name, value in (schema or {}).items() if name not in _ABOUT_ITSELF}
    return {**kept, "type": "object", "properties": kept.get("properties") or {}}


def is_closed(schema: Any) -> bool:
    """Whether each object of a schema needs all its properties and has no others, as OpenAI's strictness demands."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties, required = schema.get("properties"), schema.get("required")
        names = set(properties) if isinstance(properties, dict) else set()
        needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        if schema.get("additionalProperties") is not False or names != needed:
            return False
    return all(is_closed(value) for name, value in schema.items() if name not in _VALUES)
