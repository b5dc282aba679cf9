"""People of other nodes: they hold their names and are in rooms here too, and nothing is written to them.

Each has a session like everybody else, so that lists, masks and rules need not know the difference. What is told to
it goes to its own node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hubbub.core.model import ByteSink, Client, Encoder, Entry, Kind, Private
from hubbub.core.names import key_of
from hubbub.core.session import Session
from hubbub.core.users import User

if TYPE_CHECKING:
    from hubbub.core.hub import Hub
    from hubbub.core.room import Room


def _nowhere(session: Session, event: Private, done: Callable[[bool | None], None]) -> None:
    done(None)


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of somebody on another node; the fields are those of User and Session."""

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
    """Return what other nodes are told of somebody here."""
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
    """Everybody who is on another node."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.rooms: dict[str, dict[Session, None]] = {}  # who is in which; of every room that has somebody, or is awake
        self._places: dict[Session, tuple[str, ...]] = {}
        self._told: dict[Session, tuple[str, ...]] = {}  # where somebody is, as his node said last
        self._doubted: dict[Session, bool] = {}  # of whom the log said otherwise; whether it did before a sign of life
        # Called with a session of another node, and its user's away text and real name before one of them has changed.
        self.described: list[Callable[[Session, str, str], None]] = []
        # Called with a session of another node, and the room here of which it became one of the people.
        self.on_arrival: list[Callable[[Session, Room], None]] = []
        # Called with an entry that is stored nowhere (who is typing), for the members that are elsewhere.
        self.signal: Callable[[Entry], None] = lambda entry: None
        # Called with a session of another node, what to tell it, and whom to tell whether it was told: None if unknown.
        self.deliver: Callable[[Session, Private, Callable[[bool | None], None]], None] = _nowhere
        # Returns whether this node may say anything of its people; if not, `come_again` is called when it may.
        self.may_speak: Callable[[], bool] = lambda: True
        self._absent: dict[tuple[Session, Room], None] = {}  # who is in a room of which others were told that he left
        # Called with a session of another node that shall end, and why.
        self.expel: Callable[[Session, str], None] = lambda session, reason: None

    def __contains__(self, session: Session) -> bool:
        return not session.id_prefix  # it publishes nothing here

    def add(self, client: Client, sink: ByteSink, encoder: Encoder, who: Person) -> Session:
        """Take somebody in who came on another node, and return the session."""
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
        """Note what has become of somebody."""
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
        """Forget somebody who has left, or whose node has."""
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
        """Return who is in a room elsewhere: what becomes of that shows in it."""
        return self.rooms.setdefault(name, {})

    def forget_stale(self, name: str) -> None:
        """Forget a room that nobody elsewhere is in, unless it is awake."""
        if name not in self._hub.rooms.loaded and not self.rooms.get(name, True):
            del self.rooms[name]

    def room_unloaded(self, name: str) -> None:
        """Let a room sleep: nobody here is in it."""
        for session in self.rooms.get(name, ()):
            session.rooms.pop(name, None)
        self.forget_stale(name)

    def move(self, before: str, to: str) -> None:
        """Call a room by its new name. Of some it was told already that they are in a room of that name."""
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
        """Believe what a node says of its people again of whom the log said otherwise before its last sign of life.

        A node that is ahead of this one means other people and rooms by their names than this one's log does. `of`
        returns whether somebody is one of them.
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
        """Let a join, a leave or a kick in a room's log take effect at once; what his node tells of him comes later.

        Should others say that somebody has left who is here (his node was cut off, say), it is told that he is.
        """
        nick = entry.nick if entry.kind is not Kind.KICK else entry.text.partition(" ")[0]
        user = self._hub.users.get(key_of(nick))
        if user is None or not user.sessions:
            return
        session = user.sessions[0]
        if user.is_remote:
            self._doubted[session] = False  # it may be about somebody else who had his name before
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
        """Tell the others who is here, though they were told that he has left; who lost his name is not, under it."""
        absent, self._absent = self._absent, {}
        for session, room in absent:
            here = not session.closed and room.name in session.rooms
            if here and key_of(session.nick) not in self._hub.naming.losing:
                self._hub.rejoin(session, room.name)

    def _be_told(self, session: Session, rooms: tuple[str, ...]) -> None:
        self._told[session] = rooms
        self._place(session, rooms)

    def _place(self, session: Session, rooms: Iterable[str]) -> None:
        """Let somebody be in these rooms and no others."""
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
