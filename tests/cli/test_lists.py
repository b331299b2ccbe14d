"""``providers``, ``models``, ``prices`` and ``key``."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from router.errors import RouterError
from router.ledger.lock import HomeLock
from router.ledger.store import Ledger
from router.profile.home import Home
from router.server.admin import AdminClient
from router.server.admission import hash_key


def found(run: Any, *arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


# --- providers ----------------------------------------------------------------------------------------------------


def test_providers_are_listed_with_their_formats_and_keys(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-shown")
    result = run("providers")
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "ANTHROPIC_API_KEY: missing" in lines["anthropic"]
    assert "OPENAI_API_KEY: set" in lines["openai"]
    assert "openai-responses openai-chat" in lines["openai"]
    assert "none needed" in lines["demo"]
    assert "not-to-be-shown" not in result.output


def test_one_provider_is_shown_with_all_its_addresses(run: Any) -> None:
    shown = run("providers", "openai").stdout
    assert "openai-responses  https://api.openai.com/v1 (bearer)" in shown
    assert "router models openai" in shown
    assert 'did you mean "openai"?' in run("providers", "opena").stderr


def test_a_profiles_own_settings_and_env_file_count(run: Any, home: Home) -> None:
    folder = home.profiles / "work"
    (folder / "routing.toml").write_text(
        '[providers.lab]\nformats = ["openai-chat"]\nbase-url = "http://127.0.0.1:9000/v1"\napi-key = "env:LAB_KEY"\n'
        '[default]\nto = "lab"\n'
    )
    (folder / ".env").write_text("LAB_KEY=secret-value\n")
    (folder / ".env").chmod(0o600)
    lab = next(each for each in found(run, "providers", "--profile", "work")["providers"] if each["provider"] == "lab")
    assert lab["urls"] == {"openai-chat": "http://127.0.0.1:9000/v1"}
    assert lab["keys"] == [{"source": "env:LAB_KEY", "available": True, "in_server": None}]
    assert lab["key_available"] is True


def test_a_key_that_the_running_server_lacks_is_told(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def status(self: AdminClient, method: str, path: str, body: object = None) -> dict[str, Any]:
        return {"profiles": [{"profile": "work", "variables": ["OPENAI_API_KEY"]}]}

    monkeypatch.setattr(AdminClient, "call", status)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("GROQ_API_KEY", "x")
    text = run("providers").stdout
    assert "GROQ_API_KEY: set, not in the server" in text
    assert "OPENAI_API_KEY: set  " in text


# --- models and prices --------------------------------------------------------------------------------------------


def test_models_have_windows_and_prices_per_million_tokens(run: Any) -> None:
    models = {model["target"]: model for model in found(run, "models", "anthropic")["models"]}
    sonnet = models["anthropic/claude-sonnet-4-5"]
    assert sonnet["usd_per_million"]["input"] == 3.0
    assert sonnet["context"] >= 200_000
    line = next(line for line in run("models", "anthropic").stdout.splitlines() if " claude-sonnet-4-5 " in line)
    assert line.split()[3:] == ["3", "15", "0.3", "3.75"]


@pytest.mark.slow
def test_free_models_are_known_to_be_free_and_not_just_unpriced(run: Any) -> None:
    free = found(run, "models", "--free")["models"]
    assert free
    for model in free:
        price = model["usd_per_million"]
        assert model["billing"] == "free" or (price["input"], price["output"]) == (0, 0)


def test_models_of_a_profile_have_its_prices_and_abilities(run: Any, home: Home) -> None:
    (home.profiles / "work" / "routing.toml").write_text(
        '[default]\nto = "groq"\n[prices."groq/my-model"]\ninput = 0.5\noutput = 1.25\n'
        '[models."groq/my-model"]\ncontext = 8000\ntools = false\n'
    )
    mine = found(run, "models", "groq", "--profile", "work", "--search", "MY-MODEL")["models"]
    assert [(m["model"], m["context"], m["tools"], m["usd_per_million"]["output"]) for m in mine] == [
        ("my-model", 8000, False, 1.25)
    ]
    assert found(run, "models", "groq", "--profile", "work", "--search", "my-model", "--tools")["models"] == []
    assert found(run, "prices")["overrides"][0]["target"] == "groq/my-model"
    assert "profile work" in run("prices", "groq/my-model").stdout


def test_the_price_table_tells_its_version_and_age(run: Any) -> None:
    table = found(run, "prices")
    assert table["version"].startswith("genai-prices ")
    assert table["models"] > 1000
    assert f"({table['date']}" not in run("prices").stdout
    assert table["date"] in run("prices").stdout


def test_one_models_prices_have_tiers_and_variants(run: Any) -> None:
    prices = found(run, "prices", "anthropic/claude-sonnet-4-5")
    assert prices["usd_per_million"]["output"] == 15.0
    assert prices["usd_per_million"]["cache_write_1h"] == 6.0
    text = run("prices", "anthropic/claude-sonnet-4-5").stdout
    assert text.splitlines()[0].split() == "USD PER MILLION INPUT OUTPUT READ WRITE WRITE 1H".split()


def test_a_service_class_has_tiers_of_its_own(run: Any) -> None:
    flex = next(each for each in found(run, "prices", "openai/gpt-5.4")["variants"] if "flex" in each["when"].values())
    assert [tier["usd_per_million"]["output"] for tier in flex["tiers"]] == [11.25]
    text = run("prices", "openai/gpt-5.4").stdout
    assert "service tier flex, over 272K input" in text
    assert "service tier priority, over" not in text, "it has one price for all lengths"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nonsense", "no provider/model"),
        ("anthropc/x", 'did you mean "anthropic"?'),
        ("groq/none", "no price is known"),
    ],
)
def test_a_model_without_a_price_says_what_to_do(run: Any, model: str, said: str) -> None:
    result = run("prices", model)
    assert result.exit_code == 2
    assert said in result.stderr


# --- key ----------------------------------------------------------------------------------------------------------


def kept(home: Home) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(home.database)
    try:
        return connection.execute(
            "SELECT profile, name, hash, tail, revoked_ms, daily_usd, monthly_usd FROM keys"
        ).fetchall()
    finally:
        connection.close()


def test_a_key_is_shown_once_and_kept_as_its_hash(run: Any, home: Home) -> None:
    result = run("key", "create", "work", "--name", "alice", "--daily-usd", "5", "--monthly-usd", "20.5")
    key = result.stdout.strip()
    assert key.startswith("rk_")
    assert len(key) >= 3 + 27  # 160 bits and more
    assert kept(home) == [("work", "alice", hash_key(key), key[-4:], None, 5.0, 20.5)]
    assert hash_key(key) == hashlib.sha256(key.encode()).hexdigest()
    listed = run("key", "list").output
    assert key not in listed
    assert f"rk_…{key[-4:]}" in listed
    assert "$5.00" in listed
    assert "$20.50" in listed
    assert key.encode() not in home.database.read_bytes()


def test_a_key_can_be_revoked_once(run: Any, home: Home) -> None:
    made = found(run, "key", "create", "work", "--name", "ci")
    assert made.keys() == {"id", "key", "profile", "name"}
    assert run("key", "revoke", made["id"]).exit_code == 0
    assert kept(home)[0][4] is not None
    again = run("key", "revoke", made["id"])
    assert again.exit_code == 2
    assert "see `router key list`" in again.stderr
    assert run("key", "create", "work", "--name", "ci").exit_code == 0, "a revoked key's name is free again"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wrk", "--name", "a"), 'did you mean "work"?'),
        (("work",), "Missing option '--name'"),
        (("work", "--name", " "), "printable"),
        (("work", "--name", "a", "--daily-usd", "-1"), "-1"),
    ],
)
def test_a_wrong_key_is_not_made(run: Any, home: Home, arguments: tuple[str, ...], said: str) -> None:
    result = run("key", "create", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_two_keys_of_a_profile_have_two_names(run: Any) -> None:
    run("key", "create", "work", "--name", "alice")
    result = run("key", "create", "work", "--name", "alice")
    assert result.exit_code == 2
    assert "has a key named alice already" in result.stderr


def test_a_home_in_use_by_a_server_that_does_not_answer_is_status_4(run: Any, home: Home) -> None:
    with HomeLock(home.lock):
        assert run("key", "create", "work", "--name", "alice").exit_code == 4


def test_a_running_server_is_asked_to_make_the_key(run: Any, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str, object]] = []

    def call(
        self: AdminClient, method: str, path: str, body: object = None, *, timeout_s: float = 10.0
    ) -> dict[str, Any]:
        calls.append((method, path, body))
        if body == {"profile": "gone", "name": "alice", "daily_usd": None, "monthly_usd": None}:
            raise RouterError("no profile is served under /gone")
        return {"id": "1234", "key": "rk_made"}

    home.socket.touch()
    monkeypatch.setattr(AdminClient, "call", call)
    limits = ("--daily-usd", "5", "--monthly-usd", "20")
    assert run("key", "create", "work", "--name", "alice", *limits).stdout == "rk_made\n"
    assert calls[-1] == ("POST", "/keys", {"profile": "work", "name": "alice", "daily_usd": 5.0, "monthly_usd": 20.0})
    assert run("key", "create", "gone", "--name", "alice").exit_code == 1


def test_a_running_server_is_told_of_a_revoked_key(run: Any, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    made = found(run, "key", "create", "work", "--name", "alice")
    calls: list[tuple[str, str]] = []

    def call(
        self: AdminClient, method: str, path: str, body: object = None, *, timeout_s: float = 10.0
    ) -> dict[str, Any]:
        calls.append((method, path))
        return {}

    home.socket.touch()
    monkeypatch.setattr(AdminClient, "call", call)
    assert run("key", "revoke", made["id"]).exit_code == 0
    assert calls[-1] == ("DELETE", f"/keys/{made['id']}")


def test_the_ledger_is_made_if_there_is_none(run: Any, home: Home) -> None:
    run("key", "create", "work", "--name", "alice")

    async def reopen(path: Path) -> None:
        await (await Ledger.open(path)).close()

    asyncio.run(reopen(home.database))
