"""The neutral reply: a stream of events, in no format's words. The neutral request is in ``conversation.py``.

A decoder turns a provider's reply, whole or streamed, into these; an encoder writes them in the client's format. The
order is fixed, so that encoders need no cleverness (``assembly.py`` sees to it):

    MessageStart  (part PartEnd)*  UsageReport?  (MessageEnd | StreamFailed)

and a part is ``TextDelta+``, ``RefusalDelta+``, ``ThinkingDelta* SignatureDelta?`` (not both empty), or
``ToolCallStart ToolCallDelta* SignatureDelta?``. Parts never overlap. ``Citation`` may follow a text delta.
``KeepAlive`` and ``UsageReport`` may stand anywhere behind the start. Nothing follows the end.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from router.wire.conversation import OpaqueState
from router.wire.usage import Usage

Stop = Literal["end", "stop-sequence", "tool-use", "max-tokens", "context-window", "refusal", "pause"]


class MessageStart(msgspec.Struct, frozen=True):
    """The reply begins. ``id`` and ``model`` as the provider says them, empty where it doesn't."""

    id: str = ""
    model: str = ""


class TextDelta(msgspec.Struct, frozen=True):
    """Some text of the answer; never empty. ``phase`` (Responses) is the same in all deltas of one part."""

    text: str
    phase: str | None = None


class RefusalDelta(msgspec.Struct, frozen=True):
    """Some words of a refusal; never empty."""

    text: str


class Citation(msgspec.Struct, frozen=True):
    """A source of the open text part. ``url`` is empty where it is no web page; ``raw`` is the format's own object."""

    kind: str
    url: str
    title: str
    raw: dict[str, Any]


class ThinkingDelta(msgspec.Struct, frozen=True):
    """Some readable reasoning; never empty."""

    text: str


class SignatureDelta(msgspec.Struct, frozen=True):
    """The sealed form of the open part's reasoning. Opens a thinking part where none is open; at most one a part."""

    state: OpaqueState


class ToolCallStart(msgspec.Struct, frozen=True):
    """A call begins; ``id`` and ``name`` are never empty. ``custom`` calls have raw text as their input."""

    id: str
    name: str
    custom: bool = False
    namespace: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True):
    """Some of the open call's arguments: JSON text, or raw input of a custom call; never empty."""

    text: str


class PartEnd(msgspec.Struct, frozen=True):
    """The open part is finished."""


class UsageReport(msgspec.Struct, frozen=True):
    """Usage so far; a later report replaces an earlier one (they are merged already)."""

    usage: Usage


class MessageEnd(msgspec.Struct, frozen=True):
    """The answer is whole. ``sequence`` is the stop sequence that was met, ``explanation`` a refusal's reason."""

    stop: Stop
    sequence: str | None = None
    explanation: str | None = None


class StreamFailed(msgspec.Struct, frozen=True):
    """The provider told of an error, or broke off. ``code`` is a name of ``error_words.BY_CODE`` or the provider's."""

    code: str
    message: str


class KeepAlive(msgspec.Struct, frozen=True):
    """The provider is still there."""


class Opaque(msgspec.Struct, frozen=True):
    """Something of the reply that no neutral word fits (a hosted tool's block): reported, not carried over."""

    kind: str


InnerEvent = (
    TextDelta
    | RefusalDelta
    | Citation
    | ThinkingDelta
    | SignatureDelta
    | ToolCallStart
    | ToolCallDelta
    | PartEnd
    | UsageReport
    | Opaque
)
"""What stands between an answer's start and its end."""
StreamEvent = MessageStart | InnerEvent | MessageEnd | StreamFailed | KeepAlive
