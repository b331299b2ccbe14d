"""What translations between wire formats are known to get wrong, each with its rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.errors import Untranslatable
from router.providers.catalog import shipped
from router.providers.traits import preferred_format
from router.wire.amend import amended
from router.wire.events import StreamFailed
from router.wire.request import Api
from router.wire.sse import SseDecoder
from router.wire.translate import Translation
from tests.support.provider import FakeProvider, Received, whole
from tests.support.serving import serving
from tests.support.translating import (
    APIS,
    MAIN,
    TARGETS,
    A,
    Asking,
    C,
    G,
    R,
    Target,
    next_turn,
    rendered,
    request,
    translation,
)

TOOL_SCHEMA = {"type": "object", "properties": {"zone": {"type": "string"}}}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


# --- what clients ask -------------------------------------------------------------------------------------------------


def asking(api: Api, **more: Any) -> Asking:
    """A question with one tool on offer, as a client of the format asks it."""
    fields: dict[Api, dict[str, Any]] = {
        A: {
            "max_tokens": 100,
            "messages": [{"role": "user", "content": "What time is it?"}],
            "tools": [{"name": "get_time", "input_schema": TOOL_SCHEMA}],
        },
        C: {
            "messages": [{"role": "user", "content": "What time is it?"}],
            "tools": [{"type": "function", "function": {"name": "get_time", "parameters": TOOL_SCHEMA}}],
        },
        R: {
            "input": [{"role": "user", "content": "What time is it?"}],
            "tools": [{"type": "function", "name": "get_time", "parameters": TOOL_SCHEMA}],
            "include": ["reasoning.encrypted_content"],
        },
        G: {
            "contents": [{"role": "user", "parts": [{"text": "What time is it?"}]}],
            "tools": [{"functionDeclarations": [{"name": "get_time", "parametersJsonSchema": TOOL_SCHEMA}]}],
        },
    }
    return request(api, **{**fields[api], **more})


def client_events(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream as a client reads them; Chat's end marker left out."""
    return [json.loads(event.data) for event in SseDecoder().feed(raw) if event.data != b"[DONE]"]


def streamed(client: Api, target: Target, raw: bytes, **more: Any) -> bytes:
    """A provider's stream as a client of another format gets it."""
    if client in (A, C, R):
        more.setdefault("stream", True)
    if client == C:
        more.setdefault("stream_options", {"include_usage": True})
    done = translation(asking(client, **more), target)
    tap = done.stream(done.asked("1", 0, input_estimate=1234))
    return b"".join(tap.feed(raw)) + tap.finish()


def answered(client: Api, target: Target, reply: Any, **more: Any) -> dict[str, Any]:
    """A provider's whole reply as a client of another format gets it."""
    done = translation(asking(client, **more), target)
    told = _whole(done, json.dumps(reply).encode())
    assert isinstance(told, bytes)
    answer = json.loads(told)
    assert isinstance(answer, dict)
    return answer


def _whole(done: Translation, payload: bytes) -> bytes | StreamFailed:
    return done.whole(payload, done.asked("1", 0), media_type="application/json")


def blocks(raw: bytes) -> list[dict[str, Any]]:
    """The content blocks of a Messages stream, in the order of their indices; checks that grammar."""
    made: list[dict[str, Any]] = []
    open_index: int | None = None
    for event in client_events(raw):
        match event["type"]:
            case "content_block_start":
                assert open_index is None
                assert event["index"] == len(made), "indices neither skip nor come again"
                open_index = event["index"]
                made.append({**event["content_block"], "said": ""})
            case "content_block_delta":
                assert event["index"] == open_index
                delta = event["delta"]
                made[-1]["said"] += delta.get("text") or delta.get("partial_json") or delta.get("thinking") or ""
                made[-1].update({"signature": delta["signature"]} if "signature" in delta else {})
            case "content_block_stop":
                assert event["index"] == open_index
                open_index = None
    return made


def last_of(raw: bytes, kind: str) -> dict[str, Any]:
    return next(event for event in reversed(client_events(raw)) if event.get("type") == kind)


# --- what providers answer --------------------------------------------------------------------------------------------


