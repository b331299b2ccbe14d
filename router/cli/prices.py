"""``router prices``: the price table's state, everything that is known of one model's price, and a newer table."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from router.cli import output
from router.cli.complete import model_names
from router.cli.default_command import DefaultGroup
from router.cli.output import Column
from router.cli.places import Places, examples, home_option, json_option, places_options
from router.cli.rates import each, per_million, per_million_number
from router.cli.setup_record import replace
from router.errors import ConfigError
from router.money.prices import OLD_DAYS, SOURCE, PriceTable, shipped
from router.money.rates import TOKEN_KINDS, Rates
from router.profile.problems import suggestion

_TITLES = ("INPUT", "OUTPUT", "READ", "WRITE", "WRITE 1H", "REASON")
_MOST_NAMED = 5


@click.group(
    "prices",
    cls=DefaultGroup,
    default="show",
    epilog=examples(
        "router prices",
        "router prices anthropic/claude-sonnet-4-5",
        "router prices openai/gpt-5 --json",
        "router prices refresh",
    ),
)
def command() -> None:
    """Show the price table's state: `router prices`; one model's prices: `router prices PROVIDER/MODEL`.

    Prices are in USD per million tokens. A price that a profile sets in [prices."provider/model"] goes over the table,
    for this profile. Each cost in the ledger names the prices it was computed with, and never changes.
    """


@command.command("show", epilog=examples("router prices show", "router prices show groq/llama-3.3-70b-versatile"))
@click.argument("model", metavar="[PROVIDER/MODEL]", required=False, shell_complete=model_names)
@json_option
@places_options
def show(places: Places, model: str | None, as_json: bool) -> None:
    """Show the state of the price table, or the prices of one model."""
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
    table, problems = places.home.prices()
    today = datetime.now(UTC).date()
    models = sum(len(table.models(provider)) for provider in table.providers())
    change, newer = table.latest_change(today), _newer_installed(table)
    if as_json:
        output.show_json(
            {
                "version": table.version,
                "date": table.date.isoformat(),
                "age_days": age_days(table, today),
                "shipped": table.shipped,
                "latest_change": change and {"date": change[0].isoformat(), "target": change[1]},
                "installed": newer,
                "problems": [str(problem) for problem in problems],
                "providers": len(table.providers()),
                "models": models,
                "overrides": [
                    {"profile": profile, "target": target, "usd_per_million": _numbers(rates)}
                    for profile, target, rates in overrides
                ],
            }
        )
        return
    fields = [
        ("Table", f"{table.version}, {'shipped' if table.shipped else f'from {places.home.prices_file}'}"),
        ("Exported", f"{table.date.isoformat()} ({output.plural(age_days(table, today), 'day')} old)"),
        ("Models", f"{models} of {output.plural(len(table.providers()), 'provider')}"),
    ]
    if change is not None:
        fields.insert(2, ("Newest", f"{change[0].isoformat()}, the latest price with a day of its own: {change[1]}"))
    output.show_fields(fields)
    if overrides:
        click.echo()
        output.show(
            [Column("PROFILE", text=True), Column("SETS THE PRICE OF", text=True), *map(Column, _TITLES[:5])],
            [
                [profile, target, *(per_million(rates, kind) for kind in TOKEN_KINDS[:5])]
                for profile, target, rates in overrides
            ],
        )
    for problem in problems:
        output.note(str(problem))
    if newer is not None:
        output.note(f"{SOURCE} {newer} is installed beside the router: `router prices refresh` takes its prices")
    if (warning := too_old(table, today)) is not None:
        output.note(warning)


def age_days(table: PriceTable, today: date) -> int:
    """How long ago a table was exported."""
    return max(0, (today - table.date).days)


def too_old(table: PriceTable, today: date) -> str | None:
    """What to say of a table whose prices may not be today's any more."""
    if age_days(table, today) <= OLD_DAYS:
        return None
    age = output.plural(age_days(table, today), "day")
    return f"the prices ({table.version}) are {age} old: update the router, or see `router prices refresh`"


