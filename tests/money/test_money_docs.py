"""The examples of docs/money.md hold."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path

from router.money.cost import cost_nano_usd
from router.money.prices import PriceTable
from router.money.rates import Rates
from router.money.savings import caching_of, usage_elsewhere
from router.wire.usage import Usage

PAGE = (Path(__file__).parents[2] / "docs" / "money.md").read_text("utf-8")


def test_the_worked_example() -> None:
    usage = Usage(input=1_000, cache_read=20_000, cache_write=2_000, output=500)
    rates = PriceTable.load().rates("anthropic", "claude-sonnet-4-5")
    cost = cost_nano_usd(usage, rates, day=date(2026, 11, 20))
    assert cost.nano_usd is not None
    assert f"= ${Decimal(cost.nano_usd) / 10**9:f}\n" in PAGE


def test_the_overrides_are_valid_rates() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    overrides = tomllib.loads(example, parse_float=Decimal)["prices"]
    assert set(overrides) == {"anthropic/claude-sonnet-4-5", "ollama/qwen3-coder"}
    rates = [
        Rates.flat(**{key.replace("-", "_"): Decimal(price) for key, price in table.items()})
        for table in overrides.values()
    ]
    assert (rates[0].input, rates[0].cache_write_1h, rates[1].output) == (2_400_000, 4_800_000, 0)


def test_the_version_shown_is_the_version_shipped() -> None:
    assert f"`{PriceTable.load().version} (no price for priority)`" in PAGE


def test_the_examples_of_savings() -> None:
    """What was paid, at a model that has nothing of the conversation, and what the default would have cost."""
    prices, day = PriceTable.load(), date(2026, 11, 20)

    def usd(nano: int | None) -> str:
        assert nano is not None
        return f"{'-' if nano < 0 else ''}${Decimal(abs(nano)).scaleb(-9).normalize():f}"

    for provider, model, before in (("openai", "gpt-5-mini", 20_000), ("google", "gemini-2.5-pro", 120_000)):
        served = Usage(input=before + 2_000, output=500)
        paid = cost_nano_usd(served, prices.rates(provider, model), day=day).nano_usd
        there = usage_elsewhere(
            served, tokens=before + 2_000, held=before, caching=caching_of("anthropic", "5m"), same_provider=False
        )
        default = cost_nano_usd(there, prices.rates("anthropic", "claude-sonnet-4-5"), day=day).nano_usd
        assert paid is not None
        assert default is not None
        assert f"= {usd(paid)}\n    default:  {before:,} ×" in PAGE
        assert f"= {usd(default)}\n    saved:    {usd(default - paid)}\n" in PAGE
