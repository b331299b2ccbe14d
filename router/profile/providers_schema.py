"""``[providers.X]``, ``[prices."p/m"]`` and ``[models."p/m"]``: what a user knows better than the shipped tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from router.money.prices import Rates
from router.profile.problems import KeyPath, shown
from router.profile.table import Table
from router.profile.targets import Names
from router.providers.catalog import override
from router.providers.provider import Provider

_MOST_USD_PER_MILLION = 1_000_000
_ABILITIES = ("images", "tools", "documents", "thinking")


def read_providers(root: Table, known: Mapping[str, Provider], key: str | None = "providers") -> dict[str, Provider]:
    """The known providers with the file's tables over them. ``providers.toml`` is nothing but such tables: key None."""
    table = root if key is None else root.table(key)
    providers = dict(known)
    if table is None:
        return providers
    for name, values in table.entries():
        path = (*table.path, name)
        if not isinstance(values, dict):
            table.error(name, f"expected a table, got {shown(values)}")
            continue

        def report(inside: KeyPath, message: str, path: KeyPath = path) -> None:
            table.document.error((*path, *inside), message)

        provider = override(known.get(name), name, values, report)
        if provider is not None:
            providers[name] = provider
    return providers


def read_prices(root: Table, names: Names) -> dict[tuple[str, str], Rates]:
    """``[prices."provider/model"]``, in USD per million tokens."""
    prices = {}
    for pair, table in _by_model(root, "prices", names):
        found, output = _rate(table, "input"), _rate(table, "output")
        read, write, write_1h = (_rate(table, key) for key in ("cache-read", "cache-write", "cache-write-1h"))
        for key in ("input", "output"):
            if not table.has(key):
                table.error(None, f"has no {key}: a price needs input and output, in USD per million tokens")
        table.finish()
        if found is not None and output is not None:
            prices[pair] = Rates.flat(
                input=found, output=output, cache_read=read, cache_write=write, cache_write_1h=write_1h
            )
    return prices


def _rate(table: Table, key: str) -> Decimal | None:
    return table.number(key, None, most=_MOST_USD_PER_MILLION)


def read_models(root: Table, names: Names) -> dict[tuple[str, str], Mapping[str, object]]:
    """``[models."provider/model"]``: what is given replaces what the catalog says."""
    models: dict[tuple[str, str], Mapping[str, object]] = {}
    for pair, table in _by_model(root, "models", names):
        found: dict[str, object] = {
            "context": table.whole("context", None, least=1),
            "max-output": table.whole("max-output", None, least=1),
            **{ability: table.boolean(ability, None) for ability in _ABILITIES},
        }
        table.finish()
        models[pair] = {key: value for key, value in found.items() if value is not None}
    return models


def _by_model(root: Table, key: str, names: Names) -> Iterator[tuple[tuple[str, str], Table]]:
    tables = root.table(key)
    if tables is None:
        return
    for name, _ in tables.entries():
        pair = names.split(name)
        if pair is None:
            tables.error(name, names.unknown_pair(name))
            continue
        table = tables.table(name)
        if table is not None:
            yield pair, table
