"""Threads for slow work, such as hashing passwords: as many jobs at once as there are threads, and a bounded queue.

The addresses for which jobs wait take turns, so an address that gives many makes the others wait for a few of them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

NICE = 10  # priority of the threads: the chat goes first

Job = Callable[[], Any]
Given = tuple[Job, Callable[[Any], None]]  # a job, and the function that gets its result


class Workers:
    """Threads that do jobs: those of an address in the order in which they came, and the addresses in turns.

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
        self._jobs: queue.SimpleQueue[Given | None] = queue.SimpleQueue()  # those that threads do next
        self._threads = 0
        # Only the loop's thread uses these: the number of jobs under way, and the jobs that wait, by address. The
        # address whose turn is next comes first.
        self._under_way = 0
        self._waiting: dict[str, deque[Given]] = {}

    def do(self, job: Job, done: Callable[[Any], None], address: str = "") -> bool:
        """Do a job for an address, and call `done` with its result on the loop's thread; return False if it cannot be.

        If the job raises an exception, it is logged, and the result is None. The result is also None if too many jobs
        are waiting, and one of an address with fewer jobs took the place of this one.
        """
        if self._under_way < self._most:
            self._begin((job, done))
            return True
        if sum(map(len, self._waiting.values())) >= self._bound and not self._make_room(address):
            return False
        self._waiting.setdefault(address, deque()).append((job, done))
        return True

    def _make_room(self, address: str) -> bool:
        """Drop the newest job of the address with the most, if it has more than another address would have then."""
        most = max(self._waiting.values(), key=len, default=deque[Given]())
        if len(most) <= len(self._waiting.get(address, ())) + 1:
            return False
        self._deliver(most.pop()[1], None)
        return True

    def _begin(self, given: Given) -> None:
        self._under_way += 1
        if self._threads < min(self._most, self._under_way):
            self._threads += 1
            # Daemon threads: a program that does not answer must not keep the process from ending.
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        self._jobs.put(given)

    def _ended(self, done: Callable[[Any], None], result: Any) -> None:
        """Begin the next job, that of the address whose turn it is, and hand over the result of the one that ended."""
        self._under_way -= 1
        if self._waiting:
            address = next(iter(self._waiting))
            given = self._waiting.pop(address)
            self._begin(given.popleft())
            if given:
                self._waiting[address] = given
        done(result)

    def stop(self) -> None:
        """End the threads after the jobs that are under way."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while given := self._jobs.get():
            job, done = given
            try:
                result = job()
            except Exception:
                log.exception("a job of %s failed", self._name)
                result = None
            with contextlib.suppress(RuntimeError):  # the loop is closed, and no caller waits any more
                self._deliver(self._ended, done, result)
