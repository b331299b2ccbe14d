"""A user's ``[providers.X]`` table over a provider of the catalog, or a provider of the user's own.

The same keys serve the home's ``providers.toml`` and a profile's ``routing.toml``; whoever reads the file hands the
table in and is told every problem with its place in the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Final, TypeVar, cast, get_args

from router.providers.addresses import (
    AUTH_STYLES,
    DEFAULT_AUTH,
    OPENAI_APIS,
    base_for,
    own_base,
    placeholders_of,
    url_problem,
)
from router.providers.credentials import CredentialSpec, looks_like_key
from router.providers.provider import Billing, Provider
from router.wire.request import Api

Report = Callable[[tuple[str | int, ...], str], None]
Word = TypeVar("Word", bound=str)

KEYS: Final = (
    "formats", "base-url", "anthropic-base-url", "gemini-base-url", "auth", "api-key", "api-keys", "billing", "headers",
    "models", "proxy", "ca-file", "timeouts",
)  # fmt: skip
TIMEOUT_KEYS: Final = ("connect", "first-event", "first-event-last", "whole", "idle")
APIS: Final[tuple[Api, ...]] = get_args(Api)
BILLINGS: Final[tuple[Billing, ...]] = get_args(Billing)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h)\Z")
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*\Z")
# Headers that carry credentials have their own settings; headers that frame the message are the transport's.
_CREDENTIAL_HEADER = re.compile(
    r"(?:.*authorization|.*cookie|.*(?:api|access|auth|subscription|router|secret)[-_]?key|(?:.*[-_])?auth|.*[-_]?token"
    r"|.*secret.*|.*password.*)\Z"
)
_FRAMING_HEADERS: Final = frozenset(
    {"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


def override(base: Provider | None, name: str, table: Mapping[str, object], report: Report) -> Provider | None:
    """The provider that results, or None where nothing usable does. Never raises for what the table holds.

    ``base`` is what the table goes over, None for a provider of the user's own. ``report(path, text)`` is called for
    every problem, ``path`` within the table: ``("headers", "x-team")``. A ``base-url`` discards all addresses of
    ``base``; ``addresses.base_for`` says how it serves each format.
    """
    if not _NAME.match(name) or "," in name:
        report((), "a provider's name has letters, digits and . _ - only, and begins with a letter or digit")
        return None
    reader = _Reader(table, report)
    reader.unknown_keys()
    formats = reader.formats()
    addresses = {key: reader.url(key) for key in ("base-url", "anthropic-base-url", "gemini-base-url")}
    auth = reader.word("auth", AUTH_STYLES)
    credentials = reader.credentials()
    billing = reader.word("billing", BILLINGS)
    headers = reader.headers()
    models = reader.texts("models")
    proxy = reader.url("proxy")
    ca_file = reader.path("ca-file")
    timeouts = reader.timeouts()

    if base is None:
        if table.get("formats") is None:
            report((), f'a provider of your own needs formats, some of {_listed(APIS)}; "{name}" isn\'t in the catalog')
        if formats is None:
            return None
        base = Provider(name=name, base_urls={}, auth={})
    urls = _base_urls(base, formats, addresses, table, report)
    if not urls:
        return None
    return replace(
        base,
        name=name,
        base_urls=urls,
        auth={api: auth or base.auth.get(api, DEFAULT_AUTH[api]) for api in urls},
        credentials=base.credentials if credentials is None else credentials,
        billing=billing or base.billing,
        headers=base.headers if headers is None else {**base.headers, **headers},
        models=base.models if models is None else models,
        proxy=proxy or base.proxy,
        ca_file=ca_file or base.ca_file,
        timeouts=base.timeouts if timeouts is None else {**base.timeouts, **timeouts},
        placeholders=placeholders_of(*urls.values()),
    )


def _base_urls(
    base: Provider,
    formats: tuple[Api, ...] | None,
    addresses: Mapping[str, str | None],
    table: Mapping[str, object],
    report: Report,
) -> dict[Api, str]:
    """The address of each format, or nothing after a problem."""
    given = addresses["base-url"]
    own = {api: own_base(api, address) for api, key in _OWN_KEY.items() if (address := addresses[key]) is not None}
    if formats is None:
        formats = (*base.base_urls, *(api for api in own if api not in base.base_urls))
    else:
        for api in own:
            if api not in formats:
                report((_OWN_KEY[api],), f'formats doesn\'t list "{api}"')
    urls: dict[Api, str] = {}
    lacking: list[Api] = []
    for api in formats:
        if api in own:
            urls[api] = own[api]
        elif given is not None:
            urls[api] = _from_base_url(api, given, formats)
        elif (inherited := _inherited(base, api)) is not None:
            urls[api] = inherited
        else:
            lacking.append(api)
    if lacking and not any(key in table and addresses[key] is None for key in addresses):
        needed = dict.fromkeys("base-url" if not base.base_urls else _OWN_KEY.get(api, "base-url") for api in lacking)
        report((), f"needs {' and '.join(needed)}: there is no address for {_listed(lacking)}")
    return {} if lacking else urls


_OWN_KEY: Final[Mapping[Api, str]] = {"anthropic-messages": "anthropic-base-url", "gemini": "gemini-base-url"}


def _from_base_url(api: Api, given: str, formats: tuple[Api, ...]) -> str:
    # Without an OpenAI format beside it, nobody else's version can be at the end of a Gemini address.
    if api == "gemini" and not any(other in OPENAI_APIS for other in formats):
        return own_base(api, given)
    return base_for(api, given)


def _inherited(base: Provider, api: Api) -> str | None:
    """The catalog's address; the two OpenAI formats share theirs where only one is listed."""
    if api in base.base_urls:
        return base.base_urls[api]
    if api in OPENAI_APIS:
        return next((base.base_urls[other] for other in OPENAI_APIS if other in base.base_urls), None)
    return None


