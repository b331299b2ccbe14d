"""OpenAI Chat Completions and its dialects: a request as rules see it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import msgspec

from router.wire.body import decode
from router.wire.pieces import PieceNotes, blocks_of, compact_raw, fields_of, unreadable
from router.wire.request import NOT_THINKING, Piece, PieceContent, RequestView, Role, Thinking, Tool, bounded
from router.wire.taps import text_or_none

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "tool": "user",
    "function": "user",
    "assistant": "assistant",
}


class _Named(msgspec.Struct):
    name: Any = None


class _Tool(msgspec.Struct):
    type: Any = None
    name: Any = None
    function: _Named | None = None
    custom: _Named | None = None

    def seen(self) -> Tool:
        kind = self.type if isinstance(self.type, str) else "function"
        inner = self.function or self.custom
        name = text_or_none(inner.name if inner is not None else self.name) or kind
        if kind in ("function", "custom"):
            return Tool(name)
        return Tool(name, "web-search" if "web_search" in kind or "web_search" in name else "hosted")


class _Definition(msgspec.Struct):
    name: Any = None
    description: Any = None
    parameters: msgspec.Raw = msgspec.Raw(b"null")


class _ToolText(msgspec.Struct):
    function: msgspec.Raw = msgspec.Raw(b"null")


class ChatView(RequestView):
    """A request to ``/v1/chat/completions``."""

    api = "openai-chat"

    @cached_property
    def max_tokens(self) -> int | None:
        limit = self._whole("max_completion_tokens")
        return self._whole("max_tokens") if limit is None else limit

    @cached_property
    def thinking(self) -> Thinking:
        """``reasoning_effort``; OpenRouter's ``reasoning``; DeepSeek's and Z.AI's ``thinking``; ``enable_thinking``."""
        openrouter = fields_of(self.body.get("reasoning"))
        effort = text_or_none(self.body.get("reasoning_effort")) or text_or_none(openrouter.get("effort"))
        budget = next(
            (
                number
                for number in (
                    openrouter.get("max_tokens"),
                    fields_of(self.body.get("thinking")).get("budget_tokens"),
                    self.body.get("thinking_budget"),
                )
                if isinstance(number, int) and not isinstance(number, bool)
            ),
            None,
        )
        if effort is not None:
            on = effort not in NOT_THINKING
        else:
            on = (
                openrouter.get("enabled") is True
                or isinstance(openrouter.get("max_tokens"), int)
                or fields_of(self.body.get("thinking")).get("type") in ("enabled", "adaptive")
                or self.body.get("enable_thinking") is True
                or fields_of(self.body.get("chat_template_kwargs")).get("enable_thinking") is True
            )
        on = on and openrouter.get("enabled") is not False
        return Thinking(on=on, budget=budget if on else None, effort=effort)

    @cached_property
    def tool_count(self) -> int:
        return len(self._items("tools")) + len(self._items("functions")) + len(self._search_options)

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        tools: list[Tool] = []
        for field in ("tools", "functions"):
            raw = self.body.raw_field(field)
            if raw is not None and raw != b"null":
                seen = bounded(decode(raw, list[_Tool], f"the field '{field}' must be a list of tools"))
                tools.extend(tool.seen() for tool in seen)
        return (*tools, *self._search_options)

    @cached_property
    def _search_options(self) -> tuple[Tool, ...]:
        """Web search that is switched on beside the tools: OpenAI's option, OpenRouter's plugin."""
        plugins = blocks_of(self.body.get("plugins"))
        on = self.body.get("web_search_options") is not None or any(fields_of(p).get("id") == "web" for p in plugins)
        return (Tool("web_search", "web-search"),) if on else ()

    @cached_property
    def forced_tool(self) -> str | None:
        """By name; a forced hosted tool by its type. A list of allowed tools with one entry forces it too."""
        choice = fields_of(self.body.get("tool_choice")) or fields_of(self.body.get("function_call"))
        allowed = fields_of(choice.get("allowed_tools"))
        if allowed.get("mode") == "required" and len(blocks_of(allowed.get("tools"))) == 1:
            choice = fields_of(allowed["tools"][0])
        inner = fields_of(choice.get("function")) or fields_of(choice.get("custom")) or choice
        kind = text_or_none(choice.get("type"))
        return text_or_none(inner.get("name")) or (
            kind if kind not in ("function", "custom", "allowed_tools") else None
        )

    @cached_property
    def system_text(self) -> str:
        """Of the system and developer messages before the first other one."""
        texts: list[str] = []
        for raw in self._items("messages"):
            content = self.read(Piece("message", bytes(raw)))
            if content.role != "system":
                break
            texts.extend(content.texts)
        return "\n\n".join(texts)

    def _cut(self) -> list[Piece]:
        offered = (self.body.raw_field(field) for field in ("tools", "functions"))
        pieces = [
            self._piece("tools", tools) for tools in offered if tools is not None and tools not in (b"null", b"[]")
        ]
        return pieces + self._messages("messages")

    def read(self, piece: Piece) -> PieceContent:
        try:
            return _read_tools(piece.raw) if piece.kind == "tools" else _read_message(piece.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return unreadable(piece.raw)


def _read_tools(raw: bytes) -> PieceContent:
    notes = PieceNotes()
    for tool in msgspec.json.decode(raw, type=list[msgspec.Raw]):
        function = msgspec.json.decode(tool, type=_ToolText).function
        definition = msgspec.json.decode(tool if bytes(function) == b"null" else function, type=_Definition)
        if definition.name is None:
            notes.text(compact_raw(tool))
            continue
        notes.text(definition.name)
        notes.text(definition.description)
        notes.text(compact_raw(definition.parameters))
    return notes.content("system")


def _read_message(raw: bytes) -> PieceContent:
    message = fields_of(msgspec.json.decode(raw))
    said_by = message.get("role")
    role = _ROLES.get(said_by, "user") if isinstance(said_by, str) else "user"
    notes = PieceNotes(human=said_by == "user", tool_result=said_by in ("tool", "function"))
    content = message.get("content")
    if isinstance(content, str):
        notes.speech(content)
    for block in blocks_of(content):
        _read_part(fields_of(block), notes)
    for name in ("reasoning_content", "reasoning", "refusal"):
        notes.text(message.get(name))
    for call in map(fields_of, blocks_of(message.get("tool_calls"))):
        function = fields_of(call.get("function"))
        custom = fields_of(call.get("custom"))
        notes.call(function.get("name") or custom.get("name"), function.get("arguments") or custom.get("input"))
    if legacy := fields_of(message.get("function_call")):
        notes.call(legacy.get("name"), legacy.get("arguments"))
    return notes.content(role)


def _read_part(part: dict[str, Any], notes: PieceNotes) -> None:
    match part.get("type"):
        case "text":
            notes.speech(part.get("text"))
        case "refusal":
            notes.text(part.get("refusal"))
        case "image_url":
            image = part.get("image_url")
            notes.image(image if isinstance(image, str) else fields_of(image).get("url"))
        case "file":
            file = fields_of(part.get("file"))
            notes.document(file.get("file_data"), None)
        case "document_url":  # Mistral
            url = part.get("document_url")
            notes.document(url if isinstance(url, str) and url.startswith("data:") else None, None)
        case "thinking":  # Mistral: a list of text parts
            for inner in map(fields_of, blocks_of(part.get("thinking"))):
                notes.text(inner.get("text"))
        case _:
            notes.unknown(part)
