"""``router usage reconcile``: the ledger beside what a provider itself says it counted and charged."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import click

from router.cli import output
from router.cli.complete import profile_names
from router.cli.output import UNKNOWN, Column, Table, count
from router.cli.places import Places, examples, places_options
from router.errors import ConfigError
from router.ledger import periods
from router.ledger.billed_calls import BilledCalls
from router.ledger.periods import DAY_MS
from router.providers.catalog import shipped
from router.providers.provider import Provider
from router.reconciling.amounts import KINDS, NANO_PER_USD, Counted, Tokens
from router.reconciling.bill import ALL, Bill, combine
from router.reconciling.compare import Comparison, Recorded, Row, compare
from router.reconciling.export import NAMES, Export, Maker, utc_day
from router.reconciling.reading import read
from router.reconciling.words import remark, verdict

_EVERY_MODEL = "(all models)"


@click.command(
    "reconcile",
    epilog=examples(
        "router usage reconcile claude_api_cost.csv claude_api_tokens.csv",
        "router usage reconcile page1.json page2.json --profile work --all",
        "router usage reconcile usage.csv cost.csv --until 2026-11-15 --json",
    ),
)
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--provider", type=click.Choice(list(NAMES)), help="Whose files to take, where they are of both.")
@click.option("--profile", "names", multiple=True, shell_complete=profile_names, help="Only this profile's calls.")
@click.option("--since", metavar="DAY", help="From this UTC day on, whether the files have it or not.")
@click.option("--until", metavar="DAY", help="Until this UTC day, included.")
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="Only what this API key did, by its name in the files."
)
@click.option("--subscriptions", is_flag=True, help="Count calls of a subscription, too, at their list price.")
@click.option("--all", "every", is_flag=True, help="List the rows that agree, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: every row.")
@places_options
def reconcile(
    places: Places,
    files: tuple[Path, ...],
    provider: Maker | None,
    names: tuple[str, ...],
    since: str | None,
    until: str | None,
    keys: tuple[str, ...],
    subscriptions: bool,
    every: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Compare the ledger with a provider's own export of usage or costs, by UTC day and model.

    FILEs are answers of the usage and cost endpoints of Anthropic or OpenAI (JSON), or CSV files from their sites.
    Several pages, and usage and costs together, make one comparison. `-` reads one from standard input.

    A difference is no failure: the exit status is 0 wherever a comparison could be made.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    known = sorted({*places.found, *places.reader.profiles()})
    for name in names:
        if name not in known:
            raise click.UsageError(places.unknown(name, known))
    table = places.prices
    exports, notes = _of_one(_read(files), provider)
    maker = exports[0].maker

    @cache
    def label(model: str) -> str:
        return table.recognise(maker, model) or model.lower()

    bill = combine(exports, label=label, keys=keys)
    bill = bill.within(*_days(since, until))
    ledger = _ledger(places, bill, names or known, subscriptions)
    found = compare(bill, [_recorded(places, maker, each, label(each.model), subscriptions) for each in ledger.calls])
    notes = [*notes, *bill.notes, *ledger.notes, *_of_today(bill)]
    text = verdict(found, _money(found))
    if as_json:
        output.show_json(_json(found, bill, exports, ledger, notes, text))
    elif as_csv:
        rows = [_row_json(row) for row in found.rows]
        output.show_csv(rows, list(_row_json(found.total)))
    else:
        _show(found, bill, ledger, notes, text, every)


# --- the files --------------------------------------------------------------------------------------------------------


def _read(files: Iterable[Path]) -> list[Export]:
    exports: list[Export] = []
    seen: dict[bytes, str] = {}
    for path in files:
        name = "standard input" if str(path) == "-" else str(path)
        try:
            content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{name} can't be read: {(error.strerror or str(error)).lower()}") from None
        if content in seen:
            raise ConfigError(f"{name} is the same as {seen[content]}")
        seen[content] = name
        exports += read(name, content)
    return exports


def _of_one(exports: list[Export], maker: Maker | None) -> tuple[list[Export], list[str]]:
    """Those of one provider, and what is left out for that."""
    makers = {export.maker for export in exports}
    if maker is None and len(makers) > 1:
        raise click.UsageError("the files are of Anthropic and of OpenAI; choose with --provider")
    chosen = [export for export in exports if maker in (None, export.maker)]
    if not chosen:
        raise click.UsageError(f"no file is of {NAMES[maker or 'anthropic']}")
    others = dict.fromkeys(export.file for export in exports if export not in chosen)
    return chosen, [f"{file}: left out, it is of another provider" for file in others]


def _days(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """The beginning and the end of what was asked for: whole days of UTC, as the providers count."""
    now_ms = time.time_ns() // 1_000_000
    first = None if since is None else periods.parse_since(since, now_ms, UTC) // DAY_MS * DAY_MS
    last = None if until is None else -(-periods.parse_until(until, now_ms, UTC) // DAY_MS) * DAY_MS
    if first is not None and last is not None and first >= last:
        raise click.UsageError("the period ends before it begins")
    return first, last


def _of_today(bill: Bill) -> list[str]:
    today = utc_day(time.time_ns() // 1_000_000)
    over = utc_day(bill.until_ms - 1) < today
    return [] if over else [f"{today} isn't over in UTC: an export may lack its latest calls"]


# --- the ledger -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ledger:
    """The calls to compare, to which providers by which profiles, and what there is to say of those left out."""

    calls: list[BilledCalls]
    providers: list[str]
    profiles: list[str]
    notes: list[str]


def _ledger(places: Places, bill: Bill, profiles: Sequence[str], subscriptions: bool) -> _Ledger:
    if bill.since_ms >= bill.until_ms:
        raise click.UsageError("the files have nothing of this period")
    named = {profile: _names(places, profile, bill.maker) for profile in profiles}
    every = sorted({name for names in named.values() for name in names})
    found = places.reader.billed_calls(every, bill.since_ms, bill.until_ms)
    found = [each for each in found if each.provider in named.get(each.profile, ())]
    notes = []
    others = sum(each.calls for each in found if each.kind == "other")
    if others:
        notes.append(f"{output.plural(others, 'call')} for images, audio and the like are left out")
    of_subscription = _subscribed(found)
    left = sum(each.calls for each in of_subscription)
    if left and not subscriptions:
        found = [each for each in found if each not in of_subscription]
        notes.append(
            f"{output.plural(left, 'call')} of a subscription aren't on this bill and are left out (--subscriptions)"
        )
    for profile in profiles:
        gone = places.reader.forgotten(profile, bill.since_ms, bill.until_ms)
        if gone.requests:
            notes.append(
                f"profile {profile}: {output.plural(gone.requests, 'request')} before {utc_day(gone.before_ms)} are "
                "deleted ([ledger] retention) and lacking here"
            )
    calls = [each for each in found if each.kind != "other"]
    return _Ledger(calls, sorted({each.provider for each in calls}), sorted({each.profile for each in calls}), notes)


def _names(places: Places, profile: str, maker: Maker) -> set[str]:
    """What a profile calls the provider: its own name, and every provider that has its address."""
    providers: Iterable[Provider] = places.catalog.values()
    if profile in places.found:
        loaded = places.load(profile).profile
        providers = providers if loaded is None else loaded.providers.values()
    hosts = _hosts(shipped()[maker])
    return {maker, *(provider.name for provider in providers if _hosts(provider) & hosts)}


def _hosts(provider: Provider) -> set[str | None]:
    return {urlsplit(url).hostname for url in provider.base_urls.values()}


def _subscribed(found: Sequence[BilledCalls]) -> list[BilledCalls]:
    """Calls that a subscription paid for, and those of the same credential that ended before it was known."""

    def credential(each: BilledCalls) -> tuple[str, str, str]:
        return each.profile, each.provider, each.key_name

    logins = {credential(each) for each in found if each.subscription}
    logins -= {credential(each) for each in found if not each.subscription and each.cost_nano_usd}
    return [
        each
        for each in found
        if each.subscription or (credential(each) in logins and each.no_usage + each.unpriced == each.calls)
    ]


def _recorded(places: Places, maker: Maker, each: BilledCalls, model: str, subscriptions: bool) -> Recorded:
    day = utc_day(each.day * DAY_MS)
    tokens = Tokens(*(getattr(each, kind) for kind in KINDS))
    cost = each.list_nano_usd if each.subscription and subscriptions else each.cost_nano_usd
    source = each.price_source or (UNKNOWN if each.no_usage + each.unpriced else "free")
    amounts = Counted(
        each.calls, tokens, cost, each.perhaps_billed, each.no_usage, each.unpriced, ((source, each.calls),)
    )
    rates = places.prices.rates(maker, each.model) if each.web_searches else None
    pico = None if rates is None else rates.on(datetime.fromtimestamp(each.day * DAY_MS / 1000, UTC)).web_search
    return Recorded(day, model, amounts, each.kind == "embed", each.web_searches * (pico or 0) // 1000)


# --- showing ----------------------------------------------------------------------------------------------------------


def _money(found: Comparison) -> Any:
    """How amounts are written: a bill of less than a dollar with more digits."""
    return output.small_money if (found.total.provider.nano_usd or 0) < NANO_PER_USD else output.money


def _show(found: Comparison, bill: Bill, ledger: _Ledger, notes: Sequence[str], text: str, every: bool) -> None:
    profiles = ", ".join(ledger.profiles) or "no profile"
    period = f"{utc_day(bill.since_ms)} to {utc_day(bill.until_ms - 1)} (UTC)"
    output.note(f"{NAMES[bill.maker]}, {period}; calls of {profiles} to {', '.join(ledger.providers) or bill.maker}")
    for line in notes:
        output.note(line)
    rows = found.rows if every else found.differing
    parts = _columns(found)
    cells = [[*_key(row), *(cell(row) for _, cell in parts)] for row in rows]
    last = ["TOTAL", "", *(cell(found.total) for _, cell in parts)]
    table = Table(
        [Column("DAY", text=True), Column("MODEL", text=True, at_least=12), *(column for column, _ in parts)],
        [*cells, last],
    )
    click.secho(table.header(), bold=True)
    for row, shown in zip(rows, cells, strict=True):
        click.echo(table.line(shown))
        for part in output.wrap(remark(row), 4) if row.cause != "agrees" else ():
            click.secho(f"    {part}", dim=True)
    click.secho(table.rule(), dim=True)
    click.secho(table.line(last), bold=True)
    if len(rows) < len(found.rows):
        click.echo(f"Agreeing and not listed (--all): {len(found.rows) - len(rows)} of {len(found.rows)} rows.")
    unknown = found.total.ledger.no_usage + found.total.ledger.unpriced
    if unknown:
        click.echo(f"COST leaves out {output.plural(unknown, 'call')} of unknown cost.")
    click.echo()
    for part in output.wrap(text):
        click.secho(part, bold=True)


def _key(row: Row) -> tuple[str, str]:
    return row.day, _EVERY_MODEL if row.model == ALL else row.model


def _columns(found: Comparison) -> list[tuple[Column, Any]]:
    """The columns of amounts: what the provider doesn't tell has none."""
    money = _money(found)
    columns: list[tuple[Column, Any]] = [
        (Column("CALLS", optional=True), lambda row: str(row.ledger.calls)),
    ]
    if found.total.provider.tokens is not None:
        columns += [
            (Column("TOKENS", optional=found.tells_costs), lambda row: _in_out(row.ledger.tokens)),
            (Column("COUNTED", optional=found.tells_costs), lambda row: _in_out(row.provider.tokens)),
            (Column("TOKENS OFF"), lambda row: "-" if row.tokens_off is None else _signed(row.tokens_off.total)),
        ]
    if found.tells_costs:
        columns += [
            (Column("COST"), lambda row: money(row.ledger.nano_usd)),
            (Column("BILLED"), lambda row: "-" if row.provider.usd is None else money(row.provider.nano_usd)),
            (Column("COST OFF"), lambda row: "-" if row.nano_off is None else money(row.nano_off)),
            (Column("%"), _percent),
        ]
    return columns


