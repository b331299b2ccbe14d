# ruff: noqa: E501  (tables read better with a case a line)

"""``router check`` warns of targets of which nobody knows what they can take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.profile.home import Home

PROFILES = Path(__file__).resolve().parent.parent.parent / "profiles"
LAB = """
[providers.lab]
formats = ["openai-chat"]
base-url = "http://127.0.0.1:9000/v1"
api-key = "none"
"""
HAIKU = "anthropic/claude-haiku-4-5"


def write(home: Home, text: str) -> Path:
    path = home.profiles / "work" / "routing.toml"
    path.write_text(text + LAB, "utf-8")
    return path.parent


def unknown(run: Any) -> list[str]:
    problems = json.loads(run("check", "work", "--json").stdout)["profiles"][0]["problems"]
    assert {problem["severity"] for problem in problems} <= {"warning"}
    return [problem["text"] for problem in problems if "can take isn't known" in problem["message"]]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param('[default]\ntarget = "lab/x"\n', ["1: default: what lab/x can take isn't known (context, images, tools, documents)"], id="nothing is known"),
        pytest.param('[default]\ntarget = "lab/qwen3-coder"\n', ["1: default: what lab/qwen3-coder can take isn't known (context)"], id="the window isn't"),
        pytest.param('[default]\nto = "lab"\n', [], id="whatever model is asked for"),
        pytest.param(f'[default]\ntarget = "{HAIKU}"\n', [], id="all is known"),
        pytest.param('[default]\ntarget = "demo/demo-large"\n', [], id="the built-in provider takes everything"),
        pytest.param('[default]\ntarget = "lab/x"\n[models."lab/x"]\ncontext = 9000\nimages = false\ntools = true\ndocuments = false\n', [], id="the profile says it"),
        pytest.param('[default]\ntarget = "lab/x"\n[models."lab/x"]\ncontext = 9000\nimages = false\ntools = true\n', ["1: default: what lab/x can take isn't known (documents)"], id="or a part of it"),
        pytest.param('[default]\ntarget = "openai/gpt-9-mni"\n', [], id="an unknown model is another warning"),
        pytest.param('[[rule]]\nmatch = "tools > 1"\ntarget = "fast"\n[[rule]]\nmatch = "tools > 2"\ntarget = "lab/x"\nfallback = ["lab/y"]\npriority = 3\n[aliases]\nfast = "lab/x"\nslow = "lab/z"\n',
                     ["1: rule[0]: what lab/x", "4: rule[1]: what lab/y", "11: aliases.slow: what lab/z"], id="once each, where it is named first"),
        pytest.param(f'[[rule]]\nmatch = "tools > 1"\ntarget = "{HAIKU}"\ncascade = {{ draft = "lab/x" }}\n', ["1: rule[0]: what lab/x"], id="a draft"),
        pytest.param('[default]\ntarget = "lab/x"\nenabled = false\n', [], id="a target that isn't used"),
    ],
)  # fmt: skip
def test_each_target_is_warned_of_once(run: Any, home: Home, rules: str, expected: list[str]) -> None:
    write(home, rules)
    found = unknown(run)
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(f"profiles/work/routing.toml:{start}")


def test_the_warning_says_what_to_write_and_the_status_stays_0(run: Any, home: Home) -> None:
    write(home, '[default]\ntarget = "lab/some model"\n')
    result = run("check")
    assert result.exit_code == 0
    assert 'so no request is kept from it; write it under [models."lab/some model"]' in " ".join(result.stdout.split())
    assert result.stdout.endswith("1 profile, 0 errors, 1 warning\n")


def test_a_target_that_only_a_concept_names_is_warned_of_there(run: Any, home: Home) -> None:
    folder = write(home, f'[default]\ntarget = "{HAIKU}"\n')
    (folder / "concepts").mkdir()
    (folder / "concepts" / "cheap.md").write_text("# Cheap\nsynonyms:: low cost\nroute:: lab, x\n")
    assert [line.partition(" (")[0] for line in unknown(run)] == [
        "profiles/work/concepts/cheap.md: what lab/x can take isn't known"
    ]


@pytest.mark.parametrize("name", sorted(path.name for path in PROFILES.iterdir()))
def test_of_the_ready_profiles_everything_is_known(run: Any, name: str) -> None:
    result = run("check", name, "--profiles", str(PROFILES))
    assert result.exit_code == 0
    assert "isn't known" not in result.stdout
