"""What follows a failed call: again at the same target, on to the next candidate, or give up.

One table, ``POLICIES``, has a row for every failure class; ``next_step`` applies it to how far a request has got, and
``RetryBudget`` keeps the retries of all requests from multiplying an outage. All of this is for the time before an
answer has begun; afterwards nothing is ever repeated.

A *retry* is every call beyond a request's first, also one to another candidate: to the providers it is one more call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, assert_never

from router.health import classes

Same = Literal["no", "once", "yes", "other-key", "if-short-and-last", "if-asked"]
"""Whether the same target is called again. ``if-short-and-last``: no candidate is left, and the wait asked for, if any,
is within ``max_delay_s``; ``if-asked``: ``after_timeout`` is set."""

Following = Literal["no", "yes", "larger-window", "if-asked"]
"""Whether the next candidate is called. ``if-asked``: ``on_content_filter`` is "next"."""

Cooled = Literal["key", "key-and-model", "model", "target"]


@dataclass(frozen=True, slots=True)
class Cooldown:
    """What is left alone after a failure: for the wait the provider asked for if ``asked`` says that this counts, else
    for ``usual_s`` seconds (``None``: not at all)."""

    what: Cooled
    usual_s: float | None = None
    asked: bool = False

    def lasts_s(self, wait_s: float | None) -> float | None:
        """Seconds; ``None`` if nothing is to be left alone. ``wait_s`` is what the provider asked for."""
        return wait_s if self.asked and wait_s is not None else self.usual_s


@dataclass(frozen=True, slots=True)
class Policy:
    """What follows a failure of one class.

    ``breaker`` is the weight of the failure in the target's breaker; ``maybe_billed`` says that the provider may have
    worked and charged although there is no answer; ``relayed`` that an error reply of this class may be passed on as it
    is when nothing follows.
    """

    same: Same
    following: Following
    breaker: float = 0.0
    cooldown: Cooldown | None = None
    maybe_billed: bool = False
    relayed: bool = True

    @property
    def blames_key(self) -> bool:
        """Whether another key of the same target could do better."""
        return self.cooldown is not None and self.cooldown.what in ("key", "key-and-model")


POLICIES: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        classes.CONNECT: Policy("yes", "yes", 1.0),
        classes.TIMEOUT: Policy("if-asked", "yes", 1.0, maybe_billed=True),
        classes.OVERLOADED: Policy("once", "yes", 1.0, Cooldown("target", asked=True)),
        # Without any cooldown every request would be refused first, and its fallback would be a retry that isn't free.
        classes.RATE: Policy("if-short-and-last", "yes", cooldown=Cooldown("key-and-model", 2.0, asked=True)),
        classes.RAMP_UP: Policy("no", "yes", cooldown=Cooldown("key-and-model", 10.0, asked=True)),
        classes.QUOTA: Policy("no", "yes", cooldown=Cooldown("key", 300.0, asked=True)),
        # The router's key is nothing that a client could mend, so it isn't told about it in the provider's words.
        classes.AUTH: Policy("other-key", "yes", cooldown=Cooldown("key", 300.0), relayed=False),
        classes.AUTH_CLIENT: Policy("no", "no"),
        classes.NOT_FOUND: Policy("no", "yes", cooldown=Cooldown("model", 300.0)),
        classes.BAD_REQUEST: Policy("no", "no"),
        classes.CONTEXT_LENGTH: Policy("no", "larger-window"),
        classes.CONTENT_FILTER: Policy("no", "if-asked"),
        classes.SERVER: Policy("once", "yes", 1.0),
        classes.SOFT: Policy("no", "yes", 0.5, maybe_billed=True),
        classes.BROKEN_START: Policy("once", "yes", 1.0, maybe_billed=True),
        classes.BROKEN_STREAM: Policy("no", "no", 1.0, maybe_billed=True),
    }
)


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How often and how long to try again before an answer has begun; ``attempts`` per candidate, ``total`` in all."""

    attempts: int = 2
    total: int = 3
    backoff_s: float = 0.25
    max_delay_s: float = 10.0
    deadline_s: float = 120.0
    on_content_filter: Literal["relay", "next"] = "relay"
    after_timeout: bool = False  # whether a target that timed out (and may have charged) is called again


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed. ``wait_s`` is what the provider asked to wait; ``maybe_billed`` what is known of this call
    beyond its class."""

    error_class: str
    wait_s: float | None = None
    maybe_billed: bool = False

    @property
    def policy(self) -> Policy:
        """The row of the failure's class."""
        return POLICIES[self.error_class]

    @property
    def may_cost(self) -> bool:
        """Whether the call has to be marked as maybe billed."""
        return self.maybe_billed or self.policy.maybe_billed


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request has got, the failed call included. ``started`` and ``now`` are seconds of a monotonic clock.

    ``candidates_left`` counts those that are fit and not tried yet, ``larger_left`` those of them with a larger window
    than the one that failed, ``keys_left`` further usable keys of the one that failed.
    """

    here: int  # calls to this candidate
    total: int  # calls in all
    started: float
    now: float
    candidates_left: int = 0
    larger_left: int = 0
    keys_left: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """Call the same target after ``delay_s`` seconds, with another of its keys if ``other_key``."""

    delay_s: float
    other_key: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """Call the next candidate at once; with ``larger_window`` the next one whose window is larger."""

    larger_window: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing follows. ``why`` is for people: "the retry budget is used up"."""

    why: str


