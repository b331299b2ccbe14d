"""Exports genai-prices' table into the form that ``prices.py`` reads, for a release and for ``router prices refresh``.

Importing this needs the package genai-prices, which nothing else of the router does.

Kept are prices per token, per web search and per request. Left out are units that no usage tells us (audio, images,
characters, pages) and variants chosen by anything but the service tier, the speed and batch processing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, time
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version
from typing import Any

from genai_prices import types
from genai_prices.data import providers

from router.money.prices import SOURCE

# The table's key, ours, and pico-dollars per unit for one dollar of the table's price.
_KINDS = (
    ("input_mtok", "input", 10**6),
    ("output_mtok", "output", 10**6),
    ("cache_read_mtok", "cache_read", 10**6),
    ("cache_write_mtok", "cache_write", 10**6),
    ("cache_write_1h_mtok", "cache_write_1h", 10**6),
    ("output_reasoning_mtok", "reasoning", 10**6),
    ("web_searches_kcount", "web_search", 10**9),
    ("requests_kcount", "request", 10**9),
)
_CONTEXT_KEYS = {"service_tier", "speed", "processing"}

# An entry without any price says nothing, except where its id, its name or its comment says that it is free.
_FREE_ID, _FREE_NAME = ":free", "(free)"
_FREE_COMMENTS = ("Free of charge", "zero token cost")


def installed_version() -> str:
    """The version of genai-prices that is installed."""
    return version(SOURCE)


def export_table(day: str) -> dict[str, Any]:
    """The whole table as ``prices.json`` has it, noted as of ``day``. Raises ValueError for what has no place there."""
    return {
        "source": SOURCE,
        "version": installed_version(),
        "date": day,
        "licence": "MIT, Copyright (c) Pydantic Services Inc. 2025 to present; see NOTICE beside this file",
        "providers": {
            provider.id: {
                "name": provider.name,
                "also": provider.fallback_model_providers or [],
                "models": [_model(model) for model in provider.models],
            }
            for provider in providers
        },
    }


def render(table: Mapping[str, Any]) -> str:
    """JSON with one model a line, so that a comparison of two shows which prices moved."""

    def line(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def lines() -> Iterator[str]:
        yield "{"
        for key in ("source", "version", "date", "licence"):
            yield f"{line(key)}:{line(table[key])},"
        yield '"providers":{'
        for number, (name, provider) in enumerate(table["providers"].items()):
            comma = "," if number else ""
            yield f'{comma}{line(name)}:{{"name":{line(provider["name"])},"also":{line(provider["also"])},"models":['
            yield ",\n".join(line(model) for model in provider["models"])
            yield "]}"
        yield "}}"

    return "\n".join(lines()) + "\n"


@dataclass(frozen=True, slots=True)
class Moved:
    """Which models differ between two tables, as ``provider/model``, by name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    repriced: tuple[str, ...]


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> Moved:
    """What changes with a new table; ``old`` may be empty."""
    before, after = _prices_by_model(old), _prices_by_model(new)
    return Moved(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(key for key in after.keys() & before.keys() if before[key] != after[key])),
    )


def _prices_by_model(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{name}/{model['id']}": (model["prices"], model.get("variants"))
        for name, provider in table.get("providers", {}).items()
        for model in provider["models"]
    }


def _model(model: types.ModelInfo) -> dict[str, Any]:
    exported: dict[str, Any] = {"id": model.id}
    if model.name:
        exported["name"] = model.name
    if model.context_window:
        exported["context"] = model.context_window
    if model.deprecated:
        exported["deprecated"] = True
    match = _match(model.match)
    if match != "=" + model.id.lower():
        exported["match"] = match
    if isinstance(model.prices, types.ModelPrice):
        stages: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, _prices(model.prices))]
    else:
        stages = [(_period(stage.constraint), _prices(stage.prices)) for stage in model.prices]
    if not any(prices for _, prices in stages) and _is_free(model):
        stages = [({}, {"input": 0, "output": 0})]
    exported["prices"] = stages[0][1] if len(stages) == 1 else [period | prices for period, prices in stages]
    variants = [
        {"when": dict(variant.when)} | _period(variant.constraint) | prices
        for variant in model.price_variants or ()
        if variant.when.keys() <= _CONTEXT_KEYS and (prices := _prices(variant.prices))
    ]
    if variants:
        exported["variants"] = variants
    return exported


def _prices(prices: types.ModelPrice) -> dict[str, Any]:
    """``{"input": 3000000, "output": [15000000, [200000, 22500000]]}``: a price, or one and [above, price] tiers."""
    exported: dict[str, Any] = {}
    for key, kind, scale in _KINDS:
        value = getattr(prices, key)
        if isinstance(value, types.TieredPrices):
            tiers = [[tier.start, _whole(tier.price, scale)] for tier in value.tiers]
            exported[kind] = [_whole(value.base, scale), *tiers]
        elif value is not None:
            exported[kind] = _whole(value, scale)
    return exported


def _whole(price: Decimal, scale: int) -> int:
    return int((price * scale).to_integral_value(ROUND_HALF_UP))


def _period(constraint: types.StartDateConstraint | types.TimeOfDateConstraint | None) -> dict[str, Any]:
    if constraint is None:
        return {}
    if isinstance(constraint, types.StartDateConstraint):
        return {"since": constraint.start_date.isoformat()}
    return {"hours": [_utc_clock(constraint.start_time), _utc_clock(constraint.end_time)]}


def _utc_clock(clock: time) -> str:
    if clock.tzinfo not in (None, UTC):
        raise ValueError(f"a time of day in another zone than UTC: {clock!r}")
    return clock.replace(tzinfo=None).isoformat()


def _match(clause: Any) -> Any:
    """``"=equals" "^starts" "$ends" "*contains" "~regex"``; a list: any of them, ``{"all": […]}``: all of them."""
    match clause:
        case types.ClauseEquals():
            return "=" + clause.equals.lower()
        case types.ClauseStartsWith():
            return "^" + clause.starts_with.lower()
        case types.ClauseEndsWith():
            return "$" + clause.ends_with.lower()
        case types.ClauseContains():
            return "*" + clause.contains.lower()
        case types.ClauseRegex():
            return "~" + clause.regex
        case types.ClauseOr():
            return [_match(part) for part in clause.or_]
        case types.ClauseAnd():
            return {"all": [_match(part) for part in clause.and_]}
    raise ValueError(f"an unknown match clause: {clause!r}")


def _is_free(model: types.ModelInfo) -> bool:
    comment = model.price_comments or ""
    named = model.id.endswith(_FREE_ID) or (model.name or "").endswith(_FREE_NAME)
    return named or any(words in comment for words in _FREE_COMMENTS)
