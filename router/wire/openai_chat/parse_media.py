"""Images and documents of a Chat request: ``data:`` URLs, addresses, and the dialects around them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from router.wire.checked import a_text, an_object, perhaps_text, wrong
from router.wire.conversation import Cache, Document, Image, Inline, Link, Written
from router.wire.loss import Losses
from router.wire.media import is_text_type

_BY_ENDING: Final[dict[str, str]] = {
    "csv": "text/csv",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "html": "text/html",
    "json": "application/json",
    "md": "text/markdown",
    "txt": "text/plain",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
}
PDF: Final = "application/pdf"


def image(value: Any, where: str, mark: Cache | None) -> Image:
    """``image_url``: an object with ``url`` and ``detail``, or the URL itself (Mistral)."""
    if isinstance(value, str):
        value = {"url": value}
    fields = an_object(value, where)
    url = a_text(fields.get("url"), f"{where}.url")
    return Image(_source(url, where, "image/png"), perhaps_text(fields.get("detail"), f"{where}.detail"), mark)


def document(file: Mapping[str, Any], where: str, mark: Cache | None, losses: Losses) -> Document | Image | None:
    """``file``: its bytes as a ``data:`` URL; OpenRouter takes an address, too, some clients write bare base64."""
    if file.get("file_id") is not None and file.get("file_data") is None:
        losses.refuse(where, "a file kept at another provider can't be read")
        return None
    name = perhaps_text(file.get("filename"), f"{where}.filename")
    ending = (name or "").rpartition(".")[2].lower()
    source = _source(a_text(file.get("file_data"), f"{where}.file_data"), where, _BY_ENDING.get(ending, PDF))
    return _kind(source, name, mark)


def document_link(part: Mapping[str, Any], where: str, mark: Cache | None) -> Document | Image:
    """``document_url`` (Mistral): the address or ``data:`` URL as a string, or inside an object."""
    value = part.get("document_url")
    url = a_text(value.get("url") if isinstance(value, dict) else value, f"{where}.document_url")
    return _kind(_source(url, where, PDF), perhaps_text(part.get("document_name"), f"{where}.document_name"), mark)


def _kind(source: Inline | Link, name: str | None, mark: Cache | None) -> Document | Image:
    if isinstance(source, Inline):
        if source.media_type.startswith("image/"):
            return Image(source, cache=mark)
        if is_text_type(source.media_type) and (text := _as_text(source.data)) is not None:
            return Document(Written(text), name, cache=mark)
    return Document(source, name, cache=mark)


def _source(url: str, where: str, media_type: str) -> Inline | Link:
    """``media_type`` is what bytes are taken for that don't say it."""
    if not url:
        raise wrong(where, "an address or data")
    if not url.startswith("data:"):
        return Link(url) if "://" in url[:16] else Inline(media_type, url)
    head, comma, data = url[5:].partition(",")
    if not comma:
        raise wrong(where, "a data URL")
    said, *flags = head.split(";")
    if "base64" not in flags:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Inline(said or media_type, data)


def _as_text(data: str) -> str | None:
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, ValueError):
        return None
