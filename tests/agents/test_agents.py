"""Who sent a request and what it is for, on captured requests of real clients and on short made-up ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router.agents.agent import AgentRequest, is_small_model
from router.agents.agents import BY_NAME, identify
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.request import Api, RequestView

PAYLOADS = Path(__file__).resolve().parents[1] / "data" / "payloads"

CC = "claude-code"
CC_LONG = "a2cae3b2-c21f-4375-b963-c672a1007fed"
CC_COMPACT = "0716d4b5-75d0-476b-8d09-9e776fd3796e"
CC_SUBAGENTS = "db1b0542-e419-4d34-beb7-41d8ffade84e"
CC_SEARCH = "a2c97288-d0f4-4bc2-9621-fe39ecf6b24a"
CODEX_LONG = "01a1f8ca-20b7-7532-8937-71f03929609a"
CODEX_OWN = "01a1fefd-b281-7822-8604-3f7550875982"
CODEX_BUILTIN = "01a1f8ca-20b3-73c1-94f8-df6f896ed3a9"


class Seen(NamedTuple):
    """What is expected of one captured request."""

    client: str
    purpose: str = ""  # background, subagent, compaction or nothing; plan mode's words are filler in these files
    conversation: str | None = None


# fmt: off
EXPECTED: dict[str, Seen] = {
    "ai-sdk-anthropic-turn1": Seen("sdk"),
    "ai-sdk-chat-turn1": Seen("sdk"),
    "ai-sdk-compat-turn1": Seen("sdk"),
    "ai-sdk-responses-turn1": Seen("sdk"),
    "aider-anthropic": Seen("sdk"),  # told by its prompt's words, which are filler here
    "aider-chat": Seen("sdk"),
    "claude-code-after-compaction": Seen(CC, "", CC_COMPACT),
    "claude-code-compaction": Seen(CC, "compaction", CC_COMPACT),
    "claude-code-custom-model": Seen(CC, "", "3129e176-4b9c-4059-9136-99bfb17241ce"),
    "claude-code-haiku45-main": Seen(CC, "background", "0053f1d9-1947-4f4d-8634-1a23b5fd165d"),
    "claude-code-head": Seen("other"),
    "claude-code-long-100turns": Seen(CC, "", CC_LONG),
    "claude-code-long-20turns": Seen(CC, "", CC_LONG),
    "claude-code-main-after-subagent": Seen(CC, "", CC_SUBAGENTS),
    "claude-code-main-after-websearch": Seen(CC, "", CC_SEARCH),
    "claude-code-main-turn1": Seen(CC, "", CC_LONG),
    "claude-code-main-turn2": Seen(CC, "", CC_LONG),
    "claude-code-model-discovery": Seen(CC),
    "claude-code-nonstream-fallback": Seen(CC, "", "a425a885-3a0a-4dd0-872c-dbe16db58033"),
    "claude-code-plan-mode": Seen(CC, "", "d1f068e9-36fe-487b-9af2-8f940564133b"),
    "claude-code-sonnet-main": Seen(CC, "", "62e6a3d7-0eeb-4070-8d3a-c8774baabd13"),
    "claude-code-subagent-turn1": Seen(CC, "subagent", f"{CC_SUBAGENTS}/aa269b1a8af7ce2e9"),
    "claude-code-subagent-turn2": Seen(CC, "subagent", f"{CC_SUBAGENTS}/aa269b1a8af7ce2e9"),
    "claude-code-title": Seen(CC, "background", CC_LONG),
    "claude-code-title-small-model": Seen(CC, "background", "966701e7-3a92-404d-b72e-aeb8832be325"),
    "claude-code-tui-main": Seen(CC, "", "e76386d8-df83-4ea7-9138-c5f1aba94e06"),
    "claude-code-websearch-inner": Seen(CC, "", CC_SEARCH),
    "codex-builtin-turn1": Seen("codex", "", CODEX_BUILTIN),
    "codex-local-compaction": Seen("codex", "compaction", "01a1f8dc-8feb-7cd1-837c-bad995e47cc5"),
    "codex-long-100turns": Seen("codex", "", CODEX_LONG),
    "codex-long-20turns": Seen("codex", "", CODEX_LONG),
    "codex-own-model-subagent": Seen("codex", "subagent", f"{CODEX_OWN}/01a1fefd-b3fa-74a1-b670-c0f8299d02a2"),
    "codex-own-model-turn2": Seen("codex", "", CODEX_OWN),
    "codex-remote-compaction": Seen("codex", "compaction", "01a1f8dc-8f82-73c3-997f-7acdd28bda8b"),
    "codex-subagent": Seen(
        "codex", "subagent", "01a1f8dc-c938-7120-b62f-4094b4c5e8e6/01a1f8dc-ca4a-7db2-82d4-52ff71b97e86"
    ),
    "codex-turn1": Seen("codex", "", CODEX_LONG),
    "codex-turn2": Seen("codex", "", CODEX_LONG),
    "codex-websocket-probe": Seen("codex"),
    "gemini-cli-model-router": Seen("gemini-cli", "background"),
    "gemini-cli-turn1": Seen("gemini-cli"),
    "gemini-cli-turn2": Seen("gemini-cli"),
    "llm-anthropic": Seen("sdk"),
    "llm-chat": Seen("sdk"),
    "opencode-anthropic-title": Seen("opencode", "background", "ses_e0735cae8ffexfl0axSjgtSLG2"),
    "opencode-anthropic-turn1": Seen("opencode", "", "ses_e0735cae8ffexfl0axSjgtSLG2"),
    "opencode-anthropic-turn2": Seen("opencode", "", "ses_e0735cae8ffexfl0axSjgtSLG2"),
    "opencode-chat-title": Seen("opencode", "background", "ses_e0735ca29ffe1n2e3jRWBSZOvh"),
    "opencode-chat-turn1": Seen("opencode", "", "ses_e0735ca29ffe1n2e3jRWBSZOvh"),
    "opencode-chat-turn2": Seen("opencode", "", "ses_e0735ca29ffe1n2e3jRWBSZOvh"),
    "opencode-compaction": Seen("opencode", "compaction", "ses_e072e4ce9ffeU4qlYuqtIGkMUG"),
    "opencode-gemini-turn1": Seen("opencode", "", "ses_e0735c4c2ffeeROPRXoHI4Ho5R"),
    "opencode-responses-turn1": Seen("opencode", "", "ses_e0735d00effe2rtEB0ENVO6XYf"),
    "opencode-responses-turn2": Seen("opencode", "", "ses_e0735d00effe2rtEB0ENVO6XYf"),
    "opencode-subagent": Seen("opencode", "subagent", "ses_e072ea38fffedq6W15NxVEqNrn"),
    "pydantic-ai-anthropic": Seen("sdk"),
    "pydantic-ai-chat": Seen("sdk"),
    "pydantic-ai-responses": Seen("sdk"),
    "qwen-anthropic-turn1": Seen("qwen-code"),
    "qwen-anthropic-turn2": Seen("qwen-code"),
    "qwen-chat-long-20turns": Seen("qwen-code"),
    "qwen-chat-turn1": Seen("qwen-code"),
    "qwen-chat-turn2": Seen("qwen-code"),
    "qwen-compaction": Seen("qwen-code", "compaction"),
    "qwen-gemini-turn1": Seen("qwen-code"),
    "sdk-js-anthropic-turn1": Seen("sdk"),
    "sdk-js-chat-turn1": Seen("sdk"),
    "sdk-js-genai-turn1": Seen("sdk"),
    "sdk-js-responses-turn1": Seen("sdk"),
    "sdk-py-anthropic-turn1": Seen("sdk"),
    "sdk-py-anthropic-turn2": Seen("sdk"),
    "sdk-py-chat-turn1": Seen("sdk"),
    "sdk-py-count-tokens": Seen("sdk"),
    "sdk-py-genai-turn1": Seen("sdk"),
    "sdk-py-responses-previous-id": Seen("sdk"),
    "sdk-py-responses-turn1": Seen("sdk"),
}
# fmt: on


def api_of(path: str) -> Api:
    if path.endswith(("/messages", "/count_tokens")):
        return "anthropic-messages"
    if path.endswith("/chat/completions"):
        return "openai-chat"
    return "openai-responses" if path.endswith("/responses") else "gemini"


def view_of(api: Api, body: dict[str, Any], url_model: str | None = None) -> RequestView:
    return CODECS[api].view(Body.parse(json.dumps(body).encode()), url_model=url_model or "gemini-2.5-pro")


def captured(name: str) -> tuple[dict[str, str], RequestView | None]:
    request = json.loads((PAYLOADS / f"{name}.json").read_bytes())
    headers = {key.lower(): value for key, value in request["headers"]}
    if request["body"] is None:
        return headers, None
    path = request["path"]
    return headers, view_of(api_of(path), request["body"], path.rpartition("/")[2].partition(":")[0])


def test_every_captured_request_has_an_expectation() -> None:
    assert {path.stem for path in PAYLOADS.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_captured_requests_are_recognised(name: str) -> None:
    expected = EXPECTED[name]
    headers, view = captured(name)
    agent = identify(headers, view)
    assert agent.name == expected.client
    if view is None:
        return
    request = AgentRequest(headers, view)
    told = {
        "background": agent.background(request),
        "plan-mode": agent.plan_mode(request),
        "subagent": agent.subagent(request),
        "compaction": agent.compaction(request),
    }
    assert {purpose for purpose, holds in told.items() if holds} == ({expected.purpose} if expected.purpose else set())
    assert agent.conversation(request) == expected.conversation


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        pytest.param({}, "other", id="no headers at all"),
        pytest.param({"user-agent": "curl/8.1"}, "other", id="a command-line HTTP client"),
        pytest.param({"user-agent": "my-claude-cli/1.0"}, "other", id="a name that only contains an agent's"),
        pytest.param({"user-agent": "Claude-CLI/2.1.197 (external, cli)"}, CC, id="upper case in a user-agent"),
        pytest.param({"x-claude-code-session-id": "x", "user-agent": "Bun/1.4"}, CC, id="Claude Code's own header"),
        pytest.param({"user-agent": "codex_cli_rs/0.1 (Mac OS)"}, "codex", id="an older Codex"),
        pytest.param({"user-agent": "codex-tui/0.98"}, "codex", id="a newer Codex"),
        pytest.param({"user-agent": "x", "originator": "Codex Desktop"}, "codex", id="the Codex desktop program"),
        pytest.param({"user-agent": "HermesAgent/0.11.0"}, "hermes", id="Hermes by its user-agent"),
        pytest.param(
            {"user-agent": "OpenAI/Python 2.1", "x-title": "Hermes Agent"}, "hermes", id="Hermes by its title"
        ),
        pytest.param(
            {"user-agent": "OpenAI/JS 6.1", "http-referer": "https://openclaw.ai"}, "openclaw", id="OpenClaw's referer"
        ),
        pytest.param({"user-agent": "litellm/1.8", "x-title": "Aider"}, "aider", id="aider by its title"),
        pytest.param({"user-agent": "AsyncOpenAI/Python 2.1"}, "sdk", id="an asynchronous SDK client"),
        pytest.param({"user-agent": "myapp", "x-stainless-lang": "go"}, "sdk", id="an SDK under an application's name"),
    ],
)
def test_headers_tell_the_client(headers: Mapping[str, str], client: str) -> None:
    assert identify(headers).name == client


SDK_HEADERS = {"user-agent": "OpenAI/Python 2.20.0", "x-stainless-lang": "python"}


def chat(*messages: tuple[str, str], **fields: Any) -> RequestView:
    return view_of(
        "openai-chat",
        {"model": "gpt-5", "messages": [{"role": role, "content": text} for role, text in messages], **fields},
    )


def messages(*turns: tuple[str, Any], system: str = "", **fields: Any) -> RequestView:
    body = {"model": "claude-sonnet-5", "max_tokens": 100, "system": system, **fields}
    return view_of(
        "anthropic-messages", {**body, "messages": [{"role": role, "content": text} for role, text in turns]}
    )


def responses(*items: dict[str, Any], **fields: Any) -> RequestView:
    return view_of("openai-responses", {"model": "gpt-5", "input": list(items), **fields})


def developer(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}


TOOLS = [{"name": "Read", "description": "reads", "input_schema": {"type": "object"}}]


@pytest.mark.parametrize(
    ("view", "client"),
    [
        pytest.param(
            chat(("system", "You are Hermes Agent, made to help."), ("user", "hi")), "hermes", id="Hermes' identity"
        ),
        pytest.param(
            chat(("user", "You are a summarization agent creating a context checkpoint. Go.")),
            "hermes",
            id="Hermes' summarizer has no system prompt",
        ),
        pytest.param(
            messages(("user", "hi"), system="You are a personal assistant running inside OpenClaw.\n"),
            "openclaw",
            id="OpenClaw's identity",
        ),
        pytest.param(
            chat(("system", "Act as an expert software developer.\nAlways"), ("user", "hi")),
            "aider",
            id="aider's coder",
        ),
        pytest.param(
            chat(("system", "Answer questions about Hermes Agent, You are Hermes Agent's help"), ("user", "hi")),
            "sdk",
            id="a prompt that only mentions an agent",
        ),
        pytest.param(chat(("user", "Act as an expert"), ("assistant", "no"), ("user", "x")), "sdk", id="a plain chat"),
    ],
)
def test_a_prompts_first_words_tell_an_agent_behind_an_sdk(view: RequestView, client: str) -> None:
    assert identify(SDK_HEADERS, view).name == client
    assert identify({"user-agent": "curl/8"}, view).name == "other"  # only behind an SDK's name


PLAN = "Plan mode is active. No edits."
REMINDER = f"<system-reminder>\n{PLAN}\n</system-reminder>"


@pytest.mark.parametrize(
    ("client", "view", "expected"),
    [
        pytest.param(CC, messages(("user", "x"), ("system", f"Agents:\n- a\n\n{PLAN}")), True, id="a system message"),
        pytest.param(CC, messages(("user", [{"type": "text", "text": REMINDER}])), True, id="a reminder block"),
        pytest.param(
            CC,
            messages(("user", REMINDER), ("assistant", "a"), ("user", "go on")),
            True,
            id="it isn't repeated on every turn",
        ),
        pytest.param(
            CC,
            messages(
                ("user", REMINDER),
                ("assistant", "a"),
                ("user", "<system-reminder>\n## Exited Plan Mode\n\nYou have exited plan mode.</system-reminder>"),
                ("assistant", "b"),
                ("user", "c"),
            ),
            False,
            id="left again",
        ),
        pytest.param(
            CC,
            messages(("user", [{"type": "tool_result", "tool_use_id": "t", "content": f"ok\n\n{REMINDER}"}])),
            True,
            id="a reminder glued to a tool result",
        ),
        pytest.param(CC, messages(("user", f"what does '{PLAN}' mean?")), False, id="a person writes about it"),
        pytest.param(CC, messages(("assistant", PLAN), ("user", "x")), False, id="the assistant says it"),
        pytest.param(CC, messages(("user", "x")), False, id="an ordinary turn"),
        pytest.param(
            "codex",
            responses(developer("<collaboration_mode># Plan Mode (Conversational)</collaboration_mode>")),
            True,
            id="Codex in plan mode",
        ),
        pytest.param(
            "codex",
            responses(
                developer("<collaboration_mode># Plan Mode</collaboration_mode>"),
                developer("<collaboration_mode># Collaboration Mode: Default</collaboration_mode>"),
            ),
            False,
            id="Codex back in its default mode",
        ),
        pytest.param(
            "opencode",
            messages(("user", "x\n<system-reminder>\n# Plan Mode - System Reminder\n</system-reminder>")),
            True,
            id="opencode's plan agent",
        ),
        pytest.param(
            "opencode",
            messages(
                ("user", "<system-reminder>\n# Plan Mode - System Reminder\n</system-reminder>plan it"),
                ("assistant", "done"),
                ("user", "build it"),
            ),
            False,
            id="opencode's build agent afterwards",
        ),
        pytest.param("qwen-code", chat(("user", f"{REMINDER}\nplan it")), True, id="Qwen Code in plan mode"),
        pytest.param(
            "gemini-cli",
            view_of(
                "gemini",
                {
                    "systemInstruction": {"parts": [{"text": "You are…\n# Active Approval Mode: Plan\n"}]},
                    "contents": [{"role": "user", "parts": [{"text": "x"}]}],
                },
            ),
            True,
            id="Gemini CLI's system prompt",
        ),
        pytest.param("sdk", messages(("user", REMINDER)), False, id="an unknown client has no plan mode"),
    ],
)
def test_plan_mode(client: str, view: RequestView, *, expected: bool) -> None:
    assert BY_NAME[client].plan_mode(AgentRequest({}, view)) is expected


TITLE_FORMAT = {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"title": {}}}}}
QUESTION = {
    "contents": [{"role": "user", "parts": [{"text": "x"}]}],
    "generationConfig": {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}},
}
ANSWER_TOOL = [{"type": "function", "function": {"name": "respond_in_schema", "parameters": {}}}]


@pytest.mark.parametrize(
    ("client", "view", "expected"),
    [
        pytest.param(CC, messages(("user", "quota"), max_tokens=1), True, id="the quota probe"),
        pytest.param(CC, messages(("user", "hi"), max_tokens=1), False, id="a small max_tokens alone"),
        pytest.param(CC, messages(("user", "quota")), False, id="the word alone"),
        pytest.param(CC, messages(("user", "x"), output_config=TITLE_FORMAT), True, id="a title's answer format"),
        pytest.param(
            CC, messages(("user", "x"), output_config=TITLE_FORMAT, tools=TOOLS), False, id="the format with tools"
        ),
        pytest.param(
            CC, messages(("user", "x"), model="claude-haiku-4-5", tools=TOOLS), True, id="a main turn on Haiku"
        ),
        pytest.param("sdk", messages(("user", "x"), model="claude-3-5-haiku-latest"), True, id="any client's Haiku"),
        pytest.param("sdk", messages(("user", "quota"), max_tokens=1), False, id="a probe of no known agent"),
        pytest.param("other", chat(("user", "Generate a title for this conversation:")), False, id="anybody's title"),
        pytest.param(
            "opencode", chat(("user", "Generate a title for this conversation:\n")), True, id="opencode's title"
        ),
        pytest.param("gemini-cli", view_of("gemini", QUESTION), True, id="a question to a small Gemini model"),
        pytest.param("qwen-code", chat(("user", "who?"), tools=ANSWER_TOOL), True, id="a form as the only tool"),
        pytest.param("qwen-code", chat(("user", "who?")), False, id="no tools alone"),
        pytest.param("hermes", chat(("system", "You name chat sessions. x"), ("user", "x")), True, id="Hermes' title"),
        pytest.param(
            "openclaw",
            messages(("user", "Based on this, generate a short 1-2 word filename slug (…)")),
            True,
            id="OpenClaw's memory file",
        ),
        pytest.param(
            "aider",
            chat(
                ("system", "You are an expert software engineer.\nReview the provided context and diffs which"),
                ("user", "diff"),
            ),
            True,
            id="aider's commit message",
        ),
    ],
)
def test_background(client: str, view: RequestView, *, expected: bool) -> None:
    assert BY_NAME[client].background(AgentRequest({}, view)) is expected


@pytest.mark.parametrize(
    ("model", "small"),
    [
        pytest.param("claude-haiku-4-5-20251001", True, id="dated"),
        pytest.param("claude-3-haiku-20240307", True, id="old order"),
        pytest.param("anthropic/claude-haiku-4.5", True, id="a router's prefix"),
        pytest.param("us.anthropic.claude-3-5-haiku-20241022-v1:0", True, id="Bedrock"),
        pytest.param("Claude-Haiku-4-5", True, id="upper case"),
        pytest.param("haiku", True, id="the family's name"),
        pytest.param("haikuwriter-7b", False, id="a longer word"),
        pytest.param("gpt-5-mini", False, id="another vendor's small model"),
        pytest.param("claude-sonnet-5", False, id="a large one"),
    ],
)
def test_the_haiku_family(model: str, *, small: bool) -> None:
    assert is_small_model(model) is small


CLOSING = "REMINDER: text only, an <analysis> block followed by a <summary> block."


@pytest.mark.parametrize(
    ("client", "view", "expected"),
    [
        pytest.param(
            CC, messages(("user", f"Summarise.\n{CLOSING}"), tools=TOOLS), True, id="Claude Code's last words"
        ),
        pytest.param(CC, messages(("user", CLOSING + "x" * 900)), False, id="the same words early in a long text"),
        pytest.param(
            CC,
            messages(("user", [{"type": "tool_result", "tool_use_id": "t", "content": CLOSING}])),
            False,
            id="the words in a tool's result",
        ),
        pytest.param(
            CC,
            messages(("user", CLOSING), ("assistant", "done"), ("user", "thanks")),
            False,
            id="an earlier compaction",
        ),
        pytest.param("codex", responses({"type": "compaction_trigger"}), True, id="Codex's trigger item"),
        pytest.param("qwen-code", chat(("user", "generate the <state_snapshot>.")), True, id="Qwen Code's snapshot"),
        pytest.param(
            "qwen-code",
            chat(("user", "what is a <state_snapshot>?"), tools=ANSWER_TOOL),
            False,
            id="a snapshot with tools at hand",
        ),
        pytest.param(
            "hermes",
            chat(("user", "You are a summarization agent creating a context checkpoint. x")),
            True,
            id="Hermes' summarizer",
        ),
        pytest.param(
            "openclaw",
            messages(("user", "x"), system="You are a context summarization assistant. x"),
            True,
            id="OpenClaw's summarizer",
        ),
        pytest.param(
            "aider",
            chat(("system", "*Briefly* summarize this partial conversation about programming.\n"), ("user", "x")),
            True,
            id="aider's chat history",
        ),
    ],
)
def test_compaction(client: str, view: RequestView, *, expected: bool) -> None:
    assert BY_NAME[client].compaction(AgentRequest({}, view)) is expected


@pytest.mark.parametrize(
    ("client", "headers", "view", "expected"),
    [
        pytest.param(
            CC, {}, messages(("user", "x"), system="x: cc_is_subagent=true; y"), True, id="Claude Code's block"
        ),
        pytest.param(CC, {"x-claude-code-agent-id": "a"}, messages(("user", "x")), True, id="Claude Code's header"),
        pytest.param(
            "codex",
            {"x-codex-turn-metadata": '{"thread_source":"subagent"}'},
            responses(developer("x")),
            True,
            id="Codex's turn metadata",
        ),
        pytest.param("codex", {"x-openai-subagent": "compact"}, responses(developer("x")), False, id="a compaction"),
        pytest.param("codex", {"x-codex-turn-metadata": "{"}, responses(developer("x")), False, id="broken metadata"),
        pytest.param(
            "codex", {"x-codex-turn-metadata": "[1]"}, responses(developer("x")), False, id="metadata, no object"
        ),
        pytest.param(
            "hermes",
            {},
            chat(("system", "You are a focused subagent working on a specific delegated task."), ("user", "x")),
            True,
            id="Hermes' delegated task",
        ),
        pytest.param(
            "openclaw",
            {},
            messages(("user", "x"), system="You are…\n# Subagent Context\nx"),
            True,
            id="a spawned session",
        ),
        pytest.param("sdk", {"x-claude-code-agent-id": "a"}, messages(("user", "x")), False, id="no known agent"),
    ],
)
def test_subagent(client: str, headers: Mapping[str, str], view: RequestView, *, expected: bool) -> None:
    assert BY_NAME[client].subagent(AgentRequest(headers, view)) is expected


OLD_USER = "user_0a1b_account_6c1e3f1e-0000-4000-8000-000000000000_session_11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    ("client", "headers", "view", "expected"),
    [
        pytest.param(
            CC,
            {},
            messages(("user", "x"), metadata={"user_id": '{"device_id":"d","session_id":"s-1"}'}),
            "s-1",
            id="metadata as JSON",
        ),
        pytest.param(
            CC,
            {},
            messages(("user", "x"), metadata={"user_id": OLD_USER}),
            "11111111-2222-4333-8444-555555555555",
            id="metadata in the older shape",
        ),
        pytest.param("sdk", {}, messages(("user", "x"), metadata={"user_id": "alice"}), None, id="somebody's user"),
        pytest.param("sdk", {}, messages(("user", "x"), metadata={"user_id": "{oops"}), None, id="broken metadata"),
        pytest.param("sdk", {}, messages(("user", "x"), metadata="x"), None, id="metadata of a wrong type"),
        pytest.param("sdk", {"x-session-id": "mine"}, chat(("user", "x")), "mine", id="anybody's session header"),
        pytest.param("sdk", {}, chat(("user", "x"), prompt_cache_key="k"), "k", id="the prompt cache's key"),
        pytest.param(
            CC,
            {"x-session-id": "a", "x-claude-code-session-id": "b"},
            messages(("user", "x")),
            "a",
            id="the plain session header first",
        ),
        pytest.param(
            CC,
            {"x-claude-code-session-id": "b"},
            messages(("user", "x"), metadata={"user_id": OLD_USER}),
            "b",
            id="the agent's header before metadata",
        ),
        pytest.param("opencode", {"x-session-affinity": "c"}, chat(("user", "x")), "c", id="opencode's second header"),
        pytest.param("sdk", {"session-id": "z"}, chat(("user", "x")), None, id="another agent's header"),
    ],
)
def test_conversation(client: str, headers: Mapping[str, str], view: RequestView, expected: str | None) -> None:
    assert BY_NAME[client].conversation(AgentRequest(headers, view)) == expected


DOCUMENT = (PAYLOADS.parents[2] / "docs" / "agents.md").read_text()


@pytest.mark.parametrize("name", BY_NAME)
def test_every_client_word_is_documented(name: str) -> None:
    assert f"| `{name}` |" in DOCUMENT
