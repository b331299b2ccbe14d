"""Addresses: the final URL of every shipped provider and format, what one base URL becomes, which URLs are refused."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import BadRequest, ConfigError, FormatUnsupported
from router.providers.addresses import (
    DEFAULT_AUTH,
    auth_headers,
    base_for,
    endpoint_url,
    own_base,
    placeholders_of,
    url_problem,
)
from router.providers.catalog import load_catalog, shipped
from router.providers.credentials import Secret
from router.providers.provider import AuthStyle, Provider
from router.wire.request import Api

pytestmark = pytest.mark.sampled(3)

# provider, format, the URL that model m-1 is asked at; {region} and its like are filled in as my-region
FINAL_URLS = """
anthropic            anthropic-messages https://api.anthropic.com/v1/messages
openai               openai-responses   https://api.openai.com/v1/responses
openai               openai-chat        https://api.openai.com/v1/chat/completions
gemini               gemini             https://generativelanguage.googleapis.com/v1beta/models/m-1:generateContent
gemini               openai-chat        https://generativelanguage.googleapis.com/v1beta/openai/chat/completions
google-vertex        gemini             https://my-region-aiplatform.googleapis.com/v1/projects/my-project/locations/my-region/publishers/google/models/m-1:generateContent
azure-openai         openai-responses   https://my-resource.openai.azure.com/openai/v1/responses
azure-openai         openai-chat        https://my-resource.openai.azure.com/openai/v1/chat/completions
azure-foundry-claude anthropic-messages https://my-resource.services.ai.azure.com/anthropic/v1/messages
bedrock              openai-responses   https://bedrock-mantle.my-region.api.aws/v1/responses
bedrock              openai-chat        https://bedrock-mantle.my-region.api.aws/v1/chat/completions
openrouter           openai-chat        https://openrouter.ai/api/v1/chat/completions
openrouter           openai-responses   https://openrouter.ai/api/v1/responses
openrouter           anthropic-messages https://openrouter.ai/api/v1/messages
groq                 openai-chat        https://api.groq.com/openai/v1/chat/completions
groq                 openai-responses   https://api.groq.com/openai/v1/responses
deepseek             anthropic-messages https://api.deepseek.com/anthropic/v1/messages
deepseek             openai-chat        https://api.deepseek.com/chat/completions
deepseek             openai-responses   https://api.deepseek.com/responses
minimax              anthropic-messages https://api.minimax.io/anthropic/v1/messages
minimax              openai-chat        https://api.minimax.io/v1/chat/completions
minimax              openai-responses   https://api.minimax.io/v1/responses
minimax-cn           anthropic-messages https://api.minimaxi.com/anthropic/v1/messages
minimax-cn           openai-chat        https://api.minimaxi.com/v1/chat/completions
minimax-cn           openai-responses   https://api.minimaxi.com/v1/responses
zai                  anthropic-messages https://api.z.ai/api/anthropic/v1/messages
zai                  openai-chat        https://api.z.ai/api/paas/v4/chat/completions
zai-coding           anthropic-messages https://api.z.ai/api/anthropic/v1/messages
zai-coding           openai-chat        https://api.z.ai/api/coding/paas/v4/chat/completions
zai-coding           openai-responses   https://api.z.ai/api/v1/responses
zhipuai              anthropic-messages https://open.bigmodel.cn/api/anthropic/v1/messages
zhipuai              openai-chat        https://open.bigmodel.cn/api/paas/v4/chat/completions
zhipuai-coding       anthropic-messages https://open.bigmodel.cn/api/anthropic/v1/messages
zhipuai-coding       openai-chat        https://open.bigmodel.cn/api/coding/paas/v4/chat/completions
moonshot             anthropic-messages https://api.moonshot.ai/anthropic/v1/messages
moonshot             openai-chat        https://api.moonshot.ai/v1/chat/completions
moonshot             openai-responses   https://api.moonshot.ai/v1/responses
moonshot-cn          anthropic-messages https://api.moonshot.cn/anthropic/v1/messages
moonshot-cn          openai-chat        https://api.moonshot.cn/v1/chat/completions
moonshot-cn          openai-responses   https://api.moonshot.cn/v1/responses
kimi-coding          anthropic-messages https://api.kimi.com/coding/v1/messages
kimi-coding          openai-chat        https://api.kimi.com/coding/v1/chat/completions
mistral              openai-chat        https://api.mistral.ai/v1/chat/completions
xai                  openai-responses   https://api.x.ai/v1/responses
xai                  openai-chat        https://api.x.ai/v1/chat/completions
cerebras             openai-chat        https://api.cerebras.ai/v1/chat/completions
together             openai-chat        https://api.together.xyz/v1/chat/completions
fireworks            openai-chat        https://api.fireworks.ai/inference/v1/chat/completions
fireworks            openai-responses   https://api.fireworks.ai/inference/v1/responses
fireworks            anthropic-messages https://api.fireworks.ai/inference/v1/messages
alibaba              openai-chat        https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions
alibaba              openai-responses   https://dashscope-intl.aliyuncs.com/compatible-mode/v1/responses
alibaba              anthropic-messages https://dashscope-intl.aliyuncs.com/apps/anthropic/v1/messages
alibaba-cn           openai-chat        https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions
alibaba-cn           openai-responses   https://dashscope.aliyuncs.com/compatible-mode/v1/responses
alibaba-coding       openai-chat        https://coding-intl.dashscope.aliyuncs.com/v1/chat/completions
siliconflow          openai-chat        https://api.siliconflow.com/v1/chat/completions
siliconflow          anthropic-messages https://api.siliconflow.com/v1/messages
siliconflow-cn       openai-chat        https://api.siliconflow.cn/v1/chat/completions
siliconflow-cn       anthropic-messages https://api.siliconflow.cn/v1/messages
novita               openai-chat        https://api.novita.ai/openai/chat/completions
novita               anthropic-messages https://api.novita.ai/anthropic/v1/messages
huggingface          openai-chat        https://router.huggingface.co/v1/chat/completions
huggingface          openai-responses   https://router.huggingface.co/v1/responses
nebius               openai-chat        https://api.tokenfactory.nebius.com/v1/chat/completions
deepinfra            openai-chat        https://api.deepinfra.com/v1/openai/chat/completions
deepinfra            anthropic-messages https://api.deepinfra.com/anthropic/v1/messages
nvidia               openai-chat        https://integrate.api.nvidia.com/v1/chat/completions
perplexity           openai-chat        https://api.perplexity.ai/chat/completions
perplexity           openai-responses   https://api.perplexity.ai/v1/responses
cohere               openai-chat        https://api.cohere.ai/compatibility/v1/chat/completions
sambanova            openai-chat        https://api.sambanova.ai/v1/chat/completions
baseten              openai-chat        https://inference.baseten.co/v1/chat/completions
baseten              anthropic-messages https://inference.baseten.co/v1/messages
github-copilot       openai-chat        https://api.githubcopilot.com/chat/completions
github-copilot       openai-responses   https://api.githubcopilot.com/responses
github-copilot       anthropic-messages https://api.githubcopilot.com/v1/messages
github-models        openai-chat        https://models.github.ai/inference/chat/completions
vercel-gateway       openai-chat        https://ai-gateway.vercel.sh/v1/chat/completions
vercel-gateway       openai-responses   https://ai-gateway.vercel.sh/v1/responses
vercel-gateway       anthropic-messages https://ai-gateway.vercel.sh/v1/messages
opencode-zen         openai-chat        https://opencode.ai/zen/v1/chat/completions
opencode-zen         openai-responses   https://opencode.ai/zen/v1/responses
opencode-zen         anthropic-messages https://opencode.ai/zen/v1/messages
opencode-zen         gemini             https://opencode.ai/zen/v1/models/m-1:generateContent
xiaomi               openai-chat        https://api.xiaomimimo.com/v1/chat/completions
xiaomi               anthropic-messages https://api.xiaomimimo.com/anthropic/v1/messages
chutes               openai-chat        https://llm.chutes.ai/v1/chat/completions
chutes               anthropic-messages https://claude.chutes.ai/v1/messages
cloudflare           openai-chat        https://api.cloudflare.com/client/v4/accounts/my-account/ai/v1/chat/completions
cloudflare           openai-responses   https://api.cloudflare.com/client/v4/accounts/my-account/ai/v1/responses
databricks           openai-chat        https://my-workspace/serving-endpoints/chat/completions
databricks           anthropic-messages https://my-workspace/serving-endpoints/anthropic/v1/messages
ollama               openai-chat        http://localhost:11434/v1/chat/completions
ollama               openai-responses   http://localhost:11434/v1/responses
ollama               anthropic-messages http://localhost:11434/v1/messages
ollama-cloud         openai-chat        https://ollama.com/v1/chat/completions
ollama-cloud         openai-responses   https://ollama.com/v1/responses
ollama-cloud         anthropic-messages https://ollama.com/v1/messages
lmstudio             openai-chat        http://localhost:1234/v1/chat/completions
lmstudio             openai-responses   http://localhost:1234/v1/responses
lmstudio             anthropic-messages http://localhost:1234/v1/messages
llamacpp             openai-chat        http://localhost:8080/v1/chat/completions
llamacpp             openai-responses   http://localhost:8080/v1/responses
llamacpp             anthropic-messages http://localhost:8080/v1/messages
vllm                 openai-chat        http://localhost:8000/v1/chat/completions
vllm                 openai-responses   http://localhost:8000/v1/responses
vllm                 anthropic-messages http://localhost:8000/v1/messages
sglang               openai-chat        http://localhost:30000/v1/chat/completions
sglang               openai-responses   http://localhost:30000/v1/responses
sglang               anthropic-messages http://localhost:30000/v1/messages
litellm              openai-chat        http://localhost:4000/v1/chat/completions
litellm              openai-responses   http://localhost:4000/v1/responses
litellm              anthropic-messages http://localhost:4000/v1/messages
cliproxyapi          openai-chat        http://localhost:8317/v1/chat/completions
cliproxyapi          openai-responses   http://localhost:8317/v1/responses
cliproxyapi          anthropic-messages http://localhost:8317/v1/messages
cliproxyapi          gemini             http://localhost:8317/v1beta/models/m-1:generateContent
"""


def filled_in(name: str) -> Provider:
    provider = load_catalog()[name]
    urls = {api: re.sub(r"\{(\w+)\}", r"my-\1", url) for api, url in provider.base_urls.items()}
    return replace(provider, base_urls=urls, placeholders=())


def provider(**urls: str) -> Provider:
    """``provider(gemini=…, openai_chat=…)``"""
    base_urls: dict[Api, str] = {api.replace("_", "-"): url for api, url in urls.items()}  # type: ignore[misc]
    return Provider("lab", base_urls, {api: DEFAULT_AUTH[api] for api in base_urls})


@pytest.mark.parametrize("row", FINAL_URLS.strip().splitlines(), ids=lambda row: " ".join(row.split()[:2]))
def test_the_final_url_of_a_shipped_provider(row: str) -> None:
    name, api, url = row.split()
    assert endpoint_url(filled_in(name), api, model="m-1") == url  # type: ignore[arg-type]


def test_the_table_above_has_every_shipped_provider_and_format_in_its_order() -> None:
    assert [tuple(row.split()[:2]) for row in FINAL_URLS.strip().splitlines()] == [
        (name, api) for name, provider in shipped().items() for api in provider.formats
    ]


BASES = {
    "anthropic_messages": "https://a.example",
    "openai_chat": "https://o.example/v1",
    "openai_responses": "https://o.example/v1",
    "gemini": "https://g.example/v1beta",
}


@pytest.mark.parametrize(
    ("api", "options", "url"),
    [
        pytest.param(
            "anthropic-messages",
            {"operation": "count-tokens"},
            "https://a.example/v1/messages/count_tokens",
            id="Anthropic's count",
        ),
        pytest.param(
            "anthropic-messages", {"operation": "models"}, "https://a.example/v1/models", id="Anthropic's models"
        ),
        pytest.param(
            "anthropic-messages",
            {"stream": True},
            "https://a.example/v1/messages",
            id="a Messages stream has no other URL",
        ),
        pytest.param(
            "openai-chat",
            {"stream": True, "model": "x"},
            "https://o.example/v1/chat/completions",
            id="nor has a Chat stream",
        ),
        pytest.param("openai-chat", {"operation": "models"}, "https://o.example/v1/models", id="OpenAI's models"),
        pytest.param(
            "openai-chat",
            {"operation": "models/org/m:free"},
            "https://o.example/v1/models/org/m:free",
            id="one model with a maker",
        ),
        pytest.param("openai-chat", {"operation": "embeddings"}, "https://o.example/v1/embeddings", id="embeddings"),
        pytest.param(
            "openai-chat", {"operation": "images/generations"}, "https://o.example/v1/images/generations", id="images"
        ),
        pytest.param(
            "openai-responses",
            {"operation": "responses/resp_1"},
            "https://o.example/v1/responses/resp_1",
            id="a stored reply",
        ),
        pytest.param(
            "openai-responses",
            {"operation": "responses/resp_1/input_items"},
            "https://o.example/v1/responses/resp_1/input_items",
            id="its input",
        ),
        pytest.param(
            "openai-responses",
            {"operation": "count-tokens"},
            "https://o.example/v1/responses/input_tokens",
            id="Responses' count",
        ),
        pytest.param(
            "gemini",
            {"model": "m", "stream": True},
            "https://g.example/v1beta/models/m:streamGenerateContent",
            id="a Gemini stream",
        ),
        pytest.param(
            "gemini",
            {"model": "m", "operation": "count-tokens"},
            "https://g.example/v1beta/models/m:countTokens",
            id="Gemini's count",
        ),
        pytest.param(
            "gemini",
            {"model": "m", "stream": True, "operation": "count-tokens"},
            "https://g.example/v1beta/models/m:countTokens",
            id="which never streams",
        ),
        pytest.param("gemini", {"operation": "models"}, "https://g.example/v1beta/models", id="Gemini's models"),
        pytest.param(
            "gemini",
            {"model": "models/m"},
            "https://g.example/v1beta/models/m:generateContent",
            id="a model with its collection",
        ),
        pytest.param(
            "gemini",
            {"model": "tunedModels/m"},
            "https://g.example/v1beta/tunedModels/m:generateContent",
            id="a tuned model",
        ),
        pytest.param(
            "gemini",
            {"model": "org/m:free"},
            "https://g.example/v1beta/models/org%2Fm%3Afree:generateContent",
            id="another provider's name stays one segment",
        ),
        pytest.param(
            "gemini",
            {"model": "../../files?x=1#y"},
            "https://g.example/v1beta/models/..%2F..%2Ffiles%3Fx%3D1%23y:generateContent",
            id="a name can't leave its place",
        ),
    ],
)
def test_the_url_of_an_operation(api: Api, options: dict[str, object], url: str) -> None:
    assert endpoint_url(provider(**BASES), api, **options) == url  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("api", "options"),
    [
        pytest.param("openai-chat", {"operation": "../admin"}, id="up"),
        pytest.param("openai-chat", {"operation": "responses/.."}, id="up at the end"),
        pytest.param("openai-chat", {"operation": "embeddings?x=1"}, id="a query"),
        pytest.param("openai-chat", {"operation": "/embeddings"}, id="from the root"),
        pytest.param("openai-chat", {"operation": "//evil.example/x"}, id="another host"),
        pytest.param("openai-chat", {"operation": "a%2e%2e/b"}, id="something encoded"),
        pytest.param("openai-chat", {"operation": "a\r\nb"}, id="a line break"),
        pytest.param("openai-chat", {"operation": ""}, id="nothing"),
        pytest.param("openai-chat", {"operation": "count-tokens"}, id="a count, which Chat doesn't have"),
        pytest.param("gemini", {"model": None}, id="no model"),
        pytest.param("gemini", {"model": ""}, id="an empty model"),
        pytest.param("gemini", {"model": ".."}, id="a model that is a step up"),
        pytest.param("gemini", {"model": "models/.."}, id="the same with its collection"),
    ],
)
def test_what_cannot_stand_in_a_path_is_refused(api: Api, options: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        endpoint_url(provider(**BASES), api, **options)  # type: ignore[arg-type]


@given(model=st.text(min_size=1).filter(lambda model: not model.endswith(("/", ".."))))
def test_no_model_name_leaves_its_segment(model: str) -> None:
    try:
        url = endpoint_url(provider(**BASES), "gemini", model=model.encode("utf-8", "replace").decode())
    except BadRequest:
        return
    parts = urlsplit(url)
    assert (parts.netloc, parts.query, parts.fragment) == ("g.example", "", "")
    assert re.fullmatch(r"/v1beta/(models|tunedModels)/[^/]+:generateContent", parts.path)
    assert url.isascii()


def test_a_format_the_provider_does_not_speak_is_refused_by_name() -> None:
    with pytest.raises(FormatUnsupported, match="lab doesn't speak gemini, only openai-chat"):
        endpoint_url(provider(openai_chat="https://o.example/v1"), "gemini", model="m")


def test_an_address_that_is_not_complete_is_not_called() -> None:
    with pytest.raises(
        ConfigError, match=r"\[providers.google-vertex\] needs a base-url: fill in \{region\} and \{project\}"
    ):
        endpoint_url(load_catalog()["google-vertex"], "gemini", model="m")


def test_placeholders_are_named_once_in_order() -> None:
    assert placeholders_of("https://{b}.x/{a}", "https://{a}", "https://x") == ("b", "a")


@pytest.mark.parametrize(
    ("base", "openai", "anthropic", "gemini"),
    [
        pytest.param("http://h:1", "http://h:1", "http://h:1", "http://h:1/v1beta", id="a bare host"),
        pytest.param("http://h:1/", "http://h:1", "http://h:1", "http://h:1/v1beta", id="a slash at the end"),
        pytest.param(
            "http://h:1/v1", "http://h:1/v1", "http://h:1", "http://h:1/v1beta", id="as OpenAI's SDK takes it"
        ),
        pytest.param("http://h:1/v1/", "http://h:1/v1", "http://h:1", "http://h:1/v1beta", id="with a slash"),
        pytest.param("http://h/api/v1", "http://h/api/v1", "http://h/api", "http://h/api/v1beta", id="below a path"),
        pytest.param(
            "http://h/v1beta", "http://h/v1beta/openai", "http://h/v1beta", "http://h/v1beta", id="as Google has it"
        ),
        pytest.param(
            "http://h/v1beta/openai",
            "http://h/v1beta/openai",
            "http://h/v1beta/openai",
            "http://h/v1beta",
            id="Google's OpenAI layer",
        ),
        pytest.param(
            "http://h/v1/p/x", "http://h/v1/p/x", "http://h/v1/p/x", "http://h/v1/p/x", id="a version in the middle"
        ),
        pytest.param(
            "http://h/myv1",
            "http://h/myv1",
            "http://h/myv1",
            "http://h/myv1/v1beta",
            id="a path that ends like a version",
        ),
        pytest.param("http://v1", "http://v1", "http://v1", "http://v1/v1beta", id="a host named like a version"),
    ],
)
def test_one_base_url_serves_every_format(base: str, openai: str, anthropic: str, gemini: str) -> None:
    assert base_for("openai-chat", base) == base_for("openai-responses", base) == openai
    assert base_for("anthropic-messages", base) == anthropic
    assert base_for("gemini", base) == gemini


@pytest.mark.parametrize(
    ("api", "given_", "used"),
    [
        pytest.param("anthropic-messages", "http://h/anthropic", "http://h/anthropic", id="Anthropic's as it is"),
        pytest.param("anthropic-messages", "http://h/v1", "http://h", id="Anthropic's with a version too many"),
        pytest.param("gemini", "http://h/v1", "http://h/v1", id="Gemini's with a version"),
        pytest.param("gemini", "http://h/v1alpha", "http://h/v1alpha", id="Gemini's with another version"),
        pytest.param("gemini", "http://h/g", "http://h/g/v1beta", id="Gemini's without one"),
    ],
)
def test_a_formats_own_address(api: Api, given_: str, used: str) -> None:
    assert own_base(api, given_) == used


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "http://localhost:11434/v1",
        "http://127.0.0.1:8787",
        "http://[::1]:8080/v1",
        "https://host_name.internal./a-b/c~d/v1",
        "http://docker_service:80",
    ],
)
def test_a_good_address(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("api.example.com/v1", "begins with https://", id="no scheme"),
        pytest.param("ftp://example.com", "begins with https://", id="another scheme"),
        pytest.param("file:///etc/passwd", "begins with https://", id="a file"),
        pytest.param("https://", "host name", id="no host"),
        pytest.param("https:///v1", "host name", id="a path without a host"),
        pytest.param("https://-x.example", "host name", id="a host that begins with a dash"),
        pytest.param("https://user:hunter2hunter2@example.com", "api-key", id="credentials"),
        pytest.param("https://user@example.com", "api-key", id="a user"),
        pytest.param("https://example.com/v1?key=hunter2hunter2", "without a query", id="a query"),
        pytest.param("https://example.com/v1?", "without a query", id="an empty query"),
        pytest.param("https://example.com/v1#x", "without a query", id="a fragment"),
        pytest.param("https://{region}.example.com/{x}", "fill in {region} and {x}", id="placeholders"),
        pytest.param("https://{REGION}.example.com", "fill in the part in braces", id="braces"),
        pytest.param("https://example.com/a/../b", "path", id="a step up"),
        pytest.param("https://example.com/a b", "visible ASCII", id="a space"),
        pytest.param("https://example.com/\r\nx: y", "visible ASCII", id="a line break"),
        pytest.param("https://b\u00fccher.example", "visible ASCII", id="a letter beyond ASCII"),
        pytest.param("https://example.com:port", "port", id="a port that is no number"),
        pytest.param("https://example.com:99999", "port", id="a port that is too large"),
        pytest.param("https://[::1", "port or host", id="an unclosed bracket"),
        pytest.param("https://example.com\\@evil.example", "", id="a backslash"),
        pytest.param("", "begins with https://", id="nothing"),
    ],
)
def test_a_bad_address_is_refused_without_being_repeated(url: str, told: str) -> None:
    problem = url_problem(url)
    assert problem is not None
    assert told in problem
    assert "hunter2" not in problem


# Headers


@pytest.mark.parametrize(
    ("style", "header"),
    [
        pytest.param("bearer", {"Authorization": "Bearer k-1"}, id="bearer"),
        pytest.param("x-api-key", {"x-api-key": "k-1"}, id="x-api-key"),
        pytest.param("x-goog-api-key", {"x-goog-api-key": "k-1"}, id="x-goog-api-key"),
        pytest.param("api-key", {"api-key": "k-1"}, id="api-key"),
    ],
)
def test_the_key_goes_into_exactly_one_header(style: AuthStyle, header: dict[str, str]) -> None:
    lab = Provider("lab", {"openai-chat": "https://o.example"}, {"openai-chat": style})
    assert auth_headers(lab, "openai-chat", Secret("k-1")) == header


def test_without_a_key_no_header_is_sent() -> None:
    assert auth_headers(load_catalog()["ollama"], "openai-chat", None) == {}


@pytest.mark.parametrize(
    ("name", "api", "header"),
    [
        pytest.param("anthropic", "anthropic-messages", "x-api-key", id="Anthropic itself"),
        pytest.param("deepseek", "anthropic-messages", "x-api-key", id="DeepSeek's Anthropic layer"),
        pytest.param("deepseek", "openai-chat", "Authorization", id="DeepSeek's Chat"),
        pytest.param("openrouter", "anthropic-messages", "Authorization", id="OpenRouter everywhere"),
        pytest.param("ollama-cloud", "anthropic-messages", "Authorization", id="Ollama's cloud refuses x-api-key"),
        pytest.param("gemini", "gemini", "x-goog-api-key", id="Gemini"),
        pytest.param("gemini", "openai-chat", "Authorization", id="Gemini's Chat layer"),
        pytest.param("google-vertex", "gemini", "Authorization", id="Vertex takes a token"),
        pytest.param("azure-openai", "openai-chat", "api-key", id="Azure"),
    ],
)
def test_the_header_depends_on_provider_and_format(name: str, api: Api, header: str) -> None:
    assert list(auth_headers(load_catalog()[name], api, Secret("k-1"))) == [header]
