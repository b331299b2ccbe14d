"""A provider that keeps books of its own: what it was asked, what it says it used, and what it charges for that.

It knows nothing of the router's code. Prices are written down here as vendors publish them, in dollars a million
tokens; amounts are exact decimals, rounded half up to nano-dollars once; each dialect of usage is written by hand. So
whatever the ledger says can be held against what the provider says, call by call.

The first segment of the path names the provider. A request is known by a word in its text, ``nonce-…``, from which
everything that happens to it is drawn, so that a run can be repeated.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any, Literal

from tests.support.answers import encoded
from tests.support.provider import SSE, End, Received, Reset, Send, Stall, Status, Step, stream, whole

Fate = Literal["answered", "empty", "failed", "cut", "silent"]
"""``answered`` and ``empty`` (no content) are whole and charged; ``failed`` (an error status) is free; ``cut`` breaks
off and ``silent`` stops until the caller leaves, both with part of the work done."""

NONCE = re.compile(rb"nonce-([0-9a-z-]+)")


@dataclass(frozen=True)
class Price:
    """Dollars a million tokens; ``above`` is a length of all input beyond which another price holds for everything."""

    input: str
    output: str
    read: str = ""
    write: str = ""
    write_1h: str = ""
    reasoning: str = ""
    request: str = ""
    above: tuple[int, Price] | None = None
    tiers: Mapping[str, Price] = field(default_factory=dict)  # by the word that the answer says it was served with


PRICES: Mapping[tuple[str, str], Price] = {
    ("anthropic", "claude-sonnet-4-5"): Price(
        "3", "15", "0.30", "3.75", "6", above=(200_000, Price("6", "22.50", "0.60", "7.50", "12"))
    ),
    ("anthropic", "claude-opus-4-6"): Price("5", "25", "0.50", "6.25", "10"),
    ("openai", "gpt-5"): Price(
        "1.25", "10", "0.125",
        tiers={"flex": Price("0.625", "5", "0.0625"), "priority": Price("2.5", "20", "0.25")},
    ),
    ("openai", "gpt-5.4"): Price(
        "2.5", "15", "0.25", above=(272_000, Price("5", "22.5", "0.5")),
        tiers={
            "flex": Price("1.25", "7.5", "0.13", above=(272_000, Price("2.5", "11.25", "0.25"))),
            "priority": Price("5", "30", "0.5"),
        },
    ),
    ("gemini", "gemini-2.5-pro"): Price("1.25", "10", "0.125", above=(200_000, Price("2.5", "15", "0.25"))),
    ("groq", "llama-3.3-70b-versatile"): Price("0.59", "0.79"),
    ("perplexity", "sonar-pro"): Price("3", "15", request="0.014"),
    ("perplexity", "sonar-deep-research"): Price("2", "8", reasoning="3"),
    ("openrouter", "anthropic/claude-sonnet-4.5"): Price("3", "15", "0.30"),  # it says what it charged
    ("lab", "house-model"): Price("0.0731", "0.4177", "0.0073", "0.0914", "0.1462"),
    ("plan", "house-model"): Price("1.1", "4.4", "0.11"),  # a subscription: this is what it is worth
}  # fmt: skip


@dataclass(frozen=True)
class Used:
    """Tokens of one call. The four kinds of input don't overlap; ``reasoning`` is a part of ``output``."""

    fresh: int
    read: int
    write: int
    write_1h: int
    output: int
    reasoning: int
    tier: str = ""

    @property
    def total_input(self) -> int:
        return self.fresh + self.read + self.write + self.write_1h


def charged(price: Price, used: Used) -> int:
    """Nano-dollars for a call."""
    price = price.tiers.get(used.tier, price)
    if price.above is not None and used.total_input > price.above[0]:
        price = price.above[1]
    read = Decimal(price.read or price.input)
    write = Decimal(price.write or price.input)
    write_1h = Decimal(price.write_1h) if price.write_1h else write
    apart = used.reasoning if price.reasoning else 0
    dollars = (
        used.fresh * Decimal(price.input)
        + used.read * read
        + used.write * write
        + used.write_1h * write_1h
        + (used.output - apart) * Decimal(price.output)
        + apart * Decimal(price.reasoning or 0)
    ) / 1_000_000 + Decimal(price.request or 0)
    return int((dollars * 10**9).quantize(Decimal(1), ROUND_HALF_UP))


