"""``router route``: the rules of a profile, listed and edited in place."""

from __future__ import annotations

from typing import Any

import click

from router.cli import output
from router.cli.complete import model_names, profile_names, written_rules
from router.cli.editing import condition_text, edit_rules, fallback_of, target_text
from router.cli.output import Column
from router.cli.places import Places, examples, json_option, places_options
from router.errors import ConfigError
from router.profile.editing import add_rule, find_rule, remove_rule
from router.profile.editing import move as move_table
from router.profile.profile import Profile
from router.routing.labels import ARROW
from router.routing.shorthand import ShorthandError, parse_shorthand


@click.group(
    "route",
    epilog=examples(
        "router route list work", 'router route add work fast "tokens < 2000" groq/llama-3.3-70b-versatile'
    ),
)
def command() -> None:
    """List, add, remove and move the rules of a profile.

    The profile's routing.toml is edited in place: comments and order stay. What would be wrong isn't written, and a
    running server takes a change up at once.
    """


@command.command("list", epilog=examples("router route list work", "router route list work --json"))
@click.argument("name", shell_complete=profile_names)
@json_option
@places_options
def list_rules(places: Places, name: str, as_json: bool) -> None:
    """List the rules in the order in which they are tried, then the default.

    The number is a rule's place in the file, from 0, as messages have it.
    """
    profile = places.profile(name)
    rows = _rows(profile)
    default = profile.routes.default
    if as_json:
        shown = None if default is None else {"label": default.label, "target": target_text(default.raw)}
        output.show_json({"profile": name, "rules": rows, "default": shown})
        return
    lines = [
        [
            str(row["index"]),
            row["label"] or row["name"] or f"rule[{row['index']}]",
            row["condition"],
            _target(row["target"], row["fallback"]),
            str(row["priority"]) if row["enabled"] else "off",
        ]
        for row in rows
    ]
    if default is not None:
        lines.append(["", default.label, "all others", _target(target_text(default.raw), fallback_of(default.raw)), ""])
    columns = [
        Column("#"),
        Column("RULE", text=True),
        Column("CONDITION", text=True),
        Column("TARGET", text=True),
        Column("PRIORITY", text=True, optional=all(row["priority"] == 0 and row["enabled"] for row in rows)),
    ]
    output.show(columns, lines)
    if not profile.routes.rules_on:
        output.note('the rules are off ([routing] rules = "off"): all requests go to the default')


def _rows(profile: Profile) -> list[dict[str, Any]]:
    """The rules as written, in the order in which they are tried; those not in use last."""
    written: Any = profile.settings.get("rule", [])
    used = {rule.index: rule for rule in profile.routes.rules}
    order = [*used, *(index for index in range(len(written)) if index not in used)]
    return [
        {
            "index": index,
            "label": used[index].label if index in used else None,
            "name": written[index].get("name"),
            "condition": condition_text(written[index]["match"]),
            "target": target_text(written[index]),
            "fallback": fallback_of(written[index]),
            "priority": written[index].get("priority", 0),
            "enabled": index in used,
        }
        for index in order
        if index is not None
    ]


def _target(target: str, fallback: list[str]) -> str:
    return ", then ".join([target, *fallback])


@command.command(
    "add",
    epilog=examples(
        'router route add work fast "tokens < 2000" groq/llama-3.3-70b-versatile',
        'router route add work plan "thinking and not image" anthropic --priority 5',
    ),
)
@click.argument("name", shell_complete=profile_names)
@click.argument("rule")
@click.argument("condition")
@click.argument("target", shell_complete=model_names)
@click.option("--priority", type=int, help="Higher ones are tried first.  [default: 0]")
@places_options
def add(places: Places, name: str, rule: str, condition: str, target: str, priority: int | None) -> None:
    """Add a rule called RULE behind the others.

    CONDITION is a short string, such as "tokens > 100000 and not thinking". TARGET is PROVIDER/MODEL, an alias of the
    profile, or a provider alone, which keeps the requested model.
    """
    try:
        parse_shorthand(condition)
    except ShorthandError as error:
        raise click.UsageError(f'"{condition}" is no condition: {error}') from None
    found = places.load(name).profile
    if found is not None:
        for known in _rows(found):
            if known["name"] == rule:
                raise ConfigError(
                    f'{name} has a rule "{rule}" already: {known["condition"]} {ARROW} {known["target"]}; '
                    "remove it first, or choose another name"
                )
    values: dict[str, object] = {"name": rule, "match": condition, _key(places, found, target): target}
    if priority is not None:
        values["priority"] = priority
    edit_rules(places, name, lambda text: add_rule(text, values), done=f"Added the rule {rule} {ARROW} {target}")


def _key(places: Places, profile: Profile | None, target: str) -> str:
    """How a file names this target."""
    providers = places.catalog if profile is None else profile.providers
    aliases: Any = {} if profile is None else profile.settings.get("aliases", {})
    return "to" if target in providers and target not in aliases else "target"


@command.command("remove", epilog=examples("router route remove work fast", "router route remove work 'rule[2]'"))
@click.argument("name", shell_complete=profile_names)
@click.argument("rule", shell_complete=written_rules)
@places_options
def remove(places: Places, name: str, rule: str) -> None:
    """Remove a rule, with the comments directly above it.

    RULE is its name, its label in reports, or its number.
    """
    labels = _labels(places.load(name).profile)
    edit_rules(
        places,
        name,
        lambda text: remove_rule(text, find_rule(text, rule, labels)),
        done=f"Removed the rule {rule}",
    )


@command.command("move", epilog=examples("router route move work plan --before fast"))
@click.argument("name", shell_complete=profile_names)
@click.argument("rule", shell_complete=written_rules)
@click.option("--before", "other", required=True, shell_complete=written_rules, help="The rule to put it before.")
@places_options
def move(places: Places, name: str, rule: str, other: str) -> None:
    """Move a rule before another, with the comments directly above it.

    Rules with a higher priority are tried first, wherever they stand.
    """
    profile = places.load(name).profile
    labels = _labels(profile)
    places_in_file: list[int] = []

    def edit(text: str) -> str:
        places_in_file[:] = find_rule(text, rule, labels), find_rule(text, other, labels)
        return move_table(text, "rule", *places_in_file)

    edit_rules(places, name, edit, done=f"Moved the rule {rule} before {other}")
    written: Any = profile.settings["rule"] if profile is not None else []
    priorities = [written[place].get("priority", 0) for place in places_in_file if written]
    if len(set(priorities)) > 1:
        output.note(f"their priorities still decide first: {priorities[0]} and {priorities[1]}")


def _labels(profile: Profile | None) -> dict[int, str]:
    """The rules' labels by their place in the file; none where the file is wrong."""
    rules = profile.routes.rules if profile is not None else ()
    return {rule.index: rule.label for rule in rules if rule.index is not None}
