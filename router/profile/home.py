"""The router's home: one folder with everything that outlives a run, and the two files that concern all profiles.

router.toml       [server], [network], [[helper]]
providers.toml    providers of one's own, and changes to shipped ones
prices.json       a newer price table than the shipped one, by `router prices refresh`
profiles/NAME/    a profile each
router.db  logs/  router.sock  router.pid  router.lock
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

from router.errors import ConfigError
from router.money.prices import PriceTable
from router.profile.document import Document
from router.profile.files import Unreadable, read_bytes, read_text
from router.profile.names import name_problem
from router.profile.problems import Problem, shown
from router.profile.providers_schema import read_providers
from router.profile.table import Table
from router.providers.catalog import load_catalog
from router.providers.credentials import CredentialSpec
from router.providers.provider import Provider

SERVER_FILE: Final = "router.toml"
PROVIDERS_FILE: Final = "providers.toml"
PRICES_FILE: Final = "prices.json"
MOST_PRICES: Final = 16 * 2**20  # bytes; the shipped table has half a megabyte

_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[?[0-9A-Fa-f:.]+\]?)")
_HELPER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})")
_RESTARTS: Final[tuple[Literal["always", "never"], ...]] = ("always", "never")
_KEY_SOURCES = ("env", "file", "keyring", "command")


@dataclass(frozen=True, slots=True)
class Helper:
    """A local program of a chain, started and watched by the server. Without a port it is passive."""

    name: str
    command: tuple[str, ...]
    stop_command: tuple[str, ...] = ()
    port: int | None = None
    health_path: str | None = None
    order: int = 0
    enabled: bool = True
    timeout_s: float = 10.0
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    restart: Literal["always", "never"] = "always"


@dataclass(frozen=True, slots=True)
class HomeSettings:
    """``router.toml``. ``hosts`` and ``origins`` are lower case; ``max_body`` is in bytes."""

    host: str = "127.0.0.1"
    port: int = 8080
    port_range: tuple[int, int] = (8081, 8180)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    default_profile: str | None = None
    max_body: int = 64 * 2**20
    stop_grace_s: float = 5.0
    restart_grace_s: float = 600.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    metrics_key: CredentialSpec | None = None
    proxy: str | None = None
    ca_file: Path | None = None
    helpers: tuple[Helper, ...] = ()


_Read = TypeVar("_Read")


class Home:
    """A home folder by its path; nothing is read or made until asked."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()

    @property
    def server_file(self) -> Path:
        return self.path / SERVER_FILE

    @property
    def providers_file(self) -> Path:
        return self.path / PROVIDERS_FILE

    @property
    def prices_file(self) -> Path:
        return self.path / PRICES_FILE

    @property
    def profiles(self) -> Path:
        return self.path / "profiles"

    @property
    def database(self) -> Path:
        return self.path / "router.db"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def server_log(self) -> Path:
        """What a server in the background prints; no profile's log can have this name."""
        return self.logs / "_server.log"

    @property
    def socket(self) -> Path:
        return self.path / "router.sock"

    @property
    def pid_file(self) -> Path:
        return self.path / "router.pid"

    @property
    def lock(self) -> Path:
        return self.path / "router.lock"

    def profile(self, name: str) -> Path:
        """A profile's folder. ``name`` must be a valid one: it becomes a path."""
        problem = name_problem(name)
        if problem is not None:
            raise ConfigError(problem)
        return self.profiles / name

    @property
    def helpers(self) -> Path:
        """Which helpers run, for the next server."""
        return self.path / "router.helpers"

    def create(self) -> None:
        """Make the home with its folders, readable by nobody else. What exists is left as it is.

        Raises ``ConfigError`` where that isn't possible.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.profiles, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the home {self.path} can't be made: {(error.strerror or str(error)).lower()}"
            ) from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigError(f"the home {self.path} can't be written by the user the router runs as")

    def settings(self) -> tuple[HomeSettings, tuple[Problem, ...]]:
        """``router.toml`` and its errors; the defaults where there is no file."""
        settings, problems = self._read(self.server_file, read_server_file, HomeSettings())
        return settings, _errors(problems)

    def catalog(self) -> tuple[Mapping[str, Provider], tuple[Problem, ...]]:
        """The shipped providers with ``providers.toml`` over them, and that file's errors."""
        providers, problems = self._read_catalog()
        return providers, _errors(problems)

    def prices(self) -> tuple[PriceTable, tuple[Problem, ...]]:
        """The shipped price table, or that of ``prices.json`` unless it is older, and why that file isn't used.

        A file that can't be used is a warning: the shipped prices are good ones.
        """
        shipped = PriceTable.load()
        if not os.path.lexists(self.prices_file):
            return shipped, ()
        try:
            own = PriceTable.read(read_bytes(self.prices_file, MOST_PRICES))
            if not shipped.newer_than(own):
                return own, ()
            problem = f"{own.version} of {own.date} is older than the shipped {shipped.version} of {shipped.date}"
        except Unreadable as error:
            problem = str(error)
        except ValueError as error:
            problem = f"is no price table: {error}"
        undo = "it isn't used, and `router prices refresh --undo` removes it"
        return shipped, (Problem(PRICES_FILE, None, "", f"{problem}; {undo}", "warning"),)

    def problems(self) -> tuple[Problem, ...]:
        """Everything there is to say about the home's own files, warnings too; to be shown once at the start."""
        _, problems = self._read(self.server_file, read_server_file, HomeSettings())
        _, of_providers = self._read_catalog()
        _, of_prices = self.prices()
        return (*self._mode_problems(), *problems, *of_providers, *of_prices)

    def _read_catalog(self) -> tuple[Mapping[str, Provider], list[Problem]]:
        shipped = load_catalog()

        def read(document: Document) -> Mapping[str, Provider]:
            return read_providers(Table(document, (), document.values), shipped, key=None)

        return self._read(self.providers_file, read, shipped)

    def _mode_problems(self) -> tuple[Problem, ...]:
        try:
            mode = self.path.stat().st_mode & 0o777
        except OSError:
            return ()  # there is no home yet
        if not mode & 0o077:
            return ()
        message = f"can be entered by other users (mode {mode:04o}): run chmod 700 {self.path}"
        return (Problem(str(self.path), None, "", message, "warning"),)

    def _read(self, path: Path, read: Callable[[Document], _Read], default: _Read) -> tuple[_Read, list[Problem]]:
        if not os.path.lexists(path):
            return default, []
        try:
            document = Document(path.name, read_text(path))
        except Unreadable as problem:
            return default, [Problem(path.name, problem.line, "", str(problem))]
        if document.failed:
            return default, document.problems
        found = read(document)
        return (default if _errors(document.problems) else found), document.problems


