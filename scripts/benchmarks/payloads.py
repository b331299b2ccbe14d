"""The requests that are sent, made up from a seed: the same bytes on every machine.

Sizes follow what coding agents send: *small* is one question of 1 KB in the Chat format, *agent* 100 KB with a system
prompt, 20 tools and 40 messages in the Messages format, *huge* the same shape at 2 MB, *stream* agent's with a stream
asked for, in the words of Chat and Responses, too. Each holds a place for a nonce in its last message, so that no cache
can answer for the work.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

MODEL = "claude-sonnet-4-5"
NONCE_LENGTH = 16
SESSION_TURNS = 100
_NONCE = "N" * NONCE_LENGTH

_WORDS = """
agent answer branch buffer build cache change check client commit compile config count cursor default deploy
diff edit error event example export fetch field file filter flag format function header import index input
invoke key layer library limit line list loader lock log match measure merge message model module name option
order output package parse patch path plan policy print process profile prompt provider query queue read
release render request result retry route rule schema script search server session setting shell span state
status step store stream string table target test thread timeout token tool trace type update user value
version watch window worker write
""".split()


@dataclass(frozen=True, slots=True)
class Payload:
    """One request body, in two halves around its nonce. ``path`` is where its format is served."""

    name: str
    path: str
    before: bytes
    after: bytes

    def body(self, turn: int, nonce: bytes) -> bytes:
        """The bytes to send; every turn is the same request but for its nonce."""
        return self.before + nonce + self.after


@dataclass(slots=True)
class Session:
    """A conversation that grows by two messages a turn; all its messages carry the nonce of its first turn."""

    name: str
    path: str
    head: bytes
    messages: tuple[bytes, ...]
    _nonce: bytes = b""

    def body(self, turn: int, nonce: bytes) -> bytes:
        if turn == 0:
            self._nonce = nonce
        messages = b",".join(self.messages[: 2 * turn + 1])
        return b'%b,"messages":[%b]}' % (self.head, messages.replace(_NONCE.encode(), self._nonce))


def small() -> Payload:
    """1 KB, no tools, Chat Completions."""
    chance = random.Random(1)
    question = f"{_sentences(chance, 850)} ({_NONCE})"
    body = {"model": MODEL, "max_tokens": 512, "messages": [{"role": "user", "content": question}]}
    return _split("small", "/v1/chat/completions", body)


def agent(*, stream: bool = False) -> Payload:
    """100 KB in 40 messages with 20 tools, Messages."""
    return _split("stream" if stream else "agent", "/v1/messages", _agent(stream=stream))


def chat_stream() -> Payload:
    """*stream* in the words of Chat."""
    return _split("stream, chat", "/v1/chat/completions", as_chat(_agent(stream=True)))


def responses_stream() -> Payload:
    """*stream* in the words of Responses."""
    return _split("stream, responses", "/v1/responses", as_responses(_agent(stream=True)))


def _agent(*, stream: bool) -> dict[str, Any]:
    return conversation(turns=19, result_bytes=2900, stream=stream)


def huge() -> Payload:
    """2 MB in 160 messages with 20 tools, Messages."""
    return _split("huge", "/v1/messages", conversation(turns=79, result_bytes=24_500))


def growing() -> Session:
    """100 turns of a coding agent, from 40 KB to 400 KB, Messages."""
    whole = conversation(turns=SESSION_TURNS, result_bytes=3000, nonces=True)
    messages = whole.pop("messages")
    assert isinstance(messages, list)
    return Session("session", "/v1/messages", encode(whole)[:-1], tuple(map(encode, messages)))


def conversation(*, turns: int, result_bytes: int, stream: bool = False, nonces: bool = False) -> dict[str, Any]:
    """A coding agent's request after so many tool calls: ``2 * turns + 2`` messages, a nonce in the last or all."""
    chance = random.Random(2)
    mark = f"({_NONCE}) " if nonces else ""
    messages: list[dict[str, object]] = [_said("user", mark + _sentences(chance, 800))]
    for turn in range(turns):
        call = {
            "type": "tool_use",
            "id": f"toolu_{turn:06d}",
            "name": f"tool_{turn % 20}",
            "input": {"path": f"src/part_{turn}/module.py", "limit": chance.randrange(2000), "quiet": bool(turn % 2)},
        }
        result = {
            "type": "tool_result",
            "tool_use_id": call["id"],
            "content": mark + _source_code(chance, result_bytes),
        }
        messages += [
            {"role": "assistant", "content": [{"type": "text", "text": mark + _sentences(chance, 140)}, call]},
            {"role": "user", "content": [result]},
        ]
    messages.append(_said("user", f"Go on with the next step. ({_NONCE})"))
    body: dict[str, Any] = {"model": MODEL, "max_tokens": 4096}
    if stream:
        body["stream"] = True
    cached = {"type": "ephemeral"}
    body["system"] = [{"type": "text", "text": _sentences(chance, 12_000), "cache_control": cached}]
    body["tools"] = [_tool(chance, number) for number in range(20)]
    body["messages"] = messages
    return body


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The same conversation as a client of Chat has it."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": body["system"][0]["text"]}]
    for message in body["messages"]:
        texts = [block["text"] for block in message["content"] if block["type"] == "text"]
        calls = [
            {
                "id": block["id"],
                "type": "function",
                "function": {"name": block["name"], "arguments": encode(block["input"]).decode()},
            }
            for block in message["content"]
            if block["type"] == "tool_use"
        ]
        results = [block for block in message["content"] if block["type"] == "tool_result"]
        messages += [
            {"role": "tool", "tool_call_id": block["tool_use_id"], "content": block["content"]} for block in results
        ]
        if texts or calls:
            spoken: dict[str, Any] = {"role": message["role"], "content": "\n".join(texts)}
            messages.append(spoken | ({"tool_calls": calls} if calls else {}))
    tools = [{"type": "function", "function": _function(tool)} for tool in body["tools"]]
    asked = {"stream": True, "stream_options": {"include_usage": True}} if body.get("stream") else {}
    limit = {"max_completion_tokens": body["max_tokens"]}
    return {"model": body["model"], **limit, **asked, "tools": tools, "messages": messages}


