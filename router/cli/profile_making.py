"""``router profile create`` and ``remove``."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime

import click

from router.cli import background, output
from router.cli.complete import profile_names, provider_names
from router.cli.init import preset_names, with_keys
from router.cli.places import Places, examples, home_option
from router.cli.pointing import agent_called, agent_names
from router.cli.status import show_problems
from router.errors import ConfigError, RouterError
from router.ledger import profile_states
from router.profile.editing import set_key
from router.profile.making import make_profile, preset_files, rules_file
from router.profile.names import name_problem
from router.profile.problems import suggestion
from router.profile.watch import MAIN
from router.providers.builtin import DEMO


def _port(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    """A port's number, or ``auto``."""
    if value is None or value == "auto":
        return value
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise click.BadParameter(f'expected a port from 1 to 65535, or "auto", got "{value}"')
    return int(value)


@click.command(
    "create",
    epilog=examples(
        "router profile create home -p groq -p openai",
        "router profile create home --preset cheapest --port auto",
        "router profile create play --agent claude-code",
    ),
)
@click.argument("name")
@click.option(
    "-p",
    "--provider",
    "chosen",
    multiple=True,
    shell_complete=provider_names,
    help="A provider; may be given several times.",
)
@click.option("--preset", shell_complete=preset_names, help="Start from a shipped profile instead.")
@click.option("--port", callback=_port, metavar="PORT|auto", help="A port of its own; auto chooses one and keeps it.")
@click.option("--agent", metavar="AGENT", shell_complete=agent_names, help="The agent that `router run` starts for it.")
@home_option
def create(
    places: Places, name: str, chosen: tuple[str, ...], preset: str | None, port: int | str | None, agent: str | None
) -> None:
    """Make a profile. One of that name is never overwritten.

    Without --provider and --preset it uses the providers whose keys are in the environment; without any such key the
    router itself answers in it.
    """
    if preset is not None and chosen:
        raise click.UsageError("--preset and --provider exclude each other")
    if problem := name_problem(name):
        raise click.UsageError(problem)
    for provider in chosen:
        if provider not in places.catalog:
            raise ConfigError(f'no provider "{provider}"{suggestion(provider, places.catalog)}; see `router providers`')
    if agent is not None:
        agent = agent_called(agent).name
    providers = [places.catalog[provider] for provider in chosen]
    if preset is None and not chosen:
        providers = with_keys(places.catalog)
        preset = None if providers else DEMO
    settings: dict[str, object] = {
        key: value for key, value in {"port": port, "agent": agent}.items() if value is not None
    }
    if preset is None:
        files = {MAIN: rules_file(name, providers, known_model=places.known_model, settings=settings)}
    else:
        files = preset_files(preset)
        for key, value in settings.items():
            files[MAIN] = set_key(files[MAIN], ("profile", key), value)
    places.home.create()
    folder = places.home.profiles / name
    make_profile(folder, files)
    what = f"the preset {preset}" if preset is not None else " and ".join(provider.name for provider in providers)
    click.echo(f"Made {folder / MAIN} ({what}).")
    first_look(Places(places.home.path), name)


def first_look(places: Places, name: str) -> None:
    """What is to be said of a new profile: what is wrong with it, and where it is served."""
    for problem in places.load(name).problems:
        output.note(f"warning: {problem}" if problem.severity == "warning" else str(problem))
    try:
        server = background.status(places)
        if server is None:
            click.echo("No server runs; `router start` starts it.")
            return
        row = background.ServerStatus.of(places.server.call("POST", "/reload")).profile(name)
    except RouterError as error:
        output.note(str(error))
        return
    if row is None:
        output.note("the running server serves another folder of profiles")
    elif row["state"] in ("running", "problem"):
        click.echo(f"It is served at {row['own_url'] or row['base_url']}.")
    show_problems([] if row is None else row["problems"], err=True)


@click.command("remove", epilog=examples("router profile remove home", "router profile remove home --delete"))
@click.argument("name", shell_complete=profile_names)
@click.option("--delete", is_flag=True, help="Delete its folder instead of putting it aside.")
@home_option
def remove(places: Places, name: str, delete: bool) -> None:
    """Remove a profile, and release its port.

    Its folder goes to removed/ in the home, with the keys in its .env. Requests under way go on; those of the past
    stay in reports.
    """
    if name not in places.found:
        raise ConfigError(places.unknown(name, places.found))
    folder = places.found[name]
    removed = places.home.path / "removed"
    removed.mkdir(mode=0o700, exist_ok=True)
    aside = removed / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    os.rename(folder, aside)
    if delete:
        shutil.rmtree(aside)
    if places.server_runs:
        places.server.call("DELETE", f"/profiles/{name}")
    elif places.home.database.exists():
        places.write(lambda connection: profile_states.forget(connection, name))
    click.echo(f"Removed {name}; its folder is deleted." if delete else f"Removed {name}; its folder is now {aside}.")
