"""``router usage erase``: what one profile did goes for good, all of it or what is older than some moment."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from router.cli import output
from router.cli.complete import profile_names
from router.cli.places import Places, examples, json_option, places_options
from router.cli.progress import Progress
from router.errors import ConfigError, RouterError
from router.ledger import periods
from router.ledger.periods import BEGINNING
from router.ledger.reports import Scope


@click.command(
    "erase",
    epilog=examples(
        "router usage erase work",
        "router usage erase work --before 2026-01-01",
        "router usage erase old --yes --json",
    ),
)
@click.argument("profile", shell_complete=profile_names)
@click.option("--before", metavar="WHEN", help="Only what came before: 90d, 2026-01-01, 2026-01.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@json_option
@places_options
def erase(places: Places, profile: str, before: str | None, yes: bool, as_json: bool) -> None:
    """Erase a profile's requests, their calls, their sums and its log.

    Other profiles aren't touched, nor is the profile itself: its files, client keys and port stay. Those of a profile
    that is gone go, too. Requests under way are recorded when they end.
    """
    now_ms = time.time_ns() // 1_000_000
    scope = _scope(places, profile)
    before_ms = now_ms if before is None else min(now_ms, periods.parse_since(before, now_ms, scope.zone))
    those = Scope(profile, until_ms=before_ms, zone=scope.zone)
    total = places.reader.usage([those], (), now_ms=now_ms).total.sums
    when = "" if before is None else f" {periods.describe(BEGINNING, before_ms, now_ms, scope.zone)}"
    cost = output.money(total.cost_nano_usd) + (f" + {output.UNKNOWN}" if total.unpriced else "")
    what = f"{output.plural(total.requests, 'request')} of {profile}{when}, {cost}"
    if not yes:
        _confirm(what, profile)
    with Progress() as progress:
        if runs := places.server_runs:
            done = _by_server(places, profile, before_ms, before is None, progress)
        else:
            done = _here(places, profile, before_ms, before is None, progress)
    if as_json:
        told = {"profile": profile, "before": None if before is None else output.moment(before_ms)}
        output.show_json({**told, "requests": total.requests, **done})
        return
    click.echo(f"Erased {what}.")
    for line in _remarks(places, profile, done, runs=runs):
        click.echo(line)


def _scope(places: Places, profile: str) -> Scope:
    recorded = places.reader.profiles()
    if profile not in recorded and profile not in places.found:
        raise ConfigError(places.unknown(profile, sorted({*places.found, *recorded})))
    if not places.home.database.exists():
        raise ConfigError(f"there is no ledger {places.home.database} yet")
    return places.scope(profile)[0]


def _confirm(what: str, profile: str) -> None:
    if not can_ask():
        raise click.UsageError("nobody can be asked here; --yes says that it is meant")
    click.echo(f"{what}: to be erased for good, with their calls, their sums and the log.", err=True)
    click.echo(f"`router usage export {profile} FILE` keeps a copy.", err=True)
    click.confirm("Erase them?", abort=True, err=True)


def can_ask() -> bool:
    """Whether a person sits at a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


# --- doing it ---------------------------------------------------------------------------------------------------------


def _by_server(places: Places, profile: str, before_ms: int, whole: bool, progress: Progress) -> dict[str, Any]:
    asked = {"profile": profile, "before_ms": before_ms, "whole": whole}
    line: dict[str, Any] = {}
    for line in places.server.lines("POST", "/ledger/erase", asked):
        progress(f"erasing: {output.plural(line['rows'], 'request')}")
    if "rewritten" not in line:
        raise RouterError("the router ended before all was erased; the same command goes on with it")
    return line


def _here(places: Places, profile: str, before_ms: int, whole: bool, progress: Progress) -> dict[str, Any]:
    """In the server's place, holding its lock."""
    from router.ledger import erasing
    from router.ledger.belongings import going
    from router.ledger.lock import HomeLock
    from router.ledger.store import Ledger
    from router.server.request_log import erase_lines, log_files

    gone = whole and profile not in places.found and not (places.home.profiles / profile).exists()

    async def work() -> dict[str, Any]:
        ledger = await Ledger.open(places.home.database)
        try:
            count = await erasing.erase(
                ledger,
                profile,
                before_ms,
                also=going(whole=whole, gone=gone),
                told=lambda count: progress(f"erasing: {output.plural(count, 'request')}"),
            )
            progress("rewriting the file")
            return {"rows": count, "under_way": 0, "gone": gone, **(await erasing.compact(ledger))._asdict()}
        finally:
            await ledger.close()

    with HomeLock(places.home.lock):
        done = asyncio.run(work())
        for file in log_files(places.home.logs / f"{profile}.log"):
            erase_lines(file, before_ms)
    return done


# --- telling ----------------------------------------------------------------------------------------------------------


def _remarks(places: Places, profile: str, done: dict[str, Any], *, runs: bool) -> Iterator[str]:
    """What a person should know beside that it is done."""
    if done["under_way"]:
        yield f"{output.plural(done['under_way'], 'request')} under way: recorded at the end."
    if done["gone"]:
        yield "There is no such profile any more: its client keys and its port are erased, too."
    elif _has_budget(places, profile):
        if runs:
            yield "Its budgets go on counting what was erased, as long as the router runs."
        else:
            yield "Its budgets count what is in the ledger: what was erased may be spent again."
    if done["problem"]:
        yield f"The ledger could not be rewritten: {done['problem']}. What was deleted is overwritten."
    elif done["rewritten"] and done["emptied"]:
        yield "Nothing of it is left in the ledger's files."
    elif not done["rewritten"]:
        yield "What was deleted is overwritten; only rewriting the large file leaves no trace at all."
        yield "That needs the router stopped: `router stop`, then the same command again."
    if not done["emptied"]:
        yield "Somebody reads the ledger just now, so router.db-wal has some of it until this is run again."


def _has_budget(places: Places, profile: str) -> bool:
    found = places.load(profile).profile
    limits = any(key.daily_usd or key.monthly_usd for key in places.reader.client_keys(profile) if not key.revoked_ms)
    return limits or (found is not None and (found.budget is not None or bool(found.rule_budgets)))
