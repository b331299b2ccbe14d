"""claude-code-router's configuration: what its documentation says of a request is what the profile does with it."""

from __future__ import annotations

from typing import Any

import pytest

from router.errors import ConfigError
from router.importing.claude_code_router import read
from router.importing.draft import Draft
from tests.importing.conftest import CATALOG, IMPORTS, Made, goes_to, run_tests, why


def config(name: str) -> Draft:
    return read((IMPORTS / f"claude-code-router-{name}.json").read_text("utf-8"), CATALOG)


SONNET = {"model": "claude-sonnet-4-5", "tools": 20}
DEFAULT, LONG = "deepseek/deepseek-chat", "openrouter/google/gemini-2.5-pro"
SMALL, THINK = "ollama/qwen2.5-coder:latest", "deepseek/deepseek-reasoner"


@pytest.mark.parametrize(
    ("request_facts", "target"),
    [
        pytest.param(SONNET | {"tokens": 1_000}, DEFAULT, id="default"),
        pytest.param(SONNET | {"tokens": 50_000}, DEFAULT, id="just the threshold"),
        pytest.param(SONNET | {"tokens": 50_001}, LONG, id="longContext"),
        pytest.param(SONNET | {"tokens": 50_001, "thinking": True}, LONG, id="longContext before think"),
        pytest.param({"model": "claude-haiku-4-5", "tokens": 50_001}, LONG, id="longContext before background"),
        pytest.param({"model": "claude-3-5-haiku-20241022"}, SMALL, id="background"),
        pytest.param({"model": "claude-haiku-4-5", "thinking": True}, SMALL, id="background before think"),
        pytest.param(SONNET | {"thinking": True}, THINK, id="think"),
        pytest.param(SONNET | {"thinking": True, "web-search": True}, THINK, id="think before webSearch"),
        pytest.param(SONNET | {"web-search": True}, "gemini/gemini-2.5-flash", id="webSearch"),
        pytest.param(SONNET | {"image": "last-turn"}, "Ark-Volces/deepseek-v3-250324", id="image"),
        pytest.param(
            {"model": "gemini:gemini-2.5-flash"}, "gemini/gemini-2.5-flash", id="/model, as it is written here"
        ),
    ],
)
def test_a_request_goes_where_it_went(made: Made, request_facts: dict[str, Any], target: str) -> None:
    assert goes_to(made(config("whole")), **request_facts) == target


def test_the_tests_that_come_along_hold(made: Made) -> None:
    profile = made(config("whole"))
    run_tests(profile)
    assert len(profile.tests) == 6


def test_the_server_and_the_providers_come_along(made: Made) -> None:
    draft = config("whole")
    profile = made(draft)
    assert draft.env == {
        "CLIENT_KEY": "a-word-for-clients", "DEEPSEEK_KEY": "not-a-real-key", "ARK_VOLCES_KEY": "not-a-real-key-either",
        "HOUSE_KEY": "also-not-real",
    }  # fmt: skip
    assert "not-a-real-key" not in draft.files()["routing.toml"]
    assert (profile.auth_keys, str(profile.auth_key)) == ("required", "env:CLIENT_KEY")
    assert profile.timeouts.whole == 600
    providers = profile.providers
    assert [str(spec) for spec in providers["deepseek"].credentials] == ["env:DEEPSEEK_KEY"]
    assert [str(spec) for spec in providers["openrouter"].credentials] == ["env:OPENROUTER_API_KEY"]
    assert providers["house"].base_urls == {"anthropic-messages": "https://llm.example.com"}
    assert providers["Ark-Volces"].base_urls == {"openai-chat": "https://ark.example.com/api/v3"}
    assert {providers[name].proxy for name in ("deepseek", "openrouter", "house")} == {"http://127.0.0.1:7890"}
    (limited,) = [rule for rule in profile.routes.rules if rule.targets[0].provider == "Ark-Volces"]
    assert limited.set == {"max-tokens": 16_384}
    assert "needs no key" in why(draft, "carried", "Providers.ollama")
    assert "OLLAMA_KEY" not in draft.env


def test_what_names_nothing_is_left_out_with_the_reason(made: Made) -> None:
    draft = config("broken")
    profile = made(draft)
    assert "none of the Providers" in why(draft, "left out", "Router.default")
    assert "isn't provider,model" in why(draft, "left out", "Router.background")
    assert "none of the Providers" in why(draft, "left out", "Router.webSearch")
    assert "no number" in why(draft, "left out", "Router.longContextThreshold")
    assert "no address" in why(draft, "left out", "Providers.nowhere")
    assert "no name" in why(draft, "left out", "Providers[2]")
    assert "JavaScript" in why(draft, "left out", "CUSTOM_ROUTER_PATH")
    for unknown in ("Mystery", "Router.vision", "Providers.kimi.region"):
        assert "doesn't know" in why(draft, "left out", unknown)
    said = [note.why for note in draft.notes if note.what == "Router.think"]
    assert any("asked for all the same" in each for each in said)
    assert goes_to(profile, model="claude-x", thinking=True) == "kimi/k9"
    assert goes_to(profile, model="claude-x") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"model_list": []}', "neither Providers nor Router"),
        ("{", "line 1"),
        ('{\n"Router": {\n"default": "a,b"\n', "line "),
        ('["Router"]', "line 1"),
    ],
)
def test_another_file_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(text, CATALOG)
