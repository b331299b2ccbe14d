"""References to keys: which are accepted, how each kind is followed, and what is said when there is no key."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend

from router.errors import CredentialMissing, RouterError
from router.providers import sources
from router.providers.credentials import Credentials, CredentialSpec, looks_like_key

KEY = "sk-ant-api03-Q0FOQVJZ-7f3d9b52e1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def spec(text: str) -> CredentialSpec:
    return CredentialSpec.parse(text)


async def missing(credentials: Credentials, text: str) -> str:
    with pytest.raises(CredentialMissing) as caught:
        await credentials.resolve(spec(text))
    return str(caught.value)


# Reading references


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        pytest.param("env:ANTHROPIC_API_KEY", "env", "ANTHROPIC_API_KEY", id="a variable"),
        pytest.param("file:/run/keys/anthropic", "file", "/run/keys/anthropic", id="a file"),
        pytest.param("file:~/keys/my key", "file", "~/keys/my key", id="a file in the home, with a space"),
        pytest.param("keyring:router/anthropic", "keyring", "router/anthropic", id="a keyring entry"),
        pytest.param(
            "keyring:https://x.example/a/me", "keyring", "https://x.example/a/me", id="a service with slashes"
        ),
        pytest.param("command:op read op://work/key", "command", "op read op://work/key", id="a command"),
        pytest.param("passthrough", "passthrough", "", id="the client's own credential"),
        pytest.param("none", "none", "", id="no key"),
    ],
)
def test_a_reference_is_read_and_shown_as_written(text: str, kind: str, value: str) -> None:
    read = spec(text)
    assert (read.kind, read.value, str(read)) == (kind, value, text)
    assert spec(f"  {text} ") == read
    assert read.has_key == (kind not in ("passthrough", "none"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(KEY, '"env:NAME"', id="a key"),
        pytest.param("gsk_abcDEF0123456789abcDEF", '"env:NAME"', id="another vendor's key"),
        pytest.param(f"Bearer {KEY}", '"env:NAME"', id="a whole header"),
        pytest.param(f"env:{KEY}", '"env:NAME"', id="a key with env: before it"),
        pytest.param("env:gsk_abcDEF0123456789abcDEF", '"env:NAME"', id="a key that could be a variable's name"),
        pytest.param(f"enviroment:{KEY}", '"env:NAME"', id="a misspelt kind"),
        pytest.param("ANTHROPIC_API_KEY", 'write "env:" before it', id="a variable without env:"),
        pytest.param("env:", "environment variable", id="no variable"),
        pytest.param("env:MY KEY", "environment variable", id="a variable with a space"),
        pytest.param("file:keys/anthropic", "absolute path", id="a relative path"),
        pytest.param(f"file:{KEY}", "absolute path", id="a key with file: before it"),
        pytest.param("file:~root/key", "absolute path", id="another user's home"),
        pytest.param("keyring:router", "keyring:SERVICE/USER", id="a keyring entry without a user"),
        pytest.param(f"keyring:router/{KEY}", "keyring:SERVICE/USER", id="a key as the keyring's user"),
        pytest.param("command:", "a program and its arguments", id="no command"),
        pytest.param('command:op read "op://work', "unclosed quote", id="an unclosed quote"),
        pytest.param(f"command:echo {KEY}", "seen by every user", id="a key on a command line"),
        pytest.param("passthrough:x", '"env:NAME"', id="passthrough with something behind it"),
        pytest.param("", '"env:NAME"', id="nothing"),
    ],
)
def test_anything_else_is_refused_with_the_way_to_do_it_and_never_repeated(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        spec(text)
    assert told in str(caught.value)
    for secret in (KEY, "gsk_abcDEF0123456789abcDEF"):
        assert secret not in str(caught.value)


@given(
    st.sampled_from(["", "env:", "file:", "keyring:", "command:", "none:", "key:"]),
    st.text(alphabet=st.characters(codec="utf-8"), min_size=12, max_size=40),
)
def test_a_text_is_read_back_as_it_is_shown_or_refused_without_being_repeated(kind: str, text: str) -> None:
    refusal = ""
    try:
        read = spec(kind + text)
    except ValueError as error:
        refusal = str(error)
    else:
        assert spec(str(read)) == read
    assert not text.strip() or text.strip() not in refusal


@pytest.mark.parametrize(
    ("text", "is_key"),
    [
        pytest.param("sk-proj-abcdefgh12345678", True, id="OpenAI"),
        pytest.param(KEY, True, id="Anthropic"),
        pytest.param("AIzaSyA1234567890abcdefg", True, id="Google"),
        pytest.param("rk_abcdefgh12345678", True, id="ours"),
        pytest.param("ANTHROPIC_API_KEY", False, id="a variable's name"),
        pytest.param("HF_TOKEN_2", False, id="a variable's name with a vendor's letters"),
        pytest.param("op://work/anthropic/key1", False, id="a password manager's reference"),
        pytest.param("sk-short", False, id="too short"),
    ],
)
def test_the_shape_of_a_key(text: str, is_key: bool) -> None:
    assert looks_like_key(text) is is_key


# Variables


@pytest.mark.parametrize(
    ("environ", "dotenv", "found"),
    [
        pytest.param({"K": "server"}, {"K": "profile"}, "server", id="the server's environment comes first"),
        pytest.param({}, {"K": "profile"}, "profile", id="the profile's .env where the server lacks it"),
        pytest.param({"K": ""}, {"K": "profile"}, "profile", id="an empty variable counts as lacking"),
        pytest.param({"K": " server\n"}, {}, "server", id="space around a key is dropped"),
    ],
)
async def test_a_variable_is_looked_up(environ: dict[str, str], dotenv: dict[str, str], found: str) -> None:
    credentials = Credentials(environ, dotenv)
    assert (await credentials.resolve(spec("env:K"))).reveal() == found
    assert credentials.available(spec("env:K")) is True


async def test_a_missing_variable_is_named_with_what_to_do() -> None:
    credentials = Credentials({}, {})
    assert credentials.available(spec("env:GROQ_API_KEY")) is False
    text = await missing(credentials, "env:GROQ_API_KEY")
    assert "GROQ_API_KEY is not set" in text
    assert ".env" in text
    assert credentials.why_missing(spec("env:GROQ_API_KEY")) == text


async def test_a_changed_variable_is_seen_and_an_unchanged_one_costs_no_new_secret() -> None:
    environ = {"K": "first-key"}
    credentials = Credentials(environ)
    first = await credentials.resolve(spec("env:K"))
    assert await credentials.resolve(spec("env:K")) is first
    environ["K"] = "second-key"
    assert (await credentials.resolve(spec("env:K"))).reveal() == "second-key"


async def test_profiles_share_a_memory_but_not_their_env_files() -> None:
    server = Credentials({})
    one = server.for_profile({"K": "key-of-one"}, allow_commands=False)
    two = server.for_profile({"K": "key-of-two"}, allow_commands=False)
    assert (await one.resolve(spec("env:K"))).reveal() == "key-of-one"
    assert (await two.resolve(spec("env:K"))).reveal() == "key-of-two"
    assert (await one.resolve(spec("env:K"))).reveal() == "key-of-one"
    assert await missing(server.for_profile({}, allow_commands=False), "env:K")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param(f"{KEY}\r\nx-evil: 1", "more than one line", id="a line break that would add a header"),
        pytest.param(f"Bearer {KEY}", "a space", id="the word Bearer"),
        pytest.param(f"{KEY}\x00", "control", id="a NUL"),
        pytest.param(f"{KEY}\x7f", "control", id="a DEL"),
        pytest.param(f"\u201c{KEY}\u201d", "non-ASCII", id="typographic quotes"),
        pytest.param("   ", "empty", id="only space"),
        pytest.param("x" * 20_000, "longer than", id="too long"),
    ],
)
async def test_what_cannot_stand_in_a_header_is_no_key(value: str, told: str) -> None:
    text = await missing(Credentials({"K": value}), "env:K")
    assert told in text
    assert "variable K" in text
    assert KEY not in text


# Files


def key_file(tmp_path: Path, text: str = f"{KEY}\n", mode: int = 0o600) -> Path:
    path = tmp_path / "key"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


async def test_a_file_is_read_stripped(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"\ufeff  {KEY}\r\n")
    credentials = Credentials({})
    assert (await credentials.resolve(spec(f"file:{path}"))).reveal() == KEY
    assert credentials.available(spec(f"file:{path}")) is True


async def test_a_file_in_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (await Credentials({}).resolve(spec("file:~/key"))).reveal() == KEY


async def test_a_file_is_read_again_when_it_changed_and_only_then(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    credentials = Credentials({})
    first = await credentials.resolve(spec(f"file:{path}"))
    assert await credentials.resolve(spec(f"file:{path}")) is first
    path.write_text("another-key\n")
    os.utime(path, ns=(1, 1))
    assert (await credentials.resolve(spec(f"file:{path}"))).reveal() == "another-key"


async def test_a_file_opened_to_others_is_refused_even_after_it_was_read(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    credentials = Credentials({})
    await credentials.resolve(spec(f"file:{path}"))
    path.chmod(0o644)
    assert "chmod 600" in await missing(credentials, f"file:{path}")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
async def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    text = await missing(Credentials({}), f"file:{key_file(tmp_path, mode=mode)}")
    assert f"mode {mode:04o}" in text
    assert "chmod 600" in text


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
async def test_a_file_of_ones_own_is_taken(tmp_path: Path, mode: int) -> None:
    assert await Credentials({}).resolve(spec(f"file:{key_file(tmp_path, mode=mode)}"))


def _link(tmp_path: Path) -> Path:
    link = tmp_path / "link"
    link.symlink_to(key_file(tmp_path))
    return link


def _fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo", 0o600)
    return tmp_path / "fifo"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(lambda tmp: tmp / "absent", "does not exist", id="an absent file"),
        pytest.param(lambda tmp: key_file(tmp) / "below", "does not exist", id="a path through a file"),
        pytest.param(lambda tmp: tmp, "not a regular file", id="a directory"),
        pytest.param(_link, "symbolic link", id="a symbolic link"),
        pytest.param(_fifo, "not a regular file", id="a pipe nobody writes to"),
        pytest.param(lambda tmp: key_file(tmp, ""), "is empty", id="an empty file"),
        pytest.param(lambda tmp: key_file(tmp, "k" * 17_000), "longer than", id="a file too large for a key"),
        pytest.param(lambda tmp: key_file(tmp, f"{KEY}\n{KEY}\n"), "more than one line", id="a file with two keys"),
    ],
)
async def test_an_unusable_file_is_named_with_the_reason(
    tmp_path: Path, make: Callable[[Path], Path], told: str
) -> None:
    path = make(tmp_path)
    text = await missing(Credentials({}), f"file:{path}")
    assert told in text
    assert str(path) in text
    assert KEY not in text
    assert Credentials({}).available(spec(f"file:{path}")) is False


async def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = key_file(tmp_path)
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    assert "another user" in await missing(Credentials({}), f"file:{path}")


# Commands


def script(tmp_path: Path, body: str) -> str:
    """A reference to a program that counts its runs in the file "runs"."""
    path = tmp_path / "program.py"
    path.write_text(f"open({str(tmp_path / 'runs')!r}, 'a').write('.')\n{body}\n")
    return f"command:{sys.executable} -S {path}"


async def until(done: Callable[[], bool]) -> None:
    """Waits for another process, which can only be looked at; pytest's time limit ends a wait in vain."""
    while not done():
        await asyncio.sleep(0.01)


