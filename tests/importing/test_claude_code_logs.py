"""Claude Code's logs: each call once, whatever repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from router.importing.claude_code_logs import LoggedCall, read_calls, session_files

NOON_MS = 1_763_640_000_000  # 2025-11-20, 12:00 UTC
SESSION = "11111111-2222-3333-4444-555555555555"


def line(message_id: str = "msg_1", *, second: int = 0, output: int = 10, **fields: Any) -> str:
    """One block of an answer, as the agent logs it."""
    message = {
        "id": message_id,
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "never kept"}],
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 40, "output_tokens": output},
        **fields.pop("message", {}),
    }
    entry = {
        "type": "assistant",
        "sessionId": SESSION,
        "requestId": f"req_{message_id}",
        "timestamp": f"2025-11-20T12:00:{second:02}.000Z",
        "isSidechain": False,
        "message": message,
        **fields,
    }
    return json.dumps(entry) + "\n"


def log(folder: Path, *lines: str, name: str = f"{SESSION}.jsonl") -> Path:
    path = folder / "projects" / "-home-dev-app" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), "utf-8")
    return path


def calls(folder: Path) -> list[LoggedCall]:
    return read_calls(session_files(folder))


def test_the_blocks_of_an_answer_are_one_call_with_its_last_usage(tmp_path: Path) -> None:
    log(tmp_path, line(output=1), line(second=1, output=25), line("msg_2", second=2))
    first, second = calls(tmp_path)
    assert (first.time_ms, first.usage["output_tokens"], first.conversation) == (NOON_MS, 25, SESSION)
    assert second.time_ms == NOON_MS + 2000


def test_a_session_taken_up_again_repeats_nothing(tmp_path: Path) -> None:
    log(tmp_path, line())
    log(tmp_path, line(sessionId="later"), line("msg_2", sessionId="later"), name="later.jsonl")
    assert [call.key for call in calls(tmp_path)] == ["msg_1 req_msg_1", "msg_2 req_msg_2"]


def test_a_sub_agent_has_its_own_conversation(tmp_path: Path) -> None:
    log(tmp_path, line(isSidechain=True, agentId="a1"), name=f"{SESSION}/subagents/agent-a1.jsonl")
    (call,) = calls(tmp_path)
    assert call.conversation == f"{SESSION}/a1"


def test_the_model_asked_for_is_kept_beside_the_one_that_answered(tmp_path: Path) -> None:
    log(tmp_path, line(requestedModel="claude-opus-5-5"), line("msg_2"))
    assert [(call.model, call.requested_model) for call in calls(tmp_path)] == [
        ("claude-sonnet-4-5", "claude-opus-5-5"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
    ]


def test_what_is_no_call_is_passed_over(tmp_path: Path) -> None:
    log(
        tmp_path,
        line(message={"model": "<synthetic>"}),
        line(message={"usage": None}),
        line(type="user"),
        line(timestamp="yesterday"),
        line(sessionId=None),
        line(message={"id": None}),
        '{"type": "assistant", "message": "assistant"}\n',
        '["assistant"]\n',
        "\n",
        line("msg_9")[:80],
    )
    assert calls(tmp_path) == []


def test_no_logs_no_calls(tmp_path: Path) -> None:
    assert session_files(tmp_path) == []
