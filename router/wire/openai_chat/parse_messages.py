"""The messages of a Chat request as neutral turns.

Roles: ``system`` and ``developer`` instruct; ``tool`` and the older ``function`` bring results, which belong to the
user's side; an assistant's message holds its reasoning, text and calls side by side instead of in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from router.wire.checked import a_list, a_text, an_object, perhaps_text, wrong
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
from router.wire.loss import Losses
from router.wire.openai_chat.parse_media import document, document_link, image
from router.wire.openai_chat.reasoning import google_signature, google_state, in_order, readable, states
from router.wire.pieces import blocks_of, fields_of

_SYSTEM: Final = ("system", "developer")
_AUDIO: Final = "audio isn't carried over"

_Content = Text | Refusal | Image | Document | Thought


def cache_of(part: Mapping[str, Any], default: Cache = Cache("30m")) -> Cache | None:  # noqa: B008 - frozen
    """The cache mark on a part, in Anthropic's words (OpenRouter, Qwen) or OpenAI's."""
    control, point = part.get("cache_control"), part.get("prompt_cache_breakpoint")
    if isinstance(control, dict):
        return Cache("1h" if control.get("ttl") == "1h" else "5m")
    if isinstance(point, dict):
        return {"12h": Cache("12h"), "30m": Cache("30m")}.get(str(point.get("ttl")), default)
    return None


class Messages:
    """Reads messages. ``mark`` is the cache mark that OpenAI's breakpoints mean where they don't say a lifetime."""

    def __init__(self, mark: Cache, losses: Losses) -> None:
        self._mark = mark
        self._losses = losses

    def read(self, messages: list[Any]) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
        """The leading instructions, and the turns behind them."""
        system: list[Text] = []
        turns: list[Turn] = []
        for number, entry in enumerate(messages):
            where = f"messages[{number}]"
            message = an_object(entry, where)
            role = a_text(message.get("role"), f"{where}.role")
            if message.get("name") is not None and role != "function":
                self._losses.drop(f"{where}.name", "speakers have no names in other formats")
            if role in _SYSTEM:
                texts = self._texts(message, where)
                if turns:
                    turns.append(Turn("system", tuple(texts), where))
                else:
                    system += [text for text in texts if text.text.strip()]
            elif role == "assistant":
                turns.append(Turn("assistant", tuple(self._assistant(message, where)), where))
            elif role == "user":
                turns.append(Turn("user", tuple(self._content(message, where)), where))
            elif role in ("tool", "function"):
                turns.append(Turn("user", (self._result(message, where),), where))
            else:
                raise wrong(f"{where}.role", "'system', 'developer', 'user', 'assistant', 'tool' or 'function'")
        return tuple(system), tuple(turns)

    # --- content ----------------------------------------------------------------------------------------------------

    def _content(self, message: Mapping[str, Any], where: str) -> list[_Content]:
        """A message's content: one string, a list of parts, or nothing. A cache mark on the message itself, as some
        clients of OpenRouter write it, is one on its last part."""
        content = message.get("content")
        if isinstance(content, str):
            parts: list[_Content] = [Text(content)] if content else []
        else:
            parts = list(self._parts(a_list(content, f"{where}.content"), f"{where}.content"))
        mark = self._mark_of(message)
        if mark is not None and parts and isinstance(parts[-1], Text | Image | Document):
            parts[-1] = msgspec.structs.replace(parts[-1], cache=mark)
        return parts

    def _texts(self, message: Mapping[str, Any], where: str) -> list[Text]:
        texts: list[Text] = []
        for part in self._content(message, where):
            if isinstance(part, Text):
                texts.append(part)
            else:
                self._losses.refuse(f"{where}.content", "instructions are text")
        return texts

    def _parts(self, entries: list[Any], where: str) -> Iterable[_Content]:
        for number, entry in enumerate(entries):
            at = f"{where}[{number}]"
            if isinstance(entry, str):  # a list of strings: not the format's, but meant by some clients
                yield Text(entry)
                continue
            part = self._part(an_object(entry, at), at)
            if part is not None:
                yield part

    def _part(self, part: Mapping[str, Any], at: str) -> _Content | None:
        mark = self._mark_of(part)
        match a_text(part.get("type"), f"{at}.type"):
            case "text" | "input_text" | "output_text":
                return Text(a_text(part.get("text"), f"{at}.text"), mark)
            case "refusal":
                return Refusal(a_text(part.get("refusal"), f"{at}.refusal"))
            case "image_url":
                return image(part.get("image_url"), f"{at}.image_url", mark)
            case "file":
                return document(an_object(part.get("file"), f"{at}.file"), f"{at}.file", mark, self._losses)
            case "document_url":
                return document_link(part, at, mark)
            case "thinking":  # Mistral: a list of text parts; the same in a string elsewhere
                return Thought(_thinking(part.get("thinking"), f"{at}.thinking"))
            case "reference":  # Mistral: which of its sources the text before is from
                self._losses.drop(at, "references to sources aren't carried over")
            case "input_audio" | "audio_url":
                self._losses.refuse(at, _AUDIO)
            case _:
                self._losses.refuse(at, "content of this type isn't known")
        return None

    def _mark_of(self, part: Mapping[str, Any]) -> Cache | None:
        return cache_of(part, self._mark)

    # --- roles ------------------------------------------------------------------------------------------------------

    def _result(self, message: Mapping[str, Any], where: str) -> ToolResult:
        """A tool's answer; the older kind names the function instead of the call."""
        content: list[Text | Image | Document] = []
        mark: Cache | None = None
        for part in self._content(message, where):
            if isinstance(part, Text | Image | Document):
                mark = part.cache or mark
                content.append(part if part.cache is None else msgspec.structs.replace(part, cache=None))
            else:
                self._losses.refuse(f"{where}.content", "a tool's answer is text")
        return ToolResult(
            id=perhaps_text(message.get("tool_call_id"), f"{where}.tool_call_id") or "",
            content=tuple(content),
            name=perhaps_text(message.get("name"), f"{where}.name"),
            cache=mark,
        )

    def _assistant(self, message: Mapping[str, Any], where: str) -> list[Part]:
        if message.get("audio") is not None:
            self._losses.refuse(f"{where}.audio", _AUDIO)
        if message.get("images"):
            self._losses.refuse(f"{where}.images", "pictures made by a model aren't carried over")
        if message.get("annotations"):
            self._losses.drop(f"{where}.annotations", "sources of an earlier answer aren't carried over")
        rest: list[Part] = []
        for number, part in enumerate(self._content(message, where)):
            if isinstance(part, Image | Document):
                self._losses.refuse(f"{where}.content[{number}]", "an assistant's message is text")
            else:
                rest.append(part)
        if refusal := perhaps_text(message.get("refusal"), f"{where}.refusal"):
            rest.append(Refusal(refusal))
        said = ""
        if rest and isinstance(rest[0], Text) and rest[0].cache is None:
            said = rest[0].text
            rest.pop(0)
        sealed = states(message.get("reasoning_details"))
        calls = self._calls(message, where)
        thought = _message_signature(message)
        if thought is not None:
            rest.insert(0, thought)
        return in_order(readable(message), sealed, said, rest, calls)

    def _calls(self, message: Mapping[str, Any], where: str) -> list[ToolCall]:
        calls: list[ToolCall] = []
        for number, entry in enumerate(a_list(message.get("tool_calls"), f"{where}.tool_calls")):
            at = f"{where}.tool_calls[{number}]"
            call = an_object(entry, at)
            kind = perhaps_text(call.get("type"), f"{at}.type") or "function"
            if kind not in ("function", "custom"):
                self._losses.refuse(at, "calls of this type aren't known")
                continue
            inner = an_object(call.get(kind), f"{at}.{kind}")
            made = _call(inner, f"{at}.{kind}", custom=kind == "custom")
            call_id = perhaps_text(call.get("id"), f"{at}.id") or ""
            calls.append(
                msgspec.structs.replace(
                    made, id=call_id, state=google_state(google_signature(call.get("extra_content")))
                )
            )
        if message.get("function_call") is not None:
            at = f"{where}.function_call"
            calls.append(_call(an_object(message.get("function_call"), at), at))
        return calls


def _call(inner: Mapping[str, Any], at: str, *, custom: bool = False) -> ToolCall:
    """A call without its id: those without one get it later, where results are found for them."""
    name = a_text(inner.get("name"), f"{at}.name")
    if not name:
        raise wrong(f"{at}.name", "a name")
    field = "input" if custom else "arguments"
    arguments = inner.get(field)
    if isinstance(arguments, dict):  # an object instead of its text
        arguments = msgspec.json.encode(arguments).decode()
    return ToolCall("", name, perhaps_text(arguments, f"{at}.{field}") or "", custom=custom)


def _message_signature(message: Mapping[str, Any]) -> Thought | None:
    state = google_state(google_signature(message.get("extra_content")))
    return None if state is None else Thought("", state)


def _thinking(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    return "".join(a_text(fields_of(part).get("text"), where) for part in blocks_of(value))
