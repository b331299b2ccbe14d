"""Facts of live requests: the same questions to every wire format, and what a fact costs and hides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.routing.facts import CountNeeded, RequestFacts, is_credential_header, is_search_name
from router.routing.rules import decide
from router.routing.tokens import PieceSummaries
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.request import Api

NOW = datetime(2025, 11, 21, 12, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parents[1] / "data" / "payloads"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def live(api: Api, body: Mapping[str, object], **settings: Any) -> RequestFacts:
    url = {"url_model": "gemini-2.5-pro"} if api == "gemini" else {}
    return RequestFacts(
        CODECS[api].view(Body.parse(json.dumps(body).encode()), **url),
        **{"headers": {}, "summaries": PieceSummaries(), "phrases": None, "now": NOW, **settings},
    )


def messages(*said: object, **fields: object) -> dict[str, object]:
    """A Messages body: strings are the person's and the assistant's words in turn, lists are the person's blocks."""
    roles = ["user", "assistant"]
    turns = [{"role": roles[index % 2], "content": content} for index, content in enumerate(said)]
    return {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": turns, **fields}


# One conversation in every format: a system prompt, a question, a tool call, its result with an image.
CALLING: dict[Api, dict[str, object]] = {
    "anthropic-messages": {
        "model": "m",
        "system": "Be brief.",
        "tools": [{"name": "look", "input_schema": {}}],
        "messages": [
            {"role": "user", "content": "What is there?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "look", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "1",
                        "content": [
                            {"type": "text", "text": "cheap"},
                            {
                                "type": "image",
                                "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                            },
                        ],
                    }
                ],
            },
        ],
    },
    "openai-chat": {
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "look"}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is there?"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {
                "role": "tool",
                "tool_call_id": "1",
                "content": [
                    {"type": "text", "text": "cheap"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            },
        ],
    },
    "openai-responses": {
        "model": "m",
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "look"}],
        "input": [
            {"role": "user", "content": "What is there?"},
            {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "1",
                "output": [
                    {"type": "input_text", "text": "cheap"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
                ],
            },
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "look"}]}],
        "contents": [
            {"role": "user", "parts": [{"text": "What is there?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "look", "response": {"output": "cheap"}}},
                    {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                ],
            },
        ],
    },
}


@pytest.mark.parametrize("api", CALLING)
def test_one_conversation_has_the_same_facts_in_every_format(bench: Any, api: Api) -> None:
    cheap = bench.registry.add_keywords(["cheap"])
    question = bench.registry.add_keywords(["what is there"])
    brief = bench.registry.add_keywords(["brief"])
    facts = live(api, CALLING[api], phrases=bench.registry.build())
    assert facts.api == api
    assert (facts.tool_count, [tool.name for tool in facts.tools]) == (1, ["look"])
    assert facts.has_system_prompt
    assert facts.tool_result
    assert facts.image
    assert facts.image_in_last_turn
    assert not facts.document
    assert not facts.thinking
    assert facts.turns == 1
    assert facts.max_tokens is None
    assert facts.text_holds(question, "latest")
    assert not facts.text_holds(cheap, "latest"), "a tool's result is not the person's text"
    assert facts.text_holds(cheap, "any")
    assert facts.text_holds(brief, "system")
    assert not facts.text_holds(brief, "latest")
    assert facts.tokens_reach(3)
    assert facts.conversation is not None


