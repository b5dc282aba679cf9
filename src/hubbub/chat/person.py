"""The description of a user that nodes exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest

from hubbub.chat.session import User


@dataclass(frozen=True, slots=True)
class Person:
    """A user of a node, as the other nodes know them; the fields are those of User."""

    nick: str
    host: str = ""
    address: str = ""
    real: str = ""
    away: str = ""
    modes: str = ""
    operator: bool = False
    since: float = 0.0
    active: float = 0.0
    rooms: tuple[str, ...] = ()
    id: str = field(default="", compare=False)
    id_prefix: str = field(default="", compare=False)  # "" for a user of an older version
    joins: tuple[int, ...] = ()  # the numbers of the joins of `rooms`; missing for a user of an older version
    version: int = 0  # of real, away, modes and operator; 0 from a node of an older version of the program

    @property
    def places(self) -> dict[str, int]:
        """The user's rooms, with the numbers of the joins; 0 for an unknown number."""
        return dict(zip_longest(self.rooms, self.joins[: len(self.rooms)], fillvalue=0))  # type: ignore[arg-type]


def note_details(user: User) -> None:
    """Give a user of this node a higher version if the details have changed since the last one.

    Several nodes may change the details of the owner of an account: the description with the highest version counts.
    """
    details = user.real, user.away, "".join(sorted(user.modes)), user.operator
    if details != user.details:
        user.details = details
        user.version += 1


def take_details(user: User, who: Person) -> None:
    """Give a user the details of a description by another node."""
    user.real, user.away, user.modes, user.operator = who.real, who.away, frozenset(who.modes), who.operator
    user.details = who.real, who.away, "".join(sorted(user.modes)), who.operator
    user.version = who.version


def person(user: User) -> Person:
    """Return the description of a user of this node for other nodes."""
    note_details(user)
    places = {room.name: seq for room in user.rooms.values() if (seq := room.members.get(user, 0))}
    return Person(
        user.nick,
        user.host,
        user.address,
        user.real,
        user.away,
        "".join(sorted(user.modes)),
        user.operator,
        user.since,
        user.active,
        tuple(places),
        user.id,
        user.id_prefix,
        tuple(places.values()),
        user.version,
    )
