"""A connection to the file of a log: how it is opened, and the end of the log that was found then."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from hubbub.errors import BrokerError, SettingsError, reason
from hubbub.files import PRIVATE, make_private, sync_folder
from hubbub.storage.ports import new_log_id
from hubbub.storage.sqlite import full_text, key_value, room_state, schema, watermark
from hubbub.storage.sqlite.queries import QueryReader
from hubbub.storage.sqlite.schema import FILE, VERSION
from hubbub.storage.sqlite.upkeep import trimming
from hubbub.storage.sqlite.watermark import Mark, Watermark

log = logging.getLogger("hubbub")

EMPTY = 4096  # bytes of a file without content: only a header


class OpenedFile(QueryReader):
    """One connection to the file of a log.

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
        self._mark: Watermark | None = None
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
                # A mark that the log has not noted may be one whose place in the folder was never synced.
                self._begin(found, self.past.same and "marked" in notes)
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

    def _begin(self, found: Mark | None, kept: bool) -> None:
        """Continue the log if it is complete; else give it a new identity, and continue above all used numbers.

        Args:
            found: the mark that was found.
            kept: whether the log says that it has this mark, because the file was durable then.

        """
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
            mark = Mark(self.log_id, self.last, found.time if found else 0)
            self._mark = Watermark(self._folder, mark, keep=kept and mark == found)
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

    def _unmerged(self) -> int:
        """Return the bytes of the write-ahead log, which are not in the main file yet."""
        try:
            return self._path.with_name(f"{FILE}-wal").stat().st_size
        except OSError:
            return 0
