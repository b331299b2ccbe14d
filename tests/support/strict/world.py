"""A router whose profiles lead to strict providers: one profile a target, named like it, and one provider a profile."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.asking import ONE_CALL
from tests.support.serving import Running, serving
from tests.support.strict.anthropic_replies import Anthropic
from tests.support.strict.chat import DEEPSEEK, GROQ, MISTRAL
from tests.support.strict.chat_replies import Chat
from tests.support.strict.clients import TALKS
from tests.support.strict.gemini_replies import Gemini
from tests.support.strict.provider import StrictApi, StrictProvider
from tests.support.strict.responses_replies import Responses
from tests.support.strict.scenario import Truth
from tests.support.strict.talk import Talk

USD_PER_MILLION = {"input": 3.0, "output": 15.0, "cache-read": 0.5, "cache-write": 4.0}


@dataclass(frozen=True)
class Target:
    """One model at one strict provider, spoken to in one format. ``shows_thinking``: always, or only where asked to."""

    name: str
    provider: str
    model: str
    api: str
    make: Callable[[], StrictApi]
    shows_thinking: str = "never"  # asked, always
    pictures: str = "anywhere"  # not-in-results, none

    def profile(self, url: str) -> str:
        """The profile that leads here. The recorded conversations are too long for some of these models."""
        prices = "\n".join(f"{name} = {usd}" for name, usd in USD_PER_MILLION.items())
        return f"""\
[providers.{self.provider}]
base-url = "{url}"
formats = ["{self.api}"]
api-key = "env:TEST_KEY"

[default]
target = "{self.provider}/{self.model}"

[models."{self.provider}/{self.model}"]
context = 2_000_000

[prices."{self.provider}/{self.model}"]
{prices}
{ONE_CALL}"""


TARGETS = {
    target.name: target
    for target in (
        Target("claude", "anthropic", "claude-opus-5-5", "anthropic-messages", Anthropic, "asked"),
        Target("older-claude", "anthropic", "claude-haiku-4-5", "anthropic-messages", Anthropic, "always"),
        Target("gpt-chat", "openai", "gpt-5.6", "openai-chat", Chat),
        Target("deepseek", "deepseek", "deepseek-reasoner", "openai-chat", lambda: Chat(DEEPSEEK), "always", "none"),
        Target("mistral", "mistral", "mistral-large-latest", "openai-chat", lambda: Chat(MISTRAL), "never",
               "not-in-results"),
        Target("groq", "groq", "openai/gpt-oss-120b", "openai-chat", lambda: Chat(GROQ), "always", "none"),
        Target("gpt", "openai", "gpt-5.6", "openai-responses", Responses, "asked"),
        Target("gemini", "gemini", "gemini-3-pro", "gemini", lambda: Gemini(ids=True), "asked"),
        Target("older-gemini", "gemini", "gemini-2.5-pro", "gemini", Gemini, "asked"),
    )
}  # fmt: skip
MAIN = {"claude", "gpt-chat", "gpt", "gemini"}
"""One target a format."""


def cost_nano_usd(truth: Truth) -> int:
    """What the profile's prices make of that usage."""
    counts = {"input": truth.input, "output": truth.output, "cache-read": truth.cache_read}
    counts["cache-write"] = truth.cache_write
    return round(sum(count * USD_PER_MILLION[name] * 1000 for name, count in counts.items()))


@dataclass
class World:
    """A router under test and its providers, by the names of their targets."""

    router: Running
    providers: dict[str, StrictProvider]

    def talk(self, client: str, target: str, *, stream: bool, **options: Any) -> Talk:
        """A conversation of an SDK with a target. ``client`` is its wire format."""
        return TALKS[client](f"{self.router.url}/{target}", "the-model", stream=stream, **options)

    async def row(self) -> dict[str, Any]:
        """The ledger's last row."""
        return (await self.router.rows())[-1]

    def fresh(self) -> None:
        """Forget what the providers saw."""
        for provider in self.providers.values():
            provider.exchanges.clear()
            provider.requests.clear()


@contextlib.asynccontextmanager
async def strict_world(
    home: Path, targets: Iterable[str] = TARGETS, *, profiles: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[World]:
    """A running router with a profile for each target. ``profiles`` are further ones, in which ``{name}`` in braces
    stands for the URL of the provider of that target."""
    async with contextlib.AsyncExitStack() as stack:
        providers = {name: await stack.enter_async_context(StrictProvider(TARGETS[name].make())) for name in targets}
        texts = {name: TARGETS[name].profile(provider.url) for name, provider in providers.items()}
        urls = {name: provider.url for name, provider in providers.items()}
        for name, text in (profiles or {}).items():
            for target, url in urls.items():
                text = text.replace(f"{{{target}}}", url)
            texts[name] = text
        yield World(await stack.enter_async_context(serving(home, texts, **options)), providers)
