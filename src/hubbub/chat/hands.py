"""Raised hands: the queue of a room, and the turn to speak that an operator gives to one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubbub.chat import moderation
from hubbub.model.access import Action
from hubbub.model.entries import Entry, HandMoved, TurnGiven
from hubbub.model.events import ForOperators
from hubbub.model.room.state import MAX_HANDS
from hubbub.model.viewer import Principal
from hubbub.text import refusals

if TYPE_CHECKING:
    from hubbub.chat.core import Core
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Room, Session, User


def raise_hand(hub: Hub, session: Session, room: Room) -> int:
    """Publish that the user of a session raises a hand, and return the number of hands before it. Raises Refused."""
    hub.check(session, Action.RAISE_HAND, room)
    waiting = room.waiting
    if session.user in waiting:
        return waiting.index(session.user)
    if len(room.state.hands) >= MAX_HANDS:
        raise refusals.HANDS_FULL(limit=MAX_HANDS)
    hub.publish(session, room.state, HandMoved("up", _who(session.nick, session.host)))
    return len(waiting)


def lower_hand(hub: Hub, session: Session, room: Room) -> bool:
    """Publish that the user of a session lowers the hand, or gives back a turn; return whether there was one."""
    user = session.user
    if user is None or (user not in room.waiting and not room.state.has_turn(user)):
        return False
    step = "spoken" if room.state.has_turn(user) else "down"
    hub.publish(session, room.state, HandMoved(step, _who(user.nick, user.host)))
    return True


def give_turn(hub: Hub, session: Session, room: Room, name: str = "") -> User:
    """Let a member say one message, the first one in the queue by default, and return the member. Raises Refused."""
    hub.check(session, Action.SET_MODES, room)
    target = moderation.member(hub, room, name) if name else next(iter(room.waiting), None)
    if target is None:
        raise refusals.NO_HANDS()
    hub.publish(session, room.state, TurnGiven(_who(target.nick, target.host)))
    return target


def use_turn(core: Core, session: Session, room: Room, user: Principal) -> None:
    """End the turn of a user who has just said something, if they have one.

    They have no voice from now on, so that no second message of theirs passes before the entry is stored.
    """
    if room.state.has_turn(user):
        core.publish(session, room.state, HandMoved("spoken", _who(user.nick, user.host)))
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
            if not session.paused:
                session.client.send_event(event)


def _who(nick: str, host: str) -> str:
    return f"{nick}!{host}"
