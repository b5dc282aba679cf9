"""A session that goes on in another connection: its first one is lost, or given up. Nobody else sees anything of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from hubbub.core import names
from hubbub.core.model import HistoryShown, Joined, Refusal
from hubbub.core.text import clean
from hubbub.errors import Refused

if TYPE_CHECKING:
    from hubbub.core.hub import Hub
    from hubbub.core.room import Room
    from hubbub.core.session import Session


def replace(hub: Hub, session: Session, new: Session) -> None:
    """Let the connection of `new`, which has no name, take the place of the session's own.

    The session keeps its name, rooms, rights, and what it waits for. It is written nothing until `go_on` is called.
    """
    session.client, session.sink = new.client, new.sink
    session.host, session.address, session.secure = new.host, new.address, new.secure
    session.paused = new.paused
    new.closed = True
    hub.delivery.suspend(session)
    # What was to begin when it had its turn begins anew, after the numbers that the peer knows.
    session.replies = [item for item in session.replies if getattr(item, "func", None) != hub.delivery.start]
    hub.touch(session)


def go_on(hub: Hub, session: Session, seen: Mapping[str, int | None]) -> None:
    """Show a session whose connection was replaced its rooms, and what it missed there.

    Args:
        hub: the hub.
        session: the session.
        seen: by the name of a room, the last number that the peer was given there. In a room that is not named, or has
            no number, it is shown what a newcomer is. Rooms that the session is not in any more are joined.

    """
    after: dict[str, int | None] = {}
    for name, seq in seen.items():
        try:
            after[names.check_room(clean(name))] = seq
        except Refused as refusal:
            hub.reply(session, Refusal(refusal.code, refusal.text, room=name))
    for name, room in list(session.rooms.items()):
        _show(hub, session, room, after.pop(name, None))
    session.flush()
    for name, seq in after.items():
        try:
            hub.rooms.join(session, name, seq)
        except Refused as refusal:
            hub.reply(session, Refusal(refusal.code, refusal.text, room=name))


def _show(hub: Hub, session: Session, room: Room, seq: int | None) -> None:
    session.replies.append(Joined(room.name, room.end.seq, room.topic, False))
    past = list(room.latest)
    if seq is None and past:
        session.replies += hub.pieces(HistoryShown(past, hub.clock()))
    cursor = room.end if seq is None else room.cursor_at(seq)
    session.replies.append(partial(hub.delivery.start, session, room, cursor))
