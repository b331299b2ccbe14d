"""``router breaker``: targets that keep failing and keys that a provider refused, and how to end waiting for them."""

from __future__ import annotations

import sqlite3
from typing import Any

import click

from router.cli import output
from router.cli.complete import profile_names
from router.cli.output import Column
from router.cli.places import Places, examples, json_option, places_options
from router.errors import ConfigError


@click.group(
    "breaker",
    epilog=examples(
        "router breaker list", "router breaker reset work openai/gpt-5", "router breaker reset work 'groq/llama*'"
    ),
)
def command() -> None:
    """Show which targets and keys are left alone, and have them called again.

    A target that keeps failing is left alone for a while (its breaker is open), and so is a key, a model or a key for a
    model that its provider refused or limited.
    """


@command.command("list", epilog=examples("router breaker list", "router breaker list work --json"))
@click.argument("profile", required=False, shell_complete=profile_names)
@json_option
@places_options
def list_breakers(places: Places, profile: str | None, as_json: bool) -> None:
    """List what is left alone, and every target that failed lately.

    Without a running server: what the next one will leave alone.
    """
    rows = _rows(places, profile)
    if as_json:
        output.show_json({"breakers": rows})
        return
    output.show(
        [
            Column("PROFILE", text=True),
            Column("TARGET", text=True),
            Column("KEY", text=True),
            Column("STATE", text=True),
            Column("AGAIN IN"),
            Column("WHY", text=True),
        ],
        [
            [
                row["profile"],
                row["provider"] if row["model"] is None else f"{row['provider']}/{row['model']}",
                row["key"] or "-",
                row["state"],
                _again(row),
                row["reason"],
            ]
            for row in rows
        ],
    )
    if not rows:
        output.note("nothing is left alone, and nothing failed lately")


def _rows(places: Places, profile: str | None) -> list[dict[str, Any]]:
    found = places.left_alone()
    if places.server_runs:
        known = {each["profile"] for each in places.server.call("GET", "/status")["profiles"]}
    else:
        known = {*places.found, *(row["profile"] for row in found)}
    if profile is not None and profile not in known:
        raise ConfigError(places.unknown(profile, sorted(known)))
    return [row for row in found if profile in (None, row["profile"])]


def _again(row: dict[str, Any]) -> str:
    if row["again_s"] is None:
        return "-" if row["state"] == "closed" else "now"
    return output.duration(row["again_s"] * 1000)


@command.command("reset", epilog=examples("router breaker reset work", "router breaker reset work openai/gpt-5"))
@click.argument("profile", shell_complete=profile_names)
@click.argument("pattern", default="*")
@json_option
@places_options
def reset(places: Places, profile: str, pattern: str, as_json: bool) -> None:
    """Call targets and keys of a profile again, as if they had never failed.

    PATTERN names them: PROVIDER, PROVIDER/MODEL, with * for any part of a name; without it all are meant.
    """

    def job(connection: sqlite3.Connection) -> list[str]:
        from router.ledger import health_rows
        from router.server.target_health import kept_alone

        kept = health_rows.load(connection, profile)
        left = health_rows.without(kept, pattern)
        health_rows.save(connection, profile, left)
        return sorted({str(row) for row in kept_alone(kept)} - {str(row) for row in kept_alone(left)})

    if places.server_runs:
        found = places.server.call("POST", "/breakers/reset", {"profile": profile, "pattern": pattern})["reset"]
    elif profile in places.found:
        found = places.write(job)
    else:
        raise ConfigError(places.unknown(profile, places.found))
    if as_json:
        output.show_json({"profile": profile, "reset": found})
        return
    for name in found:
        click.echo(f"{name} is called again")
    if not found:
        output.note("nothing that this names was left alone; see `router breaker list`")
