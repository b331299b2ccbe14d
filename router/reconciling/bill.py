"""Several exports of one provider as one bill: sums by day and model, nothing counted twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from router.errors import ConfigError
from router.reconciling.amounts import Billed, Tokens
from router.reconciling.export import NAMES, Export, Identity, Line, Maker, Told, utc_day

ALL = ""
"""The model of what is told of all models together."""
Key = tuple[str, str]  # day, model


@dataclass(frozen=True, slots=True)
class Part:
    """What a bill tells of usage, of embeddings or of costs, in its stretch of time.

    ``by_model`` is whether it tells models apart; otherwise every row is one of ``ALL``.
    """

    told: Told
    rows: Mapping[Key, Billed]
    since_ms: int
    until_ms: int
    by_model: bool

    def within(self, since_ms: int | None, until_ms: int | None) -> Part:
        """The same from and until other moments, each the beginning of a UTC day; what lies beyond is left out."""
        part = replace(self, since_ms=self.since_ms if since_ms is None else since_ms)
        part = replace(part, until_ms=self.until_ms if until_ms is None else until_ms)
        return replace(part, rows={key: amounts for key, amounts in self.rows.items() if part.covers(key[0])})

    def covers(self, day: str) -> bool:
        """Whether it tells of a UTC day."""
        return utc_day(self.since_ms) <= day <= utc_day(self.until_ms - 1)

    @property
    def total(self) -> Billed:
        """The sum of its rows; 0 without any."""
        return sum(self.rows.values(), self.nothing)

    @property
    def nothing(self) -> Billed:
        """What a row that it doesn't have comes to: 0 of what it tells."""
        return Billed(usd=Decimal(0)) if self.told == "costs" else Billed(Tokens())


@dataclass(frozen=True, slots=True)
class Bill:
    """All that some exports tell. ``apart`` and ``batches`` are models that are none, or none that was asked here."""

    maker: Maker
    parts: Mapping[Told, Part]
    apart: frozenset[str]
    batches: frozenset[str]
    notes: tuple[str, ...]

    def within(self, since_ms: int | None, until_ms: int | None) -> Bill:
        """The same from and until other moments, each the beginning of a UTC day."""
        return replace(self, parts={told: part.within(since_ms, until_ms) for told, part in self.parts.items()})

    @property
    def since_ms(self) -> int:
        """When the first part begins."""
        return min(part.since_ms for part in self.parts.values())

    @property
    def until_ms(self) -> int:
        """When the last part ends."""
        return max(part.until_ms for part in self.parts.values())


def combine(exports: Sequence[Export], *, label: Callable[[str], str], keys: Collection[str] = ()) -> Bill:
    """The bill of exports, all of one provider. ``label`` says by which name a model is compared.

    A line that stands in two files is counted once. With ``keys`` only those API keys' lines count. Raises ConfigError
    where two files tell something else of the same line, or don't tell the key.
    """
    maker = exports[0].maker
    notes = [note for export in exports for note in export.notes]
    told: dict[Told, list[Export]] = {}
    for export in exports:
        for what in ("usage", "costs") if export.told is None else (export.told,):
            told.setdefault(what, []).append(export)
    apart: set[str] = set()
    batches: set[str] = set()
    parts: dict[Told, Part] = {}
    for what, these in told.items():
        if not any(export.told for export in these) and any(export.told for export in exports):
            continue  # days without anything say nothing of what no other file tells
        lines = _once(these, notes)
        chosen = [line for line in lines if not keys or _of_key(line, keys, these)]
        by_model = not any(line.subject == "all" for line in lines)
        files = ", ".join(dict.fromkeys(export.file for export in these))
        if all(export.unfinished for export in these):
            notes.append(f"{files}: there is a further page; give it, too")
        if not by_model:
            notes.append(f"{files}: models aren't told apart, so days are compared")
        rows: dict[Key, Billed] = {}
        for line in chosen:
            name = _name(line, label) if by_model else ALL
            apart |= {name} if line.subject == "apart" and by_model else set()
            batches |= {name} if line.subject == "batch" and by_model else set()
            rows[line.day, name] = rows.get((line.day, name), Billed()) + line.amounts
        since_ms, until_ms = min(export.since_ms for export in these), max(export.until_ms for export in these)
        parts[what] = Part(what, rows, since_ms, until_ms, by_model)
    if keys and not any(part.rows for part in parts.values()):
        known = sorted({name for export in exports for line in export.lines for name in line.key or ()})
        raise ConfigError(f"no row is of the API key {', '.join(keys)}; there are {', '.join(known) or 'none'}")
    return Bill(maker, parts, frozenset(apart), frozenset(batches), tuple(notes))


def _name(line: Line, label: Callable[[str], str]) -> str:
    match line.subject:
        case "apart":
            return f"({line.model})"
        case "batch":
            return f"{label(line.model)} (batch)"
        case _:
            return label(line.model)


def _of_key(line: Line, keys: Collection[str], exports: Sequence[Export]) -> bool:
    if line.key is None:
        title = f"{NAMES[exports[0].maker]}'s {next(export.title for export in exports if line in export.lines)}"
        raise ConfigError(f"{title} doesn't tell API keys apart; leave it out, or --key")
    return any(name in keys for name in line.key)


def _once(exports: Sequence[Export], notes: list[str]) -> list[Line]:
    """The lines of all files, those that stand in several only once."""
    taken: dict[Identity, tuple[str, Billed]] = {}
    ways: dict[str, tuple[str, object]] = {}  # by day the file that has lines of it, and what they are grouped by
    lines: list[Line] = []
    for export in exports:
        way = export.title, frozenset(name for line in export.lines for name, _ in line.identity[1])
        for day in {line.day for line in export.lines}:
            file, other = ways.setdefault(day, (export.file, way))
            if other != way:
                raise ConfigError(
                    f"{export.file} and {file} both have {day}, in another form or grouped by other things: give only "
                    "one of them"
                )
        sums: dict[Identity, Billed] = {}
        for line in export.lines:
            sums[line.identity] = sums.get(line.identity, Billed()) + line.amounts
        again = {identity for identity in sums if identity in taken}
        for line in export.lines:
            file, before = taken.get(line.identity, ("", None))
            if before is not None and before != sums[line.identity]:
                raise ConfigError(
                    f"{export.file} and {file} tell something else of {line.day}, {line.model or 'all models'}: give "
                    "only the newer one, or files that are grouped by API key"
                )
        if again:
            files = ", ".join(sorted({taken[identity][0] for identity in again}))
            notes.append(f"{export.file}: {len(again)} rows stand in {files}, too, and are counted once")
        lines += [line for line in export.lines if line.identity not in again]
        taken |= {identity: (export.file, sums[identity]) for identity in sums.keys() - again}
    return lines
