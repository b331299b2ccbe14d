"""The classes of upstream failure: one table, for the ledger and for whatever decides what comes next.

Pure: a status and the provider's words in, a class name out. Providers agree on statuses only roughly; where they
differ the words decide: a 429 may be a short rate limit, a ramp-up warning or an empty account, and an empty account
may be told with 400, 401, 402, 403, 412 or 429. ``error_text`` takes the words that count from an error's body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from router.wire.taps import decoded

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

_BY_STATUS: Final[dict[int, str]] = {
    401: AUTH,
    402: QUOTA,
    403: AUTH,
    404: NOT_FOUND,
    405: NOT_FOUND,  # nothing of ours is served at that address
    408: TIMEOUT,
    410: NOT_FOUND,  # a retired model
    424: SERVER,  # something behind the provider failed (Azure, Hugging Face)
    429: RATE,
    498: RATE,  # Groq: no capacity left in the flex tier
    503: OVERLOADED,
    504: TIMEOUT,
    524: TIMEOUT,  # Cloudflare: the server behind it was too slow
    529: OVERLOADED,
}


def _any_of(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_BAD_KEY: Final = _any_of(
    r"api[_ ]key[_ ](?:not[_ ]valid|invalid|expired)",  # Gemini
    r"(?:incorrect|invalid) api[_ ]key",  # xAI
    r"organization has been disabled",  # Anthropic
    r"user location is not supported",  # Gemini
)
_OTHER_THING: Final = _any_of(
    r"\b(?:response|item|container|conversation|file) with id\b",  # OpenAI: not the model is missing
    r"previous_response_not_found",
    r"no endpoints found that support",  # OpenRouter: not this kind of request
)
_FILTERED: Final = _any_of(
    r"content[_ ]?filter",
    r"content (?:management )?policy",
    r"content_policy_violation",
    r"responsible ?ai",  # Azure
    r"safety[_ ](?:system|check)",  # OpenAI, xAI
    r"violat\w+ (?:our )?(?:usage|content) (?:polic|guideline)",  # OpenAI, xAI
    r"flagged (?:by moderation|as potentially)",  # OpenRouter, OpenAI
    r"content exists risk",  # DeepSeek
    r"data_?inspection_?failed|inappropriate content",  # DashScope
    r"(?:unsafe|sensitive) content|new_sensitive",  # Z.ai, MiniMax
    r"considered high risk",  # Moonshot
)
_SPENT: Final = _any_of(
    r"insufficient[_ ]?(?:account )?(?:quota|balance|funds|credits?)",
    r"(?:not[_ ]enough|low|negative) balance|balance[_ ](?:not[_ ]enough|is too low)",  # Novita, Anthropic
    r"\b(?:no|more|all available) credits\b|credits? (?:\w{1,9} ){0,2}(?:exhausted|depleted)",  # OpenRouter, xAI
    r"creditserror",  # OpenCode Zen
    r"spend(?:ing)?[_ ]limit|billing[_ ](?:hard[_ ]limit|error)|credit limit",
    r"usage[_ ]limits?\b.{0,40}\breached|reached your .{0,40}usage limits?",  # ChatGPT, Z.ai, Kimi, Anthropic
    r"key limit exceeded|free-models-per-day",  # OpenRouter
    r"exceeded_current_quota",  # Moonshot: suspended or empty accounts
    r"account.{0,60}\b(?:suspended|good standing)|arrear",  # Fireworks, DashScope
    r"premium request allowance",  # Copilot
    r"[a-z]PerDay",  # Google's quota ids; the delay it names beside them is not the day's end
)
# What both spent accounts and limits by the minute are told with; a short wait beside it means the latter.
_LIKELY_SPENT: Final = _any_of(r"\bper[ -]day\b|\bdaily\b|\bweekly\b|\bmonthly\b", r"current quota|plan and billing")
_TOO_LONG: Final = _any_of(
    r"(?:prompt|input) (?:is )?too long",  # Anthropic, Bedrock, Ollama
    r"context[_ ](?:length|window|size|limit)[_ ](?:is )?exceed",  # OpenAI and many after it; MiniMax
    r"exceed(?:s|ed|ing)?\b[^.]{0,60}\bcontext[_ ](?:length|window|size|limit)",
    r"maximum context (?:length|size|window)|context (?:length|size) is (?:only )?\d",
    r"exceed_context_size",  # llama.cpp
    r"(?:longer|greater) than the (?:model's |maximum )?(?:context|model) length",  # SGLang, vLLM, LM Studio
    r"maximum prompt length|prompt exceeds max length",  # xAI, Z.ai
    r"token count[^.]{0,60}(?:exceeds|only supports)",  # Gemini, Copilot
    r"model token limit",  # Moonshot
    r"reduce the length of the (?:messages|prompt|input)",  # Groq, Cerebras
    r"range of input length should be",  # DashScope
    r"tokens in the prompt cannot exceed",  # Cohere
    r"inputs` (?:must have less than|tokens \+)",  # Hugging Face, Together
    r"max size: \d+ tokens|tokens_limit_reached",  # GitHub Models
    # More tokens than the account may send in a minute: to this account the model's window is that small.
    r"request too large for .{0,200}tokens per min",  # OpenAI, Groq
)
_NO_MODEL: Final = _any_of(
    r"model[_ ]not[_ ](?:found|exist|supported)|unknown model|invalid[_ ]model\b",
    r"not a valid model|requested model is not supported",  # OpenRouter, Copilot
    r"\bmodel\b.{0,120}(?:does not exist|decommissioned)|model_decommissioned",  # OpenAI, Groq
    r"does not have access to model",  # OpenAI
)
# The model's own failure, told as if the request had been wrong (Groq): another one can do better.
_MISCALLED: Final = _any_of(r"tool_use_failed|failed to call a function|json_validate_failed")
_RAMPED: Final = _any_of(
    r"increased too quickly|burst_rate",  # DashScope
    r"usage increase rate|acceleration limit|scale up your",  # Anthropic
)
_RATED: Final = _any_of(r"rate[_ -]?limit|too many requests|resource_exhausted|\b429\b")
_BUSY: Final = _any_of(r"overload|service_?unavailable|\bunavailable\b|at capacity")


class _Words(NamedTuple):
    """What a pattern makes of an error with one of these statuses."""

    error_class: str
    statuses: frozenset[int]
    pattern: re.Pattern[str]


_WORDS: Final = (
    _Words(AUTH, frozenset({400}), _BAD_KEY),
    _Words(BAD_REQUEST, frozenset({404}), _OTHER_THING),
    _Words(CONTENT_FILTER, frozenset({400, 403, 422, 451}), _FILTERED),
    _Words(QUOTA, frozenset({400, 401, 403, 412, 429}), _SPENT),
    _Words(CONTEXT_LENGTH, frozenset({400, 413, 422, 429, 500}), _TOO_LONG),
    _Words(NOT_FOUND, frozenset({400, 403}), _NO_MODEL),
    _Words(SOFT, frozenset({400}), _MISCALLED),
    _Words(RAMP_UP, frozenset({429}), _RAMPED),
)
"""The first row that fits decides."""


def _named(*names: str | int) -> re.Pattern[str]:
    """A line of an ``error_text`` that has one of these as its code, type or status."""
    return re.compile(rf"^(?:code|type|status|reason): (?:{'|'.join(map(str, names))})$", re.IGNORECASE | re.MULTILINE)


_WORDS_INSIDE: Final = (
    *((words.error_class, words.pattern) for words in _WORDS if words.error_class != BAD_REQUEST),
    (RATE, _RATED),
    (OVERLOADED, _BUSY),
    # Names from here on: Anthropic's types, OpenAI's codes, Google's statuses.
    (OVERLOADED, _named("slow_down")),
    (QUOTA, _named("usage_limit_reached", "usage_not_included")),
    (CONTENT_FILTER, _named("cyber_policy")),
    (
        AUTH,
        _named("authentication_error", "permission_error", "invalid_api_key", "unauthenticated", "permission_denied"),
    ),
    (NOT_FOUND, _named("not_found_error", "not_found")),
    (TIMEOUT, _named("timeout_error", "timeout", "deadline_exceeded")),
    # HTTP statuses, as OpenRouter, vLLM and Google write them; 500 says no more than that the reply broke off.
    *((error_class, _named(status)) for status, error_class in _BY_STATUS.items()),
    (BAD_REQUEST, _named(r"4\d\d", "invalid_request_error", "invalid_argument", "invalid_prompt", "request_too_large")),
)
"""The first row that fits decides."""

_LONGEST_TEXT: Final = 4000


def classify_status(
    status: int, *, message: str = "", retry_after_s: float | None = None, passed_through: bool = False
) -> str:
    """The class of an HTTP error.

    ``message`` is best ``error_text`` of the whole body, since codes say more than sentences; ``retry_after_s`` the
    wait asked for, in headers or words. ``passed_through``: the credential was the client's own.
    """
    text = message[:_LONGEST_TEXT]
    kind = _BY_STATUS.get(status, BAD_REQUEST if 400 <= status < 500 else SERVER)
    spoken = (words.error_class for words in _WORDS if status in words.statuses and words.pattern.search(text))
    found = next(spoken, kind)
    if found == RATE and _is_quota(text, retry_after_s):
        return QUOTA
    return AUTH_CLIENT if found == AUTH and passed_through else found


def classify_inside(
    message: str, *, otherwise: str, retry_after_s: float | None = None, passed_through: bool = False
) -> str:
    """The class of an error inside a reply whose status said success; ``otherwise`` (soft, broken-start) if neither its
    words nor its codes tell. Nothing but these is there, so words count whatever status they usually come with.

    ``message`` is best ``error_text`` of the error, codes and all.
    """
    text = message[:_LONGEST_TEXT]
    found = next((error_class for error_class, pattern in _WORDS_INSIDE if pattern.search(text)), otherwise)
    if found == RATE and _is_quota(text, retry_after_s):
        return QUOTA
    return AUTH_CLIENT if found == AUTH and passed_through else found


def _is_quota(text: str, wait_s: float | None) -> bool:
    return bool(_LIKELY_SPENT.search(text)) if wait_s is None else wait_s > LONG_RESET_S


# Members of an error's JSON that say what went wrong. All others are left out: some servers repeat what they were sent.
_TELLING: Final = frozenset(
    "message msg detail error error_description code type status reason raw limit_source"
    " quotaid quota_limit retrydelay quotaresetdelay retry_after retry_after_ms resets_in_seconds resets_at"
    " x-ratelimit-reset".split()
)
_MOST_WORDS: Final = 60
_DEEPEST: Final = 8
_json: Final = msgspec.json.Decoder()


def error_text(payload: bytes) -> str:
    """What an error's body says, one ``name: value`` a line; a body that isn't JSON as it is. At most 4000 characters.

    For ``classify_status`` and ``waits.asked_wait_s``, not for people.
    """
    value = decoded(payload, _json) if payload.lstrip()[:1] in (b"{", b"[") else None
    if value is None:
        return payload[:_LONGEST_TEXT].decode("utf-8", "replace")
    lines = [line for line, _ in zip(_telling(value, 0), range(_MOST_WORDS), strict=False)]
    return "\n".join(lines)[:_LONGEST_TEXT]


def _telling(value: object, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, dict | list):
                yield from _telling(member, depth + 1)
            elif name.lower() in _TELLING and member not in (None, ""):
                yield f"{name}: {str(member)[:1000]}"
    elif isinstance(value, list):
        for member in value:
            yield from _telling(member, depth + 1)
