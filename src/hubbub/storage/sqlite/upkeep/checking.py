"""The check of a log in an SQLite file: it reads everything, and compares the entries with the tables beside them."""

from __future__ import annotations

import logging
import math
import sqlite3
from array import array
from collections.abc import Callable, Iterator
from datetime import datetime

from hubbub.model.codec import body_of, text_of
from hubbub.model.entries import Entry, ModesChanged, NickChanged, Said
from hubbub.storage.sqlite.entry_reader import EntryReader
from hubbub.storage.sqlite.schema import INDEXED, fields, lenient, mark
from hubbub.storage.sqlite.upkeep import salvage
from hubbub.storage.sqlite.watermark import Continuity
from hubbub.storage.words import search_form, tokens

LISTED = 20  # faults of one kind that are listed one by one
AHEAD = 60.0  # seconds that the newest entry may be ahead of the clock without a warning
LATEST = 1e11  # seconds since the epoch; no entry can have this time or a later one
BUCKETS = 1 << 16  # counters for tokens; a fixed number, so that any log can be checked in little memory
LONG = 4_000  # characters; the index cuts tokens of this length

Progress = Callable[[int, int], None]  # called with the amount that is done, and the total

# The first fixed versions of SQLite. In older ones, two connections that write may lose commits of each other.
_MENDED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


