"""The requests of operations in which somebody waits for a name."""

from __future__ import annotations

from msgspec import Struct

from hubbub.chat.turns import ClientStep
from hubbub.text.concealed import concealed


class LostName(Struct, frozen=True):
    """A name that its user may not have any more: the name with a number is tried instead.

    Args:
        key: the folded name.
        name: the beginning of the new names.
        in_log: whether the log says that the user has left.
        number: the next number.

    """

    key: str
    name: str
    in_log: bool
    number: int = 2


class NameClaim(Struct, frozen=True):
    """A user waits for the cluster to give them another name.

    Args:
        nick: the new name.
        before: the name that the user has.
        user: the id of the user.
        refused: the client's step for a refusal.
        lost: the name that the user has lost, if that is the reason.

    """

    nick: str
    before: str
    user: str
    refused: ClientStep | None
    lost: LostName | None


class NameWanted(Struct, frozen=True):
    """A session wants a name."""

    name: str


class RenameProbe(NameWanted, frozen=True):
    """A user waits until it is known whether the holder of another name is still connected.

    A later refusal is for the client's step `refused`; see `Naming.rename`.
    """

    refused: ClientStep | None


class ArrivalWanted(NameWanted, frozen=True):
    """A session wants to come in under a name; see `Naming.enter`."""

    room: str
    after: int | None
    key: str
    outcome: ClientStep | None

    __repr__ = concealed


class ArrivalProbe(ArrivalWanted, frozen=True):
    """It waits until it is known whether the holder of the name is still connected."""


class ArrivalClaim(ArrivalWanted, frozen=True):
    """It waits for the cluster to give it the name."""
