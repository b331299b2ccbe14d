"""Client keys in the ledger's database: made, listed, revoked, and loaded into the key ring.

A key is shown once, when it is made; what is stored is its SHA-256. It has 192 random bits, so it can't be guessed, and
needs neither salt nor a slow hash.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import Any

from router.money.budget import Limits
from router.server.admission import ClientKey, KeyRing, hash_key
from router.server.services import now_ms
from router.upstream.headers import ROUTER_KEY_PREFIX

MOST_USD = 1_000_000


def create(
    connection: sqlite3.Connection,
    *,
    profile: str,
    name: str,
    daily_usd: float | None = None,
    monthly_usd: float | None = None,
) -> dict[str, str]:
    """Make a key: its id and the key itself, which can't be read again later. Raises ValueError on a taken name
    and one that can't stand in a log."""
    if any(usd is not None and not 0 < usd <= MOST_USD for usd in (daily_usd, monthly_usd)):
        raise ValueError(f"a key's limit is an amount of dollars, at most {MOST_USD:,}")
    if not name.strip() or len(name) > 64 or not name.isprintable():
        raise ValueError("a key's name has up to 64 printable characters")
    taken = connection.execute(
        "SELECT 1 FROM keys WHERE profile = ? AND name = ? AND revoked_ms IS NULL", (profile, name)
    ).fetchone()
    if taken:
        raise ValueError(f"profile {profile} has a key named {name} already; revoke it first or choose another name")
    key = ROUTER_KEY_PREFIX + secrets.token_urlsafe(24)
    key_id = secrets.token_hex(4)
    connection.execute(
        "INSERT INTO keys (id, profile, name, hash, tail, created_ms, daily_usd, monthly_usd) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (key_id, profile, name, hash_key(key), key[-4:], now_ms(), daily_usd, monthly_usd),
    )
    return {"id": key_id, "key": key}


def revoke(connection: sqlite3.Connection, key_id: str) -> bool:
    """Revoke a key by its id; False when there is no such key in force."""
    cursor = connection.execute(
        "UPDATE keys SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL", (now_ms(), key_id)
    )
    return cursor.rowcount > 0


def listed(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """All keys, newest last, without anything secret."""
    cursor = connection.execute(
        "SELECT id, profile, name, tail, created_ms, revoked_ms, daily_usd, monthly_usd FROM keys "
        "ORDER BY created_ms, id"
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def ring(connection: sqlite3.Connection) -> KeyRing:
    """The keys in force."""
    rows = connection.execute("SELECT hash, id, name, profile FROM keys WHERE revoked_ms IS NULL")
    return KeyRing({digest: ClientKey(key_id, name, profile) for digest, key_id, name, profile in rows})


def limits(connection: sqlite3.Connection) -> dict[str, dict[str, Limits]]:
    """What keys in force may spend, by profile and the key's name."""
    found: dict[str, dict[str, Limits]] = {}
    for profile, name, *usd in connection.execute(
        "SELECT profile, name, daily_usd, monthly_usd FROM keys "
        "WHERE revoked_ms IS NULL AND (daily_usd IS NOT NULL OR monthly_usd IS NOT NULL)"
    ):
        found.setdefault(profile, {})[name] = limits_of(*usd)
    return found


def limits_of(daily_usd: float | None, monthly_usd: float | None) -> Limits:
    """A key's limits in nano-dollars."""
    return Limits(*(None if usd is None else round(usd * 1e9) for usd in (daily_usd, monthly_usd)))
