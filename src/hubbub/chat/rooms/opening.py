"""The rooms that are loaded: for their members, for sessions that look into them, and for those that join them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from hubbub.chat.core import Core
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.rooms.room_loader import RoomLoader
from hubbub.chat.session import Room, Session, User
from hubbub.chat.turns import OperationKind, by_name, no_reply
from hubbub.errors import BrokerError
from hubbub.model.access import Action
from hubbub.model.entries import Entry, RoomRenamed
from hubbub.text import refusals
from hubbub.text.cleaning import beginning, clean
from hubbub.text.names import LOBBY, key_of


class RoomAsked(Struct, frozen=True):
    """The request of an operation that needs the room of this name to be loaded."""

    room: str


class RoomsVisited(Struct, frozen=True):
    """The rooms of these names must be loaded for a session, and stay so until `OpenRooms.end_visit`."""

    names: tuple[str, ...]


class OpenRooms:
    """The loaded rooms: they are loaded when somebody needs them, and unloaded when nobody does.

    Args:
        core: the log, the pipeline and the sessions.
        remote: the users of other nodes.

    """

    def __init__(self, core: Core, remote: RemoteUsers) -> None:
        self._core = core
        # Set by Effects: delivers the entries that were committed while a room was loaded.
        self.advance: Callable[[Room, Sequence[Entry]], None]
        self._delivery = core.delivery
        self._waking = RoomLoader(core, self._take_in, self.close_if_empty, remote.members)
        self.loaded = self._waking.loaded
        self._visits: dict[Session, set[str]] = {}  # ids of rooms that stay loaded for a session, member or not
        core.operations |= by_name(OperationKind(RoomsVisited, no_reply, self._visit, at_once=True))

    def visit(self, session: Session, names: Collection[str], done: Callable[[None], None]) -> None:
        """Load rooms for a session, which need not be a member, and call `done` with None when all of them are loaded.

        The rooms stay loaded at least until `end_visit`. A room that cannot be read is not in `loaded` then. `done` is
        also called if the session leaves before that.
        """
        visited = self._visits[session] = set()
        left = len(names)

        def opened(room: Room | BrokerError) -> None:
            nonlocal left
            if not isinstance(room, BrokerError):
                visited.add(room.id)
            left -= 1
            if not left:
                done(None)

        for name in names:
            self._waking.load(name, session, opened)

    def load(self, session: Session, asked: RoomAsked, done: Callable[[Room | BrokerError], None]) -> None:
        """Start the load of the room that an operation needs; see `OperationKind.start`."""
        self._waking.load(asked.room, session, done)

    def _visit(self, session: Session, asked: RoomsVisited, done: Callable[[None], None]) -> None:
        self.visit(session, asked.names, done)

    def load_for(self, user: User, name: str, then: Callable[[Room | BrokerError], None]) -> None:
        """Call `then` with a loaded room, or with the error, whichever sessions of a user of this node end before.

        The next commands of the user's sessions wait until then.
        """
        operation = user.begin("load")

        def opened(room: Room | BrokerError) -> None:
            then(room)
            user.end(operation)

        self._waking.load(name, user, opened)

    def end_visit(self, session: Session) -> None:
        """End a session's visit: unload the visited rooms that are not needed otherwise."""
        for id in self._visits.pop(session, ()):
            self.close_if_empty(self.loaded.by_id.get(id))

    def is_free(self, name: str) -> bool:
        """Return whether no room of this name is loaded or being loaded here, and none is being renamed to it."""
        return name not in self._waking and not self._is_coming(name)

    def check_not_coming(self, name: str) -> None:
        """Raise Refused if a room is being renamed to this name."""
        if self._is_coming(name):
            raise refusals.ROOM_ON_ITS_WAY(room=name)

    def check_may_open(self, session: Session, room: Room) -> None:
        """Charge the budget of the session's address for a new room; do nothing if the room exists or is being created.

        Raises:
            Refused: too many rooms were opened from that address, or the session may only read.

        """
        if not room.end.seq and room.name != LOBBY and not self._core.pipeline.pending_joins(room.id):
            if self._core.viewer(session).reads_only:
                raise refusals.ACCOUNT_REQUIRED()
            self._core.budget.open_room(session.address)

    def _is_coming(self, name: str) -> bool:
        """Return whether a room is being renamed to this name: a room that is loaded under it now would collide."""
        if name in self._waking:
            return False
        bodies = (posting.draft.body for posting in self._core.pipeline)
        return any(body.to == name for body in bodies if isinstance(body, RoomRenamed))

    def of(self, session: Session, name: str = "") -> Room:
        """Return a room that the session is in, its current one by default.

        Raises:
            Refused: it is not in that room.

        """
        room = self.loaded.get(name) if name else self.loaded.by_id.get(session.current)
        if name and (room is None or session not in room.sessions):
            room = self.inside(session, name) or self.inside(session, key_of(clean(name).removeprefix("#")))
        if room is None and session.rooms and not name:
            raise refusals.NOT_A_ROOM()
        if room is None:
            where = beginning(clean(name)).removeprefix("#")
            raise refusals.NOT_IN_ROOM(room=where) if name else refusals.NOT_IN_ANY_ROOM()
        return room

    def inside(self, session: Session, name: str) -> Room | None:
        """Return the room with this name if the session is in it."""
        room = self.loaded.get(name)
        return room if room and room.id in session.rooms else None

    def seen(self, session: Session, name: str) -> Room:
        """Return a loaded room that the session may know of.

        Raises:
            Refused: there is no room of that name, or it is hidden from the session; both refusals look the same.

        """
        room = self.loaded.get(key_of(clean(name).removeprefix("#")))
        return room if room and self._core.may(session, Action.LIST, room) else self.of(session, name)

    def close_if_empty(self, room: Room | None) -> None:
        """Unload a room that has no members on this node, no visitors and no pending joins."""
        if room is None or room.id not in self.loaded.by_id or room is self._waking.handing:
            return
        if room.sessions or self._core.pipeline.has_joins(room.id):
            return
        if any(not member.is_remote for member in room.members):  # owners of accounts who have no session now
            return
        if any(room.id in visited for visited in self._visits.values()):
            return
        self._delivery.forget(room)
        self._waking.unload(room)

    def _take_in(self, room: Room, entries: Sequence[Entry]) -> None:
        self.advance(room, entries)

    def keep(self, entries: Sequence[Entry]) -> None:
        """Hold committed entries of a room that is being loaded, until it is loaded."""
        self._waking.hold_entries(entries)
