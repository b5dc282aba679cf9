"""The tables of a log in an SQLite file, their upgrade from older versions, and the conversion of rows to entries.

The column `sum` of an entry is a checksum of its texts. SQLite itself has none, so without it a text with a damaged
byte would be shown as if a user had written it. It is NULL in rows of an older version.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from hubbub.model import codec
from hubbub.model.entries import Entry, Kind, RoomRenamed

FILE = "hubbub.db"
COPY = "projection"  # folder in the data folder for the copy of a cluster's log
VERSION = 4
INDEXED = 3  # the first version with the text index of today
ROOM_KEYS = 4  # the first version in which rooms have ids
# As a list of three kinds with IN, SQLite would make a temporary table for each row that is written.
SAID = "(kind = 'message' OR kind = 'action' OR kind = 'notice')"
POLLS = "kind = 'poll'"
# The entries of the history, as conditions with an index each: to make one index of both would take seconds at a start.
HISTORY = (SAID, POLLS)
EVERY = ("TRUE",)
RULES = "kind IN ('mode', 'topic')"
RENAMES = "kind = 'rename'"

_FIRST = """
CREATE TABLE room (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY,
    room INTEGER NOT NULL REFERENCES room,
    prev INTEGER NOT NULL, -- the room's entry before this one; 0 for its first
    time REAL NOT NULL,    -- seconds since the epoch
    kind TEXT NOT NULL,
    nick TEXT NOT NULL,
    text TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX entry_room ON entry (room, seq);
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO mark VALUES ('indexed', 0); -- the text index holds all from `unindexed` (without it) up to this number
"""
_SAID_INDEX = f"CREATE INDEX entry_said ON entry (room, seq) WHERE {SAID};"
# The hosts of users and the tags of entries; indices of messages, and of modes and topics.
_SECOND = f"""
DROP INDEX IF EXISTS entry_said;
ALTER TABLE entry ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE entry ADD COLUMN tags TEXT NOT NULL DEFAULT '';
{_SAID_INDEX}
CREATE INDEX entry_rules ON entry (room, seq) WHERE {RULES};
"""
# Checksums; an index by time, because times need not rise with the numbers; a text index of tokens (words.py), which
# is filled backwards from the newest entry while the log is in use; and the log's identity.
_THIRD = f"""
CREATE INDEX IF NOT EXISTS entry_renames ON entry (room, seq) WHERE {RENAMES};
ALTER TABLE entry ADD COLUMN sum INTEGER;
CREATE INDEX entry_time ON entry (room, time);
DROP TABLE IF EXISTS entry_text;
CREATE VIRTUAL TABLE entry_text USING fts5 (text, content='', columnsize=0, tokenize='ascii');
INSERT OR REPLACE INTO mark SELECT 'indexed', coalesce(max(seq), 0) FROM entry;
INSERT OR REPLACE INTO mark SELECT 'unindexed', value FROM mark WHERE name = 'indexed';
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
# The id of an entry is unique within its room only: one event of a user has an entry in each of several rooms. Rooms
# have an id (room_ids.py): the column `key`.
_FOURTH = f"""
ALTER TABLE entry RENAME TO entry_before;
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY, room INTEGER NOT NULL REFERENCES room, prev INTEGER NOT NULL, time REAL NOT NULL,
    kind TEXT NOT NULL, nick TEXT NOT NULL, text TEXT NOT NULL, id TEXT NOT NULL, host TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '', sum INTEGER
) STRICT;
INSERT INTO entry SELECT seq, room, prev, time, kind, nick, text, id, host, tags, sum FROM entry_before;
DROP TABLE entry_before;
ALTER TABLE room ADD COLUMN key TEXT NOT NULL DEFAULT '';
UPDATE room SET key = name;
CREATE UNIQUE INDEX room_key ON room (key);
CREATE UNIQUE INDEX entry_id ON entry (id, room);
CREATE INDEX entry_room ON entry (room, seq);
CREATE INDEX entry_time ON entry (room, time);
CREATE INDEX entry_said ON entry (room, seq) WHERE {SAID};
CREATE INDEX entry_rules ON entry (room, seq) WHERE {RULES};
CREATE INDEX entry_renames ON entry (room, seq) WHERE {RENAMES};
"""
_STEPS = (_FIRST, _SECOND, _THIRD, _FOURTH)

INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
Texts = tuple[str, str, str, str, str, str]  # kind, nick, text, id, host, tags


# Finds the texts of a message that are in its corrections and pins. Older versions keep this index, but do not need it.
_QUOTES = """
CREATE INDEX IF NOT EXISTS entry_quotes ON entry (room, substr(text, 1, instr(text, ' ') - 1))
WHERE kind IN ('edit', 'pin');
"""
# Finds the polls. Older versions keep this index, but do not need it.
_POLLS = f"CREATE INDEX IF NOT EXISTS entry_polls ON entry (room, seq) WHERE {POLLS};"
# Finds the messages of an author. Older versions keep this index, but do not need it.
_AUTHORS = f"CREATE INDEX IF NOT EXISTS entry_author ON entry (nick, seq) WHERE {SAID};"


def upgrade(db: sqlite3.Connection, version: int) -> None:
    """Upgrade the tables from a version (0 for no tables) to VERSION, in one transaction. Raises sqlite3.Error."""
    if version < VERSION:
        db.executescript(f"BEGIN; {' '.join(_STEPS[version:])} PRAGMA user_version = {VERSION}; COMMIT")
    db.executescript(_QUOTES + _POLLS + _AUTHORS)
    # Versions whose tables had the same number wrote the condition of this index in another way.
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'entry_said' AND instr(sql, ?)", (SAID,)).fetchone():
        db.executescript(f"BEGIN; DROP INDEX IF EXISTS entry_said; {_SAID_INDEX} COMMIT")


def has_authors(db: sqlite3.Connection) -> bool:
    """Return whether the log has the index of authors: a server of this version has opened it."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'entry_author'").fetchone() is not None


def mark(db: sqlite3.Connection, name: str) -> int:
    """Return the value of a mark, 0 if there is none."""
    row = db.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def notes(db: sqlite3.Connection) -> dict[str, str]:
    """Return the notes about the log as a whole by name, such as its identity."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'note'").fetchone():
        return {}
    return dict(db.execute("SELECT name, value FROM note"))


