"""The records of the ledger: one ``Intent`` and one ``Settlement`` a request, one ``AttemptRecord`` an upstream call.

Times are integer milliseconds of UTC; durations milliseconds; money integer nano-dollars. ``None`` is "unknown" or "not
reported", never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from router.wire.usage import Usage

Kind = Literal["generate", "count", "embed", "other"]
Outcome = Literal["ok", "client-error", "upstream-error", "refused", "client-gone", "partial", "drained", "interrupted"]
Role = Literal["primary", "retry", "fallback", "draft", "verifier"]
Verdict = Literal["accepted", "rejected"]


@dataclass(slots=True)
class Intent:
    """What is known before the provider is called. ``id`` is 32 hex digits, rising with time."""

    id: str
    kind: Kind
    time_ms: int
    profile: str
    rule: str
    rule_hash: str
    file_hash: str
    client: str
    key: str | None
    tags: str | None  # space-separated
    conversation: str | None
    api: str
    requested_model: str
    provider: str | None
    model: str | None
    stream: bool
    reason: str
    estimated_input: int | None = None
    held_nano_usd: int | None = None  # what budgets count for it as long as it is open
    charged_ms: int | None = None  # the moment in whose windows they count it, where that isn't ``time_ms``


@dataclass(slots=True)
class AttemptRecord:
    """One upstream call. ``number`` counts from 1 within its request.

    A judged draft has a ``verdict`` and a ``score`` from 0 to 1; one that failed or was cut off before has neither.
    ``saving_nano_usd`` is what the verifier would have charged for an accepted draft's usage, less the draft's cost;
    of any other draft minus its cost. It may be negative.
    """

    request_id: str
    number: int
    role: Role
    provider: str
    model: str
    key_name: str | None
    time_ms: int
    api: str = ""  # the wire format spoken with the provider
    status: int | None = None
    error_class: str | None = None
    maybe_billed: bool = False
    first_byte_ms: float | None = None
    duration_ms: float | None = None
    usage: Usage | None = None
    usage_raw: str | None = None
    cost_nano_usd: int | None = None
    list_nano_usd: int | None = None
    price_source: str | None = None
    response_id: str | None = None
    verdict: Verdict | None = None
    score: float | None = None
    saving_nano_usd: int | None = None
    reserved_nano_usd: int | None = None  # kept back for it in budgets, before it was made


@dataclass(slots=True)
class Settlement:
    """How a request ended. Sums over its attempts; ``usage`` is the served attempt's.

    ``cache_lost`` are the tokens that were held in the prompt cache of the target that the conversation left, ``None``
    where nothing was lost; ``cache_lost_nano_usd`` is what reading them there would have saved on their input price.
    ``held_nano_usd`` is what budgets count beside the cost: for calls that may be charged, nobody knows how much.
    ``at_default_nano_usd`` and ``at_requested_nano_usd`` are what the request would have cost at the profile's default
    and at the model that was asked for; ``baselines`` says how that was worked out (JSON, see ``money.savings``).
    """

    id: str
    outcome: Outcome
    status: int | None
    error_class: str | None = None
    usage: Usage | None = None
    usage_estimated: bool = False
    cost_nano_usd: int | None = None
    list_nano_usd: int | None = None
    price_source: str | None = None
    first_byte_ms: float | None = None
    duration_ms: float | None = None
    attempts: int = 0
    provider: str | None = None
    model: str | None = None
    dropped: str | None = None  # what translation left out, by the client's names, separated by commas
    trace: str | None = None  # why it went where it went, a line each: "order: …", "passed over: …"
    cache_lost: int | None = None
    cache_lost_nano_usd: int | None = None
    held_nano_usd: int | None = None
    at_default_nano_usd: int | None = None
    at_requested_nano_usd: int | None = None
    baselines: str | None = None
