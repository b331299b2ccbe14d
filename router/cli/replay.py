"""``router replay``: past traffic on other rules."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from router.cli import output
from router.cli.complete import profile_names
from router.cli.output import UNKNOWN, Column, count, money, plural
from router.cli.places import Places, examples, json_option, places_options
from router.ledger import periods
from router.ledger.periods import BEGINNING, DAY_MS, END
from router.ledger.reports import Scope
from router.ledger.traffic import PastExchange
from router.money.budget import PROFILE, Limits
from router.money.budget import Scope as Spender
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.replaying import CacheSums, Replay, Sums, learn, replay
from router.replaying.loading import load_rules
from router.replaying.spending import Spent
from router.routing.candidates import Why
from router.server.client_keys import limits_of

WARM_UP_MS = DAY_MS
"""Before the period, what is replayed but not counted: a working day is about as long as a conversation lasts."""
_SHOWN = 10_000  # requests, above which it takes long enough to show how far it is


@click.command(
    "replay",
    epilog=examples(
        "router replay work --rules new-routing.toml",
        "router replay work --rules new-routing.toml --since 30d",
        "router replay work --rules try/routing.toml --since 2026-11-01 --json",
    ),
)
@click.argument("name", shell_complete=profile_names)
@click.option(
    "--rules",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="The rules to try: a file written like a routing.toml.",
)
@click.option("--since", default="7d", show_default=True, metavar="WHEN", help="From when on: 7d, 24h, 2026-11-01.")
@click.option("--until", metavar="WHEN", help="Until when; a day is included whole.")
@json_option
@places_options
def command(places: Places, name: str, file: Path, since: str, until: str | None, as_json: bool) -> None:
    """Show where past requests would have gone by other rules, and about what that would have cost.

    The ledger's recorded facts are enough: no prompt is needed, no provider called, nothing changed. What they can't
    answer is counted and named, never guessed.
    """
    before = places.load(name).profile if name in places.found else None
    if name not in places.found and name not in (recorded := places.reader.profiles()):
        raise click.UsageError(places.unknown(name, sorted({*places.found, *recorded})))
    after = load_rules(
        file,
        places.found.get(name),
        name=name,
        catalog=places.catalog,
        environ=os.environ,
        known_model=places.known_model,
    )
    scope = _period(name, since, until, before or after)
    report = _replay(places, scope, before, after)
    if as_json:
        output.show_json(_json(report, scope, file, after))
    else:
        _show(report, scope, after)


def _period(name: str, since: str, until: str | None, profile: Profile) -> Scope:
    now_ms, zone = time.time_ns() // 1_000_000, profile.timezone
    start = periods.parse_since(since, now_ms, zone)
    end = END if until is None else periods.parse_until(until, now_ms, zone)
    if start >= end:
        raise click.UsageError("the period ends before it begins")
    return Scope(name, start, end, zone)


def _replay(places: Places, scope: Scope, before: Profile | None, after: Profile) -> Replay:
    reader, start = places.reader, max(BEGINNING, scope.since_ms - WARM_UP_MS)
    requests = reader.spent(scope.profile, start, scope.until_ms).requests

    def rows(label: str) -> Iterator[PastExchange]:
        return _with_progress(reader.traffic(scope.profile, start, scope.until_ms), requests, label)

    known = {**(before.providers if before is not None else {}), **after.providers}
    learned, keys = learn(rows("Reading"), known), _keys(places, scope.profile)
    return replay(
        rows("Replaying"),
        after,
        places.prices,
        before=before,
        learned=learned,
        credentials=Credentials(os.environ),
        keys=keys,
        spent=_spent(places, scope.profile, start, after) if keys or after.budget is not None else None,
        since_ms=scope.since_ms,
    )


def _keys(places: Places, name: str) -> dict[str, Limits]:
    """What client keys may spend, those that have a limit."""
    limits = {
        key.name: limits_of(key.daily_usd, key.monthly_usd)
        for key in places.reader.client_keys(name)
        if key.revoked_ms is None
    }
    return {key: of_key for key, of_key in limits.items() if of_key != Limits()}


def _spent(places: Places, name: str, until_ms: int, profile: Profile) -> dict[Spender, Spent]:
    """What was spent of the day and the month before a moment."""
    day = periods.local_day(until_ms, profile.timezone)
    sums: list[dict[Spender, int]] = []
    for first in (day, day.replace(day=1)):
        scope = Scope(name, min(until_ms, periods.midnight(first, profile.timezone)), until_ms)
        report = places.reader.usage([scope], ("key",))
        of_keys = {Spender("key", row.keys[0]): row.sums.cost_nano_usd for row in report.rows if row.keys[0]}
        sums.append({PROFILE: report.total.sums.cost_nano_usd, **of_keys})
    return {spender: Spent(sums[0].get(spender, 0), amount) for spender, amount in sums[1].items()}


def _with_progress(rows: Iterable[PastExchange], requests: int, label: str) -> Iterator[PastExchange]:
    if requests < _SHOWN or not sys.stderr.isatty():
        yield from rows
        return
    with click.progressbar(rows, length=requests, label=label, file=sys.stderr, update_min_steps=1000) as shown:
        yield from shown


# --- tables -----------------------------------------------------------------------------------------------------------

_RULES = (
    Column("RULE BEFORE", text=True),
    Column("RULE AFTER", text=True),
    Column("REQUESTS"),
    Column("TOKENS"),
    Column("COST"),
    Column("AFTER"),
)
_TARGETS = (
    Column("TARGET", text=True),
    Column("REQUESTS"),
    Column("AFTER"),
    Column("COST"),
    Column("AFTER"),
)


def _show(report: Replay, scope: Scope, after: Profile) -> None:
    words = periods.describe(scope.since_ms, scope.until_ms, time.time_ns() // 1_000_000, scope.zone, report.first_ms)
    output.note(f"{words} ({scope.zone})")
    if not report.total.requests:
        click.echo("There are no requests in this period.")
        return
    lines = [_line(was, would, sums) for (was, would), sums in _by_weight(report.moved_pairs)]
    others = {
        "(as before)": report.stays,
        "(only another rule)": report.retaken,
        "(can't be told)": report.unknown,
    }
    lines += [_line(what, "", sums) for what, sums in others.items() if sums.requests]
    output.show(_RULES, lines, _line("TOTAL", "", report.total))
    click.echo()
    output.show(
        _TARGETS,
        [
            [
                target,
                str(sums.requests_before),
                str(sums.requests_after),
                _money(sums.before, sums.unpriced_before),
                _money(sums.after, sums.unpriced_after),
            ]
            for target, sums in sorted(
                report.targets.items(), key=lambda item: (-item[1].before - item[1].after, item[0])
            )
        ],
    )
    notes = [*_notes(report, after)]
    if notes:
        click.echo()
    for text in notes:
        _echo(text)
    click.echo()
    _echo(_summary(report), bold=True)
    output.note("Costs after are estimates; keys, breakers and cooldowns aren't replayed.")


def _echo(text: str, *, bold: bool = False) -> None:
    """A sentence, its further lines indented."""
    for number, line in enumerate(output.wrap(text, 2)):
        click.secho(f"  {line}" if number else line, bold=bold or None)


def _by_weight(pairs: Mapping[tuple[str, str], Sums]) -> list[tuple[tuple[str, str], Sums]]:
    """The dearest first."""
    return sorted(pairs.items(), key=lambda item: (-item[1].before, -item[1].requests, item[0]))


def _line(was: str, would: str, sums: Sums) -> list[str]:
    return [
        was,
        would,
        str(sums.requests),
        f"{count(sums.tokens_in)} / {count(sums.tokens_out)}",
        _money(sums.before, sums.unpriced_before),
        _money(sums.after, sums.unpriced_after),
    ]


def _money(amount: int, unknown: int) -> str:
    """A sum of which ``unknown`` amounts are missing."""
    if not unknown:
        return money(amount)
    return f"{money(amount)} + {UNKNOWN}" if amount else UNKNOWN


def _summary(report: Replay) -> str:
    total = report.total
    parts = [f"{report.moved.requests:,} of {total.requests:,} requests would go elsewhere"]
    change = f"{money(total.known_before)} → about {money(total.known_after)}"
    if (share := total.share) is not None:
        change += f" ({share:+.0%})".replace("-", "−")
    if total.known < total.requests:
        change += f" for the {total.known:,} of which both costs are known"
    parts.append(change)
    if report.unknown.requests:
        parts.append(f"{report.unknown.requests:,} can't be told")
    if report.not_fitting:
        refused = f", {report.refused_as_unfit:,} of which nobody else takes" if report.refused_as_unfit else ""
        parts.append(f"{report.not_fitting:,} wouldn't fit their first target{refused}")
    return "; ".join(parts) + "."


def _notes(report: Replay, after: Profile) -> Iterator[str]:
    """What is worth knowing beside the sums, a sentence each."""
    for cause, requests in report.causes.most_common():
        where = f" (rule {cause.rule})" if cause.rule else ""
        yield f"{plural(requests, 'request')} can't be told for want of {cause.what}{where}."
    for unfit in sorted(report.unfit.values(), key=lambda each: -each.requests):
        refused = f"; {unfit.refused:,} of them nobody else takes" if unfit.refused else ""
        yield f"{plural(unfit.requests, 'request')} would not fit {unfit.target}: {_WHYS[unfit.why]}{refused}."
    was, would = report.caches_before, report.caches_after
    if was.requests or would.requests:
        yield f"Prompt caches left behind: {_caches(was)} → {_caches(would)}."
    if report.total.value_before or report.total.value_after:
        value = f"{money(report.total.value_before)} → about {money(report.total.value_after)}"
        yield f"Value of what a subscription pays for, at list prices: {value}."
    if report.learned_output:
        yield f"{plural(report.learned_output, 'answer')} would be of another length, as the models' others were."
    if report.drafted:
        yield (
            f"{plural(report.drafted, 'request')} would have a draft first. Whether that is good enough can't be told; "
            "the cost is that of the rule's own target."
        )
    if report.by_budget:
        yield f"{plural(report.by_budget, 'request')} would be decided by a budget's share, itself an estimate."
    if report.failed:
        yield f"{plural(report.failed, 'request')} had no answer; elsewhere the cost is that of a usual one, if known."
    if after.budget is not None and after.budget.on_exceed != "warn":
        yield "What the budget itself would refuse or send elsewhere is not replayed."


_WHYS: Final[Mapping[Why, str]] = {
    "too-long": "they are too long for it",
    "unable": "it can't take their tools, images or documents",
    "format": "it speaks no wire format that this router knows",
    "key": "the client's own credential isn't passed on in another wire format",
}


def _caches(sums: CacheSums) -> str:
    if not sums.requests:
        return "none"
    lost = _money(sums.nano_usd, sums.unpriced)
    return f"{count(sums.tokens)} tokens by {plural(sums.requests, 'request')} ({lost})"


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json(report: Replay, scope: Scope, file: Path, after: Profile) -> dict[str, object]:
    return {
        "profile": scope.profile,
        "rules": str(file),
        "file_hash": after.file_hash,
        "since": output.moment(scope.since_ms, scope.zone) if scope.since_ms > BEGINNING else None,
        "until": output.moment(scope.until_ms, scope.zone) if scope.until_ms < END else None,
        "timezone": str(scope.zone),
        "requests": report.total.requests,
        "total": _sums_json(report.total),
        "moved": _sums_json(report.moved),
        "retaken": _sums_json(report.retaken),
        "unchanged": _sums_json(report.stays),
        "unknown": _sums_json(report.unknown),
        "causes": [
            {"want": cause.what, "rule": cause.rule, "requests": requests}
            for cause, requests in report.causes.most_common()
        ],
        "pairs": [
            {"rule_before": was, "rule_after": would, "moved": moved, **_sums_json(sums)}
            for moved, pairs in ((True, report.moved_pairs), (False, report.retaken_pairs))
            for (was, would), sums in _by_weight(pairs)
        ],
        "targets": [
            {
                "target": target,
                "requests_before": sums.requests_before,
                "requests_after": sums.requests_after,
                "tokens_before": sums.tokens_before,
                "tokens_after": sums.tokens_after,
                "cost_before_usd": output.usd(sums.before),
                "unpriced_before": sums.unpriced_before,
                "cost_after_usd": output.usd(sums.after),
                "unpriced_after": sums.unpriced_after,
            }
            for target, sums in sorted(report.targets.items())
        ],
        "unfit": {
            "requests": report.not_fitting,
            "refused": report.refused_as_unfit,
            "targets": [
                {"target": unfit.target, "why": unfit.why, "requests": unfit.requests, "refused": unfit.refused}
                for unfit in report.unfit.values()
            ],
        },
        "caches_left": {"before": _caches_json(report.caches_before), "after": _caches_json(report.caches_after)},
        "refused_before": report.refused_before,
        "refused_after": report.refused_after,
        "failed": report.failed,
        "drafted_before": report.drafted_before,
        "drafted_after": report.drafted,
        "learned_output": report.learned_output,
        "decided_by_budget": report.by_budget,
    }


def _sums_json(sums: Sums) -> dict[str, object]:
    return {
        "requests": sums.requests,
        "tokens_in": sums.tokens_in,
        "tokens_out": sums.tokens_out,
        "cost_before_usd": output.usd(sums.before),
        "unpriced_before": sums.unpriced_before,
        "value_before_usd": output.usd(sums.value_before),
        "cost_after_usd": output.usd(sums.after),
        "unpriced_after": sums.unpriced_after,
        "value_after_usd": output.usd(sums.value_after),
        "known": sums.known,
        "known_before_usd": output.usd(sums.known_before),
        "known_after_usd": output.usd(sums.known_after),
    }


def _caches_json(sums: CacheSums) -> dict[str, object]:
    return {
        "requests": sums.requests,
        "tokens": sums.tokens,
        "cost_usd": output.usd(sums.nano_usd),
        "unpriced": sums.unpriced,
    }
