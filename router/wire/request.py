"""Reading a client's request, whatever its wire format.

Rules look at what a request *is*. Each format's file answers the same questions about its own body through a
``RequestView``, from the bytes as the client sent them: nothing is translated, so nothing is lost before a rule
has seen it. Everything is lazy; an answer costs something only when it is asked for.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple, TypeVar

import msgspec

from router.errors import BadRequest
from router.wire.body import Body, decode

if TYPE_CHECKING:
    from router.wire.piece_memory import PieceMemory

Api = Literal["anthropic-messages", "openai-chat", "openai-responses", "gemini"]
Role = Literal["system", "user", "assistant"]
PieceKind = Literal["system", "tools", "message"]
TextScope = Literal["latest", "system", "any"]
Lifetime = Literal["", "5m", "1h"]
"""How long a request asks to have its prompt kept for the next one; empty where it doesn't ask."""


NOT_THINKING: Final = ("none", "minimal")
"""Effort words that switch reasoning off, or as good as off."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the client offers. ``hosted`` tools run at the provider (web search, code execution, …)."""

    name: str
    kind: Literal["function", "web-search", "hosted"] = "function"


@dataclass(frozen=True, slots=True)
class Thinking:
    """Whether thinking is on, and how much: an explicit budget in tokens, or an effort word."""

    on: bool = False
    budget: int | None = None
    effort: str | None = None


class ImageSize(NamedTuple):
    """Pixels; an image whose size can't be known without fetching it is ``None`` where sizes are listed."""

    width: int
    height: int


class Piece(NamedTuple):
    """A stretch of the request whose meaning is cached by its bytes: the system prompt, the tools, one message."""

    kind: PieceKind
    raw: bytes


@dataclass(frozen=True, slots=True)
class PieceContent:
    """What a piece holds, read once.

    ``role`` is the speaker (``system`` covers developer messages; a tool's result is ``user``). ``human_text`` is what
    a person typed: no tool results, no ``<system-reminder>`` spans. ``texts`` is everything a model reads as text:
    human and other text, thinking, tool calls with their arguments, tool results, tool definitions (name, description,
    compact schema). ``document_pages`` has an estimated page count per document that isn't plain text.
    """

    role: Role
    human_text: str = ""
    tool_result: bool = False
    texts: tuple[str, ...] = ()
    images: tuple[ImageSize | None, ...] = ()
    document_pages: tuple[int, ...] = ()
    tool_calls: int = 0


T = TypeVar("T")

_LONG: Final = re.compile(rb'"ttl"\s*:\s*"1h"')

MAX_NAME: Final = 2000
"""Characters of a model's name, which stands in headers and logs; the longest real ones are addresses of resources."""
MAX_ELEMENTS: Final = 50_000
"""Messages, input items or tools: the longest sessions have a few thousand."""


def kept_for(raw: bytes) -> Lifetime:
    """How long a part of a request asks to have the prompt kept up to there, by Anthropic's marks, which other formats'
    clients send to those who read them, too."""
    return "" if b'"cache_control"' not in raw else "1h" if _LONG.search(raw) else "5m"


class RequestView(ABC):
    """One request seen through its wire format.

    Raises ``BadRequest`` where a field that is asked for has the wrong type. Malformed *parts of the conversation*
    are never an error here: unknown blocks count as text of their JSON, since the provider is the judge of them.
    """

    api: ClassVar[Api]

    def __init__(self, body: Body) -> None:
        self.body = body
        self.memory: PieceMemory | None = None  # of earlier requests, whose pieces may be used again
        self._pieces: list[Piece] | None = None

    @property
    def model(self) -> str:
        """The requested model name (Gemini: from the URL)."""
        return self._text("model")

    @property
    def stream(self) -> bool:
        """Whether the client asked for a stream (Gemini: in the URL)."""
        return self._flag("stream")

    @property
    @abstractmethod
    def max_tokens(self) -> int | None:
        """The output limit the client asked for."""

    @property
    @abstractmethod
    def thinking(self) -> Thinking:
        """Thinking as the client asked for it (``disabled``, ``none`` and ``minimal`` are not on)."""

    @property
    @abstractmethod
    def tool_count(self) -> int:
        """Number of tools offered; cheaper than ``len(tools)``."""

    @property
    @abstractmethod
    def tools(self) -> tuple[Tool, ...]:
        """The tools offered, namespaces flattened."""

    @property
    @abstractmethod
    def forced_tool(self) -> str | None:
        """The one tool the model must call, by name; for a forced hosted tool its type."""

    @property
    def has_system_prompt(self) -> bool:
        """Whether a system prompt with text is present (leading system or developer messages count)."""
        return bool(self.system_text.strip())

    @property
    @abstractmethod
    def system_text(self) -> str:
        """The system prompt's text, blocks joined by blank lines."""

    def pieces(self) -> list[Piece]:
        """System, tools, then one piece a message or input item, in order; raw bytes, nothing decoded deeper.

        For Chat, leading system messages are ``message`` pieces with role system. A missing part has no piece.
        """
        if self._pieces is None:
            self._pieces = self._cut()
        return self._pieces

    @abstractmethod
    def _cut(self) -> list[Piece]:
        """Cut the body into its pieces."""

    @abstractmethod
    def read(self, piece: Piece) -> PieceContent:
        """Decode one piece."""

    # For the formats' files: top-level fields with the one type they may have.

    def _text(self, name: str) -> str:
        value = self.body.get(name)
        if value is None:
            raise BadRequest(f"the field '{name}' is missing")
        if not isinstance(value, str):
            raise BadRequest(f"the field '{name}' must be a string")
        if len(value) > MAX_NAME:
            raise BadRequest(f"the field '{name}' is too long")
        return value

    def _flag(self, name: str) -> bool:
        value = self.body.get(name)
        if value is not None and not isinstance(value, bool):
            raise BadRequest(f"the field '{name}' must be true or false")
        return bool(value)

    def _whole(self, name: str) -> int | None:
        value = self.body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value != int(value)):
            raise BadRequest(f"the field '{name}' must be a whole number")
        return None if value is None else int(value)

    def _piece(self, kind: PieceKind, raw: bytes) -> Piece:
        return Piece(kind, raw) if self.memory is None else self.memory.single(kind, raw)

    def _messages(self, name: str) -> list[Piece]:
        """The elements of a list as message pieces; none if the field is absent or null."""
        raw = self.body.raw_field(name)
        if self.memory is None or raw is None or not raw.startswith(b"["):
            return [Piece("message", bytes(item)) for item in self._items(name)]
        try:
            return self.memory.messages(self.api, raw)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadRequest(f"the field '{name}' must be a list") from error

    def _items(self, name: str) -> list[msgspec.Raw]:
        """The elements of a list, nothing decoded deeper; none if the field is absent or null."""
        raw = self.body.raw_field(name)
        if raw is None or raw == b"null":
            return []
        return bounded(decode(raw, list[msgspec.Raw], f"the field '{name}' must be a list"))


def bounded(items: list[T]) -> list[T]:
    """The same; ``BadRequest`` if they are too many to look at each."""
    if len(items) > MAX_ELEMENTS:
        raise BadRequest(f"the request body has a list of more than {MAX_ELEMENTS} elements")
    return items
