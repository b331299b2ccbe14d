from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from router.health.classes import error_text
from router.health.waits import LONGEST_S, asked_wait_s
from tests.support.slow import within

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()
CASES = Path(__file__).resolve().parent.parent / "data" / "wire" / "cases"


def asked(*headers: tuple[str, str], message: str = "") -> float | None:
    return asked_wait_s(CIMultiDict(headers), now_utc=NOW, message=message)


SPELLINGS = [
    pytest.param("7", 7.0, id="seconds"),
    pytest.param(" 7 ", 7.0, id="with blanks around"),
    pytest.param("0.5", 0.5, id="a fraction of one"),
    pytest.param("33011.382867", 33011.382867, id="many, with a fraction (Cerebras)"),
    pytest.param("1s", 1.0, id="a duration in seconds"),
    pytest.param("250ms", 0.25, id="in milliseconds"),
    pytest.param("6m0s", 360.0, id="in minutes and seconds (OpenAI)"),
    pytest.param("1h2m3.5s", 3723.5, id="in hours, minutes and fractions"),
    pytest.param("2m59.56s", 179.56, id="Groq's"),
    pytest.param("4h17m", 15420.0, id="SambaNova's"),
    pytest.param("135h9m46s", 486586.0, id="days told in hours"),
    pytest.param("1d", 86400.0, id="a day"),
    pytest.param("Fri, 20 Nov 2026 12:00:30 GMT", 30.0, id="an HTTP date"),
    pytest.param("Friday, 20-Nov-26 12:00:30 GMT", 30.0, id="an HTTP date of RFC 850"),
    pytest.param("Fri Nov 20 12:00:30 2026", 30.0, id="an HTTP date of asctime"),
    pytest.param("2026-11-20T12:00:30Z", 30.0, id="RFC 3339 (Anthropic)"),
    pytest.param("2026-11-20T13:00:30.5+01:00", 30.5, id="RFC 3339 with a zone and a fraction"),
    pytest.param(f"{NOW + 90:.0f}", 90.0, id="seconds since 1970"),
    pytest.param(f"{(NOW + 90) * 1000:.0f}", 90.0, id="milliseconds since 1970 (OpenRouter)"),
]
NO_TIMES = [
    "", "soon", "-1", "-0.5", "+1", "NaN", "nan", "inf", "-inf", "1e9", "1e999", "1_000", "1,5", "1, 2", "0x10", "5 s",
    "s", "m5", "5x", "--", "99999999999999999999999999", "Fri, 99 Nov 2026 12:00:00 GMT", "2026-13-01T00:00:00Z",
    "Fri, 20 Nov 99999 12:00:00 GMT", "Fri, 20 Nov 2026 12:00:00 +9999999999", "2799360.5", "33d", "9" * 200,
    "Fri, 20 Nov 2030 12:00:00 GMT", "4102444800",
]  # fmt: skip


@pytest.mark.parametrize(("spelling", "expected"), SPELLINGS)
@pytest.mark.parametrize(
    "header", ["Retry-After", "x-ratelimit-reset", "ratelimit-reset", "X-RateLimit-Reset-Requests"]
)
def test_every_spelling_is_read_in_every_header(header: str, spelling: str, expected: float) -> None:
    assert asked((header, spelling)) == pytest.approx(expected)


@pytest.mark.parametrize("spelling", NO_TIMES)
@pytest.mark.parametrize("header", ["Retry-After", "x-ratelimit-reset"])
def test_what_is_no_time_asks_for_nothing(header: str, spelling: str) -> None:
    assert asked((header, spelling)) is None


@pytest.mark.parametrize("spelling", NO_TIMES)
def test_what_is_no_time_gives_way_to_what_is_one(spelling: str) -> None:
    assert asked(("Retry-After", spelling), ("x-ratelimit-reset-tokens", "3s")) == 3.0


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("810", 0.81),
        ("0.5", 0.0005),
        ("0", 0.0),
        ("86400000", 86400.0),
        ("1s", None),
        ("1e3", None),
        ("NaN", None),
        ("-5", None),
        ("9999999999", None),
    ],
)
def test_milliseconds_are_a_plain_number(spelling: str, expected: float | None) -> None:
    assert asked(("retry-after-ms", spelling)) == expected


@pytest.mark.parametrize(
    "spelling", ["0", "0.0", "Fri, 20 Nov 2026 11:59:59 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", "1000000000"]
)
def test_a_retry_after_that_has_passed_asks_to_come_at_once(spelling: str) -> None:
    assert asked(("Retry-After", spelling)) == 0.0


def test_the_longest_period_is_a_month() -> None:
    assert asked(("Retry-After", str(LONGEST_S))) == LONGEST_S
    assert asked(("Retry-After", str(LONGEST_S + 1))) is None


def test_nothing_said_is_no_wait() -> None:
    assert asked() is None
    assert asked(("Content-Type", "text/html"), ("x-request-id", "5")) is None


def test_names_of_headers_are_read_in_any_case_whatever_the_mapping() -> None:
    assert asked_wait_s({"RETRY-AFTER": "7"}, now_utc=NOW) == 7.0


