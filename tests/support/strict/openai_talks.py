"""Conversations held by the OpenAI SDK, on Chat Completions and on Responses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.support.sdk import gpt
from tests.support.strict.talk import PNG, SCHEMA, Called, Given, Talk, Told


class ChatTalk(Talk):
    """The OpenAI SDK on Chat Completions. Fields it doesn't know, such as reasoning, it keeps and gives back."""

    api = "openai-chat"
    limit = "max_completion_tokens"  # DeepSeek knows only the older max_tokens

    def __post_init__(self) -> None:
        self.client = gpt(f"{self.base}/v1", sync=False)
        self.history: list[Any] = [{"role": "system", "content": self.system}] if self.system else []
        self._last: tuple[Called, ...] = ()

    def _user(self, text: str, image: bool) -> Any:
        if not image:
            return [{"role": "user", "content": text}]
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        return [{"role": "user", "content": [{"type": "text", "text": text}, picture]}]

    def _results(self, results: Sequence[Given]) -> Any:
        """A tool's message holds text only: a picture follows in a user's message."""
        turn: list[Any] = [
            {
                "role": "tool",
                "tool_call_id": call.id,
                "content": f"Error: {given.text}" if given.is_error else given.text,
            }
            for call, given in zip(self._last, results, strict=True)
        ]
        if any(given.image for given in results):
            picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
            turn.append({"role": "user", "content": [{"type": "text", "text": "The picture:"}, picture]})
        return turn

    async def _send(self, turn: Any) -> Told:
        self.history += turn
        asked: dict[str, Any] = {
            "model": self.model, "messages": self.history, self.limit: self.max_tokens,
            "extra_headers": self.headers,
        }  # fmt: skip
        if self.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
                }
                for tool in self.tools
            ]
        if self.thinking:
            asked["reasoning_effort"] = "high"
        if self.structured:
            given = {"name": "answer", "schema": SCHEMA, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": given}
        if self.stops:
            asked["stop"] = list(self.stops)
        asked |= self.more
        if self.stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        raw = await self.client.chat.completions.with_raw_response.create(**asked)
        parsed = raw.parse()
        if self.stream:
            state: Any = ChatCompletionStreamState()
            async for chunk in parsed:
                list(state.handle_chunk(chunk))
            completion = state.current_completion_snapshot
        else:
            completion = parsed
        [choice] = completion.choices
        self.history.append(_as_sent(choice.message.model_dump(exclude_unset=True, mode="json")))
        calls = [call for call in choice.message.tool_calls or () if call.type == "function"]
        self._last = tuple(
            Called(call.id, call.function.name, json.loads(call.function.arguments or "{}")) for call in calls
        )
        usage = completion.usage
        details, spoken = usage.prompt_tokens_details, usage.completion_tokens_details
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        return Told(
            choice.message.content or "",
            getattr(choice.message, "reasoning_content", None) or "",
            self._last,
            choice.finish_reason,
            {
                "total_input": usage.prompt_tokens,
                "cache_read": details.cached_tokens if details else None,
                "cache_write": getattr(details, "cache_write_tokens", None),
                "output": usage.completion_tokens,
                "reasoning": spoken.reasoning_tokens if spoken else None,
            },
            choice.message.refusal or "",
            dict(raw.headers),
            completion.model,
        )

    async def close(self) -> None:
        await self.client.close()


def _as_sent(message: dict[str, Any]) -> dict[str, Any]:
    """A parsed message without what the SDK's parsing added, and without empty fields."""
    kept = {
        name: value for name, value in message.items() if name != "parsed" and (value is not None or name == "content")
    }
    for call in kept.get("tool_calls") or ():
        call.pop("index", None)
        call.get("function", {}).pop("parsed_arguments", None)
    return kept


class ResponsesTalk(Talk):
    """The OpenAI SDK on Responses, nothing stored."""

    api = "openai-responses"

    def __post_init__(self) -> None:
        self.client = gpt(f"{self.base}/v1", sync=False)
        self.history: list[Any] = []
        self._last: tuple[Called, ...] = ()

    def _user(self, text: str, image: bool) -> Any:
        if not image:
            return [{"role": "user", "content": text}]
        picture = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"}
        return [{"role": "user", "content": [{"type": "input_text", "text": text}, picture]}]

    def _results(self, results: Sequence[Given]) -> Any:
        turn = []
        for call, given in zip(self._last, results, strict=True):
            output: Any = f"Error: {given.text}" if given.is_error else given.text
            if given.image:
                picture = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"}
                output = [{"type": "input_text", "text": output}, picture]
            turn.append({"type": "function_call_output", "call_id": call.id, "output": output})
        return turn

    async def _send(self, turn: Any) -> Told:
        self.history += turn
        asked: dict[str, Any] = {
            "model": self.model, "input": self.history, "max_output_tokens": self.max_tokens, "store": False,
            "extra_headers": self.headers,
        }  # fmt: skip
        if self.system:
            asked["instructions"] = self.system
        if self.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                    "strict": False,
                }
                for tool in self.tools
            ]
        if self.thinking:
            asked["reasoning"] = {"effort": "high", "summary": "auto"}
            asked["include"] = ["reasoning.encrypted_content"]
        if self.structured:
            given = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
            asked["text"] = {"format": given}
        asked |= self.more
        if self.stream:
            async with self.client.responses.stream(**asked) as events:
                headers = dict(events._response.headers)
                last = [event async for event in events][-1]
                assert last.type in ("response.completed", "response.incomplete"), last
                response = last.response
        else:
            raw = await self.client.responses.with_raw_response.create(**asked)
            response, headers = raw.parse(), dict(raw.headers)
        output = [_without_parsed(item.model_dump(exclude_unset=True, mode="json")) for item in response.output]
        self.history += output
        calls = [item for item in response.output if item.type == "function_call"]
        self._last = tuple(Called(item.call_id, item.name, json.loads(item.arguments or "{}")) for item in calls)
        contents = [part for item in response.output if item.type == "message" for part in item.content]
        usage = response.usage
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens
        incomplete = response.incomplete_details
        return Told(
            "".join(part.text for part in contents if part.type == "output_text"),
            "\n\n".join(
                part.text for item in response.output if item.type == "reasoning" for part in item.summary
            ),
            self._last,
            f"incomplete/{incomplete.reason}" if incomplete else response.status,
            {
                "total_input": usage.input_tokens,
                "cache_read": usage.input_tokens_details.cached_tokens,
                "cache_write": getattr(usage.input_tokens_details, "cache_write_tokens", None),
                "output": usage.output_tokens,
                "reasoning": usage.output_tokens_details.reasoning_tokens,
            },
            "".join(part.refusal for part in contents if part.type == "refusal"),
            headers,
            response.model,
        )  # fmt: skip

    async def close(self) -> None:
        await self.client.close()


def _without_parsed(item: dict[str, Any]) -> dict[str, Any]:
    item.pop("parsed_arguments", None)
    for part in item.get("content") or ():
        part.pop("parsed", None)
    return item
