"""Tools under names that the target takes, the same in every turn, and the way back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import Cache, Conversation, Text, Tool, ToolCall, Turn
from router.wire.tool_table import Known, ToolTable, legal

LONG = "mcp__" + "a_very_long_server_name_" * 3 + "tool"


def table(*tools: Tool, calls: tuple[ToolCall, ...] = (), limit: int = 64, custom: bool = False) -> ToolTable:
    turns = (Turn("user", (Text("hi"),), "m[0]"), Turn("assistant", calls, "m[1]"))
    return ToolTable(Conversation("m", turns, tools=tools), limit=limit, custom=custom)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "namespace", "limit", "shown"),
        [
            pytest.param("Read", None, 64, "Read", id="short"),
            pytest.param("get-time_2", None, 64, "get-time_2", id="all that is allowed"),
            pytest.param("open", "files", 64, "files__open", id="a namespace"),
            pytest.param("x" * 64, None, 64, "x" * 64, id="as long as may be"),
            pytest.param("x" * 65, None, 64, "x" * 55 + "_9537c5fd", id="one too long"),
            pytest.param("x" * 65, None, 128, "x" * 65, id="where more is allowed"),
            pytest.param("a.b", None, 64, "a_b_2e7336dc", id="a dot"),
            pytest.param("größe", None, 64, "gr__e_d353a267", id="letters of other alphabets"),
        ],
    )
    def test_what_a_tool_is_called(self, name: str, namespace: str | None, limit: int, shown: str) -> None:
        assert legal(name, namespace, limit) == shown
        tools = table(Tool(name, namespace=namespace), limit=limit)
        assert tools.name(name, namespace) == shown
        assert tools.known(shown) == Known(name, namespace)
        assert shown in tools

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            pytest.param("1password_get", "_1password_get_bf0a6d62", id="a digit first"),
            pytest.param("-x", "_-x_a4209624", id="a dash first"),
            pytest.param("_x", "_x", id="an underscore first"),
            pytest.param("x1", "x1", id="a letter first"),
        ],
    )
    def test_where_a_name_must_begin_with_a_letter(self, name: str, shown: str) -> None:
        conversation = Conversation("m", (), tools=(Tool(name),))
        assert ToolTable(conversation).name(name) == name
        tools = ToolTable(conversation, lettered=True)
        assert tools.name(name) == shown
        assert tools.known(shown) == Known(name)

    def test_a_name_from_the_history_leads_back_too(self) -> None:
        tools = table(calls=(ToolCall("c", LONG, "{}"), ToolCall("d", "patch", "x", custom=True)))
        assert tools.known(tools.name(LONG)) == Known(LONG)
        assert tools.known("patch") == Known("patch", None, True, True)

    def test_a_name_that_was_never_offered_is_what_it_says(self) -> None:
        assert ToolTable().known("a.b") == Known("a.b")
        assert "a.b" not in ToolTable()

    def test_names_that_would_become_one_stay_two(self) -> None:
        taken = legal("a.b", None, 64)
        offered = [Tool("y", namespace="x"), Tool("x__y"), Tool(taken), Tool("a.b")]
        tools = table(*offered)
        shown = [tools.name(tool.name, tool.namespace) for tool in offered]
        assert len(set(shown)) == 4
        assert [tools.known(name)[:2] for name in shown] == [(tool.name, tool.namespace) for tool in offered]

    @given(
        names=st.lists(
            st.tuples(st.text("ab._é", min_size=1, max_size=80), st.none() | st.text("ab", max_size=4)), max_size=8
        ),
        limit=st.sampled_from([64, 128]),
    )
    def test_every_name_is_legal_its_own_and_leads_back(self, names: list[tuple[str, str | None]], limit: int) -> None:
        offered = [Tool(name, namespace=namespace) for name, namespace in names]
        tools = table(*offered, limit=limit)
        shown = {(tool.name, tool.namespace): tools.name(tool.name, tool.namespace) for tool in offered}
        assert len(set(shown.values())) == len(shown)
        for (name, namespace), called in shown.items():
            assert re.fullmatch(r"[a-zA-Z0-9_-]+", called)
            assert len(called) <= limit
            assert tools.known(called)[:2] == (name, namespace)
        again = table(*offered, calls=(ToolCall("c", "another", "{}"),), limit=limit)
        assert {key: again.name(*key) for key in shown} == shown, "a later turn changes no name"


class TestTools:
    def test_a_freeform_tool_is_wrapped_only_where_it_is_unknown(self) -> None:
        patch = Tool("apply_patch", "Edits.", custom=True, grammar={"type": "text"}, cache=Cache())
        knows, knows_not = table(patch, custom=True), table(patch)
        assert knows.tool(patch) == patch
        assert not knows.wraps(True)
        shown = knows_not.tool(patch)
        assert (shown.custom, shown.grammar, shown.cache) == (False, None, Cache())
        assert shown.schema is not None
        assert knows_not.wraps(True)
        assert not knows_not.wraps(False)
        assert knows_not.known("apply_patch") == Known("apply_patch", None, True, True)

    def test_a_function_keeps_all_but_its_namespace(self) -> None:
        tool = Tool("open", "Opens.", {"type": "object"}, True, namespace="files", cache=Cache("1h"))
        assert table(tool).tool(tool) == Tool("files__open", "Opens.", {"type": "object"}, True, cache=Cache("1h"))
