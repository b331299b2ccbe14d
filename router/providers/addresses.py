"""Addresses of providers: which URLs are good, how one base URL serves several formats, and the URL of one call.

Every address comes from the operator's files, never from a request; what a request adds (a model in Gemini's path, a
reply's id) can't leave the place it is put in. Credentials become headers here too, since the header depends on the
format. The counterpart on the wire is ``upstream/client.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from router.errors import BadRequest, ConfigError, FormatUnsupported
from router.providers.credentials import Secret
from router.providers.provider import AuthStyle, Provider
from router.wire.request import Api

DEFAULT_AUTH: Final[Mapping[Api, AuthStyle]] = {
    "anthropic-messages": "x-api-key",
    "openai-chat": "bearer",
    "openai-responses": "bearer",
    "gemini": "x-goog-api-key",
}
AUTH_STYLES: Final[tuple[AuthStyle, ...]] = ("bearer", "x-api-key", "x-goog-api-key", "api-key")
OPENAI_APIS: Final[tuple[Api, ...]] = ("openai-chat", "openai-responses")

_HEADER: Final[Mapping[AuthStyle, tuple[str, str]]] = {
    "bearer": ("Authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
    "api-key": ("api-key", ""),
}

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_HOST = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?\Z|[0-9A-Fa-f:.]+\Z"
)  # a name, IPv4, or inside []: IPv6
_PATH = re.compile(r"(?:/[A-Za-z0-9._~:@!$&'()*+,;=%-]*)*\Z")
_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?\Z")
_PREVIEW = re.compile(r"v\d+(?:alpha|beta)\d*\Z")
_LAST_V1 = re.compile(r"(?<!/)/v1\Z")  # a host may be called v1
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.:-]*"
_OPERATION = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*\Z")


def url_problem(url: str) -> str | None:
    """What is wrong with an address, or None: http or https, a host, no credentials, no query, no fragment."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "expected a URL of visible ASCII characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "expected a URL such as https://api.example.com/v1; its port or host can't be read"
    if parts.scheme not in ("http", "https"):
        return "expected a URL that begins with https:// or http://"
    if parts.username is not None or parts.password is not None:
        return "credentials don't belong into a URL: give them as api-key"
    if "?" in url or "#" in url:
        return "expected a URL without a query and without a fragment"
    if (names := placeholders_of(url)) or "{" in url:
        return f"fill in {' and '.join(f'{{{name}}}' for name in names) or 'the part in braces'}"
    if not host or not _HOST.match(host):
        return "expected a host name after ://"
    if not _PATH.match(parts.path) or any(segment in (".", "..") for segment in parts.path.split("/")):
        return "the URL's path has characters that don't belong there"
    return None


def placeholders_of(*urls: str) -> tuple[str, ...]:
    """The names in braces, each once, in order: ``region`` of ``https://x.{region}.example.com``."""
    return tuple(dict.fromkeys(name for url in urls for name in _PLACEHOLDER.findall(url)))


def base_for(api: Api, base: str) -> str:
    """The address of one format, taken from a provider's one ``base-url``.

    The OpenAI formats take it as it is, only below ``/v1beta`` they are found at ``/v1beta/openai``, as at Google.
    The Anthropic format takes it without a trailing ``/v1``, since its SDK adds ``/v1/messages``. The Gemini format has
    ``/v1beta`` in place of a trailing ``/v1``, which is an OpenAI address, and added where the path has no version.
    """
    base = base.rstrip("/")
    last = base.rpartition("/")[2]
    match api:
        case "openai-chat" | "openai-responses":
            return f"{base}/openai" if _PREVIEW.match(last) else base
        case "anthropic-messages":
            return _LAST_V1.sub("", base)
        case "gemini":
            return own_base(api, _LAST_V1.sub("", base.removesuffix("/openai")))


def own_base(api: Api, base: str) -> str:
    """The address of one format given for that format alone: ``anthropic-base-url``, ``gemini-base-url``.

    Forgiving in the same way: a trailing ``/v1`` is dropped for Anthropic, a missing version is added for Gemini.
    """
    base = base.rstrip("/")
    if api == "gemini":
        return base if any(_VERSION.match(segment) for segment in base.split("/")[3:]) else f"{base}/v1beta"
    return _LAST_V1.sub("", base) if api == "anthropic-messages" else base


def endpoint_url(
    provider: Provider, api: Api, *, model: str | None = None, stream: bool = False, operation: str = "generate"
) -> str:
    """The URL of one call, without a query (a Gemini stream of events needs ``alt=sse`` from the caller).

    ``operation`` is ``generate``, ``count-tokens`` (at ``/responses/input_tokens`` for Responses; Chat has none),
    ``models``, ``models/ID``, or, for the OpenAI formats, any path below the base: ``responses/resp_1``, …
    ``model`` and ``stream`` matter only where the format has them in the path, which is Gemini's. The result is
    already encoded.

    Raises ``FormatUnsupported`` if the provider doesn't speak the format, ``BadRequest`` for a model or operation that
    can't stand in a path, ``ConfigError`` while the address has placeholders.
    """
    base = provider.base_urls.get(api)
    if base is None:
        raise FormatUnsupported(f"{provider.name} doesn't speak {api}, only {', '.join(provider.formats)}")
    if "{" in base:
        raise ConfigError(f"[providers.{provider.name}] needs a base-url: {url_problem(base)} in {base}")
    if not _OPERATION.match(operation) or (api == "openai-chat" and operation == "count-tokens"):
        raise BadRequest("there is no such endpoint")
    match api:
        case "anthropic-messages":
            return f"{base}/v1/{_ANTHROPIC.get(operation, operation)}"
        case "openai-chat":
            return f"{base}/{'chat/completions' if operation == 'generate' else operation}"
        case "openai-responses":
            return f"{base}/{_RESPONSES.get(operation, operation)}"
        case "gemini":
            if operation not in _GEMINI:
                return f"{base}/{operation}"
            action = "streamGenerateContent" if stream and operation == "generate" else _GEMINI[operation]
            return f"{base}/{_gemini_model(model)}:{action}"


_ANTHROPIC: Final = {"generate": "messages", "count-tokens": "messages/count_tokens"}
_RESPONSES: Final = {"generate": "responses", "count-tokens": "responses/input_tokens"}
_GEMINI: Final = {"generate": "generateContent", "count-tokens": "countTokens"}


def _gemini_model(model: str | None) -> str:
    """``models/NAME`` or ``tunedModels/NAME``; whatever else the name holds stays within its segment."""
    collection, slash, name = (model or "").partition("/")
    if not slash or collection not in ("models", "tunedModels"):
        collection, name = "models", model or ""
    if not name or name in (".", ".."):
        raise BadRequest("the model's name is missing")
    return f"{collection}/{quote(name, safe='')}"


def auth_headers(provider: Provider, api: Api, secret: Secret | None) -> dict[str, str]:
    """The header that carries the key for this format; none without a key. Hand it to nothing but the request."""
    if secret is None:
        return {}
    name, prefix = _HEADER[provider.auth.get(api, DEFAULT_AUTH[api])]
    return {name: prefix + secret.reveal()}
