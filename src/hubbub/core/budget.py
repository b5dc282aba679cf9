"""What everything from one address may do together, beside what each connection may.

The sizes let a class behind one router, or thirty browsers that open four connections each, notice nothing. A bucket
that is full again need not be remembered, so memory is bounded by what is going on, and by MOST.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

from hubbub.core.throttle import Throttle
from hubbub.errors import Refused

MOST = 4096  # buckets of a kind that are kept; those that were used longest ago go first
WIDER = 4  # times as much as a /64 of IPv6 may do, all of its /56 may together

# Seconds in which an empty bucket is full again.
LINES_SECONDS = 10.0
CONNECTIONS_SECONDS = 15.0
JOINS_SECONDS = 60.0
ROOMS_SECONDS = 3600.0


@lru_cache(1024)
def scopes(address: str) -> tuple[tuple[str, int], ...]:
    """Return what an address is counted as, and how many times as much as one address each of these may do.

    Args:
        address: an IPv4 address, or a network of IPv6 (the /64 that a household has).

    """
    if "/" not in address:
        return ((address, 1),)
    wide = ipaddress.IPv6Network(address).supernet(new_prefix=56)
    return (address, 1), (str(wide), WIDER)


class Buckets:
    """A bucket for each address, and a wider one for each /56 of IPv6.

    Args:
        burst: acts at once; 0 means without limit.
        seconds: in which an empty bucket is full again.
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
        """Note an act, and return the seconds until nothing is owed for it: the next act should wait so long.

        At most one burst is owed, so that nobody waits longer than it takes to fill a bucket.
        """
        delay = 0.0
        for bucket in self._of(address):
            delay = max(delay, bucket.charge(cost, self._clock()))
            if bucket.tokens < -bucket.burst:
                bucket.tokens, delay = -bucket.burst, self._seconds
        return delay

    def take(self, address: str) -> float:
        """Note an act and return 0.0; or note none, and return the seconds until it may be done."""
        now = self._clock()
        buckets = self._of(address)
        delay = max((bucket.charge(1.0, now) for bucket in buckets), default=0.0)
        if delay:
            for bucket in buckets:
                bucket.tokens += 1.0
        return delay

    def _of(self, address: str) -> list[Throttle]:
        """Return the buckets of an address; of none, or without limit, there are none."""
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
            self._buckets[scope] = bucket  # the last one to be forgotten
            found.append(bucket)
        return found

    def _make_room(self, now: float) -> None:
        if len(self._buckets) < MOST:
            return
        full = [scope for scope, bucket in self._buckets.items() if not bucket.missing(now)]
        for scope in full or list(islice(self._buckets, MOST // 4)):
            del self._buckets[scope]


class Budget:
    """The buckets of a server.

    Args:
        clock: returns seconds that never go back.
        lines: taken at once from an address; more are taken later.
        connections: accepted at once.
        joins: of rooms, at once; after more, the next command is taken later.
        rooms: opened at once.

    """

    def __init__(
        self, clock: Callable[[], float], lines: float = 0, connections: float = 0, joins: float = 0, rooms: float = 0
    ) -> None:
        self.lines = Buckets(lines, LINES_SECONDS, clock)
        self.connections = Buckets(connections, CONNECTIONS_SECONDS, clock)
        self.joins = Buckets(joins, JOINS_SECONDS, clock)
        self.rooms = Buckets(rooms, ROOMS_SECONDS, clock)

    def open_room(self, address: str) -> None:
        """Note that a new room is opened from an address.

        Raises:
            Refused: too many were opened from there; none may be opened now.

        """
        if seconds := self.rooms.take(address):
            text = f"Too many rooms were opened from your address. Try again in {seconds:.0f} s."
            raise Refused("too-many-new-rooms", text)
