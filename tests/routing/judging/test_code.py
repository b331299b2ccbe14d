"""What is seen in code, and what is left alone because nobody can tell."""

from __future__ import annotations

import time
import warnings

import pytest

from router.routing.judging.code import LANGUAGES, code_check
from router.routing.judging.prose import Block
from tests.support.slow import within

NOTHING_SAID: str | None = None


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        pytest.param("python", "def f(x):\n    return x", "", id="Python that parses"),
        pytest.param("py", "    def f(self):\n        return 1", "", id="a method out of its class"),
        pytest.param("python", "def f(:\n    pass", "doesn't parse (line 1)", id="Python that doesn't"),
        pytest.param("python", "await main()\nreturn 1", "", id="a fragment that is no module"),
        pytest.param("python", "def f(): ...", "", id="an ellipsis"),
        pytest.param("python", ">>> 1 +\n2", NOTHING_SAID, id="a session at the prompt"),
        pytest.param("python", "%timeit f()", NOTHING_SAID, id="a notebook's command"),
        pytest.param("python", "def first[T](x: T = ]", NOTHING_SAID, id="syntax that this Python may not know"),
        pytest.param("python", "x = re.compile('\\d+\\s')", "", id="an escape that is worth a warning"),
        pytest.param("python", "x = '\\\\d'\ny = \"\\x4\"", "doesn't parse (line 2)", id="an escape that is none"),
        pytest.param("python", "a\0b", NOTHING_SAID, id="a null character"),
        pytest.param("python", "-" * 20_000 + "1", NOTHING_SAID, id="more than the parser can take"),
        pytest.param("json", '{"a": [1, 2]}', "", id="JSON"),
        pytest.param("json", '"scripts": {"a": "b"},', "", id="members of an object"),
        pytest.param("json", '{"a": 1}\n{"a": 2}\n', "", id="an object a line"),
        pytest.param("json", '{"a": 1,}', "isn't valid JSON", id="a comma too many"),
        pytest.param("json", '{"a": 1, // why\n "b": 2}', NOTHING_SAID, id="JSON with comments"),
        pytest.param("json", '{"a": 1, ...}', NOTHING_SAID, id="JSON with a gap"),
        pytest.param("toml", "a = 1\n[b]\nc = [1, 2]", "", id="TOML"),
        pytest.param("toml", "a = b", "isn't valid TOML", id="TOML that isn't"),
        pytest.param("toml", "a." * 4_000 + "b = 1", NOTHING_SAID, id="TOML that is long"),
        pytest.param("js", "f({a: [1, 2]})", "", id="brackets that match"),
        pytest.param("js", "f({a: 1)", "closes a bracket that isn't open (line 1)", id="brackets that don't"),
        pytest.param("ts", "function f() {\n  if (x) {\n}", "leaves 1 bracket open", id="a bracket left open"),
        pytest.param("ts", "class A {\n  // ...\n  f() {\n", NOTHING_SAID, id="a sketch"),
        pytest.param("js", "x = \"(\" + '[' + `{` // (\n/* ( */", "", id="brackets in strings and comments"),
        pytest.param("js", "x = /[(]\\)/.test(y) / 2", "", id="brackets in a regular expression"),
        pytest.param("rust", "fn f<'a>(x: &'a str) -> &'a str { g('(', x) }", "", id="lifetimes are no strings"),
        pytest.param("cpp", 's = R"(\n1) "a"\n)";', "", id="a raw string"),
        pytest.param("java", 's = """\n  ("\n""";', "", id="a block of text"),
        pytest.param("sql", "SELECT ')' FROM t -- (\nWHERE (a)", "", id="SQL"),
        pytest.param("css", "a { background: url(//x) }", "", id="no comments of one line in CSS"),
    ],
)
def test_a_piece_of_code(language: str, code: str, expected: str | None) -> None:
    assert LANGUAGES[language](code) == expected


@pytest.mark.parametrize("language", ["", "bash", "yaml", "text", "html", "brainfuck"])
def test_of_other_languages_nothing_is_said(language: str) -> None:
    assert code_check([Block(language, "((((", closed=True)], [], "") is None


def test_a_fence_left_open_is_a_fault_in_any_language() -> None:
    check = code_check([Block("bash", "ls", closed=False)], [], "")
    assert check is not None
    assert (check.score, check.reason) == (0.0, "code block 1 isn't closed")


def test_the_share_of_pieces_without_a_fault_is_the_score() -> None:
    pieces = [Block("json", "{}", True), Block("json", "{", True), Block("json", "[", True)]
    check = code_check(pieces, [("toml", "a = 1")], "")
    assert check is not None
    assert (check.score, check.reason) == (0.5, "code block 2 (json) isn't valid JSON, and 1 more with a fault")


def test_a_file_that_is_written_is_looked_into() -> None:
    check = code_check([], [("py", "def f(:")], "")
    assert check is not None
    assert check.reason == "the file that is written (py) doesn't parse (line 1)"


def test_code_of_the_question_is_only_quoted() -> None:
    assert code_check([Block("python", "for i in x\n  y", True)], [], "Why?\nfor i in x\n  y\n") is None


def test_code_that_leaves_the_work_to_the_person() -> None:
    check = code_check([Block("python", "def f():\n    # TODO: implement this here\n    pass", True)], [], "")
    assert check is not None
    assert check.reason == "code block 1 leaves the work to the person"


def test_looking_into_code_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LANGUAGES["python"]("a = '\\d \\( \\\\d'\nb = r'\\w'\nif x is 1: pass\nassert (a, 'b')") == ""


@pytest.mark.parametrize(
    ("language", "piece"),
    [
        *(
            pytest.param("python", piece, id=f"Python: {piece[:9]}")
            for piece in ("[", "(a,", "{1:", "a[", "f(x=", "x:=(")
        ),
        pytest.param("python", "a.", id="Python: a chain of names"),
        pytest.param("python", "a if b else ", id="Python: a chain of conditions"),
        pytest.param("python", "not ", id="Python: a chain of nots"),
        pytest.param("toml", "a.", id="TOML: a long key"),
        pytest.param("toml", "a=[", id="TOML: lists in lists"),
        pytest.param("js", '"\\', id="quotes"),
        pytest.param("js", "=/[", id="regular expressions"),
        pytest.param("js", "'", id="single quotes"),
        pytest.param("cpp", 'R"(', id="raw strings"),
        pytest.param("java", '"""', id="blocks of text"),
        pytest.param("js", "/*", id="comments"),
        pytest.param("json", "[", id="JSON: lists in lists"),
    ],
)
def test_no_code_is_dear_to_look_into(language: str, piece: str) -> None:
    code = piece * (200_000 // len(piece))
    closing = "".join({"(": ")", "[": "]", "{": "}"}.get(sign, "") for sign in reversed(piece))
    nested = "".join(f"{piece * 30}a{closing * 30}\n" for _ in range(30))
    with within(0.5, clock=time.process_time):  # about 0.1 where nothing else runs
        for each in (code, code[:23_000], nested, f"{nested} =", piece * 900):
            code_check([Block(language, each, True)], [(language, each)], "")