def chat_chunk(finish: str | None = None, usage: Any = None, choices: bool = True, **delta: Any) -> bytes:
    chunk: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
    chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}] if choices else []
    if usage is not None:
        chunk["usage"] = usage
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def chat_call(index: int | None = 0, **fields: Any) -> dict[str, Any]:
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    place = {} if index is None else {"index": index}
    return {**place, **fields, "type": "function", "function": function}


DONE = b"data: [DONE]\n\n"
CHAT_USAGE = {
    "prompt_tokens": 35,
    "completion_tokens": 7,
    "total_tokens": 42,
    "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5},
}


def chat_reply(finish: str = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
        ],
        "usage": usage or CHAT_USAGE,
    }


def messages_event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


def messages_reply(*content: Any, stop: str = "end_turn", usage: Any = None) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 10, "output_tokens": 7},
    }


def response_event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


def response(*output: Any, status: str = "completed", **fields: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 35,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 42,
    }
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt", "status": status,
        "output": list(output), "usage": usage, "error": None, "incomplete_details": None, **fields,
    }  # fmt: skip


def gemini_reply(*parts: Any, finish: str | None = "STOP", usage: Any = None) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "usageMetadata": usage or {"promptTokenCount": 35, "candidatesTokenCount": 4, "totalTokenCount": 39},
        "modelVersion": "gemini",
        "responseId": "g1",
    }


def gemini_stream(*replies: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(reply).encode() for reply in replies)


# --- the traps --------------------------------------------------------------------------------------------------------


class TestUsage:
    def test_trap_01_cached_tokens_are_counted_once(self) -> None:
        """What was read from the cache or written to it stands inside OpenAI's input, and beside Anthropic's."""
        usage = {
            "input_tokens": 10,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 5,
            "output_tokens": 7,
        }
        reply = messages_reply({"type": "text", "text": "noon"}, usage=usage)
        chat = answered(C, MAIN[A], reply)["usage"]
        assert (chat["prompt_tokens"], chat["completion_tokens"], chat["total_tokens"]) == (35, 7, 42)
        assert chat["prompt_tokens_details"]["cached_tokens"] == 20
        assert chat["prompt_tokens_details"]["cache_write_tokens"] == 5
        responses = answered(R, MAIN[A], reply)["usage"]
        assert (responses["input_tokens"], responses["output_tokens"], responses["total_tokens"]) == (35, 7, 42)
        assert responses["input_tokens_details"] == {"cached_tokens": 20, "cache_write_tokens": 5}
        gemini = answered(G, MAIN[A], reply)["usageMetadata"]
        assert (gemini["promptTokenCount"], gemini["cachedContentTokenCount"]) == (35, 20)
        assert gemini["totalTokenCount"] == 42
        for target, answer in (
            (MAIN[C], chat_reply(content="noon")),
            (MAIN[R], response({"type": "message", "content": [{"type": "output_text", "text": "noon"}]})),
        ):
            told = answered(A, target, answer)["usage"]
            assert {name: told[name] for name in usage} == usage
        cached = {
            "promptTokenCount": 35,
            "cachedContentTokenCount": 20,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": 4,
        }
        told = answered(A, MAIN[G], gemini_reply({"text": "noon"}, usage=cached))["usage"]
        assert (told["input_tokens"], told["cache_read_input_tokens"], told["output_tokens"]) == (15, 20, 7)

    @pytest.mark.parametrize(
        "chunks",
        [
            pytest.param([chat_chunk("stop"), chat_chunk(usage=CHAT_USAGE, choices=False)], id="behind the finish"),
            pytest.param([chat_chunk("stop", usage=CHAT_USAGE)], id="with the finish"),
            pytest.param(
                [
                    chat_chunk(content="!", usage={"prompt_tokens": 35, "completion_tokens": 1, "total_tokens": 36}),
                    chat_chunk("stop", usage=CHAT_USAGE),
                ],
                id="in every chunk",
            ),
            pytest.param(
                [
                    b"data: %b\n\n"
                    % json.dumps(
                        {
                            "id": "c",
                            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                            "x_groq": {"usage": CHAT_USAGE},
                        }
                    ).encode()
                ],
                id="in a corner of its own",
            ),
        ],
    )
    def test_trap_02_usage_of_a_stream_is_asked_for_and_waited_for(self, chunks: list[bytes]) -> None:
        """It may come behind the finish reason, and a client that looks at the first event is told an estimate."""
        assert rendered(asking(A, stream=True), MAIN[C])["stream_options"] == {"include_usage": True}
        raw = streamed(A, MAIN[C], chat_chunk(role="assistant", content="noon") + b"".join(chunks) + DONE)
        events = client_events(raw)
        assert events[0]["message"]["usage"]["input_tokens"] == 1234
        usage = last_of(raw, "message_delta")["usage"]
        assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (10, 20, 7)
        assert events[-1] == {"type": "message_stop"}


