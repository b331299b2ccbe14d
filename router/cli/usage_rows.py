"""The reports of ``router usage`` for programs: the keys of JSON and CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from router.cli import output
from router.cli.usage_tables import View, value
from router.ledger.periods import BEGINNING, END
from router.ledger.reports import Report, Row, Scope

Trace = Callable[[Row], str | None]
"""The command that lists the requests of a row; ``None`` where they are deleted."""


def as_json(report: Report, scopes: Sequence[Scope], view: View, trace: Trace) -> dict[str, object]:
    """A whole report. Each row says what lists its requests."""
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
        "rows": [as_row(report, row, view) | {"requests_command": trace(row)} for row in report.rows],
        "total": as_row(report, report.total, view) | {"requests_command": trace(report.total)},
        "deleted": {
            "requests": report.forgotten.requests,
            "until": output.moment(report.forgotten.before_ms) if 0 < report.forgotten.before_ms < END else None,
            "by_hour": report.forgotten.split,
        },
    }


def as_row(report: Report, row: Row, view: View) -> dict[str, object]:
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
        "value_usd": output.usd(value(sums)),
        "unpriced": sums.unpriced,
        "held_usd": output.usd(sums.held_nano_usd),
        "errors": sums.errors,
        "fallbacks": sums.fallbacks,
        "attempts": sums.attempts,
    }
    if view.detail:
        total, drafts = report.total.sums.cost_nano_usd, row.drafts
        found |= {
            "p50_ms": row.latency.p50_ms if row.latency else None,
            "p95_ms": row.latency.p95_ms if row.latency else None,
            "drafts": drafts.drafts,
            "drafts_rejected": drafts.rejected,
            "draft_waste_usd": output.usd(_known(drafts.waste_nano_usd, drafts.waste_unknown)),
            "draft_saving_usd": output.usd(_known(drafts.saving_nano_usd, drafts.unknown)),
            "drafts_unknown": drafts.unknown,
            "share": sums.cost_nano_usd / total if total else None,
        }
    if view.savings:
        found |= {
            **_compared("at_default", sums.at_default, sums.at_default_nano_usd, sums.at_default_paid_nano_usd),
            **_compared("at_requested", sums.at_requested, sums.at_requested_nano_usd, sums.at_requested_paid_nano_usd),
            "cache_read_share": sums.cache_read / sums.tokens_in if sums.tokens_in else None,
            "wasted_usd": output.usd(_known(sums.wasted_nano_usd, sums.wasted_unknown)),
            "wasted_unknown": sums.wasted_unknown,
        }
    if view.detail or view.savings:
        lost = row.cache_loss
        found |= {
            "cache_switches": lost.requests,
            "cache_lost": lost.tokens,
            "cache_lost_usd": output.usd(_known(lost.cost_nano_usd, lost.unknown)),
            "cache_lost_unknown": lost.unknown,
        }
    return found


def _compared(name: str, requests: int, there: int, paid: int) -> dict[str, object]:
    """What so many requests would have cost elsewhere, what they did cost, and the difference."""
    known = requests > 0
    return {
        f"{name}_requests": requests,
        f"{name}_usd": output.usd(there if known else None),
        f"{name}_paid_usd": output.usd(paid if known else None),
        f"{name}_saved_usd": output.usd(there - paid if known else None),
    }


def _known(amount: int, unknown: int) -> int | None:
    """A sum; ``None`` where nothing but unknown amounts went into it."""
    return None if unknown and not amount else amount
