"""The lists of masks of a room (bans, exemptions, standing invitations), and the users whom they match."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from hubbub.model.room.masks.mask_targets import MaskTarget, read_target
from hubbub.model.room.masks.masks import MUTE, NOBODY, read_mask

if TYPE_CHECKING:
    from hubbub.model.viewer import Viewer

LISTS = "beI"
VERDICTS = 256  # users whose verdict a room remembers


class ListedMask(NamedTuple):
    """A mask in a list: its setter, its time, and the time when it ends (0: never); in epoch seconds."""

    by: str
    at: float
    until: float
    target: MaskTarget


class Verdict(NamedTuple):
    """Whether the lists of a room bar a user, and until when (epoch seconds) this is valid."""

    banned: bool
    muted: bool
    until: float


NOTHING = Verdict(False, False, inf)


class MaskLists:
    """The mask lists of one room."""

    def __init__(self) -> None:
        self._masks: dict[str, dict[str, ListedMask]] = {letter: {} for letter in LISTS}
        self.bans = self._masks["b"]
        self._verdicts: dict[tuple[str, str], Verdict] = {}  # of the users who were checked last, until a list changes

    def __getitem__(self, letter: str) -> dict[str, ListedMask]:
        return self._masks[letter]

    def add(self, letter: str, mask: str, by: str, at: float, until: float) -> None:
        """Add a mask to a list; an earlier one that is equal is replaced."""
        self.remove(letter, mask)
        self._masks[letter][mask] = ListedMask(by, at, until, read_target(mask.removeprefix(MUTE)))

    def remove(self, letter: str, mask: str) -> None:
        """Remove a mask from a list, if it is there."""
        self._verdicts.clear()
        if (known := self.find(letter, mask)) is not None:
            del self._masks[letter][known]

    def find(self, letter: str, mask: str) -> str | None:
        """Return a mask of a list as it was set, ignoring case; None if it is not there."""
        masks = self._masks[letter]
        mute, read = mask.startswith(MUTE), read_mask(mask.removeprefix(MUTE))
        known = (one for one in masks if masks[one].target.whole == read != NOBODY and one.startswith(MUTE) is mute)
        return mask if mask in masks else next(known, None)

    def after(self, letter: str, mask: str) -> str | None:
        """Return the mask that directly follows another one and was set together with it; None if there is none."""
        masks = self._masks[letter]
        following = iter(masks)
        known = self.find(letter, mask)
        if known is None or known not in following:
            return None
        later = next(following, None)
        return later if later and masks[later][:2] == masks[known][:2] else None

    def hits(self, letter: str, viewer: Viewer, since: float = 0.0) -> Iterator[str]:
        """Yield the masks of a list that match a user now and were set after `since` (epoch seconds)."""
        for mask, one in self._masks[letter].items():
            if not 0 < one.until <= viewer.now and one.at > since and one.target.means(viewer):
                yield mask

    def verdict(self, viewer: Viewer) -> Verdict:
        """Return whether a user is banned or muted, and not exempt.

        The verdict is remembered until the lists change, so a hundred bans cost as little as one.
        """
        if not self.bans:
            return NOTHING
        who = viewer.mask, viewer.address
        known = self._verdicts.get(who)
        if known is None or known.until <= viewer.now:
            known = self._verdicts[who] = self._judge(viewer)
            if len(self._verdicts) > VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
        return known

    def is_banned_since(self, viewer: Viewer, since: float) -> bool:
        """Return whether a user is banned, and not exempt, by bans that were set after `since` (epoch seconds)."""
        if not self.verdict(viewer).banned:
            return False
        return any(not mask.startswith(MUTE) for mask in self.hits("b", viewer, since))

    def _judge(self, viewer: Viewer) -> Verdict:
        ends = (one.until for letter in "be" for one in self._masks[letter].values() if one.until > viewer.now)
        masks = list(self.hits("b", viewer))
        if masks and any(self.hits("e", viewer)):
            masks = []
        mutes = sum(mask.startswith(MUTE) for mask in masks)
        return Verdict(len(masks) > mutes, mutes > 0, min(ends, default=inf))
