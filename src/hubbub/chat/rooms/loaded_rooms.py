"""The loaded rooms, by name and by id."""

from __future__ import annotations

from hubbub.chat.session import Room


class LoadedRooms(dict[str, Room]):
    """The loaded rooms by the names that they have now; `by_id` has the same rooms by id."""

    def __init__(self) -> None:
        super().__init__()
        self.by_id: dict[str, Room] = {}
        self._names: dict[str, str] = {}  # under which the rooms are here, by id

    def add(self, room: Room) -> None:
        """Add a room that has been loaded."""
        self[room.name] = self.by_id[room.id] = room
        self._names[room.id] = room.name

    def discard(self, room: Room) -> None:
        """Remove a room that is unloaded."""
        del self[self._names.pop(room.id)]
        del self.by_id[room.id]

    def rename(self, room: Room, to: str) -> str:
        """List a room under its new name, and return the name before that."""
        before, self._names[room.id] = self._names[room.id], to
        del self[before]
        self[to] = room
        return before
