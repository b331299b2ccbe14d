"""The same questions get the right answers in every format, and recorded requests are all understood."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.errors import BadRequest
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.request import Api, ImageSize, Piece, PieceContent, RequestView, Thinking, Tool

pytestmark = pytest.mark.sampled(4)

A: Api = "anthropic-messages"
C: Api = "openai-chat"
R: Api = "openai-responses"
G: Api = "gemini"

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAYAAAC56t6BAAAAC0lEQVR42mNgwAQAABUAAScZ7doAAAAASUVORK5CYII="  # 2 by 3
PDF = "JVBERi0xLjQKMSAwIG9iago8PCAvVHlwZSAvUGFnZSA+PgplbmRvYmoKMiAwIG9iago8PCAvVHlwZS9QYWdlID4+CmVuZG9iago="  # 2 pages


NAMED = {"name": "n", "description": "d"}
SCHEMA = {"type": "object"}


def view(api: Api, fields: dict[str, Any]) -> RequestView:
    return CODECS[api].view(Body.parse(json.dumps(fields).encode()), url_model="m", url_stream=False)


def last(api: Api, fields: dict[str, Any]) -> PieceContent:
    """What the last piece of the request holds."""
    seen = view(api, fields)
    return seen.read(seen.pieces()[-1])


class TestRecorded:
    def test_every_recorded_request_is_understood(self, recorded_request: dict[str, Any]) -> None:
        request = recorded_request["request"]
        seen = view(recorded_request["api"], request)
        assert seen.model == request.get("model", "m")
        assert seen.stream == (request.get("stream") is True)
        assert seen.tool_count == len(seen.tools)
        assert all(tool.name for tool in seen.tools)
        contents = [seen.read(piece) for piece in seen.pieces()]
        messages = [content for piece, content in zip(seen.pieces(), contents, strict=True) if piece.kind == "message"]
        turns = next((request[name] for name in ("messages", "input", "contents") if name in request), [])
        assert len(messages) == (1 if isinstance(turns, str) else len(turns))
        assert seen.has_system_prompt == bool(seen.system_text.strip())

    def test_no_word_of_a_recorded_request_is_lost(self, recorded_request: dict[str, Any]) -> None:
        """Every text a person or a tool wrote is among the texts, and pieces are the request's own bytes."""
        raw = json.dumps(recorded_request["request"]).encode()
        seen = CODECS[recorded_request["api"]].view(Body.parse(raw), url_model="m")
        texts = "\n".join(text for piece in seen.pieces() for text in seen.read(piece).texts)
        assert all(piece.raw in raw for piece in seen.pieces())
        for words in _texts_in(recorded_request["request"]):
            assert words in texts


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for name, inner in value.items() if name != "text" for text in _texts_in(inner)]
    return [text for inner in value for text in _texts_in(inner)] if isinstance(value, list) else []


