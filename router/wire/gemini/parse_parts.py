"""A client's ``contents`` as neutral turns.

Streamed replies are replayed in the pieces in which they came, a content each, so the pieces of one text or thought
become one again. What other models sealed stands in slots (``signature.py``) on the parts behind the thoughts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from router.errors import BadRequest
from router.wire.conversation import (
    Document,
    Image,
    Inline,
    Link,
    OpaqueState,
    Part,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from router.wire.gemini import signature
from router.wire.gemini.checked import begins, entries, members, text, value
from router.wire.loss import Losses
from router.wire.media import is_text_type, text_of

_ROLES: Final[dict[str, Role]] = {"user": "user", "function": "user", "tool": "user", "model": "assistant"}
_KINDS: Final = (
    "functionCall",
    "functionResponse",
    "inlineData",
    "fileData",
    "text",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)
_BESIDE: Final = frozenset({"thought", "thoughtSignature", "partMetadata"})
"""Members of a part that aren't its kind; others are hints about how to look at media."""

_GOOGLES: Final = ("gs://", "https://generativelanguage.googleapis.com/", "files/")
_VIDEOS: Final = ("https://www.youtube.com/", "https://youtube.com/", "https://m.youtube.com/", "https://youtu.be/")
_IMAGE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".heic", ".heif")


@dataclass(slots=True)
class _Draft:
    role: Role
    place: str
    parts: list[Part] = field(default_factory=list)


def turns_of(contents: bytes | None, losses: Losses) -> tuple[Turn, ...]:
    """The conversation. Raises ``BadRequest`` where a field has another type than the format says."""
    if contents is None or contents == b"null":
        raise BadRequest("the field 'contents' is missing")
    if contents.startswith(b'"'):
        return (Turn("user", (Text(text(contents, "contents")),), "contents"),)
    drafts: list[_Draft] = []
    for at, content in enumerate(entries(contents, "contents")):
        place = f"contents[{at}]"
        fields = members(content, place)
        role = _role(fields.get("role"), place)
        if not (drafts and role == "assistant" == drafts[-1].role):
            drafts.append(_Draft(role, place))
        reader = _PartReader(drafts[-1], losses)
        if (parts := fields.get("parts")) is not None:
            for number, part in enumerate(entries(parts, f"{place}.parts")):
                reader.read(part, f"{place}.parts[{number}]")
    return tuple(Turn(draft.role, tuple(draft.parts), draft.place) for draft in drafts)


def system_of(raw: bytes | None, losses: Losses) -> tuple[Text, ...]:
    """``systemInstruction``: a content, whose role says nothing, or just a text."""
    if raw is None or raw == b"null":
        return ()
    where = "systemInstruction"
    if raw.startswith(b'"'):
        return (Text(text(raw, where)),)
    found: list[Text] = []
    parts = members(raw, where).get("parts")
    for number, part in enumerate(entries(parts, f"{where}.parts") if parts is not None else ()):
        place = f"{where}.parts[{number}]"
        fields = members(part, place)
        if "text" in fields:
            found.append(Text(text(fields["text"], f"{place}.text")))
        elif fields:
            losses.refuse(place, "instructions can only be text")
    return tuple(found)


def _role(raw: msgspec.Raw | None, place: str) -> Role:
    name = "user" if raw is None else text(raw, f"{place}.role")
    role = _ROLES.get(name or "user")
    if role is None:
        raise BadRequest(f"the field '{place}.role' must be 'user' or 'model'")
    return role


