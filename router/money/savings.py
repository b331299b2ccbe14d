"""What a request would have cost at another model: the usage that one would have reported for it.

Only the usage is made up here; ``cost.py`` prices it as any other. The whole conversation is taken to have stayed at
that model: what it had read of the conversation before is in its prompt cache, if the pause wasn't too long, and only
the rest is new to it. What it would have answered nobody knows, so the output is that of the answer there was.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from router.wire.request import Lifetime
from router.wire.usage import Usage

LEAST_CACHED: Final = 1024
"""Tokens. Nearly all providers keep no shorter prompt (Anthropic's and OpenAI's manuals; some models ask for more)."""


class Caching(NamedTuple):
    """How a model keeps a prompt: whether it reads what it has of an earlier one, and as what it writes the rest, empty
    for a write that costs nothing beyond the input itself."""

    reads: bool
    writes: Lifetime

    @property
    def lifetime(self) -> Literal["5m", "1h"]:
        """How long it keeps what it has read."""
        return "1h" if self.writes == "1h" else "5m"


def caching_of(family: str, asked: Lifetime) -> Caching:
    """How the models of a family keep the prompt of a request that asks for it, or doesn't.

    Claude keeps what is marked and nothing else. All others keep what they like by themselves; OpenAI's newer models
    charge for that, the others' writes cost extra only where the request marks what to keep.
    """
    if family == "anthropic":
        return Caching(bool(asked), asked)
    return Caching(True, "5m" if family == "openai" and not asked else asked)


def usage_elsewhere(served: Usage, *, tokens: int, held: int, caching: Caching, same_provider: bool) -> Usage:
    """The usage of a request of ``tokens`` input tokens at a model whose prompt cache holds the first ``held`` of them.

    A service class is the provider's own word, so it holds at the same one only.
    """
    read = min(held, tokens) if caching.reads and held >= LEAST_CACHED else 0
    written = tokens - read if caching.writes and tokens >= LEAST_CACHED else 0
    return Usage(
        input=tokens - read - written,
        cache_read=read or None,
        cache_write=written or None if caching.writes == "5m" else None,
        cache_write_1h=written or None if caching.writes == "1h" else None,
        output=served.output,
        reasoning=served.reasoning,
        web_searches=served.web_searches,
        service_tier=served.service_tier if same_provider else None,
        speed=served.speed if same_provider else None,
    )


class Counts(msgspec.Struct, frozen=True, omit_defaults=True):
    """A usage in few words: what isn't there isn't written. The names are those of ``Usage``."""

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    web_searches: int | None = None
    service_tier: str | None = None
    speed: str | None = None

    @classmethod
    def of(cls, usage: Usage) -> Counts:
        """A usage that was made up here."""
        return msgspec.convert(usage, cls, from_attributes=True)

    @property
    def usage(self) -> Usage:
        """The usage."""
        return Usage(**msgspec.structs.asdict(self))


class Baseline(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a number was worked out, kept beside it: where the request is taken to have gone, and its usage there.

    Without ``usage`` it did go there, and the number is what that call cost. ``unknown`` says why there is no number.
    """

    provider: str
    model: str
    usage: Counts | None = None
    billing: Literal["metered", "subscription", "free"] = "metered"
    unknown: str = ""


class Baselines(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one request is compared with: the profile's default, and the model that the client asked for."""

    default: Baseline | None = None
    requested: Baseline | None = None


def encode(baselines: Baselines) -> str:
    """As the ledger keeps them: JSON."""
    return _encoder.encode(baselines).decode()


def decode(text: str) -> Baselines:
    """The other way round. Raises ValueError."""
    return _decoder.decode(text)


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Baselines)
