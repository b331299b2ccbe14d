"""The tools of a request and which of them must be called.

Tools stand in ``tools``, in groups (``namespace``), and in items of the input that add some later; other formats have
one list, so all of them are offered from the beginning, a group's with the group's name before theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from router.errors import BadRequest
from router.wire.conversation import Tool as NeutralTool
from router.wire.conversation import ToolChoice
from router.wire.loss import Losses
from router.wire.openai_responses.client_tools import CLIENT_TOOLS, SEARCH, as_function, is_offered
from router.wire.openai_responses.content import needed
from router.wire.openai_responses.shapes import Choice, Item, Tool, clipped

_WORDS: Final[dict[str, Literal["auto", "any", "none"]]] = {"auto": "auto", "required": "any", "none": "none"}
_OFF_IN_CODEX: Final = {
    "web_search": '-c web_search="disabled"',
    "image_generation": "-c features.image_generation=false",
}
"""How Codex, which offers these by itself, is told not to."""


class ToolReader:
    """Collects the tools of one request. One that is offered again is the first one."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._tools: dict[tuple[str | None, str], NeutralTool] = {}

    @property
    def tools(self) -> tuple[NeutralTool, ...]:
        """All of them, in order."""
        return tuple(self._tools.values())

    def read(self, tools: Iterable[Tool], field: str) -> None:
        """Take the tools of a list that stands in ``field``."""
        for index, tool in enumerate(tools):
            self._read(tool, f"{field}[{index}]", None)

    def read_items(self, items: Iterable[Item]) -> None:
        """Take those that items of the input add."""
        for index, item in enumerate(items):
            if item.tools is not None and item.type in ("additional_tools", f"{SEARCH}_output"):
                self.read(item.tools, f"input[{index}].tools")

    def namespace_of(self, name: str, namespace: str | None) -> str | None:
        """The group of a called tool: of one that a search found, OpenAI names a group that it wasn't offered in."""
        if namespace is not None and (namespace, name) not in self._tools and (None, name) in self._tools:
            return None
        return namespace

    def _read(self, tool: Tool, place: str, namespace: str | None) -> None:
        kind = tool.type or "function"
        if any(caller != "direct" for caller in tool.allowed_callers or ()):
            self._losses.refuse(f"{place}.allowed_callers", "only the model itself can call tools here")
        if kind == "function":
            self._add(
                NeutralTool(
                    needed(tool.name, f"{place}.name"),
                    tool.description,
                    tool.parameters,
                    tool.strict,
                    namespace=namespace,
                )
            )
        elif kind == "custom":
            name = needed(tool.name, f"{place}.name")
            self._add(NeutralTool(name, tool.description, custom=True, grammar=tool.format, namespace=namespace))
        elif kind == "namespace":
            self._read_namespace(tool, place, namespace)
        elif is_offered(tool):
            self._add(as_function(tool))
        elif kind == SEARCH:
            self._losses.drop(place, "all tools are offered at once, so there is nothing to search for")
        else:
            self._losses.refuse(place, _not_ours(kind))

    def _read_namespace(self, tool: Tool, place: str, outer: str | None) -> None:
        name = needed(tool.name, f"{place}.name")
        if tool.description:
            self._losses.drop(f"{place}.description", "the tools of a group are offered one by one")
        for index, inner in enumerate(tool.tools or ()):
            self._read(inner, f"{place}.tools[{index}]", name if outer is None else f"{outer}__{name}")

    def _add(self, tool: NeutralTool) -> None:
        self._tools.setdefault((tool.namespace, tool.name), tool)


def _not_ours(kind: str) -> str:
    told = f"'{clipped(kind)}' is a tool that runs at its provider, and this one doesn't have it"
    for known, switch in _OFF_IN_CODEX.items():
        if kind.startswith(known):
            return f"{told}; Codex leaves it out with {switch}"
    return told


def read_choice(choice: str | Choice | None, losses: Losses) -> ToolChoice | None:
    """Which tool must be called; ``None`` where nothing is said or it can't be."""
    if choice is None:
        return None
    if isinstance(choice, str):
        return ToolChoice(_mode(choice))
    if choice.type in ("function", "custom"):
        return ToolChoice("named", needed(choice.name, "tool_choice.name"), choice.namespace)
    if choice.type in CLIENT_TOOLS:
        return ToolChoice("named", choice.type)
    if choice.type == "allowed_tools":
        names = [tool.name or (tool.type if tool.type in CLIENT_TOOLS else None) for tool in choice.tools or ()]
        if None in names:
            losses.refuse("tool_choice.tools", "a tool that runs at its provider can't be chosen here")
        return ToolChoice(_mode(choice.mode or "auto"), allowed=tuple(name for name in names if name is not None))
    losses.refuse("tool_choice", f"'{clipped(choice.type)}' is no tool that can be chosen here")
    return None


def _mode(word: str) -> Literal["auto", "any", "none"]:
    mode = _WORDS.get(word)
    if mode is None:
        raise BadRequest("the field 'tool_choice' must be 'auto', 'required', 'none' or a tool")
    return mode
