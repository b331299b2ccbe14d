"""Tool calls: a tool that is there, arguments that it takes, none that is risky, and not the same call again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from router.routing.judging.check import Check, counted, fatal
from router.routing.judging.draft import Draft, Question
from router.routing.judging.prose import Prose
from router.routing.judging.schema import Steps, problem
from router.routing.judging.texts import period
from router.wire.conversation import Tool, ToolCall

_ROOM: Final = 400_000
"""Characters of arguments that are wholly looked into; beyond them only the texts among the arguments are."""
_PLAIN_NAME: Final = re.compile(r"[\w.:/-]{1,64}")


@dataclass(frozen=True, slots=True)
class ReadCall:
    """A call whose arguments were read: ``None`` where they are no JSON object, or raw text."""

    call: ToolCall
    tool: Tool | None
    arguments: dict[str, Any] | None


def read_calls(question: Question, draft: Draft) -> tuple[ReadCall, ...]:
    """The calls, each with its tool. Lists and objects that are too large to be looked into stay ``msgspec.Raw``."""
    tools = {(tool.namespace, tool.name): tool for tool in question.tools}
    by_name = {tool.name: tool for tool in reversed(question.tools)}
    room = _ROOM
    read: list[ReadCall] = []
    for call in draft.calls:
        tool = tools.get((call.namespace, call.name))
        if tool is None and call.namespace is None:
            tool = by_name.get(call.name)
        arguments: dict[str, Any] | None = None
        if not call.custom:
            arguments, room = _arguments(call.arguments, room)
        read.append(ReadCall(call, tool, arguments))
    return tuple(read)


def _arguments(text: str, room: int) -> tuple[dict[str, Any] | None, int]:
    """The object, and the room that is left."""
    if not text or text.isspace():
        return {}, room
    try:
        if len(text) <= room:
            found = msgspec.json.decode(text.encode())
            return (found if isinstance(found, dict) else None), room - len(text)
        members = msgspec.json.decode(text.encode(), type=dict[str, msgspec.Raw])
        small = {name: raw for name, raw in members.items() if not bytes(raw).startswith((b"{", b"["))}
        return {**members, **{name: msgspec.json.decode(raw) for name, raw in small.items()}}, room
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None, room


def tools_check(question: Question, draft: Draft, calls: Sequence[ReadCall]) -> Check | None:
    """Known tools, arguments that fit, and calls where calls were demanded."""
    choice = question.tool_choice
    if not calls:
        if choice is not None and choice.mode in ("any", "named"):
            return fatal("tools", "a tool call was demanded, and there is none")
        return None
    if choice is not None and choice.mode == "none":
        return fatal("tools", "calls a tool although none may be called")
    steps = Steps()
    for read in calls:
        name = _shown(read.call.name)
        if read.tool is None:
            return fatal("tools", f"calls {name}, which wasn't offered")
        if choice is not None and choice.allowed is not None and read.call.name not in choice.allowed:
            return fatal("tools", f"calls {name}, which isn't among the tools allowed")
        if choice is not None and choice.mode == "named" and choice.name not in (None, read.call.name):
            return fatal("tools", f"calls {name} where another tool was demanded")
        if (fault := _fault(read, steps)) is not None:
            return fatal("tools", f"{name}: {fault}")
    return Check("tools", 1.0, 1.0, f"{counted(len(calls), 'call')} of known tools with fitting arguments")


def _fault(read: ReadCall, steps: Steps) -> str | None:
    if read.call.custom:
        return _raw_fault(read.call.arguments.strip())
    if read.arguments is None:
        return "the arguments are no JSON object"
    if read.tool is None or read.tool.schema is None:
        return None
    found = problem(read.arguments, read.tool.schema, steps)
    return None if found is None else f"the arguments don't fit its schema, {found}"


def _raw_fault(text: str) -> str | None:
    """A model that knows only functions writes raw text as a field of one; an object is what it wrote instead."""
    if not text:
        return "the input is empty"
    is_object = text.startswith("{") and _arguments(text, _ROOM)[0] is not None
    return "the input is a JSON object instead of raw text" if is_object else None


def risk_check(calls: Iterable[ReadCall], risky_tools: Sequence[str]) -> Check | None:
    """Tools that the rule doesn't leave to a draft."""
    calls = tuple(calls)
    if not risky_tools or not calls:
        return None
    for read in calls:
        if any(fnmatchcase(read.call.name, glob) for glob in risky_tools):
            return fatal("risk", f"{_shown(read.call.name)} is among the risky tools")
    return Check("risk", 1.0, 1.0, "no risky tool")


# --- the same again ---------------------------------------------------------------------------------------------------

_WAITS: Final = re.compile(r"stdin|output|wait|poll|status|sleep|monitor|check", re.IGNORECASE)


