"""Sizes of images and documents in a request, without decoding them.

Providers bill images by pixels and documents by pages, never by their base64 length. A picture's size stands in its
first bytes, so only those are decoded. Every function here answers "unknown" for what it can't read and never raises.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Mapping
from typing import Final

from router.wire.request import ImageSize

_HEAD_CHARS: Final = 1 << 16  # of base64: a JPEG's size can stand behind a colour profile of some ten KB
_PDF_COUNTED_CHARS: Final = 1 << 20
_BYTES_PER_PAGE: Final = 50_000  # of an average PDF, for files too large or too packed to count pages in
_PDF_PAGE: Final = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_PDF_COUNT: Final = re.compile(rb"/Count\s+(\d{1,5})(?!\d)")


def image_size(data: str) -> ImageSize | None:
    """Size of an image given as base64 or as a ``data:`` URL; ``None`` for other URLs and unknown kinds."""
    if data.startswith("data:"):
        comma = data.find(",", 0, 256)
        data = data[comma + 1 : comma + 1 + _HEAD_CHARS] if comma > 0 else ""
    elif "://" in data[:16]:
        return None
    head = _decoded(data[:_HEAD_CHARS])
    for magic, read in _READERS.items():
        if head.startswith(magic):
            try:
                size = read(head)
            except (struct.error, IndexError):
                return None
            return size if size is not None and size.width > 0 and size.height > 0 else None
    return None


def pdf_pages(data: str) -> int:
    """Estimated pages (at least 1) of a PDF given as base64 or as a ``data:`` URL."""
    if data.startswith("data:"):
        data = data[data.find(",") + 1 :]
    by_size = max(1, len(data) * 3 // 4 // _BYTES_PER_PAGE)
    if len(data) > _PDF_COUNTED_CHARS:
        return by_size
    document = _decoded(data)
    counted = len(_PDF_PAGE.findall(document))
    if counted:
        return counted
    # Newer files pack their page objects; the page tree's total may still be readable.
    return max((int(count) for count in _PDF_COUNT.findall(document)), default=0) or by_size


def is_text_type(media_type: str) -> bool:
    """Whether a document of this media type is read as text by the model."""
    bare = media_type.partition(";")[0].strip().lower()
    return bare.startswith("text/") or bare in ("application/json", "application/xml", "application/x-yaml")


def text_of(data: str) -> str:
    """The text of a document given as base64 or as a ``data:`` URL."""
    if data.startswith("data:"):
        data = data[data.find(",") + 1 :]
    return _decoded(data).decode(errors="replace")


def _decoded(data: str) -> bytes:
    whole = len(data) - len(data) % 4
    try:
        return base64.b64decode(data if whole == len(data) else data[:whole])
    except (binascii.Error, ValueError):
        return b""


def _png(head: bytes) -> ImageSize:
    return ImageSize(*struct.unpack_from(">II", head, 16))


def _gif(head: bytes) -> ImageSize:
    return ImageSize(*struct.unpack_from("<HH", head, 6))


def _jpeg(head: bytes) -> ImageSize | None:
    """Walk the segments to the frame header (SOF0-SOF15 without DHT, JPG and DAC)."""
    place = 2
    while place + 9 <= len(head):
        if head[place] != 0xFF:
            return None
        marker = head[place + 1]
        if marker == 0xFF:  # padding
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no length field
            place += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, place + 5)
            return ImageSize(width, height)
        else:
            place += 2 + struct.unpack_from(">H", head, place + 2)[0]
    return None


def _webp(head: bytes) -> ImageSize | None:
    kind = head[12:16]
    if kind == b"VP8X":
        return ImageSize(1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little"))
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        return ImageSize(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return ImageSize(width & 0x3FFF, height & 0x3FFF)
    return None


_READERS: Final[Mapping[bytes, Callable[[bytes], ImageSize | None]]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"GIF8": _gif,
    b"RIFF": _webp,
}