def _newer_installed(table: PriceTable) -> str | None:
    """The version of genai-prices that is installed, if it is newer than the table."""
    try:
        installed = version(SOURCE)
    except PackageNotFoundError:
        return None
    return installed if table.older_than_version(installed) else None


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
                "tiers": _tiers(now),
                "variants": [
                    {
                        "when": dict(variant.when),
                        "usd_per_million": _numbers(variant.rates),
                        "tiers": _tiers(variant.rates),
                    }
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
                due = rates.on(today, context)
                lines.append((words, due))
                lines += [
                    (f"{words}, over {output.count(tier.above)} input", tier.rates)
                    for tier in due.tiers
                    if _numbers(tier.rates) != _numbers(due)
                ]
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


def _tiers(rates: Rates | None) -> list[dict[str, object]]:
    return [
        {"above_input_tokens": tier.above, "usd_per_million": _numbers(tier.rates)}
        for tier in (rates.tiers if rates is not None else ())
    ]


def _numbers(rates: Rates | None) -> dict[str, float | None]:
    return {kind: per_million_number(rates, kind) for kind in TOKEN_KINDS}


# --- a newer table ----------------------------------------------------------------------------------------------------


@command.command("refresh", epilog=examples("router prices refresh", "router prices refresh --undo"))
@click.option("--undo", is_flag=True, help="Go back to the shipped prices.")
@json_option
@home_option
def refresh(places: Places, undo: bool, as_json: bool) -> None:
    """Use the prices of a newer genai-prices that is installed beside the router. Nothing is fetched.

    They are kept in prices.json in the home and hold for what is priced from now on, also in a running server.
    """
    path, before = places.home.prices_file, places.prices
    if undo:
        there = path.exists()
        path.unlink(missing_ok=True)
        text = f"{path} is gone: the shipped prices hold" if there else "the shipped prices hold already"
        _tell({"prices": PriceTable.load().version, "before": before.version}, text, as_json)
        return
    exporting = _exporting()
    try:
        found = exporting.export_table(datetime.now(UTC).date().isoformat())
        content = exporting.render(found)
        table = PriceTable.read(content.encode())
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"{SOURCE} {version(SOURCE)} is not as this router knows it: {error}") from error
    if not before.older_than_version(found["version"]):
        text = f"{before.version} is in force, and {table.version} is installed: there is nothing newer"
        _tell({"prices": before.version, "before": before.version}, text, as_json)
        return
    old = shipped() if before.shipped else json.loads(path.read_bytes())
    places.home.create()
    replace(path, content)
    moved = exporting.moved(old, found)
    told = {"prices": table.version, "before": before.version, "file": str(path)}
    lists = {"added": moved.added, "removed": moved.removed, "repriced": moved.repriced}
    text = f"{table.version} is in force, {before.version} was: what was recorded keeps its cost"
    for what, names in (("added", moved.added), ("gone", moved.removed), ("with other prices", moved.repriced)):
        some = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
        text += f"\n{output.plural(len(names), 'model')} {what}" + (f": {some}" if names else "")
    _tell({**told, **lists}, text, as_json)


def _exporting() -> Any:
    """The module that reads genai-prices. Raises ConfigError where that isn't installed, or isn't as it knows it."""
    try:
        return importlib.import_module("router.money.exporting")
    except ModuleNotFoundError as error:
        if error.name != "genai_prices":
            raise ConfigError(f"{SOURCE} {version(SOURCE)} can't be used: {error}") from error
        raise ConfigError(
            f"{SOURCE} isn't installed beside the router; install a newer one into {sys.prefix}, then ask again"
        ) from None
    except ImportError as error:
        raise ConfigError(f"{SOURCE} {version(SOURCE)} is not as this router knows it: {error}") from error


def _tell(value: dict[str, object], text: str, as_json: bool) -> None:
    if as_json:
        output.show_json(value)
    else:
        for line in output.wrap(text):
            click.echo(line)
