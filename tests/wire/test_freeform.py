"""Freeform tools as functions, and their input read out of JSON piece by piece."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import Cache, Tool
from router.wire.freeform import SCHEMA, InputReader, as_function, unwrapped, wrapped
from tests.support.slow import within


def read(pieces: list[str]) -> str:
    reader = InputReader()
    return "".join(reader.feed(piece) for piece in pieces) + reader.finish()


def cut(text: str, edges: list[int]) -> list[str]:
    places = sorted({0, len(text), *(edge % (len(text) + 1) for edge in edges)})
    return [text[start:stop] for start, stop in pairwise(places)]


class TestInputReader:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            pytest.param('{"input":"a b"}', "a b", id="plain"),
            pytest.param(' {\n "input" :\t"a" , "other": 1}', "a", id="spaced, with another field"),
            pytest.param(r'{"input":"\"\\\/\b\f\n\r\t"}', '"\\/\b\f\n\r\t', id="short escapes"),
            pytest.param(r'{"input":"\u00e9\u4f60"}', "é你", id="long escapes"),
            pytest.param(r'{"input":"\ud83d\ude00"}', "😀", id="a pair of escapes for one character"),
            pytest.param(r'{"input":"\ud83dx\ude00\ud83d"}', "\ufffdx\ufffd\ufffd", id="halves of pairs"),
            pytest.param(r'{"input":"\ud83d\ud83d\ude00"}', "\ufffd😀", id="a half before a pair"),
            pytest.param(r'{"input":"\ud83d\n"}', "\ufffd\n", id="a half before a short escape"),
            pytest.param(r'{"input":"\q\u12x4\u1_23\u +12"}', r"\q\u12x4\u1_23\u +12", id="what is no escape stays"),
            pytest.param('{"input":""}', "", id="empty"),
            pytest.param("", "", id="no arguments"),
            pytest.param(" {} ", "", id="an empty object"),
            pytest.param('{"input":"cut sho', "cut sho", id="cut in the text"),
            pytest.param('{"input":"cut \\', "cut ", id="cut in an escape"),
            pytest.param('{"input":"cut \\ud83d', "cut \ufffd", id="cut between the halves of a pair"),
            pytest.param('{"inp', '{"inp', id="cut before the text"),
            pytest.param('{"patch":"x"}', '{"patch":"x"}', id="another field"),
            pytest.param('{"input":5}', '{"input":5}', id="no string"),
            pytest.param('"*** Begin Patch"', '"*** Begin Patch"', id="no object"),
            pytest.param("*** Begin Patch", "*** Begin Patch", id="no JSON"),
            pytest.param(" " * 200 + '{"input":"x"}', " " * 200 + '{"input":"x"}', id="endless space is no opening"),
        ],
    )
    def test_the_input_is_what_the_string_says(self, arguments: str, text: str) -> None:
        assert unwrapped(arguments) == text
        for size in (1, 2, 3, 7):
            assert read([arguments[start : start + size] for start in range(0, len(arguments), size)]) == text

    @given(text=st.text(), edges=st.lists(st.integers(0, 10_000)), escaped=st.booleans(), indent=st.none() | st.just(1))
    def test_any_cut_of_any_text(self, text: str, edges: list[int], escaped: bool, indent: int | None) -> None:
        arguments = json.dumps({"input": text}, ensure_ascii=escaped, indent=indent)
        assert read(cut(arguments, edges)) == text

    @given(
        arguments=st.text('{}"\\inputud8 :,3dce0x\n', max_size=40).map(lambda tail: '{"input":"' + tail) | st.text(),
        edges=st.lists(st.integers(0, 10_000)),
    )
    def test_cutting_never_changes_what_is_read(self, arguments: str, edges: list[int]) -> None:
        text = read(cut(arguments, edges))
        assert text == read([arguments])
        text.encode()  # no halves of surrogate pairs

    def test_text_is_given_out_at_once(self) -> None:
        reader = InputReader()
        assert [reader.feed(piece) for piece in ('{"inp', 'ut": "', "ab", "c\\", 'n"', "}")] == [
            "",
            "",
            "ab",
            "c",
            "\n",
            "",
        ]

    @pytest.mark.parametrize("opening", ['{"input":"', "no JSON ", '{"other":"', " "])
    def test_a_megabyte_in_small_pieces_takes_no_time(self, opening: str) -> None:
        reader = InputReader()
        with within(5, clock=time.process_time):
            reader.feed(opening)
            for _ in range(200_000):
                reader.feed("     ")
            reader.finish()


class TestFunctions:
    def test_a_freeform_tool_is_a_function_with_one_string(self) -> None:
        tool = as_function(
            Tool(
                "apply_patch",
                "Edits files.",
                custom=True,
                grammar={"type": "grammar", "syntax": "lark", "definition": "start: line"},
                namespace="fs",
                cache=Cache(),
            )
        )
        assert (tool.name, tool.namespace, tool.schema, tool.custom, tool.cache) == (
            "apply_patch",
            "fs",
            SCHEMA,
            False,
            Cache(),
        )
        assert tool.description == "Edits files.\n\nThe input must follow this lark:\nstart: line"

    @pytest.mark.parametrize("grammar", [None, {"type": "text"}, {"definition": 5}])
    def test_without_a_grammar_the_description_stays(self, grammar: dict[str, object] | None) -> None:
        assert as_function(Tool("x", None, custom=True, grammar=grammar)).description is None
        assert as_function(Tool("x", "d", custom=True, grammar=grammar)).description == "d"

    @given(text=st.text())
    def test_wrapping_is_undone(self, text: str) -> None:
        assert json.loads(wrapped(text)) == {"input": text}
        assert unwrapped(wrapped(text)) == text
