from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from router.errors import ConfigError
from router.profile.home import Home, HomeSettings

FULL = """
[server]
host = "0.0.0.0"
port = 9090
port-range = "9100-9199"
hosts = ["router.lan", "10.0.0.5"]
origins = ["https://tools.example.org"]
default-profile = "work"
max-body = "20MB"
stop-grace = "0s"
restart-grace = "1m"
tls-cert = "/etc/tls/cert.pem"
tls-key = "~/key.pem"
metrics-key = "env:METRICS_KEY"
[network]
proxy = "http://127.0.0.1:3128"
ca-file = "/etc/ca.pem"
[[helper]]
name = "later"
command = ["later"]
order = 2
enabled = false
[[helper]]
name = "headroom"
command = ["headroom", "proxy", "--port", "8787"]
stop-command = ["headroom", "stop"]
port = 8787
health-path = "/health"
order = 1
timeout = "30s"
env = { LEVEL = "info" }
restart = "never"
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "deep" / "home")
    home.create()
    return home


def test_the_home_is_made_for_its_user_alone(home: Home) -> None:
    for folder in (home.path, home.profiles, home.logs):
        assert folder.stat().st_mode & 0o777 == 0o700
    home.create()


def test_its_files_have_their_names(home: Home) -> None:
    names = [path.name for path in (home.database, home.socket, home.pid_file, home.lock)]
    assert names == ["router.db", "router.sock", "router.pid", "router.lock"]
    assert home.profile("work") == home.path / "profiles" / "work"


@pytest.mark.parametrize("name", ["..", "a/b", "v1", ""])
def test_a_name_never_becomes_another_path(name: str, home: Home) -> None:
    with pytest.raises(ConfigError):
        home.profile(name)


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be made"):
        Home(tmp_path / "file" / "home").create()


def test_without_files_everything_has_its_default(home: Home) -> None:
    assert home.settings() == (HomeSettings(), ())
    providers, problems = home.catalog()
    assert "anthropic" in providers
    assert problems == ()
    assert home.problems() == ()


def test_every_setting_arrives(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    home.server_file.write_text(FULL)
    settings, problems = home.settings()
    assert problems == ()
    assert (settings.host, settings.port, settings.port_range) == ("0.0.0.0", 9090, (9100, 9199))
    assert settings.hosts == ("router.lan", "10.0.0.5")
    assert settings.origins == ("https://tools.example.org",)
    assert (settings.default_profile, settings.max_body) == ("work", 20_000_000)
    assert (settings.stop_grace_s, settings.restart_grace_s) == (0.0, 60.0)
    assert (settings.tls_cert, settings.tls_key) == (Path("/etc/tls/cert.pem"), Path("/home/me/key.pem"))
    assert (str(settings.metrics_key), settings.proxy) == ("env:METRICS_KEY", "http://127.0.0.1:3128")
    assert [helper.name for helper in settings.helpers] == ["headroom", "later"]
    headroom = settings.helpers[0]
    assert (headroom.command[0], headroom.port, headroom.timeout_s, headroom.restart) == (
        "headroom", 8787, 30.0, "never",
    )  # fmt: skip
    assert headroom.env == {"LEVEL": "info"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[servr]\n", 'router.toml:1: servr: unknown key; did you mean "server"?', id="an unknown table"),
        pytest.param('[server]\nhost = "http://x"\n', "router.toml:2: server.host: expected an address", id="host"),
        pytest.param("[server]\nport = 65536\n", "from 0 to 65535", id="port"),
        pytest.param('[server]\nport-range = "9000-8000"\n', "expected two ports", id="port-range"),
        pytest.param('[server]\nhosts = ["a:80/x"]\n', "without scheme and port", id="hosts"),
        pytest.param('[server]\norigins = "https://x/y"\n', "expected an origin", id="origins"),
        pytest.param('[server]\norigins = "null"\n', "expected an origin", id="an origin that is none"),
        pytest.param('[server]\ndefault-profile = "v1"\n', "a path of the server itself", id="default-profile"),
        pytest.param('[server]\nmax-body = "20 megs"\n', 'a size such as "32MiB"', id="max-body"),
        pytest.param("[server]\nstop-grace = 5\n", "expected a duration", id="stop-grace"),
        pytest.param('[server]\nrestart-grace = "x"\n', "expected a duration", id="restart-grace"),
        pytest.param('[server]\ntls-cert = "cert.pem"\n', "expected an absolute path", id="tls-cert"),
        pytest.param('[server]\ntls-key = "/k.pem"\n', "needs tls-cert beside it", id="tls-key"),
        pytest.param('[server]\nmetrics-key = "abc"\n', "expected a reference to a key", id="metrics-key"),
        pytest.param('[network]\nproxy = "proxy:3128"\n', "network.proxy: expected a URL", id="proxy"),
        pytest.param('[network]\nproxy = "http://h:x/"\n', "network.proxy: expected a URL", id="a proxy's port"),
        pytest.param('[network]\nca-file = "ca.pem"\n', "expected an absolute path", id="ca-file"),
        pytest.param("[helper]\n", "expected [[helper]] tables, got a table", id="one helper"),
        pytest.param('[[helper]]\ncommand = ["a"]\n', "helper[0]: has no name", id="a helper without name"),
        pytest.param('[[helper]]\nname = "a"\n', "helper[0]: has no command", id="a helper without command"),
        pytest.param('[[helper]]\nname = "a"\ncommand = "a b"\n', "expected a list such as", id="a command line"),
        pytest.param('[[helper]]\nname = "A"\ncommand = ["a"]\n', "lower-case letters", id="a helper's name"),
        pytest.param('[[helper]]\nname = "a"\ncommand = ["a"]\nport = 0\n', "from 1 to 65535", id="a helper's port"),
        pytest.param('[[helper]]\nname = "a"\ncommand = ["a"]\nhealth-path = "x"\n', "a path such as", id="health"),
        pytest.param('[[helper]]\nname = "a"\ncommand = ["a"]\nenv = { A = 1 }\n', "helper[0].env.A", id="env"),
        pytest.param('[[helper]]\nname = "a"\ncommand = ["a"]\nrestart = "on"\n', '"always" or "never"', id="restart"),
        pytest.param('[[helper]]\nname = "a"\ncommand = ["a"]\n' * 2, '"a" is already another', id="a name twice"),
        pytest.param("[server\n", "router.toml:1: not valid TOML", id="no TOML"),
    ],
)
def test_a_wrong_setting_is_told_and_the_defaults_stay(text: str, said: str, home: Home) -> None:
    home.server_file.write_text(text)
    settings, problems = home.settings()
    assert settings == HomeSettings()
    assert any(said in str(problem) for problem in problems), problems


def test_a_password_in_a_proxys_url_is_not_repeated(home: Home) -> None:
    home.server_file.write_text('[network]\nproxy = "socks://me:secret@h"\n')
    assert "secret" not in str(home.settings()[1][0])


def test_providers_go_over_the_shipped_ones(home: Home) -> None:
    home.providers_file.write_text(
        '[lab]\nformats = ["openai-chat"]\nbase-url = "http://127.0.0.1:9000/v1"\n[groq]\napi-key = "env:MY_GROQ"\n'
    )
    providers, problems = home.catalog()
    assert problems == ()
    assert providers["lab"].base_urls == {"openai-chat": "http://127.0.0.1:9000/v1"}
    assert [str(spec) for spec in providers["groq"].credentials] == ["env:MY_GROQ"]


def test_wrong_providers_are_told_and_the_shipped_ones_stay(home: Home) -> None:
    home.providers_file.write_text('[lab]\nformats = ["openai-chat"]\nbaseurl = "x"\n')
    providers, problems = home.catalog()
    assert "lab" not in providers
    assert str(problems[0]).startswith("providers.toml:3: lab.baseurl: unknown key")


@pytest.mark.timeout(20)
def test_a_settings_file_that_is_no_file_is_told(home: Home) -> None:
    os.mkfifo(home.server_file)
    assert [str(problem) for problem in home.settings()[1]] == ["router.toml: is not a regular file"]


def test_every_setting_has_an_effect(home: Home) -> None:
    home.server_file.write_text(FULL)
    assert home.problems() == ()


def test_a_home_open_to_others_is_warned_of(home: Home) -> None:
    home.path.chmod(0o755)
    (problem,) = home.problems()
    assert problem.severity == "warning"
    assert "chmod 700" in problem.message


# --- prices.json ------------------------------------------------------------------------------------------------------


def prices(version: str, day: str = "2026-11-20") -> str:
    models = [{"id": "claude-haiku-4-5", "prices": {"input": 7_000_000, "output": 8_000_000}}]
    providers = {"anthropic": {"name": "Anthropic", "also": [], "models": models}}
    return json.dumps({"source": "genai-prices", "version": version, "date": day, "providers": providers})


def test_without_a_file_the_shipped_prices_hold(home: Home) -> None:
    table, problems = home.prices()
    assert table.shipped
    assert problems == ()


def test_newer_prices_hold_instead_of_the_shipped_ones(home: Home) -> None:
    home.prices_file.write_text(prices("99.0"))
    table, problems = home.prices()
    assert (table.version, table.shipped, problems) == ("genai-prices 99.0", False, ())
    rates = table.rates("anthropic", "claude-haiku-4-5")
    assert rates is not None
    assert (rates.input, rates.source) == (7_000_000, "genai-prices 99.0")
    assert home.problems() == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            prices("0.0.1"), "genai-prices 0.0.1 of 2026-11-20 is older than the shipped", id="an older table"
        ),
        pytest.param("{", "is no price table", id="a broken one"),
        pytest.param("", "is no price table", id="an empty file"),
    ],
)
def test_prices_that_cannot_be_used_are_told_and_the_shipped_ones_hold(home: Home, content: str, said: str) -> None:
    home.prices_file.write_text(content)
    table, (problem,) = home.prices()
    assert table.shipped
    assert problem.severity == "warning"
    assert str(problem).startswith(f"prices.json: {said}")
    assert "`router prices refresh --undo` removes it" in str(problem)
    assert home.problems() == (problem,)


def test_a_folder_in_the_place_of_the_prices_is_told(home: Home) -> None:
    home.prices_file.mkdir()
    _, (problem,) = home.prices()
    assert "is a directory" in str(problem)
