"""Whatever order a provider sends things in, the events come out in the one order that encoders count on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire import assembly
from router.wire.assembly import Assembler
from router.wire.conversation import Conversation, OpaqueState, Tool
from router.wire.events import (
    Citation,
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.tool_table import ToolTable
from router.wire.usage import Usage
from tests.support.event_grammar import check_events, parts_of

OWNER = "maker/model"


def events(*calls: Callable[[Assembler], object], tools: ToolTable | None = None, owner: str | None = None) -> Any:
    assembler = Assembler(tools, owner=owner)
    for call in calls:
        call(assembler)
    found = assembler.take()
    check_events(found, ended=assembler.ended or assembler.failed)
    return found


def said(*calls: Callable[[Assembler], object], tools: ToolTable | None = None, owner: str | None = None) -> Any:
    """The parts of what the calls and a plain end make, as short tuples."""
    return parts_of(events(*calls, lambda a: a.end("end"), tools=tools, owner=owner))


class TestTextAndThinking:
    @pytest.mark.parametrize(
        ("calls", "parts"),
        [
            pytest.param([lambda a: a.text(0, "")], [], id="empty text opens nothing"),
            pytest.param([lambda a: a.thinking(0, "")], [], id="nor does empty thinking"),
            pytest.param([lambda a: a.refusal(0, "")], [], id="nor an empty refusal"),
            pytest.param([lambda a: a.seal(0, "google-thought", "")], [], id="nor an empty seal"),
            pytest.param(
                [lambda a: a.text(0, "a"), lambda a: a.seal(1, "google-thought", ""), lambda a: a.text(0, "b")],
                [("text", "ab")],
                id="an empty seal doesn't part a text",
            ),
            pytest.param(
                [lambda a: a.text(0, "a"), lambda a: a.text(0, "b")], [("text", "ab")], id="one key, one part"
            ),
            pytest.param(
                [lambda a: a.text(0, "a"), lambda a: a.text(1, "b")], [("text", "a"), ("text", "b")], id="two keys"
            ),
            pytest.param(
                [lambda a: a.thinking(0, "t"), lambda a: a.text(0, "a"), lambda a: a.thinking(0, "u")],
                [("thinking", "t", None), ("text", "a"), ("thinking", "u", None)],
                id="kinds that alternate under one key",
            ),
            pytest.param(
                [lambda a: a.text(0, "a"), lambda a: a.refusal(0, "no")],
                [("text", "a"), ("refusal", "no")],
                id="a refusal is a part of its own",
            ),
            pytest.param(
                [lambda a: a.close("text", 0), lambda a: a.text(0, "a"), lambda a: a.close("text", 0)],
                [("text", "a")],
                id="closing what isn't there means nothing",
            ),
            pytest.param(
                [lambda a: a.text(0, "a"), lambda a: a.close("text", 0), lambda a: a.text(0, "b")],
                [("text", "a"), ("text", "b")],
                id="text behind a closed part is another part",
            ),
        ],
    )
    def test_parts(self, calls: list[Callable[[Assembler], object]], parts: list[Any]) -> None:
        assert said(*calls) == parts

    def test_what_is_sealed_comes_last_and_the_last_seal_counts(self) -> None:
        parts = said(
            lambda a: a.thinking(0, "t"),
            lambda a: a.seal(0, "anthropic-signature", "one"),
            lambda a: a.thinking(0, "u"),
            lambda a: a.seal(0, "anthropic-signature", "two", item="rs_1"),
        )
        assert parts == [("thinking", "tu", OpaqueState("anthropic-signature", "two", None, "rs_1"))]

    def test_a_seal_without_words_is_a_part(self) -> None:
        assert said(lambda a: a.seal(0, "anthropic-redacted", "x"), owner=OWNER) == [
            ("thinking", "", OpaqueState("anthropic-redacted", "x", OWNER))
        ]

    def test_unsealed_reasoning_of_a_target_is_marked_as_its_own(self) -> None:
        assert said(lambda a: a.thinking(0, "t"), owner=OWNER) == [("thinking", "t", OpaqueState("visible", "", OWNER))]

    def test_a_source_belongs_to_the_text_before_it(self) -> None:
        source = Citation("web", "https://example.com", "Example", {})
        found = events(lambda a: a.cite(0, source), lambda a: a.text(0, "a"), lambda a: a.cite(0, source))
        assert found == [MessageStart(), TextDelta("a"), source]

    def test_text_keeps_its_phase(self) -> None:
        assert TextDelta("a", "commentary") in events(lambda a: a.text(0, "a", "commentary"))

    def test_a_text_has_the_phase_it_began_with(self) -> None:
        deltas = [
            event
            for event in events(lambda a: a.text(0, "a"), lambda a: a.text(0, "b", "commentary"))
            if isinstance(event, TextDelta)
        ]
        assert [event.phase for event in deltas] == [None, None]


def call(key: int, arguments: str = "", call_id: str = "", name: str = "", **more: Any) -> Callable[[Assembler], None]:
    def tell(assembler: Assembler) -> None:
        assembler.call(key, call_id, name, **more)
        assembler.arguments(key, arguments)

    return tell


class TestCalls:
    @pytest.mark.parametrize(
        ("calls", "parts"),
        [
            pytest.param([call(0, '{"a":1}', "c1", "f")], [("call", "c1", "f", '{"a":1}')], id="whole"),
            pytest.param([call(0, "", "c1", "f")], [("call", "c1", "f", "")], id="without arguments"),
            pytest.param(
                [call(0, '{"a"', "c1", "f"), call(0, ":1}")], [("call", "c1", "f", '{"a":1}')], id="in fragments"
            ),
            pytest.param(
                [call(0, '{"a"', "c1", "f"), call(0, ":1}", "c1", "f"), call(0, "", "", "")],
                [("call", "c1", "f", '{"a":1}')],
                id="id and name in every fragment",
            ),
            pytest.param(
                [call(0, "{", "", "f"), call(0, "}", "c1")], [("call", "c1", "f", "{}")], id="the id comes late"
            ),
            pytest.param([call(0, "{", "c1"), call(0, "}", "", "f")], [("call", "c1", "f", "{}")], id="the name late"),
            pytest.param(
                [call(0, "", "c1", "get_", whole_name=False), call(0, "{}", "", "time", whole_name=False)],
                [("call", "c1", "get_time", "{}")],
                id="the name in pieces",
            ),
            pytest.param(
                [call(0, '{"a":', "c1", "f"), call(1, '{"b":', "c2", "g"), call(0, "1}"), call(1, "2}")],
                [("call", "c1", "f", '{"a":1}'), ("call", "c2", "g", '{"b":2}')],
                id="two at once",
            ),
            pytest.param(
                [call(0, '{"a":', "c1", "f"), lambda a: a.text(0, "meanwhile"), call(0, "1}")],
                [("call", "c1", "f", '{"a":1}'), ("text", "meanwhile")],
                id="text amid a call waits",
            ),
            pytest.param(
                [lambda a: a.text(0, "a"), call(0, "{}", "c1", "f"), lambda a: a.text(0, "b")],
                [("text", "a"), ("call", "c1", "f", "{}"), ("text", "b")],
                id="text around a call",
            ),
            pytest.param(
                [call(0, '{"a":', "c1", "f"), call(1, '{"b":', "c2", "g"), lambda a: a.close("call", 0)],
                [("call", "c1", "f", '{"a":'), ("call", "c2", "g", '{"b":')],
                id="calls that are cut short stay calls",
            ),
            pytest.param(
                [call(0, "*** Begin", "c1", "patch", custom=True)],
                [("call", "c1", "patch", "*** Begin", "custom")],
                id="freeform, by a target that knows it",
            ),
            pytest.param([call(0, "{}", "c1")], [], id="a call that never gets a name can't be told"),
        ],
    )
    def test_parts(self, calls: list[Callable[[Assembler], object]], parts: list[Any]) -> None:
        assert said(*calls) == parts

    def test_a_call_is_open_from_its_id_and_name_on(self) -> None:
        assembler = Assembler()
        assembler.call(0, "c1")
        assert assembler.take() == [MessageStart()]
        assembler.call(0, "", "f")
        assert assembler.take() == [ToolCallStart("c1", "f")]
        assembler.arguments(0, "{")
        assert assembler.take() == [ToolCallDelta("{")]

    def test_the_next_call_opens_as_soon_as_the_one_before_is_complete(self) -> None:
        assembler = Assembler()
        call(0, '{"a":1}', "c1", "f")(assembler)
        call(1, "", "c2", "g")(assembler)
        assert assembler.take()[-2:] == [PartEnd(), ToolCallStart("c2", "g")]

    def test_an_id_is_made_where_none_ever_comes(self) -> None:
        in_pieces = said(call(0, "{", "", "f"), call(0, "}"), call(1, "{}", "", "f"))
        whole = said(call(0, "{}", "", "f"), call(1, "{}", "", "f"))
        assert in_pieces == whole
        first, second = (part[1] for part in whole)
        assert first != second
        assert first.startswith("call_rtr1")

    def test_a_sealed_call(self) -> None:
        found = events(
            call(0, '{"a":', "c1", "f"),
            lambda a: a.seal(0, "google-thought", "x", of="call"),
            call(0, "1}"),
            lambda a: a.close("call", 0),
            lambda a: a.seal(1, "google-thought", "of no call", of="call"),
            owner=OWNER,
        )
        assert found[1:] == [
            ToolCallStart("c1", "f"),
            ToolCallDelta('{"a":'),
            ToolCallDelta("1}"),
            SignatureDelta(OpaqueState("google-thought", "x", OWNER)),
            PartEnd(),
        ]

    def test_names_and_freeform_input_are_the_clients_again(self) -> None:
        tools = ToolTable(
            Conversation(
                "m",
                (),
                tools=(Tool("apply_patch", custom=True), Tool("open", namespace="files"), Tool("x" * 70)),
            )
        )
        found = events(
            call(0, '{"input":"a', "c1", "apply_patch"),
            call(0, '\\nb"}'),
            call(1, "{}", "c2", "files__open"),
            call(2, "{}", "c3", tools.name("x" * 70)),
            tools=tools,
        )
        starts = [event for event in found if isinstance(event, ToolCallStart)]
        assert starts == [
            ToolCallStart("c1", "apply_patch", custom=True),
            ToolCallStart("c2", "open", namespace="files"),
            ToolCallStart("c3", "x" * 70),
        ]
        assert [event.text for event in found if isinstance(event, ToolCallDelta)][:2] == ["a", "\nb"]

    def test_many_parts_may_wait(self) -> None:
        calls = [call(0, "{", "c0", "f"), *(call(n, "{}", f"c{n}", "f") for n in range(1, 3000))]
        assert len(said(*calls)) == 3000

    def test_equal_calls_that_wait_are_two(self) -> None:
        wrapper = json.dumps({"tool_uses": [{"recipient_name": "functions.f", "parameters": {}}]})
        parts = said(
            call(0, "{", "c0", "f"),
            call(1, wrapper, "w", "parallel"),
            call(2, wrapper, "w", "parallel"),
            lambda a: a.close("call", 1),
            lambda a: a.close("call", 2),
        )
        assert [part[1] for part in parts] == ["c0", "w_0", "w_0"]

    def test_waiting_has_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(assembly, "MAX_HELD", 1000)
        assembler = Assembler()
        call(0, "{", "c0", "f")(assembler)
        for _ in range(20):
            assembler.text(0, "x" * 100)
        assert assembler.failed
        assert isinstance(assembler.take()[-1], StreamFailed)
        assembler = Assembler()
        assembler.call(0, "c0", "f")
        for _ in range(20):
            assembler.arguments(0, "x" * 100)
        assert assembler.failed

    def test_many_new_parts_behind_a_large_call_cost_no_time(self) -> None:
        """The open call is looked at once, not again for every part that begins behind it."""
        assembler = Assembler()
        call(0, '{"a":"' + "x" * 8_000_000, "c0", "f")(assembler)
        for number in range(1, 2000):
            assembler.call(number, f"c{number}", "f")
        assembler.end("max-tokens")
        assert len(parts_of(assembler.take())) == 2000


class TestWrappers:
    """One call that stands for several."""

    USES = json.dumps(
        {
            "tool_uses": [
                {"recipient_name": "functions.f", "parameters": {"a": 1.50}},
                {"recipient_name": "functions.", "parameters": {}},
                {"recipient_name": "g"},
            ]
        }
    ).replace("1.5", "1.50")

    @pytest.mark.parametrize("name", ["multi_tool_use.parallel", "parallel"])
    @pytest.mark.parametrize("waiting", [False, True])
    def test_it_is_split(self, name: str, waiting: bool) -> None:
        before = [call(9, "{", "c9", "f")] if waiting else []
        parts = said(*before, call(0, self.USES[:30], "w", name), call(0, self.USES[30:]), lambda a: a.text(0, "after"))
        assert parts[len(before) :] == [
            ("call", "w_0", "f", '{"a": 1.50}'),
            ("call", "w_1", "g", "{}"),
            ("text", "after"),
        ]

    @pytest.mark.parametrize("arguments", ["", "{}", '{"tool_uses":[]}', '{"tool_uses":[{"recipient', "[1]", '"x"'])
    def test_one_that_holds_no_calls_is_a_call(self, arguments: str) -> None:
        assert said(call(0, arguments, "w", "multi_tool_use.parallel")) == [
            ("call", "w", "multi_tool_use.parallel", arguments)
        ]

    def test_a_tool_of_that_name_is_a_tool(self) -> None:
        tools = ToolTable(Conversation("m", (), tools=(Tool("parallel"),)))
        assert said(call(0, self.USES, "w", "parallel"), tools=tools) == [("call", "w", "parallel", self.USES)]

    def test_without_an_id_ids_are_made(self) -> None:
        parts = said(call(0, self.USES, "", "parallel"))
        assert parts[0][1].startswith("call_rtr1")
        assert parts[0][1] != parts[1][1]

    def test_freeform_tools_inside_are_freeform(self) -> None:
        tools = ToolTable(Conversation("m", (), tools=(Tool("patch", custom=True),)))
        uses = json.dumps({"tool_uses": [{"recipient_name": "functions.patch", "parameters": {"input": "raw"}}]})
        assert said(call(0, uses, "w", "parallel"), tools=tools) == [("call", "w_0", "patch", "raw", "custom")]


class TestTheEnd:
    @pytest.mark.parametrize(
        ("calls", "stop", "becomes"),
        [
            pytest.param([], "end", "end", id="plain"),
            pytest.param([call(0, "{}", "c1", "f")], "end", "tool-use", id="a plain end with calls is for the calls"),
            pytest.param([], "tool-use", "end", id="without calls it can't be"),
            pytest.param([call(0, "{", "c1", "f")], "max-tokens", "max-tokens", id="cut short"),
            pytest.param([call(0, "{", "c1", "f")], "refusal", "refusal", id="a refusal stays one"),
        ],
    )
    def test_why_the_model_stopped(self, calls: list[Any], stop: Any, becomes: str) -> None:
        end = events(*calls, lambda a: a.end(stop, "seq", "because"))[-1]
        assert end == MessageEnd(becomes, "seq", "because")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "last",
        [lambda a: a.end("end"), lambda a: a.fail("server", "broken")],
        ids=["after the end", "after a failure"],
    )
    def test_nothing_follows(self, last: Callable[[Assembler], object]) -> None:
        assembler = Assembler()
        assembler.text(0, "a")
        last(assembler)
        before = assembler.take()
        for late in (
            lambda a: a.start("id"),
            lambda a: a.text(0, "b"),
            lambda a: a.thinking(0, "b"),
            call(0, "{}", "c1", "f"),
            lambda a: a.seal(0, "google-thought", "x"),
            lambda a: a.close("text", 0),
            lambda a: a.usage(Usage(input=1)),
            lambda a: a.alive(),
            lambda a: a.opaque("x"),
            lambda a: a.end("end"),
            lambda a: a.fail("server", "again"),
        ):
            late(assembler)
        assert assembler.take() == []
        assert isinstance(before[-1], MessageEnd | StreamFailed)

    def test_what_is_open_when_it_fails_stays_open(self) -> None:
        found = events(lambda a: a.text(0, "a"), lambda a: a.fail("server", "broken"))
        assert found == [MessageStart(), TextDelta("a"), StreamFailed("server", "broken")]

    def test_an_answer_may_be_empty(self) -> None:
        assert events(lambda a: a.end("end")) == [MessageStart(), MessageEnd("end")]

    def test_a_second_start_is_none(self) -> None:
        assert events(lambda a: a.start("a", "m"), lambda a: a.start("b", "n")) == [MessageStart("a", "m")]


class TestUsage:
    def test_reports_are_merged(self) -> None:
        found = events(lambda a: a.start(), lambda a: a.usage(Usage(input=3)), lambda a: a.usage(Usage(output=2)))
        assert found[-1] == UsageReport(Usage(input=3, output=2))

    def test_a_report_before_the_start_waits_for_it(self) -> None:
        found = events(lambda a: a.usage(Usage(input=3)), lambda a: a.alive(), lambda a: a.text(0, "a"))
        assert found[:2] == [MessageStart(), UsageReport(Usage(input=3))]

    def test_other_events_stand_behind_the_start(self) -> None:
        assert events(lambda a: a.opaque("x"), lambda a: a.alive()) == [MessageStart(), Opaque("x"), KeepAlive()]


_KEYS = st.integers(0, 3)
_FRAGMENTS = st.text('{}":,ab1 \\', max_size=4)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), _KEYS, st.text(max_size=3)),
        st.tuples(st.just("refusal"), _KEYS, st.text(max_size=3)),
        st.tuples(st.just("thinking"), _KEYS, st.text(max_size=3)),
        st.tuples(st.just("seal"), _KEYS, st.sampled_from(["", "s", "t"])),
        st.tuples(st.just("seal call"), _KEYS, st.just("s")),
        st.tuples(
            st.just("call"), _KEYS, st.tuples(st.sampled_from(["", "c1", "c2"]), st.sampled_from(["", "f", "parallel"]))
        ),
        st.tuples(st.just("arguments"), _KEYS, _FRAGMENTS),
        st.tuples(st.just("close"), _KEYS, st.sampled_from(["text", "refusal", "thinking", "call"])),
        st.tuples(st.just("cite"), _KEYS, st.none()),
        st.tuples(st.just("usage"), _KEYS, st.none()),
        st.tuples(st.just("alive"), _KEYS, st.none()),
        st.tuples(st.just("opaque"), _KEYS, st.none()),
    ),
    max_size=40,
)


def _do(assembler: Assembler, step: tuple[str, int, Any]) -> None:
    kind, key, value = step
    match kind:
        case "text" | "refusal" | "thinking" | "arguments":
            getattr(assembler, kind)(key, value)
        case "seal":
            assembler.seal(key, "google-thought", value)
        case "seal call":
            assembler.seal(key, "google-thought", value, of="call")
        case "call":
            assembler.call(key, *value)
        case "close":
            assembler.close(value, key)
        case "cite":
            assembler.cite(key, Citation("web", "https://example.com", "", {}))
        case "usage":
            assembler.usage(Usage(output=key))
        case _:
            getattr(assembler, kind)(*(["x"] if kind == "opaque" else []))


class TestProperties:
    @given(steps=_STEPS, end=st.sampled_from(["end", "tool-use", "max-tokens", "failure"]), owned=st.booleans())
    def test_the_order_holds_whatever_a_decoder_does(self, steps: list[Any], end: Any, owned: bool) -> None:
        assembler = Assembler(owner=OWNER if owned else None)
        found: list[StreamEvent] = []
        for step in steps:
            _do(assembler, step)
            found += assembler.take()
            check_events(found, ended=False)
        if end == "failure":
            assembler.fail("server", "broken")
        else:
            assembler.end(end)
        found += assembler.take()
        check_events(found, ended=True)

    @given(steps=_STEPS)
    def test_no_word_is_lost_and_none_is_invented(self, steps: list[Any]) -> None:
        assembler = Assembler()
        for step in steps:
            _do(assembler, step)
        assembler.end("end")
        found = assembler.take()
        for kind, event in (("text", TextDelta), ("refusal", RefusalDelta), ("thinking", ThinkingDelta)):
            told = [value for step, _, value in steps if step == kind]
            assert sorted("".join(told)) == sorted("".join(e.text for e in found if isinstance(e, event)))

    @given(
        calls=st.lists(
            st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5) | st.none(), max_size=4),
            min_size=1,
            max_size=5,
        ),
        seed=st.integers(),
    )
    def test_interleaved_calls_keep_their_arguments(self, calls: list[dict[str, Any]], seed: int) -> None:
        """Fragments of several calls, dealt at random, ids and names anywhere before their last fragment."""
        dice = random.Random(seed)
        waiting: dict[int, list[Callable[[Assembler], object]]] = {}
        for number, arguments in enumerate(calls):
            text = json.dumps(arguments)
            edges = sorted({0, len(text), *(dice.randrange(len(text) + 1) for _ in range(dice.randrange(4)))})
            pieces = [text[start:stop] for start, stop in pairwise(edges)]
            steps: list[Callable[[Assembler], object]] = [
                lambda a, number=number, piece=piece: a.arguments(number, piece)  # type: ignore[misc]
                for piece in pieces
            ]
            for known in ((f"c{number}", ""), ("", f"f{number}")):
                steps.insert(dice.randrange(len(steps)), lambda a, n=number, known=known: a.call(n, *known))  # type: ignore[misc]
            waiting[number] = steps
        assembler = Assembler()
        while waiting:
            number = dice.choice(list(waiting))
            waiting[number].pop(0)(assembler)
            if not waiting[number]:
                del waiting[number]
        assembler.end("end")
        found = {part[1]: part for part in parts_of(assembler.take())}
        assert found == {
            f"c{number}": ("call", f"c{number}", f"f{number}", json.dumps(arguments))
            for number, arguments in enumerate(calls)
        }
