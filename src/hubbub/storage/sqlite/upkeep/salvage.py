"""Reading a damaged log in an SQLite file: the readable entries, and the count of the others.

No index is used: each entry is read by its number. If a page of the file cannot be read, the numbers on it are skipped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

PAGE = 512  # rows that are read at once where nothing is damaged
LAST = (1 << 63) - 1  # highest row number of SQLite


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error of SQLite means that the file itself is damaged."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def walk(
    db: sqlite3.Connection, columns: str, start: int, newest_first: bool, lost: Callable[[int], None]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of all readable entries from number `start` on, upwards or downwards.

    Args:
        db: the connection; only within a transaction do all reads see the same log.
        columns: the columns to read; the first one is the number.
        start: the first number.
        newest_first: whether to go downwards.
        lost: called with the count of consecutive numbers that cannot be read; with 0 if the whole rest cannot.

    Raises:
        sqlite3.Error: the log cannot be read for another reason than damage.

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
        # Smaller reads get the rows before the damaged one.
        elif limit > 1:
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
    """Return the smallest distance at which a row can be read, 0 if there is none up to `most`.

    The search assumes that the damage is contiguous: one page, or a page and all pages below it in the tree.
    """
    distance = 1
    while not is_readable(distance):
        distance *= 2
        if distance > most:
            return 0
    low, high = distance // 2, distance  # unreadable, readable
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_readable(middle) else (middle, high)
    return high
