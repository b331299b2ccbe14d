"""Claude Code's own logs of its sessions: what each call to the API used.

``projects/FOLDER/SESSION.jsonl`` and ``projects/FOLDER/SESSION/subagents/agent-ID.jsonl`` in its folder. A line holds
one block of an answer, and every block of one answer repeats its usage, so an answer counts once; so it does where a
session that was taken up again repeats the lines of the one before in a file of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_MADE_UP = "<synthetic>"  # the model of messages that the agent writes itself, such as errors


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One answer of the API. ``usage`` is as it was reported; ``key`` tells it apart from any other."""

    key: str
    time_ms: int
    conversation: str  # the session, and the sub-agent behind a slash
    model: str
    requested_model: str
    usage: Mapping[str, Any]


def session_files(folder: Path) -> list[Path]:
    """The logs in the agent's folder, by name."""
    return sorted([*folder.glob("projects/*/*.jsonl"), *folder.glob("projects/*/*/subagents/*.jsonl")])


def read_calls(paths: Iterable[Path]) -> list[LoggedCall]:
    """The calls of some logs, each once: its first moment and its last usage. Raises OSError."""
    calls: dict[str, LoggedCall] = {}
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                call = _call(line) if b'"assistant"' in line else None
                if call is not None:
                    first = calls.get(call.key, call)
                    calls[call.key] = LoggedCall(
                        call.key, first.time_ms, first.conversation, call.model, call.requested_model, call.usage
                    )
    return sorted(calls.values(), key=lambda call: (call.time_ms, call.key))


def _call(line: bytes) -> LoggedCall | None:
    """What a line says of a call; None for all other lines, a torn one at the end too."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    message = entry.get("message") if isinstance(entry, dict) and entry.get("type") == "assistant" else None
    if not isinstance(message, dict):
        return None
    model, usage, session = message.get("model"), message.get("usage"), entry.get("sessionId")
    time_ms = _moment(entry.get("timestamp"))
    if not isinstance(model, str) or model == _MADE_UP or not isinstance(usage, dict):
        return None
    if not isinstance(session, str) or time_ms is None or not message.get("id"):
        return None
    agent = entry.get("agentId") if entry.get("isSidechain") else None
    requested = entry.get("requestedModel")
    return LoggedCall(
        f"{message['id']} {entry.get('requestId') or ''}",
        time_ms,
        f"{session}/{agent}" if isinstance(agent, str) else session,
        model,
        requested if isinstance(requested, str) else model,
        usage,
    )


def _moment(text: object) -> int | None:
    """A timestamp such as ``2026-11-20T12:00:00.123Z`` in milliseconds."""
    try:
        return round(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except ValueError:
        return None
