"""Users of other nodes: they hold names and are members of rooms here as well, but no entries are written to them.

Each of them has a session like a user of this node, so lists, masks and room modes treat both alike. Events for such a
session go to its own node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hubbub.chat.session import Session
from hubbub.chat.users import User
from hubbub.model.client import ByteSink, Client, Encoder
from hubbub.model.entries import Entry, Kind
from hubbub.model.events import Private
from hubbub.text.names import key_of

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.room import Room


def _nowhere(session: Session, event: Private, done: Callable[[bool | None], None]) -> None:
    done(None)


@dataclass(frozen=True, slots=True)
class Person:
    """The description of a user that nodes exchange; the fields are those of User and Session."""

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
    """Return the description of a user of this node for other nodes; the user must have a session."""
    session = user.sessions[0]
    return Person(
        user.nick,
        session.host,
        session.address,
        user.real,
        user.away,
        "".join(sorted(user.modes)),
        user.operator,
        user.since,
        user.active,
        tuple(session.rooms),
        user.id,
    )


class RemoteUsers:
    """The users of all other nodes, their sessions and their rooms."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        # The remote members of rooms, by room: of each room that has any of them, or is loaded.
        self.rooms: dict[str, dict[Session, None]] = {}
        self._places: dict[Session, tuple[str, ...]] = {}  # the rooms of each remote session, as used here
        self._told: dict[Session, tuple[str, ...]] = {}  # the rooms in the last report of its node
        # The sessions whose rooms the log may have changed against the reports of their node. The value says whether a
        # heartbeat of the node has arrived since then.
        self._doubted: dict[Session, bool] = {}
        # Called with a remote session, and its user's old away text and real name, after one of them has changed.
        self.described: list[Callable[[Session, str, str], None]] = []
        # Called with a remote session, and the loaded room of which it became a member.
        self.on_arrival: list[Callable[[Session, Room], None]] = []
        # Called with an ephemeral entry (such as a typing notice), for the members on other nodes.
        self.signal: Callable[[Entry], None] = lambda entry: None
        # Called with a remote session, a private message for it, and a callback for the result: whether the message was
        # delivered, or None if that is not known.
        self.deliver: Callable[[Session, Private, Callable[[bool | None], None]], None] = _nowhere
        # Returns whether this node may publish joins of its users; if not, `rejoin` is called when it may.
        self.may_speak: Callable[[], bool] = lambda: True
        # The sessions of this node that are in a room, although the log says that they have left it.
        self._absent: dict[tuple[Session, Room], None] = {}
        # Called with a remote session that is to be ended, and the reason.
        self.expel: Callable[[Session, str], None] = lambda session, reason: None

    def __contains__(self, session: Session) -> bool:
        # A remote session publishes nothing on this node, so it has no id prefix.
        return not session.id_prefix

    def add(self, client: Client, sink: ByteSink, encoder: Encoder, who: Person) -> Session:
        """Add a user that arrived on another node, and return the new session."""
        session = Session("", client, sink, encoder, who.host, who.address)
        session.user = User(who.nick)
        session.user.is_remote = True
        session.user.sessions.append(session)
        self._describe(session, who)
        self._hub.directory.note(session.user)
        for tell in self._hub.presence:
            tell(session.user, "")
        self._be_told(session, who.rooms)
        return session

    def update(self, session: Session, who: Person) -> None:
        """Apply a new description of a remote user: its details, a rename, and its rooms."""
        user = session.user
        assert user is not None
        before, away, real = user.nick, user.away, user.real
        self._describe(session, who)
        if before != who.nick:
            self._hub.directory.forget(user)
            user.nick = who.nick
            self._hub.directory.note(user)
            for room in session.rooms.values():
                room.rules.move_status(session, before)
            for tell in self._hub.presence:
                tell(user, before)
        self._be_told(session, who.rooms)
        if (away, real) != (user.away, user.real):
            for described in self.described:
                described(session, away, real)

    def remove(self, session: Session) -> None:
        """Remove a remote user that has left, or whose node is gone."""
        user = session.user
        assert user is not None
        session.closed = True
        self._place(session, ())
        self._told.pop(session, None)
        self._doubted.pop(session, None)
        self._hub.directory.forget(user)
        user.sessions.clear()
        for tell in self._hub.presence:
            tell(user, "")

    def room_loaded(self, name: str) -> dict[Session, None]:
        """Return the remote members of a room that is being loaded; the dict follows all later changes."""
        return self.rooms.setdefault(name, {})

    def forget_stale(self, name: str) -> None:
        """Drop the entry of a room without remote members, unless the room is loaded."""
        if name not in self._hub.rooms.loaded and not self.rooms.get(name, True):
            del self.rooms[name]

    def room_unloaded(self, name: str) -> None:
        """Detach the remote members from a room that is unloaded; they stay listed in `rooms`."""
        for session in self.rooms.get(name, ()):
            session.rooms.pop(name, None)
        self.forget_stale(name)

    def move(self, before: str, to: str) -> None:
        """Rename a room. Some nodes may have reported members under the new name already; those are kept."""
        if before == to:
            return
        early = self.rooms.pop(to, {})
        inside = self.rooms[to] = self.rooms.pop(before, {})
        for session in inside:
            self._places[session] = tuple(to if name == before else name for name in self._places[session])
            session.rooms = {to if name == before else name: room for name, room in session.rooms.items()}
        inside |= early
        if room := self._hub.rooms.loaded.get(to):
            for session in early:
                self._receive(room, session)
        self._doubted |= dict.fromkeys(inside, False)
        self.forget_stale(to)

    def review(self, of: Callable[[Session], bool]) -> None:
        """Apply a node's last report again to its users whose rooms the log has changed, after its second heartbeat.

        A node that is ahead of this one can mean other users and rooms by the same names than the log here does. So the
        log overrides a report at first, and the report counts again for a session if no newer entry concerns it between
        two calls.

        Args:
            of: returns whether a session belongs to the node.

        """
        for session, due in list(self._doubted.items()):
            if of(session):
                self._doubted[session] = True
                if due:
                    del self._doubted[session]
                    self._place(session, self._told[session])

    def _describe(self, session: Session, who: Person) -> None:
        user = session.user
        assert user is not None
        session.host, session.address = who.host, who.address
        user.real, user.away, user.modes, user.operator = who.real, who.away, frozenset(who.modes), who.operator
        user.id, user.since, user.active = who.id, who.since, who.active

    def follow(self, entry: Entry) -> None:
        """Apply a join, leave or kick from a room's log to a remote user at once; the report of its node comes later.

        If another node has published a leave for a user of this node that is still here (for example because this node
        was cut off), publish a join for that user.
        """
        nick = entry.nick if entry.kind is not Kind.KICK else entry.text.partition(" ")[0]
        user = self._hub.users.get(key_of(nick))
        if user is None or not user.sessions:
            return
        session = user.sessions[0]
        if user.is_remote:
            # The entry may concern a former holder of the same name.
            self._doubted[session] = False
            rooms = dict.fromkeys(self._places.get(session, ()))
            if entry.kind is Kind.JOIN:
                self._place(session, (*rooms, entry.room))
            else:
                rooms.pop(entry.room, None)
                self._place(session, rooms)
        elif entry.kind is Kind.LEAVE and entry.room in session.rooms and not entry.id.startswith(session.id_prefix):
            self._absent[session, session.rooms[entry.room]] = None
            if self.may_speak():
                self.rejoin()

    def rejoin(self) -> None:
        """Publish joins for users of this node that are still here, although the log says that they have left.

        A user that is about to lose its name is left out: `Naming.lose_name` lets it join under the new name.
        """
        absent, self._absent = self._absent, {}
        for session, room in absent:
            here = not session.closed and room.name in session.rooms
            if here and key_of(session.nick) not in self._hub.naming.losing:
                self._hub.rejoin(session, room.name)

    def _be_told(self, session: Session, rooms: tuple[str, ...]) -> None:
        self._told[session] = rooms
        self._place(session, rooms)

    def _place(self, session: Session, rooms: Iterable[str]) -> None:
        """Set the rooms of a remote session: leave all others, and join those that are new."""
        wanted = dict.fromkeys(rooms)
        for name in self._places.pop(session, ()):
            if name not in wanted and session in self.rooms.get(name, ()):
                del self.rooms[name][session]
                if room := session.rooms.pop(name, None):
                    room.rules.dismiss(session)
                self.forget_stale(name)
        if wanted:
            self._places[session] = tuple(wanted)
        for name in wanted:
            inside = self.rooms.setdefault(name, {})
            if session not in inside:
                inside[session] = None
                if room := self._hub.rooms.loaded.get(name):
                    self._receive(room, session)

    def _receive(self, room: Room, session: Session) -> None:
        room.receive(session)
        for came in self.on_arrival:
            came(session, room)
