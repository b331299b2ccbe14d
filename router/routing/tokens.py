"""Estimated input tokens of a request: bounds first, then what is cached, then counting, only until it is decided.

A request is taken apart into its pieces: the system prompt, the tools, each message. What a piece amounts to is kept
under a hash of its bytes, so a growing conversation costs only its new messages. A threshold is mostly decided without
counting, since text has at most as many tokens as UTF-8 bytes; where it isn't, pieces are counted one by one until
the sum is clear of it.

The estimate is in o200k_base whatever the target (see ``encoding``); ``families`` says what another family of models
would make of it, for context windows and prices.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.routing.encoding import count, encoding_loaded, parts
from router.routing.facts import CountNeeded
from router.routing.families import Makeup, family_estimate, family_of
from router.routing.images import document_tokens, image_tokens
from router.routing.memory import Memory
from router.wire.request import Api, Lifetime, Piece, RequestView, Role, Tool, kept_for

REQUEST_TOKENS: Final = 3
"""What every request costs beside its pieces."""
MESSAGE_TOKENS: Final = 4
"""What a message, or the system prompt, costs beside its text: its role and its ends."""
TOOL_TOKENS: Final = 8
"""What a tool costs beside name, description and schema. Smaller than its JSON, so that bytes stay a bound."""

LOOP_BYTES: Final = 24_000
"""Text that may be counted where others wait for it: about 1.5 ms."""

_FURTHER_TOOLS: Final = ("web_search_options", "plugins")  # Chat's ways of offering a tool outside its lists

CACHE_PIECES: Final = 50_000
"""Pieces remembered: 10 to 15 MB, some 250 long conversations."""

_MEDIA_MARKS: Final[Mapping[Api, tuple[bytes, ...]]] = {
    "anthropic-messages": (b'"image"', b'"document"'),
    "openai-chat": (b'"image_url"', b'"file"', b'"document_url"'),
    "openai-responses": (b'"input_image"', b'"input_file"'),
    "gemini": (b'"inlineData"', b'"inline_data"', b'"fileData"', b'"file_data"'),
}
"""What a request holds somewhere if it holds an image or a document; without any its length bounds its tokens."""

_KEY_BYTES: Final = len('"tools":')  # of JSON around a system prompt or the tools that isn't in their pieces


@dataclass(slots=True, eq=False)
class PieceSummary:
    """What a piece amounts to; none of its text. ``at_least`` and ``at_most`` bound its tokens, equal once counted."""

    role: Role
    human: bool  # a person's words are in it
    tool_result: bool
    images: int
    documents: int
    tool_calls: int
    kept: Lifetime  # how long it asks to have the prompt kept up to there
    media: int  # tokens of images and documents
    fixed: int  # tokens of all that isn't text, media and overhead
    limit: int  # what the piece counts for at most, whatever its texts come to
    at_least: int
    at_most: int

    @property
    def tokens(self) -> int | None:
        """Its tokens, once counted."""
        return self.at_least if self.at_least == self.at_most else None

    @property
    def byte_bound(self) -> int:
        """More tokens than this it can't have."""
        return self.at_most


