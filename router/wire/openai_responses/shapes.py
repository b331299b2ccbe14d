"""What is read of a client's request, as types. Whatever isn't that is one clear error that names the field.

An item or a tool has the fields of all its kinds in one type: which of them matter its ``type`` says. Fields that
nobody here reads may have any shape. Null and absent are the same.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from router.errors import BadRequest

T = TypeVar("T")

NOTHING: Final = msgspec.Raw(b"null")
"""The value of an absent field that is kept as JSON text."""

_TOLD: Final = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)


class Breakpoint(msgspec.Struct):
    """A mark of prompt caching on a content part."""

    ttl: str | None = None


class Part(msgspec.Struct):
    """One part of a message's content, of a call's output, or of reasoning."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    encrypted_content: str | None = None
    image_url: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: Breakpoint | None = None


class Tool(msgspec.Struct):
    """A tool, or a namespace of tools."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None
    tools: list[Tool] | None = None
    execution: str | None = None
    environment: dict[str, Any] | None = None
    allowed_callers: list[str] | None = None


class Choice(msgspec.Struct):
    """``tool_choice`` where it is more than a word, and each of its allowed tools."""

    type: str = ""
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[Choice] | None = None


class Reasoning(msgspec.Struct):
    """How much reasoning is asked for. ``generate_summary`` is what ``summary`` was called before."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    mode: str | None = None
    context: str | None = None


class Format(msgspec.Struct):
    """``text.format``."""

    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextConfig(msgspec.Struct):
    """``text``."""

    format: Format | None = None
    verbosity: str | None = None


class CacheOptions(msgspec.Struct):
    """``prompt_cache_options``."""

    mode: str | None = None
    ttl: str | None = None


class Item(msgspec.Struct):
    """One item of the input."""

    type: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    phase: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: msgspec.Raw = NOTHING
    input: str | None = None
    action: msgspec.Raw = NOTHING
    operation: msgspec.Raw = NOTHING
    output: msgspec.Raw = NOTHING
    status: str | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    execution: str | None = None
    tools: list[Tool] | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None


class Request(msgspec.Struct):
    """The fields of a request that are read, beside those of the view."""

    input: str | list[Item] | None = None
    instructions: str | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    top_logprobs: int | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None
    include: list[str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    safety_identifier: str | None = None
    user: str | None = None
    service_tier: str | None = None
    background: bool | None = None


def read(raw: bytes | msgspec.Raw, shape: type[T], where: str = "") -> T:
    """JSON as ``shape``. Raises BadRequest that names the field below ``where``, and never quotes a value."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except RecursionError:
        raise BadRequest("the request body is nested too deeply") from None
    except msgspec.ValidationError as error:
        told = _TOLD.fullmatch(str(error))
        what, path = (told[1], told[2] or "") if told is not None else ("", "")
        field = f"{where}.{path}".strip(".").replace(".[", "[")
        raise BadRequest(f"the field '{field}' can't be read: {what[:1].lower()}{what[1:]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(
            f"the field '{where}' can't be read" if where else "the request body is not valid JSON"
        ) from None


def clipped(word: str) -> str:
    """A client's word as it may stand in a message."""
    return word if len(word) <= 60 else f"{word[:60]}…"
