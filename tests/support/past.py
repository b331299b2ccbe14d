"""Requests and rules drawn by chance, for trying rules on past traffic: every wire format, every kind of condition."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

PAYLOADS = Path(__file__).parents[1] / "data" / "payloads"
SMALL = 40_000  # bytes of a recorded request that is sent again and again
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ALICE = "alice"

# Words and headers that the rules of the day asked for, and those that nobody asked for.
ASKED_WORDS, OTHER_WORDS = ("cheap", "run the tests"), ("deploy", "plan")
ASKED_HEADERS = ('x-team = "blue*"', 'x-team = ["red", "green?"]')
OTHER_HEADERS = ('x-team = "*"', 'x-other = "yes"')
CONCEPTS = {
    "thrift": "# Thrift\nsynonyms:: low cost, cheap\npriority:: {0}\nroute:: demo, thrifty\n",
    "haste": "# Haste\nsynonyms:: quick, as quick as you can\npriority:: {1}\nroute:: two, hasty\n",
    "care": "# Care\nsynonyms:: careful\n",
}
TARGETS = ("demo/small", "demo/large", "two/small", "two/large", "three/narrow", "three/blind")
MODELS = (
    "m", "claude-haiku-4-5", "claude-sonnet-4-5", "nick", "pinned", "demo:large", "two:m2", "nobody:m", "gpt-5",
)  # fmt: skip
TEXTS = (
    "Hello", "as cheap as it gets, and quick", "low cost, as quick as you can", "run the tests, be careful",
    "deploy it", "plan first", "word " * 900,
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """One request as a client sends it. ``hour`` is when, counted from a Friday's midnight."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    key: bool = False  # with the client's router key
    hour: float = 0.0
    counts: bool = False


@cache
def recorded(name: str) -> Sent:
    """A recorded request of a real agent."""
    captured = json.loads((PAYLOADS / name).read_text())
    query = f"?{captured['query']}" if captured.get("query") else ""
    left_out = {"host", "content-length", "connection", "accept-encoding", "transfer-encoding", "authorization"}
    headers = tuple((key, value) for key, value in captured["headers"] if key.lower() not in left_out)
    body = json.dumps(captured["body"]).encode()
    return Sent(captured["path"] + query, body, headers, counts=captured["path"].endswith("count_tokens"))


@cache
def recorded_names(most: int = 10**9) -> list[str]:
    """The recorded requests to generate or to count, up to a size."""
    found = []
    for path in sorted(PAYLOADS.glob("*.json")):
        captured = json.loads(path.read_text())
        if path.stat().st_size <= most and captured["method"] == "POST":
            found.append(path.name)
    return found


# --- requests ---------------------------------------------------------------------------------------------------------


@dataclass
class Talk:
    """A conversation that grows, as a client of one format keeps it."""

    api: str
    name: str | None  # its id, where the client gives one
    system: str | None
    turns: list[tuple[str, str]] = field(default_factory=list)  # what was said: user, assistant, tool


def body_of(talk: Talk, model: str, more: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Path and body of the conversation's next request."""
    tools, image, stream = more["tools"], more["image"], more["stream"]
    match talk.api:
        case "anthropic-messages":
            body: dict[str, Any] = {"model": model, "max_tokens": more["max_tokens"] or 64, "stream": stream}
            body["messages"] = [_anthropic(role, text) for role, text in talk.turns]
            if image:
                source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
                body["messages"].append({"role": "user", "content": [{"type": "image", "source": source}]})
            if more["document"]:
                source = {"type": "text", "media_type": "text/plain", "data": "a page"}
                body["messages"].append({"role": "user", "content": [{"type": "document", "source": source}]})
            if talk.system:
                body["system"] = talk.system
            if tools:
                body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in tools]
            if more["thinking"]:
                body["thinking"] = {"type": "enabled", "budget_tokens": more["thinking"]}
            return "/v1/messages", body
        case "openai-chat":
            body = {"model": model, "stream": stream, "messages": [_chat(role, text) for role, text in talk.turns]}
            if talk.system:
                body["messages"].insert(0, {"role": "system", "content": talk.system})
            if image:
                part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
                body["messages"].append({"role": "user", "content": [part]})
            if tools:
                body["tools"] = [{"type": "function", "function": {"name": name}} for name in tools]
            if more["max_tokens"]:
                body["max_tokens"] = more["max_tokens"]
            if more["thinking"]:
                body["reasoning_effort"] = "high"
            return "/v1/chat/completions", body
        case "openai-responses":
            body = {"model": model, "stream": stream, "store": False, "input": _responses(talk.turns)}
            if talk.system:
                body["instructions"] = talk.system
            if tools:
                body["tools"] = [{"type": "function", "name": name, "parameters": {}} for name in tools]
            if more["max_tokens"]:
                body["max_output_tokens"] = max(16, more["max_tokens"])
            return "/v1/responses", body
        case _:
            body = {"contents": [_gemini(role, text) for role, text in talk.turns]}
            if talk.system:
                body["systemInstruction"] = {"parts": [{"text": talk.system}]}
            if tools:
                body["tools"] = [{"functionDeclarations": [{"name": name} for name in tools]}]
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"/v1beta/models/{model}:{method}", body


