"""The key-value store in the log's own SQLite file, written by the connection that writes the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hubbub.errors import BrokerError
from hubbub.storage.key_value import MAX_ITEMS, Changed, Item, Watched, check_key, check_prefix, check_value
from hubbub.storage.sqlite import schema

POLL = 0.25  # seconds between two looks for changes of other processes
PAUSE = 10.0  # seconds until the next look after one that failed, and of which the console tells
DELETIONS_KEPT = 10_000  # revisions for which a deletion is remembered: far more than there are between two looks

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS item (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL UNIQUE) "
    "STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS item_gone (key TEXT PRIMARY KEY, revision INTEGER NOT NULL UNIQUE) "
    "STRICT, WITHOUT ROWID",
)
# The newest revision stands among the marks, because the item that had it may be deleted.
_NEXT = "INSERT INTO mark VALUES ('revision', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"

Act = Callable[[sqlite3.Connection], Any]
Change = tuple[str, bytes | None, int]  # a key, its value or None if it was deleted, and its revision


class Ask(Protocol):
    """Runs a function with the database on a thread, and gives its result, or its BrokerError, to a callback."""

    def __call__(self, act: Act, done: Callable[[Any], None]) -> None:
        """Return at once; call `done` later on the loop's thread."""
        ...


class _PolledPrefix:
    """A watched prefix, and how far its items, and then the changes of them, were reported.

    Args:
        prefix: the prefix.
        changed: receives the changes.
        ready: is called when all items that were there are reported.

    """

    def __init__(self, prefix: str, changed: Watched, ready: Callable[[BrokerError | None], None]) -> None:
        self.prefix = prefix
        self.changed = changed
        self.ready = ready
        self.key = prefix  # the last one that was reported of the items that are there
        self.upto = 0  # the revision up to which changes were reported
        self.began = False  # whether `ready` was called
        self.asked = False  # whether the database is being read for it
        self.again = False  # whether something was changed since it was asked


