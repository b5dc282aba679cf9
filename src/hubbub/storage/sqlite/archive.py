"""The complete log in an SQLite file: the export of all its entries, and the import of entries from another log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import structs

from hubbub.errors import BrokerError
from hubbub.model.entries import Entry, RoomRenamed, Said
from hubbub.storage.imported_rooms import ImportedRooms
from hubbub.storage.sqlite import schema
from hubbub.storage.sqlite.queries import sentence
from hubbub.storage.sqlite.room_state import WrittenRoom
from hubbub.storage.sqlite.schema import INSERT, listed
from hubbub.storage.sqlite.store import ROOMS_KEPT, Store
from hubbub.storage.sqlite.upkeep import salvage

PAGE = 2_000  # entries that are read at once
CACHE = 64 * 1024  # KiB of the file in memory: the ids of a large log are spread over all of it


class Archive(Store):
    """A log that is exported or receives an import.

    Args:
        folder: the folder of the file.
        write: whether entries are imported.
        salvage: whether to read all readable entries of a damaged log, for example those of rooms with lost names.

    """

    def __init__(self, folder: Path, write: bool = False, salvage: bool = False) -> None:
        self._salvage = salvage
        self._imported = ImportedRooms[int]()
        self._by_name: dict[str, WrittenRoom] = {}  # the rooms of `_rooms`, by their names in the import
        super().__init__(folder, write)

    def _connect(self, mode: str = "rw") -> sqlite3.Connection:
        db = super()._connect(mode)
        db.execute(f"PRAGMA cache_size = -{CACHE}")
        db.text_factory = schema.lenient
        return db

    def _look(self) -> None:
        try:
            super()._look()
        except sqlite3.Error:
            if not self._salvage:
                raise
            self.last, self.newest = 0, 0.0

    def count(self) -> int:
        """Return the number of entries; of a damaged log its last number instead."""
        try:
            return self._count("entry")
        except sqlite3.Error:
            return self.last

    def pages(self) -> Iterator[list[Entry]]:
        """Yield all entries that are in the log at the start, in their order, in lists.

        Each entry has the name that its room had at its time. Damaged entries are left out. Raises BrokerError.
        """
        try:
            self._db.execute("BEGIN")
            names, former = self._names(), self._former_names()
            rows = salvage.walk(self._db, f"{schema.fields(self._version)}, room", 0, False, self._lost)
            while page := list(islice(rows, PAGE)):
                yield [entry for row in page if (entry := self._as_it_was(names, former, *row))]
        except sqlite3.Error as error:
            raise BrokerError(sentence(error)) from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _lost(self, count: int) -> None:
        self.left_out += max(1, count)

    def _names(self) -> dict[int, str]:
        try:
            return dict(self._db.execute("SELECT id, name FROM room"))
        except sqlite3.Error:
            if not self._salvage:
                raise
            return {}

    def _former_names(self) -> dict[int, list[tuple[int, str]]]:
        """Return the former names of each renamed room, the newest first.

        Each is a pair: the number of the entry that ended the name, and the name.
        """
        found: dict[int, list[tuple[int, str]]] = {}
        noted: dict[int, str] = {}
        moves = (
            "SELECT room, seq, entry.text, name FROM entry JOIN room ON room.id = room WHERE kind = 'move' ORDER BY seq"
        )
        before: dict[int, str] = {}
        try:
            if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'former'").fetchone():
                noted = dict(self._db.execute("SELECT seq, name FROM former"))
            for room, seq, text, now in self._db.execute(moves):
                found.setdefault(room, []).insert(0, (seq, noted.get(seq) or before.get(room, now)))
                before[room] = schema.new_name(text)
        except sqlite3.Error as error:
            # In a damaged log, some entries get the present name of their room instead of the former one.
            if not salvage.is_damage(error):
                raise
        return found

    def _as_it_was(
        self, names: dict[int, str], former: dict[int, list[tuple[int, str]]], seq: int, *rest: Any
    ) -> Entry | None:
        *fields, room = rest
        name = names.get(room) or (f"lost-{room}" if self._salvage else "")
        for until, called in former.get(room, ()):
            if seq > until:
                break
            name = called
        entry = self._entry("", name, seq, *fields) if name else None
        self.left_out += entry is None
        return entry

    def take_in(self, entries: Sequence[Entry]) -> int:
        """Append the entries that are not in the log yet, in one transaction, with new numbers and their times and ids.

        Returns:
            The number of appended entries.

        Raises:
            BrokerError: none of them is stored.

        """
        db = self._db
        self._check_in_place()
        seq = self.last
        try:
            db.execute("BEGIN IMMEDIATE")
            changed: dict[int, WrittenRoom] = {}
            rows: list[tuple[Any, ...]] = []
            overlays: list[tuple[int, Entry]] = []
            for entry, room in self._fresh(entries):
                seq += 1
                rows.append(schema.row(entry, seq, room.id, room.last))
                prev, room.last = room.last, seq
                if type(entry.body) is Said:
                    continue
                overlays.append((room.id, structs.replace(entry, seq=seq)))
                changed[room.id] = room
                if isinstance(entry.body, RoomRenamed):
                    self._free(entry, entry.body.to)
                if self._apply(room, structs.replace(entry, seq=seq, prev=prev)):
                    self._by_name[room.state.name] = self._by_name.pop(entry.room)
                    room.save(db)
            db.executemany(INSERT, rows)
            for id, entry in overlays:
                self._overlay(id, entry)
            for room in changed.values():
                room.save(db)
            db.execute("COMMIT")
        except (sqlite3.Error, BrokerError) as error:
            self._clear()  # the states of the rooms may be ahead of the log
            self._recover()
            raise BrokerError(sentence(error) if isinstance(error, sqlite3.Error) else str(error)) from error
        count, self.last = seq - self.last, seq
        if len(self._rooms) > ROOMS_KEPT:
            self._clear()
        if self._mark:
            self._mark.note(seq)
        return count

    def _clear(self) -> None:
        self._rooms.clear()
        self._by_name.clear()

    def _fresh(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, WrittenRoom]]:
        """Yield the entries that are not in the log, each once and with its room: a file may contain an entry twice."""
        known = self._holders(entries)
        for entry in entries:
            holders = known.setdefault(entry.id, set())
            if not self._imported.is_known(entry, holders):
                room = self._by_name.get(entry.room) or self._room(entry.room)
                self._by_name[entry.room] = room
                holders.add(room.id)
                self._imported.note(entry, room.id)
                yield entry, room

    def _holders(self, entries: Sequence[Entry]) -> dict[str, set[int]]:
        """Return, by id, the rooms that have an entry with the id of one of these entries."""
        ids = listed(entry.id for entry in entries)
        # The ids lead: SQLite looks each of them up in the index of the entries' ids.
        sql = "SELECT entry.id, entry.room FROM json_each(?) AS asked CROSS JOIN entry ON entry.id = asked.value"
        found: dict[str, set[int]] = {}
        for id, room in self._db.execute(sql, (ids,)):
            found.setdefault(str(id), set()).add(int(room))
        return found

    def _free(self, entry: Entry, to: str) -> None:
        """Check that no other room has the new name of a renamed room. Raises BrokerError if one has it."""
        if to != entry.room and self._db.execute("SELECT 1 FROM room WHERE name = ?", (to,)).fetchone():
            raise BrokerError(f"{entry.room} was renamed to {to}, but another room has this name here")
