"""The present state of the rooms in an SQLite log, in tables of its own.

The table `ruling` has copies of the entries that set a room's modes and topic, without the overruled ones. The table
`shut` has the mode letters that close rooms. So a room opens as fast after fifty thousand mode changes as after five,
and the closed rooms are known without reading all mode changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from hubbub.model.entries import Entry, Kind
from hubbub.model.room_modes import CHANGING, closed_after
from hubbub.model.state_entries import compact, is_long, state_entries, with_ruling
from hubbub.storage.sqlite.schema import entry_of

_SCHEMA = """
CREATE TABLE ruling (
    room INTEGER NOT NULL, seq INTEGER NOT NULL, prev INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL,
    nick TEXT NOT NULL, text TEXT NOT NULL, id TEXT NOT NULL, host TEXT NOT NULL, tags TEXT NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE shut (room INTEGER PRIMARY KEY, letters TEXT NOT NULL) STRICT; -- of the letters in rules.CLOSED
"""
_FIELDS = "seq, prev, time, kind, nick, text, id, host, tags"


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables if they do not exist, and fill them from the log."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ruling'").fetchone():
        return
    db.executescript(f"BEGIN; {_SCHEMA}")
    kinds = ", ".join(f"'{kind.value}'" for kind in sorted(CHANGING - {Kind.JOIN}))
    for room, name in db.execute("SELECT id, name FROM room").fetchall():
        first = "SELECT seq FROM entry WHERE room = :room AND kind = 'join' ORDER BY seq LIMIT 1"
        which = f"room = :room AND (kind IN ({kinds}) OR seq = ({first}))"
        rows = _entries(db, name, f"SELECT {_FIELDS} FROM entry WHERE {which} ORDER BY seq", room)
        made = state_entries(name, filter(None, rows))
        topics = [entry for entry in made if entry.kind is Kind.TOPIC]
        _replace(db, room, (), compact(name, (entry for entry in made if entry not in topics[:-1])))
        letters = ""
        for entry in made:
            letters = closed_after(letters, entry.text) if entry.kind is Kind.MODE else letters
        _shut(db, room, letters)
    db.execute("COMMIT")


def note(db: sqlite3.Connection, room: int, entry: Entry) -> None:
    """Update the state of a room for an entry that is being stored in the same transaction."""
    if entry.kind not in CHANGING or not _matters(db, room, entry):
        return
    (count,) = db.execute("SELECT count(*) FROM ruling WHERE room = ?", (room,)).fetchone()
    if entry.kind is Kind.MODE and not is_long(count + 1):
        _replace(db, room, (), [entry])
    else:
        made = made_of(db, room, entry.room)
        _replace(db, room, made, with_ruling(entry.room, made, entry))
    if entry.kind is Kind.MODE:
        before = db.execute("SELECT letters FROM shut WHERE room = ?", (room,)).fetchone() or ("",)
        if (letters := closed_after(before[0], entry.text)) != before[0]:
            _shut(db, room, letters)


def _matters(db: sqlite3.Connection, room: int, entry: Entry) -> bool:
    """Return False for most joins and renames, without reading the whole state of the room."""
    if entry.kind is Kind.JOIN:
        return not db.execute("SELECT 1 FROM ruling WHERE room = ? AND kind = 'join'", (room,)).fetchone()
    if entry.kind is Kind.RENAME:
        theirs = "SELECT 1 FROM ruling WHERE room = ? AND (host = ? OR instr(text, '!' || ?))"
        return bool(db.execute(theirs, (room, entry.host, entry.host)).fetchone())
    return True


def made_of(db: sqlite3.Connection, room: int, name: str) -> list[Entry]:
    """Return the entries that set a room's modes and topic, in their order.

    Raises sqlite3.Error, also if one of the entries is damaged.
    """
    made = list(_entries(db, name, f"SELECT {_FIELDS} FROM ruling WHERE room = :room ORDER BY seq", room))
    # Without this error, damage could open a closed room.
    if None in made:
        error = sqlite3.DatabaseError("what holds in a room is damaged")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    return [entry for entry in made if entry]


def closed(db: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """Return the id and the name of each room that is closed, with the letters that close it."""
    return db.execute("SELECT id, name, letters FROM shut JOIN room ON room.id = shut.room").fetchall()


def _entries(db: sqlite3.Connection, name: str, sql: str, room: int) -> Iterator[Entry | None]:
    """Yield the entry of each row, None for a damaged one."""
    for seq, prev, time, *texts in db.execute(sql, {"room": room}):
        yield entry_of(name, seq, prev, time, tuple(texts), None)


def _replace(db: sqlite3.Connection, room: int, old: Sequence[Entry], new: Iterable[Entry]) -> None:
    before, now = set(old), set(new)
    db.executemany("DELETE FROM ruling WHERE room = ? AND seq = ?", [(room, entry.seq) for entry in before - now])
    rows = [(room, *entry[1:4], entry.kind.value, *entry[5:]) for entry in now - before]
    db.executemany("INSERT INTO ruling VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _shut(db: sqlite3.Connection, room: int, letters: str) -> None:
    if letters:
        db.execute("INSERT OR REPLACE INTO shut VALUES (?, ?)", (room, letters))
    else:
        db.execute("DELETE FROM shut WHERE room = ?", (room,))
