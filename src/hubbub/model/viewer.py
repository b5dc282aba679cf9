"""The user behind a query, with all properties that decide what they may see and do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from hubbub.model.accounts.grants import SCOPES
from hubbub.text.concealed import concealed


class Principal(Protocol):
    """The user whose rights are asked for, as far as the rules need to know them; chat/users/user.py explains each."""

    @property
    def id(self) -> str:
        """The public id of the user, which is unique for ever."""
        ...

    @property
    def nick(self) -> str:
        """The name, as it is shown."""
        ...

    @property
    def host(self) -> str:
        """The public form of the address."""
        ...

    @property
    def operator(self) -> bool:
        """Whether the user may act in every room."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether the user is on another node."""
        ...

    @property
    def invited(self) -> dict[str, float]:
        """The rooms to which the user is invited, and the times of operators' invitations (epoch seconds), else 0."""
        ...

    def masks_in(self, room: str) -> Iterable[str]:
        """Return the masks that the user had earlier in the room with an id."""
        ...

    @property
    def former(self) -> Mapping[str, tuple[str, ...]]:
        """The masks that the user had earlier in rooms, by their ids; those of nobody else in the same browser."""
        ...

    @property
    def trusted(self) -> dict[str, None]:
        """The rooms in which the user's identity is known."""
        ...


class Viewer(NamedTuple):
    """A user at the moment of a query; a query takes it along to another thread.

    Without arguments it is a stranger without a name or an address.
    """

    rooms: tuple[str, ...] = ()  # the ids of the user's rooms, as a member
    mask: str = ""  # nick!user@cloak.wire; without a name, nothing before the `!`
    operator: bool = False  # of the server
    now: float = 0.0  # epoch seconds: bans end by the calendar
    ticks: float = 0.0  # seconds on a clock that never goes back: for slow mode
    user: Principal | None = None  # has rights in rooms, and invitations; None for a stranger
    address: str = ""  # known to the server alone: for bans of networks by its operators
    key: str = ""  # offered to enter a room
    types_names: bool = False  # the key may be the second word of a room name that a person typed
    reads_only: bool = False  # a guest where only people with an account may speak
    system: bool = False  # the server itself
    account: str = ""  # the id of the user's account, "" for a guest
    only: frozenset[str] = frozenset()  # the names of the rooms that a token limits its bearer to; empty for all
    scopes: tuple[str, ...] = SCOPES  # of the token

    def __repr__(self) -> str:
        return concealed(self)


ASKER = Viewer()  # in a query that waits: the session that waits, as it is when the query begins
SYSTEM = Viewer(system=True)  # the command line and the server's own acts: sees everything
