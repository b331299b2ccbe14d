"""Whole replies are read for what they say of themselves, and errors are written in every format's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.codec import ReplyFacts
from router.wire.error_words import words_for
from router.wire.formats import CODECS
from router.wire.request import Api
from router.wire.sse import SseDecoder
from router.wire.usage import Usage

pytestmark = pytest.mark.sampled(3)

A: Api = "anthropic-messages"
C: Api = "openai-chat"
R: Api = "openai-responses"
G: Api = "gemini"


def read(api: Api, reply: Any) -> ReplyFacts:
    return CODECS[api].read_reply(json.dumps(reply).encode())


def test_every_recorded_reply_is_an_answer_or_an_error(recorded_reply: dict[str, Any]) -> None:
    facts = read(recorded_reply["api"], recorded_reply["response"]["body"])
    failed = recorded_reply["response"]["status"] >= 400 or "prompt-content-filtering" in recorded_reply["id"]
    assert (facts.error is not None) == failed
    assert facts.error_raw is None or json.loads(facts.error_raw)
    if recorded_reply["endpoint"] in ("messages", "chat", "responses", "generateContent") and not failed:
        assert facts.model
        assert facts.stop_reason
        assert (facts.usage is None) == (facts.stop_reason == "queued")
        assert facts.usage is None or json.loads(facts.usage_raw or "")


@pytest.mark.parametrize(
    ("api", "reply", "parts"),
    [
        pytest.param(A, {"content": [{"type": "text", "text": "x"}]}, {"text"}, id="messages"),
        pytest.param(A, {"content": [{"type": "text", "text": ""}]}, set(), id="messages, empty text"),
        pytest.param(
            A,
            {"content": [{"type": "thinking"}, {"type": "tool_use"}]},
            {"reasoning", "tool-call"},
            id="thought and call",
        ),
        pytest.param(A, {"content": [{"type": "server_tool_use"}]}, {"other"}, id="messages, a server's tool"),
        pytest.param(A, {}, None, id="no answer's shape"),
        pytest.param(C, {"choices": [{"message": {"content": "x"}}]}, {"text"}, id="chat"),
        pytest.param(C, {"choices": [{"message": {"content": None}}]}, set(), id="chat, nothing"),
        pytest.param(C, {"choices": []}, set(), id="chat, no choice"),
        pytest.param(
            C,
            {"choices": [{"message": {"content": "", "reasoning": "x", "tool_calls": [{}]}}]},
            {"reasoning", "tool-call"},
            id="chat, reasoning and a call",
        ),
        pytest.param(
            R,
            {"status": "completed", "output": [{"type": "reasoning"}, {"type": "message", "content": [{"text": "x"}]}]},
            {"reasoning", "text"},
            id="responses",
        ),
        pytest.param(R, {"status": "completed", "output": []}, set(), id="responses, nothing"),
        pytest.param(R, {"status": "in_progress", "output": []}, None, id="responses, not finished"),
        pytest.param(R, {"output": [{"type": "custom_tool_call"}]}, {"tool-call"}, id="responses, a call"),
        pytest.param(G, {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}, {"text"}, id="gemini"),
        pytest.param(
            G,
            {"candidates": [{"content": {"parts": [{"text": "x", "thought": True}, {"functionCall": {}}]}}]},
            {"reasoning", "tool-call"},
            id="gemini, thought and call",
        ),
        pytest.param(G, {"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}]}, set(), id="gemini, nothing"),
    ],
)
def test_what_a_reply_holds(api: Api, reply: dict[str, Any], parts: set[str] | None) -> None:
    assert read(api, reply).parts == parts


@pytest.mark.parametrize(
    ("api", "reply", "error"),
    [
        pytest.param(
            A, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "busy", id="messages"
        ),
        pytest.param(A, {"type": "error"}, "error without a message", id="messages, no details"),
        pytest.param(C, {"error": {"message": "busy", "code": 5}}, "busy", id="chat"),
        pytest.param(C, {"error": "busy"}, "busy", id="chat, bare text"),
        pytest.param(C, {"error": {"code": "x"}}, "x", id="chat, only a code"),
        pytest.param(C, [{"error": {"message": "busy"}}], "busy", id="in a list"),
        pytest.param(C, {"detail": "busy"}, "busy", id="a detail"),
        pytest.param(C, {"message": "busy"}, "busy", id="a message"),
        pytest.param(
            C,
            {"error": {"message": "failed", "metadata": {"raw": "real"}}},
            "failed: real",
            id="OpenRouter's real cause",
        ),
        pytest.param(C, {"choices": [], "error": None}, None, id="error null"),
        pytest.param(C, {"choices": [], "message": "fine"}, None, id="a message beside choices"),
        pytest.param(R, {"error": {"message": "busy"}}, "busy", id="responses"),
        pytest.param(R, {"status": "failed", "error": {"message": "busy"}}, "busy", id="responses, failed"),
        pytest.param(R, {"status": "completed", "output": [], "error": None}, None, id="responses, fine"),
        pytest.param(G, [{"error": {"code": 429, "message": "busy"}}], "busy", id="gemini, in a list"),
    ],
)
def test_errors_dressed_as_a_success_are_seen(api: Api, reply: Any, error: str | None) -> None:
    assert read(api, reply).error == error


def test_a_blocked_prompt_says_why() -> None:
    facts = read(G, {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    assert (facts.stop_reason, facts.parts) == ("SAFETY", frozenset())


def test_a_reply_keeps_the_usage_object_as_received() -> None:
    raw = b'{"choices":[],"service_tier":"flex","usage":{ "prompt_tokens":1,"completion_tokens":2,"cost":0.10 }}'
    facts = CODECS[C].read_reply(raw)
    assert facts.usage_raw == '{ "prompt_tokens":1,"completion_tokens":2,"cost":0.10 }'
    assert facts.usage == Usage(1, output=2, service_tier="flex", provider_cost_usd="0.10")


@pytest.mark.parametrize("api", [A, C, R, G])
@given(
    payload=st.binary(max_size=30)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.just([]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    "error usage choices content output candidates message usageMetadata status parts".split()
                ),
                inner,
                max_size=4,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_reply_is_too_strange_to_read(api: Api, payload: bytes) -> None:
    assert isinstance(CODECS[api].read_reply(payload), ReplyFacts)


class TestErrorShapes:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (408, "timeout_error"),
            (413, "request_too_large"),
            (418, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "api_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ],
    )
    def test_messages_name_an_error_by_its_status(self, status: int, kind: str) -> None:
        body = json.loads(CODECS[A].error_body(status, "whatever", "no", "req_1"))
        assert body == {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"}

    @pytest.mark.parametrize("api", [C, R])
    @pytest.mark.parametrize(
        ("status", "code", "kind", "openai_code"),
        [
            (400, "format_unsupported", "invalid_request_error", "format_unsupported"),
            (400, "context-length", "invalid_request_error", "context_length_exceeded"),
            (401, "unauthorized", "invalid_request_error", "invalid_api_key"),
            (403, "no_credential", "permission_error", "no_credential"),
            (404, "no_route", "invalid_request_error", "no_route"),
            (404, "not-found", "invalid_request_error", "model_not_found"),
            (429, "too_many_requests", "rate_limit_error", "rate_limit_exceeded"),
            (429, "quota", "insufficient_quota", "insufficient_quota"),
            (502, "server", "server_error", "server"),
            (504, "timeout", "timeout", "timeout"),
        ],
    )
    def test_openais_formats_have_a_type_and_a_code(
        self, api: Api, status: int, code: str, kind: str, openai_code: str
    ) -> None:
        body = json.loads(CODECS[api].error_body(status, code, "no", "req_1"))
        assert body == {"error": {"message": "no", "type": kind, "param": None, "code": openai_code}}

    @pytest.mark.parametrize(
        ("status", "word"),
        [(400, "INVALID_ARGUMENT"), (401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED"), (404, "NOT_FOUND"),
         (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"), (503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED")],
    )  # fmt: skip
    def test_gemini_has_its_own_words(self, status: int, word: str) -> None:
        assert json.loads(CODECS[G].error_body(status, "x", "no", None)) == {
            "error": {"code": status, "message": "no", "status": word}
        }

    def test_inside_a_stream_an_error_is_the_formats_own_event(self) -> None:
        (messages,) = SseDecoder().feed(CODECS[A].error_event("overloaded", "gone"))
        assert messages.event == "error"
        assert json.loads(messages.data) == {"type": "error", "error": {"type": "overloaded_error", "message": "gone"}}
        (chat,) = SseDecoder().feed(CODECS[C].error_event("broken-stream", "gone"))
        assert chat.event is None
        assert json.loads(chat.data)["error"] == {
            "message": "gone", "type": "server_error", "param": None, "code": "broken-stream"
        }  # fmt: skip
        (responses,) = SseDecoder().feed(CODECS[R].error_event("timeout", "gone"))
        assert responses.event == "error"
        fields = {"code": "timeout", "message": "gone", "param": None}
        assert json.loads(responses.data) == {"type": "error", **fields, "error": {"type": "timeout", **fields}}
        assert CODECS[G].error_event("timeout", "gone") == (
            b'data: {"error":{"code":504,"message":"gone","status":"DEADLINE_EXCEEDED"}}\r\n\r\n'
        )

    @pytest.mark.parametrize("api", [A, C, R])
    def test_our_own_error_event_reads_as_a_failure(self, api: Api) -> None:
        tap = CODECS[api].tap()
        tap.feed(CODECS[api].error_event("server", 'line\n"quoted"'))
        assert (tap.failed, tap.ended, tap.facts.error) == (True, False, 'line\n"quoted"')

    def test_a_spent_quota_is_no_rate_limit(self) -> None:
        assert words_for(429, "quota").openai_type == "insufficient_quota"
        assert words_for(429, "rate").openai_type == "rate_limit_error"
