"""Images and documents for a Messages target, and what stands for those it can't be given."""

from __future__ import annotations

from typing import Any, Final

from router.wire.conversation import Document, Image, Inline, Link, Written
from router.wire.loss import Losses
from router.wire.media import is_text_type, text_of
from router.wire.traits import Traits

_IMAGE_TYPES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")


class MediaWriter:
    """Writes the images and documents of one request. What is left out is refused, and text stands in its place."""

    def __init__(self, traits: Traits, losses: Losses) -> None:
        self._traits = traits
        self._losses = losses

    def block(self, part: Image | Document, place: str) -> dict[str, Any] | None:
        """The block; ``None`` for a document without anything in it."""
        return self._image(part, place) if isinstance(part, Image) else self._document(part, place)

    def _image(self, image: Image, place: str) -> dict[str, Any]:
        if image.detail is not None:
            self._losses.drop("detail", "how closely images are looked at can't be said here")
        source = image.source
        if self._traits.images is False:
            return self._omitted(place, "image", "this model takes no images")
        if isinstance(source, Link):
            if not _fetchable(source):
                return self._omitted(place, "image", "the provider can't fetch it from there")
            return {"type": "image", "source": {"type": "url", "url": source.url}}
        if source.media_type not in _IMAGE_TYPES:
            return self._omitted(place, "image", "images must be PNG, JPEG, GIF or WebP here")
        return {"type": "image", "source": _base64(source)}

    def _document(self, document: Document, place: str) -> dict[str, Any] | None:
        written = _text(document)
        if written is None and self._traits.documents is False:
            return self._omitted(place, "document", "this model takes no documents")
        source: dict[str, Any]
        if written is not None:
            if not written.strip():
                return None
            source = {"type": "text", "media_type": "text/plain", "data": written}
        elif isinstance(document.source, Link):
            if not _fetchable(document.source):
                return self._omitted(place, "document", "the provider can't fetch it from there")
            source = {"type": "url", "url": document.source.url}
        elif isinstance(document.source, Inline) and document.source.media_type == "application/pdf":
            source = _base64(document.source)
        else:
            return self._omitted(place, "document", "documents must be PDF or text here")
        out: dict[str, Any] = {"type": "document", "source": source}
        if document.name:
            out["title"] = document.name
        if document.context:
            out["context"] = document.context
        return out

    def _omitted(self, place: str, what: str, why: str) -> dict[str, Any]:
        self._losses.refuse(place, why)
        return {"type": "text", "text": f"[{what} omitted]"}


def _base64(source: Inline) -> dict[str, Any]:
    return {"type": "base64", "media_type": source.media_type, "data": source.data}


def _fetchable(link: Link) -> bool:
    return link.url.startswith(("https://", "http://"))


def _text(document: Document) -> str | None:
    source = document.source
    if isinstance(source, Written):
        return source.text
    return text_of(source.data) if isinstance(source, Inline) and is_text_type(source.media_type) else None
