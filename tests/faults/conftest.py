"""One router with one scripted provider, for every test anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.aftermath import leaving_nothing
from tests.support.asking import PROFILE
from tests.support.provider import FakeProvider
from tests.support.serving import Running, serving


class Arena(NamedTuple):
    """A router whose default is ``provider``, called ``fake``; nothing may be left behind in the end."""

    router: Running
    provider: FakeProvider


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as provider:
        yield provider


@pytest.fixture
async def arena(tmp_path: Path, provider: FakeProvider) -> AsyncIterator[Arena]:
    async with (
        serving(tmp_path / "home", {"work": PROFILE}, providers={"fake": provider.url}) as router,
        leaving_nothing(router, provider),
    ):
        yield Arena(router, provider)
