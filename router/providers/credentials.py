"""Where a provider's key comes from, and the key itself, kept out of sight.

A settings file never holds a key, only a reference (``CredentialSpec``); ``Credentials`` follows the reference when a
request needs the key and gives a ``Secret``, which shows itself nowhere unless it is asked to. The counterpart that
puts a secret into a request's headers is ``addresses.auth_headers``.

No message of this module holds a key, a part of one, or text that could be one: a person who pastes a key into the
wrong place must not find it in a log afterwards.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from router.errors import CredentialMissing
from router.providers import sources

__all__ = ["CredentialMissing", "CredentialSpec", "Credentials", "Kind", "Secret", "looks_like_key"]

Kind = Literal["env", "file", "keyring", "command", "passthrough", "none"]

CACHE_S: Final = 300.0
FAILURE_CACHE_S: Final = 15.0  # a password manager that is locked isn't asked again by every request

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+\Z")
# How the keys of well-known services begin (and ours: rk_). Only used to refuse them where a reference belongs.
_KEY_SHAPE = re.compile(
    r"(?:(?:sk|rk|gsk|hf|fw|csk|xai|pplx|nvapi|r8|tgp|gh[opsur]|github_pat|glpat|ya29)[-_.]|ABSK|AKIA|AIza|eyJ)"
    r"(?=\D*\d)[A-Za-z0-9_.\-]{12,}\Z"
)
_FORMS: Final = '"env:NAME", "file:PATH", "keyring:SERVICE/USER", "command:PROGRAM ARGUMENTS", "passthrough" or "none"'
_WAY_TO_DO_IT: Final = (
    f"expected a reference to a key: {_FORMS}. A key itself is not accepted here: put it into the environment or the "
    'profile\'s .env file and name the variable ("env:ANTHROPIC_API_KEY"), or into a file that only you can read '
    '("file:~/.keys/anthropic"); to name a variable write "env:" before it'
)


def looks_like_key(text: str) -> bool:
    """Whether the text has the shape of a well-known service's key."""
    return _KEY_SHAPE.match(text) is not None


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """A reference to a key, as settings files write it. ``str(spec)`` gives the same text back.

    ``value`` is the variable's name, the file's path, ``SERVICE/USER``, the command line, or empty.
    """

    kind: Kind
    value: str = ""

    @classmethod
    def parse(cls, text: str) -> CredentialSpec:
        """Read ``env:NAME``, ``file:PATH``, … Raises ``ValueError`` saying what is expected, never what was given."""
        text = text.strip()
        kind, colon, value = text.partition(":")
        if kind in ("passthrough", "none") and not colon:
            return cls(kind)  # type: ignore[arg-type]  # narrowed by the test above
        check = _CHECKS.get(kind)
        if check is None or not colon:
            raise ValueError(_WAY_TO_DO_IT)
        value = value.strip()
        problem = check(value)
        if problem is not None:
            raise ValueError(problem)
        return cls(kind, value)  # type: ignore[arg-type]  # the keys of _CHECKS are kinds

    @property
    def has_key(self) -> bool:
        """Whether there is a key to resolve; ``passthrough`` and ``none`` have none of ours."""
        return self.kind not in ("passthrough", "none")

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind


def _check_env(name: str) -> str | None:
    if looks_like_key(name):
        return _WAY_TO_DO_IT
    if not _VARIABLE.match(name):
        return 'expected the name of an environment variable after "env:", such as "env:ANTHROPIC_API_KEY", not a key'
    return None


def _check_file(path: str) -> str | None:
    if not path.startswith(("/", "~/")) or "\0" in path:
        return 'expected an absolute path, or one that begins with ~/, after "file:"'
    return None


def _check_keyring(entry: str) -> str | None:
    service, _, user = entry.rpartition("/")
    if not service or not user or looks_like_key(user):
        return 'expected "keyring:SERVICE/USER": the entry\'s service and user name, not the key'
    return None


