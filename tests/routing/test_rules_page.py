"""docs/rules.md is complete, and its examples load and do what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from router.profile.load import load_profile
from router.profile.profile import Profile
from router.providers.catalog import load_catalog
from router.routing.concepts import parse_concept
from router.routing.conditions import CONDITIONS
from router.routing.facts import RECORDED
from router.routing.given import GIVEN
from router.routing.rules import decide

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def load(folder: Path, text: str) -> Profile:
    (folder / "routing.toml").write_text(text)
    loaded = load_profile(folder, name="work", catalog=load_catalog(), environ={}, known_model=lambda *_: None)
    assert loaded.errors == ()
    assert loaded.profile is not None
    return loaded.profile


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_loads(tmp_path: Path, number: int) -> None:
    assert load(tmp_path, EXAMPLES[number]).routes.rules


@pytest.mark.parametrize("key", CONDITIONS)
def test_a_condition_has_a_row(key: str) -> None:
    stem = re.sub(r"-(lt|lte|gt|gte|eq)$", "", key)
    row = rf"^\| `{stem}-(lt|lte|gt|gte|eq) = |^\| `{stem}-(lt|gte|gt) = " if stem != key else rf"^\| `{key} = "
    assert re.search(row, PAGE, re.MULTILINE)


def test_every_fact_a_script_or_a_test_may_use_is_named() -> None:
    missing = [name for name in (*RECORDED, *GIVEN) if f"`{name}`" not in PAGE]
    assert missing == []


def test_the_concepts_example_is_read_as_described() -> None:
    (text,) = re.findall(r"```markdown\n(.*?)```", PAGE, re.DOTALL)
    problems: list[str] = []
    concept = parse_concept("budget", text, lambda line, message: problems.append(message))
    assert problems == []
    assert (len(concept.synonyms), concept.priority, len(concept.routes)) == (4, 40, 2)


def test_the_scripts_example_answers() -> None:
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(text, scope)

    class Request:
        client, tool_count, tags, text = "codex", 21, [], ""

    assert scope["route"](Request, {}) == "openai/gpt-5"


def test_the_first_example_decides_as_described(tmp_path: Path, bench: Any) -> None:
    routes = load(tmp_path, EXAMPLES[0]).routes
    assert decide(routes, bench.facts(tools=1, tokens=9)).rule.label == "tool-use → anthropic"
    assert decide(routes, bench.facts(tokens=9)).rule.label == "input-tokens-lt → groq"
    assert decide(routes, bench.facts(tokens=9000)).rule.label == "default → anthropic"
