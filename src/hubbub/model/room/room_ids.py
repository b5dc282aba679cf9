"""The ids of rooms: a room has the same id for ever, whatever it is called.

An id is made when the room is first written: it is the first name of the room, with a number behind it if a room that
was renamed has that id already. Only the storages know that; for everything else an id is a text without a meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NamedTuple, Protocol


class NamedRoom(Protocol):
    """A room with its id and the name that it has now, such as a RoomState or a RoomRef."""

    @property
    def id(self) -> str:
        """The id of the room; "" for the room that has the name."""
        ...

    @property
    def name(self) -> str:
        """The folded name of the room; "" if only the id is known."""
        ...


class RoomRef(NamedTuple):
    """The id and the name of a room that need not be loaded."""

    id: str
    name: str


def new_room_id(name: str, is_taken: Callable[[str], bool]) -> str:
    """Return the id of a new room with this name; the same one as long as no other room of the name is written."""
    if not is_taken(name):
        return name
    # No name has a `=`.
    return next(id for number in count(2) if not is_taken(id := f"{name}={number}"))
