from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.concepts import Concept, PhraseRegistry, fold, parse_concept
from router.routing.rules import Target


def occurs(words: str | list[str], text: str) -> bool:
    registry = PhraseRegistry()
    phrase_id = registry.add_keywords([words] if isinstance(words, str) else words)
    return phrase_id in registry.build().find(text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param("cheap", "cheap", id="the whole text"),
        pytest.param("cheap", "Is this CHEAP?", id="upper case"),
        pytest.param("low cost", "a low\n\tcost way", id="any white space"),
        pytest.param("low cost", "a low\u00a0cost way", id="a space that doesn't break"),
        pytest.param("cost", "low-cost", id="a hyphen ends a word"),
        pytest.param("c++", "in c++17", id="a sign needs no boundary"),
        pytest.param(".env", "read .env!", id="a sign in front"),
        pytest.param("straße", "STRASSE", id="case folding that changes the length"),
        pytest.param("İstanbul", "i\u0307stanbul", id="a dotted capital"),
        pytest.param("café", "CAFE\u0301", id="composed and decomposed letters"),
        pytest.param("ﬁx", "fix it", id="ligatures"),
        pytest.param("预算", "请注意预算限制", id="scripts without spaces have no boundaries"),
        pytest.param("gpt", "用gpt写", id="such a script ends a word of another"),
        pytest.param(["dear", "cheap"], "cheap", id="any of several"),
        pytest.param(["a b", "b c"], "x b c", id="phrases that share a beginning"),
        pytest.param(["a b c d", "b c"], "a b c e", id="a phrase inside one that broke off"),
        pytest.param("ма́ма", "МА́МА мыла", id="letters with accents"),
    ],
)
def test_a_phrase_occurs(words: str | list[str], text: str) -> None:
    assert occurs(words, text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param("cheap", "cheapest", id="a longer word"),
        pytest.param("cheap", "dirtcheap", id="the end of a longer word"),
        pytest.param("cost", "low_cost", id="an underscore joins"),
        pytest.param("cost", "cost1", id="a digit joins"),
        pytest.param("low cost", "low, cost", id="a comma between"),
        pytest.param("cafe", "café", id="another letter"),
        pytest.param("i", "i\u0307", id="a mark belongs to its letter"),
        pytest.param("cheap", "", id="no text"),
        pytest.param("c++", "acc++", id="only the outside of a word counts"),
    ],
)
def test_a_phrase_does_not_occur(words: str | list[str], text: str) -> None:
    assert not occurs(words, text)


def test_a_phrase_inside_another_lists_phrase_is_found_too() -> None:
    registry = PhraseRegistry()
    outer, inner = registry.add_keywords(["very low cost plan"]), registry.add_keywords(["low cost"])
    assert registry.build().find("a very low cost plan") == {outer, inner}


def test_one_phrase_of_two_lists_is_found_for_both() -> None:
    registry = PhraseRegistry()
    ids = {registry.add_keywords(["cheap", "a"]), registry.add_keywords(["Cheap", "b"])}
    assert registry.build().find("cheap") == ids


def test_equal_lists_have_one_id_and_others_another() -> None:
    registry = PhraseRegistry()
    assert registry.add_keywords(["b", "A"]) == registry.add_keywords(["a", "B", "b"])
    assert registry.add_keywords(["a"]) != registry.add_keywords(["a", "b"])
    assert registry.add_keywords(["a, b"]) != registry.add_keywords(["a", "b"])


def test_a_concepts_id_changes_with_its_synonyms_only() -> None:
    def phrase_id(**changes: object) -> str:
        return PhraseRegistry().add_concept(
            Concept(**{"name": "n", "title": "N", "synonyms": ("a",), **changes})  # type: ignore[arg-type]
        )

    assert phrase_id() == phrase_id(title="Other", priority=7)
    assert phrase_id() != phrase_id(synonyms=("a", "b"))
    assert phrase_id() != phrase_id(name="m")


