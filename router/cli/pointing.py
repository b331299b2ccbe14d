"""What `router run`, `env`, `setup` and `agents` have in common: which agent, where a profile is, with which key."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router.agents.agents import AGENTS, SDK
from router.agents.form_error import FormError
from router.agents.pointing import Address, AgentFile, Found, parse
from router.cli.places import Places
from router.errors import ConfigError, CredentialMissing, RouterError
from router.profile.files import Unreadable, read_text
from router.profile.problems import suggestion
from router.profile.profile import Profile

if TYPE_CHECKING:
    from router.agents.agent import Agent
    from router.cli.background import ServerStatus

KEY_NAME = "agents of this machine"


def agent_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For completion."""
    return [agent.name for agent in AGENTS if agent.name.startswith(incomplete)]


def agent_option(command: click.decorators.FC) -> click.decorators.FC:
    """``--agent``."""
    return click.option(
        "--agent",
        "agent_name",
        metavar="AGENT",
        shell_complete=agent_names,
        help=f"One of {', '.join(agent.name for agent in AGENTS)}.",
    )(command)


def agent_called(name: str) -> Agent:
    """An agent by its name or by that of its program. Raises UsageError."""
    for agent in AGENTS:
        if name in (agent.name, agent.command):
            return agent
    names = [agent.name for agent in AGENTS]
    close = suggestion(name, [*names, *(agent.command for agent in AGENTS if agent.command)])
    raise click.UsageError(f'no agent "{name}"{close or "; there are " + ", ".join(names)}')


def agent_of(program: str) -> Agent:
    """The agent that a program is; for one that nobody knows, what holds for any program on an SDK."""
    name = Path(program).name
    return next((agent for agent in AGENTS if agent.command == name), SDK)


def found(agent: Agent, environment: Mapping[str, str], files: Iterable[AgentFile] | None = None) -> Found:
    """What is there of an agent's variables and files. A file that can't be read counts as none: it is the agent's to
    complain."""
    contents = {}
    for file in agent.files if files is None else files:
        try:
            contents[file] = parse(file, read_text(place(file, environment)))
        except (OSError, Unreadable, FormError):
            continue
    return Found(environment, contents)


def place(file: AgentFile, environment: Mapping[str, str]) -> Path:
    """Where a file of an agent's is."""
    return Path(file.resolve(environment)).expanduser().absolute()  # expanded for whoever has no HOME


def base_url(places: Places, name: str, server: ServerStatus | None) -> str:
    """The address of a profile: the running server's, else that of the next one. Raises RouterError if it is down."""
    if server is None:
        return f"{_next_address(places)}/{name}"
    row = server.profile(name)
    if row is None:
        raise ConfigError(f"the running server (home {server.home}) doesn't serve the profile {name}")
    if not row.get("base_url") or row["reason"]:
        reason = row["reason"] or "; ".join(row["problems"]) or "see `router check`"
        raise RouterError(f"the profile {name} isn't served: {reason}")
    return str(row["base_url"])


def front_url(places: Places, profile: Profile, server: ServerStatus | None) -> str | None:
    """The address of the helper that stands before a profile, if one does. Raises ConfigError where there is no such
    helper, RouterError where it doesn't run."""
    if profile.front is None:
        return None
    settings, _ = places.home.settings()
    helper = next((each for each in settings.helpers if each.name == profile.front), None)
    if helper is None or helper.port is None:
        what = "has no port" if helper else "isn't in router.toml"
        raise ConfigError(f'the helper "{profile.front}", which is to stand before {profile.name}, {what}')
    rows = () if server is None else server.answer.get("helpers", ())
    row = next((each for each in rows if each["name"] == helper.name), None)
    if row is not None and row["state"] not in ("running", "starting", "passive"):
        why = f": {row['problem']}" if row["problem"] else ""
        before = f"the helper {helper.name}, which stands before {profile.name},"
        raise RouterError(f"{before} is {row['state']}{why}; see `router helper list`")
    return f"http://127.0.0.1:{helper.port}"


def address(places: Places, profile: Profile, server: ServerStatus | None) -> Address:
    """Where and how agents enter a profile. Makes a client key where one is needed and none is known."""
    own_login = {
        api
        for provider in profile.providers.values()
        if provider.credentials and provider.credentials[0].kind == "passthrough"
        for api in provider.formats
    }
    own = base_url(places, profile.name, server)
    return Address(
        front_url(places, profile, server) or own,
        key=_key(places, profile, server),
        models=tuple(profile.routes.aliases),
        own_login=own_login,
        folder=str(folder(places, profile.name)),
    )


def folder(places: Places, name: str) -> Path:
    """Where files for the agents of a profile are kept."""
    return places.home.path.absolute() / "agents" / name


def write_private(path: Path, text: str) -> None:
    """A file for this user alone, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.unlink(missing_ok=True)
    with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline="") as out:
        out.write(text)
    made.replace(path)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """What an agent is to read besides its own files."""
    for name, text in files.items():
        write_private(folder / name, text)


def _next_address(places: Places) -> str:
    """The address of a server that is yet to be started."""
    settings, problems = places.home.settings()
    if problems:
        raise ConfigError("\n".join(map(str, problems)))
    host = os.environ.get("ROUTER_HOST") or settings.host
    port = os.environ.get("ROUTER_PORT") or settings.port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http{'s' if settings.tls_cert else ''}://{f'[{host}]' if ':' in host else host}:{port}"


def _key(places: Places, profile: Profile, server: ServerStatus | None) -> str:
    """The client key: the person's, the profile's own, or one made for this machine; empty where none is needed."""
    if given := os.environ.get("ROUTER_KEY"):
        return given
    if not _key_required(places, profile, server):
        return ""
    if profile.auth_key is not None:
        from router.providers.credentials import Credentials

        credentials = Credentials(os.environ).for_profile(
            profile.dotenv, allow_commands=places.folder == places.home.profiles
        )
        try:
            return asyncio.run(credentials.resolve(profile.auth_key)).reveal()
        except CredentialMissing:
            pass  # set where the server runs, not here; a key of our own is accepted as well
    return _kept_key(places, profile.name, server)


def _key_required(places: Places, profile: Profile, server: ServerStatus | None) -> bool:
    if profile.auth_keys is not None:
        return profile.auth_keys == "required"
    arguments: Sequence[str] = () if server is None else server.answer.get("arguments", ())
    settings, _ = places.home.settings()
    given = [value for option, value in pairwise(arguments) if option == "--host"]
    host = (given[-1] if given else "" if server else os.environ.get("ROUTER_HOST")) or settings.host
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _kept_key(places: Places, name: str, server: ServerStatus | None) -> str:
    """The key that was made here before, if it is still in force, else a new one, kept for the next time."""
    kept = folder(places, name) / "key"
    if kept.exists():
        key_id, _, key = kept.read_text("utf-8").strip().partition(" ")
        if any(each.id == key_id and each.revoked_ms is None for each in places.reader.client_keys(name)):
            return key
    made = make_key(places, name, server)
    write_private(kept, f"{made['id']} {made['key']}\n")
    return str(made["key"])


def make_key(places: Places, name: str, server: ServerStatus | None) -> Mapping[str, str]:
    """A new client key."""
    if server is not None:
        return places.server.call("POST", "/keys", {"profile": name, "name": KEY_NAME, "daily_usd": None})
    from router.server import client_keys

    return places.write(lambda connection: client_keys.create(connection, profile=name, name=KEY_NAME, daily_usd=None))
