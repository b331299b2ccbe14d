"""Figures of the simulated days, as tables in Markdown and for programs."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from simulating.day import Tally
from simulating.targets import TARGETS, Target

BEGIN, END = "<!-- table: scripts/simulate-strategies --write -->", "<!-- end of table -->"
WIDE = 200  # columns, whatever the terminal has: a cut table can't be compared


def targets() -> str:
    """What the targets are like."""
    table = _table("target", "$ per million in / out", "cached", "first token", "tokens/s", "fails", "also")
    for target in TARGETS:
        rates = target.rates
        table.add_row(
            f"`{target.name}`",
            f"{_usd(rates.input)} / {_usd(rates.output)}",
            "–" if target.cache == "none" else _usd(rates.cache_read),
            f"{target.first_token_s:g} s",
            f"{target.writes_per_s:g}",
            f"{target.fails:.1%}",
            "; ".join(_also(target)),
        )
    return _printed(table)


def results(tallies: Mapping[str, Tally]) -> str:
    """A line for each strategy."""
    table = _table("strategy", "cost", "success", "at once", "first token p50", "p95", "tokens/s", "cached", "moved")
    for name, figures in figures_of(tallies).items():
        table.add_row(
            _titled(name),
            f"${figures['cost_usd']:.2f}",
            f"{figures['success']:.2%}",
            f"{figures['at_once_share']:.1%}",
            f"{figures['first_token_p50_s']:.1f} s",
            f"{figures['first_token_p95_s']:.1f} s",
            f"{figures['tokens_per_s']:.0f}",
            f"{figures['cached_share']:.0%}",
            f"{figures['moved_share']:.0%}",
        )
    return _printed(table)


def summary(tallies: Mapping[str, Tally]) -> str:
    """The same in short."""
    table = _table("strategy", "cost", "success", "first token p50", "p95")
    for name, figures in figures_of(tallies).items():
        table.add_row(
            _titled(name),
            f"${figures['cost_usd']:.2f}",
            f"{figures['success']:.2%}",
            f"{figures['first_token_p50_s']:.1f} s",
            f"{figures['first_token_p95_s']:.1f} s",
        )
    return _printed(table)


def put_into(page: str, shown: Sequence[str]) -> str:
    """A page with these tables in its places for them, one after the other."""
    pieces = re.split(f"({re.escape(BEGIN)}\n|\n{re.escape(END)})", page)
    pieces[2::4] = shown
    return "".join(pieces)


def figures_of(tallies: Mapping[str, Tally]) -> dict[str, dict[str, Any]]:
    """For programs; ``answers`` is how many came from each target."""
    return {
        name: {
            "requests": tally.requests,
            "cost_usd": round(tally.nano_usd / 1e9, 4),
            "success": round(len(tally.first_token_s) / max(1, tally.requests), 5),
            "at_once_share": round(tally.at_once / max(1, tally.requests), 4),
            "first_token_p50_s": round(_quantile(tally.first_token_s, 0.5), 3),
            "first_token_p95_s": round(_quantile(tally.first_token_s, 0.95), 3),
            "tokens_per_s": round(tally.tokens / max(1.0, tally.seconds), 2),
            "cached_share": round(tally.cached_tokens / max(1, tally.input_tokens), 4),
            "moved_share": round(tally.moved / max(1, tally.follow_ups), 4),
            "answers": {target.name: tally.calls[target.name] for target in TARGETS},
        }
        for name, tally in tallies.items()
    }


def _titled(name: str) -> str:
    strategy, comma, sticky = name.partition(", ")
    return f"`{strategy}`{comma}{sticky}"


def _also(target: Target) -> list[str]:
    notes = []
    if target.cache == "paid":
        notes.append(f"filling the cache ${_usd(target.rates.cache_write)}")
    if target.per_minute is not None:
        notes.append(f"{target.per_minute} requests a minute")
    if target.wordy != 1:
        notes.append(f"answers {target.wordy:g} times as long")
    for trouble in target.troubles:
        what = f"{trouble.slower:g} times as slow" if trouble.slower != 1 else f"{trouble.fails:.0%} fails"
        notes.append(f"{what} from {_clock(trouble.since)} to {_clock(trouble.until)}")
    return notes


def _clock(hour: float) -> str:
    return f"{int(hour)}:{round(hour % 1 * 60):02}"


def _usd(pico: int | None) -> str:
    """A rate in dollars per million tokens."""
    return f"{(pico or 0) / 1e6:.3f}".rstrip("0").rstrip(".")


def _quantile(values: Sequence[float], share: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _table(name: str, *columns: str) -> Table:
    table = Table(box=MARKDOWN)
    table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(column, no_wrap=True, justify="left" if column == "also" else "right")
    return table


def _printed(table: Table) -> str:
    text = io.StringIO()
    Console(file=text, width=WIDE, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines() if line.strip())