class TestFields:
    @pytest.mark.parametrize(
        ("api", "fields", "limit"),
        [
            pytest.param(A, {"max_tokens": 5}, 5, id="messages"),
            pytest.param(C, {"max_tokens": 5}, 5, id="chat, old name"),
            pytest.param(C, {"max_completion_tokens": 6, "max_tokens": 5}, 6, id="chat, new name first"),
            pytest.param(C, {"max_tokens": None}, None, id="null is absent"),
            pytest.param(R, {"max_output_tokens": 5}, 5, id="responses"),
            pytest.param(G, {"generationConfig": {"maxOutputTokens": 5}}, 5, id="gemini"),
            pytest.param(G, {"generation_config": {"max_output_tokens": 5}}, 5, id="gemini in snake case"),
            pytest.param(A, {}, None, id="absent"),
            pytest.param(A, {"max_tokens": 5.0}, 5, id="a whole number with a fraction"),
        ],
    )
    def test_the_output_limit(self, api: Api, fields: dict[str, Any], limit: int | None) -> None:
        assert view(api, fields).max_tokens == limit

    @pytest.mark.parametrize(
        ("api", "fields", "attribute", "said"),
        [
            pytest.param(A, {}, "model", "'model' is missing", id="no model"),
            pytest.param(C, {"model": 3}, "model", "'model' must be a string", id="a model that is no name"),
            pytest.param(A, {"stream": "yes"}, "stream", "'stream' must be true or false", id="stream"),
            pytest.param(A, {"max_tokens": "5"}, "max_tokens", "whole number", id="a limit in quotes"),
            pytest.param(C, {"max_tokens": True}, "max_tokens", "whole number", id="a limit that is true"),
            pytest.param(R, {"max_output_tokens": 1.5}, "max_tokens", "whole number", id="a broken limit"),
            pytest.param(G, {"generationConfig": {"maxOutputTokens": "1"}}, "max_tokens", "whole", id="gemini's limit"),
            pytest.param(A, {"tools": {}}, "tool_count", "'tools' must be a list", id="tools that are no list"),
            pytest.param(C, {"tools": [1]}, "tools", "'tools' must be a list", id="a tool that is no object"),
            pytest.param(G, {"tools": [1]}, "tool_count", "'tools' must be a list", id="gemini's tools"),
        ],
    )
    def test_a_field_of_the_wrong_type_is_refused(
        self, api: Api, fields: dict[str, Any], attribute: str, said: str
    ) -> None:
        with pytest.raises(BadRequest, match=said):
            getattr(view(api, fields), attribute)

    def test_messages_must_be_a_list(self) -> None:
        for api, field in ((A, "messages"), (C, "messages"), (R, "input"), (G, "contents")):
            with pytest.raises(BadRequest, match=f"'{field}' must be a list"):
                view(api, {field: 5}).pieces()

    def test_gemini_takes_model_and_stream_from_the_url(self) -> None:
        body = Body.parse(b'{"model":"other","stream":true}')
        seen = CODECS[G].view(body, url_model="models/gemini-x", url_stream=False)
        assert (seen.model, seen.stream) == ("gemini-x", False)
        assert CODECS[G].view(body, url_model="g", url_stream=True).stream
        with pytest.raises(BadRequest, match="URL"):
            _ = CODECS[G].view(body).model

    def test_gemini_counts_tokens_of_a_request_one_level_down(self) -> None:
        seen = view(G, {"generateContentRequest": {"contents": [{"parts": [{"text": "hi"}]}]}})
        assert [piece.kind for piece in seen.pieces()] == ["message"]


