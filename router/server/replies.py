"""What the router itself says to a client: refusals in the client's wire format, and headers on every reply."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from router.errors import BudgetExceeded, Halted, Refused, UnsupportedMediaType
from router.server.codings import TAKEN
from router.wire.formats import CODECS
from router.wire.loss import listed
from router.wire.request import Api

JSON = "application/json"
LONGEST_HEADER = 500  # characters of a text in one
SERVER = {"Server": "router"}  # instead of the versions of what we are built on
NO_STORE = {"Cache-Control": "no-store", **SERVER}


def refusal(
    error: Refused,
    api: Api | None,
    *,
    request_id: str | None = None,
    profile: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error reply in the client's format, naming the profile; before the format is known, OpenAI's shape is used.

    ``x-should-retry: false`` tells the SDKs not to repeat what can't succeed; where waiting helps, Retry-After says so;
    where a body's coding isn't taken, Accept-Encoding names those that are; where a budget is spent, x-router-reset
    says until when.
    """
    if isinstance(error, UnsupportedMediaType):
        headers = {"Accept-Encoding": TAKEN, **(headers or {})}
    if isinstance(error, BudgetExceeded):
        headers = {"x-router-reset": f"{error.resets_at:%Y-%m-%dT%H:%M:%SZ}", **(headers or {})}
    return error_reply(
        error.status,
        error.code,
        f"profile {profile}: {error}" if profile is not None else str(error),
        api,
        request_id=request_id,
        retry_after_s=error.retry_after_s,
        should_retry=error.status in (429, 503) and not isinstance(error, Halted | BudgetExceeded),
        headers=headers,
    )


def error_reply(
    status: int,
    code: str,
    message: str,
    api: Api | None,
    *,
    request_id: str | None = None,
    retry_after_s: float | None = None,
    should_retry: bool = True,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error of the router's own wording in the client's format."""
    codec = CODECS[api or "openai-chat"]
    reply = web.Response(
        status=status,
        body=codec.error_body(status, code, message, request_id),
        headers={**NO_STORE, **(headers or {})},
        content_type=JSON,
    )
    if request_id is not None:
        reply.headers.setdefault("x-router-request-id", request_id)
    if retry_after_s is not None:
        reply.headers["Retry-After"] = str(retry_after(retry_after_s))
    if not should_retry:
        reply.headers["x-should-retry"] = "false"
    return reply


def retry_after(wait_s: float) -> int:
    """A wait in the whole seconds of Retry-After; never shorter than it is."""
    return max(1, math.ceil(wait_s))


def json_reply(payload: object, *, status: int = 200) -> web.Response:
    """A plain JSON answer of one of the router's own endpoints."""
    return web.Response(status=status, body=msgspec.json.encode(payload), content_type=JSON, headers=NO_STORE)


@lru_cache(maxsize=4096)
def header_text(text: str) -> str:
    """A label or name as a header value: the arrow in ASCII, anything else that isn't ASCII percent-encoded.

    What a client sent may be of any length, a header not: aiohttp reads 8 KiB.
    """
    text = text[:LONGEST_HEADER].replace("→", "->")
    if text.isascii() and text.isprintable():
        return text
    return quote(text, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~\"")


def router_headers(
    *,
    request_id: str,
    profile: str,
    rule: str,
    provider: str,
    model: str,
    attempts: int,
    reason: str,
    dropped: Sequence[str] = (),
) -> CIMultiDict[str]:
    """The headers that say what the router did with a request; ``dropped`` are settings its format has no word for."""
    headers = CIMultiDict(
        (
            *SERVER.items(),
            ("x-router-request-id", request_id),
            ("x-router-profile", profile),
            ("x-router-rule", header_text(rule)),
            ("x-router-provider", provider),
            ("x-router-model", header_text(model)),
            ("x-router-attempts", str(attempts)),
            ("x-router-route-reason", header_text(reason)),
        )
    )
    if dropped:
        headers["x-router-dropped"] = listed(dropped)
    return headers
