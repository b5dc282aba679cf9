"""The line that is being typed: its characters, the cursor, and the text that was cut last."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from operator import itemgetter

from hubbub.wire.terminal.width import clusters

# Everything up to the end of the first word: of letters and digits, or of all signs but spaces. A line may have 16,000
# characters, so no loop of Python looks at each of them.
_WORD = re.compile(r"[\W_]*[^\W_]*")
_FIELD = re.compile(r"\s*\S*")
_FIRST = itemgetter(0)  # the first code point of a character


class TypedLine:
    """A line of text with a cursor.

    The unit is the character as people see it (UAX #29), which may be several code points.

    Args:
        limit: longest text, in bytes of UTF-8.

    """

    __slots__ = ("_cut", "_limit", "cursor", "row", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._cut = ""  # the text that was cut last
        self.row: list[str] = []  # the characters
        self.cursor = 0  # the index of the character before which it stands
        self.size = 0  # bytes of the text

    @property
    def length(self) -> int:
        """The number of characters that one key may touch: those of the line, and those that were cut last."""
        return len(self.row) + len(self._cut)

    @property
    def text(self) -> str:
        """The whole text, with LF between the lines of a paste."""
        return "".join(self.row)

    def set(self, text: str) -> None:
        """Replace the text, which must be within the limit; the cursor stands at its end."""
        self.row = clusters(text)
        self.cursor = len(self.row)
        self.size = _size(text)

    def insert(self, text: str) -> bool:
        """Insert a text at the cursor; return False, and insert nothing, if the line would be too long."""
        size = _size(text)
        if self.size + size > self._limit:
            return False
        self.size += size
        # The neighbours may form one character with the text.
        start, end = max(0, self.cursor - 1), min(len(self.row), self.cursor + 1)
        before = "".join(self.row[start : self.cursor]) + text
        whole = before + "".join(self.row[self.cursor : end])
        pieces = clusters(whole)
        self.row[start:end] = pieces
        self.cursor = start + _index(pieces, len(before))
        return True

    def remove(self, start: int, end: int) -> str:
        """Remove the characters between two indexes, and return them; the cursor stands where they were."""
        start, end = max(0, start), min(len(self.row), end)
        removed = "".join(self.row[start:end])
        del self.row[start:end]
        self.size -= _size(removed)
        self.cursor = start
        return removed

    def cut(self, start: int, end: int) -> None:
        """Remove the characters between two indexes, and keep them for `put_back`."""
        if removed := self.remove(start, end):
            self._cut = removed

    def put_back(self) -> bool:
        """Insert the text that was cut last; return False if the line would be too long."""
        return self.insert(self._cut)

    def move_to(self, index: int) -> None:
        """Move the cursor to an index, or to the end of the line that is nearest to it."""
        self.cursor = min(max(0, index), len(self.row))

    def word_before(self, is_word: bool) -> int:
        """Return the index at which the word before the cursor begins.

        Args:
            is_word: whether a word is letters and digits only; else it is everything but spaces.

        """
        before = self.row[self.cursor - 1 :: -1] if self.cursor else []
        return self.cursor - _length(before, is_word)

    def word_after(self) -> int:
        """Return the index at which the word after the cursor ends; a word is letters and digits."""
        return self.cursor + _length(self.row[self.cursor :], True)

    def transpose(self) -> None:
        """Exchange the characters around the cursor, at the end of the line the last two, and go on to the next."""
        at = min(self.cursor, len(self.row) - 1)
        if at > 0:
            self.row[at - 1], self.row[at] = self.row[at], self.row[at - 1]
            self.cursor = at + 1


def _length(row: Sequence[str], is_word: bool) -> int:
    """Return the number of characters up to the end of the first word in a row, which may be read backwards.

    A character of several code points is of the kind of the first one.
    """
    text = "".join(row)
    if len(text) != len(row):
        text = "".join(map(_FIRST, row))
    found = (_WORD if is_word else _FIELD).match(text)
    return found.end() if found else 0


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _index(pieces: list[str], length: int) -> int:
    """Return the index after the piece in which the first `length` characters end."""
    return bisect_left(list(accumulate(map(len, pieces), initial=0)), length)
