"""``router start``: the server in the background, or the file that has systemd or launchd keep it running."""

from __future__ import annotations

import click

from router.cli import background, output, units
from router.cli.background import ServerStatus
from router.cli.places import Places, examples, places_options
from router.cli.serve import listening_options
from router.cli.status import show_problems


@click.command(
    "start",
    epilog=examples(
        "router start",
        "router start --port 9000",
        "router start --unit systemd > ~/.config/systemd/user/router.service",
    ),
)
@listening_options
@click.option("--unit", type=click.Choice(list(units.UNITS)), help="Start nothing: print the file of such a service.")
@places_options
def command(places: Places, host: str | None, port: int | None, log_level: str | None, unit: str | None) -> None:
    """Run the server in the background, and come back when it serves.

    What it prints goes to logs/_server.log in the home; requests are in each profile's log. If it can't start, the
    reason is shown and the exit status is the server's. If it runs already, nothing is changed.
    """
    given = {"--host": host or None, "--port": port, "--log-level": log_level}
    arguments = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    if unit is not None:
        made = units.UNITS[unit](places, arguments)
        click.echo(made.text, nl=False)
        for line in made.steps:
            output.note(line)
        return
    found = background.running(places)
    if found is None:
        _tell(background.spawn(places, *arguments))
        return
    click.echo(f"The router runs already: {found.base_url} (process {found.pid}).")
    if arguments and found.answer["arguments"] != arguments:
        output.note("its options stay as they are; `router stop` first to start it with these")


def _tell(server: ServerStatus) -> None:
    click.echo(f"The router serves {server.base_url} (process {server.pid}, log {server.answer['log']}).")
    for each in server.profiles:
        if each["state"] not in ("running", "problem"):
            click.echo(f"  {each['profile']:<16} {each['state']}")
        elif each["own_url"] is not None:
            click.echo(f"  {each['profile']:<16} {each['base_url']} and {each['own_url']}")
        else:
            click.echo(f"  {each['profile']:<16} {each['base_url']}")
    show_problems([*server.problems, *(p for each in server.profiles for p in each["problems"])], err=True)
    if not server.profiles:
        click.echo("There is no profile yet; make one with `router init work -p anthropic`.")
