"""What a target can be told: the capability flags that decide how a neutral request is written for it.

Compatible is not identical. The flags come from the provider catalog and its table of models (``providers/traits.py``
puts them together); renderers look at nothing else to tell one target from another. A default is what an unknown
server of the format most likely takes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """One target as a renderer and a decoder see it."""

    provider: str
    model: str
    official: bool = False
    """The format's own maker answers, with all its strictness (Anthropic, OpenAI, Google); not a compatible server."""

    # limits and sampling
    context: int | None = None
    """Tokens of input and output together; ``None``: not known here."""
    max_output: int | None = None
    """Tokens the model can write; asked limits are lowered to it, and Messages, which needs a limit, takes it."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_completion_tokens"
    sampling: Literal["yes", "one", "refused"] = "yes"
    """Whether temperature, top_p and top_k may be sent; ``one``: not temperature and top_p together."""
    stops: bool = True
    """Whether stop sequences may be sent."""
    refused_fields: frozenset[str] = frozenset()
    """Other top-level fields of the format's body that are an error here. Of Chat's ``response_format`` only one kind
    may be: ``response_format.json_schema``."""

    # the conversation
    system_role: Literal["system", "developer"] = "system"
    """What Chat and Responses call the speaker of instructions."""
    mid_system: bool = True
    """Whether a system message may stand in mid-conversation; else it becomes tagged text in the user's turn."""
    prefill: bool = True
    """Whether a last message of the assistant's is continued."""
    user_after_results: bool = True
    """Chat: whether a user's message may follow the results of calls; else what was said stands with the last one."""
    images: bool | None = None
    documents: bool | None = None
    """``None``: unknown, which counts as yes."""
    documents_as: Literal["file", "document_url"] = "file"
    result_media: bool = True
    """Whether images may stand inside tool results, where the format has them there at all."""
    text_arrays: bool = True
    """Whether Chat content may be a list of text parts; else texts are joined."""

    # tools
    tools: bool | None = None
    tool_name_limit: int = 64
    tool_id_rule: Literal["any", "alphanumeric-9"] = "any"
    tool_choices: frozenset[str] = frozenset({"auto", "none", "any", "named"})
    """The neutral choices that may be sent; ``any`` and ``named`` are missing where forcing is refused."""
    any_word: Literal["required", "any"] = "required"
    """What Chat calls the choice ``any``."""
    parallel_tools: bool = True
    """Whether ``parallel_tool_calls`` is understood."""
    strict_schemas: Literal["yes", "no", "all-tools-equal"] = "yes"
    custom_tools: bool = False
    """Whether freeform tools are known; else they become functions with one string field and back."""

    # thinking
    reasoning_in: frozenset[str] = frozenset({"effort"})
    """How depth can be said: ``effort``, ``budget``, ``toggle``, ``adaptive``, ``between-tools``; empty: not at all."""
    reasoning_fields: tuple[str, ...] = ()
    """Chat: the fields in which the provider takes it (``reasoning``, ``thinking``, ``enable_thinking``, …); empty:
    ``reasoning_effort``."""
    efforts: tuple[Effort, ...] = ("low", "medium", "high")
    """The words the model knows, rising; others step down to the nearest."""
    thinking_off: bool = True
    """Whether thinking can be switched off."""
    tools_need_no_effort: bool = False
    """Chat: with function tools any effort but ``none`` is refused (OpenAI from gpt-5.4 on)."""
    reasoning_out: frozenset[str] = frozenset()
    """Where reasoning comes back on Chat: only ``think-tags`` changes how text is read."""
    reasoning_replay: Literal["required", "allowed", "refused"] = "allowed"
    """Chat: whether ``reasoning_content`` of earlier turns goes back; ``required``: on turns with tool calls."""
    refused_reasoning: frozenset[str] = frozenset()
    """Chat: fields of a message with reasoning (``reasoning_content``, ``reasoning``) that are an error here."""
    replays_sealed: bool = True
    """Whether sealed reasoning of earlier turns may be given back; not any more once the target has refused it."""
    summaries: bool = True
    """Responses: whether summaries of reasoning may be asked for."""
    encrypted_reasoning: bool = True
    """Responses: whether ``include: [reasoning.encrypted_content]`` is understood."""
    call_signatures: bool = False
    """Gemini 3: a function call in the history must bear a signature; a lost one gets the documented bypass value."""

    # caching, usage
    cache_hints: Literal["anthropic", "openai", "none"] = "none"
    stream_usage: Literal["asks", "always", "never"] = "asks"
    item_ids_rotate: bool = False

    @property
    def owner(self) -> str:
        """Who owns sealed reasoning: ``provider/model``."""
        return f"{self.provider}/{self.model}"