class TestToolCalls:
    @pytest.mark.parametrize(
        "chunks",
        [
            pytest.param(
                [chat_chunk(tool_calls=[chat_call(id="c1", name="get_time", arguments='{"zone":"UTC"}')]),
                 chat_chunk("tool_calls")],
                id="in one chunk",
            ),
            pytest.param(
                [chat_chunk("stop", tool_calls=[chat_call(id="c1", name="get_time", arguments='{"zone":"UTC"}')])],
                id="in one chunk with the finish reason",
            ),
            pytest.param(
                [chat_chunk(tool_calls=[chat_call(id="c1", name="get_time", arguments='{"zone":')]),
                 chat_chunk("tool_calls", tool_calls=[chat_call(arguments='"UTC"}')])],
                id="the last fragment with the finish reason",
            ),
        ],
    )  # fmt: skip
    def test_trap_03_whole_arguments_are_told(self, chunks: list[bytes]) -> None:
        """Arguments that come at once, first or last in a stream, are arguments, too."""
        raw = streamed(A, MAIN[C], b"".join(chunks) + DONE)
        (call,) = blocks(raw)
        assert (call["type"], call["id"], call["name"], call["input"]) == ("tool_use", "c1", "get_time", {})
        assert json.loads(call["said"]) == {"zone": "UTC"}
        assert last_of(raw, "message_delta")["delta"]["stop_reason"] == "tool_use"

    @pytest.mark.parametrize(
        "later",
        [
            pytest.param({"id": "c1", "name": "get_time"}, id="repeated"),
            pytest.param({"id": "", "name": ""}, id="empty"),
            pytest.param({}, id="left out"),
        ],
    )
    def test_trap_04_fragments_of_one_call_are_one_block(self, later: dict[str, Any]) -> None:
        """An id or a name that stands in every fragment begins no new call; another id under the same index does."""
        raw = streamed(
            A,
            MAIN[C],
            chat_chunk(tool_calls=[chat_call(id="c1", name="get_time", arguments='{"zone"')])
            + chat_chunk(tool_calls=[chat_call(**later, arguments=':"U')])
            + chat_chunk(tool_calls=[chat_call(**later, arguments='TC"}')])
            + chat_chunk(tool_calls=[chat_call(id="c2", name="get_time", arguments="{}")])
            + chat_chunk("tool_calls")
            + DONE,
        )
        assert [(call["id"], json.loads(call["said"] or "{}")) for call in blocks(raw)] == [
            ("c1", {"zone": "UTC"}),
            ("c2", {}),
        ]

    def test_trap_05_blocks_are_counted_by_themselves(self) -> None:
        """Places of items among a provider's output say nothing about a client's blocks: some items show nothing."""
        call = {"type": "function_call", "id": "fc_1", "name": "get_time", "arguments": ""}
        raw = streamed(
            A,
            MAIN[R],
            response_event("response.created", response=response(status="in_progress"))
            + response_event("response.output_item.added", output_index=0, item={"type": "web_search_call", "id": "ws"})
            + response_event("response.output_item.done", output_index=0, item={"type": "web_search_call", "id": "ws"})
            + response_event("response.output_item.added", output_index=3, item={**call, "call_id": "c1"})
            + response_event("response.function_call_arguments.delta", output_index=3, item_id="fc_1", delta='{"zone":')
            + response_event("response.output_item.added", output_index=7, item={**call, "call_id": "c2", "id": "fc_2"})
            + response_event("response.function_call_arguments.delta", output_index=7, item_id="fc_2", delta="{}")
            + response_event("response.function_call_arguments.delta", output_index=3, item_id="other", delta='"UTC"}')
            + response_event("response.output_item.done", output_index=3, item={**call, "call_id": "c1"})
            + response_event("response.output_item.done", output_index=7, item={**call, "call_id": "c2", "id": "fc_2"})
            + response_event("response.completed", response=response()),
        )
        assert [(call["id"], call["said"]) for call in blocks(raw)] == [("c1", '{"zone":"UTC"}'), ("c2", "{}")]

    def test_trap_07_calls_end_a_turn_for_their_results(self) -> None:
        """Servers say "stop" although there are calls; only a limit and a filter count for more."""
        call = [chat_call(None, id="c1", name="get_time", arguments="{}")]
        for finish, stop in (("stop", "tool_use"), ("", "tool_use"), ("eos", "tool_use"), ("length", "max_tokens"),
                             ("content_filter", "refusal")):  # fmt: skip
            assert answered(A, MAIN[C], chat_reply(finish, tool_calls=call))["stop_reason"] == stop
        item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get_time", "arguments": "{}"}
        assert answered(A, MAIN[R], response(item))["stop_reason"] == "tool_use"
        reply = gemini_reply({"functionCall": {"name": "get_time", "args": {}}})
        assert answered(A, MAIN[G], reply)["stop_reason"] == "tool_use"
        assert answered(C, MAIN[G], reply)["choices"][0]["finish_reason"] == "tool_calls"


