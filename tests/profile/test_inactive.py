from __future__ import annotations

from collections.abc import Callable

import pytest

from router.profile.load import Loaded

Load = Callable[..., Loaded]

RULE = '[[rule]]\nmatch = {}\nto = "groq"\n'


def inactive(loaded: Loaded) -> list[tuple[int | None, str]]:
    assert loaded.errors == ()
    return [(problem.line, problem.path) for problem in loaded.warnings if "isn't active yet" in problem.message]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[limits]\nqueue = 1\n[limits.per-key]\nconcurrent-requests = 5\n", [], id="limits"),
        pytest.param(RULE + "budget = { daily-usd = 1 }\n", [], id="a rule's budget"),
        pytest.param(RULE + 'cascade = { draft = "groq/b" }\n', [], id="a cascade"),
        pytest.param('[routing]\non-disconnect = "drain"\n', [], id="drain"),
        pytest.param("[log]\nbodies = 'off'\nkeep = '3d'\n", [(3, "log.keep")], id="a value that asks for nothing"),
        pytest.param("[ledger]\ntoken-facts = false\n[timeouts]\nidle = '5s'\n", [], id="active tables"),
        pytest.param('[log]\nbodies = "all"\n', [(2, "log.bodies")], id="bodies in the log"),
    ],
)  # fmt: skip
def test_a_key_without_effect_is_told(text: str, expected: list[tuple[int, str]], load: Load) -> None:
    assert inactive(load(text)) == expected


def test_it_is_only_a_warning(load: Load) -> None:
    assert load("[log]\nkeep = '3d'\n").profile is not None
