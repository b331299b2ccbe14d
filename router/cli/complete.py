"""Shell completion: names of profiles, rules and models. It never fails and never asks the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router.errors import RouterError

if TYPE_CHECKING:
    from router.cli.places import Places

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _completer(names: Callable[[click.Context], Iterable[str]]) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            return sorted(name for name in names(ctx) if name.startswith(incomplete))
        except (RouterError, OSError):  # nothing to offer; the command itself will say why
            return []

    return complete


def _profiles(ctx: click.Context) -> Iterable[str]:
    return _places(ctx).found


def _rules(ctx: click.Context) -> Iterable[str]:
    from router.cli.places import current_rules

    places = _places(ctx)
    chosen = ctx.params.get("name")
    for name in [chosen] if isinstance(chosen, str) else places.found:
        profile = places.load(name).profile
        if profile is not None:
            yield from (rule.label for rule in current_rules(profile.routes))
        yield from places.reader.rules(name)


def _written_rules(ctx: click.Context) -> Iterable[str]:
    return (rule.label for rule in _places(ctx).profile(ctx.params["name"]).routes.rules)


def _aliases(ctx: click.Context) -> Iterable[str]:
    return _places(ctx).profile(ctx.params["name"]).routes.aliases


def _helpers(ctx: click.Context) -> Iterable[str]:
    settings, _ = _places(ctx).home.settings()
    return (helper.name for helper in settings.helpers)


def _models(ctx: click.Context) -> Iterable[str]:
    places = _places(ctx)
    for provider in places.catalog.values():
        if provider.price_provider is not None:
            yield from (f"{provider.name}/{model}" for model in places.prices.models(provider.price_provider))


def _providers(ctx: click.Context) -> Iterable[str]:
    return _places(ctx).catalog


def _places(ctx: click.Context) -> Places:
    from router.cli.places import DEFAULT_HOME, Places

    home, profiles = ctx.params.get("home"), ctx.params.get("profiles")
    return Places(home if isinstance(home, Path) else DEFAULT_HOME, profiles if isinstance(profiles, Path) else None)


profile_names = _completer(_profiles)
rule_labels = _completer(lambda ctx: dict.fromkeys(_rules(ctx)))
written_rules = _completer(_written_rules)
alias_names = _completer(_aliases)
helper_names = _completer(_helpers)
model_names = _completer(_models)
provider_names = _completer(_providers)
