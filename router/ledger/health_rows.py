"""What each profile leaves alone (breakers and cooldowns), as rows: written whole, read at the next start."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from router.health.breaker import SavedBreaker, names_target
from router.health.cooldowns import SavedCooldown

_BREAKER = "provider, model, key_name, retry_at_ms, left_ms, doublings, failed_at_ms"
_COOLDOWN = "provider, model, key_name, until_ms, left_ms, reason"


class SavedHealth(NamedTuple):
    """Everything that one profile leaves alone."""

    breakers: tuple[SavedBreaker, ...] = ()
    cooldowns: tuple[SavedCooldown, ...] = ()


def save(connection: sqlite3.Connection, profile: str, health: SavedHealth) -> None:
    """Put this in the place of what was kept of a profile. ``connection`` must be in autocommit mode."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("DELETE FROM breakers WHERE profile = ?", (profile,))
        connection.execute("DELETE FROM cooldowns WHERE profile = ?", (profile,))
        connection.executemany(
            f"INSERT INTO breakers (profile, {_BREAKER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((profile, *row) for row in health.breakers),
        )
        connection.executemany(
            f"INSERT INTO cooldowns (profile, {_COOLDOWN}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((profile, *row) for row in health.cooldowns),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def load(connection: sqlite3.Connection, profile: str) -> SavedHealth:
    """What was kept of a profile; some of it may be over by now."""
    breakers = connection.execute(f"SELECT {_BREAKER} FROM breakers WHERE profile = ?", (profile,))
    cooldowns = connection.execute(f"SELECT {_COOLDOWN} FROM cooldowns WHERE profile = ?", (profile,))
    return SavedHealth(tuple(SavedBreaker(*row) for row in breakers), tuple(SavedCooldown(*row) for row in cooldowns))


def without(health: SavedHealth, pattern: str) -> SavedHealth:
    """The rest, without what a pattern names: ``PROVIDER``, ``PROVIDER/MODEL``, ``*`` for all."""
    return SavedHealth(
        tuple(row for row in health.breakers if not names_target(pattern, row.provider, row.model)),
        tuple(row for row in health.cooldowns if not names_target(pattern, row.provider, row.model or "")),
    )


def profiles(connection: sqlite3.Connection) -> list[str]:
    """The profiles of which something is kept, by name."""
    rows = connection.execute("SELECT profile FROM breakers UNION SELECT profile FROM cooldowns ORDER BY 1")
    return [name for (name,) in rows]
