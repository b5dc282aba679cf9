"""Continue a session in another connection after the first one was lost or given up; other users notice nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hubbub.chat.session import Session, owner
from hubbub.chat.turns import ClientStep, DeliveryStart
from hubbub.errors import Refused
from hubbub.text import names
from hubbub.text.cleaning import clean

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub


def replace(hub: Hub, session: Session, new: Session) -> None:
    """Let the connection of `new`, which has no name yet, replace the session's own connection.

    The session keeps its name, rooms, rights and pending replies. Nothing is written to it until `go_on` is called.
    The user keeps the host, which rights are remembered by; only the address is the new one.
    """
    session.client, session.sink = new.client, new.sink
    session.client_steps, session.client_operations = new.client_steps, new.client_operations
    session.address, session.secure = new.address, new.secure
    user = owner(session)
    user.address = user.sessions[0].address
    session.paused = new.paused
    hub.holders.hold(session, session.grant or new.grant)
    hub.holders.release(new)
    new.closed = True
    hub.delivery.suspend(session)
    # Deliveries that were still to start are removed; `go_on` starts them again after the numbers that the peer knows.
    # The steps of the first client are removed as well: they concern answers that it was giving.
    session.replies = [item for item in session.replies if not isinstance(item, ClientStep | DeliveryStart)]
    hub.touch(session)


def go_on(hub: Hub, session: Session, seen: Mapping[str, int | None]) -> None:
    """Show a session whose connection was replaced its rooms, and the entries that it missed there.

    Args:
        hub: the hub.
        session: the session.
        seen: by room name, the number of the last entry that the peer received there. In a room without a number, or
            missing here, the session is shown the same as a new member. A room that the session has left meanwhile is
            joined.

    """
    after: dict[str, int | None] = {}
    for name, seq in seen.items():
        try:
            after[names.check_room(clean(name))] = seq
        except Refused as refusal:
            hub.refuse(session, refusal, room=name)
    for room in list(session.rooms.values()):
        hub.rooms.show(session, room, after.pop(room.name, None))
    session.flush()
    for name, seq in after.items():
        try:
            hub.rooms.join(session, name, seq)
        except Refused as refusal:
            hub.refuse(session, refusal, room=name)
