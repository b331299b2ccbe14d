"""Tokens of the built-in provider, and its prompt cache.

A token here is a word or a single punctuation mark: nobody's tokenizer, but the same text has the same count always,
and a person can check it. An image is 85 tokens, a page of a document 200. The cache knows every beginning of a
conversation that was sent before, so a repeated beginning is read from it, as at the real providers.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from router.wire.request import Api, Piece, PieceContent, RequestView

IMAGE_TOKENS: Final = 85
PAGE_TOKENS: Final = 200
LEAST_IMPLICIT: Final = 32  # tokens; a shorter beginning isn't cached unasked. Real providers begin at 1,024 or more
REMEMBERED: Final = 4096

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_MARK: Final = re.compile(rb'"cache_control"\s*:\s*\{([^{}]*)\}')
_HOUR: Final = re.compile(rb'"ttl"\s*:\s*"1h"')


def count_tokens(text: str) -> int:
    """Words and punctuation marks."""
    return sum(1 for _ in _TOKEN.finditer(text))


def cut_tokens(text: str, most: int) -> str:
    """The text up to its ``most``-th token."""
    end = 0
    for number, token in enumerate(_TOKEN.finditer(text)):
        if number == most:
            return text[:end]
        end = token.end()
    return text


@dataclass(frozen=True, slots=True)
class Part:
    """The system prompt, the tools or one message, with what the cache needs to know of it."""

    content: PieceContent
    tokens: int
    marked: bool = False  # a cache breakpoint stands in it (Messages)
    for_an_hour: bool = False


def parts_of(view: RequestView) -> list[Part]:
    """A request's parts in order. A cache mark at the top level of a Messages body marks the last one."""
    parts = [_part(piece, view.read(piece)) for piece in view.pieces()]
    top = view.body.raw_field("cache_control") if view.api == "anthropic-messages" else None
    if parts and top is not None and top.startswith(b"{"):
        parts[-1] = Part(parts[-1].content, parts[-1].tokens, True, _HOUR.search(top) is not None)
    return parts


def _part(piece: Piece, content: PieceContent) -> Part:
    tokens = sum(map(count_tokens, content.texts))
    tokens += IMAGE_TOKENS * len(content.images) + PAGE_TOKENS * sum(content.document_pages)
    # Inside a JSON string the quotes would be escaped, so this is never somebody's text.
    marks = [mark[1] for mark in _MARK.finditer(piece.raw)]
    return Part(content, tokens, bool(marks), any(_HOUR.search(mark) for mark in marks))


@dataclass(frozen=True, slots=True)
class InputTokens:
    """What was read: fresh, from the cache, and written to it for 5 minutes or for an hour. Nothing overlaps."""

    fresh: int
    cached: int = 0
    written: int = 0
    written_1h: int = 0

    @property
    def total(self) -> int:
        return self.fresh + self.cached + self.written + self.written_1h


class PromptCache:
    """Beginnings of conversations, by format and model; the oldest are forgotten."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def take(self, api: Api, model: str, parts: Sequence[Part]) -> InputTokens:
        """Count a request's input and remember its beginnings.

        Messages caches up to its last breakpoint and says what was written; the other formats cache on their own and
        only say what was read.
        """
        explicit = api == "anthropic-messages"
        marked = [number for number, part in enumerate(parts, 1) if part.marked]
        most = (marked[-1] if marked else 0) if explicit else len(parts)
        keys = _beginnings(f"{api} {model}", parts[:most])
        sums = [0, *accumulate(part.tokens for part in parts)]
        read = max((number for number, key in enumerate(keys, 1) if key in self._seen), default=0)
        if not explicit and sums[read] < LEAST_IMPLICIT:
            read = 0
        self._remember(keys)
        written = sums[most] - sums[read] if explicit else 0
        hour = any(part.for_an_hour for part in parts[:most])
        return InputTokens(
            fresh=sums[-1] - sums[read] - written,
            cached=sums[read],
            written=0 if hour else written,
            written_1h=written if hour else 0,
        )

    def _remember(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


def _beginnings(start: str, parts: Sequence[Part]) -> list[bytes]:
    """A digest of each beginning. By meaning, not by bytes: a cache mark may move from message to message."""
    digest = hashlib.blake2b(start.encode(), digest_size=16)
    keys: list[bytes] = []
    for part in parts:
        content = part.content
        digest.update(
            repr((content.role, content.texts, content.images, content.document_pages)).encode("utf-8", "replace")
        )
        keys.append(digest.copy().digest())
    return keys
