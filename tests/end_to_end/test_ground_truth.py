"""The ledger against a provider's own books: every call it answered to the end is there, token by token and to the
nano-dollar, and every other call is marked.

The provider (``tests/support/tariff.py``) has its own prices, its own arithmetic and its own way to say what was used;
the requests come in every wire format, streamed and not, through retries, fallbacks and drafts, with streams that are
cut and clients that leave. ``--exhaustive``: 100,000 requests, some minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from router.health.retry import RetryBudget
from router.ledger.reports import Reader, Scope
from tests.support.asking import BY_NAME, Format
from tests.support.provider import FakeProvider
from tests.support.serving import Running, serving
from tests.support.tariff import PRICES, Booked, Tariff

TARGETS = [f"{provider}/{model}" for provider, model in PRICES]
ADDRESSES = {
    "anthropic": ("", ["anthropic-messages"]),
    "openai": ("/v1", ["openai-responses", "openai-chat"]),
    "gemini": ("/v1beta", ["gemini"]),
    "groq": ("/openai/v1", ["openai-chat"]),
    "perplexity": ("", ["openai-chat"]),
    "openrouter": ("/api/v1", ["openai-chat"]),
    "lab": ("", ["anthropic-messages"]),
    "plan": ("/v1", ["openai-chat"]),
}
BATCH = 2_000  # requests whose bodies the provider keeps at a time
AT_ONCE = 24


def profile(url: str) -> str:
    """A rule for each target, with fallbacks; one with a draft; one that goes by what the client asks for."""
    lines = ['[retry]\nbackoff = "1ms"\n[routing]\non-loss = "allow"']
    for name, (path, formats) in ADDRESSES.items():
        lines += [f'[providers.{name}]\nbase-url = "{url}/{name}{path}"\nformats = {formats}\napi-key = "env:TEST_KEY"']
    lines[-1] += '\nbilling = "subscription"'
    for (name, model), price in PRICES.items():
        if name in ("lab", "plan"):
            lines += [f'[prices."{name}/{model}"]\ninput = {price.input}\noutput = {price.output}']
            lines += [f"cache-read = {price.read}"]
            lines += [f"cache-write = {price.write}\ncache-write-1h = {price.write_1h}"] if price.write else []
    for number, target in enumerate(TARGETS):
        others = [TARGETS[(number + step) % len(TARGETS)] for step in (3, 5)]
        lines += [f'[[rule]]\nmatch = {{ model-equals = "m{number}" }}\ntarget = "{target}"\nfallback = {others}']
    lines += [
        '[[rule]]\nmatch = { model-equals = "drafted" }\ntarget = "anthropic/claude-opus-4-6"\n'
        'cascade = { draft = "lab/house-model" }',
        '[default]\ntarget = "openai/gpt-5.4"',
    ]
    return "\n".join(lines)


def request(form: Format, model: str, nonce: str, *, stream: bool) -> tuple[str, bytes]:
    """Path and body."""
    text = f"nonce-{nonce} What is the capital of France?"
    if form.name == "gemini":
        path = (form.stream_path if stream else form.path).replace("models/m:", f"models/{model}:")
        return path, json.dumps({"contents": [{"role": "user", "parts": [{"text": text}]}]}).encode()
    said: dict[str, Any] = (
        {"input": text} if form.name == "openai-responses" else {"messages": [{"role": "user", "content": text}]}
    )
    limit = {"max_tokens": 1000} if form.name == "anthropic-messages" else {}
    return form.path, json.dumps({"model": model, "stream": stream, **limit, **said}).encode()


async def ask(router: Running, number: int) -> None:
    """One request, drawn from its number; some clients leave in the middle of the answer."""
    draw = Random(number)
    model = draw.choice(["drafted", "drafted", *(f"m{each}" for each in range(len(TARGETS))), "anything"])
    form, stream = draw.choice(list(BY_NAME.values())), draw.random() < 0.6
    leaves = stream and draw.random() < 0.05 and model != "drafted"
    nonce = f"{number:06}" + ("-draft" if model == "drafted" else "-leaves" if leaves else "-x")
    path, body = request(form, model, nonce, stream=stream)
    headers = {"content-type": "application/json", "x-router-tag": nonce}
    with contextlib.suppress(aiohttp.ClientError):  # a stream that was cut
        async with router.post(f"/work{path}", data=body, headers=headers) as reply:
            async for chunk in reply.content.iter_any():
                if leaves and b"Hello" in chunk:
                    reply.close()
                    return


async def asked(router: Running, provider: FakeProvider, numbers: range) -> None:
    """All of them, so many at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await ask(router, number)

    for start in range(numbers.start, numbers.stop, BATCH):
        await asyncio.gather(*(one(number) for number in range(start, min(start + BATCH, numbers.stop))))
        await router.flush()
        provider.requests.clear()


