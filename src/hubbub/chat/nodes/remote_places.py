"""The rooms of the users of other nodes, with the numbers of the log by which this node knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hubbub.chat.session import User
from hubbub.model.room.room_ids import RoomRef


class Place(NamedTuple):
    """The knowledge about a remote user in a room.

    Args:
        seq: the number of the join or leave in the log that says it.
        inside: whether the user is a member.

    """

    seq: int
    inside: bool


class RemotePlaces:
    """The places of all users of other nodes, by the ids of the rooms; it changes no loaded room."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[User, int]] = {}  # by room that has any: its remote members, and their joins
        self._places: dict[User, dict[str, Place]] = {}  # of each user on other nodes, by room
        # The names of the rooms that have remote members, as other nodes or this one knew them last: for people who
        # name a room that is not loaded here.
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def __contains__(self, user: User) -> bool:
        return user in self._places

    def of(self, user: User) -> Mapping[str, Place]:
        """Return the places of a user on other nodes, by room; raise KeyError for any other user."""
        return self._places[user]

    def joins(self, user: User) -> dict[str, int]:
        """Return the rooms of a user on other nodes, with the numbers of the joins."""
        return {room: place.seq for room, place in self._places[user].items() if place.inside}

    def begin(self, user: User) -> None:
        """Begin with a user, whose rooms are not known yet."""
        self._places[user] = {}

    def note(self, user: User, room: RoomRef, place: Place) -> None:
        """Note whether a user is in a room."""
        self._places[user][room.id] = place
        if place.inside:
            self.rooms.setdefault(room.id, {})[user] = place.seq
            self.note_name(room)
        else:
            self._drop(user, room.id)

    def forget(self, user: User, room: str) -> None:
        """Forget a room that a user is not in."""
        self._places[user].pop(room, None)

    def end(self, user: User) -> None:
        """Forget a user who is on no other node any more."""
        for room in self._places.pop(user):
            self._drop(user, room)

    def _drop(self, user: User, room: str) -> None:
        members = self.rooms.get(room, {})
        members.pop(user, None)
        if not members:
            self.rooms.pop(room, None)
            self._forget_name(room)

    # --- the names of rooms that need not be loaded -----------------------------------------------------------------

    def note_name(self, room: RoomRef) -> None:
        """Note the present name of a room, if it has remote members."""
        if room.id in self.rooms and self._names.get(room.id) != room.name:
            self._forget_name(room.id)
            self._names[room.id] = room.name
            self._ids[room.name] = room.id

    def _forget_name(self, room: str) -> None:
        name = self._names.pop(room, "")
        if self._ids.get(name) == room:
            del self._ids[name]

    def ref(self, room: str) -> RoomRef:
        """Return the room with an id and the name under which it was known last; "" for a name that is not known."""
        return RoomRef(room, self._names.get(room, ""))

    def named(self, name: str) -> Mapping[User, int]:
        """Return the remote members of the room that has a name, with their joins."""
        return self.rooms.get(self._ids.get(name, ""), {})

    @property
    def names(self) -> Mapping[str, str]:
        """The names of the rooms that have remote members, by id."""
        return self._names
