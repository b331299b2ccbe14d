"""Images and documents as parts of Chat content."""

from __future__ import annotations

from typing import Any, Final, Literal

from router.wire.conversation import Document, Image, Inline, Link, Written
from router.wire.media import is_text_type, text_of

Form = Literal["file", "document_url"]

_ENDINGS: Final[dict[str, str]] = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}


def image(part: Image) -> dict[str, Any]:
    """An ``image_url`` part."""
    shown = {"url": _url(part.source)}
    return {"type": "image_url", "image_url": shown if part.detail is None else {**shown, "detail": part.detail}}


def heading(part: Document) -> str | None:
    """A document that is text, with its title above it; ``None`` for any other."""
    source = part.source
    if isinstance(source, Written):
        text = source.text
    elif isinstance(source, Inline) and is_text_type(source.media_type):
        text = text_of(source.data)
    else:
        return None
    head = [f"# {part.name}"] if part.name else []
    return "\n\n".join([*head, *([part.context] if part.context else []), text])


def can_be_shown(part: Document, form: Form) -> bool:
    """Whether ``document`` can write it: OpenAI's ``file`` holds the bytes themselves, never an address."""
    return isinstance(part.source, Inline) or (form == "document_url" and isinstance(part.source, Link))


def document(part: Document, form: Form) -> dict[str, Any]:
    """A document that isn't text, as the provider takes it. OpenAI's ``file`` must bear a name with an ending."""
    source = part.source
    if isinstance(source, Written):
        raise TypeError("a document that is text has no form of its own")
    if form == "document_url":
        named = {"document_name": part.name} if part.name else {}
        return {"type": "document_url", "document_url": _url(source), **named}
    name = part.name or "document"
    if "." not in name:
        ending = _ENDINGS.get(source.media_type or "", "pdf")
        name = f"{name}.{ending}"
    return {"type": "file", "file": {"filename": name, "file_data": _url(source)}}


def _url(source: Inline | Link) -> str:
    return source.url if isinstance(source, Link) else f"data:{source.media_type};base64,{source.data}"
