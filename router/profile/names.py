"""What a profile may be called: a name is a path segment of URLs and a folder's name."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
RESERVED = frozenset(
    {
        "v1", "v1beta", "health", "stats", "metrics", "models", "messages", "chat", "responses", "p", "ui", "admin",
        "api", "favicon.ico", "embeddings", "moderations", "images", "audio", "completions", "rerank",
    }
)  # fmt: skip
"""First segments of paths that mean something else."""


def name_problem(name: str) -> str | None:
    """Why a profile can't have this name; None if it can."""
    if name in RESERVED:
        return f'a profile can\'t be called "{name}": that is a path of the server itself'
    if not _NAME.fullmatch(name):
        return (
            "a profile's name has lower-case letters, digits and -, begins with a letter or digit, and has at most "
            "63 characters"
        )
    return None
