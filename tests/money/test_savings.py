"""The usage that another model would have reported: tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from router.money.cost import cost_nano_usd
from router.money.rates import Rates
from router.money.savings import Baseline, Baselines, Caching, Counts, caching_of, decode, encode, usage_elsewhere
from router.wire.request import Lifetime
from router.wire.usage import Usage

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SERVED = Usage(input=500, cache_read=9_000, cache_write=500, output=300, reasoning=100)  # 10,000 in all


@pytest.mark.parametrize(
    ("family", "asked", "reads", "writes"),
    [
        pytest.param("anthropic", "", False, "", id="Claude keeps nothing that isn't marked"),
        pytest.param("anthropic", "5m", True, "5m", id="Claude keeps what is marked, for a charge"),
        pytest.param("anthropic", "1h", True, "1h", id="for an hour at another charge"),
        pytest.param("openai", "", True, "5m", id="OpenAI keeps by itself; its newer models charge for that"),
        pytest.param("openai", "1h", True, "1h", id="or for longer"),
        pytest.param("google", "", True, "", id="Gemini keeps by itself for nothing"),
        pytest.param("", "", True, "", id="so do others"),
        pytest.param("", "5m", True, "5m", id="some charge where a request marks what to keep"),
    ],
)
def test_how_a_family_keeps_prompts(family: str, asked: Lifetime, reads: bool, writes: Lifetime) -> None:
    assert caching_of(family, asked) == Caching(reads, writes)


@pytest.mark.parametrize(("asked", "lifetime"), [("", "5m"), ("5m", "5m"), ("1h", "1h")])
def test_how_long_a_prompt_is_kept(asked: Lifetime, lifetime: Lifetime) -> None:
    assert caching_of("anthropic", asked).lifetime == lifetime


MARKED, UNMARKED, BY_ITSELF, LONG = Caching(True, "5m"), Caching(False, ""), Caching(True, ""), Caching(True, "1h")


@pytest.mark.parametrize(
    ("tokens", "held", "caching", "fresh", "read", "written", "written_1h"),
    [
        pytest.param(10_000, 0, UNMARKED, 10_000, None, None, None, id="no cache"),
        pytest.param(10_000, 8_000, UNMARKED, 10_000, None, None, None, id="a cache that isn't asked for isn't read"),
        pytest.param(10_000, 0, MARKED, 0, None, 10_000, None, id="a conversation's first request is written whole"),
        pytest.param(10_000, 8_000, MARKED, 0, 8_000, 2_000, None, id="then only what is new"),
        pytest.param(10_000, 8_000, LONG, 0, 8_000, None, 2_000, id="for an hour"),
        pytest.param(10_000, 8_000, BY_ITSELF, 2_000, 8_000, None, None, id="without a charge the new part is fresh"),
        pytest.param(10_000, 12_000, MARKED, 0, 10_000, None, None, id="no more is read than there is"),
        pytest.param(10_000, 1_023, MARKED, 0, None, 10_000, None, id="what is too short was never kept"),
        pytest.param(10_000, 1_024, MARKED, 0, 1_024, 8_976, None, id="the shortest prompt that is"),
        pytest.param(1_023, 0, MARKED, 1_023, None, None, None, id="a short request isn't written"),
        pytest.param(0, 0, MARKED, 0, None, None, None, id="nothing"),
    ],
)
def test_what_of_the_input_is_read_and_written(
    tokens: int,
    held: int,
    caching: Caching,
    fresh: int,
    read: int | None,
    written: int | None,
    written_1h: int | None,
) -> None:
    there = usage_elsewhere(SERVED, tokens=tokens, held=held, caching=caching, same_provider=False)
    assert (there.input, there.cache_read, there.cache_write, there.cache_write_1h) == (
        fresh,
        read,
        written,
        written_1h,
    )
    assert there.total_input == tokens
    assert (there.output, there.reasoning) == (300, 100)


def test_what_only_the_provider_says_holds_there_alone() -> None:
    served = Usage(input=1, output=1, web_searches=2, service_tier="flex", speed="fast", provider_cost_usd="0.5")
    same, other = (
        usage_elsewhere(served, tokens=1, held=0, caching=UNMARKED, same_provider=here) for here in (True, False)
    )
    assert (same.service_tier, same.speed, same.provider_cost_usd) == ("flex", "fast", None)
    assert (other.service_tier, other.speed, other.provider_cost_usd) == (None, None, None)
    assert same.web_searches == other.web_searches == 2


SONNET = Rates.flat(
    input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75"),
    cache_write_1h=Decimal(6),
)  # fmt: skip
PLAIN = Rates.flat(input=Decimal(3), output=Decimal(15))


@pytest.mark.parametrize(
    ("rates", "held", "caching", "micro_usd"),
    [
        pytest.param(SONNET, 0, UNMARKED, "34500", id="10000×3 + 300×15"),
        pytest.param(SONNET, 8_000, MARKED, "14400", id="8000×0.3 + 2000×3.75 + 300×15"),
        pytest.param(SONNET, 8_000, LONG, "18900", id="8000×0.3 + 2000×6 + 300×15"),
        pytest.param(SONNET, 8_000, BY_ITSELF, "12900", id="8000×0.3 + 2000×3 + 300×15"),
        pytest.param(PLAIN, 8_000, MARKED, "34500", id="a model without prices for its cache"),
    ],
)
def test_what_that_costs(rates: Rates, held: int, caching: Caching, micro_usd: str) -> None:
    there = usage_elsewhere(SERVED, tokens=10_000, held=held, caching=caching, same_provider=False)
    assert cost_nano_usd(there, rates, day=NOON).nano_usd == int(micro_usd) * 1000


def test_how_it_was_worked_out_is_kept_in_few_words() -> None:
    there = usage_elsewhere(SERVED, tokens=10_000, held=8_000, caching=BY_ITSELF, same_provider=False)
    default = Baseline("groq", "qwen", Counts.of(there), billing="subscription", unknown="it has no price")
    baselines = Baselines(default, Baseline("openai", "gpt-5"))
    text = encode(baselines)
    assert text == (
        '{"default":{"provider":"groq","model":"qwen","usage":{"input":2000,"cache_read":8000,"output":300,'
        '"reasoning":100},"billing":"subscription","unknown":"it has no price"},'
        '"requested":{"provider":"openai","model":"gpt-5"}}'
    )
    assert decode(text) == baselines
    assert decode(text).default.usage.usage == there  # type: ignore[union-attr]
    assert decode(encode(Baselines())) == Baselines()
