"""The system prompt and the messages of a client's Messages request, block by block.

A block of a kind that has no neutral form is refused, never taken for something else. Arguments of calls keep the
client's spelling of numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from router.errors import BadRequest
from router.wire.anthropic_messages.ids import original_id
from router.wire.body import decode
from router.wire.checked import a_text, an_object, perhaps_flag, perhaps_text, wrong
from router.wire.conversation import (
    Cache,
    Document,
    Image,
    Inline,
    Link,
    OpaqueState,
    Part,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from router.wire.loss import Losses
from router.wire.opaque import is_wrapped, unwrap
from router.wire.request import bounded

_ATTRIBUTION: Final = "x-anthropic-billing-header:"
"""Claude Code's first system block: its version and a hash that changes between requests."""

_NULL: Final = msgspec.Raw(b"null")
_MESSAGES: Final = "the field 'messages' must be a list of objects"
_PLAIN_TYPE: Final = re.compile(r"[a-zA-Z0-9_.-]{1,60}")

_BLOCKS: Final[Mapping[Role, frozenset[str]]] = {
    "user": frozenset({"text", "image", "document", "search_result", "tool_result"}),
    "assistant": frozenset({"text", "thinking", "redacted_thinking", "tool_use"}),
    "system": frozenset({"text"}),
}
_RESULT_BLOCKS: Final = frozenset({"text", "image", "document", "search_result"})