SENTENCES = [
    pytest.param("Please try again in 810ms.", 0.81, id="OpenAI: milliseconds"),
    pytest.param("Limit 10000, Requested 3082. Please try again in 9.816s. Visit https://x.y", 9.816, id="OpenAI"),
    pytest.param("Please try again in 6m0s. Contact us", 360.0, id="OpenAI: minutes"),
    pytest.param("Please try again in 6.780999999s. Visit", 6.780999999, id="Groq"),
    pytest.param("Please try again in 23m58.56s. Need more tokens? Upgrade", 1438.56, id="Groq: minutes"),
    pytest.param("Please try again in 1h14m24s.", 4464.0, id="Groq: hours"),
    pytest.param("Please retry after 6 seconds. Please go here: https://aka.ms", 6.0, id="Azure"),
    pytest.param("limit: 15\nPlease retry in 38.922534355s.", 38.922534355, id="Google"),
    pytest.param("Try again in 1 minute and 30 seconds", 90.0, id="two words"),
    pytest.param("try again in 2 hours, 5 minutes", 7500.0, id="with a comma"),
    pytest.param("Try again in about 3 minutes.", 180.0, id="about"),
    pytest.param("Please wait 5 seconds before the next request", 5.0, id="wait"),
    pytest.param("Your limit resets in 3h12m", 11520.0, id="resets in"),
    pytest.param("You will regain access on 2026-12-01 at 00:00 UTC.", 907200.0, id="Anthropic: a day"),
    pytest.param("Your quota resets at 2026-11-20T12:01:00Z", 60.0, id="a moment"),
    pytest.param("Your limit will reset at 2026-11-21 18:55:29", None, id="a moment of nobody knows which zone"),
    pytest.param("Please try again later.", None, id="later"),
    pytest.param("retry after some time", None, id="some time"),
    pytest.param("Please try again in 5 samples", None, id="not every letter is a unit"),
    pytest.param("We retry 3 times, 20 seconds each", None, id="not every number is a wait"),
    pytest.param("Please try again in 99999 hours.", None, id="longer than a month"),
    pytest.param("try again in 20s and use 3 tools", 20.0, id="not more than the time"),
]


@pytest.mark.parametrize(("message", "expected"), SENTENCES)
def test_sentences_are_read(message: str, expected: float | None) -> None:
    assert asked(message=message) == (None if expected is None else pytest.approx(expected))


FIELDS = [
    pytest.param('{"error":{"details":[{"@type":"…RetryInfo","retryDelay":"34.4s"}]}}', 34.4, id="Google's RetryInfo"),
    pytest.param('{"details":[{"retryDelay": "34s"}], "message":"Please retry in 34.9s."}', 34.9, id="the longer one"),
    pytest.param('{"metadata":{"quotaResetDelay":"135h9m46s"}}', 486586.0, id="Google's code assist"),
    pytest.param('{"error":{"type":"usage_limit_reached","resets_in_seconds":1234}}', 1234.0, id="ChatGPT"),
    pytest.param(f'{{"error":{{"message":"used up","resets_at":{NOW + 60:.0f}}}}}', 60.0, id="a moment"),
    pytest.param(
        f'{{"error":{{"metadata":{{"headers":{{"X-RateLimit-Reset":"{(NOW + 60) * 1000:.0f}"}}}}}}}}',
        60.0,
        id="OpenRouter's header in the body",
    ),
    pytest.param('{"retry_after": 1.5}', 1.5, id="seconds"),
    pytest.param('{"retry_after_ms": 1500}', 1.5, id="milliseconds"),
    pytest.param('{"message":"{\\"retryDelay\\": \\"7s\\"}"}', 7.0, id="JSON within JSON"),
    pytest.param('{"retryDelay":"-5s"}', None, id="a negative one"),
    pytest.param('{"retryDelay":"NaN"}', None, id="not a number"),
    pytest.param('{"retryDelay":{"seconds":5}}', None, id="another shape"),
]


@pytest.mark.parametrize(("body", "expected"), FIELDS)
def test_fields_of_a_body_are_read_as_it_is_and_from_its_words(body: str, expected: float | None) -> None:
    wanted = None if expected is None else pytest.approx(expected)
    assert asked(message=body) == wanted
    assert asked(message=error_text(body.encode())) == wanted


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemini.google-gemini.google-429-retry-info", 34.4),
        ("openai-chat.documented.error-429-rate-limit", 0.81),
        ("openai-chat.openrouter.openrouter-errors-raised.1", None),
        ("openai-responses.openai.openai-error-1", None),
        ("anthropic-messages.anthropic.messages-testasyncstream-a8b7dbb8.1", None),
    ],
)
def test_recorded_errors(name: str, expected: float | None) -> None:
    response = json.loads((CASES / f"{name}.json").read_text("utf-8"))["response"]
    message = error_text(json.dumps(response["body"]).encode())
    assert asked(*response.get("headers", {}).items(), message=message) == expected


