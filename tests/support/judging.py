"""Drafts and questions for tests of judging."""

from __future__ import annotations

import json
from typing import Any

from router.routing.judging import Draft, Judgement
from router.wire.conversation import Tool, ToolCall
from router.wire.events import Stop

READ = Tool("Read", schema={"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})
WRITE = Tool("Write", schema={"type": "object"})
PATCH = Tool("patch", custom=True)
LISTED = Tool("list", namespace="files")
TOOLS = (READ, WRITE, PATCH, LISTED)


def call(name: str, arguments: object = None, **more: Any) -> ToolCall:
    return ToolCall("c1", name, arguments if isinstance(arguments, str) else json.dumps(arguments or {}), **more)


def reading(path: str = "/a.py") -> ToolCall:
    return call("Read", {"path": path})


def calling(*calls: ToolCall) -> Draft:
    return Draft(calls=calls, stop="tool-use")


def saying(text: str, stop: Stop | None = "end") -> Draft:
    return Draft((text,), stop=stop)


def seen(judgement: Judgement, name: str) -> str:
    """What a check says against a draft; empty where it says nothing."""
    return next((check.reason for check in judgement.checks if check.name == name and check.factor < 1), "")
