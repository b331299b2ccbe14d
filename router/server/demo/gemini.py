"""The built-in provider's Gemini ``generateContent``.

Every event of a stream is a whole response with the usage so far.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec

from router.server.demo.answer import SAMPLING, Answer, Function, Options, Question, pieces_of
from router.server.demo.counting import count_tokens
from router.wire.body import Body
from router.wire.pieces import blocks_of, fields_of

REQUIRED = ("contents",)
_STOPS = {"end": "STOP", "tool": "STOP", "length": "MAX_TOKENS", "sequence": "STOP"}


def options(body: Body) -> Options:
    """See ``Options``. Field names in camel and in snake case."""
    config = fields_of(_either(body, "generationConfig", "generation_config"))
    groups = body.get("tools")
    declared = [
        fields_of(one)
        for group in map(fields_of, groups if isinstance(groups, list) else [groups])
        for one in blocks_of(_either(group, "functionDeclarations", "function_declarations"))
    ]
    tool_config = fields_of(_either(body, "toolConfig", "tool_config"))
    mode = fields_of(_either(tool_config, "functionCallingConfig", "function_calling_config")).get("mode")
    return Options(
        functions=tuple(Function(str(one.get("name")), _schema(one)) for one in declared),
        choice="any" if mode == "ANY" else "none" if mode == "NONE" else "auto",
        schema=_answer_schema(config),
        stop=tuple(
            text for text in blocks_of(_either(config, "stopSequences", "stop_sequences")) if isinstance(text, str)
        ),
        sampling={name: config[name] for name in SAMPLING if name in config},
    )


def whole(question: Question, answer: Answer) -> dict[str, Any]:
    """The reply of a request that isn't streamed."""
    return _response(question, _parts(question, answer), answer.output_tokens, answer.thinking_tokens, answer)


def stream(question: Question, answer: Answer) -> Iterator[bytes]:
    """The responses of a stream as JSON, without a frame: events and a JSON array carry the same ones."""
    written = 0
    thoughts = 0
    parts = [piece for part in _parts(question, answer) for piece in _pieces(part)]
    for number, part in enumerate(parts, 1):
        tokens = count_tokens(part.get("text", ""))
        written += tokens
        thoughts += tokens if part.get("thought") else 0
        last = number == len(parts)
        yield msgspec.json.encode(
            _response(question, [part], answer.output_tokens, answer.thinking_tokens, answer)
            if last
            else _response(question, [part], written, thoughts, None)
        )


def _response(
    question: Question, parts: list[dict[str, Any]], output: int, thoughts: int, ended: Answer | None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if ended is not None:
        candidate["finishReason"] = _STOPS[ended.stop]
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(question, output, thoughts),
        "modelVersion": question.model,
        "responseId": question.id,
    }


def _usage(question: Question, output: int, thoughts: int) -> dict[str, Any]:
    """Thoughts stand outside the candidates, the cached part inside the prompt; zeros are left out."""
    read = question.input
    usage: dict[str, Any] = {
        "promptTokenCount": read.total,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": read.total + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": read.total}],
    }
    if read.cached:
        usage["cachedContentTokenCount"] = read.cached
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    return usage


def _parts(question: Question, answer: Answer) -> list[dict[str, Any]]:
    """Thoughts are only shown to those who ask to see them; they are counted all the same."""
    config = fields_of(_either(question.view.body, "generationConfig", "generation_config"))
    thinking = fields_of(_either(config, "thinkingConfig", "thinking_config"))
    parts: list[dict[str, Any]] = []
    if answer.thinking and _either(thinking, "includeThoughts", "include_thoughts") is True:
        parts.append({"text": answer.thinking, "thought": True})
    if answer.text or not answer.call:
        parts.append({"text": answer.text})
    if answer.call:
        call = {"id": question.id, "name": answer.call.name, "args": answer.call.arguments}
        part: dict[str, Any] = {"functionCall": call}
        if answer.thinking:
            part["thoughtSignature"] = b64encode(hashlib.sha256(answer.thinking.encode()).digest()).decode()
        parts.append(part)
    return parts


def _pieces(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A part in pieces; a function call always comes whole."""
    if "text" not in part:
        yield part
        return
    for piece in pieces_of(part["text"]) or [""]:
        yield {**part, "text": piece}


def _schema(declaration: dict[str, Any]) -> Any:
    return _either(declaration, "parametersJsonSchema", "parameters_json_schema") or declaration.get("parameters")


def _answer_schema(config: dict[str, Any]) -> Any:
    schema = _either(config, "responseJsonSchema", "response_json_schema") or _either(
        config, "responseSchema", "response_schema"
    )
    if schema is None and _either(config, "responseMimeType", "response_mime_type") == "application/json":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    return schema


def _either(fields: Body | dict[str, Any], camel: str, snake: str) -> Any:
    return fields.get(camel) if camel in fields else fields.get(snake)
