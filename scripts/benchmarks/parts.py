"""The parts of a request's way alone, in-process: what each costs in microseconds."""

from __future__ import annotations

import json
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from multidict import CIMultiDict, CIMultiDictProxy

from benchmarks import ledger, targets
from benchmarks.payloads import SESSION_TURNS, Payload, agent, chat_stream, growing, huge, responses_stream
from benchmarks.replies import Format, chat_format, messages_format
from benchmarks.report import Row
from benchmarks.timing import micros, same
from router.profile.load import load_profile
from router.profile.profile import Profile
from router.providers.catalog import load_catalog
from router.routing.concepts import PhraseRegistry, Phrases
from router.routing.facts import RequestFacts
from router.routing.rules import decide
from router.routing.tokens import PieceSummaries
from router.server.admission import ClientKey, HostRule, KeyRing, hash_key
from router.wire.body import Body
from router.wire.codec import Codec
from router.wire.formats import CODECS
from router.wire.traits import Traits
from router.wire.translate import Translation

_MESSAGES = CODECS["anthropic-messages"]
_CHAT = CODECS["openai-chat"]
_RESPONSES = CODECS["openai-responses"]
_HEADERS = CIMultiDictProxy(
    CIMultiDict(
        {
            "Host": "127.0.0.1:8080",
            "User-Agent": "claude-cli/2.0.1 (external, cli)",
            "Content-Type": "application/json",
            "Authorization": "Bearer rk_0000000000000000000000000000004999",
            "anthropic-version": "2023-06-01",
            "X-App": "cli",
        }
    )
)
_NONCE = b"0123456789abcdef"
_NOW = datetime(2026, 1, 2, tzinfo=UTC)


def measure(*, quick: bool, ledger_rows: int, say: targets.Say) -> list[Row]:
    """Every part; the ledger's at the end."""
    seconds = 0.1 if quick else 0.5
    with tempfile.TemporaryDirectory(prefix="router-bench-") as name:
        rows = [
            *_bodies(seconds),
            _admission(seconds),
            *_facts(seconds),
            _keywords(seconds),
            *_decisions(Path(name), seconds),
            *_tokens(seconds),
            *_taps(seconds),
            *_translations(seconds),
        ]
    return [*rows, *ledger.measure(quick=quick, rows=ledger_rows, say=say)]


def _bodies(seconds: float) -> list[Row]:
    rows = []
    for payload, size in ((agent(), "100 KB"), (huge(), "2 MB")):
        raw = payload.body(0, _NONCE)
        body = Body.parse(raw)
        parse = micros(Body.parse, same(raw), seconds=seconds)
        splice = micros(body.with_fields, same({"model": b'"claude-haiku-4-5"'}), seconds=seconds)
        rows += [
            Row(f"read the top level of a body, {size}", parse, "µs"),
            Row(f"splice the model, {size}", splice, "µs"),
        ]
    return rows


def _admission(seconds: float) -> Row:
    """Host, origin and one client key among 10,000."""
    keys = {
        hash_key(f"rk_{number:034d}"): ClientKey(f"key-{number}", f"client {number}", "bench")
        for number in range(10_000)
    }
    ring, hosts = KeyRing(keys), HostRule(listen_host="127.0.0.1")

    def admit(headers: CIMultiDictProxy[str]) -> None:
        hosts.check(headers)
        if ring.admit(headers, profile="bench", required=True).key is None:
            raise AssertionError("the key is known")

    return Row("admit: Host, Origin, one key of 10,000", micros(admit, same(_HEADERS), seconds=seconds), "µs")


def facts_of(raw: bytes, summaries: PieceSummaries, phrases: Phrases | None = None) -> RequestFacts:
    """The facts of a request in the Messages format, nothing computed yet."""
    return RequestFacts(
        _MESSAGES.view(Body.parse(raw)),
        headers=_HEADERS,
        summaries=summaries,
        phrases=phrases,
        now=_NOW,
        may_count=True,
    )


_CHEAP_FACTS = ("client", "model", "stream", "max_tokens", "messages", "tool_count", "thinking", "has_system_prompt")
_OTHER_FACTS = ("turns", "tool_result", "image", "document", "background", "plan_mode", "subagent", "compaction")


def _facts(seconds: float) -> list[Row]:
    """With the conversation's earlier messages known, as they are from the second turn on."""
    raw = agent().body(0, _NONCE)
    summaries = PieceSummaries()

    def ask(names: tuple[str, ...]) -> float:
        def read(facts: RequestFacts) -> None:
            for name in names:
                getattr(facts, name)

        return micros(read, lambda: facts_of(raw, summaries), seconds=seconds)

    return [
        Row(f"{len(_CHEAP_FACTS)} facts of the top level, 100 KB", ask(_CHEAP_FACTS), "µs"),
        Row(f"{len(_OTHER_FACTS)} facts of the messages, 100 KB", ask(_OTHER_FACTS), "µs"),
    ]


def _keywords(seconds: float) -> Row:
    """200 keywords in 20 lists, in 2 KB of text that holds three of them at its end."""
    chance = random.Random(4)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(6, 12))) for _ in range(200)]
    registry = PhraseRegistry()
    for start in range(0, 200, 10):
        registry.add_keywords(words[start : start + 10])
    phrases = registry.build()
    text = f"{json.loads(agent().body(0, _NONCE))['system'][0]['text'][:2000]} {' '.join(words[:3])}"
    if not phrases.find(text):
        raise AssertionError("three keywords stand in the text")
    return Row("match 200 keywords in 2 KB", micros(phrases.find, same(text), seconds=seconds), "µs")


