"""Which profiles and which period a command is about that looks into the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from router.cli import output
from router.cli.places import Places
from router.ledger import periods
from router.ledger.periods import BEGINNING, END
from router.ledger.reports import Scope


def report_scopes(places: Places, names: Sequence[str]) -> list[Scope]:
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


def in_period(scope: Scope, since: str | None, until: str | None, period: str | None, now_ms: int) -> Scope:
    """The scope limited to what was asked for, in its own timezone."""
    start, end = (BEGINNING, END) if period is None else periods.parse_period(period, now_ms, scope.zone)
    if since is not None:
        start = periods.parse_since(since, now_ms, scope.zone)
    if until is not None:
        end = min(end, periods.parse_until(until, now_ms, scope.zone))
    if start >= end:
        raise click.UsageError("the period ends before it begins")
    return replace(scope, since_ms=start, until_ms=end)
