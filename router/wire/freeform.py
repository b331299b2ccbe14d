"""Freeform tools for targets that know only functions: a function with one string field, and back.

A client that offered a freeform tool (Codex's ``apply_patch``) must see calls of it with the raw input, streamed. So
the arguments ``{"input": "…"}`` are taken apart as they arrive, a JSON string decoded piece by piece.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from router.wire.conversation import Tool

FIELD: Final = "input"
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {FIELD: {"type": "string", "description": "The tool's whole input, as raw text."}},
    "required": [FIELD],
    "additionalProperties": False,
}

_OPENING: Final = re.compile(r'\s*\{\s*"' + FIELD + r'"\s*:\s*"')
_OPENING_SO_FAR: Final = re.compile(r'\s*(?:\{\s*(?:"(?:i(?:n(?:p(?:u(?:t(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?\Z')
_LONGEST_OPENING: Final = 100
_STOP: Final = re.compile(r'["\\]')
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def as_function(tool: Tool) -> Tool:
    """The function that stands for a freeform tool. A grammar becomes part of its description."""
    description = tool.description or ""
    grammar = tool.grammar or {}
    if isinstance(grammar.get("definition"), str):
        syntax = grammar.get("syntax") or "grammar"
        description = f"{description}\n\nThe input must follow this {syntax}:\n{grammar['definition']}".strip()
    return Tool(
        name=tool.name, description=description or None, schema=SCHEMA, namespace=tool.namespace, cache=tool.cache
    )


def wrapped(text: str) -> str:
    """Raw input as the arguments of the function."""
    return msgspec.json.encode({FIELD: text}).decode()


def unwrapped(arguments: str) -> str:
    """The raw input of finished arguments; whatever isn't the function's shape is the input itself."""
    reader = InputReader()
    return reader.feed(arguments) + reader.finish()


class InputReader:
    """Takes fragments of ``{"input": "…"}``, gives out the decoded text as far as it is known.

    Arguments of another shape are given out as they are at the end: the client's own parser is to judge them.
    """

    def __init__(self) -> None:
        self._raw = ""  # everything, until the opening was seen
        self._other: list[str] = []  # everything, of arguments of another shape
        self._rest = ""  # a cut escape
        self._high = ""  # the first half of a surrogate pair
        self._state = "opening"

    def feed(self, fragment: str) -> str:
        """The text that these arguments complete."""
        if self._state == "opening":
            self._raw += fragment
            opening = _OPENING.match(self._raw)
            if opening is None or opening.end() > _LONGEST_OPENING:
                if len(self._raw) > _LONGEST_OPENING or not _OPENING_SO_FAR.match(self._raw):
                    self._state = "other"
                    self._other.append(self._raw)
                return ""
            self._state = "text"
            fragment = self._raw[opening.end() :]
        elif self._state == "other":
            self._other.append(fragment)
        return self._text(fragment) if self._state == "text" else ""

    def finish(self) -> str:
        """What is left at the end of the arguments."""
        if self._state in ("text", "done"):
            return self._pair("")
        left = "".join(self._other) or self._raw
        return "" if left.strip() in ("", "{}") else left

    def _text(self, fragment: str) -> str:
        source = self._rest + fragment
        self._rest = ""
        out: list[str] = []
        cursor = 0
        while (stop := _STOP.search(source, cursor)) is not None:
            if stop.start() > cursor:
                out.append(self._pair("") + source[cursor : stop.start()])
            if stop[0] == '"':
                self._state = "done"
                out.append(self._pair(""))
                return "".join(out)
            width = 6 if source[stop.start() + 1 : stop.start() + 2] == "u" else 2
            escape = source[stop.start() : stop.start() + width]
            if len(escape) < width:
                self._rest = source[stop.start() :]
                return "".join(out)
            out.append(self._escape(escape))
            cursor = stop.start() + width
        if cursor < len(source):
            out.append(self._pair("") + source[cursor:])
        return "".join(out)

    def _escape(self, escape: str) -> str:
        if escape[1] != "u":
            return self._pair("") + _ESCAPES.get(escape[1], escape)
        digits = escape[2:]
        return self._pair(chr(int(digits, 16))) if _HEX.fullmatch(digits) else self._pair("") + escape

    def _pair(self, char: str) -> str:
        """A character behind a waiting half of a surrogate pair; a half that stays alone becomes U+FFFD."""
        high, self._high = self._high, ""
        if "\ud800" <= char <= "\udbff":
            self._high = char
            return "\ufffd" if high else ""
        if "\udc00" <= char <= "\udfff":
            return (high + char).encode("utf-16", "surrogatepass").decode("utf-16") if high else "\ufffd"
        return ("\ufffd" if high else "") + char