def runs(tmp_path: Path) -> int:
    path = tmp_path / "runs"
    return len(path.read_text()) if path.exists() else 0


async def test_a_commands_output_is_kept_for_five_minutes(tmp_path: Path) -> None:
    clock = Clock()
    credentials = Credentials({}, allow_commands=True, clock=clock)
    reference = spec(script(tmp_path, f"print({KEY!r})"))
    assert credentials.available(reference) is None
    assert (await credentials.resolve(reference)).reveal() == KEY
    assert credentials.available(reference) is True
    clock.now += 299
    await credentials.resolve(reference)
    assert runs(tmp_path) == 1
    clock.now += 2
    await credentials.resolve(reference)
    assert runs(tmp_path) == 2


async def test_many_requests_run_a_command_once(tmp_path: Path) -> None:
    credentials = Credentials({}, allow_commands=True)
    reference = spec(script(tmp_path, f"print({KEY!r})"))
    secrets = await asyncio.gather(*(credentials.resolve(reference) for _ in range(20)))
    assert {secret.reveal() for secret in secrets} == {KEY}
    assert runs(tmp_path) == 1


async def test_a_forgotten_key_is_asked_for_again(tmp_path: Path) -> None:
    credentials = Credentials({}, allow_commands=True)
    reference = spec(script(tmp_path, f"print({KEY!r})"))
    await credentials.resolve(reference)
    credentials.forget(reference)
    await credentials.resolve(reference)
    assert runs(tmp_path) == 2


