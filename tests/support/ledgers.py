"""Ledgers made without a server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from router.ledger.migrations import MIGRATIONS


def create(path: Path | str = ":memory:") -> sqlite3.Connection:
    """A new, empty ledger of today's schema, in one transaction: statement by statement the disk is waited for."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    script = "; ".join([*MIGRATIONS, f"PRAGMA user_version = {len(MIGRATIONS)}"])
    connection.executescript(f"BEGIN; {script}; COMMIT;")
    return connection
