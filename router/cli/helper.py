"""``router helper``: the local programs that the server runs, listed, started, stopped, switched on and off."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from router.cli import background, output
from router.cli.complete import helper_names
from router.cli.output import Column
from router.cli.places import Places, examples, home_option, json_option
from router.cli.profile_log import follow, last_lines
from router.cli.status import since
from router.errors import ConfigError, RouterError
from router.profile.document import Document
from router.profile.editing import change, move, set_key
from router.profile.home import SERVER_FILE, Helper, read_server_file
from router.profile.problems import Problem, suggestion

PATIENCE_S = 60.0
POLL_S = 0.1
_ON_THE_WAY = ("starting", "stopping")


@click.group(
    "helper",
    epilog=examples("router helper list", "router helper restart headroom", "router helper logs headroom -f"),
)
def command() -> None:
    """See to the helpers: local programs ([[helper]] in router.toml) that the server starts, watches and stops."""


@command.command("list", epilog=examples("router helper list", "router helper list --json"))
@json_option
@home_option
def list_helpers(places: Places, as_json: bool) -> None:
    """List the helpers in the order in which they are started.

    States: running; starting; stopping; waiting (it failed and is tried again); failed; stopped; disabled; passive (it
    is started by hand).
    """
    rows = _rows(places)
    if as_json:
        output.show_json({"helpers": rows})
        return
    columns = [
        Column("HELPER", text=True),
        Column("STATE", text=True),
        Column("PORT", text=True),
        Column("PID", text=True),
        Column("RESTARTS"),
        Column("SINCE", text=True, optional=True),
        Column("PROBLEM", text=True),
    ]
    cells = [
        [
            row["name"],
            row["state"],
            str(row["port"] or "-"),
            str(row["pid"] or "-"),
            str(row["restarts"]),
            since(row["since_ms"]) if row["since_ms"] else "-",
            row["problem"] or "",
        ]
        for row in rows
    ]
    output.show(columns, cells)
    if not rows:
        output.note(f"there is no [[helper]] in {places.home.server_file}")


def _rows(places: Places) -> Sequence[Mapping[str, Any]]:
    """The helpers as the server has them; without one as the file has them."""
    if background.status(places) is not None:
        rows: Sequence[Mapping[str, Any]] = places.server.call("GET", "/helpers")["helpers"]
        return rows
    return [
        {
            "name": helper.name,
            "state": "passive" if helper.port is None else "stopped" if helper.enabled else "disabled",
            "pid": None,
            "port": helper.port,
            "order": helper.order,
            "restarts": 0,
            "since_ms": None,
            "problem": None,
            "log": str(_log(places, helper.name)),
        }
        for helper in _helpers(places)
    ]


def _helpers(places: Places) -> tuple[Helper, ...]:
    """Those of router.toml. Raises ConfigError if it is wrong."""
    settings, problems = places.home.settings()
    if problems:
        raise ConfigError("\n".join(map(str, problems)))
    return settings.helpers


def _known(places: Places, name: str) -> Helper:
    helpers = {helper.name: helper for helper in _helpers(places)}
    if name not in helpers:
        hint = suggestion(name, helpers) or (f"; there are {', '.join(helpers)}" if helpers else "")
        raise ConfigError(f'no helper "{name}" in {places.home.server_file}{hint}')
    return helpers[name]


def _log(places: Places, name: str) -> Any:
    return places.home.logs / f"_helper-{name}.log"


# --- now --------------------------------------------------------------------------------------------------------------


def _verb(verb: str, does: str) -> None:
    """A command that has the running server change one helper."""

    @click.argument("name", shell_complete=helper_names)
    @json_option
    @home_option
    def act(places: Places, name: str, as_json: bool) -> None:
        _known(places, name)
        if background.status(places) is None:
            raise RouterError("no router runs on this home, and no helper with it; `router start` starts them")
        _tell(_settled(places, places.server.call("POST", f"/helpers/{name}/{verb}")), as_json=as_json)

    act.__doc__ = does
    command.command(verb, epilog=examples(f"router helper {verb} headroom"))(act)


def _settled(places: Places, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A helper once it runs, or doesn't."""
    until = time.monotonic() + PATIENCE_S
    while row["state"] in _ON_THE_WAY and time.monotonic() < until:
        time.sleep(POLL_S)
        row = next((each for each in _rows(places) if each["name"] == row["name"]), row)
    return row


