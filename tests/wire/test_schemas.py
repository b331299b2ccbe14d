from __future__ import annotations

from typing import Any

import pytest

from router.wire.conversation import OutputFormat
from router.wire.schemas import is_closed, named, parameters

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        pytest.param({"type": "string"}, True, id="no object at all"),
        pytest.param(CLOSED, True, id="all needed and no others"),
        pytest.param(OPEN, False, id="one that may be left out"),
        pytest.param({**CLOSED, "additionalProperties": True}, False, id="others allowed"),
        pytest.param({"properties": {}}, False, id="an object that doesn't say it is one"),
        pytest.param({**CLOSED, "required": ["a", "b"]}, False, id="one needed that isn't there"),
        pytest.param({**CLOSED, "required": "a"}, False, id="no list of those needed"),
        pytest.param({"anyOf": [CLOSED, {"type": "array", "items": OPEN}]}, False, id="open somewhere inside"),
        pytest.param({"type": "string", "default": OPEN, "enum": [OPEN]}, True, id="values aren't schemas"),
    ],
)
def test_a_schema_is_closed_if_all_its_objects_are(schema: dict[str, Any], closed: bool) -> None:
    assert is_closed(schema) is closed


def test_a_schema_may_be_nested_as_deeply_as_it_likes() -> None:
    closed: dict[str, Any] = CLOSED
    opened: dict[str, Any] = OPEN
    for _ in range(5000):
        closed = {**CLOSED, "properties": {"a": closed}}
        opened = {**CLOSED, "properties": {"a": opened}}
    assert is_closed(closed)
    assert not is_closed(opened)


def test_arguments_are_an_objects_whatever_their_schema_says() -> None:
    assert (
        parameters(None) == parameters({"type": "string", "properties": None}) == {"type": "object", "properties": {}}
    )
    assert parameters({"$schema": "x", "$id": "y", **OPEN}) == OPEN


def test_the_schema_of_an_answer_has_a_legal_name() -> None:
    assert named(OutputFormat({"$schema": "x", **OPEN})) == {"name": "output", "schema": OPEN}
    shown = named(OutputFormat(OPEN, "my answer", "D."))
    assert shown["name"].startswith("my_answer_")
    assert (shown["description"], shown["schema"]) == ("D.", OPEN)
