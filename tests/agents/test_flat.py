"""Lines of NAME=value files and of a YAML file's top level."""

from __future__ import annotations

import pytest

from router.agents.flat import DOTENV, YAML, Flat
from router.agents.form_error import FormError


@pytest.mark.parametrize(
    ("form", "text", "name", "value", "changed"),
    [
        pytest.param(DOTENV, "", "A", "b", "A=b\n", id="an empty file"),
        pytest.param(DOTENV, "# x\nA=1\nB=2", "C", "3", "# x\nA=1\nB=2\nC=3", id="no newline at the end"),
        pytest.param(
            DOTENV, "A=1 # one\nB=2\n", "A", "x y", 'A="x y" # one\nB=2\n', id="in its place, with its comment"
        ),
        pytest.param(DOTENV, "export A='1'\r\n", "A", "2", "export A=2\r\n", id="export"),
        pytest.param(DOTENV, "A=1\nA=2\n", "A", "3", "A=1\nA=3\n", id="the last, which counts"),
        pytest.param(YAML, "# x\nmodel: y # z\n", "model", "o3", "# x\nmodel: o3 # z\n", id="a value"),
        pytest.param(
            YAML, "model:\nother: 1\n", "model", "http://x:1/v1", "model: http://x:1/v1\nother: 1\n", id="none"
        ),
        pytest.param(YAML, "a: 1\n", "b", "true", 'a: 1\nb: "true"\n', id="a text that YAML takes for something else"),
        pytest.param(YAML, "a:\n  model: 1\n", "model", "x", "a:\n  model: 1\nmodel: x\n", id="only the top level"),
    ],
)
def test_a_line_is_set(form: Flat, text: str, name: str, value: str, changed: str) -> None:
    assert form.set_value(text, (name,), value) == changed
    assert form.parse(changed)[name] == value
    if name not in form.parse(text):
        assert form.remove(changed, (name,)) == text


@pytest.mark.parametrize("text", ["a:\n  - x\n", "a:\n- x\n", "a: |\n  x\n", "a: &b c\n", "a: x\n  y\n"])
def test_a_value_of_several_lines_is_left_alone(text: str) -> None:
    with pytest.raises(FormError, match="change it by hand") as caught:
        YAML.set_value(f"z: 1\n{text}", ("a",), "b")
    assert caught.value.line == 2
    with pytest.raises(FormError, match="change it by hand"):
        YAML.remove(text, ("a",))


def test_lines_are_read() -> None:
    text = "# c\nA=1\n B = 'two words' \nC=\"x\\ty\"\nD=\nE=a#b # c\nnonsense\n"
    assert DOTENV.parse(text) == {"A": "1", "B": "two words", "C": "x\ty", "D": "", "E": "a#b"}
    assert YAML.parse("a: 'x'\nb:\n  c: 1 # y\n  d: 'z'\nd-e: 5 # x\ng:\n- f\n") == {
        "a": "x",
        "b": {"c": "1", "d": "z"},
        "d-e": "5",
        "g": "",
    }
