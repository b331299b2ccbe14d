"""JSON that was asked for: it must be there, parse, and fit its schema."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from router.routing.judging import words
from router.routing.judging.check import Check, fatal
from router.routing.judging.draft import Draft, Question
from router.routing.judging.prose import Prose
from router.routing.judging.schema import problem

_MAX_LOOKED_INTO: Final = 1 << 20


def json_check(question: Question, draft: Draft, prose: Prose) -> Check | None:
    """Where the API was asked for JSON a program reads the answer, and nothing but fitting JSON will do. Where only
    words asked for it, a fence around it, or a sentence, is no great fault."""
    if draft.calls:
        return None
    text = prose.text.strip()
    if question.output is not None:
        found = _decode(text)
        if found is _NONE:
            return fatal("json", "JSON was asked for, and this is none" + (" (it is fenced)" if prose.blocks else ""))
        if question.output.schema is not None and (fault := problem(found, question.output.schema)) is not None:
            return fatal("json", f"doesn't fit the schema: {fault}")
        return Check("json", 1.0, 1.0, "JSON" + (" that fits the schema" if question.output.schema else ""))
    asked = question.asked
    if not words.ASKS_JSON.search(asked) or words.WRITES_CODE.search(asked):
        return None
    fenced = [block.code for block in prose.blocks[:5] if block.language in ("json", "")]
    for candidate in (text, *fenced, _between_brackets(prose.said)):
        if candidate and _decode(candidate) is not _NONE:
            return Check("json", 1.0, 0.6, "holds the JSON that was asked for")
    if "json" not in text.lower() and not re.search(r"[\[{]", text):
        return Check("json", 0.0, 0.6, "JSON was asked for and there is none")
    return Check("json", 0.0, 0.6, "JSON was asked for, and this doesn't parse")


def _between_brackets(text: str) -> str:
    """From the first opening bracket to the last closing one."""
    opening = re.search(r"[\[{]", text)
    return text[opening.start() : max(text.rfind("]"), text.rfind("}")) + 1] if opening else ""


_NONE: Final = object()


def _decode(text: str) -> Any:
    if len(text) > _MAX_LOOKED_INTO:
        return _NONE
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _NONE