def test_tools_that_an_input_item_adds_are_tools_and_no_message(bench: Any) -> None:
    """Codex offers all its tools so, with the models that it knows."""
    words = {word: bench.registry.add_keywords([word]) for word in ("runs", "brief", "additional_tools")}
    group = {
        "type": "namespace",
        "name": "functions",
        "tools": [{"type": "custom", "name": "exec", "description": "runs"}],
    }
    added = {"type": "additional_tools", "role": "developer", "tools": [group, {"type": "function", "name": "wait"}]}
    said = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "additional_tools"},
        {"type": "function_call", "call_id": "1", "name": "wait", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "done"},
    ]
    late = {"type": "additional_tools", "tools": [{"type": "web_search"}]}
    fields = {"model": "m", "tools": [{"type": "function", "name": "look"}]}
    facts = live("openai-responses", {**fields, "input": [added, *said, late]}, phrases=bench.registry.build())
    assert [tool.name for tool in facts.tools] == ["look", "functions__exec", "wait", "web_search"]
    assert facts.tool_count == 4
    assert facts.web_search
    assert facts.messages == len(said)
    assert facts.tool_result, "tools that are added behind a result don't end the turn"
    assert facts.text_holds(words["additional_tools"], "latest")
    assert facts.text_holds(words["brief"], "system")
    assert not facts.text_holds(words["runs"], "system")
    assert not facts.text_holds(words["runs"], "any")


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"type": "additional_tools", "tools": None}, id="none"),
        pytest.param({"type": "additional_tools", "tools": "all"}, id="no list"),
        pytest.param({"type": "additional_tools", "tools": ["look"]}, id="no objects"),
        pytest.param({"type": "additional_tools"}, id="nothing"),
    ],
)
def test_added_tools_that_are_not_readable_are_the_providers_to_judge(item: dict[str, object]) -> None:
    facts = live("openai-responses", {"model": "m", "input": [item, {"role": "user", "content": "hi"}]})
    assert (facts.tools, facts.tool_count, facts.tool_result) == ((), 0, False)


@pytest.mark.parametrize(
    ("author", "recipient", "turns"),
    [
        pytest.param("/root", "/root/reader", 2, id="a task stands in a person's place"),
        pytest.param("/root/reader", "/root", 1, id="an answer doesn't"),
    ],
)
def test_what_one_agent_tells_another_is_the_users_side(bench: Any, author: str, recipient: str, turns: int) -> None:
    notes, old = bench.registry.add_keywords(["notes"]), bench.registry.add_keywords(["please"])
    told = {"type": "encrypted_content", "encrypted_content": "Read the notes."}
    sealed = {"type": "encrypted_content", "encrypted_content": "gAAAA" + "x9" * 60}
    message = {"type": "agent_message", "author": author, "recipient": recipient, "content": [told, sealed]}
    said = [{"role": "user", "content": "please"}, {"role": "assistant", "content": "yes"}, message]
    facts = live("openai-responses", {"model": "m", "input": said}, phrases=bench.registry.build())
    assert facts.turns == turns
    assert facts.text_holds(notes, "latest") is (turns == 2)
    assert facts.text_holds(old, "latest") is (turns == 1)
    assert facts.text_holds(notes, "any")
    assert facts.tokens_reach(3)


def test_an_image_of_an_earlier_turn_is_not_in_the_last() -> None:
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    facts = live("anthropic-messages", messages([block], "a pixel", "thanks"))
    assert facts.image
    assert not facts.image_in_last_turn


def test_the_last_turn_holds_all_behind_the_assistant_but_system_messages() -> None:
    body = messages("hi", "hello")
    turns = body["messages"]
    assert isinstance(turns, list)
    turns += [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]},
        {"role": "user", "content": "and?"},
        {"role": "system", "content": "plan"},
    ]
    assert live("anthropic-messages", body).tool_result


def test_the_latest_human_text_stands_before_tool_results_and_without_reminders(bench: Any) -> None:
    cheap, hidden = bench.registry.add_keywords(["cheap"]), bench.registry.add_keywords(["hidden"])
    result = [{"type": "tool_result", "tool_use_id": "1", "content": "hidden"}]
    said = "make it cheap <system-reminder>hidden</system-reminder>"
    facts = live("anthropic-messages", messages(said, "calling", result), phrases=bench.registry.build())
    assert facts.text_holds(cheap, "latest")
    assert not facts.text_holds(hidden, "latest")


