"""What the demonstration shows and checks, whoever sends its requests.

Each reply becomes a line as it arrives. What the replies' own usage says is added up by rule and priced anew from the
profile's file, in decimals and apart from the router's own arithmetic; in the end the report must say the same.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import click

from router.cli import output
from router.cli.demo_requests import FORMAT_NAMES, DemoRequest
from router.routing.labels import header_form
from router.wire.usage import Usage

WIDTH: Final = 80
_TITLE, _RULE, _TOKENS, _COST = 23, 29, 12, 11
_RATES: Final = ("input", "output", "cache-read", "cache-write", "cache-write-1h")


@dataclass(frozen=True, slots=True)
class Seen:
    """What came back for one request: as the client read it, and what the router said in the headers (lower case)."""

    request: DemoRequest
    status: int
    headers: Mapping[str, str]
    usage: Usage | None
    error: str | None = None

    @property
    def target(self) -> str:
        return f"{self.headers.get('x-router-provider', '?')}/{self.headers.get('x-router-model', '?')}"


@dataclass(slots=True)
class Amounts:
    """Sums of some requests: tokens (input is what was read fresh) and integer nano-dollars."""

    requests: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    cost_nano_usd: int = 0

    def add(self, usage: Usage, cost_nano_usd: int) -> None:
        """One more request."""
        self.requests += 1
        self.input += usage.input or 0
        self.cache_read += usage.cache_read or 0
        self.cache_write += (usage.cache_write or 0) + (usage.cache_write_1h or 0)
        self.output += usage.output or 0
        self.cost_nano_usd += cost_nano_usd

    @classmethod
    def of(cls, amount: Callable[[str], Any]) -> Amounts:
        """Those that ``amount`` tells by name; a cost of None counts as nothing."""
        return cls(*(int(amount(name) or 0) for name in _AMOUNTS))

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {getattr(self, name)}" for name in _AMOUNTS)


_AMOUNTS: Final = ("requests", "input", "cache_read", "cache_write", "output", "cost_nano_usd")


class Tariff:
    """The ``[prices]`` of a profile's file, read once more, for checking."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._prices: Mapping[str, Mapping[str, Any]] = tomllib.load(opened, parse_float=Decimal)["prices"]

    def cost_nano_usd(self, target: str, usage: Usage) -> int:
        """Tokens times USD per million, summed and rounded half up once."""
        prices = self._prices[target]
        given = {name: Decimal(prices[name]) for name in _RATES if name in prices}
        write = given.get("cache-write", given["input"])
        usd = (
            (usage.input or 0) * given["input"]
            + (usage.cache_read or 0) * given.get("cache-read", given["input"])
            + (usage.cache_write or 0) * write
            + (usage.cache_write_1h or 0) * given.get("cache-write-1h", write)
            + (usage.output or 0) * given["output"]
        ) / 1_000_000
        return int((usd * 10**9).to_integral_value(ROUND_HALF_UP))


@dataclass(slots=True)
class Walk:
    """The demonstration under way: prints, adds up, and collects what isn't as it should be."""

    tariff: Tariff
    by_rule: dict[str, Amounts] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """The line of titles."""
        head = f"{'REQUEST':<{_TITLE}} {'RULE':<{_RULE}} {'TOKENS':>{_TOKENS}} {'COST':>{_COST}}"
        click.secho(head, bold=True)

    def take(self, seen: Seen) -> None:
        """A reply has been read: show it, check it, add it."""
        request, usage = seen.request, seen.usage
        if seen.error is not None or seen.status != 200 or usage is None:
            self._wrong(request, f"status {seen.status}, {seen.error or 'an answer without usage'}")
            return
        if seen.headers.get("x-router-rule") != header_form(request.rule):
            self._wrong(request, f"expected the rule {request.rule}, got {seen.headers.get('x-router-rule')}")
        cost = self.tariff.cost_nano_usd(seen.target, usage)
        told = seen.headers.get("x-router-cost-usd")
        if told is not None and Decimal(told) * 10**9 != cost:
            self._wrong(request, f"costs {cost} nano-dollars by its usage, the reply's header says ${told}")
        self.by_rule.setdefault(request.rule, Amounts()).add(usage, cost)
        self._show(seen, usage, cost)

    def compare(self, reported: Mapping[str, Amounts], total: Amounts) -> None:
        """Compare the report's rows and its total with what the replies said."""
        for rule, expected in self.by_rule.items():
            if rule not in reported:
                self.problems.append(f"the report has no row {rule}")
            elif reported[rule] != expected:
                self.problems.append(f"{rule}: the replies add up to {expected}; the report says {reported[rule]}")
        for rule in reported.keys() - self.by_rule.keys():
            self.problems.append(f"the report has a row for {rule}, which took none of the requests: {reported[rule]}")
        everything = Amounts(*(sum(getattr(each, name) for each in self.by_rule.values()) for name in _AMOUNTS))
        if total != everything:
            self.problems.append(f"the replies add up to {everything}; the total says {total}")

    def end(self) -> int:
        """Say how it went; the exit status."""
        for problem in self.problems:
            click.secho(f"WRONG  {problem}", fg="red", err=True)
        if self.problems:
            return 1
        requests = sum(each.requests for each in self.by_rule.values())
        click.secho(
            f"{requests} requests through {len(self.by_rule)} rules: every row and the total are what the replies "
            "themselves said.",
            fg="green",
        )
        return 0

    def _wrong(self, request: DemoRequest, what: str) -> None:
        self.problems.append(f"{request.title}: {what}")

    def _show(self, seen: Seen, usage: Usage, cost_nano_usd: int) -> None:
        request = seen.request
        read = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0) + (usage.cache_write_1h or 0)
        tokens = f"{output.count(read)} / {output.count(usage.output or 0)}"
        cost = output.small_money(cost_nano_usd)
        click.echo(f"{request.title:<{_TITLE}} {request.rule:<{_RULE}} {tokens:>{_TOKENS}} {cost:>{_COST}}")
        how = f"{FORMAT_NAMES[request.api]}{', streamed' if request.stream else ''}"
        why = f"  {how} -> {seen.target}, {seen.headers.get('x-router-route-reason', '')}"
        click.secho(output.shorten(why, WIDTH), dim=True)
