"""The URL table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.profile.names import RESERVED as NAMES_RESERVED
from router.server.endpoints import OTHER, RESERVED, Endpoint, resolve

pytestmark = pytest.mark.sampled(5)

ANTHROPIC, CHAT, RESPONSES, GEMINI = "anthropic-messages", "openai-chat", "openai-responses", "gemini"

# Path below a profile's base -> kind, format, model, stream, rest.
PATHS: list[tuple[str, str, str | None, str | None, bool, str]] = [
    ("", "root", None, None, False, ""),
    ("/", "root", None, None, False, ""),
    ("/v1", "root", None, None, False, ""),
    ("/v1beta/", "root", None, None, False, ""),
    ("/v1/messages", "generate", ANTHROPIC, None, False, ""),
    ("/messages", "generate", ANTHROPIC, None, False, ""),
    ("/v1/v1/messages", "generate", ANTHROPIC, None, False, ""),
    ("/v1/messages/", "generate", ANTHROPIC, None, False, ""),
    ("//v1//messages", "generate", ANTHROPIC, None, False, ""),
    ("/v1/messages/count_tokens", "count", ANTHROPIC, None, False, ""),
    ("/v1/chat/completions", "generate", CHAT, None, False, ""),
    ("/chat/completions", "generate", CHAT, None, False, ""),
    ("/v1/responses", "generate", RESPONSES, None, False, ""),
    ("/v1/responses/resp_1", "response", RESPONSES, None, False, "resp_1"),
    ("/v1/responses/input_tokens", "count", RESPONSES, None, False, ""),
    ("/v1beta/models/gemini-2.5-pro:generateContent", "generate", GEMINI, "gemini-2.5-pro", False, ""),
    ("/v1/models/gemini-2.5-pro:generateContent", "generate", GEMINI, "gemini-2.5-pro", False, ""),
    ("/v1beta/models/m:streamGenerateContent", "generate", GEMINI, "m", True, ""),
    ("/v1beta/models/m:countTokens", "count", GEMINI, "m", False, ""),
    ("/v1beta/models/a/b:generateContent", "generate", GEMINI, "a/b", False, ""),
    ("/v1beta/models/a%2Fb%3Ac:generateContent", "generate", GEMINI, "a/b:c", False, ""),
    ("/v1/models", "models", None, None, False, ""),
    ("/v1/models/gpt-5", "model", None, None, False, "gpt-5"),
    ("/v1/models/a/b", "model", None, None, False, "a/b"),
    ("/v1/models/m:embedContent", "model", None, None, False, "m:embedContent"),
    ("/v1/embeddings", "other", CHAT, None, False, "embeddings"),
    ("/v1/images/generations", "other", CHAT, None, False, "images/generations"),
    ("/v1/audio/transcriptions", "other", CHAT, None, False, "audio/transcriptions"),
    ("/v1/completions", "other", CHAT, None, False, "completions"),
    ("/rerank", "other", CHAT, None, False, "rerank"),
    ("/health", "health", None, None, False, ""),
    ("/stats", "stats", None, None, False, ""),
    ("/v1/files", "unknown", None, None, False, ""),
    ("/v1/v1/v1/messages", "unknown", None, None, False, ""),
    ("/v2/messages", "unknown", None, None, False, ""),
    ("/v1/messages/batches", "unknown", None, None, False, ""),
    ("/v1/chat", "unknown", None, None, False, ""),
    ("/v1/responses/a/b", "unknown", None, None, False, ""),
    ("/V1/Messages", "unknown", None, None, False, ""),
]


@pytest.mark.parametrize("base", ["", "/work", "/p/work", "//work", "/a-1", "/p/v1", "/p/health"])
@pytest.mark.parametrize(("path", "kind", "api", "model", "stream", "rest"), PATHS)
def test_every_path_below_every_base_means_the_same(
    path: str, kind: str, api: str | None, model: str | None, stream: bool, rest: str, base: str
) -> None:
    found = resolve(base + path, prefixed=True)
    if not base and kind == "unknown" and not path.startswith(("/v1", "/chat")):
        return  # the first segment is taken for a profile's name
    profile = base.rpartition("/")[2] or None
    assert (found.kind, found.api, found.profile) == (kind, api, profile)
    assert (found.model, found.stream, found.rest) == (model, stream, rest)


@pytest.mark.parametrize(("path", "kind", "api", "model", "stream", "rest"), PATHS)
def test_a_profiles_own_port_has_no_prefix(
    path: str, kind: str, api: str | None, model: str | None, stream: bool, rest: str
) -> None:
    found = resolve(path, prefixed=False)
    assert (found.kind, found.api, found.profile) == (kind, api, None)
    assert resolve(f"/work{path}", prefixed=False).kind == "unknown"


METHODS = {
    "generate": ("POST",), "count": ("POST",), "other": ("POST",), "unknown": ("POST",), "models": ("GET",),
    "model": ("GET",), "stats": ("GET",), "metrics": ("GET",), "health": ("GET", "HEAD"), "root": ("GET", "HEAD"),
    "response": ("GET", "DELETE"),
}  # fmt: skip


@pytest.mark.parametrize("path", [path for path, *_ in PATHS])
def test_every_kind_has_its_methods(path: str) -> None:
    found = resolve(path, prefixed=False)
    assert found.methods == METHODS[found.kind]


def test_metrics_are_the_servers_not_a_profiles() -> None:
    assert resolve("/metrics", prefixed=True).kind == "metrics"
    assert resolve("/work/metrics", prefixed=True).kind == "unknown"
    assert resolve("/metrics", prefixed=False).kind == "unknown"


def test_no_profile_can_have_a_name_that_means_something_else() -> None:
    assert RESERVED - OTHER <= NAMES_RESERVED
    for name in RESERVED - {"p"}:
        assert resolve(f"/{name}/v1/messages", prefixed=True).profile is None
        assert resolve(f"/p/{name}/v1/messages", prefixed=True) == Endpoint("generate", ANTHROPIC, name)


@given(st.text(alphabet="/vp1.%2eabm:\\?#é\x00 -_", max_size=60), st.booleans())
def test_no_path_is_a_fault(path: str, prefixed: bool) -> None:
    found = resolve(f"/{path}", prefixed=prefixed)
    assert found.kind in METHODS
    assert prefixed or found.profile is None
