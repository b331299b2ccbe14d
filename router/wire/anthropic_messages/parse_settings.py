"""The settings of a client's Messages request: everything beside its conversation and its tools."""

from __future__ import annotations

from typing import Any, Final

from router.wire.anthropic_messages.parse_blocks import cache_of
from router.wire.body import Body
from router.wire.checked import (
    a_list,
    a_text,
    an_object,
    perhaps_number,
    perhaps_text,
    perhaps_whole,
)
from router.wire.conversation import Depth, OutputFormat, Settings
from router.wire.loss import Losses

_READ: Final = frozenset(
    "model stream messages system tools tool_choice max_tokens temperature top_p top_k stop_sequences metadata "
    "thinking output_config output_format service_tier speed cache_control context_management".split()
)
_REFUSED: Final = {
    "mcp_servers": "tools of MCP servers run at Anthropic",
    "container": "a container runs at Anthropic",
    "compaction": "Anthropic's compaction isn't known elsewhere",
    "thread": "Anthropic keeps the conversation; elsewhere it must be sent whole",
    "fallbacks": "which model answers instead is for the router's profile to say",
}
_DROPPED: Final = {
    "inference_geo": "it is a setting of Anthropic's",
    "diagnostics": "it is a service of Anthropic's",
    "user_profile_id": "it names something at Anthropic",
    "workspace_id": "it names something at Anthropic",
    "billing_policy": "it is a setting of Anthropic's",
    "fallback_credit_token": "it is a setting of Anthropic's",
}
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")


def settings_of(body: Body, max_tokens: int | None, parallel_tools: bool | None, losses: Losses) -> Settings:
    """All settings. What has no neutral form is told as a loss."""
    _rest(body, losses)
    config = an_object(body.get("output_config"), "output_config")
    if config.get("task_budget") is not None:
        losses.drop("output_config.task_budget", "it is a setting of Anthropic's")
    stops = a_list(body.get("stop_sequences"), "stop_sequences")
    return Settings(
        max_tokens=max_tokens,
        temperature=perhaps_number(body.get("temperature"), "temperature"),
        top_p=perhaps_number(body.get("top_p"), "top_p"),
        top_k=perhaps_whole(body.get("top_k"), "top_k"),
        stop=tuple(a_text(stop, f"stop_sequences[{at}]") for at, stop in enumerate(stops)),
        depth=_depth(an_object(body.get("thinking"), "thinking"), config, losses),
        output=_output(body, config, losses),
        parallel_tools=parallel_tools,
        user=_user(an_object(body.get("metadata"), "metadata"), losses),
        service_tier=_tier(body, losses),
        cache_all=cache_of(body.get("cache_control"), "cache_control"),
    )


def _rest(body: Body, losses: Losses) -> None:
    for name in body:
        if name in _READ or body.raw_field(name) in (b"null", b"[]", b"{}"):
            continue
        if name in _REFUSED:
            losses.refuse(name, _REFUSED[name])
        elif name in _DROPPED:
            losses.drop(name, _DROPPED[name])
        else:
            losses.drop(name if name.isidentifier() and len(name) < 60 else "a field", "it isn't known to the router")
    management = an_object(body.get("context_management"), "context_management")
    if management and management.keys() <= {"edits"}:
        losses.drop("context_management", "the context is edited by Anthropic alone")
    elif management:
        losses.refuse("context_management", "the context is managed by Anthropic alone")


def _depth(thinking: dict[str, Any], config: dict[str, Any], losses: Losses) -> Depth:
    """Thinking of type ``between_tools`` is the least that a model which can't be without it knows."""
    effort = perhaps_text(config.get("effort"), "output_config.effort")
    if effort is not None and effort not in _EFFORTS:
        losses.drop("output_config.effort", "this effort isn't one of Anthropic's words")
        effort = None
    if not thinking:
        return Depth(effort=effort)
    kind = a_text(thinking.get("type"), "thinking.type")
    display = perhaps_text(thinking.get("display"), "thinking.display")
    visible = None if display is None else display != "omitted"
    match kind:
        case "disabled":
            return Depth(on=False, effort=effort)
        case "enabled":
            budget = perhaps_whole(thinking.get("budget_tokens"), "thinking.budget_tokens")
            return Depth(on=True, effort=effort, budget=budget, visible=visible)
        case "between_tools":
            return Depth(on=True, effort="minimal", visible=visible)
        case "adaptive":
            return Depth(on=True, effort=effort, visible=visible)
        case _:
            losses.drop("thinking", "this type of thinking isn't known to the router")
            return Depth(effort=effort)


def _output(body: Body, config: dict[str, Any], losses: Losses) -> OutputFormat | None:
    where = "output_config.format" if config.get("format") is not None else "output_format"
    asked = an_object(config.get("format") if where == "output_config.format" else body.get("output_format"), where)
    if not asked:
        return None
    if a_text(asked.get("type"), f"{where}.type") != "json_schema":
        losses.refuse(where, "this output format isn't known to the router")
        return None
    return OutputFormat(schema=an_object(asked.get("schema"), f"{where}.schema"), strict=True)


def _user(metadata: dict[str, Any], losses: Losses) -> str | None:
    if metadata.keys() - {"user_id"}:
        losses.drop("metadata", "only its user_id can be said elsewhere")
    return perhaps_text(metadata.get("user_id"), "metadata.user_id") or None


def _tier(body: Body, losses: Losses) -> Any:
    tier = perhaps_text(body.get("service_tier"), "service_tier")
    speed = perhaps_text(body.get("speed"), "speed")
    if speed == "fast":
        return "fast"
    if tier not in (None, "auto", "standard_only"):
        losses.drop("service_tier", "this service class isn't known to the router")
    return {"auto": "auto", "standard_only": "standard"}.get(tier or "")
