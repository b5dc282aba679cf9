"""How the input line is drawn on a terminal: below the text that scrolls, or as plain output.

Neither view uses the alternate screen, the mouse or more than one row that is ever written again. The text above goes
into the terminal's own scrollback.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from hubbub.wire.terminal.width import MEASURED, cells, clusters, is_certain, total

NARROWEST, WIDEST = 20, 500  # columns of a window; numbers of a client beyond these are not believed
ROOM = 6  # columns that a prompt leaves for the text
ERASE = "\r\x1b[K"
_SHOWN = {"\n": "↵", "\t": " "}  # how characters that would move the cursor are shown in the row


class Drawing(NamedTuple):
    """The visible part of the typed line.

    Args:
        prompt: a text of one line before it; "" for none.
        row: its characters.
        cursor: the index of the character before which the cursor stands.

    """

    prompt: str
    row: Sequence[str]
    cursor: int


def clamped(columns: int) -> int:
    """Return the number of columns of a window that a client reports, within bounds; 80 if it is not known (0)."""
    return min(max(columns, NARROWEST), WIDEST) if columns > 0 else 80


@lru_cache(MEASURED)
def visible(char: str) -> str:
    """Return a character of the line as it is shown: a mark without a letter before it stands on a space."""
    if unicodedata.category(char[0])[0] == "M":
        return " " + char
    return _SHOWN.get(char, char)


class View(Protocol):
    """The input line on a terminal. Each method returns the text to write, which ends where it says."""

    columns: int

    @property
    def is_blank(self) -> bool:
        """Whether nothing of a line is shown."""
        ...

    def adopt(self, drawing: Drawing) -> None:
        """Take note that the row shows a line already, which fits."""
        ...

    def draw(self, drawing: Drawing) -> str:
        """Show the line; the row may show an earlier state of it."""
        ...

    def leave(self) -> str:
        """Free the row, so that other text can be written, each line of it with CR LF; `draw` follows."""
        ...

    def finish(self, drawing: Drawing) -> str:
        """Leave the line on the screen for ever, and begin a new one."""
        ...


class ScrollView:
    """One row below the text: erased before text arrives, and drawn again after it.

    A line that is longer than the row is shown in part, around the cursor. The row never reaches the last column, where
    terminals differ in when they wrap.

    Args:
        columns: the width of the terminal.

    """

    __slots__ = ("_at_end", "_shown", "_start", "columns")

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._shown = ""  # in the row
        self._at_end = True  # the cursor stands behind it
        self._start = 0  # index of the first character that is shown

    @property
    def is_blank(self) -> bool:
        """Whether nothing of a line is shown."""
        return not self._shown

    def adopt(self, drawing: Drawing) -> None:
        """Take note that the row shows a line already, which fits."""
        self._shown, _ = self._row(drawing)

    def draw(self, drawing: Drawing) -> str:
        """Show the line: write what was added, or the row again."""
        before, after = self._row(drawing)
        row = before + after
        shown, self._shown = self._shown, row
        was_at_end, self._at_end = self._at_end, not after
        if was_at_end and not after and row.startswith(shown):
            return row[len(shown) :]
        # The cursor is placed by writing the text before it: no count of columns can be wrong.
        return f"\r{row}\x1b[K" + (f"\r{before}" if after else "")

    def leave(self) -> str:
        """Erase the row; the cursor stands at its beginning."""
        shown, self._shown, self._at_end = self._shown, "", True
        return ERASE if shown else ""

    def finish(self, drawing: Drawing) -> str:
        """Leave the whole line on the screen, however long it is."""
        whole = drawing.prompt + "".join("\r\n" if char == "\n" else visible(char) for char in drawing.row)
        shown, at_end, self._start = self._shown, self._at_end, 0
        erased = self.leave()
        rest = whole[len(shown) :] if at_end and whole.startswith(shown) else erased + whole
        return rest + "\r\n"

    def _row(self, drawing: Drawing) -> tuple[str, str]:
        """Return the text of the row before the cursor, and that after it."""
        prompt = _fitting(drawing.prompt, self.columns - ROOM)
        room = self.columns - 1 - total(prompt)
        row, cursor = drawing.row, drawing.cursor
        start, end = self._window(row, cursor, room)
        before = "".join([*prompt, "<" if start else "", *map(visible, row[start:cursor])])
        after = "".join([*map(visible, row[cursor:end]), ">" if end < len(row) else ""])
        return before, after

    def _window(self, row: Sequence[str], cursor: int, room: int) -> tuple[int, int]:
        """Return the indexes of the first character that is shown, and of that after the last one."""
        if len(row) <= room and total(row) <= room:
            self._start = 0
            return 0, len(row)
        room -= 2  # for the marks of the hidden ends
        start = self._start
        if not (start <= cursor <= start + room and total(row[start:cursor]) <= room):
            start, left = cursor, room // 2
            while start > 0 and (left := left - cells(row[start - 1])) >= 0:
                start -= 1
        end, left = start, room
        while end < len(row) and (left := left - cells(row[end])) >= 0:
            end += 1
        self._start = start
        return start, max(end, cursor)


def _fitting(prompt: str, room: int) -> list[str]:
    """Return the end of a prompt that fits in a number of columns."""
    row = clusters(prompt)
    while total(row) > room:
        del row[0]
    return row


class PlainView:
    """Output as that of a typewriter, for screen readers and `TERM=dumb`: nothing is written twice.

    It uses no control characters but CR LF and, to take back the last characters of the same row, BS. After text that
    arrives in the middle of a line, the rest of the line follows in a new row. A change that cannot be shown so begins
    a new row, too, with the whole line. The cursor is always at the end.

    Args:
        columns: the width of the terminal.

    """

    __slots__ = ("_above", "_begun", "_prompt", "_shown", "columns")

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._prompt = ""  # that was written
        self._begun = False  # something stands in the row
        self._above: list[str] = []  # characters of the line that stand above text which came later
        self._shown: list[str] = []  # those after them

    @property
    def is_blank(self) -> bool:
        """Whether nothing of a line is shown, also above text which came later."""
        return not (self._begun or self._above or self._shown)

    def adopt(self, drawing: Drawing) -> None:
        """Take note that the row shows a line already, which fits."""
        self._prompt, self._shown = drawing.prompt, list(drawing.row)
        self._begun = bool(self._prompt or self._shown)

    def draw(self, drawing: Drawing) -> str:
        """Write what was added, after taking back what was removed."""
        before, self._prompt = self._prompt, drawing.prompt
        prompt = "" if drawing.prompt == before else drawing.prompt
        above, row = self._above, list(drawing.row)
        typed = row[len(above) :]
        kept = _same(self._shown, typed)
        removed, added = self._shown[kept:], typed[kept:]
        moved = row[: len(above)] != above or not self._can_take_back(removed)
        if moved or (self._begun and drawing.prompt != before):
            prompt, removed, added = ("\r\n" if self._begun else "") + drawing.prompt, [], row
            self._above, typed = [], row
        self._shown = typed
        self._begun = self._begun or bool(prompt or added)
        back = "\b" * total(removed)
        return f"{prompt}{back}{' ' * len(back)}{back}{''.join(map(visible, added))}"

    def leave(self) -> str:
        """End the row, if anything is in it."""
        self._above += self._shown
        self._shown = []
        begun, self._begun = self._begun, False
        return "\r\n" if begun else ""

    def finish(self, drawing: Drawing) -> str:
        """End the row, and the line."""
        self._above, self._shown, self._prompt, self._begun = [], [], "", False
        return "\r\n"

    def _can_take_back(self, removed: Sequence[str]) -> bool:
        """Return whether some characters can be erased with BS: their width is known, and all are in one row."""
        if not removed:
            return True
        row = total(self._shown) + (0 if self._above else total(clusters(self._prompt)))
        return row < self.columns and all(map(is_certain, removed))


def _same(old: Sequence[str], now: Sequence[str]) -> int:
    """Return the number of first characters that are the same."""
    least, most = 0, min(len(old), len(now))
    while least < most:  # slices are compared forty times as fast as characters one by one
        middle = (least + most + 1) // 2
        least, most = (middle, most) if old[least:middle] == now[least:middle] else (least, middle - 1)
    return least
