"""Parts of content, read and written: text, pictures and documents in messages and in what tools gave."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from router.errors import BadRequest
from router.wire.conversation import Cache, CacheTtl, Document, Image, Inline, Link, Text, Written
from router.wire.loss import Losses
from router.wire.media import is_text_type, text_of
from router.wire.openai_responses.shapes import Part, clipped
from router.wire.traits import Traits

TEXTS: Final = ("input_text", "output_text", "text")

_TTLS: Final[dict[str | None, CacheTtl]] = {"30m": "30m", "12h": "12h"}
_BY_ENDING: Final = {
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "json": "application/json",
    "md": "text/markdown",
    "txt": "text/plain",
    "xml": "application/xml",
}
_PDF: Final = "application/pdf"


# --- reading ----------------------------------------------------------------------------------------------------------


def ttl_of(word: str | None, default: CacheTtl = "30m") -> CacheTtl:
    """How long a cached prompt shall live."""
    return _TTLS.get(word, default)


def cache_of(part: Part, default: CacheTtl) -> Cache | None:
    """The mark on a part; one without a time has that of the request."""
    mark = part.prompt_cache_breakpoint
    return None if mark is None else Cache(ttl_of(mark.ttl, default))


def read_part(part: Part, place: str, losses: Losses, ttl: CacheTtl = "30m") -> Text | Image | Document | None:
    """What a user or a tool gives to read; ``None`` for what can't be carried over."""
    if part.type in TEXTS:
        return Text(needed(part.text, f"{place}.text"), cache=cache_of(part, ttl))
    if part.type not in ("input_image", "input_file"):
        losses.refuse(place, f"content of type '{clipped(part.type)}' can't be carried over")
        return None
    if part.file_id is not None:
        losses.refuse(f"{place}.file_id", "a file kept at one provider is unknown to others")
        return None
    cache = cache_of(part, ttl)
    if part.type == "input_image":
        return Image(_image_source(needed(part.image_url, f"{place}.image_url"), place), part.detail, cache)
    if part.file_url:
        return Document(Link(part.file_url), name=part.filename, cache=cache)
    source = _file_source(needed(part.file_data, f"{place}.file_data"), part.filename, place)
    return Document(source, part.filename, None, cache)


def needed(value: str | None, field: str) -> str:
    """A field that must be there."""
    if value is None:
        raise BadRequest(f"the field '{field}' is missing")
    return value


def _image_source(url: str, place: str) -> Inline | Link:
    return _data_url(url, f"{place}.image_url") if url.startswith("data:") else Link(url)


def _file_source(data: str, name: str | None, place: str) -> Inline | Written:
    """Bare base64 is taken, too; its kind then shows in the file's name."""
    if data.startswith("data:"):
        source = _data_url(data, f"{place}.file_data")
    else:
        source = Inline(_BY_ENDING.get((name or "").rpartition(".")[2].lower(), _PDF), data)
    return Written(text_of(source.data)) if is_text_type(source.media_type) else source


def _data_url(url: str, field: str) -> Inline:
    head, comma, data = url.partition(",")
    if not comma:
        raise BadRequest(f"the field '{field}' must be a whole data: URL")
    media_type, *parameters = head[len("data:") :].split(";")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Inline(media_type or "text/plain", data)


# --- writing ----------------------------------------------------------------------------------------------------------


class PartWriter:
    """Writes content for one target."""

    def __init__(self, traits: Traits, losses: Losses) -> None:
        self._traits = traits
        self._losses = losses

    def parts(self, parts: Iterable[Text | Image | Document], place: str) -> list[dict[str, Any]]:
        """The parts that the target can be given."""
        written: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, Text):
                written.append(self._marked({"type": "input_text", "text": part.text}, part.cache))
            elif isinstance(part, Image):
                written += self._image(part, place)
            else:
                written += self._document(part, place)
        return written

    def _image(self, image: Image, place: str) -> list[dict[str, Any]]:
        if self._traits.images is False:
            self._losses.refuse(place, "this model can't see images")
            return []
        source = image.source
        url = source.url if isinstance(source, Link) else f"data:{source.media_type};base64,{source.data}"
        written = {"type": "input_image", "image_url": url, "detail": image.detail or "auto"}
        return [self._marked(written, image.cache)]

    def _document(self, document: Document, place: str) -> list[dict[str, Any]]:
        source = document.source
        about = "\n".join(line for line in (document.name, document.context) if line)
        if isinstance(source, Written):
            text = f"{about}\n\n{source.text}" if about else source.text
            return [self._marked({"type": "input_text", "text": text}, document.cache)]
        if self._traits.documents is False:
            self._losses.refuse(place, "this model can't read documents")
            return []
        if isinstance(source, Link):
            written = {"type": "input_file", "file_url": source.url}
        else:
            data = f"data:{source.media_type};base64,{source.data}"
            written = {"type": "input_file", "filename": _file_name(document.name, source), "file_data": data}
        context = [{"type": "input_text", "text": document.context}] if document.context else []
        return [*context, self._marked(written, document.cache)]

    def _marked(self, part: dict[str, Any], cache: Cache | None) -> dict[str, Any]:
        """The part with its mark; only who asks for half a day gets and pays it."""
        if cache is not None and self._traits.cache_hints == "openai":
            part["prompt_cache_breakpoint"] = {"mode": "explicit", "ttl": "12h" if cache.ttl == "12h" else "30m"}
        return part


def _file_name(name: str | None, source: Inline) -> str:
    """A file's data needs a name, and its ending says what it is."""
    ending = source.media_type.rpartition("/")[2].partition(";")[0]
    ending = ending if ending.isalnum() and len(ending) <= 5 else "bin"
    if not name:
        return f"document.{ending}"
    return name if "." in name else f"{name}.{ending}"
