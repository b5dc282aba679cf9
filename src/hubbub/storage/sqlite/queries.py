"""Queries of a log in an SQLite file.

Damaged entries are left out, and the answer says how many. If the file is so damaged that a query fails, the log is
read entry by entry in the order of its numbers instead (salvage.py), as far as the time limit allows.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from functools import cache
from itertools import takewhile
from operator import attrgetter
from typing import ClassVar, TypeVar, overload

from msgspec.structs import replace

from hubbub.errors import BrokerError
from hubbub.model.access import Action, may
from hubbub.model.codec import text_of
from hubbub.model.entries import HISTORY as HISTORY_BODIES
from hubbub.model.entries import HISTORY_KINDS, Entry
from hubbub.model.queries import After, AllRooms, Around, Latest, LogPage, OpenedRoom, Query, RoomList, Search, Since
from hubbub.model.room.absent import LOOKED_BACK
from hubbub.model.room.room_ids import new_room_id
from hubbub.model.room.state import RoomState
from hubbub.model.viewer import SYSTEM
from hubbub.storage.ports import DAWN, DOOM, END, Span, around, is_by_time, millisecond, page, readable, windows
from hubbub.storage.sqlite import full_text, room_state
from hubbub.storage.sqlite.entry_reader import EntryReader
from hubbub.storage.sqlite.schema import EVERY, HISTORY, ROOM_KEYS, fields, lenient, listed, new_name
from hubbub.storage.sqlite.upkeep import salvage
from hubbub.storage.words import Words

PATIENCE = 3.0  # seconds that a query may take
STEPS = 10_000  # steps of SQLite's virtual machine, about 1 ms, between two checks of the time limit
DAMAGED = "the log is damaged"
# The history in the order of times comes from the index of all times, which is read once for both kinds.
_BY_TIME = (f"({' OR '.join(HISTORY)})",)


def sentence(error: sqlite3.Error) -> str:
    """Return the text of a database error in a form for users, without a path or SQL."""
    text = str(error)
    if salvage.is_damage(error):
        return DAMAGED
    if "full" in text:
        return "the disk is full"
    if "readonly" in text or "unable to open" in text or "I/O" in text:
        return "the log cannot be written right now"
    if "interrupted" in text:
        return "that takes too long"
    return "the log cannot be used right now"


T = TypeVar("T")


class QueryReader(EntryReader):
    """The reading part of a connection to a log."""

    @overload
    def answer(self, query: Query) -> LogPage: ...
    @overload
    def answer(self, query: AllRooms) -> RoomList: ...
    def answer(self, query: Query | AllRooms) -> LogPage | RoomList:
        """Return the committed entries or rooms that a query asks for and its viewer may see.

        Raises:
            BrokerError: the log cannot be read, that takes longer than PATIENCE seconds, or the asker has gone.

        """
        asker = query.asker if isinstance(query, Search) else None
        deadline = time.monotonic() + PATIENCE
        self._db.set_progress_handler(
            lambda: time.monotonic() > deadline or (asker is not None and asker.closed), STEPS
        )
        try:
            if isinstance(query, AllRooms):
                return self._read(lambda: self._all_rooms(query))
            found = self._read(
                lambda: self._allowed(query, self._ANSWERS[type(query)]),
                lambda: self._allowed(query, type(self)._salvaged),
            )
        finally:
            self._db.set_progress_handler(None, 0)
        self.left_out += self._skipped
        if self._skipped:
            count = "A damaged entry is" if self._skipped == 1 else f"{self._skipped:,} damaged entries are"
            return replace(found, note=" ".join(filter(None, (found.note, f"{count} left out"))))
        return found

    def opened(self, name: str, latest: int) -> OpenedRoom:
        """Return the state of a room with its `latest` newest messages. Raises BrokerError."""
        return self._read(lambda: self._opened(name, latest), lambda: self._salvaged_room(name, latest))

    def _read(self, *ways: Callable[[], T]) -> T:
        """Return the result of a read in one transaction, so that writes and indexing do not affect it.

        Args:
            ways: functions that read; the next one is called if the file is damaged.

        Raises:
            BrokerError: the log cannot be read.

        """
        left = list(ways)
        while True:
            try:
                return self._view(left[0])
            except sqlite3.Error as error:
                if str(error).startswith("Could not decode to UTF-8") and self._db.text_factory is not lenient:
                    self._db.text_factory = lenient  # for all later queries
                    continue
                if not salvage.is_damage(error):
                    raise BrokerError(sentence(error)) from error
                self.damage = f"{error}"
                if len(left) == 1:
                    raise BrokerError(sentence(error)) from error
                del left[0]

    def _view(self, read: Callable[[], T]) -> T:
        self._skipped = 0
        try:
            self._db.execute("BEGIN")
            return read()
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    # --- rooms ------------------------------------------------------------------------------------------------------

    def _opened(self, name: str, latest: int) -> OpenedRoom:
        row = self._row_of(name)
        if not row:
            return OpenedRoom(0, (), (), id=self._room_id(name))
        said = self._latest(Latest(name, latest, viewer=SYSTEM)).entries
        recent = list(self._entries("WHERE entry.room = ? ORDER BY seq DESC LIMIT ?", row, LOOKED_BACK))[::-1]
        snapshot = room_state.snapshot_of(self._db, row, name)
        return OpenedRoom(self._last_of(row), snapshot, said, recent, self._room_id(name))

    def _room_id(self, name: str) -> str:
        """Return the id of a room, also of one that has no log yet."""
        if self._version < ROOM_KEYS:
            return name
        if row := self._db.execute("SELECT key FROM room WHERE name = ?", (name,)).fetchone():
            return str(row[0])
        taken = "SELECT 1 FROM room WHERE key = ?"
        return new_room_id(name, lambda id: self._db.execute(taken, (id,)).fetchone() is not None)

    def _all_rooms(self, query: AllRooms) -> RoomList:
        hidden = listed(self._kept_from(query.viewer, Action.LIST))
        mute = self._kept_from(query.viewer, Action.SEE_TOPIC)
        which = "FROM room WHERE name > ? AND id NOT IN (SELECT value FROM json_each(?))"
        bounds = (query.after, hidden)
        rooms = self._db.execute(f"SELECT id, name, topic {which} ORDER BY name LIMIT ?", (*bounds, query.limit))
        shown = [(name, "" if id in mute else topic) for id, name, topic in rooms]
        (count,) = self._db.execute(f"SELECT count(*) {which}", bounds).fetchone()
        return RoomList(shown, int(count))

    def _allowed(self, query: Query, answer: Callable[..., LogPage]) -> LogPage:
        """Return the entries of an answer that the viewer may read. Raises Closed."""
        viewer = query.viewer
        if viewer.system:
            return answer(self, query)
        if query.room or query.room_id:
            row, name = self._asked(query)
            return answer(self, query) if readable(viewer, self._state_of(row, name)) else LogPage(())
        found = answer(self, query)
        reads = cache(lambda name: may(viewer, Action.READ, self._state_of(self._row_of(name), name)) is None)
        return replace(found, entries=[entry for entry in found.entries if reads(entry.room)])

    def _state_of(self, row: int, name: str) -> RoomState:
        return RoomState(name, room_state.snapshot_of(self._db, row, name) if row else (), self._room_id(name))

    def called_before(self, move: Entry) -> str:
        """Return the name of a room before the entry that renamed it; the present name if that is unknown."""
        row = None
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'former'").fetchone():
            row = self._db.execute("SELECT name FROM former WHERE seq = ?", (move.seq,)).fetchone()
        # Older logs have no table of former names: the rename before this one tells the name.
        if row is None:
            before = (
                "SELECT text FROM entry WHERE kind = 'move' AND seq < ?1"
                " AND room = (SELECT room FROM entry WHERE seq = ?1) ORDER BY seq DESC LIMIT 1"
            )
            if earlier := self._db.execute(before, (move.seq,)).fetchone():
                return new_name(earlier[0])
        return str(row[0]) if row else move.room

    # --- entries ----------------------------------------------------------------------------------------------------

    def _latest(self, query: Latest) -> LogPage:
        kinds = EVERY if query.every else HISTORY
        if query.kinds:
            kinds = (f"kind IN ({', '.join(repr(kind.value) for kind in query.kinds)})",)
        bounds = self._asked(query)[0], query.before or END
        where = "entry.room = ? AND seq < ?"
        return page(True, self._ordered(kinds, where, "seq DESC", *bounds, limit=query.limit + 1), query.limit)

    def _after(self, query: After) -> LogPage:
        kinds = HISTORY if query.history else EVERY
        bounds = self._asked(query)[0], query.seq, query.upto
        where = "entry.room = ? AND seq > ? AND seq <= ?"
        return page(False, self._ordered(kinds, where, "seq", *bounds, limit=query.limit + 1), query.limit)

    def _around(self, query: Around) -> LogPage:
        """Return entries in the order of their numbers; if a bound is a time, in the order of times, then numbers."""
        room, by_time = self._asked(query)[0], is_by_time(query)
        kinds = EVERY if query.every else _BY_TIME if by_time else HISTORY
        if query.every and query.without:
            kinds = (f"kind NOT IN ({', '.join(repr(kind.value) for kind in query.without)})",)
        # Only a comparison of columns, not of a constant beside one, is a search in an index.
        place, order = ("(time, seq)", "time {0}, seq {0}") if by_time else ("(seq)", "seq {0}")

        def find(bound: float | str) -> Span[tuple[float, int]] | None:
            if not isinstance(bound, str):
                return millisecond(bound)
            row = self._db.execute("SELECT time, seq FROM entry WHERE id = ? AND room = ?", (bound, room)).fetchone()
            at = (row[0] if by_time else 0.0, row[1]) if row else None
            return (at, (at[0], at[1] + 1)) if at else None

        found: list[Entry] = []
        for (low, high), newest, limit in windows(query, find, DAWN, DOOM):
            start, end, bound = (low, high, "(?, ?)") if by_time else (low[1:], high[1:], "(?)")
            where = f"entry.room = ? AND {place} >= {bound} AND {place} < {bound}"
            by = order.format("DESC" if newest else "")
            part = list(self._ordered(kinds, where, by, room, *start, *end, limit=limit))
            found += reversed(part) if newest else part
        return LogPage(found)

    def _since(self, query: Since) -> LogPage:
        """Return the entries with the earliest times, in the order of their numbers."""
        bounds = self._asked(query)[0], query.time, query.until
        where = "entry.room = ? AND time BETWEEN ? AND ?"
        entries = self._ordered(_BY_TIME, where, "time, seq", *bounds, limit=query.limit + 1)
        found = page(False, entries, query.limit)
        return replace(found, entries=sorted(found.entries, key=attrgetter("seq")))

    def _search(self, query: Search) -> LogPage:
        return full_text.search(self, query)

    _ANSWERS: ClassVar[dict[type, Callable[..., LogPage]]] = {
        Latest: _latest,
        After: _after,
        Since: _since,
        Around: _around,
        Search: _search,
    }

    # --- reading a damaged file ------------------------------------------------------------------------------------

    def _walk(
        self, start: int, newest_first: bool, room: int | None = None, without: Collection[int] = ()
    ) -> Iterator[Entry]:
        """Yield the readable entries from number `start` on, of one room or of all rooms except those in `without`.

        Rooms are given by the numbers of their rows.
        """
        key = "key" if self._version >= ROOM_KEYS else "name"
        names = {id: (key, name) for id, key, name in self._db.execute(f"SELECT id, {key}, name FROM room").fetchall()}

        def lost(count: int) -> None:
            self._skipped += max(1, count)

        columns = fields(self._version) + ", room"
        for *row, id in salvage.walk(self._db, columns, start, newest_first, lost):
            key, name = names.get(id, ("", ""))
            if name and room in (None, id) and id not in without and (entry := self._entry(key, name, *row)):
                yield entry

    def _salvaged(self, query: Query) -> LogPage:
        """Return the entries that a query asks for, by a look at one entry after another."""
        room = None if query.room is None else self._asked(query)[0]
        match query:
            case Latest():
                kinds = query.kinds or (() if query.every else HISTORY_KINDS)
                newest = self._walk((query.before or END) - 1, True, room)
                return page(True, (entry for entry in newest if not kinds or entry.kind in kinds), query.limit)
            case Search():
                words = Words(query.words)
                shut = () if query.room else self._kept_from(query.viewer, Action.READ)
                newest = self._walk((query.before or END) - 1, True, room, shut)
                said = (entry for entry in newest if isinstance(entry.body, HISTORY_BODIES) and query.fits(entry))
                hits = (entry for entry in said if words.are_in(text_of(entry.body)))
                return page(True, hits if words or query.narrows else (), query.limit)
            case After():
                until = takewhile(lambda e: e.seq <= query.upto, self._walk(query.seq + 1, False, room))
                return page(
                    False, (e for e in until if isinstance(e.body, HISTORY_BODIES) or not query.history), query.limit
                )
            case Since():
                found = (e for e in self._walk(1, False, room) if query.time <= e.time <= query.until)
                return page(False, (entry for entry in found if isinstance(entry.body, HISTORY_BODIES)), query.limit)
            case Around():
                return around(self._walk(1, False, room), query)

    def _salvaged_room(self, name: str, latest: int) -> OpenedRoom:
        row = self._row_of(name)
        if not row:
            return OpenedRoom(0, (), (), id=self._room_id(name))
        entries = list(self._walk(1, False, row))
        said = [entry for entry in entries if isinstance(entry.body, HISTORY_BODIES)]
        last = entries[-1].seq if entries else 0
        snapshot = RoomState(name, entries).snapshot()
        return OpenedRoom(
            last, snapshot, said[max(0, len(said) - latest) :], entries[-LOOKED_BACK:], self._room_id(name)
        )
