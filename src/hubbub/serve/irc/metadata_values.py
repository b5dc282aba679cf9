"""The metadata of users and rooms, and a client's subscriptions to it; metadata.py has the command."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from hubbub.chat.session import Room, User

ROOMS = 10_000  # rooms with values; at this number, the values of rooms that are not loaded are dropped


class MetadataValues:
    """The metadata values of users and rooms, by key.

    They are in memory only and not in the log. A user's nick is theirs only while they are connected, and after a
    restart the operators of a room set its values again.

    Args:
        awake: the loaded rooms, by name. Values are kept by the ids of rooms, which a rename does not change.

    """

    def __init__(self, awake: Mapping[str, Room]) -> None:
        self.users: dict[User, dict[str, str]] = {}
        self.rooms: dict[str, dict[str, str]] = {}
        self._awake = awake

    def open(self, id: str) -> dict[str, str]:
        """Return a room's values for a change. Drop those of rooms that are not loaded if there are too many."""
        if id not in self.rooms and len(self.rooms) >= ROOMS:
            awake = {room.id for room in self._awake.values()}
            self.rooms = {other: values for other, values in self.rooms.items() if other in awake}
        return self.rooms.setdefault(id, {})


class MetadataSubscriptions(Struct):
    """A client's state: the keys that it subscribes to, in order, and its values set before registration."""

    subscribed: dict[str, None] = field(default_factory=dict)
    early: dict[str, str] = field(default_factory=dict)