def _check_command(line: str) -> str | None:
    try:
        argv = shlex.split(line)
    except ValueError:
        return 'the command line after "command:" has an unclosed quote'
    if not argv:
        return (
            'expected a program and its arguments after "command:", such as "command:op read op://work/anthropic/key"'
        )
    if any(looks_like_key(argument) for argument in argv):
        return "a key on a command line can be seen by every user of the machine: keep it in a file or a variable"
    return None


_CHECKS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "env": _check_env,
    "file": _check_file,
    "keyring": _check_keyring,
    "command": _check_command,
}


class Secret:
    """A key. Nothing shows it but ``reveal()``: not repr, str, format, pickle, copies, dataclass dumps or JSON."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The key itself. To be called where a header is written and nowhere else."""
        return self.__value

    @property
    def tail(self) -> str:
        """The last 4 characters, by which a person tells keys apart; stars if the key is too short to spare any."""
        return self.__value[-4:] if len(self.__value) >= 16 else "****"

    def __repr__(self) -> str:
        return "Secret(****)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not written down")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not written down")


@dataclass(slots=True)
class _FileEntry:
    stamp: tuple[int, ...]
    secret: Secret


@dataclass(slots=True)
class _Cached:
    """The last answer of a command or the keyring: a secret or the reason why there is none."""

    secret: Secret | None
    reason: str
    until: float


class _Memory:
    """What is remembered, shared by all views of one ``Credentials``."""

    __slots__ = ("env", "files", "locks", "slow")

    def __init__(self) -> None:
        self.env: dict[str, Secret] = {}
        self.files: dict[str, _FileEntry] = {}
        self.slow: dict[CredentialSpec, _Cached] = {}
        self.locks: dict[CredentialSpec, asyncio.Lock] = {}


