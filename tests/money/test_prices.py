from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from typing import Any

import pytest

from router.money.prices import PriceTable
from tests.support.slow import in_time

DAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


# USD per million tokens: input, output, cache read, 5-minute and 1-hour write, compared by hand with the source.
@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        ("anthropic", "claude-sonnet-4-5", (3, 15, 0.3, 3.75, 6)),
        ("anthropic", "claude-haiku-4-5", (1, 5, 0.1, 1.25, 2)),
        ("anthropic", "claude-opus-4-5", (5, 25, 0.5, 6.25, 10)),
        ("anthropic", "claude-opus-5-5", (4, 20, 0.2, 5, 8)),
        ("anthropic", "claude-sonnet-5-5", (2, 10, 0.1, 2.5, 4)),
        ("openai", "gpt-5.4", (2.5, 15, 0.25, None, None)),
        ("openai", "gpt-5-mini", (0.25, 2, 0.025, None, None)),
        ("openai", "gpt-4o-mini", (0.15, 0.6, 0.075, None, None)),
        ("google", "gemini-2.5-pro", (1.25, 10, 0.125, None, None)),
        ("google", "gemini-3.5-flash", (1.5, 9, 0.15, None, None)),
        ("groq", "llama-3.3-70b-versatile", (0.59, 0.79, None, None, None)),
        ("deepseek", "deepseek-v4-flash", (0.15, 0.6, 0.003, None, None)),
        ("minimax", "MiniMax-M2", (0.3, 1.2, 0.03, 0.375, None)),
        ("zai", "glm-4.6", (0.6, 2.2, 0.11, None, None)),
    ],
)
def test_current_prices(table: PriceTable, provider: str, model: str, usd: tuple[float | None, ...]) -> None:
    rates = table.rates(provider, model)
    assert rates is not None
    due = rates.on(DAY)
    found = (due.input, due.output, due.cache_read, due.cache_write, due.cache_write_1h)
    assert found == tuple(None if price is None else round(price * 10**6) for price in usd)


@pytest.mark.parametrize(
    ("provider", "name", "same_as"),
    [
        pytest.param("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5", id="a dated Claude"),
        pytest.param("anthropic", "CLAUDE-Sonnet-4-5", "claude-sonnet-4-5", id="case doesn't matter"),
        pytest.param("minimax", "minimax-m2", "MiniMax-M2", id="nor here"),
        pytest.param("openai", "gpt-5.4-2026-03-05", "gpt-5.4", id="a dated GPT"),
        pytest.param("openai", "gpt-5.2-20251211", "gpt-5.2", id="a date written together"),
        pytest.param(
            "openrouter",
            "anthropic/claude-4.5-sonnet-20250929",
            "anthropic/claude-sonnet-4.5",
            id="an aggregator's own spelling",
        ),
    ],
)
def test_a_model_is_found_by_its_other_names(table: PriceTable, provider: str, name: str, same_as: str) -> None:
    assert table.rates(provider, name) == table.rates(provider, same_as) is not None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        pytest.param("nobody", "claude-sonnet-4-5", id="an unknown provider gets nobody's price"),
        pytest.param("my-anthropic", "claude-sonnet-4-5", id="nor that of one it resembles"),
        pytest.param("Anthropic", "claude-sonnet-4-5", id="provider ids are exact"),
        pytest.param("anthropic", "gpt-5.4", id="a provider doesn't sell everything"),
        pytest.param("groq", "claude-sonnet-4-5", id="nor does another"),
        pytest.param("azure", "my-deployment", id="a deployment's private name says nothing"),
        pytest.param("openrouter", "openai/gpt-5.2:nitro", id="a routing suffix has another price"),
        pytest.param("openrouter", "nobody/nothing:free", id="a free name isn't known only because it says so"),
        pytest.param("cerebras", "qwen-3-coder-480b", id="an entry without prices is unknown, not free"),
        pytest.param("groq", "whisper-large-v3", id="a price per hour isn't one per token"),
        pytest.param("anthropic", "", id="no name at all"),
    ],
)
def test_an_unknown_price_is_none(table: PriceTable, provider: str, model: str) -> None:
    assert table.rates(provider, model) is None
    assert not table.knows(provider, model)


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openrouter", "qwen/qwen3-coder:free"), ("google", "gemma-4-31b-it"), ("google", "gemma-3-27b-it")],
)
def test_a_model_declared_free_costs_zero(table: PriceTable, provider: str, model: str) -> None:
    rates = table.rates(provider, model)
    assert rates is not None
    assert (rates.input, rates.output) == (0, 0)


def test_azure_and_google_sell_others_models_at_their_standard_rates(table: PriceTable) -> None:
    azure, openai = table.rates("azure", "gpt-5.4"), table.rates("openai", "gpt-5.4")
    assert azure is not None
    assert openai is not None
    assert azure.on(DAY) == openai.on(DAY)
    assert openai.variants
    assert not azure.variants


