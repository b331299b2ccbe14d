"""``router import``: a profile from another program's configuration, and what could not come along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from router.cli import output
from router.cli.places import Places, examples, home_option, json_option
from router.cli.profile_making import first_look
from router.errors import ConfigError
from router.importing import ccproxy, claude_code_router, litellm
from router.importing.draft import Draft
from router.profile.files import Unreadable, read_text
from router.profile.load import load_profile
from router.profile.making import make_profile
from router.profile.names import name_problem
from router.profile.watch import MAIN
from router.providers.provider import Provider

Reader = Callable[[Path, Mapping[str, Provider]], Draft]


def _claude_code_router(path: Path, catalog: Mapping[str, Provider]) -> Draft:
    return claude_code_router.read(read_text(path), catalog)


def _litellm(path: Path, catalog: Mapping[str, Provider]) -> Draft:
    return litellm.read(read_text(path), catalog)


def _ccproxy(path: Path, catalog: Mapping[str, Provider]) -> Draft:
    models = path.with_name("config.yaml")
    return ccproxy.read(read_text(path), read_text(models) if models.is_file() else None, catalog)


SOURCES: dict[str, Reader] = {
    "claude-code-router": _claude_code_router,
    "litellm": _litellm,
    "ccproxy": _ccproxy,
}
_COLOURS = {"carried": "green", "changed": "yellow", "left out": "red"}


@click.command(
    "import",
    epilog=examples(
        "router import claude-code-router ~/.claude-code-router/config.json --as work",
        "router import litellm config.yaml --as team",
        "router import ccproxy ~/.ccproxy/ccproxy.yaml --json",
    ),
)
@click.argument("source", type=click.Choice(list(SOURCES)))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--as", "name", metavar="NAME", help="What the profile is called; else as the source.")
@json_option
@home_option
def command(places: Places, source: str, file: Path, name: str | None, as_json: bool) -> None:
    """Make a profile from another program's configuration.

    Every part of it is told of: carried over, changed on the way, or left out, with the reason. Keys that stand in it
    go to the profile's .env.
    """
    name = name or source
    if problem := name_problem(name):
        raise click.UsageError(problem)
    try:
        draft = SOURCES[source](file, places.catalog)
    except Unreadable as error:
        raise ConfigError(f"{file} {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    files = draft.files()
    _refuse_wrong(places, name, files)
    places.home.create()
    folder = places.home.profiles / name
    make_profile(folder, files)
    if as_json:
        output.show_json(
            {
                "profile": name,
                "file": str(folder / MAIN),
                "secrets": sorted(draft.env),
                "notes": [note._asdict() for note in draft.notes],
            }
        )
        return
    for note in draft.notes:
        lines = output.wrap(f"{note.what}: {note.why}", 10)
        click.echo(click.style(note.kind.ljust(10), fg=_COLOURS[note.kind]) + lines[0])
        for line in lines[1:]:
            click.echo(" " * 10 + line)
    click.echo(f"Made {folder / MAIN} from {file}.")
    if draft.env:
        click.echo(f"Its keys are in {folder / '.env'}, as {', '.join(sorted(draft.env))}.")
    click.echo(f"`router check {name}` tries it with the tests that came along.")
    first_look(Places(places.home.path), name)


def _refuse_wrong(places: Places, name: str, files: Mapping[str, str]) -> None:
    """A profile with errors isn't written. Raises ConfigError with all of them."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / name
        make_profile(made, files)
        loaded = load_profile(made, name=name, catalog=places.catalog, environ={}, known_model=places.known_model)
    if loaded.profile is None:
        raise ConfigError("nothing was written, as the profile would be wrong:\n" + "\n".join(map(str, loaded.errors)))
