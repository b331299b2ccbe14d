"""The price table: which rates a provider asks for a model.

The table is genai-prices' (Pydantic, MIT), exported into ``prices.json`` by ``exporting.py``. Using the package itself
at run time was measured first (genai-prices 0.2.3, Python 3.11):

    |                    | genai-prices      | exported table                          |
    |--------------------|-------------------|-----------------------------------------|
    | import             | 230 ms, 31 MB     | 4 ms, 1 MB                              |
    | first price        | 200 ms, 11 MB     | 7 ms, 2.5 MB (of it 6 ms reading)       |
    | each further price | 70 µs             | 3 to 17 µs; at most 0.7 ms, a new model |
    | also installed     | pydantic, httpx2  | nothing                                 |

So the package is needed only to build the file. ``cost.py`` turns rates and usage into money.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from functools import cache
from importlib import resources
from typing import Any, Final

from router.money.rates import KINDS, Change, Period, Rates, Tier, Variant

__all__ = ["OLD_DAYS", "SOURCE", "PriceTable", "Rates"]

SOURCE: Final = "genai-prices"
OLD_DAYS: Final = 90  # days after which a table is called old: providers change prices and sell new models by then
_CACHED_ANSWERS = 4096  # model names come from clients, so the cache must not grow without end


class PriceTable:
    """Prices and context windows by price provider and model.

    A provider is named by its id in the table (``anthropic``, ``openai``, ``google``, ``x-ai``, …), exactly; a model by
    the name a request uses, which the provider's own match rules recognise (dated names such as
    ``claude-sonnet-4-5-20250929`` too). An unknown provider or model has no price: never another provider's by
    resemblance, and never 0. Azure and Google sell others' models at the others' prices; the table says whose.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.version: str = f"{table['source']} {table['version']}"
        self.date = date.fromisoformat(table["date"])
        self.shipped = False
        self._number = version_number(table["version"])
        self._providers: Mapping[str, Any] = table["providers"]
        self._rates: dict[tuple[str, str], Rates | None] = {}
        self._windows: dict[tuple[str, str], int | None] = {}

    @classmethod
    def load(cls) -> PriceTable:
        """Read the table shipped with the package: some milliseconds and megabytes, the first time."""
        table = cls(shipped())
        table.shipped = True
        return table

    @classmethod
    def read(cls, content: bytes) -> PriceTable:
        """A table from elsewhere. Every entry is looked at; raises ValueError with the first thing that is wrong."""
        try:
            table = json.loads(content)
            if table["source"] != SOURCE:
                raise ValueError(f"its source isn't {SOURCE}")
            _check(table["providers"])
            return cls(table)
        except KeyError as error:
            raise ValueError(f"it has no {error}") from None
        except re.error as error:
            raise ValueError(f"a match rule can't be used: {error}") from None
        except (AttributeError, IndexError, TypeError, RecursionError):
            raise ValueError("something in it is of another kind than expected") from None

    def newer_than(self, other: PriceTable) -> bool:
        """Whether it is of a later version, or of the same one and exported later."""
        return (self._number, self.date) > (other._number, other.date)

    def older_than_version(self, version: str) -> bool:
        """Whether there is something newer where this version of the source is."""
        return self._number < version_number(version)

    def latest_change(self, today: date) -> tuple[date, str] | None:
        """The last day from which a price has been another one, and a ``provider/model`` of which that is so."""
        days = (
            (date.fromisoformat(line["since"]), f"{provider}/{entry['id']}")
            for provider, its in self._providers.items()
            for entry in its["models"]
            for line in (entry["prices"] if isinstance(entry["prices"], list) else ())
            if "since" in line
        )
        return max((each for each in days if each[0] <= today), default=None)

    def providers(self) -> list[str]:
        """The ids of the providers in the table."""
        return list(self._providers)

    def models(self, provider: str) -> list[str]:
        """The ids of a provider's models in the table's order, without those the provider has deprecated."""
        entries = self._providers[provider]["models"] if provider in self._providers else ()
        return [entry["id"] for entry in entries if not entry.get("deprecated")]

    def knows(self, provider: str, model: str) -> bool:
        """Whether a price is known."""
        return self.rates(provider, model) is not None

    def rates(self, provider: str, model: str) -> Rates | None:
        """The rates of a model, all dates and service classes; None is "unknown"."""
        key = provider, model
        if key not in self._rates:
            if len(self._rates) >= _CACHED_ANSWERS:
                self._rates.clear()
            self._rates[key] = self._find_rates(provider, model)
        return self._rates[key]

    def context_window(self, provider: str, model: str) -> int | None:
        """The most tokens a request to this model may have; None is "unknown"."""
        key = provider, model
        if key not in self._windows:
            if len(self._windows) >= _CACHED_ANSWERS:
                self._windows.clear()
            entry, _ = self._find(provider, model)
            self._windows[key] = entry.get("context") if entry else None
        return self._windows[key]

    def recognise(self, provider: str, name: str) -> str | None:
        """The id under which a model is in the table, by any of its names, also that for people ("Claude Haiku 4.5").

        Names of one id have one price: an alias and its dated versions, for one. None is "unknown".
        """
        spoken = "-".join(name.lower().split())
        for spelling in (name, spoken, spoken.replace(".", "-")):
            entry, _ = self._find(provider, spelling)
            if entry is not None:
                return str(entry["id"])
        models = self._providers[provider]["models"] if provider in self._providers else ()
        return next((entry["id"] for entry in models if entry.get("name", "").lower() == name.lower()), None)

    def title(self, provider: str, model: str) -> str | None:
        """The model's name for people, such as "Claude Sonnet 4.5"; None is "unknown"."""
        entry, _ = self._find(provider, model)
        return entry.get("name") if entry else None

    def _find_rates(self, provider: str, model: str) -> Rates | None:
        entry, own = self._find(provider, model)
        if entry is None:
            return None
        rates = _read_rates(entry, self.version, variants=own)
        return rates if any(_has_token_price(stage) for stage in (rates, *(c.rates for c in rates.changes))) else None

    def _find(self, provider: str, model: str) -> tuple[Mapping[str, Any] | None, bool]:
        """The entry of a model, and whether it is the provider's own rather than one it sells for another."""
        if provider not in self._providers:
            return None, False
        name = model.lower()
        for spelling in dict.fromkeys((name, _dashed_date(name))):
            for seller in (provider, *self._providers[provider]["also"]):
                for entry in self._providers[seller]["models"]:
                    if _matches(_rule(entry), spelling):
                        return entry, seller == provider
        return None, False


