"""What tests of the server share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing is collected: what isn't let go of stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
