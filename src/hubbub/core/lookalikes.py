"""Names that look the same: `Аlice` with a Cyrillic letter and Alice, `sеrver` and server (UTS #39)."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from hubbub.core.confusables import PROTOTYPES
from hubbub.core.text import fold


def _skeleton(text: str) -> str:
    if text.isascii():
        return text.translate(PROTOTYPES)
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).translate(PROTOTYPES))


def looks(name: str) -> frozenset[str]:
    """Return how a valid name looks, as it is shown and without case: names that have one of these in common are alike.

    All are needed: `AIice` with a capital i looks like Alice only as it is shown, `аLICE` only without case. Some
    scripts have signs without case, or with another, that look like capitals: Cherokee's `Ꮪ`, Lisu's `ꓢ`.
    """
    shown = unicodedata.normalize("NFKC", name)
    # Not a digit's: nobody takes a zero for a small o.
    letters = "".join(char if char.isascii() else _skeleton(char) for char in shown)
    return frozenset((_skeleton(shown), _skeleton(fold(name)), _skeleton(letters.casefold())))


class Lookalikes:
    """Names that are held, by what they look like."""

    def __init__(self) -> None:
        self._looks: dict[str, frozenset[str]] = {}  # by folded name
        self._keys: dict[str, dict[str, None]] = {}  # the folded names that look so: one, or more in a rename

    def add(self, key: str, name: str) -> None:
        """Note that a name is held; `key` is the folded one."""
        self.remove(key)
        self._looks[key] = looks(name)
        for look in self._looks[key]:
            self._keys.setdefault(look, {})[key] = None

    def remove(self, key: str) -> None:
        """Note that a name is not held any more."""
        for look in self._looks.pop(key, ()):
            del self._keys[look][key]
            if not self._keys[look]:
                del self._keys[look]

    def find(self, name: str, but: Collection[str] = ()) -> str | None:
        """Return a folded name that looks like one, and is not among some others; None if there is none."""
        alike = (key for look in sorted(looks(name)) for key in self._keys.get(look, ()))
        return next((key for key in alike if key not in but), None)
