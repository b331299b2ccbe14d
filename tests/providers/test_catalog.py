"""The shipped catalog: every entry is whole, means what it says, and is told truly in the documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from router.providers.addresses import AUTH_STYLES, base_for, placeholders_of, url_problem
from router.providers.builtin import DEMO_MODELS, demo
from router.providers.catalog import QUIRKS, load_catalog, override, shipped
from router.providers.credentials import CredentialSpec
from router.providers.overrides import BILLINGS
from router.providers.provider import Provider, StreamUsage
from router.wire.request import Api

pytestmark = pytest.mark.sampled(3)

ROOT = Path(__file__).resolve().parent.parent.parent
RAW = tomllib.loads((ROOT / "router" / "providers" / "catalog.toml").read_text("utf-8"))
PRICED = json.loads((ROOT / "router" / "money" / "prices.json").read_text("utf-8"))["providers"]
DOCUMENT = (ROOT / "docs" / "providers.md").read_text("utf-8")
ENTRY_KEYS = {
    "urls", "auth", "keys", "key", "family", "price-provider", "stream-usage", "count-tokens", "billing", "evidence",
    "note", "quirks",
}  # fmt: skip

everywhere = pytest.mark.parametrize("provider", shipped().values(), ids=lambda provider: provider.name)


def test_the_catalog_is_read_once_and_not_on_import() -> None:
    program = (
        "import tomllib; tomllib.loads = None\n"
        "from router.providers import catalog\n"
        "print(catalog.load_catalog.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "0\n", done.stderr
    assert load_catalog() is load_catalog()


@everywhere
def test_an_entry_uses_known_keys_and_known_words(provider: Provider) -> None:
    raw = RAW[provider.name]
    assert set(raw) <= ENTRY_KEYS
    assert raw.get("key") in (None, "optional", "none")
    assert provider.billing in BILLINGS
    assert provider.stream_usage in get_args(StreamUsage)
    assert isinstance(provider.count_tokens, bool)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", provider.name)
    assert re.fullmatch(r"[dtmk]+", provider.evidence)
    assert "\n" not in provider.note


@everywhere
def test_an_entrys_addresses_are_good_once_filled_in(provider: Provider) -> None:
    assert provider.base_urls
    for api, url in provider.base_urls.items():
        assert api in get_args(Api)
        assert url_problem(re.sub(r"\{[a-z]+\}", "x", url)) is None
        assert not url.endswith("/")
        # The parts of the path that are appended must not stand there already.
        assert not re.search(r"/(chat/completions|responses|messages|models)\Z", url)
        if api == "anthropic-messages":
            assert not url.endswith("/v1"), "/v1/messages is appended"
        if not re.match(r"https?://localhost[:/]", url):
            assert url.startswith("https://"), "keys travel there"
    assert provider.placeholders == placeholders_of(*provider.base_urls.values())
    assert set(provider.auth) == set(provider.base_urls)
    assert set(provider.auth.values()) <= set(AUTH_STYLES)


@everywhere
def test_an_entrys_key_is_a_variable_or_not_needed(provider: Provider) -> None:
    expected = [CredentialSpec.parse(f"env:{name}") for name in provider.key_variables]
    needed = RAW[provider.name].get("key") is None
    if RAW[provider.name].get("key") == "optional":
        expected.append(CredentialSpec("none"))
    assert list(provider.credentials) == expected
    assert bool(provider.key_variables) == (RAW[provider.name].get("key") != "none")
    if not needed:
        assert "localhost" in next(iter(provider.base_urls.values()))


@everywhere
def test_an_entrys_prices_are_in_the_table(provider: Provider) -> None:
    assert provider.price_provider is None or provider.price_provider in PRICED


@everywhere
def test_an_entrys_habits_are_in_the_vocabulary(provider: Provider) -> None:
    for name, value in provider.quirks.items():
        assert name in QUIRKS
        assert QUIRKS[name](value), f"{name} = {value!r}"


@pytest.mark.parametrize("name", QUIRKS)
def test_a_habits_test_can_fail(name: str) -> None:
    assert not QUIRKS[name]("nonsense")
    assert not QUIRKS[name](["", 0])


@everywhere
def test_an_entry_can_be_overridden_by_an_empty_table(provider: Provider) -> None:
    problems: list[object] = []
    assert override(provider, provider.name, {}, lambda *problem: problems.append(problem)) == provider
    assert problems == []


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(
            "anthropic openai gemini google-vertex azure-openai azure-foundry-claude bedrock",
            id="the makers and clouds",
        ),
        pytest.param(
            "openrouter groq deepseek minimax zai zhipuai moonshot kimi-coding mistral xai cerebras", id="services"
        ),
        pytest.param("together fireworks alibaba siliconflow novita huggingface nebius deepinfra nvidia", id="hosts"),
        pytest.param(
            "perplexity cohere sambanova baseten github-copilot github-models vercel-gateway", id="more hosts"
        ),
        pytest.param("opencode-zen xiaomi chutes cloudflare databricks ollama-cloud", id="the rest of them"),
        pytest.param("ollama lmstudio llamacpp vllm sglang litellm cliproxyapi", id="the user's own machine"),
    ],
)
def test_the_catalog_has(names: str) -> None:
    assert set(names.split()) <= set(load_catalog())


def test_the_built_in_provider_comes_last_and_needs_nothing() -> None:
    assert [*load_catalog()] == [*shipped(), "demo"]
    built_in = load_catalog()["demo"]
    assert set(built_in.formats) == set(get_args(Api))
    assert set(built_in.auth) == set(built_in.base_urls)
    assert built_in.credentials == ()
    assert built_in.models == DEMO_MODELS
    assert set(built_in.quirks) <= set(QUIRKS)
    assert all(QUIRKS[name](value) for name, value in built_in.quirks.items())


def test_the_built_in_provider_answers_where_it_is_told_to() -> None:
    provider = demo("http://127.0.0.1:4711")
    assert base_for("anthropic-messages", "http://127.0.0.1:4711") == provider.base_urls["anthropic-messages"]
    assert {url.partition("4711")[2] for url in provider.base_urls.values()} == {"", "/v1", "/v1beta"}


# docs/providers.md


def test_the_documentations_table_is_the_catalog() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/provider-table", "--check"],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in shipped():
        assert f"| `{name}` |" in DOCUMENT


EXAMPLES = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_an_example_of_the_documentation_loads_as_it_stands(text: str) -> None:
    for name, table in tomllib.loads(text)["providers"].items():
        problems: list[object] = []
        provider = override(load_catalog().get(name), name, table, lambda *problem: problems.append(problem))  # noqa: B023
        assert problems == []
        assert provider is not None
        assert provider.placeholders == ()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_the_documentations_table_of_one_base_url_is_true() -> None:
    head, *rows = re.findall(
        r"^\| (Format|Chat, Responses|Messages|Gemini) \| .*? \| `(.*?)` \| `(.*?)` \|$", DOCUMENT, re.MULTILINE
    )
    apis: dict[str, Api] = {"Chat, Responses": "openai-chat", "Messages": "anthropic-messages", "Gemini": "gemini"}
    assert [name for name, *_ in rows] == list(apis)
    for name, *made in rows:
        assert made == [base_for(apis[name], base) for base in head[1:]]


def test_every_key_of_a_provider_table_is_documented() -> None:
    from router.providers.overrides import KEYS, TIMEOUT_KEYS

    section = DOCUMENT.partition("## Changing a provider")[2].partition("\n## ")[0]
    for key in (*KEYS, *TIMEOUT_KEYS):
        assert re.search(rf"[` ]{re.escape(key)}[` ]", section), key