class TestThinking:
    @pytest.mark.parametrize(
        ("api", "fields", "expected"),
        [
            pytest.param(A, {}, Thinking(), id="messages, nothing said"),
            pytest.param(A, {"thinking": {"type": "enabled", "budget_tokens": 9}}, Thinking(True, 9), id="enabled"),
            pytest.param(A, {"thinking": {"type": "adaptive"}}, Thinking(True), id="adaptive"),
            pytest.param(A, {"thinking": {"type": "between_tools"}}, Thinking(True), id="between tools"),
            pytest.param(A, {"thinking": {"type": "disabled", "budget_tokens": 9}}, Thinking(), id="disabled"),
            pytest.param(
                A,
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
                Thinking(True, None, "xhigh"),
                id="adaptive with an effort",
            ),
            pytest.param(A, {"output_config": {"effort": "low"}}, Thinking(False, None, "low"), id="only an effort"),
            pytest.param(A, {"thinking": "on"}, Thinking(), id="of the wrong type"),
            pytest.param(C, {"reasoning_effort": "high"}, Thinking(True, None, "high"), id="chat"),
            pytest.param(C, {"reasoning_effort": "minimal"}, Thinking(False, None, "minimal"), id="chat, minimal"),
            pytest.param(C, {"reasoning_effort": "none"}, Thinking(False, None, "none"), id="chat, none"),
            pytest.param(C, {"reasoning": {"effort": "low"}}, Thinking(True, None, "low"), id="OpenRouter effort"),
            pytest.param(C, {"reasoning": {"max_tokens": 80}}, Thinking(True, 80), id="OpenRouter budget"),
            pytest.param(C, {"reasoning": {"enabled": True}}, Thinking(True), id="OpenRouter switch"),
            pytest.param(C, {"reasoning": {"enabled": False}}, Thinking(), id="OpenRouter off"),
            pytest.param(C, {"thinking": {"type": "enabled"}}, Thinking(True), id="DeepSeek, Z.AI"),
            pytest.param(C, {"thinking": {"type": "disabled"}}, Thinking(), id="DeepSeek, Z.AI off"),
            pytest.param(C, {"enable_thinking": True, "thinking_budget": 7}, Thinking(True, 7), id="Qwen"),
            pytest.param(C, {"enable_thinking": False, "thinking_budget": 7}, Thinking(), id="Qwen off"),
            pytest.param(R, {"reasoning": {"effort": "xhigh"}}, Thinking(True, None, "xhigh"), id="responses"),
            pytest.param(R, {"reasoning": {"effort": "minimal"}}, Thinking(False, None, "minimal"), id="minimal"),
            pytest.param(R, {"reasoning": {"summary": "auto"}}, Thinking(), id="responses without an effort"),
            pytest.param(G, {}, Thinking(), id="gemini, nothing said"),
            pytest.param(
                G, {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}, Thinking(True), id="thoughts"
            ),
            pytest.param(
                G, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, Thinking(), id="a budget of nothing"
            ),
            pytest.param(
                G, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 8}}}, Thinking(True, 8), id="a budget"
            ),
            pytest.param(
                G, {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}}, Thinking(True), id="dynamic"
            ),
            pytest.param(
                G,
                {"generation_config": {"thinking_config": {"thinking_level": "HIGH"}}},
                Thinking(True, None, "high"),
                id="a level, snake case",
            ),
            pytest.param(
                G,
                {"generationConfig": {"thinkingConfig": {"thinkingLevel": "minimal"}}},
                Thinking(False, None, "minimal"),
                id="gemini minimal",
            ),
            pytest.param(
                G,
                {"generationConfig": {"thinkingConfig": {"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}}},
                Thinking(True),
                id="an unspecified level",
            ),
        ],
    )
    def test_thinking(self, api: Api, fields: dict[str, Any], expected: Thinking) -> None:
        assert view(api, fields).thinking == expected


class TestTools:
    @pytest.mark.parametrize(
        ("api", "fields", "expected"),
        [
            pytest.param(A, {"tools": None}, [], id="null"),
            pytest.param(A, {"tools": [{"name": "a", "input_schema": {}}]}, [Tool("a")], id="messages"),
            pytest.param(
                A,
                {
                    "tools": [
                        {"type": "custom", "name": "a"},
                        {"type": "web_search_20250305", "name": "web_search"},
                        {"type": "bash_20250124", "name": "bash"},
                        {"type": "code_execution_20260120", "name": "code_execution"},
                        {"type": "mcp_toolset", "mcp_server_name": "wiki"},
                    ]
                },
                [Tool("a"), Tool("web_search", "web-search"), Tool("bash"), Tool("code_execution", "hosted"),
                 Tool("wiki", "hosted")],
                id="Anthropic's own",
            ),
            pytest.param(
                C,
                {
                    "tools": [
                        {"type": "function", "function": {"name": "a", "parameters": {}}},
                        {"type": "custom", "custom": {"name": "b"}},
                        {"type": "builtin_function", "function": {"name": "$web_search"}},
                        {"type": "web_search", "web_search": {}},
                        {"type": "code_interpreter"},
                    ],
                    "functions": [{"name": "old"}],
                },
                [Tool("a"), Tool("b"), Tool("$web_search", "web-search"), Tool("web_search", "web-search"),
                 Tool("code_interpreter", "hosted"), Tool("old")],
                id="chat",
            ),
            pytest.param(C, {"web_search_options": {}}, [Tool("web_search", "web-search")], id="chat's search option"),
            pytest.param(C, {"plugins": [{"id": "web"}]}, [Tool("web_search", "web-search")], id="OpenRouter's plugin"),
            pytest.param(
                R,
                {
                    "tools": [
                        {"type": "function", "name": "a"},
                        {"type": "namespace", "name": "n", "tools": [{"name": "b"}, {"type": "function", "name": "c"}]},
                        {"type": "custom", "name": "apply_patch"},
                        {"type": "local_shell"},
                        {"type": "web_search_preview"},
                        {"type": "file_search"},
                        {"type": "mcp", "server_label": "wiki"},
                    ]
                },
                [Tool("a"), Tool("n__b"), Tool("n__c"), Tool("apply_patch"), Tool("local_shell"),
                 Tool("web_search_preview", "web-search"), Tool("file_search", "hosted"), Tool("wiki", "hosted")],
                id="responses",
            ),
            pytest.param(
                G,
                {
                    "tools": [
                        {"functionDeclarations": [{"name": "a"}, {"name": "b"}]},
                        {"google_search": {}, "function_declarations": [{"name": "c"}]},
                        {"codeExecution": {}},
                    ]
                },
                [Tool("a"), Tool("b"), Tool("google_search", "web-search"), Tool("c"), Tool("codeExecution", "hosted")],
                id="gemini",
            ),
        ],
    )  # fmt: skip
    def test_the_tools_offered(self, api: Api, fields: dict[str, Any], expected: list[Tool]) -> None:
        assert view(api, fields).tools == tuple(expected)
        assert view(api, fields).tool_count == len(expected)

    @pytest.mark.parametrize(
        ("api", "fields", "expected"),
        [
            pytest.param(A, {"tool_choice": {"type": "tool", "name": "a"}}, "a", id="messages"),
            pytest.param(A, {"tool_choice": {"type": "any"}}, None, id="messages, any"),
            pytest.param(C, {"tool_choice": {"type": "function", "function": {"name": "a"}}}, "a", id="chat"),
            pytest.param(C, {"tool_choice": "required"}, None, id="chat, required"),
            pytest.param(C, {"tool_choice": {"type": "custom", "custom": {"name": "a"}}}, "a", id="chat, custom"),
            pytest.param(C, {"function_call": {"name": "a"}}, "a", id="chat, legacy"),
            pytest.param(
                C,
                {
                    "tool_choice": {
                        "type": "allowed_tools",
                        "allowed_tools": {
                            "mode": "required",
                            "tools": [{"type": "function", "function": {"name": "a"}}],
                        },
                    }
                },
                "a",
                id="chat, one allowed",
            ),
            pytest.param(
                C,
                {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"name": "a"}]}}},
                None,
                id="chat, one allowed but not required",
            ),
            pytest.param(R, {"tool_choice": {"type": "function", "name": "a"}}, "a", id="responses"),
            pytest.param(R, {"tool_choice": {"type": "web_search"}}, "web_search", id="responses, hosted"),
            pytest.param(R, {"tool_choice": "auto"}, None, id="responses, auto"),
            pytest.param(
                G,
                {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}}},
                "a",
                id="gemini",
            ),
            pytest.param(
                G,
                {"tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["a", "b"]}}},
                None,
                id="gemini, one of two",
            ),
        ],
    )
    def test_the_forced_tool(self, api: Api, fields: dict[str, Any], expected: str | None) -> None:
        assert view(api, fields).forced_tool == expected

    @pytest.mark.parametrize(
        ("api", "tool"),
        [
            pytest.param(A, {**NAMED, "input_schema": SCHEMA}, id="messages"),
            pytest.param(C, {"type": "function", "function": {**NAMED, "parameters": SCHEMA}}, id="chat"),
            pytest.param(C, {**NAMED, "parameters": SCHEMA}, id="chat, legacy function"),
            pytest.param(R, {"type": "function", **NAMED, "parameters": SCHEMA}, id="responses"),
            pytest.param(
                R, {"type": "namespace", **NAMED, "tools": [{"name": "i", "parameters": SCHEMA}]}, id="a namespace"
            ),
            pytest.param(G, {"functionDeclarations": [{**NAMED, "parametersJsonSchema": SCHEMA}]}, id="gemini"),
        ],
    )
    def test_a_tools_texts_are_name_description_and_compact_schema(self, api: Api, tool: dict[str, Any]) -> None:
        content = last(api, {"tools": [tool]})
        assert {"n", "d", '{"type":"object"}'} <= set(content.texts)


