"""Recorded traffic and real agents' requests through every pair of formats: nothing is lost that isn't told, nothing is
sent that the target refuses, and an answer means the same in every format that can hold it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from router.errors import BadRequest, Untranslatable
from router.wire.body import Body
from router.wire.conversation import Text, ToolCall, ToolResult
from router.wire.encoding import Asked
from router.wire.events import MessageEnd, MessageStart, StreamEvent, StreamFailed, UsageReport
from router.wire.formats import CODECS
from router.wire.history import text_of
from router.wire.loss import Losses
from router.wire.request import Api
from router.wire.usage import Usage
from tests.support.event_grammar import check_events, parts_of
from tests.support.recorded import Case, cases
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
    agents_requests,
    recorded_requests,
    translation,
)

pytestmark = pytest.mark.sampled(4)

ASKED = [*recorded_requests(), *agents_requests()]

REFUSED: dict[str, dict[str, str]] = {
    "anthropic-messages.anthropic.anthropic-code-execution-files-cache-prefix-stable-messages-sonnet-5.3": {
        "everywhere": "tools[0], messages[0].content[1], messages[1].content[0], messages[1].content[1], "
        "messages[1].content[3], messages[1].content[4], container"
    },
    "anthropic-messages.anthropic.anthropic-mcp-servers.2": {
        "everywhere": "messages[1].content[1], messages[1].content[2], mcp_servers"
    },
    "anthropic-messages.anthropic.anthropic-text-parts-ahead-of-built-in-tool-call.3": {"everywhere": "tools[0]"},
    "anthropic-messages.anthropic.anthropic-to-google-deferred-capability-history-replay.2": {
        "everywhere": "tools[2], messages[4].content[0].content[0]"
    },
    "anthropic-messages.anthropic.anthropic-web-search-tool-stream": {"everywhere": "tools[0]"},
    "anthropic-messages.anthropic.document-binary-content-input": {"deepseek": "messages[0]"},
    "anthropic-messages.anthropic.image-url-input": {"deepseek": "messages[0]"},
    "anthropic-messages.anthropic.live-fallback-failover-capability-load-and-recovery.2": {
        "everywhere": "messages[3].content[0]"
    },
    "anthropic-messages.anthropic.multimodal-tool-return-matrix-tool-return-content-uploaded-file-docume.2": {
        "everywhere": "messages[2].content[1].source"
    },
    "anthropic-messages.anthropic.pause-turn-web-search-vcr.1": {"everywhere": "tools[0]"},
    "anthropic-messages.anthropic.thinking-with-native-tool-wire-contract-anthropic": {"everywhere": "tools[0]"},
    "gemini.google-gemini.google-model-mobile-youtube-video-url-input": {"everywhere": "contents[0].parts[1].fileData"},
    "gemini.google-gemini.thinking-with-tool-calls-from-other-model.3": {"claude": "toolConfig.functionCallingConfig"},
    "gemini.google-vertex.google-vertex-tool-combination-omits-include-server-side-tool-invocati.2": {
        "everywhere": "tools[0].googleSearch"
    },
    "openai-chat.groq.tool-choice-matrix-list-single-groq": {"claude": "tool_choice"},
    "openai-chat.huggingface-together.request-structured-response": {"claude": "tool_choice"},
    "openai-chat.mistral.tool-choice-matrix-tools-plus-output-mistral.2": {"claude": "tool_choice"},
    "openai-chat.openai.async-chat-completion-multiple-choices": {"everywhere": "n"},
    "openai-chat.openai.complex-agent-run-in-flow.2": {"claude": "tool_choice"},
    "openai-chat.openai.openai-web-search-tool-model-not-supported": {"everywhere": "web_search_options"},
    "openai-responses.openai.background-mode-streaming-without-starting-after-vcr.1": {"everywhere": "background"},
    "openai-responses.openai.multimodal-tool-return-matrix-direct-uploaded-file-document-openai-res.2": {
        "everywhere": "input[3].output[0].file_id"
    },
    "openai-responses.openai.multimodal-tool-return-matrix-direct-uploaded-file-image-openai-respon.2": {
        "everywhere": "input[3].output[0].file_id"
    },
    "openai-responses.openai.openai-instructions-with-responses-logprobs-streaming": {"everywhere": "include[0]"},
    "openai-responses.openai.openai-responses-compact-with-auto-previous-response-id-chain.5": {
        "everywhere": "previous_response_id"
    },
    "openai-responses.openai.openai-responses-image-url-input": {"deepseek": "input[0]"},
    "openai-responses.openai.openai-responses-model-file-search-tool-stream.4": {"everywhere": "tools[0]"},
    "openai-responses.openai.openai-responses-model-web-search-tool.2": {"everywhere": "tools[0], input[2]"},
    "openai-responses.openai.responses-count-tokens-with-tools": {"claude": "tool_choice"},
    "openai-responses.openai.responses-create-captures-tool-call-content-content-mode0": {"claude": "tool_choice"},
    "claude-code-websearch-inner": {"everywhere": "tools[0], tool_choice.name"},
    "codex-builtin-turn1": {"everywhere": "tools[8]"},
    "codex-long-100turns": {"everywhere": "tools[8]"},
    "codex-long-20turns": {"everywhere": "tools[8]"},
    "codex-remote-compaction": {"everywhere": "tools[8], input[7]"},
    "codex-subagent": {"everywhere": "tools[7]"},
    "codex-turn1": {"everywhere": "tools[8]"},
    "codex-turn2": {"everywhere": "tools[8]"},
    "sdk-py-responses-previous-id": {"everywhere": "previous_response_id"},
}
"""What can't be said in another format, by the client's field: for every target, or for the one that is named."""


def refused_fields(asking: Asking, target: Target) -> str:
    """What is refused, by field; empty if nothing."""
    try:
        translation(asking, target)
        return ""
    except Untranslatable as error:
        told = str(error)
    except BadRequest as error:
        return f"bad request: {error}"
    refused = [loss for loss in translation(asking, target, lossy=True).losses if loss.refused]
    assert all(str(loss) in told for loss in refused), "the client is told each field and why"
    assert f"{target.provider}/{target.model}" in told
    return ", ".join(dict.fromkeys(loss.field for loss in refused))


Targets = Mapping[str, Target]
KINDS_OF_TARGETS = [
    pytest.param({target.name: target for target in MAIN.values()}, id="particular targets"),
    pytest.param(
        {name: target for name, target in TARGETS.items() if target not in MAIN.values()},
        id="the others",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("targets", KINDS_OF_TARGETS)
@pytest.mark.parametrize("asking", [pytest.param(asking, id=asking.id) for asking in ASKED])
class TestRequests:
    def test_it_reaches_every_target_or_is_refused_by_the_field(self, asking: Asking, targets: Targets) -> None:
        found = {name: refused_fields(asking, target) for name, target in _foreign(asking, targets)}
        expected = REFUSED.get(asking.id, {})
        everywhere = expected.get("everywhere", "")
        assert found == {name: expected.get(name, everywhere) for name in found}

    def test_what_reaches_a_target_is_what_it_takes(self, asking: Asking, targets: Targets) -> None:
        for name, target in _foreign(asking, targets):
            try:
                done = translation(asking, target, lossy=True)
            except BadRequest:
                continue
            if not CODECS[asking.api].parse(asking.view(), Losses()).turns:
                continue  # all that there was is stored at another provider
            try:
                target.check(json.loads(done.body))
            except AssertionError as refusal:
                pytest.fail(f"{name} refuses it: {refusal}")

    @pytest.mark.slow  # the same is asked of made-up conversations
    def test_the_same_request_is_the_same_bytes(self, asking: Asking, targets: Targets) -> None:
        for name, target in _foreign(asking, targets):
            first, second = (translation(asking, target, lossy=True) for _ in range(2))
            assert first.body == second.body, name
            assert first.losses == second.losses, name

    def test_no_word_of_it_is_lost_in_silence(self, asking: Asking, targets: Targets) -> None:
        """Texts, calls and results of the conversation, as the target's own view reads them."""
        conversation = CODECS[asking.api].parse(asking.view(), Losses())
        wanted = set(_words(conversation))
        for name, target in _foreign(asking, targets):
            done = translation(asking, target, lossy=True)
            if any(loss.refused for loss in done.losses):
                continue
            view = CODECS[target.api].view(Body.parse(done.body), url_model=target.model)
            said = "\n".join(text for piece in view.pieces() for text in view.read(piece).texts)
            lines = set(re.split(r"\n|\\n", said))
            for words in wanted - lines:
                shown = _escaped(words)
                assert shown in lines or words in said or shown in said, f"{name} isn't told {words[:80]!r}"
            assert view.tool_count == len(conversation.tools), name
            assert view.stream == conversation.stream or target.api == G


