"""What live traffic says of each target: how often it succeeds, how soon it begins, how fast it writes, how much.

One ``Performance`` a profile. It is told of every call that ended and asked before every call that is chosen, so each
step is a few additions. Time is an argument, in seconds of a monotonic clock. Calls may be told in any order, also
with times before those already known: after a restart the calls in the ledger, told again with the times they had,
give back everything that was known.

What a target did lately says more than what it did this morning, so success, latency and speed are sums that halve
every ``half_life_s``:

* success is a share of decayed counts, with one success assumed beforehand. As evidence fades, so does a bad record,
  and a target that was left alone gets another chance;
* time to first token is a geometric mean: such times are spread over orders of magnitude, and in an arithmetic mean
  one call that hung for a minute outweighs thirty that took a second;
* speed is tokens over seconds, both summed: long answers count for what they are, and short ones, whose seconds are
  too few to divide by, hardly at all.

How long answers are belongs to the model and the kind of request (the rule's label), not to the hour, so it is
forgotten by count instead. Its mean is exact; its 95th percentile comes from a histogram whose buckets grow by 9 %.
That was chosen over the usual streaming estimators because it needs a dict and one addition, holds at most some hundred
numbers whatever it is told, can forget (the five markers of P² can't), and errs in one direction: it is never below the
true percentile of what it holds and at most 9 % above, which is what a reservation of money needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Final, NamedTuple, TypeVar

TargetKey = tuple[str, str]
"""Provider and model."""

MAX_TARGETS: Final = 512
MAX_LENGTHS: Final = 1024
ENOUGH: Final = 20
"""Answers, before their length is taken for the usual one."""

_FAINT: Final = 0.05  # of a call, or of a second of streaming: a mean over less evidence says nothing
_SHORTEST_S: Final = 0.001  # so that the logarithm exists
_PER_OCTAVE: Final = 8  # buckets: edges grow by 2^(1/8), 9 %
_REMEMBERED: Final = 1000  # answers, after which the older ones count half

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Seen(NamedTuple):
    """What is known of a target; None where nothing is. ``requests`` is a plain count, however long ago."""

    requests: int
    success: float  # 0 to 1
    first_token_s: float | None
    tokens_per_s: float | None


class OutputLength(NamedTuple):
    """How many output tokens an answer has: on average, and at most in 95 of 100 (up to 9 % too high)."""

    mean: float
    p95: int


class Performance:
    """What one profile's traffic says of its targets. ``half_life_s`` may be changed at any time."""

    def __init__(self, half_life_s: float, *, max_targets: int = MAX_TARGETS, max_lengths: int = MAX_LENGTHS) -> None:
        self.half_life_s = half_life_s
        self._max_targets = max_targets
        self._max_lengths = max_lengths
        # Both in the order of use, the first is forgotten when there are too many: clients can name any model.
        self._records: dict[TargetKey, _Record] = {}
        self._lengths: dict[tuple[str, str], _Lengths] = {}  # by label (empty: all) and model

    def observe(
        self,
        target: TargetKey,
        now: float,
        *,
        ok: bool,
        first_token_s: float | None = None,
        streamed_tokens: int | None = None,
        streaming_s: float | None = None,
        output_tokens: int | None = None,
        label: str = "",
    ) -> None:
        """A call has ended. ``ok`` is the target's merit: calls that the client broke off or got wrong aren't told.

        ``first_token_s`` is from the call to the first content of a stream. ``streamed_tokens`` came behind that within
        ``streaming_s``; reasoning that wasn't streamed doesn't belong there. ``output_tokens`` is all output, told when
        the answer is whole. ``label`` is the rule's.
        """
        record = _kept(self._records, target, self._max_targets, _Record)
        record.add(now, self.half_life_s, ok, first_token_s, streamed_tokens, streaming_s)
        if output_tokens is not None:
            for name in {"", label}:
                _kept(self._lengths, (name, target[1]), self._max_lengths, _Lengths).add(output_tokens)

    def of(self, target: TargetKey, now: float) -> Seen | None:
        """What is known of a target; None if it was never called."""
        record = self._records.get(target)
        return None if record is None else record.seen(now, self.half_life_s)

    def every(self, now: float) -> Iterator[tuple[TargetKey, Seen]]:
        """All targets that are known, the one called last at the end."""
        for target, record in self._records.items():
            yield target, record.seen(now, self.half_life_s)

    def output(self, model: str, label: str = "") -> OutputLength | None:
        """How long a model's answers are under a rule, else under any; None while too few were seen."""
        for name in dict.fromkeys((label, "")):
            lengths = self._lengths.get((name, model))
            if lengths is not None and lengths.requests >= ENOUGH:
                return lengths.length()
        return None


