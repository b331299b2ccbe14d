"""How each agent is pointed at a profile: for one process, in its own settings; and where it goes by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from router.agents import claude_code, codex, gemini_cli, opencode, qwen_code
from router.agents.agent import Agent
from router.agents.agents import AGENTS, BY_NAME
from router.agents.pointing import ANY_KEY, FORMS, Address, AgentFile, Found, merged, parse

BASE = "http://127.0.0.1:8080/work"
OPEN = Address(BASE, folder="/home/me/.router/agents/work")
LOCKED = Address(BASE, "rk_secret", ("fast",), folder="/home/me/.router/agents/work")
OWN_LOGIN = Address(BASE, own_login={"anthropic-messages"}, folder="/x")
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "agents.md").read_text("utf-8")

ONE_PROCESS = [agent for agent in AGENTS if not agent.only_settings]
WITH_SETTINGS = [agent for agent in AGENTS if agent.settings(OPEN).changes]


def name(value: object) -> str | None:
    return value.name if isinstance(value, Agent) else None


@pytest.mark.parametrize("agent", ONE_PROCESS, ids=name)
def test_a_process_is_given_the_address_and_the_key_never_on_its_command_line(agent: Agent) -> None:
    told = agent.pointing(LOCKED)
    everything = [*told.environment.values(), *told.arguments, *told.files.values()]
    assert any(BASE in text for text in everything)
    assert any("rk_secret" in text for text in everything)
    assert not any("rk_secret" in text for text in told.arguments)
    assert not any("\n" in text for text in told.environment.values())


@pytest.mark.parametrize("agent", ONE_PROCESS, ids=name)
def test_without_a_key_an_agent_gets_a_word_it_can_send(agent: Agent) -> None:
    told = agent.pointing(OPEN)
    assert all(told.environment.values())
    assert any(ANY_KEY in text for text in told.environment.values())


@pytest.mark.parametrize("agent", ONE_PROCESS, ids=name)
def test_arguments_and_variables_name_the_files_that_are_written(agent: Agent) -> None:
    found = Found({}, {qwen_code._SETTINGS: {"modelProviders": {"openai": [{"id": "mine"}]}}})
    told = agent.pointing(OPEN, found)
    named = " ".join([*told.environment.values(), *told.arguments])
    assert [file for file in told.files if f"{OPEN.folder}/{file}" not in named] == []


@pytest.mark.parametrize("agent", WITH_SETTINGS, ids=name)
def test_an_agent_goes_where_its_settings_were_set_to(agent: Agent) -> None:
    contents: dict[AgentFile, Mapping[str, Any]] = {}
    for change in agent.settings(LOCKED).changes:
        text = ""
        for path, value in change.values.items():
            text = FORMS[change.file.form].set_value(text, path, value)
        contents[change.file] = parse(change.file, text)
        assert change.file in agent.files
    address = agent.address(Found({}, contents))
    assert address is not None
    assert address.startswith(BASE)
    assert "rk_secret" in str(contents)


@pytest.mark.parametrize("agent", [*ONE_PROCESS], ids=name)
def test_an_agent_that_nothing_points_anywhere_goes_to_its_vendor(agent: Agent) -> None:
    assert agent.address(Found()) is None


def test_claude_codes_settings_go_over_its_variables() -> None:
    told = BY_NAME["claude-code"].pointing(OPEN)
    (text,) = told.files.values()
    assert json.loads(text)["env"] == told.environment
    assert told.arguments == ("--settings", f"{OPEN.folder}/claude-code.json")
    user = {"env": {"ANTHROPIC_BASE_URL": "http://elsewhere"}}
    found = Found({"ANTHROPIC_BASE_URL": BASE}, {claude_code.USER: user})
    assert BY_NAME["claude-code"].address(found) == "http://elsewhere"


@pytest.mark.parametrize(
    ("to", "unset"),
    [(OPEN, ("ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK")), (OWN_LOGIN, ("CLAUDE_CODE_USE_BEDROCK",))],
)
def test_what_would_lead_claude_code_elsewhere_is_taken_away(to: Address, unset: tuple[str, ...]) -> None:
    variables = {"ANTHROPIC_API_KEY": "sk-ant-1", "CLAUDE_CODE_USE_BEDROCK": "1"}
    told = BY_NAME["claude-code"].pointing(to, Found(variables, {claude_code.USER: {"env": variables}}))
    assert told.unset == unset
    block = json.loads(told.files["claude-code.json"])["env"]
    assert {name for name, value in block.items() if value == ""} == set(unset)


def test_somebodys_own_log_in_stays_and_the_routers_key_goes_beside_it() -> None:
    told = BY_NAME["claude-code"].pointing(OWN_LOGIN)
    assert dict(told.environment) == {"ANTHROPIC_BASE_URL": BASE}
    locked = Address(BASE, "rk_secret", own_login={"anthropic-messages"}, folder="/x")
    found = Found({"ANTHROPIC_CUSTOM_HEADERS": "x-team: blue\nX-Router-Key: rk_old"})
    headers = BY_NAME["claude-code"].pointing(locked, found).environment["ANTHROPIC_CUSTOM_HEADERS"]
    assert headers == "x-team: blue\nx-router-key: rk_secret"


def test_a_key_of_ones_own_is_passed_on_where_the_profile_does_so() -> None:
    to = Address(BASE, own_login={"openai-chat"}, folder="/x")
    variables = BY_NAME["sdk"].pointing(to, Found({"OPENAI_API_KEY": "mine", "ANTHROPIC_API_KEY": "other"})).environment
    assert (variables["OPENAI_API_KEY"], variables["ANTHROPIC_API_KEY"]) == ("mine", ANY_KEY)


def test_openai_clients_get_a_version_and_anthropic_clients_none() -> None:
    variables = BY_NAME["sdk"].pointing(OPEN).environment
    assert variables["OPENAI_BASE_URL"] == variables["OPENAI_API_BASE"] == f"{BASE}/v1"
    assert variables["ANTHROPIC_BASE_URL"] == variables["ANTHROPIC_API_BASE"] == BASE


def test_codex_is_pointed_by_arguments() -> None:
    told = BY_NAME["codex"].pointing(LOCKED)
    assert f'base_url="{BASE}/v1"' in told.arguments[3]
    assert dict(told.environment) == {"ROUTER_CLIENT_KEY": "rk_secret"}


@pytest.mark.parametrize(
    ("config", "address"),
    [
        pytest.param(
            {"model_provider": "x", "model_providers": {"x": {"base_url": "http://x"}}}, "http://x", id="chosen"
        ),
        pytest.param({"model_providers": {"x": {"base_url": "http://x"}}}, None, id="not chosen"),
        pytest.param({"openai_base_url": "http://y"}, "http://y", id="the built-in provider's"),
        pytest.param({"model_provider": "x", "openai_base_url": "http://y"}, None, id="another's"),
    ],
)
def test_codex_goes_to_its_chosen_provider(config: dict[str, Any], address: str | None) -> None:
    assert BY_NAME["codex"].address(Found({}, {codex.CONFIG: config})) == address


def test_opencodes_variable_keeps_what_is_in_it() -> None:
    own = '{"model": "router/x", "provider": {"router": {"npm": "y"}, "openai": {"options": {"timeout": 9}}}} // mine'
    told = BY_NAME["opencode"].pointing(LOCKED, Found({"OPENCODE_CONFIG_CONTENT": own}))
    config = json.loads(told.environment["OPENCODE_CONFIG_CONTENT"])
    assert config["model"] == "router/x"
    assert config["provider"]["router"] == {"npm": "y"}
    assert config["provider"]["openai"]["options"] == {"timeout": 9, "baseURL": f"{BASE}/v1", "apiKey": "rk_secret"}
    assert config["provider"]["google"]["options"]["baseURL"] == f"{BASE}/v1beta"


def test_opencodes_file_with_comments_is_the_one_that_is_changed() -> None:
    (change,) = BY_NAME["opencode"].settings(OPEN, Found({}, {opencode._CONFIG_WITH_COMMENTS: {}})).changes
    assert change.file.path.endswith("opencode.jsonc")


def test_opencode_goes_where_the_provider_of_its_model_is() -> None:
    config = {"model": "lab/x", "provider": {"lab": {"options": {"baseURL": "http://lab"}}}}
    config["provider"]["anthropic"] = {"options": {"baseURL": BASE}}  # type: ignore[index]
    assert BY_NAME["opencode"].address(Found({}, {opencode._CONFIG: config})) == "http://lab"


def test_gemini_clis_system_settings_are_kept_but_for_the_log_in() -> None:
    system = {"security": {"auth": {"selectedType": "oauth-personal"}}, "telemetry": {"enabled": False}}
    told = BY_NAME["gemini-cli"].pointing(OPEN, Found({}, {gemini_cli._SYSTEM: system}))
    (text,) = told.files.values()
    assert json.loads(text) == merged(system, {"security": {"auth": {"selectedType": "gemini-api-key"}}})


def test_a_projects_variables_hide_gemini_clis_own() -> None:
    own = {"GOOGLE_GEMINI_BASE_URL": BASE}
    assert BY_NAME["gemini-cli"].address(Found({}, {gemini_cli._VARIABLES: own})) == BASE
    hidden = Found({}, {gemini_cli._VARIABLES: own, gemini_cli._PROJECT: {}})
    assert BY_NAME["gemini-cli"].address(hidden) is None


def test_qwen_code_gets_no_proxy_and_none_of_the_models_with_addresses_of_their_own() -> None:
    settings = {"modelProviders": {"openai": [{"id": "mine", "baseUrl": "http://elsewhere"}]}}
    found = Found({"https_proxy": "http://proxy"}, {qwen_code._SETTINGS: settings})
    told = BY_NAME["qwen-code"].pointing(OPEN, found)
    assert told.unset == ("https_proxy",)
    assert json.loads(told.files["qwen-code.json"]) == {"modelProviders": {"openai": []}}
    assert not BY_NAME["qwen-code"].pointing(OPEN).files


def test_aiders_configuration_is_outdone_only_where_it_says_something() -> None:
    agent = BY_NAME["aider"]
    assert agent.pointing(OPEN).arguments == ()
    found = Found({}, {agent.files[0]: {"openai-api-base": "http://elsewhere"}})
    assert f"{BASE}/v1" in agent.pointing(OPEN, found).arguments


@pytest.mark.parametrize(
    ("path", "environment", "resolved"),
    [
        ("{CODEX_HOME|~/.codex}/config.toml", {"HOME": "/home/me"}, "/home/me/.codex/config.toml"),
        ("{CODEX_HOME|~/.codex}/config.toml", {"HOME": "/home/me", "CODEX_HOME": "/c"}, "/c/config.toml"),
        ("{CODEX_HOME|~/.codex}/config.toml", {"HOME": "/home/me", "CODEX_HOME": ""}, "/home/me/.codex/config.toml"),
        ("~/.aider.conf.yml", {"HOME": "/home/me"}, "/home/me/.aider.conf.yml"),
        (".env", {"HOME": "/home/me"}, ".env"),
    ],
)
def test_a_files_place_depends_on_variables(path: str, environment: dict[str, str], resolved: str) -> None:
    assert AgentFile(path).resolve(environment) == resolved


def row(agent: Agent) -> str:
    section = DOCUMENT.split("## By hand", 1)[1].split("\n## ", 1)[0]
    (found,) = re.findall(rf"^\| [^|]+ \| `{agent.name}` \|.*$", section, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("agent", [agent for agent in ONE_PROCESS if agent.name != "opencode"], ids=name)
def test_the_page_shows_what_points_an_agent_by_hand(agent: Agent) -> None:
    told = agent.pointing(Address("BASE", "KEY", folder="FOLDER"))
    shown = row(agent)
    files = " ".join(file for file in told.files)
    missing = [
        f"{name}={value}"
        for name, value in told.environment.items()
        if not any(f"{name}={word}" in shown for word in (value, "FILE"))
    ]
    assert missing == []
    assert [word for word in told.arguments if word.replace(f"FOLDER/{files}", "FILE") not in shown] == []
