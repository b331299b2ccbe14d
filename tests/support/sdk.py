"""The official SDKs as clients. Without certificates to load, a client is made in no time; tests speak plain HTTP."""

from __future__ import annotations

from typing import Any

import anthropic
import openai


def claude(base: str, *, sync: bool = True) -> Any:
    """A client of the Anthropic SDK that never retries."""
    if sync:
        http = anthropic.DefaultHttpxClient(verify=False)
        return anthropic.Anthropic(base_url=base, api_key="sk-client", max_retries=0, http_client=http)
    http_async = anthropic.DefaultAsyncHttpxClient(verify=False)
    return anthropic.AsyncAnthropic(base_url=base, api_key="sk-client", max_retries=0, http_client=http_async)


def gpt(base: str, *, sync: bool = True) -> Any:
    """A client of the OpenAI SDK that never retries."""
    if sync:
        http = openai.DefaultHttpxClient(verify=False)
        return openai.OpenAI(base_url=base, api_key="sk-client", max_retries=0, http_client=http)
    http_async = openai.DefaultAsyncHttpxClient(verify=False)
    return openai.AsyncOpenAI(base_url=base, api_key="sk-client", max_retries=0, http_client=http_async)
