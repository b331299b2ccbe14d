"""``router alias``: model names that a profile sends somewhere, listed and edited in place."""

from __future__ import annotations

from typing import Any

import click

from router.cli import output
from router.cli.complete import alias_names, model_names, profile_names
from router.cli.editing import edit_rules, fallback_of, target_text
from router.cli.output import Column
from router.cli.places import Places, examples, json_option, places_options
from router.profile.editing import remove_alias, set_alias
from router.profile.problems import key_text
from router.routing.labels import ARROW


@click.group(
    "alias",
    epilog=examples("router alias list work", "router alias set work fast-model groq/llama-3.3-70b-versatile"),
)
def command() -> None:
    """List, set and remove the aliases of a profile.

    An alias is a model name that requests can ask for and rules can name. The profile's routing.toml is edited in
    place: comments and order stay. What would be wrong isn't written, and a running server takes a change up at once.
    """


@command.command("list", epilog=examples("router alias list work", "router alias list work --json"))
@click.argument("name", shell_complete=profile_names)
@json_option
@places_options
def list_aliases(places: Places, name: str, as_json: bool) -> None:
    """List the aliases and what they stand for.

    A pinned alias goes before the rules; any other one behind them.
    """
    aliases: Any = places.profile(name).settings.get("aliases", {})
    rows = [
        {
            "alias": alias,
            "target": target_text(table),
            "fallback": fallback_of(table),
            "pin": isinstance(table, dict) and table.get("pin", False),
            "enabled": not isinstance(table, dict) or table.get("enabled", True),
        }
        for alias, table in aliases.items()
    ]
    if as_json:
        output.show_json({"profile": name, "aliases": rows})
        return
    columns = [Column("ALIAS", text=True), Column("TARGET", text=True), Column("ORDER", text=True)]
    output.show(
        columns,
        [[row["alias"], ", then ".join([row["target"], *row["fallback"]]), _order(row)] for row in rows],
    )
    if not rows:
        output.note(f"{name} has no alias yet; `router alias set {name} ALIAS TARGET` makes one")


def _order(row: dict[str, Any]) -> str:
    if not row["enabled"]:
        return "off"
    return "before the rules (pin)" if row["pin"] else "after the rules"


@command.command(
    "set",
    epilog=examples(
        "router alias set work fast-model groq/llama-3.3-70b-versatile",
        "router alias set work claude-sonnet-4 minimax/MiniMax-M2 --pin",
    ),
)
@click.argument("name", shell_complete=profile_names)
@click.argument("alias", shell_complete=alias_names)
@click.argument("target", shell_complete=model_names)
@click.option("--pin/--no-pin", default=None, help="Put it before the rules, or behind them.  [default: behind]")
@places_options
def set_one(places: Places, name: str, alias: str, target: str, pin: bool | None) -> None:
    """Make ALIAS stand for TARGET: PROVIDER/MODEL, another alias, or a provider alone.

    An alias that is there keeps what else it says, such as its fallback and whether it is pinned.
    """
    path = key_text(("aliases", alias))
    problems = edit_rules(
        places,
        name,
        lambda text: set_alias(text, alias, target, pin=pin),
        done=f"Set the alias {alias} {ARROW} {target}",
        about=path,
    )
    if any(problem.path == path and "pin = true" in problem.message for problem in problems):
        output.note("`router alias set … --pin` does that")


@command.command("remove", epilog=examples("router alias remove work fast-model"))
@click.argument("name", shell_complete=profile_names)
@click.argument("alias", shell_complete=alias_names)
@places_options
def remove(places: Places, name: str, alias: str) -> None:
    """Remove an alias, with the comments directly above it."""
    edit_rules(places, name, lambda text: remove_alias(text, alias), done=f"Removed the alias {alias}")
