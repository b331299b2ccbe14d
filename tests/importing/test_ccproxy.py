"""ccproxy's configuration: its rules take what they took, and lead to the model of their name."""

from __future__ import annotations

from typing import Any

import pytest

from router.errors import ConfigError
from router.importing.ccproxy import read
from router.importing.draft import Draft
from tests.importing.conftest import CATALOG, IMPORTS, Made, goes_to, run_tests, why

FOLDER = IMPORTS / "ccproxy"
RULES = (FOLDER / "ccproxy.yaml").read_text("utf-8")
MODELS = (FOLDER / "config.yaml").read_text("utf-8")
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"


def config(rules: str = RULES, models: str | None = MODELS) -> Draft:
    return read(rules, models, CATALOG)


@pytest.mark.parametrize(
    ("given", "target"),
    [
        pytest.param({"tokens": 60_001, "thinking": True}, "gemini/gemini-2.5-pro", id="tokens before thinking"),
        pytest.param({"tokens": 60_000}, f"anthropic/{SONNET}", id="just the threshold"),
        pytest.param({"model": HAIKU, "thinking": True}, f"anthropic/{HAIKU}", id="a part of the model's name"),
        pytest.param({"thinking": True}, "anthropic/claude-opus-4-5-20251101", id="thinking"),
        pytest.param({"tools": ["Read", "WebSearch"]}, f"anthropic/{SONNET}", id="a tool, with default's model"),
        pytest.param({"model": "claude-opus-4-5-20251101"}, f"anthropic/{SONNET}", id="default, whatever is asked for"),
    ],
)
def test_a_request_goes_where_it_went(made: Made, given: dict[str, Any], target: str) -> None:
    assert goes_to(made(config()), **({"model": SONNET} | given)) == target


def test_without_rules_the_requested_model_is_kept(made: Made) -> None:
    draft = config(RULES.replace("passthrough: false", "passthrough: true"))
    profile = made(draft)
    assert goes_to(profile, model="claude-opus-4-5-20251101") == "anthropic/claude-opus-4-5-20251101"
    assert dict(profile.routes.aliases) == {}
    run_tests(profile)


def test_the_tests_and_the_login_come_along(made: Made) -> None:
    draft = config()
    profile = made(draft)
    run_tests(profile)
    assert [str(spec) for spec in profile.providers["anthropic"].credentials] == ["passthrough"]


def test_what_differs_or_has_no_place_is_told() -> None:
    draft = config()
    assert "system prompt and tools" in why(draft, "changed", "rules[0] token_count")
    assert "disabled" in why(draft, "changed", "rules[2] think")
    assert [note.why for note in draft.notes if note.what == "rules[3] web_search"] == [
        "no model in config.yaml is called web_search: it goes where default goes",
        "a rule for has-tool = ['*WebSearch*', '*websearch*', '*Websearch*']: upper and lower case differ here",
    ]
    assert "program of its own" in why(draft, "left out", "rules[4] custom")
    assert "aren't run" in why(draft, "left out", "hooks: house.hooks.rewrite")
    assert "command:" in why(draft, "left out", "credentials")
    assert "doesn't know" in why(draft, "left out", "litellm")


def test_a_test_says_which_rule_was_first_there(made: Made) -> None:
    rules = """ccproxy:
  default_model_passthrough: false
  rules:
    - {name: default, rule: ccproxy.rules.MatchModelRule, params: [claude]}
    - {name: background, rule: ccproxy.rules.MatchModelRule, params: [claude-haiku]}
    - {name: think, rule: ccproxy.rules.TokenCountRule, params: [many]}
"""
    draft = config(rules)
    run_tests(made(draft))
    assert [test["expect-rule"] for test in draft.tests[:2]] == ["default", "default"]
    assert "these params" in why(draft, "left out", "rules[2] think")


def test_without_the_models_nothing_says_where_rules_lead(made: Made) -> None:
    draft = config(models=None)
    assert "none beside the file" in why(draft, "left out", "config.yaml")
    assert made(draft).routes.rules == ()


@pytest.mark.parametrize(
    ("rules", "models", "said"),
    [
        ("model_list: []", MODELS, "it has no ccproxy"),
        (RULES, "a: 1", "has no model_list"),
        ("ccproxy: 1", None, "no ccproxy"),
    ],
)
def test_other_files_are_refused(rules: str, models: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(rules, models)
