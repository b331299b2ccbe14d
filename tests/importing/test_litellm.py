"""LiteLLM's configuration: a name leads to what it led to."""

from __future__ import annotations

from typing import Any

import pytest

from router.errors import ConfigError
from router.importing.draft import Draft
from router.importing.litellm import read
from router.routing.rules import Target, decide
from tests.importing.conftest import CATALOG, IMPORTS, Made, facts, goes_to, run_tests, why

GPT = [
    Target("openai", "gpt-4o", 60.0),
    Target("openai-2", "gpt-4o", 20.0),
    Target("europe-1", "my-deployment", 40.0),
]
DEFAULTS = [Target("deepseek", "deepseek-chat"), Target("groq", "llama-3.3-70b-versatile")]


def config(name: str) -> Draft:
    return read((IMPORTS / f"litellm-{name}.yaml").read_text("utf-8"), CATALOG)


def candidates(profile: Any, model: str) -> list[str]:
    """All candidates of a request for a model, in the file's order."""
    decision = decide(profile.routes, facts(profile, {"model": model}))
    return [str(candidate.target) for candidate in decision.all_candidates()]


@pytest.mark.parametrize(
    ("model", "target"),
    [
        pytest.param("claude", "anthropic/claude-sonnet-4-5", id="a name of model_list"),
        pytest.param("ordered", "deepseek/deepseek-chat", id="the lowest order first"),
        pytest.param("house", "openai-llm.example.com/qwen3-coder", id="an address of one's own"),
        pytest.param("local", "ollama/llama3.1", id="a local model"),
        pytest.param("smart", "anthropic/claude-sonnet-4-5", id="model_group_alias"),
        pytest.param("claude-opus-4-5", "anthropic/claude-opus-4-5", id="a pattern that keeps the model"),
        pytest.param("nobody", None, id="a name that isn't there"),
        pytest.param("embed", None, id="no conversation"),
    ],
)
def test_a_name_leads_where_it_led(made: Made, model: str, target: str | None) -> None:
    assert goes_to(made(config("whole")), model=model) == target


def test_several_of_one_name_share_the_load_and_failures_go_on(made: Made) -> None:
    profile = made(config("whole"))
    alias = profile.routes.aliases["gpt"]
    assert list(alias.targets) == GPT
    assert alias.strategy == "weighted"
    assert candidates(profile, "gpt")[3:] == ["deepseek/deepseek-chat", "groq/llama-3.3-70b-versatile"]
    assert candidates(profile, "claude")[1:4] == ["openai/gpt-4o", "openai-2/gpt-4o", "europe-1/my-deployment"]
    assert candidates(profile, "ordered") == ["deepseek/deepseek-chat", "groq/llama-3.3-70b-versatile"]
    assert candidates(profile, "local")[1] == "anthropic/claude-sonnet-4-5"


def test_keys_settings_and_prices_come_along(made: Made) -> None:
    draft = config("whole")
    profile = made(draft)
    run_tests(profile)
    assert draft.env == {
        "OPENAI_KEY": "not-a-real-key",
        "OPENAI_KEY_2": "another-unreal-key",
        "MASTER_KEY": "word-for-clients",
    }
    assert "unreal" not in draft.files()["routing.toml"]
    assert (profile.auth_keys, str(profile.auth_key)) == ("required", "env:MASTER_KEY")
    assert (profile.retry.attempts, profile.timeouts.whole) == (3, 90)
    assert (profile.breaker.failures, profile.breaker.cooldown_s) == (4, 45)
    assert profile.routes.aliases["claude"].set == {"temperature": pytest.approx(0.2), "max-tokens": 4000}
    azure = profile.providers["europe-1"]
    assert azure.base_urls["openai-chat"] == "https://europe-1.openai.azure.com/openai/v1"
    assert set(azure.auth.values()) == {"api-key"}
    assert draft.prices == {"anthropic/claude-sonnet-4-5": {"input": 3.0, "output": 15.0}}
    assert all(rule.pin for rule in profile.routes.aliases.values())


def test_what_has_no_place_is_left_out_with_the_reason(made: Made) -> None:
    draft = config("broken")
    profile = made(draft)
    assert "no provider that the router knows" in why(draft, "left out", "model_list[0] mystery")
    assert "lacks" in why(draft, "left out", "model_list[1]")
    assert "lacks" in why(draft, "left out", "model_list[2]")
    assert "SOME_BASE" in why(draft, "left out", "model_list[5] elsewhere")
    assert "best-guess" in why(draft, "left out", "router_settings.routing_strategy")
    assert "differ" in why(draft, "left out", "parameters of mixed")
    for absent in ("fallbacks of absent", "fallback absent of mixed", "router_settings.model_group_alias.other"):
        assert "isn't in model_list" in why(draft, "left out", absent)
    for unknown in (
        "model_list[3] mixed.s3_bucket_name", "model_list[3] mixed.region", "router_settings.redis_host",
        "litellm_settings.callbacks", "general_settings.database_url", "environment_variables",
    ):  # fmt: skip
        assert "doesn't know" in why(draft, "left out", unknown)
    assert goes_to(profile, model="mixed") == "openai/gpt-4o"
    assert profile.routes.aliases["mixed"].set == {}


def test_a_pattern_for_everything_is_the_default(made: Made) -> None:
    text = 'model_list: [{model_name: "*", litellm_params: {model: "openai/*"}}]'
    assert goes_to(made(read(text, CATALOG)), model="gpt-x") == "openai/gpt-x"


@pytest.mark.parametrize(
    ("strategy", "ours"),
    [
        ("cost-based-routing", "lowest-cost"),
        ("latency-based-routing", "adaptive"),
        ("usage-based-routing-v2", "weighted"),
    ],
)
def test_strategies_become_the_nearest_one_and_it_is_told(made: Made, strategy: str, ours: str) -> None:
    entry = "{model_name: a, litellm_params: {model: gpt-4o}}, {model_name: a, litellm_params: {model: gpt-4o-mini}}"
    draft = read(f"model_list: [{entry}]\nrouter_settings: {{routing_strategy: {strategy}}}", CATALOG)
    assert made(draft).routes.aliases["a"].strategy == ours
    assert ours in why(draft, "changed", "router_settings.routing_strategy")


GROWING = "a: &c [1]\nb0: &b0 [*c, *c]\n" + "".join(
    f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("Router: {}", "no model_list", id="another program's"),
        pytest.param("a: [1", "line 1", id="no YAML"),
        pytest.param("- 1", "keys and values", id="a list"),
        pytest.param("", "no model_list", id="nothing"),
        pytest.param("a: 1\nb: 2\na: 3", 'line 3: the key "a" stands here twice', id="a key twice"),
        pytest.param("a: !!python/object/apply:os.system [ls]", "line 1", id="a tag that would run something"),
        pytest.param(GROWING, "more values", id="anchors that grow"),
        pytest.param("a: &a [*a]", "more values", id="an anchor within itself"),
        pytest.param("[" * 5000, "deep", id="nested too deeply"),
        pytest.param("a: 2026-99-99", "line|month|no YAML", id="no date"),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_another_file_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(text, CATALOG)
