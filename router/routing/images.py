"""Tokens of what isn't text: images by their pixels, documents by their pages, never by their base64."""

from __future__ import annotations

from typing import Final

from router.wire.request import ImageSize

LONG_EDGE: Final = 1568
"""Pixels; larger images are scaled down to it before a model sees them."""

PIXELS_PER_TOKEN: Final = 750
"""Anthropic's formula, tokens = width * height / 750. OpenAI's and Google's tiles come out at 0.5 to 2 times of it."""

IMAGE_MAX: Final = 1600
"""Tokens of the largest image: it is scaled down further until it fits."""

IMAGE_UNKNOWN: Final = IMAGE_MAX
"""An image that stands behind a URL, or whose header can't be read: as large as one can be."""

PAGE: Final = 1600
"""A page of a PDF: providers read it as text and as an image. A recorded page with hardly any text took 1,600."""


def image_tokens(size: ImageSize | None) -> int:
    """Estimated tokens of one image; at least 1."""
    if size is None:
        return IMAGE_UNKNOWN
    width, height = size
    if (edge := max(width, height)) > LONG_EDGE:
        width = max(1, width * LONG_EDGE // edge)
        height = max(1, height * LONG_EDGE // edge)
    return max(1, min(IMAGE_MAX, -(-width * height // PIXELS_PER_TOKEN)))


def document_tokens(pages: int) -> int:
    """Estimated tokens of one document."""
    return max(1, pages) * PAGE
