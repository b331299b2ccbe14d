"""``router restart``: a new server in the place of the one that runs, without a request noticing it."""

from __future__ import annotations

from typing import Final

import click

from router.cli import background, output
from router.cli.background import ServerStatus
from router.cli.places import Places, examples, home_option
from router.errors import RouterError
from router.server.supervisor import LAUNCHD_LABEL

_BY_ITSELF: Final = {  # how who supervises a server starts it anew
    "systemd": "systemctl --user restart router",
    "launchd": f"launchctl kickstart -k gui/$(id -u)/{LAUNCHD_LABEL}",
}


@click.command("restart", epilog=examples("router restart"))
@home_option
def command(places: Places) -> None:
    """Replace the running server by a new one, without a request noticing it.

    The new one reads all files, has this shell's variables, and takes the old one's address over. The old one ends when
    its last request has: after [server] restart-grace (10 min) at the latest. If the new one can't start, the old one
    goes on, and the reason is shown. Without a running server one is started.
    """
    before = background.running(places)
    if before is None:
        server = background.spawn(places)
        click.echo(f"No router ran. Now one serves {server.base_url} (process {server.pid}).")
        return
    server = restart(places, before)
    click.echo(f"The router serves {server.base_url} (process {server.pid} in the place of {before.pid}).")
    draining = server.answer["draining"]
    if draining is not None and draining["requests"]:
        output.note(f"requests under way that process {draining['pid']} goes on serving: {draining['requests']}")


def restart(places: Places, before: ServerStatus) -> ServerStatus:
    """Start a server that takes over from this one, with its options. Raises the error that it failed to start with;
    then the one before goes on."""
    supervisor = before.answer["supervisor"]
    if supervisor is not None:
        raise RouterError(f"{supervisor} runs this router: restart it with `{_BY_ITSELF[supervisor]}`")
    return background.spawn(places, "--take-over", *before.answer["arguments"])