def _anthropic(role: str, text: str) -> dict[str, Any]:
    if role == "tool":
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": text}]}
    if role == "call":
        return {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}]}
    return {"role": role, "content": text}


def _chat(role: str, text: str) -> dict[str, Any]:
    if role == "tool":
        return {"role": "tool", "tool_call_id": "t1", "content": text}
    if role == "call":
        call = {"id": "t1", "type": "function", "function": {"name": "Bash", "arguments": "{}"}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": role, "content": text}


def _responses(turns: list[tuple[str, str]]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for role, text in turns:
        if role == "tool":
            items.append({"type": "function_call_output", "call_id": "t1", "output": text})
        elif role == "call":
            items.append({"type": "function_call", "call_id": "t1", "name": "Bash", "arguments": "{}"})
        else:
            items.append({"role": role, "content": text})
    return items


def _gemini(role: str, text: str) -> dict[str, Any]:
    if role == "tool":
        return {"role": "user", "parts": [{"functionResponse": {"name": "Bash", "response": {"output": text}}}]}
    if role == "call":
        return {"role": "model", "parts": [{"functionCall": {"name": "Bash", "args": {}}}]}
    return {"role": "model" if role == "assistant" else "user", "parts": [{"text": text}]}


AGENTS = (
    {},
    {"user-agent": "claude-cli/2.1.0 (external, cli)", "x-app": "cli"},
    {"user-agent": "codex_cli_rs/0.60.1"},
    {"user-agent": "OpenAI/Python 2.8.0"},
)


def traffic(chance: Random, least: int = 6, most: int = 14) -> list[Sent]:
    """Requests of some conversations, mixed, and single recorded ones among them."""
    apis = ("anthropic-messages", "openai-chat", "openai-responses", "gemini")
    talks = [
        Talk(chance.choice(apis), chance.choice([None, "a", "b"]), chance.choice([None, "Be brief."]))
        for _ in range(chance.randint(1, 3))
    ]
    for number, talk in enumerate(talks):
        talk.turns.append(("user", f"{chance.choice(TEXTS)} ({number})"))
    sent: list[Sent] = []
    hour = 0.0
    for _ in range(chance.randint(least, most)):
        hour += chance.choice([0.0, 0.02, 2.3, 5.5, 26.0])
        extra = dict(chance.choice(AGENTS))
        for name, values in (("x-team", ("blue-1", "red")), ("x-router-tag", ("ci", "ci, night"))):
            if value := chance.choice([None, None, *values]):
                extra[name] = value
        if chance.random() < 0.2:
            one = recorded(chance.choice(recorded_names(SMALL)))
            sent.append(replace(one, headers=(*one.headers, *extra.items()), key=chance.random() < 0.5, hour=hour))
            continue
        talk = chance.choice(talks)
        if talk.name is not None:
            extra["x-session-id"] = talk.name
        more = {
            "tools": chance.choice([[], [], ["Bash"], ["Bash", "Read", "web_fetch"], ["web_search"]]),
            "image": chance.random() < 0.2,
            "document": chance.random() < 0.15,
            "stream": chance.random() < 0.5,
            "max_tokens": chance.choice([0, 20, 3000]),
            "thinking": chance.choice([0, 0, 1024]),
        }
        path, body = body_of(talk, chance.choice(MODELS), more)
        counts = path == "/v1/messages" and chance.random() < 0.2
        path = f"{path}/count_tokens" if counts else path
        sent.append(Sent(path, json.dumps(body).encode(), tuple(extra.items()), chance.random() < 0.5, hour, counts))
        if not counts and chance.random() < 0.75:
            talk.turns += chance.choice(
                [
                    [("assistant", "Well."), ("user", chance.choice(TEXTS))],
                    [("assistant", "Yes?"), ("user", chance.choice(TEXTS))],
                    [("call", ""), ("tool", "done")],
                ]
            )
    return sent


# --- rules ------------------------------------------------------------------------------------------------------------

NUMBERS = {
    "tools": (0, 1, 2, 5, 15),
    "input-tokens": (0, 20, 60, 200, 900, 1500, 6000),
    "max-tokens": (20, 64, 3000, 8000),
    "messages": (1, 2, 3, 4),
    "turns": (0, 1, 2, 3),
    "thinking-budget": (1024, 5000),
    "budget-used": (0, 0.5),
}
FLAGS = (
    "tool-use", "tool-result", "has-system-prompt", "thinking", "image", "document", "web-search", "stream",
    "background", "plan-mode", "subagent", "compaction",
)  # fmt: skip
OTHERS = (
    "always = true",
    'has-tool = "web_*"',
    'has-tool = ["Bash", "read_*"]',
    'model-equals = "m"',
    'model-matches = "claude-*haiku*"',
    'model-matches = ["gpt-*", "*:*"]',
    'image = "last-turn"',
    'client = "claude-code"',
    'client = ["sdk", "codex", "other"]',
    'api = "anthropic-messages"',
    'api = ["openai-chat", "gemini"]',
    f'key = "{ALICE}"',
    'tag = "ci"',
    'tag = ["night", "x"]',
    'provider-used = "demo"',
    'provider-used = ["two", "three"]',
    'time = "22:00-06:00"',
    'time = ["09:00-12:30", "18:00-19:00"]',
    'weekday = "sat"',
    'weekday = ["mon-wed", "sun"]',
)
_ASKED = [
    *(f'keywords = "{word}"' for word in ASKED_WORDS),
    f'keywords = "{ASKED_WORDS[0]}", keywords-in = "any"',
    'keywords = "brief", keywords-in = "system"',
    *(f"header = {{ {header} }}" for header in ASKED_HEADERS),
    *(f'concept = "{name}"' for name in CONCEPTS),
]
_NOT_ASKED = [
    *(f'keywords = "{word}"' for word in OTHER_WORDS),
    f'keywords = "{ASKED_WORDS[1]}", keywords-in = "any"',
    'keywords = "be", keywords-in = "system"',
    *(f"header = {{ {header} }}" for header in OTHER_HEADERS),
    'concept = "care", keywords-in = "any"',
]
NOT_ASKED = (
    *(f'keywords="{word}"' for word in OTHER_WORDS),
    f'(keywords="{ASKED_WORDS[1]}" and keywords-in="any")',
    '(keywords="be" and keywords-in="system")',
    'header.x-team="*"',
    'header.x-other="yes"',
    '(concept="care" and keywords-in="any")',
)
"""What nobody asked for, as conditions are shown."""
ASKING_EVERYTHING = f"""
[[rule]]
name = "asks"
match = {{ model-equals = "never", any = [{", ".join(f"{{ {one} }}" for one in _ASKED)}] }}
target = "demo/small"
"""
"""A rule that takes nothing, for what it has the router look at."""


def leaf(chance: Random, *, strange: bool) -> str:
    """One condition; a strange one may ask for what nobody asked for before."""
    kind = chance.randrange(5 if strange else 4)
    if kind == 0:
        key = chance.choice([*NUMBERS])
        return f"{key}-{chance.choice(['lt', 'lte', 'gt', 'gte', 'eq'])} = {chance.choice(NUMBERS[key])}"
    if kind == 1:
        return f"{chance.choice(FLAGS)} = {chance.choice(['true', 'true', 'false'])}"
    return chance.choice((OTHERS, _ASKED, _NOT_ASKED)[kind - 2])


def match(chance: Random, *, strange: bool, depth: int = 0) -> str:
    """A table of conditions, composed."""
    if depth == 2 or chance.random() < 0.6:
        return f"{{ {leaf(chance, strange=strange)} }}"

    def some(most: int) -> str:
        count = chance.randint(1, most)
        return ", ".join(match(chance, strange=strange, depth=depth + 1) for _ in range(count))

    return chance.choice(
        [
            lambda: f"{{ any = [{some(3)}] }}",
            lambda: f"{{ all = [{some(3)}] }}",
            lambda: f"{{ not = {some(1)} }}",
            lambda: f"{{ any = [{some(2)}], not = {some(1)} }}",
        ]
    )()


@dataclass(frozen=True)
class Rules:
    """A routing.toml without its providers, and its concepts. ``strange``: it may ask for what isn't known, or have an
    order that can't be."""

    text: str
    concepts: Mapping[str, str]
    strange: bool


def rules(chance: Random, *, asking: bool = False, strange: bool | None = None) -> Rules:
    """A whole set of rules; with one that asks for ``_ASKED`` things, or perhaps some that ask for others."""
    if strange is None:
        strange = not asking and chance.random() < 0.5
    # Whose turn it is can't be told any more once it can't be told who took a turn.
    orders = ["weighted", "lowest-cost", "adaptive" if strange and chance.random() < 0.3 else "weighted"]
    orders += [] if strange else ["round-robin", "round-robin"]
    several = asking or chance.random() < 0.5
    kept = {name: text for name, text in CONCEPTS.items() if name == "care" or several}
    priorities = (chance.randrange(10), chance.randrange(10))
    routing = [
        f'timezone = "{chance.choice(["UTC", "Asia/Kolkata", "America/New_York"])}"',
        f'concepts = "{chance.choice(["before-rules", "after-rules"])}"',
        *_perhaps(chance, 0.3, 'strategy = "{}"', orders),
        *_perhaps(chance, 0.4, 'sticky = "{}"', ["conversation", "cache"]),
        *_perhaps(chance, 0.1, "{}", ["fallthrough = false", 'rules = "off"', "explicit-provider = false"]),
    ]
    tables = [_rule(chance, orders, strange=strange, concepts=kept) for _ in range(chance.randint(1, 7))]
    if asking:
        tables.append(ASKING_EVERYTHING)
    aliases = f'[aliases]\nnick = "{chance.choice(TARGETS)}"\n'
    aliases += f'pinned = {{ target = "{chance.choice(TARGETS)}", pin = true }}\n'
    default = f'[default]\ntarget = "{chance.choice(TARGETS)}"\n' if chance.random() < 0.8 else ""
    text = "\n".join(["[routing]", *routing, aliases, *tables, default])
    concepts = {f"concepts/{name}.md": each.format(*priorities) for name, each in kept.items()}
    return Rules(text, concepts, strange)


def _perhaps(chance: Random, share: float, pattern: str, words: Sequence[str]) -> list[str]:
    """One line, or none."""
    return [pattern.format(chance.choice(words))] if chance.random() < share else []


def _rule(chance: Random, orders: list[str], *, strange: bool, concepts: Mapping[str, str]) -> str:
    while True:
        table = match(chance, strange=strange)
        if all(name in concepts for name in CONCEPTS if f'concept = "{name}"' in table):
            break
    lines = ["[[rule]]", f"match = {table}"]
    if chance.random() < 0.3:
        chosen = chance.sample(TARGETS, chance.randint(2, 3))
        weighed = (f'{{ target = "{one}", weight = {chance.choice([0.5, 1, 3])} }}' for one in chosen)
        lines += [f"targets = [{', '.join(weighed)}]", *_perhaps(chance, 0.7, 'strategy = "{}"', orders)]
    elif chance.random() < 0.2:
        lines.append(f'to = "{chance.choice(["demo", "two"])}"')  # the requested model is kept
    else:
        lines.append(f'target = "{chance.choice(TARGETS)}"')
    lines += _perhaps(chance, 0.3, "priority = {}", ["1", "5"])
    lines += _perhaps(chance, 0.3, 'sticky = "{}"', ["conversation", "cache", "off"])
    lines += _perhaps(chance, 0.3, "weight = {}", ["0.5", "4"])
    lines += _perhaps(chance, 0.3, 'fallback = ["{}"]', ["demo/large", "two/small"])
    lines += _perhaps(chance, 0.1, "{}", ["enabled = false"])
    return "\n".join(lines) + "\n"


def providers(address: str) -> str:
    """What every profile here needs beside its rules: who answers, at which price, and what some models can't take."""
    formats = '["anthropic-messages", "openai-chat", "openai-responses", "gemini"]'
    tables = [
        f'[providers.{name}]\nformats = {formats}\nbase-url = "{address}/v1"\nanthropic-base-url = "{address}"\n'
        f'gemini-base-url = "{address}/v1beta"\napi-key = "none"\n'
        for name in ("two", "three")
    ]
    tables.append(f'[providers.anthropic]\nbase-url = "{address}"\n')
    # Each model its own price, so that no two cost the same.
    tables += [
        f'[prices."{target}"]\ninput = {number}.5\noutput = {3 * number}\n' for number, target in enumerate(TARGETS, 1)
    ]
    tables.append('[models."three/narrow"]\ncontext = 800\n')
    tables.append('[models."three/blind"]\nimages = false\ntools = false\ndocuments = false\n')
    return "\n".join(tables)


def credential() -> dict[str, str]:
    """The environment of the servers."""
    return {"ANTHROPIC_API_KEY": base64.b64encode(b"made up").decode()}
