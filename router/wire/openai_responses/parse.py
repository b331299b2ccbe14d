"""A client's request as a neutral conversation: its settings here, its tools and its input in files of their own."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from router.errors import BadRequest
from router.wire.conversation import Cache, Conversation, Depth, OutputFormat, ServiceTier, Settings, Text
from router.wire.loss import Losses
from router.wire.openai_fields import TIERS
from router.wire.openai_responses.content import ttl_of
from router.wire.openai_responses.parse_input import InputReader
from router.wire.openai_responses.parse_tools import ToolReader, read_choice
from router.wire.openai_responses.shapes import Format, Item, Reasoning, Request, clipped, read
from router.wire.request import RequestView, bounded

ENCRYPTED: Final = "reasoning.encrypted_content"

_EFFORTS: Final = frozenset({"minimal", "low", "medium", "high", "xhigh", "max"})
_STORED: Final = {
    "previous_response_id": "replies aren't kept here; send the whole conversation as input",
    "conversation": "conversations aren't kept here; send the whole conversation as input",
    "prompt": "prompts kept at OpenAI are unknown to other providers",
}
_NO_LOSS: Final[dict[str, object]] = {"store": False, "truncation": "disabled"}
"""What is asked for by these is what happens anyway."""
_WHY: Final = {"store": "replies aren't kept here"}
_NOT_FOR_MODELS: Final = ("client_metadata", "stream_options")
_READ: Final = frozenset(Request.__struct_fields__) | {"model", "stream", "max_output_tokens"}


def parse(view: RequestView, losses: Losses) -> Conversation:
    """The request as a conversation. Raises BadRequest where it isn't what the format says."""
    request = read(view.body.raw, Request)
    if request.input is None and not any(view.body.get(name) for name in _STORED):
        raise BadRequest("the field 'input' is missing")
    items = request.input if isinstance(request.input, list) else []
    bounded(items)
    tools = ToolReader(losses)
    tools.read(request.tools or (), "tools")
    tools.read_items(items)
    options = request.prompt_cache_options
    reader = InputReader(tools, losses, ttl_of(options.ttl if options is not None else None))
    reader.read(request.input or [])
    instructions = (Text(request.instructions),) if request.instructions else ()
    _note_left_out(view, request, losses)
    return Conversation(
        model=view.model,
        turns=reader.turns,
        system=(*instructions, *reader.system),
        tools=tools.tools,
        tool_choice=read_choice(request.tool_choice, losses),
        settings=_settings(request, view.max_tokens, items, losses),
        stream=view.stream,
        include_state=ENCRYPTED in (request.include or ()),
    )


def _settings(request: Request, max_tokens: int | None, items: list[Item], losses: Losses) -> Settings:
    reasoning, reasoning_field = request.reasoning, "reasoning"
    output, output_field = request.text.format if request.text is not None else None, "text.format"
    for index, item in enumerate(items):  # an update holds until the next one
        if item.type != "configuration_update":
            continue
        if item.reasoning is not None and item.reasoning.effort is not None:
            reasoning = _updated(reasoning, item.reasoning.effort)
            reasoning_field = f"input[{index}].reasoning"
        if item.text is not None and item.text.format is not None:
            output, output_field = item.text.format, f"input[{index}].text.format"
    options = request.prompt_cache_options
    automatic = options is not None and options.mode != "explicit" and options.ttl is not None
    return Settings(
        max_tokens=max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        depth=_depth(reasoning, reasoning_field, losses),
        output=_output(output, output_field, losses),
        verbosity=request.text.verbosity if request.text is not None else None,
        parallel_tools=request.parallel_tool_calls,
        user=request.safety_identifier or request.user,
        service_tier=_tier(request.service_tier, losses),
        cache_key=request.prompt_cache_key,
        cache_all=Cache(ttl_of(options.ttl)) if options is not None and automatic else None,
    )


def _updated(reasoning: Reasoning | None, effort: str) -> Reasoning:
    return Reasoning(effort) if reasoning is None else replace(reasoning, effort=effort)


def _depth(reasoning: Reasoning | None, field: str, losses: Losses) -> Depth:
    if reasoning is None:
        return Depth()
    if reasoning.mode not in (None, "standard"):
        losses.drop(f"{field}.mode", "other models think in one way only")
    if reasoning.context not in (None, "auto"):
        losses.drop(f"{field}.context", "which reasoning a model reads again is its provider's rule")
    visible = True if reasoning.summary or reasoning.generate_summary else None
    effort = reasoning.effort
    if effort == "none":
        return Depth(on=False, visible=visible)
    if effort is not None and effort not in _EFFORTS:
        losses.drop(f"{field}.effort", f"'{clipped(effort)}' is no known effort")
        effort = None
    return Depth(on=None if effort is None else True, effort=effort, visible=visible)


def _output(output: Format | None, field: str, losses: Losses) -> OutputFormat | None:
    if output is None or output.type == "text":
        return None
    if output.type == "json_object":
        return OutputFormat()
    if output.type != "json_schema":
        losses.refuse(field, f"'{clipped(output.type)}' is no known format")
        return None
    if output.schema is None:
        raise BadRequest(f"the field '{field}.schema' is missing")
    return OutputFormat(output.schema, output.name, output.description, output.strict)


def _tier(word: str | None, losses: Losses) -> ServiceTier | None:
    if word is not None and word not in TIERS:
        losses.drop("service_tier", f"'{clipped(word)}' is OpenAI's own")
    return TIERS.get(word or "")


def _note_left_out(view: RequestView, request: Request, losses: Losses) -> None:
    """Tell of everything else that the request says."""
    body = view.body
    if request.background:
        losses.refuse("background", "replies aren't kept here, so nothing can run in the background")
    if request.top_logprobs:
        losses.refuse("top_logprobs", "probabilities of tokens can't be carried over")
    for index, word in enumerate(request.include or ()):
        if word == "message.output_text.logprobs":
            losses.refuse(f"include[{index}]", "probabilities of tokens can't be carried over")
        elif word != ENCRYPTED:
            losses.drop(f"include[{index}]", "there is nothing of that in other providers' replies")
    for name, why in _STORED.items():
        if body.get(name):
            losses.refuse(name, why)
    for name in body:
        if name in _READ or name in _STORED or name in _NOT_FOR_MODELS:
            continue
        value = body.get(name)
        if value not in (None, {}, []) and value != _NO_LOSS.get(name):
            losses.drop(name, _WHY.get(name, "it is OpenAI's own"))
