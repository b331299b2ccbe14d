from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from router.errors import FormatUnsupported
from router.routing.candidates import check_format, first_candidate
from router.routing.rules import decide


@dataclass(frozen=True)
class Speaker:
    formats: tuple[str, ...]


PROVIDERS = {"groq": Speaker(("openai-chat", "openai-responses")), "anthropic": Speaker(("anthropic-messages",))}
TOML = '[[rule]]\nname = "cheap one"\nmatch = {}\ntarget = "groq/llama"\nfallback = ["anthropic/claude"]'


def test_the_first_candidate_is_called_where_it_speaks_the_clients_format(bench: Any) -> None:
    decision = decide(bench.routes(TOML), bench.facts())
    target, provider = first_candidate(decision, "openai-chat", PROVIDERS)
    assert str(target) == "groq/llama"
    assert provider is PROVIDERS["groq"]


def test_a_refusal_names_rule_target_and_formats(bench: Any) -> None:
    decision = decide(bench.routes(TOML), bench.facts())
    with pytest.raises(FormatUnsupported) as caught:
        check_format(decision, "anthropic-messages", PROVIDERS)
    assert caught.value.code == "format_unsupported"
    for word in ("cheap one → groq", "groq/llama", "openai-chat, openai-responses", "anthropic-messages"):
        assert word in str(caught.value)