class _PartReader:
    """Reads parts into a draft."""

    def __init__(self, draft: _Draft, losses: Losses) -> None:
        self._parts = draft.parts
        self._model = draft.role == "assistant"
        self._losses = losses

    def read(self, raw: msgspec.Raw, place: str) -> None:
        """One part. What isn't known is refused, never taken for text."""
        if begins(raw, b'"'):
            self._add(Text(text(raw, place)))
            return
        fields = members(raw, place)
        own = self._sealed(fields, place)
        kind = next((name for name in _KINDS if name in fields), None)
        self._report(fields, kind, place)
        content = fields[kind] if kind is not None else None
        match kind:
            case None:
                if own is not None:
                    self._add(Thought("", own))
            case "text":
                assert content is not None
                self._text(text(content, f"{place}.text"), fields, own, place)
            case "functionCall":
                assert content is not None
                self._add(_call(members(content, f"{place}.{kind}"), own, f"{place}.{kind}"))
            case "functionResponse":
                assert content is not None
                self._add(self._result(members(content, f"{place}.{kind}"), f"{place}.{kind}"))
            case "inlineData" | "fileData":
                assert content is not None
                if (media := self._media(kind, content, place)) is not None:
                    self._add(media)
            case _:
                self._losses.refuse(f"{place}.{kind}", "only Google's own tools write and read it")

    def _sealed(self, fields: dict[str, msgspec.Raw], place: str) -> OpaqueState | None:
        """The part's own state; the thoughts that came with it stand before it then."""
        if "thoughtSignature" not in fields or not self._model:
            return None
        slot = text(fields["thoughtSignature"], f"{place}.thoughtSignature")
        if not slot:
            return None
        thoughts, own = signature.read(slot)
        if any(thought.text for thought in thoughts):
            while self._parts and isinstance(shown := self._parts[-1], Thought) and shown.state is None:
                self._parts.pop()  # the same as it was shown, from a client that keeps it
        self._parts.extend(thoughts)
        return own

    def _text(self, said: str, fields: dict[str, msgspec.Raw], own: OpaqueState | None, place: str) -> None:
        if "thought" in fields and value(fields["thought"], f"{place}.thought") is True:
            if said or own is not None:
                self._add(Thought(said, own))
        elif said:
            self._add(Text(said, state=own))
        elif own is not None:
            self._add(Thought("", own))

    def _add(self, part: Part) -> None:
        """A part, or the next piece of the one before it."""
        before = self._parts[-1] if self._parts and self._model else None
        if isinstance(part, Text) and part.state is None and isinstance(before, Text):
            self._parts[-1] = Text(before.text + part.text, state=before.state)
        elif isinstance(part, Thought) and part.text and isinstance(before, Thought) and before.state is None:
            self._parts[-1] = Thought(before.text + part.text, part.state)
        else:
            self._parts.append(part)

    def _result(self, fields: dict[str, msgspec.Raw], place: str) -> ToolResult:
        call_id = text(fields["id"], f"{place}.id") if "id" in fields else ""
        name = text(fields["name"], f"{place}.name") if "name" in fields else ""
        if not (call_id or name):
            raise BadRequest(f"the field '{place}.name' is missing")
        said, is_error = _response(fields["response"], f"{place}.response") if "response" in fields else ("", False)
        content: list[Text | Image | Document] = [Text(said)] if said else []
        parts = fields.get("parts")
        for number, raw in enumerate(entries(parts, f"{place}.parts") if parts is not None else ()):
            inner_place = f"{place}.parts[{number}]"
            inner = members(raw, inner_place)
            kind = next((name for name in ("inlineData", "fileData") if name in inner), None)
            if kind is None:
                self._losses.refuse(inner_place, "a result can only hold text, images and documents")
            elif (media := self._media(kind, inner[kind], inner_place)) is not None:
                content.append(media)
        return ToolResult(call_id, tuple(content), is_error, name or None)

    def _media(self, kind: str, raw: msgspec.Raw, place: str) -> Image | Document | None:
        place = f"{place}.{kind}"
        fields = members(raw, place)
        media_type = text(fields["mimeType"], f"{place}.mimeType").lower() if "mimeType" in fields else ""
        name = text(fields["displayName"], f"{place}.displayName") if "displayName" in fields else None
        if media_type.startswith(("audio/", "video/")):
            self._losses.refuse(place, f"{media_type.partition('/')[0]} can't be given to it")
            return None
        if kind == "fileData":
            return self._link(fields, media_type, name, place)
        if "data" not in fields or not media_type:
            raise BadRequest(f"the field '{place}' must have mimeType and data")
        data = text(fields["data"], f"{place}.data")
        if media_type.startswith("image/"):
            return Image(Inline(media_type, data))
        source = Written(text_of(data)) if is_text_type(media_type) else Inline(media_type, data)
        return Document(source, name)

    def _link(
        self, fields: dict[str, msgspec.Raw], media_type: str, name: str | None, place: str
    ) -> Image | Document | None:
        if "fileUri" not in fields:
            raise BadRequest(f"the field '{place}.fileUri' is missing")
        url = text(fields["fileUri"], f"{place}.fileUri")
        if url.startswith(_VIDEOS):
            self._losses.refuse(place, "video can't be given to it")
        elif url.startswith(_GOOGLES) or not url.startswith(("https://", "http://")):
            self._losses.refuse(place, "the file is stored at Google and nowhere else")
        elif media_type.startswith("image/") or (
            not media_type and url.partition("?")[0].lower().endswith(_IMAGE_ENDINGS)
        ):
            return Image(Link(url, media_type or None))
        else:
            return Document(Link(url, media_type or None), name)
        return None

    def _report(self, fields: dict[str, msgspec.Raw], kind: str | None, place: str) -> None:
        for name in fields:
            if name == kind or name in _BESIDE:
                continue
            if kind is None or name in _KINDS:
                self._losses.refuse(f"{place}.{name}", "this kind of part isn't known")
            else:
                self._losses.drop(f"{place}.{name}", "it can't be said to other models")


def _call(fields: dict[str, msgspec.Raw], own: OpaqueState | None, place: str) -> ToolCall:
    name = text(fields["name"], f"{place}.name") if "name" in fields else ""
    if not name:
        raise BadRequest(f"the field '{place}.name' is missing")
    arguments = "{}"
    if "args" in fields:
        members(fields["args"], f"{place}.args")
        arguments = _compact(fields["args"])
    call_id = text(fields["id"], f"{place}.id") if "id" in fields else ""
    return ToolCall(call_id, name, arguments, state=own)


def _response(raw: msgspec.Raw, place: str) -> tuple[str, bool]:
    """What a function gave, and whether it is an error: text that clients wrap, because it must be an object."""
    fields = members(raw, place)
    if len(fields) == 1:
        (name, inner), *_ = fields.items()
        if name in ("result", "output") and begins(inner, b'"'):
            return text(inner, f"{place}.{name}"), False
        if name == "error":
            return (text(inner, place) if begins(inner, b'"') else _compact(inner)), True
    return _compact(raw), False


def _compact(raw: msgspec.Raw) -> str:
    """JSON without spaces, its numbers spelled as they were."""
    return msgspec.json.format(bytes(raw), indent=-1).decode()
