"""Output items as they are written: how each kind begins, goes on and ends in a stream, and what it is when finished.

Items follow each other, so an item's index is the number of those that are finished. Deltas are put together from bytes
that were made once per item; only their text is encoded anew.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.conversation import OpaqueState
from router.wire.events import Citation, ToolCallStart
from router.wire.opaque import invented_id, wrap
from router.wire.openai_responses.client_tools import CLIENT_TOOLS

_json = msgspec.json.Encoder().encode

_CITED: Final = {
    "file_citation": ("file_id", "filename", "index"),
    "url_citation": ("url", "title", "start_index", "end_index"),
    "container_file_citation": ("container_id", "file_id", "filename", "start_index", "end_index"),
    "file_path": ("file_id", "index"),
}
"""The format's own citations, with the fields they must have."""


class Writer:
    """Numbers the events of one stream and keeps its finished items, as JSON."""

    def __init__(self, reply_id: str) -> None:
        self._reply_id = reply_id
        self._sequence = 0
        self.finished: list[bytes] = []

    def event(self, kind: bytes, members: bytes) -> bytes:
        """One event with these members."""
        number = self._sequence
        self._sequence += 1
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n' % (kind, kind, number, members)

    def new_id(self, prefix: str) -> str:
        """An id for the next item."""
        return invented_id(prefix, self._reply_id, len(self.finished))


class OutputItem:
    """One item that is being written."""

    prefix = ""

    def __init__(self, writer: Writer) -> None:
        self.id = writer.new_id(self.prefix)
        self._writer = writer
        self._index = len(writer.finished)
        self._place = b'"item_id":"%b","output_index":%d' % (self.id.encode(), self._index)
        self._said: list[str] = []

    def begin(self) -> bytes:
        """The events that open the item."""
        raise NotImplementedError

    def more(self, text: str) -> bytes:
        """The event for some more text."""
        raise NotImplementedError

    def end(self) -> bytes:
        """The events that close the item."""
        raise NotImplementedError

    def _added(self, **fields: Any) -> bytes:
        return self._of_item(b"response.output_item.added", _json({"id": self.id, **fields}))

    def _done(self, **fields: Any) -> bytes:
        item = _json({"id": self.id, **fields})
        self._writer.finished.append(item)
        return self._of_item(b"response.output_item.done", item)

    def _of_item(self, kind: bytes, item: bytes) -> bytes:
        return self._writer.event(kind, b'"output_index":%d,"item":%b' % (self._index, item))

    def _inside(self, kind: bytes, members: bytes) -> bytes:
        return self._writer.event(kind, b"%b,%b" % (self._place, members))


class _MessageItem(OutputItem):
    """A message of one part, whose text is its ``field``; ``more_fields`` are in all events about that text."""

    prefix = "msg_"
    kind = ""
    field = ""
    more_fields = b""

    def __init__(self, writer: Writer, phase: str | None = None) -> None:
        super().__init__(writer)
        self._phase = {} if phase is None else {"phase": phase}
        self._delta = b"response.%b.delta" % self.kind.encode()

    def begin(self) -> bytes:
        return self._added(**self._message("in_progress", [])) + self._part(b"added", self._content(""))

    def more(self, text: str) -> bytes:
        self._said.append(text)
        return self._inside(self._delta, b'"content_index":0,"delta":%b%b' % (_json(text), self.more_fields))

    def end(self) -> bytes:
        text = "".join(self._said)
        content = self._content(text)
        members = b'"content_index":0,"%b":%b%b' % (self.field.encode(), _json(text), self.more_fields)
        told = self._inside(b"response.%b.done" % self.kind.encode(), members)
        return told + self._part(b"done", content) + self._done(**self._message("completed", [content]))

    def _content(self, text: str) -> dict[str, Any]:
        return {"type": self.kind, self.field: text}

    def _part(self, what: bytes, content: dict[str, Any]) -> bytes:
        return self._inside(b"response.content_part." + what, b'"content_index":0,"part":%b' % _json(content))

    def _message(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"type": "message", "status": status, "role": "assistant", "content": content, **self._phase}


class RefusalItem(_MessageItem):
    """The model's words of refusal."""

    kind = field = "refusal"


class TextItem(_MessageItem):
    """Text with its citations."""

    kind = "output_text"
    field = "text"
    more_fields = b',"logprobs":[]'

    def __init__(self, writer: Writer, phase: str | None) -> None:
        super().__init__(writer, phase)
        self._annotations: list[dict[str, Any]] = []

    def cite(self, citation: Citation) -> bytes:
        """A source of the text so far; nothing for one that is neither a web page nor in the format's own words."""
        needed = _CITED.get(citation.kind)
        annotation = citation.raw
        if needed is None or not all(name in annotation for name in needed):
            if not citation.url:
                return b""
            annotation = {
                "type": "url_citation",
                "url": citation.url,
                "title": citation.title,
                "start_index": 0,
                "end_index": sum(map(len, self._said)),
            }
        number = len(self._annotations)
        self._annotations.append(annotation)
        members = b'"content_index":0,"annotation_index":%d,"annotation":%b' % (number, _json(annotation))
        return self._inside(b"response.output_text.annotation.added", members)

    def _content(self, text: str) -> dict[str, Any]:
        return {**super()._content(text), "annotations": self._annotations, "logprobs": []}


