"""The one table of wire formats the router knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.wire.anthropic_messages.codec import AnthropicMessages
from router.wire.codec import Codec
from router.wire.gemini.codec import Gemini
from router.wire.openai_chat.codec import OpenAIChat
from router.wire.openai_responses.codec import OpenAIResponses
from router.wire.request import Api

CODECS: Final[Mapping[Api, Codec]] = {
    codec.api: codec for codec in (AnthropicMessages(), OpenAIChat(), OpenAIResponses(), Gemini())
}