PRECEDENCE = [
    pytest.param(
        [("Retry-After", "1"), ("Retry-After-Ms", "810"), ("x-ratelimit-reset", "9")], "", 0.81, id="milliseconds first"
    ),
    pytest.param([("Retry-After", "2"), ("x-ratelimit-reset", "9")], "Try again in 5s", 2.0, id="then Retry-After"),
    pytest.param([("x-ratelimit-reset", "9")], "Please try again in 5s", 5.0, id="then the text"),
    pytest.param([("x-ratelimit-reset", "9")], "Please try again later", 9.0, id="then resets"),
    pytest.param([("Retry-After", "0"), ("x-ratelimit-reset", "9")], "Try again in 5s", 0.0, id="a wait of 0 is one"),
    pytest.param([("Retry-After-Ms", "x"), ("Retry-After", "x")], "Try again in 5s", 5.0, id="garbage is passed over"),
]


@pytest.mark.parametrize(("headers", "message", "expected"), PRECEDENCE)
def test_the_most_explicit_wins(headers: list[tuple[str, str]], message: str, expected: float) -> None:
    assert asked(*headers, message=message) == expected
    assert asked(*reversed(headers), message=message) == expected


RESETS = [
    pytest.param(
        {
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "7.66s",
        },
        7.66,
        id="Groq: only what is exhausted",
    ),
    pytest.param(
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        360.0,
        id="OpenAI: all that is exhausted",
    ),
    pytest.param(
        {
            "x-ratelimit-remaining-requests": "4999",
            "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-remaining-tokens": "159976",
            "x-ratelimit-reset-tokens": "9ms",
        },
        None,
        id="OpenAI: beside a failure that is no limit",
    ),
    pytest.param(
        {
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-11-20T12:00:59Z",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-11-20T12:00:20Z",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "anthropic-ratelimit-output-tokens-reset": "2026-11-20T12:00:00Z",
        },
        20.0,
        id="Anthropic: input tokens",
    ),
    pytest.param(
        {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": f"{NOW + 600:.0f}",
            "anthropic-ratelimit-unified-5h-status": "rejected",
            "anthropic-ratelimit-unified-5h-reset": f"{NOW + 600:.0f}",
            "anthropic-ratelimit-unified-7d-status": "allowed_warning",
            "anthropic-ratelimit-unified-7d-reset": f"{NOW + 90_000:.0f}",
        },
        600.0,
        id="Claude's subscription: the window that is used up",
    ),
    pytest.param(
        {
            "x-ratelimit-remaining-requests-day": "9500",
            "x-ratelimit-reset-requests-day": "33011.38",
            "x-ratelimit-remaining-tokens-minute": "0",
            "x-ratelimit-reset-tokens-minute": "11.5",
        },
        11.5,
        id="Cerebras: the minute",
    ),
    pytest.param(
        {"ratelimitbysize-remaining": "0", "ratelimitbysize-reset": "28"}, 28.0, id="Mistral: by size"
    ),
    pytest.param({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"}, 5.0, id="one limit for all"),
    pytest.param({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}, None, id="Azure: unknown"),
    pytest.param({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW - 5:.0f}"}, None, id="over already"),
    pytest.param({"x-ratelimit-limit-requests": "60"}, None, id="a limit is no reset"),
    pytest.param({"ratelimit": '"default";r=0;t=30'}, 30.0, id="the draft's one header"),
    pytest.param({"ratelimit": '"api";r=499;t=170'}, None, id="with something left"),
    pytest.param({"ratelimit": '"day";r=100;t=9000, "minute";r=0;t=30'}, 30.0, id="of two limits"),
    pytest.param({"ratelimit": "limit=100, remaining=0, reset=30"}, None, id="in its oldest spelling"),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "expected"), RESETS)
def test_resets_count_for_limits_that_are_exhausted(headers: dict[str, str], expected: float | None) -> None:
    assert asked(*headers.items()) == expected


SAID = st.text(max_size=40) | st.sampled_from([param.values[0] for param in SPELLINGS] + NO_TIMES) | st.from_regex(
    r"[0-9.]{1,12}(ms|[smhd])?", fullmatch=True
)  # fmt: skip
NAMES = st.sampled_from(
    ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-remaining", "ratelimit", "ratelimit-reset"]
)


@given(st.dictionaries(NAMES, SAID), SAID | st.sampled_from([param.values[0] for param in SENTENCES + FIELDS]))
@example({"retry-after": "٣"}, "")
@example({"ratelimit": "r=99999999999999999999;t=1"}, "")
def test_whatever_is_said_is_a_sensible_wait_or_none(headers: dict[str, str], message: str) -> None:
    wait = asked_wait_s(headers, now_utc=NOW, message=message)
    assert wait is None or (0 <= wait <= LONGEST_S and math.isfinite(wait))


@pytest.mark.parametrize("piece", ["1", "try again in ", "try again in 1s ", "in in in ", "retryDelay: ", "1h1m1s"])
def test_a_hostile_text_costs_little(piece: str) -> None:
    text = "try again in " + piece * (1_000_000 // len(piece))
    with within(0.25, clock=time.process_time):
        asked_wait_s({"retry-after": text, "ratelimit": "r=0;" * 25}, now_utc=NOW, message=text)
