"""The files that have systemd or launchd run the server: start it with the session, and again when it fails."""

from __future__ import annotations

import plistlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from router.cli.places import Places
from router.server.supervisor import LAUNCHD_LABEL

_CLOSING_S = 10  # beyond the grace, for what is cut short and to close everything
_HOPELESS = "2 3 4 5"  # exit statuses that another start doesn't mend: files, ledger, home, address


class Unit(NamedTuple):
    """A file's text, and what is to be done with it."""

    text: str
    steps: tuple[str, ...]


def systemd(places: Places, arguments: Sequence[str]) -> Unit:
    """A user unit. See systemd.service(5) and, for the quoting, systemd.syntax(7)."""
    command = " ".join(map(_quoted, _command(places, arguments)))
    text = f"""\
[Unit]
Description=Router of model requests

[Service]
# Keys of providers come from each profile's .env, or from lines such as: EnvironmentFile=%h/.config/router.env
ExecStart={command}
Restart=on-failure
RestartPreventExitStatus={_HOPELESS}
KillMode=mixed
TimeoutStopSec={_patience_s(places)}
UMask=0077

[Install]
WantedBy=default.target
"""
    return Unit(
        text,
        (
            "keep this as ~/.config/systemd/user/router.service, then:",
            "  systemctl --user daemon-reload && systemctl --user enable --now router",
        ),
    )


def launchd(places: Places, arguments: Sequence[str]) -> Unit:
    """An agent of the user's session. See launchd.plist(5)."""
    log = str(places.home.server_log.absolute())
    text = plistlib.dumps(
        {
            "Label": LAUNCHD_LABEL,
            "ProgramArguments": [*_command(places, ["--background", *arguments])],
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ExitTimeOut": _patience_s(places),
            "Umask": 0o077,
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
    ).decode()
    return Unit(
        text,
        (
            f"keep this as ~/Library/LaunchAgents/{LAUNCHD_LABEL}.plist, then:",
            f"  launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/{LAUNCHD_LABEL}.plist",
        ),
    )


UNITS: Final[Mapping[str, Callable[[Places, Sequence[str]], Unit]]] = {"systemd": systemd, "launchd": launchd}


def _command(places: Places, arguments: Sequence[str]) -> list[str]:
    command = [sys.executable, "-P", "-m", "router.cli", "serve", "--home", str(places.home.path.absolute())]
    if places.folder != places.home.profiles:
        command += ["--profiles", str(Path(places.folder).absolute())]
    return [*command, *arguments]


def _patience_s(places: Places) -> int:
    settings, _ = places.home.settings()
    return round(settings.stop_grace_s) + _CLOSING_S


def _quoted(word: str) -> str:
    for mark, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(mark, written)
    return f'"{word}"' if not word or any(c in word for c in " \t'\"\\;") else word
