"""The README's way from a clone to a routed request and its report, typed literally in a home where nothing is yet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"


def commands() -> list[str]:
    """What the block says to type."""
    (block,) = re.findall(r"```console\n(\$ make setup\n.*?)```", README.read_text("utf-8"), re.DOTALL)
    return [command.strip() for command in re.split(r"^\$ ", block, flags=re.MULTILINE) if command.strip()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A clone without a `.venv` of its own: the one that runs the tests stands in for it."""
    clone = tmp_path / "router"
    shutil.copytree(ROOT / "router", clone / "router", ignore=shutil.ignore_patterns("__pycache__"))
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    return clone


def typed(lines: list[str], place: Path) -> str:
    """What a shell that stops at the first failure prints. Of the machine it has only the usual programs."""
    home = place.parent / "home"
    home.mkdir()
    environ = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "ROUTER_PORT": str(free_port())}
    environ |= {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    try:
        shell = subprocess.run(
            ["bash", "-e", "-u", "-c", "\n".join(lines)],
            cwd=place,
            env=environ,
            capture_output=True,
            timeout=120,
            check=False,
        )
    finally:
        subprocess.run(
            [sys.executable, "-m", "router.cli", "stop", "--now", "--home", str(home / ".router")],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
    printed = shell.stdout.decode()
    assert shell.returncode == 0, f"{printed}\n{shell.stderr.decode()}"
    return printed


def test_the_readmes_five_minutes(place: Path) -> None:
    setup, *rest = commands()
    assert setup == "make setup"  # what ran this test, too
    printed = typed(rest, place)
    assert "Made " in printed
    assert 'You said "Hello"' in printed
    assert re.search(r"model-matches → demo +1 ", printed)
    assert re.search(r"^TOTAL +1 ", printed, re.MULTILINE)
    assert "Stopped the router" in printed
