"""``router stop``: the end of the running server."""

from __future__ import annotations

import click

from router.cli import background, output
from router.cli.places import Places, examples, home_option


@click.command("stop", epilog=examples("router stop", "router stop --now"))
@click.option("--now", is_flag=True, help="Cut requests short that are under way.")
@home_option
def command(places: Places, now: bool) -> None:
    """Stop the server of this home, in the background or not.

    Requests under way have [server] stop-grace (5 s) to end. A server that doesn't answer is ended all the same, and
    what one that crashed has left is taken away.
    """
    pid = background.stop(places, now=now, say=output.note)
    if pid is None:
        click.echo("No router runs on this home.")
    else:
        click.echo(f"Stopped the router (process {pid}).")
