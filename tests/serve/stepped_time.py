"""The clock of connections and their deadlines, which stands still until the test lets it go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

from hubbub.serve.sockets.timer_wheel import TimerWheel
from hubbub.startup.app import App


class SteppedTimer:
    """A timer of the clock."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class SteppedTime:
    """The clock, and the part of an event loop that a TimerWheel needs."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, int, SteppedTimer]] = []
        self._numbers = count()

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> SteppedTimer:
        timer = SteppedTimer(lambda: callback(*args))
        heappush(self._timers, (self.now + delay, next(self._numbers), timer))
        return timer

    def step(self, seconds: float) -> None:
        """Let time pass; the running loop calls what is due then in its next turn."""
        self.now += seconds
        while self._timers and self._timers[0][0] <= self.now:
            timer = heappop(self._timers)[2]
            if not timer.cancelled:
                asyncio.get_running_loop().call_soon(timer.call)

    def rule(self, house: App) -> None:
        """Make this the clock of all connections of a server that has none yet."""
        house.shared.clock, house.shared.deadlines = self, TimerWheel(self, self)  # type: ignore[arg-type]