def _errors(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.severity == "error")


def read_server_file(document: Document) -> HomeSettings:
    """``router.toml``. Only to be used if the document has no errors afterwards."""
    root = Table(document, (), document.values)
    server = root.table("server") or Table(document, ("server",), {})
    network = root.table("network") or Table(document, ("network",), {})
    default = HomeSettings()
    settings = HomeSettings(
        host=_host(server) or default.host,
        port=server.whole("port", default.port, least=0, most=65535),
        port_range=_port_range(server, default.port_range),
        hosts=_hosts(server),
        origins=_origins(server),
        default_profile=_default_profile(server),
        max_body=server.size("max-body", default.max_body),
        stop_grace_s=server.duration("stop-grace", default.stop_grace_s, zero=True),
        restart_grace_s=server.duration("restart-grace", default.restart_grace_s, zero=True),
        tls_cert=_path(server, "tls-cert"),
        tls_key=_path(server, "tls-key"),
        metrics_key=server.credential("metrics-key", _KEY_SOURCES),
        proxy=_proxy(network),
        ca_file=_path(network, "ca-file"),
        helpers=_helpers(root),
    )
    for key, other in (("tls-cert", "tls-key"), ("tls-key", "tls-cert")):
        if server.has(key) and not server.has(other):
            server.error(key, f"needs {other} beside it")
    for table in (server, network, root):
        table.finish()
    return settings