def _foreign(asking: Asking, targets: Targets) -> list[tuple[str, Target]]:
    return [(name, target) for name, target in targets.items() if target.api != asking.api]


def _words(conversation: Any) -> Iterable[str]:
    for turn in conversation.turns:
        for part in turn.parts:
            match part:
                case Text():
                    yield from part.text.strip().splitlines()
                case ToolResult():
                    yield from text_of(part.content).strip().splitlines()
                case ToolCall():
                    yield from _leaves(part.arguments)
    for text in conversation.system:
        yield from text.text.strip().splitlines()


def _escaped(words: str) -> str:
    """As they stand in JSON: Gemini's results are objects."""
    return json.dumps(words, ensure_ascii=False)[1:-1]


def _leaves(arguments: str) -> Iterable[str]:
    """Short plain strings of a call's arguments; escapes are spelled in more than one way."""
    try:
        values = json.loads(arguments)
    except ValueError:
        return
    for value in values.values() if isinstance(values, dict) else ():
        if isinstance(value, str) and value.isascii() and value.isalnum():
            yield value


# --- replies ----------------------------------------------------------------------------------------------------------

ANSWERS = [
    case
    for case in cases()
    if case.status == 200
    and case.endpoint in (None, "messages", "chat", "responses", "generateContent", "streamGenerateContent")
    and not case.error_inside
    and case.raw["response"]["body"]
]
BROKEN: dict[str, str] = {
    "anthropic-messages.documented.stream-error-overloaded": "Overloaded",
    "openai-chat.documented.stream-truncated-no-done": "no end",
    "openai-chat.groq.tool-use-failed-error-streaming.1": "Tool call validation failed",
    "openai-responses.openai.background-mode-streaming-without-starting-after-vcr.1": "no end",
    "openai-responses.openai.openai-error-1-stream": "You exceeded your current quota",
}
"""Recorded replies that are failures, and what they say."""

