"""The key-value store in the log's own SQLite file, written by the connection that writes the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hubbub.errors import BrokerError
from hubbub.storage.key_value import MAX_ITEMS, Changed, Item, check_key, check_prefix, check_value

_SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
"""
# The newest revision stands among the marks, because the item that had it may be deleted.
_NEXT = "INSERT INTO mark VALUES ('revision', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"

Act = Callable[[sqlite3.Connection], Any]


class Ask(Protocol):
    """Runs a function with the database on a thread, and gives its result, or its BrokerError, to a callback."""

    def __call__(self, act: Act, done: Callable[[Any], None]) -> None:
        """Return at once; call `done` later on the loop's thread."""
        ...


class SqliteKeyValue:
    """Reads and changes the items of a log's file.

    Args:
        read: runs a function on a connection that reads.
        write: runs a function in a transaction of the connection that writes.

    """

    def __init__(self, read: Ask, write: Ask) -> None:
        self._read = read
        self._write = write

    def get(self, key: str, done: Callable[[Item | BrokerError | None], None]) -> None:
        """Read the item of a key on a reading thread."""
        check_key(key)
        self._read(lambda db: _get(db, key), done)

    def put(self, key: str, value: bytes, revision: int, done: Callable[[int | BrokerError], None]) -> None:
        """Replace the value of a key on the writing thread, after the drafts that were published before."""
        check_key(key)
        check_value(value)
        self._write(lambda db: _put(db, key, value, revision), done)

    def delete(self, key: str, revision: int, done: Callable[[BrokerError | None], None]) -> None:
        """Delete a key on the writing thread."""
        check_key(key)
        self._write(lambda db: _delete(db, key, revision), done)

    def items(self, prefix: str, after: int, limit: int, done: Callable[[Sequence[Item] | BrokerError], None]) -> None:
        """Read the items under a prefix on a reading thread."""
        check_prefix(prefix)
        self._read(lambda db: _items(db, prefix, after, min(limit, MAX_ITEMS)), done)


def prepare(db: sqlite3.Connection) -> None:
    """Make the table if it does not exist. Raises sqlite3.Error."""
    db.execute(_SCHEMA)


def _get(db: sqlite3.Connection, key: str) -> Item | None:
    row = db.execute("SELECT key, value, revision FROM item WHERE key = ?", (key,)).fetchone()
    return Item(*row) if row else None


def _put(db: sqlite3.Connection, key: str, value: bytes, revision: int) -> int:
    _expect(db, key, revision)
    (new,) = db.execute(_NEXT).fetchone()
    db.execute("INSERT OR REPLACE INTO item VALUES (?, ?, ?)", (key, value, new))
    return int(new)


def _delete(db: sqlite3.Connection, key: str, revision: int) -> None:
    if not revision:
        raise Changed
    _expect(db, key, revision)
    db.execute("DELETE FROM item WHERE key = ?", (key,))


def _expect(db: sqlite3.Connection, key: str, revision: int) -> None:
    """Raise Changed if a key has another revision."""
    item = _get(db, key)
    if (item.revision if item else 0) != revision:
        raise Changed


def _items(db: sqlite3.Connection, prefix: str, after: int, limit: int) -> list[Item]:
    # A slash at the end of the prefix is followed in the order of bytes by "0": the range needs no LIKE.
    end = f"{prefix[:-1]}0"
    rows = "SELECT key, value, revision FROM item WHERE key >= ? AND key < ? AND revision > ? ORDER BY revision LIMIT ?"
    return [Item(*row) for row in db.execute(rows, (prefix, end, after, limit))]
