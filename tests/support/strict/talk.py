"""A conversation held by an official SDK: what all drivers have in common.

A driver keeps its history as its SDK's documentation says: what came back is given back as it came. ``say`` and
``give`` send a turn and return the reply as the SDK parsed it, accumulated by the SDK where it was streamed.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n not a real picture").decode()
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "size": {"type": "integer"},
        "exact": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city", "size", "exact", "tags"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class ToolSpec:
    """A tool that a client offers."""

    name: str
    description: str = "Looks things up."
    schema: Mapping[str, Any] = field(
        default_factory=lambda: {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
    )


@dataclass(frozen=True)
class Called:
    """A call as the client got it."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Given:
    """A result that the client gives."""

    text: str
    is_error: bool = False
    image: bool = False


@dataclass(frozen=True)
class Told:
    """A reply as the client's SDK parsed it. ``usage`` has ``total_input``, ``cache_read``, ``cache_write`` (``None``
    where the format has no such count), ``output`` and, where told, ``reasoning``; ``stop`` is the format's word."""

    text: str
    thinking: str
    calls: tuple[Called, ...]
    stop: str
    usage: Mapping[str, int | None]
    refusal: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str = ""

    @property
    def dropped(self) -> str:
        """What the router says was left out."""
        return self.headers.get("x-router-dropped", "")


@dataclass
class Talk(ABC):
    """One conversation. ``base`` is the address in front of the format's path, without a version."""

    api: ClassVar[str]
    base: str
    model: str
    stream: bool = False
    system: str = ""
    tools: Sequence[ToolSpec] = ()
    thinking: bool = False
    structured: bool = False
    max_tokens: int = 4096
    stops: Sequence[str] = ()
    headers: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @abstractmethod
    def __post_init__(self) -> None:
        """Make the client and an empty history."""

    async def say(self, text: str, *, image: bool = False) -> Told:
        """A user's turn."""
        return await self._send(self._user(text, image))

    async def give(self, *results: Given) -> Told:
        """The results of the last reply's calls, in their order."""
        return await self._send(self._results(results))

    @abstractmethod
    def _user(self, text: str, image: bool) -> Any:
        """A user's turn in the SDK's words."""

    @abstractmethod
    def _results(self, results: Sequence[Given]) -> Any:
        """Results in the SDK's words."""

    @abstractmethod
    async def _send(self, turn: Any) -> Told:
        """Send the history and this turn, keep both and the reply."""

    @abstractmethod
    async def close(self) -> None:
        """Close the client."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