@pytest.mark.parametrize(
    ("tools", "choice", "search"),
    [
        pytest.param([{"type": "web_search_20250305", "name": "web_search"}], None, True, id="a server-side search"),
        pytest.param(
            [{"type": "web_search_20250305", "name": "web_search"}, {"name": "Bash"}], None, True, id="among others too"
        ),
        pytest.param([{"name": "WebSearch"}], None, True, id="a function that is the only tool"),
        pytest.param([{"name": "WebSearch"}, {"name": "Bash"}], None, False, id="a function merely offered"),
        pytest.param([{"name": "WebSearch"}, {"name": "Bash"}], "WebSearch", True, id="a function that is forced"),
        pytest.param([{"name": "WebSearch"}, {"name": "Bash"}], "Bash", False, id="another one is forced"),
        pytest.param([{"name": "Bash"}], None, False, id="no search at all"),
    ],
)
def test_web_search(tools: list[dict[str, object]], choice: str | None, search: bool) -> None:
    forced = {"tool_choice": {"type": "tool", "name": choice}} if choice else {}
    assert live("anthropic-messages", messages("hi", tools=tools, **forced)).web_search is search


@pytest.mark.parametrize(
    "name", ["web_search", "WebSearch", "google_web_search", "brave-web-search", "mcp__x__web_search"]
)
def test_search_functions_are_told_by_name(name: str) -> None:
    assert is_search_name(name)


@pytest.mark.parametrize("name", ["search", "grep_search", "WebFetch", "research"])
def test_other_functions_are_no_web_search(name: str) -> None:
    assert not is_search_name(name)


def test_headers_are_seen_in_lower_case_without_credentials() -> None:
    sent = {"X-Team": "blue", "Authorization": "Bearer s3cret", "X-Api-Key": "s3cret", "Cookie": "s3cret", "a": "1"}
    facts = live("anthropic-messages", messages("hi"), headers=sent)
    assert facts.headers == {"x-team": "blue", "a": "1"}


@pytest.mark.parametrize("name", ["x-team", "x-token-budget", "user-agent", "x-router-tag", "idempotency-key"])
def test_ordinary_headers_carry_no_credential(name: str) -> None:
    assert not is_credential_header(name)


@pytest.mark.parametrize(
    ("headers", "fields", "expected"),
    [
        pytest.param({"X-Session-Id": "s1"}, {"metadata": {"user_id": "x"}}, "s1", id="the general header"),
        pytest.param(
            {"User-Agent": "claude-cli/2.1", "X-Claude-Code-Session-Id": "cc"}, {}, "cc", id="an agent's own header"
        ),
        pytest.param(
            {"User-Agent": "claude-cli/2.1", "X-Claude-Code-Session-Id": "cc", "X-Claude-Code-Agent-Id": "a1"},
            {},
            "cc/a1",
            id="a sub-agent's conversation is its own",
        ),
        pytest.param(
            {}, {"metadata": {"user_id": '{"device_id":"d","session_id":"s2"}'}}, "s2", id="the metadata, as JSON"
        ),
        pytest.param(
            {},
            {"metadata": {"user_id": "user_1_account_2_session_3-4"}},
            "3-4",
            id="the metadata, as older versions do",
        ),
        pytest.param({}, {"prompt_cache_key": "pck"}, "pck", id="the cache key"),
        pytest.param({}, {"metadata": {"user_id": "alice"}}, None, id="a user is no conversation"),
        pytest.param({}, {}, None, id="nothing"),
    ],
)
def test_a_conversation_is_named_by(headers: dict[str, str], fields: dict[str, object], expected: str | None) -> None:
    assert live("anthropic-messages", messages("hi", **fields), headers=headers).conversation == expected


def test_a_conversation_without_an_id_is_known_from_its_second_request_on() -> None:
    def start(*said: str, session: str = "a", system: str = "Be brief.") -> RequestFacts:
        blocks = [{"type": "text", "text": f"x-anthropic-billing-header: {session}"}, {"type": "text", "text": system}]
        return live("anthropic-messages", messages(*said, system=blocks))

    first, second = start("hi"), start("hi", "hello", "more", session="b")
    assert first.conversation is None
    assert second.conversation == first.conversation_start
    assert start("hi", "hello", "more", "yes", "end").conversation == second.conversation
    assert start("ho", "hello", "more").conversation != second.conversation
    assert start("hi", "hello", "more", system="Be long.").conversation != second.conversation


