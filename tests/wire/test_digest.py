from __future__ import annotations

import pytest

from router.wire.digest import digest


@pytest.mark.parametrize("text", ["", "ann", "ä", "\ud800", "u" * 10_000], ids=["nothing", "a", "ä", "half", "much"])
def test_any_text_has_a_digest_of_its_own(text: str) -> None:
    assert len(digest(text)) == 64
    assert digest(text) == digest(text) != digest(f"{text}.")
