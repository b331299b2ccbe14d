"""What all encoders of replies have in common: neutral events in, the client's format out.

Events come in the order that ``events.py`` promises. A whole reply is written from the same events as a stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from router.wire.events import StreamEvent


@dataclass(slots=True)
class Asked:
    """What an encoder must know of the request it answers.

    ``reply_id`` is unique to the reply, made of letters and digits; ``created`` is in seconds since 1970; ``model`` is
    named in the reply, empty: the one that the provider names. ``input_estimate`` is the input in tokens as far as it
    can be known before the provider says. ``echo`` has top-level fields of the request, as raw JSON, that the format
    repeats in its replies (``Codec.echoed``). ``array``: a stream is one JSON array instead of events, as Gemini's
    clients get it without ``alt=sse``.
    """

    reply_id: str
    created: int
    model: str = ""
    input_estimate: int | None = None
    include_usage: bool = True
    include_state: bool = True
    echo: Mapping[str, bytes] = field(default_factory=dict)
    array: bool = False


class ReplyEncoder(ABC):
    """Writes one reply. Use one object for one reply, streamed or whole."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    @abstractmethod
    def encode(self, event: StreamEvent) -> bytes:
        """The bytes of a stream for one event; empty where the format has nothing to say."""

    @abstractmethod
    def whole(self, events: Iterable[StreamEvent]) -> bytes:
        """A reply that isn't streamed, from all its events. The last one is a ``MessageEnd``."""
