"""The consequences of raised hands and turns to speak: operators get a line, and a turn ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubbub.model.entries import Entry, HandMoved
from hubbub.model.events import ForOperators
from hubbub.model.viewer import Principal

if TYPE_CHECKING:
    from hubbub.chat.core import Core
    from hubbub.chat.session import Room, Session


def use_turn(core: Core, session: Session, room: Room, user: Principal) -> None:
    """End the turn of a user who has just said something, if they have one.

    They have no voice from now on, so that no second message of theirs passes before the entry is stored.
    """
    if room.state.has_turn(user):
        core.publish(session, room.state, HandMoved("spoken", who(user)), nick=user.nick)
        room.state.take_voice(user)


def tell_operators(core: Core, room: Room, entry: Entry, body: HandMoved) -> None:
    """Tell the operators of a room on this node about a raised hand."""
    if body.step == "up":
        count = len(room.waiting)
        text = f"{entry.nick} raises a hand ({count} waiting). To let {entry.nick} speak, type /next {entry.nick}"
        send_to_operators(core, room, text, besides=entry)


def send_to_operators(core: Core, room: Room, text: str, besides: Entry | None = None) -> None:
    """Send a notice to the operators of a room on this node, the author of `besides` excepted."""
    event = ForOperators(room.name, text)
    for member, letters in room.state.status.items():
        user = core.nicks.find(member.nick) if "o" in letters and not member.is_remote else None
        for session in user.sessions if user and not (besides and user.wrote(besides)) else ():
            session.tell(event)


def who(user: Principal) -> str:
    """Return a user as entries about hands name them."""
    return f"{user.nick}!{user.host}"
