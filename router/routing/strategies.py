"""Strategies: in which order the options are tried, and why, in numbers.

A strategy orders whatever it is given: the matching rules of one priority (``[routing] strategy``) or the targets of
one rule (its own ``strategy``). It sees plain values, an ``Option`` each; a rule is an option with the estimate and the
record of the target it would call first. Nothing is ever left out of an order: what is behind the first are its
fallbacks. The same arguments give the same order; chance is one of them and drawn at most once.

Counterparts: ``router.health.performance`` gathers what ``seen`` says, ``router.money`` what ``estimate`` says.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SPEED_OF_HALF: Final = 50.0
"""Tokens a second that the adaptive score counts half: about as fast as one can follow."""
LATENCY_OF_HALF: Final = 0.2
"""The share of ``max-first-token`` that the adaptive score counts half."""
HOME: Final = 0.1
"""How much better another target must score before a conversation leaves its prompt cache for it."""


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """Weights and thresholds of the adaptive strategy."""

    success: float = 0.5
    latency: float = 0.3
    speed: float = 0.2
    min_requests: int = 20
    explore: float = 0.05
    half_life_s: float = 1800.0
    max_first_token_s: float = 10.0
    min_success: float = 0.8


class Seen(Protocol):
    """What live traffic says of a target; None is "not known"."""

    @property
    def requests(self) -> int: ...
    @property
    def success(self) -> float: ...
    @property
    def first_token_s(self) -> float | None: ...
    @property
    def tokens_per_s(self) -> float | None: ...


class Estimate(NamedTuple):
    """What this request would cost at a target, and the tokens that was reckoned with: ``nano_usd`` None is unknown.

    ``input_tokens`` is all input, of which the target probably has ``cached_tokens`` in its prompt cache.
    """

    nano_usd: int | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int


class Option(NamedTuple, Generic[T_co]):
    """One thing to be ordered. ``key`` tells options apart and stays the same from request to request."""

    item: T_co
    key: str
    weight: float = 1.0
    estimate: Estimate | None = None
    seen: Seen | None = None


class Ordered(NamedTuple, Generic[T_co]):
    """All items, the first to be tried in front, and for each a short line that says why it stands there."""

    items: tuple[T_co, ...]
    why: tuple[str, ...]


class Draw(NamedTuple):
    """What an order may depend on besides the options.

    ``chance`` gives 0 <= x < 1, and a value close to 1 never explores; ``conversation`` is the conversation's key, if
    the request belongs to one; ``home`` is the key of the option that holds it in its prompt cache, if one does;
    ``turn`` counts the requests that this choice was made for.
    """

    chance: Callable[[], float]
    conversation: str | None = None
    home: str | None = None
    turn: int = 0
    adaptive: AdaptiveSettings = AdaptiveSettings()


def order(strategy: str, options: Sequence[Option[T]], draw: Draw) -> Ordered[T]:
    """The options in the order of a strategy. Raises KeyError for a word that is no strategy."""
    places = STRATEGIES[strategy](options, draw)
    return Ordered(tuple(options[place.number].item for place in places), tuple(place.why for place in places))


class _Place(NamedTuple):
    """A place in the order: the number of the option that has it, and why."""

    number: int
    why: str


_Strategy = Callable[[Sequence[Option[object]], Draw], list[_Place]]


def _first_match(options: Sequence[Option[object]], draw: Draw) -> list[_Place]:
    return [_Place(index, f"{_nth(index)} in the file") for index in range(len(options))]


def _weighted(options: Sequence[Option[object]], draw: Draw) -> list[_Place]:
    """Weighted rendezvous hashing: the options race, each as fast as its weight, with luck hashed from the conversation
    and its key, so each wins its weight's share. An option's time depends on no other: changing a weight moves only
    conversations to that option or away from it, as few as the shares allow."""
    luck = f"?{draw.chance()!r}" if draw.conversation is None else f"={draw.conversation}"
    total = sum(option.weight for option in options)
    times = [-math.log(_uniform(luck, option.key)) / option.weight if option.weight else math.inf for option in options]
    how = "drawn" if draw.conversation is None else "drawn for the conversation"
    return [
        _Place(index, f"weight {options[index].weight:g} of {total:g}" + (f", {how}" if rank == 0 else ""))
        for rank, index in enumerate(sorted(range(len(options)), key=times.__getitem__))
    ]


def _round_robin(options: Sequence[Option[object]], draw: Draw) -> list[_Place]:
    count = len(options)
    return [
        _Place((draw.turn + step) % count, f"turn {draw.turn + 1}: {_nth((draw.turn + step) % count)} of {count}")
        for step in range(count)
    ]


def _lowest_cost(options: Sequence[Option[object]], draw: Draw) -> list[_Place]:
    def price(index: int) -> float:
        estimate = options[index].estimate
        return math.inf if estimate is None or estimate.nano_usd is None else estimate.nano_usd

    return [_Place(index, _cost_line(options[index].estimate)) for index in sorted(range(len(options)), key=price)]


def _cost_line(estimate: Estimate | None) -> str:
    if estimate is None or estimate.nano_usd is None:
        return "cost unknown, so last: it has no price"
    cached = f" cached {estimate.cached_tokens:,}" if estimate.cached_tokens else ""
    usd = f"{estimate.nano_usd / 1e9:.{4 if estimate.nano_usd >= 10**7 else 6}f}"
    return f"cost ${usd} (in {estimate.input_tokens:,}{cached}, out ~{estimate.output_tokens:,})"


def _adaptive(options: Sequence[Option[object]], draw: Draw) -> list[_Place]:
    """The best score first, then those without enough data, then those beyond a threshold.

    One draw decides whether another goes first. An option without enough data has its fair share of the requests until
    it has; of the rest the share ``explore`` goes to any but the best, so that a bad record can be mended. Nothing is
    tried with a conversation that is at home somewhere: to move it costs its prompt cache, in money and in waiting. It
    stays, unless its home is beyond a threshold or scores less than another by ``HOME``.
    """
    settings = draw.adaptive
    judged: list[_Place] = []
    beyond: list[_Place] = []
    untried: list[_Place] = []
    scores: dict[int, float] = {}
    scale = _Scale(options, settings)
    home = next((index for index, option in enumerate(options) if option.key == draw.home), None)
    for index, option in enumerate(options):
        seen = option.seen
        if seen is None or seen.requests < settings.min_requests:
            count = 0 if seen is None else seen.requests
            untried.append(_Place(index, f"not judged yet: {count} of {settings.min_requests} requests seen"))
            continue
        scores[index], line = scale.score(seen)
        if fault := _fault(seen, settings):
            beyond.append(_Place(index, f"late, {fault}: {line}"))
        elif index == home:
            scores[index] += HOME
            judged.append(_Place(index, f"{line}; {HOME:g} more, as the conversation is in its cache"))
        else:
            judged.append(_Place(index, line))
    for places in (judged, beyond):
        places.sort(key=lambda place: -scores[place.number])
    places = [*judged, *untried, *beyond]
    stays = next((place for place in (*judged, *untried) if place.number == home), None)
    if stays is None:
        return _explored(places, untried, draw, settings.explore)
    return _led_by(stays, "the conversation is in its cache", places) if stays in untried else places


def _explored(places: list[_Place], untried: list[_Place], draw: Draw, share: float) -> list[_Place]:
    """Another than the best in front, if luck says so: first come the shares of those not judged yet, then, of what is
    left, the share of exploring."""
    if len(places) < 2:
        return places
    luck = draw.chance()
    number = int(luck * len(places))
    if number < len(untried):
        return _led_by(untried[number], "its turn", places)
    tried = len(untried) / len(places)
    luck = (luck - tried) / (1.0 - tried)
    if luck >= share:
        return places
    others = places[1:]
    return _led_by(others[int(luck / share * len(others))], "explored", places)


def _led_by(first: _Place, note: str, places: list[_Place]) -> list[_Place]:
    others = [place for place in places if place is not first]
    return [_Place(first.number, f"{note}: {first.why}"), *others]


class _Scale:
    """How options are scored: each part from 0 to 1, by its own merit alone, so that no option changes the order of two
    others. Both scales saturate: twice as fast is worth much where it is felt, and little where all are fast. A part
    that nobody measured yet is taken to be the average of the others'."""

    def __init__(self, options: Sequence[Option[object]], settings: AdaptiveSettings) -> None:
        self._half_s = settings.max_first_token_s * LATENCY_OF_HALF
        total = settings.success + settings.latency + settings.speed
        self._weights = settings.success / total, settings.latency / total, settings.speed / total
        seen = [option.seen for option in options if option.seen is not None]
        self._latency = _mean([self._latency_part(one.first_token_s) for one in seen if one.first_token_s is not None])
        self._speed = _mean([_speed_part(one.tokens_per_s) for one in seen if one.tokens_per_s is not None])

    def score(self, seen: Seen) -> tuple[float, str]:
        """The score and its line."""
        begins, writes = seen.first_token_s, seen.tokens_per_s
        parts = (
            seen.success,
            self._latency if begins is None else self._latency_part(begins),
            self._speed if writes is None else _speed_part(writes),
        )
        score = sum(part * weight for part, weight in zip(parts, self._weights, strict=True))
        first = "?" if begins is None else f"{begins:.2g} s"
        speed = "?" if writes is None else f"{writes:.0f}/s"
        (success, latency, quick), (by, times, over) = parts, self._weights
        return score, (
            f"score {score:.2f} = success {success:.2f} x {by:.2g} + first token {latency:.2f} ({first}) x {times:.2g}"
            f" + speed {quick:.2f} ({speed}) x {over:.2g}"
        )

    def _latency_part(self, first_token_s: float) -> float:
        return self._half_s / (self._half_s + first_token_s)


def _speed_part(tokens_per_s: float) -> float:
    return tokens_per_s / (tokens_per_s + SPEED_OF_HALF)


def _fault(seen: Seen, settings: AdaptiveSettings) -> str:
    """The threshold that a target is beyond; empty if none."""
    if seen.success < settings.min_success:
        return f"success {seen.success:.2f} < {settings.min_success:g}"
    if seen.first_token_s is not None and seen.first_token_s > settings.max_first_token_s:
        return f"first token {seen.first_token_s:.2g} s > {settings.max_first_token_s:g} s"
    return ""


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _uniform(luck: str, key: str) -> float:
    """0 < u < 1, evenly, the same for the same texts in every process."""
    # A conversation's key may come from a header, whose bytes needn't be UTF-8.
    digest = hashlib.blake2b(f"{luck}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) + 0.5) / 2**64


def _nth(index: int) -> str:
    return f"no. {index + 1}"


STRATEGIES: Final[Mapping[str, _Strategy]] = {
    "first-match": _first_match,
    "simple": _first_match,
    "conditional": _first_match,
    "weighted": _weighted,
    "round-robin": _round_robin,
    "lowest-cost": _lowest_cost,
    "adaptive": _adaptive,
}
