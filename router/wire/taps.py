"""What all stream taps have in common: bytes pass, events are looked at, the end is held apart.

A tap stands between the provider's bytes and the client. Nearly every chunk is an ordinary delta: a format names the
few words that can only stand in events worth reading (``_passes``), and a chunk of whole events without them passes
without being taken apart. Only the rest goes through the ``SseDecoder``, and of those only events that carry usage,
names, stop reasons, errors or the end are decoded as JSON. The formats' files hold one ``EventTap`` each.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Final, TypeVar

import msgspec

from router.wire.codec import ReplyFacts
from router.wire.sse import SseDecoder, SseEvent
from router.wire.usage import Usage, merge

T = TypeVar("T")

LONGEST_USAGE: Final = 1 << 14
"""Characters of a usage object that is still completed; real ones have some hundred."""

_first_value = json.JSONDecoder(strict=False).raw_decode

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_reports = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)  # Decimal: an amount keeps the digits it came with


class Pass(Enum):
    """What becomes of an event's bytes."""

    ON = auto()
    HIDE = auto()  # the client never sees it
    LAST = auto()  # the client sees it once the request is settled, and all that follows it
    HOLD = auto()  # it may be the last one: kept until the next event or the end shows it


class EventTap(ABC):
    """A ``StreamTap`` for formats that stream events. Subclasses read single events."""

    def __init__(self) -> None:
        self.committed = False
        self.ended = False
        self.failed = False
        self._facts = ReplyFacts()
        self._decoder = SseDecoder()
        self._unsent = bytearray()
        self._sent = 0  # bytes of the stream already given out or hidden
        self._holding = False

    @property
    def facts(self) -> ReplyFacts:
        """See ``StreamTap.facts``."""
        return self._facts

    # What a format says about its events.

    @abstractmethod
    def _passes(self, chunk: bytes) -> bool:
        """Whether these whole events hold nothing to read now. May be wrong only by saying no."""

    @abstractmethod
    def _read(self, event: SseEvent) -> Pass:
        """Take facts from an event."""

    def _read_tail(self, event: SseEvent) -> Pass:
        """Take facts from the last bytes of an event that was too large to keep."""
        return Pass.ON

    def _closed(self) -> None:  # noqa: B027 - most formats have nothing to do
        """The upstream closed without an end marker; set ``ended`` where the format allows that."""

    # The tap itself.

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """See ``StreamTap.feed``."""
        if self.ended:
            return b"", chunk
        decoder = self._decoder
        if (
            self.committed
            and not self._unsent
            and not decoder.pending
            and chunk.endswith((b"\n\n", b"\r\n\r\n"))
            and self._passes(chunk)
        ):
            decoder.skip(len(chunk))
            self._sent += len(chunk)
            return chunk, b""
        self._unsent += chunk
        now = bytearray()
        for event in decoder.feed(chunk):
            passing = self._read_tail(event) if event.oversized else self._read(event)
            self._holding = passing is Pass.HOLD
            if passing is Pass.ON:
                continue
            self._release(now, event.start)
            if passing is Pass.LAST:
                self.ended = True
                return bytes(now), self._rest()
            if passing is Pass.HIDE:
                self._drop(event.end)
        if not self._holding or decoder.oversized:
            self._release_whole(now)
        return bytes(now), b""

    def finish(self) -> bytes:
        """See ``StreamTap.finish``."""
        if not self.ended:
            for event in self._decoder.finish():
                passing = self._read_tail(event) if event.oversized else self._read(event)
                if passing is Pass.HIDE:
                    self._drop(event.end)
                elif passing is Pass.LAST:
                    self.ended = True
            if not self.ended:
                self._closed()
        return self._rest()

    def _release_whole(self, now: bytearray) -> None:
        """Pass on all finished events, and of an unfinished one nothing: no client can use a part of an event, and what
        is said after it (that the stream broke off) would run into it. Only one too large to be kept is passed as it
        comes."""
        decoder = self._decoder
        unfinished = 0 if decoder.oversized else len(decoder.pending)
        self._release(now, self._sent + len(self._unsent) - unfinished)

    def _release(self, now: bytearray, position: int) -> None:
        count = position - self._sent
        if count > 0:
            now += self._unsent[:count]
            del self._unsent[:count]
            self._sent = position

    def _drop(self, position: int) -> None:
        count = position - self._sent
        if count > 0:
            del self._unsent[:count]
            self._sent = position

    def _rest(self) -> bytes:
        rest = bytes(self._unsent)
        self._unsent.clear()
        self._sent += len(rest)
        return rest

    # Facts.

    def _note(self, **changes: object) -> None:
        """Add to the facts; ``None`` and empty text never replace something known."""
        known = {name: value for name, value in changes.items() if value is not None and value != ""}
        if known:
            self._facts = replace(self._facts, **known)  # type: ignore[arg-type]  # names are checked by replace()

    def _note_usage(self, raw: msgspec.Raw, read: Callable[[dict[str, Any]], Usage], *, keep: bool = False) -> bool:
        """Take a usage object; whether it is one.

        What it doesn't report keeps the value of an earlier report of this stream. With ``keep`` the text kept for the
        record is completed from earlier reports in the same way.
        """
        report = usage_report(raw)
        if report is None:
            return False
        text = bytes(raw).decode(errors="replace")
        if keep and 0 < len(self._facts.usage_raw or "") < LONGEST_USAGE:
            text = _completed(self._facts.usage_raw or "", raw)
        self._facts = replace(self._facts, usage=merge(self._facts.usage, read(report)), usage_raw=text)
        return True


