"""The requests of the demonstration: at least one for every rule of ``profiles/demo``, in all four wire formats.

`router demo` posts the bodies as they stand here, ``make demo`` gives them to the official SDKs.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router.wire.request import Api

GUEST: Final = "guest"
"""The client key that one of the rules asks for; whoever sends the requests makes it first."""

FORMAT_NAMES: Final[Mapping[Api, str]] = {
    "anthropic-messages": "Messages",
    "openai-chat": "Chat",
    "openai-responses": "Responses",
    "gemini": "Gemini",
}


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """One request, and the label of the rule that takes it. ``key`` names the client key to send, if any.

    ``model`` and ``stream`` stand in Gemini's URL, elsewhere in the body.
    """

    title: str
    rule: str
    api: Api
    body: Mapping[str, Any]
    model: str
    stream: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None

    @property
    def path(self) -> str:
        """Below the profile's base URL."""
        match self.api:
            case "anthropic-messages":
                return "/v1/messages"
            case "openai-chat":
                return "/v1/chat/completions"
            case "openai-responses":
                return "/v1/responses"
            case "gemini":
                method = "streamGenerateContent?alt=sse" if self.stream else "generateContent"
                return f"/v1beta/models/{self.model}:{method}"


_CLAUDE_CODE: Final = {"User-Agent": "claude-cli/2.1.0 (external, cli)", "X-Claude-Code-Session-Id": "demo-claude"}
_CODEX: Final = {"User-Agent": "codex_cli_rs/0.169.0 (Linux)", "originator": "codex_cli_rs"}
_SESSION: Final = {"X-Session-Id": "demo-session"}

# More than the twenty tokens that count as a few words.
_PLAIN: Final = (
    "Tell me in a sentence or two what this demonstration shows, and why the first rule that matches is the one "
    "that decides where a request goes."
)
_CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_PATH: Final = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_TITLE: Final = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
_STREAM_USAGE: Final = {"stream_options": {"include_usage": True}}


def _png(width: int, height: int) -> str:
    """A grey picture, base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


_PICTURE: Final = _png(64, 48)
_PAPER: Final = base64.b64encode(
    b"%PDF-1.4\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj\n"
    b"3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n"
).decode()


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def _messages(
    title: str,
    rule: str,
    said: Any,
    *,
    model: str = "claude-sonnet-4-5",
    stream: bool = False,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> DemoRequest:
    """Anthropic Messages. ``said`` is a person's text, or the list of messages."""
    turns = [_user(said)] if isinstance(said, str) else said
    body = {"model": model, "max_tokens": 1000, "messages": turns, **({"stream": True} if stream else {}), **fields}
    return DemoRequest(title, rule, "anthropic-messages", body, model, stream, headers or {})


def _chat(
    title: str,
    rule: str,
    said: Any,
    *,
    model: str = "gpt-5",
    stream: bool = False,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
    **fields: Any,
) -> DemoRequest:
    """OpenAI Chat Completions; streams are asked for their usage, so that it can be compared with the report."""
    turns = [_user(said)] if isinstance(said, str) else said
    extra = {"stream": True, **_STREAM_USAGE} if stream else {}
    body = {"model": model, "messages": turns, **extra, **fields}
    return DemoRequest(title, rule, "openai-chat", body, model, stream, headers or {}, key)


