"""Estimates for families of models, against recorded usage."""

from __future__ import annotations

import statistics
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from router.routing.families import FAMILIES, PLAIN, Makeup, family_estimate, family_of

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "token-error"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_loader("token_error", SourceFileLoader("token_error", str(SCRIPT)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["token_error"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    del sys.modules["token_error"]
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "cases"),
    [
        pytest.param("anthropic", 19, id="Anthropic"),
        pytest.param("openai", 14, id="OpenAI"),
        pytest.param("google", 5, id="Google"),
        pytest.param("gpt-oss", 3, id="open-weight GPT"),
    ],
)
def test_the_median_estimate_is_within_a_twentieth_of_what_was_recorded(
    script: ModuleType, family: str, cases: int
) -> None:
    errors = [case.error for case in script.read_cases() if case.family == family and case.hidden is None]
    assert len(errors) >= cases
    assert statistics.median(errors) <= 0.05


def test_a_case_is_left_out_only_for_a_known_reason(script: ModuleType) -> None:
    cases = list(script.read_cases())
    assert sum(case.hidden is None for case in cases) > len(cases) / 2


@pytest.mark.parametrize(
    ("family", "model", "expected"),
    [
        pytest.param("anthropic", "", "anthropic", id="a provider of one family"),
        pytest.param("", "anthropic/claude-sonnet-5", "anthropic", id="a router's model name"),
        pytest.param("", "gemini-3-pro", "google", id="Gemini by name"),
        pytest.param("openai", "gpt-5", "openai", id="OpenAI"),
        pytest.param("", "openai/gpt-oss-120b", "gpt-oss", id="an open-weight GPT isn't OpenAI's service"),
    ],
)
def test_families_are_found_by_word_or_by_model_name(family: str, model: str, expected: str) -> None:
    assert family_of(family, model) is FAMILIES[expected]


@pytest.mark.parametrize(("family", "model"), [("", "qwen3-coder-plus"), ("zai", "glm-4.7"), ("", "")])
def test_unmeasured_families_count_plainly(family: str, model: str) -> None:
    assert family_of(family, model) is PLAIN


def test_an_estimate_is_text_by_the_factor_and_what_the_provider_adds() -> None:
    makeup = Makeup(text=1_000, media=500, messages=3, tools=2, budgeted_thinking=True)
    assert family_estimate(makeup, FAMILIES["anthropic"]) == 1_120 + 500 + 3 + 12 + 450 + 120 + 29
    assert family_estimate(makeup, FAMILIES["google"]) == 1_000 + 500 + 20


def test_claude_takes_a_fifth_more_of_a_window_at_first() -> None:
    assert FAMILIES["anthropic"].window_factor == 1.2
    assert all(family.window_factor >= 1 for family in FAMILIES.values())
