"""``router profile``: profiles are looked at, and lead their lives within the running server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from router.cli import background, output
from router.cli.budgets import standing
from router.cli.complete import profile_names
from router.cli.output import Column
from router.cli.places import Places, examples, home_option, json_option, places_options
from router.cli.profile_log import follow, last_lines
from router.cli.profile_making import create, remove
from router.cli.profile_show import fields, shown_json
from router.cli.status import profile_rows, show_problems, show_status
from router.errors import ConfigError, RouterError
from router.ledger import profile_states
from router.profile.names import name_problem

NOTHING_RUNS = "no router runs on this home; `router start` starts it with all profiles that aren't disabled"


@click.group(
    "profile",
    epilog=examples(
        "router profile create home -p groq --port auto",
        "router profile show work",
        "router profile stop work",
        "router profile logs work -f",
    ),
)
def command() -> None:
    """Make, show, remove, stop and start profiles.

    A profile is a folder with a routing.toml. All of them live in one server, each by itself: what happens to one is
    no concern of the others.
    """


command.add_command(create)
command.add_command(remove)


# --- looked at --------------------------------------------------------------------------------------------------------


@command.command("list", epilog=examples("router profile list", "router profile list --json"))
@json_option
@places_options
def list_profiles(places: Places, as_json: bool) -> None:
    """List the profiles: their state, port, rules and providers."""
    server = background.status(places)
    rows = [
        {"profile": row["profile"], "state": row["state"], **_contents(places, row["profile"])}
        for row in profile_rows(places, server)
    ]
    if as_json:
        output.show_json({"profiles": rows})
        return
    if not rows:
        output.note(f"there is no profile in {places.folder} yet; make one with `router profile create NAME`")
        return
    output.show(
        [
            Column("PROFILE", text=True),
            Column("STATE", text=True),
            Column("PORT"),
            Column("RULES"),
            Column("PROVIDERS", text=True),
            Column("DESCRIPTION", text=True, optional=True),
        ],
        [
            [
                row["profile"],
                row["state"],
                str(row["port"] or "-"),
                "?" if row["rules"] is None else str(row["rules"]),
                ", ".join(row["providers"]),
                row["description"] or "",
            ]
            for row in rows
        ],
    )


def _contents(places: Places, name: str) -> dict[str, Any]:
    """What a profile's files say, as far as they are right."""
    profile = places.load(name).profile if name in places.found else None
    if profile is None:
        return {"port": None, "rules": None, "providers": [], "description": None}
    return {
        "port": profile.port,
        "rules": len(profile.routes.rules),
        "providers": list(dict.fromkeys(target.provider for target in profile.routes.targets())),
        "description": profile.description,
    }


@command.command("show", epilog=examples("router profile show work", "router profile show work --json"))
@click.argument("name", shell_complete=profile_names)
@json_option
@places_options
def show(places: Places, name: str, as_json: bool) -> None:
    """Show a profile's state, rules, and where they lead."""
    profile = places.profile(name)
    server = background.status(places)
    rows = {row["profile"]: row for row in profile_rows(places, server)}
    told = shown_json(profile, {**rows.get(name, {"state": "stopped"}), "budgets": standing(places, profile)})
    if told["port"] is None and profile.port == "auto":
        told["port"] = places.reader.ports().get(name)
    if as_json:
        output.show_json(told)
        return
    output.show_fields(fields(told))


@command.command("status", epilog=examples("router profile status", "router profile status work --json"))
@click.argument("name", required=False, shell_complete=profile_names)
@json_option
@places_options
def status(places: Places, name: str | None, as_json: bool) -> None:
    """Show how a profile is, or all of them.

    The exit status is 1 where it isn't served: it is stopped, disabled or down, or no server runs.
    """
    if name is None:
        if not show_status(places, as_json=as_json):
            raise click.exceptions.Exit(1)
        return
    rows = {row["profile"]: row for row in profile_rows(places, background.status(places))}
    if name not in rows:
        raise ConfigError(places.unknown(name, sorted(rows)))
    _tell(rows[name], as_json=as_json)
    if rows[name]["state"] not in ("running", "problem"):
        raise click.exceptions.Exit(1)


