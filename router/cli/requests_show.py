"""``router requests show``: one request with its calls, and where its amounts come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

import click

from router.cli import output
from router.cli.arithmetic import Arithmetic
from router.cli.output import UNKNOWN, Column
from router.cli.places import Places, examples, places_options
from router.ledger.reports import PastAttempt, PastRequest

_TRACED = {"Order": "order: ", "Draft": "draft: ", "Passed over": "passed over: "}  # how lines of a trace begin


def count(tokens: int | None) -> str:
    """A token count, ``?`` where it isn't known."""
    return UNKNOWN if tokens is None else output.count(tokens)


def as_json(request: PastRequest) -> dict[str, object]:
    """A request's row with readable times, tags as a list, and facts as they are."""
    found = asdict(request)
    found["time"] = output.moment(request.time_ms)
    found["tags"] = (request.tags or "").split()
    found["stream"] = bool(request.stream)
    found["usage_estimated"] = bool(request.usage_estimated)
    found["cost_usd"] = output.usd(request.cost_nano_usd)
    found["cache_lost_usd"] = output.usd(request.cache_lost_nano_usd)
    found["at_default_usd"] = output.usd(request.at_default_nano_usd)
    found["at_requested_usd"] = output.usd(request.at_requested_nano_usd)
    found["held_usd"] = output.usd(request.held_nano_usd)
    found["baselines"] = json.loads(request.baselines) if request.baselines else None
    found["trace"] = (request.trace or "").splitlines()
    found["facts"] = json.loads(request.facts) if request.facts else None
    return found


def _attempt_json(attempt: PastAttempt, arithmetic: Arithmetic) -> dict[str, object]:
    found = asdict(attempt)
    found["time"] = output.moment(attempt.time_ms)
    found["maybe_billed"] = bool(attempt.maybe_billed)
    found["cost_usd"] = output.usd(attempt.cost_nano_usd)
    found["saving_usd"] = output.usd(attempt.saving_nano_usd)
    found["reserved_usd"] = output.usd(attempt.reserved_nano_usd)
    found["cost_explained"] = arithmetic.of_call(attempt)
    found["usage_raw"] = json.loads(attempt.usage_raw) if attempt.usage_raw else None
    return found


@click.command("show", epilog=examples("router requests show 019a5c7e3f21", "router requests show 019a5c7e3f21 --json"))
@click.argument("request_id", metavar="ID")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
@places_options
def show(places: Places, request_id: str, json_wanted: bool) -> None:
    """Show one request with its calls and facts, and where its amounts come from.

    The beginning of its id is enough.
    """
    request, attempts = places.reader.request(request_id)
    arithmetic = Arithmetic(places, request.profile)
    if json_wanted:
        explained = dict(arithmetic.of_baselines(request, attempts))
        calls = [_attempt_json(attempt, arithmetic) for attempt in attempts]
        output.show_json(
            {
                **as_json(request),
                "at_default_explained": explained.get("At default"),
                "at_requested_explained": explained.get("At requested"),
                "calls": calls,
            }
        )
        return
    output.show_fields([*_fields(request), *arithmetic.of_baselines(request, attempts), *_last_fields(request)])
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
        click.echo()
        output.show_fields(_amounts(attempts, arithmetic))
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


def _last_fields(request: PastRequest) -> Iterator[tuple[str, str]]:
    if request.cache_lost is not None:
        loss = output.small_money(request.cache_lost_nano_usd)
        yield "Cache lost", f"{request.cache_lost} tokens at the target it was at before, worth {loss}"
    if request.held_nano_usd is not None:
        why = "while it is under way" if request.state == "open" else "for calls that may be charged, nobody knows what"
        yield "Held", f"{output.small_money(request.held_nano_usd)} in budgets, {why}"
    if request.charged_ms is not None:
        yield "Charged", f"to the budgets of {output.moment(request.charged_ms)}, the latest time seen by then"
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
        f"{count(sum(known) if known else None)} / {count(attempt.output)}",
        output.small_money(attempt.cost_nano_usd),
        output.duration(attempt.duration_ms),
    ]


def _amounts(attempts: list[PastAttempt], arithmetic: Arithmetic) -> Iterator[tuple[str, str]]:
    """Where each call's cost comes from, and what was kept back for it."""
    for attempt in attempts:
        lines = [arithmetic.of_call(attempt) or "under way"]
        if attempt.reserved_nano_usd is not None:
            lines.append(f"{output.small_money(attempt.reserved_nano_usd)} was kept back for it in budgets before")
        yield f"Cost of {attempt.number}", "\n".join(lines)


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
        if value not in (None, "", [], False):
            yield name.replace("_", "-"), "yes" if value is True else str(text)
