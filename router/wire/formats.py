"""The one table of wire formats the router knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.wire.anthropic_messages import AnthropicMessages
from router.wire.codec import Codec
from router.wire.gemini import Gemini
from router.wire.openai_chat import OpenAIChat
from router.wire.openai_responses import OpenAIResponses
from router.wire.request import Api

CODECS: Final[Mapping[Api, Codec]] = {
    codec.api: codec for codec in (AnthropicMessages(), OpenAIChat(), OpenAIResponses(), Gemini())
}
