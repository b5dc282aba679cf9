"""The rights of the users of a room: of its members, and those that are remembered for others by name and host."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hubbub.model.accounts.account import is_account
from hubbub.model.entries import ModeChange
from hubbub.model.room.modes import PREFIXES
from hubbub.model.room.settings import RoomSettings
from hubbub.model.viewer import Principal
from hubbub.text.names import key_of

Holder = tuple[str, str]  # under which a user's rights are remembered: the folded nick, and the host


class RoomRights(RoomSettings):
    """The settings of one room, and the rights of its users.

    Args:
        name: its name at the time of the first entry.
        id: the id of the room.

    """

    __slots__ = ("id", "members", "rights", "status")

    def __init__(self, name: str, id: str) -> None:
        super().__init__(name)
        self.id = id
        self.rights: dict[Holder, str] = {}  # letters of PREFIXES
        self.members: Collection[Principal] = ()  # the users in the live room, which keeps this up to date
        self.status: dict[Principal, str] = {}  # of members with rights: letters of PREFIXES

    def promote(self, change: ModeChange) -> None:
        """Give or take a right of a user, present or not."""
        nick, _, host = change.param.partition("!")
        _toggle(self.rights, (key_of(nick), host), change)
        for member in self.members:
            if key_of(member.nick) == key_of(nick):
                _toggle(self.status, member, change)

    def admit(self, user: Principal) -> None:
        """Give a new member the rights that are remembered for them, and use up their invitation."""
        user.invited.pop(self.id, None)
        if status := self.remembered_rights(user):
            self.status[user] = status

    def dismiss(self, user: Principal) -> None:
        """Take the rights of a user who has left the room; they stay remembered."""
        self.status.pop(user, None)

    def take_voice(self, user: Principal) -> None:
        """Take the voice of a member whose turn is over, before the entry that says so is stored."""
        _toggle(self.status, user, ModeChange(False, "v", ""))

    def restore_status(self, user: Principal) -> None:
        """Give a member the rights that are remembered for their name and host."""
        if self.trusts(user):
            self.set_status(user, self.remembered_rights(user))

    def move_status(self, user: Principal, before: str) -> None:
        """Follow a member's new name; the log entry of the rename may not have arrived yet."""
        if (key_of(before), user.host) not in self.rights:
            self.restore_status(user)

    def remembered_rights(self, user: Principal) -> str:
        """Return the rights that are remembered for a user with this name and host.

        Other users may share the address, and any user can take a name. So in a closed room, name and host alone give
        no rights.
        """
        return self.rights.get((key_of(user.nick), user.host), "") if self.trusts(user) else ""

    def inherited_rights(self, user: Principal) -> dict[str, str]:
        """Return the rights, by the former masks, that the owner of an account had before they logged in.

        They are those that a guest would find again; so there are none in a room that has an owner.
        """
        if not is_account(user.host) or self.has_owner or not self.trusts(user):
            return {}
        masks = user.former.get(self.id, ())
        return {mask: letters for mask in masks if (letters := self.rights.get(holder_of(mask)))}

    def trusts(self, user: Principal) -> bool:
        """Return whether the name and host of a user are enough for the rights that are remembered for them."""
        # For remote users, their own node has decided.
        return not self.closed or self.id in user.trusted or user.is_remote

    def set_status(self, user: Principal, letters: str) -> None:
        """Give a member these rights and no others."""
        if letters:
            self.status[user] = letters
        else:
            self.status.pop(user, None)

    def prefixes(self, user: Principal) -> str:
        """Return a member's prefix signs, the highest first."""
        status = self.status.get(user, "")
        return "".join(sign for letter, sign in PREFIXES.items() if letter in status)

    def is_operator(self, user: Principal) -> bool:
        """Return whether a user may change the modes: an operator of the room or of the server."""
        return "o" in self.status.get(user, "") or user.operator

    @property
    def has_owner(self) -> bool:
        """Whether the owner of an account is an operator of the room, present or not.

        Then the rights of guests end when they have gone, because somebody else can have the same name and host. In a
        room without an owner they stay remembered: an operator who loses the connection must find the room again.
        """
        return any("o" in letters and is_account(host) for (_, host), letters in self.rights.items())

    def returns_as_operator(self, user: Principal) -> bool:
        """Return whether a user who joins will be an operator by the rights that are remembered for them."""
        rights = (self.remembered_rights(user), *self.inherited_rights(user).values())
        return any("o" in letters for letters in rights) and (is_account(user.host) or not self.has_owner)


def holder_of(mask: str) -> Holder:
    """Return the holder of rights that a mask `nick!host` stands for."""
    nick, _, host = mask.partition("!")
    return key_of(nick), host


def holder_text(holder: Holder) -> str:
    """Return a holder as `nick!host`, with the folded nick."""
    return "!".join(holder)


def _toggle(store: dict[Any, str], key: Any, change: ModeChange) -> None:
    letters = store.get(key, "").replace(change.letter, "") + (change.letter if change.on else "")
    if letters:
        store[key] = letters
    else:
        store.pop(key, None)
