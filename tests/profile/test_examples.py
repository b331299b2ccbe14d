"""Files as a person would write them at first: they load as they stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.profile.load import Loaded
from router.profile.profile import Profile

Load = Callable[..., Loaded]
Good = Callable[..., Profile]

FIRST = """
[[rule]]
match = { tool-use = true }
to = "anthropic"
model = "claude-sonnet-4-5"

[[rule]]
match = { input-tokens-lt = 2000 }
to = "groq"
model = "llama-3.3-70b-versatile"

[[rule]]
match = { input-tokens-gt = 100000 }
to = "anthropic"
model = "claude-sonnet-4-5" # long context

[default]
to = "anthropic"
model = "claude-haiku-4-5"
"""
ALIASES = """
[aliases]
"fast-model" = "anthropic/claude-haiku-4-5"
"claude-sonnet-4" = { target = "minimax/MiniMax-M2", pin = true, fallback = ["anthropic/claude-haiku-4-5"] }
"""
STRATEGIES = """
[routing]
strategy = "adaptive"
[adaptive]
weights = { success = 0.5, latency = 0.3, speed = 0.2 }
min-requests = 20
explore = 0.05
half-life = "30m"
max-first-token = "10s"
min-success = 0.8
[[rule]]
match = "tokens > 100000 and not thinking"
targets = ["anthropic/claude-sonnet-4-5", { target = "openai/gpt-5", weight = 3 }]
strategy = "weighted"
"""
FAILURES = """
[retry]
attempts = 2            # per candidate
total = 3               # upstream attempts for one request, all candidates together
backoff = "250ms"       # doubles, full jitter; Retry-After and rate-limit resets win
max-delay = "10s"       # with another candidate left, go there instead of waiting
deadline = "120s"       # no new attempt starts after this; a running one is not cut
[timeouts]
connect = "5s"
first-event = "60s"     # of a stream while another candidate is left
first-event-last = "300s"
whole = "600s"          # a reply that isn't streamed
idle = "300s"           # between two chunks; comments and pings count as life
[breaker]
failures = 3            # opens when at least this many and
ratio = 0.5             # this share of the calls in the window failed
window = "60s"
cooldown = "30s"        # then one probe; its verdict decides for everyone waiting
"""
CASCADE = """
[[rule]]
match = { model-matches = "claude-*sonnet*" }
target = "anthropic/claude-sonnet-4-5"                     # the verifier
cascade = { draft = "anthropic/claude-haiku-4-5", threshold = 0.7 }
"""
MONEY = """
[budget]
daily-usd = 20.0
monthly-usd = 300.0
mode = "expected"        # reserve the learned p95 of output; overshoot bounded and stated | "strict"
on-exceed = "block"      # "warn" | "block" (429; reset time in the text and in x-router-reset) | "degrade"
degrade-to = "groq/llama-3.3-70b-versatile"
[limits]
requests-per-minute = 120
concurrent-requests = 16
queue = 64
[limits.per-key]
requests-per-minute = 30
"""
SETTINGS = """
version = 1
[profile]
description = "daily work"
agent = "claude-code"     # what `router run work` starts
port = 8081               # also listen here; "auto" takes a free one and remembers it
front = "headroom"        # a helper that stands before the router: run, env and setup point agents at it
log-level = "info"
[auth]
keys = "required"
key = "env:PROXY_API_KEY" # one fixed key besides those of `router key`
[providers.anthropic]     # override a provider of the catalog for this profile
base-url = "http://127.0.0.1:8787"        # e.g. a compressing hop in front of the provider
api-key = "env:WORK_ANTHROPIC_KEY"        # or api-keys = [ … ]
[providers.lab]           # or add one (the same keys as in providers.toml)
formats = ["openai-chat", "openai-responses", "anthropic-messages"]   # the wire formats it speaks, best first
base-url = "http://127.0.0.1:9000/v1"     # as its SDK takes it
anthropic-base-url = "http://127.0.0.1:9000"   # where it differs per format; gemini-base-url likewise
auth = "bearer"           # "bearer" | "x-api-key" | "x-goog-api-key" | "api-key"
[routing]
script = "route.py"       # def route(request, config) -> "provider/model" | None
"""
SCRIPT = {"route.py": "def route(request, config):\n    return None\n"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(FIRST, id="a first file"),
        pytest.param(FIRST + ALIASES, id="aliases"),
        pytest.param(STRATEGIES, id="strategies"),
        pytest.param(FAILURES, id="retry, timeouts and breaker"),
        pytest.param(CASCADE, id="a cascade"),
        pytest.param(MONEY, id="budgets and limits"),
        pytest.param(SETTINGS, id="all settings"),
        pytest.param(SETTINGS + FIRST + ALIASES + FAILURES + CASCADE.replace("\n", "\n\n") + MONEY, id="all together"),
    ],
)
def test_it_loads_as_it_stands(text: str, good: Good) -> None:
    # A [[rule]] may stand behind other tables; the order of tables means nothing.
    good(text, SCRIPT)


def test_the_first_files_rules_are_in_order_and_have_their_labels(good: Good) -> None:
    profile = good(FIRST)
    assert [rule.label for rule in profile.routes.rules] == [
        "tool-use → anthropic",
        "input-tokens-lt → groq",
        "input-tokens-gt → anthropic",
    ]
    assert profile.routes.default is not None
    assert profile.routes.default.label == "default → anthropic"
    assert profile.warnings == ()


def test_a_provider_of_ones_own_has_its_addresses(good: Good) -> None:
    lab = good(SETTINGS, SCRIPT).providers["lab"]
    assert lab.base_urls == {
        "openai-chat": "http://127.0.0.1:9000/v1",
        "openai-responses": "http://127.0.0.1:9000/v1",
        "anthropic-messages": "http://127.0.0.1:9000",
    }
