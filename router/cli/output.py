"""How commands speak: plain tables, amounts, JSON and CSV.

In a terminal, titles are bold and a table too wide for it loses its optional columns, then the ends of its longest
texts.
In a pipe there are neither colours nor cuts: every cell is whole, however wide the line.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal

import click

UNKNOWN = "?"
GAP_AFTER_TEXT = 2
GAP = 3
_LEAST_TEXT = 12  # what is left of a text that is cut
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Column:
    """``text`` columns are left-aligned and may be cut; ``optional`` ones are left out where there is no room."""

    title: str
    text: bool = False
    optional: bool = False
    at_least: int = 0


class Table:
    """Columns laid out for some rows; later rows of the same kind (``line``) keep to it as well as they can."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        self._columns = list(columns)
        self._kept = list(range(len(columns)))
        self._widths = [
            max([column.at_least, *(_width(row[n]) for row in rows)]) for n, column in enumerate(self._columns)
        ]
        self._titles = [_width(column.title) for column in self._columns]
        room = terminal_width()
        if room is not None:
            self._fit(room)

    def header(self) -> str:
        """The line of titles. A right-aligned title may reach into free room at its left."""
        return self._place([column.title for column in self._columns], cut=False)

    def line(self, row: Sequence[str]) -> str:
        return self._place(row, cut=True)

    def rule(self) -> str:
        """The line above a total, a little longer than the table."""
        return "─" * min(self._ends()[-1] + 2, terminal_width() or 1_000_000)

    def _ends(self) -> list[int]:
        """Where each kept column ends."""
        ends: list[int] = []
        end = title_end = 0
        previous: Column | None = None
        for n in self._kept:
            column, width, title = self._columns[n], self._widths[n], self._titles[n]
            gap = 0 if previous is None else GAP_AFTER_TEXT if previous.text or column.text else GAP
            start = end + gap
            if column.text:
                end = start + max(width, title)
                title_end = start + title
            else:
                end = max(start + width, title_end + (GAP_AFTER_TEXT if previous else 0) + title)
                title_end = end
            ends.append(end)
            previous = column
        return ends

    def _place(self, cells: Sequence[str], *, cut: bool) -> str:
        line = ""
        ends = self._ends()
        for position, n in enumerate(self._kept):
            column, cell = self._columns[n], cells[n]
            if column.text:
                if line:
                    start = ends[position] - max(self._widths[n], self._titles[n])
                    line += " " * max(1, start - _width(line))
                limit = max(self._widths[n], self._titles[n])
                line += shorten(cell, limit) if cut and terminal_width() is not None else cell
            else:
                line += " " * max(1 if line else 0, ends[position] - _width(line) - _width(cell)) + cell
        return line.rstrip()

    def _fit(self, room: int) -> None:
        for n in reversed(range(len(self._columns))):
            if self._ends()[-1] > room and self._columns[n].optional:
                self._kept.remove(n)
        while (over := self._ends()[-1] - room) > 0:
            texts = [n for n in self._kept if self._columns[n].text and self._widths[n] > _LEAST_TEXT]
            if not texts:
                return
            widest = max(texts, key=lambda n: self._widths[n])
            self._widths[widest] = max(_LEAST_TEXT, self._widths[widest] - over)


def show(columns: Sequence[Column], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None) -> None:
    """Print a table, with a total below a line if there is one."""
    table = Table(columns, [*rows, total] if total is not None else rows)
    click.secho(table.header(), bold=True)
    for row in rows:
        click.echo(table.line(row))
    if total is not None:
        click.secho(table.rule(), dim=True)
        click.secho(table.line(total), bold=True)


def show_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one a line, wrapped values below each other."""
    pairs = list(fields)
    width = max((_width(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        for number, part in enumerate(wrap(value, width + 2)):
            click.echo(
                (click.style(name.ljust(width), bold=True) if number == 0 else " " * width) + f"  {part}".rstrip()
            )


def wrap(text: str, indent: int = 0) -> list[str]:
    """A text's lines, broken between words where a terminal is too narrow."""
    room = terminal_width()
    if room is None:
        return text.splitlines() or [""]
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        left = ""
        for word in line.split(" "):
            if left and _width(left) + 1 + _width(word) > max(20, room - indent):
                lines.append(left)
                left = word
            else:
                left = f"{left} {word}" if left else word
        lines.append(left)
    return lines


