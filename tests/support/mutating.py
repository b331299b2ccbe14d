"""Bytes and JSON made wrong in every way, the same way every time: what careless and hostile peers send.

What is mutated are real requests and replies, made ``small`` first, so that most changes hit something that is read.
"""

from __future__ import annotations

import base64
import copy
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from router.wire.conversation import OpaqueState, Thought
from router.wire.gemini.signature import written
from router.wire.opaque import wrap

DEEP: Final = (60, 300, 490, 700, 850, 900, 930, 5000)  # levels: Python's own limit is 1000 calls, wherever they begin
HUGE: Final = "1" + "0" * 400

# Values as JSON text: some of them can't be Python's.
_WRONG: Final = (
    "null", "true", "false", "0", "-1", "-0", "1.5", "1E5", "1e400", "1e-400", "NaN", "9007199254740993",
    HUGE, f"-{HUGE}", "1" + "0" * 5000,
    '""', '" "', '"x"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\udcff"', '"\\r\\n\\r\\ndata: x"',
    '"data:,"', '"data:image/png;base64,!"', '"rtr1."', '"rtr1.e30"', '"toolu_rtr1_7aCA"', '"toolu_rtr1_"',
    '"' + "y" * 3000 + '"', '"' + "9" * 5000 + ' > 200,000"',
    "[]", "{}", "[null]", "[[]]", "[{}]", '[""]', "[1]", '[{"type":"text"}]',
    '{"type":null}', '{"type":"nothing"}', '{"type":"text"}', '{"type":["text"]}',
    '{"type":"text","text":"a","type":1}', '{"":""}', '{"\\ud800":1}', '{"a":"x\udcff"}', '{"a":1,"a":2}',
    '{"$ref":"#"}',
)  # fmt: skip
_DEEP_WRONG: Final = (
    lambda levels: "[" * levels + "]" * levels,
    lambda levels: '{"a":' * levels + "0" + "}" * levels,
    lambda levels: '{"type":"object","properties":{"a":' * levels + "{}" + "}}" * levels,
    lambda levels: '{"type":"array","items":' * levels + "{}" + "}" * levels,
    lambda levels: '{"anyOf":[' * levels + "{}" + "]}" * levels,
    lambda levels: '{"type":"tool_result","tool_use_id":"t","content":[' * levels + "]}" * levels,
    lambda levels: '[{"type":"namespace","name":"n","tools":' * levels + "[]" + "}]" * levels,
    lambda levels: '"$' + ".a" * levels + '"',
    lambda levels: json.dumps("[" * levels),
    lambda levels: json.dumps("[" * levels + "]" * levels),
    lambda levels: json.dumps('{"a":' * levels + "0" + "}" * levels),
    lambda levels: json.dumps("rtr1." + base64.urlsafe_b64encode(b"[" * levels).decode().rstrip("=")),
)

_MARK: Final = "\ue000"  # stands for JSON text that is put in later
_JUNK: Final = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\n", b"\r\n\r\n", b"\n\ndata: \n\n", b"data: {}\n\n",
    b"data: [DONE]\n\n", b"data: null\n\n", b'data: {"type":"message_stop"}\n\n', b"event: error\ndata: x\n\n",
    b": hi\n\n", b"\\", b'"', b"}", b"]", b"{", b"[" * 5000, b"1e999", b"-", b'"\\ud83d"', b"\xef\xbb\xbf",
    b"\xe2\x80\xa8", b"\x85",
)  # fmt: skip
_WORD: Final = re.compile(r"[A-Za-z$][\w$.:/-]{0,60}")


@dataclass(frozen=True)
class Stuff:
    """What may be put into a payload: words that mean something in its format, and pieces of other payloads."""

    words: Sequence[str]
    pieces: Sequence[Any]


