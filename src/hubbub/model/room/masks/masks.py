"""Masks with the wildcards `*` and `?`, as in bans and other lists: `nick!user@host`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hubbub.text import bounds
from hubbub.text.cleaning import fold

MUTE = "m:"  # prefix of a mask in the list of bans: may be there, but not speak

ACCOUNT = "a:"  # prefix of the name of an account in the place of a mask
TILDE = "~"  # clients of other servers write it before these prefixes


def whole_mask(mask: str) -> str:
    """Return a mask as `nick!user@host`, with `*` for each part that is missing.

    The name of an account after ACCOUNT stays as it is.
    """
    mute, mask = _split(mask, MUTE)
    account, mask = _split(mask, ACCOUNT)
    if account:
        return mute + account + mask
    nick, _, rest = mask.partition("!") if "!" in mask else ("", "", mask) if "@" in mask else (mask, "!", "")
    user, _, host = rest.partition("@")
    return f"{mute}{nick or '*'}!{user or '*'}@{host or '*'}"


def _split(mask: str, prefix: str) -> tuple[str, str]:
    """Return a prefix and the rest of a mask that begins with it, also in capitals or after TILDE; else "" and all."""
    bare = mask.removeprefix(TILDE)
    return (prefix, bare[len(prefix) :]) if bare[: len(prefix)].lower() == prefix else ("", mask)


class Mask(NamedTuple):
    """A folded mask, and its longest part without wildcards: every text that the mask matches contains this part."""

    folded: str
    literal: str

    def matches(self, folded: Sequence[str]) -> bool:
        """Return whether the mask matches one of the folded texts."""
        return any(self.literal in text and _matches(self.folded, text) for text in folded)


NOBODY = Mask("\0", "\0")  # matches nothing: no clean text contains this


def read_mask(mask: str) -> Mask:
    """Return a mask in the form for matching, folded once when it is set; NOBODY if it is too long."""
    if len(mask) > bounds.FOLDED_CHARS:
        return NOBODY
    folded = fold(mask)
    if len(folded) > bounds.FOLDED_CHARS:
        return NOBODY
    return Mask(folded, max(folded.replace("?", "*").split("*"), key=len))


def _matches(folded: str, text: str) -> bool:
    """Return whether a folded mask matches all of a folded text.

    The time is proportional to the sum of the two lengths, whatever their content: all the ways in which the mask can
    match are followed at once, as bits. Bit n is set while the first n characters of the mask, without its stars,
    match.
    """
    accepts: dict[str, int] = {}  # by character: the positions in the mask that accept it
    any_character = stars = 0
    position = 1
    for char in folded:
        if char == "*":
            stars |= position
            continue
        if char == "?":
            any_character |= position
        else:
            accepts[char] = accepts.get(char, 0) | position
        position <<= 1
    state = 1
    for char in text:
        state = ((state & (accepts.get(char, 0) | any_character)) << 1) | (state & stars)
        if not state:
            return False
    return bool(state & position)
