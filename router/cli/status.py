"""``router status``: the running server and its profiles."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import click

from router.cli import background, output
from router.cli.background import ServerStatus
from router.cli.budgets import lines
from router.cli.output import Column
from router.cli.places import Places, examples, json_option, places_options
from router.errors import LedgerError


@click.command("status", epilog=examples("router status", "router status --json"))
@json_option
@places_options
def command(places: Places, as_json: bool) -> None:
    """Show the running server and each profile: its addresses, its state, its requests since it started.

    States: running; problem (it serves, but something is wrong); down (its files were never right); stopped; disabled.
    Restarts are those of a profile's listener. The exit status is 1 if no server runs.
    """
    if not show_status(places, as_json=as_json):
        raise click.exceptions.Exit(1)


def show_status(places: Places, *, as_json: bool) -> bool:
    """Print all that is known of the server and the profiles; whether a server runs."""
    server = background.status(places)
    profiles = profile_rows(places, server)
    if as_json:
        told = server.answer if server is not None else {"home": str(places.home.path)}
        output.show_json({"running": server is not None, **told, "profiles": profiles})
        return server is not None
    if server is None:
        click.echo(f"No router runs on {places.home.path}; `router start` starts it.")
    else:
        log = server.answer["log"]
        click.echo(
            f"router {server.version} at {server.base_url}, process {server.pid}, since {since(server.started_ms)}"
        )
        if log is not None:
            click.echo(f"log {log}")
    if profiles:
        _show_profiles(profiles)
        _show_limits(profiles)
    else:
        output.note(f"there is no profile in {places.folder} yet; make one with `router init`")
    for each in profiles:
        for line in lines(each.get("budgets", ())):
            click.echo(f"{each['profile']}: {line}")
    show_problems(
        [*(server.problems if server is not None else ()), *(p for each in profiles for p in each["problems"])]
    )
    return server is not None


def show_problems(problems: Sequence[str], *, err: bool = False) -> None:
    """Print what is wrong, a problem a line."""
    for problem in problems:
        for number, line in enumerate(output.wrap(problem, 2)):
            click.secho(line if number == 0 else f"  {line}", fg="red", err=err)


def profile_rows(places: Places, server: ServerStatus | None) -> Sequence[Mapping[str, Any]]:
    """The profiles as the server has them, or without one as they are kept: stopped or disabled."""
    if server is not None:
        return server.profiles
    disabled: set[str] = set()
    with suppress(LedgerError):  # the states are of use without it
        disabled = places.reader.disabled()
    return [
        {"profile": name, "state": "disabled" if name in disabled else "stopped", "problems": []}
        for name in places.found
    ]


def since(time_ms: int) -> str:
    """A moment in this machine's time: the hour if it is of the last day, else the date."""
    moment = datetime.fromtimestamp(time_ms / 1000).astimezone()
    return f"{moment:%H:%M:%S}" if time.time() - moment.timestamp() < 86_400 else f"{moment:%Y-%m-%d}"


def _show_profiles(profiles: Sequence[Mapping[str, Any]]) -> None:
    output.show(
        [
            Column("PROFILE", text=True),
            Column("BASE URL", text=True),
            Column("PORT"),
            Column("PID", optional=True),
            Column("STATUS", text=True),
            Column("RESTARTS", optional=True),
            Column("STARTED", text=True, optional=True),
            Column("REQUESTS"),
            Column("PROBLEMS"),
        ],
        [
            [
                each["profile"],
                each.get("base_url", "-"),
                _shown(each.get("port")),
                _shown(each.get("pid")),
                each["state"],
                _shown(each.get("restarts")),
                since(each["started_ms"]) if each.get("pid") is not None else "-",
                _shown(each.get("requests")),
                str(len(each["problems"])),
            ]
            for each in profiles
        ],
    )


def _show_limits(profiles: Sequence[Mapping[str, Any]]) -> None:
    """What the profiles' limits have refused since the server started, and who waits for a place."""
    for each in profiles:
        limited: Mapping[str, int] = each.get("limited", {})
        told = [f"{count} refused by {limit}" for limit, count in sorted(limited.items())]
        told += [f"{each['waiting']} waiting"] if each.get("waiting") else []
        if told:
            output.note(f"{each['profile']}, [limits]: {', '.join(told)}")


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