class SqliteKeyValue:
    """Reads and changes the items of a log's file.

    Args:
        read: runs a function on a connection that reads.
        write: runs a function in a transaction of the connection that writes.
        later: calls a function with values after a number of seconds.

    """

    def __init__(self, read: Ask, write: Ask, later: Callable[..., object]) -> None:
        self._read = read
        self._write = write
        self._later = later
        self._watchers: list[_PolledPrefix] = []
        self._newest = 0  # the newest revision at the last poll

    def get(self, key: str, done: Callable[[Item | BrokerError | None], None]) -> None:
        """Read the item of a key on a reading thread."""
        check_key(key)
        self._read(lambda db: _get(db, key), done)

    def put(self, key: str, value: bytes, revision: int, done: Callable[[int | BrokerError], None]) -> None:
        """Replace the value of a key on the writing thread, after the drafts that were published before."""
        check_key(key)
        check_value(value)
        self._write(lambda db: _put(db, key, value, revision), lambda result: self._written(key, done, result))

    def delete(self, key: str, revision: int, done: Callable[[BrokerError | None], None]) -> None:
        """Delete a key on the writing thread."""
        check_key(key)
        self._write(lambda db: _delete(db, key, revision), lambda result: self._written(key, done, result))

    def items(self, prefix: str, after: int, limit: int, done: Callable[[Sequence[Item] | BrokerError], None]) -> None:
        """Read the items under a prefix on a reading thread."""
        check_prefix(prefix)
        self._read(lambda db: _items(db, prefix, after, min(limit, MAX_ITEMS)), done)

    def watch(self, prefix: str, changed: Watched, ready: Callable[[BrokerError | None], None]) -> None:
        """Report the items under a prefix, and then every change: at once after own ones, and every POLL seconds.

        SQLite does not say that another process has changed something, but to compare one number costs little.
        """
        if not self._watchers:
            self._later(POLL, self._poll)
        self._watchers.append(_PolledPrefix(check_prefix(prefix), changed, ready))
        self._look(self._watchers[-1])

    def _written(self, key: str, done: Callable[[Any], None], result: Any) -> None:
        done(result)
        for watcher in self._watchers:
            if key.startswith(watcher.prefix):
                self._look(watcher)

    def _poll(self) -> None:
        self._read(lambda db: schema.mark(db, "revision"), self._polled)

    def _polled(self, newest: int | BrokerError) -> None:
        if isinstance(newest, BrokerError):
            self._later(PAUSE, self._poll)
            return
        if newest != self._newest:
            for watcher in self._watchers:
                self._look(watcher)
        self._newest = newest
        self._later(POLL, self._poll)

    def _look(self, watcher: _PolledPrefix) -> None:
        if watcher.asked:
            watcher.again = True
            return
        watcher.asked, watcher.again = True, False
        prefix, key, upto = watcher.prefix, watcher.key, watcher.upto
        if watcher.began:
            self._read(lambda db: _changes(db, prefix, upto), lambda found: self._report(watcher, found))
        else:
            self._read(lambda db: _page(db, prefix, key), lambda found: self._report_page(watcher, found))

    def _report_page(self, watcher: _PolledPrefix, found: tuple[Sequence[Item], int] | BrokerError) -> None:
        """Report some of the items that are there, in the order of their keys."""
        watcher.asked = False
        if isinstance(found, BrokerError):
            self._watchers.remove(watcher)
            watcher.ready(found)
            return
        items, newest = found
        # Whatever changes from now on is reported by its revision, deletions of reported items included.
        watcher.upto = watcher.upto or newest
        for item in items:
            watcher.changed(item.key, item)
        if len(items) == MAX_ITEMS:
            watcher.key = items[-1].key
            self._look(watcher)
            return
        watcher.began = True
        watcher.ready(None)
        if watcher.again or newest > watcher.upto:
            self._look(watcher)

    def _report(self, watcher: _PolledPrefix, found: tuple[Sequence[Change], int] | BrokerError) -> None:
        watcher.asked = False
        if isinstance(found, BrokerError):
            self._newest = 0  # the next poll looks again
            return
        changes, watcher.upto = found
        for key, value, revision in changes:
            watcher.changed(key, None if value is None else Item(key, value, revision))
        if len(changes) == MAX_ITEMS or watcher.again:
            self._look(watcher)


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables if they do not exist. Raises sqlite3.Error."""
    for statement in _SCHEMA:
        db.execute(statement)


def _get(db: sqlite3.Connection, key: str) -> Item | None:
    row = db.execute("SELECT key, value, revision FROM item WHERE key = ?", (key,)).fetchone()
    return Item(*row) if row else None


def _put(db: sqlite3.Connection, key: str, value: bytes, revision: int) -> int:
    _expect(db, key, revision)
    new = _next(db)
    db.execute("INSERT OR REPLACE INTO item VALUES (?, ?, ?)", (key, value, new))
    db.execute("DELETE FROM item_gone WHERE key = ?", (key,))
    return new


def _delete(db: sqlite3.Connection, key: str, revision: int) -> None:
    if not revision:
        raise Changed
    _expect(db, key, revision)
    new = _next(db)
    db.execute("DELETE FROM item WHERE key = ?", (key,))
    db.execute("INSERT INTO item_gone VALUES (?, ?)", (key, new))
    db.execute("DELETE FROM item_gone WHERE revision < ?", (new - DELETIONS_KEPT,))


def _next(db: sqlite3.Connection) -> int:
    """Return a new revision, which is higher than all before it."""
    (new,) = db.execute(_NEXT).fetchone()
    return int(new)


def _expect(db: sqlite3.Connection, key: str, revision: int) -> None:
    """Raise Changed if a key has another revision."""
    item = _get(db, key)
    if (item.revision if item else 0) != revision:
        raise Changed


def _end(prefix: str) -> str:
    # A slash at the end of the prefix is followed in the order of bytes by "0": the range needs no LIKE.
    return f"{prefix[:-1]}0"


def _items(db: sqlite3.Connection, prefix: str, after: int, limit: int) -> list[Item]:
    rows = "SELECT key, value, revision FROM item WHERE key >= ? AND key < ? AND revision > ? ORDER BY revision LIMIT ?"
    return [Item(*row) for row in db.execute(rows, (prefix, _end(prefix), after, limit))]


def _page(db: sqlite3.Connection, prefix: str, after: str) -> tuple[list[Item], int]:
    """Return the next items under a prefix by their keys, at most MAX_ITEMS, and the newest revision before that.

    A page costs the same however many items there are.
    """
    newest = schema.mark(db, "revision")
    rows = "SELECT key, value, revision FROM item WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
    return [Item(*row) for row in db.execute(rows, (after, _end(prefix), MAX_ITEMS))], newest


def _changes(db: sqlite3.Connection, prefix: str, after: int) -> tuple[list[Change], int]:
    """Return the next changes under a prefix, at most MAX_ITEMS, and the revision up to which they are complete."""
    # This is read first, so a change that is made meanwhile has a higher revision, and is found by the next look.
    newest = schema.mark(db, "revision")
    if newest <= after:
        return [], after
    # Without the `+` SQLite would read all items under the prefix, and not only those with a higher revision.
    rows = (
        "SELECT key, value, revision FROM item WHERE +key >= ?1 AND +key < ?2 AND revision > ?3 UNION ALL "
        "SELECT key, NULL, revision FROM item_gone WHERE +key >= ?1 AND +key < ?2 AND revision > ?3 "
        "ORDER BY revision LIMIT ?4"
    )
    found = db.execute(rows, (prefix, _end(prefix), after, MAX_ITEMS)).fetchall()
    return found, found[-1][2] if len(found) == MAX_ITEMS else max(newest, found[-1][2] if found else 0)
