"""Watch the event loop: measure its lag, and log the call that has blocked it for more than a second.

A timer of the loop runs ten times a second, and a thread checks it. Messages cost nothing extra.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from itertools import islice
from types import FrameType

log = logging.getLogger("hubbub")

BEAT = 0.1  # seconds between two beats of the loop's timer
LIMIT = 1.0  # a beat that is at least this many seconds late is an incident
GIVE_UP = 5.0  # seconds after which an unfinished incident is logged
FRAMES = 8  # innermost stack frames that are logged


class Watchdog:
    """A context manager that watches the running event loop.

    Args:
        note: called on the loop with the lag of each beat, in seconds.

    """

    def __init__(self, note: Callable[[float], None]) -> None:
        self._note = note
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hubbub-watchdog", daemon=True)
        self._lock = threading.Lock()  # the thread or the loop logs an incident, only once
        self._due = 0.0  # due time of the next beat
        self._cpu = 0.0  # CPU time of the loop's thread at the last beat
        self._stack = ""  # the loop's stack in this incident
        self._told = False  # this incident is logged

    def __enter__(self) -> Watchdog:
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._expect()
        self._timer = self._loop.call_later(BEAT, self._beat)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._over.set()
        self._thread.join(LIMIT)

    # --- on the loop ----------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        lag = max(0.0, time.monotonic() - self._due)
        self._note(lag)
        if lag >= LIMIT:
            # Without a stack, the watching thread did not run either. Either one long call has held the GIL, or the
            # whole process was stopped or got no CPU time, which is not the fault of a callback.
            busy = time.thread_time() - self._cpu >= LIMIT / 2
            if self._stack or busy:
                self._tell(self._due, lag, "")
        self._expect()
        self._timer = self._loop.call_later(BEAT, self._beat)

    def _expect(self) -> None:
        with self._lock:
            self._due = time.monotonic() + BEAT
            self._cpu = time.thread_time()
            self._stack, self._told = "", False

    # --- on the thread --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            before = time.monotonic()
            if self._over.wait(BEAT):
                return
            now, due = time.monotonic(), self._due
            if now - due < LIMIT or now - before > LIMIT / 2:  # the thread itself was late
                continue
            stack = self._stack or summary(sys._current_frames().get(self._ident))
            with self._lock:
                if due == self._due:
                    self._stack = stack
            if now - due >= GIVE_UP:
                self._tell(due, now - due, ", and still does")

    def _tell(self, due: float, lag: float, more: str) -> None:
        with self._lock:
            if self._told or due != self._due:
                return
            self._told = True
            where = self._stack or "one call that kept all threads from running"
        log.warning("The server stood still for %.1f s%s: %s", lag, more, where)


def summary(frame: FrameType | None) -> str:
    """Return a stack as one line, the innermost call first."""
    calls = islice(traceback.walk_stack(frame), FRAMES) if frame else ()
    return " < ".join(
        f"{called.f_code.co_name} ({called.f_code.co_filename.rpartition('/')[2]}:{line})" for called, line in calls
    )