class _Reader:
    """One table, key by key: a value of the right kind or None, everything else reported."""

    def __init__(self, table: Mapping[str, object], report: Report) -> None:
        self.table = table
        self.report = report

    def unknown_keys(self) -> None:
        for key in self.table:
            if key not in KEYS:
                self.report((key,), f"unknown key{_suggestion(key, KEYS)}")

    def formats(self) -> tuple[Api, ...] | None:
        found = self.texts("formats")
        if found is None:
            return None
        good = True
        for index, text in enumerate(found):
            if text not in APIS:
                self.report(("formats", index), f"expected one of {_listed(APIS)}{_suggestion(text, APIS)}")
                good = False
        if good and not found:
            self.report(("formats",), f"expected at least one of {_listed(APIS)}")
            good = False
        return cast("tuple[Api, ...]", tuple(dict.fromkeys(found))) if good else None

    def url(self, key: str) -> str | None:
        """An address without a trailing slash. What is wrong is told without the address: it may hold a password."""
        value = self.table.get(key)
        if value is None:
            return None
        problem = url_problem(value) if isinstance(value, str) else "expected a URL in quotes"
        if problem is not None:
            self.report((key,), problem)
            return None
        return cast(str, value).rstrip("/")

    def word(self, key: str, words: tuple[Word, ...]) -> Word | None:
        value = self.table.get(key)
        for word in words:
            if value == word:
                return word
        if value is not None:
            self.report((key,), f"expected one of {_listed(words)}{_suggestion(value, words)}")
        return None

    def credentials(self) -> tuple[CredentialSpec, ...] | None:
        """``api-key`` or ``api-keys``; an empty list means that no key is needed."""
        if "api-key" in self.table and "api-keys" in self.table:
            self.report(("api-key",), "give api-key or api-keys, not both")
            return None
        if "api-key" in self.table:
            spec = self._credential(("api-key",), self.table["api-key"])
            return None if spec is None else ((spec,) if spec.kind != "none" else ())
        if "api-keys" not in self.table:
            return None
        values = self.table["api-keys"]
        if not isinstance(values, list):
            self.report(("api-keys",), 'expected a list of references such as ["env:KEY_1", "env:KEY_2"]')
            return None
        specs = [self._credential(("api-keys", index), value) for index, value in enumerate(values)]
        good = tuple(spec for spec in specs if spec is not None)
        for index, spec in enumerate(specs):
            if spec is not None and spec.kind == "passthrough" and len(specs) > 1:
                self.report(
                    ("api-keys", index), '"passthrough" stands alone: the client\'s credential or ours, not both'
                )
        return tuple(dict.fromkeys(good))

    def _credential(self, path: tuple[str | int, ...], value: object) -> CredentialSpec | None:
        try:
            return CredentialSpec.parse(value if isinstance(value, str) else "")
        except ValueError as error:
            self.report(path, str(error))
            return None

    def headers(self) -> dict[str, str] | None:
        value = self.table.get("headers")
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.report(("headers",), 'expected a table such as { x-team = "blue" }')
            return None
        good: dict[str, str] = {}
        for name, text in value.items():
            problem = header_problem(name, text)
            if problem is None:
                good[name.lower()] = text
            else:
                self.report(("headers", name), problem)
        return good

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self.table.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            self.report((key,), "expected a list of texts in quotes")
            return None
        return tuple(value)

    def path(self, key: str) -> str | None:
        value = self.table.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.startswith(("/", "~/")) or "\0" in value:
            self.report((key,), "expected an absolute path, or one that begins with ~/")
            return None
        return value

    def timeouts(self) -> dict[str, float] | None:
        value = self.table.get("timeouts")
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.report(("timeouts",), 'expected a table such as { connect = "5s", idle = "300s" }')
            return None
        good: dict[str, float] = {}
        for key, text in value.items():
            match = _DURATION.match(text.strip()) if isinstance(text, str) else None
            if key not in TIMEOUT_KEYS:
                self.report(("timeouts", key), f"unknown key{_suggestion(key, TIMEOUT_KEYS)}")
            elif match is None or float(match[1]) == 0:
                self.report(("timeouts", key), 'expected a duration such as "250ms", "10s" or "5m"')
            else:
                good[key] = float(match[1]) * _UNIT_S[match[2]]
        return good


def header_problem(name: str, text: object) -> str | None:
    """Why a settings file can't have this header sent to a provider: it is no header, or not the user's to set."""
    lower = name.lower()
    if not _HEADER_NAME.match(name):
        return "that isn't a header's name"
    if _CREDENTIAL_HEADER.match(lower):
        return "credentials are not given as headers: use api-key and auth"
    if lower in _FRAMING_HEADERS:
        return "this header is set by the router itself"
    if not isinstance(text, str) or not _HEADER_VALUE.match(text):
        return "expected a text of visible ASCII characters"
    if any(looks_like_key(word) for word in re.split(r"[\s,;=]+", text)):
        return "that looks like a key: credentials are not given as headers, use api-key and auth"
    return None


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _suggestion(found: object, words: Iterable[str]) -> str:
    close = get_close_matches(found.lower(), list(words), n=1) if isinstance(found, str) else []
    return f'; did you mean "{close[0]}"?' if close else ""
