"""``router init``: the home and a first profile, from a preset or from the provider keys that are there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from router.cli import output
from router.cli.complete import provider_names
from router.cli.places import Places, examples, home_option
from router.errors import ConfigError
from router.profile.making import SYNONYMS, make_profile, preset_files, presets, rules_file
from router.profile.names import name_problem
from router.profile.problems import suggestion
from router.profile.review import missing_variables
from router.profile.watch import MAIN
from router.providers.builtin import DEMO
from router.providers.provider import Provider

DEFAULT_NAME = "work"


def preset_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in (*presets(), *SYNONYMS) if name.startswith(incomplete)]


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
    "--preset", shell_complete=preset_names, help="Start from a shipped profile: demo, fastest, cheapest, quality, …"
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
    if os.path.lexists(target) and preset is None and not chosen:
        click.echo(f"The profile {name} exists already in {target}; nothing was changed.")
        _next_steps(places, name, ())
        return
    providers = [places.catalog[provider] for provider in chosen]
    no_key = False
    if preset is None and not chosen:
        providers = with_keys(places.catalog)
        preset = None if providers else DEMO
        no_key = not providers
    if preset is not None:
        files = preset_files(preset)
    else:
        files = {MAIN: rules_file(name, providers, known_model=places.known_model)}
    places.home.create()
    make_profile(target, files)
    what = f"the preset {preset}" if preset is not None else " and ".join(provider.name for provider in providers)
    click.echo(f"Made {target / MAIN} ({what}).")
    if no_key:
        click.echo("No provider's key is in the environment, so the router itself answers in this profile.")
        click.echo("For one with a provider: router init NAME -p anthropic")
    _next_steps(places, name, providers)


def with_keys(catalog: Mapping[str, Provider]) -> list[Provider]:
    """The providers whose key is in the environment, in the catalog's order."""
    return [
        provider
        for provider in catalog.values()
        if any(os.environ.get(variable) for variable in provider.key_variables)
    ]


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
    steps.append((f"router run {name}{home} -- claude", "an agent with it; the server is started if need be"))
    width = max(len(step) for step, _ in steps)
    click.echo("Next:")
    for step, why in steps:
        lines = output.wrap(why, width + 6)
        click.echo(f"  {step.ljust(width)}  # {lines[0]}")
