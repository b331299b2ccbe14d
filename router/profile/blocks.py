"""Where the tables of a TOML file begin and end, as a person sees them: with the comments that belong to them.

A block is a header with the lines up to its table's last key, and the comment lines directly above the header. Comment
lines directly below the last key belong to it, too, unless the next header follows directly: then they are that one's.
What stands between blank lines belongs to nobody and stays where it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest

from router.profile.lines import Statement, layout
from router.profile.problems import KeyPath


@dataclass(frozen=True, slots=True)
class Block:
    """One header's table. ``first`` and ``last`` are lines from 0, both included; ``end`` is the line of the last key,
    or of the header where there is none."""

    path: KeyPath
    first: int
    end: int
    last: int


def blocks(text: str) -> tuple[Block, ...]:
    """The blocks of a valid TOML text whose lines end in ``\\n``, in its order. Keys before the first header are in
    none."""
    lines = text.split("\n")
    ends = list(accumulate(len(line) + 1 for line in lines))
    tables = [
        (table[0].path, bisect_right(ends, table[0].start), bisect_right(ends, table[-1].end))
        for table in _tables(text)
    ]
    found = []
    for (path, header, end), following in zip_longest(tables, tables[1:]):
        last = _comments_below(lines, end)
        if following is not None and following[1] == last + 1:
            last = end
        found.append(Block(path, comments_above(lines, header), end, last))
    return tuple(found)


def block_of(text: str, path: KeyPath) -> Block | None:
    """A table's block, with those of its sub-tables that follow directly; None where it has no header."""
    found = blocks(text)
    start = next((number for number, block in enumerate(found) if block.path == path), None)
    if start is None:
        return None
    last = found[start]
    for block in found[start + 1 :]:
        if block.path[: len(path)] != path:
            break
        last = block
    return Block(path, found[start].first, last.end, last.last)


def is_blank(line: str) -> bool:
    """Whether a line has nothing on it."""
    return not line.strip()


def comments_above(lines: Sequence[str], line: int) -> int:
    """The first of the comment lines that stand directly above a line; the line itself where there are none."""
    while line > 0 and _is_comment(lines[line - 1]):
        line -= 1
    return line


def _tables(text: str) -> Iterator[list[Statement]]:
    """The statements by the header they stand under."""
    table: list[Statement] = []
    for statement in layout(text).statements:
        if statement.is_header:
            if table:
                yield table
            table = [statement]
        elif table:
            table.append(statement)
    if table:
        yield table


def _comments_below(lines: Sequence[str], line: int) -> int:
    while line + 1 < len(lines) and _is_comment(lines[line + 1]):
        line += 1
    return line


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")
