"""What agents ask on the simulated day, drawn beforehand: every strategy gets the same conversations.

A conversation is a few turns of a person, each a loop of requests: the agent calls a tool, sends its result, calls the
next. Every request repeats all that was said before, so its input grows until the agent compacts it. Beside each turn
runs a small request of the agent's own, for a title or a summary.

Only ``random()`` is used of Python's generator: its sequence is the same in every version.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from simulating.targets import HOUR_S, Luck

TRIES = 3  # requests that an agent makes for one step, when they fail
CALLS = 3  # calls that the router makes for one request
# Conversations begun in each hour of the day, relative to each other.
SHAPE = (1, 1, 0, 0, 0, 1, 2, 6, 14, 20, 22, 18, 10, 16, 21, 20, 17, 12, 7, 5, 5, 4, 3, 2)
SYSTEM = 18_000  # tokens of an agent's prompt and tools
COMPACTS_AT = 150_000
COMPACTED = 6_000  # a summary, and the files opened again


@dataclass(frozen=True, slots=True)
class Step:
    """One request: so long after the answer before, with so many tokens. ``chance`` is what the router draws."""

    after_s: float
    compactions: int  # of the conversation, so far
    tokens: int
    output: int
    chance: float
    luck: tuple[Luck, ...]  # one for each call, of every try
    beside: Step | None = None  # the agent's own small request at the same time


@dataclass(frozen=True, slots=True)
class Conversation:
    """``begins_s`` from midnight; the first step's ``after_s`` is 0."""

    name: str
    begins_s: float
    steps: tuple[Step, ...]


def conversations(seed: int, expected: int) -> list[Conversation]:
    """A day's: Poisson arrivals, about ``expected`` of them, by the hours' shape."""
    chance = random.Random(seed)
    made: list[Conversation] = []
    total, hour, begun = sum(SHAPE), 0, 0.0  # begun: the share of the day's conversations before this hour
    at = 0.0
    while True:
        at += _exponential(chance, 1 / expected)
        while hour < len(SHAPE) and at >= begun + SHAPE[hour] / total:
            begun += SHAPE[hour] / total
            hour += 1
        if hour == len(SHAPE):
            return made
        within = (at - begun) / (SHAPE[hour] / total)
        made.append(Conversation(f"conversation {len(made)}", (hour + within) * HOUR_S, tuple(_steps(chance))))


def _steps(chance: random.Random) -> list[Step]:
    steps: list[Step] = []
    context, compactions = SYSTEM, 0
    for turn in range(_geometric(chance, 5)):
        after_s = 0.0 if turn == 0 else _around(chance, 75, 1.1)  # reading, thinking, typing
        told = _around(chance, 150 if turn else 1_200, 0.8)
        for call in range(_geometric(chance, 8)):
            context += round(told)
            if context > COMPACTS_AT:
                context, compactions = SYSTEM + COMPACTED, compactions + 1
            output = 1 + round(_around(chance, 220, 0.9))
            beside = None
            if call == 0:
                small = 1 + round(_around(chance, 1_500, 0.6))
                beside = Step(0.0, 0, small, 1 + round(_around(chance, 25, 0.5)), chance.random(), _luck(chance))
            steps.append(Step(after_s, compactions, context, output, chance.random(), _luck(chance), beside))
            context += output
            after_s = _around(chance, 3, 1.0)  # the tool at work
            told = _around(chance, 900, 1.2)  # its result
    return steps


def _luck(chance: random.Random) -> tuple[Luck, ...]:
    return tuple(Luck(chance.random(), chance.random(), chance.random()) for _ in range(TRIES * CALLS))


def _exponential(chance: random.Random, mean: float) -> float:
    return -math.log(1 - chance.random()) * mean


def _geometric(chance: random.Random, mean: float) -> int:
    """A whole number, at least 1."""
    return 1 + int(math.log(1 - chance.random()) / math.log(1 - 1 / mean))


def _around(chance: random.Random, median: float, sigma: float) -> float:
    """Log-normal, by Box and Muller."""
    radius = math.sqrt(-2 * math.log(1 - chance.random()))
    return median * math.exp(sigma * radius * math.cos(2 * math.pi * chance.random()))