def stuff_of(payloads: Iterable[Any]) -> Stuff:
    """The words and pieces of these payloads, each once, in an order that depends on nothing but them."""
    words: dict[str, None] = {}
    pieces: dict[str, Any] = {}
    for payload in payloads:
        for holder, key in _places(payload):
            value = holder[key]
            for word in (key, value):
                if isinstance(word, str) and _WORD.fullmatch(word):
                    words[word] = None
            if isinstance(value, dict | list) and value:
                pieces[json.dumps(value)] = value
    return Stuff(list(words), list(pieces.values()))


def small(value: Any) -> Any:
    """The value with long texts shortened, and of items of a list that are built alike no more than two."""
    if isinstance(value, dict):
        return {name: small(inner) for name, inner in value.items()}
    if isinstance(value, list):
        kept: list[Any] = []
        seen: dict[str, int] = {}
        for item in value:
            form = json.dumps(_form(item))
            seen[form] = seen.get(form, 0) + 1
            if seen[form] <= 2 and len(kept) < 12:
                kept.append(small(item))
        return kept
    return value[:300] if isinstance(value, str) and not value.startswith("data:") else value


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return [[name, inner if name in ("type", "role") else _form(inner)] for name, inner in sorted(value.items())]
    return [_form(item) for item in value[:5]] if isinstance(value, list) else type(value).__name__


def wrong_value(chance: random.Random) -> str:
    """JSON text, or nearly, that nobody expects."""
    which = chance.random()
    if which < 0.15:
        return chance.choice(_DEEP_WRONG)(chance.choice(DEEP))
    return forged(chance) if which < 0.25 else chance.choice(_WRONG)


def forged(chance: random.Random) -> str:
    """An opaque text as the router writes them, with what it would never write in it; or a place of one."""
    kinds = ("anthropic-signature", "anthropic-redacted", "openai-encrypted", "google-thought", "openrouter", "visible")
    values = (
        "",
        "x",
        "c2ln",
        "[",
        "{}",
        "[[]]",
        '[{"type":1}]',
        '[{"data":"rtr1."}]',
        "[" * 900,
        "\x00\r\n",
        "y" * 3000,
    )
    owners = ("", "a/b", "openai/gpt-5.6", "anthropic/claude-opus-5-5", "gemini/gemini-3-pro", None)
    ids = (None, "", "rs_1", "c1", "toolu_1", "\r\n", "rs_rtr1")
    state = OpaqueState(chance.choice(kinds), chance.choice(values), chance.choice(owners), chance.choice(ids))  # type: ignore[arg-type]
    match chance.randrange(4):
        case 0:
            return json.dumps(written([Thought(chance.choice(("", "Hm.")), state)] * chance.choice((0, 1, 3)), state))
        case 1:
            return json.dumps(
                f"rtr1-{chance.choice((0, 1, 9))}-{chance.choice((0, 1, 99999))}-{chance.choice((0, 3, 4))}"
            )
        case _:
            return json.dumps(wrap(state))


