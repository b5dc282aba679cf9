"""Users of other nodes: they hold names and are members of rooms here as well, but have no sessions here.

Lists, masks and room modes treat them like the users of this node. Events for them go to their own node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hubbub.chat.core import Core
from hubbub.chat.room import Room
from hubbub.chat.session import User
from hubbub.model.entries import Entry, Joined, Kicked, Left
from hubbub.model.events import Event, Private
from hubbub.text.names import key_of


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


def person(user: User) -> Person:
    """Return the description of a user of this node for other nodes."""
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
        tuple(user.rooms),
        user.id,
    )


class RemoteUsers:
    """The users of all other nodes, their sessions and their rooms."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.rooms: dict[str, dict[User, None]] = {}  # the remote members of rooms, by room: of each that has any
        self._places: dict[User, tuple[str, ...]] = {}  # the rooms of each remote user, as used here
        self._told: dict[User, tuple[str, ...]] = {}  # the rooms in the last report of its node
        # The users whose rooms the log may have changed against the reports of their node. The value says whether a
        # heartbeat of the node has arrived since then.
        self._doubted: dict[User, bool] = {}
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
        # The users of this node that are in a room, although the log says that they have left it.
        self._absent: dict[tuple[User, Room], None] = {}
        # Called with a remote user whose sessions are to be ended, and the reason.
        self.expel: Callable[[User, str], None] = lambda user, reason: None

    def add(self, who: Person) -> User:
        """Add a user that arrived on another node, and return them."""
        user = User(who.nick, is_remote=True)
        user.present = True
        self._describe(user, who)
        self._core.nicks.note(user)
        for tell in self._core.presence:
            tell(user, "")
        self._be_told(user, who.rooms)
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
                room.rules.move_status(user, before)
            for tell in self._core.presence:
                tell(user, before)
        self._be_told(user, who.rooms)
        if (away, real) != (user.away, user.real):
            for described in self.described:
                described(user, away, real)

    def remove(self, user: User) -> None:
        """Remove a remote user that has left, or whose node is gone."""
        user.present = False
        self._place(user, ())
        self._told.pop(user, None)
        self._doubted.pop(user, None)
        self._core.nicks.forget(user)
        for tell in self._core.presence:
            tell(user, "")

    def room_loaded(self, room: Room) -> None:
        """Make the remote users in a room that has just been loaded its members."""
        for user in self.rooms.get(room.name, ()):
            room.add_member(user, 0)

    def room_unloaded(self, room: Room) -> None:
        """Detach the remote members from a room that is unloaded; they stay listed in `rooms`."""
        for user in self.rooms.get(room.name, ()):
            user.rooms.pop(room.name, None)

    def move(self, before: str, to: str) -> None:
        """Rename a room. Some nodes may have reported members under the new name already; those are kept."""
        if before == to:
            return
        early = self.rooms.pop(to, {})
        inside = self.rooms.pop(before, {})
        for user in inside:
            self._places[user] = tuple(to if name == before else name for name in self._places[user])
            self._doubted[user] = False
        if inside or early:
            self.rooms[to] = inside | early
        if room := self._core.loaded.get(to):
            for user in early:
                self._receive(room, user)

    def review(self, of: Callable[[User], bool]) -> None:
        """Apply a node's last report again to its users whose rooms the log has changed, after its second heartbeat.

        A node that is ahead of this one can mean other users and rooms by the same names than the log here does. So the
        log overrides a report at first, and the report counts again for a user if no newer entry concerns it between
        two calls.

        Args:
            of: returns whether a user belongs to the node.

        """
        for user, due in list(self._doubted.items()):
            if of(user):
                self._doubted[user] = True
                if due:
                    del self._doubted[user]
                    self._place(user, self._told[user])

    def _describe(self, user: User, who: Person) -> None:
        user.host, user.address = who.host, who.address
        user.real, user.away, user.modes, user.operator = who.real, who.away, frozenset(who.modes), who.operator
        user.id, user.since, user.active = who.id, who.since, who.active

    def follow(self, entry: Entry) -> None:
        """Apply a join, leave or kick from a room's log to a remote user at once; the report of its node comes later.

        If another node has published a leave for a user of this node that is still here (for example because this node
        was cut off), publish a join for that user.
        """
        body = entry.body
        nick = body.nick if isinstance(body, Kicked) else entry.nick
        user = self._core.users.get(key_of(nick))
        if user is None or not user.present:
            return
        if user.is_remote:
            # The entry may concern a former holder of the same name.
            self._doubted[user] = False
            rooms = dict.fromkeys(self._places.get(user, ()))
            if isinstance(body, Joined):
                self._place(user, (*rooms, entry.room))
            else:
                rooms.pop(entry.room, None)
                self._place(user, rooms)
        elif isinstance(body, Left) and entry.room in user.rooms and not user.wrote(entry):
            self._absent[user, user.rooms[entry.room]] = None
            if self.may_speak():
                self.rejoin()

    def rejoin(self) -> None:
        """Publish joins for users of this node that are still here, although the log says that they have left.

        A user that is about to lose its name is left out: `Naming.lose_name` lets it join under the new name.
        """
        absent, self._absent = self._absent, {}
        for user, room in absent:
            here = user.present and room.name in user.rooms
            if here and key_of(user.nick) not in self._core.nicks.losing:
                self._core.rejoin(user, room.name)

    def _be_told(self, user: User, rooms: tuple[str, ...]) -> None:
        self._told[user] = rooms
        self._place(user, rooms)

    def _place(self, user: User, rooms: Iterable[str]) -> None:
        """Set the rooms of a remote user: leave all others, and join those that are new."""
        wanted = dict.fromkeys(rooms)
        for name in self._places.pop(user, ()):
            if name not in wanted and user in self.rooms.get(name, ()):
                del self.rooms[name][user]
                if not self.rooms[name]:
                    del self.rooms[name]
                if room := user.rooms.get(name):
                    room.remove_member(user)
        if wanted:
            self._places[user] = tuple(wanted)
        for name in wanted:
            inside = self.rooms.setdefault(name, {})
            if user not in inside:
                inside[user] = None
                if room := self._core.loaded.get(name):
                    self._receive(room, user)

    def _receive(self, room: Room, user: User) -> None:
        room.add_member(user, 0)
        for came in self.on_arrival:
            came(user, room)
