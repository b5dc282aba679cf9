"""The room loader keeps the loaded rooms, and loads a room from the log when a session needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hubbub.chat.core import Core
from hubbub.chat.nodes.remote_members import RemoteMembers
from hubbub.chat.session import Room, Session, User
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry
from hubbub.model.queries import OpenedRoom

Then = Callable[[Room | BrokerError], None]


class _Opening:
    """A room that is being loaded: the sessions and users that wait, and the entries committed to it meanwhile."""

    __slots__ = ("meanwhile", "waiters")

    def __init__(self) -> None:
        self.waiters: list[tuple[Session | User, Then]] = []
        self.meanwhile: list[Entry] = []


class RoomLoader:
    """Load and unload rooms.

    Args:
        core: the log, the loaded rooms and the limits.
        take_in: appends the entries that were committed during the load to the room.
        settle: unloads a room if it is not needed.
        abroad: the members of rooms on other nodes.

    """

    def __init__(
        self,
        core: Core,
        take_in: Callable[[Room, Sequence[Entry]], None],
        settle: Callable[[Room], None],
        abroad: RemoteMembers,
    ) -> None:
        self.loaded = core.loaded
        self._log = core.log
        self._history = core.limits.history
        self._take_in = take_in
        self._settle = settle
        self._abroad = abroad
        self._opening: dict[str, _Opening] = {}
        # The room that is being handed to its waiting sessions: it must stay loaded until all of them have it.
        self.handing: Room | None = None

    def load(self, name: str, waiter: Session | User, then: Then) -> None:
        """Call `then` with a room, or with a BrokerError if it cannot be loaded.

        The call comes at once if the room is loaded, otherwise later, at the latest from `withdraw`. A waiter may load
        a room several times: every call comes, in order.
        """
        if room := self.loaded.get(name):
            then(room)
            return
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = _Opening()
            self._log.open(name, self._history, lambda state: self._opened(name, state))
        opening.waiters.append((waiter, then))

    def __contains__(self, name: str) -> bool:
        """Return whether a room is loaded or being loaded."""
        return name in self.loaded or name in self._opening

    def withdraw(self, session: Session) -> None:
        """Cancel all loads that a session waits for: their callbacks get a BrokerError."""
        cancelled: list[Then] = []
        for opening in self._opening.values():
            cancelled += [then for waiter, then in opening.waiters if waiter is session]
            opening.waiters = [one for one in opening.waiters if one[0] is not session]
        for then in cancelled:
            then(BrokerError("the session has left"))

    def hold_entries(self, entries: Sequence[Entry]) -> None:
        """Hold committed entries of one room that may be loaded just now, by the name that the room had then."""
        if opening := self._opening.get(entries[0].room):
            opening.meanwhile += entries

    def unload(self, room: Room) -> None:
        """Remove a room from memory, and stop following its log."""
        self.loaded.discard(room)
        self._abroad.room_unloaded(room)
        self._log.close(room.id)

    def _opened(self, name: str, state: OpenedRoom | BrokerError) -> None:
        opening = self._opening.pop(name)
        if isinstance(state, BrokerError):
            for _, then in opening.waiters:
                then(state)
            return
        room = self.loaded.get(name)  # a room renamed to this name meanwhile
        if room is None:
            room = Room(name, state, self._history)
            self.loaded.add(room)
            self._abroad.room_loaded(room, state.recent)
            # Other entries belong to another room that had this name before, or to the loaded state already.
            meanwhile = [entry for entry in opening.meanwhile if entry.room_id == room.id and entry.seq > state.seq]
            if meanwhile:
                self._take_in(room, meanwhile)
        self.handing = room
        try:
            for waiter, then in opening.waiters:
                if room.name == name:
                    then(room)
                else:
                    # An earlier callback has renamed the room: load the next one of this name.
                    self.load(name, waiter, then)
        finally:
            self.handing = None
        self._settle(room)