def _responses(
    title: str,
    rule: str,
    said: Any,
    *,
    model: str = "gpt-5",
    stream: bool = False,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> DemoRequest:
    """OpenAI Responses."""
    body = {"model": model, "input": said, **({"stream": True} if stream else {}), **fields}
    return DemoRequest(title, rule, "openai-responses", body, model, stream, headers or {})


def _gemini(
    title: str, rule: str, said: str, *, model: str = "gemini-2.5-flash", stream: bool = False, **fields: Any
) -> DemoRequest:
    """Gemini's ``generateContent``."""
    body = {"contents": [{"role": "user", "parts": [{"text": said}]}], **fields}
    return DemoRequest(title, rule, "gemini", body, model, stream)


def _tool(name: str, schema: Mapping[str, Any] = _CITY) -> dict[str, Any]:
    """A tool as Messages offers it."""
    return {"name": name, "description": f"The tool {name}.", "input_schema": schema}


def _function(name: str, schema: Mapping[str, Any] = _CITY) -> dict[str, Any]:
    """A tool as Responses offers it; Chat has the same one level down."""
    return {"type": "function", "name": name, "description": f"The tool {name}.", "parameters": schema, "strict": False}


def _chat_tool(name: str, schema: Mapping[str, Any] = _CITY) -> dict[str, Any]:
    inner = {key: value for key, value in _function(name, schema).items() if key != "type"}
    return {"type": "function", "function": inner}


def _agents() -> list[DemoRequest]:
    reminder = "<system-reminder>\nPlan mode is active. You must not make any edits.\n</system-reminder>"
    summary = (
        "Write a summary of our conversation for somebody who goes on with the work. First think in <analysis> tags, "
        "then write the result in <summary> tags."
    )
    sub_agent = {**_CLAUDE_CODE, "X-Claude-Code-Agent-Id": "demo-agent"}
    wanted = {"format": {"type": "json_schema", "schema": _TITLE}}
    return [
        _messages("compaction", "compaction → demo", summary, stream=True, headers=_CLAUDE_CODE),
        _messages(
            "plan mode",
            "plan-mode → demo",
            [_user([{"type": "text", "text": reminder}, {"type": "text", "text": "How would you do it?"}])],
            headers=_CLAUDE_CODE,
            tools=[_tool("Read", _PATH)],
        ),
        _messages("a sub-agent", "subagent → demo", "Use the Grep tool.", stream=True, headers=sub_agent,
                  tools=[_tool("Grep", _PATH)]),
        _messages("a title", "background → demo", "Give this chat a title.", model="claude-haiku-4-5",
                  headers=_CLAUDE_CODE, output_config=wanted),
        _responses("Codex", "client → demo", "Use the shell tool to look around.", stream=True, headers=_CODEX,
                   tools=[_function("shell", _PATH)], instructions="You are a coding agent.", store=False),
    ]  # fmt: skip


def _contents() -> list[DemoRequest]:
    paper = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": _PAPER}}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PICTURE}}
    shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PICTURE}"}}
    text = {"type": "text", "text": "What do you see here?"}
    return [
        _messages("a PDF", "document → demo", [_user([paper, text])]),
        _chat("a picture", "image → demo", [_user([text, shown])], stream=True),
        _messages("a picture, earlier", "older picture → demo",
                  [_user([picture, text]), _assistant("Grey."), _user("Which grey?")]),
        _responses("a web search", "web-search → demo", "What is new today?", tools=[{"type": "web_search"}]),
        _messages("much thinking", "thinking-budget-gt → demo", "Is 91 a prime number?", max_tokens=16_000,
                  thinking={"type": "enabled", "budget_tokens": 10_000}),
        _messages("some thinking", "thinking → demo", "Is 97 a prime number?", stream=True,
                  thinking={"type": "adaptive"}),
        _responses("reasoning effort", "thinking → demo", "Is 89 a prime number?", stream=True,
                   reasoning={"effort": "high", "summary": "auto"}),
    ]  # fmt: skip


def _words() -> list[DemoRequest]:
    return [
        _chat("a word of a person", "keywords → demo", "What would be a cheap way to try this?"),
        _chat("a word of the system", "translator → demo",
              [{"role": "system", "content": "You translate into French."}, _user("Good morning")]),
        _messages("a concept in a rule", "concept → demo", "I need two sentences about rules, asap."),
    ]  # fmt: skip


def _callers() -> list[DemoRequest]:
    return [
        _messages("a header", "header → demo", _PLAIN, headers={"X-Team": "blue-whales"}, temperature=0.9, top_k=40),
        _chat("a tag", "tag → demo", _PLAIN, stream=True, headers={"X-Router-Tag": "ci"}),
        _chat("a client key", "key → demo", _PLAIN, key=GUEST),
    ]