def _tell(row: Mapping[str, Any], *, as_json: bool = False) -> None:
    if as_json:
        output.show_json(row)
    else:
        process = f", process {row['pid']}" if row["pid"] else ""
        click.echo(f"{row['name']} is {row['state']}{process}")
    if row["problem"]:
        raise RouterError(f"helper {row['name']}: {row['problem']}; see `router helper logs {row['name']}`")


_verb("start", """Start a helper that doesn't run, and wait until it is ready.""")
_verb("stop", """Stop a helper until it is started again, or the server is.""")
_verb("restart", """Stop and start a helper.""")


# --- in router.toml ---------------------------------------------------------------------------------------------------


def _edit(places: Places, name: str, edit: Callable[[str], str], done: str) -> None:
    """Change router.toml, and have a running server take it up."""

    def check(text: str) -> Sequence[Problem]:
        document = Document(SERVER_FILE, text)
        if not document.failed:
            read_server_file(document)
        return document.problems

    change(places.home.server_file, edit, check=check, label=SERVER_FILE)
    click.echo(f"{done} in {SERVER_FILE}.")
    if background.status(places) is None:
        return
    places.server.call("POST", "/reload")
    wanted = _known(places, name)
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        row = next((row for row in _rows(places) if row["name"] == name), None)
        if row is not None and row["state"] not in _ON_THE_WAY and (row["state"] == "disabled") is not wanted.enabled:
            _tell(row)
            return
        time.sleep(POLL_S)


def _place(text: str, name: str) -> int:
    """Where a helper stands among the tables of the file."""
    tables: Any = Document(SERVER_FILE, text).values["helper"]
    return next(number for number, table in enumerate(tables) if table["name"] == name)


def _switch(verb: str, does: str, *, enabled: bool) -> None:
    @click.argument("name", shell_complete=helper_names)
    @home_option
    def act(places: Places, name: str) -> None:
        _known(places, name)
        _edit(
            places,
            name,
            lambda text: set_key(text, ("helper", _place(text, name), "enabled"), enabled),
            f"The helper {name} is {verb}d",
        )

    act.__doc__ = does
    command.command(verb, epilog=examples(f"router helper {verb} headroom"))(act)


_switch("enable", """Have the server run a helper, from now on.""", enabled=True)
_switch("disable", """Stop a helper, and leave it so until it is enabled.""", enabled=False)


@command.command("move", epilog=examples("router helper move recorder --before headroom"))
@click.argument("name", shell_complete=helper_names)
@click.option("--before", "other", required=True, shell_complete=helper_names, help="The helper to start it before.")
@home_option
def move_helper(places: Places, name: str, other: str) -> None:
    """Start a helper before another, from the next start of the server on.

    It gets the other's order, and its place in the file.
    """
    mine, theirs = _known(places, name), _known(places, other)

    def edit(text: str) -> str:
        moved = move(text, "helper", _place(text, name), _place(text, other))
        if mine.order == theirs.order:
            return moved
        return set_key(moved, ("helper", _place(moved, name), "order"), theirs.order)

    _edit(places, name, edit, f"The helper {name} stands before {other}")


@command.command("logs", epilog=examples("router helper logs headroom", "router helper logs headroom --lines 10 -f"))
@click.argument("name", shell_complete=helper_names)
@click.option("--lines", type=click.IntRange(0), default=50, show_default=True, help="How many of the last ones.")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with new ones until Ctrl-C.")
@home_option
def logs(places: Places, name: str, lines: int, following: bool) -> None:
    """Print the last lines of what a helper printed itself."""
    path = _log(places, name)
    if not path.exists():
        _known(places, name)
    found, place = last_lines(path, lines)
    for line in found:
        click.echo(line)
    if following:
        follow(path, place, click.echo)
    elif not found:
        output.note(f"{name} has printed nothing yet")
