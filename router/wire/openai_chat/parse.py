"""A client's Chat request as a neutral one. Its messages are read in ``parse_messages``, its settings in
``parse_settings``, its tools in ``parse_tools``."""

from __future__ import annotations

from typing import Any, Final

from router.wire.body import Body
from router.wire.checked import a_list, an_object, perhaps_text, perhaps_whole
from router.wire.conversation import Cache, Conversation
from router.wire.loss import Losses
from router.wire.openai_chat.parse_messages import Messages, cache_of
from router.wire.openai_chat.parse_settings import SETTINGS_READ, settings_of
from router.wire.openai_chat.parse_tools import choice_of, tools_of
from router.wire.pieces import fields_of
from router.wire.request import RequestView

_READ: Final = frozenset(
    "model messages stream stream_options n tools functions tool_choice function_call cache_control "
    "prompt_cache_options".split()
)
_SAYS_NOTHING: Final[dict[str, tuple[object, ...]]] = {
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": ({},),
    "modalities": ([], ["text"]),
    "plugins": ([],),
    "store": (False,),
    "top_logprobs": (0,),
    "usage": ({"include": True}, {"include": False}),  # OpenRouter: usage always comes now
}
"""Values of further fields that ask for nothing."""

_REFUSED: Final = {
    "logprobs": "log probabilities aren't carried over",
    "top_logprobs": "log probabilities aren't carried over",
    "audio": "audio isn't carried over",
    "modalities": "answers are text",
    "web_search_options": "the provider's web search isn't carried over",
    "plugins": "the provider's plugins aren't carried over",
}
"""Fields that ask for something else than a text model's answer."""


def parsed(view: RequestView, losses: Losses) -> Conversation:
    """The request behind a view. Raises ``BadRequest`` where a field has another type than the format says."""
    body = view.body
    _rest(body, losses)
    tools = tools_of(body, losses)
    messages = Messages(_breakpoint_default(body), losses)
    system, turns = messages.read(a_list(body.get("messages"), "messages"))
    options = an_object(body.get("stream_options"), "stream_options")
    return Conversation(
        model=view.model,
        system=system,
        turns=turns,
        tools=tools,
        tool_choice=choice_of(body, tools, losses),
        settings=settings_of(body, cache_of({"cache_control": body.get("cache_control")}), losses),
        stream=view.stream,
        include_usage=not view.stream or options.get("include_usage") is True,
    )


def _rest(body: Body, losses: Losses) -> None:
    """Fields that aren't carried over: each is a loss, unless what it says is nothing."""
    if (perhaps_whole(body.get("n"), "n") or 1) > 1:
        losses.refuse("n", "there is one answer to a translated request")
    for name in body:
        if name in _READ or name in SETTINGS_READ:
            continue
        value: Any = body.get(name)
        if value is None or value in _SAYS_NOTHING.get(name, ()):
            continue
        if name in _REFUSED:
            losses.refuse(name, _REFUSED[name])
        else:
            losses.drop(name, "it has no counterpart in other formats")


def _breakpoint_default(body: Body) -> Cache:
    """The lifetime of OpenAI's cache marks that don't say one."""
    options = fields_of(body.get("prompt_cache_options"))
    ttl = perhaps_text(options.get("ttl"), "prompt_cache_options.ttl")
    return Cache("12h" if ttl == "12h" else "30m")
