"""What is read of a log in an SQLite file."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import ClassVar, overload

from hubbub.brokers import ruling
from hubbub.brokers.base import END, UNSPACED, Span, page, readable, windows
from hubbub.core.absent import LOOKED_BACK
from hubbub.core.access import Action, may, sees
from hubbub.core.model import (
    After,
    AllRooms,
    Around,
    Entry,
    Kind,
    Latest,
    Page,
    Query,
    RoomList,
    RoomState,
    Search,
    Since,
)
from hubbub.core.rules import Rules
from hubbub.core.viewer import SYSTEM, Viewer
from hubbub.errors import BrokerError

PATIENCE = 3.0  # seconds that a query may take
SAID = "kind IN ('message', 'action', 'notice')"
RULES = "kind IN ('mode', 'topic')"
RENAMES = "kind = 'rename'"


def sentence(error: sqlite3.Error) -> str:
    """Return what to tell people about an error of the database: no path, no SQL."""
    text = str(error)
    if "full" in text:
        return "the disk is full"
    if "readonly" in text or "unable to open" in text or "I/O" in text:
        return "the log cannot be written just now"
    if "interrupted" in text:
        return "that takes too long"
    return "the log cannot be used just now"


class Reading:
    """A connection to a log, as far as it is read."""

    _db: sqlite3.Connection
    _select: str  # the fields of an entry, and from where

    @overload
    def answer(self, query: Query) -> Page: ...
    @overload
    def answer(self, query: AllRooms) -> RoomList: ...
    def answer(self, query: Query | AllRooms) -> Page | RoomList:
        """Return what a query asks for, of what is committed now.

        Raises:
            BrokerError: the log cannot be read, or that takes longer than PATIENCE.

        """
        deadline = time.monotonic() + PATIENCE
        self._db.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        try:
            self._db.execute("BEGIN")  # one view of the log: it is written, and indexed, meanwhile
            if isinstance(query, AllRooms):
                return self._all_rooms(query)
            if query.room and not self._is_readable(query.viewer, query.room):
                return Page(())
            found = self._ANSWERS[type(query)](self, query)
            return found if query.room else self._seen(query.viewer, found)
        except sqlite3.Error as error:
            raise BrokerError(sentence(error)) from error
        finally:
            self._db.set_progress_handler(None, 0)
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def state(self, name: str, latest: int) -> RoomState:
        """Return what the log says of a room. Raises BrokerError."""
        try:
            self._db.execute("BEGIN")  # one view of it for all questions
            row = self._db.execute("SELECT id, topic FROM room WHERE name = ?", (name,)).fetchone()
            if row is None:
                return RoomState(0, "", ())
            said = self._latest(Latest(name, latest, viewer=SYSTEM)).entries
            recent = list(self._entries("WHERE entry.room = ? ORDER BY seq DESC LIMIT ?", row[0], LOOKED_BACK))[::-1]
            return RoomState(self._last_of(row[0]), row[1], said, ruling.made_of(self._db, row[0], name), recent)
        except sqlite3.Error as error:
            raise BrokerError(sentence(error)) from error
        finally:
            if self._db.in_transaction:
                self._db.execute("COMMIT")

    def _entries(self, sql: str, *values: object) -> Iterator[Entry]:
        for room, seq, prev, when, kind, nick, text, id, host, tags in self._db.execute(
            f"{self._select} {sql}", values
        ):
            yield Entry(room, seq, prev, when, Kind(kind), nick, text, id, host, tags)

    def _all_rooms(self, query: AllRooms) -> RoomList:
        hidden = json.dumps(list(self._kept_from(query.viewer, Action.LIST)))
        mute = self._kept_from(query.viewer, Action.SEE_TOPIC)
        which = "FROM room WHERE name > ? AND id NOT IN (SELECT value FROM json_each(?))"
        bounds = (query.after, hidden)
        rooms = self._db.execute(f"SELECT id, name, topic {which} ORDER BY name LIMIT ?", (*bounds, query.limit))
        shown = [(name, "" if id in mute else topic) for id, name, topic in rooms]
        (count,) = self._db.execute(f"SELECT count(*) {which}", bounds).fetchone()
        return RoomList(shown, int(count))

    def _kept_from(self, viewer: Viewer, action: Action) -> set[int]:
        """Return the closed rooms of which somebody may not see something."""
        if viewer.system:
            return set()
        closed = ruling.closed(self._db)
        return {room for room, name, letters in closed if sees(viewer, action, name, letters)}

    def _is_readable(self, viewer: Viewer, name: str) -> bool:
        """Return whether somebody may read a room; False if it is to seem that there is none. Raises Closed."""
        return viewer.system or readable(viewer, self._rules(name))

    def _seen(self, viewer: Viewer, found: Page) -> Page:
        """Return what was found in all rooms without those from which the viewer is banned."""
        reads = cache(lambda room: viewer.system or may(viewer, Action.READ, self._rules(room)) is None)
        return Page([entry for entry in found.entries if reads(entry.room)], found.more)

    def _rules(self, name: str) -> Rules:
        row = self._db.execute("SELECT id FROM room WHERE name = ?", (name,)).fetchone()
        return Rules(name, ruling.made_of(self._db, row[0], name) if row else ())

    def _count(self, table: str) -> int:
        (count,) = self._db.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)

    def _last_of(self, room: int) -> int:
        (last,) = self._db.execute("SELECT max(seq) FROM entry WHERE room = ?", (room,)).fetchone()
        return last or 0

    def _latest(self, query: Latest) -> Page:
        kinds = "" if query.every else f"AND {SAID}"
        if query.kinds:
            kinds = f"AND kind IN ({', '.join(repr(kind.value) for kind in query.kinds)})"
        where = f"WHERE entry.room = (SELECT id FROM room WHERE name = ?) {kinds} AND seq < ? ORDER BY seq DESC LIMIT ?"
        entries = self._entries(where, query.room, query.before or END, query.limit + 1)
        return page(True, entries, query.limit)

    def _after(self, query: After) -> Page:
        kinds = f"AND {SAID}" if query.said else ""
        where = (
            f"WHERE entry.room = (SELECT id FROM room WHERE name = ?) {kinds} AND seq > ? AND seq <= ? "
            "ORDER BY seq LIMIT ?"
        )
        entries = self._entries(where, query.room, query.seq, query.upto, query.limit + 1)
        return page(False, entries, query.limit)

    def _around(self, query: Around) -> Page:
        kinds = "" if query.every else f"AND {SAID}"

        def find(bound: float | str) -> Span | None:
            if isinstance(bound, str):
                which = "id = ? AND room = (SELECT id FROM room WHERE name = ?)"
                row = self._db.execute(f"SELECT seq FROM entry WHERE {which}", (bound, query.room)).fetchone()
                return (row[0], row[0] + 1) if row else None
            at = round(bound * 1000)
            low, high = (self._first_at(query.room, then / 1000 - 1e-6) for then in (at, at + 1))
            return low, high

        found: list[Entry] = []
        for (low, high), newest, limit in windows(query, find):
            where = (
                f"WHERE entry.room = (SELECT id FROM room WHERE name = ?) {kinds} AND seq >= ? AND seq < ? "
                f"ORDER BY seq {'DESC' if newest else ''} LIMIT ?"
            )
            part = list(self._entries(where, query.room, low, high, limit))
            found += reversed(part) if newest else part
        return Page(found)

    def _since(self, query: Since) -> Page:
        where = (
            f"WHERE entry.room = (SELECT id FROM room WHERE name = ?) AND {SAID} AND seq >= ? AND time >= ? "
            "ORDER BY seq LIMIT ?"
        )
        entries = self._entries(where, query.room, self._first_at(query.room, query.time), query.time, query.limit + 1)
        return page(False, entries, query.limit)

    def _first_at(self, name: str, when: float) -> int:
        """Return the first number of a room at or after a time, by halving: its times rise with its numbers.

        Those of different rooms need not, after an import.
        """
        row = self._db.execute("SELECT id FROM room WHERE name = ?", (name,)).fetchone()
        low, high = 0, self._last_of(row[0]) + 1 if row else 0
        while low < high:
            middle = (low + high) // 2
            seq, then = self._db.execute(
                "SELECT seq, time FROM entry WHERE room = ? AND seq >= ? ORDER BY seq LIMIT 1", (row[0], middle)
            ).fetchone()
            low, high = (low, middle) if then >= when else (seq + 1, high)
        return low

    def _search(self, query: Search) -> Page:
        words = query.words.split()
        if not words:
            return Page(())
        which = "AND seq < ?"
        values: list[object] = [query.before or END]
        if query.room:
            which += " AND entry.room = (SELECT id FROM room WHERE name = ?)"
            values.append(query.room)
        elif closed := self._kept_from(query.viewer, Action.READ):
            which += " AND entry.room NOT IN (SELECT value FROM json_each(?))"
            values.append(json.dumps(list(closed)))
        unspaced = [word for word in words if UNSPACED.search(word)]  # the index knows no words in these scripts
        which += r" AND entry.text LIKE ? ESCAPE '\'" * len(unspaced)
        values += ["%" + re.sub(r"([\\%_])", r"\\\1", word) + "%" for word in unspaced]
        words = [word for word in words if word not in unspaced]
        if not words:
            where = f"WHERE {SAID} {which} ORDER BY seq DESC LIMIT ?"
            return page(True, self._entries(where, *values, query.limit + 1), query.limit)
        match = " ".join('"' + word.replace('"', '""') + '"' for word in words)
        found: list[Entry] = []
        for table in (self._unindexed(), "main.entry_text"):  # the newest first: ranking would read them all
            join = f"JOIN {table} AS found ON found.rowid = seq WHERE found.text MATCH ?"
            where = f"{join} {which} ORDER BY found.rowid DESC LIMIT ?"
            found += self._entries(where, match, *values, query.limit + 1 - len(found))
        return page(True, found, query.limit)

    def _unindexed(self) -> str:
        """Index what the text index lacks in a table of this connection, and return its name."""
        (done,) = self._db.execute("SELECT value FROM mark WHERE name = 'indexed'").fetchone()
        self._db.execute("DROP TABLE IF EXISTS temp.tail")
        self._db.execute("CREATE VIRTUAL TABLE temp.tail USING fts5 (text, tokenize='unicode61')")
        self._db.execute(
            f"INSERT INTO temp.tail (rowid, text) SELECT seq, text FROM main.entry WHERE seq > ? AND {SAID}",
            (done,),
        )
        return "temp.tail"

    _ANSWERS: ClassVar[dict[type, Callable[..., Page]]] = {
        Latest: _latest,
        After: _after,
        Since: _since,
        Around: _around,
        Search: _search,
    }