def version_number(version: str) -> tuple[int, ...]:
    """``0.2.10`` as numbers, which have an order."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


@cache
def shipped() -> Mapping[str, Any]:
    """The shipped table as it stands in its file, which is read once."""
    table: Mapping[str, Any] = json.loads(resources.files("router.money").joinpath("prices.json").read_bytes())
    return table


def _has_token_price(rates: Rates) -> bool:
    return rates.input is not None or rates.output is not None


def _rule(entry: Mapping[str, Any]) -> Any:
    """The match rule of an entry: its id where it has no other."""
    return entry.get("match") or "=" + entry["id"].lower()


def _matches(rule: Any, name: str) -> bool:
    """Whether a match rule holds for a name in lower case; ``exporting.py`` says how rules are written."""
    if isinstance(rule, list):
        return any(_matches(part, name) for part in rule)
    if isinstance(rule, dict):
        return all(_matches(part, name) for part in rule["all"])
    kind, text = rule[0], rule[1:]
    match kind:
        case "=":
            return bool(name == text)
        case "^":
            return name.startswith(text)
        case "$":
            return name.endswith(text)
        case "*":
            return text in name
        case "~":
            return re.search(text, name) is not None
    raise ValueError(f"a match rule of an unknown kind in the price table: {rule!r}")


def _dashed_date(name: str) -> str:
    """``gpt-5.2-20251211`` as ``gpt-5.2-2025-12-11``: gateways write the date together, the table apart."""
    return re.sub(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=[-:]|$)", r"-\1-\2-\3", name)


def _read_rates(entry: Mapping[str, Any], source: str, *, variants: bool) -> Rates:
    prices = entry["prices"]
    base, *later = prices if isinstance(prices, list) else [prices]
    return _read_line(
        base,
        source=source,
        # The first line also stands in when none of the others holds, whatever its own period.
        changes=tuple(Change(_read_period(line), _read_line(line)) for line in later),
        variants=tuple(
            Variant(tuple(line["when"].items()), _read_period(line), _read_line(line))
            for line in (entry.get("variants", ()) if variants else ())
        ),
    )


def _read_line(line: Mapping[str, Any], **rest: Any) -> Rates:
    """One line of prices; the tiers, which the table writes per kind, become whole rates per input length."""
    priced = {kind: line[kind] if isinstance(line[kind], list) else [line[kind]] for kind in KINDS if kind in line}

    def at(tokens: int) -> dict[str, Any]:
        return {
            kind: next((price for start, price in reversed(tiers) if tokens > start), base)
            for kind, (base, *tiers) in priced.items()
        }

    starts = sorted({start for _, *tiers in priced.values() for start, _ in tiers})
    tiers = tuple(Tier(start, Rates(**at(start + 1), source=rest.get("source", ""))) for start in starts)
    return Rates(**at(0), tiers=tiers, **rest)


def _read_period(line: Mapping[str, Any]) -> Period:
    since, hours = line.get("since"), line.get("hours")
    return Period(
        since=date.fromisoformat(since) if since else None,
        hours=(time.fromisoformat(hours[0]), time.fromisoformat(hours[1])) if hours else None,
    )


def _check(providers: Mapping[str, Any]) -> None:
    """See that every entry can be used. Raises ValueError; others where it isn't even of the right shape."""
    for name, provider in providers.items():
        if any(other not in providers for other in provider["also"]):
            raise ValueError(f"{name} sells for somebody who isn't in it")
        for entry in provider["models"]:
            for rule in _single_rules(_rule(entry)):
                _matches(rule, "")
            rates = _read_rates(entry, "", variants=True)
            stages = [rates, *(each.rates for each in rates.changes), *(each.rates for each in rates.variants)]
            stages += [tier.rates for stage in stages for tier in stage.tiers]
            for stage in stages:
                prices = (getattr(stage, kind) for kind in KINDS)
                if any(price is not None and (type(price) is not int or price < 0) for price in prices):
                    raise ValueError(f"{name}/{entry['id']} has a price that is no whole number of at least 0")


def _single_rules(rule: Any) -> Iterator[Any]:
    parts = rule["all"] if isinstance(rule, dict) else rule
    if isinstance(parts, list):
        for part in parts:
            yield from _single_rules(part)
    else:
        yield parts
