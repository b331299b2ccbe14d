"""``router agents``: which agents are here, and where each goes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from router.agents.agents import AGENTS, SDK
from router.cli import output, pointing
from router.cli.output import Column
from router.cli.places import Places, examples, json_option, places_options
from router.errors import ConfigError, RouterError

if TYPE_CHECKING:
    from router.agents.agent import Agent


@click.command("agents", epilog=examples("router agents", "router agents --json"))
@json_option
@places_options
def command(places: Places, as_json: bool) -> None:
    """List the agents, and through which profile each goes when it is started here.

    That follows from the variables of this shell and from the agent's own settings, in this folder and in your home; an
    agent that `router run` starts goes where that says.
    """
    seen = places.reader.last_seen()
    rows = agent_rows(places)
    now_ms = time.time_ns() // 1_000_000
    if as_json:
        output.show_json({"agents": rows})
        return
    output.show(
        [
            Column("AGENT", text=True),
            Column("THROUGH", text=True),
            Column("LAST SEEN", text=True),
            Column("COMMAND", text=True),
        ],
        [
            [
                str(row["agent"]),
                _through(row),
                ago(seen[str(row["agent"])], now_ms) if row["last_seen"] else "-",
                str(row["command"] or "not installed"),
            ]
            for row in rows
        ],
    )
    astray = [str(row["agent"]) for row in rows if row["command"] and row["profile"] is None]
    if astray:
        output.note(f"not through the router: {', '.join(astray)}; `router run NAME -- COMMAND` or `router setup NAME`")


def agent_rows(places: Places) -> list[dict[str, object]]:
    """Every agent that is a program: where it is, where it goes, when it was seen."""
    addresses = _addresses(places)
    seen = places.reader.last_seen()
    return [_row(agent, addresses, seen.get(agent.name)) for agent in AGENTS if agent is not SDK]


def _row(agent: Agent, addresses: Mapping[str, str], seen_ms: int | None) -> dict[str, object]:
    address = agent.address(pointing.found(agent, os.environ))
    profile = None
    if address is not None:
        profile = next((name for base, name in addresses.items() if f"{address}/".startswith(f"{base}/")), None)
    return {
        "agent": agent.name,
        "command": shutil.which(agent.command) if agent.command else None,
        "install": agent.install,
        "address": address,
        "profile": profile,
        "last_seen": output.moment(seen_ms),
    }


def _through(row: Mapping[str, object]) -> str:
    if row["profile"]:
        return str(row["profile"])
    if not row["command"]:
        return "-"
    where = urlsplit(str(row["address"])).netloc if row["address"] else "its vendor"
    return f"bypasses the router ({where})"


def ago(past_ms: int, now_ms: int) -> str:
    """How long ago, to the unit that matters: ``now``, ``5m ago``, ``3h ago``, ``12d ago``."""
    minutes = max(0, now_ms - past_ms) // 60_000
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{minutes}m ago"
    return f"{minutes // 60}h ago" if minutes < 48 * 60 else f"{minutes // (24 * 60)}d ago"


def _addresses(places: Places) -> dict[str, str]:
    """The profiles by their addresses, longest first: a profile of one listener may be the beginning of another's."""
    from router.cli.background import running

    found: dict[str, str] = {}
    try:
        server = running(places)
    except RouterError:  # it hangs; its addresses are what they would be
        server = None
    for name in places.found:
        try:
            found[pointing.base_url(places, name, server)] = name
        except RouterError:
            continue
        profile = places.load(name).profile
        if profile is not None and profile.front is not None:
            with suppress(ConfigError):  # no such helper: nothing to be known by
                found[str(pointing.front_url(places, profile, None))] = name
        row = server.profile(name) if server is not None else None
        if row is not None and row["own_url"]:
            found[str(row["own_url"])] = name
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))
