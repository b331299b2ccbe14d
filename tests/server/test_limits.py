"""What a profile's limits let in, have wait and refuse: the arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import Refused, TooManyRequests, Unavailable
from router.profile.profile import Limits
from router.server.limits import Limiter, Minute, Place

# --- a minute ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.lists(st.integers(0, 40), max_size=60))
def test_no_sixty_seconds_have_more_than_the_limit(most: int, gaps: list[int]) -> None:
    minute, now = Minute(), 0
    let_in: list[int] = []

    def latest(time: float) -> int:
        return sum(time - 60 < each for each in let_in)

    for gap in gaps:
        now += gap
        wait_s = minute.wait_s(most, now)
        if not wait_s:
            minute.note(now)
            let_in.append(now)
            continue
        assert latest(now) >= most, "refused although there was room"
        assert latest(now + wait_s) < most <= latest(now + wait_s - 1), "the wait is the true one"
    assert all(sum(start <= time < start + 60 for time in let_in) <= most for start in let_in)


def test_a_lower_limit_counts_what_was_let_in_before() -> None:
    minute = Minute()
    for now in range(5):
        assert minute.wait_s(5, now) == 0
        minute.note(now)
    assert minute.wait_s(2, 10) == 53.0  # until the fourth is a minute ago
    assert minute.wait_s(None, 10) == 0


# --- places -----------------------------------------------------------------------------------------------------------


class Door:
    """A limiter, and a clock."""

    def __init__(self, **limits: int) -> None:
        self.now = 0.0
        self.limits = Limits(**limits)
        self.limiter = Limiter("work", self.limits)
        self.told: dict[Place, Refused | None] = {}  # what those were told who waited
        self.begun: list[str] = []  # the keys of those who came in, in that order

    def comes(self, who: str = "a", *, key: bool = True) -> Place:
        place = self.limiter.enter(f"line {who}", who if key else None, self.now)
        if place.inside:
            self.begun.append(who)

        def told(why_not: Refused | None) -> None:
            assert place not in self.told, "told twice"
            self.told[place] = why_not
            self.begun += [who] if why_not is None else []

        place.told = told
        return place

    def goes(self, place: Place) -> None:
        self.limiter.leave(place, self.now)

    def changes(self, **limits: int) -> None:
        self.limits = Limits(**limits)
        self.limiter.use(self.limits, self.now)

    def refuses(self, who: str = "a", *, key: bool = True) -> TooManyRequests:
        with pytest.raises(TooManyRequests) as refused:
            self.comes(who, key=key)
        return refused.value


def test_as_many_as_may_are_inside_and_the_next_takes_the_place_of_the_first_that_goes() -> None:
    door = Door(concurrent_requests=2)
    first, second, third = door.comes(), door.comes(), door.comes()
    assert [first.inside, second.inside, third.inside] == [True, True, False]
    assert (door.limiter.inside, door.limiter.waiting) == (2, 1)
    door.now = 3.0
    door.goes(first)
    assert (third.inside, third.waited_s, door.told) == (True, 3.0, {third: None})
    for place in (first, second, third, third, first):
        door.goes(place)
    assert (door.limiter.inside, door.limiter.waiting) == (0, 0)


def test_keys_take_turns_in_the_queue() -> None:
    door = Door(concurrent_requests=1)
    place = door.comes("a")
    waiting = [door.comes(who) for who in "aaaabc"]
    for _ in waiting:
        door.goes(place)
        place = next(each for each in waiting if each.inside and not each.over)
    assert "".join(door.begun) == "aabcaaa"


def test_a_key_at_its_own_limit_keeps_nobody_else_waiting() -> None:
    door = Door(concurrent_requests=3, key_concurrent_requests=1)
    first, second, other = door.comes("a"), door.comes("a"), door.comes("b")
    assert [first.inside, second.inside, other.inside] == [True, False, True]
    door.goes(other)
    assert not second.inside
    door.goes(first)
    assert second.inside


def test_who_has_no_key_has_no_limit_of_its_own() -> None:
    door = Door(key_concurrent_requests=1, key_requests_per_minute=1)
    assert all(door.comes(key=False).inside for _ in range(5))


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    door = Door(concurrent_requests=2, queue=1)
    first = door.comes()
    door.now = 30.0
    door.goes(first)  # so long they take
    door.comes(), door.comes(), door.comes()
    error = door.refuses()
    assert (error.status, error.retry_after_s) == (429, 30.0)  # two places, two who wait, 30 s each
    assert str(error) == ("profile work: [limits] concurrent-requests = 2 is reached, and 1 wait; try again in 30 s")
    assert door.limiter.refused == {"concurrent-requests": 1}


def test_a_full_queue_of_the_keys_own_limit_says_so() -> None:
    door = Door(key_concurrent_requests=1, queue=0)
    door.comes("alice")
    for _ in range(2):
        assert "profile work, key alice: [limits.per-key] concurrent-requests = 1 is" in str(door.refuses("alice"))
    assert door.comes("bob").inside
    assert door.limiter.refused == {"per-key.concurrent-requests": 2}


def test_in_a_full_queue_the_longest_line_gives_way() -> None:
    door = Door(concurrent_requests=1, queue=3)
    door.comes("a")
    _, _, last = [door.comes("a") for _ in range(3)]
    late = door.comes("b")
    error = door.told[last]
    assert isinstance(error, TooManyRequests)
    assert last.over
    assert not late.over
    door.refuses("a")
    assert door.limiter.waiting == 3


def test_who_leaves_the_queue_makes_room_in_it() -> None:
    door = Door(concurrent_requests=1, queue=1)
    inside, waiting = door.comes(), door.comes()
    door.refuses()
    door.goes(waiting)
    later = door.comes()
    door.goes(inside)
    assert later.inside
    assert waiting not in door.told


def test_the_rate_is_told_with_the_true_wait() -> None:
    door = Door(requests_per_minute=2)
    door.comes()
    door.now = 10.0
    door.comes()
    door.now = 30.5
    error = door.refuses()
    assert error.retry_after_s == 29.5
    assert str(error) == "profile work: [limits] requests-per-minute = 2 is reached; try again in 30 s"
    door.now = 60.0
    assert door.comes().inside
    assert door.refuses().retry_after_s == 10.0


def test_of_two_rates_the_longer_wait_is_told_and_what_is_refused_counts_for_neither() -> None:
    door = Door(requests_per_minute=3, key_requests_per_minute=1)
    door.comes("alice")
    door.now = 20.0
    error = door.refuses("alice")
    assert error.retry_after_s == 40.0
    assert str(error).startswith("profile work, key alice: [limits.per-key] requests-per-minute = 1 is reached;")
    door.comes("bob")
    door.comes("carol")
    assert door.refuses("dave").retry_after_s == 40.0
    assert "[limits.per-key]" in str(door.refuses("carol")), "60 s for the key, 40 s for the profile"
    assert door.limiter.refused == {"per-key.requests-per-minute": 2, "requests-per-minute": 1}


def test_a_change_holds_at_once_and_sends_nobody_away() -> None:
    door = Door(concurrent_requests=1, queue=5)
    places = [door.comes() for _ in range(6)]
    door.changes(concurrent_requests=3, queue=0)
    assert [place.inside for place in places] == [True, True, True, False, False, False]
    door.refuses()
    door.changes(concurrent_requests=1)
    door.goes(places[0])
    assert not places[3].inside, "two are inside where one may be"
    door.changes()
    assert all(place.inside for place in places[1:])
    assert door.limiter.inside == 5


def test_who_waits_is_told_when_nobody_is_served_any_more() -> None:
    door = Door(concurrent_requests=1)
    inside, *waiting = (door.comes(who) for who in "aab")
    door.limiter.dismiss(lambda: Unavailable("closed"))
    assert [str(door.told[place]) for place in waiting] == ["closed", "closed"]
    door.goes(inside)
    assert (door.limiter.inside, door.limiter.waiting, door.begun) == (0, 0, ["a"])


COMES = st.tuples(st.just("comes"), st.sampled_from("abc-"))
GOES = st.tuples(st.just("goes"), st.integers(0, 10))
CHANGES = st.tuples(st.just("changes"), st.tuples(*[st.none() | st.integers(1, 3)] * 2, st.integers(0, 4)))


@given(st.lists(COMES | COMES | COMES | GOES | GOES | CHANGES, max_size=80))
def test_whatever_happens_places_are_counted_and_nobody_waits_in_vain(steps: list[tuple[str, Any]]) -> None:
    door = Door()
    there: list[Place] = []

    def inside(key: str | None) -> int:
        """Who has a place, of one key or in all."""
        return sum(place.inside and key in (None, place.key) for place in there)

    def may_come(key: str | None) -> bool:
        most, of_key = door.limits.concurrent_requests, door.limits.key_concurrent_requests
        return (most is None or inside(None) < most) and (key is None or of_key is None or inside(key) < of_key)

    for step, what in steps:
        if step == "comes":
            key = None if what == "-" else what
            room, waiting = may_come(key), door.limiter.waiting
            try:
                place = door.comes(what, key=key is not None)
            except TooManyRequests:
                assert not room
                assert waiting >= door.limits.queue
            else:
                assert place.inside == room
                there.append(place)
        elif step == "goes" and there:
            door.goes(there.pop(what % len(there)))
        elif step == "changes":
            most, of_key, queue = what
            door.changes(concurrent_requests=most, key_concurrent_requests=of_key, queue=queue)
        there = [place for place in there if not place.over]  # in a full queue one gives way
        assert (door.limiter.inside, door.limiter.waiting) == (inside(None), len(there) - inside(None))
        assert not any(may_come(place.key) for place in there if not place.inside), "one waits though there is room"
    for place in there:
        door.goes(place)
    assert (door.limiter.inside, door.limiter.waiting, dict(door.limiter._inside_of)) == (0, 0, {})
