"""A request and a reply of each format in which everything occurs once that is read of such: beginnings for mutations.

They need make no sense as conversations. What the router itself puts into opaque slots is in them, too.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from router.wire.conversation import OpaqueState, Thought
from router.wire.encoding import Asked
from router.wire.formats import CODECS
from router.wire.gemini.signature import written
from router.wire.opaque import wrap
from router.wire.request import Api
from tests.support.translating import A, C, G, R

OWNERS: Final = ("openai/gpt-5.6", "anthropic/claude-opus-5-5", "someone/else")
PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF: Final = "JVBERi0xLjQK"
_TEXT: Final = base64.b64encode(b"words").decode()
_LINK: Final = "https://example.com/a.png"
_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "a": {"type": ["string", "null"], "description": "d", "enum": ["x", None], "minLength": 1, "pattern": "^x"},
        "b": {"anyOf": [{"type": "integer", "minimum": 1, "default": 2}, {"$ref": "#/$defs/n"}], "title": "t"},
        "c": {"type": "array", "items": {"type": "object", "properties": {"d": {"const": 1}}}, "minItems": 1},
    },
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {"n": {"type": "number", "format": "float", "exclusiveMinimum": 0}},
}
_STRICT: Final = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def _sealed(kind: Any, owner: int, item: str | None = None) -> str:
    value = '[{"type":"reasoning.encrypted","data":"x"}]' if kind == "openrouter" else "c2VhbGVk"
    return wrap(OpaqueState(kind, "" if kind == "visible" else value, OWNERS[owner], item))


def _slot(owner: int) -> str:
    state = OpaqueState("google-thought", "c2VhbGVk", OWNERS[owner])
    return written([Thought("Hm.", OpaqueState("openai-encrypted", "c2VhbGVk", OWNERS[owner], "rs_1"))], state)


REQUESTS: Final[Mapping[Api, dict[str, Any]]] = {
    A: {
        "model": "claude-x",
        "max_tokens": 4096,
        "stream": True,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: v=1"},
            {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look. <system-reminder>no</system-reminder>", "citations": None},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {"type": "image", "source": {"type": "url", "url": _LINK}},
                    {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                        "title": "t",
                        "context": "c",
                        "citations": {"enabled": True},
                        "cache_control": {"type": "ephemeral"},
                    },
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                    {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
                    {
                        "type": "document",
                        "title": "t",
                        "source": {
                            "type": "content",
                            "content": [
                                {"type": "text", "text": "a"},
                                {"type": "image", "source": {"type": "url", "url": _LINK}},
                            ],
                        },
                    },
                    {
                        "type": "search_result",
                        "title": "t",
                        "source": "s",
                        "content": [{"type": "text", "text": "found"}],
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "thinking", "thinking": "Hm.", "signature": _sealed("openai-encrypted", 0, "rs_1")},
                    {"type": "thinking", "thinking": "", "signature": _sealed("visible", 1)},
                    {"type": "redacted_thinking", "data": "c2VhbGVk"},
                    {"type": "redacted_thinking", "data": _sealed("anthropic-redacted", 1)},
                    {"type": "text", "text": "I will.", "citations": [{"type": "char_location", "cited_text": "x"}]},
                    {
                        "type": "tool_use",
                        "id": "toolu_1",
                        "name": "f",
                        "input": {"a": 1.50},
                        "caller": {"type": "direct"},
                    },
                    {"type": "tool_use", "id": "toolu_2", "name": "bash", "input": {"command": "ls"}},
                    {"type": "thinking", "thinking": "", "signature": _sealed("google-thought", 2, "toolu_1")},
                    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [
                            {"type": "text", "text": "done"},
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                        ],
                        "is_error": False,
                        "cache_control": {"type": "ephemeral"},
                    },
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True},
                ],
            },
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": "So"},
        ],
        "tools": [
            {"name": "f", "description": "d", "input_schema": _SCHEMA, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "s", "input_schema": _STRICT, "strict": True, "defer_loading": True},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 100},
            {"type": "memory_20250818", "name": "memory"},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 1},
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
        "output_config": {
            "effort": "high",
            "format": {"type": "json_schema", "schema": _SCHEMA},
            "task_budget": {"type": "tokens", "total": 1},
        },
        "stop_sequences": ["END", " "],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "metadata": {"user_id": "u", "more": 1},
        "service_tier": "auto",
        "speed": "fast",
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "inference_geo": "eu",
        "odd": None,
    },
    C: {
        "model": "gpt-x",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}]},
            {"role": "developer", "content": "D", "name": "n"},
            {
                "role": "user",
                "name": "n",
                "content": [
                    {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
                    {"type": "image_url", "image_url": _LINK},
                    {"type": "file", "file": {"filename": "a.txt", "file_data": f"data:text/plain;base64,{_TEXT}"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {"type": "document_url", "document_url": "https://example.com/a.pdf"},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "b"},
                    {"type": "refusal", "refusal": "no"},
                    {"type": "reference", "reference_ids": [1]},
                ],
                "reasoning_content": "Hm.Hm.",
                "reasoning": "Hm.Hm.",
                "reasoning_details": [
                    {"type": "reasoning.encrypted", "data": _sealed("visible", 0), "id": "rtr1-0-0-3", "index": 0},
                    {
                        "type": "reasoning.encrypted",
                        "data": _sealed("openai-encrypted", 0),
                        "id": "rtr1-0-1-3",
                        "index": 1,
                    },
                    {"type": "reasoning.encrypted", "data": _sealed("openrouter", 2), "id": "rtr1-1-1-0", "index": 2},
                    {"type": "reasoning.text", "text": "t", "signature": "s", "format": "f", "index": 3},
                    {"type": "reasoning.summary", "summary": "s"},
                ],
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a": 1.50}'},
                        "extra_content": {"google": {"thought_signature": _sealed("google-thought", 2)}},
                    },
                    {"id": "c2", "type": "custom", "custom": {"name": "p", "input": "x"}},
                ],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                "audio": {"id": "audio_1"},
                "images": [{"type": "image_url", "image_url": {"url": _LINK}}],
                "extra_content": {"google": {"thought_signature": "s"}},
            },
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
            {"role": "tool", "tool_call_id": "c2", "content": "r"},
            {"role": "assistant", "content": None, "refusal": "no", "function_call": {"name": "g", "arguments": "{}"}},
            {"role": "function", "name": "g", "content": "r"},
            {"role": "user", "content": "go on"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": _SCHEMA, "strict": True}},
            {
                "type": "custom",
                "custom": {
                    "name": "p",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}},
                },
            },
            {"type": "web_search"},
        ],
        "functions": [{"name": "g", "parameters": {}}],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [
                    {"type": "function", "function": {"name": "f"}},
                    {"type": "custom", "custom": {"name": "p"}},
                ],
            },
        },
        "function_call": {"name": "g"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA, "strict": True}},
        "reasoning": {"effort": "low", "max_tokens": 5, "enabled": True, "exclude": False},
        "reasoning_effort": "low",
        "thinking": {"type": "enabled", "budget_tokens": 5},
        "chat_template_kwargs": {"enable_thinking": True},
        "enable_thinking": True,
        "thinking_budget": 5,
        "include_reasoning": True,
        "stop": ["a", "b", "c", "d", "e"],
        "temperature": 1,
        "top_p": 1,
        "top_k": 5,
        "seed": 1,
        "n": 1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "max_tokens": 5,
        "max_completion_tokens": 50,
        "parallel_tool_calls": False,
        "user": "u",
        "safety_identifier": "u",
        "service_tier": "priority",
        "verbosity": "low",
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
        "logit_bias": {},
        "logprobs": False,
        "modalities": ["text"],
        "web_search_options": {},
        "prediction": {"type": "content", "content": "x"},
        "metadata": {},
        "store": False,
    },
    R: {
        "model": "gpt-x",
        "stream": True,
        "instructions": "Be kind.",
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "D"}]},
            {"role": "system", "content": "S"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "high"},
                    {"type": "input_image", "image_url": _LINK},
                    {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
                    {"type": "input_file", "filename": "a.txt", "file_data": f"data:text/plain;base64,{_TEXT}"},
                    {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                    {"type": "input_file", "file_id": "file-1"},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "content": [{"type": "reasoning_text", "text": "Hm."}],
                "encrypted_content": "c2VhbGVk",
            },
            {
                "type": "reasoning",
                "id": "rs_rtr10123456789",
                "summary": [],
                "encrypted_content": _sealed("openai-encrypted", 0, "rs_2"),
            },
            {
                "type": "reasoning",
                "id": "rs_rtr1987",
                "summary": [],
                "encrypted_content": _sealed("anthropic-signature", 1),
            },
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_rtr1012",
                "phase": "commentary",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "I will.", "annotations": [], "logprobs": []},
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            {"type": "function_call", "id": "fc_rtr1012", "call_id": "c1", "name": "f", "arguments": '{"a": 1.50}'},
            {"type": "function_call", "call_id": "c2", "name": "g", "namespace": "n", "arguments": {"a": 1}},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c3", "name": "p", "input": "*** x"},
            {
                "type": "local_shell_call",
                "id": "lsh_1",
                "call_id": "c4",
                "status": "completed",
                "action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5},
            },
            {"type": "shell_call", "call_id": "c5", "action": {"commands": ["ls"], "max_output_length": 5}},
            {
                "type": "apply_patch_call",
                "call_id": "c6",
                "operation": {"type": "update_file", "path": "a", "diff": "@@"},
            },
            {"type": "tool_search_call", "call_id": "c7", "execution": "client", "arguments": {"query": "x"}},
            {
                "type": "reasoning",
                "id": "rs_rtr1111",
                "summary": [],
                "encrypted_content": _sealed("google-thought", 2, "c1"),
            },
            {"type": "function_call_output", "call_id": "c1", "output": "r"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_text", "text": "r"}, {"type": "input_image", "image_url": _LINK}],
            },
            {"type": "custom_tool_call_output", "call_id": "c3", "output": "r"},
            {"type": "local_shell_call_output", "id": "c4", "output": "r"},
            {
                "type": "shell_call_output",
                "call_id": "c5",
                "output": [{"stdout": "r", "stderr": ""}],
                "status": "failed",
            },
            {"type": "apply_patch_call_output", "call_id": "c6", "status": "completed", "output": "r"},
            {"type": "tool_search_output", "call_id": "c7", "tools": [{"type": "function", "name": "h"}]},
            {"type": "additional_tools", "tools": [{"type": "function", "name": "late", "parameters": {}}]},
            {
                "type": "agent_message",
                "author": "/root",
                "recipient": "/root/reader",
                "content": [
                    {"type": "input_text", "text": "To: reader"},
                    {"type": "encrypted_content", "encrypted_content": "Read the file."},
                ],
            },
            {"type": "configuration_update", "reasoning": {"effort": "high"}, "text": {"verbosity": "low"}},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "compaction", "encrypted_content": "x"},
            {"type": "item_reference", "id": "msg_1"},
            {"type": "mcp_approval_response", "approve": True},
            {"role": "user", "content": "go on"},
        ],
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": _SCHEMA, "strict": False},
            {"type": "function", "name": "s", "parameters": _STRICT, "strict": True},
            {
                "type": "custom",
                "name": "p",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
            },
            {
                "type": "namespace",
                "name": "n",
                "description": "d",
                "tools": [{"type": "function", "name": "g", "parameters": {}}],
            },
            {"type": "local_shell"},
            {"type": "shell", "environment": {"type": "local"}},
            {"type": "apply_patch"},
            {"type": "tool_search", "execution": "client", "parameters": {"type": "object", "properties": {}}},
            {"type": "web_search", "filters": {}},
            {"type": "mcp", "server_label": "m"},
        ],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "f"}, {"type": "local_shell"}],
        },
        "parallel_tool_calls": False,
        "max_output_tokens": 5000,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_logprobs": 0,
        "reasoning": {"effort": "high", "summary": "auto", "mode": "standard", "context": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": _SCHEMA}, "verbosity": "low"},
        "include": ["reasoning.encrypted_content", "web_search_call.results"],
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
        "safety_identifier": "u",
        "user": "u",
        "service_tier": "flex",
        "store": False,
        "background": False,
        "metadata": {"a": "b"},
        "truncation": "auto",
    },
    G: {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "a"},
                    {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                    {"inline_data": {"mime_type": "application/pdf", "data": PDF, "display_name": "a.pdf"}},
                    {"inlineData": {"mimeType": "text/plain", "data": _TEXT}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}, "videoMetadata": {"fps": 1}},
                    {"fileData": {"mimeType": "image/png", "fileUri": _LINK}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf"}},
                    {"fileData": {"fileUri": "https://youtu.be/x"}},
                    {"fileData": {"fileUri": "gs://a/b"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "Hm.", "thought": True},
                    {"text": "I will.", "thoughtSignature": _slot(0)},
                    {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1.50}}, "thoughtSignature": _slot(2)},
                    {"functionCall": {"name": "g"}, "thought_signature": "c2ln"},
                    {"text": "", "thoughtSignature": "c2ln"},
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "c1",
                            "name": "f",
                            "response": {"result": "r"},
                            "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}],
                        }
                    },
                    {"functionResponse": {"name": "g", "response": {"error": "no"}}},
                    {"function_response": {"name": "h", "response": {"a": [1]}}},
                ],
            },
            {"parts": {"text": "go on"}},
        ],
        "systemInstruction": {"role": "user", "parts": [{"text": "S"}, {"inlineData": {}}]},
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "f", "description": "d", "parametersJsonSchema": _SCHEMA},
                    {
                        "name": "g",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {"a": {"type": "STRING", "nullable": True, "format": "enum", "enum": ["x"]}},
                            "propertyOrdering": ["a"],
                        },
                        "behavior": "BLOCKING",
                    },
                ]
            },
            {"googleSearch": {}},
            {"codeExecution": {}},
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
            "retrievalConfig": {},
        },
        "generationConfig": {
            "maxOutputTokens": 5000,
            "temperature": 0.5,
            "topP": 0.5,
            "topK": 5,
            "seed": 1,
            "stopSequences": ["END"],
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.1,
            "candidateCount": 1,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}},
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1000, "thinkingLevel": "LOW"},
            "responseModalities": ["TEXT"],
            "responseLogprobs": False,
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
        },
        "safetySettings": [],
        "cachedContent": None,
        "serviceTier": "flex",
        "labels": {},
    },
}

_CALLS: Final = (
    ("f", '{"a": "x", "n": 1.50}'),
    ("p", '{"input": "*** \\u00fc\\ud83d\\ude00\\n"}'),
    ("n__g", "{}"),
    ("local_shell", '{"command": ["ls", "-l"], "timeout_ms": 5}'),
    ("apply_patch", '{"type": "update_file", "path": "a", "diff": "@@"}'),
    ("multi_tool_use.parallel", '{"tool_uses": [{"recipient_name": "functions.f", "parameters": {"a": "y"}}]}'),
)

REPLIES: Final[Mapping[Api, dict[str, Any]]] = {
    A: {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "c2VhbGVk"},
            {
                "type": "text",
                "text": "Yes.",
                "citations": [
                    {"type": "web_search_result_location", "url": "u", "title": "t", "encrypted_index": "x"},
                    {"type": "char_location", "document_title": "t", "document_index": 0},
                ],
            },
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            *(
                {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": msgspec.Raw(text.encode())}
                for at, (name, text) in enumerate(_CALLS)
            ),
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "explanation": "why"},
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 2,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3},
            "server_tool_use": {"web_search_requests": 1},
            "service_tier": "standard",
            "iterations": [{"type": "compaction", "input_tokens": 1, "output_tokens": 1}],
        },
    },
    C: {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "gpt-x",
        "service_tier": "default",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "<think>Hm.</think>Yes.",
                    "reasoning_content": "Hm.",
                    "reasoning": "Hm.",
                    "reasoning_details": [
                        {"type": "reasoning.text", "text": "Hm.", "index": 0, "signature": "s"},
                        {"type": "reasoning.encrypted", "data": "x", "index": 1, "id": "r", "format": "f"},
                        {"type": "reasoning.summary", "summary": "Hm.", "index": 2},
                    ],
                    "refusal": "no",
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1},
                        },
                        {"type": "file", "file": {}},
                    ],
                    "tool_calls": [
                        *(
                            {
                                "index": at,
                                "id": f"call_{at}",
                                "type": "function",
                                "function": {"name": name, "arguments": text},
                                "extra_content": {"google": {"thought_signature": "s"}},
                            }
                            for at, (name, text) in enumerate(_CALLS)
                        ),
                        {"index": 6, "id": "d", "type": "custom", "custom": {"name": "p", "input": "x"}},
                    ],
                    "function_call": {"name": "f", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "s"}},
                    "audio": {"id": "a"},
                    "images": [{}],
                },
                "finish_reason": "tool_calls",
                "stop_reason": "END",
                "logprobs": None,
            },
            {"index": 1, "message": {"content": "other"}, "finish_reason": "stop"},
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 3},
            "cost": 0.001,
        },
        "x_groq": {"usage": {"prompt_tokens": 1}},
        "citations": ["u"],
        "search_results": [{"url": "u", "title": "t"}],
    },
    R: {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-x",
        "status": "completed",
        "service_tier": "default",
        "output": [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "So."}],
                "encrypted_content": "c2VhbGVk",
            },
            {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "phase": "final_answer",
                "content": [
                    {
                        "type": "output_text",
                        "text": "Yes.",
                        "annotations": [
                            {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1},
                            {"type": "file_citation", "file_id": "f", "filename": "n", "index": 0},
                        ],
                    },
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            *(
                {"type": "function_call", "id": f"fc_{at}", "call_id": f"call_{at}", "name": name, "arguments": text}
                for at, (name, text) in enumerate(_CALLS)
            ),
            {"type": "function_call", "id": "fc_9", "call_id": "c9", "name": "g", "namespace": "n", "arguments": "{}"},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c8", "name": "p", "input": "*** x"},
        ],
        "incomplete_details": None,
        "error": None,
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 14,
        },
    },
    G: {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "Hm.", "thought": True},
                        {"text": "Yes.", "thoughtSignature": "c2ln"},
                        *(
                            {"functionCall": {"id": f"c{at}", "name": name, "args": msgspec.Raw(text.encode())}}
                            for at, (name, text) in enumerate(_CALLS)
                        ),
                        {"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"},
                        {
                            "functionCall": {
                                "name": "f",
                                "partialArgs": [
                                    {"jsonPath": "$.a", "stringValue": "x", "willContinue": True},
                                    {"jsonPath": "$.b[0]['c']", "numberValue": 1},
                                    {"jsonPath": '$.b[1]["d"].e', "boolValue": True},
                                ],
                                "willContinue": True,
                            }
                        },
                        {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "y"}]}},
                        {"executableCode": {"language": "PYTHON", "code": "1"}},
                        {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                        {"text": "", "thoughtSignature": "c2ln"},
                    ],
                },
                "finishReason": "STOP",
                "finishMessage": "why",
                "index": 0,
                "groundingMetadata": {"groundingChunks": [{"web": {"uri": "u", "title": "t"}}]},
            }
        ],
        "promptFeedback": {},
        "usageMetadata": {
            "promptTokenCount": 9,
            "cachedContentTokenCount": 2,
            "toolUsePromptTokenCount": 1,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 3,
            "totalTokenCount": 18,
            "serviceTier": "standard",
        },
        "modelVersion": "gemini-x",
        "responseId": "r",
    },
}


def reply_with_everything(api: Api) -> bytes:
    """The whole reply."""
    return msgspec.json.encode(REPLIES[api])


def stream_with_everything(api: Api) -> bytes:
    """The same as a stream of events."""
    encoder = CODECS[api].encoder(Asked("1", 5, echo={"reasoning": b"{}"}))
    return b"".join(map(encoder.encode, CODECS[api].decoder().whole(reply_with_everything(api))))
