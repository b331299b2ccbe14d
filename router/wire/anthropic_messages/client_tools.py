"""Anthropic's tools that run at the client, written out as functions for models that weren't trained on them.

A client names only their type (``bash_20250124``); their arguments are fixed by Anthropic's documentation: bash tool,
text editor tool, memory tool. Later versions of a type are taken to be the newest known one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple


class Written(NamedTuple):
    """A typed tool as a function."""

    description: str
    schema: dict[str, Any]


def written(kind: str, tool: Mapping[str, Any]) -> Written | None:
    """The function for a tool of type ``kind``; ``None`` where it isn't one of these tools."""
    make = next((make for prefix, make in _TOOLS.items() if kind.startswith(prefix)), None)
    return None if make is None else make(kind, tool)


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _string(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _command(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words), "description": "What to do."}


_LINES: Final = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "For view of a file: first and last line, counted from 1; -1 as last line is the end of the file.",
}
_FILE_TEXT: Final = _string("For create: the whole text of the new file.")
_OLD: Final = _string("For str_replace: the text to replace. It must stand in the file exactly once.")
_INSERT_LINE: Final = {"type": "integer", "description": "For insert: the line to insert behind; 0 is the beginning."}
_INSERT_TEXT: Final = _string("For insert: the text to insert.")


def _bash(kind: str, tool: Mapping[str, Any]) -> Written:
    return Written(
        "Run a command in a bash shell that stays open between calls: its directory and variables are kept.",
        {
            "type": "object",
            "properties": {
                "command": _string("The command to run. Needed unless restart is true."),
                "restart": {"type": "boolean", "description": "True: start the shell anew instead."},
            },
        },
    )


def _text_editor(kind: str, tool: Mapping[str, Any]) -> Written:
    old = kind in ("text_editor_20241022", "text_editor_20250124")
    properties = {
        "command": _command("view", "create", "str_replace", "insert", *(("undo_edit",) if old else ())),
        "path": _string("The file or directory."),
        "view_range": _LINES,
        "file_text": _FILE_TEXT,
        "old_str": _OLD,
    }
    if old:
        properties["new_str"] = _string(
            "For str_replace: the text to put in its place. For insert: the text to insert."
        )
    else:
        # Claude 4 calls the inserted text otherwise: anthropic-sdk-python issue 1155.
        properties["new_str"] = _string("For str_replace: the text to put in its place.")
    properties["insert_line"] = _INSERT_LINE
    if not old:
        properties["insert_text"] = _INSERT_TEXT
    description = "View, create and edit text files. A view shows the lines with their numbers."
    limit = tool.get("max_characters")
    if isinstance(limit, int) and not isinstance(limit, bool):
        description += f" It is cut after {limit} characters."
    return Written(description, _object(properties, "command", "path"))


def _memory(kind: str, tool: Mapping[str, Any]) -> Written:
    properties = {
        "command": _command("view", "create", "str_replace", "insert", "delete", "rename"),
        "path": _string("The file or directory, below /memories. Not for rename."),
        "view_range": _LINES,
        "file_text": _FILE_TEXT,
        "old_str": _OLD,
        "new_str": _string("For str_replace: the text to put in its place."),
        "insert_line": _INSERT_LINE,
        "insert_text": _INSERT_TEXT,
        "old_path": _string("For rename: the present path."),
        "new_path": _string("For rename: the new path."),
    }
    return Written(
        "Keep notes in files below /memories, which last longer than this conversation. View /memories before other "
        "work to see what is known already, and write down what will be of use later.",
        _object(properties, "command"),
    )


_TOOLS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], Written]]] = {
    "bash_": _bash,
    "text_editor_": _text_editor,
    "memory_": _memory,
}