def repeated_calls_check(question: Question, draft: Draft) -> Check | None:
    """One call several times over, or the call that was made just before, once more. Waiting is done that way."""
    calls = [_key(call) for call in draft.calls if not _WAITS.search(call.name)]
    if not calls:
        return None
    ((name, _), times) = Counter(calls).most_common(1)[0]
    if times > 1:
        return Check("repetition", 0.0 if times > 2 else 0.4, 0.8, f"makes one call of {_shown(name)} {times} times")
    earlier = [_key(call) for call in question.earlier_calls]
    again = 0
    while again < len(earlier) and earlier[-1 - again] in calls:
        again += 1
    if again > 1:
        return Check("repetition", 0.0, 0.8, f"makes a call that was made {again} times just before")
    if again:
        return Check("repetition", 0.6, 0.8, "makes the call that was made just before")
    return Check("repetition", 1.0, 0.8, "no call that was just made")


def _key(call: ToolCall) -> tuple[str, str]:
    return call.name, call.arguments.strip()


# --- files that calls write -------------------------------------------------------------------------------------------

_PATHS: Final = ("file_path", "path", "filePath", "filename", "absolute_path")
_CONTENTS: Final = ("content", "contents", "file_text", "text")
_REPLACED: Final = (
    ("old_string", "new_string"),
    ("oldString", "newString"),
    ("old_str", "new_str"),
    ("search", "replace"),
)
_ENDING: Final = re.compile(r"\.(\w{1,10})$")
_LEFT_OUT: Final = re.compile(
    r"\s*(?:#|//|/\*|\{/\*|<!--|--|\*|(?:\.\.\.|…)[ (])"
    r".{0,60}\b(?:existing|unchanged|rest of|remaining|remains?|same as before|unverändert|bleibt gleich)\b",
    re.IGNORECASE,
)
_MOST_GAPS: Final = 50


def _leaves_out(text: str) -> bool:
    """Whether a comment with dots stands for a part of the text: ``# ... existing code ...``"""
    for dots in ("...", "…"):
        at = text.find(dots)
        for _ in range(_MOST_GAPS):
            if at < 0:
                break
            start = text.rfind("\n", max(0, at - 100), at) + 1
            end = text.find("\n", at)
            if _LEFT_OUT.match(text, start, end if end >= 0 else len(text)):
                return True
            at = text.find(dots, end) if end >= 0 else -1
    return False


def written_files(calls: Iterable[ReadCall]) -> Iterator[tuple[str, str]]:
    """Endings and contents of the files that calls write whole."""
    for read in calls:
        arguments = read.arguments or {}
        path = next((arguments[name] for name in _PATHS if isinstance(arguments.get(name), str)), "")
        content = next((arguments[name] for name in _CONTENTS if isinstance(arguments.get(name), str)), None)
        ending = _ENDING.search(path)
        if ending is not None and content is not None:
            yield ending[1].lower(), content


_PLACEHOLDER: Final = re.compile(
    r"^/?(?:path/to|your)/|/path/to/|/your/|^<[^<>]{1,40}>$|\byour (?:code|text|content) here\b", re.IGNORECASE
)


def placeholder_check(calls: Iterable[ReadCall]) -> Check | None:
    """Arguments that stand for something the model didn't know."""
    for read in calls:
        for value in (read.arguments or {}).values():
            if isinstance(value, str) and len(value) < 200 and _PLACEHOLDER.search(value):
                return Check("writing", 0.0, 0.6, f"an argument of {_shown(read.call.name)} is a placeholder")
    return None


def writing_check(calls: Iterable[ReadCall]) -> Check | None:
    """Writing less than there should be: gaps in a file's new text, a text replaced by itself, a text without end."""
    looked = False
    for read in calls:
        arguments = read.arguments or {}
        for old, new in _REPLACED:
            before, after = arguments.get(old), arguments.get(new)
            if isinstance(before, str) and isinstance(after, str):
                looked = True
                if before == after:
                    return Check("writing", 0.0, 0.8, f"{_shown(read.call.name)} replaces a text by itself")
        for name in (*_CONTENTS, *(new for _, new in _REPLACED)):
            text = arguments.get(name)
            if not isinstance(text, str):
                continue
            looked = True
            if _leaves_out(text):
                return Check("writing", 0.0, 0.7, f"{_shown(read.call.name)} leaves out a part of the text it writes")
            if (times := period(text)) >= 20:
                return Check("writing", 0.0, 0.8, f"{_shown(read.call.name)} writes the same {times} times")
    return Check("writing", 1.0, 0.8, "writes whole texts") if looked else None


def call_as_text(question: Question, prose: Prose) -> Check | None:
    """A call that stands in the text as JSON, alone or in a fence, instead of being made."""
    names = {tool.name for tool in question.tools}
    texts = [block.code for block in prose.blocks[:5]] or [prose.text]
    for text in texts if names else ():
        text = text.strip()
        if not text.startswith("{") or len(text) > 20_000:
            continue
        try:
            found = msgspec.json.decode(text.encode(), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        name = found.get("name", found.get("tool"))
        if isinstance(name, str) and name in names and {"arguments", "parameters", "input", "args"} & found.keys():
            return fatal("form", "a tool call is written as text")
    return None


def _shown(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else "a tool with an odd name"
