"""The log in an SQLite file: its writes and reads, without threads or event loops.

Each entry is one row. Its number is the row's number, so numbers rise over all rooms and are not dense within a room.
Only one connection to a log writes: the server's or, while no server runs, that of an import. All other connections
are opened read-only, because SQLite before 3.51.3 may lose stored data when two connections write (checking.py).
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hubbub.errors import BrokerError
from hubbub.model.entries import Draft, Entry, Erased, Kind, Said
from hubbub.model.messages.overlays import erased, overlaid, quoted_by, target_of
from hubbub.storage.ports import stamp
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite import full_text, room_state, schema
from hubbub.storage.sqlite.opened_file import OpenedFile
from hubbub.storage.sqlite.queries import sentence
from hubbub.storage.sqlite.room_state import WrittenRoom
from hubbub.storage.sqlite.schema import INSERT, listed
from hubbub.storage.sqlite.upkeep import checking, salvage, trimming

log = logging.getLogger("hubbub")

ROOMS_KEPT = 2_000  # rooms whose state is kept in memory between two writes
NOT_SYNCED = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})

T = TypeVar("T")


class NotSynced(BrokerError):
    """A commit was written, but the disk did not confirm it: after a crash it may be lost or not."""


class Size(NamedTuple):
    """The size of a log: its number of entries and of rooms, and the bytes of its file."""

    entries: int
    rooms: int
    bytes: int


class Store(OpenedFile):
    """One connection to the log.

    Args:
        folder: the folder of the file.
        write: whether this connection appends. Only one connection may do so at a time; any number may read.

    Raises:
        SettingsError: the file cannot be opened, is no log of hubbub, or there is none to read.

    """

    def __init__(self, folder: Path, write: bool = False) -> None:
        self._rooms: dict[str, WrittenRoom] = {}  # by the ids of the rooms
        self._tidying = trimming.Trimming()
        self.forgotten = 0  # entries deleted by retention since the log was opened
        super().__init__(folder, write)

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
        ids = listed(draft.id for draft in drafts)
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
