"""Gemini generateContent: a request as rules see it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import msgspec

from router.errors import BadRequest
from router.wire.body import Body, decode
from router.wire.pieces import PieceNotes, blocks_of, compact_raw, fields_of, unreadable
from router.wire.request import Piece, PieceContent, RequestView, Thinking, Tool, bounded
from router.wire.taps import text_or_none

_DECLARATIONS: Final = ("functionDeclarations", "function_declarations")
_SEARCHES: Final = (
    "googleSearch",
    "google_search",
    "googleSearchRetrieval",
    "google_search_retrieval",
    "enterpriseWebSearch",
)


class _Declaration(msgspec.Struct):
    name: Any = None
    description: Any = None
    parameters: msgspec.Raw = msgspec.Raw(b"null")
    parametersJsonSchema: msgspec.Raw = msgspec.Raw(b"null")  # noqa: N815 - Gemini's name
    parameters_json_schema: msgspec.Raw = msgspec.Raw(b"null")


class GeminiView(RequestView):
    """A request to ``models/{model}:generateContent``, ``:streamGenerateContent`` or ``:countTokens``."""

    api = "gemini"

    def __init__(self, body: Body, url_model: str | None, url_stream: bool) -> None:
        # countTokens may carry the whole request one level down.
        inner = body.raw_field("generateContentRequest")
        super().__init__(Body.parse(inner) if inner is not None and inner.startswith(b"{") else body)
        self._url_model = url_model
        self._url_stream = url_stream

    @cached_property
    def model(self) -> str:
        if self._url_model is None:
            raise BadRequest("the URL names no model")
        return self._url_model.removeprefix("models/")

    @cached_property
    def stream(self) -> bool:
        return self._url_stream

    @cached_property
    def _config(self) -> dict[str, Any]:
        return fields_of(_either(self.body, "generationConfig", "generation_config"))

    @cached_property
    def max_tokens(self) -> int | None:
        limit = self._config.get("maxOutputTokens", self._config.get("max_output_tokens"))
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise BadRequest("the field 'maxOutputTokens' must be a whole number")
        return limit

    @cached_property
    def thinking(self) -> Thinking:
        """``thinkingConfig``: off with a budget of 0 or the level minimal; a budget of -1 leaves it to the model."""
        asked = fields_of(self._config.get("thinkingConfig", self._config.get("thinking_config")))
        if not asked:
            return Thinking()
        budget = asked.get("thinkingBudget", asked.get("thinking_budget"))
        budget = budget if isinstance(budget, int) and not isinstance(budget, bool) else None
        level = text_or_none(asked.get("thinkingLevel", asked.get("thinking_level")))
        level = (
            None if level is None or level.endswith("UNSPECIFIED") else level.lower().removeprefix("thinking_level_")
        )
        on = budget != 0 and level != "minimal"
        return Thinking(on=on, budget=budget if budget is not None and budget > 0 else None, effort=level)

    @cached_property
    def _tool_groups(self) -> list[dict[str, msgspec.Raw]]:
        raw = self.body.raw_field("tools")
        if raw is None or raw == b"null":
            return []
        if raw.startswith(b"{"):
            raw = b"[%b]" % raw
        return decode(raw, list[dict[str, msgspec.Raw]], "the field 'tools' must be a list of objects")

    @cached_property
    def tool_count(self) -> int:
        count = 0
        for group in self._tool_groups:
            for name, raw in group.items():
                count += len(decode(raw, list[msgspec.Raw])) if name in _DECLARATIONS else 1
        return count

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        tools: list[Tool] = []
        for group in self._tool_groups:
            for name, raw in group.items():
                if name in _DECLARATIONS:
                    tools.extend(Tool(text_or_none(one.name) or "") for one in bounded(decode(raw, list[_Declaration])))
                else:
                    tools.append(Tool(name, "web-search" if name in _SEARCHES else "hosted"))
        return tuple(tools)

    @cached_property
    def forced_tool(self) -> str | None:
        """Mode ANY with a single allowed name."""
        config = fields_of(_either(self.body, "toolConfig", "tool_config"))
        calling = fields_of(config.get("functionCallingConfig", config.get("function_calling_config")))
        names = blocks_of(calling.get("allowedFunctionNames", calling.get("allowed_function_names")))
        return text_or_none(names[0]) if calling.get("mode") == "ANY" and len(names) == 1 else None

    @cached_property
    def system_text(self) -> str:
        return "\n\n".join(_system_texts(_either(self.body, "systemInstruction", "system_instruction")))

    def _cut(self) -> list[Piece]:
        pieces: list[Piece] = []
        system = self.body.raw_field("systemInstruction") or self.body.raw_field("system_instruction")
        if system is not None and system != b"null":
            pieces.append(self._piece("system", system))
        if (tools := self.body.raw_field("tools")) is not None and tools not in (b"null", b"[]"):
            pieces.append(self._piece("tools", tools))
        contents = self.body.raw_field("contents")
        if contents is not None and contents.startswith((b"{", b'"')):  # one turn, not in a list
            pieces.append(Piece("message", contents))
        else:
            pieces.extend(self._messages("contents"))
        return pieces

    def read(self, piece: Piece) -> PieceContent:
        try:
            match piece.kind:
                case "system":
                    return PieceContent("system", texts=tuple(_system_texts(msgspec.json.decode(piece.raw))))
                case "tools":
                    return _read_tools(piece.raw)
                case "message":
                    return _read_turn(msgspec.json.decode(piece.raw))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return unreadable(piece.raw, "system" if piece.kind == "system" else "user")


def _either(body: Body, camel: str, snake: str) -> Any:
    return body.get(camel) if camel in body else body.get(snake)


def _system_texts(system: Any) -> list[str]:
    if isinstance(system, str):
        return [system] if system else []
    parts = fields_of(system).get("parts")
    texts = (fields_of(part).get("text") for part in (parts if isinstance(parts, list) else [parts]))
    return [text for text in texts if isinstance(text, str) and text]


def _read_tools(raw: bytes) -> PieceContent:
    notes = PieceNotes()
    groups = msgspec.json.decode(raw, type=list[dict[str, msgspec.Raw]])
    for name, value in ((name, value) for group in groups for name, value in group.items()):
        if name not in _DECLARATIONS:
            notes.text(name)
            notes.text(compact_raw(value))
            continue
        for one in msgspec.json.decode(value, type=list[_Declaration]):
            notes.text(one.name)
            notes.text(one.description)
            for schema in (one.parameters, one.parametersJsonSchema, one.parameters_json_schema):
                notes.text(compact_raw(schema))
    return notes.content("system")


def _read_turn(turn: Any) -> PieceContent:
    fields = {"parts": [{"text": turn}]} if isinstance(turn, str) else fields_of(turn)
    role = "assistant" if fields.get("role") == "model" else "user"
    notes = PieceNotes(human=role == "user")
    parts = fields.get("parts")
    for part in map(fields_of, parts if isinstance(parts, list) else [parts]):
        _read_part(part, notes)
    return notes.content("assistant" if role == "assistant" else "user")


def _read_part(part: dict[str, Any], notes: PieceNotes) -> None:
    if (call := part.get("functionCall", part.get("function_call"))) is not None:
        notes.call(fields_of(call).get("name"), fields_of(call).get("args"))
    elif (result := part.get("functionResponse", part.get("function_response"))) is not None:
        notes.tool_result = True
        notes.text(fields_of(result).get("name"))
        if (response := fields_of(result).get("response")) is not None:
            notes.unknown(response)
        for inner in map(fields_of, blocks_of(fields_of(result).get("parts"))):
            _read_part(inner, notes)
    elif (inline := part.get("inlineData", part.get("inline_data"))) is not None:
        _read_media(fields_of(inline), notes)
    elif (file := part.get("fileData", part.get("file_data"))) is not None:
        _read_media({**fields_of(file), "data": None}, notes)
    elif "text" in part:
        if part.get("thought") is True:
            notes.text(part["text"])
        else:
            notes.speech(part["text"])
    else:
        rest = {name: value for name, value in part.items() if name not in ("thoughtSignature", "thought_signature")}
        if rest:
            notes.unknown(rest)


def _read_media(media: dict[str, Any], notes: PieceNotes) -> None:
    kind = text_or_none(media.get("mimeType", media.get("mime_type"))) or ""
    if kind.startswith("image/"):
        notes.image(media.get("data"))
    else:
        notes.document(media.get("data"), kind)
