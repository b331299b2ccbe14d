"""Sizes are read from the first bytes; what can't be known is unknown."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.media import image_size, is_text_type, pdf_pages, text_of
from router.wire.pieces import without_reminders
from router.wire.request import ImageSize

JFIF = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9)
PROFILE = b"\xff\xe2" + struct.pack(">H", 30_000) + bytes(29_998)
FRAME = b"\xff\xc2" + struct.pack(">HBHH", 17, 8, 480, 640) + bytes(10)


def riff(kind: bytes, rest: bytes) -> bytes:
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + rest


@pytest.mark.parametrize(
    ("image", "size"),
    [
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IHDR" + struct.pack(">II", 640, 480), (640, 480), id="PNG"),
        pytest.param(b"GIF89a" + struct.pack("<HH", 640, 480), (640, 480), id="GIF"),
        pytest.param(b"\xff\xd8" + JFIF + FRAME, (640, 480), id="JPEG"),
        pytest.param(b"\xff\xd8" + JFIF + PROFILE + b"\xff" + FRAME, (640, 480), id="JPEG with a colour profile"),
        pytest.param(riff(b"VP8 ", bytes(6) + struct.pack("<HH", 640, 480)), (640, 480), id="WebP, lossy"),
        pytest.param(riff(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)), (640, 480), id="WebP, lossless"),
        pytest.param(riff(b"VP8X", bytes(4) + b"\x7f\x02\0\xdf\x01\0"), (640, 480), id="WebP, extended"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IHDR" + struct.pack(">II", 0, 480), None, id="no width"),
        pytest.param(b"\x89PNG\r\n\x1a\n", None, id="cut off"),
        pytest.param(b"\xff\xd8" + JFIF, None, id="a JPEG without a frame"),
        pytest.param(b"\xff\xd8\xff\xe0\0\0" + bytes(20), None, id="a JPEG that goes nowhere"),
        pytest.param(b"BM", None, id="another kind"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_the_size_of_an_image(image: bytes, size: tuple[int, int] | None) -> None:
    data = base64.b64encode(image + bytes(50 if size else 0)).decode()
    expected = None if size is None else ImageSize(*size)
    assert image_size(data) == expected
    assert image_size(f"data:image/png;base64,{data}") == expected


@pytest.mark.parametrize("data", ["https://example.com/a.png", "data:image/png", "data:,", "!!!!", "é" * 8, "abc"])
def test_what_is_no_base64_image_has_no_size(data: str) -> None:
    assert image_size(data) is None


@pytest.mark.parametrize(
    ("document", "pages"),
    [
        pytest.param(b"<< /Type /Pages /Count 2 >> << /Type /Page >> <</Type/Page/X 1>>", 2, id="page objects"),
        pytest.param(b"<< /Type /Pages /Count 7 >> packed", 7, id="packed, with a count"),
        pytest.param(b"nothing to see", 1, id="nothing to count"),
        pytest.param(b"x" * 700_000, 14, id="by size"),
        pytest.param(b"/Type /Page " * 100_000, 24, id="too large to look into"),
    ],
)
def test_pages_of_a_pdf(document: bytes, pages: int) -> None:
    assert pdf_pages(base64.b64encode(document).decode()) == pages


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from([b"", b"\xff\xd8", b"RIFF", b"GIF8"])
)
def test_no_bytes_raise(data: bytes, magic: bytes) -> None:
    image_size(base64.b64encode(magic + data).decode())
    image_size(data.decode(errors="replace"))
    assert pdf_pages(data.decode(errors="replace")) >= 1
    text_of(data.decode(errors="replace"))


def test_media_types_that_are_text() -> None:
    assert is_text_type("text/plain; charset=utf-8")
    assert is_text_type("application/json")
    assert not is_text_type("application/pdf")
    assert not is_text_type("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a<system-reminder>x</system-reminder>b<system-reminder>\ny\n</system-reminder>c", "abc"),
        ("<system-reminder>x</system-reminder>", ""),
        ("a<system-reminder>never closed", "a<system-reminder>never closed"),
        ("a</system-reminder>b", "a</system-reminder>b"),
    ],
)
def test_reminders_are_cut_out(text: str, expected: str) -> None:
    assert without_reminders(text) == expected


def test_many_open_reminders_cost_no_more_than_their_length() -> None:
    text = "<system-reminder>" * 200_000
    assert without_reminders(text) == text
