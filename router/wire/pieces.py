"""Collecting what a piece of a request holds, in the same words for every format.

The formats' files walk their own blocks and tell a ``PieceNotes`` what they meet; it keeps the lists of a
``PieceContent``. What counts as a person's words is decided here, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from router.wire.media import image_size, is_text_type, pdf_pages, text_of
from router.wire.request import ImageSize, PieceContent, Role

_OPEN: Final = "<system-reminder>"
_CLOSE: Final = "</system-reminder>"


def without_reminders(text: str) -> str:
    """The text without ``<system-reminder>`` spans, which agents put into their user's turns."""
    if _OPEN not in text:
        return text
    kept: list[str] = []
    cursor = 0
    while (start := text.find(_OPEN, cursor)) >= 0 and (end := text.find(_CLOSE, start)) >= 0:
        kept.append(text[cursor:start])
        cursor = end + len(_CLOSE)
    kept.append(text[cursor:])
    return "".join(kept)


def compact(value: object) -> str:
    """A decoded value as JSON without spaces, as a model would be given it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def compact_raw(raw: msgspec.Raw | bytes | None) -> str:
    """JSON text without its spaces; ``None`` and null are empty."""
    if raw is None or bytes(raw) in (b"", b"null"):
        return ""
    return msgspec.json.format(bytes(raw), indent=-1).decode(errors="replace")


@dataclass(slots=True)
class PieceNotes:
    """What has been met so far in one piece."""

    human: bool = True  # whether text of this piece is a person's
    texts: list[str] = field(default_factory=list)
    human_texts: list[str] = field(default_factory=list)
    images: list[ImageSize | None] = field(default_factory=list)
    document_pages: list[int] = field(default_factory=list)
    tool_result: bool = False
    tool_calls: int = 0

    def speech(self, text: object) -> None:
        """Text that the speaker of the piece said."""
        if not isinstance(text, str) or not text:
            return
        self.texts.append(text)
        if self.human and (typed := without_reminders(text).strip()):
            self.human_texts.append(typed)

    def text(self, text: object) -> None:
        """Other text that the model reads."""
        if isinstance(text, str) and text:
            self.texts.append(text)

    def unknown(self, block: object) -> None:
        """A block this format's file doesn't know: it counts as text of its JSON."""
        self.text(compact(block))

    def call(self, name: object, arguments: object) -> None:
        """A tool call of the assistant."""
        self.tool_calls += 1
        self.text(name)
        if arguments is not None:
            self.text(compact(arguments))

    def image(self, data: object) -> None:
        """An image: base64, a URL, or something that isn't text and so of unknown size."""
        self.images.append(image_size(data) if isinstance(data, str) else None)

    def document(self, data: object, media_type: object) -> None:
        """A document given as base64 or as a ``data:`` URL. Of anything else the pages are unknown, at least one."""
        if not isinstance(data, str):
            self.document_pages.append(1)
            return
        kind = media_type if isinstance(media_type, str) and media_type else _data_url_type(data)
        if is_text_type(kind):
            self.text(text_of(data))
        else:
            self.document_pages.append(pdf_pages(data))

    def content(self, role: Role) -> PieceContent:
        """All of it, as spoken by ``role``."""
        return PieceContent(
            role=role,
            human_text="\n\n".join(self.human_texts),
            tool_result=self.tool_result,
            texts=tuple(self.texts),
            images=tuple(self.images),
            document_pages=tuple(self.document_pages),
            tool_calls=self.tool_calls,
        )


def unreadable(raw: bytes, role: Role = "user") -> PieceContent:
    """A piece that isn't what its format says: the provider will judge it, here it counts as text."""
    return PieceContent(role=role, texts=(raw.decode(errors="replace"),))


def blocks_of(value: Any) -> list[Any]:
    """A list as it is, anything else as no blocks."""
    return value if isinstance(value, list) else []


def fields_of(value: Any) -> dict[str, Any]:
    """An object as it is, anything else as one without fields."""
    return value if isinstance(value, dict) else {}


def _data_url_type(data: str) -> str:
    return data[5:256].partition(",")[0].partition(";")[0] if data.startswith("data:") else ""
