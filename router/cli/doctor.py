"""``router doctor``: what on this machine keeps the router from working, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click

from router import __version__
from router.cli import background, output
from router.cli.agents import agent_rows
from router.cli.background import ServerStatus
from router.cli.places import Places, examples, json_option, places_options
from router.cli.port_owner import why_taken
from router.cli.prices import too_old
from router.errors import RouterError
from router.ledger.lock import holder
from router.profile.home import HomeSettings
from router.profile.profile import Profile
from router.profile.watch import DOTENV
from router.providers.builtin import DEMO
from router.providers.provider import Provider

CONNECT_S = 3.0
CLOCK_MS = 60_000  # how far the ledger may be ahead

Rank = Literal["ok", "warning", "problem"]
_COLOUR = {"ok": "green", "warning": "yellow", "problem": "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. A ``problem`` keeps something from working; a ``warning`` may be as wished."""

    rank: Rank
    about: str
    text: str


@click.command("doctor", epilog=examples("router doctor", "router doctor --json"))
@json_option
@places_options
def command(places: Places, as_json: bool) -> None:
    """Look for what keeps the router from working: the server, files and their modes, keys, ports, providers, agents.

    Providers are only connected to; nothing is asked of them. The exit status is 1 if there is a problem.
    """
    findings = list(_findings(places))
    healthy = all(finding.rank != "problem" for finding in findings)
    if as_json:
        output.show_json({"ok": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        width = max(len(finding.about) for finding in findings)
        for finding in findings:
            _show(finding, width)
        problems = sum(finding.rank == "problem" for finding in findings)
        click.echo("Nothing is wrong." if healthy else f"{output.plural(problems, 'problem')}.")
    if not healthy:
        raise click.exceptions.Exit(1)


def _show(finding: Finding, width: int) -> None:
    indent = " " * (len("problem") + width + 4)
    for number, line in enumerate(output.wrap(finding.text, len(indent))):
        if number:
            click.echo(indent + line)
        else:
            rank = click.style(finding.rank.ljust(len("problem")), fg=_COLOUR[finding.rank])
            click.echo(f"{rank}  {finding.about.ljust(width)}  {line}")


def _findings(places: Places) -> Iterator[Finding]:
    try:
        server = background.status(places)
        hangs = None
    except RouterError as error:
        server, hangs = None, str(error)
    yield from _versions(server)
    yield from _server(places, server, hangs)
    yield from _modes(places)
    settings, problems = places.home.settings()
    _, of_providers = places.home.catalog()
    for problem in (*problems, *of_providers):
        yield Finding("problem", "files", str(problem))
    if problems or of_providers:
        return  # nothing that follows could be known
    profiles = []
    for name in places.found:
        loaded = places.load(name)
        if loaded.profile is not None:
            profiles.append(loaded.profile)
        for problem in loaded.errors:
            yield Finding("problem", "files", str(problem))
    if profiles:
        yield Finding("ok", "files", f"{output.plural(len(profiles), 'profile')} can be served from {places.folder}")
    elif not places.found:
        yield Finding("warning", "files", f"there is no profile in {places.folder} yet; make one with `router init`")
    yield from _keys(profiles, server)
    if server is None:
        yield from _ports(places, settings, profiles)
    yield from _helpers(settings, server)
    yield from _prices(places)
    yield from _providers(profiles, settings)
    yield from _clock(places)
    yield from _agents(places)


def _versions(server: ServerStatus | None) -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok", "version", f"router {__version__} with Python {python} in {sys.prefix}")
    if server is not None and server.version != __version__:
        yield Finding("warning", "version", f"the running server is {server.version}; `router restart` changes that")


def _server(places: Places, server: ServerStatus | None, hangs: str | None) -> Iterator[Finding]:
    if hangs is not None:
        yield Finding("problem", "server", hangs)
    elif server is not None:
        yield Finding("ok", "server", f"{server.base_url}, process {server.pid}, home {server.home}")
        for line in (*server.problems, *(line for each in server.profiles for line in each["problems"])):
            yield Finding("problem", "server", line)
    else:
        yield Finding("warning", "server", f"none runs on {places.home.path}; `router start` starts it")
        left = [path.name for path in (places.home.socket, places.home.pid_file) if path.exists()]
        if left and holder(places.home.lock) is None:
            yield Finding(
                "warning", "server", f"one that was killed left {' and '.join(left)}; the next one replaces it"
            )


def _modes(places: Places) -> Iterator[Finding]:
    """Files that others can read, or write, though they hold keys or what is said in confidence."""
    home = places.home
    private = [home.path, home.database, home.logs, *(folder / DOTENV for folder in places.found.values())]
    wrong = [path for path in private if _mode(path) & 0o077]
    wrong += [path for path in (home.server_file, home.providers_file, home.prices_file) if _mode(path) & 0o022]
    for path in wrong:
        mode = "700" if path.is_dir() else "600"
        yield Finding("problem", "modes", f"{path} is open to other users ({_mode(path):04o}): run chmod {mode} {path}")
    if not wrong and home.path.exists():
        yield Finding("ok", "modes", f"{home.path} is yours alone")


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:  # there is none
        return 0


def _used(profile: Profile) -> Iterator[Provider]:
    """The providers that a profile's rules name."""
    for name in dict.fromkeys(target.provider for target in profile.routes.targets()):
        if name in profile.providers and name != DEMO:
            yield profile.providers[name]


def _keys(profiles: list[Profile], server: ServerStatus | None) -> Iterator[Finding]:
    found = 0
    for profile in profiles:
        row = server.profile(profile.name) if server is not None else None
        served = row.get("variables") if row is not None else None
        for provider in _used(profile):
            variables = [spec.value for spec in provider.credentials if spec.kind == "env"]
            if len(variables) < len(provider.credentials) or not variables:
                continue  # it needs none, or it comes from elsewhere
            problem = _key_problem(provider.name, variables, profile, served)
            found += problem is None
            if problem is not None:
                yield Finding("problem", "keys", f"{profile.name}: {problem}")
    if found:
        yield Finding("ok", "keys", f"there for {output.plural(found, 'provider')}")


def _key_problem(provider: str, variables: list[str], profile: Profile, served: list[str] | None) -> str | None:
    """Why the provider gets no key: in the server, if one serves the profile; else here."""
    here = [name for name in variables if os.environ.get(name) or profile.dotenv.get(name)]
    if served is None:
        return None if here else f"no key for {provider}: set {' or '.join(variables)}"
    if any(name in served for name in variables):
        return None
    if here:
        return f"{here[0]} is set here, but not in the running server: `router restart` gives it this shell's variables"
    return f"no key for {provider}: set {' or '.join(variables)}, then `router restart`"


def _ports(places: Places, settings: HomeSettings, profiles: list[Profile]) -> Iterator[Finding]:
    """Whether a server could listen where it would."""
    host = os.environ.get("ROUTER_HOST") or settings.host
    asked = os.environ.get("ROUTER_PORT", "")
    wanted = {int(asked) if asked.isdigit() else settings.port: "the server"}
    for profile in profiles:
        if isinstance(profile.port, int):
            wanted.setdefault(profile.port, f"the profile {profile.name}")
    taken = {port: why for port in wanted if port and (why := why_taken(host, port)) is not None}
    for port, why in taken.items():
        yield Finding("problem", "ports", f"{why}; {wanted[port]} is to listen there")
    free = [str(port) for port in wanted if port not in taken]
    if free:
        yield Finding("ok", "ports", f"free at {host}: {', '.join(free)}")


def _helpers(settings: HomeSettings, server: ServerStatus | None) -> Iterator[Finding]:
    """Those that run are known by the server, which has told their problems."""
    if server is not None:
        return
    for helper in settings.helpers:
        if not helper.enabled or helper.port is None:
            continue
        if shutil.which(helper.command[0]) is None:
            yield Finding("problem", "helpers", f'{helper.name}: there is no program "{helper.command[0]}"')
        elif (why := why_taken("127.0.0.1", helper.port)) is not None:
            yield Finding("problem", "helpers", f"{helper.name}: {why}")
        else:
            yield Finding("ok", "helpers", f"{helper.name} can be started")


def _prices(places: Places) -> Iterator[Finding]:
    table, problems = places.home.prices()
    for problem in problems:
        yield Finding("warning", "prices", str(problem))
    if (warning := too_old(table, datetime.now(UTC).date())) is not None:
        yield Finding("warning", "prices", warning)
    elif not problems:
        yield Finding("ok", "prices", f"{table.version} of {table.date}")


# --- providers --------------------------------------------------------------------------------------------------------


def _providers(profiles: list[Profile], settings: HomeSettings) -> Iterator[Finding]:
    """Whether each provider's address, or the proxy before it, takes connections."""
    addresses: dict[str, tuple[str, Provider]] = {}
    for profile in profiles:
        for provider in _used(profile):
            for url in provider.base_urls.values():
                if not provider.placeholders:
                    addresses.setdefault(_origin(url), (provider.name, provider))
    ways = {origin: _way(origin, provider, settings) for origin, (_, provider) in addresses.items()}

    async def try_all() -> list[str | None]:
        return await asyncio.gather(*(_connection_problem(*way) for way in ways.values()))

    reached = []
    for origin, problem in zip(ways, asyncio.run(try_all()), strict=True):
        name, through = addresses[origin][0], ways[origin][0]
        where = origin if through == origin else f"{through}, the proxy to it,"
        if problem is None:
            reached.append(name)
        else:
            yield Finding("problem", "providers", f"{name}: {where} can't be reached: {problem}")
    if reached:
        yield Finding("ok", "providers", f"reached: {', '.join(dict.fromkeys(reached))}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _way(origin: str, provider: Provider, settings: HomeSettings) -> tuple[str, Path | None]:
    """What is connected to, and a file of certificates to trust."""
    local = urlsplit(origin).hostname in ("127.0.0.1", "localhost", "::1")
    proxy = provider.proxy or (None if local else settings.proxy)
    ca_file = provider.ca_file or settings.ca_file
    return (origin if proxy is None else _origin(proxy)), (None if ca_file is None else Path(ca_file))


async def _connection_problem(origin: str, ca_file: Path | None) -> str | None:
    parts = urlsplit(origin)
    try:
        context = None
        if parts.scheme == "https":
            context = ssl.create_default_context()
            if ca_file is not None:
                context.load_verify_locations(ca_file)
        port = parts.port or (443 if context else 80)
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    except TimeoutError:
        return f"no connection within {CONNECT_S:g} s"
    except ssl.SSLCertVerificationError as error:
        clock = "; is this machine's clock right?" if "valid" in error.verify_message else ""
        return f"its certificate isn't trusted: {error.verify_message}{clock}"
    except OSError as error:
        # asyncio's own words hold the address, which is known
        return (os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)).lower()
    writer.close()
    return None


# --- this machine -----------------------------------------------------------------------------------------------------


def _clock(places: Places) -> Iterator[Finding]:
    latest = max(places.reader.last_seen().values(), default=0) if places.home.database.exists() else 0
    if latest > time.time_ns() // 1_000_000 + CLOCK_MS:
        yield Finding("problem", "clock", f"the ledger has a request of {output.moment(latest)}: the clock is behind")


def _agents(places: Places) -> Iterator[Finding]:
    installed = [row for row in agent_rows(places) if row["command"]]
    for row in installed:
        if row["profile"] is None:
            how = f"`router run NAME -- {Path(str(row['command'])).name}` or `router setup NAME --agent {row['agent']}`"
            yield Finding("warning", "agents", f"{row['agent']} doesn't go through the router: {how}")
    through = [f"{row['agent']} → {row['profile']}" for row in installed if row["profile"]]
    if through:
        yield Finding("ok", "agents", ", ".join(through))