Step = Again | Next | GiveUp


def next_step(
    failure: Failure, progress: Progress, settings: RetrySettings, *, chance: Callable[[], float], budget_left: bool
) -> Step:
    """What follows a failed call.

    The same target comes first where its row allows that, with two exceptions for the sake of the candidates that are
    left: a provider that asks to be left alone isn't waited for, and a request's last call isn't spent on a target that
    has failed. When no candidate is left, a failure that blames a key only is answered with another key.

    ``chance`` gives numbers from 0 up to 1; ``budget_left`` is what the profile's ``RetryBudget`` says.
    """
    policy = failure.policy
    if policy.same == policy.following == "no":
        return GiveUp(f"no other call could do better ({failure.error_class})")
    if progress.total >= settings.total:
        return GiveUp(f"all {settings.total} attempts are used up")
    if progress.now - progress.started >= settings.deadline_s:
        return GiveUp(f"the deadline of {settings.deadline_s:g} s has passed")
    onward = _onward(failure, progress, settings)
    step = _again(failure, progress, settings, chance, last=isinstance(onward, GiveUp)) or onward
    if isinstance(step, GiveUp) or budget_left:
        return step
    return GiveUp("the retry budget is used up")


def _onward(failure: Failure, progress: Progress, settings: RetrySettings) -> Next | GiveUp:
    """The next candidate, or why there is none."""
    following = failure.policy.following
    if following == "larger-window":
        return Next(larger_window=True) if progress.larger_left else GiveUp("no candidate with a larger window is left")
    if following == "no" or (following == "if-asked" and settings.on_content_filter != "next"):
        return GiveUp(f"it is passed on as it is ({failure.error_class})")
    return Next() if progress.candidates_left else GiveUp("no candidate is left")


def _again(
    failure: Failure, progress: Progress, settings: RetrySettings, chance: Callable[[], float], *, last: bool
) -> Again | GiveUp | None:
    """Whether the same target is called once more; ``None`` leaves it to what comes after. ``last``: nobody does."""
    policy, asked_s = failure.policy, failure.wait_s or 0.0
    if progress.here >= settings.attempts or (not last and progress.total + 1 >= settings.total):
        return None
    if progress.keys_left and policy.blames_key and (last or policy.same == "other-key"):
        return Again(0.0, other_key=True)
    if not _repeats(policy.same, progress, settings, last=last) or (asked_s and not last):
        return None
    if asked_s > settings.max_delay_s:
        return GiveUp(f"it asks for a wait of {asked_s:.1f} s, more than {settings.max_delay_s:g} s")
    # A connection may fail by chance. If more is wrong there is nobody to be spared, and nothing to wait for here.
    at_once = failure.error_class == classes.CONNECT and progress.here == 1 and not last
    delay_s = asked_s or (0.0 if at_once else _backoff_s(progress.here, settings, chance))
    if progress.now + delay_s - progress.started >= settings.deadline_s:
        return GiveUp(f"a wait of {delay_s:.1f} s would pass the deadline") if last else None
    return Again(delay_s)


def _repeats(same: Same, progress: Progress, settings: RetrySettings, *, last: bool) -> bool:
    match same:
        case "yes":
            return True
        case "once":
            return progress.here == 1
        case "if-short-and-last":
            return last
        case "if-asked":
            return settings.after_timeout
        case "no" | "other-key":
            return False
    assert_never(same)


def _backoff_s(here: int, settings: RetrySettings, chance: Callable[[], float]) -> float:
    """Full jitter: anything between nothing and a limit that doubles with every call to this candidate."""
    return chance() * min(settings.max_delay_s, settings.backoff_s * 2.0 ** min(here - 1, 60))


class RetryBudget:
    """How many retries all requests of a profile may make together: a fifth of the requests of the last ten seconds, at
    least 25. So an outage of everything costs the providers at most a quarter more calls once there is real traffic.

    A share of the requests *under way* (a fifth, at least three) would bound too little and too much. Where calls fail
    within milliseconds and other candidates follow at once, hardly any are ever under way, so that each request could
    make all its attempts; and when one blip cuts ten agents' calls, seven of them would be left with an error. Rates
    hold for fast failures and for slow ones.
    """

    def __init__(self, *, share: float = 0.2, least: int = 25, window_s: int = 10) -> None:
        self._share = share
        self._least = least
        self._window_s = window_s
        self._seconds: deque[_Second] = deque()  # of the window, oldest first, those without traffic left out
        self._requests = 0
        self._retries = 0

    def enter(self, now: float) -> None:
        """Count a request that starts. ``now`` is in seconds of a monotonic clock."""
        self._at(now).requests += 1
        self._requests += 1

    def left(self, now: float) -> bool:
        """Whether another retry may be made."""
        self._forget(now)
        return self._retries < max(self._least, self._share * self._requests)

    def take(self, now: float) -> None:
        """Count a retry, from when it is decided; it may still have to wait."""
        self._at(now).retries += 1
        self._retries += 1

    def _at(self, now: float) -> _Second:
        self._forget(now)
        if not self._seconds or self._seconds[-1].number < int(now):
            self._seconds.append(_Second(int(now)))
        return self._seconds[-1]

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0].number <= int(now) - self._window_s:
            past = self._seconds.popleft()
            self._requests -= past.requests
            self._retries -= past.retries


@dataclass(slots=True)
class _Second:
    number: int
    requests: int = 0
    retries: int = 0
