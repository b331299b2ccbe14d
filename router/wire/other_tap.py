"""The event streams of OpenAI's other endpoints: images as they sharpen, speech, transcripts, legacy completions.

They share no shape. Each event is content; usage and errors are read where an event has them; the end is ``[DONE]``, an
event whose type says that it is done, or a regular end of the reply.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.sse import SseEvent
from router.wire.taps import EventTap, Pass, decoded, error_message, object_in_tail, text_or_none
from router.wire.usage import from_openai


class _Event(msgspec.Struct):
    type: Any = None
    model: Any = None
    error: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_events = msgspec.json.Decoder(_Event)

_DONE: Final = (".done", ".completed")
_DONE_WORDS: Final = tuple(word.encode() for word in (*_DONE, "[DONE]"))


class OtherTap(EventTap):
    """``speech.audio.done``, ``image_generation.completed`` and their like may be followed by others of their kind, so
    each is held until the next event, or the end, shows which was the last."""

    def _passes(self, chunk: bytes) -> bool:
        return not any(word in chunk for word in (*_DONE_WORDS, b'"usage"', b'"error"'))

    def _marks_end(self, part: bytearray, start: int) -> bool:
        return any(part.find(word, start) >= 0 for word in _DONE_WORDS)

    def _read(self, event: SseEvent) -> Pass:
        self.committed = True
        if event.data.strip() == b"[DONE]":
            return Pass.LAST
        seen = decoded(event.data, _events)
        if seen is None:
            return Pass.ON
        self._note(model=text_or_none(seen.model))
        self._note_usage(seen.usage, from_openai)
        if (error := error_message(seen.error)) is not None:
            self.failed = True
            self._note(error=error)
        return Pass.HOLD if isinstance(seen.type, str) and seen.type.endswith(_DONE) else Pass.ON

    def _read_tail(self, event: SseEvent) -> Pass:
        """An event with a large picture; its type stands before that and can't be seen any more."""
        self.committed = True
        if (raw := object_in_tail(event.data, "usage")) is not None:
            self._note_usage(raw, from_openai)
        return Pass.ON

    def _closed(self) -> None:
        self.ended = not self.failed