def note(text: str) -> None:
    """A remark for the person, beside the output: on stderr, so that a pipe gets only the data."""
    click.secho(text, err=True, dim=True)


def show_json(value: Mapping[str, object]) -> None:
    """JSON for programs: one object, keys that stay."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=in_json))


def in_json(value: object) -> object:
    """What JSON has no kind for."""
    return float(value) if isinstance(value, Decimal) else str(value)


def show_csv(rows: Iterable[Mapping[str, object]], names: Sequence[str]) -> None:
    """CSV with a line of names; what is unknown is empty."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([in_csv(row[name]) for name in names] for row in rows)


def in_csv(value: object) -> object:
    """One cell. Amounts have all their digits. A text that a spreadsheet would take for a formula gets a ' in front:
    clients choose names of models and tags."""
    match value:
        case Decimal():
            return f"{value.normalize():f}"
        case str() if value.startswith(_FORMULA):
            return f"'{value}"
        case _:
            return value


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None for a pipe or a file."""
    if not sys.stdout.isatty():
        return None
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def shorten(text: str, width: int) -> str:
    """The text cut to a width, with … for what is missing."""
    if _width(text) <= width:
        return text
    while text and _width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _width(text: str) -> int:
    """Cells in a terminal, colours left out; only texts with letters wider than one need the slow way."""
    if "\x1b" in text:
        text = click.unstyle(text)
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # takes a while to import, and most tables have no such letters

    return cell_len(text)


def count(tokens: int) -> str:
    """``45``, ``1.3K``, ``280K``, ``1.1M``: at most three digits."""
    if tokens < 1000:
        return str(tokens)
    value = tokens / 1000
    for unit in "KMBT":
        if value < 9.95:
            return f"{value:.1f}".removesuffix(".0") + unit
        if value < 999.5 or unit == "T":
            return f"{value:.0f}{unit}"
        value /= 1000
    raise AssertionError("unreachable")


def money(nano_usd: int | None) -> str:
    """``$7.81``; ``<$0.01`` for less than half a cent that isn't nothing; ``?`` for what isn't known."""
    if nano_usd is None:
        return UNKNOWN
    sign = "-" if nano_usd < 0 else ""
    if 0 < abs(nano_usd) < 5_000_000:
        return f"{sign}<$0.01"
    cents = (abs(nano_usd) + 5_000_000) // 10_000_000
    return f"{sign}${cents // 100}.{cents % 100:02d}"


def small_money(nano_usd: int | None) -> str:
    """A single request's cost: ``$0.0042``, three digits or two places, whichever says more."""
    if nano_usd is None:
        return UNKNOWN
    if nano_usd == 0 or abs(nano_usd) >= 1_000_000_000:
        return money(nano_usd)
    amount = abs(nano_usd) / 1e9
    places = next((n for n, digit in enumerate(f"{amount:.9f}"[2:], 1) if digit != "0"), 9)
    return f"{'-' if nano_usd < 0 else ''}${amount:.{max(2, min(9, places + 2))}f}"


def usd(nano_usd: int | None) -> Decimal | None:
    """For JSON and CSV: exact, to the nano-dollar."""
    return None if nano_usd is None else Decimal(nano_usd).scaleb(-9)


def duration(ms: float | None) -> str:
    """``850ms``, ``12.3s``, ``4m10s``."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms:.0f}ms"
    if ms < 100_000:
        return f"{ms / 1000:.1f}s"
    return f"{int(ms // 60_000)}m{int(ms % 60_000 // 1000):02d}s"


def moment(time_ms: int | None, zone: tzinfo | None = None) -> str | None:
    """ISO 8601, for JSON; UTC unless another zone is given."""
    from datetime import UTC

    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1000, zone or UTC).isoformat()


def size(count: int) -> str:
    """``812 bytes``, ``7.3 MB``, ``12 GB``."""
    if count < 1000:
        return f"{count} bytes"
    value = count / 1000
    for unit in ("KB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def plural(number: int, word: str, many: str | None = None) -> str:
    """``1 request``, ``2 requests``; ``many`` where that isn't the word and an s."""
    return f"{number} {word if number == 1 else many or f'{word}s'}"