ANSWER_IDS = [pytest.param(case, id=case.id) for case in ANSWERS]


def events_of(case: Case, chunks: Iterable[bytes] | None = None) -> list[StreamEvent]:
    decoder = CODECS[case.api].decoder()  # type: ignore[index]
    if not case.streamed:
        return decoder.whole(case.reply)
    found: list[StreamEvent] = []
    for chunk in chunks or [case.reply]:
        found += decoder.feed(chunk)
    return found + decoder.finish()


def usage_of(events: Iterable[StreamEvent]) -> Usage | None:
    return next((event.usage for event in reversed(list(events)) if isinstance(event, UsageReport)), None)


def meaning(events: list[StreamEvent], api: Api) -> dict[str, Any]:
    """What a reply says, as far as a format can hold it."""
    parts = parts_of(events)
    end = events[-1]
    assert isinstance(end, MessageEnd)
    stop = end.stop
    if api != A:  # only Messages tells these apart
        stop = {"stop-sequence": "end", "context-window": "max-tokens", "pause": "end"}.get(stop, stop)  # type: ignore[assignment]
    said = "".join(part[1] for part in parts if part[0] in ("text", "refusal"))
    calls = [(*part[1:3], _value(*part[3:])) for part in parts if part[0] == "call"]
    if api == G and stop == "max-tokens":  # its arguments are objects, so a call that was cut can't be told
        calls = [call for call in calls if "_raw_arguments" not in call[2]]
    usage = usage_of(events) or Usage()
    return {
        "text": said or end.explanation or "",  # other formats have words of refusal instead
        "thinking": "".join(part[1] for part in parts if part[0] == "thinking"),
        "calls": calls,
        "stop": stop,
        "input": sum(n or 0 for n in (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h)),
        "cached": usage.cache_read or 0,
        "output": usage.output or 0,
    }


def _value(arguments: str, custom: str = "") -> Any:
    if custom:
        return {"input": arguments}  # as in formats that have only functions
    try:
        return json.loads(arguments or "{}")
    except ValueError:  # cut short: where a format has only objects, it stands in one
        return {"_raw_arguments": arguments}


