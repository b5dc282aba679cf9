"""The log in an SQLite file: what is written and read, without threads or loops.

One row an entry. Its number is the row's, so numbers rise over all rooms and are not dense within one. The
text index is fed apart from the write path (`index_some`): doing so in the same transaction would cost most of
the throughput. What is not indexed yet is found all the same, see `_search`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hubbub.brokers import ruling, trimming
from hubbub.brokers.base import new_log_id
from hubbub.brokers.keep import Keep
from hubbub.brokers.queries import RENAMES, RULES, SAID, Reading, sentence
from hubbub.core.model import (
    Draft,
    Entry,
    Kind,
)
from hubbub.errors import BrokerError, SettingsError
from hubbub.files import PRIVATE, make_private, sync_folder

FILE = "hubbub.db"
COPY = "projection"  # the folder, in the data folder, of a copy of what other servers keep
VERSION = 2
NOWHERE = (0, 0)  # a room that was renamed: nothing is written to it under its old name
ROOMS_KEPT = 10_000  # rooms whose last number is kept in memory

_SCHEMA = """
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
CREATE VIRTUAL TABLE entry_text USING fts5 (text, content='entry', content_rowid='seq', tokenize='unicode61');
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO mark VALUES ('indexed', 0); -- the text index holds everything up to this number
"""
# What version 2 has beside version 1: from where people come, and what was done to whom.
_UPGRADE = f"""
DROP INDEX IF EXISTS entry_said;
ALTER TABLE entry ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE entry ADD COLUMN tags TEXT NOT NULL DEFAULT '';
CREATE INDEX entry_said ON entry (room, seq) WHERE {SAID};
CREATE INDEX entry_rules ON entry (room, seq) WHERE {RULES};
"""
INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Size(NamedTuple):
    """How much a log holds."""

    entries: int
    rooms: int
    bytes: int


class Store(Reading):
    """One connection to the log.

    Args:
        folder: where the file is, or shall be.
        write: whether this connection appends. Only one may, at any time; any number may read beside it.

    Raises:
        SettingsError: the file cannot be opened, is no log of ours, or there is none to read.

    """

    def __init__(self, folder: Path, write: bool = False) -> None:
        self._path = folder / FILE
        self._write = write
        self._rooms: dict[str, tuple[int, int]] = {}  # name: (id, last number), of rooms written to
        self._tidying = trimming.Tidying()
        if not write and not self._path.exists():
            raise SettingsError(f"There is no log in {folder}.")
        try:
            try:
                self._open("rwc" if write else "ro")
            except sqlite3.Error:
                # To read beside a writer, SQLite makes a file; where it cannot, there must be no writer to read beside.
                if write or os.access(folder, os.W_OK):
                    raise
                if self._unmerged():
                    text = f"The log {self._path} is in use or was not closed; to read it, its folder must be writable."
                    raise SettingsError(text) from None
                self._open("ro&immutable=1")
        except sqlite3.Error as error:
            raise SettingsError(f"The log {self._path} cannot be opened: {error}.") from None

    def _open(self, mode: str) -> None:
        with contextlib.ExitStack() as undo:
            self._db = self._connect(mode)
            undo.callback(self._db.close)
            self._prepare()
            newest = self._db.execute("SELECT seq, time FROM entry ORDER BY seq DESC LIMIT 1").fetchone() or (0, 0.0)
            self.last = max(newest[0], trimming.mark(self._db, "trimmed"))  # numbers are never given twice
            self._now: float = newest[1]
            self.log_id = self._identity()
            self._inode = self._path.stat().st_ino
            undo.pop_all()

    def _identity(self) -> str:
        """Return the log's identity, made if it has none; a reader of a log without one returns ""."""
        db = self._db
        if self._write:
            db.execute("CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
            db.execute("INSERT OR IGNORE INTO note VALUES ('log_id', ?)", (new_log_id(),))
        elif not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'note'").fetchone():
            return ""
        (found,) = db.execute("SELECT value FROM note WHERE name = 'log_id'").fetchone()
        return str(found)

    def _check_in_place(self) -> None:
        """See that the file is still where it was: what is written into a removed one is lost. Raises BrokerError."""
        try:
            if self._path.stat().st_ino == self._inode:
                return
            found = FileExistsError(f"{self._path} is another file")
        except OSError as error:
            raise BrokerError("the log was removed") from error
        raise BrokerError("the log was replaced") from found

    def _connect(self, mode: str = "rw") -> sqlite3.Connection:
        if self._write:
            self._make_private()
        uri = f"{self._path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, timeout=5, isolation_level=None, uri=True, check_same_thread=False)
        try:
            if self._write:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA journal_size_limit = 67108864")
            db.execute("PRAGMA temp_store = MEMORY")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _make_private(self) -> None:
        """See that only the owner can read the log: SQLite gives all its files the mode of the first."""
        if not self._path.exists():
            with contextlib.suppress(OSError):  # SQLite says it better
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
                sync_folder(self._path.parent)
        for end in ("", "-wal", "-shm"):
            make_private(self._path.with_name(FILE + end))

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise SettingsError(f"The log {self._path} was made by a newer hubbub.")
        if version == 0:
            if not self._write or self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise SettingsError(f"{self._path} is not a log of hubbub.")
            self._db.executescript(f"BEGIN; {_SCHEMA} {_UPGRADE} PRAGMA user_version = {VERSION}; COMMIT")
        elif version < VERSION and self._write:
            self._db.executescript(f"BEGIN; {_UPGRADE} PRAGMA user_version = {VERSION}; COMMIT")
        if self._write:
            self._db.execute(f"CREATE INDEX IF NOT EXISTS entry_renames ON entry (room, seq) WHERE {RENAMES}")
            ruling.prepare(self._db)
        more = "'', ''" if version == 1 and not self._write else "host, tags"  # a reader before any new server
        fields = f"room.name, seq, prev, time, kind, nick, entry.text, entry.id, {more}"
        self._select = f"SELECT {fields} FROM entry JOIN room ON room.id = entry.room"

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # --- writing --------------------------------------------------------------------------------------------

    def append(self, drafts: Sequence[Draft], now: float) -> list[Entry]:
        """Store drafts in one transaction; when this returns, not even a power cut can undo it.

        Raises:
            BrokerError: none of them is stored.

        """
        rooms: dict[str, tuple[int, int]] = {}
        entries: list[Entry] = []
        rows = []
        moved: dict[str, str] = {}  # rooms that this batch renames
        seq = self.last
        db = self._db
        now = max(now, self._now)  # a clock that is set back must not break the order
        self._check_in_place()
        try:
            db.execute("BEGIN IMMEDIATE")
            for draft in drafts:
                seq += 1
                name = moved.get(draft.room, draft.room)
                room, prev = rooms.get(name) or self._rooms.get(name) or self._room(name)
                rooms[name] = room, seq
                kind, nick, text = draft.kind, draft.nick, draft.text
                entries.append(Entry(name, seq, prev, now, kind, nick, text, draft.id, draft.host, draft.tags))
                ruling.note(db, room, entries[-1])
                rows.append((seq, room, prev, now, kind.value, nick, text, draft.id, draft.host, draft.tags))
                if kind is Kind.TOPIC:
                    db.execute("UPDATE room SET topic = ? WHERE id = ?", (text, room))
                elif kind is Kind.MOVE:
                    to = moved[name] = text.partition(" ")[0]
                    self._note_name(seq, name)
                    db.execute("UPDATE room SET name = ? WHERE id = ?", (to, room))
                    rooms[to] = rooms.pop(name)
                    rooms[name] = NOWHERE
                elif kind is Kind.REDACT:
                    self._forget(room, text.partition(" ")[0])
            db.executemany(INSERT, rows)
            db.execute("COMMIT")
        except Exception as error:
            self._recover()
            if isinstance(error, sqlite3.Error):
                raise BrokerError(sentence(error)) from error
            raise
        if len(self._rooms) > ROOMS_KEPT:
            self._rooms.clear()
        self._rooms.update(rooms)
        for name in moved:
            del self._rooms[name]
        self.last, self._now = seq, now
        return entries

    def _take_effect(self, room: int, entry: Entry) -> None:
        first, _, _ = entry.text.partition(" ")
        if entry.kind is Kind.TOPIC:
            self._db.execute("UPDATE room SET topic = ? WHERE id = ?", (entry.text, room))
        elif entry.kind is Kind.MOVE:
            self._db.execute("UPDATE OR IGNORE room SET name = ? WHERE id = ?", (first, room))
        elif entry.kind is Kind.REDACT:
            self._forget(room, first)

    def _note_name(self, seq: int, name: str) -> None:
        """Note what a room was called up to the entry that renamed it: who takes the log elsewhere tells it again."""
        self._db.execute("CREATE TABLE IF NOT EXISTS former (seq INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT")
        self._db.execute("INSERT OR REPLACE INTO former VALUES (?, ?)", (seq, name))

    def called_before(self, move: Entry) -> str:
        """Return what a room was called before an entry that renamed it; today's name if that is not known."""
        row = None
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'former'").fetchone():
            row = self._db.execute("SELECT name FROM former WHERE seq = ?", (move.seq,)).fetchone()
        if row is None:  # of an older log: what it was renamed to before that
            before = (
                "SELECT text FROM entry WHERE kind = 'move' AND seq < ?1"
                " AND room = (SELECT room FROM entry WHERE seq = ?1) ORDER BY seq DESC LIMIT 1"
            )
            row = self._db.execute(before, (move.seq,)).fetchone()
        return str(row[0]).partition(" ")[0] if row else move.room

    def _forget(self, room: int, id: str) -> None:
        """Take a message's text out of the log and out of the index."""
        row = self._db.execute("SELECT seq, text FROM entry WHERE id = ? AND room = ?", (id, room)).fetchone()
        if row is None:
            return
        (done,) = self._db.execute("SELECT value FROM mark WHERE name = 'indexed'").fetchone()
        if row[0] <= done:
            self._db.execute("INSERT INTO entry_text (entry_text, rowid, text) VALUES ('delete', ?, ?)", row)
        self._db.execute("UPDATE entry SET kind = 'gone', text = '', tags = '' WHERE seq = ?", (row[0],))

    def _room(self, name: str) -> tuple[int, int]:
        row = self._db.execute("SELECT id FROM room WHERE name = ?", (name,)).fetchone()
        if row is None:
            row = self._db.execute("INSERT INTO room (name) VALUES (?) RETURNING id", (name,)).fetchone()
        return row[0], self._last_of(row[0])

    def _recover(self) -> None:
        """Give up the transaction; with a new connection if this one cannot even do that."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            try:
                self._db.close()
                self._db = self._connect()
            except sqlite3.Error:
                pass  # the next append fails as well, and tries again

    def probe(self, now: float) -> None:
        """Commit something that is no entry, to see that it can be done. Raises BrokerError."""
        self._check_in_place()
        try:
            self._db.execute("INSERT OR REPLACE INTO mark VALUES ('probed', ?)", (int(now),))
        except sqlite3.Error as error:
            self._recover()
            raise BrokerError(sentence(error)) from error

    def index_some(self, limit: int) -> bool:
        """Bring the text index up to date by at most `limit` entries; return whether there is more to do."""
        (done,) = self._db.execute("SELECT value FROM mark WHERE name = 'indexed'").fetchone()
        upto = min(self.last, done + limit)
        if upto == done:
            return False
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO entry_text (rowid, text) "
                f"SELECT seq, text FROM entry WHERE seq > ? AND seq <= ? AND {SAID}",
                (done, upto),
            )
            self._db.execute("UPDATE mark SET value = ? WHERE name = 'indexed'", (upto,))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._recover()
            return False
        return bool(upto < self.last)

    def trim_some(self, keep: Keep, now: float, limit: int) -> bool:
        """Forget the oldest entries beyond what is to be kept, at most `limit` of them.

        Returns:
            Whether there is more to do.

        """
        db = self._db
        try:
            if self._tidying.step(db):  # before more is forgotten: what it frees counts
                return True
            upto = trimming.bound(db, keep, now, limit)
            if upto == trimming.mark(db, "trimmed"):
                return False
            db.execute("BEGIN IMMEDIATE")
            self._tidying.note(trimming.trim(db, upto))
            db.execute("COMMIT")
        except sqlite3.Error:
            self._recover()
            return False
        return True

    # --- looking after it -----------------------------------------------------------------------------------

    def size(self) -> Size:
        """Return how much there is."""
        return Size(self._count("entry"), self._count("room"), self._path.stat().st_size + self._unmerged())

    def _unmerged(self) -> int:
        """Return the bytes that were written and are not in the file itself yet."""
        try:
            return self._path.with_name(f"{FILE}-wal").stat().st_size
        except OSError:
            return 0

    def check(self) -> list[str]:
        """Return what is wrong with the log, a sentence each; nothing if it is whole."""
        try:
            return self._faults()
        except sqlite3.Error as error:
            return [f"{error}."]

    def _faults(self) -> list[str]:
        faults = [row[0] for row in self._db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
        chain = (
            "SELECT name, seq FROM"
            " (SELECT room, seq, prev, lag(seq, 1, 0) OVER (PARTITION BY room ORDER BY seq) AS before FROM entry)"
            " AS chain JOIN room ON room.id = chain.room"
            " WHERE seq > :trimmed AND prev <> before AND NOT (prev <= :trimmed AND before <= prev) LIMIT 20"
        )
        found = self._db.execute(chain, {"trimmed": trimming.mark(self._db, "trimmed")})
        faults += [f"In {room}, something is missing before number {seq}." for room, seq in found]
        return faults