def as_responses(body: dict[str, Any]) -> dict[str, Any]:
    """The same conversation as a client of Responses has it, nothing stored."""
    items: list[dict[str, Any]] = []
    for message in body["messages"]:
        for block in message["content"]:
            match block["type"]:
                case "tool_use":
                    arguments = encode(block["input"]).decode()
                    call = {"call_id": block["id"], "name": block["name"], "arguments": arguments}
                    items.append({"type": "function_call", **call})
                case "tool_result":
                    result = {"call_id": block["tool_use_id"], "output": block["content"]}
                    items.append({"type": "function_call_output", **result})
                case _:
                    kind = "output_text" if message["role"] == "assistant" else "input_text"
                    content = [{"type": kind, "text": block["text"]}]
                    items.append({"type": "message", "role": message["role"], "content": content})
    tools = [{"type": "function", **_function(tool), "strict": False} for tool in body["tools"]]
    asked = {"stream": True} if body.get("stream") else {}
    limit = {"max_output_tokens": body["max_tokens"], "store": False}
    instructions = {"instructions": body["system"][0]["text"]}
    return {"model": body["model"], **limit, **asked, **instructions, "tools": tools, "input": items}


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    return {"name": tool["name"], "description": tool["description"], "parameters": tool["input_schema"]}


def encode(body: object) -> bytes:
    """JSON as the SDKs write it."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def every_payload() -> dict[str, Payload | Session]:
    made = (small(), agent(), huge(), agent(stream=True), chat_stream(), responses_stream(), growing())
    return {payload.name: payload for payload in made}


def _split(name: str, path: str, body: object) -> Payload:
    before, nonce, after = encode(body).rpartition(_NONCE.encode())
    assert nonce, "a payload has a place for its nonce"
    return Payload(name, path, before, after)


def _said(role: str, text: str) -> dict[str, object]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _sentences(chance: random.Random, size: int) -> str:
    parts: list[str] = []
    length = 0
    while length < size:
        sentence = " ".join(chance.choices(_WORDS, k=chance.randint(5, 18))).capitalize() + (
            ".\n" if chance.random() < 0.2 else ". "
        )
        parts.append(sentence)
        length += len(sentence)
    return "".join(parts)[:size]


def _source_code(chance: random.Random, size: int) -> str:
    parts: list[str] = []
    length = 0
    while length < size:
        name, argument, field = chance.choices(_WORDS, k=3)
        block = (
            f"    async def {name}_{chance.randrange(1000)}(self, {argument}: dict[str, int]) -> list[str]:\n"
            f'        """{_sentences(chance, 70).strip()}"""\n'
            f'        if {argument}.get("{field}", {chance.randrange(100)}) > self._{field}:\n'
            f'            raise LookupError(f"no {field} in {{{argument}!r}}")\n'
            f"        return [item.strip() for item in self._{name} if item]\n\n"
        )
        parts.append(block)
        length += len(block)
    return "".join(parts)[:size]


def _tool(chance: random.Random, number: int) -> dict[str, object]:
    properties = {
        name: {"type": kind, "description": _sentences(chance, 90)}
        for name, kind in (("path", "string"), ("limit", "integer"), ("quiet", "boolean"), ("pattern", "string"))
    }
    return {
        "name": f"tool_{number}",
        "description": _sentences(chance, 900),
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": ["path"],
            "additionalProperties": False,
        },
    }
