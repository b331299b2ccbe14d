"""``router serve``: the server in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from router.cli.places import DEFAULT_HOME, examples, home_folder, profiles_folder
from router.providers.builtin import DEMO

if TYPE_CHECKING:
    from router.server.app import App

LEVELS = ("debug", "info", "warning", "error")


def listening_options(command: click.decorators.FC) -> click.decorators.FC:
    """``--host``, ``--port`` and ``--log-level``."""
    for option in (
        click.option("--log-level", type=click.Choice(LEVELS), help="How much to print.  [default: info]"),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            envvar="ROUTER_PORT",
            help="Port to listen on (ROUTER_PORT); 0 takes a free one.  [default: 8080]",
        ),
        click.option("--host", envvar="ROUTER_HOST", help="Address to listen on (ROUTER_HOST).  [default: 127.0.0.1]"),
    ):
        command = option(command)
    return command


@click.command(
    "serve",
    epilog=examples(
        "router serve",
        "router serve --port 9000",
        "router serve --profiles ./profiles",
        "router serve --demo",
    ),
)
@home_folder
@profiles_folder
@listening_options
@click.option("--demo", is_flag=True, help="Serve the shipped demo profile: no keys, no network.")
@click.option(
    "--take-over", is_flag=True, help="Replace the server that runs on this home, without a request noticing it."
)
@click.option("--background", is_flag=True, hidden=True, help="Started by `router start`.")
def command(
    home: Path,
    profiles: Path | None,
    host: str | None,
    port: int | None,
    log_level: str | None,
    demo: bool,
    take_over: bool,
    background: bool,
) -> None:
    """Run the server in the foreground until Ctrl-C.

    Profiles are read from the home and watched: a change is checked and swapped in whole. The server goes on with the
    last good version of a file that became wrong.
    """
    from router.profile.making import presets
    from router.server.app import ServeOptions, run

    only = None
    if demo and profiles is None and DEMO in (shipped := presets()):
        profiles, only = shipped[DEMO].parent, DEMO
    options = ServeOptions(
        home.expanduser(),
        profiles=profiles,
        host=host or None,
        port=port,
        log_level=log_level,
        only=only,
        background=background,
        take_over=take_over,
    )
    status = run(options, on_ready=_greet)
    if status:
        raise click.exceptions.Exit(status)


def _greet(app: App) -> None:
    """Say where the profiles are and how an agent is pointed at one."""
    status = app.status()
    profiles = [each for each in status["profiles"] if each["state"] in ("running", "problem")]
    click.echo(f"router {status['version']} on {status['base_url']}, home {status['home']}")
    for each in profiles:
        own_port = f" and port {each['port']}" if each.get("port") else ""
        click.echo(f"  {each['profile']:<16} {each['base_url']}{own_port}")
    for each in status["profiles"]:
        if each["state"] in ("stopped", "disabled"):
            click.echo(f"  {each['profile']:<16} {each['state']}")
        for problem in each["problems"]:
            click.secho(f"  {problem}", fg="red")
    if profiles:
        base = profiles[0]["base_url"]
        click.echo("Point an agent at a profile, for example:")
        click.echo(f"  router run {profiles[0]['profile']} -- claude")
        click.echo(f"  ANTHROPIC_BASE_URL={base} ANTHROPIC_AUTH_TOKEN=any claude")
    elif not status["profiles"]:
        home = "" if status["home"] == str(DEFAULT_HOME.expanduser()) else f" --home {status['home']}"
        click.echo(f"There is no profile yet. In another terminal: router init work -p anthropic{home}")