class TestSystem:
    @pytest.mark.parametrize(
        ("api", "fields", "text"),
        [
            pytest.param(A, {"system": "be brief"}, "be brief", id="messages"),
            pytest.param(A, {"system": [{"text": "a"}, {"text": "b"}]}, "a\n\nb", id="messages, blocks"),
            pytest.param(A, {"system": [{"type": "text", "text": " "}]}, " ", id="blank"),
            pytest.param(A, {"messages": [{"role": "system", "content": "late"}]}, "", id="a system turn in messages"),
            pytest.param(
                C,
                {
                    "messages": [
                        {"role": "system", "content": "a"},
                        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
                        {"role": "user", "content": "x"},
                        {"role": "system", "content": "late"},
                    ]
                },
                "a\n\nb",
                id="chat, leading messages only",
            ),
            pytest.param(
                R,
                {
                    "instructions": "a",
                    "input": [{"role": "developer", "content": "b"}, {"role": "user", "content": "x"}],
                },
                "a\n\nb",
                id="responses",
            ),
            pytest.param(R, {"instructions": None, "input": "x"}, "", id="responses without"),
            pytest.param(G, {"systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}]}}, "a\n\nb", id="gemini"),
            pytest.param(G, {"system_instruction": {"parts": {"text": "a"}}}, "a", id="gemini, snake case, one part"),
            pytest.param(G, {"systemInstruction": "a"}, "a", id="gemini, a string"),
        ],
    )
    def test_the_system_prompt(self, api: Api, fields: dict[str, Any], text: str) -> None:
        seen = view(api, fields)
        assert seen.system_text == text
        assert seen.has_system_prompt == bool(text.strip())


class TestPieces:
    def test_pieces_are_the_requests_own_bytes_in_order(self) -> None:
        messages = b'[{"role":"user", "content":"a"} , {"role":"assistant","content":[ ]}]'
        seen = CODECS[A].view(Body.parse(b'{"messages": %b,"tools":[{}],"system":"s"}' % messages))
        assert seen.pieces() == [
            Piece("system", b'"s"'),
            Piece("tools", b"[{}]"),
            Piece("message", b'{"role":"user", "content":"a"}'),
            Piece("message", b'{"role":"assistant","content":[ ]}'),
        ]

    @pytest.mark.parametrize(
        ("api", "fields"),
        [
            pytest.param(A, {"system": None, "tools": [], "messages": []}, id="messages"),
            pytest.param(C, {"tools": None}, id="chat"),
            pytest.param(R, {"instructions": None, "tools": [], "input": []}, id="responses"),
            pytest.param(G, {"systemInstruction": None, "contents": None}, id="gemini"),
        ],
    )
    def test_what_is_missing_has_no_piece(self, api: Api, fields: dict[str, Any]) -> None:
        assert view(api, fields).pieces() == []

    @pytest.mark.parametrize("api", [A, C, R, G])
    @pytest.mark.parametrize("raw", [b"5", b"null", b"[1]", b'{"role": 5, "content": 7}', b'{"content": [1, null]}'])
    def test_malformed_pieces_are_read_without_complaint(self, api: Api, raw: bytes) -> None:
        seen = view(api, {})
        for kind in ("system", "tools", "message"):
            assert isinstance(seen.read(Piece(kind, raw)), PieceContent)

    def test_a_piece_nested_too_deeply_is_text(self) -> None:
        raw = b'{"role":"user","content":' + b"[" * 3000 + b"]" * 3000 + b"}"
        assert view(A, {}).read(Piece("message", raw)).texts == (raw.decode(),)


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def item(**fields: Any) -> dict[str, Any]:
    return {"input": [fields]}


def turn(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": list(parts)}]}


class TestContent:
    @pytest.mark.parametrize(
        ("api", "fields", "expected"),
        [
            pytest.param(A, user("hi"), PieceContent("user", "hi", texts=("hi",)), id="messages, a string"),
            pytest.param(
                A,
                user([{"type": "text", "text": "a<system-reminder>x</system-reminder>b"}]),
                PieceContent("user", "ab", texts=("a<system-reminder>x</system-reminder>b",)),
                id="reminders are read by the model but not typed by a person",
            ),
            pytest.param(
                A,
                user(
                    [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t",
                            "content": [
                                {"type": "text", "text": "out"},
                                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                            ],
                        },
                        {"type": "text", "text": "go on"},
                    ]
                ),
                PieceContent("user", "go on", True, ("out", "go on"), (ImageSize(2, 3),)),
                id="messages, a tool result with an image, then words",
            ),
            pytest.param(
                A,
                {
                    "messages": [
                        {
                            "role": "assistant",
                            "content": [
                                {"type": "thinking", "thinking": "hm", "signature": "sealed"},
                                {"type": "redacted_thinking", "data": "sealed"},
                                {"type": "text", "text": "so"},
                                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1, 2]}},
                            ],
                        }
                    ]
                },
                PieceContent("assistant", texts=("hm", "so", "f", '{"a":[1,2]}'), tool_calls=1),
                id="messages, an assistant's turn",
            ),
            pytest.param(
                A,
                user(
                    [
                        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                        {
                            "type": "document",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                        },
                        {"type": "document", "title": "T", "source": {"type": "text", "data": "plain"}},
                        {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
                        {"type": "novelty", "v": 1},
                    ]
                ),
                PieceContent(
                    "user", texts=("T", "plain", '{"type":"novelty","v":1}'), images=(None,), document_pages=(2, 1)
                ),
                id="messages, media and a block nobody knows",
            ),
            pytest.param(
                A,
                {"messages": [{"role": "system", "content": "note"}]},
                PieceContent("system", texts=("note",)),
                id="messages, a system turn",
            ),
            pytest.param(C, user("hi"), PieceContent("user", "hi", texts=("hi",)), id="chat"),
            pytest.param(
                C,
                {"messages": [{"role": "tool", "tool_call_id": "t", "content": "out"}]},
                PieceContent("user", tool_result=True, texts=("out",)),
                id="chat, a tool's result",
            ),
            pytest.param(
                C,
                {"messages": [{"role": "developer", "content": "d"}]},
                PieceContent("system", texts=("d",)),
                id="chat, a developer's words",
            ),
            pytest.param(
                C,
                {
                    "messages": [
                        {
                            "role": "assistant",
                            "content": None,
                            "reasoning_content": "hm",
                            "tool_calls": [
                                {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                            ],
                        }
                    ]
                },
                PieceContent("assistant", texts=("hm", "f", "{}"), tool_calls=1),
                id="chat, an assistant's turn",
            ),
            pytest.param(
                C,
                user(
                    [
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}},
                        {"type": "file", "file": {"file_id": "f"}},
                    ]
                ),
                PieceContent("user", images=(ImageSize(2, 3), None), document_pages=(2, 1)),
                id="chat, media",
            ),
            pytest.param(R, {"input": "hi"}, PieceContent("user", "hi", texts=("hi",)), id="responses, a string"),
            pytest.param(
                R,
                item(role="user", content=[{"type": "input_text", "text": "hi"}]),
                PieceContent("user", "hi", texts=("hi",)),
                id="responses, a message without a type",
            ),
            pytest.param(
                R,
                item(type="function_call", call_id="c", name="f", arguments='{"a": 1}'),
                PieceContent("assistant", texts=("f", '{"a": 1}'), tool_calls=1),
                id="responses, a call",
            ),
            pytest.param(
                R,
                item(type="local_shell_call", action={"command": ["ls"]}),
                PieceContent("assistant", texts=("local_shell_call", '{"command":["ls"]}'), tool_calls=1),
                id="responses, a shell call",
            ),
            pytest.param(
                R,
                item(type="function_call_output", call_id="c", output="out"),
                PieceContent("user", tool_result=True, texts=("out",)),
                id="responses, an output",
            ),
            pytest.param(
                R,
                item(
                    type="custom_tool_call_output",
                    output=[
                        {"type": "input_text", "text": "out"},
                        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
                    ],
                ),
                PieceContent("user", tool_result=True, texts=("out",), images=(ImageSize(2, 3),)),
                id="responses, an output of parts",
            ),
            pytest.param(
                R,
                item(type="reasoning", summary=[{"type": "summary_text", "text": "hm"}], encrypted_content="sealed"),
                PieceContent("assistant", texts=("hm",)),
                id="responses, reasoning",
            ),
            pytest.param(
                R,
                item(type="compaction_trigger"),
                PieceContent("system", texts=('{"type":"compaction_trigger"}',)),
                id="responses, an item that only steers",
            ),
            pytest.param(
                R,
                item(role="user", content=[{"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"}]),
                PieceContent("user", document_pages=(2,)),
                id="responses, a file",
            ),
            pytest.param(G, turn({"text": "hi"}), PieceContent("user", "hi", texts=("hi",)), id="gemini"),
            pytest.param(
                G,
                turn({"text": "hm", "thought": True}, {"functionCall": {"name": "f", "args": {"a": 1}}}, role="model"),
                PieceContent("assistant", texts=("hm", "f", '{"a":1}'), tool_calls=1),
                id="gemini, a model's turn",
            ),
            pytest.param(
                G,
                turn({"function_response": {"name": "f", "response": {"result": "out"}}}),
                PieceContent("user", tool_result=True, texts=("f", '{"result":"out"}')),
                id="gemini, a result in snake case",
            ),
            pytest.param(
                G,
                turn(
                    {"inlineData": {"mimeType": "image/png", "data": PNG}},
                    {"inline_data": {"mime_type": "application/pdf", "data": PDF}},
                    {"inlineData": {"mimeType": "text/plain", "data": "aGk="}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}},
                    {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://x"}},
                ),
                PieceContent("user", texts=("hi",), images=(ImageSize(2, 3), None), document_pages=(2, 1)),
                id="gemini, media",
            ),
        ],
    )
    def test_what_a_message_holds(self, api: Api, fields: dict[str, Any], expected: PieceContent) -> None:
        assert last(api, fields) == expected


