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
        pytest.param('[limits]\nqueue = 1\nrequests-per-minute = 5\n', [(1, "limits")], id="a table is told once"),
        pytest.param(RULE + "budget = { daily-usd = 1 }\n", [], id="a rule's key"),
        pytest.param(RULE + 'cascade = { draft = "groq/b" }\n', [], id="a cascade"),
        pytest.param('[routing]\non-disconnect = "drain"\n', [(2, "routing.on-disconnect")], id="drain"),
        pytest.param('[routing]\non-disconnect = "cancel"\n', [], id="cancel"),
        pytest.param("[ledger]\ntoken-facts = false\n[timeouts]\nidle = '5s'\n", [], id="active tables"),
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