class Credentials:
    """Follows references to keys, for one profile; ``for_profile`` gives another profile's view with the same memory.

    ``environ`` is the server's environment, ``dotenv`` the profile's ``.env``: a variable is taken from the first that
    has it with a value. ``allow_commands`` must only be true for settings from the user's own home: a repository that
    is merely served must not be able to run programs.
    """

    __slots__ = ("_allow_commands", "_clock", "_dotenv", "_environ", "_memory")

    def __init__(
        self,
        environ: Mapping[str, str],
        dotenv: Mapping[str, str] | None = None,
        *,
        allow_commands: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._dotenv: Mapping[str, str] = dotenv or {}
        self._allow_commands = allow_commands
        self._clock = clock
        self._memory = _Memory()

    def __repr__(self) -> str:
        return f"Credentials(allow_commands={self._allow_commands})"

    def for_profile(self, dotenv: Mapping[str, str], *, allow_commands: bool) -> Credentials:
        """The same environment and memory with another ``.env`` and another answer to who may run commands."""
        view = Credentials(self._environ, dotenv, allow_commands=allow_commands, clock=self._clock)
        view._memory = self._memory
        return view

    async def resolve(self, spec: CredentialSpec) -> Secret:
        """The key. Raises ``CredentialMissing`` saying where it was looked for and what to do.

        A variable costs a lookup, a file a ``stat`` (it is read again when it changed); commands and keyring entries
        are asked at most every 5 minutes, and after a failure at most every 15 seconds.
        """
        match spec.kind:
            case "env":
                return self._from_env(spec)
            case "file":
                return self._from_file(spec)
            case "keyring" | "command":
                return await self._from_slow(spec)
            case _:
                raise ValueError(f'"{spec.kind}" has no key to resolve')

    def available(self, spec: CredentialSpec) -> bool | None:
        """Whether ``resolve`` would succeed; None if only asking the keyring or running the command could tell."""
        if self.why_missing(spec) is not None:
            return False
        if spec.kind in ("keyring", "command") and self._remembered(spec) is None:
            return None
        return True

    def why_missing(self, spec: CredentialSpec) -> str | None:
        """What ``resolve`` would fail with, as far as that is known without asking a keyring or running anything."""
        if not spec.has_key:
            return None
        if spec.kind in ("keyring", "command"):
            if spec.kind == "command" and not self._allow_commands:
                return _COMMANDS_REFUSED
            cached = self._remembered(spec)
            return cached.reason if cached is not None and cached.secret is None else None
        try:
            self._from_env(spec) if spec.kind == "env" else self._from_file(spec)
        except CredentialMissing as missing:
            return str(missing)
        return None

    def forget(self, spec: CredentialSpec) -> None:
        """Ask again next time, for a key that the provider has just refused."""
        self._memory.slow.pop(spec, None)
        self._memory.files.pop(spec.value, None)

    def _from_env(self, spec: CredentialSpec) -> Secret:
        name = spec.value
        value = self._environ.get(name) or self._dotenv.get(name)
        if not value:
            raise CredentialMissing(
                f"{name} is not set: export it before starting the server, or write it into the profile's .env file"
            )
        # Profiles share this memory and may mean different keys by one name, so the value is compared.
        known = self._memory.env.get(name)
        if known is not None and known.reveal() == value:
            return known
        secret = _secret(value, where=f"the variable {name}")
        self._memory.env[name] = secret
        return secret

    def _from_file(self, spec: CredentialSpec) -> Secret:
        path = os.path.expanduser(spec.value)
        try:
            stamp = sources.file_stamp(os.stat(path, follow_symlinks=False))
            known = self._memory.files.get(spec.value)
            if known is not None and known.stamp == stamp:
                return known.secret
            text, stamp = sources.read_key_file(path, spec.value)
        except OSError as error:
            raise CredentialMissing(sources.file_problem(error, spec.value)) from None
        secret = _secret(text, where=f"the file {spec.value}")
        self._memory.files[spec.value] = _FileEntry(stamp, secret)
        return secret

    async def _from_slow(self, spec: CredentialSpec) -> Secret:
        if spec.kind == "command" and not self._allow_commands:
            raise CredentialMissing(_COMMANDS_REFUSED)
        cached = self._remembered(spec)
        if cached is None:
            # Held over the wait on purpose: a hundred requests at start-up must not open a hundred password prompts.
            async with self._memory.locks.setdefault(spec, asyncio.Lock()):
                cached = self._remembered(spec)
                if cached is None:
                    cached = self._memory.slow[spec] = await self._ask(spec)
        if cached.secret is None:
            raise CredentialMissing(cached.reason)
        return cached.secret

    def _remembered(self, spec: CredentialSpec) -> _Cached | None:
        """The last answer while it holds; an old one says nothing, so that a key that came back is found again."""
        cached = self._memory.slow.get(spec)
        return None if cached is None or self._clock() >= cached.until else cached

    async def _ask(self, spec: CredentialSpec) -> _Cached:
        try:
            if spec.kind == "command":
                text = await sources.run_command(spec.value, self._environ)
                secret = _secret(text, where=f'the output of "{spec.value}"')
            else:
                text = await sources.ask_keyring(spec.value)
                secret = _secret(text, where=f"the keyring entry {spec.value}")
        except CredentialMissing as missing:
            return _Cached(None, str(missing), self._clock() + FAILURE_CACHE_S)
        return _Cached(secret, "", self._clock() + CACHE_S)


_COMMANDS_REFUSED: Final = (
    "command: keys are only taken from settings in the router's home that belong to you and nobody else can change; "
    "use env: or file: here"
)


def _secret(text: str, *, where: str) -> Secret:
    """A key that is safe in a header: visible ASCII only, so no line break can be smuggled in."""
    text = text.strip()
    if not text:
        raise CredentialMissing(f"{where} is empty")
    if len(text) > sources.MAX_KEY_BYTES:
        raise CredentialMissing(f"{where} is longer than {sources.MAX_KEY_BYTES} characters, so it isn't a key")
    if not _HEADER_SAFE.match(text):
        if "\n" in text or "\r" in text:
            what = "more than one line"
        elif " " in text:
            what = 'a space; give the key alone, without "Bearer" and without quotes'
        else:
            what = "a control or non-ASCII character"
        raise CredentialMissing(f"{where} holds {what}, so it can't be sent as a key")
    return Secret(text)