SHORT, LONG = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}


def said(text: str, mark: object = None) -> list[dict[str, object]]:
    return [{"type": "text", "text": text, **({"cache_control": mark} if mark else {})}]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        pytest.param(messages("Hello."), "", id="nothing is marked"),
        pytest.param(messages('Write "cache_control": {"ttl": "1h"}'), "", id="words about marks are none"),
        pytest.param(messages(said("Hello.", SHORT)), "5m", id="a message"),
        pytest.param(messages("Hello.", system=said("Help.", LONG)), "1h", id="the system prompt, for an hour"),
        pytest.param(messages("Hello.", tools=[{"name": "a", "cache_control": SHORT}]), "5m", id="the tools"),
        pytest.param(messages(said("Hello.", SHORT), system=said("Help.", LONG)), "1h", id="the longest counts"),
        pytest.param(messages("Hello.", cache_control=SHORT), "5m", id="everything"),
        pytest.param(messages("Hello.", cache_control=LONG), "1h", id="everything, for an hour"),
        pytest.param(messages("Hello.", cache_control=None), "", id="a mark that is none"),
    ],
)
def test_how_long_a_prompt_is_to_be_kept(body: dict[str, object], kept: str) -> None:
    assert live("anthropic-messages", body).kept == kept


def test_facts_are_found_once() -> None:
    asked = []
    facts = live(
        "anthropic-messages",
        messages("hi"),
        provider_used=lambda _: asked.append("provider") or "groq",
        budget_used=lambda: asked.append("budget") or 0.5,
    )
    for _ in range(3):
        assert (facts.provider_used, facts.budget_used) == ("groq", 0.5)
    assert asked == ["provider", "budget"]


def test_a_fact_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(AttributeError):
        live("anthropic-messages", messages("hi")).weather  # noqa: B018


def test_a_long_request_is_counted_only_where_that_is_allowed(bench: Any) -> None:
    facts = live("anthropic-messages", messages("some words " * 20_000))
    routes = bench.routes('[[rule]]\nmatch = "tokens > 50_000"\nto = "groq"\n[default]\nto = "openai"')
    with pytest.raises(CountNeeded):
        decide(routes, facts)
    facts.may_count = True
    assert decide(routes, facts).rule.kind == "default"
    assert 30_000 < facts.tokens() < 50_000


def test_a_short_request_is_not_counted_at_all() -> None:
    facts = live("anthropic-messages", messages("hi"))
    assert not facts.tokens_reach(2000)
    assert not facts.tokens_reach(100_000)
    assert facts.tokens_reach(1)


def test_searching_a_long_conversation_waits_for_a_worker(bench: Any) -> None:
    phrase = bench.registry.add_keywords(["needle"])
    facts = live("anthropic-messages", messages("hay " * 100_000 + "needle"), phrases=bench.registry.build())
    with pytest.raises(CountNeeded):
        facts.text_holds(phrase, "any")
    facts.may_count = True
    assert facts.text_holds(phrase, "any")


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*-turn2.json")), ids=lambda path: path.stem)
def test_a_recorded_agents_request_can_be_described_without_its_text(bench: Any, path: Path) -> None:
    payload = json.loads(path.read_text())
    url = payload["path"]
    api: Api = next((name for part, name in PATHS.items() if part in url), "gemini")
    facts = RequestFacts(
        CODECS[api].view(Body.parse(json.dumps(payload["body"]).encode()), url_model="m", url_stream=True)
        if api == "gemini"
        else CODECS[api].view(Body.parse(json.dumps(payload["body"]).encode())),
        headers=dict(payload["headers"]),
        summaries=PieceSummaries(),
        phrases=bench.registry.build(),
        now=NOW,
    )
    record = facts.record(bench.routes(""))
    assert record["tool_result"] is True
    assert record["turns"] != 0
    assert len(msgspec.json.encode(record)) < 3000
    assert msgspec.json.encode(facts.for_script())


PATHS: dict[str, Api] = {
    "messages": "anthropic-messages",
    "chat/completions": "openai-chat",
    "responses": "openai-responses",
}
