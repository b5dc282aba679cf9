"""The description of a user that nodes exchange, and the list of the owner's sessions on all nodes."""

from __future__ import annotations

import hashlib
from itertools import repeat

from msgspec import Struct

from hubbub.chat.session import Session, User
from hubbub.model.room.room_ids import RoomRef

MOST_SCREENS = 64  # sessions of a user that other nodes learn of


class Screen(Struct, frozen=True):
    """A session of the owner of an account: its id, its wire, the peer's address, and the name of its node."""

    id: str
    wire: str = ""
    address: str = ""
    node: str = ""

    @property
    def code(self) -> str:
        """A short form of its id for people to type."""
        return hashlib.blake2b(self.id.encode(), digest_size=3).hexdigest()

    def told(self, current: str) -> str:
        """Return its line in a list; `current` is the id of the session that asks."""
        where = f" on {self.node}" if self.node else ""
        here = " (this one)" if self.id == current else ""
        return f"{self.code} from {self.address or 'an unknown address'}{where}{here}"


def screen(session: Session, node: str) -> Screen:
    """Return the description of a session on the node with a name."""
    return Screen(session.id_prefix, getattr(session.client, "wire_name", ""), session.address, node)


class Person(Struct, frozen=True):
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
    id: str = ""
    id_prefix: str = ""  # "" for a user of an older version
    joins: tuple[int, ...] = ()  # the numbers of the joins of `rooms`; missing for a user of an older version
    version: int = 0  # of real, away, modes and operator; 0 from a node of an older version of the program
    screens: tuple[Screen, ...] = ()  # the sessions of the owner of an account
    room_ids: tuple[str, ...] = ()  # the ids of `rooms`; missing for a user of an older version

    @property
    def places(self) -> dict[RoomRef, int]:
        """The user's rooms, with the numbers of the joins; 0 for an unknown number, and the name for an unknown id."""
        ids = (*self.room_ids[: len(self.rooms)], *self.rooms[len(self.room_ids) :])
        joins = (*self.joins[: len(self.rooms)], *repeat(0, len(self.rooms) - len(self.joins)))
        return dict(zip(map(RoomRef, ids, self.rooms), joins, strict=True))


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


def person(user: User, node: str = "") -> Person:
    """Return the description of a user of this node, which has a name, for other nodes."""
    note_details(user)
    places = [(room, seq) for room in user.rooms.values() if (seq := room.members.get(user, 0))]
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
        tuple(room.name for room, _ in places),
        user.id,
        user.id_prefix,
        tuple(seq for _, seq in places),
        user.version,
        tuple(screen(one, node) for one in user.sessions[:MOST_SCREENS]) if user.account else (),
        tuple(room.id for room, _ in places),
    )
