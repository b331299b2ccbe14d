"""``router run``: an agent whose requests go to a profile, for this one process."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from router.agents import jsonc
from router.agents.form_error import FormError
from router.agents.pointing import PROXIES, Pointing, merged
from router.cli import output, pointing
from router.cli.complete import profile_names
from router.cli.places import Places, examples, places_options
from router.errors import ConfigError

if TYPE_CHECKING:
    from router.agents.agent import Agent
    from router.profile.profile import Profile

# Python ignores these two, and a program that is started would go on to.
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")


@click.command(
    "run",
    epilog=examples(
        "router run work -- claude",
        'router run work -- codex exec "fix the tests"',
        "router run work --agent gemini-cli",
        "router run work -- python my_program.py",
    ),
)
@click.argument("name", shell_complete=profile_names)
@pointing.agent_option
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND …]")
@places_options
def command(places: Places, name: str, agent_name: str | None, words: tuple[str, ...]) -> None:
    """Run an agent with a profile. The server is started if it isn't running.

    Without COMMAND it is the agent of --agent, or of [profile] agent; words that begin with a dash are that agent's.
    Only this process is pointed at the profile: neither its settings nor your shell are changed. The exit status is the
    command's.
    """
    profile = places.profile(name)
    agent, argv = _choose(profile, agent_name, words)
    if agent.only_settings:
        raise ConfigError(f"{agent.name} can't be run this way: {agent.only_settings}; `router setup {name}` does it")
    program = shutil.which(argv[0])
    if program is None:
        how = f"; install it with `{agent.install}`" if agent.command == argv[0] else ""
        raise ConfigError(f"{argv[0]} isn't installed, or not on the PATH{how}")
    from router.cli.background import ensure_running

    server = ensure_running(places, say=output.note)
    to = pointing.address(places, profile, server)
    told = agent.pointing(to, pointing.found(agent, os.environ))
    pointing.write_files(Path(to.folder), told.files)
    for note in told.notes:
        output.note(f"{agent.name}: {note}")
    if told.arguments and agent.command != Path(argv[0]).name:
        output.note(
            f"{agent.name} also needs {shlex.join(told.arguments)}; give it to {argv[0]} yourself if it starts it"
        )
    else:
        argv = [argv[0], *told.arguments, *_own_words(argv[1:], told, Path(to.folder))]
    _become(program, argv, environment(told, to.base_url, os.environ))


def _choose(profile: Profile, named: str | None, words: Sequence[str]) -> tuple[Agent, list[str]]:
    """The agent, and the command that is it."""
    if words and not words[0].startswith("-"):
        return pointing.agent_called(named) if named else pointing.agent_of(words[0]), list(words)
    name = named or profile.agent
    if name is None:
        raise click.UsageError(
            f"what is to be run? For example `router run {profile.name} -- claude`, or put agent under [profile]"
        )
    agent = pointing.agent_called(name)
    if agent.command is None:
        raise click.UsageError(f"{agent.name} has no program of its own; write it behind --")
    return agent, [agent.command, *words]


def _own_words(words: Sequence[str], told: Pointing, folder: Path) -> list[str]:
    """The person's arguments without those that are merged into our file, since only the last of them would count."""
    left: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if told.merged is None or option != told.merged or not (equals or rest):
            left.append(word)
            if word == "--":
                return left + rest
            continue
        if not equals:
            value = rest.pop(0)
        for name, text in told.files.items():
            pointing.write_private(folder / name, _merged_text(option, value, text))
    return left


def _merged_text(option: str, value: str, ours: str) -> str:
    try:
        text = value if value.lstrip().startswith("{") else Path(value).expanduser().read_text("utf-8")
        return json.dumps(merged(jsonc.parse(text), json.loads(ours)), indent=2) + "\n"
    except (OSError, UnicodeDecodeError, FormError) as error:
        raise ConfigError(f"{option} {value}: {error}") from error


def environment(told: Pointing, base_url: str, own: Mapping[str, str]) -> dict[str, str]:
    """The process' variables: the person's own, changed as the agent needs it."""
    made = {name: value for name, value in own.items() if name not in told.unset} | dict(told.environment)
    if any(made.get(name) for name in PROXIES):
        host = urlsplit(base_url).hostname or ""
        for name in ("NO_PROXY", "no_proxy"):
            if host not in made.get(name, "").split(","):
                made[name] = ",".join(filter(None, [made.get(name, ""), host]))
    return made


def _become(program: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Be that program from now on: signals, the terminal and the exit status are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    for name in _IGNORED_BY_PYTHON:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(program, list(argv), environment)
    except OSError as error:
        raise ConfigError(f"{program} can't be run: {(error.strerror or str(error)).lower()}") from error
