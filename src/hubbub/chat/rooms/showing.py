"""The rooms that a session is shown: its current one, those of its user that its login permits, and their end."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.chat.classroom import ballots
from hubbub.chat.rooms.missed import tell_missed
from hubbub.chat.rooms.opening import OpenRooms
from hubbub.chat.session import Room, Session, owner, without
from hubbub.chat.turns import DeliveryStart
from hubbub.model.entries import Entry, Polled
from hubbub.model.events import HistoryShown, RoomEntered, RoomExited


class ShownRooms(OpenRooms):
    """The loaded rooms, and which of them each session is shown."""

    def focus(self, session: Session, id: str) -> None:
        """Make a room of the session its current one, and change the encoders of the old and the new one."""
        before, session.current = session.current, id
        for room in (before, id):
            if room in session.rooms:
                session.rooms[room].set_encoder(session, session.encoder_in(room))

    def fit(self, session: Session) -> None:
        """Show a session the rooms of its user that its login permits and that it was not shown, and end the others."""
        permitted = session.rooms
        for room in list(owner(session).rooms.values()):
            if session not in room.sessions:
                if room.id in permitted:
                    self.show_again(session, room)
            elif room.id not in permitted:
                self._close(session, room, room.name)
        session.flush()

    def _close(self, session: Session, room: Room, name: str, kick: Entry | None = None, unseen: bool = True) -> None:
        """Give a session nothing more of a room, and say so. The room has this name for the session."""
        self.detach(session, room)
        if not session.closed:
            session.replies.append(RoomExited(name, session.current_name, kick, unseen))
            session.flush()

    def _give(self, session: Session, room: Room, focus: bool) -> None:
        """Let a session be given a room of its user; DeliveryStart begins with the entries."""
        room.add_session(session, session.encoder_in(room.id))
        if focus:
            self.focus(session, room.id)

    def show_again(self, session: Session, room: Room) -> None:
        """Show a session a room in which its user is already, and the entries that the user has missed there."""
        user = owner(session)
        given, user.given = user.given.get(room.id), without(user.given, room.id)
        left_at = 0.0 if given is None else user.left_at
        self.show(session, room, session.seen.get(room.id, given), left_at)

    def show(self, session: Session, room: Room, seq: int | None, left_at: float = 0.0) -> None:
        """Show a session a room of its user: the entries after a number, or the newest messages, and all that comes.

        `left_at` is the time when the last session of its user ended, in epoch seconds; 0 if others are connected.
        """
        if session not in room.sessions:
            self._give(session, room, focus=not session.current)
        first, session.never_joined = session.never_joined, False
        past = list(room.latest) if seq is None else []
        session.replies.append(entered(session, room, room.end.seq, first, past))
        if seq is not None:
            tell_missed(self._core, session, room, seq, left_at)
        elif past:
            elsewhere = session.current != room.id
            session.replies += self._core.pieces(HistoryShown(past, self._core.clock(), elsewhere=elsewhere))
        cursor = room.end if seq is None else room.cursor_at(seq)
        session.replies.append(DeliveryStart(room, cursor))

    def detach(self, session: Session, room: Room) -> None:
        """Give a session nothing more of a room; if that was its current room, the last of its others becomes it."""
        self._delivery.end(session, room)
        session.watched = without(session.watched, room.id)
        if session.current == room.id:
            session.current = ""
            if session.rooms and not session.closed:
                self.focus(session, list(session.rooms)[-1])
        self.close_if_empty(room)


def entered(session: Session, room: Room, seq: int, first: bool, past: Sequence[Entry]) -> RoomEntered:
    """Return the event that shows a session a room up to an entry.

    Args:
        session: the session.
        room: the room.
        seq: the number of the entry.
        first: whether it is the first room of the session.
        past: the history that the session is shown next.

    """
    current = "" if session.current == room.id else session.current_name
    listed = ballots.listed(session, room)
    past_polls = tuple(entry.id for entry in past if type(entry.body) is Polled)
    rules = room.state.is_operator(owner(session))
    return RoomEntered(
        room.name, seq, room.topic, first, current, room.pins, room.raised, listed, rules, past_polls, room.id
    )
