"""``router usage``: what was spent, by rule or by anything else the ledger knows."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import click

from router.cli import output
from router.cli.budgets import lines, standing_of
from router.cli.complete import profile_names
from router.cli.places import Places, examples, places_options
from router.cli.request_filters import Asked, requests_command, row_hint
from router.cli.scopes import in_period, report_scopes
from router.cli.usage_backup import backup
from router.cli.usage_erase import erase
from router.cli.usage_export import export
from router.cli.usage_import import import_usage
from router.cli.usage_options import dimension_names, dimensions, period_names
from router.cli.usage_reconcile import reconcile
from router.cli.usage_rows import as_json, as_row
from router.cli.usage_tables import View, show
from router.ledger.reports import DIMENSIONS, Dimension


@click.group(
    "usage",
    invoke_without_command=True,
    epilog=examples(
        "router usage --profile work --by-rule",
        "router usage --period month --by day,model",
        "router usage --profile work --by key,model --period last-month --csv",
        "router usage --since 7d --detail",
        "router usage --profile work --by-rule --savings",
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
@click.option(
    "--savings", is_flag=True, help="What it would have cost at the default and at the model asked for; waste; caches."
)
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
@click.option("--csv", "csv_wanted", is_flag=True, help="Print CSV.")
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
    savings: bool,
    json_wanted: bool,
    csv_wanted: bool,
) -> None:
    """Show what was spent.

    Tokens are input / output; input is what was read fresh, read from a cache and written to one. An unknown price
    shows as ?, and the last line says how many requests the total leaves out.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    if json_wanted and csv_wanted:
        raise click.UsageError("--json and --csv exclude each other")
    if period is not None and since is not None:
        raise click.UsageError("--period and --since exclude each other")
    now_ms = time.time_ns() // 1_000_000
    scopes = [in_period(scope, since, until, period, now_ms) for scope in report_scopes(places, names)]
    chosen = _dimensions(by, by_rule, one_profile=len(names) == 1)
    view = View(detail, savings)
    report = places.reader.usage(scopes, chosen, detail=detail, losses=savings, now_ms=now_ms)
    asked = Asked(tuple(scopes), since, until, period)
    budgets = {} if csv_wanted else {scope.profile: standing_of(places, scope.profile) for scope in scopes}
    if json_wanted:
        told = as_json(report, scopes, view, partial(requests_command, asked, chosen))
        output.show_json({**told, "budgets": [{"profile": name, **row} for name in budgets for row in budgets[name]]})
    elif csv_wanted:
        rows = [as_row(report, row, view) for row in report.rows]
        output.show_csv(rows, list(as_row(report, replace(report.total, keys=("",) * len(chosen)), view)))
    else:
        show(report, scopes, view, now_ms)
        for name, limits in budgets.items():
            for line in lines(limits):
                click.echo(line if len(scopes) == 1 else f"{name}: {line}")
        if detail or savings:
            output.note(row_hint(asked, chosen))


command.add_command(import_usage)
command.add_command(reconcile)
command.add_command(backup)
command.add_command(export)
command.add_command(erase)


def _dimensions(by: tuple[Dimension, ...], by_rule: bool, *, one_profile: bool) -> tuple[Dimension, ...]:
    chosen = dict.fromkeys((*by, *(("rule",) if by_rule and "rule" not in by else ())))
    if not by and not one_profile:
        return ("profile", "rule")
    return tuple(chosen) or ("rule",)
