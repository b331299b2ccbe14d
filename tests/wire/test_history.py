"""Histories as clients really keep them become ones that the strictest provider accepts, by the past alone."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import (
    Cache,
    Conversation,
    Image,
    Link,
    Part,
    Refusal,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from router.wire.history import NO_RESULT, media_of, result_text, settled, text_of
from router.wire.loss import Losses
from router.wire.traits import Traits
from tests.support.slow import within

TARGET = Traits(provider="p", model="m")
MISSING = (Text(NO_RESULT),)
PICTURE = Image(Link("https://example.com/a.png"))


def user(*parts: Part | str) -> Turn:
    return _turn("user", parts)


def assistant(*parts: Part | str) -> Turn:
    return _turn("assistant", parts)


def system(*parts: Part | str) -> Turn:
    return _turn("system", parts)


def _turn(role: Role, parts: tuple[Part | str, ...]) -> Turn:
    return Turn(role, tuple(Text(part) if isinstance(part, str) else part for part in parts), "here")


def call(call_id: str, name: str = "f", arguments: str = "{}", **more: Any) -> ToolCall:
    return ToolCall(call_id, name, arguments, **more)


def result(call_id: str, text: str = "", **more: Any) -> ToolResult:
    return ToolResult(call_id, (Text(text),) if text else (), **more)


def settle(*turns: Turn, **flags: Any) -> list[Turn]:
    numbered = [Turn(turn.role, turn.parts, f"messages[{n}]") for n, turn in enumerate(turns)]
    traits = Traits(provider="p", model="m", **flags)
    return settled(Conversation("m", tuple(numbered)), traits, Losses())


def short(turns: list[Turn]) -> list[Any]:
    """Roles and parts in a few words: text as it is, a call and a result by id."""
    return [(turn.role, *map(_word, turn.parts)) for turn in turns]


def _word(part: Part) -> str:
    match part:
        case Text() | Refusal() | Thought():
            return part.text
        case ToolCall():
            return f"call {part.id}"
        case ToolResult():
            missing = " missing" if part.content == MISSING else ""
            return f"result {part.id}{missing}"
        case _:
            return "media"


class TestPairing:
    @pytest.mark.parametrize(
        ("turns", "becomes"),
        [
            pytest.param(
                [user("q"), assistant("a", call("1")), user(result("1"), "more")],
                [("user", "q"), ("assistant", "a", "call 1"), ("user", "result 1", "more")],
                id="as it should be",
            ),
            pytest.param(
                [assistant(call("1"), call("2")), user("more", result("2"), result("1"))],
                [("assistant", "call 1", "call 2"), ("user", "result 1", "result 2", "more")],
                id="results first, in the order of the calls",
            ),
            pytest.param(
                [assistant(call("1")), assistant(call("2")), user(result("1")), user(result("2"))],
                [("assistant", "call 1", "call 2"), ("user", "result 1", "result 2")],
                id="neighbours of one role are one turn",
            ),
            pytest.param(
                [assistant(call("1"), call("2")), user(result("2")), assistant("a")],
                [("assistant", "call 1", "call 2"), ("user", "result 1 missing", "result 2"), ("assistant", "a")],
                id="a result is missing",
            ),
            pytest.param(
                [assistant(call("1")), user("never mind")],
                [("assistant", "call 1"), ("user", "result 1 missing", "never mind")],
                id="all results are missing",
            ),
            pytest.param(
                [user("q"), assistant(call("1"))],
                [("user", "q"), ("assistant", "call 1"), ("user", "result 1 missing")],
                id="the history ends with a call",
            ),
            pytest.param(
                [assistant(call("1")), system("note"), assistant("a")],
                [("assistant", "call 1"), ("user", "result 1 missing"), ("system", "note"), ("assistant", "a")],
                id="only a system message follows the call",
            ),
            pytest.param(
                [user("q", result("9", "42"))],
                [("user", "[Result of a tool]\n42", "q")],
                id="a result without a call is text",
            ),
            pytest.param(
                [assistant(call("1", "look")), user("wait"), assistant("ok"), user(result("1", "42"))],
                [
                    ("assistant", "call 1"),
                    ("user", "result 1 missing", "wait"),
                    ("assistant", "ok"),
                    ("user", "[Result of look]\n42"),
                ],
                id="a result that comes a turn late is text with its tool's name",
            ),
            pytest.param(
                [assistant(call("1")), user(result("1", "a"), result("1", "b"))],
                [("assistant", "call 1"), ("user", "result 1", "[Result of f]\nb")],
                id="two results of one call",
            ),
        ],
    )
    def test_calls_and_results(self, turns: list[Turn], becomes: list[Any]) -> None:
        assert short(settle(*turns)) == becomes

    def test_a_missing_result_is_an_error(self) -> None:
        made = settle(assistant(call("1", "patch", custom=True)), user("go on"))[1].parts[0]
        assert made == ToolResult("1", MISSING, is_error=True, name="patch", custom=True)

    def test_a_result_knows_its_tool(self) -> None:
        found = settle(assistant(call("1", "patch", custom=True)), user(result("1", "ok")))[1].parts[0]
        assert found == ToolResult("1", (Text("ok"),), name="patch", custom=True)

    def test_pictures_of_a_lonely_result_stay(self) -> None:
        lonely = ToolResult("1", (Text("see"), PICTURE), name="shot")
        assert settle(user(lonely, "q"))[0].parts == (Text("[Result of shot]\nsee"), PICTURE, Text("q"))


class TestIds:
    def test_an_id_that_comes_again_is_replaced_and_the_nearest_result_belongs_to_it(self) -> None:
        turns = settle(
            assistant(call("x", "f")),
            user(result("x", "first")),
            assistant(call("x", "g")),
            user(result("x", "second")),
        )
        one, two = turns[0].parts[0], turns[2].parts[0]
        assert isinstance(one, ToolCall)
        assert isinstance(two, ToolCall)
        assert one.id == "x"
        assert two.id.startswith("call_rtr1")
        assert turns[1].parts == (ToolResult("x", (Text("first"),), name="f"),)
        assert turns[3].parts == (ToolResult(two.id, (Text("second"),), name="g"),)

    def test_one_id_twice_in_a_turn_pairs_in_order(self) -> None:
        turns = settle(assistant(call("x", "f"), call("x", "g")), user(result("x", "of f"), result("x", "of g")))
        assert [(part.name, text_of(part.content)) for part in turns[1].parts if isinstance(part, ToolResult)] == [
            ("f", "of f"),
            ("g", "of g"),
        ]

    @pytest.mark.parametrize(
        ("calls", "results", "pairs"),
        [
            pytest.param(
                [call("", "f"), call("", "g")],
                [result("", "1", name="f"), result("", "2", name="g")],
                {"f": "1", "g": "2"},
                id="no ids, by name",
            ),
            pytest.param(
                [call("", "f"), call("", "g")],
                [result("", "2", name="g"), result("", "1", name="f")],
                {"f": "1", "g": "2"},
                id="no ids, names in another order",
            ),
            pytest.param(
                [call("", "f"), call("", "g")], [result("", "1"), result("", "2")], {"f": "1", "g": "2"}, id="by order"
            ),
            pytest.param(
                [call("a", "f"), call("b", "g")],
                [result("", "2"), result("a", "1")],
                {"f": "1", "g": "2"},
                id="a result without an id takes no call that another one names",
            ),
            pytest.param(
                [call("", "f"), call("b", "g")],
                [result("z", "1"), result("b", "2")],
                {"f": "1", "g": "2"},
                id="an id that no call has belongs to the call without one",
            ),
        ],
    )
    def test_missing_ids(self, calls: list[ToolCall], results: list[ToolResult], pairs: dict[str, str]) -> None:
        turns = settle(assistant(*calls), user(*results))
        ids = [part.id for part in turns[0].parts if isinstance(part, ToolCall)]
        found = [part for part in turns[1].parts if isinstance(part, ToolResult)]
        assert all(ids)
        assert [part.id for part in found] == ids
        assert {part.name: text_of(part.content) for part in found} == pairs

    def test_the_same_call_twice_without_ids_is_two(self) -> None:
        turns = settle(assistant(call(""), call("")), user(result(""), result("")))
        assert len({part.id for part in turns[0].parts if isinstance(part, ToolCall)}) == 2


class TestSystem:
    @pytest.mark.parametrize(
        ("turns", "becomes"),
        [
            pytest.param(
                [user("q"), system("s"), assistant("a")],
                [("user", "q"), ("system", "s"), ("assistant", "a")],
                id="where it should be",
            ),
            pytest.param([user("q"), system("s")], [("user", "q"), ("system", "s")], id="at the end"),
            pytest.param(
                [user("q"), system("s"), user("r"), assistant("a")],
                [("user", "q", "r"), ("system", "s"), ("assistant", "a")],
                id="between messages of the user",
            ),
            pytest.param(
                [assistant(call("1")), system("s"), user(result("1")), assistant("a")],
                [("assistant", "call 1"), ("user", "result 1"), ("system", "s"), ("assistant", "a")],
                id="never between a call and its result",
            ),
            pytest.param(
                [user("q"), system("s"), system("t"), assistant("a")],
                [("user", "q"), ("system", "s", "t"), ("assistant", "a")],
                id="two are one",
            ),
        ],
    )
    def test_it_stands_behind_the_user(self, turns: list[Turn], becomes: list[Any]) -> None:
        assert short(settle(*turns)) == becomes

    def test_where_there_is_none_it_is_tagged_text_of_the_user(self) -> None:
        turns = settle(
            assistant(call("1")),
            system("be", Text("brief", cache=Cache()), PICTURE),
            user(result("1")),
            mid_system=False,
        )
        assert turns[1].parts == (
            ToolResult("1", name="f"),
            Text("<system>\nbe\nbrief\n</system>", cache=Cache()),
            PICTURE,
        )


class TestEmpties:
    @pytest.mark.parametrize(
        ("turns", "becomes"),
        [
            pytest.param([user("", " \n", "q")], [("user", "q")], id="texts"),
            pytest.param([user("q"), assistant(" "), user("r")], [("user", "q", "r")], id="a turn of nothing else"),
            pytest.param([user("q"), assistant(Refusal(""), Thought())], [("user", "q")], id="refusals and thoughts"),
            pytest.param([system(" "), user("q")], [("user", "q")], id="system messages"),
            pytest.param([], [], id="no turns at all"),
        ],
    )
    def test_empty_parts_are_left_out(self, turns: list[Turn], becomes: list[Any]) -> None:
        assert short(settle(*turns)) == becomes

    def test_also_inside_results(self) -> None:
        turns = settle(assistant(call("1")), user(ToolResult("1", (Text(""), Text("a"), PICTURE, Text("\n")))))
        assert turns[1].parts == (ToolResult("1", (Text("a"), PICTURE), name="f"),)


class TestPrefill:
    def test_the_last_message_of_the_assistant_stays_where_it_is_continued(self) -> None:
        assert short(settle(user("q"), assistant("{"))) == [("user", "q"), ("assistant", "{")]

    def test_elsewhere_it_is_refused(self) -> None:
        losses = Losses()
        turns = Conversation("m", (user("q"), Turn("assistant", (Text("{"),), "messages[1]")))
        traits = Traits(provider="p", model="m", prefill=False)
        assert short(settled(turns, traits, losses)) == [("user", "q")]
        assert [loss.field for loss in losses.refused] == ["messages[1]"]

    def test_a_call_without_a_result_is_no_prefill(self) -> None:
        losses = Losses()
        conversation = Conversation("m", (user("q"), assistant(call("1"))))
        settled(conversation, Traits(provider="p", model="m", prefill=False), losses)
        assert not losses.found


@pytest.mark.parametrize(
    ("given_result", "text"),
    [
        pytest.param(ToolResult("1"), "", id="nothing"),
        pytest.param(ToolResult("1", (Text("a"), PICTURE, Text("b"))), "a\nb", id="texts by lines"),
        pytest.param(ToolResult("1", (Text("no"),), is_error=True), "Error: no", id="an error says so"),
        pytest.param(ToolResult("1", (Text("ERROR 5"),), is_error=True), "ERROR 5", id="unless it does already"),
        pytest.param(ToolResult("1", (), is_error=True), "Error: ", id="an error without words"),
    ],
)
def test_a_result_as_text(given_result: ToolResult, text: str) -> None:
    assert result_text(given_result) == text


def test_the_media_of_a_result() -> None:
    assert media_of(ToolResult("1", (Text("a"), PICTURE))) == [PICTURE]


_IDS = st.sampled_from(["", "1", "2", "3"])
_TEXTS = st.sampled_from(["", " ", "a", "b"]).map(Text)
_CALLS = st.builds(ToolCall, _IDS, st.sampled_from(["f", "g"]), st.sampled_from(["", "{}"]))
_RESULTS = st.builds(
    ToolResult, _IDS, st.lists(_TEXTS, max_size=2).map(tuple), st.booleans(), st.sampled_from([None, "f", "g"])
)
_TURNS = st.lists(
    st.one_of(
        st.lists(_TEXTS | _RESULTS, max_size=4).map(lambda parts: user(*parts)),
        st.lists(_TEXTS | _CALLS, max_size=4).map(lambda parts: assistant(*parts)),
        st.lists(_TEXTS, max_size=2).map(lambda parts: system(*parts)),
    ),
    max_size=8,
)


class TestProperties:
    @given(turns=_TURNS, mid_system=st.booleans())
    def test_any_history_becomes_one_that_strict_providers_accept(self, turns: list[Turn], mid_system: bool) -> None:
        done = settle(*turns, mid_system=mid_system)
        waiting: list[str] = []
        ids: list[str] = []
        for position, turn in enumerate(done):
            assert turn.parts
            assert position == 0 or done[position - 1].role != turn.role
            if turn.role == "system":
                assert mid_system
                assert position == len(done) - 1 or done[position + 1].role == "assistant"
            results = [part.id for part in turn.parts if isinstance(part, ToolResult)]
            assert results == waiting, "each call has its result right behind it"
            assert all(isinstance(part, ToolResult) for part in turn.parts[: len(results)]), "results come first"
            waiting = [part.id for part in turn.parts if isinstance(part, ToolCall)]
            ids += waiting
            for part in turn.parts:
                inner = part.content if isinstance(part, ToolResult) else (part,)
                assert all(text.text.strip() for text in inner if isinstance(text, Text))
        assert not waiting
        assert all(ids)
        assert len(set(ids)) == len(ids)

    @given(turns=_TURNS, mid_system=st.booleans())
    def test_nothing_that_was_said_is_lost(self, turns: list[Turn], mid_system: bool) -> None:
        def words(turns: list[Turn]) -> list[str]:
            texts = [
                text.text
                for turn in turns
                for part in turn.parts
                for text in (part.content if isinstance(part, ToolResult) else (part,))
                if isinstance(text, Text) and text.text.strip() and text.text != NO_RESULT
            ]
            return sorted(char for text in texts for char in text)

        done = settle(*turns, mid_system=mid_system)
        before, after = words(turns), words(done)
        for char in "ab":
            assert after.count(char) >= before.count(char)
        assert sum(isinstance(part, ToolCall) for turn in done for part in turn.parts) == sum(
            isinstance(part, ToolCall) for turn in turns for part in turn.parts
        )

    @given(turns=_TURNS, reply=st.lists(_TEXTS | _CALLS, min_size=1, max_size=3), later=_TURNS, mid=st.booleans())
    def test_what_comes_later_changes_nothing_before_it(
        self, turns: list[Turn], reply: list[Part], later: list[Turn], mid: bool
    ) -> None:
        """The assistant's next turn and all behind it are appended; the provider's prompt cache needs that."""
        turns = [*turns, user("go on")]
        reply.append(Text("done"))
        now = settle(*turns, mid_system=mid)
        then = settle(*turns, assistant(*reply), *later, mid_system=mid)
        assert then[: len(now)] == now

    @given(turns=_TURNS)
    def test_settled_twice_is_settled_once(self, turns: list[Turn]) -> None:
        once = settle(*turns)
        again = settled(Conversation("m", tuple(once)), TARGET, Losses())
        assert again == once


@pytest.mark.slow
@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without"])
def test_a_huge_turn_takes_no_time(ids: bool) -> None:
    calls = [call(str(n) if ids else "", f"f{n}") for n in range(30_000)]
    results = [result(str(n) if ids else "", "x", name=f"f{n}") for n in reversed(range(30_000))]
    with within(10, clock=time.process_time):
        turns = settle(*(assistant(one) for one in calls), *(user(one) for one in results))
    assert [part.name for part in turns[1].parts if isinstance(part, ToolResult)] == [one.name for one in calls]
