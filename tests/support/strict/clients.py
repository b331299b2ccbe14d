"""Conversations held by official SDKs: Anthropic's and Google's, and the list of all drivers by wire format."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from google import genai
from google.genai import types

from tests.support.sdk import claude
from tests.support.strict.openai_talks import ChatTalk, ResponsesTalk
from tests.support.strict.talk import PNG, SCHEMA, Called, Given, Talk, Told


class MessagesTalk(Talk):
    """The Anthropic SDK."""

    api = "anthropic-messages"

    def __post_init__(self) -> None:
        self.client = claude(self.base, sync=False)
        self.history: list[Any] = []
        self._last: tuple[Called, ...] = ()

    def _user(self, text: str, image: bool) -> Any:
        content: list[Any] = [{"type": "text", "text": text}]
        if image:
            content.append({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}})
        return {"role": "user", "content": content}

    def _results(self, results: Sequence[Given]) -> Any:
        content = []
        for call, given in zip(self._last, results, strict=True):
            inner: list[Any] = [{"type": "text", "text": given.text}]
            if given.image:
                inner.append({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}})
            content.append(
                {"type": "tool_result", "tool_use_id": call.id, "content": inner, "is_error": given.is_error}
            )
        return {"role": "user", "content": content}

    async def _send(self, turn: Any) -> Told:
        self.history.append(turn)
        asked: dict[str, Any] = {
            "model": self.model, "max_tokens": self.max_tokens, "messages": self.history, "extra_headers": self.headers,
        }  # fmt: skip
        if self.system:
            asked["system"] = self.system
        if self.tools:
            asked["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in self.tools
            ]
        if self.thinking:
            asked |= {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}}
        if self.structured:
            asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if self.stops:
            asked["stop_sequences"] = list(self.stops)
        asked |= self.more
        if self.stream:
            async with self.client.messages.stream(**asked) as events:
                message = await events.get_final_message()
                headers = dict(events.response.headers)
        else:
            raw = await self.client.messages.with_raw_response.create(**asked)
            message, headers = await raw.parse(), dict(raw.headers)
        self.history.append({"role": "assistant", "content": message.content})
        blocks = message.content
        self._last = tuple(Called(block.id, block.name, block.input) for block in blocks if block.type == "tool_use")
        usage = message.usage
        return Told(
            "".join(block.text for block in blocks if block.type == "text"),
            "".join(block.thinking for block in blocks if block.type == "thinking"),
            self._last,
            message.stop_reason,
            {
                "total_input": usage.input_tokens
                + (usage.cache_read_input_tokens or 0)
                + (usage.cache_creation_input_tokens or 0),
                "cache_read": usage.cache_read_input_tokens,
                "cache_write": usage.cache_creation_input_tokens,
                "output": usage.output_tokens,
            },
            headers=headers,
            model=message.model,
        )

    async def close(self) -> None:
        await self.client.close()


class GeminiTalk(Talk):
    """Google's SDK; its chat keeps the history."""

    api = "gemini"

    def __post_init__(self) -> None:
        self.http = httpx2.AsyncClient(verify=False)
        options = types.HttpOptions(base_url=self.base, httpx_async_client=self.http)
        self.client = genai.Client(api_key="sk-client", http_options=options)
        config = types.GenerateContentConfig(
            max_output_tokens=self.max_tokens,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            system_instruction=self.system or None,
            stop_sequences=list(self.stops) or None,
            **self.more,
        )
        if self.tools:
            declared = [
                types.FunctionDeclaration(
                    name=tool.name, description=tool.description, parameters_json_schema=tool.schema
                )
                for tool in self.tools
            ]
            config.tools = [types.Tool(function_declarations=declared)]
        if self.thinking:
            config.thinking_config = types.ThinkingConfig(
                include_thoughts=True, thinking_level=types.ThinkingLevel.HIGH
            )
        if self.structured:
            config.response_mime_type, config.response_json_schema = "application/json", SCHEMA
        self.config = config
        self.chat = self.client.aio.chats.create(model=self.model)
        self._last: tuple[Called, ...] = ()

    def _user(self, text: str, image: bool) -> Any:
        parts = [types.Part(text=text)]
        if image:
            parts.append(types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"))
        return parts

    def _results(self, results: Sequence[Given]) -> Any:
        parts = []
        for call, given in zip(self._last, results, strict=True):
            blob = types.FunctionResponseBlob(mime_type="image/png", data=base64.b64decode(PNG))
            response = types.FunctionResponse(
                id=call.id or None,
                name=call.name,
                response={"error" if given.is_error else "result": given.text},
                parts=[types.FunctionResponsePart(inline_data=blob)] if given.image else None,
            )
            parts.append(types.Part(function_response=response))
        return parts

    async def _send(self, turn: Any) -> Told:
        config = self.config.model_copy(update={"http_options": types.HttpOptions(headers=self.headers)})
        if self.stream:
            replies = [reply async for reply in await self.chat.send_message_stream(turn, config=config)]
        else:
            replies = [await self.chat.send_message(turn, config=config)]
        parts = [
            part
            for reply in replies
            for candidate in (reply.candidates or [])[:1]
            for part in (candidate.content.parts if candidate.content else None) or ()
        ]
        self._last = tuple(
            Called(part.function_call.id or "", part.function_call.name, part.function_call.args or {})
            for part in parts
            if part.function_call
        )
        last = replies[-1]
        usage = last.usage_metadata
        finish = last.candidates[0].finish_reason if last.candidates else last.prompt_feedback.block_reason
        spoken, thoughts = usage.candidates_token_count or 0, usage.thoughts_token_count or 0
        assert usage.total_token_count == usage.prompt_token_count + spoken + thoughts
        return Told(
            "".join(part.text for part in parts if part.text and not part.thought),
            "".join(part.text for part in parts if part.text and part.thought),
            self._last,
            finish.value,
            {
                "total_input": usage.prompt_token_count,
                "cache_read": usage.cached_content_token_count or 0,
                "cache_write": None,
                "output": spoken + thoughts,
                "reasoning": thoughts,
            },
            headers=dict(replies[0].sdk_http_response.headers or {}) if replies[0].sdk_http_response else {},
            model=last.model_version or "",
        )

    async def close(self) -> None:
        await self.client.aio.aclose()
        self.client.close()
        await self.http.aclose()


TALKS: Mapping[str, type[Talk]] = {talk.api: talk for talk in (MessagesTalk, ChatTalk, ResponsesTalk, GeminiTalk)}
