"""A router under test: a real app on loopback with profiles written for the occasion."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from router.server.app import App, ServeOptions
from router.server.services import now_ms

ALL_FORMATS = ("anthropic-messages", "openai-chat", "openai-responses", "gemini")
ENVIRON = {"TEST_KEY": "sk-provider-canary-1234", "OTHER_KEY": "sk-other-canary-5678"}


class Running:
    """A started app with a client session."""

    def __init__(self, app: App, session: aiohttp.ClientSession) -> None:
        self.app = app
        self.session = session

    @property
    def url(self) -> str:
        return self.app.base_url

    def post(self, path: str, **options: Any) -> Any:
        return self.session.post(self.url + path, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self.session.get(self.url + path, **options)

    def forgive(self) -> None:
        """Hold no failure against any target or key from now on."""
        for tenant in self.app.tenants:
            tenant.health.failed = _forgiven  # type: ignore[method-assign]
            tenant.health.record = _forgiven  # type: ignore[method-assign]

    async def flush(self) -> None:
        """Wait until nothing is under way and every record is in the database."""
        while self.app.services.active or self.app.services.annotator.waiting or self.app.ledger.waiting:
            await asyncio.sleep(0.002)
        await self.app.ledger.run(lambda connection: None)

    async def rows(self, table: str = "requests", where: str = "1") -> list[dict[str, Any]]:
        """Rows of the ledger, everything written."""
        await self.flush()
        return read_rows(self.app.home.database, table, where)


def _forgiven(*what: object) -> None:
    """A failure that nobody remembers."""


def read_rows(database: Path, table: str = "requests", where: str = "1") -> list[dict[str, Any]]:
    """Rows of a ledger file."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY 1, 2")]
    finally:
        connection.close()


def write_profile(home: Path, name: str, text: str, files: Mapping[str, str] | None = None) -> Path:
    """A profile's folder in a home."""
    folder = home / "profiles" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "routing.toml").write_text(text)
    for file, content in (files or {}).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(content)
    return folder


def write_providers(home: Path, urls: Mapping[str, str], *, more: str = "") -> None:
    """A ``providers.toml`` that points shipped or new providers at these addresses, speaking every format."""
    tables = [
        f'[{name}]\nbase-url = "{url}"\nformats = {list(ALL_FORMATS)}\napi-key = "env:TEST_KEY"\n{more}'
        for name, url in urls.items()
    ]
    (home / "providers.toml").write_text("\n".join(tables))


@contextlib.asynccontextmanager
async def serving(
    home: Path,
    profiles: Mapping[str, str] | None = None,
    *,
    environ: Mapping[str, str] = ENVIRON,
    settings: str = "",
    providers: Mapping[str, str] | None = None,
    resentful: bool = False,
    clock: Callable[[], int] = now_ms,
    **options: Any,
) -> AsyncIterator[Running]:
    """A router on a free port with these profiles (name to routing.toml); ``providers`` are names with base URLs.

    Most tests have one target fail again and again, so breakers and cooldowns hear of failures only if ``resentful``.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if providers:
        write_providers(home, providers)
    if settings:
        (home / "router.toml").write_text(settings)
    for name, text in (profiles or {}).items():
        write_profile(home, name, text)
    app = App(ServeOptions(home=home, port=0, **options), environ=environ, clock=clock)
    await app.start()
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            running = Running(app, session)
            if not resentful:
                running.forgive()
            yield running
    finally:
        await app.stop()
