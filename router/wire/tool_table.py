"""The tools of one request under the names the target knows, and the way back.

Formats limit what a tool may be called, most know no namespaces, and few know freeform tools. A name that can't stay
is changed in a way that depends on nothing but itself, so that it is the same in every turn (the provider's prompt
cache and the conversation's earlier calls depend on it).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from router.wire.conversation import Conversation, Tool, ToolCall
from router.wire.digest import digest
from router.wire.freeform import as_function

_ALLOWED: Final = re.compile(r"[a-zA-Z0-9_-]+")
_NO_LETTERS: Final = tuple("0123456789-")
_JOINT: Final = "__"


class Known(NamedTuple):
    """A tool as the client knows it. ``wrapped``: it is freeform there and a function at the target."""

    name: str
    namespace: str | None = None
    custom: bool = False
    wrapped: bool = False


class ToolTable:
    """Names for one target: ``limit`` characters of letters, digits, ``_`` and ``-``. ``custom``: whether the target
    knows freeform tools. ``lettered``: whether a name must begin with a letter or ``_``."""

    def __init__(
        self,
        conversation: Conversation | None = None,
        *,
        limit: int = 64,
        custom: bool = False,
        lettered: bool = False,
    ) -> None:
        self._limit = limit
        self._custom = custom
        self._lettered = lettered
        self._names: dict[tuple[str | None, str], str] = {}
        self._known: dict[str, Known] = {}
        if conversation is None:
            return
        for tool in conversation.tools:
            self._learn(tool.name, tool.namespace, tool.custom)
        for turn in conversation.turns:
            for part in turn.parts:
                if isinstance(part, ToolCall):
                    self._learn(part.name, part.namespace, part.custom)

    def __contains__(self, name: object) -> bool:
        """Whether the target knows a tool of this name, by offer or from the history."""
        return name in self._known

    def name(self, name: str, namespace: str | None = None) -> str:
        """What the target calls a tool of the client."""
        return self._names.get((namespace, name)) or self._legal(name, namespace)

    def tool(self, tool: Tool) -> Tool:
        """A tool as the target can be offered it: no namespace, and a function where it knows no other kind."""
        shown = as_function(tool) if tool.custom and not self._custom else tool
        return Tool(
            name=self.name(tool.name, tool.namespace),
            description=shown.description,
            schema=shown.schema,
            strict=shown.strict,
            custom=shown.custom,
            grammar=shown.grammar,
            cache=shown.cache,
        )

    def wraps(self, custom: bool) -> bool:
        """Whether a call of the history must be written as a function call although it is freeform."""
        return custom and not self._custom

    def known(self, name: str) -> Known:
        """The client's tool behind a name of the target's; one that was never offered is what it says it is."""
        return self._known.get(name) or Known(name)

    def _learn(self, name: str, namespace: str | None, custom: bool) -> None:
        if (namespace, name) in self._names:
            return
        shown = self._legal(name, namespace)
        while shown in self._known:  # two names that become one
            shown = _shortened(f"{shown}{namespace or ''}{_JOINT}{name}", shown, self._limit)
        self._names[namespace, name] = shown
        self._known[shown] = Known(name, namespace, custom, self.wraps(custom))

    def _legal(self, name: str, namespace: str | None) -> str:
        return legal(name, namespace, self._limit, lettered=self._lettered)


def legal(name: str, namespace: str | None, limit: int, *, lettered: bool = False) -> str:
    """The name as every format takes it, unchanged wherever possible."""
    full = name if namespace is None else f"{namespace}{_JOINT}{name}"
    begins_well = not lettered or not full.startswith(_NO_LETTERS)
    if len(full) <= limit and begins_well and _ALLOWED.fullmatch(full):
        return full
    shown = "".join(char if _ALLOWED.fullmatch(char) else "_" for char in full)
    return _shortened(full, shown if begins_well else f"_{shown}", limit)


def _shortened(full: str, shown: str, limit: int) -> str:
    return f"{shown[: min(55, limit - 9)]}_{digest(full)[:8]}"
