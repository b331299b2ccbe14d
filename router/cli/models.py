"""``router models``: what can be asked for, with context windows and prices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import click

from router.cli import output
from router.cli.complete import profile_names, provider_names
from router.cli.output import UNKNOWN, Column
from router.cli.places import Places, examples, json_option, places_options
from router.cli.rates import per_million, per_million_number
from router.errors import ConfigError
from router.money.rates import Rates
from router.profile.problems import suggestion
from router.profile.profile import Profile
from router.providers.abilities import abilities_of
from router.providers.provider import Provider


class _Model(NamedTuple):
    """A model at a provider; ``context`` and ``tools`` are None where nobody says."""

    provider: Provider
    model: str
    title: str | None
    context: int | None
    tools: bool | None
    rates: Rates | None

    @property
    def free(self) -> bool:
        """Whether it costs nothing: known to be so, never for want of a price."""
        if self.provider.billing == "free":
            return True
        return self.rates is not None and self.rates.input == 0 and self.rates.output == 0


@click.command(
    "models",
    epilog=examples(
        "router models anthropic",
        "router models --search qwen3 --free",
        "router models --profile work --tools --json",
    ),
)
@click.argument("provider", required=False, shell_complete=provider_names)
@click.option("--search", metavar="TEXT", help="Only models whose name contains this.")
@click.option("--free", is_flag=True, help="Only models that cost nothing.")
@click.option("--tools", is_flag=True, help="Leave out models known not to take tools.")
@click.option("--profile", shell_complete=profile_names, help="With this profile's providers, prices and corrections.")
@json_option
@places_options
def command(
    places: Places,
    provider: str | None,
    search: str | None,
    free: bool,
    tools: bool,
    profile: str | None,
    as_json: bool,
) -> None:
    """List models with context windows and prices in USD per million tokens.

    Of some models it isn't known whether they take tools; a profile can say so, in [models."provider/model"]. --tools
    leaves out only those known not to.
    """
    loaded = places.profile(profile) if profile is not None else None
    providers = loaded.providers if loaded is not None else places.catalog
    if provider is not None and provider not in providers:
        raise ConfigError(f'no provider "{provider}"{suggestion(provider, providers)}; see `router providers`')
    chosen = [providers[provider]] if provider is not None else list(providers.values())
    found = [
        model
        for model in _models(places, chosen, loaded)
        if (search is None or search.lower() in f"{model.model} {model.title or ''}".lower())
        and (not free or model.free)
        and (not tools or model.tools is not False)
    ]
    if as_json:
        output.show_json({"prices": places.prices.version, "models": [_json(model) for model in found]})
        return
    output.show(
        [
            Column("PROVIDER", text=True),
            Column("MODEL", text=True),
            Column("WINDOW"),
            Column("INPUT"),
            Column("OUTPUT"),
            Column("READ", optional=True),
            Column("WRITE", optional=True),
        ],
        [_cells(model) for model in found],
    )
    if not found:
        output.note("no such models")


def _models(places: Places, providers: list[Provider], profile: Profile | None) -> Iterator[_Model]:
    """The table's models and those a profile speaks of, provider by provider."""
    table, today = places.prices, datetime.now(UTC)
    for provider in providers:
        listed = dict.fromkeys(table.models(provider.price_provider) if provider.price_provider else ())
        own = profile.prices if profile is not None else {}
        said = profile.models if profile is not None else {}
        listed |= dict.fromkeys(provider.models)
        listed |= dict.fromkeys(model for name, model in (*own, *said) if name == provider.name)
        for model in listed:
            rates = own.get((provider.name, model))
            if rates is None and provider.price_provider:
                rates = table.rates(provider.price_provider, model)
            known = abilities_of(provider, model, provider.formats[0], table, said.get((provider.name, model)))
            yield _Model(
                provider,
                model,
                table.title(provider.price_provider, model) if provider.price_provider else None,
                known.window,
                known.tools,
                rates.on(today) if rates is not None else None,
            )


def _cells(model: _Model) -> list[str]:
    rates = model.rates
    return [
        model.provider.name,
        model.model,
        output.count(model.context) if model.context is not None else UNKNOWN,
        *(per_million(rates, kind) for kind in ("input", "output", "cache_read", "cache_write")),
    ]


def _json(model: _Model) -> dict[str, object]:
    return {
        "provider": model.provider.name,
        "model": model.model,
        "target": f"{model.provider.name}/{model.model}",
        "title": model.title,
        "context": model.context,
        "tools": model.tools,
        "free": model.free,
        "billing": model.provider.billing,
        "usd_per_million": {
            kind: per_million_number(model.rates, kind) for kind in ("input", "output", "cache_read", "cache_write")
        },
    }
