"""``router prices``: the price table's state, and everything that is known of one model's price."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from router.cli import output
from router.cli.complete import model_names
from router.cli.output import Column
from router.cli.places import Places, examples, json_option, places_options
from router.cli.rates import each, per_million, per_million_number
from router.errors import ConfigError
from router.money.rates import TOKEN_KINDS, Rates
from router.profile.problems import suggestion

_TITLES = ("INPUT", "OUTPUT", "READ", "WRITE", "WRITE 1H", "REASON")


@click.command(
    "prices",
    epilog=examples("router prices", "router prices anthropic/claude-sonnet-4-5", "router prices openai/gpt-5 --json"),
)
@click.argument("model", metavar="[PROVIDER/MODEL]", required=False, shell_complete=model_names)
@json_option
@places_options
def command(places: Places, model: str | None, as_json: bool) -> None:
    """Show the version of the price table, or the prices of one model in USD per million tokens.

    A price that a profile sets in [prices."provider/model"] goes over the table, for this profile.
    """
    overrides = list(_overrides(places))
    if model is None:
        _show_table(places, overrides, as_json)
    else:
        _show_model(places, model, overrides, as_json)


def _overrides(places: Places) -> Iterator[tuple[str, str, Rates]]:
    """(profile, ``provider/model``, rates) of every price that a profile sets."""
    for name in places.found:
        profile = places.load(name).profile
        for (provider, model), rates in profile.prices.items() if profile is not None else ():
            yield name, f"{provider}/{model}", rates


def _show_table(places: Places, overrides: list[tuple[str, str, Rates]], as_json: bool) -> None:
    table = places.prices
    models = sum(len(table.models(provider)) for provider in table.providers())
    if as_json:
        output.show_json(
            {
                "version": table.version,
                "date": table.date.isoformat(),
                "providers": len(table.providers()),
                "models": models,
                "overrides": [
                    {"profile": profile, "target": target, "usd_per_million": _numbers(rates)}
                    for profile, target, rates in overrides
                ],
            }
        )
        return
    age = (datetime.now(UTC).date() - table.date).days
    output.show_fields(
        [
            ("Table", table.version),
            ("Date", f"{table.date.isoformat()} ({output.plural(max(0, age), 'day')} old)"),
            ("Models", f"{models} of {output.plural(len(table.providers()), 'provider')}"),
        ]
    )
    if overrides:
        click.echo()
        output.show(
            [Column("PROFILE", text=True), Column("SETS THE PRICE OF", text=True), *map(Column, _TITLES[:5])],
            [
                [profile, target, *(per_million(rates, kind) for kind in TOKEN_KINDS[:5])]
                for profile, target, rates in overrides
            ],
        )


def _show_model(places: Places, target: str, overrides: list[tuple[str, str, Rates]], as_json: bool) -> None:
    name, slash, model = target.partition("/")
    if not slash or name not in places.catalog:
        hint = suggestion(name, places.catalog)
        raise ConfigError(f'"{target}" is no provider/model of a known provider{hint}; see `router models`')
    provider = places.catalog[name]
    rates = places.prices.rates(provider.price_provider, model) if provider.price_provider else None
    own = [(profile, set_rates) for profile, its, set_rates in overrides if its == target]
    if rates is None and not own:
        raise ConfigError(
            f'no price is known of {target}: see `router models {name}`, or set it in [prices."{target}"]'
        )
    today = datetime.now(UTC)
    now = rates.on(today) if rates is not None else None
    if as_json:
        output.show_json(
            {
                "target": target,
                "billing": provider.billing,
                "source": rates.source if rates is not None else None,
                "usd_per_million": _numbers(now),
                "tiers": [
                    {"above_input_tokens": tier.above, "usd_per_million": _numbers(tier.rates)}
                    for tier in (now.tiers if now is not None else ())
                ],
                "variants": [
                    {"when": dict(variant.when), "usd_per_million": _numbers(variant.rates)}
                    for variant in (rates.variants if rates is not None else ())
                ],
                "overrides": [{"profile": profile, "usd_per_million": _numbers(its)} for profile, its in own],
            }
        )
        return
    lines: list[tuple[str, Rates]] = []
    if rates is not None and now is not None:
        lines.append(("now", now))
        lines += [(f"over {output.count(tier.above)} input", tier.rates) for tier in now.tiers]
        for variant in rates.variants:
            context = dict(variant.when)
            if variant.period.holds(today):
                words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in context.items())
                lines.append((words, rates.on(today, context)))
    lines += [(f"profile {profile}", its) for profile, its in own]
    kinds = [kind for kind in TOKEN_KINDS if any(getattr(each_, kind) is not None for _, each_ in lines)]
    output.show(
        [Column("USD PER MILLION", text=True), *(Column(_TITLES[TOKEN_KINDS.index(kind)]) for kind in kinds)],
        [[words, *(per_million(each_, kind) for kind in kinds)] for words, each_ in lines],
    )
    remarks = [("per request", now.request), ("per web search", now.web_search)] if now is not None else []
    for what, price in remarks:
        if price is not None:
            click.echo(f"${each(price)} {what}")
    if provider.billing != "metered":
        click.echo(f"{name} is billed by {provider.billing}: these prices count as value, not as cost.")
    if rates is not None:
        output.note(f"from {rates.source}")


def _numbers(rates: Rates | None) -> dict[str, float | None]:
    return {kind: per_million_number(rates, kind) for kind in TOKEN_KINDS}
