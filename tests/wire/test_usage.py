"""Usage has one meaning: fresh input, cache reads and writes apart, output with reasoning, nothing counted twice."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.usage import Usage, from_anthropic, from_gemini, from_openai, merge

pytestmark = pytest.mark.sampled(3)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param({}, Usage(), id="nothing reported"),
        pytest.param({"input_tokens": 0, "output_tokens": 0}, Usage(input=0, output=0), id="zeros are counts"),
        pytest.param(
            {"input_tokens": 4, "cache_creation_input_tokens": 1165, "cache_read_input_tokens": 7, "output_tokens": 2},
            Usage(input=4, cache_read=7, cache_write=1165, output=2),
            id="writes without details are short-lived",
        ),
        pytest.param(
            {
                "input_tokens": 8,
                "cache_creation_input_tokens": 5000,
                "cache_read_input_tokens": 1200,
                "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 4000},
                "output_tokens": 3,
                "service_tier": "standard",
                "speed": "fast",
            },
            Usage(8, 1200, 1000, 4000, 3, service_tier="standard", speed="fast"),
            id="writes of both lifetimes",
        ),
        pytest.param(
            {"cache_creation": {"ephemeral_1h_input_tokens": 5}},
            Usage(cache_write=0, cache_write_1h=5),
            id="details without a total",
        ),
        pytest.param(
            {"cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 10}},
            Usage(cache_write=20, cache_write_1h=10),
            id="what the details leave out is short-lived",
        ),
        pytest.param(
            {"output_tokens": 44, "output_tokens_details": {"thinking_tokens": 33}},
            Usage(output=44, reasoning=33),
            id="thinking",
        ),
        pytest.param(
            {"output_tokens": 4, "output_tokens_details": {"thinking_tokens": 33}},
            Usage(output=4, reasoning=4),
            id="thinking can't be more than the output",
        ),
        pytest.param(
            {
                "input_tokens": 412,
                "output_tokens": 264,
                "iterations": [
                    {"type": "message", "input_tokens": 408, "output_tokens": 0},
                    {"type": "fallback_message", "input_tokens": 412, "output_tokens": 264},
                ],
            },
            Usage(input=412, output=264),
            id="iterations inside the sums",
        ),
        pytest.param(
            {
                "input_tokens": 100,
                "output_tokens": 20,
                "iterations": [
                    {"type": "compaction", "input_tokens": 5000, "output_tokens": 300},
                    {"type": "message", "input_tokens": 100, "output_tokens": 20},
                ],
            },
            Usage(input=5100, output=320),
            id="a compaction beside the sums",
        ),
        pytest.param({"iterations": [None, 1, {"type": "compaction"}]}, Usage(), id="iterations of the wrong kind"),
    ],
)
def test_anthropic(report: dict[str, Any], expected: Usage) -> None:
    assert from_anthropic(report) == expected


def chat(prompt: Any = 100, completion: Any = 10, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param({}, Usage(), id="nothing reported"),
        pytest.param(chat(), Usage(input=100, output=10), id="plain"),
        pytest.param({"input_tokens": 7, "output_tokens": 3}, Usage(input=7, output=3), id="names of Responses"),
        pytest.param(
            chat(prompt_tokens_details={"cached_tokens": 64}), Usage(36, 64, output=10), id="cached inside the prompt"
        ),
        pytest.param(
            {"input_tokens": 100, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 90}},
            Usage(10, 90, output=1),
            id="cached, Responses",
        ),
        pytest.param(
            chat(prompt_tokens_details={"cached_tokens": 60, "cache_write_tokens": 30}),
            Usage(10, 60, 30, output=10),
            id="written to the cache",
        ),
        pytest.param(
            chat(
                prompt_tokens_details={
                    "cache_write_tokens": 50,
                    "cache_write_tokens_details": {"ttl_30m": 20, "ttl_12h": 30},
                }
            ),
            Usage(50, None, 20, 30, 10),
            id="written with both lifetimes",
        ),
        pytest.param(
            {
                "input_tokens": 100,
                "input_tokens_details": {
                    "cached_tokens": 0,
                    "cache_write_tokens": 50,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 30},
                },
                "output_tokens": 10,
            },
            Usage(50, 0, 20, 30, 10),
            id="written with both lifetimes, Responses",
        ),
        pytest.param(chat(prompt_cache_hit_tokens=40), Usage(60, 40, output=10), id="DeepSeek"),
        pytest.param(chat(cached_tokens=40), Usage(60, 40, output=10), id="Moonshot"),
        pytest.param(chat(num_cached_tokens=40), Usage(60, 40, output=10), id="Mistral"),
        pytest.param(
            chat(cache_read_input_tokens=40, cache_creation_input_tokens=10),
            Usage(50, 40, 10, output=10),
            id="a gateway with Anthropic's names",
        ),
        pytest.param(
            chat(prompt_cache_hit_tokens=0, prompt_tokens_details={"cached_tokens": 0}),
            Usage(100, 0, output=10),
            id="zero cached is a count",
        ),
        pytest.param(
            chat(prompt_tokens_details={"cached_tokens": 5000}),
            Usage(100, 5000, output=10),
            id="cached outside the prompt",
        ),
        pytest.param(
            chat(total_tokens=5110, prompt_tokens_details={"cached_tokens": 5000}),
            Usage(100, 5000, output=10),
            id="cached outside the prompt, inside the total",
        ),
        pytest.param(
            chat(prompt_tokens_details={"cache_write_tokens": 900}),
            Usage(100, None, 900, output=10),
            id="written outside the prompt",
        ),
        pytest.param(
            chat(prompt_tokens_details={"cached_tokens": 70, "cache_write_tokens": 60}),
            Usage(0, 70, 60, output=10),
            id="more cached and written than the prompt: nothing fresh, never negative",
        ),
        pytest.param(
            chat(291, 26, total_tokens=506, completion_tokens_details={"reasoning_tokens": 189}),
            Usage(291, output=215, reasoning=189),
            id="reasoning outside the completion",
        ),
        pytest.param(chat(total_tokens=0), Usage(100, output=10), id="a total of nothing is not believed"),
        pytest.param(
            chat(completion_tokens_details={"reasoning_tokens": 99}),
            Usage(100, output=10, reasoning=10),
            id="more reasoning than output",
        ),
        pytest.param(
            chat(prompt_tokens_details=None, completion_tokens_details=None), Usage(100, output=10), id="null details"
        ),
        pytest.param(
            chat(cost=Decimal("0.00256995")),
            Usage(100, output=10, provider_cost_usd="0.00256995"),
            id="OpenRouter's charge keeps its digits",
        ),
        pytest.param(
            chat(cost=1.13e-05),
            Usage(100, output=10, provider_cost_usd="0.0000113"),
            id="a charge is written without exponent",
        ),
        pytest.param(chat(cost=0), Usage(100, output=10, provider_cost_usd="0"), id="no charge"),
        pytest.param(chat(cost=-1), Usage(100, output=10), id="a negative charge"),
        pytest.param(chat(cost="free"), Usage(100, output=10), id="a charge that is no number"),
    ],
)
def test_openai(report: dict[str, Any], expected: Usage) -> None:
    assert from_openai(report) == expected


def test_searches_that_anthropic_ran_are_counted_and_kept() -> None:
    first = from_anthropic({"input_tokens": 5, "server_tool_use": {"web_search_requests": 1}})
    assert first.web_searches == 1
    assert (
        merge(first, from_anthropic({"output_tokens": 9, "server_tool_use": {"web_search_requests": 2}})).web_searches
        == 2
    )
    assert merge(first, from_anthropic({"output_tokens": 9})).web_searches == 1


def test_openais_service_tier_stands_beside_the_usage() -> None:
    assert from_openai({}, service_tier="flex").service_tier == "flex"
    assert from_openai({}, service_tier="").service_tier is None
    assert from_openai({}, service_tier=3).service_tier is None


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param({}, Usage(), id="nothing reported"),
        pytest.param({"trafficType": "ON_DEMAND"}, Usage(), id="no counts yet"),
        pytest.param(
            {
                "promptTokenCount": 17713,
                "cachedContentTokenCount": 17379,
                "candidatesTokenCount": 68,
                "thoughtsTokenCount": 821,
            },
            Usage(334, 17379, 0, output=889, reasoning=821),
            id="cached inside the prompt, thoughts outside the candidates",
        ),
        pytest.param(
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 1},
            Usage(15, cache_write=0, output=1),
            id="tool prompts outside the prompt",
        ),
        pytest.param(
            {"promptTokenCount": 15, "thoughtsTokenCount": 2, "totalTokenCount": 17},
            Usage(15, cache_write=0, output=2, reasoning=2),
            id="all of the output was thought",
        ),
        pytest.param(
            {"promptTokenCount": 14, "totalTokenCount": 14}, Usage(14, cache_write=0, output=0), id="a blocked prompt"
        ),
        pytest.param({"promptTokenCount": 14}, Usage(14, cache_write=0), id="an output nobody counted"),
        pytest.param(
            {"promptTokenCount": 10, "cachedContentTokenCount": 90, "candidatesTokenCount": 1},
            Usage(10, 90, 0, output=1),
            id="cached outside the prompt",
        ),
    ],
)
def test_gemini(report: dict[str, Any], expected: Usage) -> None:
    assert from_gemini(report) == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(-1, id="negative"),
        pytest.param(True, id="a truth value"),
        pytest.param("12", id="text"),
        pytest.param(float("nan"), id="NaN"),
        pytest.param(Decimal("NaN"), id="decimal NaN"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(10**40, id="astronomic"),
        pytest.param(Decimal("1e400"), id="astronomic decimal"),
        pytest.param(1.5, id="a fraction"),
        pytest.param([1], id="a list"),
        pytest.param({}, id="an object"),
        pytest.param(None, id="null"),
    ],
)
def test_what_is_no_count_is_not_reported(value: Any) -> None:
    assert from_anthropic({"input_tokens": value, "output_tokens": 1}) == Usage(output=1)
    assert from_openai({"prompt_tokens": value, "completion_tokens": 1}) == Usage(output=1)
    assert from_gemini({"promptTokenCount": value, "candidatesTokenCount": 1}) == Usage(output=1)


def test_a_whole_number_with_a_fraction_is_a_count() -> None:
    assert from_openai(chat(Decimal("12.0"), 3.0)) == Usage(12, output=3)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(None, Usage(1), Usage(1), id="the first report"),
        pytest.param(Usage(43, output=1), Usage(61, output=2), Usage(61, output=2), id="the later value wins"),
        pytest.param(
            Usage(4, 0, 1165, output=1), Usage(output=201), Usage(4, 0, 1165, output=201), id="missing values are kept"
        ),
        pytest.param(Usage(5), Usage(0), Usage(0), id="a later zero is a value"),
        pytest.param(
            Usage(1, cache_write=0, cache_write_1h=426),
            Usage(1, cache_write=426),
            Usage(1, cache_write=0, cache_write_1h=426),
            id="a repeated total of writes isn't counted twice",
        ),
        pytest.param(
            Usage(service_tier="standard", speed="fast", provider_cost_usd="1"),
            Usage(1),
            Usage(1, service_tier="standard", speed="fast", provider_cost_usd="1"),
            id="words are kept",
        ),
    ],
)
def test_reports_of_one_call_are_merged_never_added(old: Usage | None, new: Usage, expected: Usage) -> None:
    assert merge(old, new) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = """input_tokens output_tokens cache_read_input_tokens cache_creation_input_tokens cache_creation iterations
    ephemeral_5m_input_tokens ephemeral_1h_input_tokens output_tokens_details thinking_tokens prompt_tokens
    completion_tokens total_tokens prompt_tokens_details input_tokens_details cached_tokens completion_tokens_details
    reasoning_tokens cache_write_tokens cache_write_tokens_details ttl_30m ttl_12h ttl_30m_tokens ttl_12h_tokens
    cost prompt_cache_hit_tokens
    promptTokenCount cachedContentTokenCount candidatesTokenCount thoughtsTokenCount toolUsePromptTokenCount
    totalTokenCount service_tier speed serviceTier type""".split()
reports = st.dictionaries(
    st.sampled_from(NAMES), json_values | st.dictionaries(st.sampled_from(NAMES), json_values), max_size=8
)


@given(reports, reports)
def test_no_report_raises_or_counts_below_zero(first: dict[str, Any], second: dict[str, Any]) -> None:
    for read in (from_anthropic, from_openai, from_gemini):
        usage = merge(read(first), read(second))
        for count in (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output):
            assert count is None or (isinstance(count, int) and count >= 0)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_openais_prompt_is_split_without_loss(fresh: int, cached: int, written: int, output: int) -> None:
    prompt = fresh + cached + written
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    report = chat(prompt, output, total_tokens=prompt + output, prompt_tokens_details=details)
    assert from_openai(report) == Usage(fresh, cached, written, output=output)


def test_recorded_replies_add_up(recorded_usage: dict[str, Any]) -> None:
    """Whatever the format, input, cache reads and writes together are what the provider calls the input."""
    body = recorded_usage["response"]["body"]
    report = body.get("usage") or body["usageMetadata"]
    match recorded_usage["api"]:
        case "anthropic-messages":
            usage = from_anthropic(report)
            total = sum(report.get(f"{name}input_tokens", 0) for name in ("", "cache_read_", "cache_creation_"))
        case "gemini":
            usage = from_gemini(report)
            total = report["promptTokenCount"]
        case _:
            usage = from_openai(report)
            total = report.get("prompt_tokens", report.get("input_tokens"))
    parts = (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h)
    assert sum(part or 0 for part in parts) == total, json.dumps(report)
    assert usage.output is not None
    assert usage.output >= (usage.reasoning or 0)
