"""Items of a request's input become turns, in their order; what nobody else can read is refused."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.conversation import (
    Cache,
    Document,
    Image,
    Inline,
    Link,
    OpaqueState,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Written,
)
from router.wire.opaque import wrap
from tests.wire.openai_responses.saying import parse, parsed, parts_of

MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"n": 1.50}', "id": "fc_1"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "done"}
HI = {"role": "user", "content": "hi"}


def user(*content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(content)}


def assistant(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": content, **fields}


@pytest.mark.parametrize(
    ("part", "understood"),
    [
        pytest.param({"type": "input_text", "text": "x"}, Text("x"), id="text"),
        pytest.param({"type": "text", "text": "x"}, Text("x"), id="text in Chat's words"),
        pytest.param({"type": "input_text", "text": "x", **MARK}, Text("x", Cache("30m")), id="text with a mark"),
        pytest.param(
            {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            Text("x", Cache("12h")),
            id="text with a mark for half a day",
        ),
        pytest.param(
            {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "low"},
            Image(Inline("image/png", "iVBO"), "low"),
            id="an image",
        ),
        pytest.param(
            {"type": "input_image", "image_url": "data:image/svg+xml;utf8,%3Csvg%3E"},
            Image(Inline("image/svg+xml", "PHN2Zz4=")),
            id="an image that isn't in base64",
        ),
        pytest.param(
            {"type": "input_image", "image_url": "https://x.example/y.png"},
            Image(Link("https://x.example/y.png")),
            id="an image somewhere else",
        ),
        pytest.param(
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
            Document(Inline("application/pdf", "JVBE"), "a.pdf"),
            id="a document",
        ),
        pytest.param(
            {"type": "input_file", "file_data": "JVBE"},
            Document(Inline("application/pdf", "JVBE")),
            id="a document in bare base64",
        ),
        pytest.param(
            {"type": "input_file", "filename": "a.txt", "file_data": "aGk="},
            Document(Written("hi"), "a.txt"),
            id="a text file in bare base64",
        ),
        pytest.param(
            {"type": "input_file", "filename": "a.csv", "file_data": "data:text/csv;base64,YSxi"},
            Document(Written("a,b"), "a.csv"),
            id="a text file",
        ),
        pytest.param(
            {"type": "input_file", "file_url": "https://x.example/y.pdf"},
            Document(Link("https://x.example/y.pdf")),
            id="a document somewhere else",
        ),
    ],
)
def test_content_is_understood_in_messages_and_in_outputs(part: dict[str, Any], understood: Any) -> None:
    assert parts_of(user(part)) == [("user", [understood])]
    output = {"type": "function_call_output", "call_id": "c1", "output": [part]}
    assert parts_of(HI, CALL, output)[2:] == [("user", [ToolResult("c1", (understood,))])]


@pytest.mark.parametrize(
    ("items", "field"),
    [
        pytest.param([user({"type": "input_image", "file_id": "f"})], "input[0].content[0].file_id", id="a kept image"),
        pytest.param([user({"type": "input_file", "file_id": "f"})], "input[0].content[0].file_id", id="a kept file"),
        pytest.param([user({"type": "input_audio"})], "input[0].content[0]", id="audio"),
        pytest.param([user({})], "input[0].content[0]", id="a part without a type"),
        pytest.param(
            [{"role": "developer", "content": [{"type": "input_image", "image_url": "https://x.example"}]}],
            "input[0].content[0]",
            id="an image in instructions",
        ),
        pytest.param(
            [{"role": "assistant", "content": [{"type": "input_image", "image_url": "https://x.example"}]}],
            "input[0].content[0]",
            id="an image of the assistant's",
        ),
        pytest.param([{"type": "item_reference", "id": "msg_1"}], "input[0]", id="a reference"),
        pytest.param([{"id": "msg_1"}], "input[0]", id="a reference without a type"),
        pytest.param([{"type": "compaction", "encrypted_content": "x"}], "input[0]", id="a compacted history"),
        pytest.param([HI, {"type": "compaction_trigger"}], "input[1]", id="a wish to compact"),
        pytest.param([{"type": "web_search_call", "id": "ws_1", "action": {}}], "input[0]", id="a search on the web"),
        pytest.param([{"type": "file_search_call", "id": "fs_1"}], "input[0]", id="a search in files"),
        pytest.param([{"type": "code_interpreter_call", "id": "ci_1", "code": "1"}], "input[0]", id="run code"),
        pytest.param([{"type": "image_generation_call", "id": "ig_1", "result": "x"}], "input[0]", id="a made image"),
        pytest.param([{"type": "computer_call", "call_id": "c", "action": {}}], "input[0]", id="a used computer"),
        pytest.param([{"type": "computer_call_output", "output": {}}], "input[0]", id="what the computer showed"),
        pytest.param([{"type": "mcp_call", "name": "x", "arguments": "{}"}], "input[0]", id="a server's tool"),
        pytest.param([{"type": "mcp_list_tools", "tools": [{"name": "x"}]}], "input[0]", id="a server's tools"),
        pytest.param([{"type": "program", "code": "x"}], "input[0]", id="a program"),
        pytest.param([{"type": "something_new", "content": "x"}], "input[0]", id="something new"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_and_is_nobodys_words(items: list[Any], field: str) -> None:
    conversation, losses = parse({"input": items})
    assert [(loss.field, loss.refused) for loss in losses.found] == [(field, True)]
    assert [part for turn in conversation.turns for part in turn.parts if part != Text("hi")] == []
    assert conversation.system == ()


def test_who_asks_to_compact_is_told_how_codex_does_it_by_itself() -> None:
    _, losses = parse({"input": [HI, {"type": "compaction_trigger"}]})
    assert "model_providers" in losses.refused[0].why


def test_instructions_and_leading_system_messages_are_the_system() -> None:
    developer = {"role": "developer", "content": [{"type": "input_text", "text": "b", **MARK}]}
    system = {"type": "message", "role": "system", "content": "c"}
    asked = parsed(developer, system, HI, {"role": "developer", "content": "d"}, instructions="a")
    assert asked.system == (Text("a"), Text("b", Cache("30m")), Text("c"))
    assert [(turn.role, turn.parts, turn.place) for turn in asked.turns] == [
        ("user", (Text("hi"),), "input[2]"),
        ("system", (Text("d"),), "input[3]"),
    ]


def test_all_items_of_the_assistants_between_two_of_the_users_are_one_turn() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "sealed"}
    second = {**CALL, "call_id": "c2"}
    assert parts_of(
        HI, reasoning, assistant("a", phase="commentary"), CALL, second, OUTPUT, {**OUTPUT, "call_id": "c2"}, HI
    ) == [
        ("user", [Text("hi")]),
        (
            "assistant",
            [
                Thought("", OpaqueState("openai-encrypted", "sealed", id="rs_1")),
                Text("a", phase="commentary"),
                ToolCall("c1", "f", '{"n": 1.50}'),
                ToolCall("c2", "f", '{"n": 1.50}'),
            ],
        ),
        ("user", [ToolResult("c1", (Text("done"),)), ToolResult("c2", (Text("done"),))]),
        ("user", [Text("hi")]),
    ]


@pytest.mark.parametrize(
    ("item", "part"),
    [
        pytest.param(assistant("a"), Text("a"), id="a message"),
        pytest.param({"role": "assistant", "content": "a"}, Text("a"), id="a message that is a string"),
        pytest.param(
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, Refusal("no"), id="a refusal"
        ),
        pytest.param({**CALL, "arguments": ""}, ToolCall("c1", "f", ""), id="a call without arguments"),
        pytest.param({**CALL, "arguments": "{broken"}, ToolCall("c1", "f", "{broken"), id="broken arguments"),
        pytest.param(
            {**CALL, "arguments": {"n": 1.50}}, ToolCall("c1", "f", '{"n":1.5}'), id="arguments that aren't text"
        ),
        pytest.param({**CALL, "call_id": None}, ToolCall("", "f", '{"n": 1.50}'), id="a call without an id"),
        pytest.param(
            {**CALL, "namespace": "g"}, ToolCall("c1", "f", '{"n": 1.50}', namespace="g"), id="a call of a group's tool"
        ),
        pytest.param(
            {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin\n"},
            ToolCall("c1", "apply_patch", "*** Begin\n", custom=True),
            id="a call of a freeform tool",
        ),
        pytest.param(
            {"type": "local_shell_call", "call_id": "c1", "action": {"type": "exec", "command": ["ls"], "env": {}}},
            ToolCall("c1", "local_shell", '{"command":["ls"]}'),
            id="a command",
        ),
        pytest.param(
            {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls"], "timeout_ms": 1000}},
            ToolCall("c1", "shell", '{"commands":["ls"],"timeout_ms":1000}'),
            id="commands",
        ),
        pytest.param(
            {"type": "apply_patch_call", "call_id": "c1", "operation": {"type": "delete_file", "path": "a"}},
            ToolCall("c1", "apply_patch", '{"type":"delete_file","path":"a"}'),
            id="a patch",
        ),
        pytest.param(
            {"type": "tool_search_call", "call_id": "c1", "execution": "client", "arguments": {"query": "x"}},
            ToolCall("c1", "tool_search", '{"query":"x"}'),
            id="a search for tools",
        ),
        pytest.param(
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"text": "b"}]},
            Thought("a\n\nb"),
            id="a summary of reasoning",
        ),
        pytest.param(
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]},
            Thought("a"),
            id="reasoning in full",
        ),
        pytest.param(
            {"type": "reasoning", "summary": [{"text": "a"}], "encrypted_content": "sealed"},
            Thought("a", OpaqueState("openai-encrypted", "sealed")),
            id="sealed reasoning without an id",
        ),
    ],
)
def test_what_the_assistant_said_and_called_is_understood(item: dict[str, Any], part: Any) -> None:
    assert parts_of(item) == [("assistant", [part])]


@pytest.mark.parametrize(
    ("item", "result"),
    [
        pytest.param(OUTPUT, ToolResult("c1", (Text("done"),)), id="a text"),
        pytest.param({**OUTPUT, "output": None}, ToolResult("c1", (Text(""),)), id="nothing"),
        pytest.param(
            {**OUTPUT, "output": {"content": "x", "ok": True}},
            ToolResult("c1", (Text('{"content":"x","ok":true}'),)),
            id="an object, as older clients send it",
        ),
        pytest.param(
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
            ToolResult("c1", (Text("ok"),), custom=True),
            id="of a freeform tool",
        ),
        pytest.param(
            {"type": "local_shell_call_output", "id": "c1", "output": "ok"},
            ToolResult("c1", (Text("ok"),)),
            id="of a command",
        ),
        pytest.param(
            {"type": "shell_call_output", "call_id": "c1", "output": [{"stdout": "a"}]},
            ToolResult("c1", (Text('[{"stdout":"a"}]'),)),
            id="of commands",
        ),
        pytest.param(
            {"type": "apply_patch_call_output", "call_id": "c1", "status": "failed", "output": "no such file"},
            ToolResult("c1", (Text("no such file"),), is_error=True),
            id="of a patch that failed",
        ),
        pytest.param(
            {"type": "apply_patch_call_output", "call_id": "c1", "status": "completed"},
            ToolResult("c1", (Text("completed"),)),
            id="of a patch that says nothing",
        ),
    ],
)
def test_what_a_call_gave_is_understood(item: dict[str, Any], result: ToolResult) -> None:
    assert parts_of(item) == [("user", [result])]


@pytest.mark.parametrize(
    ("encrypted", "thought"),
    [
        pytest.param(
            wrap(OpaqueState("anthropic-signature", "sig", "anthropic/claude")),
            Thought("a", OpaqueState("anthropic-signature", "sig", "anthropic/claude")),
            id="of another provider",
        ),
        pytest.param(
            wrap(OpaqueState("openai-encrypted", "enc", "azure/gpt", "rs_9")),
            Thought("a", OpaqueState("openai-encrypted", "enc", "azure/gpt", "rs_9")),
            id="of this format, with its own id",
        ),
        pytest.param("rtr1.broken", Thought("a"), id="changed on the way"),
    ],
)
def test_sealed_reasoning_under_our_tag_is_unwrapped(encrypted: str, thought: Thought) -> None:
    item = {"type": "reasoning", "id": "rs_rtr1x", "summary": [{"text": "a"}], "encrypted_content": encrypted}
    assert parts_of(item) == [("assistant", [thought])]


def test_reasoning_of_which_nothing_is_left_is_nothing() -> None:
    assert parts_of(HI, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "rtr1.broken"}) == [
        ("user", [Text("hi")])
    ]


def test_the_sealed_form_of_a_call_goes_back_to_the_call() -> None:
    state = OpaqueState("google-thought", "sig", "google/gemini")
    sealed = wrap(OpaqueState("google-thought", "sig", "google/gemini", "c1"))
    item = {"type": "reasoning", "id": "rs_rtr1x", "summary": [], "encrypted_content": sealed}
    assert parts_of(CALL, item) == [("assistant", [ToolCall("c1", "f", '{"n": 1.50}', state=state)])]
    assert parts_of(HI, item) == [("user", [Text("hi")])], "the call isn't there any more"


def test_the_sealed_form_of_a_call_is_found_behind_the_calls_result() -> None:
    """Codex tells a sub-agent first what came of the call that made it, then how the main agent went on."""
    state = OpaqueState("google-thought", "sig", "google/gemini")
    sealed = wrap(OpaqueState("google-thought", "sig", "google/gemini", "c1"))
    item = {"type": "reasoning", "id": "rs_rtr1x", "summary": [], "encrypted_content": sealed}
    assert parts_of(CALL, OUTPUT, item, HI) == [
        ("assistant", [ToolCall("c1", "f", '{"n": 1.50}', state=state)]),
        ("user", [ToolResult("c1", (Text("done"),))]),
        ("user", [Text("hi")]),
    ]


def agent_message(*content: dict[str, str]) -> dict[str, Any]:
    return {"type": "agent_message", "author": "/root", "recipient": "/root/reader", "content": list(content)}


HEAD = {"type": "input_text", "text": "Sender: /root\nPayload:\n"}
TOLD = {"type": "encrypted_content", "encrypted_content": "Read the notes."}
SEALED = {"type": "encrypted_content", "encrypted_content": "gAAAAABp" + "x9-_" * 30 + "=="}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param([HEAD, TOLD], "Sender: /root\nPayload:\nRead the notes.", id="a task, as one text with its head"),
        pytest.param([TOLD], "Read the notes.", id="nothing but a task"),
        pytest.param([HEAD], "Sender: /root\nPayload:\n", id="what an agent answers"),
    ],
)
def test_what_another_agent_says_is_for_the_model_to_act_upon(content: list[dict[str, str]], said: str) -> None:
    assert parts_of(agent_message(*content)) == [("user", [Text(said)])]
    assert parts_of({**agent_message(), "content": said}) == [("user", [Text(said)])]


def test_what_another_agent_says_is_refused_where_it_is_sealed() -> None:
    conversation, losses = parse({"input": [HI, agent_message(HEAD, SEALED)]})
    assert [loss.field for loss in losses.refused] == ["input[1].content[1]"]
    assert "sealed" in losses.refused[0].why
    assert conversation.turns[1].parts == (Text(HEAD["text"]),)


def test_a_mark_without_a_time_has_that_of_the_request() -> None:
    asked = parsed(
        user({"type": "input_text", "text": "x", **MARK}), prompt_cache_options={"mode": "explicit", "ttl": "12h"}
    )
    assert asked.turns[0].parts == (Text("x", Cache("12h")),)
