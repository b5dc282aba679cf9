"""The settings of a room: its mode letters, key, numbers and lists of masks."""

from __future__ import annotations

from hubbub.model.entries import ModeChange
from hubbub.model.room import keys, modes
from hubbub.model.room.masks.mask_lists import LISTS, MaskLists
from hubbub.model.room.modes import CLOSED, LETTERS, SECRET, SHOWN_KEY
from hubbub.model.room.slow_mode import SlowMode
from hubbub.text.names import LOBBY

# Bounds of a list of masks. The hub refuses a mask before (text/bounds.py), so that only other programs can reach them.
MAX_MASKS = 400
LIST_CHARS = 16 * 1024


class RoomSettings:
    """The settings of one room.

    Args:
        name: the name of the room at the time of its first entry.

    """

    __slots__ = ("flags", "flood", "key", "known_key", "limit", "lists", "slow")

    def __init__(self, name: str) -> None:
        # The lobby has no operator who could open it to scripts.
        self.flags = set() if name == LOBBY else {"n"}
        self.key = ""  # as it is stored
        self.known_key = ""  # in plain text, if a user typed it since the room was loaded
        self.limit = 0  # members; 0: any number
        self.slow = SlowMode()
        self.flood = 0  # messages in 10 s, with the next of which the room rests; 0: any number
        self.lists = MaskLists()

    def set_letter(self, change: ModeChange, by: str, at: float, until: float) -> None:
        """Apply a change of any letter but those of rights.

        Args:
            change: the change.
            by: the nick of the user who has made it.
            at: its time, in epoch seconds.
            until: the time at which a mask ends, in epoch seconds; 0 for never.

        """
        on, letter, param = change
        if letter in LISTS:
            if on:
                self.lists.add(letter, param, by, at, until)
            else:
                self.lists.remove(letter, param)
        elif letter == "k":
            self.key, self.known_key = (param, "") if on else ("", "")
        elif letter in LETTERS and LETTERS[letter].parameter:
            self._set_number(letter, modes.number(param) if on else 0)
        elif on:
            self.flags.add(letter)
        else:
            self.flags.discard(letter)

    def _set_number(self, letter: str, number: int) -> None:
        if letter == "l":
            self.limit = number
        elif letter == "f":
            self.flood = number
        else:
            self.slow.set(number)

    def surplus_mask(self, letter: str) -> str | None:
        """Return the oldest mask of a list if there are too many, else None."""
        masks = self.lists[letter]
        return next(iter(masks)) if len(masks) > MAX_MASKS or sum(map(len, masks)) > LIST_CHARS else None

    @property
    def closed(self) -> str:
        """The letters of CLOSED that are set: "" for a room that all users can read."""
        return "".join(sorted(self.flags.intersection(CLOSED) | ({"k"} if self.key else set())))

    @property
    def is_secret(self) -> bool:
        """Whether the room is hidden from all users but its members."""
        return SECRET in self.flags

    def accepts_key(self, key: str) -> bool:
        """Return whether this is the room's key."""
        return bool(self.key) and keys.fits(key, self.key)

    def learn_key(self, key: str) -> None:
        """Remember the room's key in plain text, to show it to operators."""
        if self.accepts_key(key):
            self.known_key = key

    def modes(self, shows_key: bool) -> str:
        """Return the room's settings in the form of a change, without its lists; with the plain key if it is known.

        Args:
            shows_key: whether to show the key; otherwise SHOWN_KEY stands in its place.

        """
        changes = [ModeChange(True, letter, "") for letter in LETTERS if letter in self.flags]
        key = (self.known_key if shows_key else "") or SHOWN_KEY
        for letter, value in (
            ("k", key if self.key else ""),
            ("l", self.limit or ""),
            ("d", self.slow.seconds or ""),
            ("f", self.flood or ""),
        ):
            if value:
                changes.append(ModeChange(True, letter, str(value)))
        return " ".join(modes.write(changes)) if changes else "+"
