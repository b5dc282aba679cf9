"""Users of other nodes: they hold names and are members of rooms here as well, but have no sessions here.

Lists, masks and room modes treat them like the users of this node. Events for them go to their own node.

In which rooms they are is known from two sides: their node reports it, and the logs of the rooms that are loaded here
say it. Both give the number of a join or a leave in the log, and the highest number counts, whoever says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

from hubbub.chat.core import Core
from hubbub.chat.session import Posting, Room, User
from hubbub.model.entries import Draft, Entry, Joined, Kicked, Left
from hubbub.model.events import Event, Private
from hubbub.model.ids import leave_for, process_of, user_of
from hubbub.text.names import key_of

ORPHANS = 10_000  # maximum users whose membership in the log may have no node
FRESH = 60.0  # seconds up to which a join in the log is taken for a new one; older ones were imported or read late


def _nowhere(user: User, event: Private, done: Callable[[bool | None], None]) -> None:
    done(None)


@dataclass(frozen=True, slots=True)
class Person:
    """The description of a user that nodes exchange; the fields are those of User."""

    nick: str
    host: str = ""
    address: str = ""
    real: str = ""
    away: str = ""
    modes: str = ""
    operator: bool = False
    since: float = 0.0
    active: float = 0.0
    rooms: tuple[str, ...] = ()
    id: str = field(default="", compare=False)
    id_prefix: str = field(default="", compare=False)  # "" for a user of an older version
    joins: tuple[int, ...] = ()  # the numbers of the joins of `rooms`; missing for a user of an older version

    @property
    def places(self) -> dict[str, int]:
        """The user's rooms, with the numbers of the joins; 0 for an unknown number."""
        return dict(zip_longest(self.rooms, self.joins[: len(self.rooms)], fillvalue=0))  # type: ignore[arg-type]


class Place(NamedTuple):
    """The knowledge about a remote user in a room.

    Args:
        seq: the number of the join or leave in the log that says it.
        inside: whether the user is a member.
        reported: whether the user's node has said that the user is a member, and not only the log.

    """

    seq: int
    inside: bool
    reported: bool


class Orphan(NamedTuple):
    """A membership of a user that no node has: the log has the join, and no leave.

    Args:
        seq: the number of the join.
        nick: the user's nick.
        host: the user's cloak.
        since: the time from which on no node has the user, in epoch seconds.

    """

    seq: int
    nick: str
    host: str
    since: float


def person(user: User) -> Person:
    """Return the description of a user of this node for other nodes."""
    places = {room.name: seq for room in user.rooms.values() if (seq := room.members.get(user, 0))}
    return Person(
        user.nick,
        user.host,
        user.address,
        user.real,
        user.away,
        "".join(sorted(user.modes)),
        user.operator,
        user.since,
        user.active,
        tuple(places),
        user.id,
        user.id_prefix,
        tuple(places.values()),
    )


