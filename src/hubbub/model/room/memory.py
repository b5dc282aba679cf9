"""A user's memory of rooms that it is not in: invitations, former masks, and where its identity is known."""

from __future__ import annotations

INVITATIONS = 100  # invitations that a user remembers
FORMER_ROOMS = 1_000  # rooms for which a user remembers former masks, and trust
FORMER_NAMES = 4  # former masks per room


class RoomMemory:
    """The memory of a user for rooms, by the ids of the rooms and of bounded size."""

    __slots__ = ("former", "invited", "trusted")

    def __init__(self) -> None:
        # The rooms that it was invited to. The value is the time of an operator's invitation (epoch seconds), which
        # opens the room to the user, or 0 for an invitation by another member.
        self.invited: dict[str, float] = {}
        # By rooms that it has left: its masks there. A ban of such a mask still applies, besides one of its mask now.
        self.former: dict[str, tuple[str, ...]] = {}
        # The rooms in which its identity is known: it had rights there, or knows the key.
        self.trusted: dict[str, None] = {}

    def invite(self, room: str, opens: float) -> None:
        """Remember an invitation to a room; only the newest INVITATIONS are kept.

        `opens` is the time (epoch seconds) of an invitation by an operator, or 0 for one by another member.
        """
        self.invited[room] = max(opens, self.invited.pop(room, 0.0))
        while len(self.invited) > INVITATIONS:
            del self.invited[next(iter(self.invited))]

    def keep_mask(self, room: str, mask: str) -> None:
        """Remember its mask in a room that it leaves: bans and mutes of that mask continue to apply to it."""
        known = self.former.pop(room, ())
        self.former[room] = (*(one for one in known if one != mask), mask)[-FORMER_NAMES:]
        if len(self.former) > FORMER_ROOMS:
            del self.former[next(iter(self.former))]

    def trust(self, room: str) -> None:
        """Remember that its identity is known in a room."""
        self.trusted[room] = None
        if len(self.trusted) > FORMER_ROOMS:
            del self.trusted[next(iter(self.trusted))]
