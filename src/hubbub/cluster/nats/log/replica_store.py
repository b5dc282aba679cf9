"""A copy of a log in an SQLite file; the log itself is stored on other servers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from hubbub.cluster.nats.subjects import first_name
from hubbub.errors import BrokerError
from hubbub.model.entries import HISTORY, Entry
from hubbub.storage.sqlite import schema
from hubbub.storage.sqlite.queries import sentence
from hubbub.storage.sqlite.room_state import WrittenRoom
from hubbub.storage.sqlite.schema import INSERT
from hubbub.storage.sqlite.store import ROOMS_KEPT, Store
from hubbub.storage.sqlite.upkeep import trimming


class ReplicaStore(Store):
    """A copy of a log, whose entries keep the numbers of the original. It can be made again, so it has no mark file."""

    _marked = False

    def mirror(self, messages: Sequence[tuple[str, Sequence[Entry]]], upto: int) -> None:
        """Store entries under their own numbers, except those that are already stored. Raises BrokerError.

        Args:
            messages: the key of a room and entries of that room, in the order of the log.
            upto: the number of the last message, which is stored as `mirrored`.

        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            if len(self._rooms) > ROOMS_KEPT:
                self._rooms.clear()
            for key, entries in messages:
                room = self._room_of(key)
                fresh = [entry for entry in entries if entry.seq > self.last]
                rows: list[tuple[Any, ...]] = []
                for entry in fresh:
                    rows.append(schema.row(entry, entry.seq, room.id, room.last))
                    room.last = self.last = entry.seq
                    self._apply(room, entry)
                db.executemany(INSERT.replace("INSERT", "INSERT OR IGNORE"), rows)
                for entry in fresh:
                    self._overlay(room.id, entry)
                room.save(db, "OR IGNORE")
            db.execute("INSERT OR REPLACE INTO mark VALUES ('mirrored', ?)", (upto,))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._rooms.clear()  # their states may be ahead of the copy
            self._recover()
            raise BrokerError(sentence(error)) from error

    def _room_of(self, key: str) -> WrittenRoom:
        """Return the room with a key, which is its id here as well; make it if needed, with the name in the key.

        If another room has that name now, the new room is named by its key.
        """
        if room := self._rooms.get(key):
            return room
        name = first_name(key)
        taken = self._db.execute("SELECT 1 FROM room WHERE name = ? AND key <> ?", (name, key)).fetchone()
        return self._room(key if taken else name, key)

    def as_changed(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return entries of the original, each message with its text and tags as the copy has them, if it has them.

        If the copy cannot be read, the entries are returned as they are.
        """
        numbers = json.dumps([entry.seq for entry in entries if isinstance(entry.body, HISTORY)])
        try:
            rows = list(self._entries("WHERE seq IN (SELECT value FROM json_each(?))", numbers))
        except sqlite3.Error:
            return entries
        found = {one.seq: one for one in rows if isinstance(one.body, HISTORY)}
        return [_as_in(found.get(entry.seq), entry) for entry in entries]

    @property
    def mirrored(self) -> int:
        """The number of the last message that was mirrored; 0 if there is none."""
        return schema.mark(self._db, "mirrored")

    def trim_before(self, number: int) -> None:
        """Delete all entries before a number, as the servers of the original have done. Raises BrokerError."""
        if number - 1 <= schema.mark(self._db, "trimmed"):
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._tidying.note(trimming.trim(self._db, number - 1))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._recover()
            raise BrokerError(sentence(error)) from error


def _as_in(copy: Entry | None, entry: Entry) -> Entry:
    if copy is None or copy.id != entry.id:
        return entry
    return replace(entry, body=copy.body, tags=copy.tags)