def test_a_profile_without_words_finds_nothing() -> None:
    assert PhraseRegistry().build().find("anything") == frozenset()


@pytest.mark.parametrize(
    ("concepts", "text", "order"),
    [
        pytest.param({"a": ("red", 90), "b": ("red car", 0)}, "a red car", ["b", "a"], id="the longest match first"),
        pytest.param({"a": ("red", 1), "b": ("car", 2)}, "a red car", ["b", "a"], id="then priority"),
        pytest.param({"b": ("red", 1), "a": ("car", 1)}, "a red car", ["b", "a"], id="then position"),
        pytest.param({"a": ("red", 1), "b": ("car", 1)}, "red, car, red", ["a", "b"], id="the first occurrence counts"),
        pytest.param({"a": ("red", 1), "b": ("car", 1)}, "car", ["b"], id="only what occurs"),
    ],
)
def test_concepts_are_ranked(concepts: dict[str, tuple[str, int]], text: str, order: list[str]) -> None:
    registry = PhraseRegistry()
    ids = {
        registry.add_concept(Concept(name, name, (word,), priority=priority)): name
        for name, (word, priority) in concepts.items()
    }
    assert [ids[phrase_id] for phrase_id in registry.build().search(text).concepts] == order


@given(st.text(max_size=30))
def test_a_text_is_found_in_itself(text: str) -> None:
    assert not fold(text) or occurs(text, text)


@given(st.text(max_size=30))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_a_concepts_file_is_read() -> None:
    problems: list[tuple[int, str]] = []
    concept = parse_concept(
        "budget",
        "\ufeff# Budget talk #\n\nWhen money matters.\n\n"
        "synonyms:: low cost, cheap,\n- synonyms:: budget mode, cheap\npriority:: 40\n"
        "route:: groq, llama-3.3-70b-versatile\nroute:: anthropic, claude-haiku-4-5\nroute:: openai\n",
        lambda line, message: problems.append((line, message)),
    )
    assert problems == []
    assert concept == Concept(
        "budget",
        "Budget talk",
        ("low cost", "cheap", "budget mode"),
        40,
        (Target("groq", "llama-3.3-70b-versatile"), Target("anthropic", "claude-haiku-4-5"), Target("openai")),
        (8, 9, 10),
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("# X\n", 1, "no synonyms:: line", id="no synonyms"),
        pytest.param("synonyms:: a\npriority:: high", 2, "a whole number from 0 to 100", id="a priority in words"),
        pytest.param("synonyms:: a\npriority:: 101", 2, "from 0 to 100", id="a priority too high"),
        pytest.param("synonyms:: a\npriority:: 1\npriority:: 2", 3, "given twice", id="two priorities"),
        pytest.param("synonyms:: a\nroute:: , x", 2, "expected provider, model", id="no provider"),
        pytest.param("synonyms:: a\nroute:: x, y, z", 2, "expected provider, model", id="three parts"),
        pytest.param("synonyms:: a\n\nsynonym:: b", 3, "did you mean synonyms::?", id="a slip"),
        pytest.param("synonyms:: b\nsynonyms::", 2, "expected words", id="an empty list"),
    ],
)
def test_a_wrong_line_of_a_concept_is_reported(text: str, line: int, words: str) -> None:
    problems: list[tuple[int, str]] = []
    parse_concept("x", text, lambda at, message: problems.append((at, message)))
    [(found_line, message)] = problems
    assert found_line == line
    assert words in message


def test_prose_and_other_properties_are_left_alone() -> None:
    problems: list[tuple[int, str]] = []
    text = "synonyms:: a\ntags:: x\nC++ uses std::vector\nroute: not a property\n```\nfoo::bar\n```\n"
    assert parse_concept("x", text, lambda at, message: problems.append((at, message))).synonyms == ("a",)
    assert problems == []
