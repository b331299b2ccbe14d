"""The home's own files, ``router.toml``, ``providers.toml`` and ``prices.json``, while the server runs.

As with profiles: a change is taken up once it has stayed for two looks, checked as a whole, and put in force in one
step; a wrong file changes nothing and is shown. What can't change under way (addresses, certificates, the way out)
waits for the next start, and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from router.money.prices import PriceTable
from router.profile.home import Home, HomeSettings
from router.profile.problems import Problem
from router.providers.provider import Provider

log = logging.getLogger("router.server")

POLL_S = 1.0
FIXED: Final[Mapping[str, str]] = {
    "host": "[server] host",
    "port": "[server] port",
    "tls_cert": "[server] tls-cert",
    "tls_key": "[server] tls-key",
    "proxy": "[network] proxy",
    "ca_file": "[network] ca-file",
}
"""Settings that hold until the server is started again."""

Stamp = tuple[int, ...] | None


class HomeFiles:
    """Watches the files; ``use_settings``, ``use_catalog`` and ``use_prices`` are told of good new versions.

    ``problems`` are those that the start could live with: of the prices.
    """

    def __init__(
        self,
        home: Home,
        settings: HomeSettings,
        *,
        use_settings: Callable[[HomeSettings], Awaitable[None]],
        use_catalog: Callable[[Mapping[str, Provider]], Awaitable[None]],
        use_prices: Callable[[PriceTable], Awaitable[None]],
        problems: tuple[Problem, ...] = (),
    ) -> None:
        self._home = home
        self._settings = settings
        self._use_settings = use_settings
        self._use_catalog = use_catalog
        self._use_prices = use_prices
        self._readers = {
            home.server_file: self._read_settings,
            home.providers_file: self._read_catalog,
            home.prices_file: self._read_prices,
        }
        self._seen: dict[Path, Stamp] = {path: _stamp(path) for path in self._readers}
        self._moving: dict[Path, Stamp] = dict(self._seen)
        self._problems: dict[Path, tuple[Problem, ...]] = {home.prices_file: problems}

    def problem_lines(self) -> list[str]:
        """What is wrong with the files as they are now, a line each."""
        return [str(problem) for problems in self._problems.values() for problem in problems]

    async def watch(self) -> None:
        """Look for changes, for ever. What goes wrong here must not end the watching."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.look()
            except Exception:
                log.exception("a change of the files in %s could not be taken up", self._home.path)

    async def look(self, *, patient: bool = True) -> None:
        """Take up what has changed and, if patient, stayed so since the last look."""
        for path, read in self._readers.items():
            stamp = _stamp(path)
            if stamp != self._seen[path] and (stamp == self._moving[path] or not patient):
                self._seen[path] = stamp
                self._problems[path] = await read()
                for problem in self._problems[path]:
                    log.error("%s", problem)
            self._moving[path] = stamp

    async def _read_settings(self) -> tuple[Problem, ...]:
        settings, problems = await asyncio.to_thread(self._home.settings)
        if problems:
            return problems
        waiting = [shown for name, shown in FIXED.items() if getattr(settings, name) != getattr(self._settings, name)]
        await self._use_settings(settings)
        log.info("router.toml: new version in force")
        if waiting:
            log.warning("router.toml: %s will hold from the next start on", ", ".join(waiting))
        return ()

    async def _read_catalog(self) -> tuple[Problem, ...]:
        catalog, problems = await asyncio.to_thread(self._home.catalog)
        if problems:
            return problems
        await self._use_catalog(catalog)
        log.info("providers.toml: new version in force")
        return ()

    async def _read_prices(self) -> tuple[Problem, ...]:
        prices, problems = await asyncio.to_thread(self._home.prices)
        if problems:
            return problems
        await self._use_prices(prices)
        log.info("prices of %s in force", prices.version)
        return ()


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
