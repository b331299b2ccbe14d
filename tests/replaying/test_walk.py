"""What is remembered from request to request, and what isn't guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.money.budget import PROFILE, Limits, Scope
from router.replaying import Cause
from router.replaying.deciding import ADAPTIVE, BEFORE, NO_FACTS
from router.replaying.spending import Spent
from tests.replaying.bench import BIG, OTHER, SMALL, Bench, asked, past, where


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


TALK: dict[str, Any] = {"conversation": "talk", "opening": False}
AFTER_ANTHROPIC = f"""
[[rule]]
match = {{ provider-used = "anthropic" }}
target = "{OTHER}"
[default]
target = "{SMALL}"
"""


# --- conversations ----------------------------------------------------------------------------------------------------


def test_a_conversation_is_where_the_new_rules_had_sent_it(bench: Bench) -> None:
    rows = [asked(minute, OTHER, **TALK, provider_used="openai") for minute in range(4)]
    assert where(bench.replayed(rows, AFTER_ANTHROPIC)) == [SMALL, OTHER, SMALL, OTHER]


def test_a_request_knows_only_of_those_that_had_been_answered_by_then(bench: Bench) -> None:
    slow = asked(0, **TALK, duration_ms=90_000.0)
    rows = [slow, asked(1, **TALK), asked(2, **TALK), asked(3, **TALK)]
    assert where(bench.replayed(rows, AFTER_ANTHROPIC)) == [SMALL, SMALL, OTHER, SMALL]


def test_a_stream_counts_from_its_first_byte_on(bench: Bench) -> None:
    slow = asked(0, **TALK, stream=1, first_byte_ms=500.0, duration_ms=90_000.0)
    assert where(bench.replayed([slow, asked(1, **TALK)], AFTER_ANTHROPIC)) == [SMALL, OTHER]


def test_a_first_request_belongs_to_no_conversation_yet(bench: Bench) -> None:
    rows = [asked(minute, conversation="start-1", opening=not minute // 2) for minute in range(3)]
    assert where(bench.replayed(rows, AFTER_ANTHROPIC)) == [SMALL, SMALL, OTHER]


@pytest.mark.parametrize(("conversation", "expected"), [("start-1", "?"), ("given", OTHER)])
def test_of_older_records_only_the_clients_own_ids_tell(bench: Bench, conversation: str, expected: str) -> None:
    rows = [asked(minute, conversation=conversation, opening=None) for minute in range(2)]
    assert where(bench.replayed(rows, AFTER_ANTHROPIC))[1] == expected


def test_what_failed_moves_no_conversation(bench: Bench) -> None:
    rows = [asked(0, SMALL, **TALK, outcome="upstream-error", error_class="server"), asked(1, **TALK)]
    assert where(bench.replayed(rows, AFTER_ANTHROPIC)) == [SMALL, SMALL]


def test_a_draft_that_was_taken_moves_no_conversation(bench: Bench) -> None:
    rules = bench.profile(AFTER_ANTHROPIC)
    default = rules.routes.default
    assert default is not None
    drafted = asked(0, SMALL, **TALK, draft="accepted", first_provider=None, first_model=None, rule_hash=default.hash)
    assert where(bench.replayed([drafted, asked(1, **TALK)], rules)) == [SMALL, SMALL]


@pytest.mark.parametrize(
    ("target", "expected"),
    [pytest.param(SMALL, OTHER, id="who counts"), pytest.param("groq/m", SMALL, id="who can't is estimated for")],
)
def test_whoever_counted_a_conversations_tokens_is_where_it_was(bench: Bench, target: str, expected: str) -> None:
    text = AFTER_ANTHROPIC.replace('used = "anthropic"', f'used = "{target.partition("/")[0]}"')
    text = text.replace("[default]", f'[[rule]]\nmatch = {{ tag = "counts" }}\ntarget = "{target}"\n[default]')
    rows = [asked(0, **TALK, kind="count", tags=["counts"]), asked(1, **TALK)]
    (found,) = bench.replayed(rows, text)
    assert where([found]) == [expected]


def test_a_conversation_stays_where_it_was(bench: Bench) -> None:
    text = f"""
    [[rule]]
    match = {{ tag = "first" }}
    target = "{OTHER}"
    [[rule]]
    match = {{ always = true }}
    targets = ["{BIG}", "{SMALL}", "{OTHER}"]
    sticky = "conversation"
    """
    rows = [asked(0, **TALK, tags=["first"]), asked(1, **TALK), asked(2, conversation="b", opening=False)]
    found = bench.replayed(rows, text)
    assert where(found) == [OTHER, OTHER, BIG]
    assert found[1].decided is not None
    assert found[1].decided.decision is not None
    assert "stays at" in found[1].decided.decision.why[0]


def test_turns_go_round(bench: Bench) -> None:
    text = f'[default]\ntargets = ["{BIG}", "{SMALL}"]\nstrategy = "round-robin"'
    rows = [asked(0), asked(1), asked(2, kind="count"), asked(3)]
    assert where(bench.replayed(rows, text)) == [BIG, SMALL, BIG]


def test_a_follow_up_goes_to_whoever_would_have_given_the_reply(bench: Bench) -> None:
    responses: dict[str, Any] = {"api": "openai-responses", "conversation": "c"}
    text = f'[[rule]]\nmatch = {{ tag = "x" }}\ntarget = "{OTHER}"\n[default]\ntarget = "{BIG}"'
    first = asked(0, "openai/m", **responses, tags=["x"], response_id="resp_1")
    later = asked(1, "openai/m", **responses, continues="resp_1")
    assert where(bench.replayed([first, later], text)) == [OTHER, OTHER]
    assert where(bench.replayed([later], text)) == ["openai/big"], "of a reply that nobody knows, to whoever may"
    found = bench.replayed([first, later], text.replace(OTHER, SMALL))
    assert where(found) == [SMALL, None]
    assert found[1].decided is not None
    assert found[1].decided.refusal == "the reply that it continues would have been translated, and kept nowhere"


@pytest.mark.parametrize(
    ("columns", "stays"),
    [
        pytest.param({"target": SMALL}, True, id="it went there"),
        pytest.param({"target": BIG}, False, id="it went elsewhere"),
        pytest.param({"target": BIG, "first": SMALL}, True, id="it would have gone there, had that answered"),
        pytest.param({"target": SMALL, "first": BIG}, True, id="it was answered there in the end"),
        pytest.param({"target": BIG, "same": True}, True, id="its own rule's target wasn't called at that moment"),
        pytest.param({"target": None, "same": True}, True, id="nor was any other"),
        pytest.param({"target": None}, False, id="nobody took it"),
        pytest.param({"target": BIG, "same": True, "image": True}, False, id="what stands behind the rule is another"),
        pytest.param({"target": None, "same": True, "image": True}, False, id="or is new"),
    ],
)
def test_what_stays_and_what_moves(bench: Bench, columns: dict[str, Any], stays: bool) -> None:
    text = f"""
    [[rule]]
    match = {{ always = true }}
    target = "{SMALL}"
    [default]
    target = "{OTHER}"
    [models."{SMALL}"]
    images = false
    """
    profile = bench.profile(text)
    columns = dict(columns)
    first = columns.pop("first", columns["target"])
    provider, _, model = (first or "").partition("/")
    rule_hash = profile.routes.rules[0].hash if columns.pop("same", False) else "another"
    row = asked(0, columns.pop("target"), rule_hash=rule_hash, **columns)
    row = row._replace(first_provider=provider or None, first_model=model or None)
    (found,) = bench.replayed([row], profile)
    assert found.stays is stays


# --- what can't be told -----------------------------------------------------------------------------------------------

WORDS = '[[rule]]\nname = "w"\nmatch = {match}\ntarget = "{small}"\n[default]\ntarget = "{other}"'


def words(match: str) -> str:
    return WORDS.format(match=match, small=SMALL, other=OTHER)


@pytest.mark.parametrize(
    ("text", "facts", "causes"),
    [
        pytest.param(words('{ keywords = "x" }'), {}, [('keywords="x"', "w → anthropic")], id="words"),
        pytest.param(words('{ header = { a = "b" } }'), {}, [('header.a="b"', "w → anthropic")], id="a header"),
        pytest.param(
            words("{ input-tokens-gt = 5 }"),
            {"tokens": None, "estimated_input": None},
            [("input-tokens-gt 5", "w → anthropic")],
            id="tokens nobody counted",
        ),
        pytest.param(
            words('{ any = [{ keywords = "x" }, { keywords = "y", stream = true }, { header = { a = "b" } }] }'),
            {},
            [('keywords="x"', "w → anthropic"), ('header.a="b"', "w → anthropic")],
            id="several, without one that another answer settles",
        ),
        pytest.param(
            f'[[rule]]\nmatch = {{ keywords = "x" }}\ntarget = "{SMALL}"\n' + words('{ keywords = "y" }'),
            {},
            [('keywords="x"', "keywords → anthropic"), ('keywords="y"', "w → anthropic")],
            id="of several rules",
        ),
        pytest.param(
            f'[routing]\nstrategy = "weighted"\n[[rule]]\nmatch = {{ always = true }}\ntarget = "{SMALL}"\n'
            + words('{ keywords = "y" }'),
            {"conversation": "c"},
            [('keywords="y"', "w → anthropic")],
            id="of rules that are as good",
        ),
        pytest.param(
            f'[default]\ntargets = ["{BIG}", "{SMALL}"]\nstrategy = "adaptive"', {}, [(ADAPTIVE, None)], id="adaptive"
        ),
    ],
)
def test_for_want_of_what_it_can_not_be_told(
    bench: Bench, text: str, facts: dict[str, Any], causes: list[tuple[str, str | None]]
) -> None:
    (found,) = bench.replayed([asked(**facts)], text)
    assert found.decided is None
    assert list(found.causes) == [Cause(*cause) for cause in causes]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(words('{ keywords = "x", stream = true }'), id="another condition says no"),
        pytest.param(words('{ not = { any = [{ keywords = "x" }, { stream = false }] } }'), id="or yes"),
        pytest.param(
            f'[[rule]]\nmatch = {{ always = true }}\ntarget = "{OTHER}"\n' + words('{ keywords = "x" }'),
            id="a rule before takes it",
        ),
    ],
)
def test_what_does_not_matter_needs_no_answer(bench: Bench, text: str) -> None:
    assert where(bench.replayed([asked()], text)) == [OTHER]


def test_a_recorded_answer_is_used(bench: Bench) -> None:
    tests = {'latest:keywords:["x"]': True}
    assert where(bench.replayed([asked(tests=tests)], words('{ keywords = "x" }'))) == [SMALL]


def test_a_concept_with_a_route_that_nobody_looked_for(bench: Bench) -> None:
    concept = {"concepts/thrift.md": "# Thrift\nsynonyms:: cheap\nroute:: openai, other\n"}
    profile = bench.profile(f'[default]\ntarget = "{SMALL}"', concept)
    (found,) = bench.replayed([asked()], profile)
    assert found.causes == (Cause("concept thrift"),)


def test_a_request_without_facts(bench: Bench) -> None:
    (found,) = bench.replayed([past()], f'[default]\ntarget = "{SMALL}"')
    assert found.causes == (Cause(NO_FACTS),)


def test_a_script_is_not_asked(bench: Bench, tmp_path: Path) -> None:
    profile = bench.profile(
        f'[routing]\nscript = "route.py"\n[default]\ntarget = "{SMALL}"',
        {"route.py": "def route(request, config):\n    raise SystemExit\n"},
    )
    found = bench.replayed([asked(), asked(model="openai:other")], profile)
    assert found[0].causes == (Cause("what route.py would have answered"),)
    assert where(found) == ["?", OTHER], "what the client names itself needs no script"


def test_where_a_conversation_was_is_not_known_until_it_is_again(bench: Bench) -> None:
    text = f"""
    [[rule]]
    match = {{ tag = "a" }}
    target = "{OTHER}"
    [[rule]]
    match = {{ tag = "b", keywords = "x" }}
    target = "{BIG}"
    {AFTER_ANTHROPIC}"""
    rows = [asked(minute, **TALK, tags=tags) for minute, tags in enumerate((["b"], [], ["a"], []))]
    found = bench.replayed(rows, text)
    assert where(found) == ["?", "?", OTHER, SMALL]
    assert found[1].causes == (Cause('provider-used="anthropic"', "provider-used → openai"),)


def test_whether_a_conversation_stays_is_not_known_either(bench: Bench) -> None:
    text = words('{ tag = "b", keywords = "x" }') + '\n[routing]\nsticky = "conversation"'
    found = bench.replayed([asked(0, **TALK, tags=["b"]), asked(1, **TALK)], text)
    assert [one.causes for one in found] == [(Cause('keywords="x"', "w → anthropic"),), (Cause(BEFORE),)]


# --- budgets ----------------------------------------------------------------------------------------------------------

THRIFTY = f"""
[[rule]]
match = {{ budget-used-gte = 0.5 }}
target = "{SMALL}"
[default]
target = "{BIG}"
"""
DAY = THRIFTY + "[budget]\ndaily-usd = 0.0018\n"  # four requests at the big model


def test_a_budget_is_spent_by_what_the_new_rules_would_have_spent(bench: Bench) -> None:
    rows = [asked(minute) for minute in range(4)]
    found = bench.replayed(rows, DAY)
    assert where(found) == [BIG, BIG, SMALL, SMALL]
    assert [one.by_budget for one in found] == [False, False, False, True], "the third costs another amount"
    assert where(bench.replayed(rows, THRIFTY)) == [BIG] * 4, "without a budget nothing of it is spent"


def test_a_request_sees_what_had_been_spent_by_then(bench: Bench) -> None:
    rows = [asked(0), asked(0.001), asked(0.002), asked(1)]
    assert where(bench.replayed(rows, DAY)) == [BIG, BIG, BIG, SMALL]


def test_a_day_begins_anew_and_a_month_goes_on(bench: Bench) -> None:
    rows = [asked(minute) for minute in (0, 1, 2, 24 * 60)]
    assert where(bench.replayed(rows, DAY))[-1] == BIG
    assert where(bench.replayed(rows, DAY.replace("daily", "monthly")))[-1] == SMALL


def test_what_was_spent_before_counts(bench: Bench) -> None:
    spent = {PROFILE: Spent(day=900_000, month=900_000)}
    assert where(bench.replayed([asked()], DAY, spent=spent)) == [SMALL]


def test_client_keys_have_their_own(bench: Bench) -> None:
    keys = {"alice": Limits(day=900_000)}
    rows = [asked(minute, key=key) for minute, key in enumerate(("alice", "bob", "alice", "bob"))]
    assert where(bench.replayed(rows, THRIFTY, keys=keys)) == [BIG, BIG, SMALL, BIG]
    spent = {Scope("key", "alice"): Spent(day=450_000)}
    assert where(bench.replayed(rows[:1], THRIFTY, keys=keys, spent=spent)) == [SMALL]


# --- fitness ----------------------------------------------------------------------------------------------------------

NARROW = f'[default]\ntargets = ["{SMALL}", "{BIG}"]\n[models."{SMALL}"]\ncontext = 1000\ntools = false\n'


@pytest.mark.parametrize(
    ("facts", "expected", "whys"),
    [
        pytest.param({"tokens": 100}, SMALL, [], id="it fits"),
        pytest.param({"tokens": 900}, BIG, ["too-long"], id="too long, by the factor of its family"),
        pytest.param({"tokens": 100, "max_tokens": 950}, BIG, ["too-long"], id="with its answer"),
        pytest.param({"tool_count": 1}, BIG, ["unable"], id="tools"),
        pytest.param({"tokens": None, "estimated_input": None}, SMALL, [], id="nothing is known against it"),
    ],
)
def test_who_can_not_serve_a_request_is_passed_over(
    bench: Bench, facts: dict[str, Any], expected: str, whys: list[str]
) -> None:
    (found,) = bench.replayed([asked(**facts)], NARROW)
    assert where([found]) == [expected]
    assert found.decided is not None
    assert [dropped.why for dropped in found.decided.passed_over] == whys


def test_how_much_fits_is_learned_on_the_way(bench: Bench) -> None:
    """Of what we take for 10,000 tokens the big model makes 18,000; the small one is of its family."""
    text = NARROW.replace("context = 1000\ntools = false", "context = 25000")
    large = {"tokens": 15_000, "estimated_input": 15_000}
    rows = [asked(minute, BIG, tokens=10_000, estimated_input=10_000, input=18_000) for minute in range(20)]
    assert where(bench.replayed([asked(0, BIG, **large)], text)) == [SMALL]
    assert where(bench.replayed([*rows, asked(30, BIG, **large)], text))[-1] == BIG


def test_where_nobody_can_it_is_refused(bench: Bench) -> None:
    (found,) = bench.replayed([asked(tool_count=1)], NARROW.replace(f', "{BIG}"', ""))
    assert (where([found]), found.served, found.nano_usd) == ([None], None, 0)


def test_a_clients_own_credential_goes_to_no_other_format(bench: Bench) -> None:
    text = f'[default]\ntargets = ["{OTHER}", "{BIG}"]\n[providers.openai]\napi-key = "passthrough"\n'
    found = bench.replayed([asked(), asked(api="openai-chat")], text)
    assert where(found) == [BIG, OTHER]
