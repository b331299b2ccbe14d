"""What is kept of profiles beside their files: the automatic port each was given, and which are disabled.

Both outlive the server, so that agents keep their address and a disabled profile stays so.
"""

from __future__ import annotations

import sqlite3


def ports(connection: sqlite3.Connection) -> dict[str, int]:
    """The port that each profile with an automatic one had last."""
    return dict(connection.execute("SELECT profile, port FROM ports"))


def remember(connection: sqlite3.Connection, profile: str, port: int) -> None:
    """Keep a profile's port for its next start."""
    connection.execute(
        "INSERT INTO ports (profile, port) VALUES (?, ?) ON CONFLICT (profile) DO UPDATE SET port = excluded.port",
        (profile, port),
    )


def disabled(connection: sqlite3.Connection) -> set[str]:
    """The profiles that are disabled."""
    return {name for (name,) in connection.execute("SELECT profile FROM profile_states")}


def disable(connection: sqlite3.Connection, profile: str, now_ms: int) -> None:
    """Keep a profile from being served until it is enabled."""
    connection.execute("INSERT OR IGNORE INTO profile_states (profile, disabled_ms) VALUES (?, ?)", (profile, now_ms))


def enable(connection: sqlite3.Connection, profile: str) -> None:
    """The opposite."""
    connection.execute("DELETE FROM profile_states WHERE profile = ?", (profile,))


def forget(connection: sqlite3.Connection, profile: str) -> None:
    """The profile is gone: its port may be given to another, and a new one of its name begins afresh."""
    connection.execute("DELETE FROM ports WHERE profile = ?", (profile,))
    enable(connection, profile)
