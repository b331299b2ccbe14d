"""Images by pixels, documents by pages."""

from __future__ import annotations

import pytest

from router.routing.images import IMAGE_MAX, IMAGE_UNKNOWN, document_tokens, image_tokens
from router.wire.request import ImageSize


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        pytest.param(ImageSize(200, 200), 54, id="a small one"),
        pytest.param(ImageSize(1000, 1000), 1334, id="a megapixel"),
        pytest.param(ImageSize(1092, 1092), 1590, id="the largest square that isn't scaled"),
        pytest.param(ImageSize(3000, 3000), IMAGE_MAX, id="a photograph is scaled down and capped"),
        pytest.param(ImageSize(3136, 200), 210, id="a wide one is scaled by its long edge"),
        pytest.param(ImageSize(100_000, 1), 3, id="a line keeps a pixel of height"),
        pytest.param(ImageSize(1, 1), 1, id="a pixel"),
        pytest.param(ImageSize(10**9, 10**9), IMAGE_MAX, id="an absurd size"),
        pytest.param(None, IMAGE_UNKNOWN, id="a size that can't be known"),
    ],
)
def test_image_tokens(size: ImageSize | None, tokens: int) -> None:
    assert image_tokens(size) == tokens


def test_documents_count_by_page_and_have_at_least_one() -> None:
    assert document_tokens(3) == 3 * document_tokens(1)
    assert document_tokens(0) == document_tokens(1)
