"""The classes of upstream failure: one table, for the ledger and for whatever decides what comes next.

Pure: a status, a few headers and the provider's message in, a class name out. Providers agree on statuses only roughly;
where they differ the message decides (a 429 may be a short rate limit, a ramp-up warning or an empty account).
"""

from __future__ import annotations

import re
from typing import Final

CONNECT: Final = "connect"  # refused, DNS, TLS, reset before a byte
TIMEOUT: Final = "timeout"  # no first event in time, 408, 504
OVERLOADED: Final = "overloaded"  # 503, 529
RATE: Final = "rate"  # 429 with a short reset
RAMP_UP: Final = "ramp-up"  # 429 "rate increased too quickly"
QUOTA: Final = "quota"  # 402, 429 with a long reset or a spend limit
AUTH: Final = "auth"  # 401, 403 on the router's own key
AUTH_CLIENT: Final = "auth-client"  # 401, 403 on a passed-through credential
NOT_FOUND: Final = "not-found"  # 404 model
BAD_REQUEST: Final = "bad-request"  # 400, 413, 422
CONTEXT_LENGTH: Final = "context-length"  # 400 too long
CONTENT_FILTER: Final = "content-filter"  # refused by policy
SERVER: Final = "server"  # 500, 502, other 5xx
SOFT: Final = "soft"  # a 200 that is no answer
BROKEN_START: Final = "broken-start"  # a stream that errors or ends before content
BROKEN_STREAM: Final = "broken-stream"  # ends after commit

# A reset farther away than this is an exhausted quota rather than a rate limit.
LONG_RESET_S = 300.0

_BY_STATUS: dict[int, str] = {
    400: BAD_REQUEST,
    401: AUTH,
    402: QUOTA,
    403: AUTH,
    404: NOT_FOUND,
    408: TIMEOUT,
    413: BAD_REQUEST,
    422: BAD_REQUEST,
    429: RATE,
    503: OVERLOADED,
    504: TIMEOUT,
    529: OVERLOADED,
}
_TOO_LONG = re.compile(
    r"context.?length|too long|maximum context|context window|exceeds? the (max|token)", re.IGNORECASE
)
_SPENT = re.compile(r"insufficient.?(quota|balance|funds|credit)|spend.?limit|billing|credit balance", re.IGNORECASE)
_RAMP_UP = re.compile(r"increased too quickly|scale up your", re.IGNORECASE)
_FILTERED = re.compile(r"content.?(filter|policy)|responsible ai", re.IGNORECASE)


def classify_status(
    status: int, *, message: str = "", retry_after_s: float | None = None, passed_through: bool = False
) -> str:
    """The class of an HTTP error by the provider's text; ``passed_through``: the credential was the client's own."""
    kind = _BY_STATUS.get(status, SERVER if status >= 500 else BAD_REQUEST)
    if kind == AUTH and passed_through:
        return AUTH_CLIENT
    if kind == RATE:
        if _RAMP_UP.search(message):
            return RAMP_UP
        if _SPENT.search(message) or (retry_after_s is not None and retry_after_s > LONG_RESET_S):
            return QUOTA
    if kind == BAD_REQUEST:
        if _TOO_LONG.search(message):
            return CONTEXT_LENGTH
        if _FILTERED.search(message):
            return CONTENT_FILTER
    return kind
