"""The rooms of an import: which entries of it are in the log already.

An import may be started again, so it leaves out the entries that the log has. The id of an entry is unique within its
room, and one event of a user has an entry in each of several rooms. So the room counts as well; but an import names
each room as it was called at the time, and it may have another name in the log by now. Therefore a room is recognised
by its entries.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

from hubbub.model.entries import Entry, Left, NickChanged, RoomRenamed

RoomId = TypeVar("RoomId", int, str)


class ImportedRooms(Generic[RoomId]):
    """The rooms of the log, by the names that they have at the present point of an import."""

    def __init__(self) -> None:
        self._rooms: dict[str, RoomId] = {}

    def find(self, name: str) -> RoomId | None:
        """Return the room of the log that has a name at this point of the import; None if it is not known yet."""
        return self._rooms.get(name)

    def is_known(self, entry: Entry, holders: Collection[RoomId]) -> bool:
        """Return whether the log has an entry; `holders` are the rooms in which the log has an entry with its id."""
        room = self._rooms.get(entry.room)
        if not holders or (_is_event(entry) and room is not None and room not in holders):
            return False
        if room is None and len(holders) == 1:
            (self._rooms[entry.room],) = holders
        self._follow(entry)
        return True

    def note(self, entry: Entry, room: RoomId) -> None:
        """Note that an entry is now in a room of the log."""
        self._rooms[entry.room] = room
        self._follow(entry)

    def _follow(self, entry: Entry) -> None:
        if isinstance(entry.body, RoomRenamed) and entry.room in self._rooms:
            self._rooms[entry.body.to] = self._rooms.pop(entry.room)


def _is_event(entry: Entry) -> bool:
    """Return whether there may be entries with the same id in other rooms."""
    return isinstance(entry.body, NickChanged) or (isinstance(entry.body, Left) and entry.body.quit)