class ReasoningItem(OutputItem):
    """Reasoning: what can be read of it as one part of a summary, and its sealed form."""

    prefix = "rs_"

    def __init__(self, writer: Writer, state: OpaqueState | None = None) -> None:
        super().__init__(writer)
        self.state = state

    def begin(self) -> bytes:
        return self._added(type="reasoning", summary=[])

    def more(self, text: str) -> bytes:
        opened = b"" if self._said else self._part(b"added", "")
        self._said.append(text)
        members = b'"summary_index":0,"delta":%b' % _json(text)
        return opened + self._inside(b"response.reasoning_summary_text.delta", members)

    def end(self) -> bytes:
        text = "".join(self._said)
        sealed = {} if self.state is None else {"encrypted_content": wrap(self.state)}
        if not self._said:
            return self._done(type="reasoning", summary=[], **sealed)
        told = self._inside(b"response.reasoning_summary_text.done", b'"summary_index":0,"text":%b' % _json(text))
        told += self._part(b"done", text)
        return told + self._done(type="reasoning", summary=[{"type": "summary_text", "text": text}], **sealed)

    def _part(self, what: bytes, text: str) -> bytes:
        part = _json({"type": "summary_text", "text": text})
        return self._inside(b"response.reasoning_summary_part." + what, b'"summary_index":0,"part":%b' % part)


class FunctionCallItem(OutputItem):
    """A call of a function. Arguments that were cut off are an unfinished item, which nobody shall carry out."""

    prefix = "fc_"

    def __init__(self, writer: Writer, call: ToolCallStart) -> None:
        super().__init__(writer)
        self._call: dict[str, Any] = {"type": "function_call", "call_id": call.id, "name": call.name}
        if call.namespace is not None:
            self._call["namespace"] = call.namespace

    def begin(self) -> bytes:
        return self._added(**self._call, arguments="", status="in_progress")

    def more(self, text: str) -> bytes:
        self._said.append(text)
        return self._inside(b"response.function_call_arguments.delta", b'"delta":%b' % _json(text))

    def end(self) -> bytes:
        told = b"" if "".join(self._said).strip() else self.more("{}")
        arguments = "".join(self._said)
        members = b'"name":%b,"arguments":%b' % (_json(self._call["name"]), _json(arguments))
        told += self._inside(b"response.function_call_arguments.done", members)
        status = "completed" if _is_json(arguments) else "incomplete"
        return told + self._done(**self._call, arguments=arguments, status=status)


class CustomCallItem(OutputItem):
    """A call of a freeform tool, with its raw input."""

    prefix = "ctc_"

    def __init__(self, writer: Writer, call: ToolCallStart) -> None:
        super().__init__(writer)
        self._call: dict[str, Any] = {"type": "custom_tool_call", "call_id": call.id, "name": call.name}
        if call.namespace is not None:
            self._call["namespace"] = call.namespace

    def begin(self) -> bytes:
        return self._added(**self._call, input="", status="in_progress")

    def more(self, text: str) -> bytes:
        self._said.append(text)
        return self._inside(b"response.custom_tool_call_input.delta", b'"delta":%b' % _json(text))

    def end(self) -> bytes:
        text = "".join(self._said)
        told = self._inside(b"response.custom_tool_call_input.done", b'"input":%b' % _json(text))
        return told + self._done(**self._call, input=text, status="completed")


class ClientCallItem(OutputItem):
    """A call of a tool that has items of its own (``client_tools``), written once its arguments are whole.

    If these aren't the tool's, it is a call of a function that the client doesn't have, and which it will say so of.
    """

    def __init__(self, writer: Writer, call: ToolCallStart) -> None:
        self.prefix = _PREFIXES[call.name]
        super().__init__(writer)
        self._call = call

    def begin(self) -> bytes:
        return b""

    def more(self, text: str) -> bytes:
        self._said.append(text)
        return b""

    def end(self) -> bytes:
        arguments = "".join(self._said)
        fields = CLIENT_TOOLS[self._call.name].item(self._call.name, arguments)
        if fields is None:
            call = FunctionCallItem(self._writer, self._call)
            return call.begin() + (call.more(arguments) if arguments else b"") + call.end()
        fields["call_id"] = self._call.id
        return self._added(**fields, status="in_progress") + self._done(**fields, status="completed")


_PREFIXES: Final = {"local_shell": "lsh_", "shell": "sh_", "apply_patch": "apc_", "tool_search": "tsc_"}


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