@dataclass(frozen=True)
class Booked:
    """One call in the provider's books."""

    provider: str
    model: str
    fate: Fate
    used: Used
    nano_usd: int  # of a whole answer

    @property
    def whole(self) -> bool:
        return self.fate in ("answered", "empty")


class Tariff:
    """``answer`` is an ``Answer`` for ``FakeProvider``; ``calls`` are the books, by nonce, in the order they came."""

    def __init__(self, *, faults: float = 0.25) -> None:
        self.calls: defaultdict[str, list[Booked]] = defaultdict(list)
        self._faults = faults

    def answer(self, request: Received) -> Iterable[Step]:
        found = NONCE.search(request.body)
        assert found is not None, request.body[:300]
        nonce = found[1].decode()
        provider, _, path = request.path.lstrip("/").partition("/")
        path = "/" + path.partition("?")[0]
        body = request.json
        model = body.get("model") or path.rpartition("/")[2].partition(":")[0]
        streamed = bool(body.get("stream")) or path.endswith(":streamGenerateContent")
        calls = self.calls[nonce]
        draw = Random(f"{nonce} {len(calls)} {provider}")
        used = _draw_usage(draw, provider)
        fate = _draw_fate(draw, nonce, first=not calls, faults=self._faults)
        if fate in ("cut", "silent") and not streamed:
            fate = "failed"
        calls.append(Booked(provider, model, fate, used, charged(PRICES[provider, model], used)))
        if fate == "failed":
            status = draw.choice([429, 500, 503, 529])
            return whole({"type": "error", "error": {"type": "x", "message": "busy"}}, status=status)
        text = "" if fate == "empty" else _draw_text(draw, nonce)
        dialect = _DIALECTS[_endpoint(path)]
        if not streamed:
            return whole(dialect(model, text, used, calls[-1], stream=False)[0])
        parts = [encoded_event(path, part) for part in dialect(model, text, used, calls[-1], stream=True)]
        if fate in ("answered", "empty"):
            return stream(*parts, *([b"data: [DONE]\n\n"] if path.endswith("/chat/completions") else []))
        middle = next(number for number, part in enumerate(parts) if b"Hello" in part) + 1
        end: Step = Stall() if fate == "silent" else draw.choice([Reset(), End()])
        return [Status(200, SSE), *(Send(part) for part in parts[:middle]), end]


def encoded_event(path: str, event: Mapping[str, Any]) -> bytes:
    """One event of a stream, with its name where the format has names."""
    name = b"event: %s\n" % str(event["type"]).encode() if "type" in event and "/chat/" not in path else b""
    return name + b"data: %s\n\n" % encoded(event)


def _endpoint(path: str) -> str:
    return next(end for end in _DIALECTS if path.endswith(end))


def _draw_usage(draw: Random, provider: str) -> Used:
    """Few tokens and many, with and without a cache; each provider has what its usage can say."""
    size = draw.choice([10, 1000, 30_000, 150_000, 290_000])
    some = lambda chance: draw.randrange(1, size) if draw.random() < chance else 0  # noqa: E731
    output = draw.choice([0, draw.randrange(1, 50), draw.randrange(1, 30_000)])
    writes = provider in ("anthropic", "lab")
    return Used(
        fresh=draw.randrange(size),
        read=some(0.5) if provider not in ("groq", "perplexity") else 0,
        write=some(0.4) if writes else 0,
        write_1h=some(0.3) if writes else 0,
        output=output,
        reasoning=draw.randrange(output + 1) if output and provider in ("openai", "gemini", "perplexity") else 0,
        tier=draw.choice(["", "default", "flex", "priority"]) if provider == "openai" else "",
    )


def _draw_fate(draw: Random, nonce: str, *, first: bool, faults: float) -> Fate:
    if nonce.endswith("-leaves"):
        return "silent"
    if draw.random() >= (faults if first else faults / 2):
        return "answered"
    return draw.choice(["failed", "failed", "failed", "empty", "cut"])


def _draw_text(draw: Random, nonce: str) -> str:
    """An answer; where a draft is judged, one that is good enough or one that isn't."""
    if "-draft" in nonce and draw.random() < 0.5:
        return "Hello. I'm sorry, but I can't help with that. I don't know, maybe. I am not sure, I think, perhaps."
    return "Hello, the capital of France is Paris, a city on the river Seine with about two million people."


