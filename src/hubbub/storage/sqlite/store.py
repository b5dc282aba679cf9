"""The log in an SQLite file: its writes and reads, without threads or event loops.

Each entry is one row. Its number is the row's number, so numbers rise over all rooms and are not dense within a room.
Only one connection to a log writes: the server's or, while no server runs, that of an import. All other connections
are opened read-only, because SQLite before 3.51.3 may lose stored data when two connections write (checking.py).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hubbub.errors import BrokerError, SettingsError, reason
from hubbub.files import PRIVATE, make_private, sync_folder
from hubbub.model.entries import Draft, Entry, Erased, Kind, Said
from hubbub.model.room.overlays import erased, overlaid, quoted_by, target_of
from hubbub.storage.ports import new_log_id, stamp
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite import checking, full_text, key_value, room_state, salvage, schema, trimming, watermark
from hubbub.storage.sqlite.queries import QueryReader, sentence
from hubbub.storage.sqlite.room_state import WrittenRoom
from hubbub.storage.sqlite.schema import INSERT, VERSION
from hubbub.storage.sqlite.watermark import Mark, Watermark

log = logging.getLogger("hubbub")

FILE = "hubbub.db"
COPY = "projection"  # folder in the data folder for the copy of a cluster's log
ROOMS_KEPT = 2_000  # rooms whose state is kept in memory between two writes
EMPTY = 4096  # bytes of a file without content: only a header
NOT_SYNCED = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})

T = TypeVar("T")


class NotSynced(BrokerError):
    """A commit was written, but the disk did not confirm it: after a crash it may be lost or not."""


class Size(NamedTuple):
    """The size of a log: its number of entries and of rooms, and the bytes of its file."""

    entries: int
    rooms: int
    bytes: int


class Store(QueryReader):
    """One connection to the log.

    Args:
        folder: the folder of the file.
        write: whether this connection appends. Only one connection may do so at a time; any number may read.

    Raises:
        SettingsError: the file cannot be opened, is no log of hubbub, or there is none to read.

    """

    _marked = True  # whether the log has a mark file (watermark.py)

    def __init__(self, folder: Path, write: bool = False) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._write = write
        self._rooms: dict[str, WrittenRoom] = {}  # by the ids of the rooms
        self._tidying = trimming.Trimming()
        self._mark: Watermark | None = None
        self.forgotten = 0  # entries deleted by retention since the log was opened
        if not write and not self._path.exists():
            raise SettingsError(f"There is no log in {folder}.")
        try:
            try:
                self._open("rwc" if write else "ro")
            except sqlite3.Error:
                # SQLite makes a file to read beside a writer. Where it cannot, there must be no writer.
                if write or os.access(folder, os.W_OK):
                    raise
                if self._unmerged():
                    text = f"The log {self._path} is in use or was not closed; to read it, its folder must be writable."
                    raise SettingsError(text) from None
                self._open("ro&immutable=1")
        except sqlite3.Error as error:
            raise SettingsError(f"The log {self._path} cannot be opened: {error}.") from None
        except OSError as error:
            raise SettingsError(f"The data folder {folder} cannot be written: {reason(error)}.") from None

    def _open(self, mode: str) -> None:
        # The mark is read before the log, because the log may grow meanwhile.
        found = watermark.read(self._folder) if self._marked else None
        if mode == "rwc":
            self._make_private()
        with contextlib.ExitStack() as undo:
            self._db = self._connect(mode)
            undo.callback(self._db.close)
            self._prepare()
            self._look()
            notes = schema.notes(self._db)
            self.log_id = notes.get("log_id", "")
            self.past = watermark.judge(self.log_id, "marked" in notes, self.last, found)
            if self._write:
                self._begin(found)
            self._inode = self._path.stat().st_ino
            undo.pop_all()

    def _make_private(self) -> None:
        """Make the log readable for its owner only: SQLite gives all its files the mode of the first one."""
        if not self._path.exists():
            with contextlib.suppress(OSError):  # SQLite has the better message
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
                sync_folder(self._folder)
        for end in ("", "-wal", "-shm"):
            make_private(self._path.with_name(FILE + end))

    def _connect(self, mode: str = "rw") -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, timeout=5, isolation_level=None, uri=True, check_same_thread=False)
        try:
            if self._write:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA journal_size_limit = 67108864")
                db.execute("PRAGMA secure_delete = ON")  # zeros replace redacted text
                full_text.prepare(db)
            db.execute("PRAGMA temp_store = MEMORY")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise SettingsError(f"The log {self._path} was made by a newer version of hubbub.")
        if version == 0 and (not self._write or self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]):
            if self._path.stat().st_size <= EMPTY:
                text = "is empty: if it was copied while a server ran, copy it with hubbub backup"
                raise SettingsError(f"The log {self._path} {text}.")
            raise SettingsError(f"{self._path} is not a hubbub log.")
        if self._write:
            if 0 < version < VERSION:
                log.warning("The log %s is converted for this version of hubbub, which may take a while", self._path)
            schema.upgrade(self._db, version)
            room_state.prepare(self._db)
            key_value.prepare(self._db)
            trimming.prepare(self._db)
            version = VERSION
        self._version = version
        key = "key" if version >= schema.ROOM_KEYS else "name"
        columns = f"room.{key}, room.name, {schema.fields(version)}"
        self._select = f"SELECT {columns} FROM entry JOIN room ON room.id = entry.room"

    def _look(self) -> None:
        """Read where the log ends: numbers continue after it, and no number is used twice."""
        newest = self._db.execute("SELECT seq, time FROM entry ORDER BY seq DESC LIMIT 1").fetchone() or (0, 0.0)
        self.last = max(newest[0], schema.mark(self._db, "trimmed"), schema.mark(self._db, "given"))
        self.newest: float = newest[1]  # time of the newest entry, in epoch seconds

    def _begin(self, found: Mark | None) -> None:
        """Continue the log if it is complete; else give it a new identity, and continue above all used numbers."""
        if self.past.text:
            log.log(self.past.level, "%s", self.past.text)
        if not self.past.same:
            self.log_id = new_log_id()
            self.last = max(self.last, found.newest if found else 0)
            given = f"INSERT OR REPLACE INTO mark VALUES ('given', {self.last})"
            noted = f"INSERT OR REPLACE INTO note VALUES ('log_id', '{self.log_id}')"
            forgotten = "DELETE FROM note WHERE name IN ('backup', 'marked')"
            self._db.executescript(f"BEGIN IMMEDIATE; {given}; {noted}; {forgotten}; COMMIT")
        if self._marked:
            self._mark = Watermark(self._folder, Mark(self.log_id, self.last, found.time if found else 0))
            self._db.execute("INSERT OR IGNORE INTO note VALUES ('marked', 'yes')")

    def _check_in_place(self) -> None:
        """Check that the file is still in its place: entries written to a removed file are lost. Raises BrokerError."""
        try:
            if self._path.stat().st_ino == self._inode:
                return
            found = FileExistsError(f"{self._path} is another file")
        except OSError as error:
            raise BrokerError("the log was removed") from error
        raise BrokerError("the log was replaced") from found

    @property
    def aged(self) -> float:
        """The time of the log (ageing.py) when it was opened, in epoch seconds; 0 if unknown."""
        return self._mark.time if self._mark else 0.0

    @property
    def is_ahead_of_mark(self) -> bool:
        """Whether the mark file has changes that a power cut could lose."""
        return bool(self._mark and self._mark.dirty)

    def sync_mark(self, aged: float) -> None:
        """Write the log's end and its time (ageing.py) to the mark file, and sync the file against a power cut."""
        if self._mark:
            self._mark.note(self.last, aged)
            self._mark.sync()

    def close(self) -> None:
        """Close the log and its mark file."""
        self._db.close()
        if self._mark:
            self._mark.close()
            self._mark = None

    # --- writing --------------------------------------------------------------------------------------------

    def append(self, drafts: Sequence[Draft], now: float) -> list[Entry]:
        """Store drafts in one transaction, and return their entries; not even a power cut can undo it then.

        Raises:
            NotSynced: it is unknown whether they are stored; call `reopen` before anything else.
            BrokerError: none of them is stored.

        """
        entries: list[Entry] = []
        seq = self.last
        db = self._db
        now = stamp(now, self.newest)
        self._check_in_place()
        rows: list[tuple[Any, ...]] = []
        changed: dict[int, WrittenRoom] = {}
        overlays: list[tuple[int, Entry]] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            for draft in drafts:
                seq += 1
                room = self._rooms.get(draft.room_id) or self._room(draft.room, draft.room_id)
                state, body = room.state, draft.body
                entries.append(
                    Entry(state.name, seq, room.last, now, draft.nick, draft.id, body, draft.host, draft.tags, state.id)
                )
                rows.append(schema.row(entries[-1], seq, room.id, room.last))
                room.last = seq
                if type(body) is Said:
                    continue
                overlays.append((room.id, entries[-1]))
                changed[room.id] = room
                if self._apply(room, entries[-1]):
                    room.save(db)  # now, because a later rename of the batch may give the old name to another room
            db.executemany(INSERT, rows)
            for id, entry in overlays:
                self._overlay(id, entry)
            for room in changed.values():
                room.save(db)
            db.execute("COMMIT")
        except Exception as error:
            self._rooms.clear()  # their states may be ahead of the log
            self._recover()
            if isinstance(error, sqlite3.Error):
                raise _failure(error) from error
            raise
        if len(self._rooms) > ROOMS_KEPT:
            self._rooms.clear()
        self.last, self.newest = seq, now
        if self._mark:
            self._mark.note(seq)
        return entries

    def _apply(self, room: WrittenRoom, entry: Entry) -> bool:
        """Let an entry take effect on the state of its room; return whether the room has a new name now."""
        before = room.state.name
        room.changed |= room.state.apply(entry)
        if room.state.name == before:
            return False
        self._note_name(entry.seq, before)
        return True

    def _overlay(self, room: int, by: Entry) -> None:
        """Change the earlier entries that an entry of a room changes, if any, also in the text index.

        A text that is taken back leaves the file.
        """
        self._erase_late(room, by)
        if not (target := target_of(by.body)):
            return
        which = "id = ?1", "kind IN ('edit', 'pin') AND substr(text, 1, instr(text, ' ') - 1) = ?1"
        # Not one query with OR: for that, SQLite reads the whole room, because one of the two indexes is partial.
        fields = schema.fields(self._version)
        sql = " UNION ".join(f"SELECT {fields} FROM entry WHERE room = ?2 AND {one} AND seq < ?3" for one in which)
        for seq, prev, time, *texts, _ in self._db.execute(sql, (target, room, by.seq)).fetchall():
            entry = schema.entry_of("", seq, prev, time, tuple(texts), None)
            if entry is not None and (now := overlaid(entry, by)) is not entry:
                self._replace(room, entry, now)

    def _erase_late(self, room: int, by: Entry) -> None:
        """Erase the text of a correction or pin that is stored after its message was redacted."""
        sql = "SELECT 1 FROM entry WHERE room = ? AND id = ? AND kind = ? AND seq < ?"
        target = quoted_by(by)
        if target and self._db.execute(sql, (room, target, Kind.REDACTED, by.seq)).fetchone():
            self._replace(room, by, erased(by))

    def _replace(self, room: int, entry: Entry, now: Entry) -> None:
        seq = entry.seq
        kind, _, text, *_, tags, sum = schema.row(now, seq, room, entry.prev)[4:]
        changes = "UPDATE entry SET kind = ?, text = ?, tags = ?, sum = ? WHERE seq = ?"
        if now.body == entry.body:
            self._db.execute(changes, (kind, text, tags, sum, seq))
            return
        full_text.forget(self._db, seq - 1, seq)
        self._db.execute(changes, (kind, text, tags, sum, seq))
        full_text.renew(self._db, seq)
        # The text index is merged at most once in an hour, so corrections must not use that up.
        if type(now.body) is Erased:
            self._tidying.erase(self._db)

    def _note_name(self, seq: int, name: str) -> None:
        """Store the name that a room had before the entry that renamed it: an export needs the former names."""
        self._db.execute("CREATE TABLE IF NOT EXISTS former (seq INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT")
        self._db.execute("INSERT OR REPLACE INTO former VALUES (?, ?)", (seq, name))

    def _room(self, name: str, key: str = "") -> WrittenRoom:
        """Return the room with an id to write to, without an id the one with the name; make it if it does not exist.

        Raises sqlite3.Error.
        """
        found = "SELECT id, name, key FROM room WHERE "
        row = self._db.execute(f"{found} {'key' if key else 'name'} = ?", (key or name,)).fetchone()
        if row is None:
            made = "INSERT INTO room (name, key) VALUES (?, ?) RETURNING id, name, key"
            row = self._db.execute(made, (name, key or self._room_id(name))).fetchone()
        id, name, key = row
        if key not in self._rooms:
            stored = room_state.snapshot_of(self._db, id, name)
            self._rooms[key] = WrittenRoom(id, self._last_of(id), name, key, stored)
        return self._rooms[key]

    def _recover(self) -> None:
        """Roll the transaction back; open a new connection if even that fails."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            try:
                self._db.close()
                self._db = self._connect()
            except sqlite3.Error:
                pass  # the next append fails too, and tries again

    def probe(self, now: float) -> None:
        """Commit a mark that is no entry, to check that the log can be written. Raises BrokerError."""
        self._check_in_place()
        try:
            self._db.execute("INSERT OR REPLACE INTO mark VALUES ('probed', ?)", (int(now),))
        except sqlite3.Error as error:
            self._recover()
            raise _failure(error) from error

    def reopen(self) -> None:
        """Close the file and open it again, after the disk did not confirm a commit.

        Caches of the old connection are not trusted. A new commit that is no entry overwrites the unconfirmed one, so
        that it cannot reappear after a crash. Raises BrokerError.
        """
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._rooms.clear()
        try:
            self._db = self._connect()
            self.probe(0)
            self._look()
        except sqlite3.Error as error:
            raise _failure(error) from error

    def stored(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Return the stored entries of drafts, in the order of their numbers. Raises BrokerError."""
        ids = json.dumps([draft.id for draft in drafts])
        where = "WHERE entry.id IN (SELECT value FROM json_each(?)) ORDER BY seq"
        try:
            found = list(self._entries(where, ids))
        except sqlite3.Error as error:
            raise _failure(error) from error
        # Either all drafts are stored or none; another batch may have stored entries of the same events in other rooms.
        if len(found) == len(drafts):
            return found
        return [one for one in found if any(draft.id == one.id and draft.is_for(one) for draft in drafts)]

    def look_up(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of a function that reads tables beside the log. Raises BrokerError."""
        try:
            return act(self._db)
        except sqlite3.Error as error:
            raise BrokerError(sentence(error)) from error

    def change(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of a function that changes tables beside the log, in one transaction.

        Raises:
            NotSynced: it is unknown whether the change is stored; call `reopen` before anything else.
            BrokerError: nothing is changed; also if `act` raised it.

        """
        self._check_in_place()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            result = act(self._db)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._recover()
            raise _failure(error) from error
        except BaseException:  # else the transaction would stay open, and the next batch would fail
            self._recover()
            raise
        return result

    def index_some(self, limit: int) -> bool:
        """Bring the text index up to date by at most `limit` entries; return whether there is more to do."""
        if full_text.is_fed(self._db, self.last):
            return False
        try:
            self._db.execute("BEGIN IMMEDIATE")
            more = full_text.feed(self._db, self.last, limit)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._recover()
            return False
        return more

    def merge_some(self, clock: float) -> bool:
        """Merge a few pages of the text index if that frees space or erases redacted text.

        Args:
            clock: the time of the system's clock, in epoch seconds.

        Returns:
            Whether there is more to do.

        """
        try:
            return self._tidying.step(self._db, clock)
        except sqlite3.Error:
            self._recover()
            return False

    def trim_some(self, keep: Retention, now: float, limit: int, clock: float = 0.0) -> bool:
        """Delete the oldest entries that exceed the retention, at most `limit` of them.

        Args:
            keep: the retention.
            now: the time of the log from which the age of entries is counted (ageing.py), in epoch seconds.
            limit: a number of entries.
            clock: the time of the system's clock in epoch seconds, if it differs from `now`.

        Returns:
            Whether there is more to do.

        """
        # The index is merged before more is deleted, because the freed space counts for the retention.
        if self.merge_some(max(now, clock)):
            return True
        if not keep:
            return False
        db = self._db
        try:
            upto = trimming.bound(db, keep, now, limit, clock)
            if upto == schema.mark(db, "trimmed"):
                return False
            db.execute("BEGIN IMMEDIATE")
            count = trimming.trim(db, upto)
            self._tidying.note(count)
            db.execute("COMMIT")
        except sqlite3.Error:
            self._recover()
            return False
        self.forgotten += count
        return True

    # --- maintenance ----------------------------------------------------------------------------------------

    def size(self) -> Size:
        """Return the number of entries and rooms, and the bytes of the file."""
        return Size(self._count("entry"), self._count("room"), self._path.stat().st_size + self._unmerged())

    def _unmerged(self) -> int:
        """Return the bytes of the write-ahead log, which are not in the main file yet."""
        try:
            return self._path.with_name(f"{FILE}-wal").stat().st_size
        except OSError:
            return 0

    def begin_view(self) -> int:
        """Keep the present view of the log for this connection until it is closed; return its number of entries."""
        self._db.execute("BEGIN")
        return self._count("entry")

    def copy_to(self, other: sqlite3.Connection, pages: int, progress: checking.Progress) -> None:
        """Copy the file to another database, `pages` pages at a time. Raises sqlite3.Error."""
        self._db.backup(other, pages=pages, progress=lambda _, left, whole: progress(whole - left, whole))

    def quick_check(self) -> str:
        """Return a fault of the file's pages, "" if there is none; the entries are not checked."""
        try:
            (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            return f"{error}" if salvage.is_damage(error) else ""
        return "" if found == "ok" else str(found).strip().replace("\n", " ")

    def interrupt(self) -> None:
        """End a query that runs on this connection in another thread."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # already closed
            self._db.interrupt()

    def check(self, progress: checking.Progress = lambda done, whole: None) -> list[str]:
        """Return the faults of the log, a sentence each; an empty list if it is intact."""
        return checking.faults(self, self.past, progress)


def _failure(error: sqlite3.Error) -> BrokerError:
    """Return the BrokerError for a failed write: NotSynced if its outcome is unknown."""
    unsure = getattr(error, "sqlite_errorcode", 0) in NOT_SYNCED
    return (NotSynced if unsure else BrokerError)(sentence(error))
