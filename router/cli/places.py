"""Where commands find things: the home, its profiles, the ledger, the running server."""

from __future__ import annotations

import functools
import os
import sqlite3
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from router.errors import ConfigError
from router.ledger.reports import CurrentRule, Reader, Scope
from router.profile.home import Home
from router.profile.load import Loaded, find_profiles, load_profile
from router.profile.problems import suggestion
from router.profile.profile import Profile
from router.providers.builtin import DEMO, demo
from router.providers.provider import Provider
from router.routing.rules import RouteTable

if TYPE_CHECKING:
    from router.money.prices import PriceTable
    from router.server.admin import AdminClient

T = TypeVar("T")

DEFAULT_HOME = Path("~/.router")


class Places:
    """The home a command works on, and what is in it. Everything is read when it is asked for."""

    def __init__(self, home: Path, profiles: Path | None = None) -> None:
        self.home = Home(home)
        self.folder = profiles or self.home.profiles

    @cached_property
    def found(self) -> dict[str, Path]:
        """The profiles' folders by name."""
        return find_profiles(self.folder)

    @cached_property
    def catalog(self) -> Mapping[str, Provider]:
        """The known providers, the home's own settings over the shipped ones. Raises ConfigError."""
        catalog, problems = self.home.catalog()
        if problems:
            raise ConfigError("\n".join(map(str, problems)))
        return {**catalog, DEMO: demo()}

    @cached_property
    def prices(self) -> PriceTable:
        """The price table in force: the shipped one, or the home's own."""
        return self.home.prices()[0]

    @property
    def reader(self) -> Reader:
        """Reports from the home's ledger."""
        return Reader(self.home.database)

    @property
    def server(self) -> AdminClient:
        """The server that runs on this home, if one does."""
        from router.server.admin import AdminClient

        return AdminClient(self.home.socket)

    @property
    def server_runs(self) -> bool:
        """Whether a server answers on this home."""
        return self.home.socket.exists() and self.server.alive()

    def left_alone(self) -> list[dict[str, Any]]:
        """Breakers and cooldowns of all profiles (see ``LeftAlone.json``), as the running server has them or the next
        one will."""
        if self.server_runs:
            rows: list[dict[str, Any]] = self.server.call("GET", "/breakers")["breakers"]
            return rows
        from router.server.target_health import kept_alone

        kept = self.reader.left_alone()
        return [row.json(name) for name, health in kept.items() for row in kept_alone(health)]

    def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Write into the ledger's database in the server's place, holding its lock."""
        import asyncio

        from router.ledger.lock import HomeLock
        from router.ledger.store import Ledger

        async def write() -> T:
            ledger = await Ledger.open(self.home.database)
            try:
                return await ledger.run(job)
            finally:
                await ledger.close()

        self.home.create()
        with HomeLock(self.home.lock):
            return asyncio.run(write())

    def load(self, name: str, text: str | None = None) -> Loaded:
        """A profile with its problems; ``text`` is what its routing.toml might say instead. Raises ConfigError if there
        is none of this name."""
        if name not in self.found:
            raise ConfigError(self.unknown(name, self.found))
        return load_profile(
            self.found[name],
            name=name,
            catalog=self.catalog,
            environ=os.environ,
            known_model=self.known_model,
            text=text,
        )

    def profile(self, name: str) -> Profile:
        """A profile without errors. Raises ConfigError with all of them otherwise."""
        loaded = self.load(name)
        if loaded.profile is None:
            raise ConfigError("\n".join(map(str, loaded.errors)))
        return loaded.profile

    def unknown(self, name: str, names: Mapping[str, Any] | list[str]) -> str:
        """What to say of a profile that isn't there."""
        if not names:
            return f'no profile "{name}": there is none in {self.folder} yet; make one with `router init {name}`'
        return f'no profile "{name}" in {self.folder}{suggestion(name, names) or "; there are " + ", ".join(names)}'

    def known_model(self, provider: str, model: str) -> bool | None:
        """Whether a model is in the price list of a provider; None where there is no such list."""
        entry = self.catalog.get(provider)
        if entry is None or entry.price_provider is None or not self.prices.models(entry.price_provider):
            return None
        return self.prices.knows(entry.price_provider, model)

    def scope(self, name: str) -> tuple[Scope, bool]:
        """A profile for reports, with its rules and timezone; false where its files are wrong and neither is known."""
        if name not in self.found:
            return Scope(name), True
        profile = self.load(name).profile
        if profile is None:
            return Scope(name), False
        return Scope(name, zone=profile.timezone, rules=current_rules(profile.routes)), True


def current_rules(routes: RouteTable) -> tuple[CurrentRule, ...]:
    """A profile's rules in the order of a report: as they are tried, the default, and what is shown only if used."""
    listed = (*routes.rules, *((routes.default,) if routes.default is not None else ()))
    unlisted = (*routes.aliases.values(), *routes.concept_routes)
    return (
        *(CurrentRule(rule.label, rule.hash) for rule in listed),
        *(CurrentRule(rule.label, rule.hash, listed=False) for rule in unlisted),
    )


home_folder = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="ROUTER_HOME",
    default=DEFAULT_HOME,
    show_default=True,
    help="The router's folder (ROUTER_HOME).",
)
profiles_folder = click.option(
    "--profiles",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Another folder of profiles than the home's.",
)


def home_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--home``, and the function's first argument: the ``Places`` there."""

    @home_folder
    @functools.wraps(command)
    def with_home(*args: Any, home: Path, **options: Any) -> None:
        command(Places(home), *args, **options)

    return with_home


def places_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--home`` and ``--profiles``, and the function's first argument: the ``Places`` there."""

    @home_folder
    @profiles_folder
    @functools.wraps(command)
    def with_places(*args: Any, home: Path, profiles: Path | None, **options: Any) -> None:
        command(Places(home, profiles), *args, **options)

    return with_places


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
