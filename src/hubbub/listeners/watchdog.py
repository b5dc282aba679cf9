"""Watches the event loop: how late it is, and what it was doing when it stood still for more than a second.

The loop beats ten times a second; a thread looks at the beat. Neither costs anything for a message.
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

BEAT = 0.1  # seconds between two beats of the loop
LIMIT = 1.0  # seconds: a beat that is later than this is an incident
GIVE_UP = 5.0  # seconds after which an incident is logged though it is not over
FRAMES = 8  # of the stack that are logged, the innermost ones


class Watchdog:
    """A context in which the running loop is watched.

    Args:
        note: called with the lag of each beat, in seconds.

    """

    def __init__(self, note: Callable[[float], None]) -> None:
        self._note = note
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hubbub-watchdog", daemon=True)
        self._lock = threading.Lock()  # an incident is logged by the thread or by the loop, and once
        self._due = 0.0  # when the next beat is due
        self._cpu = 0.0  # CPU time of the loop's thread at the last beat
        self._stack = ""  # what the loop was seen doing in this incident
        self._told = False  # this incident is in the log

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
            # Without a stack the thread did not run either: one long call kept all threads from running, or the whole
            # process was stopped or starved, which is no fault of a callback.
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
            if now - due < LIMIT or now - before > LIMIT / 2:  # a late thread knows nothing about the loop
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
