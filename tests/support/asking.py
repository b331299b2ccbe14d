"""The smallest request of every wire format, and how its errors and endings look."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support import answers
from tests.support.provider import SSE, Send, Status, Step

ONE_CALL = """
[retry]
total = 1
"""
"""Settings of profiles whose requests are to meet what one call of theirs meets."""

PROFILE = f"""\
[default]
target = "fake/model-1"
{ONE_CALL}

[prices."fake/model-1"]
input = 3.0
output = 15.0
"""


@dataclass(frozen=True)
class Format:
    """One wire format as a client of it sees it."""

    name: str
    path: str
    stream_path: str
    events: Callable[[], list[bytes]]
    body: dict[str, Any]
    has_end: bool = True  # whether the format has an end of its own beside that of the connection

    def request(self, *, stream: bool) -> tuple[str, bytes]:
        """Path and body."""
        if self.name == "gemini":
            return (self.stream_path if stream else self.path), json.dumps(self.body).encode()
        asked = {"stream_options": {"include_usage": True}} if stream and self.name == "openai-chat" else {}
        return self.path, json.dumps({**self.body, "stream": stream, **asked}).encode()

    def error_of(self, payload: bytes) -> str:
        """The message of an error reply; fails if it has another shape."""
        answer = json.loads(payload)
        if self.name == "anthropic-messages":
            assert answer["type"] == "error"
            assert isinstance(answer["error"]["type"], str)
        elif self.name == "gemini":
            assert isinstance(answer["error"]["code"], int)
            assert isinstance(answer["error"]["status"], str)
        else:
            assert {"message", "type", "code"} <= answer["error"].keys()
        message: str = answer["error"]["message"]
        return message


_USER = [{"role": "user", "content": "Hello"}]

FORMATS = (
    Format(
        "anthropic-messages",
        "/v1/messages",
        "/v1/messages",
        lambda: answers.messages_events("model-1"),
        {"model": "m", "max_tokens": 9, "messages": _USER},
    ),
    Format(
        "openai-chat",
        "/v1/chat/completions",
        "/v1/chat/completions",
        lambda: answers.chat_chunks("model-1", usage=True),
        {"model": "m", "messages": _USER},
    ),
    Format(
        "openai-responses",
        "/v1/responses",
        "/v1/responses",
        lambda: answers.response_events("model-1"),
        {"model": "m", "input": "Hello"},
    ),
    Format(
        "gemini",
        "/v1beta/models/m:generateContent",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        lambda: [
            b"data: %s\r\n\r\n" % answers.encoded(answers.gemini_part(text, finish=text == answers.TEXT[-1]))
            for text in answers.TEXT
        ],
        {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
        has_end=False,
    ),
)
MESSAGES, CHAT, RESPONSES, GEMINI = FORMATS
BY_NAME = {form.name: form for form in FORMATS}


def opening(*parts: bytes) -> list[Step]:
    """The beginning of an event stream, without its end."""
    return [Status(200, SSE), *(Send(part) for part in parts)]
