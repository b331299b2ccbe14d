"""What the commands that edit a profile's routing.toml have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

import click

from router.cli import output
from router.cli.places import Places
from router.errors import RouterError
from router.profile.editing import change
from router.profile.files import label_of
from router.profile.literals import literal
from router.profile.problems import Problem
from router.profile.watch import MAIN

_NUMBER = re.compile(r"\d+")


def edit_rules(
    places: Places, name: str, edit: Callable[[str], str], *, done: str, about: str = ""
) -> tuple[Problem, ...]:
    """Change a profile's routing.toml, say what was ``done``, and have a running server take it up; the warnings.

    Those that are new, and all ``about`` a key, go to stderr. Raises ConfigError with every error if the outcome were
    wrong; nothing is written then.
    """
    known = Counter(map(_kind, places.load(name).warnings))
    label = label_of(places.found[name], MAIN)

    def check(text: str) -> tuple[Problem, ...]:
        return places.load(name, text=text).problems

    problems = change(places.found[name] / MAIN, edit, check=check, label=label)
    for problem in problems:
        known[_kind(problem)] -= 1
        if known[_kind(problem)] < 0 or (about and problem.path.startswith(about)):
            _warn(f"warning: {problem}")
    for line in output.wrap(f"{done} in {label}; {_taken_up(places, name)}."):
        click.echo(line)
    return problems


def _kind(problem: Problem) -> str:
    """What a warning is, whatever line and place its rule has now."""
    return _NUMBER.sub("", problem.message)


def _taken_up(places: Places, name: str) -> str:
    """Have a running server read the profile now; what came of it. What it finds wrong goes to stderr."""
    from router.cli import background

    try:
        if background.status(places) is None:
            return "no server runs"
        answer = background.ServerStatus.of(places.server.call("POST", "/reload"))
    except RouterError as error:
        output.note(str(error))
        return "the server takes it up once it answers"
    profile = answer.profile(name)
    if profile is None:
        return "the running server doesn't serve this profile"
    for problem in profile["problems"]:
        _warn(f"in the server: {problem}")
    return "the server uses it from now on"


def _warn(text: str) -> None:
    for number, line in enumerate(output.wrap(text, 2)):
        click.secho(line if number == 0 else f"  {line}", fg="yellow", err=True)


def condition_text(match: object) -> str:
    """A rule's ``match`` as it is written, on one line."""
    if isinstance(match, str):
        return match
    return literal(match).removeprefix("{").removesuffix("}").strip() or "always"


def target_text(table: Mapping[str, object] | str) -> str:
    """What a rule, a default or an alias names, as it is written: ``groq/llama``, ``fast-model``, ``a/x, b/y``."""
    match table:
        case str():
            return table
        case {"targets": list(targets)}:
            return ", ".join(map(target_text, targets))
        case {"target": target}:
            return str(target)
        case {"to": provider, "model": model}:
            return f"{provider}/{model}"
        case _:
            return str(table["to"])


def fallback_of(table: Mapping[str, object] | str) -> list[str]:
    """What it names as its fallbacks."""
    fallback = [] if isinstance(table, str) else table.get("fallback", [])
    return [fallback] if isinstance(fallback, str) else [str(each) for each in cast(list[object], fallback)]
