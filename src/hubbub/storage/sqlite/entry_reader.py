"""Reading entries from a connection to a log, without the damaged ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from hubbub.model.access import Action, sees
from hubbub.model.conversation import MARK
from hubbub.model.entries import Entry
from hubbub.model.queries import Query
from hubbub.model.viewer import Viewer
from hubbub.storage.sqlite import room_state
from hubbub.storage.sqlite.schema import ROOM_KEYS, entry_of, listed


class EntryReader:
    """A connection to a log that reads entries, and notes the damage that it finds."""

    _db: sqlite3.Connection
    _version: int  # version of the tables
    _select: str  # SELECT clause with the columns of an entry, and its tables
    damage = ""  # the first damage that was found, "" if there is none
    _skipped = 0  # damaged entries that are left out of the present answer
    left_out = 0  # damaged entries that were left out of all answers

    def _entries(self, sql: str, *values: object) -> Iterator[Entry]:
        """Yield the entries that the end of a query finds."""
        return self._found(f"{self._select} {sql}", *values)

    def _found(self, sql: str, *values: object) -> Iterator[Entry]:
        """Yield the entries that a query finds; skip and count damaged ones."""
        for row in self._db.execute(sql, values):
            if entry := self._entry(*row):
                yield entry

    def _ordered(
        self, kinds: Sequence[str], where: str, order: str, *values: object, limit: int = -1
    ) -> Iterator[Entry]:
        """Yield the entries that fulfil a condition and one of several others, at most `limit` of them (-1: all).

        SQLite merges the entries of several kinds while they are read, each of them from its index.

        Args:
            kinds: conditions in SQL, of which each entry fulfils one at most.
            where: the condition in SQL that all of them fulfil.
            order: columns of an entry.
            values: the values of `where`.
            limit: a number of entries.

        """
        parts = (f"{self._select} WHERE {one} AND {where}" for one in kinds)
        sql = f"{' UNION ALL '.join(parts)} ORDER BY {order} LIMIT ?"
        return self._found(sql, *values * len(kinds), limit)

    def _entry(self, key: str, room: str, seq: int, prev: int, when: float, *rest: Any) -> Entry | None:
        *texts, sum = rest
        entry = entry_of(room, seq, prev, when, tuple(texts), sum, key)
        if entry is None:
            self._skipped += 1
            self.damage = self.damage or "some of its entries have been changed or damaged"
        return entry

    def _asked(self, query: Query) -> tuple[int, str]:
        """Return the number of the room that a query is about, 0 if there is none, and its name."""
        if query.room_id and self._version >= ROOM_KEYS:
            row = self._db.execute("SELECT id, name FROM room WHERE key = ?", (query.room_id,)).fetchone()
            return row or (0, query.room or "")
        return self._row_of(query.room or ""), query.room or ""

    def _row_of(self, name: str) -> int:
        row = self._db.execute("SELECT id FROM room WHERE name = ?", (name,)).fetchone()
        return row[0] if row else 0

    def _kept_from(self, viewer: Viewer, action: Action) -> set[int]:
        """Return the ids of the rooms and conversations in which a viewer may not do `action`."""
        closed = [*self._conversations(), *(() if viewer.system else room_state.closed(self._db, self._version))]
        kept = {room for room, name, letters, id in closed if sees(viewer, action, name, letters, id)}
        if viewer.only:
            others = "SELECT id FROM room WHERE name NOT IN (SELECT value FROM json_each(?))"
            kept.update(room for (room,) in self._db.execute(others, (listed(viewer.only),)))
        return kept

    def _conversations(self) -> list[tuple[int, str, str, str]]:
        """Return the private conversations, in the form of `room_state.closed`."""
        # The index of the names finds them: all of them begin with the mark, and no other name does.
        named = "SELECT id, name, '', name FROM room WHERE name >= ? AND name < ?"
        return self._db.execute(named, (MARK, chr(ord(MARK) + 1))).fetchall()

    def _count(self, table: str) -> int:
        (count,) = self._db.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)

    def _last_of(self, room: int) -> int:
        (last,) = self._db.execute("SELECT max(seq) FROM entry WHERE room = ?", (room,)).fetchone()
        return last or 0
