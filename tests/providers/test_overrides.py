"""``[providers.X]``: what each key changes, what it leaves, and how each mistake is told."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.providers.addresses import url_problem
from router.providers.catalog import load_catalog
from router.providers.credentials import CredentialSpec
from router.providers.overrides import KEYS, override
from router.providers.provider import Provider
from router.wire.request import Api

Problems = list[tuple[tuple[str | int, ...], str]]
KEY = "sk-ant-api03-Q0FOQVJZ-7f3d9b52e1"


def change(name: str, table: dict[str, Any]) -> tuple[Provider | None, Problems]:
    problems: Problems = []
    provider = override(load_catalog().get(name), name, table, lambda path, text: problems.append((path, text)))
    return provider, problems


def good(name: str, table: dict[str, Any]) -> Provider:
    provider, problems = change(name, table)
    assert problems == []
    assert provider is not None
    return provider


LAB = {
    "formats": ["openai-chat", "openai-responses", "anthropic-messages"],
    "base-url": "http://127.0.0.1:9000/v1",
}


# Addresses


@pytest.mark.parametrize(
    ("name", "table", "urls"),
    [
        pytest.param(
            "anthropic",
            {"base-url": "http://127.0.0.1:8787"},
            {"anthropic-messages": "http://127.0.0.1:8787"},
            id="a hop before Anthropic",
        ),
        pytest.param(
            "anthropic",
            {"base-url": "http://127.0.0.1:8787/v1/"},
            {"anthropic-messages": "http://127.0.0.1:8787"},
            id="the same with a version and a slash",
        ),
        pytest.param(
            "openrouter",
            {"base-url": "http://127.0.0.1:8787/v1"},
            {
                "openai-chat": "http://127.0.0.1:8787/v1",
                "openai-responses": "http://127.0.0.1:8787/v1",
                "anthropic-messages": "http://127.0.0.1:8787",
            },
            id="all addresses of the catalog are discarded",
        ),
        pytest.param(
            "deepseek",
            {"base-url": "http://h/v1", "anthropic-base-url": "http://h/a"},
            {"anthropic-messages": "http://h/a", "openai-chat": "http://h/v1", "openai-responses": "http://h/v1"},
            id="Anthropic's own address beside it, order kept",
        ),
        pytest.param(
            "deepseek",
            {"anthropic-base-url": "http://h/a"},
            {
                "anthropic-messages": "http://h/a",
                "openai-chat": "https://api.deepseek.com",
                "openai-responses": "https://api.deepseek.com",
            },
            id="Anthropic's own address alone leaves the others",
        ),
        pytest.param(
            "groq",
            {"anthropic-base-url": "http://h"},
            {
                "openai-chat": "https://api.groq.com/openai/v1",
                "openai-responses": "https://api.groq.com/openai/v1",
                "anthropic-messages": "http://h",
            },
            id="a format the catalog doesn't list is added by its address",
        ),
        pytest.param(
            "gemini",
            {"base-url": "http://h:1"},
            {"gemini": "http://h:1/v1beta", "openai-chat": "http://h:1"},
            id="Gemini behind a bare host",
        ),
        pytest.param(
            "gemini",
            {"base-url": "http://h:1/v1beta"},
            {"gemini": "http://h:1/v1beta", "openai-chat": "http://h:1/v1beta/openai"},
            id="Gemini laid out as Google's",
        ),
        pytest.param(
            "gemini",
            {"formats": ["gemini"], "base-url": "http://h:1/v1"},
            {"gemini": "http://h:1/v1"},
            id="Gemini alone keeps its version",
        ),
        pytest.param(
            "openrouter",
            {"formats": ["anthropic-messages"]},
            {"anthropic-messages": "https://openrouter.ai/api"},
            id="fewer formats",
        ),
        pytest.param(
            "openai",
            {"formats": ["openai-chat", "openai-responses"]},
            {"openai-chat": "https://api.openai.com/v1", "openai-responses": "https://api.openai.com/v1"},
            id="another order",
        ),
        pytest.param(
            "mistral",
            {"formats": ["openai-chat", "openai-responses"]},
            {"openai-chat": "https://api.mistral.ai/v1", "openai-responses": "https://api.mistral.ai/v1"},
            id="the OpenAI formats share their address",
        ),
        pytest.param(
            "lab",
            LAB,
            {
                "openai-chat": "http://127.0.0.1:9000/v1",
                "openai-responses": "http://127.0.0.1:9000/v1",
                "anthropic-messages": "http://127.0.0.1:9000",
            },
            id="a provider of one's own",
        ),
        pytest.param(
            "lab",
            {"formats": ["anthropic-messages"], "anthropic-base-url": "http://h/a"},
            {"anthropic-messages": "http://h/a"},
            id="one of one's own with Anthropic's address alone",
        ),
        pytest.param(
            "lab",
            {"formats": ["gemini"], "base-url": "http://h"},
            {"gemini": "http://h/v1beta"},
            id="one of one's own that speaks only Gemini",
        ),
    ],
)
def test_the_addresses_that_result(name: str, table: dict[str, Any], urls: dict[str, str]) -> None:
    result = good(name, table).base_urls
    assert result == urls
    assert list(result) == list(urls)


def test_a_base_url_completes_an_address_with_placeholders() -> None:
    base = "https://my.openai.azure.com/openai/v1"
    assert load_catalog()["azure-openai"].placeholders == ("resource",)
    assert good("azure-openai", {"base-url": base}).placeholders == ()


@pytest.mark.parametrize("key", ["base-url", "anthropic-base-url", "gemini-base-url", "proxy"])
def test_a_bad_address_is_told_at_its_key(key: str) -> None:
    for value in (f"https://user:{KEY}@h", 8080, "", ["http://h"]):
        _, problems = change("openrouter", {key: value})
        assert [path for path, _ in problems] == [(key,)]
        assert KEY not in problems[0][1]


# The other keys


def test_an_override_keeps_what_it_does_not_mention() -> None:
    before = load_catalog()["deepseek"]
    after = good("deepseek", {"billing": "free"})
    assert after.billing == "free"
    for name in Provider.__dataclass_fields__:
        assert name == "billing" or getattr(after, name) == getattr(before, name), name


def test_every_key_has_its_effect() -> None:
    provider = good("lab", {
        **LAB, "auth": "api-key", "api-key": "env:LAB_KEY", "billing": "subscription",
        "headers": {"X-Team": "blue"}, "models": ["a", "b"], "proxy": "http://proxy:3128/", "ca-file": "~/ca.pem",
        "timeouts": {"connect": "250ms", "idle": "2m"},
    })  # fmt: skip
    assert provider.name == "lab"
    assert provider.auth == dict.fromkeys(provider.formats, "api-key")
    assert provider.credentials == (CredentialSpec("env", "LAB_KEY"),)
    assert provider.billing == "subscription"
    assert provider.headers == {"x-team": "blue"}
    assert provider.models == ("a", "b")
    assert provider.proxy == "http://proxy:3128"
    assert provider.ca_file == "~/ca.pem"
    assert provider.timeouts == {"connect": 0.25, "idle": 120.0}


def test_two_layers_of_headers_and_timeouts_are_merged_and_lists_replaced() -> None:
    home = good("groq", {"headers": {"X-A": "1", "X-B": "1"}, "timeouts": {"idle": "1m"}, "models": ["a"]})
    profile = override(
        home, "groq", {"headers": {"x-b": "2"}, "timeouts": {"connect": "1s"}, "models": ["b"]}, pytest.fail
    )
    assert profile is not None
    assert profile.headers == {"x-a": "1", "x-b": "2"}
    assert profile.timeouts == {"idle": 60.0, "connect": 1.0}
    assert profile.models == ("b",)


@pytest.mark.parametrize(
    ("table", "credentials"),
    [
        pytest.param({}, ["env:GROQ_API_KEY"], id="the catalog's variable"),
        pytest.param({"api-key": "file:~/k"}, ["file:~/k"], id="one key"),
        pytest.param({"api-keys": ["env:A", "env:B", "env:A"]}, ["env:A", "env:B"], id="several, each once"),
        pytest.param({"api-keys": ["env:A", "none"]}, ["env:A", "none"], id="a key if there is one"),
        pytest.param({"api-key": "none"}, [], id="none"),
        pytest.param({"api-keys": []}, [], id="an empty list"),
        pytest.param({"api-key": "passthrough"}, ["passthrough"], id="the client's"),
    ],
)
def test_the_keys_that_result(table: dict[str, Any], credentials: list[str]) -> None:
    assert [str(spec) for spec in good("groq", table).credentials] == credentials


def test_the_header_of_the_key_follows_the_format_where_nothing_is_said() -> None:
    formats = list(get_args(Api))
    provider = good("lab", {"formats": formats, "base-url": "http://h/v1"})
    assert provider.auth == {
        "anthropic-messages": "x-api-key",
        "openai-chat": "bearer",
        "openai-responses": "bearer",
        "gemini": "x-goog-api-key",
    }
    assert good("lab", {"formats": formats, "base-url": "http://h/v1", "auth": "bearer"}).auth == dict.fromkeys(
        formats, "bearer"
    )


def test_a_catalog_providers_habit_survives_another_address() -> None:
    provider = good("deepseek", {"base-url": "http://h/v1"})
    assert provider.stream_usage == "always"
    assert provider.quirks == load_catalog()["deepseek"].quirks
    assert provider.auth["anthropic-messages"] == "x-api-key"


# Mistakes


@pytest.mark.parametrize(
    ("name", "table", "path", "told"),
    [
        pytest.param("groq", {"base_url": "http://h"}, ("base_url",), 'did you mean "base-url"?', id="a misspelt key"),
        pytest.param("groq", {"colour": 1}, ("colour",), "unknown key", id="an unknown key"),
        pytest.param(
            "groq", {"formats": ["openai-chats"]}, ("formats", 0), 'did you mean "openai-chat"?', id="a misspelt format"
        ),
        pytest.param("groq", {"formats": "openai-chat"}, ("formats",), "list", id="formats as a text"),
        pytest.param("groq", {"formats": []}, ("formats",), "at least one", id="no format"),
        pytest.param(
            "groq",
            {"formats": ["gemini"]},
            (),
            'needs gemini-base-url: there is no address for "gemini"',
            id="a format without an address",
        ),
        pytest.param(
            "groq",
            {"formats": ["openai-chat"], "anthropic-base-url": "http://h"},
            ("anthropic-base-url",),
            "formats doesn't list",
            id="an address without its format",
        ),
        pytest.param(
            "groq", {"auth": "Bearer"}, ("auth",), 'did you mean "bearer"?', id="a misspelt way of authentication"
        ),
        pytest.param("groq", {"auth": ["bearer"]}, ("auth",), "expected one of", id="two ways of authentication"),
        pytest.param("groq", {"billing": "fre"}, ("billing",), 'did you mean "free"?', id="a misspelt billing"),
        pytest.param("groq", {"billing": 1}, ("billing",), "expected one of", id="billing as a number"),
        pytest.param("groq", {"api-key": KEY}, ("api-key",), "expected a reference", id="a literal key"),
        pytest.param("groq", {"api-key": 5}, ("api-key",), "expected a reference", id="a number as key"),
        pytest.param(
            "groq",
            {"api-keys": ["env:A", KEY]},
            ("api-keys", 1),
            "expected a reference",
            id="a literal key among others",
        ),
        pytest.param("groq", {"api-keys": "env:A"}, ("api-keys",), "expected a list", id="keys as a text"),
        pytest.param(
            "groq",
            {"api-keys": ["env:A", "passthrough"]},
            ("api-keys", 1),
            "stands alone",
            id="the client's key among ours",
        ),
        pytest.param(
            "groq", {"api-key": "env:A", "api-keys": ["env:B"]}, ("api-key",), "not both", id="one key and several"
        ),
        pytest.param("groq", {"headers": ["x: y"]}, ("headers",), "expected a table", id="headers as a list"),
        pytest.param(
            "groq", {"headers": {"x y": "1"}}, ("headers", "x y"), "isn't a header's name", id="a bad header name"
        ),
        pytest.param(
            "groq", {"headers": {"x": "a\r\nb: c"}}, ("headers", "x"), "visible ASCII", id="a header that would be two"
        ),
        pytest.param("groq", {"headers": {"x": 1}}, ("headers", "x"), "expected a text", id="a number as a header"),
        pytest.param(
            "groq",
            {"headers": {"Content-Length": "1"}},
            ("headers", "Content-Length"),
            "router itself",
            id="a header of the transport",
        ),
        pytest.param(
            "groq",
            {"headers": {"X-Blue": f"v={KEY}"}},
            ("headers", "X-Blue"),
            "looks like a key",
            id="a key in an innocent header",
        ),
        pytest.param("groq", {"models": "a"}, ("models",), "expected a list", id="models as a text"),
        pytest.param("groq", {"models": [""]}, ("models",), "expected a list", id="an empty model"),
        pytest.param("groq", {"ca-file": "ca.pem"}, ("ca-file",), "absolute path", id="a relative path"),
        pytest.param("groq", {"timeouts": "5s"}, ("timeouts",), "expected a table", id="timeouts as a text"),
        pytest.param(
            "groq",
            {"timeouts": {"conect": "5s"}},
            ("timeouts", "conect"),
            'did you mean "connect"?',
            id="a misspelt timeout",
        ),
        pytest.param(
            "groq",
            {"timeouts": {"idle": 5}},
            ("timeouts", "idle"),
            "expected a duration",
            id="a timeout without a unit",
        ),
        pytest.param(
            "groq", {"timeouts": {"idle": "0s"}}, ("timeouts", "idle"), "expected a duration", id="no time at all"
        ),
        pytest.param(
            "azure-openai",
            {"base-url": "https://{resource}.openai.azure.com/openai/v1"},
            ("base-url",),
            "fill in {resource}",
            id="a placeholder left in",
        ),
        pytest.param("lab", {"base-url": "http://h"}, (), "needs formats", id="one's own without formats"),
        pytest.param("lab", {"formats": ["openai-chat"]}, (), "needs base-url", id="one's own without an address"),
        pytest.param(
            "lab",
            {"formats": ["openai-chat"], "anthropic-base-url": "http://h"},
            (),
            "needs base-url",
            id="one's own without the address of its format",
        ),
        pytest.param("a/b", LAB, (), "a provider's name", id="a name with a slash"),
        pytest.param("a:b", LAB, (), "a provider's name", id="a name with a colon"),
        pytest.param("", LAB, (), "a provider's name", id="no name"),
    ],
)
def test_a_mistake_is_told_at_its_place(
    name: str, table: dict[str, Any], path: tuple[str | int, ...], told: str
) -> None:
    _, problems = change(name, table)
    assert [text for where, text in problems if where == path and told in text]
    assert not any(KEY in text for _, text in problems)


@pytest.mark.parametrize(
    "header",
    "Authorization Proxy-Authorization cf-aig-authorization x-api-key api-key x-goog-api-key Cookie set-cookie "
    "X-Auth-Token token Ocp-Apim-Subscription-Key x-router-key helicone-auth my-secret".split(),
)
def test_credentials_are_refused_as_headers(header: str) -> None:
    _, problems = change("groq", {"headers": {header: "x"}})
    assert problems == [(("headers", header), "credentials are not given as headers: use api-key and auth")]


@pytest.mark.parametrize(
    "header",
    "anthropic-beta OpenAI-Organization HTTP-Referer X-OpenRouter-Title Editor-Version User-Agent "
    "Copilot-Integration-Id x-max-tokens x-author X-DashScope-SSE x-keyboard".split(),
)
def test_other_headers_are_taken(header: str) -> None:
    assert good("groq", {"headers": {header: "x-1"}}).headers == {header.lower(): "x-1"}


def test_all_mistakes_are_told_at_once() -> None:
    _, problems = change("lab", {"base-url": "h", "auth": "x", "billing": "y", "proxy": 1, "colour": 2})
    assert {path for path, _ in problems} == {(), ("base-url",), ("auth",), ("billing",), ("proxy",), ("colour",)}


def test_a_mistake_does_not_undo_the_rest() -> None:
    provider, problems = change("groq", {"billing": "fre", "models": ["a"]})
    assert problems
    assert provider is not None
    assert provider.models == ("a",)


anything = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["groq", "gemini", "lab"]),
    st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), anything, max_size=4),
)
def test_whatever_a_table_holds_is_either_good_or_told(name: str, table: dict[str, Any]) -> None:
    provider, problems = change(name, table)
    assert problems or provider is not None
    if provider is not None:
        assert provider.base_urls
        assert all(url_problem(url) is None for url in provider.base_urls.values())
