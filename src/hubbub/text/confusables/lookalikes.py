"""Names that look the same: `Аlice` with a Cyrillic letter and Alice, `sеrver` and server (UTS #39)."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from functools import lru_cache

from hubbub.text.cleaning import fold
from hubbub.text.confusables.table import PROTOTYPES


def _skeleton(text: str) -> str:
    if text.isascii():
        return text.translate(PROTOTYPES)
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).translate(PROTOTYPES))


@lru_cache(maxsize=4096)
def _letter_skeleton(char: str) -> str:
    """Return the skeleton of one character; ASCII stays as it is: a zero is not mistaken for a small o."""
    return char if char.isascii() else _skeleton(char)


def looks(name: str) -> frozenset[str]:
    """Return the looks of a valid name, with and without case; names that share one of them look alike.

    All of them are needed: `AIice` with a capital i looks like Alice only with its case, `аLICE` only without. Some
    scripts have caseless letters, or letters of the other case, that look like capitals: Cherokee's `Ꮪ`, Lisu's `ꓢ`.
    """
    # All accounts are looked at when the server starts, and most names need no more than this.
    if name.isascii():
        return frozenset((name.translate(PROTOTYPES), name.lower().translate(PROTOTYPES)))
    shown = unicodedata.normalize("NFKC", name)
    letters = "".join(map(_letter_skeleton, shown))
    return frozenset((_skeleton(shown), _skeleton(fold(name)), _skeleton(letters.casefold())))


class Lookalikes:
    """The names in use, indexed by their looks."""

    def __init__(self) -> None:
        # Tuples, because both hold one or two items for each name, for which sets and dicts need four times the memory.
        self._looks: dict[str, tuple[str, ...]] = {}  # by folded name
        self._keys: dict[str, tuple[str, ...]] = {}  # folded names by look: one, or more during a rename

    def add(self, key: str, name: str) -> None:
        """Record that a name is in use; `key` is the folded name."""
        self.remove(key)
        self._looks[key] = tuple(looks(name))
        for look in self._looks[key]:
            self._keys[look] = (*self._keys.get(look, ()), key)

    def remove(self, key: str) -> None:
        """Record that a name is free again."""
        for look in self._looks.pop(key, ()):
            if others := tuple(one for one in self._keys.pop(look) if one != key):
                self._keys[look] = others

    def find(self, name: str, but: Collection[str] = ()) -> str | None:
        """Return a folded name in use that looks like `name` and is not in `but`; None if there is none."""
        return next((key for key in self.alike(name) if key not in but), None)

    def alike(self, name: str) -> list[str]:
        """Return the folded names in use that look like `name`, its own included."""
        return list(dict.fromkeys(key for look in sorted(looks(name)) for key in self._keys.get(look, ())))