def _in_out(tokens: Tokens | None) -> str:
    return "-" if tokens is None else f"{count(tokens.total_input)} / {count(tokens.output)}"


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def _percent(row: Row) -> str:
    off, billed = row.nano_off, row.provider.nano_usd
    return "-" if off is None or not billed else f"{100 * off / billed:+.1f}"


def _json(
    found: Comparison, bill: Bill, exports: Sequence[Export], ledger: _Ledger, notes: Sequence[str], text: str
) -> dict[str, object]:
    return {
        "provider": bill.maker,
        "since": output.moment(bill.since_ms),
        "until": output.moment(bill.until_ms),
        "files": [{"file": each.file, "has": each.title, "lines": len(each.lines)} for each in exports],
        "profiles": ledger.profiles,
        "providers": ledger.providers,
        "agrees": not found.differing,
        "verdict": text,
        "causes": [
            {
                "cause": cause,
                "usd" if found.tells_costs else "tokens": output.usd(weight) if found.tells_costs else weight,
            }
            for cause, weight in found.weights()
        ],
        "notes": list(notes),
        "rows": [_row_json(row) for row in found.rows],
        "total": _row_json(found.total),
    }


def _row_json(row: Row) -> dict[str, object]:
    """One row, flat: the ledger's amounts, the provider's (null where it doesn't tell), and what they are off by."""
    ledger, provider, off = row.ledger, row.provider, row.tokens_off

    def each(side: Literal["ledger", "provider", "off"], tokens: Tokens | None) -> dict[str, int | None]:
        return {f"{side}_{kind}": None if tokens is None else getattr(tokens, kind) for kind in KINDS}

    return {
        "day": row.day or None,
        "model": row.model or None,
        "cause": row.cause,
        "remark": remark(row),
        "ledger_calls": ledger.calls,
        **each("ledger", ledger.tokens),
        "ledger_usd": output.usd(ledger.nano_usd),
        "ledger_nano_usd": ledger.nano_usd,
        "perhaps_billed": ledger.perhaps_billed,
        "no_usage": ledger.no_usage,
        "unpriced": ledger.unpriced,
        "price_sources": "; ".join(f"{source}: {calls}" for source, calls in ledger.sources),
        "provider_requests": provider.requests,
        **each("provider", provider.tokens),
        "provider_usd": output.usd(provider.nano_usd),
        "provider_nano_usd": provider.nano_usd,
        **each("off", off),
        "off_usd": output.usd(row.nano_off),
        "off_nano_usd": row.nano_off,
    }
