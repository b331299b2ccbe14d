"""Files as people break them: each gives an error at the right line, never an exception, never a profile."""

# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.profile.document import Document
from router.profile.load import Loaded, load_profile
from router.profile.profile import Profile
from router.profile.schema import read_document
from router.providers.catalog import load_catalog
from router.routing.rules import RouteTable

pytestmark = pytest.mark.sampled(2)

Load = Callable[..., Loaded]

RULE = '[[rule]]\nmatch = {}\nto = "groq"\n'

# id, text, line, a part of the message
BROKEN = [
    ("a string isn't closed", 'version = 1\n[default]\nto = "groq\n', 3, "a string isn't closed"),
    ("a string without quotes", "[default]\nto = groq\n", 2, "strings need quotes"),
    ("no value", "[default]\nto =\n", 2, "a value is expected"),
    ("no equals sign", '[default]\nto "groq"\n', 2, "must be followed by ="),
    ("a colon for an equals sign", '[default]\nto: "groq"\n', 2, "must be followed by ="),
    ("a header isn't closed", '[default\nto = "groq"\n', 1, "closing ]"),
    ("an array header isn't closed", '[[rule]\nto = "groq"\n', 1, "closing ]]"),
    ("a list isn't closed", '[default]\nto = "groq"\nfallback = ["a"\n', 3, "a list isn't closed"),
    ("a list isn't closed before a header", 'drop = ["a"\n[default]\nto = "groq"\n', 2, "a list isn't closed"),
    ("an inline table isn't closed", '[[rule]]\nmatch = { tool-use = true\nto = "groq"\n', 2, "inline table"),
    ("an inline table over two lines", "[[rule]]\nmatch = {\n tool-use = true }\n", 2, "inline table"),
    ("two statements on a line", "version = 1 version = 1\n", 1, "only one statement"),
    ("a key twice", '[default]\nto = "groq"\nmodel = "a"\nto = "openai"\n', 4, "default.to: is given twice"),
    ("a table twice", "[profile]\n[auth]\n[profile]\n", 3, "profile: is given twice"),
    ("a key twice in an inline table", "[[rule]]\nmatch = { stream = true, stream = true }\n", 2, "match.stream"),
    ("a table under a value", '[aliases]\nx = "groq/a"\n[aliases.x]\npin = true\n', 3, "aliases.x: is given twice"),
    ("[rule] and [[rule]]", "[rule]\nto = 1\n[[rule]]\n", 3, "rule: is given twice"),
    ("2001 rules", RULE * 2001, 6001, "one rule too many"),
    ("2001 aliases", "[aliases]\n" + "".join(f'a{n} = "groq"\n' for n in range(2001)), 2002, "one alias too many"),
    ("a NUL", "version = 1\nx = \0\n", 2, "not valid TOML"),
    ("a NUL in a string", '[default]\nto = "gr\0oq"\n', 2, "control character"),
    ("a bare backslash", '[profile]\ndescription = "C:\\path"\n', 2, "backslash"),
    ("curly quotes", "[default]\nto = “groq”\n", 2, "a value is expected"),
    ("half a number", "[[rule]]\npriority = 1_\n", 2, "only one statement"),
    ("100k", "[[rule]]\nmatch = { tools-gte = 100k }\n", 2, "inline table"),
    ("True", '[[rule]]\nenabled = True\nto = "groq"\n', 2, "a value is expected"),
    ("null", "[profile]\nport = null\n", 2, "a value is expected"),
    ("a tag of a YAML file", "rule:\n  - match: {}\n", 1, "must be followed by ="),
    ("JSON", '{ "rule": [] }\n', 1, "a key, a [table] or a comment"),
    ("a merge conflict", "version = 1\n<<<<<<< HEAD\n", 2, "a key, a [table] or a comment"),
    ("a float out of all bounds", "version = 1\n[budget]\ndaily-usd = 1e999999999999999999999\n", 3, "too long"),
    ("an exponent nobody can pay", "[budget]\ndaily-usd = 1e4000\n", 2, "too long"),
    ("a whole number of 5000 digits", f"version = 1\nx = {'1' * 5000}\n", 2, "too long"),
    ("nan", "[budget]\ndaily-usd = nan\n", 2, "isn't a number that can be used"),
    ("inf in a condition", RULE + "[[rule]]\nmatch = { budget-used-gt = inf }\n", 5, "isn't a number that can be used"),
    ("nan in set", RULE + "set = { temperature = -nan }\n", 4, "isn't a number that can be used"),
    ("lists without end", f"version = 1\nx = {'[' * 5000}\n", None, "nested too deeply"),
    ("tables without end", "x = " + "{a=" * 3000 + "1" + "}" * 3000, None, "nested too deeply"),
    ("a key with a thousand parts", "version = 1\n" + "a." * 1000 + "a = 1\n", 2, "too long to be meant seriously"),
    ("an empty file", "", None, "is empty"),
    ("white space", "\n \n\t\n", None, "is empty"),
    ("an unknown table", "[rules]\n", 1, 'rules: unknown key; did you mean "rule"?'),
    ("a rule that is no list", '[rule]\nto = "groq"\n', 1, "rule: expected [[rule]] tables, got a table"),
    ("a default that is a list", '[[default]]\nto = "groq"\n', 1, "default: expected a table, got a list"),
    ("aliases that are a list", 'aliases = ["a"]\n', 1, "aliases: expected a table, got a list"),
    ("a rule that is a string", 'rule = ["x"]\n', 1, "rule: expected [[rule]] tables, got a list"),
    ("a rule without target", "[[rule]]\nmatch = {}\n", 1, 'rule[0]: has no target; add to = "provider"'),
    ("a rule without match", RULE + '[[rule]]\nto = "groq"\n', 4, "rule[1]: has no match; write match = {}"),
    ("a default without target", "version = 1\n[default]\n", 2, "default: has no target"),
    ("a model without provider", '[default]\nmodel = "x"\n', 2, "default.model: names no provider"),
    ("to beside target", '[default]\nto = "groq"\ntarget = "groq/x"\n', 3, "can't stand beside to"),
    ("target beside targets", '[default]\ntarget = "groq/x"\ntargets = ["groq/x"]\n', 3, "can't stand beside target"),
    ("model beside target", '[default]\nmodel = "x"\ntarget = "groq/x"\n', 2, "goes with to"),
    ("a provider and model in to", '[default]\nto = "groq/x"\n', 2, 'write target = "groq/x"'),
    ("a misspelt provider", '[default]\nto = "antropic"\n', 2, 'did you mean "anthropic"?'),
    ("a misspelt alias", '[aliases]\nfast = "groq/x"\n[default]\ntarget = "fats"\n', 4, 'did you mean "fast"?'),
    ("an alias of itself", '[aliases]\na = "a"\n', 2, "goes in a circle: a → a"),
    ("aliases in a circle", '[aliases]\na = "b"\nb = { target = "c" }\nc = "a"\n', 4, "circle: a → b → c → a"),
    ("an endless chain", "[aliases]\n" + "".join(f'a{n} = "a{n + 1}"\n' for n in range(40)) + 'a40 = "groq/x"\n', 22, "through more than 20"),
    ("an alias over two lines", '[aliases]\n"a\\nb" = "groq/x"\n', 2, "one line of ordinary text"),
    ("a name that turns the text around", RULE + 'name = "a\\u202eb"\n', 4, "one line of ordinary text"),
    ("two rules of one name", RULE + 'name = "x"\n' + RULE + 'name = "x"\n', 8, '"x" is already the rule of line 1'),
    ("a literal key", '[providers.groq]\napi-key = "gsk_abcdefghijklmnop1234567"\n', 2, "expected a reference to a key"),
    ("a literal key in a list", '[providers.groq]\napi-keys = [\n "env:A",\n "gsk_x",\n]\n', 4, "a reference to a key"),
    ("a credential as header", RULE + 'headers = { authorization = "Bearer x" }\n', 4, "not given as headers"),
    ("a table in a place of a string", "[default.to]\nx = 1\n", 1, "default.to: expected a string, got a table"),
    ("a date for a duration", "[timeouts]\nidle = 07:32:00\n", 2, "expected a duration"),
    ("a condition's typo", '[[rule]]\nto = "groq"\nmatch = { input-token-gt = 5 }\n', 3, 'did you mean "input-tokens-gt"?'),
    ("a typo inside any", '[[rule]]\nto = "groq"\n[rule.match]\nany = [\n {stream = true},\n {steam = true},\n]\n', 6, "rule[0].match.any[1].steam"),
    ("a concept that isn't there", '[[rule]]\nto = "groq"\nmatch = { concept = "budget" }\n', 3, "rule[0].match.concept"),
    ("a price of an unknown provider", '[prices."grok/x"]\ninput = 1\noutput = 1\n', 1, 'did you mean "groq"?'),
    ("a table in an element", RULE + "[rule.cascade]\nthreshold = 0.5\n", 4, "rule[0].cascade: has no draft"),
    ("Windows line ends", 'version = 1\r\n[default]\r\nto = "x"\r\n', 3, "unknown provider"),
    ("a byte order mark", '\ufeff[default]\nto = "x"\n', 2, "unknown provider"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN])
