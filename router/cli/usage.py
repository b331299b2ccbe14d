"""``router usage``: what was spent, by rule or by anything else the ledger knows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import NamedTuple

import click

from router.cli import output
from router.cli.complete import profile_names
from router.cli.output import UNKNOWN, Column, count, duration, money
from router.cli.places import Places, examples, places_options
from router.cli.usage_backup import backup
from router.cli.usage_import import import_usage
from router.cli.usage_options import dimension_names, dimensions, period_names
from router.ledger import periods
from router.ledger.periods import BEGINNING, END
from router.ledger.reports import DIMENSIONS, Dimension, Report, Row, Scope, Sums
from router.ledger.sums import DELETED, ONLY_IN_REQUESTS

_NONE = "(none)"


@click.group(
    "usage",
    invoke_without_command=True,
    epilog=examples(
        "router usage --profile work --by-rule",
        "router usage --period month --by day,model",
        "router usage --profile work --by key,model --period last-month --csv",
        "router usage --since 7d --detail",
        "router usage --since 2026-11-01 --until 2026-11-15 --json",
        "router usage import claude-code",
        "router usage backup ~/backups/router-2026-11.db",
    ),
)
@click.option("--profile", "names", multiple=True, shell_complete=profile_names, help="Only this profile.")
@click.option("--by-rule", is_flag=True, help="A row for each rule (the default); the same as --by rule.")
@click.option(
    "--by",
    multiple=True,
    callback=dimensions,
    shell_complete=dimension_names,
    metavar="DIMENSION[,…]",
    help=f"What makes a row: {', '.join(DIMENSIONS)}; several make a row for each combination.",
)
@click.option("--since", metavar="WHEN", help="From when on: 7d, 24h, 2026-11-01, 2026-11-01T14:30, yesterday.")
@click.option("--until", metavar="WHEN", help="Until when; a day is included whole.")
@click.option(
    "--period",
    metavar="PERIOD",
    shell_complete=period_names,
    help="today, yesterday, week, last-week, month, last-month, a month (2026-10), a day, or all (the default).",
)
@click.option("--detail", is_flag=True, help="Split tokens; add calls, errors, durations, drafts, lost caches.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@places_options
def command(
    places: Places,
    names: tuple[str, ...],
    by_rule: bool,
    by: tuple[Dimension, ...],
    since: str | None,
    until: str | None,
    period: str | None,
    detail: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show what was spent.

    Tokens are input / output; input is what was read fresh, read from a cache and written to one. An unknown price
    shows as ?, and the last line says how many requests the total leaves out.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if period is not None and since is not None:
        raise click.UsageError("--period and --since exclude each other")
    now_ms = time.time_ns() // 1_000_000
    scopes = [_in_period(scope, since, until, period, now_ms) for scope in _scopes(places, names)]
    chosen = _dimensions(by, by_rule, one_profile=len(names) == 1)
    report = places.reader.usage(scopes, chosen, detail=detail, now_ms=now_ms)
    if as_json:
        output.show_json(_json(report, scopes, detail))
    elif as_csv:
        rows = [_row_json(report, row, detail) for row in report.rows]
        output.show_csv(rows, list(_row_json(report, replace(report.total, keys=("",) * len(chosen)), detail)))
    else:
        _show(report, scopes, detail, now_ms)


command.add_command(import_usage)
command.add_command(backup)


def _dimensions(by: tuple[Dimension, ...], by_rule: bool, *, one_profile: bool) -> tuple[Dimension, ...]:
    chosen = dict.fromkeys((*by, *(("rule",) if by_rule and "rule" not in by else ())))
    if not by and not one_profile:
        return ("profile", "rule")
    return tuple(chosen) or ("rule",)


def _scopes(places: Places, names: Sequence[str]) -> list[Scope]:
    """The profiles to report on: those named, else all there are or were."""
    recorded = places.reader.profiles()
    known = sorted({*places.found, *recorded})
    for name in names:
        if name not in known:
            raise click.UsageError(places.unknown(name, known))
    scopes = []
    for name in dict.fromkeys(names or known):
        scope, sound = places.scope(name)
        if not sound:
            output.note(
                f"profile {name} has problems (see `router check {name}`): its rules are shown as recorded, in UTC"
            )
        scopes.append(scope)
    return scopes


def _in_period(scope: Scope, since: str | None, until: str | None, period: str | None, now_ms: int) -> Scope:
    """The scope limited to what was asked for, in its own timezone."""
    start, end = (BEGINNING, END) if period is None else periods.parse_period(period, now_ms, scope.zone)
    if since is not None:
        start = periods.parse_since(since, now_ms, scope.zone)
    if until is not None:
        end = min(end, periods.parse_until(until, now_ms, scope.zone))
    if start >= end:
        raise click.UsageError("the period ends before it begins")
    return replace(scope, since_ms=start, until_ms=end)


# --- tables -------------------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """One column of amounts: what it shows of a row, beside the whole report's total."""

    title: str
    cell: Callable[[Row, Row], str]
    when: Callable[[Row], bool] = lambda total: True


