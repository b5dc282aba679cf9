"""Sessions without a user, or of a program, that watch rooms: they are given the entries and are no members."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hubbub.chat.core import Core
from hubbub.chat.rooms.loaded_room import Cursor
from hubbub.chat.session import Room, Session
from hubbub.errors import BrokerError
from hubbub.model.access import HIDDEN, Action, may
from hubbub.model.entries import Joined, ModesChanged
from hubbub.text import refusals


class Watching:
    """The watchers of rooms.

    Args:
        core: the viewers, and the delivery of entries.
        end: gives a session nothing more of a room.

    """

    def __init__(self, core: Core, end: Callable[[Session, Room], None]) -> None:
        self._core = core
        self._end = end
        # Sessions that asked to watch a room that is hidden from them. They begin when it becomes visible: until then a
        # hidden room must look like one that does not exist yet.
        self._parked: dict[Session, str] = {}

    def begin(self, session: Session, after: int | None, room: Room | BrokerError) -> None:
        """Let a session watch a loaded room if it may: all that comes, or also all after a number."""
        if isinstance(room, BrokerError):
            self._core.refuse(session, refusals.LOG_UNREADABLE(reason=room))
        elif refused := may(self._core.viewer(session), Action.WATCH, room.state):
            if refused.code == HIDDEN:
                self._parked[session] = room.name
            else:
                self._core.refuse(session, refused)
        else:
            self._let_watch(session, room, room.end if after is None else room.cursor_at(after))

    def _let_watch(self, session: Session, room: Room, cursor: Cursor) -> None:
        session.watched = {**session.watched, room.id: room}
        session.current = room.id
        room.add_session(session, session.encoder)
        self._core.delivery.start(session, room, cursor)

    def review(self, room: Room, body: ModesChanged | Joined) -> None:
        """Remove watchers that may no longer watch the room after a mode change; admit waiting ones that may now."""
        if isinstance(body, ModesChanged):
            self.dismiss(room, room.watchers)
        self.admit(room)

    def dismiss(self, room: Room, watchers: Iterable[Session]) -> None:
        """Remove those of the watchers that may no longer watch the room."""
        for session in list(watchers):
            if refused := may(self._core.viewer(session), Action.WATCH, room.state):
                self._end(session, room)
                self._core.refuse(session, refused)

    def admit(self, room: Room) -> None:
        """Let the waiting sessions watch a room that has become visible for them."""
        for session in [one for one, name in self._parked.items() if name == room.name]:
            if self._core.may(session, Action.WATCH, room):
                del self._parked[session]
                self._let_watch(session, room, room.end)

    def withdraw(self, session: Session) -> None:
        """Let a session wait for no room any more."""
        self._parked.pop(session, None)