def _decisions(folder: Path, seconds: float) -> list[Row]:
    rows = []
    for name, rules, raw in (
        ("decide, the first example's rules, 100 KB", targets.RULES, agent().body(0, _NONCE)),
        ("decide among 50 rules, the last matches", fifty_rules(), agent().body(0, _NONCE)),
    ):
        profile = profile_of(folder, rules)
        summaries = PieceSummaries()

        def make(raw: bytes = raw, summaries: PieceSummaries = summaries, profile: Profile = profile) -> RequestFacts:
            return facts_of(raw, summaries, profile.routes.phrases)

        def work(facts: RequestFacts, profile: Profile = profile) -> object:
            return decide(profile.routes, facts)

        decision = decide(profile.routes, make())
        if name.startswith("decide among") and len(decision.tried) != 49:
            raise AssertionError(f"{decision.rule.label} was chosen after {len(decision.tried)} rules")
        rows.append(Row(name, micros(work, make, seconds=seconds), "µs"))
    return rows


def fifty_rules() -> str:
    """49 rules of seven kinds that don't match, and one that does."""
    kinds = (
        "tools-gte = {}",
        "messages-gt = 9{}",
        'model-matches = "gpt-{}*"',
        'has-tool = "missing_{}_*"',
        'keywords = ["keyword {}", "other {}"]',
        'header = {{ x-team = "team-{}*" }}',
        "thinking-budget-gt = 99{}",
    )
    matches = [kind.format(*[number + 30] * 2) for number in range(7) for kind in kinds]
    rules = [f'[[rule]]\nname = "{n}"\nmatch = {{ {match} }}\nto = "anthropic"\n' for n, match in enumerate(matches)]
    return "\n".join([*rules, '[[rule]]\nmatch = { always = true }\nto = "anthropic"\n'])


def profile_of(folder: Path, rules: str) -> Profile:
    """A profile compiled from its rules file, as the server does it."""
    directory = folder / f"profile-{len(list(folder.iterdir()))}"
    directory.mkdir()
    (directory / "routing.toml").write_text(rules, "utf-8")
    loaded = load_profile(
        directory, name="bench", catalog=load_catalog(), environ={}, known_model=lambda provider, model: None
    )
    if loaded.profile is None:
        raise AssertionError("\n".join(map(str, loaded.errors)))
    return loaded.profile


def _tokens(seconds: float) -> list[Row]:
    view = _MESSAGES.view(Body.parse(agent().body(0, _NONCE)))
    tokens = PieceSummaries().tokens(view)  # the rank data is loaded now
    counting = micros(lambda summaries: summaries.tokens(view), PieceSummaries, seconds=seconds)
    session = growing()
    known = PieceSummaries()
    turns = []
    for turn in range(SESSION_TURNS):
        view_of_turn = _MESSAGES.view(Body.parse(session.body(turn, _NONCE)))
        began = time.perf_counter()
        known.tokens(view_of_turn)
        turns.append((time.perf_counter() - began) * 1e6)
    return [
        Row("tokens counted, nothing known", tokens / counting * 1e6, "/s", less=False),
        Row(f"count a request of {tokens:,} tokens, nothing known", counting, "µs"),
        Row("count one more turn of a session of 100, earlier ones known", sorted(turns[1:])[len(turns) // 2], "µs"),
    ]


def _taps(seconds: float) -> list[Row]:
    rows = []
    for codec, made, hidden in ((_MESSAGES, messages_format(), False), (_CHAT, chat_format(), True)):
        tap = codec.tap(hide_usage=hidden)
        event = made.stamped(1)
        tap.feed(made.start)
        tap.feed(event)
        if not tap.committed:
            raise AssertionError("a delta commits a stream")
        what = f"a delta through the tap, {codec.api}" + (", usage hidden" if hidden else "")
        rows.append(Row(what, micros(tap.feed, same(event), seconds=seconds), "µs"))
    return rows


def _translations(seconds: float) -> list[Row]:
    """A request to a provider of another format, and a delta on its way back."""
    rows = []
    ways: tuple[tuple[str, Payload, Codec, Codec, bytes, bytes], ...] = (
        ("Messages → Chat", agent(stream=True), _MESSAGES, _CHAT, *_stream_of(chat_format())),
        ("Chat → Messages", chat_stream(), _CHAT, _MESSAGES, *_stream_of(messages_format())),
        ("Responses → Messages", responses_stream(), _RESPONSES, _MESSAGES, *_stream_of(messages_format())),
    )
    for name, payload, source, target, start, delta in ways:
        raw = payload.body(0, _NONCE)
        traits = Traits(provider="bench", model="any")

        def translate(
            raw: bytes, source: Codec = source, target: Codec = target, traits: Traits = traits
        ) -> Translation:
            return Translation(source.view(Body.parse(raw)), source, target, traits, allow_losses=False)

        translation = translate(raw)
        rows.append(Row(f"translate a request, {name}, 100 KB", micros(translate, same(raw), seconds=seconds), "µs"))
        stream = translation.stream(translation.asked("bench", 0))
        stream.feed(start)
        if not stream.feed(delta)[0]:
            raise AssertionError("a delta is passed on at once")
        rows.append(Row(f"a delta translated, {name}", micros(stream.feed, same(delta), seconds=seconds), "µs"))
    return rows


def _stream_of(made: Format) -> tuple[bytes, bytes]:
    return made.start, made.stamped(1)
