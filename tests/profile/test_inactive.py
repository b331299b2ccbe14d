# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.profile.inactive import INACTIVE
from router.profile.load import Loaded

Load = Callable[..., Loaded]

RULE = '[[rule]]\nmatch = {}\nto = "groq"\n'


def inactive(loaded: Loaded) -> list[tuple[int | None, str]]:
    assert loaded.errors == ()
    return [(problem.line, problem.path) for problem in loaded.warnings if "isn't active yet" in problem.message]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('[retry]\nattempts = 1\ntotal = 1\n', [(1, "retry")], id="a table is told once"),
        pytest.param('[routing]\nstrategy = "adaptive"\n', [(2, "routing.strategy")], id="a value that asks for more"),
        pytest.param('[routing]\nstrategy = "first-match"\nsticky = "off"\n', [], id="values that ask for nothing"),
        pytest.param('[routing]\non-disconnect = "drain"\n', [(2, "routing.on-disconnect")], id="drain"),
        pytest.param('[routing]\non-disconnect = "cancel"\n', [], id="cancel"),
        pytest.param(RULE + 'fallback = "openai/x"\n', [(4, "rule[0].fallback")], id="a rule's key"),
        pytest.param('[[rule]]\nmatch = {}\ntargets = ["groq/a", "groq/b"]\n', [(3, "rule[0].targets")], id="two targets"),
        pytest.param('[[rule]]\nmatch = {}\ntargets = ["groq/a"]\n', [], id="one target"),
        pytest.param('[aliases]\na = { target = "groq/x", sticky = "cache" }\n', [(2, "aliases.a.sticky")], id="an alias'"),
        pytest.param('[default]\nto = "groq"\nbudget = { daily-usd = 1 }\n', [(3, "default.budget")], id="the default's"),
        pytest.param("[ledger]\ntoken-facts = false\n[timeouts]\nidle = '5s'\n", [], id="active tables"),
        pytest.param('[timeouts]\nfirst-event = "5s"\n', [(2, "timeouts.first-event")], id="a second target's wait"),
        pytest.param('[models."groq/x"]\ncontext = 5\n', [(1, "models.\"groq/x\"")], id="abilities"),
        pytest.param('[providers.groq]\napi-keys = ["env:A", "env:B"]\n', [(2, "providers.groq.api-keys")], id="more keys"),
        pytest.param('[providers.groq]\napi-keys = ["env:A"]\n', [], id="one key"),
        pytest.param('[log]\nbodies = "all"\n', [(2, "log.bodies")], id="bodies in the log"),
    ],
)  # fmt: skip
def test_a_key_without_effect_is_told(text: str, expected: list[tuple[int, str]], load: Load) -> None:
    assert inactive(load(text)) == expected


def test_each_row_names_a_key_of_its_own() -> None:
    keys = [row.key for row in INACTIVE]
    assert len(set(keys)) == len(keys)
    assert all(row.message.startswith("isn't active yet") for row in INACTIVE)


def test_it_is_only_a_warning(load: Load) -> None:
    assert load("[limits]\nqueue = 1\n").profile is not None
