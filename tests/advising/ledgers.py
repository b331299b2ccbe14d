"""What a team sends in some days, and rules for it: sound ones, and six with a fault planted in each."""

from __future__ import annotations

import random

from tests.advising.world import (
    HOUR_MS,
    MINUTE_MS,
    Ask,
    background,
    days,
    question,
    session,
)

SOUND = """\
[[rule]]
name = "pictures"
match = { image = "last-turn" }
target = "gemini/gemini-3.8-flash"

[[rule]]
name = "small jobs"
match = { background = true }
target = "anthropic/claude-haiku-4-5"

[[rule]]
name = "plans"
match = { plan-mode = true }
target = "anthropic/claude-opus-4-5"

[[rule]]
name = "short questions"
match = { tool-use = false, input-tokens-lt = 2_000 }
target = "groq/llama-3.3-70b-versatile"

[default]
target = "anthropic/claude-sonnet-4-5"
"""


def sound_day(rng: random.Random, start: int, day: int, *, sessions: int) -> list[Ask]:
    """What comes in on a day: sessions of an agent with their titles, a plan, a few pictures, questions of programs."""
    asks: list[Ask] = []
    for number in range(sessions):
        at = start + rng.randrange(8 * HOUR_MS)
        name = f"day{day}-session{number}"
        asks += session(rng, at, name, requests=rng.randrange(20, 45))
        asks += (background(rng, at + each * 9 * MINUTE_MS, f"{name}-title{each}") for each in range(8))
    asks += session(rng, start + rng.randrange(HOUR_MS), f"day{day}-plan", requests=6, plan_mode=True)
    for number in range(12):
        at = start + rng.randrange(9 * HOUR_MS)
        asks.append(question(rng, at, f"day{day}-question{number}"))
        asks.append(question(rng, at + HOUR_MS, f"day{day}-long{number}", tokens=(4_500, 9_000)))
    asks.append(question(rng, start, f"day{day}-picture", image=True, image_in_last_turn=True))
    return asks


DAYS = 8


def sound_asks(seed: int = 1, *, count: int = DAYS, sessions: int = 1) -> list[Ask]:
    """Some days' work."""
    rng = random.Random(seed)
    return [ask for day, start in enumerate(days(count)) for ask in sound_day(rng, start, day, sessions=sessions)]


# --- six faults -------------------------------------------------------------------------------------------------------

SHADOWED = SOUND.replace(
    '[[rule]]\nname = "plans"',
    """\
[[rule]]
name = "agents"
match = { tool-use = true, background = false }
target = "anthropic/claude-sonnet-4-5"

[[rule]]
name = "plans\"""",
)

# The agent's sub-agents ask for a small model, and the default gives them a middling one.
BIG_DEFAULT = """\
[[rule]]
name = "pictures"
match = { image = "last-turn" }
target = "gemini/gemini-3.8-flash"

[default]
target = "anthropic/claude-sonnet-4-5"
"""


def big_default_asks(seed: int = 2) -> list[Ask]:
    rng = random.Random(seed)
    asks = sound_asks(seed)
    for day, start in enumerate(days(DAYS)):
        for number in range(3):
            at, name = start + rng.randrange(8 * HOUR_MS), f"day{day}-explorer{number}"
            asks += session(
                rng, at, name, requests=12, first=6_000, turn_of=12, subagent=True, background=True, tools=9,
                model="claude-haiku-4-5",
            )  # fmt: skip
    return asks


# Groq keeps no prompt cache: behind some length it is cheaper to go on where most is read from one.
THRESHOLD = """\
[[rule]]
name = "short"
match = { input-tokens-lt = 40_000 }
target = "groq/llama-3.3-70b-versatile"

[default]
target = "anthropic/claude-haiku-4-5"
"""


def threshold_asks(seed: int = 3) -> list[Ask]:
    rng = random.Random(seed)
    asks: list[Ask] = []
    for day, start in enumerate(days(DAYS)):
        for number in range(2):
            at = start + rng.randrange(8 * HOUR_MS)
            asks += session(rng, at, f"day{day}-session{number}", requests=40, first=5_000, grows=(800, 2_600))
        asks += (question(rng, start + each * 5 * MINUTE_MS, f"day{day}-question{each}") for each in range(15))
    return asks


# Haiku's drafts for Opus are mostly thrown away.
DRAFTS = """\
[[rule]]
name = "small jobs"
match = { background = true }
target = "anthropic/claude-haiku-4-5"

[[rule]]
name = "thought through"
match = { model-matches = "claude-opus*" }
target = "anthropic/claude-opus-4-5"
cascade = { draft = "anthropic/claude-haiku-4-5", threshold = 0.7 }

[default]
target = "anthropic/claude-sonnet-4-5"
"""


def draft_asks(seed: int = 4) -> list[Ask]:
    rng = random.Random(seed)
    asks = sound_asks(seed)
    for day, start in enumerate(days(DAYS)):
        for number in range(20):
            at = start + rng.randrange(9 * HOUR_MS)
            asks.append(question(rng, at, f"day{day}-thought{number}", tokens=(2_000, 12_000), model="claude-opus-4-5"))
    return asks


# Continuous integration asks Haiku what people ask Sonnet, and Haiku answers as well.
SIBLING = """\
[[rule]]
name = "small jobs"
match = { background = true }
target = "anthropic/claude-haiku-4-5"

[[rule]]
name = "ci"
match = { tag = "ci" }
target = "anthropic/claude-haiku-4-5"

[[rule]]
name = "questions"
match = { tool-use = false }
target = "anthropic/claude-sonnet-4-5"

[default]
target = "anthropic/claude-sonnet-4-5"
"""


def sibling_asks(seed: int = 5) -> list[Ask]:
    rng = random.Random(seed)
    asks = sound_asks(seed)
    for day, start in enumerate(days(DAYS)):
        for number in range(16):
            at = start + rng.randrange(9 * HOUR_MS)
            asks.append(question(rng, at, f"day{day}-ci{number}", tokens=(300, 8_000), tags=["ci"]))
            asks.append(question(rng, at + HOUR_MS, f"day{day}-people{number}", tokens=(300, 8_000)))
    return asks


# Every few requests a long conversation goes to a model that has nothing of it in a cache.
LOST_CACHE = """\
[[rule]]
name = "what people say"
match = { tool-use = true, tool-result = false }
target = "groq/llama-3.3-70b-versatile"

[default]
target = "anthropic/claude-sonnet-4-5"
"""


def lost_cache_asks(seed: int = 6) -> list[Ask]:
    rng = random.Random(seed)
    asks: list[Ask] = []
    for day, start in enumerate(days(DAYS)):
        for number in range(2):
            at = start + rng.randrange(8 * HOUR_MS)
            asks += session(
                rng, at, f"day{day}-session{number}", requests=25, first=60_000, turn_of=3,
                pause_ms=(20_000, 3 * MINUTE_MS), max_tokens=8_000,
            )  # fmt: skip
    return asks
