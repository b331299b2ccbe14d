"""A client's ``generationConfig`` and what else steers a reply."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from router.errors import BadRequest
from router.wire.body import Body
from router.wire.checked import perhaps_number, perhaps_whole, wrong
from router.wire.conversation import Depth, OutputFormat, Settings
from router.wire.gemini.checked import camel, entries, members, text, value
from router.wire.gemini.schema import json_schema
from router.wire.loss import Losses

CONFIG: Final = "generationConfig"

_READ: Final = frozenset(
    "maxOutputTokens stopSequences temperature topP topK seed presencePenalty frequencyPenalty thinkingConfig "
    "responseMimeType responseSchema responseJsonSchema _responseJsonSchema candidateCount responseLogprobs logprobs "
    "responseModalities".split()
)
_CONVERSATION: Final = frozenset({"contents", "systemInstruction", "tools", "toolConfig", CONFIG, "model"})
_OUTPUT_SCHEMAS: Final = ("responseJsonSchema", "_responseJsonSchema", "responseSchema")
_JSON: Final = "application/json"
_REFUSED: Final = {"cachedContent": "it is stored at Google and nowhere else"}
_LEVELS: Final = ("minimal", "low", "medium", "high", "xhigh", "max")
_TIERS: Final[dict[str, Literal["standard", "flex", "priority"]]] = {
    "standard": "standard",
    "flex": "flex",
    "priority": "priority",
}


def settings_of(body: Body, losses: Losses) -> Settings:
    """All settings. Raises ``BadRequest`` where one has another type than the format says."""
    tier = None
    config: dict[str, msgspec.Raw] = {}
    for written in body:
        name, raw = camel(written), body.raw_field(written)
        if raw is None or raw == b"null":
            continue
        if name == CONFIG:
            config = members(raw, CONFIG)
        elif name == "serviceTier":
            tier = _TIERS.get(text(raw, name).lower())
        elif name in _REFUSED:
            losses.refuse(name, _REFUSED[name])
        elif name not in _CONVERSATION:
            losses.drop(name, "only Gemini knows it")
    _report(config, losses)
    return Settings(
        max_tokens=_whole(config, "maxOutputTokens"),
        temperature=_number(config, "temperature"),
        top_p=_number(config, "topP"),
        top_k=_whole(config, "topK"),
        stop=_texts(config, "stopSequences"),
        seed=_whole(config, "seed"),
        presence_penalty=_number(config, "presencePenalty"),
        frequency_penalty=_number(config, "frequencyPenalty"),
        depth=_depth(config),
        output=_output(config, losses),
        service_tier=tier,
    )


def _report(config: dict[str, msgspec.Raw], losses: Losses) -> None:
    if (_whole(config, "candidateCount") or 1) > 1:
        losses.refuse(f"{CONFIG}.candidateCount", "there can be only one answer")
    if _value(config, "responseLogprobs"):
        losses.refuse(f"{CONFIG}.responseLogprobs", "other models don't tell how likely their words were")
    if any(modality.upper() != "TEXT" for modality in _texts(config, "responseModalities")):
        losses.refuse(f"{CONFIG}.responseModalities", "the answer can only be text")
    for name in config:
        if name not in _READ:
            losses.drop(f"{CONFIG}.{name}", "only Gemini knows it")


def _depth(config: dict[str, msgspec.Raw]) -> Depth:
    """``thinkingConfig``: a budget of 0 is off, of -1 is left to the model, as is a level that says nothing."""
    if "thinkingConfig" not in config:
        return Depth()
    where = f"{CONFIG}.thinkingConfig"
    asked = members(config["thinkingConfig"], where)
    budget = _whole(asked, "thinkingBudget", where)
    visible = value(asked["includeThoughts"], f"{where}.includeThoughts") if "includeThoughts" in asked else None
    if visible is not None and not isinstance(visible, bool):
        raise wrong(f"{where}.includeThoughts", "true or false")
    level = None
    if "thinkingLevel" in asked:
        level = text(asked["thinkingLevel"], f"{where}.thinkingLevel").lower().removeprefix("thinking_level_")
        if level not in (*_LEVELS, "unspecified"):
            raise BadRequest(f"the field '{where}.thinkingLevel' isn't a level that is known")
    effort = level if level in _LEVELS else None
    on = None if budget is None and effort is None else budget != 0
    return Depth(on, effort if on else None, budget if budget is not None and budget > 0 else None, visible)


def _output(config: dict[str, msgspec.Raw], losses: Losses) -> OutputFormat | None:
    media_type = text(config["responseMimeType"], f"{CONFIG}.responseMimeType") if "responseMimeType" in config else ""
    if media_type not in ("", "text/plain", _JSON):
        losses.refuse(f"{CONFIG}.responseMimeType", "the answer can only be text or JSON")
        return None
    for name in _OUTPUT_SCHEMAS:
        if name in config:
            schema = json_schema(_value(config, name))
            if not isinstance(schema, dict):
                raise wrong(f"{CONFIG}.{name}", "an object")
            return OutputFormat(schema)
    return OutputFormat() if media_type == _JSON else None


def _value(config: dict[str, msgspec.Raw], name: str) -> Any:
    return value(config[name], f"{CONFIG}.{name}") if name in config else None


def _number(config: dict[str, msgspec.Raw], name: str) -> float | None:
    where = f"{CONFIG}.{name}"
    return perhaps_number(value(config[name], where), where) if name in config else None


def _whole(config: dict[str, msgspec.Raw], name: str, parent: str = CONFIG) -> int | None:
    where = f"{parent}.{name}"
    return perhaps_whole(value(config[name], where), where) if name in config else None


def _texts(config: dict[str, msgspec.Raw], name: str) -> tuple[str, ...]:
    if name not in config:
        return ()
    where = f"{CONFIG}.{name}"
    return tuple(text(one, where) for one in entries(config[name], where))