class RemoteUsers:
    """The users of all other nodes, their sessions and their rooms."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.rooms: dict[str, dict[User, int]] = {}  # by room that has any: its remote members, and their joins
        self._places: dict[User, dict[str, Place]] = {}  # of each remote user, by room
        self._authors: dict[str, User] = {}  # the users of all nodes who are here, by the prefix of their ids
        # Called with a remote user, and the old away text and real name, after one of them has changed.
        self.described: list[Callable[[User, str, str], None]] = []
        # Called with a remote user, and the loaded room of which the user became a member.
        self.on_arrival: list[Callable[[User, Room], None]] = []
        # Called with an ephemeral entry (such as a typing notice), for the members on other nodes.
        self.signal: Callable[[Entry], None] = lambda entry: None
        # Called with a remote user, and an event for all sessions of the user.
        self.send: Callable[[User, Event], None] = lambda user, event: None
        # Called with a remote user, a private message for them, and a callback for the result: whether the message was
        # delivered, or None if that is not known.
        self.deliver: Callable[[User, Private, Callable[[bool | None], None]], None] = _nowhere
        # Returns whether this node may publish joins of its users; if not, `rejoin` is called when it may.
        self.may_speak: Callable[[], bool] = lambda: True
        # The members of this node whose membership the log has ended, for example because this node was cut off. They
        # are here still, so they join again.
        self._ended: dict[tuple[User, Room], None] = {}
        # By the prefix of the ids, and by room: a node may die before it has announced a user whose join is in the
        # log, and the node that publishes the leaves of its users may die before they are stored.
        self._orphans: dict[str, dict[str, Orphan]] = {}
        # Called with a remote user whose sessions are to be ended, and the reason.
        self.expel: Callable[[User, str], None] = lambda user, reason: None
        core.presence.append(self._note_author)

    def _note_author(self, user: User, before: str) -> None:
        if user.present and user.id_prefix:
            self._authors[user.id_prefix] = user
            self._orphans.pop(user.id_prefix, None)
        elif self._authors.get(user.id_prefix) is user:
            del self._authors[user.id_prefix]

    def add(self, who: Person) -> User:
        """Add a user that arrived on another node, and return them."""
        user = User(who.nick, is_remote=True)
        user.present = True
        self._describe(user, who)
        self._core.nicks.note(user)
        for tell in self._core.presence:
            tell(user, "")
        self._places[user] = {}
        self._report(user, who.places)
        return user

    def update(self, user: User, who: Person) -> None:
        """Apply a new description of a remote user: the details, a rename, and the rooms."""
        before, away, real = user.nick, user.away, user.real
        self._describe(user, who)
        if before != who.nick:
            self._core.nicks.forget(user)
            user.nick = who.nick
            self._core.nicks.note(user)
            for room in user.rooms.values():
                room.state.move_status(user, before)
            for tell in self._core.presence:
                tell(user, before)
        self._report(user, who.places)
        if (away, real) != (user.away, user.real):
            for described in self.described:
                described(user, away, real)

    def remove(self, user: User) -> None:
        """Remove a remote user that has left, or whose node is gone."""
        user.present = False
        now = self._core.clock()
        for name, seq in self.places(user).items():
            if seq and user.id_prefix and name in self._core.loaded:
                self._note_orphan(user.id_prefix, name, Orphan(seq, user.nick, user.host, now))
        for name in list(self._places[user]):
            self._forget(user, name)
        del self._places[user]
        self._core.nicks.forget(user)
        for tell in self._core.presence:
            tell(user, "")

    def room_loaded(self, room: Room) -> None:
        """Make the remote users in a room that has just been loaded its members."""
        for user, seq in self.rooms.get(room.name, {}).items():
            room.add_member(user, seq)

    def room_unloaded(self, room: Room) -> None:
        """Detach the remote members from a room that is unloaded; they stay listed in `rooms`."""
        for user in self.rooms.get(room.name, ()):
            user.rooms.pop(room.id, None)
        for orphans in self._orphans.values():
            orphans.pop(room.name, None)  # their leaves are not seen here any more

    def places(self, user: User) -> dict[str, int]:
        """Return the rooms of a remote user, with the numbers of the joins."""
        return {name: place.seq for name, place in self._places[user].items() if place.inside}

    def move(self, before: str, to: str) -> None:
        """Rename a room. Some nodes may have reported members under the new name already; those are kept."""
        if before == to:
            return
        for orphans in self._orphans.values():
            if orphan := orphans.pop(before, None):
                orphans[to] = orphan
        early = self.rooms.pop(to, {})
        members = self.rooms.pop(before, {})
        for user in members:
            places = self._places[user]
            places[to] = places.pop(before)
        if members or early:
            self.rooms[to] = early | members
        if room := self._core.loaded.get(to):
            for user, seq in early.items():
                self._receive(room, user, seq)

    def _describe(self, user: User, who: Person) -> None:
        user.host, user.address = who.host, who.address
        user.real, user.away, user.modes, user.operator = who.real, who.away, frozenset(who.modes), who.operator
        user.id, user.id_prefix, user.since, user.active = who.id, who.id_prefix, who.since, who.active

    def follow(self, room: Room, entry: Entry) -> None:
        """Apply a join, leave or kick from a room's log to its author, or to the user that a kick names."""
        if isinstance(entry.body, Kicked):
            self._kick(room, entry.body)
            return
        prefix = user_of(entry.id)
        user = self._authors.get(prefix)
        if user is None:
            now = self._core.clock()
            if not isinstance(entry.body, Joined):
                self._orphans.get(prefix, {}).pop(entry.room, None)
            elif prefix and now - entry.time < FRESH:
                self._note_orphan(prefix, entry.room, Orphan(entry.seq, entry.nick, entry.host, now))
            return
        joins = isinstance(entry.body, Joined)
        if user.is_remote:
            known = self._places[user].get(entry.room)
            if known is None or entry.seq > known.seq:
                self._set(user, entry.room, Place(entry.seq, joins, False))
        elif user in room.members and not self._waits_for(entry):
            # The leave was published by a node that takes the user for gone; the join is the answer to that.
            room.members[user] = entry.seq if joins else 0
            self._core.on_user_changed(user)
            if not joins:
                self._ended[user, room] = None
                if self.may_speak():
                    self.rejoin()

    def _note_orphan(self, prefix: str, room: str, orphan: Orphan) -> None:
        if prefix in self._orphans or len(self._orphans) < ORPHANS:
            self._orphans.setdefault(prefix, {})[room] = orphan

    def end_orphans(self, seconds: float) -> None:
        """Publish leaves for the users that no node has had for a number of seconds, although the log has their joins.

        A user of a node that is there is left to that node.
        """
        before = self._core.clock() - seconds
        due = {
            prefix: orphans
            for prefix, orphans in self._orphans.items()
            if all(orphan.since <= before for orphan in orphans.values())
        }
        if not due:
            return
        living = {process_of(prefix) for prefix in self._authors}
        for prefix, orphans in due.items():
            del self._orphans[prefix]
            if orphans and process_of(prefix) not in living:
                one = next(iter(orphans.values()))
                holder = self._core.users.get(key_of(one.nick))
                if holder is None or holder.id_prefix:  # else it may be this user, on a node of an older version
                    id = leave_for(prefix, min(orphan.seq for orphan in orphans.values()))
                    self.publish_leaves(id, one.nick, one.host, orphans)

    def publish_leaves(self, id: str, nick: str, host: str, rooms: Iterable[str]) -> None:
        """Publish leaves of a remote user whose node is gone, as one event under an id."""
        for room in rooms:
            body = Left("connection lost", quit=True)
            self._core.pipeline.add(Posting(Draft(room, nick, body, id, host, must_store=True)))

    def _kick(self, room: Room, kick: Kicked) -> None:
        """Take a kicked user out of a room at once; their node says in the end whether it meant this one."""
        user = self._core.kicked_user(room, kick)
        if user and user.is_remote and (known := self._places[user].get(room.name)):
            self._set(user, room.name, known._replace(inside=False))

    def _waits_for(self, entry: Entry) -> bool:
        """Return whether a session here published an entry and waits for it: it takes effect with its posting."""
        posting = self._core.pipeline.find(entry)
        return posting is not None and posting.session is not None

    def rejoin(self) -> None:
        """Publish joins for users of this node that are still here, although the log says that they have left.

        A user that is about to lose its name is left out: `Naming.lose_name` lets it join under the new name.
        """
        ended, self._ended = self._ended, {}
        for user, room in ended:
            here = user.present and room.id in user.rooms
            if here and key_of(user.nick) not in self._core.nicks.losing:
                self._core.rejoin(user, room.name)

    def _report(self, user: User, rooms: Mapping[str, int]) -> None:
        """Apply a report of a node: the rooms of one of its users, with the numbers of the joins."""
        places = self._places[user]
        # A join that is known here under another name than in the report: its room has been renamed, and the log of the
        # room has yet to say so. Until then the old name may mean another room there.
        renamed = {
            place.seq: name
            for name, place in places.items()
            if place.seq and place.inside and name in self._core.loaded
        }
        for name, seq in rooms.items():
            known = places.get(name)
            if renamed.get(seq, name) == name and (known is None or seq >= known.seq):
                self._set(user, name, Place(seq, True, True))
        kept = {*rooms, *(renamed[seq] for seq in rooms.values() if seq in renamed)}
        for name in [name for name in places if name not in kept]:
            # A join that only the log has told may be newer than the report, so it is for the log to end it.
            if places[name].reported or name not in self._core.loaded:
                self._forget(user, name)

    def _forget(self, user: User, name: str) -> None:
        self._set(user, name, self._places[user][name]._replace(inside=False))
        del self._places[user][name]

    def _set(self, user: User, name: str, place: Place) -> None:
        """Note the knowledge about a remote user in a room; make the user a member of it, or a member no more."""
        self._places[user][name] = place
        members = self.rooms.setdefault(name, {})
        was = user in members
        room = self._core.loaded.get(name)
        if place.inside:
            members[user] = place.seq
            if room and was:
                room.members[user] = place.seq
            elif room:
                self._receive(room, user, place.seq)
        elif was:
            del members[user]
            if room:
                room.remove_member(user)
        if not members:
            del self.rooms[name]

    def _receive(self, room: Room, user: User, seq: int) -> None:
        room.add_member(user, seq)
        for came in self.on_arrival:
            came(user, room)
