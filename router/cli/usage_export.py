"""``router usage export``: all that the ledger has of one profile, as JSON lines or as a folder of CSV files."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from router import __version__
from router.cli import output
from router.cli.complete import profile_names
from router.cli.places import Places, examples, places_options
from router.cli.progress import Progress
from router.errors import ConfigError
from router.ledger.exporting import Exported
from router.ledger.migrations import MIGRATIONS

VERSION = 1  # of the file; a change that a reader has to know of makes it 2
_TELL_EVERY = 1000  # rows


@click.command(
    "export",
    epilog=examples(
        "router usage export work work.jsonl",
        "router usage export work | gzip > work.jsonl.gz",
        "router usage export work statement --format csv",
    ),
)
@click.argument("profile", shell_complete=profile_names)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="JSON objects, one a line, or a folder with a CSV file for each table.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@places_options
def export(places: Places, profile: str, file: Path, form: str, force: bool) -> None:
    """Write all that the ledger has of a profile.

    These are its requests with their calls, sums, rules, and its client keys without what they are; every row has the
    ledger's columns under their names. Without a FILE, or with -, it goes to standard output.
    """
    recorded = places.reader.profiles()
    if profile not in recorded and profile not in places.found:
        raise ConfigError(places.unknown(profile, sorted({*places.found, *recorded})))
    rows = places.reader.export(profile)
    if form == "csv":
        if str(file) == "-":
            raise click.UsageError("--format csv makes a file for each table; name a folder for them")
        with _new_folder(file) as folder, Progress() as progress:
            counts = write_csv(folder, _told(rows, progress))
    elif str(file) == "-":
        write_jsonl(sys.stdout.buffer, profile, rows)
        return
    else:
        with _new_file(file, replace=force) as stream, Progress() as progress:
            counts = write_jsonl(stream, profile, _told(rows, progress))
    output.note(
        f"{file}: {', '.join(f'{count} {table}' for table, count in counts.items()) or 'nothing is kept of it'}"
    )


def _told(rows: Iterable[Exported], progress: Progress) -> Iterator[Exported]:
    for number, row in enumerate(rows):
        if number % _TELL_EVERY == 0:
            progress(f"{number} rows")
        yield row


# --- the formats ------------------------------------------------------------------------------------------------------


def write_jsonl(stream: IO[bytes], profile: str, rows: Iterable[Exported]) -> Counter[str]:
    """A line that says what this is, one for each row, a request's with its ``calls``, and one with how many rows there
    were of each table, which are given back: a file without it isn't whole."""

    def write(table: str, row: dict[str, Any]) -> None:
        stream.write(json.dumps({"table": table, **row}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    about = {"version": VERSION, "profile": profile, "router": __version__, "schema": len(MIGRATIONS)}
    write("export", {**about, "exported": datetime.now(UTC).isoformat(timespec="seconds")})
    counts: Counter[str] = Counter()
    for table, row, calls in rows:
        counts[table] += 1
        if table == "requests":
            counts["attempts"] += len(calls)
            row = {**row, "calls": calls}
        write(table, row)
    write("end", {"rows": counts})
    return counts


def write_csv(folder: Path, rows: Iterable[Exported]) -> Counter[str]:
    """``requests.csv``, ``attempts.csv`` and so on, each with a line of names; the tables that have no row are left
    out. Cells are as ``output.in_csv`` writes them. How many rows there were, by table."""
    counts: Counter[str] = Counter()
    with ExitStack() as files:
        writers: dict[str, csv.DictWriter[str]] = {}

        def write(table: str, row: dict[str, Any]) -> None:
            if table not in writers:
                stream = files.enter_context((folder / f"{table}.csv").open("w", encoding="utf-8", newline=""))
                writers[table] = csv.DictWriter(stream, list(row), lineterminator="\n")
                writers[table].writeheader()
            writers[table].writerow({name: output.in_csv(value) for name, value in row.items()})
            counts[table] += 1

        for table, row, calls in rows:
            write(table, row)
            for call in calls:
                write("attempts", call)
    return counts


# --- files: whole or not at all, and the user's own -------------------------------------------------------------------


@contextmanager
def _new_file(path: Path, *, replace: bool) -> Iterator[IO[bytes]]:
    if path.exists() and not (replace and path.is_file()):
        raise ConfigError(f"{path} is there already; give another name" + (", or --force" if path.is_file() else ""))
    with _beside(path) as folder:
        made = folder / path.name
        made.touch(mode=0o600)
        with made.open("wb") as stream:
            yield stream
        made.replace(path)


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ConfigError(f"{path} is there already; name a new folder")
    with _beside(path) as folder:
        made = folder / path.name
        made.mkdir(mode=0o700)
        yield made
        made.rename(path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    if not path.parent.is_dir():
        raise ConfigError(f"the folder {path.parent} doesn't exist")
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        yield Path(folder)