def usage_report(raw: msgspec.Raw | bytes) -> dict[str, Any] | None:
    """A usage object as the readers in ``usage.py`` want it; ``None`` for anything else."""
    return decoded(raw, _reports)


def decoded(raw: msgspec.Raw | bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """What the decoder makes of it, ``None`` if it can't: replies are read on the side and never judged.

    Some servers cut a character in two between two events; each half then reads as U+FFFD, and the rest is kept.
    """
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = bytes(raw)
        if (whole := _of_whole_characters(text)) == text:
            return None
    except RecursionError:
        return None
    try:
        return decoder.decode(whole)
    except (msgspec.DecodeError, RecursionError):
        return None


_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def _of_whole_characters(raw: bytes) -> bytes:
    if not raw.isascii():
        raw = raw.decode(errors="replace").encode()
    if b"\\ud" in raw or b"\\uD" in raw:
        raw = _ESCAPES.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], raw)
    return raw


def object_in_tail(tail: bytes, name: str) -> msgspec.Raw | None:
    """The last object called ``name`` in the closing bytes of a JSON text whose beginning is lost."""
    for place in reversed(list(re.finditer(rb'"%b"\s*:\s*(?=\{)' % re.escape(name.encode()), tail))):
        text = tail[place.end() :].decode("latin-1")
        try:
            _, length = _first_value(text)
        except (ValueError, RecursionError):
            continue
        return msgspec.Raw(text[:length].encode("latin-1"))
    return None


def _completed(earlier: str, raw: msgspec.Raw) -> str:
    fields = decoded(earlier.encode(), _members) or {}
    later = decoded(raw, _members) or {}
    fields.update({name: value for name, value in later.items() if bytes(value) != b"null"})
    return msgspec.json.encode(fields).decode(errors="replace")


_ERROR_FIELDS = ("message", "detail", "error", "type", "code")


def error_message(error: object) -> str | None:
    """The message of an in-band error, in whatever shape it came; ``None`` if there is no error."""
    if error is None or error is False or error == "" or error == {}:
        return None
    if isinstance(error, Mapping):
        text = next((text for name in _ERROR_FIELDS if (text := text_or_none(error.get(name)))), None)
        metadata = error.get("metadata")
        cause = text_or_none(metadata.get("raw")) if isinstance(metadata, Mapping) else None
        if text is not None:
            return f"{text}: {cause[:500]}" if cause else text  # OpenRouter's own message says nothing
    return error if isinstance(error, str) else "error without a message"


def error_raw(error: object) -> str | None:
    """An in-band error as JSON text; ``None`` if there is none, or too deep a one."""
    try:
        return None if error is None else msgspec.json.encode(error).decode()
    except RecursionError:
        return None


def text_or_none(value: object) -> str | None:
    """The value if it is text with something in it."""
    return value if isinstance(value, str) and value else None