def test_a_long_context_changes_all_rates(table: PriceTable) -> None:
    rates = table.rates("anthropic", "claude-sonnet-4-5")
    assert rates is not None
    long = rates.for_input(200_001)
    assert (long.input, long.output, long.cache_read, long.cache_write) == (6_000_000, 22_500_000, 600_000, 7_500_000)


def test_prices_follow_the_hour_where_the_provider_does(table: PriceTable) -> None:
    rates = table.rates("deepseek", "deepseek-v4-flash")
    assert rates is not None
    outputs = [rates.on(datetime(2026, 11, 20, hour, tzinfo=UTC)).output for hour in (0, 2, 5, 7, 12)]
    assert outputs == [600_000, 1_200_000, 600_000, 1_200_000, 600_000]


def test_context_windows_and_names(table: PriceTable) -> None:
    assert table.context_window("anthropic", "claude-sonnet-4-5-20250929") == 200_000
    assert table.title("anthropic", "claude-sonnet-4-5") == "Claude Sonnet 4.5"
    assert table.context_window("anthropic", "nothing") is None
    assert table.context_window("nobody", "claude-sonnet-4-5") is None


@pytest.mark.parametrize(
    ("provider", "name", "found"),
    [
        pytest.param("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5", id="a dated name"),
        pytest.param("anthropic", "Claude Haiku 4.5", "claude-haiku-4-5", id="the name for people"),
        pytest.param("anthropic", "Claude Fable 5.1", "claude-fable-5-1", id="with a dot where the id has a dash"),
        pytest.param("anthropic", "Claude Haiku 3.5", "claude-3-5-haiku-latest", id="with words in another order"),
        pytest.param("anthropic", "Claude 3.5 Sonnet 2024-10-22", "claude-3-5-sonnet", id="a dated one for people"),
        pytest.param("openai", "gpt-5-mini-2025-08-07", "gpt-5-mini", id="another provider's"),
        pytest.param("anthropic", "gpt-5-mini", None, id="of another provider"),
        pytest.param("nobody", "gpt-5-mini", None, id="of no provider"),
    ],
)
def test_a_model_is_recognised_by_any_name(table: PriceTable, provider: str, name: str, found: str | None) -> None:
    assert table.recognise(provider, name) == found


def test_models_are_listed_without_the_deprecated(table: PriceTable) -> None:
    assert "claude-sonnet-4-5" in table.models("anthropic")
    assert table.models("nobody") == []
    assert {"anthropic", "openai", "google", "groq", "x-ai", "moonshotai"} <= set(table.providers())
    invented = PriceTable(tiny({"id": "a", "prices": {}}, {"id": "b", "prices": {}, "deprecated": True}))
    assert invented.models("p") == ["a"]


def test_the_table_says_what_it_is(table: PriceTable) -> None:
    assert table.version.startswith("genai-prices ")
    assert table.date >= date(2026, 11, 1)
    rates = table.rates("openai", "gpt-5.4")
    assert rates is not None
    assert rates.source == table.version == rates.for_input(300_000).source


def tiny(*models: dict[str, Any]) -> dict[str, Any]:
    providers = {"p": {"name": "P", "also": [], "models": list(models)}}
    return {"source": "test", "version": "1", "date": "2026-11-20", "providers": providers}


@pytest.mark.parametrize(
    ("rule", "yes", "no"),
    [
        pytest.param("=abc", "ABC", "abcd", id="equals"),
        pytest.param("^ab", "abc", "cab", id="starts with"),
        pytest.param("$bc", "abc", "bcd", id="ends with"),
        pytest.param("*b", "abc", "acd", id="contains"),
        pytest.param("~^a.c$", "abc", "abbc", id="regular expression"),
        pytest.param(["=abc", "=x"], "x", "y", id="any of several"),
        pytest.param({"all": ["^a", "$c"]}, "abc", "abd", id="all of several"),
        pytest.param(None, "model", "models", id="without a rule the id itself"),
    ],
)
def test_match_rules(rule: Any, yes: str, no: str) -> None:
    entry = {"id": "model", "prices": {"input": 1, "output": 2}} | ({"match": rule} if rule else {})
    invented = PriceTable(tiny(entry))
    assert invented.knows("p", yes)
    assert not invented.knows("p", no)


def test_the_first_entry_that_matches_wins() -> None:
    invented = PriceTable(
        tiny({"id": "a", "match": "^a", "prices": {"input": 1}}, {"id": "ab", "prices": {"input": 2}})
    )
    rates = invented.rates("p", "ab")
    assert rates is not None
    assert rates.input == 1


