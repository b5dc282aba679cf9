"""The order of searches: one at a time for each address, a few in all, and a bounded number that wait.

A search may have to read much of the log. The addresses take turns, so that the searches of one address do not delay
those of all others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from hubbub.errors import BrokerError, Busy
from hubbub.model.queries import Search

WAITING = 32  # waiting searches of one address, which may be a whole class behind one router
WAITING_IN_ALL = 128  # waiting searches of all addresses

Done = Callable[[Any], None]


class SearchScheduler:
    """Starts the searches of a broker in turn. All calls are on the loop's thread.

    Args:
        start: begins a search, and calls back later with a LogPage or a BrokerError.
        at_once: the number of searches that may run at the same time.

    """

    def __init__(self, start: Callable[[Search, Done], None], at_once: int) -> None:
        self._start = start
        self._at_once = at_once
        self._waiting: dict[str, deque[tuple[Search, Done]]] = {}  # by address; the first address is next
        self._under_way: set[str] = set()  # addresses whose search is running
        self._loop = asyncio.get_running_loop()

    def ask(self, query: Search, done: Done) -> None:
        """Queue a search, and call `done` later with its result; with Busy if too many searches wait already."""
        address = query.asker.address if query.asker else ""
        if len(self._waiting.get(address, ())) >= WAITING:
            self._loop.call_soon(done, Busy("too many searches from your address are waiting"))
            return
        if sum(map(len, self._waiting.values())) >= WAITING_IN_ALL:
            self._loop.call_soon(done, Busy("too many searches are waiting"))
            return
        self._waiting.setdefault(address, deque()).append((query, done))
        self._go_on()

    def _go_on(self) -> None:
        for address in list(self._waiting):
            if len(self._under_way) >= self._at_once:
                return
            if address in self._under_way:
                continue
            queue = self._waiting.pop(address)
            query, done = queue.popleft()
            if queue:
                self._waiting[address] = queue  # behind those of other addresses
            self._under_way.add(address)
            if query.asker and query.asker.closed:
                self._loop.call_soon(self._ended, address, done, BrokerError("the search was cancelled"))
            else:
                self._start(query, partial(self._ended, address, done))

    def _ended(self, address: str, done: Done, result: Any) -> None:
        self._under_way.discard(address)
        try:
            done(result)
        finally:
            self._go_on()