async def test_a_command_is_run_without_a_shell_and_with_the_servers_environment(tmp_path: Path) -> None:
    body = "import os, sys; print(os.environ['FROM'] + '-' + '-'.join(sys.argv[1:]).replace(' ', '_'))"
    reference = spec(script(tmp_path, body) + " '$HOME' 'two words' ;ls")
    credentials = Credentials({"FROM": "server"}, allow_commands=True)
    assert (await credentials.resolve(reference)).reveal() == "server-$HOME-two_words-;ls"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(f"import sys; print({KEY!r}); sys.exit(3)", "ended with status 3", id="it fails"),
        pytest.param(f"import sys; print({KEY!r}, file=sys.stderr); sys.exit(1)", "by hand", id="it fails aloud"),
        pytest.param("", "is empty", id="it prints nothing"),
        pytest.param(f"print({KEY!r}); print({KEY!r})", "more than one line", id="it prints two lines"),
        pytest.param("print('k' * 100000)", "more than 16384 bytes", id="it prints a novel"),
        pytest.param("while True: print('k' * 100000)", "more than 16384 bytes", id="it never stops printing"),
        pytest.param("import sys; sys.stdout.buffer.write(b'\\xff' * 20)", "non-ASCII", id="it prints bytes"),
    ],
)
async def test_a_command_without_a_key_is_named_but_not_what_it_prints(tmp_path: Path, body: str, told: str) -> None:
    clock = Clock()
    credentials = Credentials({}, allow_commands=True, clock=clock)
    reference = script(tmp_path, body)
    text = await missing(credentials, reference)
    assert told in text
    assert "program.py" in text
    assert KEY not in text
    assert credentials.available(spec(reference)) is False
    clock.now += 14
    await missing(credentials, reference)
    assert runs(tmp_path) == 1, "a failure is remembered for a while"
    clock.now += 2
    assert credentials.available(spec(reference)) is None, "an old failure says nothing"
    await missing(credentials, reference)
    assert runs(tmp_path) == 2