class _Table(NamedTuple):
    """Columns, and which rows have something to show there; without any the table is left out."""

    parts: tuple[_Part, ...]
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


def _value(sums: Sums) -> int:
    """The list price of what a subscription paid for: elsewhere list price and cost are the same."""
    return max(0, sums.list_nano_usd - sums.cost_nano_usd)


_REQUESTS = _Part("REQUESTS", lambda row, total: str(row.sums.requests))
_COST = _Part("COST", lambda row, total: _money(row.sums.cost_nano_usd, row.sums.unpriced))
_TOTALS = (_REQUESTS, _Part("TOKENS", _tokens), _COST)
_AMOUNTS = (
    _REQUESTS,
    _Part("INPUT", lambda row, total: count(row.sums.input)),
    _Part("READ", lambda row, total: count(row.sums.cache_read)),
    _Part("WRITE", lambda row, total: count(row.sums.cache_write)),
    _Part("OUTPUT", lambda row, total: count(row.sums.output)),
    _Part("REASON", lambda row, total: count(row.sums.reasoning)),
    _COST,
)
_QUALITY = (
    _Part("ATTEMPTS", lambda row, total: str(row.sums.attempts)),
    _Part("ERRORS", lambda row, total: str(row.sums.errors)),
    _Part("FALLBACKS", lambda row, total: str(row.sums.fallbacks)),
    _Part("P50", lambda row, total: duration(row.latency.p50_ms) if row.latency else "-"),
    _Part("P95", lambda row, total: duration(row.latency.p95_ms) if row.latency else "-"),
    _Part("SHARE", _share),
    _Part("VALUE", lambda row, total: money(_value(row.sums)), lambda total: _value(total.sums) > 0),
)
_DRAFTS = (
    _Part("DRAFTS", lambda row, total: str(row.drafts.drafts)),
    _Part("REJECTED", lambda row, total: str(row.drafts.rejected)),
    _Part("WASTE", lambda row, total: _money(row.drafts.waste_nano_usd, row.drafts.waste_unknown)),
    _Part("SAVED", lambda row, total: _money(row.drafts.saving_nano_usd, row.drafts.unknown)),
)
_CACHES = (
    _Part("SWITCHES", lambda row, total: str(row.cache_loss.requests)),
    _Part("CACHE LOST", lambda row, total: count(row.cache_loss.tokens)),
    _Part("LOSS", lambda row, total: _money(row.cache_loss.cost_nano_usd, row.cache_loss.unknown)),
)
_DETAIL = (
    _Table(_AMOUNTS),
    _Table(_QUALITY),
    _Table(_DRAFTS, lambda row: row.drafts.drafts > 0),
    _Table(_CACHES, lambda row: row.cache_loss.requests > 0),
)


def _show(report: Report, scopes: Sequence[Scope], detail: bool, now_ms: int) -> None:
    if not scopes:
        output.note("there is no profile yet; make one with `router init`")
    else:
        output.note(_period(report, scopes, now_ms))
    keys = [Column(dimension.upper(), text=True) for dimension in report.by]
    total = replace(report.total, keys=("TOTAL", *[""] * (len(keys) - 1)))
    tables = [table for table in (_DETAIL if detail else (_Table(_TOTALS),)) if table.listed(total)]
    for number, table in enumerate(tables):
        if number:
            click.echo()
        shown = [part for part in table.parts if part.when(total)]
        lines = [
            [*(key or _NONE for key in row.keys), *(part.cell(row, total) for part in shown)]
            for row in report.rows
            if table.listed(row)
        ]
        last = [*total.keys, *(part.cell(total, total) for part in shown)]
        output.show([*keys, *(Column(part.title) for part in shown)], lines, last)
    _footnotes(report, detail)
    for line in _forgotten(report, scopes[0].zone if scopes else UTC, detail, now_ms):
        click.echo(line)


def _period(report: Report, scopes: Sequence[Scope], now_ms: int) -> str:
    scope = scopes[0]
    zones = {str(each.zone) for each in scopes}
    words = periods.describe(scope.since_ms, scope.until_ms, now_ms, scope.zone, report.first_ms)
    return f"{words} ({zones.pop() if len(zones) == 1 else 'each profile in its own timezone'})"