@command.command("logs", epilog=examples("router profile logs work", "router profile logs work --lines 10 -f"))
@click.argument("name", shell_complete=profile_names)
@click.option("--lines", type=click.IntRange(0), default=50, show_default=True, help="How many of the last ones.")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with new ones until Ctrl-C.")
@places_options
def logs(places: Places, name: str, lines: int, following: bool) -> None:
    """Print the last lines of a profile's log.

    There is one for each request, without a word of a prompt or an answer.
    """
    path = places.home.logs / f"{name}.log"
    if name_problem(name) is not None or (name not in places.found and not path.exists()):
        raise ConfigError(places.unknown(name, places.found))
    found, place = last_lines(path, lines)
    for line in found:
        click.echo(line)
    if following:
        follow(path, place, click.echo)
    elif not path.exists():
        output.note(f"{name} had no request yet")


# --- its life ---------------------------------------------------------------------------------------------------------


def _verb(verb: str, does: str, *, cuts: bool = False, without_server: Callable[[Places, str], dict[str, Any]]) -> None:
    """A command that asks the running server to change one profile."""

    @click.argument("name", shell_complete=profile_names)
    @json_option
    @home_option
    def act(places: Places, name: str, as_json: bool, now: bool = False) -> None:
        if background.status(places) is not None:
            row = places.server.call("POST", f"/profiles/{name}/{verb}", {"now": now})
        elif name in places.found:
            row = without_server(places, name)
        else:
            raise ConfigError(places.unknown(name, places.found))
        _tell(row, as_json=as_json)
        if verb in ("start", "restart", "enable") and row["problems"]:
            raise click.exceptions.Exit(1)

    if cuts:
        act = click.option("--now", is_flag=True, help="Cut requests short that are under way.")(act)
    act.__doc__ = does
    command.command(verb, epilog=examples(f"router profile {verb} work"))(act)


def _refuse(places: Places, name: str) -> dict[str, Any]:
    raise RouterError(NOTHING_RUNS)


def _unserved(places: Places, name: str) -> dict[str, Any]:
    output.note("no router runs on this home, so nothing is served anyway")
    return _without_server(places, name)


def _without_server(places: Places, name: str) -> dict[str, Any]:
    (row,) = (row for row in profile_rows(places, None) if row["profile"] == name)
    return dict(row)


def _kept(job: Callable[[sqlite3.Connection, str], None]) -> Callable[[Places, str], dict[str, Any]]:
    """Without a server: what the next one will find."""

    def keep(places: Places, name: str) -> dict[str, Any]:
        places.write(lambda connection: job(connection, name))
        output.note("no router runs on this home; the next one will know")
        return _without_server(places, name)

    return keep


def _disable(connection: sqlite3.Connection, name: str) -> None:
    profile_states.disable(connection, name, round(datetime.now(UTC).timestamp() * 1000))


_verb("start", "Serve a stopped profile again.", without_server=_refuse)
_verb(
    "stop",
    """Serve a profile no longer, until it is started or the server is.

    Its own port is closed and kept for it. Clients are answered 503 with the reason. Requests under way have
    [server] stop-grace (5 s) to end.
    """,
    cuts=True,
    without_server=_unserved,
)
_verb(
    "restart",
    """Close a profile's listener and open it again.

    Its script gets a new process. Requests under way go on.
    """,
    cuts=True,
    without_server=_refuse,
)
_verb("enable", "Serve a profile again that was disabled, or stopped.", without_server=_kept(profile_states.enable))
_verb(
    "disable",
    """Serve a profile no longer, until it is enabled.

    That holds for the server's next starts, too. As with stop, its port is kept for it, and requests under way have
    [server] stop-grace (5 s) to end.
    """,
    cuts=True,
    without_server=_kept(_disable),
)


@command.command("stop-all", epilog=examples("router profile stop-all"))
@click.option("--now", is_flag=True, help="Cut requests short that are under way.")
@json_option
@home_option
def stop_all(places: Places, now: bool, as_json: bool) -> None:
    """Stop every profile that is served. The server itself goes on."""
    if background.status(places) is None:
        rows: list[dict[str, Any]] = []
        output.note("no router runs on this home, so nothing is served anyway")
    else:
        rows = places.server.call("POST", "/profiles/stop-all", {"now": now})["stopped"]
    if as_json:
        output.show_json({"stopped": rows})
        return
    for row in rows:
        _tell(row, as_json=False)


def _tell(row: Mapping[str, Any], *, as_json: bool) -> None:
    """What became of a profile."""
    if as_json:
        output.show_json(row)
        return
    where = row.get("own_url") or row.get("base_url")
    served = row["state"] in ("running", "problem")
    under_way = row.get("under_way", 0)
    end = f" at {where}" if served and where else ""
    if not served and under_way:
        end = f"; {output.plural(under_way, 'request')} under way may still end"
    click.echo(f"{row['profile']} is {'running' if served else row['state']}{end}.")
    show_problems(row["problems"], err=True)