def test_a_broken_file(text: str, line: int | None, said: str, load: Load) -> None:
    loaded = load(text)
    assert loaded.profile is None
    places = [(problem.line, str(problem)) for problem in loaded.errors]
    assert any(place == line and said in text for place, text in places), places
    for problem in loaded.errors:
        where = "" if problem.line is None else f":{problem.line}"
        assert str(problem).startswith(f"profiles/work/routing.toml{where}: ")


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 60
    assert len({name for name, *_ in BROKEN}) == len(BROKEN)


def test_bytes_that_are_no_text_are_told_with_their_line(load: Load) -> None:
    assert [str(problem) for problem in load(b'version = 1\n[default]\nto = "\xff"\n').errors] == [
        "profiles/work/routing.toml:3: isn't UTF-8 text"
    ]
    assert "isn't UTF-8" in str(load("version = 1\n".encode("utf-16")).errors[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = [" + "[1]," * 40_000 + "]", id="a very long list"),
        pytest.param("# " + "." * 400 + "\nversion = 1", id="a comment of dots"),
        pytest.param("\n".join(f'[aliases."{n}"]\ntarget = "groq/x"' for n in range(2000)), id="2000 aliases"),
        pytest.param(
            "[aliases]\n"
            + "".join(f'a{n} = {{ targets = ["a{n + 1}", "a{n + 1}"] }}\n' for n in range(18))
            + 'a18 = "groq"',
            id="aliases that double at each step",
        ),
    ],
)
@pytest.mark.timeout(20)
def test_a_file_that_is_large_in_some_way_is_read_in_reasonable_time(text: str, load: Load) -> None:
    load(text)


