"""Neutral turns as Chat messages for one target.

What Chat can't say inside one message is said around it: an assistant's parts lie side by side, results are messages
of their own and hold text only, so their pictures follow in a user's message behind the last of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from router.wire.arguments import as_text_of_object
from router.wire.conversation import (
    Cache,
    Document,
    Image,
    Part,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from router.wire.digest import digest
from router.wire.freeform import wrapped
from router.wire.history import result_text
from router.wire.loss import Losses
from router.wire.openai_chat.render_media import can_be_shown, document, heading, image
from router.wire.openai_chat.render_thoughts import BYPASS, google, replayed, takes_signature
from router.wire.openai_chat.render_tools import anthropic_mark
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

MAX_ID: Final = 40
"""Characters of a call's id that OpenAI takes."""

_NINE: Final = re.compile(r"[a-zA-Z0-9]{9}")
_SEEN_LATER: Final = "[{}: see next message]"

Message = dict[str, Any]


class MessageRenderer:
    """Renders the messages of one request."""

    def __init__(self, traits: Traits, tools: ToolTable, losses: Losses) -> None:
        self._traits = traits
        self._tools = tools
        self._losses = losses
        self.marked = False
        """Whether a cache mark was written."""

    def messages(self, system: Sequence[Text], turns: Iterable[Turn]) -> list[Message]:
        """All messages, the leading instructions first. The turns are settled ones."""
        made: list[Message] = []
        if leading := [text for text in system if text.text.strip()]:
            made.append({"role": self._traits.system_role, "content": self._texts(leading)})
        for turn in turns:
            if turn.role == "system":
                made.append({"role": self._traits.system_role, "content": self._texts(_only_texts(turn.parts))})
            elif turn.role == "assistant":
                made += self._assistant(turn)
            else:
                self._add_user(turn, made)
        return made

    # --- user -------------------------------------------------------------------------------------------------------

    def _add_user(self, turn: Turn, made: list[Message]) -> None:
        content: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                text, media = self._result(part, turn.place)
                content += media
                made.append({"role": "tool", "tool_call_id": self._id(part.id), "content": text})
        content += [part for part in turn.parts if not isinstance(part, ToolResult)]
        shown = self._content(content, turn.place)
        if not shown:
            return
        if made and made[-1]["role"] == "tool" and not self._traits.user_after_results:
            made[-1]["content"] = _both(made[-1]["content"], shown)
        else:
            made.append({"role": "user", "content": shown})

    def _result(self, result: ToolResult, place: str) -> tuple[str | list[Message], list[Image | Document]]:
        """A result's text, and what of it must follow later."""
        later: list[Image | Document] = []
        lines: list[Text] = []
        for part in result.content:
            if isinstance(part, Text):
                lines.append(part)
            elif isinstance(part, Document) and (text := heading(part)) is not None:
                lines.append(Text(text))
            elif self._readable(part, place):
                later.append(part)
                lines.append(Text(_SEEN_LATER.format("image" if isinstance(part, Image) else "document")))
        text = result_text(msgspec.structs.replace(result, content=tuple(lines)))
        mark = self._mark(result.cache) if text else {}
        return ([_text(text) | mark] if mark else text), later

    def _content(self, parts: Iterable[Part], place: str) -> str | list[Message]:
        """A user's content: a plain string where it is one text, which the pickiest servers take."""
        shown = [message for part in parts for message in self._part(part, place)]
        texts = [message["text"] for message in shown if message.keys() == {"type", "text"}]
        if len(texts) < len(shown) or (len(texts) > 1 and self._traits.text_arrays):
            return shown
        return "\n\n".join(texts)

    def _part(self, part: Part, place: str) -> Iterable[Message]:
        if isinstance(part, Text):
            yield _text(part.text) | self._mark(part.cache)
        elif isinstance(part, Image) and self._readable(part, place):
            yield image(part) | self._mark(part.cache)
        elif isinstance(part, Document):
            if (text := heading(part)) is not None:
                yield _text(text) | self._mark(part.cache)
            elif self._readable(part, place):
                if part.context:
                    yield _text(part.context)
                yield document(part, self._traits.documents_as) | self._mark(part.cache)

    def _readable(self, part: Image | Document, place: str) -> bool:
        """Whether the target can be given this; else it is refused."""
        what = "images" if isinstance(part, Image) else "documents"
        if (self._traits.images if isinstance(part, Image) else self._traits.documents) is False:
            self._losses.refuse(place, f"this model reads no {what}")
        elif isinstance(part, Document) and not can_be_shown(part, self._traits.documents_as):
            self._losses.refuse(place, "a document's address can't be given, only the document itself")
        else:
            return True
        return False

    def _texts(self, texts: Sequence[Text]) -> str | list[Message]:
        return self._content(texts, "")

    # --- assistant --------------------------------------------------------------------------------------------------

    def _assistant(self, turn: Turn) -> Iterable[Message]:
        """One message; none where all there was to say belongs to another provider."""
        texts = [part for part in turn.parts if isinstance(part, Text | Refusal)]
        calls = [self._call(part) for part in turn.parts if isinstance(part, ToolCall)]
        thoughts = [part for part in turn.parts if isinstance(part, Thought)]
        told = replayed(thoughts, self._traits, self._losses, calls=bool(calls))
        message: Message = {"role": "assistant", **self._said(texts), **told.fields}
        message["content"] = told.before(message["content"])
        if calls:
            if self._traits.call_signatures and "extra_content" not in calls[0]:
                calls[0]["extra_content"] = google(BYPASS)
            yield message | {"tool_calls": calls}
        elif message["content"] is not None or "refusal" in message:
            yield message
        elif told.fields:
            yield message | {"content": ""}  # null stands only beside calls

    def _said(self, texts: list[Text | Refusal]) -> Message:
        """Text as one string. Only OpenAI itself is known to take refusals apart from it."""
        refused = [part for part in texts if isinstance(part, Refusal)] if self._traits.official else []
        said = "".join(part.text for part in texts if part not in refused)
        mark = next(
            (mark for part in reversed(texts) if isinstance(part, Text) and (mark := self._mark(part.cache))), {}
        )
        message: Message = {"content": said or None}
        if said and mark:
            message["content"] = [_text(said) | mark]
        if refused:
            message["refusal"] = "".join(part.text for part in refused)
        return message

    def _call(self, call: ToolCall) -> Message:
        name = self._tools.name(call.name, call.namespace)
        if call.cache is not None:
            self._losses.drop("cache", "calls can't be marked here")
        if call.custom and not self._tools.wraps(call.custom):
            return {"id": self._id(call.id), "type": "custom", "custom": {"name": name, "input": call.arguments}}
        arguments = wrapped(call.arguments) if call.custom else as_text_of_object(call.arguments)
        shown: Message = {
            "id": self._id(call.id),
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        if call.state is not None and takes_signature(call.state, self._traits):
            shown["extra_content"] = google(call.state.value)
        return shown

    def _id(self, call_id: str) -> str:
        """A call's id as the target takes it: the same for a call and its result, unchanged wherever possible."""
        if self._traits.tool_id_rule == "alphanumeric-9":
            return call_id if _NINE.fullmatch(call_id) else digest(call_id)[:9]
        return f"call_{digest(call_id)[:24]}" if self._traits.official and len(call_id) > MAX_ID else call_id

    # --- cache ------------------------------------------------------------------------------------------------------

    def _mark(self, cache: Cache | None) -> Message:
        """A cache mark as the target knows it."""
        if cache is None:
            return {}
        if self._traits.cache_hints == "openai":
            self.marked = True
            return {"prompt_cache_breakpoint": {"mode": "explicit", **({"ttl": "12h"} if cache.ttl == "12h" else {})}}
        if self._traits.cache_hints == "anthropic":
            self.marked = True
            return {"cache_control": anthropic_mark(cache)}
        self._losses.drop("cache", "this provider takes no marks for its prompt cache")
        return {}


def _only_texts(parts: Iterable[Part]) -> list[Text]:
    return [part for part in parts if isinstance(part, Text)]


def _text(text: str) -> Message:
    return {"type": "text", "text": text}


def _both(first: str | list[Message], second: str | list[Message]) -> str | list[Message]:
    """Two contents as one; the first may be empty."""
    if not first:
        return second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [part for content in (first, second) for part in ([_text(content)] if isinstance(content, str) else content)]
