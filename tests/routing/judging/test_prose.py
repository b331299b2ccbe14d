"""A text taken apart: blocks, what is said around them, sentences, words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.judging.prose import Block, Prose, word_count


@pytest.mark.parametrize(
    ("text", "blocks", "said"),
    [
        pytest.param("Hello", [], "Hello", id="no block"),
        pytest.param("A\n```py\nx\ny\n```\nB", [Block("py", "x\ny", True)], "A\n\nB", id="a block"),
        pytest.param("```\nx\n```", [Block("", "x", True)], "\n", id="a block without a language"),
        pytest.param("```py", [Block("py", "", False)], "", id="an open one without anything in it"),
        pytest.param("A\n```py\nx", [Block("py", "x", False)], "A\n", id="an open one"),
        pytest.param("~~~js\n```\n~~~", [Block("js", "```", True)], "\n", id="another sign for fences"),
        pytest.param("````py\n```\n````", [Block("py", "```", True)], "\n", id="a longer fence"),
        pytest.param("1. a\n   ```sh\n   ls\n   ```", [Block("sh", "   ls", True)], "1. a\n\n", id="an indented one"),
        pytest.param('```{.Python title="a"}\nx\n```', [Block("python", "x", True)], "\n", id="words behind the fence"),
        pytest.param(
            "```md\nA\n```sh\nls\n```\nB\n```",
            [Block("md", "A\n```sh\nls\n```\nB", True)],
            "\n",
            id="Markdown in Markdown",
        ),
        pytest.param("```a``` is inline", [], "```a``` is inline", id="three signs within a line"),
    ],
)
def test_blocks_of_a_text(text: str, blocks: list[Block], said: str) -> None:
    prose = Prose(text)
    assert list(prose.blocks) == blocks
    assert prose.said == said


def test_own_words_are_neither_code_nor_quotations() -> None:
    text = "I’d say `I cannot`:\n> I won't\nThe log has „ich kann nicht“ and \"no\".\n```\nI can't\n```"
    assert Prose(text).own_words == "i'd say  … :\n\nthe log has  …  and  … .\n\n"


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        pytest.param("One. Two! Three", ["one.", "two!", "three"], id="signs end sentences"),
        pytest.param("See a.py and 3.5.", ["see a.py and 3.5."], id="dots within words don't"),
        pytest.param("- one\n- two\n\nthree\n4. four", ["- one", "- two", "three", "four"], id="points of a list do"),
        pytest.param("你好。再见！", ["你好。", "再见！"], id="Chinese signs"),
        pytest.param("... — ...", [], id="signs without words are none"),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert list(Prose(text).sentences) == sentences


@pytest.mark.parametrize("text", ["Canberra", "42", ">=", "🙌", "```\nx\n```", "你"])
def test_something(text: str) -> None:
    assert Prose(text).holds_something


@pytest.mark.parametrize("text", ["", " \n ", "...", "…", "---", "```bash\n```", "**", "\ufffd"])
def test_nothing(text: str) -> None:
    assert not Prose(text).holds_something


def test_words_are_counted() -> None:
    assert word_count("three short words") == 3
    assert word_count("什么是死锁？") == 3
    assert Prose("two words\n```\nand three more\n```").words == 5


def test_words_of_a_long_text_are_reckoned() -> None:
    assert word_count("four " * 25_000) == pytest.approx(25_000, rel=0.01)


def test_of_a_long_text_the_beginning_and_the_end_are_read() -> None:
    prose = Prose("First. " + "middle " * 100_000 + "Last.")
    assert prose.sentences[0] == "first."
    assert prose.sentences[-1].endswith("last.")
    assert len(prose.own_words) < 10_000


@given(st.text(alphabet="`~\na 1.>\t你", max_size=60))
def test_any_text_can_be_taken_apart(text: str) -> None:
    prose = Prose(text)
    kept = prose.said + "".join(block.code for block in prose.blocks)
    assert kept.count("a") <= text.count("a")
    assert len(prose.sentences) <= len(text)