def wrong_values(chance: random.Random, payload: Any, stuff: Stuff) -> str:
    """JSON text of the payload with one to four of its places changed: another value, a word or a piece of ``stuff``,
    no value, the same one twice, another name, a name twice."""
    payload = copy.deepcopy(payload)
    put: list[str] = []

    def later(text: str) -> str:
        put.append(text)
        return f"{_MARK}{len(put) - 1}{_MARK}"

    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        places = list(_places(payload))
        if not places:
            break
        holder, key = chance.choice(places)
        value = holder[key]
        match chance.randrange(11):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 0:
                holder.insert(key, copy.deepcopy(value))
            case 1 if isinstance(holder, dict):
                holder[chance.choice(stuff.words)] = holder.pop(key)
            case 1:
                holder.reverse()
            case 2:
                holder[key] = chance.choice(stuff.words)
            case 3:
                other, there = chance.choice(places)
                holder[key] = copy.deepcopy(other[there])
            case 4:
                holder[key] = [value] * chance.choice((0, 1, 2, 40))
            case 5 if isinstance(holder, dict) and isinstance(key, str):
                holder[key] = later(f"{_text(value)},{json.dumps(key)}:{wrong_value(chance)}")
            case 6 | 7:
                piece = copy.deepcopy(chance.choice(stuff.pieces))
                if isinstance(holder, list) and chance.random() < 0.5:
                    holder.insert(key, piece)
                else:
                    holder[key] = piece
            case 8 if isinstance(value, str):
                holder[key] = broken_bytes(chance, value.encode("utf-8", "surrogatepass")).decode(errors="replace")
            case 8 if isinstance(value, dict):
                value[chance.choice(stuff.words)] = later(wrong_value(chance))
            case _:
                holder[key] = later(wrong_value(chance))
    text = _text(payload)
    for at, value in reversed(list(enumerate(put))):  # what was put in last may hold what was before
        text = text.replace(f'"{_MARK}{at}{_MARK}"', value)
    return text


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _places(payload: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a value as its holder and key."""
    waiting = [payload]
    while waiting:
        holder = waiting.pop()
        keys: Any = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            yield holder, key
            waiting.append(holder[key])


def broken_bytes(chance: random.Random, data: bytes) -> bytes:
    """The bytes with one to four faults: changed, missing, doubled, strange or moved ones, or an early end."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not data:
            break
        at = chance.randrange(len(data))
        to = min(len(data), at + chance.choice((1, 1, 7, 100)))
        match chance.randrange(6):
            case 0:
                data = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:to] + data[at:to] + data[to:]
            case 3:
                data = data[:at] + chance.choice(_JUNK) + data[at:]
            case 4:
                data = data[to:] + data[:at]
            case _:
                data = data[:at]
    return data


def pieces_of(chance: random.Random, data: bytes) -> list[bytes]:
    """The bytes as they may arrive: at once, in pieces, or one by one for a while."""
    if chance.random() < 0.3:
        begin = chance.randrange(len(data) + 1)
        end = min(len(data), begin + 200)
        return [data[:begin], *(data[at : at + 1] for at in range(begin, end)), data[end:]]
    size = max(chance.choice((3, 40, 700, 1 << 30)), len(data) // 1000)
    return [data[at : at + size] for at in range(0, len(data), size)]


def events_of(stream: bytes) -> list[bytes]:
    """The events of a stream, without the blank lines between them."""
    return [event for event in stream.replace(b"\r\n", b"\n").split(b"\n\n") if event]


def short(stream: bytes, *, alike: int = 3) -> bytes:
    """The stream without events that are built like ``alike`` of those before them."""
    kept: list[bytes] = []
    seen: dict[str, int] = {}
    for event in events_of(stream):
        try:
            form = json.dumps(_form(json.loads(event.rpartition(b"data:")[2])))
        except ValueError:
            form = ""
        seen[form] = seen.get(form, 0) + 1
        if seen[form] <= alike or not form:
            kept.append(event)
    return b"".join(event + b"\n\n" for event in kept)


def shuffled_events(chance: random.Random, stream: bytes, stuff: Stuff, others: Sequence[bytes] = ()) -> bytes:
    """An event stream with whole events moved, missing, doubled or taken from ``others``, or with wrong values."""
    events = events_of(stream)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not events:
            break
        at = chance.randrange(len(events))
        match chance.randrange(9):
            case 0:
                events.insert(chance.randrange(len(events)), events.pop(at))
            case 1:
                events.insert(chance.randrange(len(events) + 1), events[at])
            case 2:
                del events[at]
            case 3:
                chance.shuffle(events)
            case 4 if others:
                events.insert(at, chance.choice(others))
            case 5:
                del events[at:]
            case _:
                events[at] = _wrong_event(chance, events[at], stuff)
    return b"".join(event + b"\n\n" for event in events)


def _wrong_event(chance: random.Random, event: bytes, stuff: Stuff) -> bytes:
    head, found, payload = event.rpartition(b"data:")
    try:
        changed = wrong_values(chance, json.loads(payload), stuff)
    except (ValueError, RecursionError):  # it was changed before
        return broken_bytes(chance, event)
    return head + found + b" " + changed.encode("utf-8", "surrogatepass")
