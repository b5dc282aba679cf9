"""A log in an SQLite file that follows one which is kept elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from hubbub.brokers import schema, trimming
from hubbub.brokers.keys import room_of
from hubbub.brokers.queries import sentence
from hubbub.brokers.schema import INSERT
from hubbub.brokers.store import Store
from hubbub.core.model import Entry, Kind
from hubbub.errors import BrokerError


class ReplicaStore(Store):
    """A log whose entries have their numbers from elsewhere; it can be made anew, so nothing is kept beside it."""

    _marked = False

    def mirror(self, messages: Sequence[tuple[str, Sequence[Entry]]], upto: int) -> None:
        """Take in entries that were numbered elsewhere, each with the key of its room; note up to where that goes.

        What is here already is left out. Raises BrokerError.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            for key, entries in messages:
                room = self._room_of(key)
                prev = self._last_of(room)
                rows: list[tuple[Any, ...]] = []
                for entry in entries:
                    if entry.seq > self.last:
                        rows.append(schema.row(entry, room, prev))
                        prev = self.last = entry.seq
                db.executemany(INSERT.replace("INSERT", "INSERT OR IGNORE"), rows)
                for entry in entries if rows else ():
                    if entry.kind is Kind.ROOM_RENAMED and entry.seq >= rows[0][0]:
                        (name,) = db.execute("SELECT name FROM room WHERE id = ?", (room,)).fetchone()
                        self._note_name(entry.seq, name)
                    self._take_effect(room, entry)
            db.execute("INSERT OR REPLACE INTO mark VALUES ('mirrored', ?)", (upto,))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._recover()
            raise BrokerError(sentence(error)) from error

    def _room_of(self, key: str) -> int:
        """Return the room of a key, made if there is none: it is called as the key says until it is renamed."""
        self._db.execute("CREATE TABLE IF NOT EXISTS origin (key TEXT PRIMARY KEY, room INTEGER NOT NULL) STRICT")
        row = self._db.execute("SELECT room FROM origin WHERE key = ?", (key,)).fetchone()
        if row is None:
            name = room_of(key)
            taken = self._db.execute("SELECT 1 FROM origin JOIN room ON room = id WHERE name = ?", (name,)).fetchone()
            row = self._room(key if taken else name)
            self._db.execute("INSERT INTO origin VALUES (?, ?)", (key, row[0]))
        return int(row[0])

    @property
    def mirrored(self) -> int:
        """Up to where `mirror` was called; 0 if it was not."""
        return schema.mark(self._db, "mirrored")

    def trim_before(self, number: int) -> None:
        """Forget all that is before a number: who keeps the log itself has forgotten it. Raises BrokerError."""
        if number - 1 <= schema.mark(self._db, "trimmed"):
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._tidying.note(trimming.trim(self._db, number - 1))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._recover()
            raise BrokerError(sentence(error)) from error
