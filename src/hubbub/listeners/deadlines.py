"""One timer for the deadlines of all connections: a timer each would be an eighth of what a connection costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

STEP = 1 / 16  # seconds: a deadline is kept at most so much too late; a power of two, so that nothing is rounded


class Due(Protocol):
    """What has a deadline."""

    slot: int  # when it is due, in steps of the clock; 0: never. Only Deadlines writes it.

    def tick(self) -> None:
        """Keep the deadline: it is over."""
        ...


class Deadlines:
    """Calls `tick` on whom is due.

    Args:
        loop: the running loop.
        clock: returns seconds that never go back.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._slots: dict[int, dict[Due, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0  # the slot for which the timer is set

    def set(self, due: Due, seconds: float) -> None:
        """Call `due.tick` in so many seconds, instead of when it was to be called before."""
        self.clear(due)
        slot = due.slot = int((self._clock() + seconds) / STEP) + 1
        self._slots.setdefault(slot, {})[due] = None
        if self._timer is None or slot < self._next:
            self._arm(slot)

    def clear(self, due: Due) -> None:
        """Do not call `due.tick`."""
        slot = self._slots.get(due.slot)
        if slot is not None:
            slot.pop(due, None)
            if not slot:
                del self._slots[due.slot]
        due.slot = 0

    def _arm(self, slot: int) -> None:
        if self._timer:
            self._timer.cancel()
        self._next = slot
        self._timer = self._loop.call_later(max(0.0, slot * STEP - self._clock()), self._run)

    def hasten(self, due: Due, seconds: float) -> None:
        """Call `due.tick` in so many seconds, unless it is to be called before."""
        if not due.slot or int((self._clock() + seconds) / STEP) + 1 < due.slot:
            self.set(due, seconds)

    def _run(self) -> None:
        self._timer = None
        now = self._clock() / STEP
        try:
            while self._slots and (slot := min(self._slots)) <= now:
                while dues := self._slots.get(slot):
                    due = next(iter(dues))
                    self.clear(due)
                    due.tick()
        finally:
            if self._slots:
                self._arm(min(self._slots))
