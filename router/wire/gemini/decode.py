"""A Gemini reply, whole or streamed, as neutral events. Each event of a stream is a whole response with what is new.

There is no end marker: a finish reason was said and the stream ends. A signature stands on a call, or on a text, or
alone behind the last text; the latter two become reasoning without words, since a text has nothing sealed elsewhere.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.decoding import ReplyDecoder
from router.wire.events import Citation, Stop
from router.wire.gemini.checked import is_null
from router.wire.gemini.partial_args import PartialArgs
from router.wire.opaque import invented_id
from router.wire.pieces import blocks_of, fields_of
from router.wire.sse import SseEvent
from router.wire.taps import decoded, error_message, text_or_none, usage_report
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits
from router.wire.usage import Usage, from_gemini

STOPS: Final[dict[str, Stop]] = {
    "STOP": "end",
    "MAX_TOKENS": "max-tokens",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
}
"""What a finish reason means; others are just the end."""

FAULTS: Final = {
    "MALFORMED_FUNCTION_CALL": "the model's function call could not be read",
    "UNEXPECTED_TOOL_CALL": "the model called a function that it was not offered",
    "TOO_MANY_TOOL_CALLS": "the model called too many functions in a row",
    "MALFORMED_RESPONSE": "the model's answer could not be read",
    "MISSING_THOUGHT_SIGNATURE": "a signature of earlier reasoning is missing",
}
"""Finish reasons of answers that went wrong."""

_CODES: Final = {
    "ABORTED": "server",
    "DEADLINE_EXCEEDED": "timeout",
    "FAILED_PRECONDITION": "bad-request",
    "INTERNAL": "server",
    "INVALID_ARGUMENT": "bad-request",
    "NOT_FOUND": "not-found",
    "PERMISSION_DENIED": "auth",
    "RESOURCE_EXHAUSTED": "rate",
    "UNAUTHENTICATED": "auth",
    "UNAVAILABLE": "unavailable",
}
_NULL: Final = msgspec.Raw(b"null")
_NO_USAGE: Final = Usage()


class _Call(msgspec.Struct):
    id: Any = None
    name: Any = None
    args: msgspec.Raw = _NULL
    partialArgs: Any = None  # noqa: N815 - Gemini's names
    willContinue: Any = None  # noqa: N815


class _Part(msgspec.Struct):
    text: Any = None
    thought: Any = None
    thoughtSignature: Any = None  # noqa: N815
    functionCall: _Call | None = None  # noqa: N815
    executableCode: msgspec.Raw = _NULL  # noqa: N815
    codeExecutionResult: msgspec.Raw = _NULL  # noqa: N815
    inlineData: msgspec.Raw = _NULL  # noqa: N815
    fileData: msgspec.Raw = _NULL  # noqa: N815
    toolCall: msgspec.Raw = _NULL  # noqa: N815
    toolResponse: msgspec.Raw = _NULL  # noqa: N815


_OPAQUE: Final = ("executableCode", "codeExecutionResult", "inlineData", "fileData", "toolCall", "toolResponse")


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct):
    content: _Content | None = None
    finishReason: Any = None  # noqa: N815
    finishMessage: Any = None  # noqa: N815
    groundingMetadata: msgspec.Raw = _NULL  # noqa: N815


class _Reply(msgspec.Struct):
    candidates: list[_Candidate] | None = None
    promptFeedback: Any = None  # noqa: N815
    usageMetadata: msgspec.Raw = _NULL  # noqa: N815
    modelVersion: Any = None  # noqa: N815
    responseId: Any = None  # noqa: N815
    error: Any = None


class _Pending:
    """A call whose arguments come in pieces."""

    def __init__(self, call_id: str, name: str, signature: str) -> None:
        self.id = call_id
        self.name = name
        self.signature = signature
        self.arguments = PartialArgs()


_replies = msgspec.json.Decoder(_Reply)
_reply_lists = msgspec.json.Decoder(list[_Reply])
_objects = msgspec.json.Decoder(dict[str, Any])

_TEXT: Final = "text"
_THINKING: Final = "thinking"


class GeminiDecoder(ReplyDecoder):
    """Decodes one reply."""

    def __init__(self, traits: Traits | None = None, tools: ToolTable | None = None) -> None:
        super().__init__(traits, tools)
        self._id = ""
        self._calls = 0
        self._pending: _Pending | None = None
        self._said = False  # anything that a user sees
        self._finish: str | None = None
        self._explanation: str | None = None
        self._blocked: str | None = None
        self._usage = _NULL  # the latest report, if it hasn't been given out
        self._reported = False
        self._cited: set[str] = set()

    def _read(self, event: SseEvent) -> None:
        self._read_responses(event.data)

    def _read_whole(self, payload: bytes) -> None:
        self._read_responses(payload)
        self._closed()

    def _read_responses(self, payload: bytes) -> None:
        """One response; or a list of them, as streams without ``alt=sse`` and some errors are."""
        if (reply := decoded(payload, _replies)) is not None:
            self._take_reply(reply)
            return
        for reply in decoded(payload, _reply_lists) or ():
            self._take_reply(reply)

    def _closed(self) -> None:
        """The end, if a finish reason was said; the reply was cut otherwise."""
        parts = self.parts
        self._report_usage()
        if self._finish is None:
            if self._blocked is not None:
                parts.end("refusal", explanation=self._explanation or f"the prompt was blocked: {self._blocked}")
            return
        self._end_pending()
        if (fault := FAULTS.get(self._finish)) is not None:
            told = f"{fault}: {self._explanation}" if self._explanation else fault
            if not self._said:
                parts.fail("server", told)
                return
            if not self._calls:
                parts.text(_TEXT, f"\n\n[{told}]")
        stop = STOPS.get(self._finish, "end")
        explanation = self._explanation or f"the provider stopped the answer: {self._finish}"
        parts.end(stop, explanation=explanation if stop == "refusal" else None)

    # --- one response -----------------------------------------------------------------------------------------------

    def _take_reply(self, reply: _Reply) -> None:
        parts = self.parts
        if (message := error_message(reply.error)) is not None:
            status = fields_of(reply.error).get("status")
            parts.fail(_CODES.get(status, "server") if isinstance(status, str) else "server", message)
            return
        if not parts.started:
            if reply.candidates is None and reply.promptFeedback is None and reply.usageMetadata is _NULL:
                return  # no response
            self._id = text_or_none(reply.responseId) or ""
            parts.start(self._id, text_or_none(reply.modelVersion) or "")
        if reply.usageMetadata is not _NULL:
            self._usage = reply.usageMetadata
            if not self._reported:
                self._report_usage()
        if reply.candidates:
            self._take_candidate(reply.candidates[0])
        elif reply.promptFeedback is not None:
            feedback = fields_of(reply.promptFeedback)
            self._blocked = text_or_none(feedback.get("blockReason")) or self._blocked
            self._explanation = text_or_none(feedback.get("blockReasonMessage")) or self._explanation

    def _report_usage(self) -> None:
        """Counts grow with every event; the first and the last ones are told."""
        raw, self._usage = self._usage, _NULL
        report = usage_report(raw) if raw is not _NULL else None
        if report is not None and (usage := from_gemini(report)) != _NO_USAGE:
            self._reported = True
            self.parts.usage(usage)

    def _take_candidate(self, candidate: _Candidate) -> None:
        trailing = ""
        content = candidate.content
        for part in (content.parts if content is not None else None) or ():
            signature = part.thoughtSignature if isinstance(part.thoughtSignature, str) else ""
            text = part.text
            if part.functionCall is not None:
                self._call(part.functionCall, signature)
            elif isinstance(text, str):
                if part.thought is True:
                    self.parts.thinking(_THINKING, text)
                    self._seal(signature)
                elif text:
                    self._seal(signature)
                    self._said = True
                    self.parts.text(_TEXT, text)
                else:
                    trailing = signature or trailing
            else:
                trailing = signature or trailing
                self._other(part)
        if candidate.groundingMetadata is not _NULL:
            self._cite(candidate.groundingMetadata)
        self._seal(trailing)
        finish = candidate.finishReason
        if isinstance(finish, str) and finish and finish != "FINISH_REASON_UNSPECIFIED":
            self._finish = finish
            self._explanation = text_or_none(candidate.finishMessage)

    def _seal(self, signature: str) -> None:
        if signature:
            self.parts.seal(_THINKING, "google-thought", signature)
            self.parts.close("thinking", _THINKING)

    def _other(self, part: _Part) -> None:
        for name in _OPAQUE:
            if _given(getattr(part, name)):
                self.parts.opaque(name)

    def _cite(self, raw: msgspec.Raw) -> None:
        """Web pages that the answer rests on; events of a stream repeat them."""
        for chunk in map(fields_of, blocks_of((decoded(raw, _objects) or {}).get("groundingChunks"))):
            web = fields_of(chunk.get("web"))
            url = text_or_none(web.get("uri"))
            if url is not None and url not in self._cited:
                self._cited.add(url)
                self.parts.cite(_TEXT, Citation("web", url, text_or_none(web.get("title")) or "", chunk))

    # --- calls ------------------------------------------------------------------------------------------------------

    def _call(self, call: _Call, signature: str) -> None:
        """A call, whole in nearly all cases. In pieces, the first one has the name and the last one doesn't go on."""
        name = text_or_none(call.name)
        goes_on = call.willContinue is True
        if name is not None:
            self._end_pending()
            call_id = text_or_none(call.id) or ""
            if not goes_on and call.partialArgs is None:
                arguments = _compact(call.args) if _given(call.args) else "{}"
                self._whole_call(call_id, name, arguments, signature)
                return
            self._pending = _Pending(call_id, name, signature)
        if self._pending is None:
            return
        self._pending.arguments.feed(call.partialArgs)
        self._pending.signature = signature or self._pending.signature
        if not goes_on:
            self._end_pending()

    def _end_pending(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self._whole_call(pending.id, pending.name, pending.arguments.text(), pending.signature)

    def _whole_call(self, call_id: str, name: str, arguments: str, signature: str) -> None:
        """An id is made where there is none: of the reply's, since clients replay calls of many replies at once."""
        key = self._calls
        self._calls += 1
        self._said = True
        self.parts.call(key, call_id or invented_id("call_", self._id, key, name, arguments), name)
        self.parts.arguments(key, arguments)
        if signature:
            self.parts.seal(key, "google-thought", signature, of="call")
        self.parts.close("call", key)


def _given(raw: msgspec.Raw) -> bool:
    return raw is not _NULL and not is_null(raw)


def _compact(raw: msgspec.Raw) -> str:
    """JSON without spaces, its numbers spelled as they were."""
    return msgspec.json.format(bytes(raw), indent=-1).decode(errors="replace")
