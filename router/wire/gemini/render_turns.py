"""The turns of a conversation as ``contents`` of a Gemini target.

The history comes settled (``history.py``): alternating, results paired with their calls, no empty texts. What is left
to do here are Google's own demands: a user who speaks first, functions named in their responses, responses that are
objects, and its signatures on the parts they were on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from router.wire.arguments import as_object
from router.wire.conversation import (
    Document,
    Image,
    Inline,
    Link,
    Part,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from router.wire.freeform import wrapped
from router.wire.gemini import signature
from router.wire.loss import Losses
from router.wire.media import is_text_type, text_of
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

_OPENING: Final = "(The conversation begins.)"
"""What the user says where the model would speak first, which isn't allowed."""

_IMAGE_TYPES: Final = {
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
}

JsonPart = dict[str, Any]
Content = dict[str, Any]


def user(*parts: JsonPart) -> Content:
    """What the user says."""
    return {"role": "user", "parts": list(parts)}


class TurnWriter:
    """Writes the contents of one request."""

    def __init__(self, table: ToolTable, traits: Traits, losses: Losses) -> None:
        self._table = table
        self._traits = traits
        self._losses = losses
        self._called: dict[str, str] = {}  # what the function behind a call's id is called here

    def contents(self, turns: Sequence[Turn]) -> list[Content]:
        """All turns, each with something in it, the user's first."""
        out: list[Content] = []
        for turn in turns:
            model = turn.role == "assistant"
            parts = list(self._model_parts(turn) if model else self._user_parts(turn))
            if not parts:
                continue
            if model and not out:
                out.append(user({"text": _OPENING}))
            if out and (out[-1]["role"] == "model") == model:
                out[-1]["parts"].extend(parts)
            else:
                out.append({"role": "model", "parts": parts} if model else user(*parts))
        return out

    # --- the model ------------------------------------------------------------------------------------------------

    def _model_parts(self, turn: Turn) -> Iterator[JsonPart]:
        first_call = True
        for part, sealed in self._signed(turn.parts):
            out: JsonPart
            match part:
                case Text() | Refusal():
                    out = {"text": part.text}
                case Thought():
                    out = {"text": part.text, "thought": True} if part.text else {"text": ""}
                case ToolCall():
                    out = self._call(part)
                    if first_call and sealed is None and self._traits.call_signatures:
                        sealed = signature.BYPASS
                    first_call = False
                case Image() | Document():
                    yield from self._media(part, turn.place)
                    continue
                case ToolResult():  # only the user's
                    continue
            yield {**out, "thoughtSignature": sealed} if sealed is not None else out

    def _signed(self, parts: Sequence[Part]) -> Iterator[tuple[Part, str | None]]:
        """Parts with the target's own signatures.

        A signature that reached the client as reasoning belongs to a part beside it: the call before it that has none,
        else the call or text behind it. Thoughts without one need not be given back.
        """
        out: list[tuple[Part, str | None]] = []
        waiting: tuple[Thought, str] | None = None
        for part in parts:
            if isinstance(part, Thought):
                if (sealed := self._own(part)) is None:
                    continue
                if out and isinstance(out[-1][0], ToolCall) and out[-1][1] is None:
                    out[-1] = (out[-1][0], sealed)
                    continue
                if waiting is not None:
                    out.append(waiting)
                waiting = (part, sealed)
                continue
            sealed = signature.returned(getattr(part, "state", None), self._traits)
            if waiting is not None:
                if sealed is None and isinstance(part, Text | ToolCall):
                    sealed = waiting[1]
                else:
                    out.append(waiting)
                waiting = None
            out.append((part, sealed))
        if waiting is not None:
            out.append(waiting)
        return iter(out)

    def _own(self, thought: Thought) -> str | None:
        """The signature of a thought of the target's; what another model thought is left out."""
        state = thought.state
        sealed = signature.returned(state, self._traits)
        unsealed = state is not None and state.kind == "visible" and state.owner == self._traits.owner
        if sealed is None and not unsealed:
            self._losses.drop("reasoning", "earlier reasoning of another model can't be given to this one")
        return sealed

    def _call(self, call: ToolCall) -> JsonPart:
        name = self._called[call.id] = self._table.name(call.name, call.namespace)
        arguments = wrapped(call.arguments) if self._table.wraps(call.custom) else call.arguments
        return {"functionCall": {"id": call.id, "name": name, "args": as_object(arguments)}}

    # --- the user -------------------------------------------------------------------------------------------------

    def _user_parts(self, turn: Turn) -> Iterator[JsonPart]:
        beside: list[JsonPart] = []  # media that can't stand in a response, behind all responses
        for part in turn.parts:
            if isinstance(part, ToolResult):
                yield self._response(part, turn.place, beside)
                continue
            yield from beside
            beside.clear()
            match part:
                case Text() | Refusal():
                    yield {"text": part.text}
                case Image() | Document():
                    yield from self._media(part, turn.place)
                case Thought() | ToolCall():  # only the model's
                    pass
        yield from beside

    def _response(self, result: ToolResult, place: str, beside: list[JsonPart]) -> JsonPart:
        texts: list[str] = []
        inside: list[JsonPart] = []
        for part in result.content:
            if isinstance(part, Text):
                texts.append(part.text)
                continue
            for media in self._media(part, place):
                if "text" in media:
                    texts.append(media["text"])
                elif self._traits.result_media and "inlineData" in media:
                    inside.append(media)
                else:
                    texts.append(f"[{'image' if isinstance(part, Image) else 'document'}: see below]")
                    beside.append(media)
        response: JsonPart = {
            "id": result.id,
            "name": self._called.get(result.id) or self._table.name(result.name or ""),
            "response": {"error" if result.is_error else "result": "\n".join(texts)},
        }
        if inside:
            response["parts"] = inside
        return {"functionResponse": response}

    # --- media ----------------------------------------------------------------------------------------------------

    def _media(self, part: Image | Document, place: str) -> list[JsonPart]:
        """An image or a document, with what is said about it; nothing for a document without anything in it."""
        if isinstance(part, Image):
            if part.detail is not None:
                self._losses.drop("detail", "how closely images are looked at can't be said here")
            if self._traits.images is False:
                return [self._omitted(place, "image", "this model takes no images")]
            return [_data(part.source, "image/jpeg", _IMAGE_TYPES)]
        heading = "\n".join(filter(None, (part.name, part.context)))
        written = _written(part)
        if written is not None:
            return [{"text": f"{heading}\n\n{written}" if heading else written}] if written.strip() else []
        if self._traits.documents is False:
            return [self._omitted(place, "document", "this model takes no documents")]
        assert not isinstance(part.source, Written)
        data = _data(part.source, "application/pdf", {})
        return [{"text": heading}, data] if heading else [data]

    def _omitted(self, place: str, what: str, why: str) -> JsonPart:
        self._losses.refuse(place, why)
        return {"text": f"[{what} omitted]"}


def _data(source: Inline | Link, usual: str, endings: dict[str, str]) -> JsonPart:
    if isinstance(source, Inline):
        return {"inlineData": {"mimeType": source.media_type, "data": source.data}}
    ending = source.url.partition("?")[0].rpartition(".")[2].lower()
    return {"fileData": {"mimeType": source.media_type or endings.get(ending, usual), "fileUri": source.url}}


def _written(document: Document) -> str | None:
    source = document.source
    if isinstance(source, Written):
        return source.text
    return text_of(source.data) if isinstance(source, Inline) and is_text_type(source.media_type) else None
