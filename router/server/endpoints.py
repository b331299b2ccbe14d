"""The URL table: what a path asks for, and in which wire format.

A path is a profile's base (nothing on its own port, ``/NAME`` or ``/p/NAME`` on the main listener), up to two ``v1`` or
``v1beta`` segments, which clients add or not as they please, and one of the endpoints below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from router.wire.request import Api

EndpointKind = Literal[
    "root", "generate", "count", "models", "model", "response", "other", "health", "stats", "metrics", "unknown"
]

VERSIONS = frozenset({"v1", "v1beta"})

# Endpoints that are passed on as they are, to a provider that speaks OpenAI's API.
OTHER = frozenset({"embeddings", "moderations", "images", "audio", "completions", "rerank"})

_GEMINI_METHODS: dict[str, tuple[EndpointKind, bool]] = {
    "generateContent": ("generate", False),
    "streamGenerateContent": ("generate", True),
    "countTokens": ("count", False),
}

# First segments that are never a profile's name, besides anything that begins with "_".
RESERVED = frozenset(
    {
        *VERSIONS,
        *OTHER,
        "health",
        "stats",
        "metrics",
        "models",
        "messages",
        "chat",
        "responses",
        "p",
        "ui",
        "admin",
        "api",
        "favicon.ico",
    }
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a path asks for. ``profile`` None: the listener's own or default profile.

    ``model`` and ``stream`` are Gemini's, from the URL; ``rest`` is the tail of an endpoint that is passed on
    (``images/generations``) or a response's id.
    """

    kind: EndpointKind
    api: Api | None = None
    profile: str | None = None
    model: str | None = None
    stream: bool = False
    rest: str = ""
    methods: tuple[str, ...] = ("POST",)


@lru_cache(maxsize=2048)
def resolve(path: str, *, prefixed: bool) -> Endpoint:
    """Read a raw path (without query). ``prefixed``: the main listener, where a profile's name may stand first."""
    segments = [unquote(segment) for segment in path.split("/") if segment]
    profile: str | None = None
    if prefixed and segments:
        if segments[0] == "p" and len(segments) > 1:
            profile, segments = segments[1], segments[2:]
        elif segments[0] not in RESERVED:
            profile, segments = segments[0], segments[1:]
    for _ in range(2):
        if len(segments) > 1 and segments[0] in VERSIONS:
            segments = segments[1:]
    if segments == ["metrics"] and prefixed and profile is None:
        return Endpoint("metrics", methods=("GET",))
    return _endpoint(segments, profile)


def _endpoint(segments: list[str], profile: str | None) -> Endpoint:
    match segments:
        case [] | ["v1"] | ["v1beta"]:
            return Endpoint("root", profile=profile, methods=("GET", "HEAD"))
        case ["messages"]:
            return Endpoint("generate", "anthropic-messages", profile)
        case ["messages", "count_tokens"]:
            return Endpoint("count", "anthropic-messages", profile)
        case ["chat", "completions"]:
            return Endpoint("generate", "openai-chat", profile)
        case ["responses"]:
            return Endpoint("generate", "openai-responses", profile)
        case ["responses", "input_tokens"]:
            return Endpoint("count", "openai-responses", profile)
        case ["responses", response_id]:
            return Endpoint("response", "openai-responses", profile, rest=response_id, methods=("GET", "DELETE"))
        case ["models"]:
            return Endpoint("models", profile=profile, methods=("GET",))
        case ["models", *rest]:
            model, colon, method = "/".join(rest).rpartition(":")
            if colon and method in _GEMINI_METHODS:
                kind, stream = _GEMINI_METHODS[method]
                return Endpoint(kind, "gemini", profile, model=model, stream=stream)
            return Endpoint("model", profile=profile, rest="/".join(rest), methods=("GET",))
        case ["health"]:
            return Endpoint("health", profile=profile, methods=("GET", "HEAD"))
        case ["stats"]:
            return Endpoint("stats", profile=profile, methods=("GET",))
        case [first, *_] if first in OTHER:
            return Endpoint("other", "openai-chat", profile, rest="/".join(segments))
        case _:
            return Endpoint("unknown", profile=profile)