def disagreement(booked: Booked, row: dict[str, Any], request: dict[str, Any]) -> str | None:
    """What the ledger has otherwise than the provider; ``None`` for nothing."""
    if (row["provider"], row["model"]) != (booked.provider, booked.model):
        return "it went elsewhere"
    if booked.fate == "failed":
        free = row["cost_nano_usd"] == 0 and row["error_class"] and not row["maybe_billed"]
        return None if free else "an error is free"
    if not booked.whole:
        ended = row["error_class"] or request["outcome"] in ("client-gone", "partial")
        return None if row["maybe_billed"] and ended else "an answer that wasn't whole is marked"
    used = booked.used
    tokens = (used.fresh, used.read, used.write, used.write_1h, used.output, used.reasoning)
    kinds = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")
    if tokens != tuple(row[kind] or 0 for kind in kinds):
        return f"it used {tokens}"
    paid = 0 if booked.provider == "plan" else booked.nano_usd
    if (row["cost_nano_usd"], row["list_nano_usd"]) != (paid, booked.nano_usd):
        return f"it cost {booked.nano_usd}"
    return "it is an answer" if booked.fate == "answered" and (row["maybe_billed"] or row["error_class"]) else None


@pytest.mark.slow
async def test_the_ledger_is_the_providers_books(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    count = 100_000 if pytestconfig.getoption("--exhaustive") else 4_000
    tariff = Tariff()
    async with (
        FakeProvider(tariff.answer) as provider,
        serving(tmp_path / "h", {"work": profile(provider.url)}) as router,
    ):
        for tenant in router.app.tenants:
            tenant.health.retries = RetryBudget(least=10**9)
        await asked(router, provider, range(count))
        requests = await router.rows()
        attempts = defaultdict(list)
        for row in await router.rows("attempts"):
            attempts[row["request_id"]].append(row)
        total = Reader(router.app.home.database).usage([Scope("work")], by=("model",))

    assert len(requests) == count
    assert Counter(row["tags"] for row in requests) == Counter(dict.fromkeys(tariff.calls, 1))
    wrong, kinds = [], Counter[str]()
    for row in requests:
        calls, booked = attempts[row["id"]], tariff.calls[row["tags"]]
        if len(calls) != len(booked):
            wrong.append(f"{row['tags']}: {len(booked)} calls, {len(calls)} rows")
            continue
        for call, book in zip(calls, booked, strict=True):
            kinds[call["role"]] += 1
            kinds[book.fate] += 1
            if (difference := disagreement(book, call, row)) is not None:
                wrong.append(f"{row['tags']}: {difference}: {book}, {call}")
        known = [call["cost_nano_usd"] for call in calls if call["cost_nano_usd"] is not None]
        if row["cost_nano_usd"] not in (None, sum(known)):
            wrong.append(f"{row['tags']}: {row['cost_nano_usd']} isn't the sum of its calls")
    assert not wrong, "\n".join([f"{len(wrong)} of {count}", *wrong[:10]])
    # Nothing of what was to be looked at is missing.
    assert all(kinds[kind] > count / 200 for kind in ("answered", "empty", "failed", "cut", "silent"))
    assert all(kinds[role] > count / 200 for role in ("primary", "retry", "fallback", "draft", "verifier"))
    assert {row["api"] for row in requests} == set(BY_NAME)
    # And the report adds them up.
    paid = sum(row["cost_nano_usd"] or 0 for row in requests)
    assert total.total.sums.cost_nano_usd == paid
    assert total.total.sums.unpriced == sum(row["cost_nano_usd"] is None for row in requests)
