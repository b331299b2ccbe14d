"""Where tables begin and end, with the comments that belong to them."""

from __future__ import annotations

import pytest

from router.profile.blocks import block_of, blocks

FILE = """\
# The whole file.

version = 1

# --- for agents ---

# the first
[[rule]]  # here
match = "thinking"
# at the end
to = "anthropic"

# free

# the second,
# in two lines
[[rule]]
match = "stream"
to = "groq"
[rule.set]
temperature = 0.1

stop = [
  "a",  # one
]
# model = "x"

[rule.headers]
x-a = "1"
# above the default
[default]
to = "groq"
"""


def shown(path: tuple[str | int, ...]) -> list[str]:
    block = block_of(FILE, path)
    assert block is not None
    return FILE.split("\n")[block.first : block.last + 1]


def test_a_block_is_its_lines_and_the_comments_directly_above() -> None:
    lines = shown(("rule", 0))
    assert (lines[0], lines[-1], len(lines)) == ("# the first", 'to = "anthropic"', 5)


def test_sub_tables_that_follow_belong_to_it_and_comments_above_the_next_do_not() -> None:
    lines = shown(("rule", 1))
    assert (lines[0], lines[-1]) == ("# the second,", 'x-a = "1"')


def test_comments_directly_below_belong_to_it() -> None:
    assert shown(("rule", 1, "set"))[-1] == '# model = "x"'


def test_the_last_one_ends_with_its_last_key() -> None:
    assert shown(("default",)) == ["# above the default", "[default]", 'to = "groq"']


def test_every_header_is_a_block_in_the_files_order() -> None:
    assert [block.path for block in blocks(FILE)] == [
        ("rule", 0), ("rule", 1), ("rule", 1, "set"), ("rule", 1, "headers"), ("default",),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n", "version = 1\n", "# only this", 'aliases = { a = "b/c" }\n'])
def test_without_headers_there_is_none(text: str) -> None:
    assert blocks(text) == ()
    assert block_of(text, ("rule", 0)) is None


def test_brackets_in_values_are_no_headers() -> None:
    text = 'a = """\n[[rule]]\n# no comment\n"""\nb = [\n  [1],\n]\n[t]\nc = "[x]"'
    assert [(block.path, block.first, block.last) for block in blocks(text)] == [(("t",), 7, 8)]
