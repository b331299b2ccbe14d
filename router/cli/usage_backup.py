"""``router usage backup``: a copy of the ledger, also while the server writes it."""

from __future__ import annotations

from pathlib import Path

import click

from router.cli import output
from router.cli.places import Places, examples, home_option, json_option
from router.cli.progress import Progress
from router.ledger.backup import back_up


@click.command(
    "backup",
    epilog=examples("router usage backup ~/backups/router-2026-11.db", "router usage backup /mnt/router.db --force"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@json_option
@home_option
def backup(places: Places, file: Path, force: bool, as_json: bool) -> None:
    """Copy the ledger to a file, whether a server runs or not.

    The copy is checked before it gets its name. To restore it: stop the router, put it in the place of router.db,
    start the router.
    """
    with Progress() as progress:
        made = back_up(places.home.database, file, replace=force, told=progress)
    if as_json:
        output.show_json({"file": str(made.path), "bytes": made.size, "rows": made.rows})
        return
    click.echo(
        f"{made.path}: {output.size(made.size)}, {output.plural(made.rows['requests'], 'request')}, "
        f"{output.plural(made.rows['attempts'], 'call')}; checked."
    )