class PieceSummaries:
    """Summaries of the pieces seen lately, by their bytes' hash. May be used from several threads."""

    def __init__(self, limit: int = CACHE_PIECES) -> None:
        self._summaries: Memory[tuple[str, str, int, int], PieceSummary] = Memory(limit)
        self._tools: Memory[Hashable, tuple[Tool, ...]] = Memory(limit // 50)
        self.conversations: Memory[Hashable, str] = Memory(limit // 10)  # by their first pieces: see facts

    def __len__(self) -> int:
        return len(self._summaries)

    def summary(self, view: RequestView, piece: Piece) -> PieceSummary:
        """The piece's summary, read now unless its bytes are known."""
        raw = piece.raw
        return self._summaries.get((piece.kind, view.api, len(raw), hash(raw)), lambda: _summarise(view, piece))

    def tools(self, view: RequestView) -> tuple[Tool, ...]:
        """The tools offered, read now unless the same ones were offered before."""
        body = view.body
        offered = (hash(piece.raw) for piece in view.pieces() if piece.kind == "tools")
        key = (view.api, *(body.raw_field(name) for name in _FURTHER_TOOLS), *offered)
        return self._tools.get(key, lambda: view.tools)

    def tokens(self, view: RequestView, may_count: bool = True, summaries: Sequence[PieceSummary] | None = None) -> int:
        """Estimated input tokens of the request, counted to the end. ``summaries`` are its pieces', if at hand.

        Raises ``CountNeeded`` as ``reaches`` does.
        """
        pieces = view.pieces()
        if summaries is None:
            summaries = [self.summary(view, piece) for piece in pieces]
        low = sum([summary.at_least for summary in summaries])
        uncounted = sum([summary.at_most for summary in summaries]) - low
        if not uncounted:
            return REQUEST_TOKENS + low
        if not may_count and (uncounted > LOOP_BYTES or not encoding_loaded()):
            raise CountNeeded
        for piece, summary in zip(pieces, summaries, strict=True):
            _count_piece(view, piece, summary)
        return REQUEST_TOKENS + sum(summary.at_least for summary in summaries)

    def makeup(self, view: RequestView) -> Makeup:
        """What the request consists of, counted to the end."""
        self.tokens(view)
        pieces = view.pieces()
        summaries = [self.summary(view, piece) for piece in pieces]
        return Makeup(
            text=sum(summary.at_least - summary.fixed for summary in summaries),
            media=sum(summary.media for summary in summaries),
            messages=sum(piece.kind != "tools" for piece in pieces),
            tools=view.tool_count,
            budgeted_thinking=view.thinking.on and view.thinking.budget is not None,
        )

    def estimate_for(self, view: RequestView, family: str, model: str = "") -> int:
        """Estimated input tokens at a model of this family (see ``families``), counted to the end."""
        return family_estimate(self.makeup(view), family_of(family, model))

    def reaches(self, view: RequestView, threshold: int, may_count: bool) -> bool:
        """Whether the estimate is at least ``threshold``, at the least cost.

        Raises ``CountNeeded`` where more than ``LOOP_BYTES`` are undecided, or the encoding isn't loaded yet, and
        ``may_count`` is false.
        """
        raw = view.body.raw
        if len(raw) + REQUEST_TOKENS < threshold and not any(mark in raw for mark in _MEDIA_MARKS[view.api]):
            return False
        low = high = REQUEST_TOKENS
        undecided: list[tuple[int, int, Piece, PieceSummary]] = []
        for piece in view.pieces():
            summary = self.summary(view, piece)
            at_least, at_most = summary.at_least, summary.at_most
            low += at_least
            high += at_most
            if at_least != at_most:
                undecided.append((at_least, at_most, piece, summary))
        if low >= threshold or high < threshold:
            return low >= threshold
        if not may_count and (high - low > LOOP_BYTES or not encoding_loaded()):
            raise CountNeeded
        # The largest first: they decide soonest.
        for at_least, at_most, piece, summary in sorted(undecided, key=lambda item: item[0] - item[1]):
            _count_piece(view, piece, summary, enough=threshold - low + at_least)
            low += summary.at_least - at_least
            high += summary.at_most - at_most
            if low >= threshold or high < threshold:
                break
        return low >= threshold


def _summarise(view: RequestView, piece: Piece) -> PieceSummary:
    content = view.read(piece)
    overhead = TOOL_TOKENS * view.tool_count if piece.kind == "tools" else MESSAGE_TOKENS
    media = sum(map(image_tokens, content.images)) + sum(map(document_tokens, content.document_pages))
    text_bytes = sum(map(_utf8_length, content.texts))
    # A piece never counts for more than its own bytes, pictures and pages aside: so a body's length is a bound too.
    room = len(piece.raw) + (0 if piece.kind == "message" else _KEY_BYTES)
    fixed = media + min(overhead, max(0, room - text_bytes))
    limit = media + room
    return PieceSummary(
        role=content.role,
        human=bool(content.human_text.strip()),
        tool_result=content.tool_result,
        images=len(content.images),
        documents=len(content.document_pages),
        tool_calls=content.tool_calls,
        kept=kept_for(piece.raw),
        media=media,
        fixed=fixed,
        limit=limit,
        at_least=fixed,
        at_most=min(limit, fixed + text_bytes),
    )


def _count_piece(view: RequestView, piece: Piece, summary: PieceSummary, enough: int | None = None) -> None:
    """Count a piece's text into its summary; stop early once ``at_least`` is ``enough`` (the bounds are then closer).

    What was counted before an early stop is counted again when more is asked for, which is rare: the same threshold is
    decided by the bounds from then on.
    """
    if summary.tokens is not None:
        return
    texts = view.read(piece).texts
    low = summary.fixed
    high = summary.fixed + sum(map(_utf8_length, texts))
    for text in texts:
        for part in parts(text):
            tokens = count(part)
            low += tokens
            high += tokens - _utf8_length(part)
            if enough is not None and low >= enough and low < high:
                summary.at_least = max(summary.at_least, min(low, summary.limit))
                summary.at_most = min(summary.at_most, high)
                return
    summary.at_least = summary.at_most = min(low, summary.limit)


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
