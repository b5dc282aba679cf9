"""The state of the rooms in an SQLite log, in tables of its own, and the rooms that are written to.

The table `ruling` has the snapshot of each room: the entries that its state results from (model/room/state.py).
The table `shut` has the mode letters that close rooms, and `room` has the name and the topic. So a room opens as fast
after fifty thousand mode changes as after five, and the closed rooms are known without reading any entry.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import astuple

from hubbub.model.codec import record
from hubbub.model.entries import KINDS, Entry, Joined, ModesChanged, NickChanged, TopicSet, Unknown
from hubbub.model.room.state import RoomState
from hubbub.storage.sqlite.schema import ROOM_KEYS, entry_of

_SCHEMA = """
CREATE TABLE ruling (
    room INTEGER NOT NULL, seq INTEGER NOT NULL, prev INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL,
    nick TEXT NOT NULL, text TEXT NOT NULL, id TEXT NOT NULL, host TEXT NOT NULL, tags TEXT NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE shut (room INTEGER PRIMARY KEY, letters TEXT NOT NULL) STRICT; -- of the letters in modes.CLOSED
"""
_FIELDS = "seq, prev, time, kind, nick, text, id, host, tags"
_READ = (TopicSet, ModesChanged, NickChanged)  # the entries that a state is made of, besides the first join


class WrittenRoom:
    """A room that entries are written to.

    Args:
        id: the number of the room in the tables.
        last: the number of its last entry.
        name: its name.
        key: its id.
        stored: its snapshot in the table; an older version may have left entries there that are overruled.

    """

    __slots__ = ("_stored_row", "changed", "id", "last", "state")

    def __init__(self, id: int, last: int, name: str, key: str, stored: Sequence[Entry]) -> None:
        self.id = id
        self.last = last
        self.state = RoomState(name, stored, key)
        self.changed = False  # whether the state has changes that are not stored
        self.state.parts.touched = {one.seq for one in stored if self.state.parts.share(one.seq) != one}
        self._stored_row = self._row

    @property
    def _row(self) -> tuple[str, str, str]:
        return self.state.name, self.state.topic.text, self.state.closed

    def save(self, db: sqlite3.Connection, keeps_name: str = "") -> None:
        """Store the changes of the state, if there are any, in the transaction of the entries that made them.

        Args:
            db: the connection.
            keeps_name: `OR IGNORE` to let the room keep its name if another one has the new name; otherwise that is an
                error.

        Raises:
            sqlite3.Error: nothing of the transaction may be committed.

        """
        if not self.changed:
            return
        self.changed = False
        touched, self.state.parts.touched = sorted(self.state.parts.touched or ()), set()
        db.executemany("DELETE FROM ruling WHERE room = ? AND seq = ?", [(self.id, seq) for seq in touched])
        _insert(db, self.id, filter(None, map(self.state.parts.share, touched)))
        name, topic, letters = self._row
        if name != self._stored_row[0]:
            db.execute(f"UPDATE {keeps_name} room SET name = ? WHERE id = ?", (name, self.id))
        if topic != self._stored_row[1]:
            db.execute("UPDATE room SET topic = ? WHERE id = ?", (topic, self.id))
        if letters != self._stored_row[2]:
            _shut(db, self.id, letters)
        self._stored_row = self._row


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables if they do not exist, and fill them from the log."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ruling'").fetchone():
        return
    db.executescript(f"BEGIN; {_SCHEMA}")
    kinds = ", ".join(f"'{KINDS[body].value}'" for body in _READ)
    for room, name in db.execute("SELECT id, name FROM room").fetchall():
        first = f"SELECT seq FROM entry WHERE room = :room AND kind = '{KINDS[Joined].value}' ORDER BY seq LIMIT 1"
        which = f"room = :room AND (kind IN ({kinds}) OR seq = ({first}))"
        rows = _entries(db, name, f"SELECT {_FIELDS} FROM entry WHERE {which} ORDER BY seq", room)
        state = RoomState(name, filter(None, rows))
        _insert(db, room, state.snapshot())
        _shut(db, room, state.closed)
    db.execute("COMMIT")


def snapshot_of(db: sqlite3.Connection, room: int, name: str) -> list[Entry]:
    """Return the snapshot of a room. Raises sqlite3.Error, also if one of its entries is damaged."""
    made = list(_entries(db, name, f"SELECT {_FIELDS} FROM ruling WHERE room = :room ORDER BY seq", room))
    # Without this error, damage could open a closed room.
    if any(entry is None or type(entry.body) is Unknown for entry in made):
        error = sqlite3.DatabaseError("the stored state of a room is damaged")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    return [entry for entry in made if entry]


def closed(db: sqlite3.Connection, version: int) -> list[tuple[int, str, str, str]]:
    """Return the number and the name of each room that is closed, the letters that close it, and the room's id."""
    id = "key" if version >= ROOM_KEYS else "name"
    return db.execute(f"SELECT id, name, letters, {id} FROM shut JOIN room ON room.id = shut.room").fetchall()


def _entries(db: sqlite3.Connection, name: str, sql: str, room: int) -> Iterator[Entry | None]:
    """Yield the entry of each row, None for a damaged one."""
    for seq, prev, time, *texts in db.execute(sql, {"room": room}):
        yield entry_of(name, seq, prev, time, tuple(texts), None)


def _insert(db: sqlite3.Connection, room: int, entries: Iterable[Entry]) -> None:
    rows = [(room, *astuple(record(entry))[1:]) for entry in entries]
    db.executemany("INSERT INTO ruling VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _shut(db: sqlite3.Connection, room: int, letters: str) -> None:
    if letters:
        db.execute("INSERT OR REPLACE INTO shut VALUES (?, ?)", (room, letters))
    else:
        db.execute("DELETE FROM shut WHERE room = ?", (room,))
