"""The rooms that are awake: those that have members, and those that the broker is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hubbub.core.model import Entry, RoomState
from hubbub.core.room import Room
from hubbub.errors import BrokerError

if TYPE_CHECKING:
    from hubbub.core.delivery import LogReader
    from hubbub.core.remote_users import RemoteUsers
    from hubbub.core.session import Session

Then = Callable[[Room | BrokerError], None]


class _Opening:
    """A room that the broker is asked for: who waits, and what was committed to it meanwhile."""

    __slots__ = ("meanwhile", "waiters")

    def __init__(self) -> None:
        self.waiters: dict[Session, Then] = {}
        self.meanwhile: list[Entry] = []


class RoomLoader:
    """Wakes rooms.

    Args:
        broker: knows what the log says of them.
        history: messages that a newcomer is shown.
        take_in: appends entries to a room that has just woken.
        settle: lets it sleep again if nobody needs it.
        abroad: knows who is in it elsewhere.

    """

    def __init__(
        self,
        broker: LogReader,
        history: int,
        take_in: Callable[[Room, Sequence[Entry]], None],
        settle: Callable[[str], None],
        abroad: RemoteUsers,
    ) -> None:
        self.loaded: dict[str, Room] = {}
        self._broker = broker
        self._history = history
        self._take_in = take_in
        self._settle = settle
        self._abroad = abroad
        self._opening: dict[str, _Opening] = {}
        # The room that is just being given to who waited for it, or "": it must not sleep before all of them have it.
        self.handing = ""

    def load(self, name: str, session: Session, then: Then) -> None:
        """Call `then` with a room: at once if it is awake; a session that leaves before that is not called."""
        if room := self.loaded.get(name):
            then(room)
            return
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = _Opening()
            self._broker.open(name, self._history, lambda state: self._opened(name, state))
        opening.waiters[session] = then

    def __contains__(self, name: str) -> bool:
        """Return whether a room is awake, or is being opened."""
        return name in self.loaded or name in self._opening

    def withdraw(self, session: Session) -> None:
        """Forget that a session waits for rooms."""
        for opening in self._opening.values():
            opening.waiters.pop(session, None)

    def hold_entries(self, name: str, entries: Sequence[Entry]) -> None:
        """Remember what was committed to a room, if it is being opened."""
        if opening := self._opening.get(name):
            opening.meanwhile += entries

    def unload(self, name: str) -> None:
        """Let a room sleep."""
        del self.loaded[name]
        self._abroad.room_unloaded(name)
        self._broker.close(name)

    def _opened(self, name: str, state: RoomState | BrokerError) -> None:
        opening = self._opening.pop(name)
        if isinstance(state, BrokerError):
            for then in opening.waiters.values():
                then(state)
            return
        room = self.loaded.get(name)  # one that was given this name meanwhile
        if room is None:
            room = self.loaded[name] = Room(name, state, self._history, self._abroad.room_loaded(name))
            end, meanwhile = state.seq, []
            for entry in opening.meanwhile:
                if entry.seq > end >= entry.prev:  # else it was in another room that had this name before
                    end = entry.seq
                    meanwhile.append(entry)
            if meanwhile:
                self._take_in(room, meanwhile)
        self.handing = name
        try:
            for session, then in list(opening.waiters.items()):
                if room.name == name:
                    then(room)
                else:
                    self.load(name, session, then)  # it has another name by now
        finally:
            self.handing = ""
        self._settle(room.name)