def sqlite_warning(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """Return a warning if this version of SQLite has the bug with two writers, else ""."""
    if any(version[:2] == mended[:2] and version >= mended for mended in _MENDED) or version > _MENDED[-1]:
        return ""
    return (
        f"SQLite {'.'.join(map(str, version))} can damage a log that two programs write at the same time. Let no other "
        "program (Litestream, the sqlite3 shell) write to hubbub.db, or use SQLite 3.51.3, 3.50.7, 3.44.6 or newer."
    )


def future_warning(newest: float, clock: float) -> str:
    """Return a warning if the time of the newest entry is more than AHEAD seconds after the clock, else ""."""
    if newest <= clock + AHEAD:
        return ""
    try:
        when = datetime.fromtimestamp(newest).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        when = "an impossible date"
    return (
        f"The newest entry is from the future ({when}): the clock was wrong then, or is wrong now. New entries have "
        "the time of the clock."
    )


def warnings(past: Continuity, newest: float, clock: float) -> list[str]:
    """Return the warnings about a log that is intact.

    Args:
        past: whether the log continues the one that was last written.
        newest: the time of the newest entry in epoch seconds.
        clock: the time of the system's clock in epoch seconds.

    """
    text = "" if past.level > logging.WARNING else past.text
    return [text for text in (sqlite_warning(), text, future_warning(newest, clock)) if text]


def faults(log: EntryReader, past: Continuity, progress: Progress) -> list[str]:
    """Return the faults of a log, a sentence each; an empty list if it is intact.

    Args:
        log: the log.
        past: whether the log continues the one that was last written.
        progress: called with the number of entries that are read, and the number of all entries.

    """
    db = log._db
    db.text_factory = lenient
    found = [past.text] if past.level > logging.WARNING else []
    counts = array("q", bytes(8 * BUCKETS))
    try:
        db.execute("BEGIN")
        for part in (_pages(db), _links(db), _rulings(db), _rows(log, counts, progress), _index(log, counts)):
            try:
                found += part
            except sqlite3.Error as error:
                found.append(f"{error}.")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    return list(dict.fromkeys(found))


def _pages(db: sqlite3.Connection) -> Iterator[str]:
    """Yield the faults that SQLite finds in its file."""
    for (fault,) in db.execute(f"PRAGMA integrity_check({LISTED})"):
        if fault != "ok":
            yield str(fault)


def _links(db: sqlite3.Connection) -> Iterator[str]:
    """Yield a fault for each entry whose `prev` is not the entry before it in its room.

    Some entries stay among those that retention has deleted (trimming.py); gaps between them are no fault.
    """
    chain = (
        "SELECT name, seq FROM"
        " (SELECT room, seq, prev, lag(seq, 1, 0) OVER (PARTITION BY room ORDER BY seq) AS before FROM entry)"
        " AS chain JOIN room ON room.id = chain.room"
        f" WHERE seq > :trimmed AND prev <> before AND NOT (prev <= :trimmed AND before <= prev) LIMIT {LISTED}"
    )
    for room, seq in db.execute(chain, {"trimmed": mark(db, "trimmed")}):
        yield f"In {room}, entries are missing before number {seq}."


def _rulings(db: sqlite3.Connection) -> Iterator[str]:
    """Yield a fault for each row of a room's state (room_state.py) that is not an entry or a part of one."""
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ruling'").fetchone()
    # The copy of a cluster's log (replica_store.py) keeps no such state: all its queries may see everything.
    if not known or mark(db, "mirrored"):
        return
    made = (
        "SELECT name, ruling.seq, ruling.kind, ruling.text, entry.kind, entry.text FROM ruling"
        " JOIN room ON room.id = ruling.room"
        " LEFT JOIN entry ON entry.seq = ruling.seq AND entry.room = ruling.room AND entry.id = ruling.id"
    )
    for room, seq, kind, text, said_kind, said in db.execute(made):
        body, source = body_of(kind, text)[0], body_of(said_kind or "", said or "")[0]
        if isinstance(body, ModesChanged) and isinstance(source, ModesChanged):
            whole = set(body.changes) <= set(source.changes)
        else:
            whole = body == source or (isinstance(body, ModesChanged) and isinstance(source, NickChanged))
        if not whole:
            yield f"The stored state of {room} does not match the entry with number {seq}."


def _rows(log: EntryReader, counts: array[int], progress: Progress) -> Iterator[str]:
    """Yield a fault for each damaged entry, and for unreadable ones; count the tokens that the index should have."""
    db = log._db
    names = dict(db.execute("SELECT id, name FROM room"))
    indexed, unindexed = (mark(db, "indexed"), mark(db, "unindexed")) if log._version >= INDEXED else (0, 0)
    whole, bad, unreadable = log._count("entry"), 0, 0

    def lost(count: int) -> None:
        nonlocal unreadable
        unreadable += max(count, 1)
        log.damage = log.damage or "pages cannot be read"

    rows = salvage.walk(db, f"{fields(log._version)}, room", 0, False, lost)
    for done, (seq, prev, when, *rest, room) in enumerate(rows, 1):
        entry = log._entry("", names.get(room, ""), seq, prev, when, *rest)
        if entry is None or not entry.room or not _is_time(when):
            bad += 1
            if bad <= LISTED:
                yield f"The entry with number {seq} is damaged."
        if entry and type(entry.body) is Said and unindexed < seq <= indexed:
            _count(entry, counts)
        if not done % 1_000:
            progress(done, whole)
    if bad > LISTED:
        yield f"{bad - LISTED:,} more entries are damaged."
    if unreadable:
        yield f"{unreadable:,} entries or more cannot be read; hubbub export --salvage saves the others."


def _is_time(when: object) -> bool:
    return isinstance(when, float) and math.isfinite(when) and 0 <= when < LATEST


def _count(entry: Entry, counts: array[int]) -> None:
    for token in tokens(search_form(text_of(entry.body))).split():
        if len(token) < LONG:
            counts[hash(token) % BUCKETS] += 1


def _index(log: EntryReader, counts: array[int]) -> Iterator[str]:
    """Yield a fault if the text index has other numbers of tokens than the entries; skip this in a damaged log."""
    if log._version < INDEXED or log.damage:
        return
    log._db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms USING fts5vocab (main, entry_text, row)")
    for term, count in log._db.execute("SELECT term, cnt FROM temp.terms"):
        if len(term) < LONG:
            counts[hash(term) % BUCKETS] -= count
    if any(counts):
        yield "The text index does not match the entries, so searches may miss some. Export and import build a new one."
