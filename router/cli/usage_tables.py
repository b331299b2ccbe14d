"""The tables of ``router usage``. ``docs/reports.md`` says what each column is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import NamedTuple

import click

from router.cli import output
from router.cli.output import UNKNOWN, Column, count, duration, money
from router.ledger import periods
from router.ledger.periods import BEGINNING, END
from router.ledger.reports import Report, Row, Scope, Sums
from router.ledger.sums import DELETED, ONLY_IN_REQUESTS

NONE = "(none)"


class View(NamedTuple):
    """What was asked for beside the totals."""

    detail: bool = False
    savings: bool = False


class Part(NamedTuple):
    """One column of amounts: what it shows of a row, beside the whole report's total."""

    title: str
    cell: Callable[[Row, Row], str]
    when: Callable[[Row], bool] = lambda total: True


class Table(NamedTuple):
    """Columns, and which rows have something to show there; without any the table is left out."""

    parts: tuple[Part, ...]
    listed: Callable[[Row], bool] = lambda row: True


def _money(amount: int, unknown: int) -> str:
    """A sum of which ``unknown`` amounts are missing."""
    if not unknown:
        return money(amount)
    return f"{money(amount)} + {UNKNOWN}" if amount else UNKNOWN


def _tokens(row: Row, total: Row) -> str:
    sums = row.sums
    if sums.no_usage and not (sums.tokens_in or sums.output):
        return f"{UNKNOWN} / {UNKNOWN}"
    return f"{count(sums.tokens_in)} / {count(sums.output)}"


def _share(row: Row, total: Row) -> str:
    cost = total.sums.cost_nano_usd
    return f"{100 * row.sums.cost_nano_usd / cost:.0f}%" if cost else "-"


def _cached(row: Row, total: Row) -> str:
    sums = row.sums
    return f"{100 * sums.cache_read / sums.tokens_in:.0f}%" if sums.tokens_in else "-"


def _elsewhere(amount: int, compared: int, answered: int) -> str:
    """A sum over those of the answered requests that can be compared."""
    if compared or not answered:
        return f"{money(amount)} + {UNKNOWN}" if compared < answered else money(amount)
    return UNKNOWN


def _at_default(row: Row, total: Row) -> str:
    return _elsewhere(row.sums.at_default_nano_usd, row.sums.at_default, row.sums.answered)


def _saved_at_default(row: Row, total: Row) -> str:
    sums = row.sums
    return _gain(sums.at_default_nano_usd - sums.at_default_paid_nano_usd, sums.at_default, sums.answered)


def _at_requested(row: Row, total: Row) -> str:
    return _elsewhere(row.sums.at_requested_nano_usd, row.sums.at_requested, row.sums.answered)


def _saved_at_requested(row: Row, total: Row) -> str:
    sums = row.sums
    return _gain(sums.at_requested_nano_usd - sums.at_requested_paid_nano_usd, sums.at_requested, sums.answered)


def _gain(amount: int, compared: int, answered: int) -> str:
    """A saving; a loss is negative, and red."""
    text = _elsewhere(amount, compared, answered)
    return click.style(text, fg="red") if amount < 0 else text


def value(sums: Sums) -> int:
    """The list price of what a subscription paid for: elsewhere list price and cost are the same."""
    return max(0, sums.list_nano_usd - sums.cost_nano_usd)


_REQUESTS = Part("REQUESTS", lambda row, total: str(row.sums.requests))
_COST = Part("COST", lambda row, total: _money(row.sums.cost_nano_usd, row.sums.unpriced))
_TOTALS = (_REQUESTS, Part("TOKENS", _tokens), _COST)
_AMOUNTS = (
    _REQUESTS,
    Part("INPUT", lambda row, total: count(row.sums.input)),
    Part("READ", lambda row, total: count(row.sums.cache_read)),
    Part("WRITE", lambda row, total: count(row.sums.cache_write)),
    Part("OUTPUT", lambda row, total: count(row.sums.output)),
    Part("REASON", lambda row, total: count(row.sums.reasoning)),
    _COST,
)
_QUALITY = (
    Part("ATTEMPTS", lambda row, total: str(row.sums.attempts)),
    Part("ERRORS", lambda row, total: str(row.sums.errors)),
    Part("FALLBACKS", lambda row, total: str(row.sums.fallbacks)),
    Part("P50", lambda row, total: duration(row.latency.p50_ms) if row.latency else "-"),
    Part("P95", lambda row, total: duration(row.latency.p95_ms) if row.latency else "-"),
    Part("SHARE", _share),
    Part("VALUE", lambda row, total: money(value(row.sums)), lambda total: value(total.sums) > 0),
)
_DRAFTS = (
    Part("DRAFTS", lambda row, total: str(row.drafts.drafts)),
    Part("REJECTED", lambda row, total: str(row.drafts.rejected)),
    Part("WASTE", lambda row, total: _money(row.drafts.waste_nano_usd, row.drafts.waste_unknown)),
    Part("SAVED", lambda row, total: _money(row.drafts.saving_nano_usd, row.drafts.unknown)),
)
_CACHES = (
    Part("SWITCHES", lambda row, total: str(row.cache_loss.requests)),
    Part("CACHE LOST", lambda row, total: count(row.cache_loss.tokens)),
    Part("LOSS", lambda row, total: _money(row.cache_loss.cost_nano_usd, row.cache_loss.unknown)),
)
_COMPARED = (
    _COST,
    Part("AT DEFAULT", _at_default),
    Part("SAVED", _saved_at_default),
    Part("AT REQUESTED", _at_requested),
    Part("SAVED", _saved_at_requested),
)
_CAUSES = (
    _REQUESTS,
    Part("CACHE", _cached),
    Part("WASTE", lambda row, total: _money(row.sums.wasted_nano_usd, row.sums.wasted_unknown)),
    Part("THROWN AWAY", lambda row, total: _money(row.cache_loss.cost_nano_usd, row.cache_loss.unknown)),
)
TOTALS = (Table(_TOTALS),)
DETAIL = (
    Table(_AMOUNTS),
    Table(_QUALITY),
    Table(_DRAFTS, lambda row: row.drafts.drafts > 0),
    Table(_CACHES, lambda row: row.cache_loss.requests > 0),
)
SAVINGS = (Table(_COMPARED), Table(_CAUSES))


