"""What past traffic teaches of its models, for estimates of what requests would have been elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from router.health.performance import ENOUGH
from router.ledger.traffic import PastExchange
from router.providers.provider import Provider
from router.replaying.facts import record_of
from router.routing.families import family_of, family_word

_COMPARABLE: Final = (0.5, 2.0)
"""Reported tokens for each estimated one. Another ratio says nothing of a tokenizer: the request continued a reply that
wasn't sent again, or the provider searched the web and read what it found."""


class Shape(NamedTuple):
    """What kind of request it is, as far as that has much to do with how long its answer will be."""

    background: bool
    tools: bool
    tool_result: bool
    thinking: bool

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Shape:
        """The shape of a request by its recorded facts."""
        get = record.get
        return cls(bool(get("background")), bool(get("tool_count")), bool(get("tool_result")), bool(get("thinking")))


class Learned:
    """Means of past answers. ``providers`` are those of all profiles in question: their families count tokens alike."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self._tokenizers: dict[tuple[str, str], str] = {}
        self._lengths: defaultdict[tuple[str, Shape], list[int]] = defaultdict(lambda: [0, 0])  # answers, tokens
        self._inputs: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])  # requests, ours, theirs
        self._reads: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])  # requests, with reads

    def observe(self, row: PastExchange, record: Mapping[str, Any]) -> None:
        """A request was answered."""
        if row.kind != "generate" or row.outcome != "ok" or row.provider is None or row.model is None:
            return
        if row.output is not None:
            lengths = self._lengths[row.model, Shape.of(record)]
            lengths[0] += 1
            lengths[1] += row.output
        reported, estimated = row.tokens_in, row.estimated_input
        if reported is None or row.usage_estimated:
            return
        if estimated and _COMPARABLE[0] <= reported / estimated <= _COMPARABLE[1]:
            inputs = self._inputs[self.tokenizer(row.provider, row.model)]
            inputs[0] += 1
            inputs[1] += estimated
            inputs[2] += reported
        if record.get("opening") is False:
            reads = self._reads[row.provider, row.model]
            reads[0] += 1
            reads[1] += bool(row.cache_read)

    def length(self, model: str, shape: Shape) -> float | None:
        """The mean length of a model's answers to such requests, in tokens; ``None`` while too few were seen."""
        answers, tokens = self._lengths.get((model, shape), (0, 0))
        return tokens / answers if answers >= ENOUGH else None

    def factor(self, provider: str, model: str) -> float:
        """How many tokens a model makes of each that we count: as its provider reported it, else its family's."""
        requests, ours, theirs = self._inputs.get(self.tokenizer(provider, model), (0, 0, 0))
        return theirs / ours if requests >= ENOUGH else family_of(self._family(provider), model).factor

    def reads_caches(self, provider: str, model: str) -> bool | None:
        """Whether a target was seen to read from its prompt cache in conversations that went on; ``None`` where too
        little was seen."""
        requests, with_reads = self._reads.get((provider, model), (0, 0))
        return True if with_reads else False if requests >= ENOUGH else None

    def tokenizer(self, provider: str, model: str) -> str:
        """What counts a model's tokens: its family, or where that isn't known the model alone."""
        name = self._tokenizers.get((provider, model))
        if name is None:
            name = family_word(self._family(provider), model) or f"{provider}/{model}"
            self._tokenizers[provider, model] = name
        return name

    def _family(self, provider: str) -> str:
        known = self._providers.get(provider)
        return known.family if known is not None else ""


def learn(rows: Iterable[PastExchange], providers: Mapping[str, Provider]) -> Learned:
    """What some past traffic teaches."""
    learned = Learned(providers)
    for row in rows:
        record = record_of(row)
        if record is not None:
            learned.observe(row, record)
    return learned