class TestText:
    def test_trap_06_empty_text_is_never_given_out_and_never_passed_on(self) -> None:
        """A client keeps an empty block and sends it back with every turn, which Anthropic refuses for ever."""
        raw = streamed(
            A,
            MAIN[C],
            chat_chunk(role="assistant", content="")
            + chat_chunk(content=None, reasoning_content="")
            + chat_chunk(content="", tool_calls=[chat_call(id="c1", name="get_time", arguments="{}")])
            + chat_chunk("tool_calls", content="")
            + DONE,
        )
        assert [block["type"] for block in blocks(raw)] == ["tool_use"]
        told = answered(A, MAIN[C], chat_reply(content="", tool_calls=[chat_call(id="c1", name="f", arguments="{}")]))
        assert [block["type"] for block in told["content"]] == ["tool_use"]
        history = [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": " \n"},
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "still there?"}]},
        ]
        body = rendered(asking(C, messages=history), MAIN[A])
        MAIN[A].check(body)
        assert [message["role"] for message in body["messages"]] == ["user"]

    def test_trap_18_an_error_amid_a_stream_is_an_error(self) -> None:
        """A stream that breaks off or tells of an error never looks finished."""
        begun = chat_chunk(role="assistant", content="noo")
        error = b'data: {"error":{"message":"it broke","code":502}}\n\n'
        for raw, finished in ((begun + error, False), (begun, False), (begun + chat_chunk("stop") + error, False),
                              (begun + chat_chunk("stop") + DONE, True)):  # fmt: skip
            done = translation(asking(A, stream=True), MAIN[C])
            tap = done.stream(done.asked("1", 0))
            told = b"".join(tap.feed(raw)) + tap.finish()
            kinds = [event["type"] for event in client_events(told)]
            assert tap.ended == finished == ("message_stop" in kinds)
            assert ("error" in kinds) == tap.failed == (error in raw)
        failed = response_event("response.created", response=response(status="in_progress")) + response_event(
            "response.failed", response=response(status="failed", error={"code": "server_error", "message": "it broke"})
        )
        told = streamed(C, MAIN[R], failed)
        assert b"it broke" in told
        assert b"[DONE]" not in told

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(b'{"error":{"message":"content filtered","code":"content_filter"}}', id="an error body"),
            pytest.param(b'[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]', id="in a list"),
            pytest.param(b"<html><h1>502 Bad Gateway</h1></html>", id="a page"),
            pytest.param(b"", id="nothing"),
            pytest.param(b"null", id="null"),
            pytest.param(b'{"choices":[]}', id="an answer without a choice"),
        ],
    )
    @pytest.mark.parametrize("api", APIS)
    def test_trap_19_an_error_dressed_as_a_success_is_an_error(self, api: Api, payload: bytes) -> None:
        """Whatever comes with status 200, only an answer is told as one."""
        client: Api = C if api == A else A
        assert isinstance(_whole(translation(asking(client), MAIN[api]), payload), StreamFailed)


CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "What time is it?"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Look at the clock.", "signature": ""},
            {"type": "tool_use", "id": "c1", "name": "get_time", "input": {}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "noon"}]},
]


class TestThinking:
    def test_trap_08_reasoning_goes_back_to_those_who_demand_it(self) -> None:
        """DeepSeek and its like refuse a turn with calls that lacks its reasoning, even where none is left."""
        body = rendered(asking(A, messages=CALLED), TARGETS["deepseek"])
        assert body["messages"][1]["reasoning_content"] == "Look at the clock."
        lost = json.loads(json.dumps(CALLED))
        del lost[1]["content"][0]
        body = rendered(asking(A, messages=lost), TARGETS["deepseek"])
        assert isinstance(body["messages"][1]["reasoning_content"], str)

    @pytest.mark.parametrize("signature", ["", "EqoBCkgIARABGAIiQ", "gAAAAABo", "rtr1.broken"])
    def test_trap_09_what_others_sealed_is_nobody_elses(self, signature: str) -> None:
        """A foreign signature is neither sent as one's own nor is the thinking told as text."""
        messages = json.loads(json.dumps(CALLED))
        messages[1]["content"][0]["signature"] = signature
        for name in ("gpt", "gpt on chat", "gemini"):
            told = json.dumps(rendered(asking(A, messages=messages), TARGETS[name]))
            assert "Look at the clock" not in told
            assert not signature or signature not in told
        items = [
            {"role": "user", "content": "What time is it?"},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look at the clock."}],
             "encrypted_content": signature or "gAAAAABo"},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get_time", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "noon"},
        ]  # fmt: skip
        for name in ("claude", "older claude", "gemini"):
            body = rendered(asking(R, input=items), TARGETS[name])
            assert "thinking" not in json.dumps(body.get("messages"))
            assert "Look at the clock" not in json.dumps(body)

    def test_trap_10_thinking_returns_unchanged_behind_an_unchanged_beginning(self) -> None:
        """A client of another format carries it there and back; what stood before it stays byte for byte the same."""
        reply = messages_reply(
            {"type": "thinking", "thinking": "Look.", "signature": "EqoB+/="},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "c1", "name": "get_time", "input": {"zone": "UTC"}},
            stop="tool_use",
        )
        for client in (R, C, G):
            first = asking(client)
            turn = next_turn(first, answered(client, MAIN[A], reply))
            before, after = rendered(first, MAIN[A]), rendered(turn, MAIN[A])
            assert after["messages"][0]["content"][0]["text"] == before["messages"][0]["content"][0]["text"]
            assert after["tools"] == before["tools"]
            assert after["messages"][1]["content"] == reply["content"], client
            assert "thinking" not in json.dumps(rendered(turn, TARGETS["older claude"])["messages"]), "another model"

    def test_trap_14_geminis_signatures_come_back_and_stand_in_no_id(self) -> None:
        """A call must bear the signature it came with; where it is lost, Google's documented value stands in."""
        reply = gemini_reply({"functionCall": {"name": "get_time", "args": {}}, "thoughtSignature": "c2VhbGVk"})
        for client in (A, C, R):
            first = asking(client)
            told = answered(client, MAIN[G], reply)
            assert "c2VhbGVk" not in "".join(_ids(told))
            body = rendered(next_turn(first, told), MAIN[G])
            (call,) = [part for part in body["contents"][1]["parts"] if "functionCall" in part]
            assert call["thoughtSignature"] == "c2VhbGVk", client
        body = rendered(asking(A, messages=CALLED), MAIN[G])
        (call,) = [part for part in body["contents"][1]["parts"] if "functionCall" in part]
        assert call["thoughtSignature"] == "skip_thought_signature_validator"


