"""What clients are told, read from the bytes alone: JSON and events as their formats say, finished only if it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from router.wire.request import Api
from router.wire.sse import SseDecoder
from tests.support.strict.grammar import check_grammar
from tests.support.translating import A, C, G, R


def json_of(text: bytes) -> Any:
    """The value of any JSON, however deep; raises where it is none."""
    with _deep():
        return json.loads(text, parse_int=str, parse_float=str)


def strict_json_of(text: bytes) -> Any:
    """The value of JSON that every reader takes: no half characters, no numbers beyond a double's."""
    with _deep():
        return msgspec.json.decode(text)


def _is_json(text: bytes) -> bool:
    try:
        json_of(text)
    except ValueError:
        return False
    return True


@contextmanager
def _deep() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def check_told(api: Api, told: bytes, *, ended: bool, failed: bool, array: bool = False) -> None:
    """The bytes for a client are what its format says, and look finished only if the reply ended."""
    if array:
        if ended:
            assert isinstance(strict_json_of(told), list)
        else:
            assert not told.rstrip().endswith(b"]") or not _is_json(told)
        return
    events = client_events(api, told)
    ends = [at for at, event in enumerate(events) if looks_finished(api, event)]
    if api == C:  # the finish, perhaps usage, the mark
        assert len(ends) == (2 if ended else 0)
        assert not ended or events[-1] == "[DONE]"
    else:
        assert ends == ([len(events) - 1] if ended else [])
    failures = [event for event in events if _is_failure(event)]
    assert bool(failures) == failed
    if ended and api in (A, R):
        check_grammar(api, told)


def client_events(api: Api, told: bytes, *, read: Callable[[bytes], Any] = strict_json_of) -> list[Any]:
    """The events of a stream for a client, whose names are those that the format says."""
    decoder = SseDecoder()
    events: list[Any] = []
    found = decoder.feed(told)
    assert not decoder.pending, "an event isn't finished"
    for event in found:
        if event.data == b"[DONE]":
            assert api == C
            events.append("[DONE]")
            continue
        value = read(event.data)
        assert isinstance(value, dict)
        assert event.event == (value["type"] if api in (A, R) else None)
        events.append(value)
    return events


def looks_finished(api: Api, event: Any) -> bool:
    """Whether an event says that the answer is whole."""
    if event == "[DONE]":
        return api == C
    if not isinstance(event, dict):
        return False
    if api == A:
        return event.get("type") == "message_stop"
    if api == R:
        return event.get("type") in ("response.completed", "response.incomplete")
    field = "choices" if api == C else "candidates"
    name = "finish_reason" if api == C else "finishReason"
    listed = event.get(field)
    blocked = api == G and isinstance(said := event.get("promptFeedback"), dict) and bool(said.get("blockReason"))
    return blocked or any(
        isinstance(one, dict) and bool(one.get(name)) for one in (listed if isinstance(listed, list) else ())
    )


def _is_failure(event: Any) -> bool:
    return isinstance(event, dict) and (bool(event.get("error")) or event.get("type") in ("error", "response.failed"))


def finished_in(api: Api, stream: bytes) -> bool:
    """Whether a provider's stream says that it is whole, read line by line and without the code under test."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        lines = block.split("\n")
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        if api == C and data.strip() == "[DONE]":
            return True
        name = next((line[6:].strip() for line in reversed(lines) if line.startswith("event:")), None)
        try:
            event = json_of(data.encode())
        except ValueError:
            continue
        if isinstance(event, dict) and not (isinstance(event.get("type"), str) and event["type"]):
            event["type"] = name
        if looks_finished(api, event):
            return True
    return False
