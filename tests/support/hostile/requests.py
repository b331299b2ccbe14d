"""What must hold whatever a client sends: the request is understood, or refused in words; what is sent on is JSON.

The check raises AssertionError, or the error that the code under test must not raise.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from router.agents.agents import AGENTS
from router.errors import BadRequest
from router.routing.facts import RECORDED, RequestFacts
from router.routing.tokens import PieceSummaries
from router.wire.body import Body
from router.wire.codec import Codec
from router.wire.encoding import Asked
from router.wire.events import StreamEvent
from router.wire.formats import CODECS
from router.wire.overrides import NEUTRAL_NAMES
from router.wire.piece_memory import PieceMemory
from router.wire.request import Api, RequestView
from router.wire.traits import Traits
from router.wire.translate import Translation
from tests.support.hostile.told import client_events, json_of
from tests.support.translating import TARGETS, A, Target

T = TypeVar("T")

NOW: Final = datetime(2026, 1, 2, tzinfo=UTC)
SETTINGS: Final = {"temperature": 1, "top-p": 1, "top-k": 2, "max-tokens": 9, "stop": "x", "effort": "low"}
VIEWED: Final = "model stream max_tokens thinking tool_count tools forced_tool has_system_prompt system_text".split()
USER_AGENTS: Final = sorted({name for agent in AGENTS for name in agent.user_agents})
assert set(SETTINGS) == set(NEUTRAL_NAMES)


@dataclass(frozen=True)
class Sent:
    """A request as it arrives."""

    api: Api
    raw: bytes
    url_model: str | None = None
    url_stream: bool = False

    def view(self, body: Body) -> RequestView:
        return CODECS[self.api].view(body, url_model=self.url_model, url_stream=self.url_stream)


def check_request(sent: Sent, chance: random.Random, targets: Sequence[Target]) -> bool:
    """A request is understood, or refused in words; whether it was understood by any of the ``targets``."""
    codec = CODECS[sent.api]
    body = _or_refused(codec, lambda: Body.parse(sent.raw))
    view = None if body is None else _or_refused(codec, lambda: sent.view(body))
    if body is None or view is None:
        return False
    _check_view(sent, body, chance)
    own = chance.choice([target for target in TARGETS.values() if target.api == sent.api])
    _check_passing(codec, view, odd_traits(chance, own))
    return max(_check_translated(codec, sent.view(body), target, chance) for target in targets)


def _or_refused(codec: Codec, ask: Callable[[], T]) -> T | None:
    """The answer, or nothing where the request is refused: in words that the client can be told."""
    try:
        return ask()
    except BadRequest as error:
        _check_refusal(codec, error)
        return None


def _check_refusal(codec: Codec, error: BadRequest) -> None:
    text = str(error)
    assert text
    assert text.isprintable(), text
    assert json_of(codec.error_body(error.status, error.code, text, "1"))


def _check_view(sent: Sent, body: Body, chance: random.Random) -> None:
    codec = CODECS[sent.api]
    views = [sent.view(body), sent.view(body)]
    views[1].memory = _memory()
    for view in views:
        for name in VIEWED:
            _or_refused(codec, lambda view=view, name=name: getattr(view, name))  # type: ignore[misc]
    pieces, remembered = (_or_refused(codec, view.pieces) for view in views)
    assert pieces == remembered
    for piece in pieces or ():
        views[0].read(piece)
    headers = {"user-agent": chance.choice(USER_AGENTS)}
    facts = RequestFacts(sent.view(body), headers=headers, summaries=PieceSummaries(), phrases=None, now=NOW)
    facts.may_count = True
    for name in (*RECORDED, "conversation", "conversation_start", "forced_tool", "tools"):
        _or_refused(codec, lambda name=name: getattr(facts, name))  # type: ignore[misc]
    if _or_refused(codec, facts.for_script) is not None:
        msgspec.json.encode(facts.for_script())
        facts.tokens_reach(chance.choice((1, 100, 10_000)))
        if chance.random() < 0.1:
            assert facts.tokens() > 0


@cache
def _memory() -> PieceMemory:
    return PieceMemory(100_000)


def _check_passing(codec: Codec, view: RequestView, traits: Traits) -> None:
    """Whatever it is, a request that passes to a provider of its own format stays JSON and goes on."""
    body = view.body
    fields = _or_refused(codec, lambda: codec.without_foreign(body, traits)) or {}
    assert json_of(body.with_fields(fields)) is not None
    fields = _or_refused(codec, lambda: codec.overrides(body, SETTINGS)) or {}
    assert json_of(body.with_fields(fields)) is not None
    if _or_refused(codec, lambda: codec.asks_usage(body)) is False:
        asked = _or_refused(codec, lambda: codec.with_usage_asked(body))
        assert json_of(body.with_fields(asked or {})) is not None


def _check_translated(codec: Codec, view: RequestView, target: Target, chance: random.Random) -> bool:
    to = CODECS[target.api]
    traits = target.traits if chance.random() < 0.6 else odd_traits(chance, target)

    def translate(allow_losses: bool = True) -> Translation:
        return Translation(view, codec, to, traits, allow_losses=allow_losses)

    translation = _or_refused(codec, translate)
    if translation is None:
        return False
    again = translate()
    assert (again.body, again.headers, again.losses) == (translation.body, translation.headers, translation.losses)
    for loss in translation.losses:
        assert loss.field.isascii(), loss
        assert f"{loss}".isprintable(), loss
        assert len(loss.field) < 200, loss
    if any(loss.refused for loss in translation.losses):
        assert _or_refused(codec, lambda: translate(allow_losses=False)) is None
    assert isinstance(json_of(translation.body), dict)
    rendered = _or_refused(codec, lambda: Body.parse(translation.body))
    if rendered is None:
        return False
    assert isinstance(json_of(rendered.with_fields(to.overrides(rendered, SETTINGS))), dict)
    counted = _or_refused(codec, lambda: to.count_request(translation.body))
    assert counted is None or isinstance(json_of(counted), dict)
    asked = Asked("1", 0, model="m", echo=translation.echo)
    assert isinstance(json_of(codec.encoder(asked).whole(ANSWER)), dict)  # may repeat what the client wrote
    encoder = codec.encoder(asked)
    client_events(codec.api, b"".join(map(encoder.encode, ANSWER)), read=json_of)
    return True


def odd_traits(chance: random.Random, target: Target) -> Traits:
    """The target with some flags changed, as a catalog, a correction or a refusal may have them."""
    changed = {name: chance.choice(_FLAGS[name]) for name in chance.sample(sorted(_FLAGS), chance.choice((1, 3, 9)))}
    return msgspec.structs.replace(target.traits, **changed)


_BOTH: Final = (True, False)
_FLAGS: Final[Mapping[str, Sequence[Any]]] = {
    **dict.fromkeys(
        "official stops mid_system prefill user_after_results result_media text_arrays parallel_tools custom_tools "
        "thinking_off tools_need_no_effort replays_sealed summaries encrypted_reasoning call_signatures".split(),
        _BOTH,
    ),
    **dict.fromkeys(("images", "documents", "tools"), (True, False, None)),
    "max_output": (None, 1, 500, 64_000),
    "max_tokens_field": ("max_tokens", "max_completion_tokens"),
    "sampling": ("yes", "one", "refused"),
    "system_role": ("system", "developer"),
    "documents_as": ("file", "document_url"),
    "tool_name_limit": (16, 64, 128),
    "tool_id_rule": ("any", "alphanumeric-9"),
    "tool_choices": (frozenset(), frozenset({"auto"}), frozenset({"auto", "none", "any", "named"})),
    "any_word": ("required", "any"),
    "strict_schemas": ("yes", "no", "all-tools-equal"),
    "reasoning_in": (
        frozenset(),
        frozenset({"effort"}),
        frozenset({"budget"}),
        frozenset({"toggle", "effort"}),
        frozenset({"adaptive", "between-tools", "effort"}),
    ),
    "reasoning_fields": ((), ("reasoning",), ("thinking",), ("enable_thinking",), ("chat_template_kwargs",)),
    "efforts": ((), ("low",), ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    "reasoning_replay": ("required", "allowed", "refused"),
    "cache_hints": ("anthropic", "openai", "none"),
    "refused_fields": (
        frozenset(),
        frozenset({"response_format", "response_format.json_schema", "stop", "user", "metadata"}),
        frozenset({"tools", "temperature", "max_tokens", "system", "systemInstruction", "instructions"}),
    ),
    "refused_reasoning": (frozenset(), frozenset({"reasoning_content"}), frozenset({"reasoning", "reasoning_content"})),
    "stream_usage": ("asks", "always", "never"),
}


ANSWER: list[StreamEvent] = (
    CODECS[A]
    .decoder()
    .whole(
        json.dumps(
            {
                "id": "i",
                "model": "m",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "text", "text": "Yes."},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
                ],
                "stop_reason": "tool_use",
                "usage": {"input_tokens": 1, "output_tokens": 2},
            }
        ).encode()
    )
)