class _Record:
    """One target: sums in which a call ``half_life_s`` before ``at`` counts half."""

    __slots__ = ("at", "bad", "firsts", "good", "log_first", "requests", "seconds", "tokens")

    def __init__(self) -> None:
        self.at = -math.inf
        self.requests = 0
        self.good = self.bad = 0.0
        self.log_first = self.firsts = 0.0  # the sum of logarithms, and of how much they count
        self.tokens = self.seconds = 0.0

    def add(
        self,
        now: float,
        half_life_s: float,
        ok: bool,
        first_token_s: float | None,
        streamed_tokens: int | None,
        streaming_s: float | None,
    ) -> None:
        """Count a call, with less weight if later ones are known."""
        if now > self.at:
            faded = _faded(now - self.at, half_life_s)
            self.good *= faded
            self.bad *= faded
            self.log_first *= faded
            self.firsts *= faded
            self.tokens *= faded
            self.seconds *= faded
            self.at = now
        weight = _faded(self.at - now, half_life_s)
        self.requests += 1
        if ok:
            self.good += weight
        else:
            self.bad += weight
        if first_token_s is not None:
            self.firsts += weight
            self.log_first += weight * math.log(max(first_token_s, _SHORTEST_S))
        if streamed_tokens is not None and streaming_s is not None:
            self.tokens += weight * streamed_tokens
            self.seconds += weight * streaming_s

    def seen(self, now: float, half_life_s: float) -> Seen:
        faded = _faded(max(0.0, now - self.at), half_life_s)
        good, bad = self.good * faded, self.bad * faded
        return Seen(
            self.requests,
            (good + 1.0) / (good + bad + 1.0),
            math.exp(self.log_first / self.firsts) if self.firsts * faded > _FAINT else None,
            self.tokens / self.seconds if self.seconds * faded > _FAINT else None,
        )


class _Lengths:
    """A histogram of output lengths in buckets of a fixed ratio."""

    __slots__ = ("buckets", "requests", "tokens", "weight")

    def __init__(self) -> None:
        self.requests = 0
        self.weight = self.tokens = 0.0
        self.buckets: dict[int, float] = {}

    def add(self, tokens: int) -> None:
        if self.weight >= _REMEMBERED:
            self.weight /= 2
            self.tokens /= 2
            self.buckets = {bucket: weight / 2 for bucket, weight in self.buckets.items()}
        bucket = math.ceil(math.log2(max(tokens, 1)) * _PER_OCTAVE)
        self.requests += 1
        self.weight += 1.0
        self.tokens += tokens
        self.buckets[bucket] = self.buckets.get(bucket, 0.0) + 1.0

    def length(self) -> OutputLength:
        """By nearest rank: the upper edge of the bucket in which 95 of 100 are reached."""
        left = self.weight * 19 / 20  # exact for whole weights
        top = 0
        for bucket in sorted(self.buckets):
            top = bucket
            left -= self.buckets[bucket]
            if left <= 0.0:
                break
        return OutputLength(self.tokens / self.weight, math.ceil(2 ** (top / _PER_OCTAVE)))


def _kept(store: dict[K, V], key: K, limit: int, make: Callable[[], V]) -> V:
    """The value of a key, made where there is none, now the one used last; the one used longest ago makes room."""
    value = store.pop(key, None)
    if value is None:
        value = make()
        while len(store) >= limit:
            del store[next(iter(store))]
    store[key] = value
    return value


def _faded(age_s: float, half_life_s: float) -> float:
    return 1.0 if age_s <= 0.0 else float(0.5 ** (age_s / half_life_s))
