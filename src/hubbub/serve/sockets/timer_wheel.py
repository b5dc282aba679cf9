"""One timer for the deadlines of all connections. A timer for each would make up an eighth of a connection's cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Protocol

# Seconds per slot. A deadline is served at most this much too late. A power of two avoids rounding errors.
STEP = 1 / 16
AT_ONCE = 100  # deadlines served in one iteration of the event loop; the others wait for the next one


class Timed(Protocol):
    """An object that has a deadline."""

    slot: int  # due time in steps of the clock, 0 for never; only TimerWheel writes it

    def on_timer(self) -> None:
        """Handle the deadline, which has passed and is cleared."""
        ...


class TimerWheel:
    """Calls `on_timer` on every object whose deadline has passed.

    One iteration of the event loop serves an object at most once, and at most AT_ONCE objects. So the loop returns to
    its other work even if every `on_timer` sets a new deadline.

    Args:
        loop: the running event loop.
        clock: returns monotonic seconds.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._slots: dict[int, dict[Timed, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0  # the slot for which the timer is set

    def set(self, due: Timed, seconds: float) -> None:
        """Call `due.on_timer` after a number of seconds, instead of at its earlier deadline.

        The deadline always lies in the future: a negative number of seconds counts as 0.
        """
        self.clear(due)
        slot = due.slot = self._slot(seconds)
        self._slots.setdefault(slot, {})[due] = None
        if self._timer is None or slot < self._next:
            self._arm(slot)

    def clear(self, due: Timed) -> None:
        """Remove the deadline of `due`, if it has one."""
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

    def advance(self, due: Timed, seconds: float) -> None:
        """Call `due.on_timer` after a number of seconds, unless its deadline is earlier already."""
        if not due.slot or self._slot(seconds) < due.slot:
            self.set(due, seconds)

    def _slot(self, seconds: float) -> int:
        """Return the first slot that begins more than this number of seconds from now."""
        return int((self._clock() + max(0.0, seconds)) / STEP) + 1

    def _run(self) -> None:
        self._timer = None
        now = int(self._clock() / STEP)  # deadlines set from here on get a later slot
        past = (due for slot in sorted(slot for slot in self._slots if slot <= now) for due in self._slots[slot])
        try:
            for due in list(islice(past, AT_ONCE)):
                if 0 < due.slot <= now:  # an earlier on_timer may have cleared or postponed it
                    self.clear(due)
                    due.on_timer()
        finally:
            if self._slots:
                self._arm(min(self._slots))
