"""The log in an SQLite file as a whole: all of it read as one view, and entries taken in that were made elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from hubbub.brokers import ruling
from hubbub.brokers.queries import sentence
from hubbub.brokers.store import INSERT, Store
from hubbub.core.model import Entry, Kind
from hubbub.errors import BrokerError

EFFECTIVE = frozenset({Kind.TOPIC, Kind.MOVE, Kind.REDACT})
PAGE = 2_000  # entries that are read at once
CACHE = 64 * 1024  # KiB of the file that are kept in memory: ids of a large log are all over it


class Archive(Store):
    """A log to be moved or kept elsewhere."""

    def _connect(self, mode: str = "rw") -> sqlite3.Connection:
        db = super()._connect(mode)
        db.execute(f"PRAGMA cache_size = -{CACHE}")
        return db

    def count(self) -> int:
        """Return how many entries there are."""
        return self._count("entry")

    def pages(self) -> Iterator[list[Entry]]:
        """Yield all entries in their order, as they are when this begins; each with the name that its room had then.

        Raises BrokerError.
        """
        try:
            self._db.execute("BEGIN")
            former = self._former_names()
            rows = self._db.execute(self._select.replace("SELECT", "SELECT entry.room,", 1) + " ORDER BY seq")
            while page := rows.fetchmany(PAGE):
                yield [self._as_it_was(former, *row) for row in page]
        except sqlite3.Error as error:
            raise BrokerError(sentence(error)) from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _former_names(self) -> dict[int, list[tuple[int, str]]]:
        """Return, by room that was renamed, up to which number it was called what, the newest first."""
        found: dict[int, list[tuple[int, str]]] = {}
        noted: dict[int, str] = {}
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'former'").fetchone():
            noted = dict(self._db.execute("SELECT seq, name FROM former"))
        moves = (
            "SELECT room, seq, entry.text, name FROM entry JOIN room ON room.id = room WHERE kind = 'move' ORDER BY seq"
        )
        before: dict[int, str] = {}
        for room, seq, text, now in self._db.execute(moves):
            found.setdefault(room, []).insert(0, (seq, noted.get(seq) or before.get(room, now)))
            before[room] = text.partition(" ")[0]
        return found

    @staticmethod
    def _as_it_was(former: dict[int, list[tuple[int, str]]], room: int, name: str, seq: int, *rest: object) -> Entry:
        for until, called in former.get(room, ()):
            if seq > until:
                break
            name = called
        prev, when, kind, *texts = rest
        return Entry(name, seq, prev, when, Kind(kind), *texts)  # type: ignore[arg-type]

    def take_in(self, entries: Sequence[Entry]) -> int:
        """Append entries that are not here yet, in one transaction: with new numbers, their own times and ids.

        Returns:
            How many that were.

        Raises:
            BrokerError: none of them is stored.

        """
        db = self._db
        self._check_in_place()
        seq = self.last
        try:
            db.execute("BEGIN IMMEDIATE")
            known = self._known(entries)
            rooms: dict[str, tuple[int, int]] = {}
            for entry in entries:
                if entry.id in known:
                    continue
                known.add(entry.id)
                seq += 1
                room, prev = rooms.get(entry.room) or self._room(entry.room)
                db.execute(INSERT, (seq, room, prev, *entry[3:]))
                ruling.note(db, room, entry._replace(seq=seq, prev=prev))
                rooms[entry.room] = room, seq
                if entry.kind is Kind.MOVE:
                    self._free(entry)
                    self._note_name(seq, entry.room)
                    rooms.clear()
                if entry.kind in EFFECTIVE:
                    self._take_effect(room, entry)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._recover()
            raise BrokerError(sentence(error)) from error
        except BrokerError:
            self._recover()
            raise
        count, self.last = seq - self.last, seq
        self._rooms.clear()
        self._now = max(self._now, *(entry.time for entry in entries)) if entries else self._now
        return count

    def _known(self, entries: Sequence[Entry]) -> set[str]:
        found = "SELECT 1 FROM entry WHERE id = ?"
        return {entry.id for entry in entries if self._db.execute(found, (entry.id,)).fetchone()}

    def _free(self, entry: Entry) -> None:
        """See that no other room has the name that a room is given. Raises BrokerError."""
        to = entry.text.partition(" ")[0]
        if to != entry.room and self._db.execute("SELECT 1 FROM room WHERE name = ?", (to,)).fetchone():
            raise BrokerError(f"{entry.room} was renamed to {to}, but there is another room of this name here")
