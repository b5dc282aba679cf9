"""Events for users of other nodes: their node gets them, and delivers them to the users' sessions."""

from __future__ import annotations

import msgspec

from hubbub.cluster.nats.log.batches import line
from hubbub.cluster.nats.log.packed_entries import PackedEntry
from hubbub.model.events import Event, Invited, Knocked, Private

TO = "hubbub.to."  # + node
PRIVATE, INVITED, EXPEL, KNOCK, END = "private", "invited", "expel", "knock", "end"  # values of ForwardedEvent.what


class ForwardedEvent(msgspec.Struct, omit_defaults=True):
    """An event for one remote user, or the order to end the user's sessions, or those with some `ids`.

    `to` is the user's number on that node.
    """

    to: int
    nick: str = ""
    host: str = ""
    text: str = ""
    room: str = ""
    what: str = PRIVATE
    line: PackedEntry | None = None
    user: str = ""
    room_id: str = ""  # of an invitation
    ids: tuple[str, ...] = ()  # of the sessions that are to be ended
    seq: int = 0  # of a private message that is stored, else 0
    recipient: str = ""  # of a private message that the user has sent from another node: the name of its recipient
    opens: float = 0.0  # epoch seconds of an operator's invitation, which opens the room; else 0


def forwarded(number: int, event: Event) -> ForwardedEvent | None:
    """Return an event in the form for the node of a user; None if users of other nodes get no events of that type.

    Args:
        number: the user's number on that node.
        event: a private message, an invitation or a knock.

    """
    if isinstance(event, Private):
        one = ForwardedEvent(number, event.nick, text=event.text, user=event.user, recipient=event.to)
        if said := event.entry:
            one.room, one.line, one.seq = said.room, line(said, said.time), said.seq
        return one
    if isinstance(event, Invited):
        one = ForwardedEvent(number, event.nick, event.host, room=event.room, what=INVITED, opens=event.opens)
        return msgspec.structs.replace(one, room_id=event.room_id)
    if isinstance(event, Knocked):
        return ForwardedEvent(number, event.nick, event.host, room=event.room, what=KNOCK)
    return None
