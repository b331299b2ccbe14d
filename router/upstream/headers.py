"""Which headers cross the router, each way. Both ways by allowlist: what isn't named here stays where it is.

So a client's cookies, its router key and its network's forwarding headers never reach a provider, and a provider's
cookies, organisation ids and framing never reach a client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict, CIMultiDictProxy

_REQUEST_NAMES = frozenset(
    {
        "accept",
        "content-type",
        "idempotency-key",
        "originator",  # which agent: OpenAI's own service reads it
        "session-id",
        "traceparent",
        "tracestate",
        "user-agent",
        "version",
        "x-app",
        "x-client-request-id",
        "x-goog-api-client",
    }
)
_REQUEST_PREFIXES = ("anthropic-", "openai-", "x-stainless-", "x-claude-", "x-codex-")

_TRANSLATED_REQUEST_NAMES = frozenset({"accept", "idempotency-key", "traceparent", "tracestate", "user-agent"})

_REPLY_NAMES = frozenset(
    {
        "content-encoding",  # we ask for identity; what comes encoded all the same is passed as it is
        "content-type",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
        "x-should-retry",
    }
)
_TRANSLATED_REPLY_NAMES = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})
_REQUEST_ID_NAMES = frozenset({"request-id", "x-request-id"})
_REPLY_PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-")

# Where clients put credentials. The first that holds a router key is ours; any may hold a provider's credential.
CREDENTIAL_HEADERS = ("x-router-key", "x-api-key", "authorization", "x-goog-api-key")
ROUTER_KEY_PREFIX = "rk_"

_request_cache: dict[str, bool] = {}
_reply_cache: dict[str, bool] = {}


def _passes(name: str, names: frozenset[str], prefixes: tuple[str, ...], cache: dict[str, bool]) -> bool:
    known = cache.get(name)
    if known is None:
        lower = name.lower()
        known = lower in names or lower.startswith(prefixes)
        if len(cache) < 512:  # header names come from outside: don't let them grow this for ever
            cache[name] = known
    return known


def request_headers(
    incoming: CIMultiDictProxy[str], *, credential: Mapping[str, str], extra: Iterable[Mapping[str, str]] = ()
) -> CIMultiDict[str]:
    """Headers for the provider: the client's that may cross, then declared ones, then the credential."""
    headers: CIMultiDict[str] = CIMultiDict(
        [
            (name, value)
            for name, value in incoming.items()
            if _passes(name, _REQUEST_NAMES, _REQUEST_PREFIXES, _request_cache)
        ]
    )
    for declared in extra:
        headers.update(declared)
    headers["Accept-Encoding"] = "identity"
    headers.update(credential)
    return headers


def translated_request_headers(
    incoming: CIMultiDictProxy[str], *, credential: Mapping[str, str], extra: Iterable[Mapping[str, str]] = ()
) -> CIMultiDict[str]:
    """Headers for a provider of another wire format: nothing that only the client's own format understands."""
    headers: CIMultiDict[str] = CIMultiDict(
        [(name, value) for name, value in incoming.items() if name.lower() in _TRANSLATED_REQUEST_NAMES]
    )
    headers["Content-Type"] = "application/json"
    for declared in extra:
        headers.update(declared)
    headers["Accept-Encoding"] = "identity"
    headers.update(credential)
    return headers


def reply_headers(incoming: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Headers of a provider's reply that the client may see; values that can't stand in a header are left out."""
    return CIMultiDict(
        [
            (name, value)
            for name, value in incoming.items()
            if _passes(name, _REPLY_NAMES, _REPLY_PREFIXES, _reply_cache) and value.isascii() and value.isprintable()
        ]
    )


def translated_reply_headers(incoming: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Headers of a reply that mean the same in every wire format; the provider's request id under a name of ours."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in incoming.items():
        lower = name.lower()
        if not (value.isascii() and value.isprintable()):
            continue
        if lower in _TRANSLATED_REPLY_NAMES:
            headers[name] = value
        elif lower in _REQUEST_ID_NAMES:
            headers["x-router-upstream-id"] = value
    return headers


def passed_through_credential(incoming: CIMultiDictProxy[str], *, router_key_header: str | None) -> dict[str, str]:
    """The client's own provider credential, unchanged. A router key never passes, also where it stands twice."""
    ours = _bare(incoming[router_key_header]) if router_key_header is not None else None
    return {
        name: value
        for name in CREDENTIAL_HEADERS[1:]
        if (value := incoming.get(name)) is not None
        and not ((bare := _bare(value)) == ours or bare.startswith(ROUTER_KEY_PREFIX))
    }


def _bare(value: str) -> str:
    scheme, _, key = value.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else value.strip()
