"""``router setup``: an agent's own settings, so that it goes to a profile however it is started."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router.cli import output, pointing
from router.cli.complete import profile_names
from router.cli.places import Places, examples, json_option, places_options
from router.cli.setup_record import SetupRecord, read
from router.errors import ConfigError, RouterError

if TYPE_CHECKING:
    from router.agents.agent import Agent
    from router.agents.pointing import Address, Settings

_COMMAND_S = 60


@click.command(
    "setup",
    epilog=examples(
        "router setup work --agent claude-code",
        "router setup work --agent codex",
        "router setup --agent claude-code --undo",
    ),
)
@click.argument("name", required=False, shell_complete=profile_names)
@pointing.agent_option
@click.option("--undo", is_flag=True, help="Put the settings back as they were.")
@json_option
@places_options
def command(places: Places, name: str | None, agent_name: str | None, undo: bool, as_json: bool) -> None:
    """Write a profile's address into an agent's own settings, or take it out.

    From then on the agent goes there however it is started. Only the keys that are needed change; the files are kept
    first, in the home.
    """
    said: list[str] = []
    say = said.append if as_json else click.echo
    if undo:
        agent = _agent(places, name, agent_name)
        record = SetupRecord(_folder(places))
        left = record.undo(agent.name, say)
        for words in left:
            say(f"  run: {shlex.join(words)}")
        if as_json:
            output.show_json({"agent": agent.name, "undone": True, "notes": said})
        return
    if name is None:
        raise click.UsageError("which profile? For example `router setup work --agent claude-code`")
    from router.cli.background import running

    agent = _agent(places, name, agent_name)
    profile = places.profile(name)
    server = running(places)
    to = pointing.address(places, profile, server)
    settings = agent.settings(to, pointing.found(agent, os.environ))
    if not (settings.changes or settings.commands):
        raise ConfigError(f"{agent.name} has no settings of its own; use `router env {name}` or `router run {name}`")
    record = SetupRecord(_folder(places))
    changed = (
        record.change(
            agent.name, name, {pointing.place(change.file, os.environ): change for change in settings.changes}
        )
        if settings.changes
        else _by_its_own_command(record, agent, name, settings)
    )
    if as_json:
        output.show_json(
            {
                "agent": agent.name,
                "profile": name,
                "base_url": to.base_url,
                "changed": [str(path) for path in changed],
                "files": [file.path for file in record.setups[agent.name].files],
                "notes": list(settings.notes),
            }
        )
        return
    for path in changed:
        click.echo(f"changed {path}")
    if not changed:
        click.echo("everything was set already; nothing was changed")
    click.echo(f"{agent.name} goes to {to.base_url} from now on; `router setup --agent {agent.name} --undo` ends that")
    for note in [*settings.notes, *_seen_by_others(to, record, agent)]:
        output.note(f"{agent.name}: {note}")
    if server is None:
        output.note("no server runs on this home; start one with `router start`")


def _seen_by_others(to: Address, record: SetupRecord, agent: Agent) -> list[str]:
    """Files that now hold a key and can be read by others; their modes are the person's affair."""
    files = [Path(file.path) for file in record.setups[agent.name].files] if to.key else []
    open_to_others = [path for path in files if path.exists() and path.stat().st_mode & 0o077]
    return [f"{path} holds a key now, and others can read it: chmod 600 {path}" for path in open_to_others]


def _agent(places: Places, name: str | None, named: str | None) -> Agent:
    chosen = named or (places.profile(name).agent if name is not None else None)
    if chosen is None:
        raise click.UsageError("which agent? For example --agent claude-code")
    return pointing.agent_called(chosen)


def _folder(places: Places) -> Path:
    places.home.create()
    return places.home.path.absolute() / "agents"


def _by_its_own_command(record: SetupRecord, agent: Agent, profile: str, settings: Settings) -> list[Path]:
    """Let the agent change its settings. The files are kept before."""
    program = shutil.which(agent.command or "")
    if program is None:
        raise ConfigError(f"{agent.command} isn't installed, or not on the PATH; install it with `{agent.install}`")
    paths = [pointing.place(file, os.environ) for file in agent.files]
    before = {path: read(path) for path in paths}
    record.begin(agent.name, profile, paths, [list(words) for words in settings.undo])
    try:
        for words in settings.commands:
            _run(program, words)
    finally:
        record.done(agent.name)
    return [path for path, text in before.items() if read(path) != text]


def _run(program: str, words: tuple[str, ...]) -> None:
    told = shlex.join(words[:4])
    try:
        done = subprocess.run(
            [program, *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RouterError(f"`{told}` took more than {_COMMAND_S} s") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise RouterError(f"`{told}` failed with status {done.returncode}: {' '.join(last)}")
