"""A rule's bound is changed where it is written, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.advising.matches import with_bound
from router.routing.conditions.kinds import Number
from tests.advising.world import load


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("{ input-tokens-lt = 2_000 } # short", "{ input-tokens-lt = 77 } # short"),
        ("{ tool-use = false, input-tokens-gt = 5 }", "{ tool-use = false, input-tokens-gt = 77 }"),
        ("{ all = [{ thinking = true }, { turns-gte = 3 }] }", "{ all = [{ thinking = true }, { turns-gte = 77 }] }"),
        ('"tokens > 100000 and not thinking"', '"tokens > 77 and not thinking"'),
        ('"tools >= 3 and tokens <= 3"', '"tools >= 77 and tokens <= 3"'),
        ('"messages-gt 40"', '"messages-gt 77"'),
        ("\"model-equals = 'gpt-5' and max-tokens < 5\"", "\"model-equals = 'gpt-5' and max-tokens < 77\""),
        ('"turns > 1_0"', '"turns > 77"'),
    ],
)
def test_a_bound_as_it_is_written(tmp_path: Path, match: str, expected: str) -> None:
    text = f'[[rule]]\nmatch = {match}\nto = "groq"\n\n[default]\nto = "anthropic"\n'
    (rule,) = load(tmp_path / "work", text).routes.rules
    assert rule.match is not None
    part = next(part for part in rule.match.parts if isinstance(part, Number))
    changed = with_bound(text, rule, part, 77)
    if '"' in expected:
        assert changed.split("match = ")[1].split("\nto")[0].strip("'\"").replace('\\"', '"') == expected.strip('"')
    else:
        assert changed == text.replace(match, expected)
    (after,) = load(tmp_path / "work", changed).routes.rules
    assert after.match is not None
    assert {each.text() for each in after.match.parts} == {
        f"{each.first_key()} 77" if each is part else each.text() for each in rule.match.parts
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            'rule = [{ match = { input-tokens-lt = 5 }, to = "groq" }]\n',
            'rule = [{ match = { input-tokens-lt = 7 }, to = "groq" }]\n',
            id="a list",
        ),
        pytest.param(
            '[[rule]]\nto = "groq"\n[rule.match]\ninput-tokens-lt = 5\n',
            '[[rule]]\nto = "groq"\n[rule.match]\ninput-tokens-lt = 7\n',
            id="a table of its own",
        ),
        pytest.param(
            '[[rule]]\nto = "groq"\nmatch.input-tokens-lt = 5\n',
            '[[rule]]\nto = "groq"\nmatch.input-tokens-lt = 7\n',
            id="a dotted key",
        ),
    ],
)
def test_other_ways_to_write_a_rule(tmp_path: Path, text: str, expected: str) -> None:
    (rule,) = load(tmp_path / "work", text).routes.rules
    assert isinstance(rule.match, Number)
    assert with_bound(text, rule, rule.match, 7) == expected
