"""Somebody who asks: everything about them that decides what they may see and do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hubbub.core.session import Session


class Viewer(NamedTuple):
    """Somebody who asks, as known at that moment; a query takes it along to another thread.

    Without arguments it is a stranger without a name or an address.
    """

    rooms: tuple[str, ...] = ()  # the rooms of which it is a member
    mask: str = ""  # nick!user@cloak.wire; no nick before the `!` if it has none
    operator: bool = False  # of the server
    now: float = 0.0  # epoch seconds: bans end by the calendar
    ticks: float = 0.0  # seconds on a clock that never goes back: slow mode measures by it
    session: Session | None = None  # knows rights in a room, and invitations; None for a stranger
    address: str = ""  # known to the server alone: for bans of networks, which its operators set
    key: str = ""  # that it offers to come in
    system: bool = False  # the server itself


SYSTEM = Viewer(system=True)  # the command line, and what the server does of its own accord: it sees everything