def _ids(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [str(inner) for name, inner in value.items() if name in ("id", "call_id", "tool_call_id")]
        return own + [text for inner in value.values() for text in _ids(inner)]
    return [text for inner in value for text in _ids(inner)] if isinstance(value, list) else []


class TestRequests:
    def test_trap_11_thinking_with_tools_goes_to_the_endpoint_that_takes_both(self) -> None:
        """OpenAI's newer models refuse tools with reasoning on Chat Completions."""
        openai = shipped()["openai"]
        for client in (A, G):
            assert preferred_format(openai, client, "gpt-5.6") == R
        body = rendered(asking(A, thinking={"type": "adaptive"}, output_config={"effort": "high"}), MAIN[C])
        assert body["reasoning_effort"] == "none"
        body = rendered(asking(A, thinking={"type": "adaptive"}, output_config={"effort": "high"}, tools=[]), MAIN[C])
        assert body["reasoning_effort"] == "high"

    @pytest.mark.parametrize("api", [A, C, G])
    def test_trap_12_a_freeform_tool_stays_one_for_its_client(self, api: Api) -> None:
        """The target knows a function with one string; the client sees raw input, streamed, in replies and history."""
        target = TARGETS["like gpt on chat"] if api == C else MAIN[api]
        patch = '*** Begin Patch\n"é"\n*** End Patch'
        tools = [{"type": "custom", "name": "apply_patch", "description": "Edits."}]
        history = [
            {"role": "user", "content": "Fix it."},
            {"type": "custom_tool_call", "call_id": "c0", "name": "apply_patch", "input": patch},
            {"type": "custom_tool_call_output", "call_id": "c0", "output": "done"},
        ]
        asked = asking(R, input=history, tools=tools, stream=True)
        done = translation(asked, target)
        body = json.dumps(json.loads(done.body), ensure_ascii=False)
        assert '"apply_patch"' in body
        assert json.loads(done.body) == json.loads(translation(asked, target).body)
        (sent,) = _arguments(target.api, json.loads(done.body))
        assert sent == {"input": patch}
        spelled = json.dumps({"input": patch})
        raw = {
            A: messages_event("message_start", message=messages_reply())
            + messages_event(
                "content_block_start",
                index=0,
                content_block={"type": "tool_use", "id": "c1", "name": "apply_patch", "input": {}},
            )
            + b"".join(
                messages_event(
                    "content_block_delta",
                    index=0,
                    delta={"type": "input_json_delta", "partial_json": spelled[at : at + 5]},
                )
                for at in range(0, len(spelled), 5)
            )
            + messages_event("content_block_stop", index=0)
            + messages_event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 9})
            + messages_event("message_stop"),
            C: chat_chunk(tool_calls=[chat_call(id="c1", name="apply_patch", arguments=spelled[:9])])
            + b"".join(
                chat_chunk(tool_calls=[chat_call(arguments=spelled[at : at + 5])]) for at in range(9, len(spelled), 5)
            )
            + chat_chunk("tool_calls")
            + DONE,
            G: gemini_stream(gemini_reply({"functionCall": {"name": "apply_patch", "args": {"input": patch}}})),
        }[api]
        tap = done.stream(done.asked("1", 0))
        events = client_events(b"".join(tap.feed(raw)) + tap.finish())
        deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
        assert "".join(deltas) == patch
        assert api == G or len(deltas) > 3
        (item,) = [item for item in events[-1]["response"]["output"] if item["type"] == "custom_tool_call"]
        assert (item["name"], item["input"]) == ("apply_patch", patch)
        assert not any("function_call" in event["type"] for event in events)

    def test_trap_13_an_unknown_item_is_refused_and_never_somebodys_words(self) -> None:
        """A reasoning item is no message of the user's; what nobody knows is named in a refusal."""
        items = [{"role": "user", "content": "hi"}, {"type": "reasoning", "id": "rs_1", "summary": []},
                 {"role": "user", "content": "there?"}]  # fmt: skip
        for target in (MAIN[A], MAIN[C], MAIN[G]):
            told = rendered(asking(R, input=items), target)
            target.check(told)
            with pytest.raises(Untranslatable, match=r"input\[1\]"):
                translation(asking(R, input=[items[0], {"type": "hologram", "id": "h"}]), target)

    def test_trap_15_no_more_marks_than_four(self) -> None:
        """A fifth cache mark is an error that comes again with every turn; without any, caching is asked for once."""
        mark = {"cache_control": {"type": "ephemeral"}}
        said = [{"type": "text", "text": f"part {n}", **mark} for n in range(7)]
        body = rendered(
            asking(C, messages=[{"role": "system", "content": said}, {"role": "user", "content": said}]), MAIN[A]
        )
        MAIN[A].check(body)
        assert 1 <= json.dumps(body).count('"cache_control"') <= 4
        plain = rendered(asking(C), MAIN[A])
        MAIN[A].check(plain)
        assert 1 <= json.dumps(plain).count('"cache_control"') <= 4

    def test_trap_16_a_message_of_the_system_stays_in_its_place(self) -> None:
        """In mid-conversation it is neither moved to the top nor put between a call and its result."""
        messages = [
            {"role": "user", "content": "What time is it?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [chat_call(None, id="c1", name="get_time", arguments="{}")],
            },
            {"role": "system", "content": "Answer in French."},
            {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        ]
        for name in ("claude", "older claude", "gpt", "gemini"):
            body = rendered(asking(C, messages=messages), TARGETS[name])
            TARGETS[name].check(body)
            top = body.get("system"), body.get("instructions"), body.get("systemInstruction")
            assert "French" not in json.dumps(top)
            told = json.dumps(body)
            assert told.index("noon") < told.index("French"), name

    def test_trap_17_long_tool_names_are_short_there_and_long_here(self) -> None:
        """The same short name in offers, choice and history; the client's own name in the reply."""
        name = "mcp__a_server_with_quite_a_name__" + "a_tool_with_another" * 3
        messages = [
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c0", "name": name, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c0", "content": "ok"}]},
        ]
        more = {
            "messages": messages,
            "tools": [{"name": name, "input_schema": TOOL_SCHEMA}],
            "tool_choice": {"type": "tool", "name": name},
        }
        body = rendered(asking(A, **more), TARGETS["older gpt"])
        TARGETS["older gpt"].check(body)
        short = body["tools"][0]["function"]["name"]
        assert len(short) <= 64
        assert body["tool_choice"]["function"]["name"] == short
        assert body["messages"][1]["tool_calls"][0]["function"]["name"] == short
        reply = chat_reply("tool_calls", tool_calls=[chat_call(None, id="c1", name=short, arguments="{}")])
        assert answered(A, TARGETS["older gpt"], reply, **more)["content"][0]["name"] == name

    def test_trap_20_what_a_model_refuses_is_not_sent(self) -> None:
        """Flags say what; where they are wrong, the target's own refusal corrects them for the next try."""
        asked = asking(C, temperature=0, top_p=0.5, max_tokens=50)
        body = rendered(asked, MAIN[A])
        assert not {"temperature", "top_p"} & body.keys()
        assert rendered(asked, TARGETS["older claude"])["temperature"] == 0
        prefill = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "{"}]
        with pytest.raises(Untranslatable, match=r"messages\[1\]"):
            translation(asking(C, messages=prefill), MAIN[A])
        assert rendered(asking(C, messages=prefill), TARGETS["older claude"])["messages"][-1]["role"] == "assistant"
        assert rendered(asking(A), MAIN[C])["max_completion_tokens"] == 100
        assert rendered(asking(A), TARGETS["deepseek"])["max_tokens"] == 100

        unknown = TARGETS["like gpt on chat"]
        warm = asking(A, temperature=0.3)
        assert rendered(warm, unknown)["temperature"] == 0.3
        learned = amended(unknown.traits, "Unsupported parameter: 'temperature' is not supported with this model.")
        assert learned is not None
        assert "temperature" not in rendered(warm, learned, C)
        message = "Unsupported parameter: 'max_tokens' is not supported with this model."
        learned = amended(unknown.traits, f"{message} Use 'max_completion_tokens' instead.")
        assert learned is not None
        assert rendered(warm, learned, C)["max_completion_tokens"] == 100

    def test_trap_21_schemas_are_not_made_strict_unasked(self) -> None:
        """Strictness would make optional fields required; it is passed on where it is asked for."""
        for name in ("gpt", "gpt on chat", "like gpt", "like gpt on chat"):
            (tool,) = rendered(asking(A), TARGETS[name])["tools"]
            tool = tool.get("function", tool)
            assert not tool.get("strict")
            assert tool["parameters"] == TOOL_SCHEMA
        assert rendered(asking(A), MAIN[R])["tools"][0]["strict"] is False, "absent isn't the same there"
        closed = {**TOOL_SCHEMA, "required": ["zone"], "additionalProperties": False}
        strict = [{"name": "get_time", "strict": True, "input_schema": closed}]
        for name in ("gpt", "gpt on chat"):
            (tool,) = rendered(asking(A, tools=strict), TARGETS[name])["tools"]
            tool = tool.get("function", tool)
            assert (tool["strict"], tool["parameters"]) == (True, closed)

    def test_trap_22_pictures_in_results_reach_the_model(self) -> None:
        """Where a result holds only text, its picture follows behind all results."""
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        messages = [
            {"role": "user", "content": "Look at both."},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": i, "name": "look", "input": {}} for i in ("a", "b")],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": [image]},
                    {"type": "tool_result", "tool_use_id": "b", "content": "nothing"},
                ],
            },
        ]
        body = rendered(asking(A, messages=messages), MAIN[C])
        MAIN[C].check(body)
        assert [message["role"] for message in body["messages"][2:]] == ["tool", "tool", "user"]
        assert "image" in body["messages"][2]["content"]
        assert body["messages"][4]["content"][0]["image_url"]["url"].endswith(PIXEL)
        for api in (R, G):
            body = rendered(asking(A, messages=messages), MAIN[api])
            MAIN[api].check(body)
            assert json.dumps(body).count(PIXEL) == 1


