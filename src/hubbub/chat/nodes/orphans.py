"""Users that no node has, although the log has their joins to loaded rooms, and no leaves.

A node may die before it has announced a user whose join is in the log, and the node that publishes the leaves of its
users may die before they are stored. If all nodes die at once, none is left to publish any: the next node that loads a
room finds the joins among its newest entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from hubbub.chat.core import Core
from hubbub.chat.session import Room, User
from hubbub.model.entries import Entry, Left
from hubbub.model.ids import leave_for, process_of, user_of
from hubbub.model.room.absent import open_joins
from hubbub.text.names import key_of

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


Leave = Callable[[str, str, str, Iterable[str]], None]


class Orphans:
    """The users whom no node has, at most ORPHANS.

    Args:
        core: the users, the clock and the pipeline.
        authors: the users of all nodes who are here, by the prefixes of their ids.
        leave: publishes leaves: with an id, a nick and a host, in the rooms with these ids.

    """

    def __init__(self, core: Core, authors: Mapping[str, User], leave: Leave) -> None:
        self._core = core
        self._authors = authors
        self._leave = leave
        # Whether there may be other nodes; else a user without a leave is known to be gone, and no node asks for it.
        self.has_nodes = False
        self._rooms: dict[str, dict[str, _Membership]] = {}  # by the prefix of the user's ids, and by room id
        self._nicks: dict[tuple[str, str], str] = {}  # the prefixes, by the room id and the folded nick

    def add(self, prefix: str, room: str, seq: int, nick: str, host: str) -> None:
        """Note that no node has the user whose join of a loaded room has the number `seq`."""
        if prefix in self._rooms or len(self._rooms) < ORPHANS:
            self._rooms.setdefault(prefix, {})[room] = _Membership(seq, nick, host, self._core.ticks())
            self._nicks[room, key_of(nick)] = prefix

    def found(self, prefix: str) -> None:
        """Forget a user: a node has them."""
        for room in list(self._rooms.get(prefix, ())):
            self.left(prefix, room)

    def left(self, prefix: str, room: str) -> None:
        """Forget a membership: the log has its end."""
        rooms = self._rooms.get(prefix, {})
        if one := rooms.pop(room, None):
            self._nicks.pop((room, key_of(one.nick)), None)
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

    def note_loaded(self, room: Room, recent: Sequence[Entry]) -> None:
        """Note each user that no node has and that one of the newest entries of a loaded room lets join."""
        for prefix, join in open_joins(recent).items() if self.has_nodes else ():
            if prefix not in self._authors and join.host not in self._core.owners:
                self.add(prefix, room.id, join.seq, join.nick, join.host)

    def end_former(self, user: User, room: Room) -> None:
        """End the membership of the user who had the nick of one who joins a room now.

        A name is free for another user when the node of its former holder is gone.
        """
        if prefix := self._nicks.get((room.id, key_of(user.nick))):
            one = self._rooms[prefix][room.id]
            if one.host not in self._core.owners:
                self.left(prefix, room.id)
                self._leave(leave_for(prefix, one.seq), one.nick, one.host, [room.id])

    def end(self, seconds: float) -> None:
        """Publish leaves for the users that no node has had for a number of seconds, although the log has their joins.

        A user of a node that is there is left to that node.
        """
        orphans = self._take(seconds)
        living = {process_of(prefix) for prefix in self._authors} if orphans else set()
        for one in orphans:
            # The owner of an account may have come back, perhaps on another node.
            if process_of(one.prefix) in living or one.host in self._core.owners or self._leaves(one):
                continue
            holder = self._core.users.get(key_of(one.nick))
            if holder is None or holder.id_prefix:  # else it may be this user, on a node of an older version
                self._leave(leave_for(one.prefix, min(one.rooms.values())), one.nick, one.host, one.rooms)

    def _leaves(self, orphan: Orphan) -> bool:
        """Return whether this node has published a leave of a user that is not stored yet."""
        drafts = (posting.draft for posting in self._core.pipeline)
        return any(type(draft.body) is Left and user_of(draft.id) == orphan.prefix for draft in drafts)

    def _take(self, seconds: float) -> list[Orphan]:
        """Remove and return the users whom no node has had for a number of seconds, in any of their rooms."""
        before = self._core.ticks() - seconds
        due = [prefix for prefix, rooms in self._rooms.items() if all(one.since <= before for one in rooms.values())]
        taken = []
        for prefix in due:
            rooms = dict(self._rooms[prefix])
            self.found(prefix)
            one = next(iter(rooms.values()))
            taken.append(Orphan(prefix, one.nick, one.host, {room: place.seq for room, place in rooms.items()}))
        return taken