@pytest.mark.slow
async def test_a_command_that_takes_too_long_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ANSWER_TIMEOUT_S", 1.0)
    pid_file = tmp_path / "pid"
    body = "import subprocess; child = subprocess.Popen(['sleep', '60'])\n"
    body += f"open({str(pid_file)!r}, 'w').write(str(child.pid)); child.wait()"
    text = await missing(Credentials(os.environ, allow_commands=True), script(tmp_path, body))
    assert "gave no key within" in text
    child = int(pid_file.read_text())
    await until(lambda: not _alive(child))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_cancelled_request_leaves_no_command_behind_and_others_can_ask(tmp_path: Path) -> None:
    go = tmp_path / "go"
    body = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint({KEY!r})"
    credentials = Credentials({}, allow_commands=True)
    reference = spec(script(tmp_path, body))
    first = asyncio.create_task(credentials.resolve(reference))
    await until(lambda: runs(tmp_path) > 0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.touch()
    assert (await credentials.resolve(reference)).reveal() == KEY


async def test_an_absent_program_is_named(tmp_path: Path) -> None:
    text = await missing(Credentials({}, allow_commands=True), f"command:{tmp_path}/absent --key")
    assert "can't be started" in text


async def test_settings_from_elsewhere_run_no_command_not_even_one_that_was_run_before(tmp_path: Path) -> None:
    home = Credentials({}, allow_commands=True)
    reference = spec(script(tmp_path, f"print({KEY!r})"))
    await home.resolve(reference)
    elsewhere = home.for_profile({}, allow_commands=False)
    assert elsewhere.available(reference) is False
    assert "home" in await missing(elsewhere, str(reference))
    assert runs(tmp_path) == 1


# The keyring


class FakeKeyring(KeyringBackend):
    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        self.asked = 0
        self.entries: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[(service, username)] = password

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.entries.get((service, username))


@pytest.fixture
def desktop() -> Iterator[FakeKeyring]:
    before = keyring.get_keyring()
    fake = FakeKeyring()
    keyring.set_keyring(fake)
    yield fake
    keyring.set_keyring(before)


async def test_a_keyring_entry_is_found_and_kept(desktop: FakeKeyring) -> None:
    desktop.set_password("https://router/x", "anthropic", KEY)
    credentials = Credentials({})
    reference = spec("keyring:https://router/x/anthropic")
    assert credentials.available(reference) is None
    assert (await credentials.resolve(reference)).reveal() == KEY
    await credentials.resolve(reference)
    assert desktop.asked == 1


async def test_an_absent_keyring_entry_is_named_with_what_to_do(desktop: FakeKeyring) -> None:
    assert "keyring set router groq" in await missing(Credentials({}), "keyring:router/groq")


async def test_a_keyring_that_fails_is_told_without_its_words(desktop: FakeKeyring) -> None:
    desktop.error = keyring.errors.KeyringLocked(f"the entry {KEY} is locked")
    text = await missing(Credentials({}), "keyring:router/groq")
    assert "KeyringLocked" in text
    assert KEY not in text


async def test_without_the_optional_package_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "optional package" in await missing(Credentials({}), "keyring:router/groq")


# The rest


@pytest.mark.parametrize("text", ["none", "passthrough"])
async def test_what_has_no_key_of_ours_is_always_there_and_never_resolved(text: str) -> None:
    credentials = Credentials({})
    assert credentials.available(spec(text)) is True
    with pytest.raises(ValueError, match="no key to resolve"):
        await credentials.resolve(spec(text))


def test_a_missing_key_is_one_of_the_routers_errors() -> None:
    assert issubclass(CredentialMissing, RouterError)