# --- what a call used, in each dialect --------------------------------------------------------------------------------


def _messages(model: str, text: str, used: Used, booked: Booked, *, stream: bool) -> list[dict[str, Any]]:
    usage: dict[str, Any] = {
        "input_tokens": used.fresh,
        "cache_read_input_tokens": used.read,
        "cache_creation_input_tokens": used.write + used.write_1h,
        "cache_creation": {"ephemeral_5m_input_tokens": used.write, "ephemeral_1h_input_tokens": used.write_1h},
        "output_tokens": used.output,
        "service_tier": "standard",
    }
    content = [{"type": "text", "text": text}] if text else []
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": "end_turn", "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    if not stream:
        return [message]
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    spoken = [
        block,
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in _cut(text)),
        {"type": "content_block_stop", "index": 0},
    ]
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        {"type": "message_start", "message": begun},
        *(spoken if text else []),
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": used.output}},
        {"type": "message_stop"},
    ]


def _chat(model: str, text: str, used: Used, booked: Booked, *, stream: bool) -> list[dict[str, Any]]:
    prompt = used.fresh + used.read + used.write + used.write_1h
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": used.output,
        "total_tokens": prompt + used.output,
        "prompt_tokens_details": {"cached_tokens": used.read},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }
    if used.write or used.write_1h:
        usage["prompt_tokens_details"] |= {
            "cache_write_tokens": used.write + used.write_1h,
            "cache_write_tokens_details": {"ttl_30m_tokens": used.write, "ttl_12h_tokens": used.write_1h},
        }
    if booked.provider == "openrouter":
        usage["cost"] = float(Decimal(booked.nano_usd) / 10**9)
    head: dict[str, Any] = {"id": "chatcmpl-1", "created": 1763000000, "model": model}
    head |= {"service_tier": used.tier} if used.tier else {}
    if not stream:
        message = {"role": "assistant", "content": text or None}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return [{**head, "object": "chat.completion", "choices": [choice], "usage": usage}]
    head["object"] = "chat.completion.chunk"
    deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in _cut(text))]
    return [
        *({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**head, "choices": [], "usage": usage},
    ]


def _responses(model: str, text: str, used: Used, booked: Booked, *, stream: bool) -> list[dict[str, Any]]:
    total = used.fresh + used.read
    usage = {
        "input_tokens": total,
        "input_tokens_details": {"cached_tokens": used.read},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": total + used.output,
    }
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "item_1", "status": "completed", "role": "assistant", "content": [part]}
    response: dict[str, Any] = {
        "id": "resp_1", "object": "response", "created_at": 1763000000, "status": "completed", "model": model,
        "output": [item] if text else [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": usage, "service_tier": used.tier or None,
    }  # fmt: skip
    if not stream:
        return [response]
    place = {"item_id": "item_1", "output_index": 0, "content_index": 0}
    running = {**response, "status": "in_progress", "output": [], "usage": None}
    spoken = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": piece} for piece in _cut(text)),
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    return [
        {"type": "response.created", "response": running},
        *(spoken if text else []),
        {"type": "response.completed", "response": response},
    ]


def _gemini(model: str, text: str, used: Used, booked: Booked, *, stream: bool) -> list[dict[str, Any]]:
    prompt = used.fresh + used.read
    usage = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": used.read,
        "candidatesTokenCount": used.output - used.reasoning,
        "thoughtsTokenCount": used.reasoning,
        "totalTokenCount": prompt + used.output,
    }
    pieces = _cut(text) if stream else [text]
    parts: list[dict[str, Any]] = []
    for number, piece in enumerate(pieces or [""], 1):
        candidate: dict[str, Any] = {"index": 0}
        candidate |= {"content": {"role": "model", "parts": [{"text": piece}]}} if piece else {}
        candidate |= {"finishReason": "STOP"} if number == max(1, len(pieces)) else {}
        parts.append({"candidates": [candidate], "modelVersion": model, "responseId": "g1"})
    parts[-1]["usageMetadata"] = usage
    return parts


_DIALECTS = {
    "/messages": _messages,
    "/chat/completions": _chat,
    "/responses": _responses,
    ":generateContent": _gemini,
    ":streamGenerateContent": _gemini,
}


def _cut(text: str) -> list[str]:
    return [text[start : start + 40] for start in range(0, len(text), 40)]