def _footnotes(report: Report, detail: bool) -> None:
    sums, latency = report.total.sums, report.total.latency
    if sums.unpriced:
        click.echo(f"The total leaves out {output.plural(sums.unpriced, 'request')} of unknown cost, shown as ?.")
    if sums.no_usage:
        click.echo(f"TOKENS leaves out {output.plural(sums.no_usage, 'request')} that came without a token count.")
    if detail and latency is not None and latency.requests < sums.requests - sums.errors:
        click.echo(f"P50 and P95 are of the latest {output.plural(latency.requests, 'answered request')}.")
    drafts, lost = report.total.drafts, report.total.cache_loss
    if drafts.unknown:
        click.echo(f"SAVED leaves out {output.plural(drafts.unknown, 'draft')} of unknown price or usage, shown as ?.")
    if lost.unknown:
        click.echo(f"LOSS leaves out {output.plural(lost.unknown, 'switch', 'switches')} of unknown price, shown as ?.")
    for rule, amount in _losing(report).items():
        click.echo(f"Drafts of {rule} cost {money(amount)} more than they saved.")


def _forgotten(report: Report, zone: tzinfo, detail: bool, now_ms: int) -> Iterator[str]:
    """What the report can't tell of requests that were deleted after their time."""
    deleted, before_ms, split = report.forgotten
    by_details = not ONLY_IN_REQUESTS.isdisjoint(report.by)
    if deleted and (detail or by_details or split):
        until = f" {periods.describe(BEGINNING, before_ms, now_ms, zone)}" if before_ms < END else ""
        yield f"Of {output.plural(deleted, 'request')}{until} only sums are kept ([ledger] retention)."
    if deleted and by_details:
        yield f"They stand as {DELETED}."
    if deleted and detail:
        yield "P50, P95, the drafts and the lost caches leave them out."
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


# --- JSON and CSV -------------------------------------------------------------------------------------------------


def _json(report: Report, scopes: Sequence[Scope], detail: bool) -> dict[str, object]:
    total = _row_json(report, report.total, detail)
    return {
        "by": list(report.by),
        "profiles": [
            {
                "profile": scope.profile,
                "since": output.moment(scope.since_ms, scope.zone) if scope.since_ms > BEGINNING else None,
                "until": output.moment(scope.until_ms, scope.zone) if scope.until_ms < END else None,
                "timezone": str(scope.zone),
            }
            for scope in scopes
        ],
        "rows": [_row_json(report, row, detail) for row in report.rows],
        "total": total,
        "deleted": {
            "requests": report.forgotten.requests,
            "until": output.moment(report.forgotten.before_ms) if 0 < report.forgotten.before_ms < END else None,
            "by_hour": report.forgotten.split,
        },
    }


def _row_json(report: Report, row: Row, detail: bool) -> dict[str, object]:
    """One row's keys; those of its dimensions first, null where a request has none."""
    sums = row.sums
    cost = _known(sums.cost_nano_usd, sums.unpriced)
    found: dict[str, object] = {
        **{name: key or None for name, key in zip(report.by, row.keys, strict=False)},
        "requests": sums.requests,
        "tokens_in": sums.tokens_in,
        "tokens_out": sums.output,
        "input": sums.input,
        "cache_read": sums.cache_read,
        "cache_write": sums.cache_write,
        "output": sums.output,
        "reasoning": sums.reasoning,
        "no_usage": sums.no_usage,
        "cost_usd": output.usd(cost),
        "cost_nano_usd": cost,
        "value_usd": output.usd(_value(sums)),
        "unpriced": sums.unpriced,
        "errors": sums.errors,
        "fallbacks": sums.fallbacks,
        "attempts": sums.attempts,
    }
    if detail:
        total, drafts, lost = report.total.sums.cost_nano_usd, row.drafts, row.cache_loss
        found |= {
            "p50_ms": row.latency.p50_ms if row.latency else None,
            "p95_ms": row.latency.p95_ms if row.latency else None,
            "drafts": drafts.drafts,
            "drafts_rejected": drafts.rejected,
            "draft_waste_usd": output.usd(_known(drafts.waste_nano_usd, drafts.waste_unknown)),
            "draft_saving_usd": output.usd(_known(drafts.saving_nano_usd, drafts.unknown)),
            "drafts_unknown": drafts.unknown,
            "cache_switches": lost.requests,
            "cache_lost": lost.tokens,
            "cache_lost_usd": output.usd(_known(lost.cost_nano_usd, lost.unknown)),
            "cache_lost_unknown": lost.unknown,
            "share": sums.cost_nano_usd / total if total else None,
        }
    return found


def _known(amount: int, unknown: int) -> int | None:
    """A sum; ``None`` where nothing but unknown amounts went into it."""
    return None if unknown and not amount else amount
