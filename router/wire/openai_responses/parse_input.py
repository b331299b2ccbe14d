"""The items of a request's input as turns.

A turn of the assistant's is many items here (reasoning, messages, calls): all that stand between two items of the
user's side are one turn, in their order. What nobody but its provider can read (a compacted history, a reference to
something stored, a hosted tool's work) is refused; nothing unknown is ever taken for the user's words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from router.errors import BadRequest
from router.wire.conversation import (
    CacheTtl,
    Document,
    Image,
    OpaqueState,
    Part,
    Refusal,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from router.wire.loss import Losses
from router.wire.opaque import is_wrapped, unwrap
from router.wire.openai_responses import shapes
from router.wire.openai_responses.agent_messages import KIND as AGENT_MESSAGE
from router.wire.openai_responses.agent_messages import SEALED_PART, is_sealed
from router.wire.openai_responses.client_tools import CLIENT_TOOLS, SEARCH, call_of, result_of
from router.wire.openai_responses.content import TEXTS, cache_of, needed, read_part
from router.wire.openai_responses.parse_tools import ToolReader
from router.wire.openai_responses.shapes import NOTHING, Item, clipped, read
from router.wire.pieces import compact_raw

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_REFUSED: Final = {
    "item_reference": "items aren't kept here, so it can't be referred to; send the item itself",
    "compaction": "a compacted history is sealed by the provider that made it; begin a new session",
    "compaction_summary": "a compacted history is sealed by the provider that made it; begin a new session",
    "compaction_trigger": (
        "only OpenAI compacts by itself; in Codex, set the router up as a provider of its own "
        "([model_providers.…]) and it compacts in the ordinary way"
    ),
}
_SETTINGS: Final = ("additional_tools", "configuration_update")
"""Items that say nothing: they change the request, and were read for that already."""


@dataclass(slots=True)
class _OpenTurn:
    role: Role
    place: str
    parts: list[Part] = field(default_factory=list)


class InputReader:
    """Reads the items of one request. ``ttl`` is that of cache marks which don't say their own."""

    def __init__(self, tools: ToolReader, losses: Losses, ttl: CacheTtl = "30m") -> None:
        self.system: list[Text] = []
        self._turns: list[_OpenTurn] = []
        self._tools = tools
        self._losses = losses
        self._ttl = ttl

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was read."""
        return tuple(Turn(turn.role, tuple(turn.parts), turn.place) for turn in self._turns if turn.parts)

    def read(self, items: str | list[Item]) -> None:
        """Read the whole input."""
        if isinstance(items, str):
            self._turn("user", "input").append(Text(items))
            return
        for index, item in enumerate(items):
            self._read(item, f"input[{index}]")

    def _read(self, item: Item, place: str) -> None:
        kind = item.type or ("message" if item.id is None or item.role is not None else "item_reference")
        if kind == "message":
            self._message(item, place)
        elif kind == "reasoning":
            self._reasoning(item, place)
        elif kind == AGENT_MESSAGE:
            self._agent_message(item, place)
        elif kind in ("function_call", "custom_tool_call"):
            self._said(place, self._call(item, place, custom=kind == "custom_tool_call"))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._gave(place, self._result(item, place, custom=kind == "custom_tool_call_output"))
        elif kind.startswith(SEARCH) and (item.execution == "server" or item.call_id is None):
            self._losses.drop(place, "all tools are offered at once, so nothing was searched for")
        elif kind.removesuffix("_call") in CLIENT_TOOLS:
            self._said(place, call_of(item, kind.removesuffix("_call"), place))
        elif kind in (*(f"{name}_call_output" for name in CLIENT_TOOLS), f"{SEARCH}_output"):
            name = kind.removesuffix("_output").removesuffix("_call")
            self._gave(place, result_of(item, name, place))
        elif kind not in _SETTINGS:
            told = f"an item of type '{clipped(kind)}' can't be carried over to another provider"
            self._losses.refuse(place, _REFUSED.get(kind, told))

    # --- messages -------------------------------------------------------------------------------------------------

    def _message(self, item: Item, place: str) -> None:
        role = _ROLES.get(item.role or "")
        if role is None:
            raise BadRequest(f"the field '{place}.role' must be 'user', 'assistant', 'system' or 'developer'")
        if item.content is None:
            raise BadRequest(f"the field '{place}.content' is missing")
        content = [shapes.Part("text", item.content)] if isinstance(item.content, str) else item.content
        if role == "user":
            self._turn("user", place).extend(self._user_parts(content, f"{place}.content"))
        elif role == "assistant":
            self._said(place, *self._assistant_parts(content, item.phase, f"{place}.content"))
        elif self._turns:
            self._turn("system", place).extend(self._system_texts(content, f"{place}.content"))
        else:
            self.system.extend(self._system_texts(content, f"{place}.content"))

    def _agent_message(self, item: Item, place: str) -> None:
        """Another agent's words stand where a person's would: the model is to act upon them."""
        content = [shapes.Part("text", item.content)] if isinstance(item.content, str) else item.content or []
        parts: list[shapes.Part] = []
        for index, part in enumerate(content):
            if part.type != SEALED_PART:
                parts.append(part)
            elif is_sealed(text := needed(part.encrypted_content, f"{place}.content[{index}].encrypted_content")):
                told = "an agent's message is sealed by the provider whose model wrote it"
                self._losses.refuse(f"{place}.content[{index}]", told)
            elif parts and parts[-1].type in TEXTS:  # its head, with sender and kind
                parts[-1] = shapes.Part("text", f"{parts[-1].text or ''}{text}")
            else:
                parts.append(shapes.Part("text", text))
        self._turn("user", place).extend(self._user_parts(parts, f"{place}.content"))

    def _user_parts(self, content: list[shapes.Part], field: str) -> list[Text | Image | Document]:
        parts = (read_part(part, f"{field}[{index}]", self._losses, self._ttl) for index, part in enumerate(content))
        return [part for part in parts if part is not None]

    def _assistant_parts(self, content: list[shapes.Part], phase: str | None, field: str) -> list[Text | Refusal]:
        parts: list[Text | Refusal] = []
        for index, part in enumerate(content):
            place = f"{field}[{index}]"
            if part.type in TEXTS:
                parts.append(Text(needed(part.text, f"{place}.text"), phase=phase))
            elif part.type == "refusal":
                parts.append(Refusal(needed(part.refusal, f"{place}.refusal")))
            else:
                self._losses.refuse(place, f"content of type '{clipped(part.type)}' can't be an assistant's")
        return parts

    def _system_texts(self, content: list[shapes.Part], field: str) -> list[Text]:
        texts: list[Text] = []
        for index, part in enumerate(content):
            place = f"{field}[{index}]"
            if part.type in TEXTS:
                texts.append(Text(needed(part.text, f"{place}.text"), cache_of(part, self._ttl)))
            else:
                self._losses.refuse(place, f"instructions can't hold content of type '{clipped(part.type)}'")
        return texts

    # --- reasoning, calls and results -----------------------------------------------------------------------------

    def _reasoning(self, item: Item, place: str) -> None:
        content = item.content if isinstance(item.content, list) else []
        text = "\n\n".join(part.text for part in item.summary or content or () if part.text)
        state = None
        if item.encrypted_content and is_wrapped(item.encrypted_content):
            state = unwrap(item.encrypted_content)
            if state is not None and state.kind != "openai-encrypted" and state.id is not None:
                self._seal_call(state)
                return
        elif item.encrypted_content:
            state = OpaqueState("openai-encrypted", item.encrypted_content, id=item.id)
        if text or state is not None:
            self._said(place, Thought(text, state))

    def _seal_call(self, state: OpaqueState) -> None:
        """Give the call that a state was made for its state back. Its result may stand between the two."""
        for turn in reversed(self._turns):
            for index, part in enumerate(turn.parts):
                if isinstance(part, ToolCall) and part.id == state.id and part.state is None:
                    turn.parts[index] = msgspec.structs.replace(part, state=msgspec.structs.replace(state, id=None))
                    return

    def _call(self, item: Item, place: str, *, custom: bool) -> ToolCall:
        name = needed(item.name, f"{place}.name")
        if custom:
            arguments = item.input or ""
        elif item.arguments == NOTHING:
            arguments = ""
        elif bytes(item.arguments).startswith(b'"'):
            arguments = read(item.arguments, str, f"{place}.arguments")
        else:  # some clients forget to write them as text
            arguments = compact_raw(item.arguments)
        namespace = self._tools.namespace_of(name, item.namespace)
        return ToolCall(item.call_id or "", name, arguments, custom=custom, namespace=namespace)

    def _result(self, item: Item, place: str, *, custom: bool) -> ToolResult:
        raw = bytes(item.output)
        content: tuple[Text | Image | Document, ...]
        if raw.startswith(b"["):
            content = tuple(self._user_parts(read(raw, list[shapes.Part], f"{place}.output"), f"{place}.output"))
        elif raw.startswith(b'"'):
            content = (Text(read(raw, str, f"{place}.output")),)
        else:
            content = (Text(compact_raw(raw)),)
        return ToolResult(item.call_id or "", content, custom=custom)

    # --- turns ----------------------------------------------------------------------------------------------------

    def _turn(self, role: Role, place: str) -> list[Part]:
        turn = _OpenTurn(role, place)
        self._turns.append(turn)
        return turn.parts

    def _said(self, place: str, *parts: Part) -> None:
        """More of the assistant's turn."""
        last = self._turns[-1] if self._turns else None
        turn = last.parts if last is not None and last.role == "assistant" else self._turn("assistant", place)
        turn.extend(parts)

    def _gave(self, place: str, result: ToolResult) -> None:
        """More of what the calls of one turn gave."""
        last = self._turns[-1].parts if self._turns else []
        turn = last if last and isinstance(last[-1], ToolResult) else self._turn("user", place)
        turn.append(result)
