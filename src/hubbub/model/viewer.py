"""The user behind a query, with all properties that decide what they may see and do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hubbub.chat.session import Session


class Viewer(NamedTuple):
    """A user at the moment of a query; a query takes it along to another thread.

    Without arguments it is a stranger without a name or an address.
    """

    rooms: tuple[str, ...] = ()  # the user's rooms, as a member
    mask: str = ""  # nick!user@cloak.wire; without a name, nothing before the `!`
    operator: bool = False  # of the server
    now: float = 0.0  # epoch seconds: bans end by the calendar
    ticks: float = 0.0  # seconds on a clock that never goes back: for slow mode
    session: Session | None = None  # knows rights in a room, and invitations; None for a stranger
    address: str = ""  # known to the server alone: for bans of networks by its operators
    key: str = ""  # offered to enter a room
    system: bool = False  # the server itself


SYSTEM = Viewer(system=True)  # the command line and the server's own acts: sees everything
