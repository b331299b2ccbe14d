"""What OpenRouter is told of other models and its own providers."""

from __future__ import annotations

from typing import Any

import pytest

from router.routing.openrouter import openrouter_fields
from router.routing.rules import Rule, Target

A, B, C, D = (Target("openrouter", name) for name in "abcd")
ELSEWHERE = Target("anthropic", "claude")
FALLBACK = {"fallback-models": True}


@pytest.mark.parametrize(
    ("settings", "raw", "following", "expected"),
    [
        pytest.param({}, {}, [B], {}, id="nothing is asked for"),
        pytest.param(FALLBACK, {}, [B, C], {"models": ["a", "b", "c"]}, id="the candidates that follow"),
        pytest.param(FALLBACK, {}, [B, C, D], {"models": ["a", "b", "c"]}, id="three at most"),
        pytest.param(FALLBACK, {}, [B, ELSEWHERE, C], {"models": ["a", "b"]}, id="up to one of another provider"),
        pytest.param(FALLBACK, {}, [ELSEWHERE, B], {}, id="nobody follows there"),
        pytest.param({"sort": "price"}, {}, [], {"provider": {"sort": "price"}}, id="how its providers are sorted"),
        pytest.param(
            FALLBACK, {"openrouter": {"models": ["x"]}}, [B], {"models": ["a", "x"]}, id="the rule's own list first"
        ),
        pytest.param(
            {"sort": "price"},
            {"openrouter": {"provider": {"only": ["z"]}}},
            [],
            {"provider": {"only": ["z"]}},
            id="the rule's own preferences, too",
        ),
        pytest.param(
            {},
            {"targets": [{"target": "openrouter/b", "openrouter": {"models": ["y"]}},
                         {"to": "openrouter", "model": "a", "openrouter": {"models": ["a", "x"]}}]},
            [],
            {"models": ["a", "x"]},
            id="a listed target's",
        ),
    ],
)  # fmt: skip
def test_fields(settings: dict[str, Any], raw: dict[str, Any], following: list[Target], expected: Any) -> None:
    rule = Rule("rule", "r", "h", (A,), raw=raw)

    def of_same(target: Target) -> bool:
        return target.provider == "openrouter"

    found = openrouter_fields(settings, rule, A, following, may_be_listed=of_same)
    assert found == expected
