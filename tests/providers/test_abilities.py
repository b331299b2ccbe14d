from __future__ import annotations

from typing import Any

import pytest

from router.money.prices import PriceTable
from router.providers.abilities import abilities_of
from router.providers.catalog import load_catalog
from router.routing.candidates import Abilities

PRICES = PriceTable.load()
CATALOG = load_catalog()


def known(target: str, corrections: dict[str, object] | None = None, **more: Any) -> Abilities:
    """Of ``provider/model``."""
    name, _, model = target.partition("/")
    provider = CATALOG[name]
    return abilities_of(provider, model, provider.formats[0], PRICES, corrections, **more)


@pytest.mark.parametrize(
    ("target", "window"),
    [
        pytest.param("anthropic/claude-haiku-4-5", 200_000, id="from the price table"),
        pytest.param("deepseek/deepseek-chat", 1_000_000, id="the price table has the window of an older model"),
        pytest.param("deepseek/deepseek-reasoner", 1_000_000, id="likewise"),
        pytest.param("openrouter/deepseek/deepseek-chat", None, id="elsewhere it still is the older model"),
        pytest.param("gemini/gemini-2.5-pro", 1_048_576, id="the price table has none"),
        pytest.param("gemini/gemini-2.5-pro-tts", 8_192, id="a model of another kind"),
        pytest.param("groq/llama-3.3-70b-versatile", 131_072, id="at this provider"),
        pytest.param("together/llama-3.3-70b-versatile", None, id="at another one"),
        pytest.param("ollama/qwen3-coder", None, id="who starts a server knows"),
    ],
)
def test_windows_are_known_from_the_first_source_that_has_one(target: str, window: int | None) -> None:
    assert known(target).window == window


@pytest.mark.parametrize(
    ("target", "corrections", "refused", "window"),
    [
        ("anthropic/claude-haiku-4-5", {"context": 500_000}, None, 500_000),
        ("anthropic/claude-haiku-4-5", {"images": False}, None, 200_000),
        ("anthropic/claude-haiku-4-5", None, 150_000, 150_000),
        ("anthropic/claude-haiku-4-5", None, 250_000, 200_000),
        ("anthropic/claude-haiku-4-5", {"context": 500_000}, 150_000, 500_000),
        ("ollama/qwen3-coder", None, 32_000, 32_000),
        ("deepseek/deepseek-chat", {"context": 64_000}, None, 64_000),
    ],
)
def test_a_profile_knows_best_then_who_refused(
    target: str, corrections: dict[str, object] | None, refused: int | None, window: int
) -> None:
    assert known(target, corrections, refused=refused).window == window


def test_the_rest_is_known_by_the_models_name() -> None:
    assert known("groq/openai/gpt-oss-120b") == Abilities(131_072, None, images=False, tools=True, documents=False)
    assert known("ollama/qwen3:4b") == Abilities(None, None, images=False, tools=True, documents=False)
    assert known("ollama/qwen3:4b", {"images": True, "max-output": 9}).images is True
    assert known("together/something") == Abilities()
