"""Variables as shells write them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Shell = Literal["bash", "zsh", "fish", "powershell"]

_FISH_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")


def _in_fish(value: str) -> str:
    if _FISH_PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _in_powershell(value: str) -> str:
    # It takes typographic quotes for straight ones, and each of them is written twice.
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", value) + "'"


@dataclass(frozen=True, slots=True)
class _Syntax:
    quoted: Callable[[str], str]
    assigned: str
    removed: str


_POSIX: Final = _Syntax(shlex.quote, "export {name}={value}", "unset {name}")
_SHELLS: Final[Mapping[Shell, _Syntax]] = {
    "bash": _POSIX,
    "zsh": _POSIX,
    "fish": _Syntax(_in_fish, "set -gx {name} {value}", "set -e {name}"),
    "powershell": _Syntax(
        _in_powershell, "$env:{name} = {value}", "Remove-Item Env:{name} -ErrorAction SilentlyContinue"
    ),
}


def assignments(variables: Mapping[str, str], unset: Iterable[str], shell: Shell) -> list[str]:
    """A line for each variable that is set or taken away."""
    syntax = _SHELLS[shell]
    removed = [syntax.removed.format(name=name) for name in unset]
    return removed + [
        syntax.assigned.format(name=name, value=syntax.quoted(value)) for name, value in variables.items()
    ]


def quoted(word: str, shell: Shell) -> str:
    """A word of a command line."""
    return _SHELLS[shell].quoted(word)
