# ruff: noqa: E501  (tables read better with a case a line)

"""What targets are known to take, and how a request comes out for them."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from router.providers.catalog import load_catalog
from router.providers.provider import Provider
from router.providers.traits import _entries, plain_name, preferred_format, traits_for
from router.wire.conversation import Depth
from router.wire.depth import RISING
from router.wire.loss import Losses
from router.wire.openai_chat.render_depth import rendered_depth
from router.wire.request import Api
from router.wire.traits import Traits

ROOT = Path(__file__).resolve().parent.parent.parent
CATALOG = load_catalog()
TABLES = tomllib.loads((ROOT / "router" / "providers" / "models.toml").read_text("utf-8"))["model"]
PRICED = json.loads((ROOT / "router" / "money" / "prices.json").read_text("utf-8"))["providers"]
APIS: tuple[Api, ...] = get_args(Api)

MESSAGES, CHAT, RESPONSES, GEMINI = "anthropic-messages", "openai-chat", "openai-responses", "gemini"
SELECTORS = {"names", "formats", "providers", "official"}


def traits(target: str, api: Api, **corrections: object) -> Traits:
    """Of ``provider/model``."""
    provider, _, model = target.partition("/")
    return traits_for(CATALOG[provider], model, api, corrections)


# --- by the name of the model -----------------------------------------------------------------------------------------

ALL_CHOICES = {"auto", "none", "any", "named"}
UNFORCED = {"auto", "none"}

CLAUDE = [
    # model, sampling, prefill, tool choices, depth, can be off, system messages later on, the most it writes
    pytest.param("claude-fable-5-2", "refused", False, UNFORCED, {"adaptive", "effort"}, False, True, 128_000, id="Fable 5.2 always thinks and can't be forced"),
    pytest.param("claude-mythos-5-2", "refused", False, UNFORCED, {"adaptive", "effort"}, False, True, 128_000, id="so does Mythos 5.2"),
    pytest.param("claude-fable-5-1", "refused", False, UNFORCED, {"adaptive", "effort"}, False, True, 128_000, id="and Fable 5.1"),
    pytest.param("claude-fable-5", "refused", False, ALL_CHOICES, {"adaptive", "effort"}, False, True, 128_000, id="Fable 5 could still be forced"),
    pytest.param("claude-opus-5-5", "refused", False, UNFORCED, {"adaptive", "effort"}, False, True, 128_000, id="Opus 5.5 always thinks and can't be forced"),
    pytest.param("claude-sonnet-5-5", "refused", False, UNFORCED, {"adaptive", "effort", "between-tools"}, False, True, 128_000, id="Sonnet 5.5 thinks at least between tools"),
    pytest.param("claude-haiku-5-5", "refused", False, ALL_CHOICES, {"adaptive", "effort"}, True, True, 128_000, id="Haiku 5.5 can be forced and switched off"),
    pytest.param("claude-opus-5", "refused", False, ALL_CHOICES, {"adaptive", "effort"}, True, True, 128_000, id="Opus 5 too"),
    pytest.param("claude-sonnet-5-20260601", "refused", False, ALL_CHOICES, {"adaptive", "effort"}, True, True, 128_000, id="and Sonnet 5 with a date"),
    pytest.param("claude-opus-4-8", "refused", False, ALL_CHOICES, {"adaptive", "effort"}, True, True, 128_000, id="Opus 4.8 was the first to take system messages anywhere"),
    pytest.param("claude-opus-4-7-20260416", "refused", False, ALL_CHOICES, {"adaptive", "effort"}, True, False, 128_000, id="Opus 4.7 the first to refuse sampling and budgets"),
    pytest.param("claude-opus-4-6", "one", False, ALL_CHOICES, {"adaptive", "effort", "budget"}, True, False, 128_000, id="Opus 4.6 the first to refuse prefill"),
    pytest.param("claude-sonnet-4-6", "one", False, ALL_CHOICES, {"adaptive", "effort", "budget"}, True, False, 128_000, id="like Sonnet 4.6"),
    pytest.param("claude-opus-4-5-20251101", "one", True, ALL_CHOICES, {"budget", "effort"}, True, False, 64_000, id="Opus 4.5 the first with effort"),
    pytest.param("claude-haiku-4-5", "one", True, ALL_CHOICES, {"budget"}, True, False, 64_000, id="Haiku 4.5 takes budgets only"),
    pytest.param("claude-sonnet-4-5@20250929", "one", True, ALL_CHOICES, {"budget"}, True, False, 64_000, id="and Sonnet 4.5, as Vertex writes it"),
    pytest.param("claude-opus-4-1", "one", True, ALL_CHOICES, {"budget"}, True, False, 32_000, id="Opus 4.1 writes less"),
    pytest.param("claude-opus-4-20250514", "yes", True, ALL_CHOICES, {"budget"}, True, False, 32_000, id="Opus 4 takes both temperature and top_p"),
    pytest.param("claude-sonnet-4-0", "yes", True, ALL_CHOICES, {"budget"}, True, False, 64_000, id="like Sonnet 4"),
    pytest.param("claude-3-7-sonnet-latest", "yes", True, ALL_CHOICES, {"budget"}, True, False, 64_000, id="Sonnet 3.7 was the first to think"),
    pytest.param("claude-3-5-haiku-latest", "yes", True, ALL_CHOICES, set(), True, False, 8192, id="Haiku 3.5 doesn't"),
    pytest.param("claude-3-opus-latest", "yes", True, ALL_CHOICES, set(), True, False, 4096, id="nor does Opus 3"),
    pytest.param("claude-opus-9", "refused", False, UNFORCED, {"adaptive", "effort"}, False, True, 128_000, id="an unknown one is taken for the newest"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "sampling", "prefill", "choices", "depth", "off", "mid", "most"), CLAUDE)
def test_claude_at_its_maker(
    model: str, sampling: str, prefill: bool, choices: set[str], depth: set[str], off: bool, mid: bool, most: int
) -> None:
    found = traits(f"anthropic/{model}", MESSAGES)
    assert found.official
    assert (found.sampling, found.prefill, found.mid_system, found.max_output) == (sampling, prefill, mid, most)
    assert (found.tool_choices, found.reasoning_in, found.thinking_off) == (choices, depth, off)
    assert (found.cache_hints, found.tools, found.images) == ("anthropic", True, True)


def test_claude_2_took_text_only() -> None:
    found = traits("anthropic/claude-2", MESSAGES)
    assert (found.tools, found.images, found.documents) == (False, False, False)


CLAUDE_EFFORTS = [
    pytest.param("claude-opus-5-5", ("low", "medium", "high", "xhigh", "max"), id="all words from Opus 4.7 on"),
    pytest.param("claude-opus-4-6", ("low", "medium", "high", "max"), id="no xhigh before"),
    pytest.param("claude-opus-4-5", ("low", "medium", "high"), id="three at first"),
]


@pytest.mark.parametrize(("model", "efforts"), CLAUDE_EFFORTS)
def test_claudes_words_for_effort(model: str, efforts: tuple[str, ...]) -> None:
    assert traits(f"anthropic/{model}", MESSAGES).efforts == efforts


OPENAI = [
    # model, words for effort, tools only without effort, cache marks, custom tools, sampling, stops, the most it writes
    pytest.param("gpt-6.1-sol", "low medium high xhigh max", True, "openai", True, "refused", False, 128_000, id="gpt-6.1-sol always reasons"),
    pytest.param("gpt-6-luna", "none low medium high xhigh max", True, "openai", True, "refused", False, 128_000, id="gpt-6-luna needn't"),
    pytest.param("gpt-5.6-terra", "none low medium high xhigh", True, "openai", True, "refused", False, 128_000, id="gpt-5.6 was the first with cache marks"),
    pytest.param("gpt-5.5-2026-04-23", "none low medium high xhigh", True, "none", True, "refused", False, 128_000, id="gpt-5.5 reasons without tools on Chat"),
    pytest.param("gpt-5.4-mini", "none low medium high xhigh", True, "none", True, "refused", False, 128_000, id="gpt-5.4 was the first of these"),
    pytest.param("gpt-5.3-codex", "none low medium high xhigh", False, "none", True, "refused", False, 128_000, id="gpt-5.3 did with them"),
    pytest.param("gpt-5.1", "none low medium high", False, "none", True, "refused", False, 128_000, id="gpt-5.1 was the first that needn't reason"),
    pytest.param("gpt-5.1-codex-max", "low medium high xhigh", False, "none", True, "refused", False, 128_000, id="gpt-5.1-codex-max the first with xhigh"),
    pytest.param("gpt-5-mini-2025-08-07", "minimal low medium high", False, "none", True, "refused", False, 128_000, id="gpt-5 has minimal"),
    pytest.param("gpt-5", "minimal low medium high", False, "none", True, "refused", False, 128_000, id="also without a date"),
    pytest.param("gpt-5-codex", "low medium high", False, "none", True, "refused", False, 128_000, id="gpt-5-codex hasn't"),
    pytest.param("gpt-5-pro", "high", False, "none", True, "refused", False, 272_000, id="gpt-5-pro only reasons hard"),
    pytest.param("gpt-5.5-pro", "medium high xhigh", True, "none", True, "refused", False, 128_000, id="later ones a little less"),
    pytest.param("o4-mini", "low medium high", False, "none", False, "refused", False, 100_000, id="the o series knows no custom tools"),
    pytest.param("gpt-9", "none low medium high xhigh max", True, "openai", True, "refused", False, 128_000, id="an unknown one is taken for the newest"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "efforts", "bare", "marks", "custom", "sampling", "stops", "most"), OPENAI)
def test_reasoning_models_at_openai(
    model: str, efforts: str, bare: bool, marks: str, custom: bool, sampling: str, stops: bool, most: int
) -> None:
    found = traits(f"openai/{model}", CHAT)
    assert found.efforts == tuple(efforts.split())
    assert found.thinking_off == ("none" in efforts)
    assert (found.tools_need_no_effort, found.cache_hints, found.custom_tools) == (bare, marks, custom)
    assert (found.sampling, found.stops, found.max_output) == (sampling, stops, most)
    assert (found.system_role, found.max_tokens_field) == ("developer", "max_completion_tokens")
    assert not found.prefill


NOT_REASONING = [
    pytest.param("gpt-5-chat-latest", 16_384, id="the chat variants of gpt-5"),
    pytest.param("gpt-4.1-nano", 32_768, id="gpt-4.1"),
    pytest.param("gpt-4o-mini", 16_384, id="gpt-4o"),
    pytest.param("gpt-4o-2024-05-13", 4096, id="its first version"),
    pytest.param("gpt-4-turbo", 4096, id="gpt-4 turbo"),
    pytest.param("gpt-4-0613", 8192, id="gpt-4"),
    pytest.param("gpt-3.5-turbo", 4096, id="gpt-3.5"),
]


@pytest.mark.parametrize(("model", "most"), NOT_REASONING)
def test_models_of_openai_that_dont_reason(model: str, most: int) -> None:
    found = traits(f"openai/{model}", RESPONSES)
    assert (found.reasoning_in, found.sampling, found.stops, found.max_output) == (frozenset(), "yes", True, most)
    assert (found.custom_tools, found.tools_need_no_effort, found.cache_hints) == (False, False, "none")


GOOGLE = [
    # model, how depth is said, words, can be off, signatures, sampling, media in results
    pytest.param("gemini-3.8-flash", {"effort"}, "low medium high", False, True, "refused", True, id="Gemini 3.8 Flash takes no sampling and thinks at least a little"),
    pytest.param("gemini-3.6-flash", {"effort"}, "minimal low medium high", False, True, "refused", True, id="3.6 Flash minimally"),
    pytest.param("gemini-3.5-flash-lite", {"effort"}, "minimal low medium high", False, True, "refused", True, id="3.5 Flash Lite refuses sampling"),
    pytest.param("gemini-3.5-flash", {"effort"}, "minimal low medium high", False, True, "yes", True, id="3.5 Flash doesn't"),
    pytest.param("gemini-3.1-pro-preview", {"effort"}, "low medium high", False, True, "yes", True, id="3.1 Pro"),
    pytest.param("gemini-3-pro-preview", {"effort"}, "low high", False, True, "yes", True, id="3 Pro has two levels"),
    pytest.param("gemini-2.5-flash", {"budget"}, "none low medium high", True, False, "yes", False, id="2.5 Flash has budgets and no need for signatures"),
    pytest.param("gemini-2.5-pro", {"budget"}, "low medium high", False, False, "yes", False, id="2.5 Pro can't be switched off"),
    pytest.param("gemini-2.0-flash", set(), "none low medium high", True, False, "yes", False, id="2.0 didn't think"),
    pytest.param("gemini-flash-latest", {"effort"}, "low medium high", False, True, "refused", True, id="the latest is taken for the newest"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "depth", "efforts", "off", "signed", "sampling", "media"), GOOGLE)
def test_gemini_at_its_maker(
    model: str, depth: set[str], efforts: str, off: bool, signed: bool, sampling: str, media: bool
) -> None:
    found = traits(f"gemini/{model}", GEMINI)
    assert (found.official, found.reasoning_in, found.efforts) == (True, depth, tuple(efforts.split()))
    assert (found.thinking_off, found.call_signatures, found.sampling) == (off, signed, sampling)
    assert found.result_media == media
    assert traits(f"google-vertex/{model}", GEMINI) == msgspec.structs.replace(found, provider="google-vertex")


# --- by the provider --------------------------------------------------------------------------------------------------

ELSEWHERE: list[Any] = [
    pytest.param("azure-openai/gpt-5.6-sol", RESPONSES, {"official": True, "custom_tools": True, "cache_hints": "openai", "summaries": True}, id="Azure is OpenAI"),
    pytest.param("azure-openai/my-deployment", CHAT, {"official": True, "sampling": "yes", "max_tokens_field": "max_completion_tokens"}, id="a deployment's name says nothing of the model"),
    pytest.param("azure-foundry-claude/claude-opus-5-5", MESSAGES, {"official": True, "sampling": "refused"}, id="Foundry is Anthropic"),
    pytest.param("gemini/gemini-3.8-flash", CHAT, {"official": False, "call_signatures": True, "max_tokens_field": "max_tokens"}, id="Gemini's Chat is an imitation"),
    pytest.param("openrouter/openai/gpt-5.6-sol", CHAT, {"official": False, "system_role": "system", "custom_tools": False, "tools_need_no_effort": False, "max_tokens_field": "max_completion_tokens", "sampling": "refused", "cache_hints": "none", "reasoning_fields": ("reasoning",)}, id="OpenRouter hides what only OpenAI's own service has"),
    pytest.param("openrouter/anthropic/claude-opus-4.6:thinking", CHAT, {"sampling": "one", "prefill": False, "cache_hints": "anthropic", "text_arrays": True, "mid_system": True, "tool_name_limit": 64}, id="a Claude there has Claude's own habits"),
    pytest.param("openrouter/anthropic/claude-opus-4.6", MESSAGES, {"reasoning_in": {"adaptive", "effort", "budget"}, "mid_system": False, "tool_name_limit": 128, "official": False}, id="also on Messages"),
    pytest.param("openrouter/google/gemini-3.1-pro-preview", CHAT, {"cache_hints": "anthropic", "call_signatures": True}, id="Gemini reads cache marks there"),
    pytest.param("openrouter/qwen/qwen3-max", CHAT, {"cache_hints": "anthropic"}, id="Qwen too"),
    pytest.param("openrouter/meta-llama/llama-3.3-70b-instruct:free", CHAT, {"cache_hints": "none", "reasoning_in": set(), "images": False}, id="Llama neither reads them nor thinks"),
    pytest.param("github-copilot/claude-sonnet-4.5", CHAT, {"prefill": True, "cache_hints": "none", "item_ids_rotate": True}, id="Copilot writes Claude's versions with dots"),
    pytest.param("databricks/databricks-claude-opus-4-6", MESSAGES, {"reasoning_in": {"adaptive", "effort", "budget"}}, id="Databricks with its own name before"),
    pytest.param("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0", CHAT, {"max_output": 64_000, "sampling": "one"}, id="Bedrock with region and maker"),
    pytest.param("deepseek/deepseek-v4-pro", CHAT, {"reasoning_replay": "required", "reasoning_fields": ("thinking", "reasoning_effort"), "efforts": ("low", "high", "max"), "images": False, "stream_usage": "always", "text_arrays": False}, id="DeepSeek wants its reasoning back"),
    pytest.param("together/deepseek-ai/DeepSeek-R1", CHAT, {"reasoning_replay": "refused", "reasoning_in": set(), "reasoning_out": {"reasoning", "think-tags"}}, id="its first reasoner refused it"),
    pytest.param("deepseek/deepseek-v4-pro", MESSAGES, {"reasoning_in": {"budget", "toggle", "effort"}, "official": False, "cache_hints": "anthropic"}, id="DeepSeek on Messages"),
    pytest.param("moonshot/kimi-k3", CHAT, {"reasoning_in": {"effort"}, "reasoning_fields": (), "efforts": ("low", "high", "max"), "thinking_off": False, "sampling": "refused", "tool_choices": UNFORCED, "reasoning_replay": "required"}, id="Kimi K3 always thinks"),
    pytest.param("moonshot/kimi-k2.6", CHAT, {"reasoning_in": {"toggle"}, "reasoning_fields": ("thinking",), "thinking_off": True}, id="K2.6 can be switched off"),
    pytest.param("moonshot/kimi-k2.7-code", CHAT, {"reasoning_in": {"toggle"}, "thinking_off": False}, id="K2.7 can't"),
    pytest.param("moonshot/kimi-k2-0905-preview", CHAT, {"reasoning_in": set(), "sampling": "yes", "tool_choices": ALL_CHOICES}, id="the first K2 didn't think"),
    pytest.param("kimi-coding/k3", MESSAGES, {"reasoning_in": {"effort"}, "sampling": "refused"}, id="the coding plan's short name"),
    pytest.param("zai/GLM-5.3", CHAT, {"tool_choices": {"auto"}, "reasoning_replay": "required", "reasoning_fields": ("thinking",), "images": False}, id="GLM takes no choice of tools"),
    pytest.param("zai/GLM-4.6V", CHAT, {"images": True}, id="its V models see"),
    pytest.param("zai/GLM-4.6", MESSAGES, {"reasoning_in": {"budget", "toggle"}}, id="GLM thinks unless told otherwise"),
    pytest.param("minimax/MiniMax-M2.7", CHAT, {"reasoning_out": {"think-tags", "reasoning_content"}, "reasoning_in": set(), "reasoning_replay": "required"}, id="MiniMax M2 thinks in tags"),
    pytest.param("minimax/MiniMax-M3.1-Flash", CHAT, {"reasoning_out": set()}, id="M3.1 doesn't"),
    pytest.param("minimax/minimax-m3", RESPONSES, {"custom_tools": False}, id="custom tools are ignored there"),
    pytest.param("xiaomi/mimo-v2.6-pro", CHAT, {"reasoning_replay": "required", "reasoning_fields": ("thinking",)}, id="Xiaomi wants its reasoning back"),
    pytest.param("alibaba/qwen3.7-max", CHAT, {"reasoning_in": {"toggle", "budget"}, "reasoning_fields": ("enable_thinking", "thinking_budget"), "thinking_off": True}, id="Qwen is switched"),
    pytest.param("alibaba/qwen3-next-80b-a3b-thinking", CHAT, {"thinking_off": False}, id="but not its thinking models"),
    pytest.param("alibaba/qwen3-coder-plus", CHAT, {"reasoning_in": set(), "images": False}, id="its coders don't think"),
    pytest.param("mistral/mistral-large-2512", CHAT, {"tool_id_rule": "alphanumeric-9", "any_word": "any", "documents_as": "document_url", "max_tokens_field": "max_tokens", "reasoning_in": set(), "user_after_results": False, "mid_system": False}, id="Mistral has words of its own"),
    pytest.param("mistral/mistral-small-2603", CHAT, {"reasoning_in": {"effort"}, "efforts": ("none", "high")}, id="some of its models think or don't"),
    pytest.param("xai/grok-4.7", RESPONSES, {"efforts": ("low", "medium", "high"), "thinking_off": False, "encrypted_reasoning": True}, id="Grok always reasons"),
    pytest.param("xai/grok-4.7", CHAT, {"stops": False, "refused_fields": {"presence_penalty", "frequency_penalty", "stop"}}, id="and takes no stops"),
    pytest.param("xai/grok-4.3", CHAT, {"efforts": ("none", "low", "medium", "high"), "thinking_off": True}, id="4.3 needn't reason"),
    pytest.param("xai/grok-4-fast-non-reasoning", CHAT, {"stops": True, "refused_fields": set(), "reasoning_in": set()}, id="some never do"),
    pytest.param("xai/grok-3-mini", CHAT, {"reasoning_in": {"effort"}, "efforts": ("low", "high")}, id="grok-3-mini has two words"),
    pytest.param("groq/openai/gpt-oss-120b", CHAT, {"reasoning_fields": ("reasoning_effort",), "refused_reasoning": {"reasoning_content"}, "thinking_off": False, "images": False, "system_role": "system"}, id="gpt-oss always reasons"),
    pytest.param("groq/llama-3.3-70b-versatile", CHAT, {"reasoning_in": set(), "refused_fields": {"n", "logprobs", "logit_bias"}}, id="Llama can't be asked to"),
    pytest.param("cerebras/qwen-3.8-27b", CHAT, {"strict_schemas": "all-tools-equal"}, id="Cerebras wants all tools strict or none"),
    pytest.param("nvidia/nemotron", CHAT, {"parallel_tools": False, "stream_usage": "never"}, id="NVIDIA refuses many hints"),
    pytest.param("perplexity/sonar-pro", CHAT, {"tools": False, "reasoning_in": set()}, id="Sonar takes no tools"),
    pytest.param("ollama/qwen3-coder:30b", CHAT, {"refused_fields": {"tool_choice"}, "text_arrays": False, "documents": False, "max_tokens_field": "max_tokens", "reasoning_in": set()}, id="Ollama is a subset"),
    pytest.param("vllm/openai/gpt-oss-20b", CHAT, {"reasoning_in": {"effort"}, "reasoning_fields": (), "thinking_off": False}, id="vLLM passes effort to gpt-oss"),
    pytest.param("vllm/Qwen/Qwen3-32B", CHAT, {"reasoning_in": {"toggle"}, "reasoning_fields": ("chat_template_kwargs",), "system_role": "system", "stream_usage": "asks"}, id="and a switch to others"),
    pytest.param("llamacpp/whatever", RESPONSES, {"encrypted_reasoning": False, "summaries": False, "custom_tools": False, "result_media": False}, id="a local Responses is a subset"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "api", "expected"), ELSEWHERE)
def test_models_at_providers(target: str, api: Api, expected: dict[str, object]) -> None:
    found = traits(target, api)
    assert {name: getattr(found, name) for name in expected} == expected


def provider(name: str, *formats: Api) -> Provider:
    return Provider(name=name, base_urls=dict.fromkeys(formats, "http://x"), auth={})


def test_a_provider_of_ones_own_is_judged_by_the_format_and_the_models_name() -> None:
    lab = provider("lab", CHAT, MESSAGES)
    unknown = traits_for(lab, "our-model", CHAT)
    assert (unknown.max_tokens_field, unknown.text_arrays, unknown.official) == ("max_tokens", False, False)
    assert (unknown.sampling, unknown.tool_choices, unknown.images) == ("yes", ALL_CHOICES, None)
    assert traits_for(lab, "our-model", MESSAGES).reasoning_in == {"budget"}
    known = traits_for(lab, "claude-opus-5-5", MESSAGES)
    assert (known.sampling, known.reasoning_in) == ("refused", {"adaptive", "effort"})
    assert traits_for(lab, "gpt-5.6", CHAT).max_tokens_field == "max_completion_tokens"


def test_providers_of_one_name_are_told_apart() -> None:
    """A profile may change what it takes over from the catalog."""
    one, other = provider("lab", CHAT), Provider(name="lab", base_urls={CHAT: "x"}, auth={}, stream_usage="never")
    assert [traits_for(each, "m", CHAT).stream_usage for each in (one, other, one)] == ["asks", "never", "asks"]
    assert traits_for(one, "m", CHAT) is traits_for(one, "m", CHAT)


CORRECTED: list[Any] = [
    pytest.param({"max-output": 5}, {"max_output": 5}, id="how much it writes"),
    pytest.param({"images": False}, {"images": False}, id="that it doesn't see"),
    pytest.param({"tools": True, "documents": True}, {"tools": True, "documents": True}, id="what else it takes"),
    pytest.param({"thinking": False}, {"reasoning_in": frozenset()}, id="that it doesn't think"),
    pytest.param({"context": 1000}, {"context": 1000}, id="how much it holds"),
    pytest.param({"thinking": True}, {}, id="nothing that isn't known"),
]


@pytest.mark.parametrize(("corrections", "changes"), CORRECTED)
def test_a_profile_knows_better(corrections: dict[str, object], changes: dict[str, object]) -> None:
    as_known = traits("xai/grok-4.7", CHAT)
    assert traits("xai/grok-4.7", CHAT, **corrections) == msgspec.structs.replace(as_known, **changes)


def test_a_model_that_thinks_after_all_is_asked_by_effort() -> None:
    assert traits("xai/grok-4", CHAT).reasoning_in == set()
    assert traits("xai/grok-4", CHAT, thinking=True).reasoning_in == {"effort"}


# --- the tables themselves --------------------------------------------------------------------------------------------


@pytest.mark.sampled(7)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("one", CATALOG.values(), ids=lambda one: one.name)
def test_every_provider_has_flags_in_every_format(one: Provider, api: Api) -> None:
    found = traits_for(one, "some-model", api)
    assert (found.provider, found.model, found.stream_usage) == (one.name, "some-model", one.stream_usage)
    assert found.owner == f"{one.name}/some-model"
    assert list(found.efforts) == sorted(found.efforts, key=RISING.index)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: " ".join(table["names"])[:60])
def test_a_table_uses_known_words(table: dict[str, Any]) -> None:
    flags = {key.replace("-", "_") for key in table if key not in SELECTORS}
    assert flags
    assert flags <= set(Traits.__struct_fields__) - {"provider", "model", "official"}
    assert all("_" not in key for key in table)
    assert set(table.get("formats", ())) <= set(APIS)
    assert set(table.get("providers", ())) <= set(CATALOG)
    assert table.get("official", True) is True
    values = {key.replace("-", "_"): value for key, value in table.items() if key not in SELECTORS}
    made = msgspec.convert({"provider": "p", "model": "m", **values}, Traits)
    if "efforts" in values:
        assert list(made.efforts) == sorted(made.efforts, key=RISING.index)
    assert made.reasoning_in <= {"effort", "budget", "toggle", "adaptive", "between-tools"}
    assert made.tool_choices <= ALL_CHOICES


# Names that makers write and the price table doesn't.
DOCUMENTED = """
    claude-mythos-5 claude-mythos-preview claude-instant-1 claude-4-opus claude-sonnet-3-5 claude-sonnet-3-7 claude-3-5-sonnet-20241022
    claude-sonnet-4-20250514 claude-sonnet-4 claude-sonnet-4-0 claude-opus-4-0 claude-opus-5-20260701 claude-opus-5-fast
    claude-sonnet-5-20260601 claude-sonnet-5-v1 claude-fable-5-v1 claude-fable-5-20260609 claude-4-sonnet claude-opus-4-1-20250805
    gpt-5.2-codex gpt-5.1-codex gpt-5.1-codex-max gpt-5.1-2025-11-13 gpt-5.1-mini gpt-5-codex gpt-5-chat-latest
    gpt-5.1-chat-latest gpt-4-0613 gpt-4o-2024-05-13 o1-preview
    gemini-3.5-flash-preview gemini-3.8-flash-lite gemini-3.1-flash-lite
    deepseek-v3 deepseek-v3-0324 deepseek-r1 kimi-k2-0905-preview k3 glm-5v-turbo grok-4 grok-code-fast-1
    magistral-small-2509 open-mistral-nemo mistral-small-latest mistral-medium-3.5
    qwen2.5-72b-instruct qwen3 qwen3-coder-plus qwen3-max qwen3-next-80b-a3b-thinking qwen3-32b qwq-32b
    llama-3.1-8b-instant llama3.1-8b meta-llama-3-8b-instruct command-r phi-4 mimo-v2.6-pro gemma-2-27b-it
