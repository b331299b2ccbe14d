"""What a wire format must be able to do. One object per format, listed in ``formats.CODECS``.

Bytes in, meaning out: no codec sees a socket, a clock or a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final, Literal, Protocol

from router.wire.body import Body
from router.wire.conversation import Conversation
from router.wire.decoding import ReplyDecoder
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.loss import Losses
from router.wire.overrides import Places, as_list, render, unplaced
from router.wire.request import Api, RequestView
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits
from router.wire.usage import Usage

NO_QUIRKS: Final[Mapping[str, object]] = MappingProxyType({})

ReplyPart = Literal["text", "reasoning", "tool-call", "other"]


@dataclass(frozen=True, slots=True)
class ReplyFacts:
    """What a reply says about itself. ``usage_raw`` is the provider's usage object as received (JSON text),
    ``error_raw`` its error with all codes.

    ``parts`` names what a whole reply holds; empty text holds nothing. ``None`` where that isn't known: for streams,
    whose first content shows in ``StreamTap.committed``, for errors, and for shapes that aren't an answer.
    """

    usage: Usage | None = None
    usage_raw: str | None = None
    model: str | None = None
    response_id: str | None = None
    stop_reason: str | None = None
    error: str | None = None  # the provider's message, when the reply is an error dressed as a success
    error_raw: str | None = None
    parts: frozenset[ReplyPart] | None = None


class StreamTap(Protocol):
    """Reads a passing event stream and says which bytes may go to the client, and when.

    The bytes given out, in order, are the bytes fed in (unless the tap was told to hide the usage event). A tap never
    raises: what it can't understand it passes on, and its ``facts`` then lack usage. Its own memory is bounded: of an
    event of more than 1 MiB only the last bytes are looked at.
    """

    committed: bool  # content was seen: from here on the answer may be started
    ended: bool  # the format's own end was seen
    failed: bool  # the stream carried the format's in-band error

    @property
    def facts(self) -> ReplyFacts:
        """What the stream has said about itself so far; may be asked at any time."""

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Take bytes as they arrived; return (bytes to send now, bytes to send once the request is settled).

        The second part is not empty from the event that ends the answer on, so the caller can settle before the
        client sees the end. It may be called with further bytes afterwards; they belong to the second part.
        """

    def finish(self) -> bytes:
        """The upstream closed: bytes still held back. Then ``ended`` says whether the answer was whole."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A neutral request in one format's words: its body, the names its tools have there, headers it needs."""

    body: bytes
    tools: ToolTable
    headers: Mapping[str, str] = field(default_factory=dict)


class Codec(ABC):
    """One wire format.

    The first half serves requests that go to a provider of the same format: they are seen, and their replies tapped,
    but nothing is rewritten. The second half translates, by way of ``conversation.py`` and ``events.py``.
    """

    api: ClassVar[Api]
    model_paths: ClassVar[tuple[tuple[str, ...], ...]]
    """Where replies and their events name the model that answered, as keys from the top."""
    places: ClassVar[Places]
    """Where a rule's neutral settings stand in a body."""
    stops_in_list: ClassVar[bool] = False
    """Whether a single stop sequence must stand in a list, too."""

    @abstractmethod
    def view(self, body: Body, *, url_model: str | None = None, url_stream: bool = False) -> RequestView:
        """See a request's body; Gemini's model and streaming stand in the URL and are given beside it."""

    @abstractmethod
    def tap(self, *, hide_usage: bool = False, media_type: str = "text/event-stream") -> StreamTap:
        """A tap for one streamed reply. ``hide_usage`` withholds Chat's extra usage event.

        ``media_type`` tells Gemini's event stream from its JSON array.
        """

    @abstractmethod
    def read_reply(self, payload: bytes) -> ReplyFacts:
        """Read a whole (not streamed) reply; unknown shapes give empty facts."""

    def asks_usage(self, body: Body) -> bool:
        """Whether a streamed reply to this request will carry usage without our asking for it."""
        return True

    def with_usage_asked(self, body: Body) -> dict[str, bytes]:
        """Top-level fields to set (raw JSON values) so that the stream carries usage."""
        return {}

    def overrides(
        self, body: Body, values: Mapping[str, object], quirks: Mapping[str, object] = NO_QUIRKS
    ) -> dict[str, bytes]:
        """Top-level fields to set (raw JSON values) for a rule's ``set``: neutral names rendered, others as written.

        ``quirks`` are the provider's habits, by the names of the provider catalog.
        """
        if self.stops_in_list and "stop" in values:
            values = {**values, "stop": as_list(values["stop"])}
        return render(body, values, self.places_in(body, quirks))

    def places_in(self, body: Body, quirks: Mapping[str, object]) -> Places:
        """``places``, for formats in which they depend on what the body or the provider is used to."""
        return self.places

    def unplaced(self, values: Mapping[str, object]) -> tuple[str, ...]:
        """Neutral names among ``values`` that this format has no word for; they are left out of ``overrides``."""
        return unplaced(values, self.places)

    @abstractmethod
    def count_reply(self, tokens: int) -> bytes:
        """The answer to a request to count tokens."""

    @abstractmethod
    def error_body(self, status: int, code: str, message: str, request_id: str | None) -> bytes:
        """An error in this format's shape, for a reply that has not started."""

    @abstractmethod
    def error_event(self, code: str, message: str) -> bytes:
        """An error in this format's shape, inside a stream of events that has started."""

    # --- translation ----------------------------------------------------------------------------------------------

    field_names: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What this format's clients call a setting of ``conversation.SETTING_NAMES``, where it is called otherwise."""
    events_query: ClassVar[str] = ""
    """What the URL's query must hold for a stream to be one of events; empty: nothing. Else it is one JSON array."""
    estimates_input: ClassVar[bool] = False
    """Whether replies of this format name the input's size before the provider has said it."""
    keep_alive: ClassVar[bytes] = b""
    """What a silent stream may say without saying anything; empty where clients can't take it."""

    @abstractmethod
    def parse(self, view: RequestView, losses: Losses) -> Conversation:
        """A client's request as a neutral one. Raises ``BadRequest`` where it isn't what its format says."""

    @abstractmethod
    def render(self, conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
        """A neutral request for a target of this format. The same conversation gives the same bytes."""

    @abstractmethod
    def decoder(self, traits: Traits | None = None, tools: ToolTable | None = None) -> ReplyDecoder:
        """A decoder for one reply; without arguments one that keeps names and sealed reasoning as they are."""

    @abstractmethod
    def encoder(self, asked: Asked) -> ReplyEncoder:
        """An encoder for one reply to a client."""

    def echoed(self, body: Body) -> dict[str, bytes]:
        """Fields of a request that this format repeats in its replies, as raw JSON."""
        return {}

    def status_for(self, status: int) -> int:
        """The HTTP status that tells this format's clients what another format's provider meant."""
        return 503 if status == 529 else status

    def read_count(self, payload: bytes) -> int | None:
        """The tokens in a provider's answer to a request to count them."""
        return None

    def count_request(self, rendered: bytes) -> bytes:
        """A rendered request as one to count its tokens."""
        return rendered

    def without_foreign(self, body: Body, traits: Traits) -> dict[str, bytes]:
        """Top-level fields to set (raw JSON) so that a request which is passed on holds nothing that the router put
        into an earlier reply of another provider: sealed reasoning under our tag, ids of our own making.

        What the target itself once sealed is unwrapped again.
        """
        return {}
