"""The neutral request: what a client asks for, in no format's words.

Each format parses its requests into a ``Conversation`` and renders one into its own body; no format knows another. The
neutral reply is in ``events.py``. Text, ids and arguments are the client's own, unchanged: what a target wants
otherwise (other names, other ids) its renderer changes, by tables that lead back (``tool_table.py``).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant"]
CacheTtl = Literal["5m", "1h", "30m", "12h"]
ServiceTier = Literal["auto", "standard", "flex", "priority", "fast"]


class OpaqueState(msgspec.Struct, frozen=True):
    """Sealed reasoning of one model: to be given back to it unchanged, and to nobody else.

    ``kind`` says whose shape it has. ``owner`` is ``provider/model`` where the router knows it, else ``None``: then it
    belongs to whoever speaks that kind natively. ``id`` is the item it is bound to (Responses). A state of kind
    ``visible`` is empty: it marks reasoning of a model that seals nothing.
    """

    kind: Literal[
        "anthropic-signature", "anthropic-redacted", "openai-encrypted", "google-thought", "openrouter", "visible"
    ]
    value: str
    owner: str | None = None
    id: str | None = None


class Cache(msgspec.Struct, frozen=True):
    """A mark: the prompt up to and including this part shall be cached."""

    ttl: CacheTtl = "5m"


class Inline(msgspec.Struct, frozen=True):
    """Bytes inside the request, as base64 text without a ``data:`` prefix."""

    media_type: str
    data: str


class Link(msgspec.Struct, frozen=True):
    """Bytes somewhere else. The router never fetches them."""

    url: str
    media_type: str | None = None


class Written(msgspec.Struct, frozen=True):
    """A document that is plain text."""

    text: str


class Text(msgspec.Struct, frozen=True):
    """Text a model reads or wrote. ``phase`` is Responses' ``commentary`` or ``final_answer``."""

    text: str
    cache: Cache | None = None
    phase: str | None = None
    state: OpaqueState | None = None  # Gemini seals text parts, too


class Refusal(msgspec.Struct, frozen=True):
    """The model's words of refusal."""

    text: str


class Image(msgspec.Struct, frozen=True):
    """A picture. ``detail`` is OpenAI's ``low``, ``high``, …"""

    source: Inline | Link
    detail: str | None = None
    cache: Cache | None = None


class Document(msgspec.Struct, frozen=True):
    """A PDF or other document. ``name`` is its file name or title, ``context`` what the client says about it."""

    source: Inline | Link | Written
    name: str | None = None
    context: str | None = None
    cache: Cache | None = None


class Thought(msgspec.Struct, frozen=True):
    """Reasoning of an earlier turn: what could be read of it, and its sealed form. Both may be empty, not both."""

    text: str = ""
    state: OpaqueState | None = None


class ToolCall(msgspec.Struct, frozen=True):
    """A call by the model. ``arguments`` is JSON text as the model wrote it, perhaps broken or empty; of a ``custom``
    (freeform) tool the raw input. ``namespace`` is Responses' group of tools."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    namespace: str | None = None
    state: OpaqueState | None = None
    cache: Cache | None = None


class ToolResult(msgspec.Struct, frozen=True):
    """What a call gave. ``name`` is the tool's where the format says it (Gemini); ``id`` may be empty there."""

    id: str
    content: tuple[Text | Image | Document, ...] = ()
    is_error: bool = False
    name: str | None = None
    custom: bool = False
    cache: Cache | None = None


Part = Text | Refusal | Image | Document | Thought | ToolCall | ToolResult


class Turn(msgspec.Struct, frozen=True):
    """What one speaker said at once. ``place`` is where it stood in the client's body (``messages[3]``).

    A tool's results belong to ``user``. A ``system`` turn stands where the client put it, in mid-conversation;
    the leading system text is ``Conversation.system``. Parsers join neighbouring items of one assistant turn;
    neighbours of one role may still follow each other.
    """

    role: Role
    parts: tuple[Part, ...]
    place: str


class Tool(msgspec.Struct, frozen=True):
    """A tool that runs at the client. ``schema`` is the JSON schema of its arguments (``None``: not given); ``custom``
    (freeform) tools have none, but perhaps a ``grammar``: Responses' ``format`` object."""

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: dict[str, Any] | None = None
    namespace: str | None = None
    cache: Cache | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """``any``: some tool must be called; ``named``: the tool ``name``. ``allowed`` limits the choice to these names."""

    mode: Literal["auto", "any", "none", "named"]
    name: str | None = None
    namespace: str | None = None
    allowed: tuple[str, ...] | None = None


class Depth(msgspec.Struct, frozen=True):
    """How much thinking is asked for. ``on`` is ``None`` where nothing is said about it.

    ``effort`` is one of minimal, low, medium, high, xhigh, max; ``budget`` is in tokens; ``on`` without either leaves
    the depth to the model (adaptive). ``visible``: whether the client wants to read it (``None``: as the target does).
    """

    on: bool | None = None
    effort: str | None = None
    budget: int | None = None
    visible: bool | None = None


class OutputFormat(msgspec.Struct, frozen=True):
    """Structured output: ``schema`` is ``None`` for just any JSON."""

    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Settings(msgspec.Struct, frozen=True):
    """Everything beside the conversation itself; ``None`` and empty where not said. Numbers keep the client's type."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    depth: Depth = Depth()
    output: OutputFormat | None = None
    verbosity: str | None = None
    parallel_tools: bool | None = None
    user: str | None = None
    service_tier: ServiceTier | None = None
    cache_key: str | None = None
    cache_all: Cache | None = None  # Anthropic's automatic mark at the top of the body


class Conversation(msgspec.Struct, frozen=True):
    """One request. ``stream`` is whether the client wants events; ``include_usage`` whether it asked for Chat's usage
    event; ``include_state`` whether it can take sealed reasoning back (Responses asks for that)."""

    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    settings: Settings = Settings()
    stream: bool = False
    include_usage: bool = True
    include_state: bool = True

    @property
    def is_marked(self) -> bool:
        """Whether anything in it bears a cache mark."""
        said = (part for turn in self.turns for part in turn.parts)
        return any(getattr(part, "cache", None) for part in (*self.system, *self.tools, *said))


SETTING_NAMES: dict[str, str] = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "depth": "thinking",
    "output": "response format",
    "verbosity": "verbosity",
    "parallel_tools": "parallel tool calls",
    "user": "user id",
    "service_tier": "service_tier",
    "cache_key": "prompt_cache_key",
    "cache_all": "cache_control",
    "cache": "cache_control",
}
"""What a renderer calls a setting in a loss. A format that calls it otherwise says so in ``Codec.field_names``."""