""".split()  # fmt: skip


def test_every_name_of_the_tables_is_a_models() -> None:
    names = {plain_name(model["id"]) for one in PRICED.values() for model in one["models"]} | set(DOCUMENTED)
    globs = {glob for table in TABLES for glob in table["names"]}
    assert [glob for glob in sorted(globs) if not any(fnmatchcase(name, glob) for name in names)] == []


def test_no_documented_name_is_there_for_nothing() -> None:
    globs = {glob for table in TABLES for glob in table["names"]}
    assert [name for name in DOCUMENTED if not any(fnmatchcase(name, glob) for glob in globs)] == []


def test_every_family_begins_with_its_newest() -> None:
    """So a later table of the family says less of fewer models, and an unknown name is taken for a new one."""
    for start in ("claude", "gemini"):
        first = next(table for table in TABLES if any(re.match(start, glob) for glob in table["names"]))
        assert first["names"] == [f"{start}-*"]
        assert not SELECTORS - {"names"} & set(first)
    assert len(_entries()) == len(TABLES)


NAMES = [
    pytest.param("claude-opus-4-6", "claude-opus-4-6", id="a maker's own name"),
    pytest.param("Claude-Opus-4.6", "claude-opus-4-6", id="Claude's version with a dot"),
    pytest.param("anthropic/claude-opus-4.6:thinking", "claude-opus-4-6", id="a gateway's, with maker and variant"),
    pytest.param("us.anthropic.claude-opus-4-6-v1:0", "claude-opus-4-6-v1", id="Bedrock's"),
    pytest.param("claude-opus-4-6@20260205", "claude-opus-4-6", id="Vertex's"),
    pytest.param("databricks-claude-opus-4-6", "claude-opus-4-6", id="Databricks's"),
    pytest.param("accounts/fireworks/models/deepseek-v4-pro", "deepseek-v4-pro", id="Fireworks's"),
    pytest.param("models/gemini-3.1-pro-preview", "gemini-3.1-pro-preview", id="Google's, whose dots stay"),
    pytest.param("gpt-5.4", "gpt-5.4", id="OpenAI's too"),
    pytest.param("qwen3-coder:30b", "qwen3-coder", id="Ollama's, with a size"),
    pytest.param("moonshotai/Kimi-K2.6", "kimi-k2.6", id="Hugging Face's"),
    pytest.param("", "", id="none"),
    pytest.param("a/", "a", id="a path without an end"),
]


@pytest.mark.parametrize(("model", "plain"), NAMES)
def test_what_services_put_around_a_name_is_taken_away(model: str, plain: str) -> None:
    assert plain_name(model) == plain


# --- how depth comes out on Chat --------------------------------------------------------------------------------------

OFF, LOW, HIGH, MAX = Depth(on=False), Depth(effort="low"), Depth(on=True, effort="high"), Depth(effort="max")
ADAPTIVE, BUDGET = Depth(on=True), Depth(on=True, budget=5000)

ASKED: list[Any] = [
    pytest.param("deepseek/deepseek-v4-pro", OFF, {"thinking": {"type": "disabled"}}, id="DeepSeek is switched off by one field only"),
    pytest.param("deepseek/deepseek-v4-pro", HIGH, {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, id="and on by both"),
    pytest.param("deepseek/deepseek-v4-pro", BUDGET, {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, id="a budget steps down to a word it has"),
    pytest.param("moonshot/kimi-k3", OFF, {"reasoning_effort": "low"}, id="Kimi K3 thinks at least a little"),
    pytest.param("moonshot/kimi-k2.6", OFF, {"thinking": {"type": "disabled"}}, id="K2.6 can be switched off"),
    pytest.param("zai/glm-5.3", LOW, {"thinking": {"type": "enabled"}}, id="GLM is on or off"),
    pytest.param("alibaba/qwen3.7-max", BUDGET, {"enable_thinking": True, "thinking_budget": 5000}, id="Qwen takes a budget"),
    pytest.param("openrouter/anthropic/claude-opus-5.5", MAX, {"reasoning": {"effort": "max"}}, id="OpenRouter hands on the word"),
    pytest.param("openrouter/openai/gpt-5", OFF, {"reasoning": {"effort": "minimal"}}, id="what always thinks thinks little"),
    pytest.param("mistral/mistral-large-2512", HIGH, {}, id="what doesn't think isn't asked to"),
    pytest.param("mistral/mistral-small-2603", LOW, {"reasoning_effort": "high"}, id="the least that it knows is high"),
    pytest.param("xai/grok-4.7", MAX, {"reasoning_effort": "high"}, id="more than it knows is the most"),
    pytest.param("vllm/qwen3-32b", OFF, {"chat_template_kwargs": {"enable_thinking": False}}, id="vLLM tells the template"),
    pytest.param("openai/gpt-6-luna", OFF, {"reasoning_effort": "none"}, id="OpenAI has a word for off"),
    pytest.param("openai/gpt-6.1-sol", OFF, {"reasoning_effort": "low"}, id="not for every model"),
    pytest.param("ollama/llama3.1:8b", HIGH, {}, id="Ollama would refuse it for what can't think"),
    pytest.param("openai/gpt-5.2", ADAPTIVE, {}, id="adaptive is the model's own default"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "depth", "fields"), ASKED)
def test_depth_in_a_providers_words(target: str, depth: Depth, fields: dict[str, object]) -> None:
    assert rendered_depth(depth, traits(target, CHAT), Losses(), tools=False, limit=None) == fields


# --- which format -----------------------------------------------------------------------------------------------------

FORMATS = [
    pytest.param("openai/gpt-6-luna", CHAT, CHAT, id="the client's own if it is spoken"),
    pytest.param("openai/gpt-6-luna", MESSAGES, RESPONSES, id="else the provider's best"),
    pytest.param("anthropic/claude-opus-5-5", RESPONSES, MESSAGES, id="or its only one"),
    pytest.param("mistral/mistral-large-4", GEMINI, CHAT, id="whatever that is"),
    pytest.param(
        "opencode-zen/claude-opus-5-5", CHAT, MESSAGES, id="a gateway whose models speak one format each: Claude"
    ),
    pytest.param("opencode-zen/gpt-5.6-sol", MESSAGES, RESPONSES, id="… OpenAI"),
    pytest.param("opencode-zen/gemini-3.8-flash", MESSAGES, GEMINI, id="… Gemini"),
    pytest.param("opencode-zen/glm-5.3", RESPONSES, CHAT, id="… others"),
    pytest.param("databricks/databricks-claude-opus-4-6", MESSAGES, MESSAGES, id="Messages for Claude only: Claude"),
    pytest.param("databricks/databricks-llama-4-maverick", MESSAGES, CHAT, id="… others"),
]


@pytest.mark.parametrize(("target", "client", "expected"), FORMATS)
def test_which_format_is_spoken(target: str, client: Api, expected: Api) -> None:
    name, _, model = target.partition("/")
    assert preferred_format(CATALOG[name], client, model) == expected


def test_a_provider_without_a_format_can_be_told_nothing() -> None:
    assert preferred_format(provider("lab"), CHAT, "m") is None
