"""Whatever rules and traffic there are: advice never promises a loss, its edits load, nothing breaks; and of sound
rules it says nothing, whoever works that week."""

from __future__ import annotations

import json
from dataclasses import asdict
from random import Random

import pytest

from router.routing.rules import Target
from tests.advising import ledgers
from tests.advising.conftest import Study
from tests.advising.world import HOUR_MS, NOW_MS, Ask, background, days, load, question, session, without

CONDITIONS = [
    "thinking", "tool-use", "tool-result", "background", "subagent", "plan-mode", "image", "document", "stream",
    "tokens < 3000", "tokens > 20000", "messages > 12", "turns >= 2", "max-tokens <= 1024", "tools >= 10",
    "client = 'sdk'", "model-matches = '*haiku*'", "tokens > 2000 and not thinking", "tool-use or tokens < 500",
    "budget-used > 0.5", "time = '22:00-06:00'", "keywords = ['cheap']", "always",
]  # fmt: skip
TARGETS = [
    "anthropic/claude-sonnet-4-5", "anthropic/claude-haiku-4-5", "anthropic/claude-opus-4-5", "openai/gpt-6-luna",
    "groq/llama-3.3-70b-versatile", "groq/nobody-knows-the-price", "gemini/gemini-3.8-flash", "anthropic",
]  # fmt: skip


def some_rules(rng: Random) -> str:
    """A rules file."""
    text = ""
    if rng.random() < 0.3:
        text += f'[routing]\nsticky = "{rng.choice(["conversation", "cache"])}"\n'
        text += f'strategy = "{rng.choice(["first-match", "lowest-cost", "adaptive", "round-robin"])}"\n'
    for number in range(rng.randrange(5)):
        text += f'[[rule]]\nname = "rule {number}"\nmatch = "{rng.choice(CONDITIONS)}"\n{some_target(rng)}'
        text += f"priority = {rng.randrange(3)}\n" if rng.random() < 0.3 else ""
        text += "enabled = false\n" if rng.random() < 0.1 else ""
    return f"{text}[default]\n{some_target(rng)}"


def some_target(rng: Random) -> str:
    target = rng.choice(TARGETS)
    if "/" not in target:
        return f'to = "{target}"\n'
    text = f'target = "{target}"\n'
    if rng.random() < 0.3:
        text += f'fallback = ["{rng.choice(TARGETS[:5])}"]\n'
    if rng.random() < 0.2:
        text += 'cascade = { draft = "anthropic/claude-haiku-4-5" }\n'
    return text


def some_asks(rng: Random) -> list[Ask]:
    asks: list[Ask] = []
    for day, start in enumerate(days(rng.choice([3, 9]))):
        at = start + rng.randrange(8 * HOUR_MS)
        asks += session(rng, at, f"s{day}", requests=rng.randrange(5, 40), first=rng.choice([2_000, 20_000, 60_000]))
        asks += (background(rng, at + each, f"b{day}-{each}") for each in range(rng.randrange(15)))
        asks += (question(rng, at + each, f"q{day}-{each}") for each in range(rng.randrange(60)))
    flags = ["thinking", "subagent", "plan_mode", "image", "document", "stream", "tool_result"]
    return [without(ask, **{rng.choice(flags): rng.random() < 0.5}) if rng.random() < 0.2 else ask for ask in asks]


@pytest.mark.sampled(10)
@pytest.mark.parametrize("seed", range(80))
def test_advice_never_promises_a_loss(study: Study, seed: int) -> None:
    rng = Random(seed)
    failing = rng.choice([0.0, 0.02, 0.3])

    def fails(ask: Ask, target: Target) -> str | None:
        return rng.choice(["soft", "server", "rate"]) if rng.random() < failing else None

    found = study(some_rules(rng), some_asks(rng), fails=fails, judges=lambda ask: rng.random())
    for advice in found.found.advice:
        assert advice.saving_nano_usd is None or advice.saving_nano_usd > 0
        assert advice.saving_nano_usd is not None or advice.kind in ("idle-rule", "failing-target")
        assert 0 < advice.requests <= len(found.asks)
        assert advice.edit.diff
        assert load(found.folder / "edited" / "work", advice.edit.text) != found.profile
        json.dumps(asdict(advice))


@pytest.mark.slow
@pytest.mark.sampled(10)
@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_said_of_sound_rules(study: Study, seed: int) -> None:
    found = study(ledgers.SOUND, ledgers.sound_asks(seed + 100))
    assert len(found.past.requests) > 300
    assert found.found.advice == ()


def test_a_ledger_without_requests(study: Study) -> None:
    found = study(ledgers.SOUND, [])
    assert (found.found.advice, found.found.remarks, found.found.too_few) == ((), (), 300)


def test_requests_before_the_period_are_not_looked_at(study: Study) -> None:
    found = study(ledgers.SHADOWED, ledgers.sound_asks(), since_ms=NOW_MS - 24 * HOUR_MS)
    assert 0 < len(found.past.requests) < 300
    assert found.past.since_ms >= NOW_MS - 24 * HOUR_MS
