"""Variables as shells write them, read back by those shells that are here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.agents.shells import Shell, assignments

PRINT = "import json, os; print(json.dumps([os.environ.get('A'), os.environ.get('B')]))"
AWKWARD = ["plain", "", "two words", "it's", '"quoted"', "$HOME `id` \\n", '{"a": "b"}', "ü", "!x", "'\\'"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("value", AWKWARD)
@pytest.mark.slow
def test_a_shell_reads_what_was_meant(shell: Shell, value: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    lines = [*assignments({"A": value}, ["B"], shell), f'{sys.executable} -c "{PRINT}"']
    env = {"PATH": os.environ["PATH"], "B": "before"}
    done = subprocess.run([program, "-c", "\n".join(lines)], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [value, None]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("x", "$env:A = 'x'"),
        ("it's", "$env:A = 'it''s'"),
        ("\u2019", "$env:A = '\u2019\u2019'"),
        ("$x `y", "$env:A = '$x `y'"),
    ],
)
def test_powershell_doubles_quotes(value: str, line: str) -> None:
    assert assignments({"A": value}, ["B"], "powershell") == ["Remove-Item Env:B -ErrorAction SilentlyContinue", line]


def test_fish_escapes_quotes_and_backslashes() -> None:
    assert assignments({"A": "it's \\"}, ["B"], "fish") == ["set -e B", r"set -gx A 'it\'s \\'"]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_a_posix_word_is_one_word(value: str) -> None:
    import shlex

    (line,) = assignments({"A": value}, [], "bash")
    assert shlex.split(line) == ["export", f"A={value}"]