def _host(server: Table) -> str | None:
    host = server.text("host")
    if host is not None and not _HOST.fullmatch(host):
        server.error("host", f'expected an address or a name such as "127.0.0.1", got {shown(host)}')
        return None
    return host


def _port_range(server: Table, default: tuple[int, int]) -> tuple[int, int]:
    text = server.text("port-range")
    if text is None:
        return default
    match = _PORT_RANGE.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
        server.error("port-range", f'expected two ports such as "8081-8180", got {shown(text)}')
        return default
    return int(match[1]), int(match[2])


def _hosts(server: Table) -> tuple[str, ...]:
    hosts = server.texts("hosts")
    for host in hosts:
        if not _HOST.fullmatch(host):
            server.error("hosts", f"expected a host's name without scheme and port, got {shown(host)}")
    return tuple(host.lower() for host in hosts)


def _origins(server: Table) -> tuple[str, ...]:
    origins = server.texts("origins")
    for origin in origins:
        if not _is_origin(origin):
            server.error("origins", f'expected an origin such as "https://tools.example.org", got {shown(origin)}')
    return tuple(origin.lower() for origin in origins)


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        plain = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return bool(plain) and text == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc


def _default_profile(server: Table) -> str | None:
    name = server.text("default-profile")
    problem = None if name is None else name_problem(name)
    if problem is not None:
        server.error("default-profile", problem)
    return name


def _proxy(network: Table) -> str | None:
    url = network.text("proxy")
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:  # not repeated: it may hold a password
        network.error("proxy", 'expected a URL such as "http://proxy.example.org:3128"')
        return None
    return url


def _path(table: Table, key: str) -> Path | None:
    text = table.text(key)
    if text is None:
        return None
    if not text.startswith(("/", "~/")):
        table.error(key, "expected an absolute path, or one that begins with ~/")
        return None
    return Path(text).expanduser()


def _helpers(root: Table) -> tuple[Helper, ...]:
    helpers: dict[str, Helper] = {}
    for table in root.tables("helper", "helper"):
        helper = _helper(table)
        if helper.name in helpers:
            table.error("name", f"{shown(helper.name)} is already another helper")
        helpers.setdefault(helper.name, helper)
    return tuple(sorted(helpers.values(), key=lambda helper: helper.order))


def _helper(table: Table) -> Helper:
    name = table.text("name")
    if name is None and not table.has("name"):
        table.error(None, "has no name")
    elif name is not None and not _HELPER.fullmatch(name):
        table.error("name", f"expected lower-case letters, digits and -, got {shown(name)}")
    if not table.has("command"):
        table.error(None, 'has no command; add command = ["program", "argument"]')
    health_path = table.text("health-path")
    if health_path is not None and not health_path.startswith("/"):
        table.error("health-path", f'expected a path such as "/health", got {shown(health_path)}')
    helper = Helper(
        name=name or "",
        command=_argv(table, "command"),
        stop_command=_argv(table, "stop-command"),
        port=table.whole("port", None, least=1, most=65535),
        health_path=health_path,
        order=table.whole("order", 0, least=-1000, most=1000),
        enabled=table.boolean("enabled", default=True),
        timeout_s=table.duration("timeout", 10.0),
        env=_environment(table),
        restart=table.choice("restart", _RESTARTS, "always"),
    )
    table.finish()
    return helper


def _argv(table: Table, key: str) -> tuple[str, ...]:
    value = table.values.get(key)
    if value is not None and (not isinstance(value, list) or not value):
        table.take(key)
        table.error(key, f'expected a list such as ["program", "argument"], got {shown(value)}')
        return ()
    return table.texts(key)


def _environment(table: Table) -> dict[str, str]:
    variables = table.table("env")
    if variables is None:
        return {}
    found: dict[str, str] = {}
    for name, value in variables.entries():
        if not _VARIABLE.fullmatch(name):
            variables.error(name, "isn't the name of a variable")
        elif not isinstance(value, str) or "\0" in value:
            variables.error(name, "expected a string")
        else:
            found[name] = value
    return found
