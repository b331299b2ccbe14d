"""All that the ledger has of one profile, row by row as it stands there, every column under its name.

It is read page by page, each page in a transaction of its own: whoever takes long over an export holds nobody up. Only
hashes of client keys are left out.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

from router.ledger.belongings import HEALTH, RULES, STANDING, SUMS

PAGE: Final = 1000  # requests
_UNITS: Final = 250  # days, or hours
_SECRET: Final = {"hash"}


class Exported(NamedTuple):
    """A row of a table; a request has its calls, the rows of ``attempts``."""

    table: str
    row: dict[str, Any]
    calls: tuple[dict[str, Any], ...] = ()


class Place(NamedTuple):
    """How far an export is: the table, and the last row's place in it."""

    table: str = ""
    after: tuple[int, str] = (-1, "")


_SUMS: Final = tuple(SUMS)
_NEXT: Final = dict(zip(("", *_SUMS), (*_SUMS, "requests"), strict=True))


def page(connection: sqlite3.Connection, profile: str, place: Place) -> tuple[list[Exported], Place | None]:
    """The next rows, and where to go on; None at the end."""
    if place.table == "":
        small = (RULES, *HEALTH, *STANDING)
        found = [
            Exported(table, row)
            for table in small
            for row in _rows(connection, table, "profile = ? ORDER BY 1, 2", (profile,))
        ]
        return found, Place(_NEXT[""])
    if place.table in SUMS:
        return _sums(connection, profile, place)
    return _requests(connection, profile, place)


def _sums(connection: sqlite3.Connection, profile: str, place: Place) -> tuple[list[Exported], Place | None]:
    table, unit, after = place.table, SUMS[place.table], place.after[0]
    (first,) = connection.execute(
        f"SELECT min({unit}) FROM {table} WHERE profile = ? AND {unit} > ?", (profile, after)
    ).fetchone()
    if first is None:
        return [], Place(_NEXT[table])
    last = first + _UNITS - 1
    where = f"profile = ? AND {unit} BETWEEN ? AND ? ORDER BY {unit}"
    rows = _rows(connection, table, where, (profile, first, last))
    return [Exported(table, row) for row in rows], Place(table, (last, ""))


def _requests(connection: sqlite3.Connection, profile: str, place: Place) -> tuple[list[Exported], Place | None]:
    where = "profile = ? AND (time_ms, id) > (?, ?) ORDER BY time_ms, id LIMIT ?"
    requests = _rows(connection, "requests", where, (profile, *place.after, PAGE))
    calls: dict[str, list[dict[str, Any]]] = {request["id"]: [] for request in requests}
    marks = ", ".join("?" * len(calls))
    for call in _rows(connection, "attempts", f"request_id IN ({marks}) ORDER BY request_id, number", tuple(calls)):
        calls[call["request_id"]].append(call)
    found = [Exported("requests", request, tuple(calls[request["id"]])) for request in requests]
    if len(requests) < PAGE:
        return found, None
    return found, Place("requests", (requests[-1]["time_ms"], requests[-1]["id"]))


def _rows(connection: sqlite3.Connection, table: str, where: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}", values)
    names = [column[0] for column in cursor.description]
    return [{name: value for name, value in zip(names, row, strict=True) if name not in _SECRET} for row in cursor]
