"""Agents from npm and PyPI, each in a folder of its own outside the repository, installed once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from trials.agents import TrialAgent

INSTALL_S = 900
VERSION_S = 60


class NotInstalled(Exception):
    """The agent isn't there and can't be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An agent's program and what it calls its version."""

    program: Path
    version: str


def default_cache() -> Path:
    """``ROUTER_AGENTS``, else a folder of the user's cache."""
    if named := os.environ.get("ROUTER_AGENTS"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "router-agents"


def installed(agent: TrialAgent, cache: Path, *, fetch: bool) -> Installed:
    """The agent, fetched if it isn't there and ``fetch``. Raises NotInstalled."""
    folder = cache / agent.name
    program = folder / ("node_modules/.bin" if agent.registry == "npm" else "bin") / agent.command
    if not program.exists():
        if not fetch:
            raise NotInstalled(f"not in {folder}")
        if agent.registry == "npm":
            _fetch(agent, folder)
        else:
            _run([sys.executable, "-m", "venv", str(folder)], folder.parent)
            _run([str(folder / "bin/pip"), "install", "--quiet", agent.package], folder)
    return Installed(program, _version(program))


def _fetch(agent: TrialAgent, folder: Path) -> None:
    if not (shutil.which("npm") and shutil.which("node")):
        raise NotInstalled("needs node and npm")
    folder.mkdir(parents=True, exist_ok=True)
    # A package.json of its own keeps npm from installing into a folder further up.
    (folder / "package.json").write_text("{}\n", "utf-8")
    _run(["npm", "install", "--no-audit", "--no-fund", agent.package], folder)
    if agent.after_install:
        _run(["node", *agent.after_install], folder)


def _run(command: list[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"{' '.join(command[:2])} took more than {INSTALL_S} s") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NotInstalled(f"{' '.join(command[:2])} failed: {' '.join(last)}")


def _version(program: Path) -> str:
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{program.name} doesn't start: {error}") from error
    words = [word.removeprefix("v") for word in done.stdout.split()]
    if done.returncode or not words:
        raise NotInstalled(f"{program.name} --version: status {done.returncode} {done.stderr.strip()[-200:]}")
    return next((word for word in words if word[0].isdigit()), words[-1])
