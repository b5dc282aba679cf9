"""Limit the acts of all connections from one address together, in addition to the limits of each connection.

The limits are high enough for a class behind one router, or for thirty browsers that open four connections each. A full
bucket is forgotten, so the memory is bounded by the current activity, and by MOST.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

from hubbub.model.rates.throttle import Throttle
from hubbub.text import refusals

MOST = 4096  # buckets of a kind; the least recently used ones are removed first
WIDER = 4  # a /56 of IPv6 may do this many times as much as one of its /64

# Seconds in which an empty bucket is full again.
LINES_SECONDS = 10.0
CONNECTIONS_SECONDS = 15.0
JOINS_SECONDS = 60.0
ROOMS_SECONDS = 3600.0


@lru_cache(1024)
def scopes(address: str) -> tuple[tuple[str, int], ...]:
    """Return the scopes that an address is counted in, each with its limit as a multiple of one address's limit.

    Args:
        address: an IPv4 address, or a network of IPv6 (the /64 of a household).

    """
    if "/" not in address:
        return ((address, 1),)
    wide = ipaddress.IPv6Network(address).supernet(new_prefix=56)
    return (address, 1), (str(wide), WIDER)


class Buckets:
    """A bucket for each address, and a wider one for each /56 of IPv6.

    Args:
        burst: acts at once; 0 means without limit.
        seconds: the time in which an empty bucket is full again.
        clock: returns seconds that never go back.

    """

    def __init__(self, burst: float, seconds: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._seconds = seconds
        self._clock = clock
        self._buckets: dict[str, Throttle] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def charge(self, address: str, cost: float = 1.0) -> float:
        """Count an act, and return the seconds to wait before the next one, until the debt is paid.

        The debt is at most one burst, so the wait is never longer than the time in which a bucket fills.
        """
        delay = 0.0
        for bucket in self._of(address) if self._burst else ():
            delay = max(delay, bucket.charge(cost, self._clock()))
            if bucket.tokens < -bucket.burst:
                bucket.tokens, delay = -bucket.burst, self._seconds
        return delay

    def take(self, address: str) -> float:
        """Count an act and return 0.0, or count none and return the seconds until it is allowed."""
        now = self._clock()
        buckets = self._of(address)
        delay = max((bucket.charge(1.0, now) for bucket in buckets), default=0.0)
        if delay:
            for bucket in buckets:
                bucket.tokens += 1.0
        return delay

    def _of(self, address: str) -> list[Throttle]:
        """Return the buckets of an address; an empty list without an address or without a limit."""
        if not self._burst or not address:
            return []
        now = self._clock()
        found = []
        for scope, times in scopes(address):
            bucket = self._buckets.pop(scope, None)
            if bucket is None:
                self._make_room(now)
                burst = self._burst * times
                bucket = Throttle(burst / self._seconds, burst, now)
            self._buckets[scope] = bucket  # the most recently used one
            found.append(bucket)
        return found

    def _make_room(self, now: float) -> None:
        if len(self._buckets) < MOST:
            return
        full = [scope for scope, bucket in self._buckets.items() if not bucket.missing(now)]
        for scope in full or list(islice(self._buckets, MOST // 4)):
            del self._buckets[scope]


class Budget:
    """All buckets of a server.

    Args:
        clock: returns seconds that never go back.
        lines: lines that are read at once from an address; further lines are read later.
        connections: connections that are accepted at once.
        joins: joins of rooms at once; after more of them, the next command is read later.
        rooms: rooms that are opened at once.

    """

    def __init__(
        self, clock: Callable[[], float], lines: float = 0, connections: float = 0, joins: float = 0, rooms: float = 0
    ) -> None:
        self.lines = Buckets(lines, LINES_SECONDS, clock)
        self.connections = Buckets(connections, CONNECTIONS_SECONDS, clock)
        self.joins = Buckets(joins, JOINS_SECONDS, clock)
        self.rooms = Buckets(rooms, ROOMS_SECONDS, clock)

    def open_room(self, address: str) -> None:
        """Count the opening of a new room from an address.

        Raises:
            Refused: too many rooms were opened from this address; another one may be opened later.

        """
        if seconds := self.rooms.take(address):
            raise refusals.TOO_MANY_NEW_ROOMS(seconds=seconds)
