"""``router env``: what points an agent at a profile, as lines for a shell."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import click

from router.agents.agents import SDK
from router.agents.pointing import Pointing
from router.agents.shells import Shell, assignments, quoted
from router.cli import output, pointing
from router.cli.complete import profile_names
from router.cli.places import Places, examples, json_option, places_options
from router.errors import ConfigError

if TYPE_CHECKING:
    from router.agents.agent import Agent

SHELLS: tuple[Shell, ...] = get_args(Shell)


@click.command(
    "env",
    epilog=examples(
        'eval "$(router env work)"',
        "router env work --agent gemini-cli",
        "router env work --agent claude-code --shell fish | source",
    ),
)
@click.argument("name", shell_complete=profile_names)
@pointing.agent_option
@click.option("--shell", type=click.Choice(SHELLS), help="How to write it.  [default: as $SHELL says, else bash]")
@json_option
@places_options
def command(places: Places, name: str, agent_name: str | None, shell: str | None, as_json: bool) -> None:
    """Print the variables that point an agent at a profile.

    Without --agent it is the agent of [profile] agent, else what programs on the vendors' SDKs read. What variables
    can't say is printed as a comment. The server isn't started.
    """
    from router.cli.background import running

    profile = places.profile(name)
    chosen = agent_name or profile.agent
    agent = pointing.agent_called(chosen) if chosen else SDK
    if agent.only_settings:
        raise ConfigError(f"no variable points {agent.name} anywhere: {agent.only_settings}; use `router setup {name}`")
    server = running(places)
    to = pointing.address(places, profile, server)
    told = agent.pointing(to, pointing.found(agent, os.environ))
    pointing.write_files(Path(to.folder), told.files)
    if as_json:
        output.show_json(
            {
                "profile": name,
                "agent": agent.name,
                "base_url": to.base_url,
                "environment": dict(told.environment),
                "unset": list(told.unset),
                "arguments": list(told.arguments),
                "files": [f"{to.folder}/{file}" for file in told.files],
                "notes": list(told.notes),
            }
        )
        return
    for line in _lines(agent, told, cast("Shell", shell or _own_shell())):
        click.echo(line)
    if server is None:
        output.note("no server runs on this home; start one with `router start`")


def _lines(agent: Agent, told: Pointing, shell: Shell) -> list[str]:
    lines = assignments(told.environment, told.unset, shell)
    if told.arguments:
        words = (
            shlex.join if shell in ("bash", "zsh") else lambda words: " ".join(quoted(word, shell) for word in words)
        )
        lines.append(f"# and start it with: {words([agent.command or '', *told.arguments])}")
    return [*lines, *(f"# {note}" for note in told.notes)]


def _own_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    return {"pwsh": "powershell"}.get(name, name) if name in (*SHELLS, "pwsh") else "bash"
