"""Several statements that hold together or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write what is done within, or on an error nothing of it. ``connection`` must be in autocommit mode
    (``isolation_level=None``)."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself on some errors (a full disk); a second ROLLBACK would be an error of its own.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