class TestAskingForUsage:
    @pytest.mark.parametrize(
        ("raw", "asks", "asked"),
        [
            pytest.param(b"{}", False, b'{"include_usage":true}', id="no options"),
            pytest.param(b'{"stream_options":null}', False, b'{"include_usage":true}', id="null"),
            pytest.param(
                b'{"stream_options":{"x": 1.0, "include_usage":false}}',
                False,
                b'{"x":1.0,"include_usage":true}',
                id="other options are kept",
            ),
            pytest.param(b'{"stream_options":{"include_usage":true}}', True, b'{"include_usage":true}', id="asked"),
        ],
    )
    def test_chat_has_to_be_asked(self, raw: bytes, asks: bool, asked: bytes) -> None:
        body = Body.parse(raw)
        assert CODECS[C].asks_usage(body) is asks
        assert CODECS[C].with_usage_asked(body) == {"stream_options": asked}

    def test_options_that_are_no_object_are_refused(self) -> None:
        with pytest.raises(BadRequest, match="stream_options"):
            CODECS[C].with_usage_asked(Body.parse(b'{"stream_options":[]}'))

    @pytest.mark.parametrize("api", [A, R, G])
    def test_the_others_always_tell(self, api: Api) -> None:
        assert CODECS[api].asks_usage(Body.parse(b"{}"))
        assert CODECS[api].with_usage_asked(Body.parse(b"{}")) == {}


@pytest.mark.slow
def test_groups_of_tools_inside_groups_are_told_or_refused_at_whatever_depth() -> None:
    group = '{"type": "namespace", "name": "n", "tools": ['
    outcomes = set()
    for levels in (1, *range(300, 520), 1500):
        raw = '{"model": "m", "tools": [' + group * levels + '{"name": "f"}' + "]}" * levels + "]}"
        try:
            [tool] = CODECS[R].view(Body.parse(raw.encode())).tools
            outcomes.add(tool.name == "n__" * levels + "f")
        except BadRequest as error:
            outcomes.add(str(error))
    assert outcomes == {True, "the request body is nested too deeply"}
