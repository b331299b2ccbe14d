"""The provider's part in a trial: it has some files read by the agent's own tool, then says what stood in the last.

``Script.answer`` is what the built-in provider says in place of its usual answers. It knows the first file's path from
the person's words, each further one's from what stands in the one before, and the secret from the last, as a model
would. Whatever else an agent asks (a title, the next speaker, …) gets the usual answer.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from router.server.demo.answer import Answer, Function, Question, ToolCall
from router.server.demo.answer import answer as usual_answer
from router.server.demo.counting import Part
from router.wire.formats import CODECS
from router.wire.freeform import FIELD
from router.wire.gemini.signature import MARK
from router.wire.opaque import TAG
from router.wire.pieces import fields_of
from router.wire.request import Api
from trials.refusals import refusals

THINKING: Final[Mapping[Api, str]] = {
    api: f"The file has to be read before anything can be said, thinks a model behind {api}." for api in CODECS
}
SEALS: Final[Mapping[Api, str]] = {  # as the built-in provider seals its thinking
    api: b64encode(sha256(text.encode()).digest()).decode() for api, text in THINKING.items()
}
_NEXT: Final = re.compile(r"notes continue in ([\w./-]+)")
_SECRET: Final = re.compile(r"secret word is (\w+)")
_PATHS: Final = ("file_path", "filePath", "absolute_path", "path")
_COMMANDS: Final = ("cmd", "command")
_READERS: Final = ("read", "read_file")
_SHELLS: Final = ("exec_command", "shell", "bash", "run_shell_command")
_PROGRAMS: Final = ("functions__exec",)  # Codex' tool for its own models: JavaScript that calls all the others


@dataclass(slots=True)
class Script:
    """One trial as its providers see it. ``own`` is the agent's format: such requests pass through, so what a real
    provider would say of them is between it and the agent, but for what other providers have left there."""

    path: str
    own: Api | None
    bodies: list[bytes] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    calls: int = 0
    results: int = 0
    thinking_kept: bool = False

    def answer(self, question: Question) -> Answer:
        """See the module."""
        self.note(question)
        api, raw = question.view.api, question.view.body.raw
        reader = reader_among(question.options.functions)
        if results := "\n".join(_results(question.parts)):
            self.results += 1
            self.thinking_kept = any(text.encode() in raw for text in (SEALS[api], THINKING[api]))
            if (further := _NEXT.search(results)) and reader is not None:
                return self._read(question, reader, further[1])
            secret = _SECRET.search(results)
            return Answer(f"It says that the secret word is {secret[1]}." if secret else "The file could not be read.")
        if reader is not None and self._asked(question.parts):
            return self._read(question, reader, self.path)
        return usual_answer(question)

    def note(self, question: Question) -> None:
        """Keep the request, and what a provider wouldn't have taken of it."""
        api, raw = question.view.api, question.view.body.raw
        self.bodies.append(raw)
        self.problems += _left_behind(api, raw.decode())
        if api != self.own:
            self.problems += refusals(api, json.loads(raw), SEALS[api])

    def _read(self, question: Question, reader: Function, path: str) -> Answer:
        self.calls += 1
        return Answer(f"I read file {self.calls}.", self._thinking(question), _call(reader, path), "tool")

    def _asked(self, parts: Sequence[Part]) -> bool:
        return any(self.path in text for part in parts if part.content.role == "user" for text in part.content.texts)

    def _thinking(self, question: Question) -> str:
        """Claude thinks when it is asked to; the models of the other formats do in any case."""
        api = question.view.api
        return THINKING[api] if api != "anthropic-messages" or question.view.thinking.on else ""


def _left_behind(api: Api, text: str) -> Iterator[str]:
    """What no provider may see: how the router seals, and what others have sealed."""
    if TAG in text or MARK in text:
        yield "holds what the router sealed for itself"
    yield from (f"holds reasoning sealed by {other}" for other in SEALS if other != api and SEALS[other] in text)


def _results(parts: Sequence[Part]) -> list[str]:
    """The texts of tool results after the last words of the assistant."""
    found: list[str] = []
    for part in reversed(parts):
        if part.content.role == "assistant":
            break
        if part.content.tool_result:
            found += part.content.texts
    return found


def reader_among(functions: Sequence[Function]) -> Function | None:
    """The tool that reads a file best, among those offered."""
    by_name = {function.name.lower(): function for function in functions}
    return next((by_name[name] for name in (*_READERS, *_SHELLS, *_PROGRAMS) if name in by_name), None)


def _call(reader: Function, path: str) -> ToolCall:
    if reader.name in _PROGRAMS:
        command = json.dumps({"cmd": f"cat {path}"})
        return ToolCall(reader.name, {FIELD: f"const done = await tools.exec_command({command});\ntext(done.output);"})
    properties: dict[str, Any] = fields_of(fields_of(reader.schema).get("properties"))
    for name in _PATHS:
        if name in properties:
            return ToolCall(reader.name, {name: path})
    name = next((name for name in _COMMANDS if name in properties), _COMMANDS[-1])
    listed = fields_of(properties.get(name)).get("type") == "array"
    return ToolCall(reader.name, {name: ["cat", path] if listed else f"cat {path}"})
