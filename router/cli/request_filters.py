"""From a row of a report to its requests, and the options of ``router requests`` that lead there."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import click

from router.cli import output
from router.cli.complete import rule_labels
from router.cli.scopes import in_period
from router.cli.usage_options import period_names
from router.cli.usage_tables import NONE
from router.ledger.periods import BEGINNING, END
from router.ledger.reports import Dimension, Row, Scope
from router.ledger.selecting import FILTERS, Selection
from router.ledger.sums import DELETED

MOST: Final = 100_000
"""Requests that are listed at once."""

_SAYS: Final[dict[Dimension, str]] = {
    "rule": "Those that this rule took, as reports call it.",
    "model": "Those that this model answered.",
    "provider": "Those that this provider answered.",
    "client": "Those of this agent.",
    "key": "Those with this client key, by its name.",
    "tag": "Those with this tag.",
    "conversation": "Those of this conversation.",
    "price": "Those whose price came from there.",
}


_OPTIONS: Final = (
    *(
        click.option(
            f"--{name}", metavar=name.upper(), help=_SAYS[name], shell_complete=rule_labels if name == "rule" else None
        )
        for name in FILTERS
    ),
    click.option("--day", metavar="DAY", help="Those of this day: 2026-11-01, today, yesterday."),
    click.option("--since", metavar="WHEN", help="From when on: 7d, 24h, 2026-11-01, 2026-11-01T14:30."),
    click.option("--until", metavar="WHEN", help="Until when; a day is included whole."),
    click.option("--period", metavar="PERIOD", shell_complete=period_names, help="As `router usage` takes it."),
    click.option("--failed", is_flag=True, help="Those that failed."),
    click.option("--unpriced", is_flag=True, help="Those of unknown cost."),
    click.option("--reported", is_flag=True, help="Those that reports count: ended, and not for counting tokens."),
)


class Wanted(NamedTuple):
    """Which requests are to be listed."""

    selection: Selection
    day: str | None
    since: str | None
    until: str | None
    period: str | None

    @property
    def narrows(self) -> bool:
        """Whether anything is left out."""
        return self.selection.narrows or any((self.day, self.since, self.until, self.period))

    @property
    def by_profile(self) -> bool:
        """Whether it means something else in each profile: its rules, its days."""
        return self.selection.rule is not None or any((self.day, self.since, self.until, self.period))

    def within(self, scope: Scope, now_ms: int) -> Scope | None:
        """A profile in the time that is asked for, by its own timezone; ``None`` where that is empty."""
        if self.period is not None and self.since is not None:
            raise click.UsageError("--period and --since exclude each other")
        scope = in_period(scope, self.since, self.until, self.period, now_ms)
        if self.day is None:
            return scope
        day = in_period(scope, self.day, self.day, None, now_ms)
        since, until = max(day.since_ms, scope.since_ms), min(day.until_ms, scope.until_ms)
        return replace(scope, since_ms=since, until_ms=until) if since < until else None


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which requests; the function gets them as ``wanted``."""

    @functools.wraps(command)
    def with_wanted(
        *args: Any,
        day: str | None,
        since: str | None,
        until: str | None,
        period: str | None,
        failed: bool,
        unpriced: bool,
        reported: bool,
        **options: Any,
    ) -> None:
        values = {name: options.pop(name) for name in FILTERS}
        given = {name: "" if value == NONE and name != "rule" else value for name, value in values.items()}
        selection = Selection(**given, failed=failed, unpriced=unpriced, reported=reported)
        command(*args, wanted=Wanted(selection, day, since, until, period), **options)

    decorated: Callable[..., None] = with_wanted
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


class Asked(NamedTuple):
    """What a report was about: the profiles in their periods, and how the period was said."""

    scopes: tuple[Scope, ...]
    since: str | None = None
    until: str | None = None
    period: str | None = None


def requests_command(asked: Asked, by: Sequence[Dimension], row: Row) -> str | None:
    """What lists the requests of a row; ``None`` where they are deleted."""
    keys = dict(zip(by, row.keys, strict=False))
    if DELETED in keys.values():
        return None
    return shlex.join([*_start(asked, keys), "--reported", "-n", str(max(1, min(row.sums.requests, MOST)))])


def row_hint(asked: Asked, by: Sequence[Dimension]) -> str:
    """The same for any row, with the dimensions' names in place of its values."""
    words = _start(asked, {dimension: dimension.upper() for dimension in by})
    return f"the requests of a row: {shlex.join([*words, '--reported'])}"


def _start(asked: Asked, keys: dict[Dimension, str]) -> list[str]:
    words = ["router", "requests"]
    if "profile" in keys:
        words.append(keys["profile"])
    elif len(asked.scopes) == 1:
        words.append(asked.scopes[0].profile)
    for dimension, key in keys.items():
        if dimension != "profile":
            words += [f"--{dimension}", key or NONE]
    return [*words, *_period(asked)]


def _period(asked: Asked) -> list[str]:
    """The period as moments where it is one for all; else as it was said, since each profile has its own."""
    periods = {(scope.since_ms, scope.until_ms) for scope in asked.scopes}
    if len(periods) == 1:
        ((since_ms, until_ms),) = periods
        zone = asked.scopes[0].zone
        said = {
            "--since": output.moment(since_ms, zone) if since_ms > BEGINNING else None,
            "--until": output.moment(until_ms, zone) if until_ms < END else None,
        }
    else:
        said = {"--since": asked.since, "--until": asked.until, "--period": asked.period}
    return [word for option, value in said.items() if value is not None for word in (option, value)]