PROFILE = """\
[providers.anthropic]
base-url = "{url}"
formats = ["anthropic-messages"]
api-key = "env:TEST_KEY"

[default]
target = "anthropic/claude-opus-5-5"
"""


class TestPassedThrough:
    async def _pass(self, tmp_path: Any, body: bytes, headers: dict[str, str], path: str) -> Received:
        async with FakeProvider(lambda _: whole(messages_reply({"type": "text", "text": "noon"}))) as provider:
            profile = PROFILE.format(url=provider.url)
            async with serving(tmp_path / "home", {"default": profile}) as router:
                async with router.post(path, data=body, headers=headers) as reply:
                    assert reply.status == 200, await reply.text()
                (received,) = provider.requests
                return received

    async def test_trap_23_beta_headers_and_the_query_pass(self, tmp_path: Any) -> None:
        """Without them a provider of the client's own format leaves features out and says nothing."""
        headers = {
            "anthropic-beta": "context-1m-2025-08-07,fine-grained-tool-streaming",
            "anthropic-version": "2023-06-01",
        }
        body = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}).encode()
        received = await self._pass(tmp_path, body, headers, "/v1/messages?beta=true")
        assert received.path.endswith("/v1/messages?beta=true")
        assert {name: received.headers[name] for name in headers} == headers

    async def test_trap_24_passed_bytes_stay_as_they_are(self, tmp_path: Any) -> None:
        """Spacing, numbers, escapes and unknown fields are the client's; the model's name is all that changes."""
        body = (
            b'{ "max_tokens" : 50,"temperature":1.0, "x":[1e2 ,0.10],\n"model":"m",  "messages":[{"role":"user",'
            b'"content":"\\u00e9 \\/ model"}],"metadata":{"model":"m"} }  '
        )
        received = await self._pass(tmp_path, body, {"content-type": "application/json"}, "/v1/messages")
        assert received.body == body.replace(b'"model":"m",  ', b'"model":"claude-opus-5-5",  ')


def _arguments(api: Api, body: dict[str, Any]) -> list[Any]:
    """The arguments of the calls in a body's history."""
    if api == A:
        blocks_sent = [
            block for message in body["messages"] for block in message["content"] if message["role"] != "user"
        ]
        return [block["input"] for block in blocks_sent if block["type"] == "tool_use"]
    if api == C:
        calls = [call for message in body["messages"] for call in message.get("tool_calls", ())]
        return [json.loads(call["function"]["arguments"]) for call in calls]
    parts = [part for content in body["contents"] for part in content["parts"]]
    return [part["functionCall"]["args"] for part in parts if "functionCall" in part]


def test_every_trap_has_its_test() -> None:
    tests = [name for group in list(globals().values()) if isinstance(group, type) for name in dir(group)]
    numbers = {int(name.split("_")[2]) for name in tests if name.startswith("test_trap_")}
    assert numbers == set(range(1, 25))