def _tools() -> list[DemoRequest]:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Lima"}'}}
    declared = {"functionDeclarations": [{"name": "weather", "description": "The weather.", "parameters": _CITY}]}
    return [
        _messages("a tool by name", "has-tool → demo", "Use the mcp__tickets__find tool.",
                  tools=[_tool("read", _PATH), _tool("mcp__tickets__find")]),
        _chat("a tool's result", "tool-result → demo",
              [_user("How is the weather in Lima?"), {**_assistant(None), "tool_calls": [call]},
               {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees, cloudy"}],
              tools=[_chat_tool("weather")]),
        _responses("three tools", "tools-gte → demo", "Which of your tools do you like best?",
                   tools=[_function(name) for name in ("weather", "news", "tides")]),
        _chat("one tool, streamed", "tool-use → demo", "Use the weather tool for Lima.", stream=True,
              tools=[_chat_tool("weather")]),
        _messages("one tool, forced", "tool-use → demo", "How is the weather?", tools=[_tool("weather")],
                  tool_choice={"type": "tool", "name": "weather"}),
        _gemini("one tool, Gemini", "tool-use → demo", "Use the weather tool for Lima.", tools=[declared]),
    ]  # fmt: skip


def _sizes() -> list[DemoRequest]:
    handbook = "The first rule that matches decides, so put the narrow ones before the wide ones. " * 130
    cached = [_user([{"type": "text", "text": handbook, "cache_control": {"type": "ephemeral"}},
                     {"type": "text", "text": "Which rule decides?"}])]  # fmt: skip
    asked = [_user("And what then?"), _assistant("Then the next rule is asked.")]
    # Another beginning: else it would be taken for the conversation above, and `provider-used` come first.
    again = [_user("Who decides?"), _assistant("The first rule that matches."), *asked]
    return [
        _messages("long context", "input-tokens-gt → demo", cached),
        _messages("long context, cached", "input-tokens-gt → demo", cached, stream=True),
        _chat("seven messages", "messages-gt → demo", [*asked, *asked, *asked, _user("And in the end?")]),
        _responses("three turns", "turns-gt → demo", [*again, _user("And in the end?")]),
        _responses("a short answer", "max-tokens-lt → demo", _PLAIN, max_output_tokens=24),
        _messages("a system prompt", "has-system-prompt → demo", _PLAIN, system="You explain things briefly."),
    ]


def _names() -> list[DemoRequest]:
    return [
        _chat("a model's name", "model-equals → demo", _PLAIN, model="gpt-4o-mini"),
        _messages("a model's family", "model-matches → demo", _PLAIN, model="claude-opus-4-5"),
        _responses("composed, one way", "composed → demo", _PLAIN, model="gpt-5-codex"),
        _chat("composed, another way", "composed → demo", _PLAIN, model="o3", max_completion_tokens=2_000),
        _chat("the time of day", "time → demo", f"{_PLAIN} I shall read it tonight."),
        _gemini("Gemini, streamed", "streamed Gemini → demo", _PLAIN, stream=True),
        _gemini("Gemini", "api → demo", _PLAIN),
        _messages("a stream", "stream → demo", _PLAIN, stream=True),
        _messages("a few words", "input-tokens-lt → demo", "Hello!"),
    ]


def _beside_the_rules() -> list[DemoRequest]:
    return [
        _chat("something urgent", "urgent → demo", "Hello!", headers={"X-Router-Tag": "urgent"}),
        _messages("a pinned alias", "alias:claude-sonnet-4 → demo", "Is 83 a prime number?", model="claude-sonnet-4",
                  thinking={"type": "adaptive"}),
        _chat("an alias", "alias:fast → demo", _PLAIN, model="fast"),
        _messages("a concept's own route", "concept:poetry → demo", f"{_PLAIN} In a limerick, please."),
        _chat("provider:model", "explicit → demo", "Use the weather tool.", model="demo:demo-thinker",
              tools=[_chat_tool("weather")]),
    ]  # fmt: skip


def requests() -> list[DemoRequest]:
    """All requests in their order. The first begins the conversation that the last one continues."""
    first = _user(_PLAIN)
    later = [first, _assistant("It shows how rules decide."), _user("And who pays for it?")]
    return [
        _chat("nothing special", "default → demo", [first], headers=_SESSION),
        *_agents(),
        *_contents(),
        *_words(),
        *_callers(),
        *_tools(),
        *_sizes(),
        *_names(),
        *_beside_the_rules(),
        _chat("the next turn", "provider-used → demo", later, headers=_SESSION),
    ]
