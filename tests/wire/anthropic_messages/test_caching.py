"""Cache marks never break the target's rules: four at most, the longer-lived before the shorter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import Cache, CacheTtl, Conversation, Settings, Text, Tool
from router.wire.traits import Traits
from tests.support.messages import NEW, OTHER, fields_of, render, user

SHORT = {"type": "ephemeral"}
LONG = {"type": "ephemeral", "ttl": "1h"}


def asked(*ttls: CacheTtl | None, automatic: CacheTtl | None = None) -> Conversation:
    """A tool, a system text and messages, marked in this order."""
    marks = [None if ttl is None else Cache(ttl) for ttl in ttls] + [None, None, None]
    tool, system, *texts = marks
    return Conversation(
        "m",
        tuple(user(Text(str(at), cache)) for at, cache in enumerate(texts)),
        system=(Text("s", system),),
        tools=(Tool("f", cache=tool),),
        settings=Settings(cache_all=None if automatic is None else Cache(automatic)),
    )


def marks_of(body: dict[str, Any]) -> list[Any]:
    blocks = [*body["tools"], *body["system"], *(block for turn in body["messages"] for block in turn["content"])]
    return [block.get("cache_control") for block in blocks]


@pytest.mark.parametrize(
    ("conversation", "marks", "automatic", "lost"),
    [
        pytest.param(asked(), [], SHORT, [], id="no hints: the automatic one"),
        pytest.param(asked("5m", None, "5m"), [SHORT, None, SHORT], None, [], id="the client's own, no more"),
        pytest.param(asked(automatic="1h"), [], LONG, [], id="the client's automatic one"),
        pytest.param(asked("30m", "12h"), [LONG, LONG], None, [], id="other lifetimes are long ones"),
        pytest.param(asked("5m", "1h", "1h"), [SHORT] * 3, None, [], id="nothing longer behind a shorter one"),
        pytest.param(asked("1h", "5m", automatic="1h"), [LONG, SHORT], SHORT, [], id="nor the automatic one"),
        pytest.param(
            asked(*["5m"] * 6), [SHORT, None, None, SHORT, SHORT, SHORT], None, ["cache"], id="the first and the last"
        ),
        pytest.param(
            asked(*["5m"] * 4, automatic="5m"), [SHORT, None, SHORT, SHORT], SHORT, ["cache"], id="the automatic counts"
        ),
    ],
)
def test_marks(conversation: Conversation, marks: list[Any], automatic: Any, lost: list[str]) -> None:
    body, losses = render(conversation)
    found = marks_of(body)
    assert found == marks + [None] * (len(found) - len(marks))
    assert body.get("cache_control") == automatic
    assert fields_of(losses, refused=False) == lost


@pytest.mark.parametrize(
    ("conversation", "lost"),
    [
        pytest.param(asked(), [], id="no hints"),
        pytest.param(asked("5m"), ["cache"], id="a mark"),
        pytest.param(asked(automatic="5m"), ["cache"], id="the automatic one"),
    ],
)
def test_a_provider_that_takes_no_hints_gets_none(conversation: Conversation, lost: list[str]) -> None:
    body, losses = render(conversation, OTHER)
    assert not any(marks_of(body))
    assert "cache_control" not in body
    assert fields_of(losses, refused=False) == lost


_TTLS: st.SearchStrategy[Any] = st.sampled_from([None, "5m", "1h", "30m", "12h"])


@given(st.lists(_TTLS, max_size=9), _TTLS, st.sampled_from([NEW, OTHER]))
def test_the_rules_hold_whatever_is_marked(ttls: list[CacheTtl | None], automatic: CacheTtl | None, of: Traits) -> None:
    body, _ = render(asked(*ttls, automatic=automatic), of)
    marks = [mark for mark in (*marks_of(body), body.get("cache_control")) if mark]
    lifetimes = [mark.get("ttl", "5m") for mark in marks]
    assert len(marks) <= 4
    assert lifetimes == sorted(lifetimes)  # "1h" < "5m"
