"""``router key``: client keys. One is shown once, when it is made; what is kept is its hash."""

from __future__ import annotations

import sqlite3

import click

from router.cli import output
from router.cli.complete import profile_names
from router.cli.output import Column
from router.cli.places import Places, examples, json_option, places_options
from router.errors import ConfigError


@click.group(
    "key",
    epilog=examples(
        "router key create work --name alice --daily-usd 5", "router key list", "router key revoke 3f9a01bc"
    ),
)
def command() -> None:
    """Create, list and revoke the keys that clients show to the router.

    A key belongs to one profile. Whether one is needed is said in [auth] of the profile's routing.toml.
    """


@command.command(
    "create", epilog=examples("router key create work --name alice", "router key create work --name ci --json")
)
@click.argument("profile", shell_complete=profile_names)
@click.option("--name", required=True, help="What reports and rules call it.")
@click.option("--daily-usd", type=click.FloatRange(0, min_open=True), metavar="USD", help="Its budget for a day.")
@click.option("--monthly-usd", type=click.FloatRange(0, min_open=True), metavar="USD", help="Its budget for a month.")
@json_option
@places_options
def create(
    places: Places, profile: str, name: str, daily_usd: float | None, monthly_usd: float | None, as_json: bool
) -> None:
    """Make a key for a profile and print it. It can't be shown again.

    Requests with a key whose budget is spent are refused, whatever is left of the profile's own budget.
    """
    if not name.strip() or len(name) > 64 or not name.isprintable():
        raise click.UsageError("--name: expected up to 64 printable characters")

    limits = {"daily_usd": daily_usd, "monthly_usd": monthly_usd}

    def job(connection: sqlite3.Connection) -> dict[str, str]:
        from router.server import client_keys

        try:
            return client_keys.create(connection, profile=profile, name=name, **limits)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    if places.server_runs:
        made = places.server.call("POST", "/keys", {"profile": profile, "name": name, **limits})
    elif profile in places.found:
        made = places.write(job)
    else:
        raise ConfigError(places.unknown(profile, places.found))
    if as_json:
        output.show_json({"id": made["id"], "key": made["key"], "profile": profile, "name": name})
        return
    click.echo(made["key"])
    output.note(
        f"key {made['id']} of {name} for profile {profile}: clients send it as their API key. It isn't shown again."
    )


@command.command("list", epilog=examples("router key list", "router key list work --json"))
@click.argument("profile", required=False, shell_complete=profile_names)
@json_option
@places_options
def list_keys(places: Places, profile: str | None, as_json: bool) -> None:
    """List all keys with their last four characters; revoked ones too."""
    keys = places.reader.client_keys(profile)
    if as_json:
        output.show_json(
            {
                "keys": [
                    {
                        **key._asdict(),
                        "created": output.moment(key.created_ms),
                        "revoked": output.moment(key.revoked_ms),
                    }
                    for key in keys
                ]
            }
        )
        return
    output.show(
        [
            Column("ID", text=True),
            Column("PROFILE", text=True),
            Column("NAME", text=True),
            Column("KEY", text=True),
            Column("DAILY"),
            Column("MONTHLY", optional=True),
            Column("CREATED", text=True),
            Column("REVOKED", text=True),
        ],
        [
            [
                key.id,
                key.profile,
                key.name,
                f"rk_…{key.tail}",
                *(_limit(usd) for usd in (key.daily_usd, key.monthly_usd)),
                (output.moment(key.created_ms) or "")[:10],
                (output.moment(key.revoked_ms) or "-")[:10],
            ]
            for key in keys
        ],
    )
    if not keys:
        output.note("no keys yet; make one with `router key create PROFILE --name NAME`")


@command.command("revoke", epilog=examples("router key revoke 3f9a01bc"))
@click.argument("key_id", metavar="ID")
@json_option
@places_options
def revoke(places: Places, key_id: str, as_json: bool) -> None:
    """Revoke a key by its id (see `router key list`). Requests with it are refused from now on."""

    def job(connection: sqlite3.Connection) -> bool:
        from router.server import client_keys

        return client_keys.revoke(connection, key_id)

    in_force = {key.id for key in places.reader.client_keys() if key.revoked_ms is None}
    if key_id not in in_force:
        raise ConfigError(f'no key in force has the id "{key_id}"; see `router key list`')
    if places.server_runs:
        places.server.call("DELETE", f"/keys/{key_id}")
    else:
        places.write(job)
    if as_json:
        output.show_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"revoked {key_id}")


def _limit(usd: float | None) -> str:
    """A limit as it was set."""
    if usd is None:
        return "-"
    return f"${usd:.2f}" if usd == round(usd, 2) else f"${usd:g}"
