"""Changing a file in place: what is meant changes, every other byte stays."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ConfigError, RouterError
from router.profile.editing import (
    add_rule,
    change,
    find_rule,
    move,
    remove_alias,
    remove_key,
    remove_rule,
    set_alias,
    set_key,
)
from router.profile.problems import Problem

RULE = {"name": "fast", "match": "tokens < 2000", "target": "groq/llama"}
BLOCK = '[[rule]]\nname = "fast"\nmatch = "tokens < 2000"\ntarget = "groq/llama"\n'
FILE = """\
# My rules.
version = 1

# --- agents ---

# tools need the good one
[[rule]]  # first
match = { tool-use = true }
to = "anthropic"

# ids
[[rule]]
name = "second"
match = "stream"
to = "groq"
[rule.set]
temperature = 0.1

# --- the rest ---

[default]
to = "groq"

[aliases]
# short for it
"fast model" = "groq/llama"  # cheap
big = { target = "anthropic/opus", fallback = ["groq/x"] }

[aliases.table]
to = "anthropic"
model = "opus"
fallback = "groq/x"
# end
"""


# --- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", BLOCK, id="an empty file"),
        pytest.param("# mine\n", f"# mine\n\n{BLOCK}", id="comments only"),
        pytest.param("version = 1", f"version = 1\n\n{BLOCK[:-1]}", id="no newline at the end"),
        pytest.param('[default]\nto = "x"\n', f'{BLOCK}\n[default]\nto = "x"\n', id="in front of the default"),
        pytest.param(
            'version = 1\n\n# rest\n[default]\nto = "x"\n',
            f'version = 1\n\n{BLOCK}\n# rest\n[default]\nto = "x"\n',
            id="in front of the default's comment",
        ),
        pytest.param(
            '[[rule]]\nto = "x"\n\n# rest\n[default]\nto = "x"\n',
            f'[[rule]]\nto = "x"\n\n{BLOCK}\n# rest\n[default]\nto = "x"\n',
            id="behind the last rule",
        ),
        pytest.param(
            '[[rule]]\nto = "x"\n[default]\nto = "x"\n',
            f'[[rule]]\nto = "x"\n{BLOCK}[default]\nto = "x"\n',
            id="without blank lines where there are none",
        ),
        pytest.param(
            '[[rule]]\nto = "x"\n[rule.set]\na = 1 # here\n# end\n\n\n\n[limits]\n[[test]]\nname = "t"\n',
            f'[[rule]]\nto = "x"\n[rule.set]\na = 1 # here\n# end\n\n{BLOCK}\n\n\n[limits]\n[[test]]\nname = "t"\n',
            id="behind its sub-tables, before other tables",
        ),
        pytest.param(
            '[default]\nto = "x"\n[[rule]]\nto = "y"',
            f'[default]\nto = "x"\n[[rule]]\nto = "y"\n\n{BLOCK[:-1]}',
            id="rules behind the default",
        ),
        pytest.param(
            '\ufeff[[rule]]\r\nto = "x"\r\n',
            '\ufeff[[rule]]\r\nto = "x"\r\n\r\n' + BLOCK.replace("\n", "\r\n"),
            id="a byte order mark and carriage returns",
        ),
        pytest.param('[[rule]]\n\tto = "x"\n', f'[[rule]]\n\tto = "x"\n\n{BLOCK}', id="tabs"),
    ],
)
def test_a_rule_is_added(before: str, after: str) -> None:
    assert add_rule(before, RULE) == after
    assert remove_rule(after, len(tomllib.loads(after.removeprefix("\ufeff"))["rule"]) - 1) == before


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('rule = [{ match = "stream", to = "x" }]\n', id="a list on one line"),
        pytest.param('rule = [\n  { match = "stream", to = "x" },\n]\n', id="a list on several lines"),
        pytest.param('[[rule]]\nto = "x"\n[default]\nto = "y"\n[rule.set]\na = 1\n', id="a sub-table elsewhere"),
    ],
)
def test_what_is_written_another_way_is_left_to_a_person(text: str) -> None:
    with pytest.raises(ConfigError, match="by hand"):
        add_rule(text, RULE)
    with pytest.raises(ConfigError, match="by hand"):
        remove_rule(text, 0)


def test_removing_takes_its_own_comments_and_no_others() -> None:
    left = remove_rule(FILE, 1)
    assert left == FILE.replace(FILE[FILE.index("# ids") : FILE.index("# --- the rest")], "")
    assert "# --- agents ---" in remove_rule(left, 0)
    assert "tools need" not in remove_rule(left, 0)


def test_moving_takes_the_comments_along() -> None:
    moved = move(FILE, "rule", 1, 0)
    assert moved.index("# --- agents") < moved.index("# ids") < moved.index("[rule.set]") < moved.index("# tools need")
    assert move(moved, "rule", 1, 0) == FILE


def test_moving_to_where_it_stands_changes_nothing() -> None:
    assert move(FILE, "rule", 0, 1) == FILE
    with pytest.raises(ConfigError, match="before itself"):
        move(FILE, "rule", 0, 0)


_GAP = st.lists(st.sampled_from(["", "# a comment", "\t# another", "# [[rule]]"]), max_size=4)
_KEYS = (
    'match = "stream"', 'to = "groq"  # there', "  set.temperature = 1", 'stop = [\n  "a",  # one\n\n]',
    'text = """\n[[rule]]\n\n# no comment\n"""',
)  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file with rules and other tables, comments and blank lines anywhere."""
    parts: list[str] = []
    once = ["[default]", "[aliases]", "[limits]"]
    if draw(st.booleans()):
        parts += [*draw(_GAP), "version = 1"]
    for _ in range(draw(st.integers(0, 5))):
        header = draw(st.sampled_from(["[[rule]]", "[[rule]]  # here", *once]))
        if header in once:
            once.remove(header)
        parts += [*draw(_GAP), header]
        for line in draw(st.lists(st.sampled_from(_KEYS), unique=True)):
            parts += [*draw(_GAP), line]
        if header not in ("[default]", "[aliases]", "[limits]") and draw(st.booleans()):
            parts += [*draw(_GAP), "[rule.headers]", "x-a = '1'"]
    text = "\n".join([*parts, *draw(_GAP)]) + draw(st.sampled_from(["", "\n", "\n\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@given(files())
def test_added_and_removed_again_leaves_every_byte(text: str) -> None:
    added = add_rule(text, RULE)
    rules = tomllib.loads(added)["rule"]
    assert rules == [*tomllib.loads(text).get("rule", []), RULE]
    assert remove_rule(added, len(rules) - 1) == text


@given(files(), st.data())
def test_moving_keeps_every_line_and_every_rule(text: str, data: st.DataObject) -> None:
    rules = tomllib.loads(text).get("rule", [])
    if len(rules) < 2:
        return
    number, before = data.draw(st.permutations(range(len(rules))))[:2]
    moved = move(text, "rule", number, before)
    assert Counter(moved.replace("\r", "").split("\n")) == Counter(text.replace("\r", "").split("\n"))
    rules.insert(before - (number < before), rules.pop(number))
    assert tomllib.loads(moved)["rule"] == rules


@given(files(), st.data())
def test_removing_keeps_every_other_rule_and_all_that_stands_alone(text: str, data: st.DataObject) -> None:
    rules = tomllib.loads(text).get("rule", [])
    if not rules:
        return
    number = data.draw(st.sampled_from(range(len(rules))))
    left = remove_rule(text, number)
    assert tomllib.loads(left).get("rule", []) == [*rules[:number], *rules[number + 1 :]]
    kept = iter(text.splitlines())
    assert all(line in kept for line in left.splitlines())  # in the same order


LABELS = {0: "tool-use → anthropic", 1: "second → groq"}


@pytest.mark.parametrize(
    ("which", "number"),
    [
        ("second", 1),
        ("tool-use → anthropic", 0),
        ("tool-use -> anthropic", 0),
        ("tool-use", 0),
        ("1", 1),
        ("rule[0]", 0),
    ],
)
def test_a_rule_is_found_by_what_it_is_called(which: str, number: int) -> None:
    assert find_rule(FILE, which, LABELS) == number


@pytest.mark.parametrize(
    ("which", "labels", "said"),
    [
        ("secnd", LABELS, 'no rule "secnd"; did you mean "second"?'),
        ("2", LABELS, 'no rule "2"; see `router route list`'),
        ("stream", {0: "stream → a", 1: "stream → b"}, "any of rule.0. stream → a, rule.1. stream → b"),
    ],
)
def test_a_rule_that_is_none_or_several_is_not_found(which: str, labels: dict[int, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_rule(FILE, which, labels)


# --- aliases and keys -------------------------------------------------------------------------------------------------


def test_an_alias_is_added_behind_the_last_one_of_the_table() -> None:
    added = set_alias(FILE, "new", "groq/x")
    assert added == FILE.replace('["groq/x"] }\n', '["groq/x"] }\nnew = "groq/x"\n')
    assert remove_alias(added, "new") == FILE


def test_an_alias_in_a_file_without_any_gets_a_table_at_the_end() -> None:
    text = '[default]\nto = "x"\n'
    added = set_alias(text, "claude-3-sonnet", "minimax/M2", pin=True)
    assert added == f'{text}\n[aliases]\nclaude-3-sonnet = {{ target = "minimax/M2", pin = true }}\n'


@pytest.mark.parametrize(
    ("name", "pin", "old", "new"),
    [
        ("fast model", None, '"groq/llama"  #', '"a/b"  #'),
        ("fast model", True, '"groq/llama"  #', '{ target = "a/b", pin = true }  #'),
        ("big", None, 'target = "anthropic/opus"', 'target = "a/b"'),
        ("big", True, '"anthropic/opus", fallback = ["groq/x"] }', '"a/b", fallback = ["groq/x"], pin = true }'),
        (
            "table",
            True,
            'to = "anthropic"\nmodel = "opus"\nfallback = "groq/x"\n',
            'fallback = "groq/x"\ntarget = "a/b"\npin = true\n',
        ),
    ],
)
def test_an_alias_that_is_there_keeps_what_else_it_says(name: str, pin: bool | None, old: str, new: str) -> None:
    assert set_alias(FILE, name, "a/b", pin=pin) == FILE.replace(old, new)


def test_an_alias_goes_with_its_own_comment() -> None:
    assert remove_alias(FILE, "fast model") == FILE.replace(
        '# short for it\n"fast model" = "groq/llama"  # cheap\n', ""
    )
    assert "[aliases.table]" not in remove_alias(FILE, "table")
    with pytest.raises(ConfigError, match='did you mean "big"'):
        remove_alias(FILE, "bigg")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[profile]\nport = 8081\n"),
        ('# top\n\n[default]\nto = "x"\n', '# top\n\n[profile]\nport = 8081\n\n[default]\nto = "x"\n'),
        ("[profile]\n# none yet\n", "[profile]\nport = 8081\n# none yet\n"),
        ('[profile]\nport = "auto"  # any\n', "[profile]\nport = 8081  # any\n"),
        ("[profile]\nport=1\n[profile.x]\n", "[profile]\nport=8081\n[profile.x]\n"),
        ('profile.agent = "x"\nversion = 1\n', 'profile.agent = "x"\nprofile.port = 8081\nversion = 1\n'),
        ('profile = { agent = "x" }  # short\n', 'profile = { agent = "x", port = 8081 }  # short\n'),
        ("profile = {}\n", "profile = { port = 8081 }\n"),
    ],
)
def test_a_key_is_set_where_it_belongs(before: str, after: str) -> None:
    assert set_key(before, ("profile", "port"), 8081) == after


def test_a_key_of_one_of_several_tables() -> None:
    text = '[[helper]]\nname = "a"\n[helper.env]\nX = "1"\n\n[[helper]]\nname = "b"\nenabled = true # on\n'
    assert set_key(text, ("helper", 0, "enabled"), False) == text.replace('"a"\n', '"a"\nenabled = false\n')
    assert set_key(text, ("helper", 1, "enabled"), False) == text.replace("true # on", "false # on")


def test_a_key_inside_an_inline_table_is_left_to_a_person() -> None:
    with pytest.raises(ConfigError, match="by hand"):
        remove_key('aliases = { a = "x", b = "y" }\n', ("aliases", "a"))


# --- files ------------------------------------------------------------------------------------------------------------


def fine(text: str) -> tuple[Problem, ...]:
    return ()


def append(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}{line}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "routing.toml"
    path.write_text("a = 1\n")
    path.chmod(0o640)
    return path


def test_a_change_is_written_whole_and_keeps_the_mode(file: Path) -> None:
    before = file.stat().st_ino
    assert change(file, append("b = 2"), check=fine, label="x") == ()
    assert file.read_text() == "a = 1\nb = 2\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert file.stat().st_ino != before
    assert os.listdir(file.parent) == [file.name]


def test_a_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "other" / "routing.toml"
    link.parent.mkdir()
    link.symlink_to("../routing.toml")
    change(link, append("b = 2"), check=fine, label="x")
    assert link.is_symlink()
    assert file.read_text().endswith("b = 2\n")


def test_every_error_is_told_and_nothing_is_written(file: Path) -> None:
    problems = (
        Problem("x", 1, "a", "wrong"),
        Problem("x", 2, "b", "fine", "warning"),
        Problem("x", 3, "c", "wrong too"),
    )
    with pytest.raises(ConfigError) as told:
        change(file, append("b = 2"), check=lambda text: problems, label="x")
    assert str(told.value) == "x:1: a: wrong\nx:3: c: wrong too\nx was not changed"
    assert file.read_text() == "a = 1\n"


def test_a_file_that_is_no_toml_is_not_touched(file: Path) -> None:
    file.write_text("a = \n")
    with pytest.raises(ConfigError, match=r"^x:1: not valid TOML"):
        change(file, append("b = 2"), check=fine, label="x")
    file.write_bytes(b"a = '\xff'\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        change(file, append("b = 2"), check=fine, label="x")


def test_a_file_that_changes_meanwhile_is_not_overwritten(file: Path) -> None:
    def check(text: str) -> tuple[Problem, ...]:
        file.write_text("a = 3  # by hand\n")
        return ()

    with pytest.raises(RouterError, match="changed by somebody else"):
        change(file, append("b = 2"), check=check, label="x")
    assert file.read_text() == "a = 3  # by hand\n"
    assert os.listdir(file.parent) == [file.name]


def test_a_file_that_is_not_there_counts_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    change(path, append("b = 2"), check=fine, label="x")
    assert path.read_text() == "b = 2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_changes_at_the_same_time_are_all_made(file: Path) -> None:
    def write(number: int) -> None:
        change(file, append(f"k{number} = 1"), check=fine, label="x")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tomllib.loads(file.read_text())) == 21


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_killed_before_the_end_the_file_is_the_old_one_and_the_next_change_works(file: Path, step: str) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from router.profile import editing\n"
        f"os.{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "editing.change(Path(sys.argv[1]), lambda text: text + 'b = 2\\n', check=lambda text: (), label='x')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(file)], check=False)
    assert done.returncode == -9
    assert file.read_text() == "a = 1\n"
    change(file, append("c = 3"), check=fine, label="x")
    assert file.read_text() == "a = 1\nc = 3\n"
    assert os.listdir(file.parent) == [file.name]


def test_an_unwritable_disk_leaves_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        change(file, append("b = 2"), check=fine, label="x")
    assert file.read_text() == "a = 1\n"
    assert os.listdir(file.parent) == [file.name]
