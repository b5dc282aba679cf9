"""Users that no node has, although the log has their joins to loaded rooms, and no leaves.

A node may die before it has announced a user whose join is in the log, and the node that publishes the leaves of its
users may die before they are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

ORPHANS = 10_000  # maximum users whose membership in the log may have no node


class _Membership(NamedTuple):
    """A membership of an orphan in a room.

    Args:
        seq: the number of the join.
        nick: the user's nick.
        host: the user's cloak.
        since: the time from which on no node has the user.

    """

    seq: int
    nick: str
    host: str
    since: float


class Orphan(NamedTuple):
    """A user whom no node has.

    Args:
        prefix: the prefix of the user's ids.
        nick: the user's nick.
        host: the user's cloak.
        rooms: the ids of the rooms, with the numbers of the joins.

    """

    prefix: str
    nick: str
    host: str
    rooms: dict[str, int]


class Orphans:
    """The users whom no node has, at most ORPHANS.

    Args:
        ticks: returns the seconds of a monotonic clock.

    """

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._rooms: dict[str, dict[str, _Membership]] = {}  # by the prefix of the user's ids, and by room id

    def add(self, prefix: str, room: str, seq: int, nick: str, host: str) -> None:
        """Note that no node has the user whose join of a loaded room has the number `seq`."""
        if prefix in self._rooms or len(self._rooms) < ORPHANS:
            self._rooms.setdefault(prefix, {})[room] = _Membership(seq, nick, host, self._ticks())

    def found(self, prefix: str) -> None:
        """Forget a user: a node has them."""
        self._rooms.pop(prefix, None)

    def left(self, prefix: str, room: str) -> None:
        """Forget a membership: the log has its end."""
        if rooms := self._rooms.get(prefix):
            rooms.pop(room, None)
            if not rooms:
                del self._rooms[prefix]

    def ended(self, host: str, room: str) -> None:
        """Forget the memberships of the owner of an account in a room: the log has the end of them all."""
        for prefix, rooms in list(self._rooms.items()):
            if room in rooms and rooms[room].host == host:
                self.left(prefix, room)

    def forget(self, room: str) -> None:
        """Forget all memberships of a room: the leaves in its log are not seen here any more."""
        for prefix in list(self._rooms):
            self.left(prefix, room)

    def take(self, seconds: float) -> list[Orphan]:
        """Remove and return the users whom no node has had for a number of seconds, in any of their rooms."""
        before = self._ticks() - seconds
        due = [prefix for prefix, rooms in self._rooms.items() if all(one.since <= before for one in rooms.values())]
        taken = []
        for prefix in due:
            rooms = self._rooms.pop(prefix)
            one = next(iter(rooms.values()))
            taken.append(Orphan(prefix, one.nick, one.host, {room: place.seq for room, place in rooms.items()}))
        return taken