CATALOG = load_catalog()
SAMPLE = """version = 1
[profile]
port = 8081
[[rule]]
name = "a"
match = { any = [{ tool-use = true }, { not = { keywords = ["x", "y"] } }], time = "22:00-06:00" }
targets = ["anthropic/claude-sonnet-4-5", { target = "groq/y", weight = 1.5 }]
set = { temperature = 0.2, stop = ["a"] }
cascade = { draft = "fast", threshold = 0.7 }
[[rule]]
match = "tokens > 1000 and not thinking"
target = "fast"
headers = { x-team = "blue" }
[default]
to = "anthropic"
[aliases]
fast = { target = "groq/x", pin = true, fallback = ["openai/z"] }
[budget]
daily-usd = 20.0
[providers.lab]
formats = ["openai-chat"]
base-url = "http://127.0.0.1:9000/v1"
api-key = "env:LAB"
[prices."groq/x"]
input = 0.5
output = 1e-1
"""
# Values that stand where others are expected.
ODD = ["nan", "-inf", "1e300", "9" * 100, "[]", "{}", "[[[]]]", '""', '"\\u0001"', "true", "1979-05-27", "07:32:00",
       "[1, {a = []}]", "{ a = { b = [{}] } }", '"a"', "-1", "0.0", '["groq/x"]', '"fast"', '"é→"']  # fmt: skip


def read(text: str) -> Document:
    """Everything `load_profile` does with a text, without files."""
    document = Document("f", text)
    if not document.failed:
        read_document(document, Profile("x", Path(), "", RouteTable(), CATALOG), ())
    return document


@given(st.text(max_size=300) | st.lists(st.sampled_from(SAMPLE.split("\n")), max_size=12).map("\n".join))
@settings(max_examples=200, deadline=None)
def test_no_text_raises(text: str) -> None:
    read(text)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_mutation_raises_and_each_error_has_a_line_of_the_file(data: st.DataObject) -> None:
    text = SAMPLE
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):  # another value
            places = [match.span(1) for match in re.finditer(r"= ?([^\n]*)", text)]
            start, end = data.draw(st.sampled_from(places))
            text = text[:start] + data.draw(st.sampled_from(ODD)) + text[end:]
        else:  # something cut out or put in
            start = data.draw(st.integers(0, len(text)))
            end = data.draw(st.integers(start, min(len(text), start + 12)))
            text = (
                text[:start]
                + data.draw(st.sampled_from(["", '"', "[", "]", "{", "}", ".", "\n", "\0", "=", "#"]))
                + text[end:]
            )
    document = read(text)
    lines = text.count("\n") + 1
    assert all(problem.line is None or 1 <= problem.line <= lines for problem in document.problems)


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.mktemp("profiles") / "work"
    directory.mkdir()
    (directory / "routing.toml").write_bytes(content)
    (directory / ".env").write_bytes(content)
    load_profile(directory, name="work", catalog=CATALOG, environ={}, known_model=lambda provider, model: None)