def show(report: Report, scopes: Sequence[Scope], view: View, now_ms: int) -> None:
    """Print the tables, and what has to be known to read them."""
    if not scopes:
        output.note("there is no profile yet; make one with `router init`")
    else:
        output.note(_period(report, scopes, now_ms))
    keys = [Column(dimension.upper(), text=True) for dimension in report.by]
    total = replace(report.total, keys=("TOTAL", *[""] * (len(keys) - 1)))
    tables = [table for table in _tables(view) if table.listed(total)]
    for number, table in enumerate(tables):
        if number:
            click.echo()
        shown = [part for part in table.parts if part.when(total)]
        lines = [
            [*(key or NONE for key in row.keys), *(part.cell(row, total) for part in shown)]
            for row in report.rows
            if table.listed(row)
        ]
        last = [*total.keys, *(part.cell(total, total) for part in shown)]
        output.show([*keys, *(Column(part.title) for part in shown)], lines, last)
    for line in (*_footnotes(report, view), *_forgotten(report, scopes[0].zone if scopes else UTC, view, now_ms)):
        click.echo(line)


def _tables(view: View) -> Sequence[Table]:
    return (*(DETAIL if view.detail else ()), *(SAVINGS if view.savings else ())) or TOTALS


def _period(report: Report, scopes: Sequence[Scope], now_ms: int) -> str:
    scope = scopes[0]
    zones = {str(each.zone) for each in scopes}
    words = periods.describe(scope.since_ms, scope.until_ms, now_ms, scope.zone, report.first_ms)
    return f"{words} ({zones.pop() if len(zones) == 1 else 'each profile in its own timezone'})"


def _footnotes(report: Report, view: View) -> Iterator[str]:
    sums, latency = report.total.sums, report.total.latency
    if sums.unpriced:
        yield f"The total leaves out {output.plural(sums.unpriced, 'request')} of unknown cost, shown as ?."
    if sums.held_nano_usd:
        yield f"Budgets count {money(sums.held_nano_usd)} more, for calls that may have been charged."
    if sums.no_usage and (view.detail or not view.savings):
        yield f"TOKENS leaves out {output.plural(sums.no_usage, 'request')} that came without a token count."
    if view.detail and latency is not None and latency.requests < sums.answered:
        yield f"P50 and P95 are of the latest {output.plural(latency.requests, 'answered request')}."
    drafts, lost = report.total.drafts, report.total.cache_loss
    if drafts.unknown:
        yield f"SAVED leaves out {output.plural(drafts.unknown, 'draft')} of unknown price or usage, shown as ?."
    if lost.unknown:
        column = "THROWN AWAY" if not view.detail else "LOSS"
        yield f"{column} leaves out {output.plural(lost.unknown, 'switch', 'switches')} of unknown price, shown as ?."
    for rule, amount in _losing(report).items():
        yield f"Drafts of {rule} cost {money(amount)} more than they saved."
    if view.savings:
        if sums.wasted_unknown:
            yield f"WASTE leaves out {output.plural(sums.wasted_unknown, 'call')} of unknown cost, shown as ?."
        failed = f" ({sums.errors} failed)" if sums.errors else ""
        yield (
            f"AT DEFAULT compares {sums.at_default} of {output.plural(sums.requests, 'request')}{failed}, "
            f"AT REQUESTED {sums.at_requested}."
        )


def _forgotten(report: Report, zone: tzinfo, view: View, now_ms: int) -> Iterator[str]:
    """What the report can't tell of requests that were deleted after their time."""
    deleted, before_ms, split = report.forgotten
    by_details = not ONLY_IN_REQUESTS.isdisjoint(report.by)
    if deleted and (view.detail or view.savings or by_details or split):
        until = f" {periods.describe(BEGINNING, before_ms, now_ms, zone)}" if before_ms < END else ""
        yield f"Of {output.plural(deleted, 'request')}{until} only sums are kept ([ledger] retention)."
    if deleted and by_details:
        yield f"They stand as {DELETED}."
    if deleted and view.detail:
        yield "P50, P95, the drafts and the lost caches leave them out."
    elif deleted and view.savings:
        yield "THROWN AWAY leaves them out."
    if split:
        yield f"{split} of them: the period, or a day of it, cuts their hour; they count where that begins."


def _losing(report: Report) -> dict[str, int]:
    """The rules whose drafts cost more than they saved, and how much. By tag a request may stand in several rows, so
    that rows can't be added up."""
    if "rule" not in report.by or "tag" in report.by:
        return {}
    saved: defaultdict[str, int] = defaultdict(int)
    for row in report.rows:
        keys = dict(zip(report.by, row.keys, strict=True))
        saved[keys["rule"] + (f" (profile {keys['profile']})" if "profile" in keys else "")] += (
            row.drafts.saving_nano_usd
        )
    return {rule: -amount for rule, amount in saved.items() if amount < 0}
