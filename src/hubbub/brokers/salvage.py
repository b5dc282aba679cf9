"""Reading a log in an SQLite file that is damaged: what can be read of it, and how much cannot.

The text index and the other indices are left alone: an entry is reached by its number only. Where a page of the file
cannot be read, the numbers on it are skipped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

PAGE = 512  # rows that are read at once where nothing is damaged
LAST = (1 << 63) - 1


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether SQLite says that the file itself is damaged."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def walk(
    db: sqlite3.Connection, columns: str, start: int, newest_first: bool, lost: Callable[[int], None]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of all entries from number `start` on, or back from it.

    Args:
        db: the connection; its reading is one view of the log only within a transaction.
        columns: what to read of each; the first is the number.
        start: the first number.
        newest_first: whether to go back.
        lost: called with how many numbers in a row cannot be read; 0 if that is all the rest.

    Raises:
        sqlite3.Error: it is not damage that keeps the log from being read.

    """
    order, compare, step = ("DESC", "<=", -1) if newest_first else ("ASC", ">=", 1)
    sql = f"SELECT {columns} FROM entry NOT INDEXED WHERE seq {compare} ? ORDER BY seq {order} LIMIT ?"

    def read(at: int, limit: int) -> list[tuple[Any, ...]] | None:
        try:
            return db.execute(sql, (at, limit)).fetchall()
        except sqlite3.Error as error:
            if is_damage(error):
                return None
            raise

    at, limit = start, PAGE
    while True:
        rows = read(at, limit)
        if rows:
            yield from rows
            at, limit = rows[-1][0] + step, min(PAGE, 4 * limit)
        elif rows is not None:
            return
        elif limit > 1:  # the rows before the damaged one, first
            limit = max(1, limit // 8)
        else:
            behind = _behind(partial(_is_readable, read, at, step), LAST - abs(at))
            lost(behind)
            if not behind:
                return
            at += step * behind


def _is_readable(read: Callable[[int, int], object], at: int, step: int, distance: int) -> bool:
    return read(at + step * distance, 1) is not None


def _behind(is_readable: Callable[[int], bool], most: int) -> int:
    """Return the least distance at which something can be read, 0 if there is none up to `most`.

    What is damaged is taken to be one piece: a page, or all that hangs on it.
    """
    distance = 1
    while not is_readable(distance):
        distance *= 2
        if distance > most:
            return 0
    low, high = distance // 2, distance  # that one fails, this one does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_readable(middle) else (middle, high)
    return high