def fields(version: int) -> str:
    """Return the SQL columns of an entry without its room, for a log with tables of this version."""
    later = {1: "'', '', NULL", 2: "host, tags, NULL"}.get(version, "host, tags, sum")
    return f"seq, prev, time, kind, nick, entry.text, entry.id, {later}"


def checksum(texts: Texts) -> int:
    """Return the checksum of a row's texts. Raises UnicodeEncodeError if one of them was not valid UTF-8."""
    return zlib.crc32("\0".join(texts).encode())


def row(entry: Entry, seq: int, room: int, prev: int) -> tuple[Any, ...]:
    """Return the row of an entry for INSERT.

    Args:
        entry: the entry.
        seq: its number in this log.
        room: the id of its room.
        prev: the number of the entry before it in the room.

    """
    kind, text, tags = codec.stored(entry.body, entry.tags, entry.id)
    texts = (kind, entry.nick, text, entry.id, entry.host, tags)
    return seq, room, prev, entry.time, *texts, checksum(texts)


def entry_of(  # noqa: PLR0913 - the fields of a row
    room: str, seq: int, prev: int, time: float, texts: Texts, sum: int | None, key: str = ""
) -> Entry | None:
    """Return the entry of a row in a room with a name and an id, None if the row is damaged."""
    try:
        if checksum(texts) == sum or sum is None:
            return codec.entry_of(room, seq, prev, time, *texts, key)
    except ValueError:  # invalid UTF-8 (see `lenient`)
        pass
    return None


def new_name(text: str) -> str:
    """Return the new name of a room from the stored text of its rename."""
    body, _ = codec.body_of(Kind.ROOM_RENAMED, text)
    assert isinstance(body, RoomRenamed)
    return body.to


def lenient(data: bytes) -> str:
    """Return the text of a column that may be damaged: invalid UTF-8 becomes characters for which checksum() raises."""
    return data.decode("utf-8", "surrogateescape")


def listed(values: Iterable[str | int]) -> str:
    """Return values as one argument of a query, which reads their list by `(SELECT value FROM json_each(?))`."""
    return msgspec.json.encode(list(values)).decode()
