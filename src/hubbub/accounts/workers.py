"""Threads for slow work, such as hashing passwords: as many at once as there are, a bounded queue, and no more."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

NICE = 10  # priority of the threads: the chat goes first

Job = Callable[[], Any]


class Workers:
    """Threads that do jobs in the order in which they came.

    A job occupies its thread until it has ended, also if nobody waits for its result any more: a client that
    disconnects frees nothing that it still uses.

    Args:
        threads: the greatest number of jobs under way.
        waiting: the greatest number of jobs that wait.
        deliver: calls a function with values on the loop's thread (call_soon_threadsafe).
        name: the name of the threads.

    """

    def __init__(self, threads: int, waiting: int, deliver: Callable[..., object], name: str) -> None:
        self._most = threads
        self._bound = waiting
        self._deliver = deliver
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Job, Callable[[Any], None]] | None] = queue.SimpleQueue()
        self._threads = 0
        self._pending = 0  # jobs that wait or are under way; only the loop's thread counts

    def do(self, job: Job, done: Callable[[Any], None]) -> bool:
        """Do a job, and call `done` with its result on the loop's thread; return False if too many are waiting.

        If the job raises an exception, it is logged, and the result is None.
        """
        if self._pending >= self._most + self._bound:
            return False
        self._pending += 1

        def finished(result: Any) -> None:
            self._pending -= 1
            done(result)

        if self._threads < min(self._most, self._pending):
            self._threads += 1
            # Daemon threads: a program that does not answer must not keep the process from ending.
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        self._jobs.put((job, finished))
        return True

    def stop(self) -> None:
        """End the threads after the jobs that were given."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while given := self._jobs.get():
            job, finished = given
            try:
                result = job()
            except Exception:
                log.exception("a job of %s failed", self._name)
                result = None
            with contextlib.suppress(RuntimeError):  # the loop is closed, and no caller waits any more
                self._deliver(finished, result)
