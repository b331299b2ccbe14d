"""What an agent is told so that it sends its requests to a profile, for one process or in its own settings.

Values only: who reads files, writes them and starts programs is the command line. An agent's own file says what it
needs (``Agent.pointing``, ``Agent.settings``), from where the profile is (``Address``) and what is there already
(``Found``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from router.agents import flat, jsonc, toml_text
from router.agents.form_error import FormError

ANY_KEY: Final = "router"
"""What an agent is given as its key when the profile asks for none: most agents refuse to start without one."""

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")

FormName = Literal["json", "toml", "dotenv", "yaml"]


class Form(Protocol):
    """How a settings file is read and changed. All of it raises FormError."""

    def parse(self, text: str) -> dict[str, Any]:
        """What it holds."""

    def set_value(self, text: str, path: Sequence[str], value: object) -> str:
        """The text with a value under ``path``."""

    def remove(self, text: str, path: Sequence[str]) -> str:
        """The text without what stands under ``path``, if anything does."""


FORMS: Final[Mapping[FormName, Form]] = {
    "json": jsonc,
    "toml": toml_text,
    "dotenv": flat.DOTENV,
    "yaml": flat.YAML,
}

_CHOICE: Final = re.compile(r"\{(\w+)\|([^}]*)\}")


@dataclass(frozen=True, slots=True)
class AgentFile:
    """A file of an agent's own.

    ``path`` is absolute, begins with ``~``, with ``{VARIABLE|folder}`` (what the variable names, else the folder), or
    is relative to the project.
    """

    path: str
    form: FormName = "json"

    def resolve(self, environment: Mapping[str, str]) -> str:
        """The path for these variables."""
        path = _CHOICE.sub(lambda choice: environment.get(choice[1]) or choice[2], self.path)
        return environment.get("HOME", "~") + path[1:] if path.startswith("~") else path


@dataclass(frozen=True, slots=True)
class Address:
    """Where a profile is and how it is entered.

    ``base_url`` has no version (``http://127.0.0.1:8080/work``); ``key`` is a client key, empty where none is asked
    for; ``models`` are the profile's aliases; ``own_login`` the wire formats in which it passes the client's
    own credential on; ``folder`` is where files for the agent go.
    """

    base_url: str
    key: str = ""
    models: tuple[str, ...] = ()
    own_login: Collection[str] = ()
    folder: str = ""

    @property
    def secret(self) -> str:
        """The key, or the word in its place."""
        return self.key or ANY_KEY


@dataclass(frozen=True, slots=True)
class Found:
    """What is there already: variables, and the parsed contents of those of an agent's files that exist."""

    environment: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[AgentFile, Mapping[str, Any]] = field(default_factory=dict)

    def read(self, file: AgentFile, *path: str) -> Any:
        """The value under ``path`` in a file; ``None`` where there is none."""
        value: Any = self.contents.get(file, {})
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def own_key(self, to: Address, api: str, variable: str) -> str:
        """The key for a variable: the person's own where the profile passes it on and asks for none itself."""
        own = self.environment.get(variable, "") if api in to.own_login else ""
        return to.key or own or ANY_KEY


NOTHING: Final = Found()


@dataclass(frozen=True, slots=True)
class Pointing:
    """What a process is given. ``files`` are texts by name, for ``Address.folder``; no key stands in ``arguments``.

    ``arguments`` go before the person's own. An agent that takes the last of several ``merged`` options, each naming a
    JSON file or holding its text, gets the person's merged into ours.
    """

    environment: Mapping[str, str]
    unset: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    merged: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Values to be set in one of an agent's files, by their path in it."""

    file: AgentFile
    values: Mapping[tuple[str, ...], object]


@dataclass(frozen=True, slots=True)
class Settings:
    """What an agent's own settings need. ``commands`` are its own, for settings that only it should write."""

    changes: tuple[Change, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def parse(file: AgentFile, text: str) -> dict[str, Any]:
    """What a file holds. Raises FormError."""
    return FORMS[file.form].parse(text)


def merged(below: Any, above: Any) -> Any:
    """Two pieces of JSON in one, ``above`` where they differ; only objects are joined."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {**below, **{name: merged(below[name], value) if name in below else value for name, value in above.items()}}


def parsed(text: str | None) -> dict[str, Any]:
    """JSON from a variable; what is none counts as nothing."""
    try:
        return jsonc.parse(text or "")
    except FormError:
        return {}
