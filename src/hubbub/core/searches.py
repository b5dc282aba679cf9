"""Searches wait for their turn: the log is asked for one of each address at a time, and for none that nobody wants."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from hubbub.core.model import Search
from hubbub.errors import Busy

WAITING = 32  # searches of an address that may wait: everybody in a class behind one router searches at once

Done = Callable[[Any], None]
Read = Callable[[Search, Done], None]


class Searches:
    """The searches of everybody here.

    Args:
        read: asks the log; calls back, later and once, with what was found or a BrokerError.

    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._waiting: dict[str, deque[tuple[Search, Done, Callable[[], bool]]]] = {}  # of addresses that search

    def ask(self, address: str, query: Search, done: Done, wanted: Callable[[], bool] = lambda: True) -> None:
        """Search when the address has its turn.

        Args:
            address: where the question comes from; those from "" wait for nothing.
            query: the question.
            done: called with the answer; with Busy at once if too many questions wait already.
            wanted: asked when the turn comes; if nobody wants the answer any more, `done` is not called.

        """
        if not address:
            self._read(query, done)
            return
        waiting = self._waiting.setdefault(address, deque())
        if len(waiting) > WAITING:
            done(Busy("too many searches from your address are waiting"))
            return
        waiting.append((query, done, wanted))
        if len(waiting) == 1:
            self._begin(address)

    def _begin(self, address: str) -> None:
        """Ask the log the first question of an address that is still wanted; it stays in front until it is answered."""
        waiting = self._waiting[address]
        while waiting and not waiting[0][2]():
            waiting.popleft()
        if not waiting:
            del self._waiting[address]
            return
        query, done, _ = waiting[0]

        def answered(result: Any) -> None:
            done(result)
            waiting.popleft()
            self._begin(address)

        self._read(query, answered)
