"""``router init``: the home and a first profile, from a preset or from the provider keys that are there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

import click

from router.cli import output
from router.cli.complete import provider_names
from router.cli.places import Places, examples, home_option
from router.errors import ConfigError
from router.profile.names import name_problem
from router.profile.problems import one_of, suggestion
from router.profile.review import missing_variables
from router.profile.watch import MAIN
from router.providers.builtin import DEMO
from router.providers.provider import Provider
from router.wire.request import Api

DEFAULT_NAME = "work"
_SAME = {"quality-first": "quality"}  # presets by another name
# A model for titles, summaries and the like, at providers whose own clients use one for that.
_SMALL_MODELS = {"anthropic": "claude-haiku-5-5", "openai": "gpt-6-luna", "gemini": "gemini-3.5-flash-lite"}


def presets() -> dict[str, Path]:
    """The shipped profiles' folders by name."""
    folder = Path(str(resources.files("router").joinpath("presets")))
    return {path.name: path for path in sorted(folder.glob("*")) if (path / MAIN).is_file()}


def _preset_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in (*presets(), *_SAME) if name.startswith(incomplete)]


@click.command(
    "init",
    epilog=examples(
        "router init",
        "router init work -p anthropic",
        "router init home -p groq -p openai",
        "router init try --preset demo",
    ),
)
@click.argument("name", required=False)
@click.option(
    "--preset", shell_complete=_preset_names, help="Start from a shipped profile: demo, fastest, cheapest, quality, …"
)
@click.option(
    "-p",
    "--provider",
    "chosen",
    multiple=True,
    shell_complete=provider_names,
    help="A provider; may be given several times.",
)
@home_option
def command(places: Places, name: str | None, preset: str | None, chosen: tuple[str, ...]) -> None:
    """Make the home and a first profile. What exists is never overwritten.

    Without --preset and --provider the profile uses the providers whose keys are in the environment; without any such
    key it is the demo, which needs none.
    """
    if preset is not None and chosen:
        raise click.UsageError("--preset and --provider exclude each other")
    name = name or (preset if preset is not None else DEFAULT_NAME)
    if problem := name_problem(name):
        raise click.UsageError(problem)
    for provider in chosen:
        if provider not in places.catalog:
            raise ConfigError(f'no provider "{provider}"{suggestion(provider, places.catalog)}; see `router providers`')
    target = places.home.profiles / name
    if os.path.lexists(target):
        if preset is not None or chosen:
            raise ConfigError(
                f"the profile {name} exists already in {target}; nothing was changed: edit it, or choose another name"
            )
        click.echo(f"The profile {name} exists already in {target}; nothing was changed.")
        _next_steps(places, name, ())
        return
    providers = [places.catalog[provider] for provider in chosen]
    no_key = False
    if preset is None and not chosen:
        providers = _with_keys(places.catalog)
        preset = None if providers else DEMO
        no_key = not providers
    files = _preset(preset) if preset is not None else {MAIN: _first_file(places, name, providers)}
    places.home.create()
    _write(target, files)
    what = f"the preset {preset}" if preset is not None else " and ".join(provider.name for provider in providers)
    click.echo(f"Made {target / MAIN} ({what}).")
    if no_key:
        click.echo("No provider's key is in the environment, so the router itself answers in this profile.")
        click.echo("For one with a provider: router init NAME -p anthropic")
    _next_steps(places, name, providers)


def _with_keys(catalog: Mapping[str, Provider]) -> list[Provider]:
    """The providers whose key is in the environment, in the catalog's order."""
    return [
        provider
        for provider in catalog.values()
        if any(os.environ.get(variable) for variable in provider.key_variables)
    ]


def _preset(name: str) -> dict[str, str]:
    """The files of a shipped profile. Raises ConfigError."""
    known = presets()
    name = _SAME.get(name, name)
    if name not in known:
        if name == DEMO:
            raise ConfigError("no provider key is in the environment; name a provider: `router init work -p anthropic`")
        raise ConfigError(f'no preset "{name}"; there are {one_of(known) if known else "none"}')
    folder = known[name]
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
    }


def _first_file(places: Places, name: str, providers: Sequence[Provider]) -> str:
    """A routing.toml that keeps the requested models and sends each wire format to a provider that speaks it."""
    first = providers[0]
    lines = [
        f"# Where the requests to /{name} go: rules are tried in order, the first that matches wins, [default] takes",
        f"# the rest. `router check {name}` tells what is wrong here, `router explain {name}` where a request goes.",
        "version = 1",
        "",
    ]
    for other, formats in _by_format(providers):
        lines += [
            "[[rule]]",
            f"match = {{ api = [{', '.join(map(_quoted, formats))}] }}  # what {first.name} doesn't speak",
            f"to = {_quoted(other.name)}",
            "",
        ]
    small = _SMALL_MODELS.get(first.name)
    if small is not None and places.known_model(first.name, small):
        lines += [
            "[[rule]]",
            "match = { background = true }  # titles, summaries and other small jobs of the agent",
            f"to = {_quoted(first.name)}",
            f"model = {_quoted(small)}",
            "",
        ]
    lines += ["[default]", f"to = {_quoted(first.name)}  # without a model, the requested one is kept", ""]
    return "\n".join(lines)


def _by_format(providers: Sequence[Provider]) -> Iterator[tuple[Provider, list[Api]]]:
    """The wire formats that the first provider doesn't speak, with the first of the others that does."""
    spoken = set(providers[0].formats)
    for provider in providers[1:]:
        formats = [api for api in provider.formats if api not in spoken]
        spoken.update(formats)
        if formats:
            yield provider, formats


def _quoted(text: str) -> str:
    return f'"{text}"'


def _write(target: Path, files: Mapping[str, str]) -> None:
    """The profile's folder, whole or not at all."""
    made = target.with_name(f".{target.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    for name, text in files.items():
        path = made / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o600)
    os.rename(made, target)


def _next_steps(places: Places, name: str, providers: Sequence[Provider]) -> None:
    steps = []
    for provider in providers:
        missing = missing_variables(provider, os.environ, {})
        if missing:
            steps.append((f"export {missing[0]}=…", f"the key of {provider.name}, or in {name}/.env"))
    home = (
        ""
        if "ROUTER_HOME" in os.environ or places.home.path == Path("~/.router").expanduser()
        else f" --home {places.home.path}"
    )
    steps.append((f"router check {name}{home}", "what is wrong with the files"))
    steps.append((f"router serve{home}", "run the server; it says how agents are pointed at it"))
    width = max(len(step) for step, _ in steps)
    click.echo("Next:")
    for step, why in steps:
        lines = output.wrap(why, width + 6)
        click.echo(f"  {step.ljust(width)}  # {lines[0]}")
