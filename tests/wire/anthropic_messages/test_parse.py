"""A client's Messages request becomes a neutral one; what has no neutral form is told, not taken for anything else."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import BadRequest
from router.wire.conversation import (
    Cache,
    Conversation,
    Depth,
    Document,
    Image,
    Inline,
    Link,
    OpaqueState,
    OutputFormat,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from router.wire.loss import Loss
from router.wire.opaque import wrap
from tests.support.messages import fields_of, parse, request

MARK = {"cache_control": {"type": "ephemeral"}}
LONG_MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}


def parts_of(block: Any, role: str = "user") -> tuple[Any, ...]:
    asked, losses = parse({"model": "m", "max_tokens": 1, "messages": [{"role": role, "content": [block]}]})
    assert losses.found == []
    return asked.turns[0].parts


def test_a_request_without_settings_says_nothing_but_its_conversation() -> None:
    asked, losses = parse({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    assert asked == Conversation("m", (Turn("user", (Text("hello"),), "messages[0]"),))
    assert losses.found == []


# --- system -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "texts"),
    [
        pytest.param("be brief", (Text("be brief"),), id="a string"),
        pytest.param("", (), id="an empty string"),
        pytest.param(None, (), id="null"),
        pytest.param([], (), id="no blocks"),
        pytest.param(
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b", **LONG_MARK}],
            (Text("a"), Text("b", Cache("1h"))),
            id="blocks with a mark",
        ),
    ],
)
def test_the_system_prompt_is_a_string_or_blocks(system: Any, texts: tuple[Text, ...]) -> None:
    asked, losses = parse(request({"type": "text", "text": "x"}, system=system))
    assert asked.system == texts
    assert losses.found == []


def test_claude_codes_attribution_is_left_out_since_it_changes_every_turn() -> None:
    line = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.8dc; cc_entrypoint=cli;"}
    asked, losses = parse(request("x", system=[line, {"type": "text", "text": "be brief"}], messages=[]))
    assert asked.system == (Text("be brief"),)
    assert fields_of(losses, refused=False) == ["system[0]"]


def test_another_block_in_the_system_prompt_is_refused() -> None:
    asked, losses = parse(request({"type": "text", "text": "x"}, system=[{"type": "image", "source": PNG}]))
    assert asked.system == ()
    assert fields_of(losses, refused=True) == ["system[0]"]


# --- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "part"),
    [
        pytest.param({"type": "text", "text": "hi", **MARK}, Text("hi", Cache("5m")), id="text with a mark"),
        pytest.param({"type": "text", "text": "hi", "cache_control": None}, Text("hi"), id="a mark that is null"),
        pytest.param({"type": "image", "source": PNG}, Image(Inline("image/png", "iVBORw0=")), id="image"),
        pytest.param(
            {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}, **MARK},
            Image(Link("https://e.org/a.png"), cache=Cache("5m")),
            id="linked image",
        ),
        pytest.param(
            {"type": "document", "source": PDF, "title": "T", "context": "C", **LONG_MARK},
            Document(Inline("application/pdf", "JVBERi0="), "T", "C", Cache("1h")),
            id="PDF",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "url", "url": "https://e.org/a.pdf"}},
            Document(Link("https://e.org/a.pdf", "application/pdf")),
            id="linked PDF",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            Document(Written("words")),
            id="document of text",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "content", "content": "words"}, "citations": {"enabled": False}},
            Document(Written("words")),
            id="document of a string",
        ),
        pytest.param(
            {
                "type": "document",
                "title": "T",
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                },
            },
            Document(Written("a\nb"), "T"),
            id="document of text blocks",
        ),
        pytest.param(
            {
                "type": "search_result",
                "title": "T",
                "source": "https://e.org",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            Text("T (https://e.org)\na\nb"),
            id="search result",
        ),
        pytest.param(
            {"type": "tool_result", "tool_use_id": "t1", "content": "done"},
            ToolResult("t1", (Text("done"),)),
            id="result as a string",
        ),
        pytest.param({"type": "tool_result", "tool_use_id": "t1"}, ToolResult("t1"), id="result without content"),
        pytest.param(
            {"type": "tool_result", "tool_use_id": "t1", "content": None, "is_error": True, **MARK},
            ToolResult("t1", is_error=True, cache=Cache("5m")),
            id="failed result",
        ),
        pytest.param(
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "source": PNG},
                    {"type": "document", "source": PDF},
                    {"type": "search_result", "title": "T", "source": "s", "content": []},
                ],
            },
            ToolResult(
                "t1",
                (
                    Text("a"),
                    Image(Inline("image/png", "iVBORw0=")),
                    Document(Inline("application/pdf", "JVBERi0=")),
                    Text("T (s)"),
                ),
            ),
            id="result of blocks",
        ),
    ],
)
def test_blocks_of_the_user(block: dict[str, Any], part: Any) -> None:
    assert parts_of(block) == (part,)


def test_a_document_with_images_becomes_what_it_holds() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "image", "source": PNG}]
    block = {
        "type": "document",
        "title": "T",
        "context": "C",
        "source": {"type": "content", "content": content},
        **MARK,
    }
    image = Image(Inline("image/png", "iVBORw0="), cache=Cache("5m"))
    assert parts_of(block) == (Text("T\nC"), Text("a"), image)


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        pytest.param({"type": "text", "text": "hi", "citations": None}, (Text("hi"),), id="text"),
        pytest.param(
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            (Thought("hm", OpaqueState("anthropic-signature", "sig")),),
            id="thinking",
        ),
        pytest.param(
            {"type": "thinking", "thinking": "", "signature": "sig"},
            (Thought("", OpaqueState("anthropic-signature", "sig")),),
            id="thinking that isn't shown",
        ),
        pytest.param({"type": "thinking", "thinking": "hm", "signature": ""}, (Thought("hm"),), id="unsealed thinking"),
        pytest.param({"type": "thinking", "thinking": "", "signature": ""}, (), id="thinking without anything"),
        pytest.param(
            {"type": "thinking", "thinking": "hm", "signature": "rtr1.broken"},
            (Thought("hm"),),
            id="a tag that was changed on the way",
        ),
        pytest.param(
            {
                "type": "thinking",
                "thinking": "hm",
                "signature": wrap(OpaqueState("openai-encrypted", "x", "openai/m", "rs_1")),
            },
            (Thought("hm", OpaqueState("openai-encrypted", "x", "openai/m", "rs_1")),),
            id="reasoning of another model",
        ),
        pytest.param(
            {"type": "redacted_thinking", "data": "abc"},
            (Thought("", OpaqueState("anthropic-redacted", "abc")),),
            id="redacted thinking",
        ),
        pytest.param({"type": "redacted_thinking", "data": "rtr1.?"}, (), id="redacted thinking, broken tag"),
        pytest.param(
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}, "caller": {"type": "direct"}},
            (ToolCall("t1", "f", "{}"),),
            id="call without arguments",
        ),
        pytest.param({"type": "tool_use", "id": "t1", "name": "f"}, (ToolCall("t1", "f", "{}"),), id="no input at all"),
        pytest.param(
            {"type": "tool_use", "id": "t1", "name": "f", "input": '{"a":'},
            (ToolCall("t1", "f", '{"a":'),),
            id="input that a client kept as a string",
        ),
    ],
)
def test_blocks_of_the_assistant(block: dict[str, Any], parts: tuple[Any, ...]) -> None:
    assert parts_of(block, "assistant") == parts


def test_arguments_keep_the_spelling_of_numbers_and_the_order_of_keys() -> None:
    body = (
        b'{"model":"m","messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f",'
        b'"input": {"z": 1.0, "big": 12345678901234567890123, "e": 1E+2, "n": -0.0, "s": "\\u00fc\xc3\xbc"} }]}]}'
    )
    asked, _ = parse(body)
    call = asked.turns[0].parts[0]
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"z":1.0,"big":12345678901234567890123,"e":1E+2,"n":-0.0,"s":"\\u00fcü"}'


def test_the_seal_of_a_call_comes_back_to_its_call() -> None:
    sealed = wrap(OpaqueState("google-thought", "s", "g/m", "t2"))
    blocks = [
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
        {"type": "thinking", "thinking": "", "signature": sealed},
    ]
    asked, _ = parse({"model": "m", "messages": [{"role": "assistant", "content": blocks}]})
    second = ToolCall("t2", "f", "{}", state=OpaqueState("google-thought", "s", "g/m"))
    assert asked.turns[0].parts == (ToolCall("t1", "f", "{}"), second)


def test_system_messages_stay_where_they_stand() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "system", "content": [{"type": "text", "text": "b"}]}]
    asked, losses = parse({"model": "m", "messages": messages})
    assert asked.turns[1] == Turn("system", (Text("b"),), "messages[1]")
    assert losses.found == []


@pytest.mark.parametrize(
    ("role", "block"),
    [
        pytest.param(
            "assistant", {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, id="hosted"
        ),
        pytest.param(
            "assistant", {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, id="its result"
        ),
        pytest.param("assistant", {"type": "bash_code_execution_tool_result", "content": {}}, id="another result"),
        pytest.param("assistant", {"type": "mcp_tool_use", "id": "s", "name": "x", "input": {}}, id="MCP call"),
        pytest.param("user", {"type": "mcp_tool_result", "tool_use_id": "s", "content": []}, id="MCP result"),
        pytest.param("user", {"type": "container_upload", "file_id": "f"}, id="container upload"),
        pytest.param("assistant", {"type": "compaction", "content": "…"}, id="compaction"),
        pytest.param("system", {"type": "tool_addition", "tool": {}}, id="tool added later"),
        pytest.param("user", {"type": "hologram"}, id="unknown"),
        pytest.param("user", {"type": 'x"\r\ny'}, id="unknown, with control characters"),
        pytest.param("user", {"type": "tool_use", "id": "t", "name": "f", "input": {}}, id="call of the user's"),
        pytest.param("user", {"type": "thinking", "thinking": "x", "signature": "s"}, id="thought of the user's"),
        pytest.param("assistant", {"type": "tool_result", "tool_use_id": "t"}, id="result of the assistant's"),
    ],
)
def test_blocks_without_a_neutral_form_are_refused(role: str, block: dict[str, Any]) -> None:
    asked, losses = parse({"model": "m", "messages": [{"role": role, "content": [block]}]})
    assert asked.turns[0].parts == ()
    assert fields_of(losses, refused=True) == ["messages[0].content[0]"]
    assert all(loss.why.isprintable() for loss in losses.found)


@pytest.mark.parametrize(
    ("block", "field"),
    [
        pytest.param({"type": "image", "source": {"type": "file", "file_id": "f"}}, "source", id="image file"),
        pytest.param({"type": "document", "source": {"type": "file", "file_id": "f"}}, "source", id="document file"),
        pytest.param({"type": "image", "source": {"type": "cloud"}}, "source", id="unknown source"),
        pytest.param(
            {"type": "tool_result", "tool_use_id": "t", "toolset_name": "browser"}, "toolset_name", id="toolset result"
        ),
        pytest.param(
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "x"}]},
            "content[0]",
            id="reference to a tool",
        ),
    ],
)
def test_refused_parts_of_blocks_are_named(block: dict[str, Any], field: str) -> None:
    _, losses = parse(request(block))
    assert fields_of(losses, refused=True) == [f"messages[0].content[0].{field}"]


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        pytest.param({"caller": {"type": "code_execution_20260120", "tool_id": "x"}}, "caller", id="called by code"),
        pytest.param({"toolset_name": "computer"}, "toolset_name", id="of a toolset"),
    ],
)
def test_calls_that_the_model_did_not_make_itself_are_refused(extra: dict[str, Any], field: str) -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}, **extra}
    asked, losses = parse({"model": "m", "messages": [{"role": "assistant", "content": [call]}]})
    assert asked.turns[0].parts == ()
    assert fields_of(losses, refused=True) == [f"messages[0].content[0].{field}"]


@pytest.mark.parametrize(
    "block",
    [
        pytest.param({"type": "document", "source": PDF, "citations": {"enabled": True}}, id="document"),
        pytest.param(
            {"type": "search_result", "title": "T", "source": "s", "content": [], "citations": {"enabled": True}},
            id="search result",
        ),
        pytest.param({"type": "text", "text": "x", "citations": [{"type": "char_location"}]}, id="text"),
    ],
)
def test_citations_are_dropped(block: dict[str, Any]) -> None:
    _, losses = parse(request(block))
    assert fields_of(losses, refused=False) == ["messages[].content[].citations"]


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        pytest.param({"max_tokens": 64000}, "max_tokens", 64000, id="max_tokens"),
        pytest.param({"temperature": 0.5}, "temperature", 0.5, id="temperature"),
        pytest.param({"temperature": 0}, "temperature", 0, id="temperature zero"),
        pytest.param({"top_p": 0.9}, "top_p", 0.9, id="top_p"),
        pytest.param({"top_k": 5}, "top_k", 5, id="top_k"),
        pytest.param({"top_k": 5.0}, "top_k", 5, id="top_k with a fraction"),
        pytest.param({"stop_sequences": ["a", "b"]}, "stop", ("a", "b"), id="stop sequences"),
        pytest.param({"metadata": {"user_id": "u"}}, "user", "u", id="user"),
        pytest.param({"metadata": {"user_id": ""}}, "user", None, id="empty user"),
        pytest.param({"service_tier": "auto"}, "service_tier", "auto", id="service tier auto"),
        pytest.param({"service_tier": "standard_only"}, "service_tier", "standard", id="standard tier"),
        pytest.param({"speed": "fast", "service_tier": "auto"}, "service_tier", "fast", id="fast"),
        pytest.param({"speed": "standard"}, "service_tier", None, id="standard speed"),
        pytest.param({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "cache_all", Cache("1h"), id="automatic"),
        pytest.param({"tool_choice": {"type": "auto"}}, "parallel_tools", None, id="parallel calls not mentioned"),
        pytest.param(
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, "parallel_tools", False, id="one call"
        ),
        pytest.param(
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}, "parallel_tools", True, id="parallel"
        ),
        pytest.param(
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            "output",
            OutputFormat({"type": "object"}, strict=True),
            id="structured output",
        ),
        pytest.param(
            {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
            "output",
            OutputFormat({"type": "object"}, strict=True),
            id="structured output, as it was once spelled",
        ),
        pytest.param({"output_format": None, "output_config": {"format": None}}, "output", None, id="no format"),
        pytest.param({"thinking": {"type": "adaptive"}}, "depth", Depth(on=True), id="adaptive"),
        pytest.param(
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            "depth",
            Depth(on=True, effort="max", visible=False),
            id="adaptive with an effort, not shown",
        ),
        pytest.param(
            {"thinking": {"type": "adaptive", "display": "updates"}},
            "depth",
            Depth(on=True, visible=True),
            id="adaptive, shown",
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 2048}}, "depth", Depth(on=True, budget=2048), id="budget"
        ),
        pytest.param({"thinking": {"type": "disabled"}}, "depth", Depth(on=False), id="disabled"),
        pytest.param(
            {"thinking": {"type": "between_tools"}, "output_config": {"effort": "high"}},
            "depth",
            Depth(on=True, effort="minimal"),
            id="between tools",
        ),
        pytest.param({"output_config": {"effort": "low"}}, "depth", Depth(effort="low"), id="effort alone"),
    ],
)
def test_settings(fields: dict[str, Any], name: str, value: Any) -> None:
    asked, losses = parse(request({"type": "text", "text": "x"}, **fields))
    assert getattr(asked.settings, name) == value
    assert losses.found == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"mcp_servers": [{"name": "x"}]}, "mcp_servers", id="MCP servers"),
        pytest.param({"container": "c"}, "container", id="container"),
        pytest.param({"compaction": {"x": 1}}, "compaction", id="compaction"),
        pytest.param({"thread": {"id": "t"}}, "thread", id="thread"),
        pytest.param({"fallbacks": [{"model": "x"}]}, "fallbacks", id="fallbacks"),
        pytest.param({"context_management": {"edits": [], "more": 1}}, "context_management", id="context management"),
        pytest.param({"output_config": {"format": {"type": "grammar"}}}, "output_config.format", id="output format"),
    ],
)
def test_fields_that_change_the_meaning_are_refused(fields: dict[str, Any], field: str) -> None:
    _, losses = parse(request({"type": "text", "text": "x"}, **fields))
    assert fields_of(losses, refused=True) == [field]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param(
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}, "context_management", id="edits"
        ),
        pytest.param({"inference_geo": "eu"}, "inference_geo", id="place of inference"),
        pytest.param({"diagnostics": {"x": 1}}, "diagnostics", id="diagnostics"),
        pytest.param({"user_profile_id": "u"}, "user_profile_id", id="user profile"),
        pytest.param({"metadata": {"team": "x"}}, "metadata", id="other metadata"),
        pytest.param({"service_tier": "gold"}, "service_tier", id="unknown tier"),
        pytest.param({"output_config": {"task_budget": {"x": 1}}}, "output_config.task_budget", id="task budget"),
        pytest.param({"output_config": {"effort": "heroic"}}, "output_config.effort", id="unknown effort"),
        pytest.param({"thinking": {"type": "telepathy"}}, "thinking", id="unknown thinking"),
        pytest.param({"from_the_future": True}, "from_the_future", id="unknown field"),
        pytest.param({"odd\nname": True}, "a field", id="unknown field that can't be named"),
    ],
)
def test_hints_are_dropped_and_told(fields: dict[str, Any], field: str) -> None:
    _, losses = parse(request({"type": "text", "text": "x"}, **fields))
    assert fields_of(losses, refused=False) == [field]
    assert losses.refused == []


@pytest.mark.parametrize("name", ["mcp_servers", "container", "fallbacks", "diagnostics", "from_the_future"])
@pytest.mark.parametrize("value", [None, [], {}], ids=["null", "no elements", "no members"])
def test_empty_fields_ask_for_nothing(name: str, value: Any) -> None:
    assert parse(request({"type": "text", "text": "x"}, **{name: value}))[1].found == []


def test_a_loss_is_told_once_however_often_it_occurs() -> None:
    tools = [{"name": f"t{n}", "input_schema": {"type": "object"}, "input_examples": [{}]} for n in range(5)]
    _, losses = parse(request({"type": "text", "text": "x"}, tools=tools))
    assert losses.found == [Loss("tools[].input_examples", "examples of arguments can't be said elsewhere")]


# --- malformed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"messages": {}}, "'messages'", id="messages no list"),
        pytest.param({"messages": ["x"]}, "'messages'", id="message no object"),
        pytest.param({"messages": [{"content": "x"}]}, "'messages[0].role'", id="no role"),
        pytest.param({"messages": [{"role": "tool", "content": "x"}]}, "'messages[0].role'", id="another role"),
        pytest.param({"messages": [{"role": "user"}]}, "'messages[0].content'", id="no content"),
        pytest.param({"messages": [{"role": "user", "content": 1}]}, "'messages[0].content'", id="content a number"),
        pytest.param({"messages": [{"role": "user", "content": ["x"]}]}, "'messages[0].content'", id="block a string"),
        pytest.param({"messages": [{"role": "user", "content": [{}]}]}, "'messages[0].content[0].type'", id="no type"),
        pytest.param({"system": 5}, "'system'", id="system a number"),
        pytest.param({"system": [{"type": "text"}]}, "'system[0].text'", id="system block without text"),
        pytest.param({"tools": {}}, "'tools'", id="tools no list"),
        pytest.param({"tools": [1]}, "'tools[0]'", id="tool a number"),
        pytest.param({"tools": [{"input_schema": {}}]}, "'tools[0].name'", id="tool without a name"),
        pytest.param({"tools": [{"name": "f", "input_schema": []}]}, "'tools[0].input_schema'", id="schema a list"),
        pytest.param({"tool_choice": "auto"}, "'tool_choice'", id="choice a string"),
        pytest.param({"tool_choice": {"type": "some"}}, "'tool_choice.type'", id="unknown choice"),
        pytest.param({"tool_choice": {"type": "tool"}}, "'tool_choice.name'", id="choice without a name"),
        pytest.param({"stop_sequences": "x"}, "'stop_sequences'", id="stop a string"),
        pytest.param({"stop_sequences": [1]}, "'stop_sequences[0]'", id="stop a number"),
        pytest.param({"temperature": "hot"}, "'temperature'", id="temperature a word"),
        pytest.param({"temperature": True}, "'temperature'", id="temperature a flag"),
        pytest.param({"top_k": 1.5}, "'top_k'", id="top_k a fraction"),
        pytest.param({"max_tokens": "many"}, "'max_tokens'", id="limit a word"),
        pytest.param({"metadata": {"user_id": 5}}, "'metadata.user_id'", id="user a number"),
        pytest.param({"thinking": "yes"}, "'thinking'", id="thinking a word"),
        pytest.param({"thinking": {"budget_tokens": 5}}, "'thinking.type'", id="thinking without a type"),
        pytest.param({"output_config": []}, "'output_config'", id="output_config a list"),
        pytest.param({"output_config": {"format": {"type": "json_schema", "schema": 5}}}, "schema'", id="schema"),
        pytest.param({"cache_control": "yes"}, "'cache_control'", id="mark a word"),
        pytest.param({"context_management": "x"}, "'context_management'", id="context management a word"),
    ],
)
def test_malformed_requests_are_refused_by_the_field(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse({**request({"type": "text", "text": "x"}), **fields})
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    ("block", "field"),
    [
        pytest.param({"type": "text", "text": 1}, "text", id="text"),
        pytest.param({"type": "image", "source": "x"}, "source", id="image source"),
        pytest.param({"type": "image"}, "source", id="no image source"),
        pytest.param({"type": "image", "source": {}}, "source.type", id="image source without a type"),
        pytest.param(
            {"type": "image", "source": {"type": "base64", "data": "x"}}, "source.media_type", id="no media type"
        ),
        pytest.param({"type": "image", "source": {"type": "url"}}, "source.url", id="no address"),
        pytest.param({"type": "document", "source": PDF, "title": 5}, "title", id="title"),
        pytest.param({"type": "document", "source": {"type": "content"}}, "source.content", id="document content"),
        pytest.param({"type": "search_result", "title": "T", "content": []}, "source", id="search result"),
        pytest.param({"type": "tool_result"}, "tool_use_id", id="result id"),
        pytest.param({"type": "tool_result", "tool_use_id": "t", "content": 5}, "content", id="result content"),
        pytest.param({"type": "tool_result", "tool_use_id": "t", "is_error": "no"}, "is_error", id="result flag"),
        pytest.param({"type": "text", "text": "x", "cache_control": 1}, "cache_control", id="mark"),
    ],
)
def test_malformed_blocks_are_refused_by_the_field(block: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(request(block))
    assert f"'messages[0].content[0].{field}'" in str(refusal.value)


def test_a_request_without_messages_is_refused() -> None:
    with pytest.raises(BadRequest, match="'messages' is missing"):
        parse({"model": "m"})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.sampled_from(["", "x", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "type text source content role id name input data media_type url thinking signature tool_use_id "
                "is_error cache_control citations title context caller schema format effort display".split()
            ),
            inner
            | st.sampled_from(
                "text image document tool_use tool_result thinking redacted_thinking search_result".split()
            ),
            max_size=5,
        )
    ),
    max_leaves=12,
)
_FIELDS = st.sampled_from(
    "system messages tools tool_choice thinking output_config metadata stop_sequences temperature top_k max_tokens "
    "cache_control context_management output_format service_tier speed mcp_servers".split()
)


@pytest.mark.slow
@given(st.dictionaries(_FIELDS, _JSON, max_size=4), st.lists(_JSON, max_size=3))
def test_whatever_the_json_is_a_request_is_read_or_refused(fields: dict[str, Any], content: list[Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    with suppress(BadRequest):
        asked, losses = parse(json.dumps(body).encode())
        assert asked.model == "m"
        assert all(loss.field and loss.why for loss in losses.found)
