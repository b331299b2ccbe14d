"""``router requests``: the latest requests as they come, and one with its calls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo

import click

from router.cli import output
from router.cli.complete import profile_names
from router.cli.default_command import DefaultGroup
from router.cli.output import UNKNOWN, Column, Table
from router.cli.places import Places, examples, places_options
from router.cli.request_filters import MOST, Wanted, filter_options
from router.cli.requests_show import as_json, count, show
from router.cli.scopes import report_scopes
from router.ledger.reports import PastRequest, Reader, Scope, Selection

_POLL_S = 0.5
_SETTLE_MS = 60_000  # a row may be written after others that began later; beyond this nothing is expected any more
_SHORT_ID = 14

_COLUMNS = (
    Column("TIME", text=True, at_least=8),
    Column("ID", text=True, at_least=_SHORT_ID),
    Column("PROFILE", text=True, optional=True, at_least=8),
    Column("RULE", text=True, at_least=20),
    Column("MODEL", text=True, optional=True, at_least=20),
    Column("OUTCOME", text=True, at_least=8),
    Column("TOKENS", at_least=11),
    Column("COST", at_least=7),
    Column("TOOK", optional=True, at_least=6),
)

_CLIENT_COLUMNS = (
    Column("TIME", text=True, at_least=8),
    Column("ID", text=True, at_least=_SHORT_ID),
    Column("RULE", text=True, optional=True, at_least=16),
    Column("CLIENT", text=True, at_least=11),
    Column("CONVERSATION", text=True, at_least=12),
    Column("FOR", text=True, at_least=8),
    Column("OUTCOME", text=True, optional=True, at_least=8),
)
_PURPOSES = ("background", "subagent", "plan-mode", "compaction")  # facts, as rules call them


@click.group(
    "requests",
    cls=DefaultGroup,
    default="list",
    epilog=examples(
        "router requests",
        "router requests work -f",
        "router requests work --failed --limit 50",
        "router requests work --clients",
        'router requests --rule "tool-use → anthropic"',
        "router requests show 019a5c7e",
    ),
)
def command() -> None:
    """Show the latest requests, oldest first: `router requests [NAME]`.

    `router requests show ID` shows one with everything that is known of it. No text of a request is ever kept.
    """


@command.command("list", epilog=examples("router requests work -f", "router requests list work --failed"))
@click.argument("name", required=False, shell_complete=profile_names)
@click.option("--follow", "-f", is_flag=True, help="Go on with new requests as they end, until Ctrl-C.")
@filter_options
@click.option("--limit", "-n", type=click.IntRange(1, MOST), default=20, show_default=True, help="How many.")
@click.option("--clients", is_flag=True, help="Who asked and what for, instead of what it cost.")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
@places_options
def list_requests(
    places: Places,
    name: str | None,
    follow: bool,
    wanted: Wanted,
    limit: int,
    clients: bool,
    json_wanted: bool,
) -> None:
    """Show the latest requests of a profile, or of all.

    The options name what a row of `router usage` does ("(none)" where a request has none): those are its requests.
    """
    reader, now_ms = places.reader, time.time_ns() // 1_000_000
    scopes = _scopes(places, name, wanted)
    zone = scopes[0].zone if name is not None else None  # this machine's, where it isn't one profile's
    within = [found for scope in scopes if (found := wanted.within(scope, now_ms)) is not None]
    latest = reader.matching(within, wanted.selection, limit=limit)
    if json_wanted and not follow:
        output.show_json({"requests": [as_json(request) for request in latest]})
        return
    columns, cells = (_CLIENT_COLUMNS, _client_cells) if clients else (_COLUMNS, _cells)
    table = Table(columns, [cells(request, zone) for request in latest])
    if not json_wanted:
        click.secho(table.header(), bold=True)
    for request in latest if not follow else _with_new(reader, latest, within, wanted.selection):
        if json_wanted:
            click.echo(json.dumps(as_json(request), ensure_ascii=False, default=output.in_json))
        else:
            click.secho(table.line(cells(request, zone)), fg="red" if request.failed else None)
    if not latest and not follow and not json_wanted:
        output.note("no such requests" if wanted.narrows else "no requests yet")


def _scopes(places: Places, name: str | None, wanted: Wanted) -> list[Scope]:
    """The profiles whose requests are listed: with their rules and timezones where it takes those."""
    if name is not None or wanted.by_profile:
        return report_scopes(places, [] if name is None else [name])
    return [Scope(profile) for profile in sorted({*places.found, *places.reader.profiles()})]


def _with_new(
    reader: Reader, latest: list[PastRequest], scopes: Sequence[Scope], selection: Selection
) -> Iterator[PastRequest]:
    """The latest requests that have ended, then each further one when it ends, until interrupted."""
    shown: set[str] = set()
    after = f"{max(0, time.time_ns() // 1_000_000 - _SETTLE_MS):012x}"
    batch = latest
    try:
        while True:
            for request in batch:
                if request.state == "settled" and request.id not in shown:
                    shown.add(request.id)
                    yield request
            time.sleep(_POLL_S)
            batch = reader.matching(scopes, replace(selection, after=after), limit=MOST)
            batch.sort(key=lambda request: request.id)
            after = _next_after(after, batch)
            shown = {request_id for request_id in shown if request_id > after}
    except KeyboardInterrupt:
        return


def _next_after(after: str, batch: list[PastRequest]) -> str:
    """Where to look from next time: behind what is old and has ended."""
    old = time.time_ns() // 1_000_000 - _SETTLE_MS
    for request in batch:
        if request.state != "settled" or request.time_ms >= old:
            break
        after = request.id
    return after


def _moment(request: PastRequest, zone: tzinfo | None) -> str:
    """The time of today, the day of any other."""
    at = datetime.fromtimestamp(request.time_ms / 1000, zone)
    today = datetime.now(at.tzinfo).date() == at.date() if zone else datetime.now().astimezone().date() == at.date()
    return f"{at:%H:%M:%S}" if today else f"{at:%d %b %H:%M}"


def _client_cells(request: PastRequest, zone: tzinfo | None) -> list[str]:
    facts = json.loads(request.facts) if request.facts else {}
    return [
        _moment(request, zone),
        request.id[:_SHORT_ID],
        request.rule,
        request.client,
        request.conversation or "-",
        ", ".join(name for name in _PURPOSES if facts.get(name)) or ("-" if request.facts else UNKNOWN),
        request.outcome or "running",
    ]


def _cells(request: PastRequest, zone: tzinfo | None) -> list[str]:
    tokens_in = request.tokens_in
    return [
        _moment(request, zone),
        request.id[:_SHORT_ID],
        request.profile,
        request.rule,
        _models(request),
        request.outcome or "running",
        f"{count(tokens_in)} / {count(request.output)}" if request.attempts else "-",
        output.small_money(request.cost_nano_usd) if request.attempts else "-",
        output.duration(request.duration_ms),
    ]


def _models(request: PastRequest) -> str:
    if request.model is None or request.model == request.requested_model:
        return request.requested_model
    return f"{request.requested_model} → {request.model}"


command.add_command(show)