class TestReplies:
    @pytest.mark.parametrize("case", ANSWER_IDS)
    def test_its_events_are_in_order_and_say_how_it_ended(self, case: Case) -> None:
        events = events_of(case)
        failed = BROKEN.get(case.id)
        check_events(events, ended=failed != "no end")
        if failed is None:
            assert isinstance(events[-1], MessageEnd)
        elif failed != "no end":
            assert isinstance(events[-1], StreamFailed)
            assert failed in events[-1].message

    @pytest.mark.parametrize("case", ANSWER_IDS)
    def test_its_usage_is_what_the_ledger_records(self, case: Case) -> None:
        codec = CODECS[case.api]  # type: ignore[index]
        if case.streamed:
            tap = codec.tap()
            tap.feed(case.reply)
            tap.finish()
            facts = tap.facts
        else:
            facts = codec.read_reply(case.reply)
        events = events_of(case)
        assert usage_of(events) == facts.usage
        if case.id not in BROKEN and facts.response_id is not None:
            assert isinstance(events[0], MessageStart)
            assert events[0].id == facts.response_id

    @pytest.mark.slow  # the tests of each format cut them, too
    @pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in ANSWERS if case.streamed])
    def test_cutting_its_bytes_changes_nothing(self, case: Case) -> None:
        whole = events_of(case)
        raw, dice = case.reply, random.Random(case.id)
        for size in (1, 2, 1000):
            assert events_of(case, [raw[start : start + size] for start in range(0, len(raw), size)]) == whole
        for _ in range(5):
            edges = sorted({0, len(raw), *(dice.randrange(len(raw)) for _ in range(30))})
            pieces = [raw[start:stop] for start, stop in pairwise(edges)]
            assert events_of(case, pieces) == whole

    @pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in ANSWERS if case.id not in BROKEN])
    def test_it_means_the_same_in_every_format(self, case: Case) -> None:
        events = events_of(case)
        for api in APIS:
            codec, asked = CODECS[api], Asked("1", 0)
            decoder = codec.decoder()
            streamed = decoder.feed(b"".join(map(codec.encoder(asked).encode, events))) + decoder.finish()
            whole = codec.decoder().whole(codec.encoder(asked).whole(events))
            for again in (streamed, whole):
                check_events(again, ended=True)
                assert meaning(again, api) == meaning(events, api), api


TEXT_EVENTS: dict[Api, tuple[bytes, bytes, bytes]] = {
    A: (
        b'data: {"type":"message_start","message":{"id":"m"}}\n\n'
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n',
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\ndata: {"type":"message_stop"}\n\n',
    ),
    C: (
        b"",
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    ),
    R: (
        b'data: {"type":"response.created","response":{"id":"r","status":"in_progress"}}\n\n'
        b'data: {"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"i"}}\n\n',
        b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"%b"}\n\n',
        b'data: {"type":"response.completed","response":{"id":"r","status":"completed","output":[]}}\n\n',
    ),
    G: (
        b"",
        b'data: {"candidates":[{"content":{"parts":[{"text":"%b"}]},"index":0}]}\n\n',
        b'data: {"candidates":[{"content":{"parts":[]},"index":0,"finishReason":"STOP"}]}\n\n',
    ),
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("texts", "said"),
    [
        pytest.param([rb"caf\u00e9 \ud83d\ude00"], "café 😀", id="escapes"),
        pytest.param([rb"a\ud83d", rb"\ude00b"], "a\ufffd\ufffdb", id="the halves of a pair of escapes"),
        pytest.param([rb"a\ud83d\ud83d\ude00\\ud83d"], "a\ufffd😀\\ud83d", id="what only looks like a half"),
        pytest.param([b"a\xf0\x9f", b"\x98\x80b"], "a\ufffd\ufffd\ufffdb", id="the bytes of one character"),
    ],
)
def test_a_character_cut_in_two_costs_no_other(api: Api, texts: list[bytes], said: str) -> None:
    """Some servers cut between two events where they may not."""
    before, delta, end = TEXT_EVENTS[api]
    decoder = CODECS[api].decoder()
    events = decoder.feed(before + b"".join(delta % text for text in texts) + end) + decoder.finish()
    check_events(events, ended=True)
    assert parts_of(events) == [("text", said)]
