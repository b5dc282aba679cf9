"""One timer keeps everybody's deadlines: each in time, once, whatever the others do meanwhile."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from hubbub.serve.sockets.timer_wheel import AT_ONCE, STEP, TimerWheel


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Time:
    """A loop's timers and a clock, both moved by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.errors: list[Exception] = []
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (self.now + delay, next(self._order), timer))
        return timer

    @property
    def timers(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                self.now = max(self.now, when)
                try:
                    timer.call()
                except Exception as error:  # as a loop does, which only logs it
                    self.errors.append(error)
        self.now = end

    def jump(self, seconds: float) -> None:
        """Let time pass while the loop is busy, then let it look at its timers."""
        self.now += seconds
        self.advance(0.0)


class Somebody:
    """Notes when it was ticked, and then does something."""

    def __init__(self, time: Time, then: Callable[[], object] = lambda: None) -> None:
        self.slot = 0
        self.ticks: list[float] = []
        self.then = then
        self._time = time

    def on_timer(self) -> None:
        self.ticks.append(self._time.now - 1000.0)
        self.then()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def deadlines(time: Time) -> TimerWheel:
    loop: Any = time
    return TimerWheel(loop, time)


def kept(somebody: Somebody, *seconds: float) -> bool:
    """Whether it was ticked at these times, not before and at most a step after."""
    ticks = somebody.ticks
    return len(ticks) == len(seconds) and all(
        due <= tick <= due + STEP + 1e-6 for tick, due in zip(ticks, seconds, strict=True)
    )


@pytest.mark.parametrize("seconds", [0.0, 0.001, STEP, 0.9, 1.0, 60.0, 3600.0])
def test_a_deadline_is_kept_in_time_and_once(time: Time, deadlines: TimerWheel, seconds: float) -> None:
    somebody = Somebody(time)
    deadlines.set(somebody, seconds)
    time.advance(seconds - 0.01)
    assert not somebody.ticks or seconds < 0.01
    time.advance(7200.0)
    assert kept(somebody, seconds)
    assert somebody.slot == 0 and time.timers == 0


def test_many_share_one_timer(time: Time, deadlines: TimerWheel) -> None:
    crowd = [Somebody(time) for _ in range(100)]
    for number, somebody in enumerate(crowd):
        deadlines.set(somebody, (number * 37) % 100 * 0.3)
    assert time.timers == 1
    time.advance(60.0)
    assert all(kept(somebody, (number * 37) % 100 * 0.3) for number, somebody in enumerate(crowd))


def test_set_again_takes_the_place_of_the_first(time: Time, deadlines: TimerWheel) -> None:
    sooner, later = Somebody(time), Somebody(time)
    deadlines.set(sooner, 10.0)
    deadlines.set(sooner, 2.0)
    deadlines.set(later, 2.0)
    deadlines.set(later, 10.0)
    time.advance(60.0)
    assert kept(sooner, 2.0) and kept(later, 10.0)


def test_cleared_is_not_kept(time: Time, deadlines: TimerWheel) -> None:
    one, other = Somebody(time), Somebody(time)
    deadlines.set(one, 1.0)
    deadlines.set(other, 1.0)
    deadlines.clear(one)
    deadlines.clear(one)
    deadlines.clear(Somebody(time))
    time.advance(60.0)
    assert not one.ticks and kept(other, 1.0)


def test_an_earlier_one_that_was_cleared_does_not_hurt_the_later(time: Time, deadlines: TimerWheel) -> None:
    early, late = Somebody(time), Somebody(time)
    deadlines.set(early, 1.0)
    deadlines.set(late, 3.0)
    deadlines.clear(early)
    time.advance(60.0)
    assert kept(late, 3.0)


def test_whoever_sets_a_new_one_when_ticked_is_ticked_again(time: Time, deadlines: TimerWheel) -> None:
    somebody = Somebody(time)
    somebody.then = lambda: deadlines.set(somebody, 1.0) if len(somebody.ticks) < 3 else None
    deadlines.set(somebody, 1.0)
    time.advance(60.0)
    assert len(somebody.ticks) == 3 and somebody.ticks[2] <= 3 * (1.0 + STEP)


def test_a_new_one_set_in_a_tick_is_kept_though_others_are_due_later(time: Time, deadlines: TimerWheel) -> None:
    """As when a connection looks again in a second, while another's next look is in a minute."""
    busy, quiet = Somebody(time), Somebody(time)
    busy.then = lambda: deadlines.set(busy, 1.0) if len(busy.ticks) == 1 else None
    deadlines.set(busy, 1.0)
    deadlines.set(quiet, 60.0)
    time.advance(120.0)
    assert kept(quiet, 60.0)
    assert len(busy.ticks) == 2 and busy.ticks[1] <= busy.ticks[0] + 1.0 + STEP


@pytest.mark.parametrize("apart", [0.0, STEP, 5.0])
def test_cleared_by_anothers_tick_is_not_kept(time: Time, deadlines: TimerWheel, apart: float) -> None:
    """Also when the loop was busy, so that both were due already."""
    second = Somebody(time)
    first = Somebody(time, lambda: deadlines.clear(second))
    third = Somebody(time)
    deadlines.set(first, 1.0)
    deadlines.set(second, 1.0 + apart)
    deadlines.set(third, 8.0)
    time.jump(7.0)
    time.advance(60.0)
    assert first.ticks and not second.ticks
    assert not time.errors and kept(third, 8.0)


@pytest.mark.parametrize("apart", [0.0, STEP, 5.0])
def test_put_off_by_anothers_tick_is_kept_then(time: Time, deadlines: TimerWheel, apart: float) -> None:
    second = Somebody(time)
    first = Somebody(time, lambda: deadlines.set(second, 30.0))
    deadlines.set(first, 1.0)
    deadlines.set(second, 1.0 + apart)
    time.jump(7.0)
    time.advance(60.0)
    assert not time.errors and kept(second, 37.0)
    deadlines.set(second, 1.0)
    deadlines.clear(second)
    time.advance(60.0)
    assert len(second.ticks) == 1


@pytest.mark.parametrize("apart", [0.0, STEP, 5.0])
def test_a_tick_that_fails_takes_nobodys_deadline(time: Time, deadlines: TimerWheel, apart: float) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    first, second, third = Somebody(time, fail), Somebody(time), Somebody(time)
    deadlines.set(first, 1.0)
    deadlines.set(second, 1.0 + apart)
    deadlines.set(third, 30.0)
    time.advance(60.0)
    assert kept(first, 1.0) and kept(second, 1.0 + apart) and kept(third, 30.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, -1e9])
