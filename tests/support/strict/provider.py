"""A strict provider on a socket: checks a request, then says what the scenario has for it, or refuses it with 400."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.provider import SSE, End, FakeProvider, Received, Send, Status, Step, whole
from tests.support.strict.scenario import Fail, Heard, Listener, Say, Truth, answer


@dataclass
class Asked:
    """One request that was accepted, and what is said to it."""

    body: dict[str, Any]
    model: str
    heard: Heard
    say: Say
    truth: Truth
    noisy: bool


@dataclass
class Exchange:
    """What happened to one request. ``violation`` is what was wrong with it."""

    request: Received
    body: dict[str, Any]
    model: str
    streamed: bool
    violation: str | None = None
    asked: Asked | None = None
    failed: int | None = None
    events: list[bytes] = field(default_factory=list)

    @property
    def heard(self) -> Heard:
        assert self.asked is not None, self.violation
        return self.asked.heard

    @property
    def truth(self) -> Truth:
        assert self.asked is not None, self.violation
        return self.asked.truth


class StrictApi(ABC):
    """One wire format, as its strictest provider speaks it. ``maker`` signs what is sealed."""

    maker: str
    writes_cache = False
    """Whether usage tells of cache writes."""

    def normal(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body in the one spelling that the rules are written for."""
        return body

    def model(self, request: Received, body: dict[str, Any]) -> str:
        """The model asked for."""
        return str(body.get("model", ""))

    def streams(self, request: Received, body: dict[str, Any]) -> bool:
        """Whether a stream is asked for."""
        return bool(body.get("stream"))

    @abstractmethod
    def check(self, request: Received, body: dict[str, Any]) -> None:
        """Raise AssertionError with the real API's words if it would refuse this."""

    @abstractmethod
    def listen(self, body: dict[str, Any], listener: Listener) -> None:
        """Read an accepted request."""

    @abstractmethod
    def whole(self, asked: Asked) -> dict[str, Any]:
        """The answer as one object."""

    @abstractmethod
    def events(self, asked: Asked) -> list[bytes]:
        """The answer as a stream, one event an element (comments and pings are elements of their own)."""

    @abstractmethod
    def failure(self, status: int, message: str) -> dict[str, Any]:
        """An error reply."""

    @abstractmethod
    def late_failure(self, asked: Asked) -> list[bytes]:
        """Events that tell of an overload inside a stream."""


class StrictProvider(FakeProvider):
    """``default`` are the script's words for requests that have none of their own. ``play`` may send a stream in
    another way than whole; ``turned`` streams what wasn't to be streamed, and the reverse."""

    def __init__(self, api: StrictApi, *, noisy: bool = True, default: Iterable[str] = ()) -> None:
        super().__init__(self.serve)
        self.api = api
        self.noisy = noisy
        self.default = frozenset(default)
        self.exchanges: list[Exchange] = []
        self.play: Callable[[list[bytes]], Iterable[Step]] = played
        self.turned = False

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]

    @property
    def violations(self) -> list[str]:
        return [exchange.violation for exchange in self.exchanges if exchange.violation is not None]

    def serve(self, request: Received) -> Iterable[Step]:
        """Check, decide, answer."""
        api = self.api
        body = api.normal(json.loads(request.body))
        exchange = Exchange(request, body, api.model(request, body), api.streams(request, body))
        self.exchanges.append(exchange)
        try:
            api.check(request, body)
        except AssertionError as error:
            exchange.violation = str(error)
            return whole(api.failure(400, exchange.violation), status=400)
        listener = Listener(self.default)
        api.listen(body, listener)
        heard = listener.heard()
        say = answer(heard)
        if isinstance(say, Fail):
            exchange.failed = say.status
            return whole(api.failure(say.status, say.message), status=say.status)
        asked = exchange.asked = Asked(
            body, exchange.model, heard, say, say.truth(len(request.body), writes=api.writes_cache), self.noisy
        )
        if exchange.streamed == self.turned:
            return whole(api.whole(asked))
        exchange.events = [*api.events(asked)]
        if say.late_failure:
            exchange.events = [*exchange.events[: len(exchange.events) // 2], *api.late_failure(asked)]
        return self.play(exchange.events)


def played(events: list[bytes]) -> list[Step]:
    """A stream that is sent to its end."""
    return [Status(200, SSE), *map(Send, events), End()]


def sse(data: object, event: str = "") -> bytes:
    """One event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
