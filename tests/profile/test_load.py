"""A folder as it may be: files that are missing, no files, too large, half-written, not one's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from router.profile.load import Loaded, find_profiles, load_profile
from router.profile.profile import Profile
from router.providers.catalog import load_catalog

Load = Callable[..., Loaded]
Good = Callable[..., Profile]

DEFAULT = '[default]\nto = "groq"\nmodel = "x"\n'


def load_folder(directory: Path, name: str = "work") -> Loaded:
    return load_profile(
        directory, name=name, catalog=load_catalog(), environ={"GROQ_API_KEY": "x"}, known_model=lambda *_: None
    )


def make_nothing(path: Path) -> None:
    pass


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * 2**20)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


ODD_FILES = [
    pytest.param(make_nothing, "does not exist", id="no file"),
    pytest.param(make_pipe, "is not a regular file", id="a pipe"),
    pytest.param(make_loop, "can't be read: too many levels of symbolic links", id="a link to itself"),
    pytest.param(make_large, "is larger than 1 MiB", id="100 MB"),
    pytest.param(make_folder, "is a directory", id="a folder"),
    pytest.param(make_dangling, "does not exist", id="a link to nothing"),
    pytest.param(make_device, "is not a regular file", id="a device"),
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("make", "said"), ODD_FILES)
def test_what_is_no_small_file_is_a_problem(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    directory = tmp_path / "profiles" / "work"
    directory.mkdir(parents=True)
    make(directory / "routing.toml")
    loaded = load_folder(directory)
    assert loaded.profile is None
    assert [str(problem) for problem in loaded.problems] == [f"profiles/work/routing.toml: {said}"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("make", "said"), [case for case in ODD_FILES if case.id != "no file"])
def test_neither_is_it_as_a_companion(make: Callable[[Path], None], said: str, load: Load, tmp_path: Path) -> None:
    load(DEFAULT)
    directory = tmp_path / "profiles" / "work"
    (directory / "concepts").mkdir()
    make(directory / "concepts" / "budget.md")
    make(directory / ".env")
    loaded = load(DEFAULT)
    assert [str(problem) for problem in loaded.errors] == [
        f"profiles/work/.env: {said}",
        f"profiles/work/concepts/budget.md: {said}",
    ]


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert [problem.message for problem in load_folder(tmp_path / "gone").problems] == ["does not exist"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_a_problem(load: Load, tmp_path: Path) -> None:
    load(DEFAULT)
    (tmp_path / "profiles/work/routing.toml").chmod(0)
    assert "permission denied" in load_folder(tmp_path / "profiles/work").problems[0].message


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "shared.toml").write_text(DEFAULT)
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "routing.toml").symlink_to("../shared.toml")
    assert load_folder(directory).profile is not None


@pytest.mark.parametrize("name", ["v1", "health", "Work", "a b", "", "..", "-x", "é", "a" * 64, "favicon.ico"])
def test_a_name_that_is_no_profiles_is_a_problem(name: str, load: Load, tmp_path: Path) -> None:
    load(DEFAULT)
    loaded = load_folder(tmp_path / "profiles" / "work", name)
    assert loaded.profile is None
    assert "a profile" in loaded.problems[0].message


def test_profiles_are_found_by_their_folders(tmp_path: Path) -> None:
    for name in ("work", "v1", "Other", "empty", ".git", "_old"):
        (tmp_path / name).mkdir()
    for name in ("work", "v1", ".git", "_old"):
        (tmp_path / name / "routing.toml").touch()
    (tmp_path / "README.md").touch()
    assert find_profiles(tmp_path) == {name: tmp_path / name for name in ("empty", "v1", "work")}
    assert find_profiles(tmp_path / "gone") == {}


def test_the_hash_is_of_rules_concepts_and_script_and_not_of_keys(good: Good) -> None:
    text = '[routing]\nscript = "route.py"\n' + DEFAULT
    files = {"route.py": "def route(request, config): ...", "concepts/budget.md": "# Budget\nsynonyms:: cheap\n"}
    base = good(text, files).file_hash
    assert len(base) == 12
    assert good(text, files).file_hash == base
    assert good(text, {**files, ".env": "GROQ_API_KEY=secret"}).file_hash == base
    assert good(text + "# note\n", files).file_hash != base
    assert good(text, {**files, "route.py": "pass"}).file_hash != base
    assert good(text, {**files, "concepts/budget.md": "# Budget\nsynonyms:: low cost\n"}).file_hash != base


def test_concepts_become_words_and_routes(good: Good) -> None:
    profile = good(
        '[[rule]]\nmatch = { concept = "budget" }\nto = "groq"\n[routing]\nconcepts = "before-rules"\n',
        {
            "concepts/budget.md": "# Budget\nsynonyms:: low cost, cheap\n",
            "concepts/fast.md": "# Fast\nsynonyms:: quick\nroute:: groq, llama\nroute:: openai, gpt-x\n",
        },
    )
    (route,) = profile.routes.concept_routes
    assert (route.label, [str(t) for t in (*route.targets, *route.fallback)]) == (
        "concept:fast → groq",
        ["groq/llama", "openai/gpt-x"],
    )
    assert profile.routes.concepts_before_rules
    assert profile.routes.phrases is not None
    assert len(profile.routes.phrases.find("a cheap and quick one")) == 2


def test_a_concepts_problems_have_their_own_file_and_line(load: Load) -> None:
    loaded = load(DEFAULT, {"concepts/budget.md": "# Budget\nsynonyms:: cheap\nroute:: grok, x\npriority:: high\n"})
    said = [str(problem) for problem in loaded.errors]
    assert said[0].startswith(
        'profiles/work/concepts/budget.md:3: route:: unknown provider "grok"; did you mean "groq"?'
    )
    assert said[1].startswith("profiles/work/concepts/budget.md:4: priority:: expected a whole number from 0 to 100")


def test_a_concept_whose_name_could_garble_a_log_is_refused(load: Load) -> None:
    loaded = load(DEFAULT, {"concepts/a\nb.md": "synonyms:: x\n", "concepts/\udcff.md": "synonyms:: x\n"})
    assert [problem.message for problem in loaded.errors] == [
        "a file's name isn't ordinary text: 'a\\nb.md'",
        "a file's name isn't ordinary text: '\\udcff.md'",
    ]


def test_a_concepts_folder_that_cannot_be_read_is_told(load: Load, tmp_path: Path) -> None:
    load(DEFAULT)
    (tmp_path / "profiles/work/concepts").symlink_to("concepts")
    assert [str(problem) for problem in load(DEFAULT).errors] == ["profiles/work/concepts: can't be read"]


def test_the_script_must_be_ones_own(load: Load, tmp_path: Path) -> None:
    text = '[routing]\nscript = "route.py"\n'
    assert [str(problem) for problem in load(text).errors] == [
        "profiles/work/routing.toml:2: routing.script: route.py does not exist"
    ]
    script = tmp_path / "profiles/work/route.py"
    script.write_text("")
    script.chmod(0o666)
    assert "route.py can be written by other users (mode 0666): run chmod go-w route.py" in str(load(text).errors[0])
    script.chmod(0o644)
    profile = load(text).profile
    assert profile is not None
    assert profile.script == script


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_script_of_another_user_is_refused(load: Load, tmp_path: Path) -> None:
    text = '[routing]\nscript = "route.py"\n'
    load(text, {"route.py": ""})
    os.chown(tmp_path / "profiles/work/route.py", 12345, 12345)
    assert "belongs to another user" in str(load(text).errors[0])


@pytest.mark.parametrize("name", ["/etc/route.py", "../route.py", "sub/route.py", "route", ".route.py"])
def test_a_script_is_a_file_of_the_profiles_folder(name: str, load: Load) -> None:
    assert "expected a file of the profile's own folder" in str(load(f'[routing]\nscript = "{name}"\n').errors[0])


def test_the_dotenv_is_read_and_must_be_private(load: Load, tmp_path: Path) -> None:
    loaded = load(DEFAULT, {".env": "GROQ_API_KEY = 'abc' # mine\nnonsense\n"})
    assert loaded.profile is not None
    assert loaded.profile.dotenv == {"GROQ_API_KEY": "abc"}
    assert [str(problem) for problem in loaded.problems] == ["profiles/work/.env:2: expected NAME=value"]
    (tmp_path / "profiles/work/.env").chmod(0o640)
    loaded = load_folder(tmp_path / "profiles/work")
    assert loaded.profile is not None
    assert str(loaded.warnings[0]) == "profiles/work/.env: can be read by other users (mode 0640): run chmod 600 .env"
    assert loaded.profile.warnings == loaded.warnings


def test_no_message_and_no_repr_holds_a_value_of_the_dotenv(load: Load) -> None:
    loaded = load(DEFAULT, {".env": "A='topsecret\nB=topsecret\n topsecret=1 2\ntopsecret\n"})
    assert loaded.profile is not None
    assert "topsecret" not in repr(loaded)


def test_a_script_is_told_names_only(good: Good) -> None:
    profile = good(DEFAULT + '[aliases]\nfast = "groq/x"\n[providers.groq]\napi-key = "env:K"\n')
    assert profile.script_config["default"] == "groq/x"
    assert profile.script_config["aliases"] == {"fast": "groq/x"}
    assert "env:K" not in str(profile.script_config)
