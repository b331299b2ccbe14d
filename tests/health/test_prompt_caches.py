from __future__ import annotations

import pytest

from router.health.prompt_caches import LIFETIME_S, PromptCaches

SONNET, LLAMA = ("anthropic", "sonnet"), ("groq", "llama")


@pytest.mark.parametrize(
    ("conversation", "target", "input_tokens", "now", "held"),
    [
        pytest.param("one", SONNET, 9_000, 1, 8_000, id="what the provider told"),
        pytest.param("one", SONNET, 7_500, 1, 7_500, id="never more than the request has: its size is an estimate"),
        pytest.param("one", SONNET, 5_900, 1, 0, id="nothing when the agent has compacted its context"),
        pytest.param("one", SONNET, 9_000, LIFETIME_S - 1, 8_000, id="until the end of its lifetime"),
        pytest.param("one", SONNET, 9_000, LIFETIME_S, 0, id="and no longer"),
        pytest.param("two", SONNET, 9_000, 1, 0, id="nothing of another conversation"),
        pytest.param("one", LLAMA, 9_000, 1, 0, id="nothing at another target"),
    ],
)
def test_a_target_holds(conversation: str, target: tuple[str, str], input_tokens: int, now: float, held: int) -> None:
    caches = PromptCaches()
    caches.note("one", SONNET, 8_000, 0)
    assert caches.of(conversation, target, input_tokens, now) == held


def test_the_last_answer_counts() -> None:
    caches = PromptCaches()
    caches.note("one", SONNET, 8_000, 0)
    caches.note("one", SONNET, 9_000, 100, lifetime_s=3600)
    assert caches.of("one", SONNET, 20_000, 3000) == 9_000
    caches.note("one", SONNET, 0, 200)
    assert caches.of("one", SONNET, 20_000, 201) == 0


def test_of_too_many_those_used_longest_ago_are_forgotten() -> None:
    caches = PromptCaches(limit=2)
    for conversation in ("one", "two", "one", "three"):
        caches.note(conversation, SONNET, 1_000, 0)
    assert [caches.of(name, SONNET, 1_000, 1) for name in ("one", "two", "three")] == [1_000, 0, 1_000]
