"""Which automatic port a profile was given: remembered in the ledger's database, so that agents keep their address."""

from __future__ import annotations

import sqlite3


def remembered(connection: sqlite3.Connection, profile: str) -> int | None:
    """The port the profile had last, if any."""
    row = connection.execute("SELECT port FROM ports WHERE profile = ?", (profile,)).fetchone()
    return row[0] if row else None


def remember(connection: sqlite3.Connection, profile: str, port: int) -> None:
    """Keep the port for the next start."""
    connection.execute(
        "INSERT INTO ports (profile, port) VALUES (?, ?) ON CONFLICT (profile) DO UPDATE SET port = excluded.port",
        (profile, port),
    )
