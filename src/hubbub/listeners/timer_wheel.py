"""One timer for the deadlines of all connections: a timer each would be an eighth of what a connection costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Protocol

STEP = 1 / 16  # seconds: a deadline is kept at most this much too late; a power of two, so that nothing is rounded
AT_ONCE = 100  # entries that are served in one turn of the loop; the others wait for the next turn


class Timed(Protocol):
    """What has a deadline."""

    slot: int  # when it is due, in steps of the clock; 0: never. Only Deadlines writes it.

    def on_timer(self) -> None:
        """Keep the deadline: it is over."""
        ...


class TimerWheel:
    """Calls `tick` on every entry that is due.

    One turn of the loop serves an entry at most once, and a bounded number of entries: whatever `tick` does, the loop
    gets back to its other work.

    Args:
        loop: the running loop.
        clock: returns seconds that never go back.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._slots: dict[int, dict[Timed, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0  # the slot for which the timer is set

    def set(self, due: Timed, seconds: float) -> None:
        """Call `due.on_timer` in so many seconds, and no longer when it was to be called before.

        The deadline always lies in the future: a negative number of seconds counts as 0.
        """
        self.clear(due)
        slot = due.slot = self._slot(seconds)
        self._slots.setdefault(slot, {})[due] = None
        if self._timer is None or slot < self._next:
            self._arm(slot)

    def clear(self, due: Timed) -> None:
        """Do not call `due.on_timer`."""
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
        """Call `due.on_timer` in so many seconds, unless it is to be called before."""
        if not due.slot or self._slot(seconds) < due.slot:
            self.set(due, seconds)

    def _slot(self, seconds: float) -> int:
        """Return the first slot that begins after this time from now."""
        return int((self._clock() + max(0.0, seconds)) / STEP) + 1

    def _run(self) -> None:
        self._timer = None
        now = int(self._clock() / STEP)  # entries that are set from here on get a later slot
        past = (due for slot in sorted(slot for slot in self._slots if slot <= now) for due in self._slots[slot])
        try:
            for due in list(islice(past, AT_ONCE)):
                if 0 < due.slot <= now:  # not cleared or put off by a tick before it
                    self.clear(due)
                    due.on_timer()
        finally:
            if self._slots:
                self._arm(min(self._slots))