class _Message(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = _NULL


class _Block(msgspec.Struct):
    type: Any = None
    text: Any = None
    cache_control: Any = None
    citations: Any = None
    source: msgspec.Raw = _NULL
    title: Any = None
    context: Any = None
    thinking: Any = None
    signature: Any = None
    data: Any = None
    id: Any = None
    name: Any = None
    input: msgspec.Raw = _NULL
    caller: Any = None
    toolset_name: Any = None
    tool_use_id: Any = None
    content: msgspec.Raw = _NULL
    is_error: Any = None


class _Source(msgspec.Struct):
    type: Any = None
    media_type: Any = None
    data: Any = None
    url: Any = None
    content: msgspec.Raw = _NULL


def system_of(raw: bytes | None, losses: Losses) -> tuple[Text, ...]:
    """The system prompt: a string or text blocks."""
    if raw is None or raw == b"null":
        return ()
    texts: list[Text] = []
    for at, block in enumerate(_content(msgspec.Raw(raw), "system")):
        where = f"system[{at}]"
        if _type(block, where) != "text":
            losses.refuse(where, f"a block of type {shown(block.type)} can't stand in a system prompt elsewhere")
            continue
        text = a_text(block.text, f"{where}.text")
        if text.startswith(_ATTRIBUTION):
            losses.drop(where, "it changes with every request, which would spoil the provider's prompt cache")
        elif text:
            texts.append(Text(text, cache_of(block.cache_control, f"{where}.cache_control")))
    return tuple(texts)


def turns_of(raw: bytes | None, losses: Losses) -> tuple[Turn, ...]:
    """The messages, each as a turn."""
    if raw is None:
        raise BadRequest("the field 'messages' is missing")
    messages = bounded(decode(raw, list[_Message], _MESSAGES))
    return tuple(_turn(message, f"messages[{at}]", losses) for at, message in enumerate(messages))


def cache_of(value: Any, where: str) -> Cache | None:
    """A cache mark. A lifetime that isn't Anthropic's is the shortest one."""
    mark = an_object(value, where)
    if not mark:
        return None
    return Cache("1h" if mark.get("ttl") == "1h" else "5m")


def shown(kind: Any) -> str:
    """A client's word for a kind of block or tool, as it may stand in a message to it."""
    return f"'{kind}'" if isinstance(kind, str) and _PLAIN_TYPE.fullmatch(kind) else "that is unknown"


def _turn(message: _Message, where: str, losses: Losses) -> Turn:
    role = message.role
    if role not in ("user", "assistant", "system"):
        raise wrong(f"{where}.role", "'user', 'assistant' or 'system'")
    parts: list[Part] = []
    for at, block in enumerate(_content(message.content, f"{where}.content")):
        parts.extend(_parts(block, _BLOCKS[role], f"{where}.content[{at}]", losses))
    return Turn(role, tuple(_with_call_states(parts)), where)


def _content(raw: msgspec.Raw, where: str) -> list[_Block]:
    """Blocks, or a string as the one block that it stands for."""
    text = bytes(raw)
    if text.startswith(b'"'):
        return [_Block("text", decode(text, str))]
    if not text.startswith(b"["):
        raise wrong(where, "a string or a list of blocks")
    return bounded(decode(text, list[_Block], f"the field '{where}' must be a list of objects"))


def _type(block: _Block, where: str) -> str:
    return a_text(block.type, f"{where}.type")


def _parts(block: _Block, known: frozenset[str], where: str, losses: Losses) -> Iterable[Part]:
    kind = _type(block, where)
    if kind not in known:
        losses.refuse(where, f"a block of type {shown(kind)} can't be carried over here")
        return ()
    match kind:
        case "text":
            if block.citations:
                losses.drop("messages[].content[].citations", "the sources of a text can't be said elsewhere")
            text = a_text(block.text, f"{where}.text")
            return (Text(text, cache_of(block.cache_control, f"{where}.cache_control")),)
        case "image":
            return _image(block, where, losses)
        case "document":
            return _document(block, where, losses)
        case "search_result":
            return _search_result(block, where, losses)
        case "thinking":
            return _thinking(block, where)
        case "redacted_thinking":
            return _redacted(block, where)
        case "tool_use":
            return _call(block, where, losses)
        case _:
            return _result(block, where, losses)


def _source(block: _Block, where: str) -> _Source:
    return decode(block.source, _Source, f"the field '{where}.source' must be an object")


def _inline(source: _Source, where: str) -> Inline:
    return Inline(a_text(source.media_type, f"{where}.source.media_type"), a_text(source.data, f"{where}.source.data"))


def _image(block: _Block, where: str, losses: Losses) -> Iterator[Part]:
    source = _source(block, where)
    cache = cache_of(block.cache_control, f"{where}.cache_control")
    match source.type:
        case "base64":
            yield Image(_inline(source, where), cache=cache)
        case "url":
            yield Image(Link(a_text(source.url, f"{where}.source.url")), cache=cache)
        case _:
            _refuse_source(source, where, losses)


def _document(block: _Block, where: str, losses: Losses) -> Iterator[Part]:
    source = _source(block, where)
    name = perhaps_text(block.title, f"{where}.title")
    context = perhaps_text(block.context, f"{where}.context")
    cache = cache_of(block.cache_control, f"{where}.cache_control")
    if an_object(block.citations, f"{where}.citations").get("enabled"):
        losses.drop("messages[].content[].citations", "citations can't be asked for elsewhere")
    match source.type:
        case "base64":
            yield Document(_inline(source, where), name, context, cache)
        case "url":
            link = Link(a_text(source.url, f"{where}.source.url"), "application/pdf")  # no other may be linked
            yield Document(link, name, context, cache)
        case "text":
            yield Document(Written(a_text(source.data, f"{where}.source.data")), name, context, cache)
        case "content":
            yield from _inlined(source, name, context, cache, where, losses)
        case _:
            _refuse_source(source, where, losses)


def _inlined(
    source: _Source, name: str | None, context: str | None, cache: Cache | None, where: str, losses: Losses
) -> Iterator[Part]:
    """A document of blocks: one of text stays a document, one with images becomes what it holds."""
    parts: list[Part] = []
    for at, block in enumerate(_content(source.content, f"{where}.source.content")):
        parts.extend(_parts(block, frozenset({"text", "image"}), f"{where}.source.content[{at}]", losses))
    if all(isinstance(part, Text) for part in parts):
        text = "\n".join(part.text for part in parts if isinstance(part, Text))
        yield Document(Written(text), name, context, cache)
        return
    if heading := "\n".join(line for line in (name, context) if line):
        yield Text(heading)
    if cache is not None:
        parts[-1] = msgspec.structs.replace(parts[-1], cache=cache)
    yield from parts


def _search_result(block: _Block, where: str, losses: Losses) -> Iterator[Part]:
    title = a_text(block.title, f"{where}.title")
    source = decode(block.source, str, f"the field '{where}.source' must be a string")
    if an_object(block.citations, f"{where}.citations").get("enabled"):
        losses.drop("messages[].content[].citations", "citations can't be asked for elsewhere")
    texts = [f"{title} ({source})"]
    for at, inner in enumerate(_content(block.content, f"{where}.content")):
        texts.append(a_text(inner.text, f"{where}.content[{at}].text"))
    yield Text("\n".join(texts), cache_of(block.cache_control, f"{where}.cache_control"))


def _refuse_source(source: _Source, where: str, losses: Losses) -> None:
    if source.type == "file":
        losses.refuse(f"{where}.source", "an uploaded file is known to its own provider alone")
    else:
        a_text(source.type, f"{where}.source.type")
        losses.refuse(f"{where}.source", f"a source of type {shown(source.type)} can't be carried over")


def _thinking(block: _Block, where: str) -> Iterator[Part]:
    text = a_text(block.thinking, f"{where}.thinking")
    state = _state("anthropic-signature", perhaps_text(block.signature, f"{where}.signature"))
    if text or state is not None:
        yield Thought(text, state)


def _redacted(block: _Block, where: str) -> Iterator[Part]:
    state = _state("anthropic-redacted", a_text(block.data, f"{where}.data"))
    if state is not None:
        yield Thought("", state)


def _state(kind: Any, sealed: str | None) -> OpaqueState | None:
    if not sealed:
        return None
    return unwrap(sealed) if is_wrapped(sealed) else OpaqueState(kind, sealed)


def _call(block: _Block, where: str, losses: Losses) -> Iterator[Part]:
    if an_object(block.caller, f"{where}.caller").get("type", "direct") != "direct":
        losses.refuse(f"{where}.caller", "only the model itself can call a tool elsewhere")
        return
    if block.toolset_name is not None:
        losses.refuse(f"{where}.toolset_name", "a toolset can't be carried over")
        return
    yield ToolCall(
        id=original_id(a_text(block.id, f"{where}.id")),
        name=a_text(block.name, f"{where}.name"),
        arguments=_arguments(bytes(block.input)),
        cache=cache_of(block.cache_control, f"{where}.cache_control"),
    )


def _arguments(raw: bytes) -> str:
    """The input as compact JSON; of clients that keep it as a string, that string."""
    if raw == b"null":
        return "{}"
    if raw.startswith(b'"'):
        return decode(raw, str)
    return msgspec.json.format(raw, indent=-1).decode()


def _result(block: _Block, where: str, losses: Losses) -> Iterator[Part]:
    if block.toolset_name is not None:
        losses.refuse(f"{where}.toolset_name", "a toolset can't be carried over")
        return
    content: list[Text | Image | Document] = []
    if bytes(block.content) != b"null":
        for at, inner in enumerate(_content(block.content, f"{where}.content")):
            parts = _parts(inner, _RESULT_BLOCKS, f"{where}.content[{at}]", losses)
            content.extend(part for part in parts if isinstance(part, Text | Image | Document))
    yield ToolResult(
        id=original_id(a_text(block.tool_use_id, f"{where}.tool_use_id")),
        content=tuple(content),
        is_error=bool(perhaps_flag(block.is_error, f"{where}.is_error")),
        cache=cache_of(block.cache_control, f"{where}.cache_control"),
    )


def _with_call_states(parts: list[Part]) -> list[Part]:
    """Seals of calls back on their calls: the encoder, which has no slot there, put them into empty thinking blocks."""
    seals = {
        part.state.id: part.state
        for part in parts
        if isinstance(part, Thought) and not part.text and part.state is not None and part.state.id is not None
    }
    calls = {part.id for part in parts if isinstance(part, ToolCall)} & seals.keys()
    if not calls:
        return parts
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, ToolCall) and part.id in calls:
            kept.append(msgspec.structs.replace(part, state=msgspec.structs.replace(seals[part.id], id=None)))
        elif not (isinstance(part, Thought) and part.state is not None and part.state.id in calls and not part.text):
            kept.append(part)
    return kept
