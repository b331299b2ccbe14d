from __future__ import annotations

from decimal import Decimal

import pytest

from router.routing.labels import header_form, meaning_hash, number_equal, with_provider


@pytest.mark.parametrize(
    ("labels", "unique"),
    [
        pytest.param(["a", "b"], ["a", "b"], id="different labels stay"),
        pytest.param(["a", "a", "b", "a"], ["a", "a #2", "b", "a #3"], id="equal labels are numbered in order"),
        pytest.param(["a #2", "a", "a"], ["a #2", "a", "a #3"], id="a rule named like a numbered one"),
        pytest.param(["a", "a", "a #2"], ["a", "a #2", "a #2 #2"], id="or behind it"),
    ],
)
def test_labels_are_made_unique(labels: list[str], unique: list[str]) -> None:
    assert number_equal(labels) == unique


def test_a_label_names_the_provider_where_there_is_one() -> None:
    assert with_provider("tool-use", "anthropic") == "tool-use → anthropic"
    assert with_provider("tool-use", None) == "tool-use"


@pytest.mark.parametrize(
    ("label", "header"),
    [
        pytest.param("tool-use → anthropic", "tool-use -> anthropic", id="the arrow"),
        pytest.param("concept:größe → groq #2", "concept:gr%C3%B6%C3%9Fe -> groq #2", id="letters outside ASCII"),
        pytest.param("a\r\nx-evil: 1", "a%0D%0Ax-evil: 1", id="no line breaks"),
        pytest.param("100% & more?", "100% & more?", id="printable ASCII stays"),
    ],
)
def test_a_label_fits_a_header(label: str, header: str) -> None:
    assert header_form(label) == header


def test_a_hash_is_of_the_meaning() -> None:
    assert len(meaning_hash({})) == 12
    assert meaning_hash({"a": 1, "b": [1, 2]}) == meaning_hash({"b": (1, 2), "a": 1.0})
    assert meaning_hash({"a": Decimal("0.5")}) == meaning_hash({"a": 0.5})
    assert meaning_hash({"a": True}) != meaning_hash({"a": 1})
    assert meaning_hash([1, 2]) != meaning_hash([2, 1])
    assert meaning_hash(float("inf")) == meaning_hash(Decimal("inf"))