def test_a_rule_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        PriceTable(tiny({"id": "a", "match": "?a", "prices": {}})).rates("p", "a")


def test_answers_are_remembered_but_not_without_end(table: PriceTable) -> None:
    invented = PriceTable(tiny({"id": "a", "prices": {"input": 1}}))
    assert invented.rates("p", "a") is invented.rates("p", "a")
    for number in range(10_000):
        invented.rates("p", f"model-{number}")
    assert len(invented._rates) <= 4096


def test_importing_reads_nothing_and_loading_is_quick() -> None:
    """The limits are 5 ms and 60 ms on an idle machine; a busy one gets some air."""
    code = (
        "import dataclasses, datetime, decimal, importlib.resources, json, re, time, router\n"
        "start = time.perf_counter()\n"
        "import router.money.prices as prices\n"
        "imported = time.perf_counter()\n"
        "prices.PriceTable.load()\n"
        "print(imported - start, time.perf_counter() - imported)\n"
    )
    best = [1.0, 1.0]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (best[0] >= 0.02 or best[1] >= 0.06):
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        best = [min(pair) for pair in zip(best, map(float, out.split()), strict=True)]
    in_time(best[0], 0.02, "importing")
    in_time(best[1], 0.06, "loading")


# --- tables from elsewhere --------------------------------------------------------------------------------------------


def written(*models: dict[str, Any], **changes: object) -> bytes:
    return json.dumps(tiny(*models) | {"source": "genai-prices"} | changes).encode()


def test_a_table_from_elsewhere_is_read_like_the_shipped_one() -> None:
    table = PriceTable.read(written({"id": "a", "prices": {"input": 1, "output": 2}}, version="7.1"))
    assert (table.version, table.shipped) == ("genai-prices 7.1", False)
    assert table.knows("p", "a")
    assert PriceTable.load().shipped


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"{", "line 1", id="no JSON"),
        pytest.param(b"[]", "of another kind", id="a list"),
        pytest.param(b'"text"', "of another kind", id="a text"),
        pytest.param(b"[" * 100_000, "of another kind", id="too deep"),
        pytest.param(b'{"source":"genai-prices"}', "no 'providers'", id="nothing but a source"),
        pytest.param(written(source="mine"), "source isn't genai-prices", id="somebody else's"),
        pytest.param(written(date="soon"), "soon", id="a wrong day"),
        pytest.param(written({"id": "a", "prices": {"input": -1}}), "p/a has a price", id="less than nothing"),
        pytest.param(written({"id": "a", "prices": {"input": 0.5}}), "p/a has a price", id="no whole number"),
        pytest.param(written({"id": "a", "prices": {"input": True}}), "p/a has a price", id="no number"),
        pytest.param(written({"id": "a", "prices": {"input": [1, [9, -2]]}}), "p/a has a price", id="in a tier"),
        pytest.param(
            written({"id": "a", "prices": {}, "variants": [{"when": {}, "input": -1}]}), "p/a has", id="in a variant"
        ),
        pytest.param(
            written({"id": "a", "prices": [{}, {"since": "2026-01-01", "input": -1}]}), "p/a has", id="at another time"
        ),
        pytest.param(written({"id": "a", "match": "~(", "prices": {}}), "match rule", id="no expression"),
        pytest.param(written({"id": "a", "match": ["=b", {"all": ["!x"]}], "prices": {}}), "unknown kind", id="a rule"),
        pytest.param(written({"prices": {}}), "no 'id'", id="no id"),
        pytest.param(written(providers={"p": {"also": ["q"], "models": []}}), "isn't in it", id="an unknown seller"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_in_words(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PriceTable.read(content)


@pytest.mark.parametrize(
    ("version", "day", "newer"),
    [
        ("0.2.10", "2026-01-01", True),
        ("0.2.9", "2026-11-21", True),
        ("0.2.9", "2026-11-20", False),
        ("0.2.8", "2027-01-01", False),
        ("0.2", "2027-01-01", False),
    ],
)
def test_a_later_version_is_newer_then_a_later_export(version: str, day: str, newer: bool) -> None:
    there = PriceTable(tiny() | {"version": "0.2.9", "date": "2026-11-20"})
    assert PriceTable(tiny() | {"version": version, "date": day}).newer_than(there) is newer
    assert there.older_than_version(version) is (version == "0.2.10")


def test_the_latest_change_is_the_last_that_has_come_about() -> None:
    stages = [{"input": 1}, {"since": "2026-03-01", "input": 2}, {"since": "2027-01-01", "input": 3}]
    invented = PriceTable(tiny({"id": "a", "prices": stages}, {"id": "b", "prices": {"input": 1}}))
    assert invented.latest_change(DAY) == (date(2026, 3, 1), "p/a")
    assert invented.latest_change(date(2026, 2, 28)) is None
