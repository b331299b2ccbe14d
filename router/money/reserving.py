"""What a call can cost before it is made: at worst, and probably.

The worst case is an upper bound, and every number in it is a choice that errs upwards:

* Input is counted in one tokenizer and charged in another. The estimate is multiplied by what the target's family has
  been seen to make of it (of 100 requests 95 stay below), by ``MARGIN`` for the other five, and ``OVERHEAD`` is added
  for what providers put in front: Anthropic's tool prompts have up to 804 tokens. No tokenizer makes more tokens of a
  text than it has bytes, so a short body is bounded by its length.
* What the body only refers to (an earlier reply, a file, what a provider's own tools read) isn't in it: then it is the
  whole context window.
* Output ends at the limit that was asked for, or at the model's own; where neither is known at its context window.
* All of it is charged at the dearest rates there are for it: every input token as if it were written to the cache for
  an hour, in the dearest service class.

The probable case is the request's usual price: cached tokens at their price, and output as long as 95 of 100 answers.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Final, NamedTuple

from router.money.cost import cost_nano_usd
from router.money.rates import Rates
from router.wire.usage import Usage

MARGIN: Final = 1.5
OVERHEAD: Final = 2_000
WINDOW: Final = 1_000_000
"""Tokens of a context window that nobody knows."""
LONGEST_OUTPUT: Final = 128_000
"""Tokens of an answer that nothing limits."""
USUAL_OUTPUT: Final = 4_000
"""Of an answer at a model that hasn't been seen often enough: long for an agent's turn, which is a few hundred."""
USUAL_SEARCHES: Final = 10
"""Web searches of a tool that has no limit of its own."""

_PICO_PER_NANO: Final = 1000


class Size(NamedTuple):
    """How large a call is, as far as it can be known before it is made. ``None`` is unknown.

    ``tokens`` are the estimated input, ``factor`` how many of the target's there may be for each. ``length`` is that of
    the body in bytes, where its tokens can't be more. ``max_output`` is what was asked for, ``most_output`` what the
    model can do; ``answers`` are asked for at once. ``outside``: the body refers to input that isn't in it."""

    tokens: int | None = None
    factor: float = 1.0
    length: int | None = None
    outside: bool = False
    window: int | None = None
    max_output: int | None = None
    most_output: int | None = None
    answers: int = 1
    web_searches: int = 0
    writes: bool = True  # whether there is output at all; embeddings have none

    @property
    def most_input(self) -> int:
        """More input tokens than these it can't have."""
        window = WINDOW if self.window is None else self.window
        if self.outside:
            return window
        bounds = [] if self.tokens is None else [math.ceil(self.tokens * self.factor * MARGIN)]
        bounds += [] if self.length is None else [self.length]
        return min(window, min(bounds) + OVERHEAD) if bounds else window

    @property
    def most_written(self) -> int:
        """More output tokens than these it can't have, in all answers."""
        if not self.writes:
            return 0
        limits = [limit for limit in (self.max_output, self.most_output) if limit is not None]
        each = min(limits) if limits else LONGEST_OUTPUT if self.window is None else self.window
        return max(0, each) * max(1, self.answers)


def worst_case(size: Size, rates: Rates | None, moment: date) -> int | None:
    """The most that a call can cost, in nano-dollars; ``None`` where nobody has a price for it."""
    if rates is None:
        return None
    read, written = size.most_input, size.most_written
    due = rates.dearest(moment, read)
    if due.input is None or (written and due.output is None):
        return None
    pico = read * due.input + written * (due.output or 0) + (due.request or 0)
    pico += size.web_searches * (due.web_search or 0)
    return -(-pico // _PICO_PER_NANO)


def probable(size: Size, rates: Rates | None, moment: date, *, tokens: int, cached: int, output: int) -> int | None:
    """What a call will probably cost: so many ``tokens`` of input, of them ``cached`` ones, and ``output`` for each
    answer. Never more than at worst."""
    worst = worst_case(size, rates, moment)
    if worst is None:
        return None
    written = min(output * max(1, size.answers), size.most_written)
    usage = Usage(input=tokens - cached, cache_read=cached, output=written, web_searches=size.web_searches)
    cost = cost_nano_usd(usage, rates, day=moment).nano_usd
    return worst if cost is None else min(worst, cost)
