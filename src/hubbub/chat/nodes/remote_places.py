"""The rooms of the users of other nodes, with the numbers of the log by which this node knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hubbub.chat.session import User


class Place(NamedTuple):
    """The knowledge about a remote user in a room.

    Args:
        seq: the number of the join or leave in the log that says it.
        inside: whether the user is a member.

    """

    seq: int
    inside: bool


class RemotePlaces:
    """The places of all users of other nodes, by room name; it changes no loaded room."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[User, int]] = {}  # by room that has any: its remote members, and their joins
        self._places: dict[User, dict[str, Place]] = {}  # of each user on other nodes, by room

    def __contains__(self, user: User) -> bool:
        return user in self._places

    def of(self, user: User) -> Mapping[str, Place]:
        """Return the places of a user on other nodes, by room; raise KeyError for any other user."""
        return self._places[user]

    def joins(self, user: User) -> dict[str, int]:
        """Return the rooms of a user on other nodes, with the numbers of the joins."""
        return {name: place.seq for name, place in self._places[user].items() if place.inside}

    def begin(self, user: User) -> None:
        """Begin with a user, whose rooms are not known yet."""
        self._places[user] = {}

    def note(self, user: User, name: str, place: Place) -> None:
        """Note whether a user is in a room."""
        self._places[user][name] = place
        if place.inside:
            self.rooms.setdefault(name, {})[user] = place.seq
        else:
            self._drop(user, name)

    def forget(self, user: User, name: str) -> None:
        """Forget a room that a user is not in."""
        self._places[user].pop(name, None)

    def end(self, user: User) -> None:
        """Forget a user who is on no other node any more."""
        for name in self._places.pop(user):
            self._drop(user, name)

    def _drop(self, user: User, name: str) -> None:
        members = self.rooms.get(name, {})
        members.pop(user, None)
        if not members:
            self.rooms.pop(name, None)

    def rename(self, before: str, to: str) -> dict[User, int]:
        """Rename a room; return the members, with their joins, that were reported under the new name already."""
        early = self.rooms.pop(to, {})
        members = self.rooms.pop(before, {})
        for user in members:
            places = self._places[user]
            places[to] = places.pop(before)
        if members or early:
            self.rooms[to] = early | members
        return early