def test_an_entry_that_is_always_due_is_served_once_in_each_turn_of_the_loop(
    time: Time, deadlines: TimerWheel, seconds: float
) -> None:
    somebody, other = Somebody(time), Somebody(time)
    somebody.then = lambda: deadlines.set(somebody, seconds)
    deadlines.set(somebody, seconds)
    deadlines.set(other, 1.0)
    time.advance(10.0)
    assert 0 < len(somebody.ticks) <= 10.0 / STEP + 1
    assert kept(other, 1.0)


def test_a_crowd_that_is_due_at_once_is_served_over_many_turns(time: Time, deadlines: TimerWheel) -> None:
    crowd = [Somebody(time) for _ in range(5 * AT_ONCE)]
    turns: list[int] = []
    serve = deadlines._run

    def counted() -> None:
        before = sum(len(somebody.ticks) for somebody in crowd)
        serve()
        turns.append(sum(len(somebody.ticks) for somebody in crowd) - before)

    deadlines._run = counted  # type: ignore[method-assign]
    for somebody in crowd:
        deadlines.set(somebody, 1.0)
    time.advance(60.0)
    assert sum(turns) == len(crowd) and max(turns) <= AT_ONCE
    assert all(kept(somebody, 1.0) for somebody in crowd)


def test_a_deadline_in_the_past_is_not_before_others(time: Time, deadlines: TimerWheel) -> None:
    late, soon = Somebody(time), Somebody(time)
    deadlines.set(late, 1.0)
    deadlines.advance(late, -5.0)
    deadlines.advance(soon, -5.0)
    time.advance(STEP)
    assert late.ticks and soon.ticks
