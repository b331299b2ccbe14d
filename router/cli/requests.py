"""``router requests``: the latest requests as they come, and one with its calls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, tzinfo

import click

from router.cli import output
from router.cli.complete import profile_names, rule_labels
from router.cli.output import UNKNOWN, Column, Table
from router.cli.places import Places, examples, json_option, places_options
from router.ledger.reports import PastAttempt, PastRequest, Reader

_POLL_S = 0.5
_SETTLE_MS = 60_000  # a row may be written after others that began later; beyond this nothing is expected any more
_SHORT_ID = 14
_TRACED = {"Order": "order: ", "Draft": "draft: ", "Passed over": "passed over: "}  # how lines of a trace begin

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


class _Requests(click.Group):
    """``requests NAME`` lists a profile's, ``requests show ID`` one: what is no command is a profile's name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "list", self.commands["list"], args

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(
    "requests",
    cls=_Requests,
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
@click.option("--rule", shell_complete=rule_labels, help="Only those this rule took, by its label.")
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option("--limit", "-n", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many.")
@click.option("--clients", is_flag=True, help="Who asked and what for, instead of what it cost.")
@json_option
@places_options
def list_requests(
    places: Places,
    name: str | None,
    follow: bool,
    rule: str | None,
    failed: bool,
    limit: int,
    clients: bool,
    as_json: bool,
) -> None:
    """Show the latest requests of a profile, or of all."""
    reader = places.reader
    zone = _zone(places, reader, name)
    latest = reader.latest(profile=name, rule=rule, failed=failed, limit=limit)
    if as_json and not follow:
        output.show_json({"requests": [_json(request) for request in latest]})
        return
    columns, cells = (_CLIENT_COLUMNS, _client_cells) if clients else (_COLUMNS, _cells)
    table = Table(columns, [cells(request, zone) for request in latest])
    if not as_json:
        click.secho(table.header(), bold=True)
    for request in latest if not follow else _with_new(reader, latest, name, rule, failed):
        if as_json:
            click.echo(json.dumps(_json(request), ensure_ascii=False, default=output.in_json))
        else:
            click.secho(table.line(cells(request, zone)), fg="red" if request.failed else None)
    if not latest and not follow and not as_json:
        output.note("no requests yet" if not (rule or failed) else "no such requests")


def _zone(places: Places, reader: Reader, name: str | None) -> tzinfo | None:
    """The profile's timezone; this machine's where it isn't one profile's."""
    if name is None:
        return None
    if name not in places.found and name not in (recorded := reader.profiles()):
        raise click.UsageError(places.unknown(name, sorted({*places.found, *recorded})))
    return places.scope(name)[0].zone


def _with_new(
    reader: Reader, latest: list[PastRequest], name: str | None, rule: str | None, failed: bool
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
            batch = reader.latest(profile=name, rule=rule, after=after, limit=100_000)
            batch = [request for request in batch if request.failed or not failed]
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
        f"{_count(tokens_in)} / {_count(request.output)}" if request.attempts else "-",
        output.small_money(request.cost_nano_usd) if request.attempts else "-",
        output.duration(request.duration_ms),
    ]


def _models(request: PastRequest) -> str:
    if request.model is None or request.model == request.requested_model:
        return request.requested_model
    return f"{request.requested_model} → {request.model}"


def _count(tokens: int | None) -> str:
    return UNKNOWN if tokens is None else output.count(tokens)


def _json(request: PastRequest) -> dict[str, object]:
    """A request's row with readable times, tags as a list, and facts as they are."""
    found = asdict(request)
    found["time"] = output.moment(request.time_ms)
    found["tags"] = (request.tags or "").split()
    found["stream"] = bool(request.stream)
    found["usage_estimated"] = bool(request.usage_estimated)
    found["cost_usd"] = output.usd(request.cost_nano_usd)
    found["cache_lost_usd"] = output.usd(request.cache_lost_nano_usd)
    found["trace"] = (request.trace or "").splitlines()
    found["facts"] = json.loads(request.facts) if request.facts else None
    return found


def _attempt_json(attempt: PastAttempt) -> dict[str, object]:
    found = asdict(attempt)
    found["time"] = output.moment(attempt.time_ms)
    found["maybe_billed"] = bool(attempt.maybe_billed)
    found["cost_usd"] = output.usd(attempt.cost_nano_usd)
    found["saving_usd"] = output.usd(attempt.saving_nano_usd)
    found["usage_raw"] = json.loads(attempt.usage_raw) if attempt.usage_raw else None
    return found


@command.command(
    "show", epilog=examples("router requests show 019a5c7e3f21", "router requests show 019a5c7e3f21 --json")
)
@click.argument("request_id", metavar="ID")
@json_option
@places_options
def show(places: Places, request_id: str, as_json: bool) -> None:
    """Show one request with its calls and facts. The beginning of its id is enough."""
    request, attempts = places.reader.request(request_id)
    if as_json:
        output.show_json({**_json(request), "calls": [_attempt_json(attempt) for attempt in attempts]})
        return
    output.show_fields(_fields(request))
    if attempts:
        click.echo()
        drafted = any(attempt.role == "draft" for attempt in attempts)
        output.show(
            [
                Column("CALL"),
                Column("ROLE", text=True),
                Column("TARGET", text=True),
                Column("KEY", text=True, optional=drafted),
                Column("FORMAT", text=True, optional=True),
                Column("STATUS", text=True),
                *((Column("DRAFT", text=True), Column("SAVED")) if drafted else ()),
                Column("TOKENS", optional=True),
                Column("COST"),
                Column("TOOK", optional=drafted),
            ],
            [_attempt_cells(attempt, drafted) for attempt in attempts],
        )
    if request.facts:
        click.echo()
        output.show_fields(_facts(json.loads(request.facts)))


def _fields(request: PastRequest) -> Iterator[tuple[str, str]]:
    at = datetime.fromtimestamp(request.time_ms / 1000).astimezone()
    yield "Request", request.id
    yield "Time", at.isoformat(sep=" ", timespec="milliseconds")
    yield "Profile", request.profile
    yield "Rule", f"{request.rule}  ({request.reason}; rule {request.rule_hash}, file {request.file_hash})"
    who = request.client + (f", key {request.key}" if request.key else "")
    yield "Client", who + (f", tags {request.tags}" if request.tags else "")
    if request.conversation:
        yield "Conversation", request.conversation
    yield "Asked for", f"{request.requested_model} ({request.api}{', stream' if request.stream else ''})"
    if request.provider:
        yield "Served by", f"{request.provider}/{request.model}"
    for title, start in _TRACED.items():
        lines = [line.removeprefix(start) for line in (request.trace or "").splitlines() if line.startswith(start)]
        if lines:
            yield title, "\n".join(lines)
    if request.dropped:
        yield "Left out", f"{request.dropped} (the target has no place for that)"
    ended = " ".join(str(part) for part in (request.outcome or "running", request.status, request.error_class) if part)
    yield "Outcome", ended
    yield "Tokens", _tokens(request)
    worth = request.list_nano_usd
    value = f", list price {output.small_money(worth)}" if worth is not None and worth != request.cost_nano_usd else ""
    source = f" ({request.price_source})" if request.price_source else ""
    yield (
        "Cost",
        f"{output.small_money(request.cost_nano_usd)}{value}{source}" if request.attempts else "nothing was called",
    )
    if request.cache_lost is not None:
        loss = output.small_money(request.cache_lost_nano_usd)
        yield "Cache lost", f"{request.cache_lost} tokens at the target it was at before, worth {loss}"
    took = [f"first byte {output.duration(request.first_byte_ms)}"] if request.first_byte_ms is not None else []
    took += [f"in all {output.duration(request.duration_ms)}"] if request.duration_ms is not None else []
    if took:
        yield "Took", ", ".join(took)


def _tokens(request: PastRequest | PastAttempt) -> str:
    parts = [
        ("input", request.input),
        ("cache read", request.cache_read),
        ("cache write", request.cache_write),
        ("cache write 1h", request.cache_write_1h),
        ("output", request.output),
        ("reasoning", request.reasoning),
    ]
    known = [f"{name} {number}" for name, number in parts if number is not None]
    estimate = isinstance(request, PastRequest) and request.estimated_input
    if not known:
        return f"not reported{f' (input estimated at {estimate})' if estimate else ''}"
    return ", ".join(known) + (f" (input estimated at {estimate})" if estimate else "")


def _attempt_cells(attempt: PastAttempt, drafted: bool) -> list[str]:
    ended = [str(attempt.status)] if attempt.status is not None else []
    ended += [attempt.error_class] if attempt.error_class else []
    ended += ["may be billed"] if attempt.maybe_billed else []
    counts = [attempt.input, attempt.cache_read, attempt.cache_write, attempt.cache_write_1h]
    known = [number for number in counts if number is not None]
    return [
        str(attempt.number),
        attempt.role,
        f"{attempt.provider}/{attempt.model}",
        attempt.key_name or "-",
        attempt.api or "-",
        " ".join(ended) or attempt.state,
        *(_judged(attempt) if drafted else ()),
        f"{_count(sum(known) if known else None)} / {_count(attempt.output)}",
        output.small_money(attempt.cost_nano_usd),
        output.duration(attempt.duration_ms),
    ]


def _judged(attempt: PastAttempt) -> tuple[str, str]:
    """What became of a draft and what it saved; of another call nothing."""
    if attempt.role != "draft":
        return "", ""
    judged = "not judged" if attempt.score is None else f"{attempt.verdict} {attempt.score:.2f}"
    return judged, output.small_money(attempt.saving_nano_usd)


def _facts(facts: dict[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            value = [
                f"{key}={'yes' if held is True else 'no' if held is False else held}" for key, held in value.items()
            ]
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        if value not in (None, [], False):
            yield name.replace("_", "-"), "yes" if value is True else str(text)
