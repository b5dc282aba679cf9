"""The metadata of users and rooms, and a client's subscriptions to it; metadata.py has the command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hubbub.chat.session import Room, User

ROOMS = 10_000  # rooms with values; at this number, the values of rooms that are not loaded are dropped


class MetadataValues:
    """The metadata values of users and rooms, by key.

    They are in memory only and not in the log. A user's nick is theirs only while they are connected, and after a
    restart the operators of a room set its values again.

    Args:
        awake: the loaded rooms, by name.

    """

    def __init__(self, awake: Mapping[str, Room]) -> None:
        self.users: dict[User, dict[str, str]] = {}
        self.rooms: dict[str, dict[str, str]] = {}
        self._awake = awake

    def open(self, name: str) -> dict[str, str]:
        """Return a room's values for a change. Drop those of rooms that are not loaded if there are too many."""
        if name not in self.rooms and len(self.rooms) >= ROOMS:
            for other in [other for other in self.rooms if other not in self._awake]:
                del self.rooms[other]
        return self.rooms.setdefault(name, {})

    def move(self, before: str, to: str) -> None:
        """Move a room's values to its new name."""
        self.rooms.pop(to, None)
        if values := self.rooms.pop(before, None):
            self.rooms[to] = values


@dataclass(slots=True)
class MetadataSubscriptions:
    """A client's state: the keys that it subscribes to, in order, and its values set before registration."""

    subscribed: dict[str, None] = field(default_factory=dict)
    early: dict[str, str] = field(default_factory=dict)
